#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What container.h promises, with real containers: limits, isolation, and that nothing stays."""

import json
import os
import random
import shutil
import socket
import sys
import time
from pathlib import Path

from container_room import Room
from dvsd import Tap
from lab import wait_for

def can_open(path):
    """The machine of a test may be a container itself, or keep its disks to itself."""
    try:
        os.close(os.open(path, os.O_RDWR))
        return True
    except OSError:
        return False


NOTHING = {"cgroups": [], "files": [], "mounts": [], "processes": []}


def a_container_runs_and_goes_without_a_trace(room):
    inside = room.create("web", memory=64 << 20, pids=20)
    state = room.ask("look", "web")
    assert state["is"] == "runs", state
    assert inside.sh("id -u; cat /proc/1/comm; hostname").split() == ["0", "dvs-init", "web"]
    assert room.ask("mark", "web", 7)["err"] == "OK"
    state = room.ask("look", "web")
    assert (state["version"], state["dc"]) == (7, room.first + 1), state
    assert room.ask("create", "web", 1, room.description(), None, None)["err"] == "EXISTS"
    assert room.mounts() != [] and room.cgroups() != []
    inside.close()
    room.remove("web")
    assert room.ask("look", "web")["is"] == "absent"
    assert room.left() == NOTHING, room.left()
    room.remove("web")


def container_root_is_nobody_on_the_host(room):
    inside = room.create("web", dc=3)
    pid = room.ask("look", "web")["pid"]
    uid = room.uid(3)
    assert os.stat(f"/proc/{pid}").st_uid == uid
    assert inside.sh("cat /proc/self/uid_map").split() == ["0", str(uid), "65536"]
    assert inside.sh("touch /made && stat -c %u:%g /made /bin/busybox").split() == ["0:0", "0:0"]
    assert (room.lib_dir / "dcs/web/upper/made").stat().st_uid == uid
    assert not (room.tree / "made").exists()


def limits_hold(room):
    inside = room.create("web", memory=32 << 20, swap=0, pids=30, cpus=0.1, cpuset="1")
    assert inside.sh("nproc") == "1"
    # Memory: what asks for more is killed, and the first process lives
    status, _ = inside.run("/bin/busybox", "dd", "if=/dev/zero", "of=/dev/null", "bs=100M")
    assert status == -9, status
    usage = room.ask("usage", "web")
    assert usage["oom_kills"] >= 1 and usage["memory_limit"] == 32 << 20, usage
    assert usage["memory_peak"] <= 32 << 20, usage
    # Processes
    said = inside.sh("for i in $(seq 50); do sleep 5 & done; wait")
    assert "can't fork" in said, said
    assert room.ask("usage", "web")["pids_limit"] == 30
    # CPU time: 0.1 s of each; a busy machine does not even give that at times
    deadline = time.monotonic() + 60
    usage = room.ask("usage", "web")
    assert usage["cpu_limit_millis"] == 100, usage
    throttled = False
    while not throttled and time.monotonic() < deadline:
        before = usage, time.monotonic_ns()
        inside.run("/bin/busybox", "timeout", "2", "sh", "-c", "while :; do :; done")
        usage = room.ask("usage", "web")
        share = (usage["cpu_ns"] - before[0]["cpu_ns"]) / (time.monotonic_ns() - before[1])
        assert share < 0.15, share
        throttled = usage["throttled_ns"] > before[0]["throttled_ns"]
    assert throttled, usage
    inside.close()
    room.remove("web")


def limits_are_there_from_the_start(room):
    """With every set of them: crun touches what it finds."""
    for more in {"memory": 64 << 20}, {"memory": 64 << 20, "swap": 0}, \
            {"memory": 64 << 20, "swap": 32 << 20}:
        room.create("web", cpus=0.5, pids=77, **more).close()
        usage = room.ask("usage", "web")
        assert (usage["memory_limit"], usage["cpu_limit_millis"], usage["pids_limit"]) == \
            (64 << 20, 500, 77), usage
        both = Path(f"/sys/fs/cgroup/memory{room.cgroup}/web/memory.memsw.limit_in_bytes")
        swap = Path(f"/sys/fs/cgroup{room.cgroup}/web/memory.swap.max")
        if both.exists() and "swap" in more:
            assert int(both.read_text()) == more["memory"] + more["swap"], both.read_text()
        if swap.exists() and "swap" in more:
            assert int(swap.read_text()) == more["swap"], swap.read_text()
        room.remove("web")


def limits_change_while_it_runs(room):
    inside = room.create("web", memory=64 << 20, pids=50)
    assert room.ask("usage", "web")["cpu_limit_millis"] == -1

    def change(err="OK", **more):
        answer = room.ask("update", "web", 1, room.description(**more), None, None)
        assert answer["err"] == err, answer
        return room.ask("usage", "web"), answer["why"]

    usage, _ = change(memory=32 << 20, swap=0, pids=10, cpus=0.5, cpuset="0")
    assert (usage["memory_limit"], usage["pids_limit"], usage["cpu_limit_millis"]) == \
        (32 << 20, 10, 500), usage
    assert inside.sh("nproc") == "1"
    usage, _ = change(memory=128 << 20, pids=20)
    assert (usage["memory_limit"], usage["cpu_limit_millis"]) == (128 << 20, -1), usage
    assert inside.sh("nproc") == str(os.cpu_count())
    usage, _ = change()
    assert (usage["memory_limit"], usage["pids_limit"]) == (-1, 4096), usage
    # More than the new limit is in use, and cannot be freed
    out = inside.start("/bin/busybox", "sh", "-c",
                       "dd if=/dev/zero of=/tmp/x bs=1M count=40 2>/dev/null; echo; cat /tmp/x | tail -c1")
    inside.end(out)
    _, why = change("BADSTATE", memory=8 << 20, swap=0)
    assert "in use" in why, why
    inside.close()


def what_stands_still_goes_on(room):
    inside = room.create("web")
    out = inside.start("/bin/busybox", "sh", "-c", "while :; do echo; sleep 0.01; done")
    os.read(out, 65536)
    assert room.ask("freeze", "web", 1)["err"] == "OK"
    assert room.ask("look", "web")["is"] == "frozen"
    assert room.ask("usage", "web")["frozen"] is True
    os.set_blocking(out, False)
    while True:
        try:
            os.read(out, 65536)
        except BlockingIOError:
            break
    time.sleep(0.3)
    try:
        os.read(out, 1)
        raise AssertionError("it runs")
    except BlockingIOError:
        pass
    assert room.ask("freeze", "web", 0)["err"] == "OK"
    os.set_blocking(out, True)
    assert os.read(out, 1) == b"\n"
    assert room.ask("look", "web")["is"] == "runs"
    # Frozen, it can be removed
    assert room.ask("freeze", "web", 1)["err"] == "OK"
    inside.close()
    os.close(out)
    room.remove("web")
    assert room.left() == NOTHING, room.left()


def the_machine_cannot_be_reached(room):
    inside = room.create("web", root={"kind": "host"},
                         capabilities={"add": ["NET_RAW", "NET_ADMIN", "SYS_PTRACE"]})
    denied = {
        "mount -t tmpfs none /tmp": "denied|not permitted|must be superuser",
        "umount /proc": "not permitted|must be superuser",
        "unshare -U true": "not permitted",
        "unshare -n true": "not permitted",
        "nsenter -t 1 -m true": "not permitted|ermission denied",
        "echo b > /proc/sysrq-trigger": "ead-only|ermission denied|o such file",
        "echo 1 > /proc/sys/kernel/panic": "ead-only|ermission denied",
        "cat /proc/kcore | head -c1": "^$|o such file",
        "mknod /tmp/sda b 254 0": "not permitted",
        "cat /etc/shadow": "ermission denied",
        "touch /etc/x": "ead-only",
        "date -s 2001-01-01": "not permitted",
        "swapoff -a -v /x": "not permitted|ermission|superuser",
        "kill -9 2": "o such process",
        "dmesg": "not permitted|ermission denied",
        "reboot -f": "not permitted|ermission",
        "chroot --userspec=0 / true; head -c1 /dev/vda": "o such file",
        "cat /sys/firmware/dmi/tables/DMI": "o such file",
        "echo 1 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "ead-only|denied",
        f"echo $$ > /sys/fs/cgroup{'' if room.v2 else '/memory'}/cgroup.procs": "ead-only|denied",
    }
    import re
    for command, answer in denied.items():
        status, said = inside.run("/bin/bash", "-c", command)
        assert re.search(answer, said.strip(), re.M), (command, status, said)
    calls = """
import ctypes, os, socket, errno
libc = ctypes.CDLL(None, use_errno=True)
def call(n, *args):
    ctypes.set_errno(0)
    return libc.syscall(n, *args), errno.errorcode.get(ctypes.get_errno())
for name, n in dict(bpf=321, perf=298, keyctl=250, add_key=248, userfaultfd=323, by_handle=304,
                    kexec=246, init_module=175, settimeofday=164, quotactl=179, acct=163,
                    pivot_root=155, move_mount=429, fsopen=430, io_uring=425, clone3=435,
                    new=900).items():
    print(name, *call(n, 0, 0, 0, 0, 0))
print("clone", *call(56, 0x10000000 | 17, 0, 0, 0, 0))
for name, family, kind, protocol in (
        ("vsock", 40, 1, 0), ("raw", 2, 3, 1), ("packet", 17, 3, 0), ("unix", 1, 1, 0)):
    try:
        socket.socket(family, kind, protocol); print(name, "made")
    except OSError as e:
        print(name, errno.errorcode[e.errno])
print("memfd", *call(319, b"x", 0)[1:], "membarrier", *call(324, 0, 0)[1:])
os.sched_setaffinity(0, {0})
"""
    said = inside.run("/usr/bin/python3", "-c", calls)[1]
    got = dict(line.split(maxsplit=1) for line in said.strip().splitlines())
    for name in "bpf perf keyctl add_key userfaultfd by_handle kexec init_module settimeofday " \
                "quotactl acct pivot_root move_mount fsopen".split():
        assert got[name] == "-1 EPERM", (name, got[name])
    for name in "io_uring", "clone", "clone3", "new":
        assert got[name] == "-1 ENOSYS", (name, got[name])
    # On the node's network the capabilities of a container mean nothing
    assert (got["raw"], got["packet"], got["unix"]) == ("EPERM", "EPERM", "made"), got
    assert got["vsock"] in ("EPERM", "ENOSYS"), got
    assert got["memfd"] == "None membarrier None", got
    inside.close()


def capabilities_are_those_of_the_description(room):
    def sets(**more):
        inside = room.create("web", **more)
        lines = dict(line.split(":") for line in inside.sh(
            "grep -E 'Cap|NoNew|Seccomp:' /proc/self/status").splitlines())
        inside.close()
        room.remove("web")
        return {k: int(v, 16) for k, v in lines.items()}
    usual = sets()
    assert usual["CapEff"] == usual["CapPrm"] == usual["CapBnd"] != 0, usual
    assert usual["CapInh"] == usual["CapAmb"] == 0 and usual["NoNewPrivs"] == 1, usual
    assert usual["Seccomp"] == 2
    less = sets(capabilities={"drop": ["ALL"]}, no_new_privs=False, seccomp="unconfined")
    assert less["CapEff"] == less["CapBnd"] == less["NoNewPrivs"] == less["Seccomp"] == 0, less
    one = sets(capabilities={"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]})
    assert one["CapEff"] == one["CapBnd"] == 1 << 10, one


def the_network_is_the_nodes_or_none(room):
    inside = room.create("web", network="none")
    assert "UP,LOWER_UP" in inside.sh("ip link show lo")
    assert inside.sh("ip -o link | wc -l") == "1"
    assert inside.sh("ls /sys/class/net") == "lo"
    inside.close()
    room.remove("web")
    inside = room.create("web")
    assert inside.sh("readlink /proc/self/ns/net") == os.readlink("/proc/self/ns/net")
    assert sorted(inside.sh("ls /sys/class/net").split()) == \
        sorted(name for _, name in socket.if_nameindex())
    assert inside.sh("cat /etc/hosts") == Path("/etc/hosts").read_text().strip()
    assert "can't create" in inside.sh("echo x >> /etc/hosts")
    # No way to the node's other mounts over /sys
    assert inside.sh("ls /sys/kernel/debug /sys/kernel/tracing | wc -l") in "012345"
    inside.close()


def the_nodes_own_root_is_read_only_and_its_secrets_stay(room):
    secret = room.top / "secret"
    secret.write_text("x")
    secret.chmod(0o600)
    volume = room.top / "v"
    volume.mkdir()
    (volume / "a").write_text("hello")
    inside = room.create("web", root={"kind": "host"}, volumes=[
        {"source": str(volume), "target": "/dvs-no-such-place/deep"},
        {"source": str(volume / "a"), "target": "/dvs-no-such-file", "readonly": True}])
    assert "denied" in inside.sh(f"cat {secret}")
    seen = inside.sh(f"ls {room.lib_dir} {room.run_dir} /etc/dvs 2>/dev/null | grep -v :")
    assert seen == "", seen
    assert "ead-only" in inside.sh("touch /usr/x")
    assert inside.sh("stat -c %u /usr") == "65534"
    assert inside.sh("ls /root 2>&1 | grep -c denied") == "1"
    assert inside.sh("cat /dvs-no-such-place/deep/a /dvs-no-such-file") == "hellohello"
    assert inside.sh("touch /tmp/x /run/x && echo y") == "y"
    assert inside.sh("ls /tmp /run | grep -v : | sort | tr '\\n' ' '").split() == ["dvs-init", "x", "x"]
    assert os.stat("/usr").st_uid == 0 and not os.path.exists("/dvs-no-such-place")
    inside.close()
    room.remove("web")
    assert room.left() == NOTHING, room.left()


def volumes_have_the_containers_ids(room):
    volume = room.top / "v"
    volume.mkdir()
    (volume / "old").write_text("1")
    inside = room.create("web", volumes=[
        {"source": str(volume), "target": "/data"},
        {"source": str(volume), "target": "/ro", "readonly": True}])
    assert inside.sh("stat -c %u /data/old; echo 2 > /data/new; cat /ro/new").split() == ["0", "2"]
    assert (volume / "new").stat().st_uid == 0
    assert "ead-only" in inside.sh("touch /ro/x")
    options = [line.split()[3] for line in inside.sh("mount").splitlines() if " /data " in line] or \
        [line for line in inside.sh("cat /proc/mounts").splitlines() if " /data " in line]
    assert "nosuid" in str(inside.sh("grep ' /data ' /proc/mounts")), options
    # What is mounted on the node below the volume afterwards is not the container's
    inside.close()
    room.remove("web")
    assert sorted(p.name for p in volume.iterdir()) == ["new", "old"]


def devices_are_those_of_the_description(room):
    disk = next((d for d in ("/dev/loop0", "/dev/vda", "/dev/sda") if can_open(d)), None)
    wanted = [{"path": "/dev/fuse", "access": "rw"}]
    if disk and room.v2:
        # Without the right to lock memory crun cannot filter; then less than rw is refused
        wanted.append({"path": disk, "access": "r"})
        answer = room.ask("check", "web", 1, room.description(devices=wanted), None, None)
        if answer["err"] == "DENIED":
            assert answer["why"].startswith("devices[1].access: "), answer
            wanted.pop()
            disk = None
    elif disk:
        wanted.append({"path": disk, "access": "r"})
    inside = room.create("web", devices=wanted)
    assert inside.sh("stat -c %u /dev/fuse") == "0"
    assert inside.sh("exec 3<>/dev/fuse && echo open") == "open"
    assert inside.sh("ls -l /dev | grep -c ^b") == str(int(bool(disk)))
    if disk:
        assert inside.sh(f"exec 3<{disk} && echo open") == "open"
        assert "not permitted" in inside.sh(f"exec 3<>{disk}")
    inside.close()
    room.remove("web")
    inside = room.create("web")
    assert inside.sh("ls /dev/fuse 2>&1 | grep -c 'No such'") == "1"
    inside.close()


def the_control_socket_is_there_and_can_be_made_anew(room):
    place = room.top / "inside/web"
    place.mkdir(parents=True)
    (place / "control").write_text("first")
    inside = room.create("web", control=str(place / "control"))
    assert inside.sh("cat /run/dvs/control") == "first"
    (place / "new").write_text("second")
    (place / "new").rename(place / "control")
    assert inside.sh("cat /run/dvs/control") == "second"
    assert "ead-only" in inside.sh("touch /run/dvs/x")
    inside.close()


def mistakes_are_told_by_their_field(room):
    cpus = os.cpu_count()
    cases = [
        ("BADARG", f"cpus: 64 are asked for, the node has {cpus}", {"cpus": 64}),
        ("BADARG", "cpuset: CPU 99 is not there", {"cpuset": "0,99"}),
        ("BADARG", "memory: ", {"memory": 1 << 50}),
        ("NOTFOUND", "io[0].device: /dev/nope", {"io": [{"device": "/dev/nope", "read_bps": 1}]}),
        ("BADARG", "io[0].device: /dev/null", {"io": [{"device": "/dev/null", "read_bps": 1}]}),
        ("BADARG", "hugetlb.3MB: ", {"hugetlb": {"3MB": 0}}),
        ("NOTFOUND", "devices[0].path: /dev/nope", {"devices": [{"path": "/dev/nope"}]}),
        ("NOTFOUND", "volumes[0].source: /nope",
         {"volumes": [{"source": "/nope", "target": "/x"}]}),
        ("BADARG", "volumes[0].target: /proc",
         {"volumes": [{"source": "/usr", "target": "/proc/x"}]}),
        ("NOTFOUND", "root: /nope", {"root": {"kind": "directory", "path": "/nope"}}),
        ("BADARG", "root: /etc/passwd", {"root": {"kind": "directory", "path": "/etc/passwd"}}),
    ]
    for err, why, more in cases:
        for op in "check", "create":
            answer = room.ask(op, "web", 1, room.description(**more), None, None)
            assert answer["err"] == err and answer["why"].startswith(why), (more, answer)
    for name in "", ".x", "a/b", "x" * 64:
        assert room.ask("check", name, 1, room.description(), None, None)["err"] == "BADARG"
        assert room.ask("remove", name)["err"] == "BADARG"
    assert room.left() == NOTHING, room.left()
    same = room.ask("can_update", room.description(cpus=1), room.description(cpus=2, memory=1 << 30))
    assert same["err"] == "OK", same
    for field, more in {"network": {"network": "none"}, "hostname": {"hostname": "x"},
                        "root": {"root": {"kind": "host"}},
                        "volumes": {"volumes": [{"source": "/usr", "target": "/x"}]}}.items():
        answer = room.ask("can_update", room.description(), room.description(**more))
        assert answer["err"] == "BADSTATE" and answer["why"].startswith(field + ":"), answer


def a_container_outlives_its_keeper(room):
    room.create("web").close()
    room.create("db", dc=2).close()
    pid = room.ask("look", "web")["pid"]
    room.kill_driver()
    room.open()
    state = room.ask("look", "web")
    assert (state["is"], state["pid"]) == ("runs", pid), state
    assert sorted(room.ask("list")["names"]) == ["db", "web"]
    room.remove("web")
    assert room.ask("look", "db")["is"] == "runs"
    # The first process ends by itself
    os.kill(room.ask("look", "db")["pid"], 9)
    end = time.monotonic() + 10
    while room.ask("look", "db")["is"] == "runs":
        assert time.monotonic() < end
    assert room.ask("look", "db")["is"] == "leftover"
    inside = room.create("db", dc=2)
    assert inside.sh("echo made anew") == "made anew"
    inside.close()


def disks_and_huge_pages_have_limits(room):
    disk = next((d for d in ("/dev/vda", "/dev/sda", "/dev/nvme0n1") if os.path.exists(d)), None)
    limits = {"hugetlb": {"2MB": 4 << 20}}
    if disk:
        limits["io"] = [{"device": disk, "write_bps": 4 << 20}]
    inside = room.create("web", **limits)
    if disk:
        started = time.monotonic()
        status, said = inside.run("/bin/busybox", "dd", "if=/dev/zero", "of=/f", "bs=1M", "count=8",
                                  "oflag=direct", "conv=fsync")
        assert status == 0, said
        assert time.monotonic() - started > 1.0, said
        assert room.ask("usage", "web")["io_write_bytes"] >= 8 << 20
        answer = room.ask("update", "web", 1, room.description(
            hugetlb={"2MB": 2 << 20}, io=[{"device": disk, "write_bps": 400 << 20}]), None, None)
        assert answer["err"] == "OK", answer
        started = time.monotonic()
        inside.run("/bin/busybox", "dd", "if=/dev/zero", "of=/f", "bs=1M", "count=80", "oflag=direct")
        assert time.monotonic() - started < 15, "under the former limit it takes 20 s"
    limit = inside.sh("cat /sys/fs/cgroup/hugetlb/hugetlb.2MB.limit_in_bytes "
                      "/sys/fs/cgroup/hugetlb.2MB.max 2>/dev/null")
    assert limit == str((2 if disk else 4) << 20), limit
    inside.close()
    room.kill_driver()
    room.open()
    room.remove("web")
    assert room.left() == NOTHING, room.left()


def workers_do_not_get_into_each_others_way(room):
    answer = room.ask("many", 12, 6, room.description(memory=64 << 20))
    assert answer["err"] == "OK", answer
    for dc in range(1, 7):
        assert room.left(dc) == NOTHING, room.left(dc)


def what_the_node_may_not_give_is_clamped(room):
    import resource
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    inside = room.create("web", rlimits={"nofile": [100, 1 << 30], "core": [0, 0]})
    got = [int(n) for n in inside.sh("ulimit -Sn; ulimit -Hn; ulimit -Hc").split()]
    assert got[0] == 100 and hard <= got[1] <= 1 << 30 and got[2] == 0, got
    inside.close()
    room.remove("web")
    # What is just enough
    inside = room.create("web", memory=4 << 20, pids=2, cpus=0.01)
    assert inside.sh("echo small") == "small"
    inside.close()


def a_neighbour_cannot_keep_a_container_from_going(room):
    """It pretends to be a crun that makes the other container, again and again."""
    room.create("web").close()
    inside = room.create("bad", dc=2, pids=100)
    out = inside.start("/bin/busybox", "sh", "-c",
                       "cp /bin/busybox /bin/crun; while :; do "
                       f"sh -c 'sleep 100; :' --root {room.run_dir}/crun run web & sleep 0.01; "
                       "done 2>/dev/null")
    end = time.monotonic() + 10
    while room.ask("usage", "bad")["pids"] < 20:
        assert time.monotonic() < end
    before = {p for p in room.processes(2) if "sleep 100" in p}
    room.remove("web")
    # It was not taken for one: nobody was killed, and nobody waited for
    assert len(before) > 10 and before <= set(room.processes(2))
    inside.close()
    os.close(out)


def a_bomb_stays_inside_and_is_removed(room):
    inside = room.create("web", pids=200, cpus=0.5, memory=64 << 20, swap=0)
    out = inside.start("/bin/busybox", "sh", "-c",
                       "f() { f 2>/dev/null | f 2>/dev/null & }; f; mkdir -p /d; cd /d;"
                       "for i in $(seq 2000); do mkdir d && cd d || break; done; sleep 1000")
    end = time.monotonic() + 20
    most = 0
    while most < 150 and time.monotonic() < end:
        most = max(most, room.ask("usage", "web")["pids"])
    assert 150 <= most <= 200, most
    inside.close()
    os.close(out)
    room.remove("web")
    assert room.left() == NOTHING, room.left()


def killed_at_any_moment_nothing_stays(room):
    """crun dies in the middle of a creation; or the keeper dies in the middle of anything."""
    seed = int(os.environ.get("CONTAINER_SEED", time.time()))
    times = int(os.environ.get("CONTAINER_KILLS", 40))
    draw = random.Random(seed)
    print(f"# CONTAINER_SEED={seed}", flush=True)
    killed = failed = 0
    for i in range(times):
        room.ask("look", "web")
        request = ["create", "web", room.first + 1, room.description(volumes=[
            {"source": str(room.tree), "target": "/v"}], devices=[{"path": "/dev/fuse"}]), None, None]
        if draw.random() < 0.5:
            answer, n = room.kill_crun_during(request, draw.uniform(0, 0.06))
            killed += n
            failed += answer["err"] != "OK"
            if answer["err"] != "OK":
                # What was killed is gone a moment after who killed it has said so.
                wait_for(lambda: room.left() == NOTHING, f"nothing stays of creation {i} ({answer})")
        else:
            # The keeper itself, with crun still at work
            ask = request if draw.random() < 0.6 else ["remove", "web"]
            if ask[0] == "remove":
                room.ask("create", "web", 1, request[3], None, None)
            room.driver.stdin.write(json.dumps(ask) + "\n")
            room.driver.stdin.flush()
            time.sleep(draw.uniform(0, 0.06))
            room.kill_driver()
            room.open()
            if room.ask("look", "web")["is"] == "runs" and not room.v2:
                assert room.ask("usage", "web")["pids"] >= 1
        room.remove("web")
        assert room.ask("look", "web")["is"] == "absent", i
        assert room.ask("list")["names"] == [], i
        assert room.left() == NOTHING, (i, room.left())
    assert killed > 0 and failed > 0, (killed, failed)
    print(f"# {times} times, {killed} processes of crun killed, {failed} creations failed", flush=True)


TESTS = [
    a_container_runs_and_goes_without_a_trace, container_root_is_nobody_on_the_host, limits_hold,
    limits_are_there_from_the_start, limits_change_while_it_runs, what_stands_still_goes_on,
    the_machine_cannot_be_reached,
    capabilities_are_those_of_the_description, the_network_is_the_nodes_or_none,
    the_nodes_own_root_is_read_only_and_its_secrets_stay, volumes_have_the_containers_ids,
    devices_are_those_of_the_description, the_control_socket_is_there_and_can_be_made_anew,
    mistakes_are_told_by_their_field, a_container_outlives_its_keeper,
    disks_and_huge_pages_have_limits, workers_do_not_get_into_each_others_way,
    what_the_node_may_not_give_is_clamped,
    a_neighbour_cannot_keep_a_container_from_going, a_bomb_stays_inside_and_is_removed,
    killed_at_any_moment_nothing_stays,
]


# What needs no controller: the v2 tree of a machine whose controllers are in v1 has none.
V2_TESTS = [
    container_root_is_nobody_on_the_host, what_stands_still_goes_on, the_machine_cannot_be_reached,
    capabilities_are_those_of_the_description, the_network_is_the_nodes_or_none,
    the_nodes_own_root_is_read_only_and_its_secrets_stay, volumes_have_the_containers_ids,
    devices_are_those_of_the_description, the_control_socket_is_there_and_can_be_made_anew,
    a_container_outlives_its_keeper, killed_at_any_moment_nothing_stays,
]


def as_on_v2():
    """Again, in a mount namespace that has the v2 tree alone."""
    os.environ["CONTAINER_ON_V2"] = "yes"
    os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", "sh", "-c",
                          'mount -t cgroup2 none /sys/fs/cgroup && exec "$@"', "sh",
                          sys.executable, *sys.argv])


def main():
    tap = Tap()
    on_v2 = "--v2" in sys.argv
    if os.geteuid() != 0 or not shutil.which("crun"):
        print("1..0 # SKIP needs root and crun")
        return 0
    if on_v2 and "CONTAINER_ON_V2" not in os.environ:
        as_on_v2()
    named = [word for word in sys.argv[1:] if word != "--v2"]
    for test in V2_TESTS if on_v2 else TESTS:
        if named and test.__name__ not in named:
            continue
        room = Room()
        started = time.monotonic()
        try:
            test(room)
            tap.ok(True, test.__name__.replace("_", " "))
        except BaseException as mistake:
            import traceback
            tap.ok(False, test.__name__.replace("_", " "), traceback.format_exc())
            if isinstance(mistake, KeyboardInterrupt):
                raise
        finally:
            room.close()
        tap.comment(f"{time.monotonic() - started:.1f} s")
    print(f"1..{tap.n}")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
