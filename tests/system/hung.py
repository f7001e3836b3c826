# SPDX-License-Identifier: Apache-2.0
"""What can be seen of a lab in which a call does not end: the nodes and links as each dvsd knows
them, the channels of a process word by word (src/ipc/layout.h), and where its threads stand."""

import contextlib
import re
import shutil
import struct
import subprocess
from pathlib import Path

KINDS = ["none", "send", "taken", "request", "reply", "relayed", "carried", "recalled"]
LANE_BYTES = 448
MAPPING = re.compile(r"^(\w+)-(\w+) \S+ 00000000 \S+ (\d+)\s+/memfd:dvs-channel")


def head(word):
    kind = word & 0x1f
    return f"{KINDS[kind] if kind < len(KINDS) else kind} {word >> 8}"


def lane(data):
    """The words of struct ipc_lane that tell where a message stands."""
    word = struct.Struct("<I").unpack_from
    watch, answer = struct.unpack_from("<2I", data, 256)
    (note,) = struct.unpack_from("<Q", data, 272)
    far, notes_in, notes_out = struct.unpack_from("<3I", data, 384)
    (held,) = struct.unpack_from("<Q", data, 400)
    (instance,) = word(data, 408)
    text = f"call {head(word(data, 0)[0])}, reply {head(word(data, 128)[0])}, " \
           f"watch {watch}, answer {answer}"
    if note:
        text += f", note {note:#x}"
    if instance or far:
        text += f", instance {instance}, far {far}, notes {notes_in}/{notes_out}"
    if held:
        text += f", note held {held:#x}"
    return text


def channels(pid):
    """The channels that a process has mapped, by the inodes of their memory."""
    found = {}
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, \
            open(f"/proc/{pid}/mem", "rb") as memory:
        for line in maps:
            match = MAPPING.match(line)
            if match and int(match[2], 16) - int(match[1], 16) == 4096:
                memory.seek(int(match[1], 16))
                page = memory.read(2 * LANE_BYTES)
                found[int(match[3])] = [lane(page[:LANE_BYTES]), lane(page[LANE_BYTES:])]
    return found


def stacks(pid):
    if not shutil.which("gdb"):
        return ""
    with contextlib.suppress(subprocess.TimeoutExpired):
        return subprocess.run(["gdb", "-batch", "-nx", "-p", str(pid), "-ex",
                               "thread apply all bt"], check=False, capture_output=True,
                              text=True, timeout=60, stdin=subprocess.DEVNULL).stdout
    return ""


def proxies(lab):
    """The dvs-proxy processes of a lab, as (name, number on the host)."""
    homes = {Path(f"/proc/{holder}/ns/pid").readlink(): node
             for node, holder in enumerate(lab.holders)}
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            node = homes.get((process / "ns/pid").readlink())
            words = (process / "cmdline").read_text().split("\0")
            if node is not None and words[0].endswith("dvs-proxy"):
                found.append((f"the proxy {' '.join(words[1:]).strip()} of n{node}",
                              int(process.name)))
    return found


def tell(lab, pid, others=()):
    """Print, as comments of TAP, what is known of the hung process PID; and the channels of
    (name, pid) in OTHERS."""
    lines = []
    for node in range(lab.n_nodes):
        for words in (["node", "ls"], ["proxy", "ls", "-w"], ["ps"]):
            done = lab.exec(node, "dvs", *words)
            lines += [f"---- n{node} dvs {' '.join(words)}", *done.stdout.splitlines(),
                      *done.stderr.splitlines()]
    for name, one in [("the hung process", pid), *others]:
        lines.append(f"---- channels of {name} ({one})")
        with contextlib.suppress(OSError):
            for inode, (first, second) in channels(one).items():
                lines += [f"{inode} lane 0: {first}", f"{inode} lane 1: {second}"]
    lines += [f"---- threads of {pid}", *stacks(pid).splitlines()]
    print("\n".join("# " + line for line in lines), flush=True)
