#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What container.h promises, with real containers: limits, isolation, and that nothing stays."""

import os
import shutil
import sys
import time

from container_room import UID_FIRST, Room
from dvsd import Tap

NOTHING = {"cgroups": [], "files": [], "mounts": [], "processes": []}


def a_container_runs_and_goes_without_a_trace(room):
    inside = room.create("web", memory=64 << 20, pids=20)
    state = room.ask("look", "web")
    assert state["is"] == "runs", state
    assert inside.sh("id -u; cat /proc/1/comm; hostname").split() == ["0", "dvs-init", "web"]
    assert room.ask("mark", "web", 7)["err"] == "OK"
    state = room.ask("look", "web")
    assert (state["version"], state["dc"]) == (7, 1), state
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
    uid = UID_FIRST + 3 * 65536
    assert os.stat(f"/proc/{pid}").st_uid == uid
    assert inside.sh("cat /proc/self/uid_map").split() == ["0", str(uid), "65536"]
    assert inside.sh("touch /made && stat -c %u:%g /made /bin/busybox").split() == ["0:0", "0:0"]
    assert (room.lib_dir / "dcs/web/upper/made").stat().st_uid == uid
    assert not (room.tree / "made").exists()


TESTS = [a_container_runs_and_goes_without_a_trace, container_root_is_nobody_on_the_host]


def main():
    tap = Tap()
    if os.geteuid() != 0 or not shutil.which("crun"):
        print("1..0 # SKIP needs root and crun")
        return 0
    for test in TESTS:
        if sys.argv[1:] and test.__name__ not in sys.argv[1:]:
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
