#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Volumes with two replicas on three nodes: whoever is killed, nothing that was acknowledged is lost, and who comes back is brought up to date."""

import os
import signal
import sys
import time
import traceback

from dvsd import Tap
from lab import requires_lab, wait_for
from volume_help import LOAD
from volume_lab import DC, RUN_DIR, VolumeLab


def replicas_have_the_same(lab, tap):
    lab.create("same", [0, 1])
    assert lab.wait_healthy("same") == 0
    lab.load(2, "same", "fill", "--value", 9)
    storm = lab.storm("same", 2, "--threads", 4)
    time.sleep(1)  # some load
    lab.end_storm(storm)
    lab.read_all_replicas("same", 2)
    tap.comment(lab.judge("same"))
    lab.run(0, "dvs", "vol", "verify", f"{DC}/same")


def a_killed_primary_is_followed_by_its_backup(lab, tap):
    lab.create("kill", [0, 1])
    assert lab.wait_healthy("kill") == 0
    storms = [lab.storm("kill", node, "--threads", 3) for node in (1, 2)]
    wait_for(lambda: lab.inspect("kill", 2)["server"]["writes"] > 100, "a load")
    lab.signal_servers(0, signal.SIGKILL)
    wait_for(lambda: lab.primary("kill", 2) == 1, "the backup takes over")
    lab.wait_healthy("kill", 2)
    longest = max(lab.end_storm(storm)["longest_ms"] for storm in storms)
    tap.comment(f"the longest call took {longest} ms")
    lab.read_all_replicas("kill", 2)
    tap.comment(lab.judge("kill"))


def a_killed_backup_is_brought_up_to_date(lab, tap):
    lab.create("backup", [0, 1])
    assert lab.wait_healthy("backup") == 0
    storms = [lab.storm("backup", node, "--threads", 3) for node in (0, 2)]
    wait_for(lambda: lab.inspect("backup", 2)["server"]["writes"] > 100, "a load")
    lab.signal_servers(1, signal.SIGKILL)
    lab.wait_healthy("backup", 2)
    for storm in storms:
        tap.comment(lab.end_storm(storm))
    lab.read_all_replicas("backup", 2)
    tap.comment(lab.judge("backup"))


def a_paused_primary_answers_nothing_old(lab, tap):
    lab.create("pause", [0, 1])
    assert lab.wait_healthy("pause") == 0
    storms = [lab.storm("pause", node, "--threads", 3) for node in (0, 2)]
    wait_for(lambda: lab.inspect("pause", 2)["server"]["writes"] > 100, "a load")
    lab.signal_servers(0, signal.SIGSTOP)
    time.sleep(1.5)  # longer than the lease
    lab.signal_servers(0, signal.SIGCONT)
    lab.wait_healthy("pause", 2)
    for storm in storms:
        tap.comment(lab.end_storm(storm))
    lab.read_all_replicas("pause", 2)
    tap.comment(lab.judge("pause"))


def a_primary_that_stays_paused_is_overtaken(lab, tap):
    lab.create("stopped", [0, 1])
    assert lab.wait_healthy("stopped") == 0
    storms = [lab.storm("stopped", node, "--threads", 3) for node in (0, 2)]
    wait_for(lambda: lab.inspect("stopped", 2)["server"]["writes"] > 100, "a load")
    lab.signal_servers(0, signal.SIGSTOP)
    try:
        wait_for(lambda: lab.primary("stopped", 2) == 1, "the backup takes over", 90, 0.1)
        before = lab.inspect("stopped", 2)["server"]["writes"]
        wait_for(lambda: lab.inspect("stopped", 2)["server"]["writes"] > before + 100, "the load goes on")
    finally:
        lab.signal_servers(0, signal.SIGCONT)
    lab.wait_healthy("stopped", 2)
    for storm in storms:
        tap.comment(lab.end_storm(storm))
    lab.read_all_replicas("stopped", 2)
    tap.comment(lab.judge("stopped"))


def a_lost_node_comes_back(lab, tap):
    lab.create("node", [0, 1])
    assert lab.wait_healthy("node") == 0
    storm = lab.storm("node", 2, "--threads", 4)
    wait_for(lambda: lab.inspect("node", 2)["server"]["writes"] > 100, "a load")
    lab.kill(0)
    wait_for(lambda: lab.primary("node", 2) == 1, "the backup takes over", 60)
    lab.start(0)
    lab.wait_nodes(2, [0, 1, 2])
    lab.wait_healthy("node", 2)
    tap.comment(lab.end_storm(storm))
    lab.read_all_replicas("node", 2)
    tap.comment(lab.judge("node"))


def copies_are_the_same_on_all_replicas(lab, tap):
    """Snapshots, clones and sizes are changes like others."""
    of = ("--as", f"{DC}/copies")

    def look(node):
        lab.load(node, "copies@one", "check", "--value", 1, *of, noted=False)
        lab.load(node, "copies", "check", "--value", 2, noted=False)
        lab.load(node, "copy", "check", "--value", 3, *of, noted=False)
    lab.create("copies", [0, 1])
    lab.wait_healthy("copies")
    lab.load(2, "copies", "fill", "--value", 1, noted=False)
    lab.run(2, "dvs", "vol", "snapshot", f"{DC}/copies", "one")
    lab.load(2, "copies", "fill", "--value", 2, noted=False)
    lab.run(2, "dvs", "vol", "clone", f"{DC}/copies@one", "copy")
    lab.load(2, "copy", "check", "--value", 1, *of, noted=False)
    lab.load(2, "copy", "fill", "--value", 3, *of, noted=False)
    look(2)
    lab.promote("copies", 1, 2)
    look(0)
    lab.signal_servers(1, signal.SIGKILL)
    wait_for(lambda: lab.primary("copies", 2) == 0, "the backup takes over")
    look(1)
    lab.wait_healthy("copies", 2)
    lab.run(2, "dvs", "vol", "verify", f"{DC}/copies")
    lab.promote("copies", 1, 2)
    look(2)
    # Nobody writes to it while it grows: what is new is empty.
    lab.run(0, "dvs", "vol", "rm", "--force", f"{DC}/copy")
    lab.run(0, "dvs", "vol", "rm", f"{DC}/copies@one")
    lab.run(0, "dvs", "vol", "resize", f"{DC}/copies", "24M")
    assert lab.inspect("copies")["volume"]["bytes"] == 24 << 20
    lab.load(2, "copies", "fill", "--value", 4, noted=False)
    lab.promote("copies", 0, 2)
    lab.load(2, "copies", "check", "--value", 4, noted=False)


def replicas_come_and_go(lab, tap):
    lab.create("moves", [0])
    lab.load(2, "moves", "fill", "--value", 5)
    storm = lab.storm("moves", 2, "--threads", 3)
    lab.run(2, "dvs", "vol", "replica", "add", f"{DC}/moves", "n1")
    assert set(lab.states("moves", 2)) == {0, 1}
    lab.wait_healthy("moves", 2)
    # The primary goes: the other one takes over, and nothing is left of it.
    lab.run(2, "dvs", "vol", "replica", "rm", f"{DC}/moves", "n0")
    wait_for(lambda: not lab.path(0, f"/var/lib/dvs/volumes/{DC}/moves").exists(), "its files go")
    assert lab.states("moves", 2) == {1: "primary"}
    lab.run(2, "dvs", "vol", "replica", "add", f"{DC}/moves", "n2")
    lab.wait_healthy("moves", 2)
    tap.comment(lab.end_storm(storm))
    lab.read_all_replicas("moves", 0)
    tap.comment(lab.judge("moves"))


def what_cannot_be_read_is_read_elsewhere_and_made_anew(lab, tap):
    lab.create("torn", [0, 1])
    assert lab.wait_healthy("torn") == 0
    lab.load(2, "torn", "fill", "--value", 8, noted=False)
    # The file ends in the midst of a granule: what is behind that gives errors.
    os.truncate(lab.path(0, f"/var/lib/dvs/volumes/{DC}/torn/disk.img"), (5 << 20) + 5 * 4096)
    lab.load(2, "torn", "check", "--value", 8, noted=False)
    assert lab.wait_healthy("torn", 2) == 1
    lab.promote("torn", 0, 2)
    lab.load(2, "torn", "check", "--value", 8, noted=False)
    # Whom nobody can replace says what it cannot read.
    lab.create("only", [0])
    lab.load(2, "only", "fill", "--value", 9, noted=False)
    os.truncate(lab.path(0, f"/var/lib/dvs/volumes/{DC}/only/disk.img"), (5 << 20) + 5 * 4096)
    done = lab.exec(2, LOAD, RUN_DIR, f"{DC}/only", "check", "--value", 9)
    assert done.returncode == 1 and "input/output error" in done.stderr, done.stderr


def memory_that_is_gone_is_given_up_by_hand(lab, tap):
    name = f"{DC}/gone"
    lab.create("gone", [0, 1], "--store", "ram")
    lab.wait_healthy("gone")
    lab.load(2, "gone", "fill", "--value", 4, noted=False)
    done = lab.exec(2, "dvs", "vol", "promote", "--lost-data", name, "n1")
    assert done.returncode == 1 and "it has a primary" in done.stderr, done.stderr
    for pid in lab.servers(0) + lab.servers(1):
        os.kill(pid, signal.SIGKILL)

    def is_lost():
        rows = lab.json(2, "vol", "ls", DC)["volumes"]
        return next(row["state"] for row in rows if row["volume"] == "gone") == "lost"
    wait_for(is_lost, "it is told that it is lost", 60, 0.2)
    assert "promote --lost-data" in lab.inspect("gone", 2)["volume"]["why"]
    lab.run(2, "dvs", "vol", "promote", "--lost-data", name, "n1")
    assert lab.wait_healthy("gone", 2) == 1
    lab.load(2, "gone", "check", "--value", 0, noted=False)
    lab.load(2, "gone", "fill", "--value", 5, noted=False)
    lab.promote("gone", 0, 2)
    lab.load(2, "gone", "check", "--value", 5, noted=False)
    # They look at themselves now and then.
    wait_for(lambda: not any(row["why"] for row in lab.inspect("gone", 2)["replicas"]), "nobody says that it is lost", 60, 0.1)


def memory_outlasts_being_cut_off(lab, tap):
    """The only replica: its node is taken for down, and comes back with other bindings."""
    lab.create("alone", [0], "--store", "ram")
    lab.load(2, "alone", "fill", "--value", 7, noted=False)
    servers = lab.servers(0)
    lab.split([0], [1, 2])
    wait_for(lambda: lab.nodes(1)[0] == "down", "n0 is taken for down", 60, 0.1)
    lab.heal()
    lab.wait_nodes(1, [0, 1, 2])
    lab.wait_healthy("alone", 1)
    assert lab.servers(0) == servers
    lab.load(1, "alone", "check", "--value", 7, noted=False)


TESTS = [replicas_have_the_same, a_killed_primary_is_followed_by_its_backup, a_killed_backup_is_brought_up_to_date,
         a_paused_primary_answers_nothing_old, a_primary_that_stays_paused_is_overtaken, a_lost_node_comes_back, copies_are_the_same_on_all_replicas, replicas_come_and_go,
         what_cannot_be_read_is_read_elsewhere_and_made_anew, memory_that_is_gone_is_given_up_by_hand, memory_outlasts_being_cut_off]


def main():
    requires_lab()
    tap = Tap()
    with VolumeLab(3) as lab:
        for test in TESTS:
            if sys.argv[1:] and test.__name__ not in sys.argv[1:]:
                continue
            why = ""
            began = time.monotonic()
            try:
                test(lab, tap)
            except Exception:
                why = traceback.format_exc()
                lab.show_logs(60)
            tap.comment(f"{time.monotonic() - began:.1f} s")
            tap.ok(not why, test.__name__.replace("_", " "), why)
            if why:
                break
    print(f"1..{tap.n}")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
