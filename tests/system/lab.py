# SPDX-License-Identifier: Apache-2.0
"""A lab of several nodes for tests, made by 'dvs lab' and always removed.

    with Lab(3) as lab:
        lab.run(0, "dvs", "dc", "create", "web")        # its output; an exception if it fails
        server = lab.popen(1, ACTOR, "serve")           # server.inner: its number on the host
        lab.cut(0, 1); lab.heal(); lab.pause(2); lab.resume(2)
        lab.kill(1); lab.start(1); lab.kill(2, "dvsd"); lab.start(2)

Nodes are 0 to N-1, as in the DVS. A test with a lab needs root: requires_lab() skips it
where that is missing."""

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

SOURCE = Path(os.environ.get("DVS_SOURCE", Path(__file__).resolve().parents[2]))
BUILD = Path(os.environ.get("DVS_BUILD", SOURCE / "build"))
DVS = BUILD / "dvs"

_numbers = itertools.count()


def requires_lab():
    """Skip the whole test, in TAP, where no lab can be."""
    missing = [program for program in ("corosync", "ip", "tc")
               if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")]
    if os.geteuid() != 0:
        missing.insert(0, "root")
    if missing:
        print(f"1..0 # SKIP needs {', '.join(missing)}")
        sys.exit(0)


def wait_for(condition, what, timeout=30, interval=0.01):
    """The first true value of CONDITION()."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout} s")
        time.sleep(interval)  # what is waited for tells of itself in no other way


class LabError(RuntimeError):
    pass


class Lab:
    """OPTIONS go to 'dvs lab up'. The token is 1000 ms: on a busy machine a shorter one makes
    false changes of the membership."""

    def __init__(self, n_nodes, *options, name=None, token_ms=1000, timeout=120):
        self.n_nodes = n_nodes
        self.name = name or f"t{os.getpid()}-{next(_numbers)}"
        self.timeout = timeout
        self.programs = []
        self.options = [f"--token={token_ms}", *map(str, options)]

    # ---- its life ----

    def __enter__(self):
        # Who ends the test by a signal ends the lab, too.
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
        try:
            self.dvs("up", self.n_nodes, *self.options)
        except BaseException:
            self.down()
            raise
        self.holders = [row["holder"] for row in self.ls()]
        return self

    def __exit__(self, kind, mistake, trace):
        if kind not in (None, SystemExit):
            self.show_logs()
        self.down()

    def down(self):
        for program in self.programs:
            if program.poll() is None:
                program.kill()
            for pipe in (program.stdin, program.stdout, program.stderr):
                if pipe:
                    with contextlib.suppress(OSError):
                        pipe.close()
            program.wait()
        self.programs = []
        subprocess.run([DVS, "lab", "down", "--name", self.name], check=False,
                       stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)

    def dvs(self, command, *words):
        """Run 'dvs lab COMMAND' for this lab; its output."""
        done = subprocess.run([DVS, "lab", command, "--name", self.name, *map(str, words)],
                              check=False, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=self.timeout)
        if done.returncode != 0:
            raise LabError(done.stderr.strip() or f"dvs lab {command}: {done.returncode}")
        return done.stdout

    def ls(self):
        """What 'dvs lab ls' tells of each node, by its number."""
        return json.loads(self.dvs("ls", "-o", "json"))["nodes"]

    def show_logs(self, lines=40):
        """The ends of all nodes' logs, as comments of TAP."""
        for node in range(self.n_nodes):
            for log in ("dvsd", "corosync"):
                print(f"# ---- n{node} {log}")
                text = self.log(node, log).splitlines()[-lines:]
                print("\n".join("#   " + line for line in text), flush=True)

    # ---- inside a node ----

    @staticmethod
    def address(node):
        return f"10.86.0.{node + 1}"

    def path(self, node, inside):
        """The file of a node, for those outside."""
        return Path(f"/proc/{self.holders[node]}/root") / str(inside).lstrip("/")

    def log(self, node, name="dvsd"):
        try:
            return self.path(node, f"/var/log/{name}.log").read_text(errors="replace")
        except OSError as why:
            return str(why)

    def command(self, node, *argv):
        return [DVS, "lab", "exec", "--name", self.name, f"n{node}", "--", *map(str, argv)]

    def exec(self, node, *argv, timeout=None, **how):
        """Run a program in a node to its end; a CompletedProcess, with texts."""
        how = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True,
               "check": False} | how
        if "input" in how:
            del how["stdin"]
        return subprocess.run(self.command(node, *argv), timeout=timeout or self.timeout, **how)

    def run(self, node, *argv, **how):
        """The same for one that must succeed; its output."""
        done = self.exec(node, *argv, **how)
        if done.returncode != 0:
            raise LabError(f"n{node}: {' '.join(map(str, argv))}: status {done.returncode}: "
                           f"{done.stdout}{done.stderr}")
        return done.stdout

    def json(self, node, *words):
        """What 'dvs WORDS -o json' tells in a node."""
        return json.loads(self.run(node, "dvs", *words, "-o", "json"))

    def popen(self, node, *argv, **how):
        """Start a program in a node; it is ended with the lab. Its attribute `inner` is the
        number of the program itself, for signals from outside."""
        program = subprocess.Popen(self.command(node, *argv), **how)
        self.programs.append(program)
        children = Path(f"/proc/{program.pid}/task/{program.pid}/children")

        def inner():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                return [int(pid) for pid in children.read_text().split()] or None
            return None
        found = wait_for(lambda: inner() or program.poll() is not None, f"start {argv[0]}")
        program.inner = found[0] if isinstance(found, list) else None
        return program

    # ---- faults ----

    def cut(self, a, b, one_way=False):
        self.dvs("cut", f"n{a}", f"n{b}", *(["--one-way"] if one_way else []))

    def split(self, *sides):
        """Partition: nodes of different SIDES, lists of numbers, do not hear each other."""
        for one, other in itertools.combinations(sides, 2):
            for a, b in itertools.product(one, other):
                self.cut(a, b)

    def heal(self, *pair):
        self.dvs("heal", *(f"n{node}" for node in pair))

    def slow(self, a, b, rate_mbit):
        self.dvs("slow", f"n{a}", f"n{b}", "--rate", rate_mbit)

    def pause(self, node, process=None):
        self.dvs("pause", f"n{node}", *([process] if process else []))

    def resume(self, node, process=None):
        self.dvs("resume", f"n{node}", *([process] if process else []))

    def kill(self, node, process="all", keep=False):
        """As if its power failed, or one of dvsd, corosync, proxy."""
        self.dvs("kill", f"n{node}", process, *(["--keep"] if keep else []))

    def start(self, node):
        """Start what is not running of a node's services."""
        self.dvs("start", f"n{node}")

    # ---- what is to come ----

    def members(self, node):
        """The DVS numbers of the nodes that NODE's corosync sees, and whether it has quorum."""
        text = self.exec(node, "corosync-quorumtool", "-p").stdout
        ids = [line.split()[0] for line in text.splitlines() if line[:1] == " "
               and line.split()[0].isdigit()]
        return [int(one) - 1 for one in ids], "Quorate:          Yes" in text

    def nodes(self, node):
        """The states of all nodes as NODE's dvsd knows them, by number."""
        return {row["node"]: row["state"] for row in self.json(node, "node", "ls")["nodes"]}

    def wait_nodes(self, node, up, timeout=60):
        """Wait until NODE's dvsd takes exactly the nodes UP for up."""
        wait_for(lambda: sorted(n for n, state in self.nodes(node).items() if state == "up")
                 == sorted(up), f"n{node} takes the nodes {sorted(up)} for up", timeout, 0.05)

    def wait_members(self, node, members, timeout=60):
        """Wait until NODE's corosync sees exactly MEMBERS."""
        wait_for(lambda: self.members(node)[0] == sorted(members),
                 f"n{node} sees the nodes {sorted(members)}", timeout, 0.1)


def end(program, how=signal.SIGTERM, timeout=20):
    """End a program of Lab.popen(); its exit status."""
    if program.inner and program.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(program.inner, how)
    return program.wait(timeout)
