#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What is wanted of DCs with containers, in a lab of 3 nodes whose agents make none (fake_agent.py): created, changed and removed on all nodes together, whoever
says no and whoever dies."""

import contextlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

from lab import DVS, Lab, requires_lab, wait_for

HERE = Path(__file__).resolve().parent
NODES = (0, 1, 2)
CASES = int(os.environ.get("STATE_KILLS", "12"))
failed = 0
n_tests = 0


class Asker:
    """Calls libdvk in a node."""

    def __init__(self, lab, node):
        self.program = lab.popen(node, sys.executable, HERE / "container_asker.py", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lock = threading.Lock()
        assert json.loads(self.program.stdout.readline())["ready"]

    def __getattr__(self, name):
        def call(*words, **args):
            names = {"create": ("name", "nodes"), "nodes": ("name", "add", "remove"), "freeze": ("name", "on"), "why": ("name", "node"),
                     "set": ("dc", "key", "value", "expected"), "agent": ("node", "timeout"), "remove": ("name", "force"),
                     "report": ("dc", "state")}.get(name, ("dc", "key"))
            with self.lock:
                self.program.stdin.write(json.dumps([name, dict(zip(names, words)) | args]) + "\n")
                self.program.stdin.flush()
                line = self.program.stdout.readline()
            if not line:
                raise RuntimeError(f"{name}: the asker is gone")
            return json.loads(line)
        return call

    def later(self, name, *words, **args):
        """A call in a thread of its own; a function that waits for its answer."""
        box = []
        thread = threading.Thread(target=lambda: box.append(getattr(self, name)(*words, **args)))
        thread.start()

        def answer(timeout=60):
            thread.join(timeout)
            assert box, f"{name} was not answered"
            return box[0]
        return answer


def soon(condition):
    """What one node was told is so, all others have in a moment."""
    def look():
        try:
            return condition()
        except KeyError:
            return False
    wait_for(look, "what was said to one node", 20)


def behave(lab, node, **how):
    lab.path(node, "/var/lib/dvs/behave.json").write_text(json.dumps(how))


def calm(lab, node=None):
    for each in NODES if node is None else [node]:
        behave(lab, each)


def phase(asker, name):
    return asker.list().get(name, {}).get("phase", "none")


def test(function):
    TESTS.append(function)
    return function


TESTS = []


@test
def an_agent_is_started_when_somebody_asks_for_it(lab, a):
    assert a[0].agent(0) == ["OK", 1]
    assert a[0].agent(2) == ["OK", 3]
    assert a[1].agent(7) == ["NODEST", 0]
    heard = lab.path(2, "/var/lib/dvs/heard").read_text().splitlines()[-1]
    assert heard == "--run-dir /run/dvs --lib-dir /var/lib/dvs --node 2 --log-level info", heard
    assert ".dvs" not in a[0].list() and ".dvs" in a[0].list(hidden=1)
    assert a[0].remove(".dvs", 1) == "DENIED" and a[0].create(".x", [0])["err"] == "BADARG"
    assert "dvs" not in lab.run(0, "dvs", "dc", "ls", "-o", "json").replace("/run/dvs", "")


@test
def an_agent_that_ends_is_started_again_and_ends_with_dvsd(lab, a):
    def agents():
        found = lab.exec(1, "pgrep", "-f", "fake_agent.py --run-dir").stdout.split()
        return found if len(found) == 1 else None
    a[1].agent(1)
    first = wait_for(agents, "the agent")
    lab.run(1, "kill", "-9", first[0])
    wait_for(lambda: (found := agents()) and found != first, "another agent")
    assert wait_for(lambda: a[0].agent(1) == ["OK", 2], "the agent is bound")


@test
def a_dc_runs_when_all_nodes_are_ready(lab, a):
    made = a[0].create("web", [0, 1, 2], description='{"cpus": 1}')
    assert made["err"] == "OK" and made["refusal"] is None, made
    for asker in a:
        soon(lambda asker=asker: asker.list()["web"]["phase"] == "runs")
        dc = asker.list()["web"]
        assert dc["phase"] == "runs" and set(dc["nodes"].values()) == {"ready"}, dc
        assert dc["owner"] == 0x10000000 + dc["dc"] % 32768 * 65536
        assert set(dc["versions"].values()) == {dc["version"]}
        assert asker.get("web", "dc") == ["OK", '{"cpus": 1}', dc["version"]]
    assert a[1].create("web", [1])["err"] == "EXISTS"
    assert lab.exec(1, "dvs", "dc", "rm", "none").returncode != 0
    assert a[2].remove("web") == "OK"
    soon(lambda: all("web" not in asker.list() for asker in a))


@test
def one_node_that_cannot_has_all_taken_back(lab, a):
    behave(lab, 2, web="broken: no image 'x' here: see 'dvs image ls'")
    made = a[0].create("web", [0, 1, 2])
    assert made["err"] == "OK" and made["refusal"] == ["DENIED", 2, "no image 'x' here: see 'dvs image ls'"], made
    soon(lambda: all("web" not in asker.list() for asker in a))


@test
def a_refusal_is_kept_until_all_is_gone(lab, a):
    behave(lab, 1, web="broken: no memory")
    behave(lab, 0, web="stuck")
    assert a[2].create("web", [0, 1], timeout=1500)["err"] == "TIMEOUT"
    soon(lambda: a[0].list()["web"]["nodes"]["1"] == "gone")
    dc = a[0].list()["web"]
    assert dc["phase"] == "failed" and dc["nodes"] == {"0": dc["nodes"]["0"], "1": "gone"}, dc
    assert a[0].why("web", 1) == ["OK", "no memory"]
    assert a[0].set("web", "x", "y")[0] == "NODC"
    assert a[0].create("web", [2])["err"] == "EXISTS"
    calm(lab)
    wait_for(lambda: "web" not in a[2].list(), "the DC is gone")


@test
def a_node_that_dies_while_creating_has_all_taken_back(lab, a):
    behave(lab, 2, web="slow")
    answer = a[0].later("create", "web", [0, 1, 2], timeout=60000)
    wait_for(lambda: a[1].list().get("web", {}).get("nodes", {}).get("1") == "ready", "node 1 is ready")
    lab.kill(2)
    made = answer()
    assert made["err"] == "OK" and made["refusal"][:2] == ["NODEDOWN", 2] and "down" in made["refusal"][2], made
    soon(lambda: "web" not in a[0].list() and "web" not in a[1].list())
    assert a[0].create("web", [0, 2])["err"] == "NODEDOWN"
    lab.start(2)
    a[2] = Asker(lab, 2)
    assert a[2].list() == {}


@test
def a_node_that_comes_back_is_wanted_again(lab, a):
    assert a[0].create("web", [0, 2])["refusal"] is None
    lab.kill(2)
    wait_for(lambda: a[0].list()["web"]["nodes"]["2"] == "wanted", "node 2 is wanted")
    assert phase(a[0], "web") == "runs"
    lab.start(2)
    wait_for(lambda: a[0].list()["web"]["nodes"]["2"] == "ready", "node 2 is ready again")
    a[2] = Asker(lab, 2)
    assert a[2].get("web", "dc")[:2] == ["OK", "{}"]
    lab.kill(2)
    wait_for(lambda: a[0].list()["web"]["nodes"]["2"] == "wanted", "node 2 is down")
    assert a[0].remove("web") == "OK"
    lab.start(2)
    a[2] = Asker(lab, 2)
    assert a[2].list() == {}


@test
def nodes_come_and_go(lab, a):
    assert a[0].create("web", [0])["refusal"] is None
    soon(lambda: phase(a[1], "web") == "runs")
    assert a[1].nodes("web", [1, 2]) == {"err": "OK", "refusal": None}
    soon(lambda: a[2].list()["web"]["nodes"] == {"0": "ready", "1": "ready", "2": "ready"})
    assert a[1].nodes("web", [], [0, 1]) == {"err": "OK", "refusal": None}
    soon(lambda: a[2].list()["web"]["nodes"] == {"2": "ready"})
    behave(lab, 1, web="broken: no room")
    assert a[1].nodes("web", [0, 1]) == {"err": "OK", "refusal": ["DENIED", 1, "no room"]}
    soon(lambda: a[2].list()["web"]["nodes"] == {"0": "ready", "2": "ready"})
    # Without any node it is still there, with what belongs to it.
    assert a[1].nodes("web", [], [0, 2]) == {"err": "OK", "refusal": None}
    soon(lambda: a[2].list()["web"]["nodes"] == {})
    assert a[1].nodes("web", [0, 2]) == {"err": "OK", "refusal": None}
    soon(lambda: a[2].list()["web"]["nodes"] == {"0": "ready", "2": "ready"})
    assert a[1].nodes("web", [], [1])["err"] == "NODEST"
    assert a[1].nodes("web", [9])["err"] == "NODEST"
    behave(lab, 0, web="stuck")
    assert a[1].nodes("web", [], [0], timeout=500)["err"] == "TIMEOUT"
    assert a[1].list()["web"]["nodes"] == {"0": "leaving", "2": "ready"}
    calm(lab)
    wait_for(lambda: a[1].list()["web"]["nodes"] == {"2": "ready"}, "node 0 has left")
    assert a[0].remove("web") == "OK"


@test
def freezing_waits_for_all(lab, a):
    assert a[0].create("web", [0, 1])["refusal"] is None
    assert a[2].freeze("web", 1) == "OK"
    soon(lambda: a[1].list()["web"]["frozen_on"] == [0, 1] and a[1].list()["web"]["frozen"] == 1)
    assert a[2].nodes("web", [2])["err"] == "OK"
    soon(lambda: a[1].list()["web"]["frozen_on"] == [0, 1, 2])
    assert a[2].freeze("web", 0) == "OK"
    soon(lambda: a[1].list()["web"]["frozen_on"] == [])
    behave(lab, 0, web="slow")
    assert a[2].freeze("web", 1, timeout=300) == "TIMEOUT"
    assert a[0].remove("web") == "OK"
    assert a[2].freeze("web", 1) == "NODC"


@test
def records_are_kept_by_all_and_change_in_one_order(lab, a):
    assert a[0].create("web", [0])["refusal"] is None
    err, first = a[0].set("web", "program/x", "one", 0)
    assert err == "OK"
    soon(lambda: a[2].get("web", "program/x") == ["OK", "one", first])
    assert a[1].set("web", "program/x", "two", 0)[0] == "EXISTS"
    assert a[1].set("web", "program/x", "two", first + 1000)[0] == "EXISTS"
    assert a[1].set("web", "program/y", "two", first)[0] == "NOTFOUND"
    err, second = a[1].set("web", "program/x", "two", first)
    assert err == "OK" and second > first
    assert a[0].set("web", "program/x", "three", first)[0] == "EXISTS"
    assert a[0].set("web", "no space", "three")[0] == "BADARG"
    assert a[0].set("web", "b", "v" * 7000)[0] == "OK"
    assert a[0].set("web", "b", "v" * 7001)[0] == "TOOBIG"
    soon(lambda: a[2].get("web", "b")[1] == "v" * 7000)
    assert a[2].get("web", "c")[0] == "NOTFOUND" and a[2].get("none", "c")[0] == "NODC"
    assert list(a[2].records("web")) == ["b", "dc", "program/x"]
    soon(lambda: a[1].list()["web"]["records"] == 3)
    assert a[2].unset("web", "dc") == "BADARG" and a[2].unset("web", "b") == "OK" and a[0].unset("web", "b") == "NOTFOUND"
    before = a[1].list()["web"]["change"]
    assert a[0].set("web", "dc", '{"cpus": 2}')[0] == "OK"
    soon(lambda: a[1].list()["web"]["change"] > before)
    wait_for(lambda: (dc := a[2].list()["web"])["versions"]["0"] == dc["version"], "the new description is applied")
    assert a[2].remove("web") == "OK"


@test
def of_many_who_set_a_record_at_once_one_wins_each_time(lab, a):
    assert a[0].create("web", [0])["refusal"] is None
    wins = []

    def race(asker):
        for _ in range(20):
            err, value, version = asker.get("web", "n")
            if err == "NOTFOUND":
                value, version = "0", 0
            if asker.set("web", "n", str(int(value) + 1), version)[0] == "OK":
                wins.append(1)
    threads = [threading.Thread(target=race, args=(asker,)) for asker in a]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    soon(lambda: {asker.get("web", "n")[1] for asker in a} == {str(len(wins))} and wins)
    assert a[0].remove("web") == "OK"


@test
def a_node_that_joins_has_it_all(lab, a):
    assert a[0].create("web", [0, 1], description="d" * 7000)["refusal"] is None
    lab.kill(2)
    for i in range(40):
        assert a[0].set("web", f"program/{i}", "v" * 7000)[0] == "OK"
    lab.start(2)
    a[2] = Asker(lab, 2)
    soon(lambda: a[2].records("web") == a[0].records("web") and len(a[2].records("web")) == 41)
    soon(lambda: a[2].list() == a[0].list())
    lab.run(2, "dvs", "verify")
    assert a[2].remove("web") == "OK"


@test
def agents_say_only_what_can_be(lab, a):
    made = a[0].create("web", [0])
    dc = made["dc"]
    assert a[0].report(dc, 4) == "BADSTATE" and a[1].report(dc, 2) == "BADSTATE" and a[0].report(dc + 1, 2) == "NODC"
    assert a[0].report(dc, 1) == "BADARG"
    behave(lab, 0, web="broken: its init has died")
    wait_for(lambda: a[1].list()["web"]["nodes"]["0"] == "broken", "it is broken")
    assert phase(a[1], "web") == "runs" and a[1].why("web", 0) == ["OK", "its init has died"]
    calm(lab)
    wait_for(lambda: a[1].list()["web"]["nodes"]["0"] == "ready", "it is mended")
    assert a[1].why("web", 0) == ["OK", ""] and a[1].why("web", 1)[0] == "NODEST"
    assert a[0].report(dc, 3, "ä" * 200) == "OK"
    assert a[0].remove("web") == "OK"


@test
def programs_of_the_node_itself_hold_a_dc(lab, a):
    assert a[0].create("web", [0, 1])["refusal"] is None
    holder = lab.popen(1, sys.executable, HERE / "cluster_agent.py", "/run/dvs/dc/web/control", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    holder.stdout.readline()
    holder.stdin.write(json.dumps({"what": "bind", "want": 5, "binding": 1, "tid": 1}) + "\n")
    holder.stdin.flush()
    assert json.loads(holder.stdout.readline())["ep"]
    assert a[0].remove("web") == "BADSTATE" and phase(a[0], "web") == "runs"
    assert a[0].remove("web", 1) == "OK"
    soon(lambda: lab.run(1, "ls", "-A", "/run/dvs/dc", "/run/dvs/inside").split() == ["/run/dvs/dc:", ".dvs", "/run/dvs/inside:", ".dvs"])


def settled(a):
    """What all nodes say alike, and nothing under way."""
    lists = [asker.list() for asker in a]
    return lists[0] == lists[1] == lists[2] and all(dc["phase"] == "runs" and set(dc["nodes"].values()) == {"ready"} for dc in lists[0].values())


@test
def whoever_dies_while_it_is_made_or_removed_it_is_whole_or_gone(lab, a):
    """dvsd of a random node gets SIGKILL at a random moment; once more with its whole node."""
    seed = int(os.environ.get("STATE_SEED", time.time_ns() % 100000))
    draw = random.Random(seed)
    print(f"# seed {seed}", flush=True)
    for case in range(CASES):
        removing = case % 2 == 1
        if removing and phase(a[0], "web") != "runs":
            assert a[0].create("web", [0, 1, 2])["refusal"] is None
        victim = draw.randrange(1, 3)
        answer = a[0].later(*(("remove", "web") if removing else ("create", f"c{case}", [0, 1, 2])), timeout=40000)
        time.sleep(draw.uniform(0, 0.06))  # the moment
        lab.kill(victim, "dvsd")
        lab.start(victim)
        told = answer()
        a[victim] = Asker(lab, victim)
        wait_for(lambda: settled(a), f"case {case}: {'remove' if removing else 'create'} with n{victim} killed, told {told}: {[x.list() for x in a]}", 60)
        if removing:
            assert told in ("OK", "NODC"), told
            soon(lambda: "web" not in a[0].list())
        elif told["refusal"] is None:
            soon(lambda case=case: f"c{case}" in a[1].list())
            assert a[1].remove(f"c{case}") == "OK"
        else:
            soon(lambda case=case: f"c{case}" not in a[1].list())
    lab.run(0, "dvs", "verify")


@test
def the_asked_dvsd_may_die_too(lab, a):
    with contextlib.suppress(RuntimeError, AssertionError):
        answer = a[0].later("create", "web", [0, 1, 2], timeout=5000)
        lab.kill(0, "dvsd")
        answer(20)
    lab.start(0)
    a[0] = Asker(lab, 0)
    wait_for(lambda: settled(a), "it is settled", 60)
    if "web" in a[1].list():
        assert a[1].remove("web") == "OK"


def main():
    global failed, n_tests
    requires_lab()
    os.environ["DVS_AGENT"] = str(HERE / "fake_agent.py")
    only = sys.argv[1:]
    with Lab(3) as lab:
        a = [Asker(lab, node) for node in NODES]
        for function in TESTS:
            if only and function.__name__ not in only:
                continue
            n_tests += 1
            began = time.monotonic()
            try:
                calm(lab)
                function(lab, a)
                good = True
            except BaseException as mistake:
                import traceback
                good = False
                print("\n".join("# " + line for line in traceback.format_exc().splitlines()), flush=True)
                if isinstance(mistake, KeyboardInterrupt):
                    raise
            print(f"{'ok' if good else 'not ok'} {n_tests} - {function.__name__.replace('_', ' ')} # {time.monotonic() - began:.1f} s", flush=True)
            if not good:
                failed += 1
                lab.show_logs(15)
                break
        del a
    print(f"1..{n_tests}")
    return 1 if failed else 0


sys.exit(main())
