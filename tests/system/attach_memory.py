#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Memory as a block device: everything of 'dvs vol attach' but the volume (tests/system/attach/memory.c)."""

import contextlib
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from dvsd import BUILD, Tap
from lab import wait_for

PROGRAM = BUILD / "tests/system/attach-memory"
MIB = 1 << 20
PATIENCE_S = 60


def run(*words, check=True):
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=PATIENCE_S,
                          stdin=subprocess.DEVNULL, check=False)
    assert not check or done.returncode == 0, (words, done.stdout, done.stderr)
    return done


class Attached:
    """A device of memory; taken off at the end, whatever happened."""

    def __init__(self, base, n_bytes=64 * MIB, *words, name="dc/vol"):
        self.base = Path(base)
        self.n_bytes = n_bytes
        self.device = run(PROGRAM, "start", base, name, n_bytes, *words).stdout.strip()
        self.number = int(self.device.removeprefix("/dev/loop"))
        _, _, _, keeper, server = self.rows()[self.device]
        self.keeper, self.server = int(keeper), int(server)

    def rows(self):
        rows = [line.split() for line in run(PROGRAM, "list", self.base).stdout.splitlines()]
        return {row[1]: row for row in rows}

    def detach(self, *force, what=None):
        return run(PROGRAM, "detach", self.base, what or self.device, *force, check=False)

    def is_loop(self):
        """Whether the kernel still has the device over something of ours."""
        backing = Path(f"/sys/block/loop{self.number}/loop/backing_file")
        with contextlib.suppress(OSError):
            return ":vol:" in backing.read_text()
        return False

    def gone(self):
        wait_for(lambda: not self.is_loop() and not alive(self.server) and not alive(self.keeper),
                 f"end of {self.device}")
        # A process with several threads looks dead before the last of them is.
        wait_for(lambda: not self.rows() and left(self.base) == ["lock", "log"], "clean up")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        (self.base / "fail").unlink(missing_ok=True)
        if alive(self.keeper) or alive(self.server):
            self.detach("force")


def left(base):
    return sorted(p.name for p in (base / "attach").iterdir())


def alive(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    return False


@contextlib.contextmanager
def mounted(device, base):
    place = Path(base) / "mnt"
    place.mkdir(exist_ok=True)
    run("mount", device, place)
    try:
        yield place
    finally:
        run("umount", place, check=False)


def tree(place, seed):
    """Files of all sizes; their checksums."""
    rng = random.Random(seed)
    sums = {}
    for i in range(40):
        path = Path(place) / f"d{i % 5}" / f"f{i}"
        path.parent.mkdir(exist_ok=True)
        data = rng.randbytes(rng.choice([0, 1, 511, 512, 4096, 70001, 300000]))
        with open(path, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        sums[path.relative_to(place)] = hashlib.sha256(data).hexdigest()
    return sums


def compare(place, sums):
    for path, wanted in sums.items():
        assert hashlib.sha256((Path(place) / path).read_bytes()).hexdigest() == wanted, path


def a_file_system_lives_on_it(base):
    seed = random.randrange(1 << 30)
    print(f"# seed {seed}")
    with Attached(base) as it:
        run("mkfs.ext4", "-q", it.device)
        with mounted(it.device, base) as place:
            sums = tree(place, seed)
        run("e2fsck", "-fn", it.device)
        with mounted(it.device, base) as place:
            compare(place, sums)
            run("fstrim", place)
        assert it.detach().returncode == 0
        it.gone()


def its_bytes_are_those_of_the_disk(base):
    with Attached(base) as it:
        fd = os.open(it.device, os.O_RDWR)
        try:
            assert os.lseek(fd, 0, os.SEEK_END) == it.n_bytes
            data = os.urandom(3 * MIB)
            assert os.pwrite(fd, data, 5 * MIB + 512) == len(data)
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            assert os.pread(fd, len(data), 5 * MIB + 512) == data
            assert os.pread(fd, 512, 5 * MIB) == bytes(512)
            assert os.pwrite(fd, b"x" * 512, it.n_bytes - 512) == 512
            assert os.pread(fd, 4096, it.n_bytes) == b""
            run("blkdiscard", "-o", 6 * MIB, "-l", MIB, it.device)
            assert os.pread(fd, 2 * MIB, 5 * MIB + MIB) == bytes(MIB) + data[2 * MIB - 512:-512]
            run("blkdiscard", "-z", "-o", 7 * MIB, "-l", 65536, it.device)
            assert os.pread(fd, 65536, 7 * MIB) == bytes(65536)
        finally:
            os.close(fd)
        assert it.detach().returncode == 0
        it.gone()


def what_is_mounted_stays(base):
    with Attached(base) as it:
        run("mkfs.ext4", "-q", it.device)
        with mounted(it.device, base) as place:
            refused = it.detach()
            assert refused.returncode == 1, refused
            assert refused.stderr == f"INUSE: {it.device} is mounted on {place}\n", refused.stderr
            (place / "x").write_text("x")
            os.sync()
        # In a mount namespace of somebody else.
        other = subprocess.Popen(["unshare", "-m", "sh", "-c",
                                  f"mount {it.device} {place} && echo done && exec cat"],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert other.stdout.readline() == "done\n"
        refused = it.detach()
        assert refused.returncode == 1 and "mount namespace of process" in refused.stderr, refused
        other.communicate()
        assert it.detach(what="dc/vol").returncode == 0
        it.gone()


def force_ends_it_and_users_get_errors(base):
    with Attached(base) as it:
        run("mkfs.ext4", "-q", it.device)
        with mounted(it.device, base) as place:
            (place / "x").write_bytes(b"x" * MIB)
            os.sync()
            done = it.detach("force")
            assert done.returncode == 0, done.stderr
            with contextlib.suppress(OSError):
                with open(place / "y", "wb") as file:
                    file.write(b"y")
                    os.fsync(file.fileno())
                raise AssertionError("it can be written without a server")
            assert it.is_loop()
            assert [row[2] for row in it.rows().values()] == ["dead"], it.rows()
            refused = it.detach()
            assert refused.returncode == 1 and "unmount" in refused.stderr, refused.stderr
        it.gone()


def somebody_has_it_open(base):
    with Attached(base) as it:
        fd = os.open(it.device, os.O_RDONLY)
        refused = it.detach()
        assert refused.returncode == 1 and "TIMEOUT" in refused.stderr, refused.stderr
        os.close(fd)
        it.gone()


def whoever_is_killed_nothing_is_left(base):
    for which, how in (("keeper", "keeper"), ("server", "server"), ("both", None)):
        for is_used in (False, True):
            with Attached(base) as it:
                victims = [it.keeper, it.server] if how is None else [getattr(it, how)]
                run("mkfs.ext4", "-q", it.device)
                with contextlib.ExitStack() as stack:
                    if is_used:
                        place = stack.enter_context(mounted(it.device, base))
                        (place / "x").write_bytes(os.urandom(MIB))
                    for pid in victims:
                        os.kill(pid, signal.SIGKILL)
                    print(f"# {which} killed, {'mounted' if is_used else 'idle'}", flush=True)
                    if is_used:
                        assert it.is_loop()
                it.gone()


def errors_of_the_disk_are_the_devices(base):
    with Attached(base) as it:
        fd = os.open(it.device, os.O_RDWR | os.O_DIRECT)
        try:
            (base / "fail").touch()
            with contextlib.suppress(OSError):
                os.fsync(fd)
                raise AssertionError("a failed flush is reported")
            (base / "fail").unlink()
            os.fsync(fd)
        finally:
            os.close(fd)
        assert it.detach().returncode == 0
        it.gone()
    (base / "fail").touch()
    done = run(PROGRAM, "start", base, "dc/vol", MIB, check=False)
    assert done.returncode == 1 and done.stderr == "IO: the memory is asked to fail\n", done
    assert left(base) == ["lock", "log"]


def read_only_is_read_only(base):
    with Attached(base, 64 * MIB, "read-only") as it:
        fd = os.open(it.device, os.O_RDONLY)
        assert os.pread(fd, 4096, 0) == bytes(4096)
        os.close(fd)
        written = subprocess.run(["dd", "if=/dev/urandom", f"of={it.device}", "count=1",
                                  "conv=fsync,notrunc"], capture_output=True, check=False)
        assert written.returncode != 0
        assert it.detach().returncode == 0
        it.gone()


def a_disk_that_grows(base):
    with Attached(base) as it:
        sectors = Path(f"/sys/block/loop{it.number}/size")
        assert int(sectors.read_text()) * 512 == 64 * MIB
        (base / "bytes").write_text(str(96 * MIB))
        wait_for(lambda: int(sectors.read_text()) * 512 == 96 * MIB, "the new size")
        assert it.detach().returncode == 0
        it.gone()


def several_at_once(base):
    with contextlib.ExitStack() as stack:
        them = [stack.enter_context(Attached(base, name=f"dc/vol{i % 2}")) for i in range(3)]
        assert len(them[0].rows()) == 3
        refused = them[0].detach(what="dc/vol0")
        assert refused.returncode == 1 and "several times" in refused.stderr, refused.stderr
        assert "is not attached" in them[0].detach(what="dc/none").stderr
        for it in them:
            assert it.detach().returncode == 0


def main():
    missing = [p for p in ("mkfs.ext4", "blkdiscard", "unshare")
               if not shutil.which(p, path=os.environ["PATH"] + ":/usr/sbin:/sbin")]
    missing += [p for p in ("/dev/fuse", "/dev/loop-control") if not os.path.exists(p)]
    if os.geteuid() != 0 or missing:
        print(f"1..0 # SKIP needs root {' '.join(missing)}")
        return 0
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    tap = Tap()
    tests = (a_file_system_lives_on_it, its_bytes_are_those_of_the_disk, what_is_mounted_stays,
             force_ends_it_and_users_get_errors, somebody_has_it_open,
             whoever_is_killed_nothing_is_left, errors_of_the_disk_are_the_devices,
             read_only_is_read_only, a_disk_that_grows, several_at_once)
    tap.each_in_a_directory(tests, "dvs-attach-", "attach/log")
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
