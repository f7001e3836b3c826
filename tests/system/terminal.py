#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Run a full-screen program on a terminal of its own, do something to it, and see that it gives
the terminal back as it was.

usage: terminal.py key|interrupt|terminate|resize|stop COMMAND...
"""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

DEADLINE_S = 20
SCREEN_BEGIN = b"\033[?1049h"
SCREEN_END = b"\033[?1049l"
CURSOR_BACK = b"\033[?25h"


def fail(why):
    print(why)
    sys.exit(1)


class Screen:
    def __init__(self, command, lines=24, columns=80):
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
            os.environ["TERM"] = "xterm"
            os.execvp(command[0], command)

    def resize(self, lines, columns):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def wait_for(self, wanted, start=0):
        """Read until the bytes come; returns where they begin."""
        deadline = time.monotonic() + DEADLINE_S
        while wanted not in self.seen[start:]:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.master], [], [], left)[0]:
                fail(f"{wanted!r} did not come; seen: {self.seen[-2000:]!r}")
            self.seen += os.read(self.master, 65536)
        return self.seen.index(wanted, start)

    def wait_for_end(self):
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            if select.select([self.master], [], [], 0.02)[0]:
                self.seen += os.read(self.master, 65536)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        return fail("it did not end")

    def check_given_back(self):
        if termios.tcgetattr(self.slave) != self.before:
            fail("the modes of the terminal are not as they were")
        if not self.seen.rindex(SCREEN_END) > self.seen.rindex(SCREEN_BEGIN):
            fail("the other screen is still on")
        if not self.seen.rindex(CURSOR_BACK) > self.seen.rindex(SCREEN_BEGIN):
            fail("the cursor is still hidden")

    def finish(self):
        status = self.wait_for_end()
        if status != 0:
            fail(f"it ended with {status}; seen: {self.seen[-2000:]!r}")
        self.check_given_back()


def act_resize(screen):
    screen.resize(10, 33)
    os.kill(screen.pid, signal.SIGWINCH)
    start = len(screen.seen)
    # The first whole frame of the new size: behind the end of the one that was being drawn.
    start = screen.wait_for(b"\033[J", start) + len(b"\033[J")
    end = screen.wait_for(b"\033[J", start)
    frame = screen.seen[start:end].rsplit(b"\033[H", 1)[-1]
    lines = re.sub(rb"\033\[[0-9;?]*[A-Za-z]", b"", frame).split(b"\r\n")
    if len(lines) != 10 or max(map(len, lines)) > 33:
        fail(f"the frame does not fit 10 lines of 33: {lines}")
    os.write(screen.master, b"q")


def act_stop(screen):
    os.write(screen.master, b"\032")
    screen.wait_for(SCREEN_END)
    deadline = time.monotonic() + DEADLINE_S
    while os.waitpid(screen.pid, os.WUNTRACED | os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            fail("Ctrl-Z did not stop it")
        time.sleep(0.01)
    screen.check_given_back()
    start = len(screen.seen)
    os.kill(screen.pid, signal.SIGCONT)
    screen.wait_for(SCREEN_BEGIN, start)
    os.write(screen.master, b"q")


def main():
    act, command = sys.argv[1], sys.argv[2:]
    screen = Screen(command)
    # The line of keys is the last of the first frame.
    screen.wait_for(b"q quit")
    if act == "key":
        os.write(screen.master, b"e\033[Bdq")
    elif act == "interrupt":
        os.write(screen.master, b"\003")
    elif act == "terminate":
        os.kill(screen.pid, signal.SIGTERM)
    elif act == "resize":
        act_resize(screen)
    elif act == "stop":
        act_stop(screen)
    else:
        fail(f"unknown: {act}")
    screen.finish()


if __name__ == "__main__":
    main()
