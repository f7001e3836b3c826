#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""dvs vol in a lab: what users do with volumes, with the real servers."""

import concurrent.futures
import json
import sys

from dvsd import Tap
from lab import BUILD, Lab, requires_lab, wait_for
from volume_help import LOAD, MIB

DC = "web"
LIST_RECORDS = """
import ctypes, sys
dvk = ctypes.CDLL(sys.argv[1])
admin = ctypes.c_void_p()
assert dvk.dvk_admin_open(None, ctypes.byref(admin)) == 0
key = ctypes.create_string_buffer(64)
value = ctypes.create_string_buffer(7000)
length, version = ctypes.c_size_t(), ctypes.c_uint64()
while dvk.dvk_record_next(admin, sys.argv[2].encode(), key, value, ctypes.byref(length),
                          ctypes.byref(version)) == 0:
    print(key.value.decode())
"""


def vol(lab, *words, node=0, status=0, timeout=120):
    """Run 'dvs vol WORDS'; its standard output, or its messages when it is to fail."""
    done = lab.exec(node, "dvs", "vol", *words, timeout=timeout)
    assert done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
    return done.stdout if status == 0 else done.stderr


def listed(lab, node=0):
    return {row["volume"]: row for row in lab.json(node, "vol", "ls", DC)["volumes"]}


def inspected(lab, name, node=0):
    return lab.json(node, "vol", "inspect", f"{DC}/{name}")


def load(lab, name, mode, *words, node=0):
    """Fill the volume, or check what a fill has put there."""
    lab.run(node, LOAD, "/run/dvs", f"{DC}/{name}", mode, *words)


def clean(lab):
    """No volume stays from test to test."""
    rows = listed(lab)
    for name in sorted(rows, key=lambda name: rows[name]["of"] is None):
        vol(lab, "rm", "--force", f"{DC}/{name}")


def records(lab, node=0):
    """The keys of the DC's records but that of the last endpoint."""
    found = lab.run(node, sys.executable, "-c", LIST_RECORDS, BUILD / "libdvk.so", DC).split()
    return [key for key in found if key != "volume-last"]


# ---- one replica ----

def a_volume_is_created_listed_and_removed(lab):
    for store in ("ram", "file"):
        made = json.loads(vol(lab, "create", f"{DC}/{store}", "--size", "16M", "--store", store,
                              "--nodes", "n1", "-o", "json"))
        assert made["nodes"] == ["n1"] and made["bytes"] == 16 * MIB, made
        row = listed(lab, 2)[store]
        assert (row["state"], row["where"], row["size"]) == ("healthy", ["n1*"], "16M"), row
        load(lab, store, "fill")
        load(lab, store, "check", node=2)
        assert listed(lab)[store]["used_bytes"] >= 15 * MIB
    assert vol(lab, "ls", "-q", node=1) == f"{DC}/file\n{DC}/ram\n"
    assert lab.path(1, f"/var/lib/dvs/volumes/{DC}/file").exists()
    assert "would be lost" in vol(lab, "rm", f"{DC}/file", status=1)
    clean(lab)
    assert vol(lab, "ls", "-q") == ""
    wait_for(lambda: not lab.path(1, f"/var/lib/dvs/volumes/{DC}/file").exists(), "its files go")
    assert records(lab) == [], records(lab)


def a_volume_is_made_anew_under_its_name(lab):
    for _ in range(3):
        vol(lab, "create", f"{DC}/data", "--size", "8M", "--nodes", "n0")
        load(lab, "data", "fill")
        assert "there is a volume of that name" in vol(lab, "create", f"{DC}/data", "--size", "1M",
                                                       status=1)
        vol(lab, "rm", "-f", f"{DC}/data")


def what_cannot_be_is_taken_back_and_says_why(lab):
    why = vol(lab, "create", f"{DC}/data", "--size", "1M", "--place", "n1=/proc/no/file", status=1)
    assert "node n1: " in why and "/proc/no/file" in why and "nothing of it stays" in why, why
    why = vol(lab, "create", f"{DC}/data", "--size", "1M", "--store", "raw", "--place",
              "n2=/etc/passwd", status=1)
    assert "node n2: " in why and "nothing of it stays" in why, why
    assert vol(lab, "ls", "-q") == ""
    assert records(lab) == [], records(lab)


def many_creators_get_endpoints_of_their_own(lab):
    def create(n):
        vol(lab, "create", f"{DC}/v{n}", "--size", "1M", "--store", "ram", node=n % 3)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(create, range(12)))
    rows = listed(lab)
    assert len({row["endpoint"] for row in rows.values()}) == 12, rows
    assert all(row["state"] == "healthy" for row in rows.values()), rows
    # They are spread over the nodes.
    where = [row["where"][0] for row in rows.values()]
    assert {"n0*", "n1*", "n2*"} == set(where), where
    clean(lab)


def snapshots_and_clones_are_disks_of_their_own(lab):
    vol(lab, "create", f"{DC}/data", "--size", "16M", "--nodes", "n1")
    load(lab, "data", "fill")
    vol(lab, "snapshot", f"{DC}/data", "monday")
    load(lab, "data", "fill", "--value", 2)
    load(lab, "data@monday", "check", "--as", f"{DC}/data")
    vol(lab, "clone", f"{DC}/data@monday", "test", node=2)
    load(lab, "test", "check", "--as", f"{DC}/data", node=2)
    load(lab, "test", "fill", "--value", 3, node=2)
    load(lab, "test", "check", "--value", 3)
    load(lab, "data@monday", "check", "--as", f"{DC}/data")
    told = inspected(lab, "data")
    assert [(disk["name"], disk["kind"], disk["parent_name"]) for disk in told["disks"]] == \
        [(f"{DC}/data@monday", "snapshot", "data"), (f"{DC}/test", "clone", "data@monday")], told
    row = listed(lab)["test"]
    assert row["of"] == f"{DC}/data" and row["size"] == "16M", row
    assert "clones were made of it" in vol(lab, "rm", f"{DC}/data@monday", status=1)
    assert f"'{DC}/test' is a clone of it" in vol(lab, "rm", "-f", f"{DC}/data", status=1)
    assert "a volume with snapshots does not shrink" in \
        vol(lab, "resize", "-f", f"{DC}/data", "8M", status=1)
    vol(lab, "rm", "-f", f"{DC}/test")
    vol(lab, "rm", f"{DC}/data@monday")
    load(lab, "data", "check", "--value", 2)
    clean(lab)


def a_volume_grows_while_it_is_in_use(lab):
    vol(lab, "create", f"{DC}/data", "--size", "8M", "--nodes", "n2")
    load(lab, "data", "fill")
    vol(lab, "resize", f"{DC}/data", "+8M")
    assert listed(lab)["data"]["bytes"] == 16 * MIB
    load(lab, "data", "fill")
    assert "would be lost" in vol(lab, "resize", f"{DC}/data", "4M", status=1)
    vol(lab, "resize", "-f", f"{DC}/data", "4M")
    assert listed(lab)["data"]["bytes"] == 4 * MIB
    clean(lab)


def what_a_volume_does_is_counted(lab):
    vol(lab, "create", f"{DC}/data", "--size", "8M", "--nodes", "n2,n1", "--store", "ram")
    load(lab, "data", "fill")
    rows = lab.json(0, "vol", "stats", DC, "--once", "-i", "0.1")["volumes"]
    assert [row["volume"] for row in rows] == ["data"], rows
    assert rows[0]["written_bytes"] == 8 * MIB and rows[0]["writes"] > 0, rows
    assert rows[0]["flushes"] == rows[0]["trims"] == 0, rows
    assert {one["name"]: one["state"] for one in rows[0]["replicas"]} == {
        "n2": "primary", "n1": "in sync"}, rows
    attached = vol(lab, "attach", f"{DC}/data").strip()
    lab.run(0, "sync", attached)
    vol(lab, "detach", attached)
    row = lab.json(0, "vol", "stats", f"{DC}/data", "--once", "-i", "0.1")["volumes"][0]
    assert row["flushes"] > 0 and row["written_bytes"] == 8 * MIB, row
    for kind, counted in (("read", row["reads"]), ("write", row["writes"]), ("flush", row["flushes"])):
        took = row["latencies"][kind]
        assert took["count"] == counted, (kind, row)
        assert counted == 0 or 0 < took["p50_ns"] <= took["p99_ns"] <= took["max_ns"], (kind, row)
    clean(lab)


def what_is_known_of_a_lost_volume_is_told(lab):
    vol(lab, "create", f"{DC}/data", "--size", "1M", "--nodes", "n2")
    lab.kill(2)
    wait_for(lambda: listed(lab)["data"]["state"] == "unreachable", "it is gone")
    told = inspected(lab, "data")["volume"]
    assert told["why"] == "node n2 is down", told
    why = vol(lab, "snapshot", f"{DC}/data", "s", status=1)
    assert "no server of it answers: node n2 is down" in why, why
    assert "node n2 is down" in vol(lab, "create", f"{DC}/x", "--size", "1M", "--nodes", "n2", status=1)
    lab.start(2)
    wait_for(lambda: listed(lab)["data"]["state"] == "healthy", "it is back", timeout=60)
    clean(lab)


# ---- several ----

def states(lab, name="data"):
    """{node: state} of the replicas."""
    return {row["node"]: row["state"] for row in inspected(lab, name)["replicas"]}


def replicas_come_and_go(lab):
    vol(lab, "create", f"{DC}/data", "--size", "16M", "--nodes", "n0,n1")
    load(lab, "data", "fill")
    assert states(lab) == {0: "primary", 1: "in sync"}, states(lab)
    vol(lab, "replica", "add", f"{DC}/data", "n2", node=1)
    assert states(lab) == {0: "primary", 1: "in sync", 2: "in sync"}, states(lab)
    assert "node n2 has one already" in vol(lab, "replica", "add", f"{DC}/data", "n2", status=1)
    # The primary's: another one takes over first.
    vol(lab, "replica", "rm", f"{DC}/data", "n0")
    assert set(states(lab)) == {1, 2} and "primary" in states(lab).values(), states(lab)
    load(lab, "data", "check")
    vol(lab, "replica", "rm", f"{DC}/data", "n1")
    wait_for(lambda: states(lab) == {2: "primary"}, "one is left")
    load(lab, "data", "check")
    assert "it is the only one" in vol(lab, "replica", "rm", f"{DC}/data", "n2", status=1)
    wait_for(lambda: not lab.path(0, f"/var/lib/dvs/volumes/{DC}/data").exists(), "its files go")
    clean(lab)


def a_replica_that_cannot_be_is_taken_back(lab):
    vol(lab, "create", f"{DC}/data", "--size", "1M", "--nodes", "n0")
    why = vol(lab, "replica", "add", f"{DC}/data", "n1", "--place", "/proc/no/file", status=1)
    assert "node n1: " in why and "/proc/no/file" in why and "nothing of it stays" in why, why
    assert states(lab) == {0: "primary"}
    clean(lab)


def a_primary_is_chosen_and_replicas_are_compared(lab):
    vol(lab, "create", f"{DC}/data", "--size", "16M", "--nodes", "n0,n1,n2")
    load(lab, "data", "fill")
    vol(lab, "promote", f"{DC}/data", "n2")
    assert states(lab)[2] == "primary", states(lab)
    assert listed(lab, 1)["data"]["where"][2] == "n2*"
    wait_for(lambda: listed(lab)["data"]["state"] == "healthy", "all are members")
    told = json.loads(vol(lab, "verify", f"{DC}/data", "-o", "json"))
    assert told["differs"] == 0 and told["bytes"] >= 16 * MIB, told
    # Somebody writes past the DVS.
    with lab.path(0, f"/var/lib/dvs/volumes/{DC}/data/disk.img").open("r+b") as image:
        image.seek(5 * MIB)
        image.write(b"rotten")
    assert "chunks differ" in vol(lab, "verify", f"{DC}/data", status=1)
    told = json.loads(vol(lab, "verify", f"{DC}/data", "--repair", "-o", "json"))
    assert told["differs"] == told["repaired"] > 0, told
    vol(lab, "verify", f"{DC}/data")
    load(lab, "data", "check")
    clean(lab)


def how_a_volume_is_kept_is_changed_while_it_is_in_use(lab):
    name = f"{DC}/data"
    vol(lab, "create", name, "--size", "16M", "--store", "ram")
    load(lab, "data", "fill")
    vol(lab, "set", name, "--async", "on", "--access", "dc", "--resync-rate", "10M")
    row = listed(lab)["data"]
    assert (row["mode"], row["lag_bytes"], row["access"], row["resync_bytes_per_s"]) == \
        ("async", 64 * MIB, "dc", 10 * MIB), row
    vol(lab, "set", name, "--lag", "8M")
    row = listed(lab)["data"]
    assert (row["mode"], row["lag_bytes"], row["access"]) == ("async", 8 * MIB, "dc"), row
    vol(lab, "replica", "add", name, "n1")
    vol(lab, "set", name, "--async", "off", "--access", "managers")
    row = listed(lab)["data"]
    assert (row["mode"], row["lag_bytes"], row["access"], row["state"]) == ("sync", 0, "managers", "healthy"), row
    load(lab, "data", "check")
    assert "synchronous" in vol(lab, "set", name, "--lag", "8M", status=1)
    assert "leave it out" in vol(lab, "set", name, "--lag", "8M", "--async", "off", status=2)
    assert "say what" in vol(lab, "set", name, status=2)
    clean(lab)


def a_volume_goes_on_when_its_primary_is_lost(lab):
    vol(lab, "create", f"{DC}/data", "--size", "16M", "--nodes", "n1,n0,n2")
    load(lab, "data", "fill")
    lab.kill(1)
    wait_for(lambda: listed(lab)["data"]["state"] == "degraded", "another one is the primary", 60)
    load(lab, "data", "check")
    load(lab, "data", "fill", "--value", 2)
    lab.start(1)
    wait_for(lambda: listed(lab)["data"]["state"] == "healthy", "it is brought up to date", 60)
    vol(lab, "promote", f"{DC}/data", "n1")
    load(lab, "data", "check", "--value", 2)
    vol(lab, "verify", f"{DC}/data")
    clean(lab)


TESTS = [a_volume_is_created_listed_and_removed, a_volume_is_made_anew_under_its_name,
         what_cannot_be_is_taken_back_and_says_why, many_creators_get_endpoints_of_their_own,
         snapshots_and_clones_are_disks_of_their_own, a_volume_grows_while_it_is_in_use,
         what_a_volume_does_is_counted,
         what_is_known_of_a_lost_volume_is_told, replicas_come_and_go,
         a_replica_that_cannot_be_is_taken_back, a_primary_is_chosen_and_replicas_are_compared,
         how_a_volume_is_kept_is_changed_while_it_is_in_use, a_volume_goes_on_when_its_primary_is_lost]


def main():
    requires_lab()
    tap = Tap()
    with Lab(3) as lab:
        lab.run(0, "dvs", "dc", "create", DC, "--no-container")
        tap.each(TESTS, lab, broken=lambda: clean(lab))
        if tap.failed:
            lab.show_logs()
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
