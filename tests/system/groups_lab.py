#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Groups over three nodes: one order everywhere, while members and nodes die. usage: groups_lab.py [SEED]"""

import os
import random
import sys

from actors import PROGRAM, Actor, wait_for
from dvsd import Tap
from lab import Lab, requires_lab

CONTROL = "DVS_CONTROL=/run/dvs/dc/web/control"


def actor(lab, node, ep):
    return Actor(None, ep, "g", argv=lab.command(node, "env", CONTROL, PROGRAM, ep, "g"),
                 environment=dict(os.environ))


def agree(members, what):
    """All have had the same messages, and as many."""
    wait_for(lambda: len({member.state for member in members}) == 1, what)


def run(tap, lab, rng):
    lab.run(0, "dvs", "dc", "create", "web", "--no-container")
    for node in range(3):
        wait_for(lambda: lab.exec(node, "test", "-S", "/run/dvs/dc/web/control").returncode == 0,
                 "the DC everywhere")
    a = actor(lab, 0, 10)
    b = actor(lab, 1, 11)
    b.expect("state")
    c = actor(lab, 2, 12)
    c.expect("state")
    tap.ok(wait_for(lambda: all(len(m.members) == 3 for m in (a, b, c)), "one view"),
           "members of three nodes are in one view")
    for member in (a, b, c):
        member.tell(f"flood {rng.randint(50, 150)}")
    for member in (a, b, c):
        tap.ok(member.expect("flooded", timeout=120) == ["OK"], "casts are ordered")
    agree((a, b, c), "one order")
    tap.ok(True, f"{a.count} messages have one order on all nodes")
    for member in (a, c):
        member.tell("flood 100")
    d = actor(lab, 1, 13)
    d.expect("state", timeout=60)
    b.kill()
    for member in (a, c):
        member.expect("flooded", timeout=120)
    wait_for(lambda: a.count == c.count == d.count, "the same number")
    tap.ok(a.state == c.state == d.state,
           "nor does it when members come and die between messages")
    lab.kill(2)
    wait_for(lambda: all(len(m.members) == 2 for m in (a, d)), "a view without the node")
    tap.ok(sorted(a.members) == ["10@0", "13@1"], "a node that dies takes its members along")
    for member in (a, d):
        member.tell("flood 50")
    for member in (a, d):
        tap.ok(member.expect("flooded", timeout=120) == ["OK"], "the others go on")
    agree((a, d), "one order")
    tap.ok(True, "in one order")
    lab.kill(1)
    # One that was under way when the quorum went: nobody knows whether the others had it.
    a.tell("cast maybe")
    answer = a.expect("cast", timeout=60)
    tap.ok(answer in (["NOQUORUM"], ["IO"], ["NODVSD"]), "a cast without the quorum is refused", answer)
    a.tell("cast alone")
    answer = a.expect("cast", timeout=60)
    tap.ok(answer == ["NOQUORUM"], "as is the next one", answer)
    for member in (a, d):
        member.kill()
    c.kill()


def main():
    requires_lab()
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else random.randrange(1 << 32)
    print(f"# seed {seed}", flush=True)
    tap = Tap()
    with Lab(3) as lab:
        run(tap, lab, random.Random(seed))
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
