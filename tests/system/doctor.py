#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""'dvs doctor' without dvsd: it finds what is there and what was taken away, and leaves nothing."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

from dvsd import BUILD, Tap
from lab import wait_for

DVS = BUILD / "dvs"
NEEDED = ["kernel", "rights", "namespace mount", "namespace pid", "namespace user", "cgroups",
          "cgroup memory", "seccomp", "files", "overlay", "id-mapped mounts", "crun", "fuse",
          "corosync", "criu", "io_uring", "direct I/O", "holes", "loop devices", "nbd module",
          "clock"]


def doctor(*before, env=None):
    done = subprocess.run([*before, DVS, "doctor", "-o", "json"], capture_output=True, text=True,
                          env={**os.environ, **(env or {})}, timeout=120, check=False)
    findings = json.loads(done.stdout)["findings"]
    return done.returncode, {f["what"]: f for f in findings}


def traces():
    """What it could leave: cgroups, and files."""
    cgroups = [path.name for path in Path("/sys/fs/cgroup").glob("*/dvs-*")]
    files = [str(p) for p in [*Path("/tmp").glob("dvs-doctor-*"),
                              *Path("/var/lib/dvs").glob("doctor-*")]]
    return set(cgroups), set(files)


def everything_is_looked_at(_):
    status, found = doctor()
    for what in NEEDED:
        assert what in found, (what, list(found))
    missing = [f for f in found.values() if f["state"] == "missing"]
    assert status == (1 if missing else 0)
    for finding in found.values():
        good = finding["state"] == "good"
        assert good or (finding["disables"] and finding["cure"]), finding
        assert finding["found"], finding


def what_is_taken_away_is_missed(base):
    status, found = doctor("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")
    assert status == 1 and found["rights"]["state"] == "missing", found["rights"]
    assert "SYS_ADMIN" in found["rights"]["found"] and "root" in found["rights"]["cure"]
    assert found["namespace mount"]["state"] == "missing", found["namespace mount"]
    assert found["crun"]["state"] == "missing", found["crun"]
    # Without programs in the path.
    empty = base / "empty"
    empty.mkdir()
    status, found = doctor(env={"PATH": str(empty)})
    assert status == 1 and found["crun"]["found"] == "not installed", found["crun"]
    assert found["corosync"]["state"] == "less" and found["criu"]["found"] == "not installed"


def what_volumes_need_is_missed(_):
    inside = "mount --bind /dev/null /dev/loop-control && exec \"$@\""
    if not Path("/dev/loop-control").exists():
        return
    _, found = doctor("unshare", "-m", "sh", "-c", inside, "sh")
    assert found["loop devices"]["state"] == "less", found["loop devices"]
    assert "dvs vol attach" in found["loop devices"]["disables"], found["loop devices"]


def an_old_criu_is_told_apart(base):
    programs = base / "programs"
    programs.mkdir()
    criu = programs / "criu"
    kernel = [int(n) for n in os.uname().release.split("-")[0].split(".")[:2]]
    for version, check, words in (("3.17.1", "exit 0", "does not work on this kernel"),
                                  ("4.2", "echo Looks good.", "Looks good."),
                                  ("4.2", "echo no vDSO; exit 1", "no vDSO")):
        criu.write_text(f"#!/bin/sh\n[ $1 = --version ] && echo Version: {version} && exit\n"
                        f"{check}\n")
        criu.chmod(0o755)
        _, found = doctor(env={"PATH": f"{programs}:{os.environ['PATH']}"})
        if version == "3.17.1" and kernel < [6, 13]:
            continue
        assert words in found["criu"]["found"], found["criu"]
        good = words == "Looks good."
        assert found["criu"]["state"] == ("good" if good else "less"), found["criu"]


def ports_of_others_are_seen(base):
    config = base / "etc"
    config.mkdir()
    (config / "node.yaml").write_text("cluster: farm\nnode: 0\naddress: 127.0.0.1\n"
                                      "engine: corosync\nlinks: {port: 7600, filters: []}\n")
    inside = (f"mkdir -p /etc/dvs && mount --bind {config} /etc/dvs && exec \"$@\"")
    if not Path("/etc/dvs").is_dir():
        inside = (f"mount -t overlay -o lowerdir={config.parent}/add:/etc etc /etc && exec \"$@\"")
        (base / "add").mkdir()
        config.rename(base / "add" / "dvs")
    before = ["unshare", "-m", "sh", "-c", inside, "sh"]
    status, found = doctor(*before)
    assert found["ports"]["state"] == "good" and "7600" in found["ports"]["found"], found["ports"]
    program = subprocess.Popen(
        [sys.executable, "-c", "import socket; s = socket.create_server(('127.0.0.1', 7603)); "
         "print(flush=True); input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        program.stdout.readline()
        status, found = doctor(*before)
        assert status == 1 and found["ports"]["state"] == "missing", found["ports"]
        assert "port 7603" in found["ports"]["found"] and "python" in found["ports"]["found"]
    finally:
        program.communicate(b"\n")


# Mounts of others are not seen there, and what the doctor would mount for all is.
MOUNTS_APART = """
mount --make-rshared /
for when in before after; do
    if [ $when = after ]; then
        for n in 1 2 3 4 5 6; do "$1" doctor >/dev/null; done
        setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin "$1" doctor >/dev/null
    fi
    cut -d " " -f 4- /proc/self/mountinfo >"$2/$when"
done"""


def nothing_stays(base):
    """What the doctor leaves it leaves each time; cgroups and files may be those of others who work here."""
    cgroups, files = traces()
    subprocess.run(["unshare", "-m", "--propagation", "private", "sh", "-c", MOUNTS_APART, "sh",
                    DVS, base], check=True, stderr=subprocess.DEVNULL, timeout=300)
    before, after = ((base / when).read_text().splitlines() for when in ("before", "after"))
    assert after == before, [line for line in after if line not in before]
    made = traces()[0] - cgroups
    assert len(made) < 6, made
    # Another's are gone soon.
    wait_for(lambda: len(traces()[1] - files) == 0, "files to go", timeout=30)


def main():
    tap = Tap()
    if os.geteuid() != 0 or not shutil.which("crun") or not shutil.which("setpriv"):
        print("1..0 # SKIP needs root, crun and setpriv")
        return 0
    for test in (everything_is_looked_at, what_is_taken_away_is_missed, what_volumes_need_is_missed,
                 an_old_criu_is_told_apart, ports_of_others_are_seen, nothing_stays):
        if sys.argv[1:] and test.__name__ not in sys.argv[1:]:
            continue
        with tempfile.TemporaryDirectory() as base:
            try:
                test(Path(base))
                tap.ok(True, test.__name__.replace("_", " "))
            except Exception:
                tap.ok(False, test.__name__.replace("_", " "), traceback.format_exc())
    print(f"1..{tap.n}")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
