# SPDX-License-Identifier: Apache-2.0
"""Volumes in a lab: made by 'dvs vol', loaded by programs on all nodes, and looked at replica by replica."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from lab import Lab, LabError, end, wait_for
from volume_help import LOAD, judge

RUN_DIR = "/run/dvs"
DC = "store"


class Wrong(AssertionError):
    """The disk was none."""


def inode(path):
    try:
        return os.stat(path).st_ino
    except OSError:
        return None


class VolumeLab(Lab):
    """A lab with DC "store", and a directory for what loads have noted."""

    def __enter__(self):
        self.notes = Path(tempfile.mkdtemp(prefix="dvs-volumes."))
        self.n_notes = 0
        super().__enter__()
        self.run(0, "dvs", "dc", "create", DC, "--no-container")
        return self

    def down(self):
        super().down()
        if hasattr(self, "notes"):
            shutil.rmtree(self.notes, ignore_errors=True)

    def show_logs(self, lines=60):
        for node in range(self.n_nodes):
            text = self.log(node).splitlines()[-lines:]
            print("\n".join(f"# n{node} {line}" for line in text), flush=True)

    # ---- volumes ----

    def create(self, name, nodes, *words, size="16M", node=0):
        self.run(node, "dvs", "vol", "create", f"{DC}/{name}", "--size", size, "--nodes",
                 ",".join(f"n{one}" for one in nodes), *words)

    def inspect(self, name, node=0):
        """What 'dvs vol inspect' tells, or None while nobody can tell."""
        done = self.exec(node, "dvs", "vol", "inspect", f"{DC}/{name}", "-o", "json")
        return json.loads(done.stdout) if done.returncode == 0 else None

    def states(self, name, node=0):
        """{node: state} of the replicas."""
        told = self.inspect(name, node)
        return {row["node"]: row["state"] for row in told["replicas"]} if told else {}

    def primary(self, name, node=0):
        return next((n for n, state in self.states(name, node).items() if state == "primary"), None)

    def wait_healthy(self, name, node=0, timeout=90):
        """Until all replicas have everything; the node of the primary."""
        def healthy():
            states = self.states(name, node)
            ok = states and set(states.values()) <= {"primary", "in sync"} and \
                list(states.values()).count("primary") == 1
            return states if ok else None
        try:
            states = wait_for(healthy, f"all replicas of {name} have everything", timeout, 0.05)
        except TimeoutError as late:
            raise TimeoutError(f"{late}: {self.states(name, node)}") from None
        return next(n for n, state in states.items() if state == "primary")

    def promote(self, name, to, node=0):
        """Once more when it was taken back meanwhile."""
        for _ in range(5):
            done = self.exec(node, "dvs", "vol", "promote", f"{DC}/{name}", f"n{to}")
            if done.returncode == 0 and self.primary(name, node) == to:
                return
        raise LabError(f"n{to} does not become the primary of {name}: {done.stderr}")

    def servers(self, node, comm="dvs-vdd"):
        """The numbers, on the host, of the processes of a node that are called so."""
        net = inode(f"/proc/{self.holders[node]}/ns/net")
        found = []
        for proc in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (proc / "comm").read_text().strip() == comm and inode(proc / "ns/net") == net:
                    found.append(int(proc.name))
        return found

    def signal_servers(self, node, how):
        pids = self.servers(node)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how)
        return pids

    # ---- loads ----

    def note(self, name):
        self.n_notes += 1
        return self.notes / f"{name}.{self.n_notes}"

    def storm(self, name, node, *words):
        """A load that runs until end_storm()."""
        client = self.n_notes + 1
        program = self.popen(node, LOAD, RUN_DIR, f"{DC}/{name}", "storm", "--out", self.note(name),
                             "--seconds", 600, "--client", client, *words, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        program.stdout.readline()
        return program

    @staticmethod
    def end_storm(program, timeout=60):
        """Its summary."""
        status = end(program, timeout=timeout)
        text = program.stdout.read()
        if status == 3:
            raise Wrong(text)
        if status != 0:
            raise LabError(f"a storm ended with status {status}: {text}")
        return json.loads(text.splitlines()[-1])

    def load(self, node, name, mode, *words, noted=True):
        out = ["--out", self.note(name)] if noted else []
        done = self.exec(node, LOAD, RUN_DIR, f"{DC}/{name}", mode, *out, *words)
        if done.returncode == 3:
            raise Wrong(f"n{node}: {mode}: {done.stdout}")
        if done.returncode != 0:
            raise LabError(f"n{node}: {mode}: {done.stdout}{done.stderr}")
        return done.stdout

    def judge(self, name):
        status, text = judge(sorted(self.notes.glob(f"{name}.*")))
        if status != 0:
            raise Wrong(text)
        return text.strip()

    def read_all_replicas(self, name, node=0):
        """Each in turn is the primary, and all of it is read."""
        for replica in sorted(self.states(name, node)):
            if self.primary(name, node) != replica:
                self.promote(name, replica, node)
                self.wait_healthy(name, node)
            self.load(node, name, "read")
