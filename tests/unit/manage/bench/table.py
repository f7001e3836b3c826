#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tools/bench-table compares the right figures. usage: table.py SOURCE   (TAP)"""

import json
import subprocess
import sys
from pathlib import Path

TOOL = Path(sys.argv[1]) / "tools" / "bench-table"

# pattern, clients, bytes, system, round trip in ns, round trips per second
GOOD = [
    ("pair", 1, 64, "dvs", 150, 6.6e6), ("pair", 1, 64, "raw", 118, 8e6),
    ("pair", 1, 64, "pipe", 5000, 2e5), ("pair", 1, 64, "futex", 4000, 2.5e5),
    ("sleepy", 1, 64, "dvs", 3000, 9000), ("sleepy", 1, 64, "pipe", 3100, 9000),
    ("one-cpu", 1, 64, "dvs", 1700, 6e5), ("one-cpu", 1, 64, "futex", 1650, 6.1e5),
    ("pairs", 8, 64, "dvs", 8000, 1e6), ("pairs", 8, 64, "pipe", 14000, 6e5),
    ("fan-in", 64, 64, "dvs", 16000, 4e6),
    ("data", 1, 65536, "dvs", 3000, 3.3e5), ("data", 1, 65536, "pipe", 15000, 6e4),
    ("data", 1, 65536, "memcpy", 2500, 4e5),
]
REMOTE = [
    ("rt", 1, 64, "dvs-tcp", 20000, 5e4), ("rt", 1, 64, "tcp", 13000, 7.7e4),
    ("rt", 1, 64, "zmq", 30000, 3.3e4), ("rt", 1, 64, "nng", 40000, 2.5e4),
    ("rt", 8, 64, "dvs-tcp", 16000, 5e5), ("rt", 8, 64, "rpc", 20000, 4e5),
    ("rt", 64, 64, "dvs-tcp", 128000, 5e5), ("rt", 64, 64, "tcp", 160000, 4e5),
    ("fan-in", 8, 64, "dvs-tcp", 16000, 5e5), ("fan-in", 8, 64, "rpc", 20000, 4e5),
    ("fan-in", 64, 64, "dvs-tcp", 128000, 5e5), ("fan-in", 64, 64, "tcp", 160000, 4e5),
    ("fan-in", 64, 64, "tcp-batch", 16000, 4e6),
    ("data", 8, 1 << 20, "dvs-tcp", 1.8e6, 4400), ("data", 8, 1 << 20, "iperf3", 166e3, 6000),
    ("data", 8, 1 << 20, "dvs-tcp+tls", 2.5e6, 3200),
    ("mcast", 1, 64, "dvs-tcp", 180e3, 5500), ("mcast", 1, 64, "corosync", 100e3, 1e4),
    ("detect", 1, 64, "dvs-tcp", 640e6, 1.6), ("detect", 1, 64, "corosync", 600e6, 1.7),
]
COUNT = 0
FAILED = 0


def check(good, title, why=""):
    global COUNT, FAILED
    COUNT += 1
    FAILED += not good
    print(f"{'ok' if good else 'not ok'} {COUNT} - {title}")
    if not good:
        print("\n".join(f"# {line}" for line in str(why).splitlines()))


def table(rows, *options, bench="ipc", more=()):
    lines = list(more)
    for pattern, clients, size, system, rt_ns, rate in rows:
        lines.append(json.dumps({
            "bench": bench, "pattern": pattern, "clients": clients, "servers": 1, "bytes": size,
            "system": system, "rt_ns": rt_ns, "rt_ns_min": rt_ns, "rt_ns_max": rt_ns,
            "msg_per_s": rate, "mb_per_s": rate * size / 1e6, "cpu": 1, "repeats": 7}))
    return subprocess.run([TOOL, *options, "-"], input="\n".join(lines), text=True,
                          capture_output=True, check=False)


def slower(pattern, factor, rows=None, system="dvs"):
    return [(p, c, b, s, rt * factor, rate / factor) if (p, s) == (pattern, system)
            else (p, c, b, s, rt, rate) for p, c, b, s, rt, rate in rows or GOOD]


def check_remote():
    good = table(REMOTE, "--check", bench="remote")
    check(good.returncode == 0 and good.stdout.count("| yes |") == 15,
          "good figures between nodes keep all", good.stdout + good.stderr)
    check("| 64 clients, of one server: the best peer with as many | 1 | 1.25 | yes |"
          in good.stdout, "a limit is no peer", good.stdout)
    for pattern, system, broken in (("rt", "dvs-tcp", "one client: raw TCP"),
                                    ("fan-in", "dvs-tcp", "8 clients, of one server: the best"),
                                    ("data", "dvs-tcp", "1 MiB, 8 in flight"),
                                    ("data", "dvs-tcp+tls", "the same with tls"),
                                    ("mcast", "dvs-tcp", "bind on all nodes"),
                                    ("detect", "dvs-tcp", "a node killed")):
        bad = table(slower(pattern, 3, REMOTE, system), "--check", bench="remote")
        lines = [line for line in bad.stdout.splitlines() if line.startswith(f"| {broken}")]
        check(bad.returncode == 1 and len(lines) == 1 and lines[0].endswith("| no |"),
              f"a slow {system} in {pattern} is told", bad.stdout)
    skipped = json.dumps({"bench": "remote", "system": "dvs-tipc", "skipped": "it rains"})
    page = table(REMOTE, bench="remote", more=[skipped])
    check(page.returncode == 0 and "Not measured: dvs-tipc, because it rains." in page.stdout
          and "| 640 ms |" in page.stdout and "On one node" not in page.stdout,
          "the page tells what was left out", page.stdout + page.stderr)


def main():
    good = table(GOOD, "--check")
    check(good.returncode == 0 and good.stdout.count("| yes |") == 8, "good figures keep all",
          good.stdout + good.stderr)
    check("| one pair, two CPUs: best of the kernel | 10 | 26.40 | yes |" in good.stdout,
          "the best of the kernel is the fastest, and raw is not of the kernel", good.stdout)
    for pattern, broken in (("sleepy", "both must sleep"), ("one-cpu", "both on one CPU"),
                            ("pairs", "8 pairs"), ("fan-in", "64 clients"),
                            ("data", "64 KiB request: pipe")):
        bad = table(slower(pattern, 20), "--check")
        lines = [line for line in bad.stdout.splitlines() if line.startswith(f"| {broken}")]
        check(bad.returncode == 1 and len(lines) == 1 and lines[0].endswith("| no |"),
              f"a slow {pattern} is told", bad.stdout)
    part = table(GOOD[:4], "--check")
    check(part.returncode == 1 and "| not measured | no |" in part.stdout,
          "what was not measured is not kept", part.stdout)
    page = table(GOOD)
    check(page.returncode == 0 and "### Several pairs, 64 B" in page.stdout
          and "| 64 KiB | round trip |" in page.stdout, "the page has all figures", page.stdout)
    check_remote()
    check(table([]).returncode == 2, "nothing to read is an error")
    print(f"1..{COUNT}")
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
