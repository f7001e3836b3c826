#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The gateway dvs-fuse against a file server in memory (fs-stand-in), which checks no rights and keeps nothing: what the gateway itself does. Two gateways of one node are two sessions, as of two nodes."""

import contextlib
import errno
import fcntl
import json
import mmap
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
import uuid
from pathlib import Path

from dvsd import BUILD, Dvsd, Tap
from lab import wait_for

DC = "a"
ENDPOINT = 770
ANY_VERSION = (1 << 64) - 1
MIB = 1 << 20


class Gateway:
    def __init__(self, world, number, *options):
        self.path = world.base / f"m{number}"
        with contextlib.suppress(FileExistsError):
            os.mkdir(self.path)
        ours, theirs = os.pipe()
        self.log = open(world.base / f"log{number}", "ab")
        self.process = subprocess.Popen(
            [BUILD / "dvs-fuse", "--run-dir", world.dvsd.run_dir, "--dc", DC, "--fs", "home",
             "--mount", self.path, "--ready-fd", str(theirs), *options],
            pass_fds=[theirs], stdin=subprocess.DEVNULL, stderr=self.log)
        os.close(theirs)
        with open(ours, "rb") as pipe:
            if pipe.read(1) != b"\0":
                raise RuntimeError(self.log_text())

    def log_text(self):
        return Path(self.log.name).read_text()

    def end(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            status = self.process.wait(10)
        except subprocess.TimeoutExpired:
            # A mount namespace that somebody has made meanwhile has it, too.
            self.process.send_signal(how)
            status = self.process.wait(20)
        self.log.close()
        subprocess.run(["umount", "-l", self.path], check=False, stderr=subprocess.DEVNULL)
        return status


class World:
    """A dvsd, a file server, gateways."""
    store = "ram"

    def __init__(self):
        self.base = Path(tempfile.mkdtemp(prefix="dvs-fs."))
        self.gateways = []
        self.server = None
        self.dvsd = Dvsd()
        self.dvsd.create(DC)
        record = {"id": str(uuid.uuid4()), "endpoint": ENDPOINT, "store": self.store, "place": "",
                  "volume": "", "bytes": 16 * MIB, "nodes": [0], "access": "managers"}
        with contextlib.closing(self.dvsd.admin()) as admin:
            admin.ask("record_set", name=DC, key="fs/home", expected=ANY_VERSION,
                      value=json.dumps(record).encode())
        self.serve()

    def serve(self):
        self.server = subprocess.Popen(
            [BUILD / "tests/system/fs-stand-in", self.dvsd.control(DC), str(ENDPOINT)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.server.stdout.readline() == b"ready\n"

    def end_server(self):
        self.server.kill()
        self.server.wait()
        self.server.stdin.close()
        self.server.stdout.close()

    def gateway(self, *options):
        self.gateways.append(Gateway(self, len(self.gateways), *options))
        return self.gateways[-1]

    def two(self):
        return self.gateway().path, self.gateway().path

    def __enter__(self):
        return self

    def __exit__(self, kind, mistake, trace):
        for gateway in self.gateways:
            if gateway.log.closed:
                continue
            gateway.end()
            if kind:
                print("\n".join("# " + line for line in gateway.log_text().splitlines()[-10:]))
        self.end_server()
        self.dvsd.stop()
        shutil.rmtree(self.base, ignore_errors=True)


# ---- one gateway ----

def what_is_written_is_read(world):
    at = world.gateway().path
    data = os.urandom(3 * MIB + 77)
    (at / "f").write_bytes(data)
    assert (at / "f").read_bytes() == data
    with open(at / "f", "rb") as file:
        file.seek(MIB - 3)
        assert file.read(9) == data[MIB - 3:MIB + 6]
    os.mkdir(at / "d")
    for i in range(300):
        (at / "d" / f"name {i}").write_bytes(b"%d" % i)
    assert sorted(os.listdir(at / "d")) == sorted(f"name {i}" for i in range(300))
    os.rename(at / "d/name 7", at / "seven")
    assert (at / "seven").read_bytes() == b"7" and not (at / "d/name 7").exists()
    os.truncate(at / "f", 5)
    assert (at / "f").read_bytes() == data[:5] and os.stat(at / "f").st_size == 5
    os.unlink(at / "f")
    assert not (at / "f").exists()
    assert os.statvfs(at).f_namemax == 255


def names_over_255_bytes_are_refused(world):
    at = world.gateway().path
    (at / ("n" * 255)).touch()
    for name in ("n" * 256, "n" * 1000):
        for call in (os.stat, os.mkdir, os.unlink):
            try:
                call(at / name)
            except OSError as mistake:
                assert mistake.errno == errno.ENAMETOOLONG, (call, mistake)
            else:
                raise AssertionError(call)


# ---- two gateways ----

def what_one_writes_the_other_reads_at_once(world):
    a, b = world.two()
    (a / "f").write_bytes(b"0" * 8192)
    for i in range(200):
        text = b"%08d" % i
        one, other = (a, b) if i % 2 else (b, a)
        with open(one / "f", "r+b") as file:
            file.seek(i % 3 * 4096)
            file.write(text)
        for path in (one, other):
            with open(path / "f", "rb") as file:
                file.seek(i % 3 * 4096)
                assert file.read(8) == text, (i, path)


def a_file_that_stays_open_is_coherent(world):
    a, b = world.two()
    (a / "f").write_bytes(b"old" * 5000)
    with open(a / "f", "rb", buffering=0) as reader, open(b / "f", "r+b", buffering=0) as writer:
        for i in range(200):
            assert os.pread(reader.fileno(), 3, 6000) == (b"old" if i == 0 else b"%03d" % (i - 1))
            os.pwrite(writer.fileno(), b"%03d" % i, 6000)
            assert os.pread(reader.fileno(), 3, 6000) == b"%03d" % i
        os.ftruncate(writer.fileno(), 100)
        assert os.fstat(reader.fileno()).st_size == 100 and os.pread(reader.fileno(), 3, 6000) == b""
        os.pwrite(writer.fileno(), b"x", 9000)
        assert os.fstat(reader.fileno()).st_size == 9001
        assert os.pread(reader.fileno(), 3, 6000) == b"\0\0\0"


def names_are_coherent(world):
    a, b = world.two()
    os.mkdir(a / "d")
    for i in range(100):
        one, other = (a, b) if i % 2 else (b, a)
        assert not (other / "d/x").exists()
        (one / "d/x").touch()
        assert (other / "d/x").exists() and os.listdir(other / "d") == ["x"], i
        os.rename(one / "d/x", one / "d/y")
        assert not (other / "d/x").exists() and (other / "d/y").exists(), i
        os.rename(other / "d/y", other / "z")
        assert not (one / "d/y").exists() and (one / "z").exists(), i
        os.unlink(one / "z")
        assert not (other / "z").exists(), i
    # Another file of the same name.
    for i in range(50):
        (a / "same").write_bytes(b"%d" % i)
        assert (b / "same").read_bytes() == b"%d" % i
        (b / "new").write_bytes(b"new %d" % i)
        os.rename(b / "new", b / "same")
        assert (a / "same").read_bytes() == b"new %d" % i
        os.unlink(a / "same")


def attributes_are_coherent(world):
    a, b = world.two()
    (a / "f").touch()
    for i in range(100):
        one, other = (a, b) if i % 2 else (b, a)
        os.stat(other / "f")
        os.chmod(one / "f", 0o600 + i % 8)
        assert os.stat(other / "f").st_mode & 0o777 == 0o600 + i % 8
        os.truncate(one / "f", i)
        assert os.stat(other / "f").st_size == i


def a_directory_that_somebody_is_in_and_mounts_stay(world):
    """Names are asked for again at each recall: what is in use goes on."""
    a, b = world.two()
    os.makedirs(a / "d/e")
    os.mkdir(a / "d/m")
    subprocess.run(["mount", "-t", "tmpfs", "none", a / "d/m"], check=True)
    try:
        (a / "d/m/inside").touch()
        with subprocess.Popen(["sh", "-c", "while read path; do /bin/pwd; ls; done"], cwd=a / "d/e",
                              text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shell:
            for i in range(20):
                (b / "d/e" / f"f{i}").touch()
                (b / "d" / f"f{i}").touch()
                shell.stdin.write("\n")
                shell.stdin.flush()
                assert shell.stdout.readline().strip() == str(a / "d/e")
                assert [shell.stdout.readline().strip() for _ in range(i + 1)] == sorted(f"f{k}" for k in range(i + 1))
                assert os.listdir(a / "d/m") == ["inside"]
            shell.stdin.close()
    finally:
        subprocess.run(["umount", a / "d/m"], check=True)
    assert os.listdir(a / "d/m") == []


def appends_of_both_are_all_there(world):
    a, b = world.two()
    (a / "f").touch()

    def append(path, mark):
        fd = os.open(path / "f", os.O_WRONLY | os.O_APPEND)
        for i in range(300):
            os.write(fd, b"%s%06d\n" % (mark, i))
        os.close(fd)

    threads = [threading.Thread(target=append, args=(p, m)) for p, m in ((a, b"a"), (b, b"b"), (a, b"c"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = (b / "f").read_bytes().splitlines()
    assert len(lines) == 900
    for mark in (b"a", b"b", b"c"):
        assert [line for line in lines if line[:1] == mark] == [b"%s%06d" % (mark, i) for i in range(300)]


def nobody_sees_a_number_go_back(world):
    """Writers count in a file, readers of both gateways look: by reading, by another's map, by stat."""
    a, b = world.two()
    (a / "n").write_bytes(b"%016d" % 0 * 512)
    done = threading.Event()
    said = [0]
    wrong = []

    def look(path, how):
        fd = os.open(path / "n", os.O_RDONLY)
        area = mmap.mmap(fd, 8192, prot=mmap.PROT_READ) if how == "map" else None
        last = 0
        while not done.is_set():
            before = said[0]
            if how == "map":
                got = int(area[4096:4112])
            elif how == "open":
                got = int((path / "n").read_bytes()[4096:4112])
            else:
                got = int(os.pread(fd, 16, 4096))
            if got < max(last, before):
                wrong.append((how, str(path), got, last, before))
                break
            last = got
        os.close(fd)

    threads = [threading.Thread(target=look, args=(p, how)) for p in (a, b) for how in ("read", "open", "map")]
    for thread in threads:
        thread.start()
    writers = [os.open(p / "n", os.O_WRONLY) for p in (a, b)]
    for i in range(1, 150):
        os.pwrite(writers[i % 2], b"%016d" % i, 4096)
        said[0] = i
        if wrong:
            break
    done.set()
    for thread in threads:
        thread.join()
    for fd in writers:
        os.close(fd)
    assert not wrong, wrong


def what_is_mapped_and_synced_is_seen(world):
    a, b = world.two()
    (a / "f").write_bytes(b"-" * 8192)
    with open(a / "f", "r+b") as file:
        with mmap.mmap(file.fileno(), 8192) as area:
            for i in range(20):
                area[100:104] = b"%04d" % i
                area.flush()
                assert (b / "f").read_bytes()[100:104] == b"%04d" % i
                with open(b / "f", "r+b") as other:
                    other.seek(5000)
                    other.write(b"%04d" % i)
                assert area[5000:5004] == b"%04d" % i
    # Both have written to a map and nobody has synced: that each gives up its pages must not wait for the other.
    with open(a / "f", "r+b") as one, open(b / "f", "r+b") as other, \
            mmap.mmap(one.fileno(), 8192) as left, mmap.mmap(other.fileno(), 8192) as right:
        left[0:4] = b"left"
        right[4096:5000] = b"r" * 904
        left.flush()
        right.flush()
        wait_for(lambda: left[4096:5000] == b"r" * 904 and right[0:4] == b"left", "each other's")


def locks_are_everybodys(world):
    a, b = world.two()
    (a / "f").touch()
    for lock in (fcntl.flock, fcntl.lockf):
        with open(a / "f", "r+") as one, open(b / "f", "r+") as other:
            lock(one, fcntl.LOCK_EX)
            try:
                lock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
                raise AssertionError("two have it")
            except OSError as mistake:
                assert mistake.errno in (errno.EAGAIN, errno.EACCES), mistake
            got = threading.Event()

            def wait(file=other, by=lock, flag=got):
                by(file, fcntl.LOCK_EX)
                flag.set()

            thread = threading.Thread(target=wait)
            thread.start()
            (b / "meanwhile").touch()
            assert not got.is_set()
            lock(one, fcntl.LOCK_UN)
            thread.join(20)
            assert got.is_set()
            lock(other, fcntl.LOCK_UN)


def what_is_closed_is_given_back_together(world):
    a = world.gateway().path
    with open(a / "stays", "w") as stays:
        before = os.statvfs(a)
        files = [os.open(a / f"f{i}", os.O_CREAT | os.O_RDWR) for i in range(50)]
        assert os.statvfs(a).f_files == before.f_files + 50
        world.server.send_signal(signal.SIGSTOP)
        for file in files:
            os.close(file)
        # Behind those that were closed, and answered without the server.
        os.close(os.dup(stays.fileno()))
        world.server.send_signal(signal.SIGCONT)
        wait_for(lambda: os.statvfs(a).f_files == before.f_files, "what is closed is given back")
        assert os.statvfs(a).f_ffree - before.f_ffree < 25
        with open(a / "f1") as one:
            fcntl.flock(one, fcntl.LOCK_SH)
        wait_for(lambda: os.statvfs(a).f_files == before.f_files, "what had a lock is given back")


def who_waits_for_a_lock_can_be_interrupted(world):
    a, b = world.two()
    (a / "f").touch()
    with open(a / "f", "r+") as one:
        fcntl.flock(one, fcntl.LOCK_EX)
        with subprocess.Popen([sys.executable, "-c", "import fcntl, sys\nf = open(sys.argv[1])\n"
                               "print('waits', flush=True)\nfcntl.flock(f, fcntl.LOCK_EX)", b / "f"],
                              stdout=subprocess.PIPE) as waiting:
            waiting.stdout.readline()
            wchan = Path(f"/proc/{waiting.pid}/syscall")
            wait_for(lambda: wchan.read_text().startswith("73 "), "flock(2)")
            waiting.terminate()
            assert waiting.wait(20) == -signal.SIGTERM
        fcntl.flock(one, fcntl.LOCK_UN)
    with open(b / "f", "r+") as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


# ---- beginning and end ----

def it_unmounts_on_a_signal(world):
    gateway = world.gateway()
    (gateway.path / "f").touch()
    assert gateway.end() == 0
    assert not os.path.ismount(gateway.path) and os.listdir(gateway.path) == []


def one_in_use_goes_when_nobody_uses_it(world):
    gateway = world.gateway()
    (gateway.path / "f").write_bytes(b"still here")
    with open(gateway.path / "f", "rb") as file:
        gateway.process.terminate()
        wait_for(lambda: not os.path.ismount(gateway.path), "the mount to go")
        assert file.read() == b"still here"
        assert gateway.process.poll() is None
    assert gateway.process.wait(20) == 0


def one_that_another_namespace_has_says_so(world):
    gateway = world.gateway()
    with subprocess.Popen(["unshare", "-m", "--propagation", "private", "sh", "-c", "echo there; read line"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"there\n"
        gateway.process.terminate()
        wait_for(lambda: "another mount namespace has it" in gateway.log_text(), "a word of it")
        assert not os.path.ismount(gateway.path) and gateway.process.poll() is None
        other.stdin.close()
        other.wait()
    assert gateway.process.wait(60) == 0


def a_dead_mount_is_removed_by_the_next_start(world):
    gateway = world.gateway()
    gateway.process.kill()
    gateway.process.wait()
    try:
        os.statvfs(gateway.path)
        raise AssertionError("it is not dead")
    except OSError as mistake:
        assert mistake.errno == errno.ENOTCONN, mistake
    again = Gateway(world, 0)
    world.gateways.append(again)
    (again.path / "f").touch()


def another_server_is_found(world):
    """Nothing of the former one's is believed, who waits goes on."""
    at = world.gateway("--patience", "60").path
    (at / "old").write_bytes(b"old")
    with open(at / "old", "rb") as file:
        assert file.read() == b"old"
        world.end_server()
        answers = []
        thread = threading.Thread(target=lambda: answers.append(os.listdir(at)))
        thread.start()
        world.serve()
        thread.join(30)
        assert answers == [[]], answers
        assert not (at / "old").exists()
        try:
            os.fstat(file.fileno())
            raise AssertionError("there is no such file any more")
        except OSError as mistake:
            assert mistake.errno == errno.ESTALE, mistake
    (at / "new").write_bytes(b"new")
    assert (at / "new").read_bytes() == b"new"


def without_a_server_it_says_so(world):
    at = world.gateway("--patience", "1").path
    world.end_server()
    try:
        os.listdir(at)
        raise AssertionError("who answered?")
    except OSError as mistake:
        assert mistake.errno == errno.EIO, mistake
    world.serve()
    wait_for(lambda: os.listdir(at) == [], "the next server")


def main():
    missing = [p for p in ("/dev/fuse",) if not os.path.exists(p)]
    if os.geteuid() != 0 or missing:
        print(f"1..0 # SKIP needs root {' '.join(missing)}")
        return 0
    tap = Tap()
    for test in TESTS:
        if sys.argv[1:] and test.__name__ not in sys.argv[1:]:
            continue
        try:
            with World() as world:
                test(world)
            tap.ok(True, test.__name__.replace("_", " "))
        except Exception:
            tap.ok(False, test.__name__.replace("_", " "), traceback.format_exc())
    print(f"1..{tap.n}")
    return 1 if tap.failed else 0


TESTS = (what_is_written_is_read, names_over_255_bytes_are_refused, what_one_writes_the_other_reads_at_once, a_file_that_stays_open_is_coherent, names_are_coherent, attributes_are_coherent, a_directory_that_somebody_is_in_and_mounts_stay, appends_of_both_are_all_there, nobody_sees_a_number_go_back, what_is_mapped_and_synced_is_seen, locks_are_everybodys, what_is_closed_is_given_back_together, who_waits_for_a_lock_can_be_interrupted, it_unmounts_on_a_signal, one_in_use_goes_when_nobody_uses_it, one_that_another_namespace_has_says_so, a_dead_mount_is_removed_by_the_next_start, another_server_is_found, without_a_server_it_says_so)

if __name__ == "__main__":
    sys.exit(main())
