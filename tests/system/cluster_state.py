#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The state that all nodes of a DVS have: what one does is seen on all, whatever comes between."""

import json
import subprocess
import sys
import time
import traceback
from pathlib import Path

from lab import BUILD, Lab, requires_lab, wait_for

ECHO = BUILD / "apps/examples/dvs-echo"
CONTROL = "/run/dvs/dc/a/control"
HERE = Path(__file__).resolve().parent
ECHO_EP = 17
PRIMARY, BACKUP = 1, 2


class Agent:
    """A process of a node, for its link with dvsd."""

    def __init__(self, lab, node):
        self.program = lab.popen(
            node, "env", f"PYTHONPATH={HERE}", sys.executable, HERE / "cluster_agent.py", CONTROL,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert json.loads(self.program.stdout.readline()) == {"ready": True}

    def ask(self, what, **values):
        self.program.stdin.write(json.dumps({"what": what, **values}) + "\n")
        self.program.stdin.flush()
        line = self.program.stdout.readline()
        return json.loads(line) if line else {"error": "the agent is dead"}

    def bind(self, want, kind=PRIMARY):
        return self.ask("bind", want=want, binding=kind, tid=1)

    def role(self):
        return self.ask("event", name="role").get("role")


def echo(lab, node, text="hello"):
    done = lab.exec(node, "env", f"DVS_CONTROL={CONTROL}", ECHO, "client", text, timeout=30)
    return done.stdout.strip()


def serve(lab, node):
    before = endpoints(lab, node)
    lab.popen(node, "env", f"DVS_CONTROL={CONTROL}", ECHO, "server",
              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: endpoints(lab, node) != before, "the server is bound")


def endpoints(lab, node):
    """{number: [(node, role), ...]} as NODE tells."""
    found = {}
    for row in lab.json(node, "ps", "a")["endpoints"]:
        found.setdefault(row["endpoint"], []).append((row["node"], row["role"]))
    return found


def generation(lab, node):
    return [row["generation"] for row in lab.json(node, "ps", "a")["endpoints"]
            if row["endpoint"] == ECHO_EP]


def wait_endpoints(lab, node, numbers):
    wait_for(lambda: set(endpoints(lab, node)) == set(numbers),
             f"n{node} has the endpoints {sorted(numbers)}", 30, 0.1)


def states(lab, node):
    return {row["node"]: row["state"] for row in lab.json(node, "node", "ls")["nodes"]}


def quorate(lab, node):
    return all(row["quorate"] for row in lab.json(node, "node", "ls")["nodes"])


def wait_states(lab, node, wanted):
    wait_for(lambda: states(lab, node) == wanted, f"n{node} sees {wanted}", 60, 0.1)


def same_everywhere(lab, nodes=(0, 1, 2)):
    for node in nodes:
        rows = json.loads(lab.run(node, "dvs", "verify", "-o", "json"))["nodes"]
        assert [row["node"] for row in rows] == sorted(nodes), rows
        assert all(row["same"] for row in rows), rows


def clean(lab):
    """All nodes up, and the DC a with nobody in it."""
    for node in range(3):
        wait_states(lab, node, {0: "up", 1: "up", 2: "up"})
    if "a" in lab.run(0, "dvs", "dc", "ls", "-q").split():
        lab.run(0, "dvs", "dc", "rm", "a", "--force")
    lab.run(0, "dvs", "dc", "create", "a", "--no-container")
    for node in range(3):
        wait_for(lambda at=node: "a" in lab.run(at, "dvs", "dc", "ls", "-q").split(),
                 f"the DC is known on n{node}")


def what_one_node_binds_is_seen_on_all(lab):
    serve(lab, 0)
    for node in (1, 2):
        wait_endpoints(lab, node, [ECHO_EP])
        assert echo(lab, node) == "hello"
        row = lab.json(node, "ps", "a")["endpoints"][0]
        assert row["node"] == 0 and row["program"] == "dvs-echo" and row["messages_in"] > 0, row
    taken = Agent(lab, 1)
    assert taken.bind(ECHO_EP) == {"error": "INUSE"}
    same_everywhere(lab)


def one_wakes_another_on_another_node(lab):
    sleeper, waker = Agent(lab, 0), Agent(lab, 2)
    assert sleeper.bind(5)["ep"] and waker.bind(6)["ep"]
    assert waker.ask("wakeup", ep=6, to=5) == {}
    assert "ep" in sleeper.ask("event", name="woken")
    assert waker.ask("wakeup", ep=6, to=7) == {"error": "NODEST"}


def a_node_that_is_emptied_gives_its_endpoints_away(lab):
    first, second = Agent(lab, 0), Agent(lab, 1)
    assert first.bind(5)["role"] == PRIMARY and second.bind(5, BACKUP)["role"] == BACKUP
    lab.run(2, "dvs", "node", "drain", "n0")
    assert second.role() == PRIMARY and first.role() == BACKUP
    assert lab.json(1, "node", "ls")["nodes"][0]["draining"]
    lab.run(1, "dvs", "node", "drain", "0", "--off")
    same_everywhere(lab)


def a_dvsd_that_is_killed_is_away_and_comes_back(lab):
    serve(lab, 1)
    wait_endpoints(lab, 0, [ECHO_EP])
    lab.kill(1, "dvsd")
    wait_states(lab, 0, {0: "up", 1: "away", 2: "up"})
    assert set(endpoints(lab, 2)) == {ECHO_EP}
    lab.start(1)
    wait_states(lab, 0, {0: "up", 1: "up", 2: "up"})
    wait_for(lambda: echo(lab, 2) == "hello", "the server answers again", 30, 0.2)
    same_everywhere(lab)


def each_part_of_a_partition_knows_what_it_may(lab):
    for alone in range(3):
        others = [node for node in range(3) if node != alone]
        part(lab, alone, others)
        clean(lab)


def part(lab, alone, others):
    primary, backup, client = Agent(lab, alone), Agent(lab, others[0]), Agent(lab, alone)
    assert primary.bind(5)["role"] == PRIMARY and backup.bind(5, BACKUP)["role"] == BACKUP
    mine = client.bind(0xffffffff)["ep"]
    serve(lab, alone)
    kept = generation(lab, alone)
    lab.split([alone], others)
    assert backup.role() == PRIMARY, "the backup is promoted where the quorum is"
    assert primary.role() == BACKUP, "the primary is silent where it is not"
    wait_for(lambda: not quorate(lab, alone), "it knows that it is outside")
    refused = lab.exec(alone, "dvs", "dc", "create", "b", "--no-container")
    assert refused.returncode == 1 and "quorum" in refused.stderr, refused.stderr
    assert primary.bind(6) == {"error": "NOQUORUM"}
    assert "peer" in client.ask("connect", ep=mine, to=ECHO_EP, timeout_ms=1000), \
        "what only this node has goes on"
    assert client.ask("connect", ep=mine, to=5, timeout_ms=1000) == {"error": "NOQUORUM"}
    for node in others:
        wait_states(lab, node, {alone: "down", others[0]: "up", others[1]: "up"})
        wait_endpoints(lab, node, [5])
    lab.run(others[1], "dvs", "dc", "create", "b", "--no-container")
    lab.heal()
    for node in range(3):
        wait_states(lab, node, {0: "up", 1: "up", 2: "up"})
        wait_endpoints(lab, node, [5, ECHO_EP, mine & 0xfffff])
    assert "ep" in primary.ask("event", name="unbound"), "its successor keeps the number"
    assert generation(lab, others[0]) == kept
    for node in range(3):
        assert echo(lab, node) == "hello"
        assert "b" in lab.run(node, "dvs", "dc", "ls", "-q").split()
    same_everywhere(lab)
    lab.run(0, "dvs", "dc", "rm", "b")


def a_node_that_is_gone_takes_its_endpoints_along(lab):
    primary, backup, other = Agent(lab, 2), Agent(lab, 0), Agent(lab, 2)
    assert primary.bind(5)["role"] == PRIMARY and backup.bind(5, BACKUP)["role"] == BACKUP
    assert other.bind(6)["role"] == PRIMARY
    lab.kill(2)
    assert backup.role() == PRIMARY
    for node in (0, 1):
        wait_states(lab, node, {0: "up", 1: "up", 2: "down"})
        assert set(endpoints(lab, node)) == {5}
    same_everywhere(lab, (0, 1))
    lab.run(0, "dvs", "node", "rm", "n2")
    assert states(lab, 1) == {0: "up", 1: "up"}
    lab.start(2)
    wait_states(lab, 0, {0: "up", 1: "up", 2: "up"})
    wait_states(lab, 2, {0: "up", 1: "up", 2: "up"})
    same_everywhere(lab)


TESTS = [
    what_one_node_binds_is_seen_on_all,
    one_wakes_another_on_another_node,
    a_node_that_is_emptied_gives_its_endpoints_away,
    a_dvsd_that_is_killed_is_away_and_comes_back,
    each_part_of_a_partition_knows_what_it_may,
    a_node_that_is_gone_takes_its_endpoints_along,
]


def run(lab, number, test, chosen):
    name = test.__name__.replace("_", " ")
    if chosen and test.__name__ not in chosen:
        print(f"ok {number} - {name} # SKIP not chosen", flush=True)
        return
    begun = time.monotonic()
    try:
        clean(lab)
        test(lab)
        print(f"ok {number} - {name}\n# {time.monotonic() - begun:.1f} s", flush=True)
    except Exception:  # whatever it is, it is told, and the others are run
        print(f"not ok {number} - {name}", flush=True)
        print("\n".join("# " + line for line in traceback.format_exc().splitlines()), flush=True)
        lab.show_logs(30)


def main():
    requires_lab()
    print(f"1..{len(TESTS)}")
    with Lab(3) as lab:
        for number, test in enumerate(TESTS, 1):
            run(lab, number, test, sys.argv[1:])


main()
