#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Volumes in trouble: programs on all nodes read and write while, at random, servers, agents, dvsd, proxies, corosync and whole nodes are killed, servers are paused, nodes are
cut off, and disks fill up. Afterwards each replica is read in turn, and for each block all that was written and read must fit into one history of one disk: nothing that
was acknowledged is lost, and nothing older is read than before.

usage: vdd_chaos.py [--rounds N] [--seed N] [--only FAULT,...] [--keep]   (or VDD_CHAOS_ROUNDS, VDD_CHAOS_SEED)
The programs are tests/system/programs/vdd_load.c."""

import argparse
import os
import random
import signal
import sys
import time
import traceback

from dvsd import Tap
from lab import LabError, requires_lab
from volume_lab import DC, VolumeLab, Wrong

NODES = range(3)
FILL_MIB = 64


class Round:
    """One volume and its troubles."""

    def __init__(self, lab, tap, number, seed, only):
        self.lab, self.tap, self.number = lab, tap, number
        self.rng = random.Random(f"{seed}.{number}")
        self.name = f"r{number}"
        self.nodes = self.rng.sample(NODES, self.rng.choice([2, 2, 3]))
        self.store = self.rng.choice(["file", "file", "ram"])
        self.only = only
        self.storms = {}
        self.told = []

    # ---- small things ----

    def rest(self, shortest, longest):
        """Let time pass: faults come at random moments, and last."""
        until = time.monotonic() + self.rng.uniform(shortest, longest)
        while time.monotonic() < until:
            for node, storm in self.storms.items():
                if storm.poll() is not None:
                    raise Wrong(f"the load on n{node} ended with status {storm.returncode}: "
                                f"{storm.stdout.read()}")
            time.sleep(0.02)

    def primary(self):
        node = self.lab.primary(self.name, self.rng.choice(NODES))
        return self.nodes[0] if node is None else node

    def backup(self):
        primary = self.primary()
        return self.rng.choice([node for node in self.nodes if node != primary])

    def settle(self):
        self.lab.wait_healthy(self.name, self.rng.choice(NODES))

    def start_storm(self, node):
        self.storms[node] = self.lab.storm(self.name, node, "--threads", self.rng.choice([1, 2, 4]),
                                           "--seed", self.rng.getrandbits(32))

    # ---- faults ----

    def kill_primary(self):
        self.lab.signal_servers(self.primary(), signal.SIGKILL)

    def kill_backup(self):
        self.lab.signal_servers(self.backup(), signal.SIGKILL)

    def end_primary(self):
        self.lab.signal_servers(self.primary(), signal.SIGTERM)

    def kill_all_servers(self):
        for node in self.nodes:
            self.lab.signal_servers(node, signal.SIGKILL)

    def pause(self, node):
        self.lab.signal_servers(node, signal.SIGSTOP)
        try:
            self.rest(0.05, 2.5)
        finally:
            self.lab.signal_servers(node, signal.SIGCONT)

    def pause_primary(self):
        self.pause(self.primary())

    def pause_backup(self):
        self.pause(self.backup())

    def cut(self):
        a, b = self.rng.sample(NODES, 2)
        self.lab.cut(a, b)
        self.rest(0.2, 3)
        self.lab.heal()

    def cut_off_primary(self):
        primary = self.primary()
        self.lab.split([primary], [node for node in NODES if node != primary])
        self.rest(0.3, 6)
        self.lab.heal()

    def kill_service(self, service):
        node = self.rng.choice(NODES)
        self.lab.kill(node, service)
        self.rest(0, 0.5)
        self.lab.start(node)

    def kill_proxy(self):
        self.lab.kill(self.rng.choice(NODES), "proxy")

    def kill_dvsd(self):
        self.kill_service("dvsd")

    def kill_corosync(self):
        self.kill_service("corosync")

    def kill_agent(self):
        for pid in self.lab.servers(self.rng.choice(self.nodes), "dvs-agent"):
            os.kill(pid, signal.SIGKILL)

    def kill_node(self):
        node = self.rng.choice([self.primary(), self.backup()])
        storm = self.storms.pop(node, None)
        self.lab.kill(node)
        if storm:
            storm.wait(20)
        self.rest(0.5, 2)
        self.lab.start(node)
        self.lab.wait_nodes((node + 1) % 3, NODES)
        self.start_storm(node)

    def kill_client(self):
        node = self.rng.choice(sorted(self.storms))
        storm = self.storms.pop(node)
        os.kill(storm.inner, signal.SIGKILL)
        storm.wait(20)
        self.start_storm(node)

    def promote(self):
        node = self.rng.choice(self.nodes)
        self.lab.exec(self.rng.choice(NODES), "dvs", "vol", "promote", f"{DC}/{self.name}", f"n{node}")

    def fill_disk(self):
        node = self.rng.choice(self.nodes)
        self.lab.exec(node, "dd", "if=/dev/zero", "of=/var/lib/dvs/volumes/hog", "bs=256k")
        self.rest(0.2, 1)
        self.lab.exec(node, "rm", "/var/lib/dvs/volumes/hog")

    def verify(self):
        self.lab.exec(self.rng.choice(NODES), "dvs", "vol", "verify", "--detach", f"{DC}/{self.name}")

    # What memory alone does not survive twice at once is for files.
    ANY = ["pause_primary", "pause_primary", "pause_backup", "cut", "cut", "cut_off_primary", "kill_proxy", "kill_dvsd", "kill_corosync",
           "kill_agent", "kill_client", "promote", "verify"]
    LOSING = ["kill_primary", "kill_primary", "kill_backup", "end_primary"]
    FILES = ["kill_all_servers", "kill_node", "fill_disk"]

    def pick(self):
        what = self.ANY + 2 * self.LOSING + (self.FILES if self.store == "file" else [])
        if self.only:
            what = [one for one in what if one in self.only] or ["cut"]
        return self.rng.choice(what)

    # ---- the round ----

    def trouble(self):
        for _ in range(self.rng.choice([1, 2, 2, 3])):
            self.rest(0.1, 0.7)
            fault = self.pick()
            self.told.append(fault)
            if self.store == "ram":
                self.settle()
            getattr(self, fault)()

    def run(self):
        lab = self.lab
        began = time.monotonic()
        lab.create(self.name, self.nodes, "--store", self.store, size="16M",
                   node=self.rng.choice(NODES))
        lab.wait_healthy(self.name)
        for node in self.rng.sample(NODES, 2):
            self.start_storm(node)
        self.trouble()
        self.rest(0.1, 0.5)
        self.settle()
        sums = [lab.end_storm(storm) for storm in self.storms.values()]
        self.storms = {}
        lab.read_all_replicas(self.name, self.rng.choice(NODES))
        said = lab.judge(self.name)
        lab.run(0, "dvs", "vol", "rm", "--force", f"{DC}/{self.name}")
        longest = max(one["longest_ms"] for one in sums)
        errors = {}
        for one in sums:
            for name, count in one["errors"].items():
                errors[name] = errors.get(name, 0) + count
        self.tap.comment(f"round {self.number}: {self.store} on {self.nodes}: {', '.join(self.told)}: "
                         f"{said}, the longest call {longest} ms, errors {errors}, "
                         f"{time.monotonic() - began:.1f} s")

    def clean(self):
        for storm in self.storms.values():
            if storm.poll() is None:
                storm.kill()


def prepare(lab):
    """What volumes keep on a node is in a small room of its own, so that it can be filled."""
    for node in NODES:
        lab.run(node, "mkdir", "-p", "/var/lib/dvs/volumes")
        lab.run(node, "mount", "-t", "tmpfs", "-o", f"size={FILL_MIB}m,mode=700", "tmpfs", "/var/lib/dvs/volumes")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("VDD_CHAOS_ROUNDS", "10")))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", default=os.environ.get("VDD_CHAOS_SEED", str(time.time_ns() % 1000000)))
    parser.add_argument("--only", type=lambda text: text.split(","), default=[])
    options = parser.parse_args()
    requires_lab()
    tap = Tap()
    tap.comment(f"seed {options.seed}: --seed {options.seed} does it again")
    with VolumeLab(3) as lab:
        prepare(lab)
        for number in range(options.first, options.first + options.rounds):
            one = Round(lab, tap, number, options.seed, options.only)
            why = ""
            try:
                one.run()
            except (Wrong, LabError, TimeoutError, OSError):
                why = f"{one.store} on {one.nodes}: {', '.join(one.told)}\n{traceback.format_exc()}"
                lab.show_logs(80)
            finally:
                one.clean()
            tap.ok(not why, f"round {number} of seed {options.seed}", why)
            if why:
                break
    print(f"1..{tap.n}")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
