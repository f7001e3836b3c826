#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""dvs lab: its nodes are machines of their own, its faults do what they say, and nothing of it
is left, whatever killed it when."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from dvsd import Tap
from lab import DVS, Lab, LabError, end, requires_lab, wait_for

SEED = int(os.environ.get("LABS_SEED", time.time_ns() % 1000000))
KILLS = int(os.environ.get("LABS_KILLS", "12"))

# Counts what it hears for LAST, as "FROM COUNT" lines; the rest of what it is sent it ignores.
LISTEN = """
import collections, socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88b5))
s.bind(("eth0", 0x88b5))
print("listening", flush=True)
heard = set()
while True:
    frame = s.recv(2000)
    if frame[6:8] == b"\\x02\\xd5":
        heard.add((frame[11] - 1, frame[14:].rstrip(b"\\0").decode()))
    if frame[14:].startswith(b"last"):
        for sender, text in sorted(heard):
            print(sender, text)
        print("end", flush=True)
        heard.clear()
"""

# Sends TEXT to the node N, in raw frames.
SEND = """
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("eth0", 0))
mine = s.getsockname()[4]
for n in sys.argv[2:]:
    s.send(bytes.fromhex("02d500000000")[:5] + bytes([int(n) + 1]) + mine + b"\\x88\\xb5"
           + sys.argv[1].encode())
"""


def refused(lab, *words):
    """What 'dvs lab' says when it refuses."""
    try:
        lab.dvs(*words)
    except LabError as why:
        return str(why)
    return ""


# ---- what is left ----

def lab_processes(name):
    """Every process of the lab NAME, holders and what runs in its nodes."""
    found = []
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            words = (proc / "cmdline").read_bytes().split(b"\0")
            environ = (proc / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[:2] == [b"dvs-lab-hold", name.encode()] or b"DVS_LAB=" + name.encode() in environ:
            found.append((proc.name, words))
    return found


def host_state():
    """What a lab must not change on the host."""
    run = lambda *argv: subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    return {"links": re.sub(r"\d+: ", "", run("ip", "-o", "link", "show")),
            "addresses": run("ip", "-o", "-4", "addr", "show"),
            "routes": run("ip", "route", "show", "table", "all"),
            "mounts": Path("/proc/self/mounts").read_text(),
            "host": os.uname().nodename}


def left_of(name, before):
    """What there is still of the lab NAME, as text; "" for nothing."""
    left = [f"process {pid} {words}" for pid, words in lab_processes(name)]
    for base in ("/run/dvs-lab", "/dev/shm/dvs-lab"):
        if (Path(base) / name).exists():
            left.append(f"{base}/{name}")
    now = host_state()
    left += [f"{key} changed: {before[key]} -> {now[key]}" for key in now
             if now[key] != before[key]]
    return "\n".join(left)


def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


# ---- the tests ----

def nodes_are_machines_of_their_own(lab, tap):
    for node in range(lab.n_nodes):
        assert lab.run(node, "hostname") == f"n{node}\n"
        assert lab.members(node) == ([0, 1, 2], True), lab.members(node)
    rows = lab.ls()
    assert [row["state"] for row in rows] == ["up"] * 3, rows
    assert [row["address"] for row in rows] == [lab.address(node) for node in range(3)]
    lab.run(0, "sh", "-c", "echo mine >/run/one; echo mine >/dev/shm/one")
    assert lab.path(0, "/run/one").read_text() == "mine\n"
    assert not lab.path(1, "/run/one").exists() and not lab.path(1, "/dev/shm/one").exists()
    assert not Path("/run/one").exists() and not Path("/dev/shm/one").exists()
    names = {line.split(":")[1].split("@")[0].strip()
             for line in lab.run(0, "ip", "-o", "link").splitlines()}
    assert names == {"lo", "eth0"}, names


def exec_is_like_running_it_here(lab, tap):
    assert lab.exec(1, "sh", "-c", "exit 7").returncode == 7
    assert lab.exec(1, "sh", "-c", "kill -KILL $$").returncode == 128 + signal.SIGKILL
    gone = lab.exec(1, "no-such-program")
    assert gone.returncode == 127 and "no-such-program" in gone.stderr
    assert lab.exec(1, "cat", input="through\n").stdout == "through\n"
    assert lab.run(1, "sh", "-c", "echo $DVS_RUN_DIR $DVS_LAB $DVS_LAB_NODE") == \
        f"/run/dvs {lab.name} n1\n"
    assert lab.run(1, "pwd") == os.getcwd() + "\n"
    for how in (signal.SIGTERM, signal.SIGKILL):
        program = lab.popen(1, "sleep", 1000)
        os.kill(program.pid, how)
        program.wait(20)
        wait_for(lambda: not runs(program.inner), "the program ends with dvs lab exec")


def hears(lab, listeners, text):
    """Who hears whom when all send TEXT to all: pairs (from, to)."""
    everybody = range(lab.n_nodes)
    for node in everybody:
        lab.run(node, sys.executable, "-c", SEND, text, *(n for n in everybody if n != node))
    pairs = set()
    for node, program in listeners.items():
        # From the node to itself nothing comes; the end is told by the one that is healthy.
        lab.run(2 if node != 2 else 3, sys.executable, "-c", SEND, "last", node)
        for line in iter(program.stdout.readline, "end\n"):
            sender, said = line.split()
            if said == text:
                pairs.add((int(sender), node))
    return pairs


def a_cut_concerns_one_pair_and_every_frame(lab, tap):
    with Lab(4, "--bare", "--engine", "local") as four:
        listeners = {}
        for node in range(4):
            listeners[node] = four.popen(node, sys.executable, "-c", LISTEN,
                                         stdout=subprocess.PIPE, text=True)
            assert listeners[node].stdout.readline() == "listening\n"
        whole = {(a, b) for a in range(4) for b in range(4) if a != b}
        assert hears(four, listeners, "a") == whole
        four.cut(0, 1)
        assert hears(four, listeners, "b") == whole - {(0, 1), (1, 0)}
        four.cut(0, 3, one_way=True)
        four.cut(0, 1)
        assert hears(four, listeners, "c") == whole - {(0, 1), (1, 0), (0, 3)}
        assert [row["cut_to"] for row in four.ls()] == [["n1", "n3"], ["n0"], [], []]
        four.heal(0, 1)
        assert hears(four, listeners, "d") == whole - {(0, 3)}
        four.slow(0, 3, 100)
        four.slow(1, 2, 100)
        assert hears(four, listeners, "e") == whole - {(0, 3)}
        assert four.ls()[1]["slow_to"] == ["n2"]
        four.heal()
        assert hears(four, listeners, "f") == whole
        assert all(row["cut_to"] == row["slow_to"] == [] for row in four.ls())
        why = refused(four, "cut", "n0", "n4")
        assert "no node 'n4'" in why and "n0 to n3" in why, why
        assert "itself" in refused(four, "cut", "n1", "n1")


def partitions_have_quorum_on_one_side(lab, tap):
    lab.split([0], [1, 2])
    lab.wait_members(1, [1, 2])
    lab.wait_members(0, [0])
    assert lab.members(1)[1] and not lab.members(0)[1]
    lab.heal()
    for node in range(3):
        lab.wait_members(node, [0, 1, 2])


def states(lab, node):
    """The state letters of all processes of NODE but its holder."""
    space = os.readlink(f"/proc/{lab.holders[node]}/ns/pid")
    letters = {}
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(proc / "ns/pid") == space and int(proc.name) != lab.holders[node]:
                letters[proc.name] = (proc / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
    return letters


def a_paused_node_stands_still(lab, tap):
    # One that makes processes all the time: none may escape.
    lab.popen(1, "sh", "-c", "while :; do /bin/true; done")
    lab.pause(1)
    first = states(lab, 1)
    # D: it waits for a child that has not come to its exec, and stops when that has.
    assert set(first.values()) <= {"T", "Z", "D"}, first
    assert len(first) >= 3 and states(lab, 1).keys() == first.keys()
    assert lab.ls()[1]["state"] == "paused"
    assert "paused" in lab.exec(1, "true").stderr
    assert "paused" in refused(lab, "start", "n1")
    lab.wait_members(0, [0, 2])
    lab.resume(1)
    lab.wait_members(0, [0, 1, 2])
    lab.pause(1, "corosync")
    assert lab.ls()[1]["state"] == "hung"
    lab.resume(1, "corosync")
    assert lab.ls()[1]["state"] == "up"
    assert "no dvs-proxy" in refused(lab, "pause", "n1", "proxy") or lab.ls()[1]["proxies"]
    lab.resume(1)
    lab.wait_members(0, [0, 1, 2])


def a_killed_node_loses_its_memory(lab, tap):
    daemon = "trap '' TERM HUP; (while :; do sleep 1000; done) & echo x >/run/lost; " \
        "echo x >/dev/shm/lost; echo x >/etc/kept"
    for keep in (False, True):
        lab.run(2, "sh", "-c", daemon, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                capture_output=False)
        lab.kill(2, keep=keep)
        assert not states(lab, 2), states(lab, 2)
        row = lab.ls()[2]
        assert (row["state"], row["processes"]) == ("off", 0), row
        for name in ("/run/lost", "/dev/shm/lost"):
            assert lab.path(2, name).exists() == keep, name
        assert lab.path(2, "/etc/kept").exists()
        assert "off" in lab.exec(2, "true").stderr and "off" in refused(lab, "kill", "n2")
        lab.wait_members(0, [0, 1])
        lab.start(2)
        assert lab.members(0)[0] == [0, 1, 2]
        assert lab.ls()[2]["state"] == "up"


def what_is_wanted_outlives_the_power_of_all(lab, tap):
    done = lab.exec(0, "dvs", "dc", "create", "lasting", "--nodes", "n0,n1")
    assert done.returncode == 0, done.stderr
    for node in range(3):
        lab.kill(node)
    for node in range(3):
        lab.start(node)
    done = lab.exec(1, "dvs", "run", "--node", "n1", "lasting", "echo", "again")
    assert (done.returncode, done.stdout) == (0, "again\n"), done.stderr
    done = lab.exec(2, "dvs", "dc", "rm", "--force", "lasting")
    assert done.returncode == 0, done.stderr
    assert lab.exec(0, "dvs", "verify").returncode == 0


def one_process_can_be_killed(lab, tap):
    before = lab.ls()[0]
    lab.kill(0, "dvsd")
    row = lab.ls()[0]
    assert row["state"] == "broken" and row["dvsd"] is None, row
    assert row["corosync"] == before["corosync"]
    assert "no dvsd" in refused(lab, "kill", "n0", "dvsd")
    assert "none of" in refused(lab, "kill", "n0", "init")
    lab.start(0)
    row = lab.ls()[0]
    assert row["state"] == "up" and row["dvsd"] != before["dvsd"]
    lab.start(0)
    assert lab.ls()[0]["dvsd"] == row["dvsd"]


def labs_do_not_see_each_other(lab, tap):
    before = [row["dvsd"] for row in lab.ls()]
    with Lab(2, "--bare", "--secure") as other:
        assert other.members(0) == ([0, 1], True)
        assert lab.members(0) == ([0, 1, 2], True)
        assert "already" in refused(other, "up", "2")
        assert all(row["dvsd"] is None for row in other.ls())
    assert [row["dvsd"] for row in lab.ls()] == before
    assert "no lab" in refused(other, "down")


def a_damaged_lab_can_be_removed(lab, tap):
    before = host_state()
    for damage in (lambda path: shutil.rmtree(path), lambda path: (path / "options").unlink(),
                   lambda path: (path / "options").write_text("nodes 99\n")):
        with Lab(2, "--engine", "local") as other:
            base = next(path for path in (Path("/run/dvs-lab"), Path("/dev/shm/dvs-lab"))
                        if (path / other.name).exists())
            damage(base / other.name)
            assert "damaged" in refused(other, "ls")
            other.dvs("down")
            assert not left_of(other.name, before), left_of(other.name, before)


def what_cannot_be_is_refused(lab, tap):
    def says(*words, **how):
        done = subprocess.run([DVS, "lab", *words], capture_output=True, text=True, check=False,
                              timeout=60, **how)
        assert done.returncode != 0, words
        return done.stderr
    assert "number of nodes" in says("up", "0")
    assert "number of nodes" in says("up", "63")
    assert "name of a lab" in says("up", "3", "--name", "../x")
    assert "list of filters" in says("up", "3", "--filters", "tls,gzip")
    assert "130" in says("up", "3", "--token", "10")
    assert "no lab 'none'" in says("exec", "--name", "none", "n0", "true")
    assert "NODE or COMMAND" in says("exec", "n0")
    assert "unknown option '--nme'" in says("exec", "--nme", "x", "n0", "true")
    if os.access(DVS, os.X_OK):
        why = says("up", "2", "--name", lab.name + "-x", user=65534, group=65534)
        assert "root" in why or "DVS_LAB_DIR" in why, why


def start_and_kill_up(name, rng, span):
    """Kill 'dvs lab up' at a random moment of its life; whether it had ended before."""
    program = subprocess.Popen([DVS, "lab", "up", "3", "--name", name, "--token", "1000"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        program.wait(rng.random() * span)
        return True
    except subprocess.TimeoutExpired:
        program.kill()
        program.wait()
        return False


def killing_up_at_any_moment_leaves_nothing(lab, tap):
    rng = random.Random(SEED)
    before = host_state()
    name = lab.name + "-k"
    began = time.monotonic()
    subprocess.run([DVS, "lab", "up", "3", "--name", name], check=True, capture_output=True)
    span = time.monotonic() - began
    subprocess.run([DVS, "lab", "down", "--name", name], check=True)
    for i in range(KILLS):
        # Short spans more often: there the steps are close together.
        ended = start_and_kill_up(name, rng, span * (0.1 if i % 2 else 1.1))
        if i % 3 == 0 and not ended:
            # Its processes end by themselves.
            wait_for(lambda: not lab_processes(name), "what up made ends with it")
            if i % 2 == 0:
                subprocess.run([DVS, "lab", "up", "2", "--name", name, "--engine", "local"],
                               check=True, capture_output=True)
        done = subprocess.run([DVS, "lab", "down", "--name", name], check=False,
                              capture_output=True, text=True)
        assert done.returncode == 0 or "no lab" in done.stderr, done.stderr
        left = left_of(name, before)
        assert not left, f"round {i}: {left}"


def ctrl_c_leaves_nothing_running(lab, tap):
    name = lab.name + "-c"
    before = host_state()
    program = subprocess.Popen([DVS, "lab", "up", "3", "--name", name], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: len(lab_processes(name)) > 3, "up is on its way")
    program.send_signal(signal.SIGINT)
    program.wait(30)
    wait_for(lambda: not lab_processes(name), "nothing runs")
    subprocess.run([DVS, "lab", "down", "--name", name], check=False, capture_output=True)
    assert not left_of(name, before)


TESTS = [nodes_are_machines_of_their_own, exec_is_like_running_it_here,
         a_cut_concerns_one_pair_and_every_frame, partitions_have_quorum_on_one_side,
         a_paused_node_stands_still, a_killed_node_loses_its_memory, what_is_wanted_outlives_the_power_of_all, one_process_can_be_killed,
         labs_do_not_see_each_other, a_damaged_lab_can_be_removed, what_cannot_be_is_refused,
         killing_up_at_any_moment_leaves_nothing, ctrl_c_leaves_nothing_running]


def with_a_host_of_its_own():
    """What other people mount or plug in meanwhile is not the labs' doing: it must not be seen."""
    if "LABS_HOST" not in os.environ:
        os.environ["LABS_HOST"] = "own"
        os.execvp("unshare", ["unshare", "--mount", "--net", sys.executable, *sys.argv])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def main():
    requires_lab()
    with_a_host_of_its_own()
    tap = Tap()
    tap.comment(f"seed {SEED} (LABS_SEED)")
    before = host_state()
    chosen = [test for test in TESTS if test.__name__ in sys.argv[1:] or not sys.argv[1:]]
    with Lab(3) as lab:
        for test in chosen:
            try:
                test(lab, tap)
                tap.ok(True, test.__name__.replace("_", " "))
            except Exception:
                import traceback
                tap.ok(False, test.__name__.replace("_", " "), traceback.format_exc())
                lab.show_logs(10)
        # What runs in it does not keep it.
        lab.popen(0, "sh", "-c", "trap '' TERM HUP INT; while :; do sleep 1000; done")
    left = left_of(lab.name, before)
    tap.ok(not left, "nothing is left of a lab that was taken down", left)
    print(f"1..{tap.n}")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
