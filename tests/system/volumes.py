#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Volumes of one node: their server comes with their record and goes with it, and lasts longer than whoever started it."""

import contextlib
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from dvsd import BUILD, NO_SLOT, Dvsd, Failed, Tap
from lab import wait_for
from volume_help import MIB, describe, holder, judge, kill_all, load, record, servers

DC = "store"
BAD = BUILD / "tests/system/vdd-bad"
STRANGER = 65534


class Node(Dvsd):
    """A dvsd with a directory of its own for what volumes keep, and DC "store"."""

    def __init__(self):
        self.lib_dir = Path(tempfile.mkdtemp(prefix="dvs-volumes."))
        super().__init__("--lib-dir", str(self.lib_dir))
        self.create(DC)

    def volume(self, name="v", **how):
        volume = describe(**how)
        record(self.run_dir, DC, name, volume)
        return volume

    def load(self, *words, name="v", **how):
        status, text = load(self.run_dir, f"{DC}/{name}", *words, **how)
        assert status == 0, f"vdd-load {words}: status {status}: {text}"
        return text

    def server(self):
        return wait_for(lambda: holder(self.lib_dir, DC), "a server of volumes")

    def folder(self, name="v"):
        return self.lib_dir / "volumes" / DC / name

    def end(self):
        kill_all(servers(self.lib_dir))
        try:
            return super().end()
        finally:
            kill_all(servers(self.lib_dir))
            shutil.rmtree(self.lib_dir, ignore_errors=True)


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def a_volume_is_there_when_its_record_is(node):
    node.volume()
    node.load("fill")
    node.load("check")
    out = node.lib_dir / "history"
    node.load("fill", "--value", 5, "--out", f"{out}.fill")
    node.load("storm", "--seconds", 2, "--out", f"{out}.storm")
    node.load("read", "--out", f"{out}.read")
    status, text = judge(node.lib_dir.glob("history.*"))
    assert status == 0, text


def the_judge_sees_what_no_disk_does(node):
    """Events are (block, value, begin, end, is_write)."""
    def verdict(*events):
        path = node.lib_dir / "made-up"
        path.write_bytes(struct.pack("<Q", len(events)).ljust(4096, b"\0")
                         + b"".join(struct.pack("<5Q", *event) for event in events))
        return judge([path])[0]
    pending = 2**64 - 1
    one, two = (7, 1, 10, 20, 1), (7, 2, 30, 40, 1)
    right = [[one, two, (7, 2, 50, 60, 0)], [one, two, (7, 1, 15, 35, 0), (7, 2, 36, 45, 0)],
             [one, (7, 2, 30, pending, 1), (7, 1, 50, 60, 0)],
             [one, (7, 2, 30, pending, 1), (7, 1, 50, 60, 0), (7, 2, 70, 80, 0)],
             [(7, 0, 5, 9, 0), one, (7, 1, 21, 22, 0)], [(7, 1, 10, 40, 1), (7, 2, 20, 30, 1), (7, 1, 50, 60, 0)]]
    wrong = [[one, two, (7, 1, 50, 60, 0)], [one, (7, 0, 50, 60, 0)], [one, (7, 3, 50, 60, 0)],
             [one, (7, 2, 30, pending, 1), (7, 2, 70, 80, 0), (7, 1, 90, 95, 0)],
             [(7, 1, 2, 5, 0), one], [one, (7, 2, 30, 60, 1), (7, 2, 35, 36, 0), (7, 1, 37, 38, 0)]]
    for events in right:
        assert verdict(*events) == 0, events
    for events in wrong:
        assert verdict(*events) == 3, events


def a_server_ends_with_its_last_volume(node):
    node.volume("v")
    node.volume("w", endpoint=301)
    pid = node.server()
    node.load("fill", name="v")
    node.load("fill", name="w")
    record(node.run_dir, DC, "v", None)
    wait_for(lambda: not node.folder("v").exists(), "its files go with the record")
    assert node.server() == pid
    node.load("check", name="w")
    record(node.run_dir, DC, "w", None)
    wait_for(lambda: not servers(node.lib_dir), "the server ends")
    assert not node.folder("w").exists()


def ask(node, endpoint, who, uid=None):
    """Wrong requests of WHO, and whether those are refused that are to be; what it says when something was wrong."""
    done = subprocess.run([BAD, node.control(DC), str(endpoint), who], check=False, timeout=60,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, user=uid)
    return "" if done.returncode == 0 else f"{who} at {endpoint}: {done.stdout}{done.stderr}"


def what_is_wrong_is_refused(node):
    node.volume(access="dc")
    node.volume("w", endpoint=301)
    for endpoint, who, uid in ((300, "manager", None), (301, "manager", None), (300, "user", STRANGER),
                               (301, "stranger", STRANGER)):
        why = ask(node, endpoint, who, uid)
        assert not why, why


def what_is_set_changes_in_place(node):
    """What is in memory stays, and whoever uses it notices nothing."""
    volume = node.volume()
    node.load("fill")
    pid = node.server()
    assert not ask(node, 300, "stranger", STRANGER)
    record(node.run_dir, DC, "v", volume | {"access": "dc", "async": True, "lag_bytes": MIB})
    node.load("check")
    wait_for(lambda: not ask(node, 300, "user", STRANGER), "all of the DC may use it")
    record(node.run_dir, DC, "v", volume)
    wait_for(lambda: not ask(node, 300, "stranger", STRANGER), "only managers may use it")
    assert node.server() == pid
    assert node.log_text().count(b"volume=v role=primary") == 1, "it began anew"


def a_volume_is_made_anew_under_its_name(node):
    first = node.volume()
    node.load("fill")
    second = node.volume(endpoint=302)
    assert first["id"] != second["id"]
    wait_for(lambda: load(node.run_dir, f"{DC}/v", "check", "--value", 0)[0] == 0, "it is empty")


def a_killed_server_is_started_again(node):
    node.volume()
    node.load("fill")
    pid = node.server()
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: holder(node.lib_dir, DC) not in (None, pid), "another one")
    # It was in memory only.
    node.load("check", "--value", 0)
    node.load("fill")


def a_server_outlives_its_agent_and_dvsd(node):
    node.volume()
    node.load("fill")
    pid = node.server()
    for _ in range(2):
        before = servers(node.lib_dir)
        agent = parent_of(before[-1])
        with contextlib.suppress(ProcessLookupError):
            if Path(f"/proc/{agent}/comm").read_text().strip() == "dvs-agent":
                os.kill(agent, signal.SIGKILL)
        wait_for(lambda old=before: set(servers(node.lib_dir)) - set(old), "one that waits")
        assert holder(node.lib_dir, DC) == pid
    node.load("check")
    node.kill()
    node.start()
    node.load("check")
    node.stop()
    node.start()
    node.load("check")
    assert holder(node.lib_dir, DC) == pid
    # Now the one that waits takes its place.
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: holder(node.lib_dir, DC) not in (None, pid), "the next one")
    node.load("fill")


def bound(node):
    """{number of an endpoint in the DC: its process}."""
    found, cursor = {}, 0
    with contextlib.closing(node.admin()) as admin:
        admin.ask("enter", name=DC)
        while True:
            try:
                row = admin.ask("endpoint_info", cursor=cursor, next=1)
            except Failed:
                return found
            found[row.ep & 0xfffff] = row.pid
            cursor = row.cursor_next


def memory_outlasts_bindings(node):
    """As when a node was cut off, and others have its numbers now."""
    node.volume()
    node.load("fill", "--value", 11)
    pid = node.server()
    own = min(number for number in bound(node) if number >= 1024)
    for number in (own, 300):
        with contextlib.closing(node.admin()) as admin:
            admin.ask("enter", name=DC)
            assert admin.error("unbind", ep=number, slot=NO_SLOT) == "OK"
        wait_for(lambda: load(node.run_dir, f"{DC}/v", "check", "--value", 11)[0] == 0,
                 f"it has all that it had after {number}")
    assert node.server() == pid


def a_dc_takes_its_volumes_along(node):
    node.volume()
    node.load("fill")
    with contextlib.closing(node.admin()) as admin:
        assert admin.error("dc_remove", name=DC, force=0) == "BADSTATE"
        admin.ask("dc_remove", name=DC, force=1)
    wait_for(lambda: not servers(node.lib_dir), "the server ends")
    wait_for(lambda: not (node.lib_dir / "volumes" / DC).exists(), "its files are gone")


def what_cannot_be_served_is_told_and_tried_again(node):
    """The others do not suffer."""
    node.volume("v", size=16 * MIB)
    node.volume("broken", endpoint=310, size=1000)
    node.load("fill")
    pid = node.server()
    record(node.run_dir, DC, "broken", None)
    node.load("check")
    assert node.server() == pid


def a_file_keeps_what_was_written(node):
    """Whoever is killed, and when all are."""
    node.volume(store="file", direct=False)
    node.load("fill", "--value", 3)
    os.kill(node.server(), signal.SIGKILL)
    node.load("check", "--value", 3)
    node.load("fill", "--value", 4)
    # As when the machine is started anew; dvsd has its state in the library directory.
    agent = parent_of(node.server())
    node.kill()
    kill_all([*servers(node.lib_dir), agent])
    wait_for(lambda: not servers(node.lib_dir), "all are gone")
    shutil.rmtree(node.run_dir / "dc", ignore_errors=True)
    node.start()
    node.load("check", "--value", 4)


def a_full_disk_is_an_error_and_no_more(node):
    folder = node.lib_dir / "volumes"
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], check=True)
    try:
        node.volume(store="file", size=32 * MIB)
        status, text = load(node.run_dir, f"{DC}/v", "fill", "--value", 6)
        assert status == 1 and "space" in text, text
        # What is there is whole, and the rest can still be read.
        node.load("read")
        status, text = load(node.run_dir, f"{DC}/v", "storm", "--seconds", 2, "--out", node.lib_dir / "history.full")
        assert status == 0 and '"NOSPACE"' in text, text
        node.load("read", "--out", node.lib_dir / "history.read")
        pid = node.server()
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: holder(node.lib_dir, DC) not in (None, pid), "another server")
        node.load("read")
        record(node.run_dir, DC, "v", None)
        wait_for(lambda: not node.folder("v").exists(), "its files are gone")
        node.volume("w", store="file", size=4 * MIB, endpoint=311)
        node.load("fill", name="w")
        node.load("check", name="w")
        record(node.run_dir, DC, "w", None)
        wait_for(lambda: not servers(node.lib_dir), "the server ends")
    finally:
        kill_all(servers(node.lib_dir))
        wait_for(lambda: not servers(node.lib_dir), "the server ends")
        subprocess.run(["umount", "-l", folder], check=True)


def a_damaged_image_is_left_alone(node):
    node.volume(store="file")
    node.volume("w", endpoint=312)
    node.load("fill", "--value", 8)
    pid = node.server()
    image = node.folder("v") / "disk.img"
    os.kill(pid, signal.SIGSTOP)
    os.truncate(image, 5 * MIB)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: b"a replica cannot be opened" in node.log_text(), "it is told")
    node.load("fill", name="w")
    assert image.stat().st_size == 5 * MIB
    status, text = load(node.run_dir, f"{DC}/v", "check", "--timeout", 500)
    assert status == 1, text


def a_server_does_not_outlive_its_node_for_ever(node):
    """dvsd is killed, and what it ran in is removed with it."""
    node.volume()
    pid = node.server()
    node.kill()
    for path in node.run_dir.iterdir():
        if path.name not in ("lib", "log"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    node.run_dir.rename(node.run_dir.with_suffix(".gone"))
    try:
        wait_for(lambda: not Path(f"/proc/{pid}").exists(), "the server has ended", 60)
    finally:
        node.run_dir.with_suffix(".gone").rename(node.run_dir)
        node.start()


def main():
    if os.geteuid() != 0 or not shutil.which("crun"):
        print("1..0 # SKIP needs root and crun")
        return 0
    return Tap().run([a_volume_is_there_when_its_record_is, the_judge_sees_what_no_disk_does,
                      a_server_ends_with_its_last_volume, what_is_wrong_is_refused, what_is_set_changes_in_place,
                      a_volume_is_made_anew_under_its_name, a_killed_server_is_started_again,
                      a_server_outlives_its_agent_and_dvsd, memory_outlasts_bindings, a_dc_takes_its_volumes_along,
                      what_cannot_be_served_is_told_and_tried_again, a_file_keeps_what_was_written,
                      a_full_disk_is_an_error_and_no_more, a_damaged_image_is_left_alone,
                      a_server_does_not_outlive_its_node_for_ever], Node)


if __name__ == "__main__":
    sys.exit(main())
