#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""dc-init as PID 1 of a PID namespace: programs, terminals, restarts, and an agent that dies."""

import fcntl
import os
import shutil
import signal
import socket
import struct
import sys
import termios
import time
import traceback
from pathlib import Path

from dc_init import (NO_RESTART, SIGKILL, SIGTERM, DcInit, Gone, Link, read_all, read_until)
from dvsd import BUILD, Failed, Tap

NULL = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
FIRST = 100


def answered(link, request):
    try:
        link.answer(request)
    except Failed as error:
        return str(error)
    return "OK"


def refused(link, op, **values):
    return answered(link, link.say(op, **values))


def start_refused(link, program, args, **values):
    try:
        link.start(program, args, **values)
    except Failed as error:
        return str(error)
    return "OK"


def a_program_runs_and_its_end_is_told(init, tap):
    link = init.link()
    tap.equal(link.boot["version"], 1, "hello tells the version")
    stdin, stdout, stderr, pid = link.start(
        FIRST, ["sh", "-c", "read line; echo got $line $A; echo oops >&2; pwd; exit 3"],
        env={"PATH": "/usr/bin:/bin", "A": "b"}, cwd="/usr/bin", kept=1)
    tap.ok(pid > 1, "the number is the container's")
    os.write(stdin, b"this\n")
    tap.equal(read_all(stdout), b"got this b\n/usr/bin\n", "stdin, environment, cwd and stdout")
    tap.equal(read_all(stderr), b"oops\n", "stderr")
    tap.equal(link.end(FIRST), 3, "its status")
    row = link.programs()[FIRST]
    tap.equal((row["state"], row["status"], row["pid"]), (2, 3 << 8, 0), "its row stays")
    tap.ok(row["ended_ns"] >= row["started_ns"] > 0, "with its times")
    tap.equal(refused(link, "start", id=FIRST, args=b"true\0", tty=1), "EXISTS",
              "its id is not given again")
    link.ask("forget", id=FIRST)
    tap.equal(link.programs(), {}, "until it is forgotten")
    link.start(FIRST + 1, ["true"])
    link.end(FIRST + 1)
    tap.equal(link.programs(), {}, "a row that is not to be kept goes by itself")


def what_cannot_run_is_told(init, tap):
    link = init.link()
    with open(init.dir / "plain", "w") as plain:
        plain.write("text")
    for title, wanted, args, values in [
            ("a program that is not in PATH", "NOTFOUND", ["no-such-program"], {}),
            ("a path that is not there", "NOTFOUND", ["/no/such"], {}),
            ("a cwd that is not there", "NOTFOUND", ["true"], {"cwd": "/no/such"}),
            ("a file that may not be executed", "DENIED", [str(init.dir / "plain")], {}),
            ("a folder", "DENIED", ["/usr"], {}),
            ("no program at all", "BADARG", [], {}),
            ("an empty name", "BADARG", [""], {})]:
        tap.equal(start_refused(link, FIRST, args, **values), wanted, title)
    tap.equal(refused(link, "start", id=FIRST, args=b"true"), "BADARG", "descriptors are missing")
    tap.equal(refused(link, "start", id=0, args=b"true\0", tty=1), "BADARG", "id 0")
    tap.equal(refused(link, "signal", id=7, signo=9), "NOTFOUND", "no such program to signal")
    tap.equal(refused(link, "take", id=7), "NOTFOUND", "nor to take")
    tap.equal(link.programs(), {}, "nothing of it stays")


def a_program_has_its_user_and_limits_and_nothing_else(init, tap):
    link = init.link()
    script = ("id -u; id -g; id -G; ulimit -n; ls -l /proc/self/fd | wc -l; "
              "grep -E '^(SigBlk|SigIgn|NoNewPrivs)' /proc/self/status | cut -f2; "
              "ps -o sid= -p $$ | tr -d ' '; umask")
    _, stdout, _, pid = link.start(FIRST, ["sh", "-c", script], uid=65534, gid=1234,
                                   groups=[5, 6],
                                   rlimits=[{"which": 7, "soft": 100, "hard": 200}])
    got = read_all(stdout).decode().split("\n")
    tap.equal(got[:4], ["65534", "1234", "1234 5 6", "100"], "its ids and its limit")
    # total, 0, 1, 2 and the folder itself
    tap.equal(got[4], "5", "no descriptor but its three")
    tap.equal(got[5:7], ["0" * 16, "0" * 16], "no signal blocked or ignored")
    tap.equal(got[8:10], [str(pid), "0022"], "its own session")
    link.end(FIRST)
    _, stdout, _, _ = link.start(FIRST + 1, ["sh", "-c", "ulimit -n"],
                                 rlimits=[{"which": 7, "soft": 1 << 40, "hard": 1 << 40}])
    tap.ok(int(read_all(stdout)) > 0, "a limit above what may be had is cut")
    link.end(FIRST + 1)


def a_terminal_is_a_terminal(init, tap):
    link = init.link()
    master, _ = link.terminal(FIRST, ["sh", "-c", "tty; stty size; read a; stty size; "
                                      "trap 'echo int; exit 5' INT; echo go; "
                                      "while :; do sleep 0.1; done"], kept=1)
    first = read_until(master, b"24 80")
    tap.ok(b"/dev/pts/" in first, "it has a name and its size", first)
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 132, 0, 0))
    os.write(master, b"\n")
    tap.ok(b"50 132" in read_until(master, b"go"), "its size can be changed")
    os.write(master, b"\x03")
    tap.ok(b"int" in read_all(master), "^C is SIGINT: the terminal is its controlling one")
    tap.equal(link.end(FIRST), 5, "its status")
    taken, fds = link.answer(link.say("take", id=FIRST))
    tap.equal((taken["tty"], len(fds)), (1, 1), "its master is kept until it is forgotten")
    link.ask("forget", id=FIRST)


def signals_reach_whom_they_are_for(init, tap):
    link = init.link()
    script = "trap 'exit 7' USR1; sleep 1000 & echo $!; wait"
    _, stdout, _, _ = link.start(FIRST, ["sh", "-c", script])
    read_until(stdout, b"\n")
    link.ask("signal", id=FIRST, signo=signal.SIGUSR1)
    tap.equal(link.end(FIRST), 7, "a signal for the program")
    _, stdout, _, _ = link.start(FIRST + 1, ["sh", "-c", "echo a; sleep 1000; echo b"])
    read_until(stdout, b"a\n")
    link.ask("signal", id=FIRST + 1, signo=SIGKILL, group=1)
    tap.equal((link.end(FIRST + 1), read_all(stdout)), (-9, b""), "one for its group")
    for program in range(FIRST + 2, FIRST + 5):
        link.start(program, ["sleep", "1000"], kept=1)
    link.ask("signal", id=0, signo=SIGTERM)
    tap.equal([link.end(FIRST + n) for n in (2, 3, 4)], [-15] * 3, "one for all")
    tap.equal(refused(link, "signal", id=FIRST + 2, signo=9), "BADSTATE",
              "who has ended gets none")


def stop_ends_what_a_program_started(init, tap):
    link = init.link()
    script = "trap '' TERM; setsid sleep 1000 & sh -c 'sleep 1001; true' & echo $$; wait; wait"
    _, stdout, _, _ = link.start(FIRST, ["sh", "-c", script], restart=2, kept=1)
    read_until(stdout, b"\n")
    before = time.monotonic()
    link.ask("stop", id=FIRST, signo=SIGTERM, grace_ms=300)
    event = link.event("exited", FIRST)
    tap.equal((event["status"], event["restart_ms"]), (9, NO_RESTART),
              "who does not end is killed, and not started again")
    tap.ok(time.monotonic() - before >= 0.3, "not before its time")
    _, out, _, _ = link.start(FIRST + 1, ["sh", "-c", "ps -eo args= | grep -c '^sleep 100[1]'"])
    tap.equal(read_all(out), b"0\n", "nothing of its session is left")
    link.end(FIRST + 1)
    # A child that ignores the signal does not outlive the program that obeys.
    script = "sh -c 'trap \"\" TERM; echo a; sleep 1002' & read x; wait"
    _, stdout, _, _ = link.start(FIRST + 2, ["sh", "-c", script])
    read_until(stdout, b"a\n")
    link.ask("stop", id=FIRST + 2, signo=SIGTERM, grace_ms=60000)
    link.end(FIRST + 2)
    tap.equal(read_all(stdout), b"", "what the program left goes with it")
    tap.equal(refused(link, "stop", id=FIRST, signo=15), "BADSTATE", "it can be stopped once")


def a_program_is_started_again_with_back_off(init, tap):
    link = init.link()
    _, stdout, _, _ = link.start(FIRST, ["sh", "-c", "echo again; exit 1"], restart=1, retries=3,
                                 backoff_ms=50, kept=1)
    seen = []
    for n in range(4):
        event = link.event("exited", FIRST)
        seen.append(event["restart_ms"])
        if n < 3:
            told = link.event("started", FIRST)
            tap.equal((told["err"], told["restarts"]), (0, n + 1), f"start {n + 1} is told")
    tap.equal(seen, [50, 100, 200, NO_RESTART], "each time later, and so often at most")
    tap.equal(read_all(stdout), b"again\n" * 4, "to the same output, which then ends")
    tap.equal(link.programs()[FIRST]["restarts"], 3, "its row counts them")
    link.start(FIRST + 1, ["true"], restart=1, backoff_ms=1)
    tap.equal(link.event("exited", FIRST + 1)["restart_ms"], NO_RESTART,
              "on failure is not on success")
    link.start(FIRST + 2, ["true"], restart=2, backoff_ms=60000, kept=1)
    tap.equal(link.event("exited", FIRST + 2)["restart_ms"], 60000, "always is")
    tap.equal(link.programs()[FIRST + 2]["state"], 3, "meanwhile it waits")
    link.ask("stop", id=FIRST + 2, signo=15)
    tap.equal(link.event("exited", FIRST + 2)["restart_ms"], NO_RESTART, "stop ends that, too")
    master, _ = link.terminal(FIRST + 3, ["sh", "-c", "echo tty; read x; exit 1"], restart=2,
                              retries=1, backoff_ms=1)
    tap.ok(b"tty" in read_until(master, b"tty"), "a terminal's first time")
    os.write(master, b"\n")
    link.event("started", FIRST + 3)
    tap.ok(b"tty" in read_until(master, b"tty"), "and its second, in the same terminal")
    os.write(master, b"\n")
    tap.equal([link.event("exited", FIRST + 3)["restart_ms"] for _ in range(2)], [1, NO_RESTART],
              "there is no third")


def a_program_that_is_gone_when_it_is_to_start_again(init, tap):
    link = init.link()
    program = init.dir / "once"
    program.write_text("#!/bin/sh\nrm $0\nexit 1\n")
    program.chmod(0o755)
    link.start(FIRST, [str(program)], restart=1, retries=2, backoff_ms=1, kept=1)
    tap.equal(link.event("exited", FIRST)["status"], 1 << 8, "first it ends by itself")
    told = link.event("started", FIRST)
    tap.equal(told["err"], 25, "then it is not found")
    tap.equal(link.event("exited", FIRST)["status"], 127 << 8, "which counts as an end")
    link.event("started", FIRST)
    tap.equal(link.event("exited", FIRST)["restart_ms"], NO_RESTART, "until it is given up")


def orphans_are_reaped(init, tap):
    link = init.link()
    script = "for i in $(seq 50); do (setsid true &); done; sleep 0.2"
    link.start(FIRST, ["sh", "-c", script])
    tap.equal(link.end(FIRST), 0, "it leaves 50 orphans")
    deadline = time.monotonic() + 20
    zombies = -1
    program = FIRST
    while zombies != 0 and time.monotonic() < deadline:
        program += 1
        _, out, _, _ = link.start(program, ["sh", "-c", "ps -eo stat= | grep -c ^Z; true"])
        zombies = int(read_all(out))
        link.end(program)
    tap.equal(zombies, 0, "and none stays a zombie")


def a_thousand_short_programs(init, tap):
    link = init.link()
    before = len(os.listdir(f"/proc/{init.pid()}/fd"))
    started = time.monotonic()
    for first in range(FIRST, FIRST + 1000, 50):
        asked = [link.say("start", [NULL] * 3, id=program, args=b"/bin/true\0", kept=1)
                 for program in range(first, first + 50)]
        for request in asked:
            link.answer(request)
    tap.equal([link.end(FIRST + n) for n in range(1000)], [0] * 1000, "all ran and ended")
    tap.comment(f"1000 programs: {(time.monotonic() - started) * 1000:.0f} us each")
    tap.equal(len(link.programs()), 1000, "their rows are listed")
    for n in range(24):
        link.ask("start", [NULL] * 3, id=5000 + n, args=b"/bin/true\0", kept=1)
    tap.equal(refused(link, "start", fds=[NULL] * 3, id=6000, args=b"/bin/true\0"), "FULL",
              "the table is bounded")
    for n in range(24):
        link.end(5000 + n)
    for program in link.programs():
        link.ask("forget", id=program)
    tap.equal(len(os.listdir(f"/proc/{init.pid()}/fd")), before, "no descriptor is left")


def an_agent_that_dies_loses_nothing(init, tap):
    link = init.link()
    script = "for i in $(seq 1 20); do echo line $i; sleep 0.02; done; read x; echo $x; exit 9"
    fds = link.start(FIRST, ["sh", "-c", script], kept=1, give=True)
    read_until(fds[1], b"line 1\n")
    second = link.start(FIRST + 1, ["sh", "-c", "sleep 0.2; exit 4"], kept=1)
    # The agent is killed: its socket and its descriptors close.
    link.close()
    for fd in (*fds[:3], *second[:3]):
        os.close(fd)
    link = init.link()
    tap.equal(link.boot["programs"], 2, "the next one hears how many there are")
    tap.equal(sorted(link.programs()), [FIRST, FIRST + 1], "and which")
    taken, ends = link.answer(link.say("take", id=FIRST))
    tap.equal((taken["tty"], len(ends)), (0, 3), "takes its descriptors")
    tap.ok(b"line 20\n" in read_until(ends[1], b"line 20\n"), "reads on")
    os.write(ends[0], b"end\n")
    tap.equal((read_all(ends[1]), link.end(FIRST)), (b"end\n", 9), "and writes")
    tap.equal(refused(link, "take", id=FIRST + 1), "BADSTATE", "nothing was given for the other")
    deadline = time.monotonic() + 20
    while link.programs()[FIRST + 1]["state"] == 1 and time.monotonic() < deadline:
        link.event("exited", FIRST + 1)
    tap.equal(link.programs()[FIRST + 1]["status"], 4 << 8, "whose status is not lost")


def a_new_connection_takes_the_place_of_the_old_one(init, tap):
    first = init.link()
    second = init.link()
    try:
        first.receive()
        ended = False
    except Gone:
        ended = True
    tap.ok(ended, "the old one ends")
    tap.equal(second.programs(), {}, "the new one works")


def garbage_does_no_harm(init, tap):
    for title, data in [("three bytes", b"abc"), ("id 0", struct.pack("<III", 1, 0, 0)),
                        ("an error", struct.pack("<III", 1, 1, 5)),
                        ("a frame that is too long", b"\1\0\0\0" * 49153)]:
        link = init.link()
        link.send_raw(data)
        try:
            link.receive()
            ended = False
        except Gone:
            ended = True
        tap.ok(ended, f"{title}: the connection ends")
    link = Link(init.path, hello=False)
    tap.equal(refused(link, "list", cursor=0), "PROTO", "nothing before hello")
    tap.equal(refused(link, "hello", version=99), "PROTO", "another version")
    link.ask("hello", version=1)
    for n, (number, body) in enumerate([(2, b""), (2, b"\xff" * 300), (3, b"1"), (99, b""),
                                        (32, b""), (6, b"123456789")]):
        link.send_raw(struct.pack("<III", number, 1000 + n, 0) + body, [NULL] * 3)
        name, frame_id, error, _, _ = link.receive()
        tap.equal((frame_id, error), (1000 + n, "PROTO"), f"operation {number}, malformed")
    link.send_raw(struct.pack("<III", 6, 1, 0) + bytes(8), [NULL] * 200)
    tap.equal(link.receive()[2], "FULL", "200 descriptors")
    # Closed after the answer, and before the next one.
    link.ask("list", cursor=0)
    before = len(os.listdir(f"/proc/{init.pid()}/fd"))
    for _ in range(100):
        refused(link, "signal", fds=[NULL] * 6, id=7, signo=9)
    link.ask("list", cursor=0)
    tap.equal(len(os.listdir(f"/proc/{init.pid()}/fd")), before, "descriptors do not pile up")


def nobody_inside_is_heard(init, tap):
    link = init.link()
    script = """
import os, socket, signal, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect(sys.argv[1])
try:
    s.send(b"\\1\\0\\0\\0\\1\\0\\0\\0\\0\\0\\0\\0\\1\\0\\0\\0")
    print("answer", s.recv(100))
except OSError as e:
    print("answer", b"")
for number in range(1, 65):
    try:
        os.kill(1, number)
    except OSError:
        pass
for what in ("/proc/1/fd", "/proc/1/mem"):
    try:
        open(what) if what.endswith("mem") else os.listdir(what)
        print("open")
    except OSError:
        print("closed")
"""
    os.chmod(init.dir, 0o755)
    os.chmod(init.path, 0o777)
    _, stdout, stderr, _ = link.start(FIRST, ["python3", "-c", script, init.path], uid=65534)
    tap.equal(read_all(stdout) + read_all(stderr), b"answer b''\nclosed\nclosed\n",
              "the socket, and dc-init itself")
    link.end(FIRST)
    _, stdout, _, _ = link.start(FIRST + 1, ["python3", "-c", script, init.path])
    tap.ok(read_all(stdout).startswith(b"answer b''\n"), "nor is who is root there")
    link.end(FIRST + 1)
    link.start(FIRST + 2, ["true"])
    tap.equal(link.end(FIRST + 2), 0, "after all signals from inside it goes on")


def who_does_not_read_is_dropped_and_harms_nobody(init, tap):
    link = init.link()
    link.start(FIRST, ["sh", "-c", "read x; exit 3"], kept=1, give=True)
    sent = 0
    link.sock.settimeout(2)
    try:
        for sent in range(1000000):
            link.say("list", cursor=0)
    except (TimeoutError, BlockingIOError, BrokenPipeError, ConnectionResetError):
        pass
    tap.ok(sent > 0, f"it does not read, and after {sent} requests no more is taken")
    link = init.link()
    tap.equal(sorted(link.programs()), [FIRST], "the next one is served")


def all_ends_when_it_is_told_to(init, tap):
    link = init.link()
    link.start(FIRST, ["sleep", "1000"], kept=1)
    link.start(FIRST + 1, ["true"], restart=2, backoff_ms=60000, kept=1)
    link.event("exited", FIRST + 1)
    link.ask("shutdown", grace_ms=60000)
    tap.equal(link.event("exited", FIRST)["status"], 15, "programs get SIGTERM")
    tap.equal(init.process.wait(WAIT), 0, "then dc-init ends")


def all_ends_in_time(init, tap):
    link = init.link()
    _, stdout, _, _ = link.start(FIRST, ["sh", "-c", "trap '' TERM; echo a; read x; sleep 1000"])
    read_until(stdout, b"a")
    before = time.monotonic()
    # In one go: after the grace nobody is there who could refuse.
    told = link.say("shutdown", grace_ms=300)
    asked = link.say("start", [NULL] * 3, id=FIRST + 1, args=b"/bin/true\0")
    link.answer(told)
    tap.equal(answered(link, asked), "BADSTATE", "nothing is started any more")
    tap.equal(init.process.wait(WAIT), 0, "who does not end is killed")
    tap.ok(time.monotonic() - before >= 0.3, "after the grace")


def sigterm_from_outside_is_a_shutdown(init, tap):
    link = init.link()
    link.start(FIRST, ["sleep", "1000"], kept=1)
    os.kill(init.pid(), SIGTERM)
    tap.equal(init.process.wait(WAIT), 0, "it ends")


def an_empty_root_is_enough(init, tap):
    link = init.link()
    _, stdout, _, _ = link.start(FIRST, ["sh", "-c", "echo hello; exit 2"], env={"PATH": ":/bin"})
    tap.equal((read_all(stdout), link.end(FIRST)), (b"hello\n", 2), "a program runs")
    tap.equal(refused(link, "start", id=9, tty=1, args=b"/bin/sh\0"), "NOTFOUND",
              "without /dev/ptmx there is no terminal")
    _, stdout, _, _ = link.start(FIRST + 1, ["sh", "-c", "echo a; sleep 100; true"])
    read_until(stdout, b"a\n")
    link.ask("stop", id=FIRST + 1, signo=SIGTERM, grace_ms=60000)
    tap.equal((link.end(FIRST + 1), read_all(stdout)), (-15, b""), "and stops without /proc")


WAIT = 60
TESTS = [a_program_runs_and_its_end_is_told, what_cannot_run_is_told,
         a_program_has_its_user_and_limits_and_nothing_else, a_terminal_is_a_terminal,
         signals_reach_whom_they_are_for, stop_ends_what_a_program_started,
         a_program_is_started_again_with_back_off,
         a_program_that_is_gone_when_it_is_to_start_again, orphans_are_reaped,
         a_thousand_short_programs, an_agent_that_dies_loses_nothing,
         a_new_connection_takes_the_place_of_the_old_one, garbage_does_no_harm,
         nobody_inside_is_heard, who_does_not_read_is_dropped_and_harms_nobody,
         all_ends_when_it_is_told_to, all_ends_in_time, sigterm_from_outside_is_a_shutdown]


def empty_root():
    root = Path(f"/tmp/dvs-init-root.{os.getpid()}")
    (root / "bin").mkdir(parents=True)
    shutil.copy(BUILD / "dc-init", root)
    shutil.copy("/bin/busybox", root / "bin/sh")
    os.link(root / "bin/sh", root / "bin/sleep")
    return root


def run(tap, test, root=None):
    if sys.argv[1:] and test.__name__ not in sys.argv[1:]:
        return
    tap.comment(test.__name__.replace("_", " "))
    init = DcInit(root)
    try:
        test(init, tap)
    except (Exception, AssertionError):
        tap.ok(False, test.__name__, traceback.format_exc())
    finally:
        init.close()


def main():
    if os.getuid() != 0:
        print("1..0 # SKIP needs root")
        return 0
    tap = Tap()
    for test in TESTS:
        run(tap, test)
    if Path("/bin/busybox").exists():
        root = empty_root()
        run(tap, an_empty_root_is_enough, root)
        shutil.rmtree(root)
    print(f"1..{tap.n}")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
