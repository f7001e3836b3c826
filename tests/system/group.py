#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The state that is the same on all nodes, over real corosync: three nodes with a program each
(tests/fault/group_member.c), to which happens what can happen to a cluster."""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time

from dvsd import BUILD, Tap
from lab import Lab, requires_lab, wait_for

NODES = 3
PROGRAM = BUILD / "tests/fault/group-member"
TIMEOUT = 30
LEFT, DIED, LOST = 1, 2, 3


class Member:
    def __init__(self, lab, node, life=1):
        self.node, self.life = node, life
        self.program = lab.popen(node, PROGRAM, node, life, stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, text=True, bufsize=1)
        self.lines = queue.Queue()
        self.told = []
        self.ready = False
        self.asked = 0
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        with contextlib.suppress(ValueError):
            for line in self.program.stdout:
                self.lines.put(line.split())

    def order(self, text):
        self.program.stdin.write(text + "\n")
        self.program.stdin.flush()

    def until(self, wanted, what):
        """The first line from now on for which WANTED is true."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            try:
                line = self.lines.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise TimeoutError(f"n{self.node}: {what}; last told: {self.told[-8:]}") from None
            self.told.append(line)
            if line[0] == "ready":
                self.ready = line[1] == "1"
            if line[0] == "failed":
                raise RuntimeError(f"n{self.node}: {' '.join(line)}")
            if wanted(line):
                return line

    def view(self, members, why=None):
        """Wait for the view of exactly MEMBERS; its line."""
        text = ",".join(str(n) for n in sorted(members))
        line = self.until(lambda line: line[0] == "view" and line[4] == text, f"view of {text}")
        if why and why not in " ".join(line):
            raise AssertionError(f"n{self.node}: {why} is not in {' '.join(line)}")
        return line

    def is_ready(self, ready):
        if self.ready != ready:
            self.until(lambda line: line == ["ready", str(int(ready))], f"ready {ready}")

    def settle(self):
        """All that was submitted is settled: (applied, refused, while away, unknown)."""
        while True:
            counts = self.counts()
            if counts[4] == 0:
                return counts[:4]
            self.until(lambda line: line[0] == "state", "settled")

    def counts(self):
        """Now: applied, refused, while away, unknown, waiting."""
        self.asked += 1
        asked = str(self.asked)
        self.order(f"state {asked}")
        line = self.until(lambda line: line[0] == "state" and line[8] == asked, "state")
        return tuple(int(n) for n in line[3:8])

    def refused(self, at_least):
        counts = self.counts()
        return counts if counts[1] >= at_least else None

    def entries(self):
        self.order("list")
        found = []
        line = self.until(lambda line: line[0] in ("entry", "end"), "list")
        while line[0] == "entry":
            found.append(tuple(int(n) for n in line[1:4]))
            line = self.until(lambda line: line[0] in ("entry", "end"), "list")
        return found

    def signal(self, number):
        os.kill(self.program.inner, number)


class Test:
    def __init__(self, lab, tap):
        self.lab, self.tap = lab, tap
        self.members = {}
        self.lives = dict.fromkeys(range(NODES), 0)

    def start(self, node):
        self.lives[node] += 1
        self.members[node] = Member(self.lab, node, self.lives[node])

    def all(self):
        return [self.members[node] for node in sorted(self.members)]

    def agree(self, title):
        """All have the same entries in the same order, each once; each one's are in its order."""
        for member in self.all():
            member.is_ready(True)
            member.settle()
        # One more of each, and when all have those of all, all have everything.
        for member in self.all():
            member.order("submit 1")
            member.settle()
        wanted = None
        deadline = time.monotonic() + TIMEOUT
        while True:
            lists = [member.entries() for member in self.all()]
            if all(one == lists[0] for one in lists) or time.monotonic() > deadline:
                break
        wanted = lists[0]
        same = all(one == wanted for one in lists)
        once = len(set(wanted)) == len(wanted)
        ordered = all([e for e in wanted if e[:2] == source] == sorted(
            e for e in wanted if e[:2] == source) for source in {e[:2] for e in wanted})
        self.tap.ok(same and once and ordered, title,
                    f"same {same}, once {once}, ordered {ordered}: {[len(one) for one in lists]}")
        return wanted

    def submit_all(self, n):
        for member in self.all():
            member.order(f"submit {n}")

    # ---- what happens ----

    def entries_of_all_come_in_one_order(self):
        for node in range(NODES):
            self.start(node)
        for member in self.all():
            member.view(range(NODES))
            member.is_ready(True)
        self.submit_all(3000)
        for member in self.all():
            counts = member.settle()
            if counts != (3000, 0, 0, 0):
                raise AssertionError(f"n{member.node}: {counts}")
        self.agree("entries of all come in one order")

    def a_killed_program_is_told_and_comes_back(self):
        self.submit_all(2000)
        self.members.pop(1).signal(signal.SIGKILL)
        for member in self.all():
            member.view([0, 2], why=f"left 1:{DIED}")
        self.submit_all(500)
        self.start(1)
        for member in self.all():
            member.view(range(NODES), why="joined 1")
        self.agree("a killed program is told as such, and gets the state when it is back")

    def a_stopped_program_is_waited_for(self):
        self.members[2].signal(signal.SIGSTOP)
        try:
            self.members[0].order("submit 5000")
            self.members[1].order("submit 5000")
        finally:
            self.members[2].signal(signal.SIGCONT)
        self.agree("a member that was stopped goes on with the others")

    def the_majority_goes_on_without_a_node_that_is_cut_off(self):
        self.submit_all(2000)
        self.lab.split([0], [1, 2])
        self.members[0].is_ready(False)
        for node in (1, 2):
            self.members[node].view([1, 2], why=f"left 0:{LOST}")
        self.members[0].order("submit 10")
        self.members[0].order("keep 10")
        for node in (1, 2):
            self.members[node].order("submit 1000")
            self.members[node].settle()
        counts = wait_for(lambda: self.members[0].refused(10), "the minority refuses")
        self.tap.ok(counts[4] >= 10, "the minority refuses what is not to be kept, and nothing else",
                    counts)
        self.lab.heal()
        for member in self.all():
            member.view(range(NODES))
        self.agree("a node that was cut off comes back, with what it kept")

    def a_killed_corosync_is_found_again(self):
        self.submit_all(2000)
        self.lab.kill(2, "corosync")
        self.members[2].is_ready(False)
        for node in (0, 1):
            self.members[node].view([0, 1], why=f"left 2:{LOST}")
        self.lab.start(2)
        for member in self.all():
            member.view(range(NODES))
        self.agree("a member whose corosync was killed finds the next one by itself")

    def a_node_that_goes_after_its_program_is_told(self):
        self.members.pop(1).signal(signal.SIGKILL)
        for member in self.all():
            member.view([0, 2], why=f"left 1:{DIED}")
        self.lab.split([1], [0, 2])
        for member in self.all():
            member.until(lambda line: line == ["lost", "1"], "node 1 is lost")
        self.tap.ok(True, "a node that goes after its program is told")
        self.lab.heal()
        self.start(1)
        for member in self.all():
            member.view(range(NODES), why="joined 1")
        self.agree("and comes back")

    def who_says_good_bye_is_told_as_such(self):
        self.members.pop(0).order("close")
        for member in self.all():
            member.view([1, 2], why=f"left 0:{LEFT}")
        self.agree("who says good-bye is told as such")


def main():
    requires_lab()
    tap = Tap()
    with Lab(NODES, "--bare") as lab:
        test = Test(lab, tap)
        for one in (test.entries_of_all_come_in_one_order,
                    test.a_killed_program_is_told_and_comes_back,
                    test.a_stopped_program_is_waited_for,
                    test.the_majority_goes_on_without_a_node_that_is_cut_off,
                    test.a_killed_corosync_is_found_again,
                    test.a_node_that_goes_after_its_program_is_told,
                    test.who_says_good_bye_is_told_as_such):
            began = time.monotonic()
            try:
                one()
            except Exception as mistake:  # told as a failure, and the logs with it
                tap.ok(False, one.__name__.replace("_", " "), repr(mistake))
                raise
            finally:
                tap.comment(f"{one.__name__}: {time.monotonic() - began:.1f} s")
    return tap.end()


sys.exit(main())
