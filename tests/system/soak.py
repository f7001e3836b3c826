#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A long run in a lab: clients on all nodes call servers on all nodes, and check every reply and
every number, while nodes and processes are killed and paused and connections cut, at random.

Nothing may be lost, doubled or misdelivered, ever. While it is calm no call may fail: and it is
calm also while something is cut or stopped for less than it takes to be noticed, and while
dvs-proxy or dvsd is killed. After everything else all must find together again by itself.

usage: soak.py [--seconds N] [--seed N] [--faults LIST]   (or SOAK_SECONDS, SOAK_SEED, SOAK_FAULTS)
The actors are tests/fault/soak_actor.c."""

import argparse
import mmap
import os
import random
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import hung
from dvsd import Tap
from lab import BUILD, SOURCE, Lab, LabError, requires_lab, wait_for

ACTOR = BUILD / "tests/fault/soak-actor"
CONTROL = "/run/dvs/dc/soak/control"
NODES = 3
CLIENTS = 2  # on each node
RECOVERY_S = 60
STUCK_S = 25
ERROR_NAMES = {int(number): name for name, number in re.findall(
    r"^X\((\w+), (\d+),", (SOURCE / "include/dvs/errors.def").read_text(), re.M)}


class Failure(AssertionError):
    """HUNG: the process whose call does not end."""

    def __init__(self, text, hung_pid=None):
        super().__init__(text)
        self.hung_pid = hung_pid


class Board:
    """struct board of soak_actor.c."""

    ERRORS, CLIENTS, SERVERS = 64, 4096, 8
    STOP, CALM, FAILURES, N_CLIENTS, N_UPSETS, N_ERRORS = 0, 8, 16, 24, 32, 40
    FAILURE = N_ERRORS + ERRORS * 8
    UPSET = FAILURE + 512
    SEATS = UPSET + 512
    SEAT = struct.Struct("<5Q")  # endpoint, call, since, done, failed
    PAIRS = SEATS + CLIENTS * SEAT.size
    PAIR = struct.Struct("<4Q")  # executed, sent, withdrawn, notes
    SIZE = PAIRS + CLIENTS * SERVERS * PAIR.size

    def __init__(self, path):
        with open(path, "w+b") as file:
            file.truncate(self.SIZE)
            self.memory = mmap.mmap(file.fileno(), self.SIZE)

    def get(self, at):
        return struct.unpack_from("<Q", self.memory, at)[0]

    def set(self, at, value):
        struct.pack_into("<Q", self.memory, at, value)

    def text(self, at):
        return self.memory[at:at + 512].split(b"\0")[0].decode(errors="replace")

    def errors(self):
        counts = {ERROR_NAMES.get(i, i): self.get(self.N_ERRORS + 8 * i)
                  for i in range(self.ERRORS)}
        return {name: count for name, count in counts.items() if count}

    def seat(self, client):
        return self.SEAT.unpack_from(self.memory, self.SEATS + client * self.SEAT.size)

    def executed(self, client, server):
        at = self.PAIRS + (client * self.SERVERS + server) * self.PAIR.size
        return self.PAIR.unpack_from(self.memory, at)[0]


class Soak:
    def __init__(self, lab, seed, tap, directory):
        self.lab, self.tap = lab, tap
        self.rng = random.Random(seed)
        self.path = directory / "board"
        self.board = Board(self.path)
        self.directory = directory
        self.servers = {}   # node -> program
        self.clients = {}   # number on the board -> (node, program)
        self.paused = set()
        self.views = []     # how many each dvsd had when it became calm
        self.n_false = 0    # how often that changed without a fault that should
        self.began = time.monotonic()

    # ---- the actors ----

    def start_actor(self, node, *words):
        with open(self.directory / "actors.log", "ab") as log:
            return self.lab.popen(node, ACTOR, self.path, CONTROL, *words,
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def start_node(self, node):
        self.servers[node] = self.start_actor(node, "server", node)
        for _ in range(CLIENTS):
            number = self.board.get(Board.N_CLIENTS)
            program = self.start_actor(node, "client", NODES, self.rng.getrandbits(32))
            wait_for(lambda n=number: self.board.get(Board.N_CLIENTS) > n, "a client comes")
            self.clients[number] = (node, program)

    def forget_node(self, node):
        """Its actors were killed with it."""
        self.servers.pop(node).wait(20)
        for number in [n for n, (at, _) in self.clients.items() if at == node]:
            self.clients.pop(number)[1].wait(20)

    def calm(self, on):
        if self.board.get(Board.CALM) % 2 != on:
            self.board.set(Board.CALM, self.board.get(Board.CALM) + 1)
        if on:
            self.views = self.count_views()
            self.board.set(Board.N_UPSETS, 0)

    def count_views(self):
        return [self.lab.log(node).count("a view of the cluster") for node in range(NODES)]

    def look_at_board(self):
        if self.board.get(Board.FAILURES):
            raise Failure(self.board.text(Board.FAILURE))
        if not self.board.get(Board.N_UPSETS) or self.board.get(Board.CALM) % 2 == 0:
            return
        # On a machine that is too busy corosync may take a node for dead that is not. Then
        # calls fail, as they must.
        if self.count_views() == self.views:
            raise Failure("while it was calm: " + self.board.text(Board.UPSET))
        self.tap.comment("a node was taken for dead, so it is not calm")
        self.n_false += 1
        self.calm(False)

    def look(self):
        """Raise what has gone wrong."""
        self.look_at_board()
        actors = [(f"the server of n{node}", program) for node, program in self.servers.items()]
        actors += [(f"client {number} of n{node}", program)
                   for number, (node, program) in self.clients.items()]
        for name, program in actors:
            if program.poll() is not None:
                raise Failure(f"{name} ended with status {program.returncode}")
        now = time.monotonic_ns()
        for number, (node, program) in self.clients.items():
            since = self.board.seat(number)[2]
            if node not in self.paused and since and now - since > STUCK_S * 1e9:
                raise Failure(f"client {number} of n{node} has been in call "
                              f"{self.board.seat(number)[1]} for {(now - since) / 1e9:.1f} s",
                              program.inner)

    def rest(self, span):
        """Let time pass: faults come at random moments, and last."""
        until = time.monotonic() + span
        while time.monotonic() < until:
            self.look()
            time.sleep(min(0.05, max(0, until - time.monotonic())))

    def wait_traffic(self, nodes, what):
        """Until each client on NODES has reached each server on NODES."""
        pairs = {(client, server) for client, (node, _) in self.clients.items()
                 if node in nodes for server in nodes}
        before = {pair: self.board.executed(*pair) for pair in pairs}
        began = time.monotonic()
        until = began + RECOVERY_S
        last = pairs
        while pairs:
            self.look()
            last = pairs
            pairs = {pair for pair in pairs if self.board.executed(*pair) == before[pair]}
            if time.monotonic() > until:
                raise Failure(f"{what}: after {RECOVERY_S} s these (client, server) have not "
                              f"met: {sorted(pairs)}", self.clients[min(pairs)[0]][1].inner)
            time.sleep(0.02)  # the board tells nobody
        if time.monotonic() - began > 5:
            self.tap.comment(f"  all have met after {time.monotonic() - began:.1f} s, last "
                             f"these (client, server): {sorted(last)}")

    # ---- faults that nobody may notice ----

    def pick(self, n=1):
        return self.rng.sample(range(NODES), n)

    def mild_nothing(self):
        self.rest(self.rng.random() * 3)
        return ""

    def mild_short_cut(self):
        a, b = self.pick(2)
        self.lab.cut(a, b)
        self.rest(self.rng.random() * 0.3)
        self.lab.heal(a, b)
        return f"n{a} n{b}"

    def mild_short_isolation(self):
        (node,) = self.pick()
        self.lab.split([node], [n for n in range(NODES) if n != node])
        self.rest(self.rng.random() * 0.2)
        self.lab.heal()
        return f"n{node}"

    def mild_short_pause(self):
        (node,) = self.pick()
        self.lab.pause(node)
        self.rest(self.rng.random() * 0.3)
        self.lab.resume(node)
        return f"n{node}"

    def mild_paused_proxy(self):
        (node,) = self.pick()
        self.lab.pause(node, "proxy")
        self.rest(self.rng.random())
        self.lab.resume(node, "proxy")
        return f"n{node}"

    def mild_killed_proxies(self):
        (node,) = self.pick()
        self.lab.kill(node, "proxy")
        return f"n{node}"

    def mild_slow(self):
        a, b = self.pick(2)
        self.lab.slow(a, b, self.rng.choice([20, 100]))
        self.rest(self.rng.random())
        self.lab.heal(a, b)
        return f"n{a} n{b}"

    def mild_killed_dvsd(self):
        (node,) = self.pick()
        self.lab.kill(node, "dvsd")
        self.rest(self.rng.random() * 0.5)
        self.lab.start(node)
        return f"n{node}"

    # ---- faults that end calls ----

    def hard_isolation(self):
        """The others go on without it; it comes back without help."""
        (node,) = self.pick()
        others = [n for n in range(NODES) if n != node]
        self.lab.split([node], others)
        self.lab.wait_members(others[0], others)
        self.wait_traffic(others, f"without n{node}")
        self.rest(self.rng.random() * 2)
        self.lab.heal()
        return f"n{node}"

    def hard_cut(self):
        a, b = self.pick(2)
        self.lab.cut(a, b)
        self.rest(2 + self.rng.random() * 3)
        self.lab.heal(a, b)
        return f"n{a} n{b}"

    def hard_all_cut(self):
        """Nobody has a quorum."""
        self.lab.split(*([node] for node in range(NODES)))
        self.rest(2 + self.rng.random() * 2)
        self.lab.heal()
        return ""

    def hard_pause(self):
        (node,) = self.pick()
        self.lab.pause(node)
        self.paused.add(node)
        self.rest(2 + self.rng.random() * 3)
        self.lab.resume(node)
        self.rest(0.5)
        self.paused.remove(node)
        return f"n{node}"

    def hard_kill(self):
        (node,) = self.pick()
        self.lab.kill(node)
        self.forget_node(node)
        others = [n for n in range(NODES) if n != node]
        if self.rng.random() < 0.5:
            self.wait_traffic(others, f"after the death of n{node}")
        self.lab.start(node)
        self.start_node(node)
        return f"n{node}"

    def hard_killed_corosync(self):
        (node,) = self.pick()
        self.lab.kill(node, "corosync")
        self.rest(self.rng.random() * 2)
        self.lab.start(node)
        return f"n{node}"

    def hard_killed_server(self):
        (node,) = self.pick()
        os.kill(self.servers[node].inner, signal.SIGKILL)
        self.servers.pop(node).wait(20)
        self.servers[node] = self.start_actor(node, "server", node)
        return f"n{node}"

    def hard_killed_client(self):
        number = self.rng.choice(sorted(self.clients))
        node, program = self.clients.pop(number)
        os.kill(program.inner, signal.SIGKILL)
        program.wait(20)
        number = self.board.get(Board.N_CLIENTS)
        program = self.start_actor(node, "client", NODES, self.rng.getrandbits(32))
        wait_for(lambda: self.board.get(Board.N_CLIENTS) > number, "a client comes")
        self.clients[number] = (node, program)
        return f"n{node}"

    # ---- the run ----

    def faults(self, wanted):
        names = sorted(name for name in dir(self) if name.startswith(("mild_", "hard_")))
        return [name for name in names if not wanted or name in wanted.split(",")
                or name.split("_")[0] in wanted.split(",")]

    def one_fault(self, name):
        at = time.monotonic() - self.began
        calls = sum(self.board.seat(n)[3] for n in range(self.board.get(Board.N_CLIENTS)))
        self.tap.comment(f"{at:6.1f} s {name}, {calls} calls so far")
        if name.startswith("hard"):
            self.calm(False)
        where = getattr(self, name)()
        self.wait_traffic(list(range(NODES)), f"{name} {where}")
        self.calm(True)
        self.rest(0.3 + self.rng.random())

    def run(self, seconds, wanted):
        for node in range(NODES):
            self.start_node(node)
        self.wait_traffic(list(range(NODES)), "the beginning")
        self.calm(True)
        n = 0
        faults = self.faults(wanted)
        while time.monotonic() - self.began < seconds:
            self.one_fault(self.rng.choice(faults))
            n += 1
        self.wait_traffic(list(range(NODES)), "the end")
        for stop, programs in enumerate(([program for _, program in self.clients.values()],
                                         self.servers.values()), 1):
            self.board.set(Board.STOP, stop)
            for program in programs:
                if program.wait(30) != 0:
                    raise Failure(f"an actor ended with status {program.returncode}")
        self.look_at_board()
        self.look_at_logs()
        return n

    def look_at_logs(self):
        """Nothing crashed, or complained through its sanitizer."""
        for node in range(NODES):
            found = re.findall(r".*(?:Sanitizer|runtime error|Assertion|assertion failed).*",
                               self.lab.log(node))
            if found:
                raise Failure(f"n{node}: {found[0]}")


def tell_hung(soak, pid):
    others = [(f"the server of n{node}", program.inner) for node, program in soak.servers.items()]
    hung.tell(soak.lab, pid, others + hung.proxies(soak.lab))


def report(tap, soak):
    seats = [soak.board.seat(n) for n in range(soak.board.get(Board.N_CLIENTS))]
    tap.comment(f"a node was taken for dead without a reason {soak.n_false} times")
    tap.comment(f"{sum(seat[3] for seat in seats)} calls of {len(seats)} clients done, "
                f"{sum(seat[4] for seat in seats)} ended by faults: {soak.board.errors()}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=os.environ.get("SOAK_SECONDS", 60))
    parser.add_argument("--seed", type=int,
                        default=os.environ.get("SOAK_SEED", time.time_ns() % 1000000))
    parser.add_argument("--faults", default=os.environ.get("SOAK_FAULTS", ""))
    chosen = parser.parse_args()
    requires_lab()
    tap = Tap()
    tap.comment(f"seed {chosen.seed} (--seed), {chosen.seconds} s (--seconds)")
    with tempfile.TemporaryDirectory(prefix="dvs-soak.") as directory, Lab(NODES) as lab:
        lab.run(0, "dvs", "dc", "create", "soak", "--no-container")
        for node in range(NODES):
            wait_for(lambda n=node: lab.path(n, CONTROL).exists(), f"the DC is on n{node}")
        soak = Soak(lab, int(chosen.seed), tap, Path(directory))
        title = "nothing is lost, doubled or misdelivered"
        try:
            n = soak.run(float(chosen.seconds), chosen.faults)
            tap.ok(n > 0, f"{title}: {n} faults")
        except (Failure, LabError, TimeoutError, subprocess.TimeoutExpired) as why:
            tap.ok(False, title, f"{why}\n" + (Path(directory) / "actors.log").read_text()[-2000:])
            if getattr(why, "hung_pid", None):
                tell_hung(soak, why.hung_pid)
            lab.show_logs(200)
        report(tap, soak)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
