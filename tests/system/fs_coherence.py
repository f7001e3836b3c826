#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Two gateways and dvs-fs against a plain model: random calls at one or the other, one after the other; every result, errors too, is compared. FS_COHERENCE_SEEDS=12,13 runs those seeds, FS_COHERENCE_STEPS sets how many calls each has. And calls of both at the same time, which must all end."""

import ctypes
import errno
import fcntl
import mmap
import os
import random
import signal
import sys
import threading
import time

import fs_gateway
import fs_posix
from lab import wait_for

LIBC = ctypes.CDLL(None, use_errno=True)
STEPS = int(os.environ.get("FS_COHERENCE_STEPS", "1500"))
NAMES = ("a", "b", "c", "d")
NOREPLACE, EXCHANGE = 1, 2
AT_FDCWD = -100


class Node:
    def __init__(self, kind):
        self.kind = kind  # d, f, l
        self.names = {}
        self.data = b""
        self.target = ""
        self.mode = 0o755 if kind == "d" else 0o644
        self.nlink = 1


def fail(number):
    raise OSError(number, os.strerror(number))


class Model:
    """What the file system is to be. Paths are tuples of names."""

    def __init__(self):
        self.root = Node("d")

    def find(self, path):
        node = self.root
        for name in path:
            if node.kind != "d":
                fail(errno.ENOTDIR)
            if name not in node.names:
                fail(errno.ENOENT)
            node = node.names[name]
        return node

    def parent(self, path):
        node = self.find(path[:-1])
        if node.kind != "d":
            fail(errno.ENOTDIR)
        return node

    def stat(self, path):
        node = self.find(path)
        if node.kind == "d":
            return ("d", node.mode)
        return (node.kind, node.mode if node.kind == "f" else 0, node.nlink, len(node.data) if node.kind == "f" else len(node.target))

    def listdir(self, path):
        node = self.find(path)
        if node.kind != "d":
            fail(errno.ENOTDIR)
        return sorted(node.names)

    def file(self, path):
        node = self.find(path)
        if node.kind == "d":
            fail(errno.EISDIR)
        if node.kind == "l":
            fail(errno.ELOOP)
        return node

    def read(self, path):
        return self.file(path).data

    def create(self, path, data):
        parent = self.parent(path)
        if path[-1] in parent.names:
            fail(errno.EEXIST)
        parent.names[path[-1]] = Node("f")
        parent.names[path[-1]].data = data

    def write(self, path, offset, data):
        node = self.file(path)
        node.data = node.data[:offset].ljust(offset, b"\0") + data + node.data[offset + len(data):]

    def truncate(self, path, size):
        node = self.file(path)
        node.data = node.data[:size].ljust(size, b"\0")

    def mkdir(self, path):
        parent = self.parent(path)
        if path[-1] in parent.names:
            fail(errno.EEXIST)
        parent.names[path[-1]] = Node("d")

    def symlink(self, path, target):
        parent = self.parent(path)
        if path[-1] in parent.names:
            fail(errno.EEXIST)
        parent.names[path[-1]] = Node("l")
        parent.names[path[-1]].target = target

    def readlink(self, path):
        node = self.find(path)
        if node.kind != "l":
            fail(errno.EINVAL)
        return node.target

    def chmod(self, path, mode):
        node = self.find(path)
        if node.kind == "l":
            fail(errno.EOPNOTSUPP)
        node.mode = mode

    def unlink(self, path):
        parent = self.parent(path)
        node = self.find(path)
        if node.kind == "d":
            fail(errno.EISDIR)
        del parent.names[path[-1]]
        node.nlink -= 1

    def rmdir(self, path):
        parent = self.parent(path)
        node = self.find(path)
        if node.kind != "d":
            fail(errno.ENOTDIR)
        if node.names:
            fail(errno.ENOTEMPTY)
        del parent.names[path[-1]]

    def link(self, path, to):
        node = self.find(path)
        parent = self.parent(to)
        if to[-1] in parent.names:
            fail(errno.EEXIST)
        if node.kind == "d":
            fail(errno.EPERM)
        parent.names[to[-1]] = node
        node.nlink += 1

    def rename(self, path, to, flags):
        parent, new_parent = self.parent(path), self.parent(to)
        if path[-1] not in parent.names:
            fail(errno.ENOENT)
        node, there = parent.names[path[-1]], new_parent.names.get(to[-1])
        if flags & NOREPLACE and there:
            fail(errno.EEXIST)
        if flags & EXCHANGE and not there:
            fail(errno.ENOENT)
        # Into itself, or onto what it is in.
        if len(to) > len(path) and to[:len(path)] == path:
            fail(errno.EINVAL)
        if there and len(path) > len(to) and path[:len(to)] == to:
            fail(errno.EINVAL if flags & EXCHANGE else errno.ENOTEMPTY)
        if node is there:
            return
        if flags & EXCHANGE:
            parent.names[path[-1]], new_parent.names[to[-1]] = there, node
            return
        if there:
            if node.kind == "d" and there.kind != "d":
                fail(errno.ENOTDIR)
            if node.kind != "d" and there.kind == "d":
                fail(errno.EISDIR)
            if there.names:
                fail(errno.ENOTEMPTY)
            there.nlink -= 1
        del parent.names[path[-1]]
        new_parent.names[to[-1]] = node


class Mount:
    """The same calls of a directory."""

    def __init__(self, at):
        self.at = str(at)

    def path(self, path):
        return "/".join((self.at, *path))

    def stat(self, path):
        got = os.lstat(self.path(path))
        kind = {0o040000: "d", 0o100000: "f", 0o120000: "l"}[got.st_mode & 0o170000]
        if kind == "d":
            return (kind, got.st_mode & 0o7777)
        return (kind, got.st_mode & 0o7777 if kind == "f" else 0, got.st_nlink, got.st_size)

    def listdir(self, path):
        # O_DIRECTORY, O_NOFOLLOW: a link is none.
        fd = os.open(self.path(path), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            return sorted(os.listdir(fd))
        finally:
            os.close(fd)

    def read(self, path):
        fd = os.open(self.path(path), os.O_RDONLY | os.O_NOFOLLOW)
        try:
            got = os.read(fd, 1 << 20)
            if got:
                with mmap.mmap(fd, len(got), prot=mmap.PROT_READ) as area:
                    assert area[:] == got, "a map shows something else"
            return got
        finally:
            os.close(fd)

    def create(self, path, data):
        fd = os.open(self.path(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        os.write(fd, data)
        os.close(fd)

    def write(self, path, offset, data):
        fd = os.open(self.path(path), os.O_WRONLY | os.O_NOFOLLOW)
        os.pwrite(fd, data, offset)
        os.close(fd)

    def truncate(self, path, size):
        fd = os.open(self.path(path), os.O_WRONLY | os.O_NOFOLLOW)
        os.ftruncate(fd, size)
        os.close(fd)

    def mkdir(self, path):
        os.mkdir(self.path(path), 0o755)

    def symlink(self, path, target):
        os.symlink(target, self.path(path))

    def readlink(self, path):
        return os.readlink(self.path(path))

    def chmod(self, path, mode):
        if os.path.islink(self.path(path)):
            fail(errno.EOPNOTSUPP)
        os.chmod(self.path(path), mode)

    def unlink(self, path):
        os.unlink(self.path(path))

    def rmdir(self, path):
        os.rmdir(self.path(path))

    def link(self, path, to):
        os.link(self.path(path), self.path(to), follow_symlinks=False)

    def rename(self, path, to, flags):
        for _ in range(2):
            if LIBC.renameat2(AT_FDCWD, self.path(path).encode(), AT_FDCWD, self.path(to).encode(), flags) == 0:
                return
            if ctypes.get_errno() != errno.ESTALE:
                break
            # A directory that another node has moved is noticed by Linux in rename(2) only when it was looked up before (d_splice_alias()).
            for each in (path, to):
                os.path.lexists(self.path(each))
        fail(ctypes.get_errno())


def random_path(dice, most=3):
    return tuple(dice.choice(NAMES) for _ in range(dice.randint(1, most)))


def random_call(dice):
    name = dice.choice(("stat",) * 6 + ("listdir", "listdir", "read", "read", "create", "create", "write", "truncate", "mkdir", "mkdir", "symlink",
                                        "readlink", "chmod", "unlink", "unlink", "rmdir", "link", "rename", "rename", "rename"))
    path = random_path(dice)
    if name == "create":
        return name, path, dice.randbytes(dice.choice((0, 10, 5000)))
    if name == "write":
        return name, path, dice.choice((0, 3, 4096, 9000)), dice.randbytes(dice.randint(1, 5000))
    if name == "truncate":
        return name, path, dice.choice((0, 1, 4096, 7000))
    if name == "symlink":
        return name, path, dice.choice(NAMES)
    if name == "chmod":
        return name, path, dice.choice((0o755, 0o700, 0o644, 0o611))
    if name == "link":
        return name, path, random_path(dice)
    if name == "rename":
        return name, path, random_path(dice), dice.choice((0, 0, 0, NOREPLACE, EXCHANGE))
    return name, path


def result_of(what, call):
    try:
        return getattr(what, call[0])(*call[1:])
    except OSError as mistake:
        return errno.errorcode[mistake.errno]


def passes_link(model, call):
    """Whether a component on the way is a symbolic link: that is the kernel's business, and left out."""
    for path in (part for part in call[1:] if isinstance(part, tuple)):
        node = model.root
        for name in path[:-1]:
            node = node.names.get(name) if node.kind == "d" else None
            if node is None:
                break
            if node.kind == "l":
                return True
    return False


def run_seed(places, seed):
    dice = random.Random(seed)
    model = Model()
    mounts = [Mount(at / str(seed)) for at in places]
    os.mkdir(mounts[0].at)
    for step in range(STEPS):
        call = random_call(dice)
        if passes_link(model, call):
            continue
        number = dice.randrange(len(mounts))
        expected, got = result_of(model, call), result_of(mounts[number], call)
        assert got == expected, f"seed {seed} step {step} node {number}: {call[0]} {[str(part)[:60] for part in call[1:]]}: {str(got)[:200]}, not {str(expected)[:200]}"


def calls_of_both_have_the_results_of_a_model(world):
    seeds = [int(word) for word in os.environ.get("FS_COHERENCE_SEEDS", "").split(",") if word]
    places = world.two()
    for seed in seeds or [random.SystemRandom().randrange(1 << 32)]:
        print(f"# FS_COHERENCE_SEEDS={seed} FS_COHERENCE_STEPS={STEPS}", flush=True)
        run_seed(places, seed)


def both_change_two_directories_at_once(world):
    """Each holds directories locked while it waits for the other."""
    a, b = world.two()
    os.mkdir(a / "d")
    os.mkdir(a / "e")
    mistakes = []
    until = time.monotonic() + 4
    rounds = [0] * 6

    def work(at, number):
        mine = f"n{number}"
        try:
            while time.monotonic() < until:
                (at / "d" / mine).touch()
                assert os.path.exists(at / "d" / mine) and mine in os.listdir(at / "d")
                os.rename(at / "d" / mine, at / "e" / mine)
                assert os.path.exists(at / "e" / mine) and not os.path.exists(at / "d" / mine)
                os.rename(at / "e" / mine, at / "d" / f"{mine}x")
                os.unlink(at / "d" / f"{mine}x")
                assert not os.path.exists(at / "d" / f"{mine}x")
                rounds[number] += 1
        except Exception as mistake:
            mistakes.append((number, repr(mistake)))

    threads = [threading.Thread(target=work, args=(a if i % 2 else b, i), daemon=True) for i in range(len(rounds))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    print("# rounds of each:", *rounds, flush=True)
    assert not any(thread.is_alive() for thread in threads), "somebody waits for ever"
    assert not mistakes and all(rounds), (mistakes, rounds)
    assert [os.listdir(path / name) for path in (a, b) for name in "de"] == [[]] * 4


def what_one_has_done_the_other_sees_next(world):
    """One makes, moves and removes names as fast as it can while the other, told after each, looks; a third one looks all the time."""
    a, b = world.two()
    os.mkdir(a / "d")
    done = threading.Event()

    def look_on(at):
        while not done.is_set():
            for name in ("x", "y"):
                os.path.exists(at / "d" / name)

    threads = [threading.Thread(target=look_on, args=(at,)) for at in (a, b)]
    for thread in threads:
        thread.start()
    try:
        for i in range(300):
            one, other = (a, b) if i % 3 else (b, a)
            (one / "d/x").touch()
            assert os.path.exists(other / "d/x"), i
            os.rename(one / "d/x", one / "d/y")
            assert not os.path.exists(other / "d/x") and os.path.exists(other / "d/y"), i
            os.unlink(other / "d/y")
            assert not os.path.exists(one / "d/y") and not os.path.exists(other / "d/y"), i
    finally:
        done.set()
        for thread in threads:
            thread.join()


def look_without_the_server(world, at):
    """At the directory itself: of those above names may have been recalled."""
    looked = threading.Event()
    fd = os.open(at / "d", os.O_PATH)

    def look():
        assert os.access("x", os.F_OK, dir_fd=fd) and not os.access("none", os.F_OK, dir_fd=fd)
        looked.set()

    world.server.send_signal(signal.SIGSTOP)
    try:
        threading.Thread(target=look, daemon=True).start()
        assert looked.wait(30), "the server was asked"
    finally:
        world.server.send_signal(signal.SIGCONT)
        os.close(fd)


def what_is_kept_is_answered_without_the_server(world):
    a = world.two()[0]
    os.mkdir(a / "d")
    (a / "d/x").touch()
    assert os.path.exists(a / "d/x") and not os.path.exists(a / "d/none")
    look_without_the_server(world, a)


def another_server_goes_on(world):
    """Who waits goes on; files without a name, locks, and what is kept are as before."""
    a, b = world.two()
    os.mkdir(a / "d")
    (a / "d/x").write_bytes(b"old")
    assert os.path.exists(a / "d/x") and not os.path.exists(a / "d/none") and not os.path.exists(a / "d/y")
    held, ranged = open(a / "held", "w+"), open(a / "ranged", "w+")
    fcntl.flock(held, fcntl.LOCK_EX)
    fcntl.lockf(ranged, fcntl.LOCK_EX, 10, 5)
    nameless = os.open(a / "nameless", os.O_RDWR | os.O_CREAT)
    os.write(nameless, b"still here")
    os.unlink(a / "nameless")
    done, written, mistakes = threading.Event(), [0], []

    def write():
        try:
            with open(b / "written", "wb", buffering=0) as file:
                while not done.is_set():
                    file.write(b"%08d\n" % written[0])
                    written[0] += 1
        except Exception as mistake:
            mistakes.append(mistake)

    writer = threading.Thread(target=write)
    writer.start()
    for i in range(2):
        before = written[0]
        wait_for(lambda: written[0] > before + 20, "the writer")
        world.end_server()
        world.serve_again()
        assert os.pread(nameless, 100, 0) == b"still here"
        for file, lock, args in ((b / "held", fcntl.flock, ()), (b / "ranged", fcntl.lockf, (10, 5))):
            with open(file, "r+") as other:
                try:
                    lock(other, fcntl.LOCK_EX | fcntl.LOCK_NB, *args)
                    raise AssertionError(f"the lock on {file} is gone")
                except OSError as mistake:
                    assert mistake.errno in (errno.EAGAIN, errno.EACCES), mistake
        if i == 0:
            look_without_the_server(world, a)
        # The other one's names and contents are still recalled.
        (b / "d/y").write_bytes(b"new")
        os.rename(b / "d/y", b / "d/x")
        assert (a / "d/x").read_bytes() == b"new" and not os.path.exists(a / "d/y")
        (b / "d/x").write_bytes(b"old")
        assert (a / "d/x").read_bytes() == b"old"
    done.set()
    writer.join(60)
    assert not mistakes, mistakes
    assert (a / "written").read_bytes() == b"".join(b"%08d\n" % i for i in range(written[0]))
    held.close()
    ranged.close()
    os.close(nameless)


class KeptWorld(fs_posix.World):
    """Whose server has its files in a file."""
    store = "file"

    def serve_again(self):
        self.start_server()


if __name__ == "__main__":
    fs_gateway.World = KeptWorld
    fs_gateway.TESTS = (calls_of_both_have_the_results_of_a_model, both_change_two_directories_at_once,
                        what_one_has_done_the_other_sees_next, what_is_kept_is_answered_without_the_server,
                        another_server_goes_on)
    sys.exit(fs_gateway.main())
