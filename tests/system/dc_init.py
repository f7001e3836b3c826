# SPDX-License-Identifier: Apache-2.0
"""Starts a dc-init as PID 1 of a PID namespace and speaks its protocol to it, from its TOML file."""

import array
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import tomllib
from pathlib import Path

from dvsd import BUILD, ERROR_NAMES, SOURCE, Failed, get, put

PROTOCOL = tomllib.loads((SOURCE / "src/proto/init.toml").read_text())
STRUCTS = {name: s["fields"] for name, s in PROTOCOL["struct"].items()}
OPS = PROTOCOL["op"]
BY_NUMBER = {op["number"]: name for name, op in OPS.items()}
NO_RESTART = 0xFFFFFFFF
WAIT_S = 60


def strings(texts):
    return b"".join(text.encode() + b"\0" for text in texts)


class Gone(Exception):
    """dc-init has ended the connection."""


class Link:
    """One connection. Events are put aside until somebody waits for them."""

    def __init__(self, path, hello=True):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.connect(path)
        self.last, self.events, self.answers = 0, [], {}
        if hello:
            self.boot = self.ask("hello", version=1)

    def send_raw(self, data, fds=()):
        beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.sock.sendmsg([data], beside)

    def say(self, op, fds=(), **values):
        self.last += 1
        head = struct.pack("<III", OPS[op]["number"], self.last, 0)
        self.send_raw(head + put(OPS[op]["request"], values, STRUCTS), fds)
        return self.last

    def receive(self, timeout=WAIT_S):
        """(name, id, error, body, descriptors)"""
        if not select.select([self.sock], [], [], timeout)[0]:
            raise TimeoutError("dc-init says nothing")
        try:
            data, beside, _, _ = self.sock.recvmsg(200000, 256)
        except ConnectionResetError:
            data = b""
        if not data:
            raise Gone
        fds = array.array("i")
        for _, _, part in beside:
            fds.frombytes(part[:len(part) - len(part) % fds.itemsize])
        number, frame_id, err = struct.unpack_from("<III", data)
        name = BY_NUMBER.get(number, number)
        body = {}
        if err == 0 and name in OPS:
            fields = OPS[name]["reply" if frame_id else "request"]
            body, end = get(fields, data, 12, STRUCTS)
            assert end == len(data), f"{name}: {len(data) - end} bytes too many"
        return name, frame_id, ERROR_NAMES[err], body, list(fds)

    def answer(self, wanted):
        """The reply to request WANTED; (body, descriptors)."""
        while wanted not in self.answers:
            name, frame_id, error, body, fds = self.receive()
            if frame_id == 0:
                self.events.append((name, body))
            else:
                self.answers[frame_id] = (error, body, fds)
        error, body, fds = self.answers.pop(wanted)
        if error != "OK":
            raise Failed(error)
        return body, fds

    def ask(self, op, fds=(), **values):
        return self.answer(self.say(op, fds, **values))[0]

    def event(self, name, program):
        """The oldest event NAME of PROGRAM that has not been asked for."""
        deadline = time.monotonic() + WAIT_S
        while True:
            for n, (kind, body) in enumerate(self.events):
                if kind == name and body["id"] == program:
                    del self.events[n]
                    return body
            kind, frame_id, _, body, _ = self.receive(max(deadline - time.monotonic(), 0))
            assert frame_id == 0, "an answer that nobody waits for"
            self.events.append((kind, body))

    def start(self, program, args, **values):
        """Start it with pipes; returns (stdin to write, stdout and stderr to read, pid)."""
        env = values.pop("env", {"PATH": "/usr/bin:/bin"})
        given = values.pop("give", False)
        pipes = [os.pipe() for _ in range(3)]
        near = [pipes[0][0], pipes[1][1], pipes[2][1]]
        far = [pipes[0][1], pipes[1][0], pipes[2][0]]
        try:
            pid = self.ask("start", near + (far if given else []), id=program, args=strings(args),
                           env=strings(f"{k}={v}" for k, v in env.items()), **values)["pid"]
        except Failed:
            for fd in far:
                os.close(fd)
            raise
        finally:
            for fd in near:
                os.close(fd)
        return *far, pid

    def terminal(self, program, args, **values):
        """Start it in a terminal; returns (master, pid)."""
        values = {"rows": 24, "cols": 80, **values}
        body, fds = self.answer(self.say("start", id=program, args=strings(args), tty=1,
                                         env=strings(["PATH=/usr/bin:/bin", "TERM=xterm"]),
                                         **values))
        return fds[0], body["pid"]

    def end(self, program):
        """The status that PROGRAM ends with."""
        return os.waitstatus_to_exitcode(self.event("exited", program)["status"])

    def programs(self):
        found, cursor = [], 0
        while more := self.ask("list", cursor=cursor)["programs"]:
            found += more
            cursor = more[-1]["id"]
        return {program["id"]: program for program in found}

    def close(self):
        self.sock.close()


class DcInit:
    """A dc-init in a PID namespace of its own; ROOT: its root file system, else the host's."""

    def __init__(self, root=None):
        self.dir = Path(tempfile.mkdtemp(prefix="dvs-init."))
        self.path = str(self.dir / "socket")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(self.path)
        listener.listen(4)
        inside = f"exec {BUILD}/dc-init" if root is None else f"exec chroot {root} /dc-init"
        mounts = "--mount-proc" if root is None else "--mount"
        # The shell gives the listener the number that dc-init expects.
        self.process = subprocess.Popen(
            ["sh", "-c", f"exec 3<&{listener.fileno()}; exec unshare --pid --fork "
             f"--kill-child {mounts} sh -c '{inside}'"],
            pass_fds=[listener.fileno()], stdin=subprocess.DEVNULL)
        listener.close()

    def link(self, **options):
        return Link(self.path, **options)

    def pid(self):
        """Of dc-init, on the host."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return int(children.split()[0])

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir)


def read_all(fd):
    """What comes until the end of FD; of a terminal, until nobody has it open."""
    data = b""
    while True:
        assert select.select([fd], [], [], WAIT_S)[0], f"no end after {data!r}"
        try:
            part = os.read(fd, 65536)
        except OSError:
            part = b""
        if not part:
            return data
        data += part


def read_until(fd, wanted):
    data = b""
    while wanted not in data:
        assert select.select([fd], [], [], WAIT_S)[0], f"no {wanted!r} after {data!r}"
        part = os.read(fd, 65536)
        assert part, f"no {wanted!r} but the end after {data!r}"
        data += part
    return data


SIGKILL, SIGTERM = signal.SIGKILL, signal.SIGTERM
