# SPDX-License-Identifier: Apache-2.0
"""Speaks the control protocol to a dvsd of its own, frame by frame, from its TOML file."""

import array
import contextlib
import ctypes
import mmap
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import tomllib
import traceback
from pathlib import Path

SOURCE = Path(os.environ.get("DVS_SOURCE", Path(__file__).resolve().parents[2]))
BUILD = Path(os.environ.get("DVS_BUILD", SOURCE / "build"))
PROTOCOL = tomllib.loads((SOURCE / "src/proto/control.toml").read_text())
STRUCTS = {name: s["fields"] for name, s in PROTOCOL.get("struct", {}).items()}
OPS = PROTOCOL["op"]
BY_NUMBER = {op["number"]: name for name, op in OPS.items()}
FORMATS = {"u8": "<B", "u16": "<H", "u32": "<I", "u64": "<Q", "i32": "<i", "i64": "<q"}
ERRORS = {m[1]: int(m[2]) for m in re.finditer(
    r"^X\((\w+), (\d+),", (SOURCE / "include/dvs/errors.def").read_text(), re.M)}
ERROR_NAMES = {number: name for name, number in ERRORS.items()}

ANY = 0xFFFFFFFF
FOREVER = 0xFFFFFFFF
NO_SLOT = 0xFFFFFFFF
PAGE = 4096
AREA_BYTES = 16384 * PAGE
STATS_BYTES = 16384 * 64
CHANNEL_BYTES = PAGE + 2 * (1 << 20)


def put(fields, values, structs=STRUCTS):
    out = b""
    for text in fields:
        name, kind = text.split()[:2]
        value = values.get(name, 0)
        counted = re.fullmatch(r"(\w+)\[(\d+)\]", kind)
        if counted:
            items = value or []
            prefix = "<B" if int(counted[2]) <= 255 else "<H"
            out += struct.pack(prefix, len(items))
            for item in items:
                if counted[1] in structs:
                    out += put(structs[counted[1]], item, structs)
                else:
                    out += struct.pack(FORMATS[counted[1]], item)
        elif kind.startswith("str"):
            data = (value or "").encode()
            out += struct.pack("<B" if int(kind[3:]) <= 255 else "<H", len(data)) + data
        elif kind.startswith("bytes"):
            data = value or b""
            out += struct.pack("<B" if int(kind[5:]) <= 255 else "<H", len(data)) + data
        else:
            out += struct.pack(FORMATS[kind], value)
    return out


def get(fields, data, at=0, structs=STRUCTS):
    values = {}
    for text in fields:
        name, kind = text.split()[:2]
        counted = re.fullmatch(r"(\w+)\[(\d+)\]", kind)
        if counted:
            prefix = "<B" if int(counted[2]) <= 255 else "<H"
            (n,) = struct.unpack_from(prefix, data, at)
            at += struct.calcsize(prefix)
            values[name] = []
            for _ in range(n):
                item, at = get(structs[counted[1]], data, at, structs)
                values[name].append(item)
        elif kind.startswith("str"):
            prefix = "<B" if int(kind[3:]) <= 255 else "<H"
            (n,) = struct.unpack_from(prefix, data, at)
            at += struct.calcsize(prefix)
            values[name] = data[at:at + n].decode()
            at += n
        elif kind.startswith("bytes"):
            prefix = "<B" if int(kind[5:]) <= 255 else "<H"
            (n,) = struct.unpack_from(prefix, data, at)
            at += struct.calcsize(prefix)
            values[name] = data[at:at + n]
            at += n
        else:
            (values[name],) = struct.unpack_from(FORMATS[kind], data, at)
            at += struct.calcsize(FORMATS[kind])
    return values, at


class Failed(Exception):
    """A reply with an error; str() is the error's name."""


class Frame:
    def __init__(self, data, fds):
        self.op, self.id, self.err = struct.unpack_from("<III", data)
        self.kind = BY_NUMBER.get(self.op, "?")
        self.error = ERROR_NAMES.get(self.err, str(self.err))
        self.fds = fds
        self.body = {}
        if self.err == 0 and self.kind in OPS:
            op = OPS[self.kind]
            fields = op["request"] if self.id == 0 else op["reply"]
            self.body, end = get(fields, data, 12)
            assert end == len(data), f"{self.kind}: {len(data) - end} bytes too many"

    def __getattr__(self, name):
        try:
            return self.__dict__["body"][name]
        except KeyError:
            raise AttributeError(name) from None

    def __repr__(self):
        return f"<{self.kind} id={self.id} {self.error} {self.body} fds={len(self.fds)}>"


class Link:
    """One connection. Replies and events are kept apart; nothing is read in the background."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.connect(str(path))
        self.socket.settimeout(10)
        self.next_id = 1
        self.events = []
        self.replies = {}
        self.area = self.stats = None

    def close(self):
        self.socket.close()
        for frame in [*self.events, *self.replies.values()]:
            for fd in frame.fds:
                os.close(fd)
        for fd in (self.area, self.stats):
            if fd is not None:
                os.close(fd)
        self.area = self.stats = None
        self.events, self.replies = [], {}

    def send_raw(self, data, fds=()):
        ancillary = []
        if fds:
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        self.socket.sendmsg([data], ancillary)

    def send(self, op, fds=(), **values):
        request_id = self.next_id
        self.next_id += 1
        head = struct.pack("<III", OPS[op]["number"], request_id, 0)
        self.send_raw(head + put(OPS[op]["request"], values), fds)
        return request_id

    def read(self, timeout=10):
        """The next frame, sorted in; False at the end of the connection."""
        self.socket.settimeout(timeout)
        data, ancillary, _, _ = self.socket.recvmsg(65536, socket.CMSG_SPACE(16))
        fds = []
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                got = array.array("i")
                got.frombytes(content[:len(content) - len(content) % 4])
                fds += list(got)
        if not data:
            return False
        frame = Frame(data, fds)
        if frame.id == 0:
            self.events.append(frame)
        else:
            self.replies[frame.id] = frame
        return True

    def reply(self, request_id, timeout=10):
        deadline = time.monotonic() + timeout
        while request_id not in self.replies:
            if not self.read(max(0.001, deadline - time.monotonic())):
                raise EOFError("dvsd closed the connection")
        return self.replies.pop(request_id)

    def ask(self, op, fds=(), timeout=10, **values):
        frame = self.reply(self.send(op, fds, **values), timeout)
        if frame.err:
            raise Failed(frame.error)
        return frame

    def error(self, op, fds=(), timeout=10, **values):
        """The name of the error, "OK" if there is none."""
        frame = self.reply(self.send(op, fds, **values), timeout)
        for fd in frame.fds:
            os.close(fd)
        return frame.error

    def event(self, name, timeout=10):
        """The oldest event of that name, waiting for it."""
        deadline = time.monotonic() + timeout
        while True:
            for i, frame in enumerate(self.events):
                if frame.kind == name:
                    return self.events.pop(i)
            if not self.read(max(0.001, deadline - time.monotonic())):
                raise EOFError("dvsd closed the connection")

    def quiet(self, name, span=0.2):
        """True when no event of that name comes within SPAN."""
        try:
            self.event(name, span)
        except TimeoutError:
            return True
        return False

    def is_closed(self, timeout=5):
        try:
            while self.read(timeout):
                pass
        except TimeoutError:
            return False
        except OSError:
            return True
        return True

    def hello(self, **values):
        frame = self.ask("hello", version=PROTOCOL["version"], **values)
        if frame.fds:
            self.area, self.stats = frame.fds
        return frame

    def bind(self, want=ANY, binding=1, tid=1):
        return self.ask("bind", want=want, binding=binding, tid=tid)

    def connect(self, ep, to, timeout_ms=0):
        return self.ask("connect", ep=ep, to=to, timeout_ms=timeout_ms)

    def bell(self, slot):
        """(bell, events) of an inbox."""
        data = os.pread(self.area, 8, slot * PAGE)
        return struct.unpack("<II", data)


def requires(programs=(), built=(), paths=()):
    """Skip the whole test, in TAP, where one of PROGRAMS, of what is BUILT, or of PATHS is missing, or we are not root."""
    missing = [name for name in programs if not shutil.which(name)]
    missing += [Path(name).name for name in built if not (BUILD / name).exists()]
    missing += [path for path in paths if not os.path.exists(path)]
    if os.geteuid() != 0:
        missing.insert(0, "root")
    if missing:
        print(f"1..0 # SKIP needs {', '.join(missing)}")
        sys.exit(0)


class Dvsd:
    def __init__(self, *options, run_dir=None, prefix=()):
        self.run_dir = Path(run_dir or tempfile.mkdtemp(prefix="dvsd-test."))
        self.options = options
        self.prefix = prefix
        self.process = None
        self.start()

    def start(self):
        self.log = open(self.run_dir / "log", "ab")
        at = self.log.tell()
        self.process = subprocess.Popen(
            [*self.prefix, BUILD / "dvsd", "--run-dir", self.run_dir, *self.options],
            stdin=subprocess.DEVNULL, stderr=self.log)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if b" ready " in self.log_text()[at:]:
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.01)  # the log is a file: there is nothing to wait on
        raise RuntimeError("dvsd did not start:\n" + self.log_text().decode())

    def log_text(self):
        return (self.run_dir / "log").read_bytes()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.log.close()

    def stop(self):
        self.process.terminate()
        status = self.process.wait(20)
        self.log.close()
        return status

    def rss_kib(self):
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1])

    def n_fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def cpu_s(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def control(self, dc):
        return self.run_dir / "dc" / dc / "control"

    def admin(self):
        return Link(self.run_dir / "admin")

    def link(self, dc="a", hello=True):
        link = Link(self.control(dc))
        if hello:
            link.hello()
        return link

    def create(self, name="a", owner_uid=0):
        with contextlib.closing(self.admin()) as admin:
            dc = admin.ask("dc_create", name=name, owner_uid=owner_uid).dc
        # Programs of other users are let in here as a mount into their container would.
        self.control(name).parent.chmod(0o755)
        return dc

    def dvs(self, *words, check=True):
        """What 'dvs WORDS' prints."""
        done = subprocess.run([BUILD / "dvs", *words], env=os.environ | {"DVS_RUN_DIR": str(self.run_dir)}, check=False,
                              capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        if check and done.returncode:
            raise RuntimeError(f"dvs {words}: {done.returncode}: {done.stderr}")
        return done.stdout

    def end(self):
        """Status of a clean stop; removes the directory."""
        status = self.stop() if self.process.poll() is None else self.process.returncode
        shutil.rmtree(self.run_dir, ignore_errors=True)
        return status


class Child:
    """A process of its own that obeys: it runs what it is told and sends back the repr."""

    def __init__(self, uid=None):
        self.ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            self.ours.close()
            if uid is not None:
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)
            names = dict(globals())
            while True:
                text = theirs.recv(1 << 20).decode()
                if not text:
                    os._exit(0)
                try:
                    try:
                        answer = repr(eval(text, names))
                    except SyntaxError:
                        exec(text, names)
                        answer = "None"
                except Failed as failed:
                    answer = repr(f"failed {failed}")
                except BaseException as mistake:
                    answer = repr(f"mistake {mistake!r}")
                theirs.send(answer.encode())
        theirs.close()

    def run(self, text):
        self.ours.send(text.encode())
        return eval(self.ours.recv(1 << 20).decode())

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.ours.close()


class Tap:
    def __init__(self):
        self.n = self.failed = 0

    def ok(self, passed, title, why=""):
        self.n += 1
        self.failed += not passed
        print(f"{'ok' if passed else 'not ok'} {self.n} - {title}", flush=True)
        if not passed and why:
            print("\n".join("# " + line for line in str(why).splitlines()), flush=True)

    def equal(self, got, wanted, title):
        self.ok(got == wanted, title, f"got {got!r}, wanted {wanted!r}")

    def comment(self, text):
        print(f"# {text}", flush=True)

    def each(self, tests, *things, broken=None, needed=()):
        """Run TESTS with THINGS, or those of them that are named on the command line; the name is the title. BROKEN() shows or mends what a
        test that failed leaves. Behind one of NEEDED that failed nothing is run."""
        for test in tests:
            if sys.argv[1:] and test.__name__ not in sys.argv[1:]:
                continue
            began = time.monotonic()
            why = ""
            try:
                test(*things)
            except Exception:
                why = traceback.format_exc()
            self.ok(not why, test.__name__.replace("_", " "), why)
            self.comment(f"{time.monotonic() - began:.1f} s")
            if why and broken:
                broken()
            if why and test in needed:
                return

    def each_in_a_directory(self, tests, prefix, log):
        """Run TESTS, or those of them that are named on the command line, each with a directory of its own; of one that failed show its file LOG, too."""
        for test in tests:
            if sys.argv[1:] and test.__name__ not in sys.argv[1:]:
                continue
            with tempfile.TemporaryDirectory(prefix=prefix) as base:
                why = ""
                try:
                    test(Path(base))
                except Exception:
                    said = Path(base) / log
                    why = traceback.format_exc() + (said.read_text() if said.exists() else "")
                self.ok(not why, test.__name__.replace("_", " "), why)

    def end(self):
        """The plan; what main() returns."""
        print(f"1..{self.n}", flush=True)
        return 1 if self.failed else 0

    def run(self, tests, make):
        """Each test gets a dvsd of its own; its name is its title."""
        for test in tests:
            title = test.__name__.replace("_", " ")
            only = sys.argv[1:]
            if only and test.__name__ not in only:
                continue
            dvsd = make()
            try:
                test(dvsd)
                dvsd_status = dvsd.end()
                self.ok(dvsd_status == 0, title, f"dvsd ended with status {dvsd_status}")
            except BaseException as mistake:
                log = dvsd.log_text().decode(errors="replace")[-4000:]
                self.ok(False, title, traceback.format_exc() + log)
                dvsd.process.kill()
                dvsd.end()
                if isinstance(mistake, KeyboardInterrupt):
                    raise
        return self.end()
