#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""dvs-nbd over volumes of a DC of one node, with the clients of others. NBD_KILLS tells how many clients are killed (50)."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from dvsd import BUILD, Tap
from lab import wait_for
from nbd_help import FLUSH, MIB, WRITE, Raw, Server, client, kill_clients, mapping, requires, sparse_file
from volumes import DC, Node

SIZE = 64 * MIB
KILLS = int(os.environ.get("NBD_KILLS", "50"))


class Place(Node):
    def __init__(self):
        super().__init__()
        self.base = Path(tempfile.mkdtemp(prefix="dvs-nbd."))

    def serve(self, *words, name="socket"):
        ready = os.pipe()
        return Server(self.base, BUILD / "dvs-nbd", "--socket", self.base / name, "--ready-fd", ready[1],
                      "--run-dir", self.run_dir, *(words or (DC,)), name=name, ready=ready)

    def dvs(self, *words, check=True):
        return client(BUILD / "dvs", *words, check=check,
                      env=os.environ | {"DVS_RUN_DIR": str(self.run_dir)})

    def end(self):
        shutil.rmtree(self.base, ignore_errors=True)
        return super().end()


def all_volumes_of_a_dc_are_exports(place):
    place.volume("v", size=SIZE)
    place.volume("w", size=2 * SIZE, endpoint=301)
    with place.serve() as server:
        told = json.loads(client("nbdinfo", "--list", "--json", server.uri("")).stdout)
        sizes = {e["export-name"]: e["export-size"] for e in told["exports"]}
        assert sizes == {"v": SIZE, "w": 2 * SIZE}, sizes
        assert client("nbdinfo", server.uri("x"), check=False).returncode != 0
    with place.serve(f"{DC}/w") as server:
        assert json.loads(client("nbdinfo", "--json", server.uri("")).stdout)["exports"][0]["export-size"] == 2 * SIZE
        assert client("nbdinfo", server.uri("v"), check=False).returncode != 0
    with place.serve("--read-only", f"{DC}/w") as server:
        assert json.loads(client("nbdinfo", "--json", server.uri("")).stdout)["exports"][0]["is_read_only"]


def what_clients_copy_comes_back(place):
    seed = random.randrange(1 << 30)
    print(f"# seed {seed}")
    there = sparse_file(place.base / "there", SIZE, seed)
    place.volume("v", size=SIZE)
    with place.serve() as server:
        uri = server.uri("v")
        client("nbdcopy", there, uri)
        client("nbdcopy", uri, place.base / "back")
        client("cmp", there, place.base / "back")
        assert sum(n for _, n, kind in mapping(uri) if kind == 0) < SIZE
        client("qemu-img", "compare", "-f", "raw", "-F", "raw", there, uri)
        client("fio", "--name=verify", "--ioengine=nbd", f"--uri={uri}", "--size=32M", "--rw=randwrite",
               "--bsrange=4k-256k", "--iodepth=32", "--verify=crc32c", "--verify_fatal=1", "--do_verify=1",
               cwd=place.base)
        client("qemu-io", "-f", "raw", "-t", "none", uri, "-c", "write -P 0xaa 1M 3M",
               "-c", "write -z -u 1280k 64k", "-c", "discard 1408k 64k", "-c", "flush",
               "-c", "read -P 0xaa 1M 256k", "-c", "read -P 0 1280k 64k")


def a_flush_on_one_connection_covers_all(place):
    place.volume("v", size=SIZE)
    with place.serve() as server, Raw(server.socket, "v") as one, Raw(server.socket, "v") as other:
        for i in range(16):
            one.ask(WRITE, i * 4096, 4096, i, data=bytes([i]) * 4096)
        for _ in range(16):
            assert one.reply()[1] == 0
        other.ask(FLUSH, cookie=99)
        assert other.reply()[:2] == (99, 0)
        for i in range(16):
            other.ask(0, i * 4096, 4096, i)
            assert other.reply(4096) == (i, 0, bytes([i]) * 4096)


def snapshots_are_exports_that_stay_as_they_were(place):
    place.volume("v", size=SIZE, store="file")
    with place.serve() as server:
        client("qemu-io", "-f", "raw", server.uri("v"), "-c", "write -P 1 0 4M", "-c", "flush")
        place.dvs("vol", "snapshot", f"{DC}/v", "monday")
        client("qemu-io", "-f", "raw", server.uri("v"), "-c", "write -P 2 1M 2M", "-c", "flush")
        place.dvs("vol", "resize", f"{DC}/v", "+16M")
        told = json.loads(client("nbdinfo", "--list", "--json", server.uri("")).stdout)
        exports = {e["export-name"]: e for e in told["exports"]}
        assert sorted(exports) == ["v", "v@monday"], exports
        assert exports["v"]["export-size"] == SIZE + 16 * MIB and exports["v@monday"]["is_read_only"]
        done = client("qemu-io", "-r", "-f", "raw", server.uri("v@monday"), "-c", "read -P 1 0 4M")
        assert "failed" not in done.stdout, done.stdout
        done = client("qemu-io", "-r", "-f", "raw", server.uri("v"), "-c", "read -P 2 1M 2M")
        assert "failed" not in done.stdout, done.stdout


def killed_clients_leave_nothing(place):
    seed = random.randrange(1 << 30)
    print(f"# seed {seed}, {KILLS} kills")
    place.volume("v", size=SIZE)
    with place.serve() as server:
        kill_clients(server.socket, "v", 8, SIZE, seed)
        client("nbdinfo", server.uri("v"))
        wait_for(lambda: server.status("Threads") == 2, "the threads of clients that are gone")
        n_fds, before = server.n_fds(), server.status("VmRSS")
        kill_clients(server.socket, "v", KILLS, SIZE, seed + 1000)
        wait_for(lambda: server.status("Threads") == 2, "the threads of clients that are gone")
        assert server.n_fds() == n_fds, (server.n_fds(), n_fds)
        grown = server.status("VmRSS") - before
        assert grown < 32 * 1024, f"{grown} KiB more"
        client("nbdinfo", server.uri("v"))
    # Their endpoints are gone as well.
    left = json.loads(place.dvs("ep", "ls", DC, "-o", "json").stdout)["endpoints"]
    assert not [ep for ep in left if ep["program"] == "dvs-nbd"], left


def an_export_goes_on_in_the_background_until_it_is_stopped(place):
    place.volume("v", size=SIZE)
    told = json.loads(place.dvs("vol", "export", "--detach", DC, "-o", "json").stdout)
    path = Path(told["name"])
    try:
        assert path == place.run_dir / "nbd" / f"{DC}.socket"
        assert Path(f"{path}.pid").read_text() == f"{told['pid']}\n"
        client("nbdinfo", f"nbd+unix:///v?socket={path}")
        twice = place.dvs("vol", "export", "-d", DC, check=False)
        assert twice.returncode == 1 and "another process" in twice.stderr, twice
        nothing = place.dvs("vol", "export", "-d", f"{DC}/none", "--socket", place.base / "x", check=False)
        assert nothing.returncode == 1 and "no volume none" in nothing.stderr, nothing
    finally:
        place.dvs("vol", "export", "--stop", DC)
    assert not path.exists() and not Path(f"{path}.pid").exists()
    with contextlib.suppress(OSError):  # at most a zombie, until somebody takes its status
        assert not Path(f"/proc/{told['pid']}/cmdline").read_bytes()
    again = place.dvs("vol", "export", "--stop", DC, check=False)
    assert again.returncode == 1, again


def a_server_that_is_killed_is_a_pause(place):
    place.volume("v", size=SIZE, store="file")
    with place.serve() as server:
        fio = subprocess.Popen(["fio", "--name=pause", "--ioengine=nbd", f"--uri={server.uri('v')}", "--size=32M",
                                "--rw=randrw", "--bs=16k", "--iodepth=16", "--time_based", "--runtime=8"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, cwd=place.base)
        done = threading.Event()

        def kill():
            for _ in range(3):
                if done.wait(1.5):
                    return
                with contextlib.suppress(ProcessLookupError):
                    os.kill(place.server(), signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            said = fio.communicate(timeout=100)[0]
        finally:
            done.set()
            killer.join()
            fio.kill()
        assert fio.returncode == 0, said


def main():
    requires("nbdinfo", "nbdcopy", "qemu-img", "qemu-io", "fio")
    return Tap().run([
        all_volumes_of_a_dc_are_exports,
        what_clients_copy_comes_back,
        a_flush_on_one_connection_covers_all,
        snapshots_are_exports_that_stay_as_they_were,
        killed_clients_leave_nothing,
        an_export_goes_on_in_the_background_until_it_is_stopped,
        a_server_that_is_killed_is_a_pause,
    ], Place)


if __name__ == "__main__":
    sys.exit(main())
