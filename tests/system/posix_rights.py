# SPDX-License-Identifier: Apache-2.0
"""Owners, modes, ACLs, extended attributes, times that are set: who may, with which error, and what it does."""

import os
import stat
import struct

from posix_help import (ACL_GROUP, ACL_OTHER, ACL_USER, GROUP, GROUP_OBJ, MASK, NO_ID, OTHER, USER, USER_OBJ, UTIME_NOW,
                        UTIME_OMIT, As, acl, acl_of, equal, expect, link_to_file, make, renameat2, said, system, utimensat)

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
ROOT_GROUP = 0


def mode_of(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def owned(path, uid=USER, gid=USER, mode=0o644, is_dir=False):
    if is_dir:
        os.mkdir(path)
    else:
        make(path, b"text")
    os.chown(path, uid, gid)
    os.chmod(path, mode)
    return path


def searching(at):
    """A directory that one may not search refuses everything; one that one may not read only its listing."""
    d = owned(at / "d", mode=0o700, is_dir=True)
    source = owned(at / "s")
    owned(d / "f", mode=0o666)
    you, me = As(OTHER), As(USER)
    for mode in (0o700, 0o744, 0o766):
        os.chmod(d, mode)
        for call, *rest in ((os.open, os.O_RDONLY), (os.stat,), (os.lstat,), (os.unlink,), (os.rmdir,), (os.readlink,),
                            (os.truncate, 0), (os.chmod, 0o600), (os.utime,), (os.listxattr,)):
            you.expect("EACCES", call, d / "f", *rest)
            you.expect("EACCES", call, d / "none", *rest)
        for call, *rest in ((os.mkdir,), (os.mkfifo,)):
            you.expect("EACCES", call, d / "x", *rest)
        you.expect("EACCES", os.symlink, "x", d / "x")
        you.expect("EACCES", os.rename, d / "f", at / "x")
        you.expect("EACCES", os.link, d / "f", at / "x")
        you.expect("EACCES" if mode == 0o700 else "OK", os.listdir, d)
    os.chmod(d, 0o711)
    you.expect("OK", os.stat, d / "f")
    you.expect("EACCES", os.listdir, d)
    for call, *rest in ((os.unlink,), (os.rename, d / "g")):
        you.expect("EACCES", call, d / "f", *rest)
    you.expect("EACCES", os.mkdir, d / "x")
    you.expect("EEXIST", os.mkdir, d / "f")
    you.expect("ENOENT", os.unlink, d / "none")
    you.expect("EACCES", os.rename, source, d / "x")
    me.expect("OK", os.mkdir, d / "x")


def reading_and_writing(at):
    for mode, uid, gid, groups, reads, writes in (
            (0o400, USER, USER, (), True, False), (0o200, USER, USER, (), False, True),
            (0o077, USER, USER, (), False, False), (0o040, OTHER, GROUP, (), True, False),
            (0o040, OTHER, OTHER, (GROUP,), True, False), (0o707, OTHER, OTHER, (5, GROUP), False, False),
            (0o004, OTHER, OTHER, (), True, False), (0o770, OTHER, OTHER, (), False, False), (0o000, 0, 0, (), True, True)):
        f = owned(at / "f", USER, GROUP, mode)
        who = As(uid, gid, groups)
        who.expect("OK" if reads else "EACCES", os.open, f, os.O_RDONLY)
        who.expect("OK" if writes else "EACCES", os.open, f, os.O_WRONLY)
        who.expect("OK" if writes else "EACCES", os.truncate, f, 0)
        who.expect("OK" if reads and writes else "EACCES", os.open, f, os.O_RDWR)
        who.expect("OK" if reads and writes else "EACCES", os.open, f, os.O_RDONLY | os.O_TRUNC)
        equal([who(os.access, f, k) for k in (os.R_OK, os.W_OK, os.X_OK)], [reads, writes, bool(mode & 0o111 and uid == 0)
              or _may_run(mode, uid, gid, groups)])
        os.unlink(f)


def _may_run(mode, uid, gid, groups):
    shift = 6 if uid == USER else 3 if GROUP in (gid, *groups) else 0
    return bool(mode >> shift & 1)


def changing_modes(at):
    f = owned(at / "f", USER, GROUP)
    you, me, member = As(OTHER), As(USER), As(USER, USER, [GROUP])
    you.expect("EPERM", os.chmod, f, 0o777)
    me.expect("OK", os.chmod, f, 0o4755)
    equal(mode_of(f), 0o4755)
    # Who is not in the file's group cannot make it run as that.
    me.expect("OK", os.chmod, f, 0o2755)
    equal(mode_of(f), 0o755)
    member.expect("OK", os.chmod, f, 0o2755)
    equal(mode_of(f), 0o2755)
    os.chmod(f, 0o7777)
    equal(mode_of(f), 0o7777)
    os.symlink("f", at / "l")
    os.chmod(at / "l", 0o600)
    equal((mode_of(f), mode_of(at / "l")), (0o600, 0o777))
    d = owned(at / "d", USER, GROUP, is_dir=True)
    member.expect("OK", os.chmod, d, 0o3777)
    equal(mode_of(d), 0o3777)
    me.expect("OK", os.chmod, d, 0o3777)
    equal(mode_of(d), 0o1777)


def changing_owners(at):
    me, member, you = As(USER), As(USER, USER, [GROUP]), As(OTHER)
    for make_one in (lambda p: owned(p), lambda p: owned(p, is_dir=True)):
        p = make_one(at / "p")
        you.expect("EPERM", os.chown, p, OTHER, -1)
        you.expect("EPERM", os.chown, p, -1, OTHER)
        you.expect(("OK", "EPERM"), os.chown, p, -1, -1)
        me.expect("EPERM", os.chown, p, OTHER, -1)
        me.expect("EPERM", os.chown, p, -1, GROUP)
        me.expect("OK", os.chown, p, USER, USER)
        me.expect("OK", os.chown, p, -1, -1)
        member.expect("OK", os.chown, p, -1, GROUP)
        equal((os.stat(p).st_uid, os.stat(p).st_gid), (USER, GROUP))
        (os.rmdir if os.path.isdir(p) else os.unlink)(p)
    os.symlink("nothing", at / "l")
    os.lchown(at / "l", 7, 8)
    equal((os.lstat(at / "l").st_uid, os.lstat(at / "l").st_gid), (7, 8))
    f = owned(at / "f")
    for uid, gid in ((0, 0), (65534, 65534), (65536, 65537), (2**31, 2**31 + 1), (2**32 - 2, 2**32 - 2)):
        os.chown(f, uid, gid)
        equal((os.stat(f).st_uid, os.stat(f).st_gid), (uid, gid))
    os.chown(f, -1, 5)
    equal((os.stat(f).st_uid, os.stat(f).st_gid), (2**32 - 2, 5))


def set_id_bits_that_go(at):
    """A new owner, and what is written by somebody else, take them away; of what runs as its group, too."""
    for before, after, directory in ((0o6755, 0o755, 0o6755), (0o4755, 0o755, 0o4755), (0o2755, 0o755, 0o2755),
                                     (0o2745, 0o2745, 0o2745)):
        f = owned(at / "f", USER, GROUP, before)
        os.chown(f, OTHER, -1)
        equal(mode_of(f), after)
        os.unlink(f)
        f = owned(at / "f", USER, GROUP, before)
        As(USER, USER, [GROUP])(os.chown, f, -1, USER)
        equal(mode_of(f), after)
        os.unlink(f)
        d = owned(at / "d", USER, GROUP, before, is_dir=True)
        os.chown(d, OTHER, -1)
        equal(mode_of(d), directory)
        os.rmdir(d)
    for call, *rest in ((_write,), (os.truncate, 1), (_open_to_cut,), (_copy_into,), (_allocate,)):
        for before, after in ((0o6777, 0o777), (0o4777, 0o777), (0o2777, 0o777)):
            f = owned(at / "f", USER, GROUP, before)
            As(OTHER)(call, f, *rest)
            assert mode_of(f) in ((after, before) if call is _allocate else (after,)), (call, oct(before), oct(mode_of(f)))
            # Root may keep them.
            os.chmod(f, before)
            _write(f)
            equal(mode_of(f), before)
            os.unlink(f)


def _write(path):
    fd = os.open(path, os.O_WRONLY)
    os.write(fd, b"1")
    os.close(fd)


def _open_to_cut(path):
    os.close(os.open(path, os.O_WRONLY | os.O_TRUNC))


def _copy_into(path):
    fd, other = os.open(path, os.O_RDWR), os.open(path, os.O_RDONLY)
    os.copy_file_range(other, fd, 2, 0, 100)
    os.close(fd)


def _allocate(path):
    fd = os.open(path, os.O_WRONLY)
    os.posix_fallocate(fd, 0, 10)
    os.close(fd)


def what_new_files_get(at):
    d = owned(at / "d", USER, GROUP, 0o2777, is_dir=True)
    p = owned(at / "p", USER, GROUP, 0o777, is_dir=True)
    you = As(OTHER)
    for where, gid in ((d, GROUP), (p, OTHER)):
        you(make, where / "f")
        you(os.mkdir, where / "sub")
        you(os.symlink, "x", where / "l")
        you(os.mkfifo, where / "fifo")
        for name in ("f", "sub", "l", "fifo"):
            now = os.lstat(where / name)
            equal((name, now.st_uid, now.st_gid), (name, OTHER, gid))
        equal(bool(mode_of(where / "sub") & stat.S_ISGID), gid == GROUP)
    # Not in the group: it does not run as that.
    you(os.close, you(_mode_of_new, d / "sgid", 0o2755) or os.open("/dev/null", os.O_RDONLY))
    equal(mode_of(d / "sgid"), 0o755)
    for umask in (0, 0o022, 0o077, 0o777):
        os.umask(umask)
        for call, mode in ((os.mkdir, 0o1777), (_mode_of_new, 0o6777), (os.mkfifo, 0o777)):
            call(p / "new", mode)
            equal((call.__name__, mode_of(p / "new")), (call.__name__, mode & ~umask))
            (os.rmdir if call is os.mkdir else os.unlink)(p / "new")
    os.umask(0)


def _mode_of_new(path, mode):
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, mode))


def setting_times(at):
    f = owned(at / "f", mode=0o622)
    me, you, nobody = As(USER), As(OTHER), As(65534)
    now, omit = (0, UTIME_NOW), (0, UTIME_OMIT)
    for a, m in (((0, 10**9), (0, 0)), ((0, 0), (0, -1)), ((0, 2 * 10**9), omit)):
        expect("EINVAL", utimensat, f, a, m)
    expect("ENOENT", utimensat, at / "none", now, now)
    you.expect("OK", utimensat, f, now, now)
    you.expect("EPERM", utimensat, f, (1, 0), (1, 0))
    you.expect("EPERM", utimensat, f, now, omit)
    you.expect("EPERM", utimensat, f, omit, now)
    you.expect("OK", utimensat, f, omit, omit)
    os.chmod(f, 0o600)
    nobody.expect("EACCES", utimensat, f, now, now)
    nobody.expect("EPERM", utimensat, f, (1, 0), (1, 0))
    me.expect("OK", utimensat, f, (1, 999999999), (2, 1))
    equal((os.stat(f).st_atime_ns, os.stat(f).st_mtime_ns), (1999999999, 2000000001))
    # As far as each file system's years go: 1901 to 2106 at least, these have more.
    for second in (1 - 2**31, -1, 0, 2**31 - 1, 2**31, 2**32 - 1):
        utimensat(f, (second, 5), (second, 6))
        equal((os.stat(f).st_atime_ns, os.stat(f).st_mtime_ns), (second * 10**9 + 5, second * 10**9 + 6))
    utimensat(f, omit, (7, 0))
    equal(os.stat(f).st_mtime_ns, 7 * 10**9)
    os.symlink("nothing", at / "l")
    utimensat(at / "l", (3, 0), (4, 0), follow=False)
    equal((os.lstat(at / "l").st_atime_ns, os.lstat(at / "l").st_mtime_ns), (3 * 10**9, 4 * 10**9))


def attributes(at):
    f = make(at / "f")
    get, put = os.getxattr, os.setxattr
    expect("ENODATA", get, f, "user.a")
    expect("ENODATA", os.removexattr, f, "user.a")
    expect("ENODATA", put, f, "user.a", b"1", os.XATTR_REPLACE)
    put(f, "user.a", b"1", os.XATTR_CREATE)
    expect("EEXIST", put, f, "user.a", b"1", os.XATTR_CREATE)
    expect("EINVAL", put, f, "user.b", b"1", 8)
    expect("EOPNOTSUPP", put, f, "none.a", b"1")
    expect("EOPNOTSUPP", put, f, "plain", b"1")
    expect("EOPNOTSUPP", get, f, "none.a")
    expect("EINVAL", put, f, "user.", b"1")
    expect("ERANGE", put, f, "user." + "n" * 251, b"1")
    expect(("ERANGE", "ENOENT"), put, f, "", b"1")
    expect(("E2BIG", "ENOSPC"), put, f, "user.big", b"x" * 65537)
    put(f, "user." + "n" * 250, b"")
    equal(get(f, "user." + "n" * 250), b"")
    for value in (b"", b"\0", bytes(range(256)), b"x" * 3000):
        put(f, "user.a", value)
        equal(get(f, "user.a"), value)
    put(f, b"user.\xff\x01 \n", b"bytes")
    equal(sorted(os.listxattr(os.fsencode(f)))[0], "user.a")
    equal(len(os.listxattr(f)), 3)
    buffer = (b"\0" * 10)
    expect("ERANGE", system, "getxattr", os.fsencode(f), b"user.a", buffer, 5)
    expect("ERANGE", system, "listxattr", os.fsencode(f), buffer, 5)
    equal(system("getxattr", os.fsencode(f), b"user.a", None, 0), 3000)
    os.removexattr(f, "user.a")
    expect("ENODATA", get, f, "user.a")


def attributes_of_others(at):
    f = owned(at / "f", mode=0o640)
    me, you = As(USER), As(OTHER)
    you.expect("EACCES", os.setxattr, f, "user.a", b"1")
    me.expect("OK", os.setxattr, f, "user.a", b"1")
    you.expect("EACCES", os.getxattr, f, "user.a")
    you.expect("OK", os.listxattr, f)
    os.chmod(f, 0o444)
    me.expect("EACCES", os.setxattr, f, "user.a", b"2")
    you.expect("OK", os.getxattr, f, "user.a")
    me.expect("EPERM", os.setxattr, f, "trusted.a", b"1")
    me.expect(("ENODATA", "EPERM"), os.getxattr, f, "trusted.a")
    if said(os.setxattr, f, "trusted.a", b"1") == "OK":
        me.expect("ENODATA", os.getxattr, f, "trusted.a")
        assert "trusted.a" in os.listxattr(f) and "trusted.a" not in me(os.listxattr, f)
    me.expect("EPERM", os.setxattr, f, "security.capability", struct.pack("<IIIII", 0x02000000, 1, 0, 0, 0))
    expect("EINVAL", os.setxattr, f, "security.capability", b"x")
    os.symlink("f", at / "l")
    expect("EPERM", os.setxattr, at / "l", "user.a", b"1", follow_symlinks=False)
    os.mkfifo(at / "fifo")
    expect("EPERM", os.setxattr, at / "fifo", "user.a", b"1")
    d = owned(at / "s", USER, USER, 0o1777, is_dir=True)
    you.expect("EPERM", os.setxattr, d, "user.a", b"1")
    me.expect("OK", os.setxattr, d, "user.a", b"1")


def access_lists(at):
    f = owned(at / "f", USER, USER, 0o640)
    if said(os.setxattr, f, ACCESS, acl((USER_OBJ, 6, NO_ID), (GROUP_OBJ, 4, NO_ID), (ACL_OTHER, 0, NO_ID))) != "OK":
        return
    member = As(OTHER, OTHER, [GROUP])
    for wrong in (b"", b"\1\0\0\0", acl()[:3], acl((USER_OBJ, 6, NO_ID)), acl((USER_OBJ, 9, NO_ID)),
                  acl((USER_OBJ, 6, NO_ID), (ACL_USER, 6, OTHER), (GROUP_OBJ, 4, NO_ID), (ACL_OTHER, 0, NO_ID)),
                  acl((GROUP_OBJ, 6, NO_ID), (USER_OBJ, 6, NO_ID), (ACL_OTHER, 0, NO_ID))):
        expect(("EINVAL", "EOPNOTSUPP", "OK") if wrong in (b"", b"\1\0\0\0", acl()[:3]) else "EINVAL",
               os.setxattr, f, ACCESS, wrong)
    As(OTHER).expect("EPERM", os.setxattr, f, ACCESS, acl((USER_OBJ, 6, NO_ID), (GROUP_OBJ, 6, NO_ID), (ACL_OTHER, 6, NO_ID)))
    os.setxattr(f, ACCESS, acl((USER_OBJ, 6, NO_ID), (ACL_USER, 6, OTHER), (GROUP_OBJ, 0, NO_ID), (ACL_GROUP, 4, GROUP),
                               (MASK, 6, NO_ID), (ACL_OTHER, 0, NO_ID)))
    equal(mode_of(f), 0o660)
    As(OTHER).expect("OK", os.open, f, os.O_RDWR)
    member.expect("OK", os.open, f, os.O_RDWR)
    As(65534, 65534, [GROUP]).expect("OK", os.open, f, os.O_RDONLY)
    As(65534, 65534, [GROUP]).expect("EACCES", os.open, f, os.O_WRONLY)
    As(65534).expect("EACCES", os.open, f, os.O_RDONLY)
    # The group's bits of the mode are the mask.
    os.chmod(f, 0o640)
    equal(acl_of(os.getxattr(f, ACCESS))[4], (MASK, 4, NO_ID))
    As(OTHER).expect("EACCES", os.open, f, os.O_WRONLY)
    As(OTHER).expect("OK", os.open, f, os.O_RDONLY)
    os.removexattr(f, ACCESS)
    expect("ENODATA", os.getxattr, f, ACCESS)
    expect("EACCES", os.setxattr, f, DEFAULT, acl((USER_OBJ, 7, NO_ID), (GROUP_OBJ, 7, NO_ID), (ACL_OTHER, 7, NO_ID)))
    os.symlink("f", at / "l")
    expect("EOPNOTSUPP", os.setxattr, at / "l", ACCESS, acl((USER_OBJ, 7, NO_ID), (GROUP_OBJ, 7, NO_ID), (ACL_OTHER, 7, NO_ID)),
           follow_symlinks=False)


def inherited_lists(at):
    d = owned(at / "d", USER, USER, 0o755, is_dir=True)
    default = acl((USER_OBJ, 7, NO_ID), (ACL_USER, 7, OTHER), (GROUP_OBJ, 5, NO_ID), (MASK, 7, NO_ID), (ACL_OTHER, 0, NO_ID))
    if said(os.setxattr, d, DEFAULT, default) != "OK":
        return
    equal(mode_of(d), 0o755)
    os.umask(0o077)  # which does not count here
    make(d / "f", mode=0o664)
    os.mkdir(d / "sub", 0o775)
    os.umask(0)
    equal((mode_of(d / "f"), mode_of(d / "sub")), (0o660, 0o770))
    equal(acl_of(os.getxattr(d / "f", ACCESS)),
          [(USER_OBJ, 6, NO_ID), (ACL_USER, 7, OTHER), (GROUP_OBJ, 5, NO_ID), (MASK, 6, NO_ID), (ACL_OTHER, 0, NO_ID)])
    equal(os.getxattr(d / "sub", DEFAULT), default)
    As(OTHER).expect("OK", os.open, d / "f", os.O_RDWR)
    As(65534).expect("EACCES", os.open, d / "f", os.O_RDONLY)
    As(OTHER).expect("OK", os.mkdir, d / "sub/x")
    os.symlink("x", d / "l")
    equal(mode_of(d / "l"), 0o777)
    os.removexattr(d, DEFAULT)
    make(d / "g", mode=0o664)
    equal(mode_of(d / "g"), 0o664)
    expect("ENODATA", os.getxattr, d / "g", ACCESS)


def moving_what_is_not_mine(at):
    """A directory that comes to stand elsewhere is written, for its '..'."""
    for name in ("a", "b"):
        owned(at / name, USER, USER, 0o777, is_dir=True)
    owned(at / "a/d", USER, USER, 0o755, is_dir=True)
    owned(at / "a/f", USER, USER, 0o600)
    you = As(OTHER)
    you.expect(("EACCES", "OK"), os.rename, at / "a/d", at / "b/d")  # not all file systems ask
    you.expect("OK", os.rename, at / "a/f", at / "b/f")
    os.chmod(at / "b", 0o755)
    you.expect("EACCES", os.rename, at / "b/f", at / "a/f")
    you.expect("EACCES", os.unlink, at / "b/f")
    owned(at / "a/g", OTHER, OTHER)
    you.expect("EACCES", renameat2, at / "a/g", at / "b/f", 2)
    you.expect(("EPERM", "OK"), os.link, at / "b/f", at / "a/l")  # the kernel may protect links (proc_sys_fs(5))
    link_to_file(at / "b/f", at / "b/again")


CHECKS = [searching, reading_and_writing, changing_modes, changing_owners, set_id_bits_that_go, what_new_files_get,
          setting_times, attributes, attributes_of_others, access_lists, inherited_lists, moving_what_is_not_mine]
