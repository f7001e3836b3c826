#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The control socket as programs inside a container have it: in namespaces of their own, with users of their own. One dvsd, its real agent, root `host`."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from dvsd import BUILD, SOURCE, Dvsd, Tap, requires

FILES = ["tests/system/dvsd.py", "tests/system/cluster_agent.py", "src/proto/control.toml", "include/dvs/errors.def"]
ECHO = BUILD / "apps/examples/dvs-echo"


class Node(Dvsd):
    """A dvsd with an agent and the container `demo`, in which what the test needs can be read by everybody."""

    def __init__(self):
        self.lib = Path(tempfile.mkdtemp(prefix="dvs-lib."))
        self.tools = Path(tempfile.mkdtemp(prefix="dvs-tools.", dir="/var/tmp"))
        self.tools.chmod(0o755)
        for name in FILES:
            (self.tools / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(SOURCE / name, self.tools / name)
        shutil.copy(ECHO, self.tools / "dvs-echo")
        for path in self.tools.rglob("*"):
            path.chmod(0o755)
        self.programs = []
        super().__init__("--lib-dir", self.lib)
        try:
            self.dvs("dc", "create", "demo")
        except BaseException:
            self.end()
            raise

    def inside(self, *words, user="0"):
        """Start a program in the container."""
        program = subprocess.Popen([BUILD / "dvs", "run", "-i", "--user", user, "-e", f"DVS_SOURCE={self.tools}", "demo", *map(str, words)],
                                   env=os.environ | {"DVS_RUN_DIR": str(self.run_dir)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.programs.append(program)
        return program

    def link(self, user="0"):
        return Inside(self.inside("/usr/bin/python3", self.tools / "tests/system/cluster_agent.py", "/run/dvs/control", user=user))

    def pid_of(self, program):
        """The number of a program's process, in the container."""
        row = [row for row in json.loads(self.dvs("ps", "-o", "json"))["programs"] if program in (row["name"], row["program"])]
        return row[0]["inner_pid"] if row else None

    def end(self):
        with contextlib.suppress(subprocess.SubprocessError, RuntimeError):
            self.dvs("dc", "rm", "--force", "demo")
        for program in self.programs:
            program.kill()
            program.wait()
            for pipe in (program.stdin, program.stdout):
                with contextlib.suppress(OSError):
                    pipe.close()
        group = "dvs-" + (self.lib / "id").read_text().strip()
        status = super().end()
        for tree in Path("/sys/fs/cgroup").iterdir():
            with contextlib.suppress(OSError):
                (tree / group).rmdir()
        # a tree that only the agent had mounted
        subprocess.run(["unshare", "--mount", "sh", "-c", 'mount -t cgroup -o hugetlb cgroup /mnt && rmdir "/mnt/$0"', group], check=False,
                       stderr=subprocess.DEVNULL)
        shutil.rmtree(self.lib, ignore_errors=True)
        shutil.rmtree(self.tools, ignore_errors=True)
        return status


class Inside:
    """A process in the container with a link, which asks what it is told to."""

    def __init__(self, program):
        self.program = program
        assert json.loads(program.stdout.readline())["ready"]

    def ask(self, what, **values):
        self.program.stdin.write(json.dumps({"what": what, **values}) + "\n")
        self.program.stdin.flush()
        return json.loads(self.program.stdout.readline())

    def bind(self, want=0xffffffff):
        return self.ask("bind", want=want, binding=1, tid=1)


def its_root_is_the_manager_and_nobody_else_is(node):
    root, user = node.link(), node.link("1000:1000")
    assert root.ask("dc_info")["name"] == user.ask("dc_info")["name"] == "demo"
    assert root.bind(5)["ep"] and user.bind(6) == {"error": "DENIED"}
    assert user.bind()["ep"] and user.ask("dc_create", name="x", owner_uid=0) == {"error": "DENIED"}
    ep = root.bind()["ep"]
    assert root.ask("privileges_set", ep=ep, may=0, call_to=[]) == {}
    assert user.ask("privileges_set", ep=ep, may=1, call_to=[]) == {"error": "DENIED"}


def pids_are_those_that_it_sees(node):
    one, other = node.link(), node.link("1000:1000")
    ep = one.bind()["ep"]
    names = [row["name"] for row in json.loads(node.dvs("ps", "-o", "json"))["programs"]]
    assert len(names) == 2, names
    pids = sorted(filter(None, map(node.pid_of, names)))
    assert len(pids) == 2 and max(pids) < 100, pids
    answers = [other.ask("endpoint_of", pid=pid) for pid in pids]
    assert {"ep": ep} in answers and {"error": "NOPROC"} in answers, answers
    mine = pids[answers.index({"error": "NOPROC"})]
    assert one.ask("endpoint_of", pid=one.program.pid) == {"error": "NOPROC"}
    given = one.ask("bind_for", pid=mine, want=9, binding=1)
    assert given["ep"] and other.ask("event", name="bound")["ep"] == given["ep"]
    assert one.ask("endpoint_of", pid=mine) == given
    node.dvs("run", "-d", "--name", "idle", "demo", "sleep", "1000")
    idle = node.pid_of("idle")
    assert idle, node.dvs("ps", "-o", "json")
    assert one.ask("bind_for", pid=idle, want=12, binding=1)["ep"], "one that has no link"
    assert one.ask("bind_for", pid=idle + 1000, want=13, binding=1) == {"error": "NOPROC"}
    assert one.ask("bind_for", pid=os.getpid(), want=10, binding=1) == {"error": "NOPROC"}
    assert other.ask("bind_for", pid=pids[0], want=11, binding=1) == {"error": "DENIED"}


def messages_go_in_and_out(node):
    control = {"DVS_CONTROL": str(node.control("demo"))}
    node.dvs("run", "-d", "--name", "server", "demo", str(node.tools / "dvs-echo"), "server")

    def out(text):
        return subprocess.run([ECHO, "client", text], env=os.environ | control, capture_output=True, text=True, check=False, timeout=30).stdout
    deadline = time.monotonic() + 20
    while "hello" not in out("hello"):
        assert time.monotonic() < deadline
        time.sleep(0.05)  # until it is bound
    assert "again" in node.dvs("run", "demo", str(node.tools / "dvs-echo"), "client", "again")
    assert "user" in node.dvs("run", "--user", "1000:1000", "demo", str(node.tools / "dvs-echo"), "client", "user")
    node.kill()
    node.start()
    assert "after" in out("after"), "the server's link is there again"
    assert "fresh" in node.dvs("run", "demo", str(node.tools / "dvs-echo"), "client", "fresh"), "the next dvsd's socket is seen inside"


def its_own_programs_do_not_hold_a_dc(node):
    inside = node.link()
    assert inside.bind(5)["ep"]
    with contextlib.closing(Dvsd.link(node, "demo")) as outside:
        outside.bind(6)
        failed = subprocess.run([BUILD / "dvs", "dc", "rm", "demo"], env=os.environ | {"DVS_RUN_DIR": str(node.run_dir)}, capture_output=True, text=True,
                                check=False)
        assert failed.returncode != 0, failed
    deadline = time.monotonic() + 20
    while node.dvs("dc", "rm", "demo", check=False) or node.control("demo").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)  # until the end of the other link has arrived
    assert not (node.run_dir / "inside/demo").exists()


requires(("crun", "python3"), ("dvs-agent", "dc-init", ECHO))
sys.exit(Tap().run([its_root_is_the_manager_and_nobody_else_is, pids_are_those_that_it_sees, messages_go_in_and_out, its_own_programs_do_not_hold_a_dc], Node))
