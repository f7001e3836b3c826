# SPDX-License-Identifier: Apache-2.0
"""Calls on names: their errors first, then what they do. Each check gets an empty directory; what it expects is in POSIX.1-2017 and the manual of Linux."""

import os
import socket
import stat

from posix_help import (EXCHANGE, NOREPLACE, OTHER, USER, WHITEOUT, As, changes, equal, expect, link_to_file, make,
                        path_of, renameat2, said, system, times)


def truncate_call(path):
    os.truncate(path, 0)


def open_dir(path):
    os.close(os.open(path, os.O_RDONLY | os.O_DIRECTORY))


def new_file(path):
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))


def exclusive(path):
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def new_link(path, source):
    os.link(source, path)


def rename_to(path, source):
    os.rename(source, path)


# Calls that want something there and follow links to it.
FOLLOWING = [
    (os.open, os.O_RDONLY), (os.stat,), (os.access, os.F_OK), (truncate_call,), (os.chmod, 0o600), (os.chown, 0, 0),
    (os.utime,), (os.statvfs,), (os.listxattr,), (os.getxattr, "user.a"), (os.setxattr, "user.a", b"1"),
    (os.removexattr, "user.a"), (open_dir,), (os.chdir,), (os.listdir,),
]
# Calls that look at the name itself.
OF_THE_NAME = [(os.lstat,), (os.readlink,), (os.unlink,), (os.rmdir,), (os.lchown, 0, 0)]
# Calls that make a new one.
MAKING = [(os.mkdir,), (os.mkfifo,), (os.mknod, stat.S_IFCHR | 0o600, os.makedev(1, 3)), (new_file,), (exclusive,)]


def each_call(path, calls):
    for call, *rest in calls:
        # access(2) says it by its result.
        if call is os.access:
            call = _access
        yield call, (path, *rest)


def _access(path, mode):
    system("access", path_of(path), mode)


def with_new_names(path, source):
    yield from each_call(path, MAKING)
    yield os.symlink, ("target", path)
    yield new_link, (path, source)
    yield rename_to, (path, source)


def what_is_missing(at):
    source = make(at / "source")
    os.symlink(at / "nothing", at / "dangling")
    for path in (at / "none", at / "none/file", at / "dangling"):
        for call, arguments in each_call(path, FOLLOWING):
            expect("ENOENT", call, *arguments)
    for path in (at / "none", at / "none/file"):
        for call, arguments in each_call(path, OF_THE_NAME):
            expect("ENOENT", call, *arguments)
        expect("ENOENT", os.rename, path, at / "x")
        expect("ENOENT", os.link, path, at / "x")
    for call, arguments in with_new_names(at / "none/file", source):
        expect("ENOENT", call, *arguments)
    for call in (os.stat, os.unlink, os.rmdir, os.mkdir, os.readlink, new_file, os.chdir):
        expect("ENOENT", call, "")
    expect("ENOENT", os.symlink, "", at / "empty")
    expect("ENOENT", os.rename, at / "source", "")


def what_is_no_directory(at):
    source, file = make(at / "source"), make(at / "file")
    for path in (at / "file/x", at / "file/x/y", f"{at}/file/."):
        for call, arguments in each_call(path, FOLLOWING + OF_THE_NAME):
            expect("ENOTDIR", call, *arguments)
    for call, arguments in with_new_names(at / "file/x", source):
        expect("ENOTDIR", call, *arguments)
    for call in (os.rmdir, os.listdir, open_dir, os.chdir):
        expect("ENOTDIR", call, file)
    expect("ENOTDIR", os.stat, f"{file}/")
    expect("ENOTDIR", os.rename, f"{file}/", at / "g")
    os.mkdir(at / "dir")
    expect("ENOTDIR", os.rename, at / "dir", file)
    expect("EISDIR", os.rename, file, at / "dir")
    expect("ENOTDIR", os.rmdir, file)


def names_that_are_too_long(at):
    source = make(at / "source")
    for name in ("n" * 256, "n" * 1000, "é" * 128):
        for path in (at / name, at / name / "x"):
            for call, arguments in each_call(path, FOLLOWING + OF_THE_NAME):
                expect("ENAMETOOLONG", call, *arguments)
            for call, arguments in with_new_names(path, source):
                expect("ENAMETOOLONG", call, *arguments)
    for name in ("n" * 255, "é" * 127):
        for call, arguments in with_new_names(at / name, source):
            expect("OK", call, *arguments)
            os.lstat(at / name)
            assert name in os.listdir(at)
            if call is rename_to:
                make(source)
            (os.rmdir if stat.S_ISDIR(os.lstat(at / name).st_mode) else os.unlink)(at / name)


def paths_of_4095_bytes(at):
    """The last byte of PATH_MAX is the zero."""
    deep = os.fsencode(at)
    while len(deep) + 201 < 4095 - 2:
        deep += b"/" + b"d" * 200
        os.mkdir(deep)
    longest = deep + b"/" + b"f" * (4095 - len(deep) - 1)
    source = make(at / "source")
    assert len(longest) == 4095
    for call, arguments in with_new_names(longest, source):
        expect("OK", call, *arguments)
        expect("OK", os.lstat, longest)
        if call is rename_to:
            make(source)
        (os.rmdir if stat.S_ISDIR(os.lstat(longest).st_mode) else os.unlink)(longest)
    for call, arguments in with_new_names(longest + b"f", source):
        expect("ENAMETOOLONG", call, *arguments)
    for call, arguments in each_call(longest + b"f", FOLLOWING + OF_THE_NAME):
        expect("ENAMETOOLONG", call, *arguments)
    # What a link leads to may be as long, and no longer.
    os.symlink("t" * 4095, at / "long")
    assert os.readlink(at / "long") == "t" * 4095 and os.lstat(at / "long").st_size == 4095
    expect("ENAMETOOLONG", os.symlink, "t" * 4096, at / "longer")
    expect(("ENAMETOOLONG", "ENOENT"), os.stat, at / "long")


def links_in_a_circle(at):
    source = make(at / "source")
    os.symlink("b", at / "a")
    os.symlink("a", at / "b")
    os.symlink("self", at / "self")
    for name in ("a", "self"):
        for call, arguments in each_call(at / name, FOLLOWING):
            expect("ELOOP", call, *arguments)
        for call, arguments in each_call(at / name / "x", FOLLOWING + OF_THE_NAME):
            expect("ELOOP", call, *arguments)
        for call, arguments in with_new_names(at / name / "x", source):
            expect("ELOOP", call, *arguments)
    expect("ELOOP", new_file, at / "a")
    expect("EEXIST", exclusive, at / "a")
    expect("ELOOP", os.open, at / "a", os.O_RDONLY | os.O_NOFOLLOW)
    os.symlink(source, at / "good")
    expect("ELOOP", os.open, at / "good", os.O_RDONLY | os.O_NOFOLLOW)
    expect("ELOOP", os.open, at / "good", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW)
    expect(("ENOTDIR", "ELOOP"), os.open, at / "good", os.O_DIRECTORY | os.O_NOFOLLOW)
    expect("OK", os.lstat, at / "a")
    # 40 links are followed, not 41.
    os.mkdir(at / "chain")
    make(at / "chain/0")
    for i in range(1, 42):
        os.symlink(str(i - 1), at / "chain" / str(i))
    expect("OK", os.stat, at / "chain/40")
    expect("ELOOP", os.stat, at / "chain/41")
    for name in ("a", "b", "self"):
        os.rename(at / name, at / "moved")
        os.unlink(at / "moved")


def what_is_there_already(at):
    source = make(at / "source")
    for there in ("file", "dir", "link", "fifo", "dangling"):
        {"file": lambda p: make(p), "dir": os.mkdir, "link": lambda p: os.symlink(source, p), "fifo": os.mkfifo,
         "dangling": lambda p: os.symlink("nothing", p)}[there](at / there)
        for call, *rest in MAKING:
            if call is not new_file:
                expect("EEXIST", call, at / there, *rest)
        expect("EEXIST", os.symlink, "x", at / there)
        expect("EEXIST", os.link, source, at / there)
        expect("EEXIST", renameat2, source, at / there, NOREPLACE)
    for path in (at, f"{at}/.", f"{at}/dir/..", f"{at}/dir/."):
        expect("EEXIST", os.mkdir, path)
    expect("EISDIR", new_file, at / "dir")
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_CREAT, os.O_WRONLY | os.O_TRUNC):
        expect("EISDIR", os.open, at / "dir", flags)
    expect("EISDIR", os.truncate, at / "dir", 0)
    expect("EISDIR", os.unlink, at / "dir")
    expect("EISDIR", new_file, f"{at}/new/")
    # Through a link to nothing the file is made where it leads.
    new_file(at / "dangling")
    assert stat.S_ISREG(os.lstat(at / "nothing").st_mode)


def removing_directories(at):
    os.makedirs(at / "a/b")
    expect("ENOTEMPTY", os.rmdir, at / "a")
    expect("EINVAL", os.rmdir, f"{at}/a/.")
    expect("ENOTEMPTY", os.rmdir, f"{at}/a/b/..")
    os.symlink("a", at / "link")
    expect("ENOTDIR", os.rmdir, at / "link")
    os.rmdir(at / "a/b")
    fd = os.open(at / "a", os.O_RDONLY)
    os.rmdir(at / "a")
    assert os.fstat(fd).st_nlink == 0
    # In one that is gone nothing can be made, and nothing is found.
    expect("ENOENT", os.mkdir, "x", dir_fd=fd)
    expect("ENOENT", os.open, "x", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
    expect("ENOENT", os.stat, "x", dir_fd=fd)
    expect("ENOENT", os.symlink, "t", "x", dir_fd=fd)
    assert os.listdir(fd) == []
    os.close(fd)
    expect("ENOENT", os.stat, at / "a")


def renaming(at):
    os.makedirs(at / "d/e/f")
    file, other = make(at / "file", b"file"), make(at / "other", b"other")
    expect("EINVAL", os.rename, at / "d", at / "d/x")
    expect("EINVAL", os.rename, at / "d", at / "d/e/f/x")
    expect("ENOTEMPTY", os.rename, at / "d/e/f", at / "d")
    expect(("EBUSY", "EINVAL"), os.rename, f"{at}/d/.", at / "x")
    expect(("EBUSY", "EINVAL"), os.rename, f"{at}/d/e/..", at / "x")
    expect(("EBUSY", "EINVAL", "EEXIST", "ENOTEMPTY"), os.rename, at / "d/e", f"{at}/d/.")
    os.mkdir(at / "full")
    make(at / "full/x")
    expect(("ENOTEMPTY", "EEXIST"), os.rename, at / "d", at / "full")
    expect("EINVAL", renameat2, file, other, NOREPLACE | EXCHANGE)
    expect("EINVAL", renameat2, file, other, EXCHANGE | WHITEOUT)
    expect("EINVAL", renameat2, file, other, 1 << 10)
    expect("ENOENT", renameat2, file, at / "none", EXCHANGE)
    expect("EINVAL", renameat2, at / "d", at / "d/e", EXCHANGE)
    expect("EINVAL", renameat2, at / "d/e", at / "d", EXCHANGE)
    # Two names of one file: both stay.
    os.link(file, at / "same")
    os.rename(file, at / "same")
    assert os.path.exists(file) and os.stat(file).st_nlink == 2
    renameat2(file, at / "d/e", EXCHANGE)
    assert os.path.isdir(file) and os.path.isfile(at / "d/e") and os.stat(at / "d").st_nlink == 2
    assert os.stat(file).st_nlink == 3 and os.stat(file / "..").st_ino == os.stat(at).st_ino
    renameat2(file, at / "d/e", EXCHANGE)
    os.rename(other, file)
    assert file.read_bytes() == b"other" and os.stat(at / "same").st_nlink == 1
    os.mkdir(at / "empty")
    os.rename(at / "d", at / "empty")
    assert sorted(os.listdir(at)) == ["empty", "file", "full", "same"]
    renameat2(file, at / "moved", NOREPLACE)
    expect("EXDEV", os.link, "/proc/version", at / "x")


def links_of_a_file(at):
    file = make(at / "file", b"1")
    os.mkdir(at / "dir")
    expect("EPERM", os.link, at / "dir", at / "x")
    for i in range(10):
        os.link(file, at / f"l{i}")
        assert os.stat(file).st_nlink == i + 2
    os.symlink(file, at / "sym")
    os.link(at / "sym", at / "sym2", follow_symlinks=False)
    assert os.lstat(at / "sym").st_nlink == 2 and os.readlink(at / "sym2") == str(file)
    link_to_file(at / "sym", at / "l10")
    assert os.stat(file).st_nlink == 12
    for i in range(3):
        os.mkdir(at / "dir" / str(i))
        assert os.stat(at / "dir").st_nlink == i + 3
    fd = os.open(file, os.O_RDONLY)
    for i in range(11):
        os.unlink(at / f"l{i}")
    os.unlink(file)
    assert os.fstat(fd).st_nlink == 0 and os.read(fd, 9) == b"1"
    expect("ENOENT", link_to_file, f"/proc/self/fd/{fd}", at / "back")
    os.close(fd)


def files_without_a_name(at):
    flags = os.O_TMPFILE
    expect("EINVAL", os.open, at, flags | os.O_RDONLY)
    expect("ENOTDIR", os.open, make(at / "file"), flags | os.O_RDWR)
    expect("ENOENT", os.open, at / "none", flags | os.O_RDWR)
    fd = os.open(at, flags | os.O_RDWR, 0o640)
    os.write(fd, b"text")
    assert os.fstat(fd).st_nlink == 0 and os.listdir(at) == ["file"]
    link_to_file(f"/proc/self/fd/{fd}", at / "named")
    assert (at / "named").read_bytes() == b"text" and os.fstat(fd).st_nlink == 1
    os.close(fd)
    fd = os.open(at, flags | os.O_RDWR | os.O_EXCL, 0o640)
    expect("ENOENT", link_to_file, f"/proc/self/fd/{fd}", at / "x")
    os.close(fd)


def every_byte_in_a_name(at):
    where = os.fsencode(at)
    names = sorted(bytes([b]) for b in range(1, 256) if b not in b"/.")
    names += [b"a" + bytes([b]) + b"\xff\xfe" for b in range(1, 256) if b != 0x2F]
    names += [b"...", b".\n", bytes(range(1, 47)) + bytes(range(48, 256))]
    for name in names:
        os.close(os.open(where + b"/" + name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    assert sorted(os.listdir(where)) == sorted(names)
    for name in names:
        os.stat(where + b"/" + name)
        os.symlink(name, where + b"/.link")
        assert os.readlink(where + b"/.link") == name
        os.unlink(where + b"/.link")
        os.rename(where + b"/" + name, where + b"/.x")
        os.rename(where + b"/.x", where + b"/" + name)
        os.unlink(where + b"/" + name)
    assert os.listdir(where) == []


def special_files(at):
    for kind, number in ((stat.S_IFCHR, os.makedev(1, 3)), (stat.S_IFBLK, os.makedev(7, 300)),
                         (stat.S_IFCHR, os.makedev(4095, (1 << 20) - 1)), (stat.S_IFIFO, 0), (stat.S_IFSOCK, 0),
                         (stat.S_IFREG, 0)):
        os.mknod(at / "n", kind | 0o604, number)
        now = os.lstat(at / "n")
        assert stat.S_IFMT(now.st_mode) == kind and now.st_mode & 0o7777 == 0o604 and now.st_nlink == 1, oct(kind)
        assert now.st_rdev == number and now.st_size == 0, (kind, now)
        os.unlink(at / "n")
    expect(("EPERM", "EINVAL"), os.mknod, at / "n", stat.S_IFDIR | 0o700)
    expect("EINVAL", os.mknod, at / "n", stat.S_IFLNK | 0o700)
    expect("EINVAL", os.mknod, at / "n", 0o170000 | 0o700)
    os.chmod(at, 0o777)
    for kind in (stat.S_IFCHR, stat.S_IFBLK):
        As(USER).expect("EPERM", os.mknod, at / "n", kind | 0o600, os.makedev(1, 3))
    for kind in (stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFREG):
        As(USER).expect("OK", os.mknod, at / "n", kind | 0o600)
        os.unlink(at / "n")
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as two:
        os.chdir(at)
        one.bind("s")
        one.listen()
        two.connect("s")
        expect("ENXIO", os.open, "s", os.O_RDWR)
        os.chdir("/")
    os.mkfifo(at / "fifo")
    expect("ENXIO", os.open, at / "fifo", os.O_WRONLY | os.O_NONBLOCK)
    expect("EINVAL", os.truncate, at / "fifo", 0)


def times_of_names(at):
    """Which times change, of whom: of the file, and of the directory of its name."""
    os.mkdir(at / "d")
    os.mkdir(at / "e")
    d, e, f = at / "d", at / "e", at / "d/f"
    equal(changes([d], make, f), ["mc"])
    new = times(f)
    assert new["a"] == new["m"] == new["c"], new
    equal(changes([d], os.mkdir, d / "sub"), ["mc"])
    equal(changes([d], os.symlink, "x", d / "sym"), ["mc"])
    equal(changes([d], os.mkfifo, d / "fifo"), ["mc"])
    equal(changes([f, d, e], os.link, f, e / "l"), ["c", "", "mc"])
    equal(changes([f, e, d], os.unlink, e / "l"), ["c", "mc", ""])
    before = times(f)
    equal(changes([d], os.rename, f, d / "g"), ["mc"])
    assert times(d / "g")["m"] == before["m"] and times(d / "g")["c"] > before["c"]
    equal(changes([d, e], os.rename, d / "g", e / "g"), ["mc", "mc"])
    equal(changes([d], os.rmdir, d / "sub"), ["mc"])
    equal(changes([d], os.unlink, d / "sym"), ["mc"])
    # What fails changes nothing.
    for call, arguments in ((os.mkdir, (e,)), (os.rmdir, (at,)), (os.unlink, (d / "none",)), (os.link, (e / "g", d / "fifo"))):
        equal(changes([d, e], said, call, *arguments), ["", ""])
    make(d / "old")
    fd = os.open(d / "old", os.O_RDONLY)
    make(d / "new")
    before = os.fstat(fd).st_ctime_ns
    equal(changes([d], os.rename, d / "new", d / "old"), ["mc"])
    assert os.fstat(fd).st_ctime_ns > before and os.fstat(fd).st_nlink == 0
    os.close(fd)


def reading_directories(at):
    names = [f"name {i:05}" for i in range(2500)]
    for name in names:
        os.close(os.open(at / name, os.O_CREAT | os.O_WRONLY))
    assert sorted(os.listdir(at)) == names
    # Names that stay are told once each, whatever happens to others meanwhile.
    seen = []
    with os.scandir(at) as entries:
        for i, entry in enumerate(entries):
            seen.append(entry.name)
            assert entry.inode() == os.stat(at / entry.name).st_ino if i % 500 == 0 else True
            if i % 3 == 0 and entry.name.startswith("name"):
                os.unlink(at / entry.name)
            if i % 5 == 0:
                os.close(os.open(at / f"new {i:05}", os.O_CREAT | os.O_WRONLY))
    old = [name for name in seen if name.startswith("name")]
    assert sorted(old) == names and len(set(seen)) == len(seen)
    assert os.stat(at).st_nlink == 2
    expect("EISDIR", lambda: os.read(os.open(at, os.O_RDONLY), 10))


def sticky_directories(at):
    os.mkdir(at / "s")
    os.chmod(at / "s", 0o1777)
    os.chmod(at, 0o755)
    me, you = As(USER), As(OTHER)
    me(make, at / "s/mine")
    me(os.mkdir, at / "s/dir")
    for wanted, call, arguments in (
            ("EPERM", os.unlink, (at / "s/mine",)), ("EPERM", os.rmdir, (at / "s/dir",)),
            ("EPERM", os.rename, (at / "s/mine", at / "s/x")), (("EACCES", "EPERM"), os.rename, (at / "s/mine", at / "x"))):
        you.expect(wanted, call, *arguments)
    you(make, at / "s/yours")
    you.expect("EPERM", os.rename, at / "s/yours", at / "s/mine")
    you.expect("EPERM", renameat2, at / "s/yours", at / "s/mine", EXCHANGE)
    me.expect("OK", os.unlink, at / "s/mine")
    os.chown(at / "s", USER, USER)
    me.expect("OK", os.unlink, at / "s/yours")
    me.expect("OK", os.rmdir, at / "s/dir")


CHECKS = [what_is_missing, what_is_no_directory, names_that_are_too_long, paths_of_4095_bytes, links_in_a_circle,
          what_is_there_already, removing_directories, renaming, links_of_a_file, files_without_a_name,
          every_byte_in_a_name, special_files, times_of_names, reading_directories, sticky_directories]
