#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A file system in trouble: real programs (fs_programs.py) work in it on two nodes while, at random, its servers, the primary of its volume, proxies, dvsd and whole nodes are killed, servers are paused and ended, nodes are cut off and
drained. What the programs leave must be what they leave in a directory of the host's memory, and 'dvs fs check' finds nothing wrong. A gateway that is killed takes its programs along; what they were told to be durable must be there.

usage: fs_chaos.py [--rounds N] [--first N] [--seed N] [--only FAULT,...] [--programs PROGRAM,...]   (or FS_CHAOS_ROUNDS, FS_CHAOS_SEED)
Without a seed one is drawn and told."""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import fs_programs
from dvsd import Tap
from lab import SOURCE, LabError, requires_lab, wait_for
from volume_lab import DC, VolumeLab, Wrong

WORKER = Path(fs_programs.__file__)
FS = f"{DC}/files"
AT, ASIDE = "/run/files", "/run/aside"
# Nodes that are killed have no programs.
SERVERS, CLIENTS = (0, 1), (2, 3)
SHORT = ["untar", "git", "sqlite", "make"]


class World:
    def __init__(self, lab):
        self.lab = lab
        lab.create("disk", [0, 1, 2], "--store", "ram", size="1G")
        lab.run(2, "dvs", "fs", "create", FS, "--volume", "disk", "--nodes", ",".join(f"n{node}" for node in SERVERS))
        for node in CLIENTS:
            lab.run(node, "sh", "-c", f"mkdir -p {AT} {ASIDE} && dvs fs mount {FS} {AT}")
        self.source = lab.notes / "source"
        self.source.mkdir()
        tree = lab.notes / "tree"
        tree.mkdir()
        for part in ("src/base", "src/servers", "include", "docs/guide"):
            shutil.copytree(SOURCE / part, tree / part, symlinks=True)
        fs_programs.prepare(tree, self.source)
        for path in (lab.notes, self.source):
            path.chmod(0o755)

    def primary(self):
        row = json.loads(self.lab.run(2, "dvs", "fs", "inspect", FS, "-o", "json"))
        return int(row["primary"][1:]) if row["state"] == "served" else None

    def wait_primary(self):
        return wait_for(lambda: (self.primary(),) if self.primary() is not None else None, "a file server", 120, 0.1)[0]


class Round:
    def __init__(self, world, tap, seed, number, options):
        self.world, self.lab, self.tap = world, world.lab, tap
        self.rng = random.Random(f"{seed}.{number}")
        self.name = f"r{number}"
        self.options = options
        self.told = []
        self.running = []

    # ---- faults ----

    def kill_server(self):
        self.signal_server(signal.SIGKILL)

    def end_server(self):
        self.signal_server(signal.SIGTERM)

    def signal_server(self, how):
        for pid in self.lab.servers(self.world.wait_primary(), "dvs-fs"):
            os.kill(pid, how)

    def pause_server(self):
        pids = self.lab.servers(self.world.wait_primary(), "dvs-fs")
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            self.rest(0.1, 3)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def kill_volume(self):
        """The server of the volume's primary."""
        self.lab.signal_servers(self.lab.primary("disk", 2) or 0, signal.SIGKILL)

    def kill_node(self):
        node = self.world.wait_primary()
        self.lab.kill(node)
        self.rest(0.5, 3)
        self.lab.start(node)
        self.lab.wait_nodes(2, range(4))

    def drain(self):
        node = self.world.wait_primary()
        self.lab.run(2, "dvs", "node", "drain", f"n{node}", "--detach")
        self.rest(0.1, 2)
        self.lab.run(2, "dvs", "node", "drain", f"n{node}", "--off")

    def cut_off(self):
        node = self.world.wait_primary()
        self.lab.split([node], [other for other in range(4) if other != node])
        self.rest(0.3, 5)
        self.lab.heal()
        self.lab.wait_nodes(2, range(4))

    def cut(self):
        self.lab.cut(self.world.wait_primary(), self.rng.choice(CLIENTS))
        self.rest(0.2, 3)
        self.lab.heal()
        self.lab.wait_nodes(2, range(4))

    def kill_proxy(self):
        self.lab.kill(self.rng.choice(range(4)), "proxy")

    def kill_dvsd(self):
        node = self.world.wait_primary()
        self.lab.kill(node, "dvsd")
        self.rest(0, 1)
        self.lab.start(node)
        self.lab.wait_nodes(2, range(4))

    def kill_gateway(self):
        """One beside, with a program that knows what is durable."""
        node = self.rng.choice(CLIENTS)
        self.lab.run(node, "dvs", "fs", "mount", FS, ASIDE)
        program = self.start("ledger", node, ASIDE)
        said = 0
        for _ in range(self.rng.randrange(1, 40)):
            said = int(program.stdout.readline())
        pid, = (pid for pid in self.lab.servers(node, "dvs-fuse")
                if ASIDE.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"))
        os.kill(pid, signal.SIGKILL)
        for line in program.stdout:
            said = int(line)
        program.wait(60)
        self.lab.run(node, "sh", "-c", f"umount -l {ASIDE} && dvs fs mount {FS} {ASIDE}")
        found = self.end(self.start("audit", node, ASIDE))
        if found[0] != "ok" or found[1] not in (said, said + 1) or found[2] != found[1] - 1:
            raise Wrong(f"the ledger said {said}, and has {found}")
        self.lab.run(node, "sh", "-c", f"rm -r {ASIDE}/{self.name}-ledger && dvs fs umount {ASIDE}")

    FAULTS = ["kill_server", "kill_server", "end_server", "pause_server", "kill_volume", "kill_volume", "kill_node", "drain", "cut_off", "cut", "kill_proxy",
              "kill_dvsd", "kill_gateway"]

    # ---- programs ----

    def rest(self, shortest, longest):
        """Faults come at random moments, and last."""
        time.sleep(self.rng.uniform(shortest, longest))

    def start(self, name, node, top=AT):
        place = f"{top}/{self.name}-{'ledger' if name in ('ledger', 'audit') else name}"
        self.lab.run(node, "mkdir", "-p", place)
        program = self.lab.popen(node, sys.executable, WORKER, name, place, self.world.source, self.name, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        program.name, program.place = name, place
        return program

    def end(self, program):
        text, errors = program.communicate(timeout=900)
        if program.returncode != 0:
            raise Wrong(f"{program.name}: {errors}")
        return json.loads(text)

    def reference(self, name):
        """What the program leaves in a directory of the host."""
        place = self.lab.notes / f"{self.name}-{name}"
        place.mkdir()
        done = subprocess.run([sys.executable, WORKER, name, place, self.world.source, self.name], check=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, text=True, timeout=900)
        shutil.rmtree(place)
        return json.loads(done.stdout)

    def run(self):
        began = time.monotonic()
        wanted = self.rng.sample(self.options.programs, min(2, len(self.options.programs)))
        self.running = [self.start(name, node) for name, node in zip(wanted, self.rng.sample(CLIENTS, 2))]
        for _ in range(self.rng.choice([1, 2, 2, 3])):
            self.rest(0.2, 2)
            fault = self.rng.choice([one for one in self.FAULTS if not self.options.only or one in self.options.only])
            self.told.append(fault)
            # Memory outlives the loss of one of its three.
            self.lab.wait_healthy("disk", 2)
            getattr(self, fault)()
        for program in self.running:
            got, expected = self.end(program), self.reference(program.name)
            if got != expected:
                raise Wrong(f"{program.name}: {got}, not {expected}")
            self.lab.run(2, "rm", "-r", program.place)
        self.lab.run(2, "dvs", "fs", "check", FS, timeout=300)
        self.tap.comment(f"{self.name}: {', '.join(wanted)} while {', '.join(self.told)}: {time.monotonic() - began:.1f} s")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("FS_CHAOS_ROUNDS", "1")))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", default=os.environ.get("FS_CHAOS_SEED") or str(time.time_ns() % 1000000))
    parser.add_argument("--only", type=lambda text: text.split(","), default=[])
    parser.add_argument("--programs", type=lambda text: text.split(","))
    options = parser.parse_args()
    if not options.programs:
        # What takes long is for more rounds than one.
        options.programs = SHORT + (["postgres"] if options.rounds > 1 and fs_programs.POSTGRES.is_dir() else [])
    requires_lab()
    tap = Tap()
    tap.comment(f"seed {options.seed}")
    with VolumeLab(4) as lab:
        world = World(lab)
        for number in range(options.first, options.first + options.rounds):
            one = Round(world, tap, options.seed, number, options)
            why = ""
            try:
                one.run()
            except (Wrong, LabError, TimeoutError, OSError, subprocess.SubprocessError, RuntimeError):
                why = f"{', '.join(program.name for program in one.running)} while {', '.join(one.told)}\n{traceback.format_exc()}"
                lab.show_logs(80)
            tap.ok(not why, f"round {number} of seed {options.seed}", why)
            if why:
                tap.comment(f"once more: fs_chaos.py --seed {options.seed} --first {number} --rounds 1 --programs {','.join(options.programs)}")
                break
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
