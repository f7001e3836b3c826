#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""dvs vol in a lab: what users do with volumes, with the real servers."""

import concurrent.futures
import json
import sys
import traceback

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


TESTS = [a_volume_is_created_listed_and_removed, a_volume_is_made_anew_under_its_name,
         what_cannot_be_is_taken_back_and_says_why, many_creators_get_endpoints_of_their_own,
         snapshots_and_clones_are_disks_of_their_own, a_volume_grows_while_it_is_in_use,
         what_is_known_of_a_lost_volume_is_told]


def main():
    requires_lab()
    tap = Tap()
    with Lab(3) as lab:
        lab.run(0, "dvs", "dc", "create", DC, "--no-container")
        for test in TESTS:
            if sys.argv[1:] and test.__name__ not in sys.argv[1:]:
                continue
            title = test.__name__.replace("_", " ")
            try:
                test(lab)
                tap.ok(True, title)
            except Exception:
                tap.ok(False, title, traceback.format_exc())
                clean(lab)
        if tap.failed:
            lab.show_logs()
    print(f"1..{tap.n}")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
