# SPDX-License-Identifier: Apache-2.0
"""Members of groups that obey: tests/lib/group_actor.c, on this machine or in a node of a lab."""

import contextlib
import os
import queue
import subprocess
import threading
import time

from dvsd import BUILD

PROGRAM = BUILD / "tests/system/group-actor"


class Actor:
    """Start it, and wait until it has joined. Its lines are read by a thread: `state` is (count, hash) of the messages it has had,
    `members` those of its last view."""

    def __init__(self, dvsd, ep, group, argv=None, environment=None):
        self.ep = ep
        self.lines = queue.Queue()
        self.kept = []
        self.members, self.state, self.views = [], (0, 0), []
        self.process = subprocess.Popen(
            argv or [PROGRAM, str(ep), group], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
            env=environment or {**os.environ, "DVS_CONTROL": str(dvsd.control("a"))})
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        joined = self.expect("joined", timeout=30)
        if joined[0] != "OK":
            raise RuntimeError(f"{ep} did not join: {joined[0]}")

    @property
    def count(self):
        return self.state[0]

    def _read(self):
        for line in self.process.stdout:
            word, *rest = line.split()
            if word in ("message", "state"):
                self.state = (int(rest[0]), int(rest[1]))
            if word == "view":
                self.members = rest[1:]
            self.lines.put((word, rest))
        self.lines.put(("end", []))

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def expect(self, word, timeout=20):
        """What follows WORD in the next line that begins with it."""
        deadline = time.monotonic() + timeout
        for i, (got, rest) in enumerate(self.kept):
            if got == word:
                del self.kept[i]
                return rest
        while True:
            try:
                got, rest = self.lines.get(timeout=max(0.001, deadline - time.monotonic()))
            except queue.Empty:
                raise TimeoutError(f"{self.ep}: no '{word}' within {timeout} s; "
                                   f"the last lines: {self.kept[-5:]}") from None
            if got == word:
                return rest
            self.kept.append((got, rest))
            if got == "end":
                raise EOFError(f"{self.ep} ended before '{word}': {self.kept[-5:]}")

    def kill(self):
        self.process.kill()
        self._close()

    def end(self):
        with contextlib.suppress(OSError):
            self.tell("leave")
        self._close()

    def _close(self):
        self.process.wait(20)
        self.reader.join(20)
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()


def wait_for(condition, what, timeout=60):
    """The first true value of CONDITION(). What is waited for is told by the actors' readers."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout} s")
        time.sleep(0.005)
