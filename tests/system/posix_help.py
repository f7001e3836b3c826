# SPDX-License-Identifier: Apache-2.0
"""For the checks of POSIX calls: system calls that Python has no function for, other users, what a call answers."""

import ctypes
import errno
import os
import pickle
import struct
import time
import traceback

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, FOLLOW = -100, 0x400
NOREPLACE, EXCHANGE, WHITEOUT = 1, 2, 4
KEEP_SIZE, PUNCH_HOLE, COLLAPSE, ZERO_RANGE = 1, 2, 8, 16
UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
# Of errors that have two.
NAMES = {errno.EOPNOTSUPP: "EOPNOTSUPP", errno.EDEADLK: "EDEADLK", errno.EAGAIN: "EAGAIN"}
COARSE = 5  # CLOCK_REALTIME_COARSE
USER, OTHER, GROUP = 12345, 12346, 12347


def system(name, *arguments):
    """A call of the C library by its name; OSError as the os module has it."""
    call = getattr(LIBC, name)
    call.restype = ctypes.c_int
    result = call(*[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def path_of(path):
    return os.fsencode(path)


def renameat2(old, new, flags):
    system("renameat2", AT_FDCWD, path_of(old), AT_FDCWD, path_of(new), flags)


def link_to_file(source, path):
    """As ln -L: another name of what SOURCE leads to."""
    system("linkat", AT_FDCWD, path_of(source), AT_FDCWD, path_of(path), FOLLOW)


def fallocate(fd, mode, offset, count):
    system("fallocate", fd, mode, offset, count)


def utimensat(path, atime, mtime, follow=True):
    """Each time is (seconds, nanoseconds), as struct timespec has them."""
    times = ctypes.create_string_buffer(struct.pack("=qqqq", *atime, *mtime), 32)
    system("utimensat", AT_FDCWD, path_of(path), times, 0 if follow else 0x100)


def said(call, *arguments, **named):
    """The error's name, or OK."""
    try:
        result = call(*arguments, **named)
    except OSError as mistake:
        return NAMES.get(mistake.errno, errno.errorcode[mistake.errno])
    if call in (os.open, os.dup):
        os.close(result)
    return "OK"


def expect(wanted, call, *arguments, **named):
    """WANTED: one name, or several that are as good."""
    got = said(call, *arguments, **named)
    names = (wanted,) if isinstance(wanted, str) else wanted
    what = getattr(call, "__name__", "call")
    assert got in names, f"{what}{arguments[:3]!r} says {got}, wanted {' or '.join(names)}"


def equal(got, wanted):
    assert got == wanted, f"got {got!r}, wanted {wanted!r}"


def make(path, data=b"", mode=0o644):
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, mode)
    if data:
        os.write(fd, data)
    os.close(fd)
    return path


class As:
    """Run a function as another user: As(USER)(os.mkdir, path), with its result or its OSError."""

    def __init__(self, uid, gid=None, groups=()):
        self.uid, self.gid, self.groups = uid, uid if gid is None else gid, groups

    def _run(self, pipe, call, arguments, named):
        try:
            os.setgroups(list(self.groups))
            os.setgid(self.gid)
            os.setuid(self.uid)
            answer = (True, call(*arguments, **named))
        except OSError as mistake:
            answer = (False, mistake.errno)
        except BaseException:
            answer = (None, traceback.format_exc())
        os.write(pipe, pickle.dumps(answer))
        os._exit(0)

    def __call__(self, call, *arguments, **named):
        ours, theirs = os.pipe()
        child = os.fork()
        if child == 0:
            self._run(theirs, call, arguments, named)
        os.close(theirs)
        with open(ours, "rb") as pipe:
            text = pipe.read()
        os.waitpid(child, 0)
        well, result = pickle.loads(text)
        if well is None:
            raise AssertionError(result)
        if not well:
            raise OSError(result, os.strerror(result))
        return result

    def expect(self, wanted, call, *arguments, **named):
        got = self(said, call, *arguments, **named)
        names = (wanted,) if isinstance(wanted, str) else wanted
        what = getattr(call, "__name__", "call")
        assert got in names, f"{what}{arguments[:3]!r} of user {self.uid} says {got}, wanted {' or '.join(names)}"


def times(path):
    now = os.lstat(path)
    return {"a": now.st_atime_ns, "m": now.st_mtime_ns, "c": now.st_ctime_ns}


def changes(paths, call, *arguments, **named):
    """Which times of PATHS the call changes, as "mc" for each."""
    for path in paths:
        # The status change cannot be set, so it is waited past.
        os.utime(path, ns=(10**18, 10**18), follow_symlinks=False)
    before = [times(path) for path in paths]
    tick()
    call(*arguments, **named)
    after = [times(path) for path in paths]
    return ["".join(k for k in "amc" if was[k] != now[k]) for was, now in zip(before, after)]


def tick():
    """Until the coarse clock, with which most files are stamped, is past now."""
    now = time.time_ns()
    while time.clock_gettime_ns(COARSE) <= now:
        pass


# ---- ACLs, as acl(5) and the kernel's form of them ----

USER_OBJ, ACL_USER, GROUP_OBJ, ACL_GROUP, MASK, ACL_OTHER = 1, 2, 4, 8, 16, 32
NO_ID = 0xFFFFFFFF


def acl(*entries):
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", tag, perm, number) for tag, perm, number in entries)


def acl_of(value):
    assert struct.unpack_from("<I", value)[0] == 2
    return [struct.unpack_from("<HHI", value, at) for at in range(4, len(value), 8)]
