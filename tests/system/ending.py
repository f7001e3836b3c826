#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""dvs-agent --end: what goes on without dvsd ends, in an order in which nothing is lost, and what is on the disk stays. One dvsd with its real agent, a container, a volume and a file system, which is mounted."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from dvsd import BUILD, Dvsd, Tap, requires

SERVERS = ("dvs-vdd", "dvs-fs", "dvs-fuse")
TRAP = 'cd /shared; trap "echo asked >asked; exit" TERM; echo >ready; while :; do sleep 0.1; done'


class Node(Dvsd):
    def __init__(self):
        self.lib = Path(tempfile.mkdtemp(prefix="dvs-lib."))
        self.mount = Path(tempfile.mkdtemp(prefix="dvs-mount."))
        self.shared = Path(tempfile.mkdtemp(prefix="dvs-shared."))
        self.shared.chmod(0o777)
        super().__init__("--lib-dir", self.lib)

    def end_all(self):
        return subprocess.run([BUILD / "dvs-agent", "--end", "--run-dir", self.run_dir, "--lib-dir", self.lib], capture_output=True, text=True, check=False, timeout=120)

    def group(self):
        return "/dvs-" + (self.lib / "id").read_text().strip()

    def running(self):
        """Names of our servers and of containers' first processes, of this node; "other" for all others in containers."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                name = (process / "comm").read_text().strip()
                if f":{self.group()}/" in (process / "cgroup").read_text():
                    found.append(name if name == "dvs-init" else "other")
                elif name in SERVERS and str(self.run_dir).encode() in (process / "cmdline").read_bytes():
                    found.append(name)
        return set(found)

    def cgroups(self):
        return [str(path) for path in Path("/sys/fs/cgroup").glob(f"*{self.group()}")] + [str(path) for path in Path("/sys/fs/cgroup").glob(self.group()[1:])]

    def close(self):
        if self.process.poll() is None:
            self.stop()
        self.end_all()
        subprocess.run(["umount", "--lazy", self.mount], check=False, stderr=subprocess.DEVNULL)
        self.mount.rmdir()
        shutil.rmtree(self.shared)
        shutil.rmtree(self.lib, ignore_errors=True)
        super().end()


def it_refuses_while_dvsd_runs(node):
    node.dvs("dc", "create", "demo", "-v", f"{node.shared}:/shared")
    node.dvs("vol", "create", "demo/disk", "--size", "64M")
    node.dvs("fs", "create", "demo/files", "--volume", "disk")
    node.dvs("fs", "mount", "demo/files", node.mount)
    (node.mount / "file").write_text("kept")
    node.dvs("run", "-d", "--name", "waiter", "demo", "sh", "-c", TRAP)
    node.dvs("exec", "demo", "sh", "-c", "until [ -e /shared/ready ]; do sleep 0.05; done")
    before = node.running()
    assert before == {*SERVERS, "dvs-init", "other"}, before
    done = node.end_all()
    assert done.returncode == 1 and "a dvsd runs" in done.stderr, done
    assert node.running() == before


def it_ends_all_and_keeps_what_is_on_the_disk(node):
    node.stop()
    assert {*SERVERS, "dvs-init"} <= node.running(), "they outlive dvsd"
    done = node.end_all()
    assert done.returncode == 0, done
    assert not node.running() and not node.cgroups(), (node.running(), node.cgroups())
    assert not os.path.ismount(node.mount)
    assert (node.shared / "asked").exists(), "the program was asked to end"


def it_has_nothing_to_do_again(node):
    done = node.end_all()
    assert done.returncode == 0 and not done.stderr, done


def the_next_dvsd_takes_up_the_work(node):
    node.start()
    node.dvs("fs", "mount", "demo/files", node.mount)
    assert (node.mount / "file").read_text() == "kept"
    assert node.dvs("run", "demo", "cat", "/shared/asked") == "asked\n"


TESTS = [it_refuses_while_dvsd_runs, it_ends_all_and_keeps_what_is_on_the_disk, it_has_nothing_to_do_again, the_next_dvsd_takes_up_the_work]

requires(("crun",), ("dvs-agent", "dc-init", *SERVERS), ("/dev/fuse",))
with contextlib.closing(Node()) as the_node:
    tap = Tap()
    tap.each(TESTS, the_node, needed=TESTS)
    sys.exit(tap.end())
