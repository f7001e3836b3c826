# SPDX-License-Identifier: Apache-2.0
"""Containers by container.h alone: a driver that calls it, and what runs inside."""

import array
import json
import os
import random
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path

BUSYBOX = "/usr/bin/busybox"
UID_FIRST = 0x10000000


class Inside:
    """The stand-in for dc-init in a container."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(60)
        self.socket.connect(path)

    def start(self, *argv):
        """A program that runs; end() waits for it."""
        out, end = os.pipe()
        self.socket.sendmsg([b"".join(a.encode() + b"\0" for a in argv)],
                            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [end]))])
        os.close(end)
        return out

    def end(self, out):
        data = b""
        while True:
            piece = os.read(out, 65536)
            if not piece:
                break
            data += piece
        os.close(out)
        (status,) = struct.unpack("i", self.socket.recv(4))
        return os.waitstatus_to_exitcode(status), data.decode(errors="replace")

    def run(self, *argv):
        return self.end(self.start(*argv))

    def sh(self, text):
        return self.run("/bin/busybox", "sh", "-c", text)[1].strip()

    def close(self):
        self.socket.close()


class Room:
    """A node's run_dir, lib_dir and the process that keeps its containers."""

    def __init__(self, top=None):
        self.top = Path(top or tempfile.mkdtemp(prefix="dvsc", dir="/var/tmp"))
        self.top.chmod(0o711)
        self.run_dir, self.lib_dir = self.top / "r", self.top / "l"
        self.tree = self.top / "tree"
        # Other tests on the machine have DCs from 1 on, and their processes the users of those
        self.first = random.randrange(1000, 32000)
        if not top:
            self.make_tree()
        self.driver = None
        self.open()

    def make_tree(self):
        for name in "bin", "etc", "proc", "sys", "dev", "tmp", "run", "home":
            (self.tree / name).mkdir(parents=True)
        shutil.copy(BUSYBOX, self.tree / "bin/busybox")
        for applet in subprocess.check_output([BUSYBOX, "--list"], text=True).split():
            link = self.tree / "bin" / applet
            if not link.exists():
                link.symlink_to("busybox")
        (self.tree / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n")

    def open(self):
        env = dict(os.environ, DVS_INIT=os.environ["CONTAINER_STAND_IN"])
        self.driver = subprocess.Popen(
            [os.environ["CONTAINER_DRIVER"], self.run_dir, self.lib_dir], text=True, env=env,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.opened = json.loads(self.driver.stdout.readline())
        assert self.opened["err"] == "OK", self.opened
        self.cgroup = self.opened["cgroup"]
        self.v2 = self.opened["layout"] == 2

    def ask(self, *what):
        if what[0] in ("create", "check", "update"):
            what = [*what[:2], self.first + what[2], *what[3:]]
        elif what[0] == "many":
            what = [*what, self.first + 1]
        self.driver.stdin.write(json.dumps(what) + "\n")
        self.driver.stdin.flush()
        return json.loads(self.driver.stdout.readline())

    def description(self, **more):
        return {"root": {"kind": "directory", "path": str(self.tree)}} | more

    def create(self, name, dc=1, control=None, **more):
        answer = self.ask("create", name, dc, self.description(**more), None, control)
        assert answer["err"] == "OK", answer
        return Inside(self.ask("look", name)["socket"])

    def remove(self, name):
        answer = self.ask("remove", name)
        assert answer["err"] == "OK", answer

    def kill_driver(self):
        self.driver.send_signal(signal.SIGKILL)
        self.driver.wait()
        self.driver.stdin.close()
        self.driver.stdout.close()

    def kill_crun_during(self, ask, delay):
        """Begin ASK, and after DELAY seconds kill every crun of this room: they run for milliseconds."""
        self.driver.stdin.write(json.dumps(ask) + "\n")
        self.driver.stdin.flush()
        end = time.monotonic() + delay
        killed = 0
        while not select.select([self.driver.stdout], [], [], 0)[0]:
            if time.monotonic() < end:
                continue
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    line = (process / "cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                if b"--root" in line and str(self.run_dir / "crun").encode() in line:
                    try:
                        os.kill(int(process.name), signal.SIGKILL)
                        killed += 1
                    except ProcessLookupError:
                        pass
        return json.loads(self.driver.stdout.readline()), killed

    # ---- what is there on the machine ----

    def cgroups(self):
        top = Path(f"/proc/{self.driver.pid}/root/sys/fs/cgroup")
        return [str(p) for where in (f"*{self.cgroup}", self.cgroup[1:])
                for p in top.glob(where) if p.is_dir()]

    def files(self):
        found = []
        for top in self.run_dir / "containers", self.run_dir / "crun", self.run_dir / "init", \
                self.lib_dir / "dcs":
            found += [str(p) for p in top.rglob("*")] if top.exists() else []
        return found

    def mounts(self):
        """Everywhere, in whichever mount namespace: one process of each is looked at."""
        found, seen = [], set()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                space = os.readlink(process / "ns/mnt")
                if space in seen:
                    continue
                text = (process / "mountinfo").read_text()
            except OSError:
                continue
            seen.add(space)
            found += [f"{process.name}: {line}" for line in text.splitlines()
                      if f"{self.run_dir}/containers" in line or f"{self.lib_dir}/dcs" in line]
        return found

    def uid(self, dc):
        return UID_FIRST + (self.first + dc) * 65536

    def processes(self, dc):
        """Those of a container: by their host user."""
        uid = self.uid(dc)
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                status = (process / "status").read_text()
                line = (process / "cmdline").read_text().replace("\0", " ")
            except OSError:
                continue
            if "\nState:\tZ" in status:
                continue
            owner = int(status.split("\nUid:")[1].split()[0])
            if uid <= owner < uid + 65536 or f"{self.run_dir}/crun" in line:
                found.append(f"{process.name} {line}")
        return found

    def left(self, dc=1):
        return {"cgroups": self.cgroups(), "files": self.files(), "mounts": self.mounts(),
                "processes": self.processes(dc)}

    def close(self):
        for name in self.ask("list")["names"]:
            self.remove(name)
        assert self.cgroups() == [], self.cgroups()
        self.driver.stdin.close()
        status = self.driver.wait(30)
        self.driver.stdout.close()
        assert status == 0, f"the driver ended with status {status}"
        shutil.rmtree(self.top)
