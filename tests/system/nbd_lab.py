#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""dvs-nbd on a node that has no replica: who uses it notices a pause when the primary is killed, and nothing is lost."""

import signal
import subprocess
import sys
import traceback

from dvsd import BUILD, Tap
from lab import requires_lab, wait_for
from nbd_help import requires
from volume_lab import DC, VolumeLab

SOCKET = "/run/nbd.socket"
URI = f"nbd+unix:///data?socket={SOCKET}"


def fio(lab, *words):
    return lab.popen(2, "fio", "--name=lab", "--ioengine=nbd", f"--uri={URI}", "--size=12M", "--verify=crc32c",
                     "--verify_fatal=1", *words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                     stderr=subprocess.STDOUT, text=True)


def writes(lab):
    told = lab.inspect("data", 2)
    return told["server"]["writes"] if told else 0


def wait_in_sync(lab):
    """Until both replicas have everything."""
    wait_for(lambda: sorted(lab.states("data", 2).values()) in (["in sync", "primary"], ["member", "primary"]),
             "both replicas have everything", 90, 0.05)


def finish(program, what):
    said = program.communicate(timeout=120)[0]
    assert program.returncode == 0, f"{what}: {said}"


def a_primary_that_is_killed_is_a_pause(lab, tap):
    lab.create("data", [0, 1])
    wait_in_sync(lab)
    server = lab.popen(2, BUILD / "dvs-nbd", "--socket", SOCKET, DC, stdin=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
    wait_for(lambda: lab.path(2, SOCKET).exists(), "dvs-nbd")
    load = fio(lab, "--rw=randwrite", "--bs=16k", "--iodepth=16", "--loops=40", "--do_verify=1",
               "--randrepeat=0")
    wait_for(lambda: writes(lab) > 200, "a load")
    lab.signal_servers(0, signal.SIGKILL)
    wait_for(lambda: lab.primary("data", 2) == 1, "the backup takes over")
    before = writes(lab)
    wait_for(lambda: load.poll() is not None or writes(lab) > before + 50, "it goes on")
    wait_in_sync(lab)
    lab.signal_servers(1, signal.SIGKILL)
    wait_for(lambda: lab.primary("data", 2) == 0, "and back")
    finish(load, "the load")
    wait_in_sync(lab)
    lab.run(2, "dvs", "vol", "verify", f"{DC}/data")
    tap.comment(f"{writes(lab)} writes")
    server.terminate()


def main():
    requires_lab()
    requires("fio")
    tap = Tap()
    with VolumeLab(3) as lab:
        try:
            a_primary_that_is_killed_is_a_pause(lab, tap)
            tap.ok(True, "a primary that is killed is a pause")
        except Exception:
            tap.ok(False, "a primary that is killed is a pause", traceback.format_exc())
            lab.show_logs()
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
