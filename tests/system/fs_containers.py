#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""File systems in the containers of their DC, in a lab of 3 nodes: programs begin when they are mounted, see the same files with the same owners on all nodes, go on when the server's node,
a gateway or an agent is killed; and with the container its mounts go."""

import os
import signal
import sys
from pathlib import Path

from dvsd import Tap
from lab import Lab, requires_lab, wait_for

DC = f"fsc{os.getpid()}"
WRITER = "i=0; while :; do i=$((i+1)); echo $i > /data/count.new && mv /data/count.new /data/count; sleep 0.05; done"


def gateways(target, dc=DC):
    """The numbers of the processes dvs-fuse that mount at TARGET, by node."""
    found = {}
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            words = (proc / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if words[0].endswith("/dvs-fuse") and dc in words and target in words:
            found[int(words[words.index("--node") + 1])] = int(proc.name)
    return found


def inside(lab, node, script, *options, status=0):
    """Run SCRIPT in the container of NODE; what it prints, or its messages when it is to fail."""
    done = lab.exec(0, "dvs", "run", "--node", f"n{node}", *options, DC, "sh", "-c", script, timeout=90)
    assert done.returncode == status, (script, done.returncode, done.stdout, done.stderr)
    return done.stdout if status == 0 else done.stderr


def programs_begin_when_it_is_mounted(lab):
    """The DC is there before its file system: what is to run waits for it, and who asks for more is told why it cannot be."""
    lab.run(0, "dvs", "dc", "create", DC, "--nodes", "n0,n1", "--volume", "site:/data", "--volume", "site:/seen:ro")
    said = inside(lab, 1, "true", status=125)
    assert "volumes[0]: file system site cannot be mounted at /data" in said, said
    lab.run(0, "dvs", "vol", "create", f"{DC}/disk", "--size", "64M", "--nodes", "n0,n1,n2")
    lab.run(0, "dvs", "fs", "create", f"{DC}/site", "--volume", "disk", "--nodes", "n2,n1")
    inside(lab, 1, "echo hello > /data/f")
    assert inside(lab, 0, "cat /data/f /seen/f") == "hello\nhello\n"
    assert "Read-only" in inside(lab, 0, "echo x > /seen/f", status=2)


def owners_are_those_of_the_container(lab):
    """Root of the container is root in the file system, and so is the node's; user 1000 is user 1000 on all nodes."""
    inside(lab, 1, "umask 022; mkdir -m 1777 /data/all")
    inside(lab, 1, "echo own > /data/all/own", "--user", "1000:1000")
    assert inside(lab, 0, "stat -c '%u %g %a' /data/f /data/all/own") == "0 0 644\n1000 1000 644\n"
    said = inside(lab, 0, "echo x > /data/all/own; rm /data/all/own", "--user", "1001:1001", status=1)
    assert "Permission denied" in said and "Operation not permitted" in said, said
    lab.run(2, "sh", "-c", f"mkdir -p /run/seen && dvs fs mount {DC}/site /run/seen")
    assert lab.run(2, "stat", "-c", "%u", "/run/seen/f", "/run/seen/all/own") == "0\n1000\n"
    lab.run(2, "dvs", "fs", "umount", "/run/seen")


def it_is_mounted_anew_when_its_gateway_dies(lab):
    """Files that were open are lost; whoever opens them again finds them."""
    before = gateways("/data")
    assert sorted(before) == [0, 1], before
    lab.run(0, "dvs", "run", "-d", "--name", "holder", "--node", "n1", DC, "sh", "-c",
            "exec 3> /data/held; while echo x >&3; do sleep 0.05; done 2> /dev/null; until echo again > /data/held; do sleep 0.05; done 2> /dev/null; sleep 1000")
    wait_for(lambda: inside(lab, 0, "cat /data/held 2> /dev/null || :"), "the holder to write")
    os.kill(before[1], signal.SIGKILL)
    wait_for(lambda: inside(lab, 0, "cat /data/held") == "again\n", "the holder to open it again", 60)
    assert gateways("/data")[1] != before[1]
    # The dead mount is not below the new one.
    assert inside(lab, 1, "grep -c ' /data fuse' /proc/mounts") == "1\n"


def it_outlives_its_agent(lab):
    """The next agent goes on with the gateways that are there."""
    before = gateways("/data")
    lab.run(1, "sh", "-c", "kill -9 $(pgrep -x dvs-agent)")
    wait_for(lambda: lab.exec(0, "dvs", "run", "--node", "n1", DC, "cat", "/data/f").stdout == "hello\n", "the next agent", 60)
    assert gateways("/data") == before, (before, gateways("/data"))
    # And it watches over them.
    os.kill(before[1], signal.SIGKILL)
    wait_for(lambda: gateways("/data").get(1) not in (None, before[1]), "a new gateway", 60)


def programs_go_on_when_the_server_is_lost(lab):
    """Each program sees what the other has written, before and after the node of the server is gone."""
    lab.run(0, "dvs", "run", "-d", "--name", "writer", "--node", "n1", DC, "sh", "-c", WRITER)

    def count():
        return int(inside(lab, 0, "cat /data/count 2> /dev/null || echo 0"))
    wait_for(lambda: count() > 10, "the writer", 60)
    lab.kill(2)
    last = count()
    wait_for(lambda: count() > last + 20, "the writer to go on", 90)
    row, = lab.json(0, "fs", "ls", DC)["file systems"]
    assert row["state"] == "served", row


def its_mounts_go_with_the_container(lab):
    lab.run(0, "dvs", "dc", "rm-node", DC, "n1")
    wait_for(lambda: sorted(gateways("/data")) == [0] and sorted(gateways("/seen")) == [0], "the gateways of n1 to end", 60)
    assert inside(lab, 0, "cat /data/f") == "hello\n"


FILE = """name: NAME
nodes: [n0, n1]
disks:
  disk: { size: 64M, nodes: [n0, n1], store: ram }
filesystems:
  site: { disk: disk, quota: 32M }
  scratch: { store: ram, size: 16M }
volumes: [ "site:/data", "scratch:/scratch" ]
programs:
  each: { command: sh -c 'mktemp /data/XXXXXXXX && exec sleep 1000', replicas: each, stop_grace: 1s }
"""


def a_file_says_all_of_it(lab):
    """Disks, file systems on them, where programs see them: once, and not twice; what cannot be is told with its place; 'dvs down' keeps them."""
    other = f"{DC}-file"

    def dvs(*words, text=FILE, status=0):
        done = lab.exec(0, "dvs", *words, "-", input=text.replace("NAME", other), timeout=120)
        assert done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
        return done.stdout + done.stderr
    for wrong, said in (("scratch:/scratch", "-:8:26: volumes[1].source: the DC has no file system 'scrotch'"), ("disk: disk", "-:6:17: filesystems.site.disk: the DC has no such disk")):
        told = dvs("plan", text=FILE.replace(wrong, wrong.replace("ratch", "rotch", 1).replace(": disk", ": dosk")), status=1)
        assert said in told, told
    assert "+ filesystems.site" in dvs("plan")
    dvs("up")
    for command in ("plan", "up"):
        assert "nothing to change" in dvs(command)
    rows = {row["name"]: row for row in lab.json(0, "fs", "ls", other)["file systems"]}
    assert rows[f"{other}/site"]["nodes"] == "n0,n1" and rows[f"{other}/scratch"]["store"] == "ram", rows
    assert lab.json(1, "fs", "inspect", f"{other}/site")["quota_bytes"] == 32 << 20
    # Each program has written its file, and all are seen on each node.
    def files(node):
        return int(lab.run(0, "dvs", "run", "--node", f"n{node}", other, "sh", "-c", "ls /data | wc -l"))
    wait_for(lambda: files(0) == files(1) == 2, "both to have written")
    changed = FILE.replace("quota: 32M", "quota: 16M, nodes: [n1]")
    assert "filesystems.site.quota: 32M -> 16M" in dvs("up", text=changed)
    assert "nothing to change" in dvs("plan", text=changed)
    assert "the size of a file system cannot change" in dvs("plan", text=FILE.replace("16M", "32M"), status=1)
    dvs("down")
    assert len(lab.json(0, "fs", "ls", other)["file systems"]) == 2
    dvs("up", text=changed)
    wait_for(lambda: files(0) == files(1) == 4, "both to have written once more")
    assert f"file system {other}/site: removed" in dvs("down", "--volumes", text=changed)
    assert not gateways("/data", other) and other not in lab.run(0, "dvs", "dc", "ls")
    # What cannot be made leaves nothing.
    told = dvs("up", text=FILE.replace("store: ram, size: 16M", "device: /dev/null"), status=1)
    assert "-:7:3: filesystems.scratch: node n" in told and "/dev/null is neither" in told, told
    assert other not in lab.run(0, "dvs", "dc", "ls")


TESTS = [programs_begin_when_it_is_mounted, owners_are_those_of_the_container, it_is_mounted_anew_when_its_gateway_dies, it_outlives_its_agent,
         a_file_says_all_of_it, programs_go_on_when_the_server_is_lost, its_mounts_go_with_the_container]


def main():
    requires_lab()
    tap = Tap()
    with Lab(3) as lab:
        tap.each(TESTS, lab, broken=lab.show_logs, needed=TESTS[:1])
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
