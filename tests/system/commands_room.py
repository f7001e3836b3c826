# SPDX-License-Identifier: Apache-2.0
"""A dvsd with an agent in a directory of its own, and 'dvs' for it, also on a terminal."""

import fcntl
import json
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import threading
import time
from pathlib import Path

from dvsd import BUILD
from lab import wait_for

DVS = BUILD / "dvs"
DEADLINE_S = 60


class Room:
    """A dvsd of our own with an agent, and 'dvs' for it."""

    def __init__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="dvsc.", dir="/tmp"))
        # The containers' root is nobody here, and must come through.
        self.dir.chmod(0o755)
        self.environ = {**os.environ, "DVS_RUN_DIR": str(self.dir / "run"), "NO_COLOR": "1",
                        "PATH": f"{BUILD}:{os.environ['PATH']}"}
        self.environ.pop("DVS_CONTROL", None)
        self.log = open(self.dir / "log", "wb")
        self.process = subprocess.Popen(
            [BUILD / "dvsd", "--run-dir", self.dir / "run", "--lib-dir", self.dir / "lib",
             "--log-level", "info"], stdin=subprocess.DEVNULL, stderr=self.log)
        wait_for(lambda: b" ready " in (self.dir / "log").read_bytes(), "dvsd is ready")

    def end(self):
        for dc in json.loads(self.dvs("dc", "ls", "-o", "json").stdout)["dcs"]:
            self.dvs("dc", "rm", "--force", dc["name"])
        self.process.terminate()
        status = self.process.wait(60)
        self.log.close()
        return status

    def remove(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def popen(self, *words, **how):
        program = subprocess.Popen([DVS, *map(str, words)], env=self.environ, **how)
        # Who reads from it does not wait for ever.
        watchdog = threading.Timer(DEADLINE_S, program.kill)
        watchdog.daemon = True
        watchdog.start()
        return program

    def dvs(self, *words, text=True, timeout=DEADLINE_S, **how):
        if "input" not in how and "stdin" not in how:
            how["stdin"] = subprocess.DEVNULL
        return subprocess.run([DVS, *map(str, words)], env=self.environ, capture_output=True,
                              text=text, check=False, timeout=timeout, **how)

    def done(self, *words, **how):
        """What it prints; it must succeed and say nothing on stderr."""
        result = self.dvs(*words, **how)
        assert result.returncode == 0 and not result.stderr, (words, result)
        return result.stdout

    def json(self, *words):
        return json.loads(self.done(*words, "-o", "json"))

    def refused(self, status, *words, **how):
        """What it says; it must end with that status and print nothing."""
        result = self.dvs(*words, **how)
        assert result.returncode == status and not result.stdout, (words, result)
        return result.stderr

    def agent(self):
        """The process number of the agent that runs now."""
        lines = [line for line in (self.dir / "log").read_text().splitlines()
                 if "agent started" in line]
        return int(lines[-1].rsplit("pid=", 1)[1])

    def programs(self, *words):
        return {program["program"]: program for program in self.json("ps", *words)["programs"]}


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, room, *words, lines=24, columns=80):
        self.seen = b""
        self.master, self.slave = pty.openpty()
        self.resize(lines, columns)
        self.before = termios.tcgetattr(self.slave)
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
            for fd in (0, 1, 2):
                os.dup2(self.slave, fd)
            os.execve(DVS, ["dvs", *map(str, words)], {**room.environ, "TERM": "xterm"})

    def resize(self, lines, columns):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, keys):
        os.write(self.master, keys)

    def wait_for(self, wanted):
        """Read until the bytes come, and take all up to their end."""
        deadline = time.monotonic() + DEADLINE_S
        while wanted not in self.seen:
            left = deadline - time.monotonic()
            ready = left > 0 and select.select([self.master], [], [], left)[0]
            assert ready, f"{wanted!r} did not come; seen: {self.seen[-2000:]!r}"
            self.seen += os.read(self.master, 65536)
            if wanted not in self.seen:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                assert not pid, f"it ended with {status}; seen: {self.seen[-2000:]!r}"
        self.seen = self.seen[self.seen.index(wanted) + len(wanted):]

    def end(self):
        """Its exit status; the terminal must be as it was."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            if select.select([self.master], [], [], 0.02)[0]:
                self.seen += os.read(self.master, 65536)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                assert termios.tcgetattr(self.slave) == self.before, "the modes are others"
                os.close(self.master)
                os.close(self.slave)
                return os.waitstatus_to_exitcode(status)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        raise AssertionError(f"it did not end; seen: {self.seen[-2000:]!r}")
