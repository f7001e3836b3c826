#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A file system on a replicated volume, mounted on two nodes, while the servers below it are lost one after the other: the file server, the primary of its volume, the node of both. A program that works there,
with open files, locks and a file without a name, notices a pause; nothing that fsync said is lost, no lock is given to anybody else, and no call is carried out twice."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path

from dvsd import BUILD, Tap
from lab import end, requires_lab, wait_for
from volume_lab import DC, RUN_DIR, VolumeLab

WORKER = Path(__file__).resolve().parent / "fs_worker.py"
AT = "/run/files"
FS = f"{DC}/files"
HOLDER, RIVAL = 2, 1


class Program:
    """fs_worker.py in a node, and what it says."""

    def __init__(self, lab, node, mode):
        self.process = lab.popen(node, sys.executable, WORKER, mode, AT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)
        self.said = queue.Queue()
        self.rounds = 0
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.process.stdout:
            what = json.loads(line)
            if "done" in what:
                self.rounds = what["done"]
            else:
                self.said.put(what)

    def tell(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def ask(self, text, timeout=120):
        self.tell(text)
        return self.said.get(timeout=timeout)

    def has_gone_on(self, rounds=20, timeout=120):
        before = self.rounds

        def done():
            assert self.process.poll() is None, self.process.stderr.read()
            return self.rounds > before + rounds
        wait_for(done, f"{rounds} rounds more than {before}", timeout)


class World:
    def __init__(self, lab):
        self.lab = lab
        lab.create("disk", [0, 1, 2], "--store", "ram", size="64M")
        lab.run(0, "dvs", "fs", "create", FS, "--volume", "disk", "--nodes", "n0,n1,n2")
        for node in (HOLDER, RIVAL):
            lab.run(node, "sh", "-c", f"mkdir {AT} && dvs fs mount {FS} {AT}")
        wait_for(lambda: all(lab.servers(node, "dvs-fs") for node in (0, 1, 2)), "all servers")
        # It has a session and an open file, and asks nothing while nobody takes what it writes.
        lab.run(0, "sh", "-c", "mkdir /run/quiet && head -c 1M /dev/urandom > /run/quiet/file")
        lab.run(0, "dvs", "fs", "import", FS, "/run/quiet", "quiet")
        self.idle = lab.popen(RIVAL, "dvs", "fs", "export", f"{FS}:quiet", "-", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.holder = Program(lab, HOLDER, "hold")
        self.holder.has_gone_on()
        self.rival = Program(lab, RIVAL, "rival")

    def primary(self):
        """The node whose server has the file system."""
        row = json.loads(self.lab.run(2, "dvs", "fs", "inspect", FS, "-o", "json"))
        return int(row["primary"][1:]) if row["state"] == "served" else None

    def goes_on(self):
        """Who works there and who wants the locks find all as before."""
        self.holder.has_gone_on()
        said = self.rival.ask("try")
        assert said == {"flock": True, "ranges": True, "beside": False}, said

    def signal_server(self, how):
        """To the file server that has the file system; its node, when another one has it."""
        node = self.primary()
        # There are two where the agent was started again: the former one's goes on.
        for pid in self.lab.servers(node, "dvs-fs"):
            os.kill(pid, how)
        self.wait_primary(lambda now: now != node)
        return node

    def wait_primary(self, is_it):
        def serves():
            now = self.primary()
            return now is not None and is_it(now)
        wait_for(serves, "another server", 120, 0.1)


def they_go_on_without_the_volumes_primary(world):
    node = world.lab.primary("disk", 2)
    world.lab.signal_servers(node, signal.SIGKILL)
    world.goes_on()
    world.lab.wait_healthy("disk", 2)


def they_go_on_when_the_node_is_lost(world):
    """Of the file server and the volume's primary."""
    assert world.primary() == 0
    world.lab.promote("disk", 0, 2)
    world.lab.kill(0)
    world.goes_on()
    assert world.primary() != 0


def the_first_node_serves_again_when_it_is_back(world):
    world.lab.start(0)
    world.wait_primary(lambda now: now == 0)
    world.goes_on()


def a_drained_node_gives_it_away(world):
    """At once, whoever asks just then."""
    for _ in range(4):
        node = world.primary()
        world.lab.run(2, "dvs", "node", "drain", f"n{node}", "--detach")
        world.wait_primary(lambda now: now != node)
        world.goes_on()
        world.lab.run(2, "dvs", "node", "drain", f"n{node}", "--off")


def who_was_passed_over_fails_nobody(world):
    """A server that does not know yet that its volume is another's can do nothing; who asks it just then waits, and is told of no error."""
    for _ in range(3):
        told = world.lab.inspect("disk", 2)["volume"]
        world.lab.run(2, BUILD / "tests/system/vdd-bad", f"{RUN_DIR}/dc/{DC}/control", told["endpoint"], "thief")
        world.goes_on()


def they_go_on_without_the_file_server(world):
    """Killed, and ended in good order."""
    world.signal_server(signal.SIGKILL)
    world.goes_on()
    world.signal_server(signal.SIGTERM)
    world.goes_on()


def who_says_nothing_is_not_waited_for(world):
    """A client that was stopped, or hangs: the others go on without it."""
    stopped = world.lab.popen(RIVAL, "dvs", "fs", "export", f"{FS}:quiet", "-", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    stopped.stdout.read(1)
    os.kill(stopped.inner, signal.SIGSTOP)
    world.signal_server(signal.SIGKILL)
    world.goes_on()
    os.kill(stopped.inner, signal.SIGCONT)
    # It begins anew.
    assert len(stopped.stdout.read()) > 1 << 20 and stopped.wait(60) == 0


def nothing_is_lost_and_nothing_is_there_twice(world):
    """Who waits for the locks gets them when they are free, and everybody sees what fsync said."""
    assert world.rival.ask("wait") == {"waits": True}
    # It waits over a failover, too.
    world.signal_server(signal.SIGKILL)
    world.holder.has_gone_on()
    assert world.rival.said.empty()
    world.holder.process.stdin.close()
    assert world.holder.process.wait(60) == 0, world.holder.process.stderr.read()
    assert world.rival.said.get(timeout=60) == {"has": True}
    done = world.holder.rounds
    for node in (HOLDER, RIVAL):
        told = json.loads(world.lab.run(node, sys.executable, WORKER, "look", AT))
        assert told == {"rounds": done, "right": True, "names": ["flock", "log", "quiet", "ranges"]}, (told, done)
    end(world.rival.process)
    archive = world.idle.stdout.read()
    assert world.idle.wait(60) == 0 and len(archive) > 1 << 20, len(archive)
    for node in (HOLDER, RIVAL):
        world.lab.run(node, "dvs", "fs", "umount", AT)
    world.lab.run(2, "dvs", "fs", "check", FS)
    print(f"# {done} rounds", flush=True)


TESTS = [they_go_on_without_the_volumes_primary, they_go_on_when_the_node_is_lost, the_first_node_serves_again_when_it_is_back, a_drained_node_gives_it_away, who_was_passed_over_fails_nobody,
         they_go_on_without_the_file_server, who_says_nothing_is_not_waited_for, nothing_is_lost_and_nothing_is_there_twice]


def main():
    requires_lab()
    tap = Tap()
    with VolumeLab(3) as lab:
        world = World(lab)
        tap.each(TESTS, world, broken=lab.show_logs, needed=TESTS)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
