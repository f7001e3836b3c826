#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""dvs plan, up and down in a lab of 3 nodes: what a dvs.yaml says comes about, once and not twice; limits and programs change while the rest goes on; programs follow the
nodes; what is wrong is told with file, line and column, and leaves nothing."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

from lab import Lab, requires_lab, wait_for
from volume_help import LOAD

failed = 0
n_tests = 0
NAME = f"compose{os.getpid()}"
KILLS = int(os.environ.get("COMPOSE_KILLS", "6"))
CGROUPS = Path("/sys/fs/cgroup")

FILE = """name: NAME
nodes: [n0, n1]
memory: 64M
env: { GREETING: hello }
programs:
  spread:
    command: sleep 1000
    replicas: 4
    stop_grace: 1s
  each:
    command: sh -c 'echo "$GREETING"; exec sleep 1000'
    replicas: each
    stop_grace: 1s
    health: { command: 'true', interval: 200ms }
"""

# What stands in a file, and how the complaint begins, after its name.
WRONG = {
    "no YAML": ("name: [", "2:1: this is not YAML"),
    "an unknown key": ("name: NAME\nmemori: 1M\n",
                       "2:1: the DC: there is no key 'memori'; did you mean 'memory'?"),
    "a wrong value": ("name: NAME\nmemory: much\n", "2:9: memory: 'much' is not a size"),
    "a value out of range": ("name: NAME\npids: 1\n", "2:7: pids: '1' is not a whole number"),
    "a wrong program": ("name: NAME\nprograms:\n  a:\n    command: a | b\n",
                        "4:14: programs.a.command: '|'"),
    "more CPUs than a node has": ("name: NAME\nprograms: { a: { command: a } }\ncpus: 3000\n",
                                  "3:7: cpus: node n0: "),
    "a volume that is not there": ("name: NAME\nvolumes:\n  - /tmp:/a\n  - /no/such/place:/b\n",
                                   "4:5: volumes[1].source: node n0: "),
    "a root that is not there": ("name: NAME\nroot: /no/such/place\n", "2:7: root: node n0: "),
    "an image that is not there": ("name: NAME\nimage: nosuchimage\n", "2:8: image: "),
    "a device that is not there": ("name: NAME\ndevices: [/dev/nosuchdevice]\n",
                                   "2:11: devices[0].path: node n0: "),
    "a node that is not there": ("name: NAME\nnodes: [n0, n7]\n",
                                 "2:13: nodes[1]: there is no node 'n7'"),
    "a program for nodes that the DC has not": (
        "name: NAME\nnodes: [n0]\nprograms:\n  a: { command: a, nodes: [n1] }\n",
        "4:27: programs.a.nodes: none of these is a node of the DC"),
    "a disk on a node that is not there": (
        "name: NAME\ndisks:\n  d: { size: 1M, nodes: [n0, n7] }\n",
        "3:30: disks.d.nodes[1]: there is no node 'n7'"),
    "a disk with more replicas than nodes": (
        "name: NAME\ndisks:\n  d: { size: 1M, replicas: 4 }\n",
        "3:28: disks.d.replicas: only 3 nodes are up"),
    "a disk without its device": (
        "name: NAME\ndisks:\n  d: { size: 1M, store: raw, nodes: n0 }\n",
        "3:3: disks.d.places: there is none for node n0, and it must be the absolute path"),
}


def test(function, *args):
    global failed, n_tests
    n_tests += 1
    begun = time.monotonic()
    try:
        function(*args)
        print(f"ok {n_tests} - {function.__doc__} ({time.monotonic() - begun:.1f} s)", flush=True)
    except Exception:
        failed += 1
        print(f"not ok {n_tests} - {function.__doc__}", flush=True)
        print("".join("# " + line + "\n" for line in traceback.format_exc().splitlines()),
              flush=True)


class Files:
    """The lab, and files that its nodes can read."""

    def __init__(self, lab, folder):
        self.lab = lab
        self.path = Path(folder) / "dvs.yaml"

    def write(self, text):
        self.path.write_text(text.replace("NAME", NAME))
        return self.path

    def dvs(self, *words, status=0):
        """Run 'dvs WORDS' in n0; stdout and stderr."""
        done = self.lab.exec(0, "dvs", *words, timeout=150)
        assert done.returncode == status, (f"dvs {words}: status {done.returncode}\n{done.stdout}"
                                           f"{done.stderr}")
        return done.stdout, done.stderr

    def up(self, text, *options, status=0):
        return self.dvs("up", self.write(text), *options, status=status)

    def programs(self, node=0, all_of_them=False):
        """The programs that run, by name."""
        rows = self.lab.json(node, "ps", NAME)["programs"]
        return {row["program"]: row for row in rows if all_of_them or row["state"] == "running"}

    def places(self):
        return {name: row["node"] for name, row in self.programs().items()}

    def dcs(self):
        return [row["name"] for row in self.lab.json(0, "dc", "ls")["dcs"]]


def limits():
    """The memory limits of the containers, as the kernel has them."""
    found = list(CGROUPS.glob(f"memory/dvs-*/{NAME}/memory.limit_in_bytes")) \
        or list(CGROUPS.glob(f"dvs-*/{NAME}/memory.max"))
    return sorted(int(path.read_text()) for path in found)


def leftovers():
    """Control groups and mounts that have the name of the DC."""
    groups = [str(path) for depth in ("*", "*/*", "*/*/*") for path in CGROUPS.glob(f"{depth}/{NAME}")]
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if NAME in line]
    return groups + mounts


# ---- what is wrong ----

def wrong_files_leave_nothing(files):
    """a wrong file is told with line, column and cure, and leaves nothing"""
    for what, (text, complaint) in WRONG.items():
        for command in ("plan", "up"):
            if command == "plan" and "node n0: " in complaint:
                continue
            _, told = files.dvs(command, files.write(text), status=1)
            assert told.startswith(f"dvs: {files.path}:{complaint}"), f"{what}: {told}"
        assert files.dcs() == [], what
        assert leftovers() == [], what


def one_wrong_dc_of_two_leaves_nothing(files):
    """of two DCs in a file, one that a node cannot have keeps the other from being begun"""
    _, told = files.up("name: NAME\n---\nname: NAME-b\nmemory: 64M\ncpus: 3000\n", status=1)
    assert ":5:7: cpus: node n0: " in told, told
    assert files.dcs() == []


def a_file_that_is_not_there(files):
    """a file that is not there is told"""
    _, told = files.dvs("up", "/no/such/file.yaml", status=1)
    assert "/no/such/file.yaml" in told and "No such file" in told, told


# ---- up ----

def up_makes_all(files):
    """up creates the DC and waits until all its programs run"""
    out, _ = files.dvs("plan", files.write(FILE), "--exit-code", status=3)
    assert "will be created" in out and "+ memory: 64M" in out, out
    assert files.dcs() == [], "plan changes nothing"
    out, _ = files.up(FILE)
    assert f"dc {NAME}: created; its programs run" in out, out
    rows = files.programs()
    assert sorted(rows) == ["each.0", "each.1"] + [f"spread.{i}" for i in range(4)], rows
    assert all(rows[f"each.{i}"]["health"] == "healthy" for i in (0, 1)), rows
    places = list(files.places().values())
    assert places.count(0) == 3 and places.count(1) == 3, places
    assert limits() == [64 << 20] * 2, limits()


def env_reaches_programs(files):
    """variables of the DC are those of its programs"""
    out, _ = files.dvs("logs", f"{NAME}/each.1")
    assert "hello" in out, out


def up_twice_changes_nothing(files):
    """up a second time changes nothing, and says so"""
    before = files.programs()
    out, _ = files.up(FILE)
    assert out == f"dc {NAME}: nothing to change\n", out
    out, _ = files.dvs("plan", files.path, "--exit-code")
    assert out == f"dc {NAME}: nothing to change\n", out
    assert files.programs().keys() == before.keys()
    assert all(files.programs()[name]["id"] == row["id"] for name, row in before.items())


def limits_change_live(files):
    """a limit changes while the programs go on"""
    before = files.programs()
    out, _ = files.up(FILE.replace("64M", "96M"))
    assert "~ memory: 64M -> 96M" in out, out
    assert limits() == [96 << 20] * 2, limits()
    after = files.programs()
    assert all(after[name]["pid"] == row["pid"] for name, row in before.items()), (before, after)


def a_program_changes_alone(files):
    """a program that changes is started again, the others go on"""
    before = files.programs()
    text = FILE.replace("64M", "96M").replace("command: sleep 1000", "command: sleep 1001")
    plan = json.loads(files.dvs("plan", files.write(text), "-o", "json")[0])
    assert plan["n_changes"] == 1, plan
    assert plan["dcs"][0]["changes"][0] == {
        "op": "change", "path": "programs.spread.command", "old": '["sleep","1000"]',
        "new": '["sleep","1001"]', "needs_new_containers": False}, plan
    files.up(text)
    after = files.programs()
    assert all(row["command"] == "sleep 1001" for name, row in after.items() if "spread" in name), after
    assert all(after[f"each.{i}"]["pid"] == before[f"each.{i}"]["pid"] for i in (0, 1))


def replicas_change_alone(files):
    """with more or fewer replicas those that run go on"""
    before = files.programs()
    out, _ = files.up(FILE.replace("64M", "96M").replace("sleep 1000\n", "sleep 1001\n").replace(
        "replicas: 4", "replicas: 6"))
    assert "~ programs.spread.replicas: 4 -> 6" in out, out
    after = files.programs()
    assert len(after) == 8 and all(after[name]["pid"] == row["pid"] for name, row in before.items())
    files.up(FILE.replace("64M", "96M").replace("sleep 1000\n", "sleep 1001\n"))
    assert {name: row["pid"] for name, row in files.programs().items()} == \
        {name: row["pid"] for name, row in before.items()}


def programs_come_and_go(files):
    """a program that is not in the file any more ends, a new one starts"""
    text = "name: NAME\nnodes: [n0, n1]\nmemory: 96M\nenv: { GREETING: hello }\nprograms:\n" \
           "  new: { command: sleep 1000, stop_grace: 1s }\n"
    out, _ = files.up(text)
    assert "- programs.spread" in out and "+ programs.new" in out, out
    assert list(files.programs()) == ["new.0"], files.programs()
    files.up(FILE)


def needs_new_containers(files):
    """what needs new containers is refused with its line; --recreate makes them"""
    before = files.programs()
    text = FILE.replace("memory", "hostname: other\nmemory")
    _, told = files.up(text, status=1)
    assert told.startswith(f"dvs: {files.path}:3:11: hostname: "), told
    assert "--recreate" in told, told
    assert all(files.programs()[name]["pid"] == row["pid"] for name, row in before.items())
    files.up(text, "--recreate")
    out, _ = files.dvs("exec", NAME, "hostname")
    assert out == "other\n", out
    files.up(FILE, "--recreate")


def a_frozen_dc_is_told(files):
    """a DC that is frozen is not changed"""
    files.dvs("dc", "freeze", NAME)
    _, told = files.up(FILE.replace("replicas: 4", "replicas: 3"), status=1)
    assert told.startswith(f"dvs: {files.path}:1:7: name: the DC is frozen"), told
    files.dvs("dc", "thaw", NAME)
    files.up(FILE)


def what_does_not_start_is_told(files):
    """a program that cannot be started, or has ended with an error, ends the waiting at once"""
    begun = time.monotonic()
    _, told = files.up(FILE + "  bad: { command: /no/such/program }\n", status=1)
    assert f"{files.path}:15:3: programs.bad: bad.0 on n" in told and "/no/such/program" in told, told
    _, told = files.up(FILE + "  bad: { command: 'false', restart: 'no' }\n", status=1)
    assert "bad.0 on n" in told and "has ended with status 1" in told, told
    assert time.monotonic() - begun < 60
    files.up(FILE + "  good: { command: 'true', restart: on-failure }\n")
    _, told = files.up(FILE + "  bad: { command: 'false' }\n", "-t", "2", status=1)
    assert "waits to be started again" in told, told
    files.up(FILE)


# ---- disks ----

DISKS = """name: NAME-v
nodes: [n0]
programs: { s: { command: sleep 1000, stop_grace: 1s } }
disks:
  data: { size: 8M, nodes: [n1, n0] }
  log: { size: 4M, store: ram, replicas: 1, resync_rate: 10M }
"""


def volume(files, name):
    return files.lab.json(0, "vol", "inspect", f"{NAME}-v/{name}")


def load(files, mode, value):
    done = files.lab.exec(0, LOAD, "/run/dvs", f"{NAME}-v/data", mode, "--value", str(value), timeout=60)
    assert done.returncode == 0, (done.stdout, done.stderr)


def nodes_of(inspected):
    return {row["name"]: row["state"] for row in inspected["replicas"]}


def disks_are_made_once(files):
    """up makes volumes before the programs, a second time changes nothing"""
    out, _ = files.up(DISKS)
    assert '+ disks.data: {"bytes":8388608,"nodes":["n1","n0"]}' in out, out
    assert nodes_of(volume(files, "data")) == {"n1": "primary", "n0": "in sync"}
    assert volume(files, "log")["volume"]["store"] == "ram"
    out, _ = files.up(DISKS)
    assert out == f"dc {NAME}-v: nothing to change\n", out
    again = DISKS.replace("n1, n0", "n0, n1").replace(", resync_rate: 10M", "")
    out, _ = files.up(again)
    assert out == f"dc {NAME}-v: nothing to change\n", out


def disks_change(files):
    """a volume gets other nodes and another way to replicate, and grows, while what is in it stays"""
    load(files, "fill", 7)
    text = DISKS.replace("nodes: [n1, n0]", "nodes: [n0, n2], async: true").replace("10M", "20M")
    out, _ = files.up(text)
    assert '~ disks.data.nodes: ["n1","n0"] -> ["n0","n2"]' in out, out
    assert "~ disks.log.resync_rate: 10M -> 20M" in out, out
    assert set(nodes_of(volume(files, "data"))) == {"n0", "n2"}
    assert volume(files, "data")["volume"]["mode"] == "async"
    load(files, "check", 7)
    out, _ = files.up(text.replace("8M", "12M"))
    assert "~ disks.data.size: 8M -> 12M" in out, out
    assert volume(files, "data")["volume"]["bytes"] == 12 << 20
    load(files, "fill", 8)
    out, _ = files.up(text.replace("8M", "12M"))
    assert out == f"dc {NAME}-v: nothing to change\n", out


def disks_do_not_lose_anything(files):
    """what would lose data or cannot change is refused with line and column"""
    base = DISKS.replace("8M, nodes: [n1, n0]", "12M, nodes: [n0, n2]")
    for new, complaint in ((("12M", "11M"), "5:17: disks.data.size: it has 12M, and what is behind"),
                           (("store: ram", "store: file"), '6:27: disks.log.store: it is "ram", and'),
                           (("12M", "12M, direct: true"), "5:30: disks.data.direct: it is false, and")):
        for command in ("plan", "up"):
            _, told = files.dvs(command, files.write(base.replace(*new)), status=1)
            assert told.startswith(f"dvs: {files.path}:{complaint}"), told
    out, _ = files.up(base.split("disks:")[0])
    assert out == f"dc {NAME}-v: nothing to change\n", out


def new_containers_keep_disks(files):
    """--recreate makes new containers around the volumes"""
    text = DISKS.replace("8M, nodes: [n1, n0]", "12M, nodes: [n0, n2]").replace(
        "nodes: [n0]", "nodes: [n0, n1]\nhostname: other")
    before = volume(files, "data")["volume"]["id"]
    files.up(text, "--recreate")
    out, _ = files.dvs("exec", f"{NAME}-v", "hostname")
    assert out == "other\n", out
    assert volume(files, "data")["volume"]["id"] == before
    load(files, "check", 8)
    assert files.up(text)[0] == f"dc {NAME}-v: nothing to change\n"


def a_disk_that_a_node_cannot_have(files):
    """a new DC with a volume that a node cannot have is taken back"""
    _, told = files.up("name: NAME-w\ndisks:\n  a: { size: 1M }\n"
                       "  d: { size: 1M, store: raw, nodes: n1, places: [n1=/dev/null] }\n", status=1)
    assert f"{files.path}:4:3: disks.d: node n1: " in told, told
    assert f"{NAME}-w" not in files.dcs()


def down_keeps_disks(files):
    """down keeps volumes, the next up finds them; with --volumes nothing stays"""
    path = files.write(DISKS.replace("8M, nodes: [n1, n0]", "12M, nodes: [n0, n2]"))
    out, _ = files.dvs("down", path)
    assert out == f"dc {NAME}-v: removed but for its volumes and file systems; 'dvs down --volumes' removes them, too\n", out
    assert not files.lab.json(0, "ps", f"{NAME}-v")["programs"]
    assert not [path for path in leftovers() if f"{NAME}-v" in path]
    assert set(nodes_of(volume(files, "data"))) == {"n0", "n2"}
    files.dvs("up", path)
    assert list(row["program"] for row in files.lab.json(0, "ps", f"{NAME}-v")["programs"]) == ["s.0"]
    load(files, "check", 8)
    files.dvs("vol", "snapshot", f"{NAME}-v/data", "s")
    files.dvs("vol", "clone", f"{NAME}-v/data@s", "c")
    out, _ = files.dvs("down", path, "--volumes")
    assert out.splitlines()[-1] == f"dc {NAME}-v: removed" and f"volume {NAME}-v/c: removed" in out, out
    assert f"{NAME}-v" not in files.dcs()


# ---- nodes ----

def a_node_comes(files):
    """a node that is added gets a container and its share of the programs"""
    text = FILE.replace("[n0, n1]", "all")
    out, _ = files.up(text)
    assert "+ nodes: n2" in out, out
    places = files.places()
    assert places["each.2"] == 2, places
    spread = [places[f"spread.{i}"] for i in range(4)]
    assert sorted(spread.count(node) for node in (0, 1, 2)) == [1, 1, 2], places
    assert limits() == [64 << 20] * 3, limits()


def a_node_dies(files):
    """the replicas of a node that is killed run elsewhere, no other moves, and they come home"""
    before = files.programs()
    home = files.places()
    victim = next(node for node in (1, 2) if node in home.values())
    files.lab.kill(victim)

    def moved():
        rows = files.programs()
        return {f"spread.{i}" for i in range(4)} <= rows.keys() and \
            all(row["node"] != victim for row in rows.values()) and rows
    rows = wait_for(moved, "all replicas run again", 90, 0.3)
    for name, row in rows.items():
        if home[name] != victim:
            assert row["pid"] == before[name]["pid"], name
    out, _ = files.up(FILE.replace("[n0, n1]", "all"))
    assert out == f"dc {NAME}: nothing to change\n", out
    files.lab.start(victim)
    wait_for(lambda: files.places() == home, "all replicas are at home again", 90, 0.3)


# ---- images ----

def an_image_is_one_tree(files):
    """an image means one tree on all nodes; another one of its name needs new containers"""
    root = files.path.parent / "root"
    (root / "bin").mkdir(parents=True)
    for folder in ("proc", "sys", "dev", "tmp", "run", "etc"):
        (root / folder).mkdir()
    shutil.copy(shutil.which("busybox"), root / "bin" / "busybox")
    (root / "bin" / "sleep").symlink_to("busybox")
    files.dvs("image", "import", "--name", NAME, root)
    text = "name: NAME-i\nimage: NAME\nprograms: { s: { command: sleep 1000, replicas: 3, stop_grace: 1s } }\n"
    out, _ = files.up(text)
    assert f"+ root: image {NAME}@sha256:" in out and "its programs run" in out, out
    out, _ = files.up(text)
    assert out == f"dc {NAME}-i: nothing to change\n", out
    (root / "etc" / "new").write_text("new")
    files.dvs("image", "import", "--name", NAME, "--to", "all", root)
    out, _ = files.dvs("plan", files.path)
    assert f"~ root: image {NAME}@sha256:" in out and "(needs new containers)" in out, out
    _, told = files.up(text, status=1)
    assert told.startswith(f"dvs: {files.path}:2:8: image: "), told
    files.up(text, "--recreate")
    out, _ = files.dvs("exec", f"{NAME}-i", "busybox", "cat", "/etc/new")
    assert out == "new", out
    _, told = files.up(text.replace("image: NAME", "image: xNAME"), status=1)
    assert f"did you mean '{NAME}'?" in told, told
    files.dvs("down", f"{NAME}-i")


def detached(files):
    """up --detach does not wait for programs"""
    text = "name: NAME-d\nprograms: { s: { command: sleep 1000, health: { command: 'false' }, stop_grace: 1s } }\n"
    out, _ = files.up(text, "--detach")
    assert "created; its programs start" in out, out
    _, told = files.up(text, "-t", "1", status=1)
    assert "is not healthy yet" in told, told
    files.dvs("down", f"{NAME}-d")


# ---- dvs itself dies ----

def up_again_after_a_kill(files):
    """up that is killed at any moment is made good by the next one"""
    seed = int(os.environ.get("SEED", time.time_ns() % 1000000))
    print(f"# SEED={seed}", flush=True)
    draw = random.Random(seed)
    text = "name: NAME-k\nmemory: 64M\nprograms:\n" + "".join(
        f"  p{i}: {{ command: sleep 1000, stop_grace: 1s }}\n" for i in range(6))
    path = files.write(text)
    for _ in range(KILLS):
        killed = files.lab.popen(0, "dvs", "up", path, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        time.sleep(draw.uniform(0, 0.3))  # the moment is what is tried
        if killed.inner:
            with contextlib.suppress(ProcessLookupError):
                os.kill(killed.inner, signal.SIGKILL)
        killed.wait(30)
        files.up(text)
        rows = files.lab.json(0, "ps", f"{NAME}-k")["programs"]
        assert sorted(row["program"] for row in rows if row["state"] == "running") == \
            [f"p{i}.0" for i in range(6)], rows
        files.dvs("down", f"{NAME}-k")
        assert f"{NAME}-k" not in files.dcs()


# ---- servers and several DCs ----

def servers_and_two_dcs(files):
    """a file with two DCs and a server makes both"""
    files.up(FILE + "servers:\n  rs: { endpoint: 5, program: sleep 1000, replicas: 2, stop_grace: 1s }\n"
             "---\nname: NAME-b\nprograms: { one: { command: sleep 1000, stop_grace: 1s } }\n", "--recreate")
    assert {"rs.0", "rs.1"} <= files.programs().keys()
    assert sorted(files.dcs()) == [NAME, NAME + "-b"]


def down_leaves_nothing(files):
    """down ends and removes all, and nothing is left; a second time it says so"""
    out, _ = files.dvs("down", files.path)
    assert out == f"dc {NAME}-b: removed\ndc {NAME}: removed\n", out
    assert files.dcs() == []
    assert leftovers() == []
    out, _ = files.dvs("down", files.path)
    assert out == f"dc {NAME}-b: it is not there\ndc {NAME}: it is not there\n", out
    _, told = files.dvs("down", NAME, status=1)
    assert "no such DC" in told, told


def main():
    requires_lab()
    with Lab(3) as lab, tempfile.TemporaryDirectory(prefix="dvs-compose.") as folder:
        files = Files(lab, folder)
        for function in (wrong_files_leave_nothing, one_wrong_dc_of_two_leaves_nothing,
                         a_file_that_is_not_there, up_makes_all, env_reaches_programs,
                         up_twice_changes_nothing, limits_change_live, a_program_changes_alone,
                         replicas_change_alone,
                         programs_come_and_go, needs_new_containers, a_frozen_dc_is_told,
                         what_does_not_start_is_told,
                         disks_are_made_once, disks_change, disks_do_not_lose_anything,
                         new_containers_keep_disks, a_disk_that_a_node_cannot_have,
                         down_keeps_disks,
                         a_node_comes, a_node_dies, an_image_is_one_tree, detached,
                         up_again_after_a_kill,
                         servers_and_two_dcs, down_leaves_nothing):
            test(function, files)
    print(f"1..{n_tests}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
