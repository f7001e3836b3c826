#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Check what `dvs bench SUITE --quick --json` printed.

usage: bench_form.py FILE [SUITE [PATTERN[,PATTERN...]]]    (SUITE: ipc, remote, container, neighbour, vdd, fs or web)

Every pattern and system that applies to it must be there, each line with exactly the agreed
fields, figures above zero (MB/s and CPUs may be too small to show), and a median between its extremes.
"""

import json
import sys

NAMES = {"bench", "pattern", "system"}
NUMBERS = {"clients", "servers", "bytes", "rt_ns", "rt_ns_min", "rt_ns_max", "msg_per_s",
           "mb_per_s", "cpu", "repeats"}
# By suite: what each pattern must have.
KERNEL = {"futex", "pipe", "fifo", "unix-stream", "unix-seqpacket", "mq-posix", "mq-sysv",
          "eventfd", "tcp", "dvs"}
WAYS = {"dvs-tcp", "dvs-tcp+tls", "dvs-raw"}
PEERS = {"tcp", "zmq", "nng", "rpc"}
SUITES = {
    "ipc": {
        "pair": KERNEL | {"raw"}, "sleepy": KERNEL | {"raw"}, "one-cpu": KERNEL,
        "pairs": KERNEL | {"raw"}, "fan-in": KERNEL | {"raw"},
        "data": KERNEL | {"raw", "memcpy", "dvs-inplace"}},
    "remote": {
        "rt": WAYS | PEERS, "fan-in": WAYS | PEERS | {"tcp-batch"},
        "data": WAYS | PEERS | {"iperf3"}, "mcast": {"dvs-tcp", "corosync"},
        "detect": {"dvs-tcp", "corosync"}},
    "container": {
        "exec": {"dvs-run", "dvs-exec", "crun", "plain"}, "start": {"dvs-run", "crun"},
        "footprint": {"dvsd", "dvs-agent"}},
    "neighbour": {
        dimension: {"alone", "limited", "unlimited"}
        for dimension in ("cpu", "memory", "processes", "disk")},
}
DISKS = {"dvs-ipc", "dvs-nbd", "nbdkit-memory", "nbdkit-file", "qemu-quorum", "raw-file", "iperf3"}
SUITES["vdd"] = {pattern: DISKS for pattern in ("seq-read", "seq-write", "rand-read", "rand-write")}
SUITES["vdd"] |= {pattern: {"dvs-ipc"} for pattern in ("resync", "failover", "failover-node")}
FILES = {"dvs-fuse", "dvs-ipc", "passthrough", "ext4", "tmpfs"}
SUITES["fs"] = {
    "seq-read": FILES | {"iperf3"}, "seq-write": FILES | {"iperf3"}, "rand-read": FILES,
    "rand-write": FILES, "read-cached": FILES - {"dvs-ipc"}, "create": FILES, "stat": FILES,
    "stat-cached": FILES - {"dvs-ipc"}, "rename": FILES, "unlink": FILES, "small": FILES,
    "fsync": FILES, "readdir": FILES, "cp": FILES - {"dvs-ipc"}, "untar": FILES - {"dvs-ipc"}}
WEB = {"nginx-dvs", "nweb"}
SUITES["web"] = {"warm": WEB | {"nginx-host", "nginx-host-open", "nginx-dvs-open"}, "cold": WEB | {"iperf3"}}
# Figures that may be too small to show, and the one of two sizes that does not apply.
MAY_BE_ZERO = {"cpu", "mb_per_s"}
# What patterns show beside the fields of all.
MORE = {"footprint": {"memory_bytes"}, "resync": {"compared_bytes", "sent_bytes"},
        "failover": {"detection_ns", "beyond_ns"}, "failover-node": {"detection_ns", "beyond_ns"}}
# Of them those that may be zero: nothing has changed, the pause was over when it was seen.
MORE_MAY_BE_ZERO = {"resync": {"bytes", "sent_bytes"}, "failover": {"beyond_ns"},
                    "failover-node": {"beyond_ns"}}


def has(system, line):
    """Whether a system is measured in the cell of a line. Of volumes not all are in all."""
    if line["bench"] == "fs":
        here = line["place"] == "local" and line["store"] == "ram"
        if system == "iperf3":
            return line["place"] == "remote" and line["bytes"] == 1 << 20
        return here or system.startswith("dvs-")
    if line["bench"] == "web" and system == "iperf3":
        return line["place"] == "remote" and line["bytes"] > 1 << 20
    if line["bench"] == "web" and system.endswith("-open"):
        return line["bytes"] == 4096
    if line["bench"] != "vdd":
        return True
    local, replicas = line["place"] == "local", line["replicas"]
    return {"qemu-quorum": local and replicas == 2, "raw-file": local and replicas == 1,
            "nbdkit-memory": replicas == 1, "nbdkit-file": replicas == 1,
            "iperf3": not local and replicas == 1 and line["bytes"] == 1 << 20
            and line["pattern"] == "seq-read"}.get(system, True)


def faults_of_line(line, suite):
    """What is wrong with one line, as a list."""
    numbers = NUMBERS | MORE.get(line.get("pattern"), set())
    names = NAMES
    if suite == "vdd":
        numbers = numbers - {"clients", "servers"} | {"depth", "replicas"}
        names = NAMES | {"place"}
    if suite in ("fs", "web"):
        numbers = numbers - {"clients", "servers"} | {"depth", "files"}
        names = NAMES | {"place", "store"}
    may_be_zero = MAY_BE_ZERO | ({"files", "bytes"} if suite in ("fs", "web") else set())
    if suite == "vdd":
        may_be_zero |= MORE_MAY_BE_ZERO.get(line.get("pattern"), set())
    if set(line) != names | numbers:
        return [f"fields are {sorted(line)}"]
    faults = [f"{name} is {line[name]!r}" for name in numbers
              if isinstance(line[name], bool) or not isinstance(line[name], (int, float))
              or line[name] < 0 or (line[name] == 0 and name not in may_be_zero)]
    if suite in ("fs", "web") and not faults and bool(line["files"]) == bool(line["bytes"]):
        faults.append("it has both bytes and files, or neither")
    if not faults and line["pattern"] == "resync" and line["sent_bytes"] > line["bytes"]:
        faults.append(f"{line['sent_bytes']} bytes were sent, {line['bytes']} had changed")
    if line["bench"] != suite:
        faults.append(f"bench is {line['bench']!r}")
    if not faults and not line["rt_ns_min"] <= line["rt_ns"] <= line["rt_ns_max"]:
        faults.append("the median is outside its spread")
    return faults


def check_file(path, suite, only=None):
    """All faults, as a list. A system that is skipped with its reason counts as there."""
    faults = []
    skipped = set()
    patterns = {pattern: SUITES[suite][pattern] for pattern in only.split(",")} if only else SUITES[suite]
    systems = {pattern: {} for pattern in patterns}
    with open(path, encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            line = json.loads(text)
            if line.get("skipped"):
                skipped.add(line["system"])
                continue
            found = faults_of_line(line, suite)
            faults += [f"line {number}: {fault}" for fault in found]
            if not found:
                cell = tuple(line.get(name) for name in ("clients", "servers", "depth", "replicas",
                                                         "store", "place", "files", "bytes"))
                systems[line["pattern"]].setdefault(cell, ([], line))[0].append(line["system"])
    for pattern, all_of_it in patterns.items():
        if not systems[pattern]:
            faults.append(f"{pattern}: not measured")
        for cell, (measured, line) in systems[pattern].items():
            wanted = sorted(system for system in all_of_it - skipped if has(system, line))
            if sorted(measured) != wanted:
                faults.append(f"{pattern} {cell}: systems are {sorted(measured)}, not {wanted}")
    return faults


def main():
    faults = check_file(sys.argv[1], *(sys.argv[2:] or ["ipc"]))
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
