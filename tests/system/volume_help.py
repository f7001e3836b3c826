# SPDX-License-Identifier: Apache-2.0
"""What tests of volumes share: a volume by its record, the load program, the processes that serve it."""

import contextlib
import json
import os
import signal
import subprocess
import uuid
from pathlib import Path

from dvsd import BUILD, Link
from lab import wait_for

LOAD = BUILD / "tests/system/vdd-load"
MIB = 1 << 20
ANY_VERSION = (1 << 64) - 1


def describe(nodes=(0,), size=16 * MIB, endpoint=300, store="ram", **more):
    """A volume as its record has it."""
    return {"id": str(uuid.uuid4()), "bytes": size, "endpoint": endpoint, "minor": 0, "store": store,
            "direct": False, "replicas": [{"node": node, "place": ""} for node in nodes],
            "first": nodes[0], "async": False, "lag_bytes": 0, "resync_bytes_per_s": 0,
            "access": "managers", "of": ""} | more


def record(run_dir, dc, name, volume):
    """Set the record of a volume, remove it when VOLUME is None; for a node that is not in a lab."""
    with contextlib.closing(Link(Path(run_dir) / "admin")) as admin:
        if volume:
            admin.ask("record_set", name=dc, key=f"volume/{name}", expected=ANY_VERSION,
                      value=json.dumps(volume).encode())
        else:
            admin.ask("record_remove", name=dc, key=f"volume/{name}")


def load(run_dir, volume, *words, timeout=60):
    """Run the load program; (status, output)."""
    done = subprocess.run([LOAD, run_dir, volume, *map(str, words)], check=False, timeout=timeout,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    return done.returncode, done.stdout


def judge(files, timeout=120):
    """Whether what the load program noted in FILES can have been one disk: (status, output), 0 if so and 3 if not."""
    return load("-", "-", "judge", *files, timeout=timeout)


def servers(lib_dir):
    """The numbers of the processes dvs-vdd that use LIB_DIR."""
    found = []
    for proc in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (proc / "cmdline").read_bytes().split(b"\0")
            if words[0].endswith(b"/dvs-vdd") and str(lib_dir).encode() in words:
                found.append(int(proc.name))
    return found


def holder(lib_dir, dc):
    """The number of the one that has the lock; None."""
    with contextlib.suppress(OSError):
        inode = os.stat(Path(lib_dir) / "volumes" / dc / "lock").st_ino
        for line in Path("/proc/locks").read_text().splitlines():
            words = line.split()
            if "->" not in words and words[5].split(":")[2] == str(inode):
                return int(words[4])
    return None


def kill_all(pids, how=signal.SIGKILL):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)
