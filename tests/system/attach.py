#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""'dvs vol attach' in a lab: file systems and a database on volumes, claims between nodes, servers that go."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import traceback
from pathlib import Path

from dvsd import Tap
from lab import Lab, LabError, requires_lab, wait_for

MIB = 1 << 20
POSTGRES = Path("/usr/lib/postgresql/15/bin")
PLACE = "/run/attached"

# Run on a node: files of all sizes, or whether they are as they were.
TREE = """
import hashlib, os, random, sys
what, place, seed = sys.argv[1:]
rng = random.Random(int(seed))
for i in range(60):
    path = f"{place}/d{i % 7}/f{i}"
    data = rng.randbytes(rng.choice([0, 1, 511, 512, 4096, 70001, 300000, 1 << 20]))
    if what == "write":
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    else:
        assert open(path, "rb").read() == data, path
"""

# Appends numbers, each on stable storage before the next one, until it is told to end; says how many and the longest wait.
WRITER = """
import os, sys, time
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
longest = n = 0
while not os.path.exists(sys.argv[2]):
    begin = time.monotonic()
    os.write(fd, b"%015d\\n" % n)
    os.fsync(fd)
    longest = max(longest, time.monotonic() - begin)
    n += 1
print(n, round(longest, 3))
"""


class Device:
    """A volume attached on a node of the lab."""

    def __init__(self, lab, node, volume, *options):
        self.lab, self.node, self.volume = lab, node, volume
        self.path = lab.run(node, "dvs", "vol", "attach", volume, *options).strip()
        assert self.path.startswith("/dev/"), self.path

    def row(self):
        rows = self.lab.json(self.node, "vol", "attachments")["attachments"]
        return {row["device"]: row for row in rows}[self.path]

    def detach(self, *options):
        self.lab.run(self.node, "dvs", "vol", "detach", self.path, *options)

    def __enter__(self):
        return self

    def __exit__(self, kind, mistake, trace):
        with contextlib.suppress(LabError, KeyError):
            self.detach("--force")


@contextlib.contextmanager
def mounted(device):
    lab, node = device.lab, device.node
    lab.run(node, "mkdir", "-p", PLACE)
    lab.run(node, "mount", device.path, PLACE)
    try:
        yield PLACE
    finally:
        lab.exec(node, "umount", PLACE)


def create(lab, name, nodes, size, store="ram"):
    lab.run(0, "dvs", "vol", "create", name, "--size", size, "--store", store, "--nodes", nodes)


def remove(lab, name):
    lab.exec(0, "dvs", "vol", "rm", "--force", name)


@contextlib.contextmanager
def volume(lab, name, nodes="0", size="256M", store="ram"):
    create(lab, name, nodes, size, store)
    try:
        yield name
    finally:
        remove(lab, name)


def refused(lab, node, *words):
    done = lab.exec(node, "dvs", "vol", *words)
    assert done.returncode == 1, (words, done.stdout, done.stderr)
    return done.stderr


def servers(lab, node):
    """The processes dvs-vdd of a node, as numbers of the host."""
    mounts = os.readlink(f"/proc/{lab.holders[node]}/ns/mnt")
    found = []
    for proc in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (proc / "comm").read_text().strip() == "dvs-vdd" and \
                    os.readlink(proc / "ns/mnt") == mounts:
                found.append(int(proc.name))
    return found


def a_file_system_moves_to_another_node(lab, tap):
    seed = random.randrange(1 << 30)
    tap.comment(f"seed {seed}")
    with volume(lab, "web/files") as name:
        with Device(lab, 0, name) as device:
            lab.run(0, "mkfs.ext4", "-q", device.path)
            with mounted(device) as place:
                lab.run(0, "python3", "-c", TREE, "write", place, seed)
                said = refused(lab, 0, "detach", name)
                assert f"is mounted on {place}" in said and "--force" in said, said
            lab.run(0, "e2fsck", "-fn", device.path)
            device.detach()
        with Device(lab, 1, name) as device:
            lab.run(1, "e2fsck", "-fn", device.path)
            with mounted(device) as place:
                lab.run(1, "python3", "-c", TREE, "check", place, seed)
                lab.run(1, "fstrim", place)
                lab.run(1, "python3", "-c", TREE, "check", place, seed)
            device.detach()
        rows = lab.json(0, "vol", "attachments")["attachments"]
        assert rows == [], rows


def two_writers_are_refused(lab, _):
    with volume(lab, "web/one", size="16M") as name:
        with Device(lab, 0, name):
            for node in (0, 1):
                said = refused(lab, node, "attach", name)
                assert "is attached on node 0" in said, said
                assert "--shared" in said, said
                refused(lab, node, "attach", name, "--shared")
            with Device(lab, 1, name, "--read-only") as reader:
                assert reader.row()["access"] == "read-only"
        with Device(lab, 1, name, "--shared"), Device(lab, 0, name, "--shared") as second:
            assert second.row()["access"] == "shared"
            assert "shared" in refused(lab, 0, "attach", name)
        with Device(lab, 1, name) as last:
            last.detach()


def devices_of_other_nodes(lab, _):
    """All by their agents, from one node."""
    def rows(*words):
        return {(row["node"], row["volume"]): row for row in
                lab.json(2, "vol", "attachments", *words)["attachments"]}
    with volume(lab, "web/far", size="16M") as name, volume(lab, "web/near", size="16M") as near:
        device = lab.run(2, "dvs", "vol", "attach", name, "--node", "n1").strip()
        assert lab.run(1, "blockdev", "--getsize64", device).strip() == str(16 * MIB)
        said = refused(lab, 2, "attach", name, "--node", "n0")
        assert "node n0: " in said and "is attached on node 1" in said, said
        with Device(lab, 0, near, "--read-only"):
            told = rows("--all-nodes")
            assert set(told) == {("n1", name), ("n0", near)}, told
            assert told["n1", name]["device"] == device and told["n0", near]["access"] == "read-only", told
            assert set(rows("--node", "n1")) == {("n1", name)}
            assert not lab.json(2, "vol", "attachments")["attachments"]
        lab.run(1, "mkfs.ext4", "-q", device)
        lab.run(1, "mkdir", "-p", PLACE)
        lab.run(1, "mount", device, PLACE)
        said = refused(lab, 2, "detach", name, "--node", "n1")
        assert f"is mounted on {PLACE}" in said and "--force" in said, said
        lab.run(1, "umount", PLACE)
        lab.run(2, "dvs", "vol", "detach", name, "--node", "n1")
        assert not rows("--all-nodes")
        assert "not attached on this node" in refused(lab, 2, "detach", name, "--node", "n1")
        done = lab.exec(2, "dvs", "vol", "attach", name, "--node", "n7")
        assert done.returncode == 2 and "n7" in done.stderr, done.stderr


def pid_on_host(lab, node, inside):
    """Of process INSIDE of a node."""
    for proc in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            status = (proc / "status").read_text()
            numbers = next(l for l in status.splitlines() if l.startswith("NSpid:")).split()[1:]
            if len(numbers) > 1 and int(numbers[-1]) == inside and \
                    b"dvs-attach" in (proc / "cmdline").read_bytes() and \
                    os.readlink(proc / "ns/mnt") == os.readlink(f"/proc/{lab.holders[node]}/ns/mnt"):
                return int(proc.name)
    raise AssertionError(f"no process {inside} on n{node}")


def the_dead_hold_nothing(lab, _):
    with volume(lab, "web/two", size="16M") as name:
        for which in ("keeper", "server"):
            with Device(lab, 1, name) as device:
                os.kill(pid_on_host(lab, 1, device.row()[which]), signal.SIGKILL)
                wait_for(lambda: not lab.json(1, "vol", "attachments")["attachments"],
                         f"the end without its {which}")
            with Device(lab, 0, name) as device:
                device.detach()


def a_node_that_is_lost_holds_nothing(lab, _):
    with volume(lab, "web/three", size="16M") as name:
        lab.run(1, "dvs", "vol", "attach", name)
        lab.kill(1)

        def attach():
            done = lab.exec(0, "dvs", "vol", "attach", name)
            return done.stdout.strip() if done.returncode == 0 else None
        device = wait_for(attach, "the claim of a lost node to end", timeout=60)
        lab.run(0, "dvs", "vol", "detach", device)
        lab.start(1)
        wait_for(lambda: lab.exec(1, "dvs", "vol", "ls").returncode == 0, "n1 to be back")


def write_block(lab, node, device, text, timeout=60):
    """The first block of a device, past all caches; whether it worked."""
    script = 'head -c 4096 /dev/zero | tr "\\0" "$1" | dd of="$2" bs=4096 oflag=direct conv=notrunc'
    return lab.exec(node, "sh", "-c", script, "sh", text, device, timeout=timeout).returncode == 0


def read_letter(lab, node, device):
    return lab.run(node, "sh", "-c", 'dd if="$1" bs=4096 count=1 iflag=direct | head -c 1', "sh", device)


def who_was_cut_off_writes_no_more(lab, _):
    """Its claim went to somebody else meanwhile."""
    with volume(lab, "web/cut", nodes="1", size="16M") as name, Device(lab, 0, name) as old:
        assert write_block(lab, 0, old.path, "a")
        lab.split([0], [1, 2])
        taken = None
        try:
            def attach():
                done = lab.exec(1, "dvs", "vol", "attach", name)
                return done.stdout.strip() if done.returncode == 0 else None
            # It waits meanwhile, and must not have been carried out in the end.
            late = lab.popen(0, "sh", "-c", 'head -c 4096 /dev/zero | tr "\\0" x | '
                             'dd of="$1" bs=4096 oflag=direct conv=notrunc', "sh", old.path,
                             stderr=subprocess.DEVNULL)
            taken = wait_for(attach, "the claim of a node that was cut off to end", timeout=90)
            assert write_block(lab, 1, taken, "b")
            lab.heal()
            assert late.wait(90) != 0, "it wrote without the claim"
            assert not write_block(lab, 0, old.path, "c")
            assert read_letter(lab, 1, taken) == "b"
        finally:
            lab.heal()
            if taken:
                lab.exec(1, "dvs", "vol", "detach", taken)


def dvsd_is_not_needed_meanwhile(lab, _):
    with volume(lab, "web/alone", size="16M") as name, Device(lab, 0, name) as device:
        assert write_block(lab, 0, device.path, "a")
        lab.kill(0, "dvsd")
        lab.start(0)
        assert write_block(lab, 0, device.path, "b")
        wait_for(lambda: lab.exec(0, "dvs", "vol", "ls").returncode == 0, "dvsd")
        assert "is attached on node 0" in refused(lab, 1, "attach", name)
        device.detach()


def a_file_system_waits_for_its_server(lab, tap):
    """The server of a volume in files is killed while somebody writes."""
    with volume(lab, "web/wait", store="file") as name, Device(lab, 0, name) as device:
        lab.run(0, "mkfs.ext4", "-q", device.path)
        with mounted(device) as place:
            kill_under_writer(lab, tap, place, lambda: servers(lab, 0), 3)
        lab.run(0, "e2fsck", "-fn", device.path)
        device.detach()


def kill_under_writer(lab, tap, place, victims, times):
    stop = f"{PLACE}.stop"
    lab.run(0, "rm", "-f", stop)
    writer = lab.popen(0, "python3", "-c", WRITER, f"{place}/log", stop, stdout=subprocess.PIPE,
                       text=True)

    def size():
        done = lab.exec(0, "stat", "-c", "%s", f"{place}/log")
        return int(done.stdout) if done.returncode == 0 else 0
    for _ in range(times):
        before = size()
        wait_for(lambda: size() > before + 160, "the writer to go on", timeout=60)
        for pid in victims():
            os.kill(pid, signal.SIGKILL)
    before = size()
    wait_for(lambda: size() > before + 160, "the writer to go on", timeout=60)
    lab.run(0, "touch", stop)
    said, _ = writer.communicate(timeout=60)
    assert writer.returncode == 0, said
    n, longest = said.split()
    tap.comment(f"{n} writes, the longest took {longest} s")
    lines = lab.run(0, "cat", f"{place}/log").splitlines()
    assert lines == [f"{i:015d}" for i in range(int(n))], (n, len(lines))


def primary_of(lab, name):
    """The node of the primary, when all replicas have everything."""
    def healthy():
        about.update(lab.json(0, "vol", "inspect", name)["volume"])
        return about["where"] and not any("!" in node for node in about["where"]) and \
            any("*" in node for node in about["where"])
    about = {}
    try:
        wait_for(healthy, f"{name} to be healthy", timeout=60)
    except TimeoutError as late:
        raise TimeoutError(f"{late}: {about}") from late
    return next(int(node.strip("n*")) for node in about["where"] if node.endswith("*"))


def a_replica_takes_over_under_a_file_system(lab, tap):
    with volume(lab, "web/three", nodes="1,0,2") as name, Device(lab, 0, name) as device:
        lab.run(0, "mkfs.ext4", "-q", device.path)
        with mounted(device) as place:
            kill_under_writer(lab, tap, place, lambda: servers(lab, primary_of(lab, name)), 3)
        lab.run(0, "e2fsck", "-fn", device.path)
        device.detach()
        assert primary_of(lab, name) in (0, 1, 2)
        lab.run(0, "dvs", "vol", "verify", name, "--progress", "none")


# ---- a database ----

class Postgres:
    def __init__(self, lab, node, place):
        self.lab, self.node, self.place = lab, node, f"{place}/pg"

    def run(self, program, *words, **how):
        return self.lab.run(self.node, "setpriv", "--reuid=postgres", "--regid=postgres",
                            "--clear-groups", "env", "-C", self.place, POSTGRES / program, *words,
                            **how)

    def make(self):
        self.lab.run(self.node, "install", "-d", "-o", "postgres", "-m", "700", self.place)
        self.run("initdb", "-D", f"{self.place}/db", "-A", "trust", "--no-sync")

    def start(self):
        """After a crash not each of a thousand files on its own is brought to stable storage."""
        self.run("pg_ctl", "-D", f"{self.place}/db", "-w", "-t", "300", "-l", f"{self.place}/log",
                 "-o", f"-k {self.place} -c listen_addresses='' -c recovery_init_sync_method=syncfs",
                 "start", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                 capture_output=False, timeout=320)

    def stop(self):
        self.run("pg_ctl", "-D", f"{self.place}/db", "-w", "-m", "fast", "stop")

    def bench(self, *words, **how):
        return self.run("pgbench", "-h", self.place, *words, "postgres", **how)

    def crash(self):
        """The whole of it, as by a power failure. One that waits for its disk dies a little later."""
        self.lab.run(self.node, "sh", "-c", 'p=$(head -1 "$1"); all="$p $(cat /proc/$p/task/$p/children)"; '
                     'kill -9 $all; for p in $all; do '
                     'while kill -0 "$p" 2>/dev/null; do sleep 0.01; done; done', "sh",
                     f"{self.place}/db/postmaster.pid", timeout=120)

    def sums(self):
        query = ("select (select sum(abalance) from pgbench_accounts),"
                 "(select sum(tbalance) from pgbench_tellers),"
                 "(select sum(bbalance) from pgbench_branches),"
                 "(select coalesce(sum(delta), 0) from pgbench_history),"
                 "(select count(*) from pgbench_history)")
        text = self.run("psql", "-h", self.place, "-At", "-F", " ", "-c", query, "postgres")
        return [int(word) for word in text.split()]

    def check(self, tap):
        *sums, n = self.sums()
        tap.comment(f"{n} transactions")
        assert len(set(sums)) == 1 and n > 0, sums
        return n


def a_database_outlives_crashes(lab, tap):
    if not (POSTGRES / "initdb").exists():
        tap.comment("PostgreSQL is not installed")
        return
    with volume(lab, "web/db", size="512M", store="file") as name, \
            Device(lab, 0, name) as device:
        lab.run(0, "mkfs.ext4", "-q", device.path)
        with mounted(device) as place:
            database = Postgres(lab, 0, place)
            database.make()
            database.start()
            database.bench("-i", "-q", "-s", "2")
            for is_volume_killed in (False, True):
                bench = threading.Thread(target=try_bench, args=[database])
                bench.start()
                wait_for(lambda: database.sums()[4] > 20, "transactions", timeout=120)
                if is_volume_killed:
                    for pid in servers(lab, 0):
                        os.kill(pid, signal.SIGKILL)
                    before = database.sums()[4]
                    wait_for(lambda: database.sums()[4] > before + 20, "more", timeout=120)
                database.crash()
                bench.join(120)
                lab.run(0, "rm", "-f", f"{database.place}/db/postmaster.pid")
                database.start()
                database.check(tap)
            database.stop()
        lab.run(0, "e2fsck", "-fn", device.path)
        device.detach()


def try_bench(database):
    """Until the database crashes."""
    with contextlib.suppress(LabError):
        database.bench("-c", "4", "-j", "2", "-T", "600", "-n", timeout=900)


TESTS = (a_file_system_moves_to_another_node, two_writers_are_refused, devices_of_other_nodes, the_dead_hold_nothing,
         a_file_system_waits_for_its_server, a_replica_takes_over_under_a_file_system,
         a_database_outlives_crashes, dvsd_is_not_needed_meanwhile, who_was_cut_off_writes_no_more,
         a_node_that_is_lost_holds_nothing)


def main():
    requires_lab()
    missing = [p for p in ("/dev/fuse", "/dev/loop-control") if not os.path.exists(p)]
    if missing:
        print(f"1..0 # SKIP needs {' '.join(missing)}")
        return 0
    tap = Tap()
    names = sys.argv[1:]
    with Lab(3) as lab:
        lab.run(0, "dvs", "dc", "create", "web", "--no-container")
        for test in [globals()[name] for name in names] or TESTS:
            title = test.__name__.replace("_", " ")
            try:
                test(lab, tap)
                tap.ok(True, title)
            except (AssertionError, LabError, TimeoutError, OSError, subprocess.SubprocessError):
                logs = "".join(lab.log(node, "dvsd")[-1500:] for node in range(2))
                with contextlib.suppress(OSError):
                    logs += lab.path(0, "/run/dvs/attach/log").read_text()[-2000:]
                tap.ok(False, title, traceback.format_exc() + logs)
    print(f"1..{tap.n}")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
