# SPDX-License-Identifier: Apache-2.0
"""Calls on open files and their contents: errors first, then what they do, up to their limits."""

import fcntl
import mmap
import os
import signal
import struct
import subprocess

from posix_help import (COLLAPSE, KEEP_SIZE, PUNCH_HOLE, USER, ZERO_RANGE, As, changes, equal, expect, fallocate,
                        make, said, system, times)

BLOCK = 4096
MAX = (1 << 63) - 1
FLOCK = "=hh4xqqi4x"  # struct flock


class Opened:
    """An open file that is closed at the end."""

    def __init__(self, path, flags=os.O_RDWR, mode=0o644):
        self.fd = os.open(path, flags, mode)

    def __enter__(self):
        return self.fd

    def __exit__(self, *mistake):
        os.close(self.fd)


def open_flags(at):
    file = make(at / "f", b"text")
    with Opened(file, os.O_RDONLY) as fd:
        expect("EBADF", os.write, fd, b"x")
        expect("EINVAL", os.ftruncate, fd, 0)
        expect("EBADF", os.posix_fallocate, fd, 0, 10)
    with Opened(file, os.O_WRONLY) as fd:
        expect("EBADF", os.read, fd, 1)
    with Opened(file, os.O_WRONLY | os.O_APPEND) as one, Opened(file, os.O_RDWR | os.O_APPEND) as two:
        os.write(one, b"1")
        os.lseek(two, 0, os.SEEK_SET)
        os.write(two, b"2")
        # On Linux a write at an offset appends, too.
        os.pwrite(one, b"3", 0)
        equal(file.read_bytes(), b"text123")
    with Opened(file, os.O_RDWR | os.O_TRUNC) as fd:
        equal(os.fstat(fd).st_size, 0)
    os.chmod(at, 0o777)
    with Opened(file, os.O_RDONLY | os.O_NOATIME):
        pass
    As(USER).expect("EPERM", os.open, file, os.O_RDONLY | os.O_NOATIME)
    for flags in (os.O_SYNC, os.O_DSYNC, os.O_NONBLOCK, os.O_CLOEXEC):
        with Opened(file, os.O_RDWR | flags) as fd:
            os.pwrite(fd, b"abc", 0)
            equal(os.pread(fd, 9, 0), b"abc")
    os.symlink(file, at / "link")
    with Opened(at / "link", os.O_PATH | os.O_NOFOLLOW) as fd:
        expect("EBADF", os.read, fd, 1)
    # A file that is made may be open in a way that its own mode refuses.
    fd = As(USER)(made_unreadable, at / "new")
    equal(fd, b"mine")


def made_unreadable(path):
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0)
    os.write(fd, b"mine")
    return os.pread(fd, 9, 0)


def holes(at):
    with Opened(at / "f", os.O_RDWR | os.O_CREAT) as fd:
        expect("ENXIO", os.lseek, fd, 0, os.SEEK_DATA)
        expect("ENXIO", os.lseek, fd, 0, os.SEEK_HOLE)
        os.pwrite(fd, b"x" * BLOCK, 16 * BLOCK)
        os.ftruncate(fd, 64 * BLOCK)
        equal(os.lseek(fd, 0, os.SEEK_DATA), 16 * BLOCK)
        equal(os.lseek(fd, 16 * BLOCK + 7, os.SEEK_DATA), 16 * BLOCK + 7)
        equal(os.lseek(fd, 0, os.SEEK_HOLE), 0)
        equal(os.lseek(fd, 16 * BLOCK, os.SEEK_HOLE), 17 * BLOCK)
        expect("ENXIO", os.lseek, fd, 17 * BLOCK, os.SEEK_DATA)
        expect("ENXIO", os.lseek, fd, 64 * BLOCK, os.SEEK_HOLE)
        expect("ENXIO", os.lseek, fd, -1, os.SEEK_DATA)
        expect("EINVAL", os.lseek, fd, -1, os.SEEK_SET)
        expect("EINVAL", os.lseek, fd, 0, 9)
        equal(os.fstat(fd).st_blocks, BLOCK // 512)
        equal(os.pread(fd, 2 * BLOCK, 15 * BLOCK), b"\0" * BLOCK + b"x" * BLOCK)


def giving_space(at):
    with Opened(make(at / "f", b"x" * 10000)) as fd:
        for arguments in ((0, 0, 0), (0, -1, 5), (0, 5, -1), (PUNCH_HOLE | KEEP_SIZE, 0, 0)):
            expect("EINVAL", fallocate, fd, *arguments)
        expect("EFBIG", fallocate, fd, 0, MAX - 1000, 2000)
        expect("EOPNOTSUPP", fallocate, fd, PUNCH_HOLE, 0, 5)
        expect(("EOPNOTSUPP", "EINVAL"), fallocate, fd, COLLAPSE | KEEP_SIZE, 0, BLOCK)
        expect("EOPNOTSUPP", fallocate, fd, 1 << 20, 0, 5)
        fallocate(fd, KEEP_SIZE, 0, 1 << 20)
        now = os.fstat(fd)
        assert now.st_size == 10000 and now.st_blocks * 512 >= 1 << 20, now
        fallocate(fd, 0, 0, 20000)
        equal(os.fstat(fd).st_size, 20000)
        equal(os.pread(fd, 20001, 0), b"x" * 10000 + b"\0" * 10000)
        fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 100, 9000)
        equal(os.pread(fd, 20001, 0), b"x" * 100 + b"\0" * 9000 + b"x" * 900 + b"\0" * 10000)
        fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 0, 1 << 30)
        equal(os.pread(fd, 20001, 0), b"\0" * 20000)
        os.ftruncate(fd, 0)
        equal(os.fstat(fd).st_blocks, 0)
    with Opened(at / "f", os.O_RDONLY) as fd:
        expect("EBADF", fallocate, fd, 0, 0, 5)
    ours, theirs = os.pipe()
    expect("ESPIPE", fallocate, theirs, 0, 0, 5)
    os.close(ours)
    os.close(theirs)
    with Opened(at, os.O_RDONLY) as fd:
        expect("EBADF", fallocate, fd, 0, 0, 5)


def zeroing(at):
    with Opened(make(at / "f", b"x" * 20000)) as fd:
        if said(fallocate, fd, ZERO_RANGE | KEEP_SIZE, 5, 6) == "EOPNOTSUPP":
            return
        fallocate(fd, ZERO_RANGE | KEEP_SIZE, 3000, 30000)
        equal(os.pread(fd, 30000, 0), (b"x" * 5 + b"\0" * 6 + b"x" * 2989).ljust(20000, b"\0"))
        fallocate(fd, ZERO_RANGE, 10000, 30000)
        equal(os.fstat(fd).st_size, 40000)


def cutting(at):
    file = make(at / "f", b"x" * 100000)
    expect("EINVAL", os.truncate, file, -1)
    expect("EINVAL", system, "truncate", os.fsencode(file), -(1 << 40))
    for size in (99999, 50001, 8192, 4097, 4096, 4095, 1, 0):
        os.truncate(file, size)
        equal(file.read_bytes(), b"x" * size)
    os.truncate(file, 10)
    os.truncate(file, 9000)
    equal(file.read_bytes(), b"\0" * 9000)
    # What was cut off does not come back.
    with Opened(file) as fd:
        os.pwrite(fd, b"y" * 9000, 0)
        os.ftruncate(fd, 5)
        os.ftruncate(fd, 9000)
        equal(os.pread(fd, 9000, 0), b"y" * 5 + b"\0" * 8995)
        os.ftruncate(fd, 5)
        os.pwrite(fd, b"z", 8000)
        equal(os.pread(fd, 9000, 0), b"y" * 5 + b"\0" * 7995 + b"z")
    os.chmod(at, 0o777)
    As(USER).expect("EACCES", os.truncate, file, 0)
    os.chmod(file, 0o444)
    with Opened(file, os.O_RDONLY) as fd:
        expect("EINVAL", os.ftruncate, fd, 0)


def the_largest_files(at):
    file = make(at / "f")
    with Opened(file) as fd:
        # A file system may have another limit (ext4's is the last of these); up to it all is as it should be.
        size = next(size for size in (MAX, MAX - 4095, (1 << 44) - 4096) if said(os.ftruncate, fd, size) == "OK")
        equal(os.fstat(fd).st_size, size)
        os.pwrite(fd, b"end", size - 3)
        equal(os.pread(fd, 3, size - 3), b"end")
        equal(os.pread(fd, 9, size - 9), b"\0" * 6 + b"end")
        equal(os.lseek(fd, 0, os.SEEK_END), size)
        expect(("EFBIG", "EINVAL"), os.pwrite, fd, b"x", MAX)
        expect("EINVAL", os.pread, fd, 10, -1)
        expect("EINVAL", os.pwrite, fd, b"x", -1)
        os.ftruncate(fd, 0)
    # A process may have a limit of its own.
    limited = subprocess.run(["sh", "-c", f"ulimit -f 8; trap '' XFSZ; head -c 100000 /dev/zero > {file}"],
                             check=False, stderr=subprocess.PIPE)
    assert limited.returncode != 0 and os.stat(file).st_size in (4096, 8192), (limited, os.stat(file))


def copying_ranges(at):
    data = os.urandom(50000)
    with Opened(make(at / "from", data)) as one, Opened(make(at / "to")) as two, \
            Opened(at / "from", os.O_RDONLY) as reader, Opened(at / "to", os.O_WRONLY | os.O_APPEND) as appender:
        copy = os.copy_file_range
        expect("EBADF", copy, one, reader, 10)
        expect("EBADF", copy, appender, two, 10)
        expect("EBADF", copy, one, appender, 10)
        expect("EINVAL", copy, one, one, 100, 0, 50)
        with Opened(at, os.O_RDONLY) as directory:
            expect("EISDIR", copy, directory, two, 10)
        equal(copy(one, two, 1000, 50000, 0), 0)
        equal(copy(one, two, 0, 0, 0), 0)
        at_from, at_to = 7, 5000
        while at_from < 50000:
            done = copy(one, two, 50000, at_from, at_to)
            assert done > 0
            at_from, at_to = at_from + done, at_to + done
        equal((at / "to").read_bytes(), b"\0" * 5000 + data[7:])
        equal(copy(one, one, 1000, 0, 60000), 1000)
        equal((at / "from").read_bytes(), data + b"\0" * 10000 + data[:1000])


def a_copy_keeps_holes(at):
    with Opened(at / "from", os.O_RDWR | os.O_CREAT) as one, Opened(make(at / "to", b"old" * 100000)) as two:
        os.pwrite(one, b"x" * BLOCK, 32 * BLOCK)
        os.ftruncate(one, 64 * BLOCK)
        done = 0
        while done < 64 * BLOCK:
            done += os.copy_file_range(one, two, 64 * BLOCK - done, done, done)
        equal(os.pread(two, 64 * BLOCK, 0), os.pread(one, 64 * BLOCK, 0))


def times_of_files(at):
    f = make(at / "f", b"x" * 5000)
    with Opened(f) as fd:
        equal(changes([f], os.pwrite, fd, b"y", 10), ["mc"])
        equal(changes([f], os.pwrite, fd, b"", 10), [""])
        equal(changes([f], os.ftruncate, fd, 4000), ["mc"])
        equal(changes([f], os.ftruncate, fd, 4000), ["mc"])
        equal(changes([f], os.fchmod, fd, 0o600), ["c"])
        equal(changes([f], os.fchown, fd, 0, 0), ["c"])
        equal(changes([f], os.setxattr, f, "user.a", b"1"), ["c"])
        equal(changes([f], os.removexattr, f, "user.a"), ["c"])
        equal(changes([f], os.fsync, fd), [""])
        equal(changes([f], fallocate, fd, 0, 0, 9000), ["mc"])
        equal(changes([f], fallocate, fd, PUNCH_HOLE | KEEP_SIZE, 0, 5000), ["mc"])
        equal(changes([f], os.fstat, fd), [""])
    equal(changes([f], os.truncate, f, 0), ["mc"])
    equal(changes([f], lambda: os.close(os.open(f, os.O_WRONLY | os.O_TRUNC))), ["mc"])
    equal(changes([f], lambda: os.close(os.open(f, os.O_RDONLY))), [""])
    equal(changes([f], os.listxattr, f), [""])
    os.symlink("x", at / "l")
    equal(changes([at / "l"], os.lchown, at / "l", 0, 0), ["c"])
    # Reading makes the access time newer than the change (relatime), for names, links and files.
    f = make(at / "g", b"text")
    before = times(f)
    with Opened(f, os.O_RDONLY) as fd:
        os.read(fd, 4)
    assert times(f)["m"] == before["m"] and times(f)["c"] == before["c"] and times(f)["a"] >= before["a"]
    equal(changes([f], _read_without_time, f), [""])


def _read_without_time(path):
    with Opened(path, os.O_RDONLY | os.O_NOATIME) as fd:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        equal(os.read(fd, 4), b"text")


def maps(at):
    f = make(at / "f", b"-" * 3 * BLOCK)
    with Opened(f) as fd:
        area = mmap.mmap(fd, 3 * BLOCK)
        private = mmap.mmap(fd, 3 * BLOCK, flags=mmap.MAP_PRIVATE)
        area[BLOCK:BLOCK + 4] = b"map!"
        equal(os.pread(fd, 4, BLOCK), b"map!")
        os.pwrite(fd, b"file", 2 * BLOCK)
        equal(area[2 * BLOCK:2 * BLOCK + 4], b"file")
        private[0:4] = b"mine"
        equal(os.pread(fd, 4, 0), b"----")
        area.flush()
        os.ftruncate(fd, BLOCK + 10)
        equal(area[BLOCK:BLOCK + 12], b"map!------\0\0")
        # Behind the end of the file there is nothing to look at.
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGBUS, signal.SIG_DFL)
            os._exit(area[2 * BLOCK])
        equal(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), -signal.SIGBUS)
        area.close()
        private.close()
    with Opened(f, os.O_WRONLY) as fd:
        expect("EACCES", mmap.mmap, fd, BLOCK)
    with Opened(f, os.O_RDONLY) as fd:
        expect("EACCES", mmap.mmap, fd, BLOCK, mmap.MAP_SHARED, mmap.PROT_WRITE)


def programs(at):
    with open("/bin/true", "rb") as true:
        make(at / "true", true.read(), 0o755)
    os.chmod(at / "true", 0o755)
    equal(subprocess.run([at / "true"], check=False).returncode, 0)
    os.chmod(at / "true", 0o644)
    expect("EACCES", os.execv, at / "true", ["true"])
    os.chmod(at / "true", 0o711)
    As(USER).expect("EACCES", os.open, at / "true", os.O_RDONLY)
    equal(subprocess.run([at / "true"], check=False, user=USER).returncode, 0)
    with Opened(at / "true", os.O_RDWR):
        expect("ETXTBSY", subprocess.run, [at / "true"], check=False)
    with open("/bin/sleep", "rb") as sleep:
        make(at / "sleep", sleep.read(), 0o755)
    with subprocess.Popen([at / "sleep", "60"]) as running:
        expect("ETXTBSY", os.open, at / "sleep", os.O_RDWR)
        expect("ETXTBSY", os.truncate, at / "sleep", 0)
        os.unlink(at / "sleep")
        running.kill()
    expect("EACCES", os.execv, at, ["x"])
    expect("ENOEXEC", os.execv, make(at / "noexec", b"\0" * 100, 0o755), ["x"])


def lock(fd, kind, start=0, count=0, how=fcntl.F_SETLK):
    fcntl.fcntl(fd, how, struct.pack(FLOCK, kind, 0, start, count, 0))


def held(fd, kind, start=0, count=0):
    got = fcntl.fcntl(fd, fcntl.F_GETLK, struct.pack(FLOCK, kind, 0, start, count, 0))
    return struct.unpack(FLOCK, got)


def _hold(path, *ranges):
    """A process that has locks until it is told to end."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            fd = os.open(path, os.O_RDWR)
            for kind, start, count in ranges:
                lock(fd, kind, start, count)
            os.write(theirs, b"1")
            signal.pause()
        finally:
            os._exit(0)
    os.close(theirs)
    assert os.read(ours, 1) == b"1"
    os.close(ours)
    return child


def locks_of_ranges(at):
    f = make(at / "f", b"x")
    child = _hold(f, (fcntl.F_RDLCK, 100, 0), (fcntl.F_WRLCK, 10, 10))
    with Opened(f) as fd, Opened(f, os.O_RDONLY) as reader, Opened(f, os.O_WRONLY) as writer:
        expect("EBADF", lock, reader, fcntl.F_WRLCK)
        expect("EBADF", lock, writer, fcntl.F_RDLCK)
        expect("EINVAL", lock, fd, 9)
        expect("EINVAL", lock, fd, fcntl.F_WRLCK, -1, 1)
        expect(("EAGAIN", "EACCES"), lock, fd, fcntl.F_RDLCK, 19, 1)
        expect(("EAGAIN", "EACCES"), lock, fd, fcntl.F_WRLCK, 1 << 40, 1)
        expect("OK", lock, fd, fcntl.F_RDLCK, 1 << 40, 1)
        expect("OK", lock, fd, fcntl.F_WRLCK, 0, 10)
        expect("OK", lock, fd, fcntl.F_WRLCK, 20, 80)
        equal(held(fd, fcntl.F_WRLCK, 0, 50), (fcntl.F_WRLCK, 0, 10, 10, child))
        # Of several the first one in the file.
        equal(held(fd, fcntl.F_WRLCK, 0, 0), (fcntl.F_WRLCK, 0, 10, 10, child))
        equal(held(fd, fcntl.F_WRLCK, 5000, 1), (fcntl.F_RDLCK, 0, 100, 0, child))
        equal(held(fd, fcntl.F_RDLCK, 5000, 1)[0], fcntl.F_UNLCK)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        lock(fd, fcntl.F_WRLCK, 0, 0, fcntl.F_SETLKW)
        # Any close of the file ends all locks of the process.
        os.close(os.open(f, os.O_RDONLY))
    equal(As(0)(_can_lock, f), 0)
    expect("EOVERFLOW", _beyond, f)


def _can_lock(path):
    with Opened(path) as fd:
        lock(fd, fcntl.F_WRLCK)
    return 0


def _beyond(path):
    with Opened(path) as fd:
        lock(fd, fcntl.F_WRLCK, MAX, 2)


def locks_of_files(at):
    f = make(at / "f")
    with Opened(f) as one, Opened(f, os.O_RDONLY) as two:
        fcntl.flock(one, fcntl.LOCK_EX)
        expect("EAGAIN", fcntl.flock, two, fcntl.LOCK_SH | fcntl.LOCK_NB)
        # The two kinds have nothing to do with each other.
        equal(As(0)(_can_lock, f), 0)
        fcntl.flock(one, fcntl.LOCK_SH)
        fcntl.flock(two, fcntl.LOCK_SH | fcntl.LOCK_NB)
        expect("EAGAIN", fcntl.flock, one, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(two, fcntl.LOCK_UN)
        fcntl.flock(two, fcntl.LOCK_UN)
        expect("EINVAL", fcntl.flock, one, 0)
        copy = os.dup(one)
        fcntl.flock(copy, fcntl.LOCK_EX)
        os.close(copy)
        expect("EAGAIN", fcntl.flock, two, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with Opened(f) as one:
        fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with Opened(f) as one, Opened(f) as two:  # of an open file (F_OFD_SETLK)
        lock(one, fcntl.F_WRLCK, 0, 10, fcntl.F_OFD_SETLK)
        expect(("EAGAIN", "EACCES"), lock, two, fcntl.F_WRLCK, 5, 1, fcntl.F_OFD_SETLK)
        expect("OK", lock, two, fcntl.F_WRLCK, 10, 1, fcntl.F_OFD_SETLK)


def _close_the_circle(path, ready):
    with Opened(path) as fd:
        lock(fd, fcntl.F_WRLCK, 0, 1)
        make(ready)
        return said(lock, fd, fcntl.F_WRLCK, 1, 1, fcntl.F_SETLKW)


def circles_of_locks(at):
    """Who would wait for himself is told so: one of the two that want what the other one has."""
    f = make(at / "f")
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(theirs, _close_the_circle(f, at / "ready").encode())
        finally:
            os._exit(0)
    os.close(theirs)
    with Opened(f) as fd:
        lock(fd, fcntl.F_WRLCK, 1, 1)
        while not os.path.exists(at / "ready"):
            os.sched_yield()
        mine = said(lock, fd, fcntl.F_WRLCK, 0, 1, fcntl.F_SETLKW)
    with open(ours, "rb") as pipe:
        equal({mine, pipe.read().decode()}, {"OK", "EDEADLK"})
    os.waitpid(child, 0)


def vectors_and_offsets(at):
    with Opened(at / "f", os.O_RDWR | os.O_CREAT) as fd:
        equal(os.writev(fd, [b"a" * 10, b"", b"b" * 5000]), 5010)
        parts = [bytearray(7), bytearray(9000)]
        equal(os.preadv(fd, parts, 5), 5005)
        equal(bytes(parts[0]), b"aaaaabb")
        os.lseek(fd, 100, os.SEEK_CUR)
        os.write(fd, b"c")
        equal(os.fstat(fd).st_size, 5111)
        equal(os.lseek(fd, -1, os.SEEK_END), 5110)
        equal(os.read(fd, 10), b"c")
        equal(os.read(fd, 10), b"")
        expect("EINVAL", os.lseek, fd, -6000, os.SEEK_CUR)
        big = os.urandom(3 << 20)
        equal(os.pwrite(fd, big, 77), len(big))
        got = b""
        while len(got) < len(big):
            got += os.pread(fd, len(big), 77 + len(got))
        assert got == big
    with Opened(at, os.O_RDONLY) as fd:
        expect("EISDIR", os.read, fd, 1)
        expect("EBADF", os.write, fd, b"x")


def unlinked_and_open(at):
    with Opened(make(at / "f", b"x" * 9000)) as fd:
        os.unlink(at / "f")
        os.pwrite(fd, b"y" * 9000, 9000)
        equal(os.pread(fd, 20000, 0), b"x" * 9000 + b"y" * 9000)
        os.fchmod(fd, 0o600)
        os.ftruncate(fd, 100)
        now = os.fstat(fd)
        equal((now.st_nlink, now.st_size, now.st_mode & 0o777), (0, 100, 0o600))
        make(at / "f", b"another")
        equal(os.pread(fd, 5, 0), b"xxxxx")
        os.fsync(fd)
    equal((at / "f").read_bytes(), b"another")


CHECKS = [open_flags, holes, giving_space, zeroing, cutting, the_largest_files, copying_ranges, a_copy_keeps_holes,
          times_of_files, maps, programs, locks_of_ranges, locks_of_files, circles_of_locks, vectors_and_offsets,
          unlinked_and_open]
