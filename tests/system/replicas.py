#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A replicated counter on three nodes (tests/lib/replica_actor.c): its primary and its members are killed under load, again and again; what was acknowledged is there, once.
usage: replicas.py [ROUNDS [SEED]]"""

import os
import random
import signal
import subprocess
import sys
import threading
import time

from dvsd import BUILD, Tap
from lab import Lab, requires_lab, wait_for

ACTOR = BUILD / "tests/system/replica-actor"
SERVICE = 300
NODES = 3


class Server:
    """One replica. `roles` are those that it had, in order: (name, epoch, members). LAB starts it: popen(), and run_dir when that is not a node's."""

    def __init__(self, lab, node, directory):
        self.lab, self.node, self.directory = lab, node, directory
        self.start()

    def start(self):
        self.roles, self.handed = [], []
        self.process = self.lab.popen(
            self.node, ACTOR, "serve", run_dir(self.lab), "web", SERVICE, self.node, f"{(1 << NODES) - 1:x}",
            0, self.directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self.reader.start()

    def _read(self, process):
        for line in process.stdout:
            word, *rest = line.split()
            if word == "role":
                self.roles.append((rest[0], int(rest[1]), int(rest[2], 16)))
            elif word == "handed":
                self.handed.append(rest[0])

    @property
    def role(self):
        return self.roles[-1] if self.roles else ("none", 0, 0)

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def kill(self):
        os.kill(self.process.inner, signal.SIGKILL)
        self.process.wait(30)
        self.reader.join(30)


def run_dir(lab):
    return getattr(lab, "run_dir", "/run/dvs")


def primary(servers):
    found = [one for one in servers if one.process.poll() is None and one.role[0] == "primary"]
    return max(found, key=lambda one: one.role[1]) if found else None


def all_are_members(servers):
    one = primary(servers)
    return one is not None and one.role[2] == (1 << NODES) - 1


def count(lab, node, client, ms):
    return lab.popen(node, ACTOR, "count", run_dir(lab), "web", SERVICE, client, ms,
                     stdout=subprocess.PIPE, text=True)


def report(tap, program, what):
    text, _ = program.communicate(timeout=180)
    print(f"# {what}: {' '.join(text.split())}", flush=True)
    tap.ok(program.returncode == 0 and "lost 0 twice 0" in text, f"{what}: nothing is lost or done twice", text)


def rounds(servers, rng, n, seconds):
    """Kill somebody, mostly the primary; sometimes before the last one is a member again."""
    for number in range(n):
        victim = (primary(servers) if rng.random() < 0.7 else None) or rng.choice(servers)
        threading.Event().wait(rng.random() * seconds)  # at any moment of the load
        victim.kill()
        victim.start()
        if rng.random() < 0.8:
            wait_for(lambda: all_are_members(servers), f"round {number}: all are members", timeout=60)


def hand_over(tap, servers):
    """While the other one has not bound itself as a backup it is refused, and nothing changes."""
    for _ in range(100):
        wait_for(lambda: all_are_members(servers), "all are members", timeout=60)
        one = primary(servers)
        other = servers[(one.node + 1) % NODES]
        one.handed.clear()
        one.tell(f"hand {other.node}")
        wait_for(lambda: one.handed, "an answer to hand over", timeout=60)
        if one.handed == ["OK"] or primary(servers) is not one:
            break
        time.sleep(0.05)  # it binds itself soon, which nothing tells
    tap.ok(one.handed == ["OK"], "a primary hands over", one.handed)
    wait_for(lambda: primary(servers) is other and all_are_members(servers),
             "the other is the primary", timeout=60)


def run(tap, lab, rng, n):
    lab.run(0, "dvs", "dc", "create", "web", "--no-container")
    for node in range(NODES):
        wait_for(lambda: lab.exec(node, "test", "-S", "/run/dvs/dc/web/control").returncode == 0,
                 "the DC everywhere")
    servers = [Server(lab, node, f"/tmp/replicas-{lab.name}") for node in range(NODES)]
    wait_for(lambda: all_are_members(servers), "all are members", timeout=60)
    tap.ok(True, "three replicas come together")
    client = count(lab, 2, 0, 3000)
    hand_over(tap, servers)
    report(tap, client, "while it is handed over")
    load_ms = 3000 * n
    clients = [count(lab, node, 1 + node, load_ms) for node in range(NODES)]
    rounds(servers, rng, n, 1.0)
    for node, client in enumerate(clients):
        report(tap, client, f"client on node {node} over {n} kills")
    wait_for(lambda: all_are_members(servers), "all are members in the end", timeout=60)
    for server in servers:
        server.kill()
    for server in servers:
        server.start()
    wait_for(lambda: all_are_members(servers), "all are members after all were killed", timeout=60)
    report(tap, count(lab, 0, 5, 1000), "after all were killed at once")
    for server in servers:
        server.tell("end")
    status = [server.process.wait(60) for server in servers]
    tap.ok(status == [0] * NODES, "all end in order", status)


def main():
    requires_lab()
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 6
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
    print(f"# seed {seed}", flush=True)
    tap = Tap()
    with Lab(NODES) as lab:
        try:
            run(tap, lab, random.Random(seed), n)
        finally:
            subprocess.run(["rm", "-rf", f"/tmp/replicas-{lab.name}"], check=False)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
