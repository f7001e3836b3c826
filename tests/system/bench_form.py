#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Check what `dvs bench ipc --quick --json` printed.

usage: bench_form.py FILE

Every pattern and system that applies to it must be there, each line with exactly the agreed
fields, figures above zero, and a median between its extremes.
"""

import json
import sys

NAMES = {"bench", "pattern", "system"}
NUMBERS = {"clients", "servers", "bytes", "rt_ns", "rt_ns_min", "rt_ns_max", "msg_per_s",
           "mb_per_s", "cpu", "repeats"}
PATTERNS = ["pair", "sleepy", "one-cpu", "pairs", "fan-in", "data"]
EVERYWHERE = {"futex", "pipe", "fifo", "unix-stream", "unix-seqpacket", "mq-posix", "mq-sysv",
              "eventfd", "tcp", "dvs"}
ALSO = {"pair": {"raw"}, "sleepy": {"raw"}, "one-cpu": set(), "pairs": {"raw"},
        "fan-in": {"raw"}, "data": {"raw", "memcpy", "dvs-inplace"}}


def faults_of_line(line):
    """What is wrong with one line, as a list."""
    if set(line) != NAMES | NUMBERS:
        return [f"fields are {sorted(line)}"]
    faults = [f"{name} is {line[name]!r}" for name in NUMBERS
              if isinstance(line[name], bool) or not isinstance(line[name], (int, float))
              or line[name] <= 0]
    if line["bench"] != "ipc":
        faults.append(f"bench is {line['bench']!r}")
    if not faults and not line["rt_ns_min"] <= line["rt_ns"] <= line["rt_ns_max"]:
        faults.append("the median is outside its spread")
    return faults


def main():
    faults = []
    systems = {pattern: {} for pattern in PATTERNS}
    with open(sys.argv[1], encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            line = json.loads(text)
            found = faults_of_line(line)
            faults += [f"line {number}: {fault}" for fault in found]
            if not found:
                cell = (line["clients"], line["servers"], line["bytes"])
                systems[line["pattern"]].setdefault(cell, []).append(line["system"])
    for pattern in PATTERNS:
        wanted = sorted(EVERYWHERE | ALSO[pattern])
        if not systems[pattern]:
            faults.append(f"{pattern}: not measured")
        for cell, measured in systems[pattern].items():
            if sorted(measured) != wanted:
                faults.append(f"{pattern} {cell}: systems are {sorted(measured)}, not {wanted}")
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
