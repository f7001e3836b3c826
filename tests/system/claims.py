#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Claims of volumes in a lab: block devices, NBD gateways and file servers keep each other out, and who was replaced writes no more."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

from dvsd import BUILD, Tap
from lab import Lab, end, requires_lab, wait_for
from nbd_help import requires

DC = "web"
# It is a module of Debian's Python, which need not be the first on the path.
SHELL = ["/usr/bin/python3", "-m", "nbd"]
WRITE = "h.pwrite(b'x' * 512, 0); h.flush()"
# Has an export open until its standard input ends.
HOLD = "h.pwrite(b'y' * 512, 0); print('open', flush=True); import sys; sys.stdin.read()"
# Appends lines, each on stable storage before the next one, until it is told to end; says how many.
WRITER = """
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
n = 0
while not os.path.exists(sys.argv[2]):
    os.write(fd, b"%015d\\n" % n)
    os.fsync(fd)
    n += 1
print(n)
"""


def refused(lab, node, *words):
    """Run 'dvs WORDS', which must fail; its messages."""
    done = lab.exec(node, "dvs", *words)
    assert done.returncode == 1, (words, done.stdout, done.stderr)
    return done.stderr


def held(lab, name):
    return lab.json(0, "vol", "inspect", name)["volume"]["held"]


class Gateway:
    """dvs-nbd on a node, over one volume."""

    n = 0

    def __init__(self, lab, node, volume, *options):
        Gateway.n += 1
        self.lab, self.node = lab, node
        self.socket = f"/run/claims-{Gateway.n}.socket"
        self.uri = f"nbd+unix:///?socket={self.socket}"
        self.log = tempfile.TemporaryFile("w+")
        self.program = lab.popen(node, BUILD / "dvs-nbd", "--socket", self.socket, *options, volume,
                                 stdin=subprocess.DEVNULL, stderr=self.log)
        wait_for(lambda: lab.path(node, self.socket).exists(), "dvs-nbd")

    def shell(self, code, **how):
        return self.lab.exec(self.node, *SHELL, "-u", self.uri, "-c", code, **how)

    def said(self):
        """Its log; a client of libnbd 1.14 is told what it says, and keeps it for itself."""
        self.log.seek(0)
        return self.log.read()

    def hold(self):
        """A client that has it open."""
        client = self.lab.popen(self.node, *SHELL, "-u", self.uri, "-c", HOLD, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True)
        assert client.stdout.readline() == "open\n"
        return client

    def stop(self):
        return end(self.program)


@contextlib.contextmanager
def attached(lab, node, name, *options):
    device = lab.run(node, "dvs", "vol", "attach", name, *options).strip()
    try:
        yield device
    finally:
        lab.exec(node, "dvs", "vol", "detach", "--force", device)


def a_block_device_keeps_the_others_out(lab):
    lab.run(0, "dvs", "vol", "create", f"{DC}/one", "--size", "32M", "--nodes", "n2", "--store", "ram")
    gateway = Gateway(lab, 1, f"{DC}/one")
    readers = Gateway(lab, 1, f"{DC}/one", "--read-only")
    with attached(lab, 0, f"{DC}/one"):
        assert held(lab, f"{DC}/one") == ["a block device on n0"]
        done = gateway.shell(WRITE)
        assert done.returncode != 0 and "policy" in done.stderr, done.stderr
        assert "attached on node 0" in gateway.said() and "dvs vol detach" in gateway.said(), gateway.said()
        assert readers.shell("h.pread(512, 0)").returncode == 0
        said = refused(lab, 1, "fs", "create", f"{DC}/home", "--volume", "one", "--nodes", "n1")
        assert "attached on node 0" in said, said
    done = gateway.shell(WRITE)
    assert done.returncode == 0, done.stderr
    assert gateway.stop() == readers.stop() == 0


def clients_of_a_gateway_keep_the_others_out(lab):
    gateway, other = Gateway(lab, 1, f"{DC}/one"), Gateway(lab, 0, f"{DC}/one")
    one, two = gateway.hold(), gateway.hold()
    assert held(lab, f"{DC}/one") == [f"clients of dvs-nbd {gateway.socket} on n1"]
    said = refused(lab, 0, "vol", "attach", f"{DC}/one")
    assert f"dvs-nbd at {gateway.socket} on node 1" in said, said
    done = other.shell(WRITE)
    assert done.returncode != 0 and "on node 1 can write to it" in other.said(), other.said()
    # What is only looked at is not claimed.
    assert lab.exec(0, "nbdinfo", "--list", other.uri).returncode == 0
    said = refused(lab, 1, "fs", "create", f"{DC}/home", "--volume", "one", "--nodes", "n1")
    assert "on node 1 can write to it" in said, said
    said = refused(lab, 0, "vol", "rm", "--force", f"{DC}/one")
    assert "on node 1 can write to it" in said, said
    one.stdin.close()
    assert one.wait(60) == 0
    assert held(lab, f"{DC}/one"), "the second client has it still"
    two.stdin.close()
    assert two.wait(60) == 0
    wait_for(lambda: other.shell(WRITE).returncode == 0, "the claim to end with the last client")
    assert held(lab, f"{DC}/one") is None
    assert gateway.stop() == other.stop() == 0


def those_that_share_it_have_it_together(lab):
    gateway, other = Gateway(lab, 1, f"{DC}/one", "--shared"), Gateway(lab, 0, f"{DC}/one", "--shared")
    one = gateway.hold()
    assert other.shell(WRITE).returncode == 0
    with attached(lab, 2, f"{DC}/one", "--shared"):
        assert sorted(held(lab, f"{DC}/one")) == ["a block device on n2, shared",
                                                  f"clients of dvs-nbd {gateway.socket} on n1, shared"]
        assert other.shell(WRITE).returncode == 0
    one.stdin.close()
    assert one.wait(60) == 0
    assert gateway.stop() == other.stop() == 0


def what_is_killed_holds_nothing(lab):
    gateway = Gateway(lab, 1, f"{DC}/one")
    client = gateway.hold()
    os.kill(gateway.program.inner, signal.SIGKILL)

    def attach():
        done = lab.exec(0, "dvs", "vol", "attach", f"{DC}/one")
        return done.stdout.strip() if done.returncode == 0 else None
    lab.run(0, "dvs", "vol", "detach", wait_for(attach, "the claim of a killed gateway to end", 60))
    client.kill()


def a_file_system_keeps_the_others_out(lab):
    """That of the next test, too."""
    lab.run(0, "dvs", "vol", "create", f"{DC}/base", "--size", "64M", "--nodes", "n2", "--store", "ram")
    lab.run(0, "dvs", "fs", "create", f"{DC}/home", "--volume", "base", "--nodes", "n0,n1")
    node = serving(lab)
    assert node in ("n0", "n1"), held(lab, f"{DC}/base")
    said = refused(lab, 1, "vol", "attach", f"{DC}/base")
    assert f"file system home is on it, which node {node[1:]} serves" in said and "dvs fs rm" in said, said
    gateway = Gateway(lab, 1, f"{DC}/base")
    done = gateway.shell(WRITE)
    assert done.returncode != 0 and "file system home" in gateway.said(), gateway.said()
    assert gateway.stop() == 0
    with attached(lab, 1, f"{DC}/base", "--read-only"):
        pass


def servers(lab, node, comm="dvs-fs"):
    """The processes of a node that are called so, as numbers of the host."""
    mounts = os.readlink(f"/proc/{lab.holders[node]}/ns/mnt")
    found = []
    for proc in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (proc / "comm").read_text().strip() == comm and os.readlink(proc / "ns/mnt") == mounts:
                found.append(int(proc.name))
    return found


def n_refused(lab):
    return lab.json(2, "vol", "inspect", f"{DC}/base")["server"]["refused"]


def size(lab, path):
    return int(lab.run(2, "stat", "-c", "%s", path))


def serving(lab):
    return (held(lab, f"{DC}/base") or [""])[0].removeprefix("file system home on ")


def work_done(pid):
    """How often the threads of a process went to sleep by themselves."""
    return [line for task in sorted(Path(f"/proc/{pid}/task").iterdir())
            for line in (task / "status").read_text().splitlines() if line.startswith("voluntary")]


def stop_amid_a_write(lab, pid):
    """The volume answers nothing until the server has nothing else to do; its answer finds it asleep."""
    volume, = servers(lab, 2, "dvs-vdd")
    seen = [work_done(pid)]

    def waits():
        seen.append(work_done(pid))
        return seen[-1] == seen[-2]
    os.kill(volume, signal.SIGSTOP)
    try:
        wait_for(waits, "the server to wait for its volume", 60, 0.2)
        os.kill(pid, signal.SIGSTOP)
    finally:
        os.kill(volume, signal.SIGCONT)


def change_places_while_paused(lab, path):
    """The server is stopped in the middle of its work, the other one takes over, and then the first one goes on."""
    before = int(serving(lab)[1:])
    after = 1 - before
    pid, = servers(lab, before)
    stop_amid_a_write(lab, pid)
    try:
        lab.run(2, "dvs", "node", "drain", f"n{before}", "--detach")
        wait_for(lambda: serving(lab) == f"n{after}", "the other server", 90)
        here = size(lab, path)
        wait_for(lambda: size(lab, path) > here, "the other server to serve", 90)
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_for(lambda: lab.exec(2, "dvs", "node", "drain", f"n{before}", "--off").returncode == 0, "no drain")
    here = size(lab, path)
    wait_for(lambda: size(lab, path) > here + 160, "it to go on", 90)
    assert serving(lab) == f"n{after}"


def a_paused_file_server_that_was_replaced_writes_no_more(lab):
    lab.run(2, "mkdir", "-p", "/srv/home")
    lab.run(2, "dvs", "fs", "mount", f"{DC}/home", "/srv/home")
    wait_for(lambda: len(servers(lab, 0)) == len(servers(lab, 1)) == 1, "a backup", 60)
    writer = lab.popen(2, "python3", "-c", WRITER, "/srv/home/log", "/run/claims.stop",
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    wait_for(lambda: lab.exec(2, "test", "-s", "/srv/home/log").returncode == 0, "the first line", 60)
    for _ in range(20):
        change_places_while_paused(lab, "/srv/home/log")
        if n_refused(lab) > 0:
            break
    # It may have slept each time before it had anything to write: what counts is what follows.
    print(f"# {n_refused(lab)} changes of the one that slept were refused")
    lab.run(2, "touch", "/run/claims.stop")
    n = int(writer.communicate(timeout=90)[0])
    wanted = "".join(f"{i:015d}\n" for i in range(n))
    assert lab.run(2, "cat", "/srv/home/log") == wanted
    lab.run(2, "dvs", "fs", "check", f"{DC}/home", timeout=90)
    lab.run(2, "dvs", "fs", "umount", "/srv/home")
    lab.run(0, "dvs", "fs", "rm", "--force", f"{DC}/home")
    wait_for(lambda: held(lab, f"{DC}/base") is None, "the claim to end with the file system", 60)
    with attached(lab, 1, f"{DC}/base"):
        pass


TESTS = [a_block_device_keeps_the_others_out, clients_of_a_gateway_keep_the_others_out,
         those_that_share_it_have_it_together, what_is_killed_holds_nothing, a_file_system_keeps_the_others_out,
         a_paused_file_server_that_was_replaced_writes_no_more]


def main():
    requires_lab()
    requires("nbdsh", "nbdinfo")
    tap = Tap()
    with Lab(3) as lab:
        lab.run(0, "dvs", "dc", "create", DC, "--no-container")
        for test in TESTS:
            title = test.__name__.replace("_", " ")
            try:
                test(lab)
                tap.ok(True, title)
            except Exception:
                tap.ok(False, title, traceback.format_exc())
        if tap.failed:
            lab.show_logs()
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
