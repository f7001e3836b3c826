#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Volumes in trouble: programs on all nodes read and write while, at random, servers, agents, dvsd, proxies, corosync and whole nodes are killed, servers are paused, nodes are
cut off, and disks fill up. Afterwards each replica is read in turn, and for each block all that was written and read must fit into one history of one disk: nothing that
was acknowledged is lost, and nothing older is read than before.

usage: vdd_chaos.py [--rounds N] [--first N] [--seed N] [--long] [--only FAULT,...] [--store file|ram|nbd,...]   (or VDD_CHAOS_ROUNDS, VDD_CHAOS_SEED)
Without a seed most rounds are those of a known one, with all kinds of stores, and the last ones of a random one, which is told.
The programs are tests/system/programs/vdd_load.c."""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

from dvsd import Tap
from lab import LabError, requires_lab, wait_for
from volume_lab import DC, VolumeLab, Wrong

NODES = range(3)
FILL_MIB = 64
SIZE_MIB = 16
VOLUMES_DIR = "/var/lib/dvs/volumes"
HOG = f"{VOLUMES_DIR}/hog"
# What takes minutes is for more rounds than these.
SHORT_ROUNDS = 10
KNOWN_SEED = "34"
RANDOM_ROUNDS = 2


class BadDisk:
    """A disk behind an NBD server. While its switch is on its requests fail at random. The server is started anew whenever it has ended: nbdkit 1.32 can abort when a client is
    killed."""

    def __init__(self, folder, node, rng):
        self.image = Path(tempfile.mkdtemp(prefix="dvs-chaos.", dir="/dev/shm")) / "image"
        self.socket = folder / f"disk-{node}.{self.image.parent.name}"
        self.switch = Path(f"{self.socket}.fails")
        self.why = rng.choice(["EIO", "ENOSPC"])
        self.rate = rng.choice([5, 30, 100])
        with open(self.image, "wb") as image:
            image.truncate(SIZE_MIB << 20)
        self.is_over = False
        self.server = None
        self.keeper = threading.Thread(target=self.keep, daemon=True)
        self.keeper.start()
        wait_for(self.socket.exists, "an NBD server")

    @property
    def place(self):
        return f"nbd+unix:///?socket={self.socket}"

    def keep(self):
        while not self.is_over:
            self.socket.unlink(missing_ok=True)
            self.server = subprocess.Popen(
                ["nbdkit", "-f", "--unix", self.socket, "--filter=error", "file", self.image, f"error={self.why}",
                 f"error-rate={self.rate}%", f"error-file={self.switch}"], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.server.wait()

    @contextlib.contextmanager
    def fails(self):
        self.switch.touch()
        try:
            yield
        finally:
            self.switch.unlink()

    def close(self):
        self.is_over = True
        while self.keeper.is_alive():
            if self.server:
                self.server.kill()
            self.keeper.join(0.05)
        self.socket.unlink(missing_ok=True)
        shutil.rmtree(self.image.parent, ignore_errors=True)


class ThinDisk:
    """A block device whose blocks get their space when they are written. Without space that is only seen when they are flushed."""

    def __init__(self, folder, node, _):
        self.folder = Path(tempfile.mkdtemp(prefix=f"thin-{node}.", dir=folder))
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB + 2}m", "tmpfs", self.folder], check=True)
        with open(self.folder / "image", "wb") as image:
            image.truncate(SIZE_MIB << 20)
        self.place = subprocess.run(["losetup", "--find", "--show", self.folder / "image"], check=True,
                                    stdout=subprocess.PIPE, text=True).stdout.strip()

    @contextlib.contextmanager
    def fails(self):
        hog = self.folder / "hog"
        subprocess.run(["dd", "if=/dev/zero", f"of={hog}", "bs=64k"], check=False, stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            hog.unlink()

    def close(self):
        subprocess.run(["losetup", "--detach", self.place], check=False)
        subprocess.run(["umount", "--lazy", self.folder], check=False)


class Round:
    """One volume and its troubles."""

    def __init__(self, lab, tap, seed, number, options):
        self.lab, self.tap, self.number = lab, tap, number
        self.rng = random.Random(f"{seed}.{number}")
        self.name = f"r{seed}-{number}"
        self.nodes = self.rng.sample(NODES, self.rng.choice([2, 2, 3]))
        self.store = self.rng.choice(options.store or ["file", "file", "file", "ram", "ram", "nbd", "nbd", "raw"])
        self.only = options.only
        self.is_long = options.long or "lose_dvsd" in options.only
        self.storms = {}
        self.disks = {}
        self.all_disks = []
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

    def settle(self, name=None):
        self.lab.wait_healthy(name or self.name, self.rng.choice(NODES))

    def create(self, name):
        """With disks of their own for the replicas, when they are NBD's."""
        self.disks = {}
        for node in self.nodes if self.store in ("nbd", "raw") else []:
            self.disks[node] = (BadDisk if self.store == "nbd" else ThinDisk)(self.lab.notes, node, self.rng)
            self.all_disks.append(self.disks[node])
        places = [f"--place=n{node}={disk.place}" for node, disk in self.disks.items()]
        self.lab.create(name, self.nodes, "--store", self.store, *places, size=f"{SIZE_MIB}M",
                        node=self.rng.choice(NODES))

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
            if self.is_long and self.rng.random() < 0.3:
                self.rest(8, 20)  # until another one takes over, perhaps
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

    def lose_dvsd(self):
        """For so long that the server of its volumes takes it for gone."""
        node = self.rng.choice(self.nodes)
        self.lab.kill(node, "dvsd")
        wait_for(lambda: not self.lab.servers(node), "a server without dvsd ends", 150, 0.2)
        self.lab.start(node)

    def fail_store(self, node):
        """Requests of one replica's store fail, until that is seen: by a writer who is told, or by a view without the replica."""
        before = self.epoch()
        with self.disks[node].fails():
            self.rest(0.2, 1.5)
            for _ in range(30):
                is_told = self.brief_storm(self.name)["errors"].keys() & {"IO", "NOSPACE"}
                if is_told or self.epoch() != before or self.is_out(self.name, node):
                    return
        raise Wrong(f"nobody noticed that the store of n{node} gives {self.disks[node].why}")

    def is_out(self, name, node):
        return self.lab.states(name, self.rng.choice(NODES)).get(node) not in ("primary", "in sync")

    def fail_primary_store(self):
        self.fail_store(self.primary())

    def fail_backup_store(self):
        self.fail_store(self.backup())

    def epoch(self):
        told = self.lab.inspect(self.name, self.rng.choice(NODES))
        return told and told["server"] and told["server"]["epoch"]

    def brief_storm(self, name):
        done = self.lab.load(self.rng.choice(NODES), name, "storm", "--seconds", 1, "--threads", 2, "--client",
                             self.lab.n_notes + 1)
        return json.loads(done.splitlines()[-1])

    @contextlib.contextmanager
    def no_space(self, node):
        if self.store == "raw":
            with self.disks[node].fails():
                yield
            return
        self.lab.exec(node, "dd", "if=/dev/zero", f"of={HOG}", "bs=256k")
        try:
            yield
        finally:
            self.lab.exec(node, "rm", "-f", HOG)

    def fill_disk(self):
        """What the volumes of a node, or of all nodes, are stored on has no room any more: who writes what was a hole before is told, or the replica is out of the view; all can be read."""
        full = f"{self.name}-full{len(self.told)}"
        for node in NODES:
            self.lab.wait_nodes(node, NODES)
        self.create(full)
        self.settle(full)
        nodes = [self.rng.choice(self.nodes)]
        # A primary whose flush has failed, and that nobody can replace, writes nothing any more.
        if self.store == "file" and self.rng.random() < 0.5:
            nodes = self.nodes
        with contextlib.ExitStack() as stack:
            for node in nodes:
                stack.enter_context(self.no_space(node))
            is_told = self.brief_storm(full)["errors"].keys() & {"IO", "NOSPACE"}
            if not is_told and (nodes == self.nodes or not self.is_out(full, nodes[0])):
                raise Wrong(f"a full disk on {nodes} was not seen: {self.lab.states(full)}")
            self.lab.load(self.rng.choice(NODES), full, "read")
        self.settle(full)
        self.lab.read_all_replicas(full, self.rng.choice(NODES))
        self.lab.judge(full)
        self.lab.run(0, "dvs", "vol", "rm", "--force", f"{DC}/{full}")

    def verify(self):
        self.lab.exec(self.rng.choice(NODES), "dvs", "vol", "verify", "--detach", f"{DC}/{self.name}")

    # What memory alone does not survive twice at once is for files.
    ANY = ["pause_primary", "pause_primary", "pause_backup", "cut", "cut", "cut_off_primary", "kill_proxy", "kill_dvsd", "kill_corosync",
           "kill_agent", "kill_client", "promote", "verify"]
    LOSING = ["kill_primary", "kill_primary", "kill_backup", "end_primary"]
    STORED = ["kill_all_servers", "kill_node"]
    OF_STORE = {"file": ["fill_disk"], "nbd": 4 * ["fail_primary_store", "fail_backup_store"], "ram": [],
                "raw": 4 * ["fill_disk"]}

    def pick(self):
        what = self.ANY + 2 * self.LOSING + self.OF_STORE[self.store]
        if self.store != "ram":
            what += self.STORED
        if self.is_long:
            what += ["lose_dvsd"]
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
        self.create(self.name)
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
        for disk in self.all_disks:
            disk.close()


def prepare(lab):
    """What volumes keep on a node is in a small room of its own, so that it can be filled."""
    for node in NODES:
        lab.run(node, "mkdir", "-p", VOLUMES_DIR)
        lab.run(node, "mount", "-t", "tmpfs", "-o", f"size={FILL_MIB}m,mode=700", "tmpfs", VOLUMES_DIR)


def plan(options):
    """(seed, number) of all rounds."""
    numbers = range(options.first, options.first + options.rounds)
    if options.seed:
        return [(options.seed, number) for number in numbers]
    drawn = str(time.time_ns() % 1000000)
    return [(KNOWN_SEED, number) for number in numbers[:-RANDOM_ROUNDS]] + [(drawn, number) for number in numbers[-RANDOM_ROUNDS:]]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("VDD_CHAOS_ROUNDS", "10")))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", default=os.environ.get("VDD_CHAOS_SEED"))
    parser.add_argument("--long", action="store_true", help="with faults that take minutes, too (always so with many rounds)")
    parser.add_argument("--only", type=lambda text: text.split(","), default=[])
    parser.add_argument("--store", type=lambda text: text.split(","), default=[])
    options = parser.parse_args()
    options.long |= options.rounds > SHORT_ROUNDS
    requires_lab()
    tap = Tap()
    rounds = plan(options)
    for seed in dict.fromkeys(seed for seed, _ in rounds):
        tap.comment(f"seed {seed}: rounds {', '.join(str(number) for its, number in rounds if its == seed)}")
    with VolumeLab(3) as lab:
        prepare(lab)
        for seed, number in rounds:
            one = Round(lab, tap, seed, number, options)
            why = ""
            try:
                one.run()
            except (Wrong, LabError, TimeoutError, OSError):
                why = f"{one.store} on {one.nodes}: {', '.join(one.told)}\n{traceback.format_exc()}"
                lab.show_logs(80)
            finally:
                one.clean()
            tap.ok(not why, f"round {number} of seed {seed}", why)
            if why:
                tap.comment(f"once more: vdd_chaos.py --seed {seed} --first {number} --rounds 1{' --long' if options.long else ''}")
                break
    print(f"1..{tap.n}")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
