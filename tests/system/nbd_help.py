# SPDX-License-Identifier: Apache-2.0
"""What tests of the NBD gateway share: a server, real clients, and a client of our own that says what it likes."""

import contextlib
import json
import os
import random
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

from dvsd import BUILD

MIB = 1 << 20
PATIENCE_S = 120
READ, WRITE, DISC, FLUSH, TRIM = 0, 1, 2, 3, 4


def requires(*programs):
    """Skip the whole test, in TAP, where a client is missing."""
    missing = [program for program in programs if not shutil.which(program)]
    if missing:
        print(f"1..0 # SKIP needs {', '.join(missing)}")
        sys.exit(0)


def client(*words, check=True, **how):
    """Run a client to its end; a CompletedProcess, with texts."""
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=PATIENCE_S,
                          stdin=subprocess.DEVNULL, check=False, **how)
    assert not check or done.returncode == 0, (words, done.stdout, done.stderr)
    return done


class Server:
    """A program that serves on a Unix socket in BASE, until the end of the with."""

    def __init__(self, base, *words, name="socket", ready=None):
        self.base = Path(base)
        self.socket = self.base / name
        self.log = self.base / f"{name}.log"
        # What the sanitizer keeps of freed memory would look like a leak.
        sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([*map(str, words)], stdin=subprocess.DEVNULL,
                                            env=os.environ | {"ASAN_OPTIONS": sanitizer},
                                            stdout=subprocess.PIPE, stderr=log,
                                            pass_fds=[ready[1]] if ready else [])
        pipe = self.process.stdout.fileno()
        if ready:
            os.close(ready[1])
            pipe = ready[0]
        assert select.select([pipe], [], [], PATIENCE_S)[0], "no sign of the server"
        assert os.read(pipe, 1) == b"1", self.log.read_text(errors="replace")
        if ready:
            os.close(pipe)

    def uri(self, export="disk", **more):
        words = {"socket": self.socket} | more
        scheme = "nbds+unix" if "tls-certificates" in more else "nbd+unix"
        return f"{scheme}:///{export}?" + "&".join(f"{key}={value}" for key, value in words.items())

    def status(self, key):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1])
        raise KeyError(key)

    def n_fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(30)
        hung = self.process.poll() is None
        if hung:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        if kind is None:
            assert not hung, "the server did not end"
            text = self.log.read_text(errors="replace")
            assert self.process.returncode == 0, f"status {self.process.returncode}: {text}"


def memory(base, n_bytes=256 * MIB, *words):
    base = Path(base)
    return Server(base, BUILD / "tests/system/nbd-memory-server", base / "socket", n_bytes, *words)


def exactly(connection, n):
    """N bytes from a socket."""
    data = b""
    while len(data) < n:
        part = connection.recv(n - len(data))
        if not part:
            raise EOFError
        data += part
    return data


class Raw:
    """A client that opens EXPORT with simple replies."""

    def __init__(self, path, export=None):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(str(path))
        self.greeting = self.receive(18)
        if export is not None:
            name = export.encode()
            self.socket.sendall(struct.pack(">I8sII", 3, b"IHAVEOPT", 1, len(name)) + name)
            self.size, self.flags = struct.unpack(">QH", self.receive(10))

    def receive(self, n):
        return exactly(self.socket, n)

    def ask(self, command, offset=0, n=0, cookie=0, flags=0, data=b""):
        self.socket.sendall(struct.pack(">IHHQQI", 0x25609513, flags, command, cookie, offset, n) + data)

    def reply(self, n=0):
        """The cookie and the error of the next one, and N bytes of data if it has none."""
        magic, error, cookie = struct.unpack(">IIQ", self.receive(16))
        assert magic == 0x67446698, hex(magic)
        return cookie, error, b"" if error else self.receive(n)

    def is_over(self, timeout=PATIENCE_S):
        """Whether the server ends the connection in time."""
        self.socket.settimeout(timeout)
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionError:
            return True
        except TimeoutError:
            return False
        return True

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def doomed(path, export, seed, n_bytes):
    """A process that has 64 requests in flight; it waits to be killed."""
    ready, say = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            rng = random.Random(seed)
            it = Raw(path, export)
            it.socket.setblocking(False)
            for i in range(64):
                command = rng.choice([READ, READ, WRITE, WRITE, FLUSH, TRIM])
                n = 0 if command == FLUSH else rng.choice([512, 4096, 65536, 262144])
                offset = rng.randrange((n_bytes - n) // 512) * 512 if n else 0
                with contextlib.suppress(BlockingIOError):
                    it.ask(command, offset, n, i, 0, b"\xa5" * n if command == WRITE else b"")
            os.write(say, b"1")
            signal.pause()
        finally:
            os._exit(1)
    os.close(say)
    os.read(ready, 1)
    os.close(ready)
    return pid


def kill_clients(path, export, n, n_bytes, seed):
    """N clients, four at a time, each killed while it has 64 requests in flight."""
    while n > 0:
        pids = [doomed(path, export, seed + n + i, n_bytes) for i in range(min(4, n))]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        n -= len(pids)


def mapping(uri):
    """What is stored, as 'nbdinfo --map' tells it: (offset, length, type)."""
    rows = json.loads(client("nbdinfo", "--map", "--json", uri).stdout)
    return [(row["offset"], row["length"], row["type"]) for row in rows]


def sparse_file(path, n_bytes, seed):
    """A file with data here and there; what it has."""
    rng = random.Random(seed)
    with open(path, "wb") as file:
        file.truncate(n_bytes)
        for _ in range(12):
            file.seek(rng.randrange(n_bytes // MIB - 2) * MIB)
            file.write(rng.randbytes(rng.choice([4096, 65536, MIB])))
    return path


def run_tests(tests, room):
    """TAP: each test gets a directory of its own; its name is its title."""
    failed = n = 0
    for test in tests:
        if sys.argv[1:] and test.__name__ not in sys.argv[1:]:
            continue
        n += 1
        base = tempfile.mkdtemp(prefix=room)
        try:
            test(Path(base))
            print(f"ok {n} - {test.__name__.replace('_', ' ')}", flush=True)
        except Exception:
            failed += 1
            print(f"not ok {n} - {test.__name__.replace('_', ' ')}", flush=True)
            print("\n".join("# " + line for line in traceback.format_exc().splitlines()))
            for log in Path(base).glob("*.log"):
                print("\n".join("# " + line for line in log.read_text(errors="replace").splitlines()[-30:]))
        finally:
            shutil.rmtree(base, ignore_errors=True)
    print(f"1..{n}")
    return 1 if failed else 0
