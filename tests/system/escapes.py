#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a hostile program in a DC tries, as root of its container: each attempt fails, or stays inside of its limits."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from dvsd import Tap
from lab import Lab, requires_lab, wait_for

# Runs in the container: each line of TRIES is tried by itself; prints what each came to, as JSON. "got in" is what must not be.
ATTEMPTS = r'''
import ctypes, errno, json, os, socket, stat, sys, time

libc = ctypes.CDLL(None, use_errno=True)
host_pid, run_dir, disk = int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
CALLS = {"x86_64": dict(ptrace=101, mount=165, umount2=166, swapon=167, reboot=169, sethostname=170,
                        init_module=175, delete_module=176, settimeofday=164, kexec_load=246,
                        add_key=248, pivot_root=155, open_by_handle_at=304, setns=308,
                        process_vm_readv=310, finit_module=313, bpf=321, perf_event_open=298,
                        userfaultfd=323, unshare=272, acct=163, iopl=172, chroot=161,
                        open_tree=428, move_mount=429, fsopen=430),
         "aarch64": dict(ptrace=117, mount=40, umount2=39, swapon=224, reboot=142, sethostname=161,
                         init_module=105, delete_module=106, settimeofday=170, kexec_load=104,
                         add_key=217, pivot_root=41, open_by_handle_at=265, setns=268,
                         process_vm_readv=270, finit_module=273, bpf=280, perf_event_open=241,
                         userfaultfd=282, unshare=97, acct=89, chroot=51,
                         open_tree=428, move_mount=429, fsopen=430)}[os.uname().machine]


def call(name, *args):
    ctypes.set_errno(0)
    args = [ctypes.c_char_p(a) if isinstance(a, bytes) else ctypes.c_long(a) for a in args]
    if libc.syscall(ctypes.c_long(CALLS[name]), *args) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def connect(path):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(path)


def write(path, text="1"):
    with open(path, "w") as file:
        file.write(text)


def read(path):
    with open(path, "rb") as file:
        if not file.read(1):
            raise OSError(errno.ENODATA, "empty")


def in_child(action):
    """What leaves a mark on the process is tried in another one."""
    pid = os.fork()
    if pid == 0:
        try:
            action()
        except OSError as why:
            os._exit(why.errno or 255)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status != 0:
        raise OSError(abs(status), "in the child")


def new_user_mounts():
    call("unshare", 0x10000000 | 0x20000)
    call("mount", b"none", b"/tmp", b"tmpfs", 0, 0)


TRIES = {
    "write the kernel's settings": lambda: write("/proc/sys/kernel/core_pattern", "|/tmp/x"),
    "write the kernel's panic setting": lambda: write("/proc/sys/kernel/panic"),
    "press a system request key": lambda: write("/proc/sysrq-trigger", "h"),
    "read the kernel's memory": lambda: read("/proc/kcore"),
    "write the kernel's parameters in /sys": lambda: write("/sys/kernel/mm/ksm/run", "0"),
    "wake the host by uevents": lambda: write("/sys/class/mem/null/uevent", "add"),
    "make /sys writable": lambda: call("mount", b"none", b"/sys", b"", 32, 0),
    "leave its cgroup": lambda: write("/sys/fs/cgroup/pids/tasks", str(os.getpid())),
    "make a device": lambda: os.mknod("/tmp/disk", stat.S_IFBLK | 0o600, os.makedev(*disk)),
    "make a device of memory": lambda: os.mknod("/tmp/mem", stat.S_IFCHR | 0o600, os.makedev(1, 1)),
    "read the memory": lambda: read("/dev/mem"),
    "trace a process of the host": lambda: call("ptrace", 16, host_pid, 0, 0),
    "read a process of the host": lambda: read(f"/proc/{host_pid}/maps"),
    "kill a process of the host": lambda: os.kill(host_pid, 9),
    "trace dc-init": lambda: call("ptrace", 16, 1, 0, 0),
    "read the memory of dc-init": lambda: read("/proc/1/mem"),
    "look at the descriptors of dc-init": lambda: os.readlink("/proc/1/fd/0"),
    "reach dvsd's admin socket": lambda: connect(run_dir + "/admin"),
    "reach another DC by its directory": lambda: connect(run_dir + "/dc/other/control"),
    "reach another DC by what containers see": lambda: connect(run_dir + "/inside/other/control"),
    "reach the agents": lambda: connect(run_dir + "/dc/.dvs/control"),
    "see the containers of others": lambda: os.listdir(run_dir + "/containers"),
    "see what others wrote": lambda: os.listdir("/var/lib/dvs/dcs"),
    "mount memory": lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, 0),
    "mount the host's processes": lambda: call("mount", b"proc", b"/tmp", b"proc", 0, 0),
    "take away a mount": lambda: call("umount2", b"/proc", 2),
    "open a tree of mounts": lambda: call("open_tree", -100, b"/", 1),
    "open a file system": lambda: call("fsopen", b"tmpfs", 0),
    "change the root": lambda: call("pivot_root", b"/tmp", b"/tmp"),
    "mount in users of its own": lambda: in_child(new_user_mounts),
    "load a module": lambda: call("init_module", b"x", 1, b""),
    "load a module from a file": lambda: call("finit_module", 0, b"", 0),
    "remove a module": lambda: call("delete_module", b"x", 0),
    "load another kernel": lambda: call("kexec_load", 0, 0, 0, 0),
    "reboot": lambda: call("reboot", 0xfee1dead - (1 << 32), 672274793, 0x89abcdef - (1 << 32), 0),
    "swap": lambda: call("swapon", b"/tmp/x", 0),
    "set the clock": lambda: time.clock_settime(0, 1e9),
    "account processes": lambda: call("acct", 0),
    "load a program into the kernel": lambda: call("bpf", 0, 0, 0),
    "watch performance of all": lambda: call("perf_event_open", 0, -1, 0, -1, 0),
    "keep keys": lambda: call("add_key", b"user", b"x", b"y", 1, -3),
    "handle page faults": lambda: call("userfaultfd", 0),
    "open files by handle": lambda: call("open_by_handle_at", -100, b"\0" * 16, 0),
    "send raw frames": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3),
    "read the shadow passwords": lambda: read("/etc/shadow"),
    "write the node's files": lambda: write("/etc/dvs-escape"),
    "write the node's programs": lambda: write("/usr/bin/dvs-escape"),
}
result = {}
for name, attempt in TRIES.items():
    try:
        attempt()
        result[name] = "got in"
    except OSError as why:
        result[name] = errno.errorcode.get(why.errno, str(why.errno))
    except Exception as why:
        result[name] = "mistake: " + repr(why)
result["processes seen"] = len([p for p in os.listdir("/proc") if p.isdigit()])
print(json.dumps(result))
'''

FORK_BOMB = r'''
import os, time
n = 0
try:
    for n in range(5000):
        if os.fork() == 0:
            time.sleep(30)
            os._exit(0)
except OSError as why:
    print(n, why.errno, flush=True)
os.kill(-1, 9)
'''

MEMORY_BOMB = "b = bytearray(1 << 20); c = b * 512; print(len(c))"


def the_disk():
    """The device of the root file system, as a program that makes nodes names it."""
    device = os.stat("/").st_dev
    return [os.major(device), os.minor(device)]


def attempts_fail(lab, tap):
    victim = subprocess.Popen(["sleep", "600"])
    try:
        done = lab.exec(0, "dvs", "run", "hostile", "python3", "-c", ATTEMPTS, victim.pid,
                        "/run/dvs", json.dumps(the_disk()))
        tap.ok(done.returncode == 0, "the attempts were made", done.stderr)
        result = json.loads(done.stdout or "{}")
        seen = result.pop("processes seen", 0)
        tap.ok(0 < seen <= 4, "a container sees its own processes only", seen)
        for name, outcome in result.items():
            tap.ok(outcome != "got in" and not outcome.startswith("mistake"), f"cannot {name}",
                   outcome)
        tap.ok(victim.poll() is None, "a process outside lives on")
    finally:
        victim.kill()
        victim.wait()


def root_is_nobody(lab, tap):
    program = lab.popen(0, "dvs", "run", "hostile", "sleep", "600")
    pid = wait_for(lambda: [row["pid"] for row in lab.json(0, "ps", "hostile")["programs"]
                            if row["pid"] and row["command"].startswith("sleep 600")],
                   "the program runs")[0]
    status = lab.path(0, f"/proc/{pid}/status").read_text()
    uid = int(next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1])
    tap.ok(uid >= 0x10000000, "root of a container is nobody on the host", uid)
    tap.ok("NoNewPrivs:\t1" in status and "Seccomp:\t2" in status,
           "a program has no new privileges and a filter of system calls")
    lab.run(0, "dvs", "kill", "-s", "KILL", next(
        row["name"] for row in lab.json(0, "ps", "hostile")["programs"] if row["pid"] == pid))
    program.wait(20)


def bombs_stay_inside(lab, tap):
    done = lab.exec(0, "dvs", "run", "hostile", "python3", "-c", MEMORY_BOMB)
    tap.ok(done.returncode == 137, "who takes more memory than the limit is killed",
           f"{done.returncode}: {done.stdout}{done.stderr}")
    begin = time.monotonic()
    done = lab.exec(0, "dvs", "run", "hostile", "python3", "-c", FORK_BOMB)
    words = done.stdout.split()
    tap.ok(words and int(words[0]) < 64, "a fork bomb ends at the limit of processes",
           done.stdout + done.stderr)
    done = lab.exec(0, "dvs", "run", "other", "echo", "alive")
    tap.ok(done.stdout == "alive\n" and time.monotonic() - begin < 60,
           "the neighbour lives on", done.stderr)
    done = lab.exec(0, "dvs", "run", "hostile", "echo", "again")
    tap.ok(done.stdout == "again\n", "and so does the DC itself", done.stderr)


def networks_are_apart(lab, tap):
    lab.run(0, "dvs", "dc", "create", "deaf", "--network", "none")
    done = lab.exec(0, "dvs", "run", "deaf", "python3", "-c",
                    "import os, socket; print(sorted(n for _, n in socket.if_nameindex()))")
    tap.ok(done.stdout.strip() == "['lo']", "network none has nothing but lo",
           done.stdout + done.stderr)
    lab.run(0, "dvs", "dc", "rm", "-f", "deaf")


def main():
    requires_lab()
    if not Path("/usr/bin/crun").exists():
        print("1..0 # SKIP needs crun")
        sys.exit(0)
    tap = Tap()
    with Lab(1) as lab:
        lab.run(0, "dvs", "dc", "create", "hostile", "--memory", "64M", "--swap", "0", "--pids", "64")
        lab.run(0, "dvs", "dc", "create", "other")
        attempts_fail(lab, tap)
        root_is_nobody(lab, tap)
        bombs_stay_inside(lab, tap)
        networks_are_apart(lab, tap)
        lab.run(0, "dvs", "dc", "rm", "-f", "hostile")
        lab.run(0, "dvs", "dc", "rm", "-f", "other")
    print(f"1..{tap.n}")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
