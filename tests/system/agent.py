#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""dvs-agent on three nodes: what is wanted comes to be, whoever is killed meanwhile, and nothing stays behind."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from dvsd import Tap
from lab import Lab, requires_lab, wait_for

SEED = int(os.environ.get("AGENT_SEED", time.time_ns() % 1000000))
KILLS = int(os.environ.get("AGENT_KILLS", "16"))
NODES = range(3)
BUSYBOX = shutil.which("busybox")
INIT = "dvs-init"  # as it is called in a container

SET_RECORD = """
import ctypes, sys
library, dc, key, value = sys.argv[1:]
dvk = ctypes.CDLL(library)
admin = ctypes.c_void_p()
assert dvk.dvk_admin_open(None, ctypes.byref(admin)) == 0
value = value.encode()
sys.exit(dvk.dvk_record_set(admin, dc.encode(), key.encode(), ctypes.c_uint64(2**64 - 1), value,
                            ctypes.c_size_t(len(value)), None))
"""

# Straight to dvsd: 'dvs dc create' would ask the agents before.
CREATE = """
import ctypes, sys
library, name, description = sys.argv[1:]
class Refusal(ctypes.Structure):
    _fields_ = [("err", ctypes.c_int), ("node", ctypes.c_uint32), ("text", ctypes.c_char * 256)]
dvk = ctypes.CDLL(library)
admin, dc, refusal = ctypes.c_void_p(), ctypes.c_uint32(), Refusal()
assert dvk.dvk_admin_open(None, ctypes.byref(admin)) == 0
text = description.encode()
err = dvk.dvk_container_create(admin, name.encode(), ctypes.c_uint32(2**32 - 1), ctypes.c_uint64(7),
                               text, ctypes.c_size_t(len(text)), 30000, ctypes.byref(dc),
                               ctypes.byref(refusal))
print(err, refusal.err, refusal.node, refusal.text.decode())
"""


# ---- what there is ----

def inode(path):
    try:
        return os.stat(path).st_ino
    except OSError:
        return None


def processes(lab, node, comm):
    """The numbers, on the host, of the processes of a node that are called so."""
    net = inode(f"/proc/{lab.holders[node]}/ns/net")
    found = []
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            if (proc / "comm").read_text().strip() == comm and inode(proc / "ns/net") == net:
                found.append(int(proc.name))
        except OSError:
            continue
    return found


def kill_all(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def cgroups(lab, node):
    """Those of containers of a node, and the processes in them."""
    name = "dvs-" + lab.path(node, "/var/lib/dvs/id").read_text().strip()
    groups = [path for tree in Path("/sys/fs/cgroup").iterdir() for path in tree.glob(f"{name}/*")
              if path.is_dir()]
    groups += [path for path in Path("/sys/fs/cgroup").glob(f"{name}/*") if path.is_dir()]
    inside = {pid for group in groups for pid in (group / "cgroup.procs").read_text().split()}
    return sorted(map(str, groups)), inside


def left(lab):
    """What there is of containers on all nodes."""
    found = []
    for node in NODES:
        for folder in ("/run/dvs/containers", "/run/dvs/crun", "/run/dvs/init", "/var/lib/dvs/dcs",
                       "/var/lib/dvs/logs", "/run/dvs/inside"):
            path = lab.path(node, folder)
            found += [f"n{node}:{folder}/{one.name}" for one in path.iterdir()
                      if one.name != ".dvs"] if path.is_dir() else []
        groups, inside = cgroups(lab, node)
        found += groups + [f"n{node} process {pid}" for pid in inside]
        for agent in processes(lab, node, "dvs-agent"):
            text = Path(f"/proc/{agent}/mountinfo").read_text()
            found += [f"n{node} mount {line.split()[4]}" for line in text.splitlines()
                      if line.split()[4].startswith(("/run/dvs/containers/", "/var/lib/dvs/dcs/"))]
    return found


def dcs(lab, node):
    return [row["name"] for row in lab.json(node, "dc", "ls")["dcs"]]


def programs(lab, node=0):
    """{name: row} of what runs."""
    return {row["program"]: row for row in lab.json(node, "ps")["programs"]
            if row["state"] == "running"}


def where(lab):
    """{name: node} of what runs."""
    return {name: row["node"] for name, row in programs(lab).items()}


def containers(lab, dc, node=0):
    return lab.json(node, "dc", "inspect", dc)["containers"]["nodes"]


def settled(lab, dc):
    """All its nodes have it."""
    done = lab.exec(0, "dvs", "dc", "ls", "-o", "json")
    if done.returncode != 0:
        return False
    return any(row["name"] == dc and row["nodes_ready"] == f"{len(NODES)}/{len(NODES)}"
               for row in json.loads(done.stdout)["dcs"])


def set_record(lab, dc, key, text):
    lab.run(0, "python3", "-c", SET_RECORD, library(), dc, key, text)


def record(lab, dc, name, **what):
    set_record(lab, dc, f"program/{name}", json.dumps(what))


def library():
    return Path(os.environ.get("DVS_BUILD", "build")).resolve() / "libdvk.so"


def remove(lab, dc):
    lab.run(0, "dvs", "dc", "rm", dc, "--force")
    wait_for(lambda: not left(lab), f"nothing is left: {left(lab)}", 20)


def show_logs(lab, lines=25):
    for node in NODES:
        text = lab.log(node).splitlines()[-lines:]
        print("\n".join(f"# n{node} {line}" for line in text), flush=True)


# ---- tests ----

def a_container_on_each_node_runs_programs_of_each_node(lab, tap):
    lab.run(0, "dvs", "dc", "create", "web", "--nodes", "all")
    for caller in NODES:
        for node in NODES:
            done = lab.exec(caller, "dvs", "run", "--node", f"n{node}", "web", "sh", "-c",
                            f"hostname; exit {10 * caller + node}")
            assert done.returncode == 10 * caller + node, done
            assert done.stdout == "web\n", done
    # What is looked for afterwards can be found.
    found = " ".join(left(lab))
    assert all(f"n{node}:/run/dvs/containers/web" in found and f"n{node} process" in found
               for node in NODES) and "/sys/fs/cgroup/" in found, found
    remove(lab, "web")


def who_cannot_have_it_makes_all_take_it_back(lab, tap):
    lab.run(2, "mkdir", "-p", "/run/only-here")
    text = json.dumps({"root": {"kind": "host"},
                       "volumes": [{"source": "/run/only-here", "target": "/mnt"}]})
    said = lab.run(1, "python3", "-c", CREATE, library(), "broken", text)
    err, refused, node, why = said.split(maxsplit=3)
    assert (err, refused) == ("0", "2") and node in "01", said
    assert why.startswith("volumes[0].source: /run/only-here"), said
    assert dcs(lab, 0) == []
    wait_for(lambda: not left(lab), f"nothing is left: {left(lab)}", 20)
    done = lab.exec(1, "dvs", "dc", "create", "broken", "--nodes", "all", "--image", "no-such")
    assert done.returncode == 1 and "no-such" in done.stderr, done
    assert dcs(lab, 0) == [] and not left(lab)


def programs_go_on_when_their_agent_is_killed(lab, tap):
    lab.run(0, "dvs", "dc", "create", "web", "--nodes", "all")
    lab.run(0, "dvs", "run", "-d", "--restart", "always", "--name", "sleeper", "--node", "n1", "web",
            "sleep", "1000")
    pid = programs(lab)["sleeper"]["pid"]
    for _ in range(3):
        kill_all(processes(lab, 1, "dvs-agent"))
        # At once: the next agent is waited for.
        assert lab.run(0, "dvs", "run", "--node", "n1", "web", "echo", "here") == "here\n"
        assert programs(lab)["sleeper"]["pid"] == pid
    lab.kill(1, "dvsd")
    lab.start(1)
    wait_for(lambda: programs(lab).get("sleeper", {}).get("pid") == pid, "the same program")
    # Its end is seen by an agent that did not start it.
    lab.run(1, "kill", pid)
    wait_for(lambda: programs(lab).get("sleeper", {}).get("pid") not in (None, pid),
             "it is started again")
    remove(lab, "web")


def what_exec_started_ends_with_who_asked(lab, tap):
    lab.run(0, "dvs", "dc", "create", "web", "--nodes", "all")

    def runs():
        return [row["node"] for row in programs(lab, 1).values() if row["command"] == "sleep 1000"]
    for asker, node, ends in ((0, 0, 1), (0, 1, 1), (2, 1, "node")):
        asking = lab.popen(asker, "dvs", "exec", "--node", f"n{node}", "web", "sleep", "1000",
                           stdin=subprocess.DEVNULL)
        wait_for(lambda: runs() == [node], "it runs")
        if ends == "node":
            lab.kill(asker)
        else:
            os.kill(asking.inner, signal.SIGKILL)
        wait_for(lambda: not runs(), "it has ended", 60)
    lab.start(2)
    lab.wait_nodes(0, NODES)
    remove(lab, "web")


def a_container_whose_init_dies_is_made_anew(lab, tap):
    lab.run(0, "dvs", "dc", "create", "web", "--nodes", "all")
    record(lab, "web", "each", command=["sleep", "1000"], replicas="each")
    wait_for(lambda: len(programs(lab)) == 3, "each node runs it")
    pid = programs(lab)["each.1"]["id"]
    kill_all(processes(lab, 1, INIT))
    wait_for(lambda: programs(lab).get("each.1", {}).get("id") not in (None, pid),
             "it runs in the new container", 30)
    wait_for(lambda: settled(lab, "web"), "all is as it is wanted")
    remove(lab, "web")


def what_a_killed_node_ran_moves_and_comes_back(lab, tap):
    lab.run(0, "dvs", "dc", "create", "web", "--nodes", "all")
    record(lab, "web", "three", command=["sleep", "1000"], replicas=3)
    wait_for(lambda: len(programs(lab)) == 3, "three run")
    places = where(lab)
    assert sorted(places.values()) == [0, 1, 2], places
    lab.kill(2)
    wait_for(lambda: len(programs(lab)) == 3, "three run without n2", 60, 0.2)
    now = where(lab)
    assert 2 not in now.values(), now
    assert all(now[name] == node or node == 2 for name, node in places.items()), (now, places)
    lab.start(2)
    lab.wait_nodes(0, [0, 1, 2])
    wait_for(lambda: where(lab) == places, "all are where they were", 60, 0.2)
    lab.run(0, "dvs", "node", "drain", "n1", "--detach")
    wait_for(lambda: len(where(lab)) == 3 and 1 not in where(lab).values(), "n1 is empty", 30)
    lab.run(0, "dvs", "node", "drain", "n1", "--off")
    wait_for(lambda: where(lab) == places, "n1 has its own again", 30)
    remove(lab, "web")


def freezing_stops_all_nodes(lab, tap):
    lab.run(0, "dvs", "dc", "create", "web", "--nodes", "all")
    record(lab, "web", "count", replicas="each",
           command=["sh", "-c", "while :; do echo x; sleep 0.02; done"])
    wait_for(lambda: len(programs(lab)) == 3, "each node runs it")

    def states():
        found = {}
        for node in NODES:
            for pid in cgroups(lab, node)[1]:
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                    found[pid] = (words[11], words[12], words[19])
        return found
    lab.run(1, "dvs", "dc", "freeze", "web")
    first = states()
    time.sleep(0.5)  # in which nothing happens
    assert states() == first and len(first) >= 6, first
    done = lab.exec(1, "dvs", "run", "--node", "n2", "web", "true")
    assert done.returncode == 125 and "thaw" in done.stderr, done
    # An agent that comes back leaves it frozen.
    kill_all(processes(lab, 1, "dvs-agent"))
    wait_for(lambda: all(row["frozen"] for row in containers(lab, "web")), "frozen")
    assert states() == first
    lab.run(2, "dvs", "dc", "thaw", "web")
    wait_for(lambda: states() != first, "it goes on")
    lab.run(1, "dvs", "dc", "freeze", "web")
    remove(lab, "web")


def what_cannot_be_applied_is_told_and_programs_go_on(lab, tap):
    lab.run(0, "dvs", "dc", "create", "web", "--nodes", "all")
    lab.run(0, "dvs", "run", "-d", "--name", "sleeper", "web", "sleep", "1000")
    program = programs(lab)["sleeper"]["id"]

    def told(word):
        return all(row["state"] == "broken" and word in row["why"]
                   for row in containers(lab, "web"))
    for text, word in (('{"root": {"kind": "host"}, "hostname": "other"}', "hostname"),
                       ('{"root": {"kind": "host"}, "cpuset": "4095"}', "cpuset"),
                       ('{"root": {"kind": "host"}', "JSON")):
        set_record(lab, "web", "dc", text)
        if word == "JSON":
            # 'dvs' cannot show it, and an agent that comes anew must live with it.
            kill_all(processes(lab, 0, "dvs-agent"))
        else:
            wait_for(lambda word=word: told(word), f"all tell of {word}")
        assert programs(lab)["sleeper"]["id"] == program
        assert lab.run(1, "dvs", "run", "--node", "n0", "web", "echo", "here") == "here\n"
    set_record(lab, "web", "dc", '{"root": {"kind": "host"}, "pids": 100}')
    wait_for(lambda: all(row["state"] == "ready" for row in containers(lab, "web")), "all are ready")
    assert programs(lab)["sleeper"]["id"] == program
    remove(lab, "web")


def what_was_forgotten_while_a_node_was_away_is_removed(lab, tap):
    lab.run(0, "dvs", "dc", "create", "web", "--nodes", "all")
    lab.kill(2, "dvsd")
    wait_for(lambda: lab.nodes(0)[2] == "down", "n2 is taken for down", 90, 0.2)
    assert processes(lab, 2, INIT), "its container goes on"
    lab.run(0, "dvs", "dc", "rm", "web")
    assert dcs(lab, 0) == []
    lab.start(2)
    wait_for(lambda: not left(lab), f"nothing is left: {left(lab)}", 30)


def victims(lab, what, node):
    if what == "dvsd":
        return processes(lab, node, "dvsd")
    return processes(lab, node, {"agent": "dvs-agent", "init": INIT, "crun": "crun"}[what])


def kill_some(lab, rng, span):
    """Kill one kind of process on one node at a random moment of SPAN seconds; crun when it comes."""
    what = rng.choice(["dvsd", "agent", "init", "crun"])
    node = rng.randrange(3)
    deadline = time.monotonic() + rng.random() * span
    while time.monotonic() < deadline:
        if what == "crun" and victims(lab, what, node):
            break
        time.sleep(0.002)  # a moment of that fineness
    pids = victims(lab, what, node)
    kill_all(pids)
    return what, node, len(pids)


def killing_at_any_moment_leaves_nothing(lab, tap):
    rng = random.Random(SEED)
    # Some have a root file system of their own, with an overlay over it.
    root = "/srv/root"
    for node in NODES:
        lab.run(node, "sh", "-c", f"mkdir -p {root}/bin {root}/tmp && cp {BUSYBOX} {root}/bin/busybox"
                f" && ln -sf busybox {root}/bin/sleep")
    for i in range(KILLS):
        name = f"k{i}"
        is_rm = i % 2 == 1
        create = ["dc", "create", name, "--nodes", "all"]
        if rng.random() < 0.5:
            create += ["--directory", root]
        if is_rm:
            lab.run(0, "dvs", *create)
            lab.run(0, "dvs", "run", "-d", "--node", "n1", name, "/bin/sleep", "1000")
        words = ["dc", "rm", name] if is_rm else create
        asking = lab.popen(0, "dvs", *words, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        killed = kill_some(lab, rng, 0.15)
        tap.comment(f"{' '.join(words)}: {killed}")
        for node in NODES:
            lab.start(node)
        asking.wait(60)
        lab.wait_nodes(0, NODES)

        def gone():
            if name in dcs(lab, 0):
                lab.exec(0, "dvs", "dc", "rm", name, "--force")
            return name not in dcs(lab, 0) and not left(lab)
        wait_for(gone, f"nothing is left of {name}: {left(lab)}", 40, 0.1)


TESTS = [
    a_container_on_each_node_runs_programs_of_each_node,
    who_cannot_have_it_makes_all_take_it_back,
    programs_go_on_when_their_agent_is_killed,
    what_exec_started_ends_with_who_asked,
    a_container_whose_init_dies_is_made_anew,
    what_a_killed_node_ran_moves_and_comes_back,
    freezing_stops_all_nodes,
    what_cannot_be_applied_is_told_and_programs_go_on,
    what_was_forgotten_while_a_node_was_away_is_removed,
    killing_at_any_moment_leaves_nothing,
]


def main():
    requires_lab()
    if not BUSYBOX or not shutil.which("crun"):
        print("1..0 # SKIP needs busybox and crun")
        return 0
    tap = Tap()
    print(f"1..{len(TESTS)}\n# seed {SEED}", flush=True)
    failed = 0
    wanted = sys.argv[1:]
    with Lab(3) as lab:
        for number, test in enumerate(TESTS, 1):
            title = test.__name__.replace("_", " ")
            if wanted and test.__name__ not in wanted:
                print(f"ok {number} - {title} # SKIP not asked for", flush=True)
                continue
            try:
                test(lab, tap)
                print(f"ok {number} - {title}", flush=True)
            except Exception as mistake:  # noqa: BLE001: whatever it is, it is told
                import traceback
                failed += 1
                print(f"not ok {number} - {title}", flush=True)
                text = traceback.format_exc() + str(mistake)
                print("\n".join("# " + line for line in text.splitlines()), flush=True)
                show_logs(lab)
                for dc in dcs(lab, 0):
                    lab.exec(0, "dvs", "dc", "rm", dc, "--force")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
