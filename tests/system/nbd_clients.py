#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The NBD server with the clients of others, over memory: no DVS is needed. NBD_KILLS tells how many clients are killed (50)."""

import json
import os
import random
import socket
import stat
import sys
import time

from dvsd import BUILD
from lab import wait_for
from nbd_help import (DISC, FLUSH, MIB, READ, WRITE, Raw, client, kill_clients, mapping, memory, requires,
                      run_tests, sparse_file)

SIZE = 256 * MIB
KILLS = int(os.environ.get("NBD_KILLS", "50"))

NBDSH = """
assert h.get_structured_replies_negotiated()
assert h.can_meta_context("base:allocation")
assert h.can_multi_conn() and h.can_df() and h.can_fua() and h.can_fast_zero()
assert h.get_block_size(nbd.SIZE_MINIMUM) == 512
data = bytes(range(256)) * 256
h.pwrite(data, 1 << 20, nbd.CMD_FLAG_FUA)
assert h.pread(65536, 1 << 20) == data
chunks = []
h.pread_structured(1 << 20, 0, lambda buf, off, s, err: chunks.append(len(buf)), nbd.CMD_FLAG_DF)
assert chunks == [1 << 20], chunks
chunks.clear()
h.pread_structured(4 << 20, 0, lambda buf, off, s, err: chunks.append((off, len(buf), s)))
assert sum(n for _, n, _ in chunks) == 4 << 20, chunks
extents = []
h.block_status(4 << 20, 0, lambda name, off, e, err: extents.extend(e))
assert extents[0::2] == [1 << 20, 65536, (3 << 20) - 65536], extents
assert extents[1::2] == [3, 0, 3], extents
one = []
h.block_status(4 << 20, 0, lambda name, off, e, err: one.extend(e), nbd.CMD_FLAG_REQ_ONE)
assert one == [1 << 20, 3], one
h.zero(65536, 1 << 20, nbd.CMD_FLAG_FAST_ZERO)
assert h.pread(65536, 1 << 20) == bytes(65536)
h.pwrite(data, 2 << 20)
h.trim(65536, 2 << 20, nbd.CMD_FLAG_FUA)
h.zero(65536, 3 << 20, nbd.CMD_FLAG_NO_HOLE)
extents.clear()
h.block_status(1 << 20, 3 << 20, lambda name, off, e, err: extents.extend(e))
assert extents[:2] == [65536, 0], extents
for call, error in ((lambda: h.zero(65536, 0, nbd.CMD_FLAG_FAST_ZERO | nbd.CMD_FLAG_NO_HOLE), "ENOTSUP"),
                    (lambda: h.pread(512, h.get_size()), "EINVAL"),
                    (lambda: h.pread(100, 0), "EINVAL"),
                    (lambda: h.pwrite(data, h.get_size()), "ENOSPC"),
                    (lambda: h.pread_structured(2 << 20, 0, lambda *_: 0, nbd.CMD_FLAG_DF), "EOVERFLOW"),
                    (lambda: h.cache(512, 0), "EINVAL")):
    h.set_strict_mode(0)
    try:
        call()
        raise SystemExit("no " + error)
    except nbd.Error as ex:
        assert ex.errno == error, (ex.errno, error)
# A flush on one connection covers what was written on the other, and both see the same.
other = nbd.NBD()
other.connect_uri(h.get_uri())
h.pwrite(data, 5 << 20)
other.flush()
assert other.pread(65536, 5 << 20) == data
other.shutdown()
h.shutdown()
"""


def the_exports_are_listed(base):
    with memory(base, SIZE) as server:
        told = json.loads(client("nbdinfo", "--list", "--json", server.uri("")).stdout)
        exports = {e["export-name"]: e for e in told["exports"]}
        assert sorted(exports) == ["disk", "disk@before", "slow"], exports
        disk, before = exports["disk"], exports["disk@before"]
        assert told["structured"] and told["protocol"] == "newstyle-fixed"
        assert disk["export-size"] == SIZE and disk["contexts"] == ["base:allocation"]
        for can in ("fua", "flush", "trim", "zero", "multi_conn", "df", "fast_zero"):
            assert disk[f"can_{can}"], can
        assert before["is_read_only"] and not before["can_trim"] and not disk["is_read_only"]
        assert stat.S_IMODE(os.stat(server.socket).st_mode) == 0o600
        assert client("nbdinfo", server.uri("none"), check=False).returncode != 0


def nbdcopy_brings_back_what_it_took(base):
    seed = random.randrange(1 << 30)
    print(f"# seed {seed}")
    there = sparse_file(base / "there", SIZE, seed)
    with memory(base, SIZE) as server:
        assert mapping(server.uri()) == [(0, SIZE, 3)]
        client("nbdcopy", there, server.uri())
        client("nbdcopy", server.uri(), base / "back")
        client("cmp", there, base / "back")
        # What is not there was not made.
        assert any(kind == 3 for _, _, kind in mapping(server.uri()))
        client("nbdcopy", "--synchronous", "--request-size=8388608", there, server.uri())
        client("nbdcopy", "--connections=4", "--requests=64", server.uri(), base / "again")
        client("cmp", there, base / "again")


def qemu_works_on_it(base):
    seed = random.randrange(1 << 30)
    print(f"# seed {seed}")
    there = sparse_file(base / "there", SIZE, seed)
    with memory(base, SIZE) as server:
        uri = server.uri()
        assert json.loads(client("qemu-img", "info", "--output=json", uri).stdout)["virtual-size"] == SIZE
        client("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", there, uri)
        client("qemu-img", "compare", "-f", "raw", "-F", "raw", there, uri)
        client("qemu-img", "convert", "-f", "raw", "-O", "qcow2", uri, base / "copy.qcow2")
        client("qemu-img", "compare", "-f", "raw", "-F", "qcow2", uri, base / "copy.qcow2")
        done = client("qemu-io", "-f", "raw", "-t", "none", uri, "-c", "write -P 0xaa 1M 1M",
                      "-c", "write -f -P 0xbb 100 3000", "-c", "write -z -u 1280k 64k", "-c", "discard 1408k 64k",
                      "-c", "flush", "-c", "read -P 0xaa 1M 256k", "-c", "read -P 0 1280k 64k",
                      "-c", "read -P 0xbb 100 3000", "-c", "read -P 0 1408k 64k")
        assert "failed" not in done.stdout, done.stdout


def nbdsh(base, *words, **how):
    """It is a module of Debian's Python, which need not be the first on the path."""
    return client("nbdsh", *words, cwd=base, env=os.environ | {"PATH": f"/usr/bin:{os.environ['PATH']}"}, **how)


def the_shell_of_libnbd_sees_all_of_the_protocol(base):
    with memory(base, SIZE) as server:
        nbdsh(base, "--base-allocation", "-u", server.uri(), "-c", NBDSH)
        assert nbdsh(base, "-c", "assert False", check=False).returncode != 0
        nbdsh(base, "-u", server.uri("disk@before"), "-c", "h.set_strict_mode(0)", "-c", """
try:
    h.pwrite(bytes(512), 0)
    raise SystemExit("written")
except nbd.Error as ex:
    assert ex.errno == "EPERM", ex
""")


def fio_verifies_what_it_wrote(base):
    with memory(base, SIZE) as server:
        for words in (["--rw=randwrite", "--bsrange=4k-128k", "--iodepth=32"],
                      ["--rw=write", "--bs=1M", "--iodepth=8"],
                      ["--rw=randrw", "--bs=4k", "--iodepth=16", "--fsync=32"]):
            client("fio", "--name=verify", "--ioengine=nbd", f"--uri={server.uri()}", "--size=48M",
                   "--verify=crc32c", "--verify_fatal=1", "--do_verify=1", *words, cwd=base)


def certificates(base):
    """Those of a cluster, as 'dvs ca' makes them, in the forms of the server and of libnbd; and strange ones."""
    for name in ("good", "strange"):
        top = base / name
        client(BUILD / "dvs", "ca", "init", "--dir", top, "--cluster", name)
        for node, role in enumerate(("server", "client")):
            client(BUILD / "dvs", "ca", "issue", "--dir", top, "--node", node, "--into", top / role)
        for part, file in (("ca-cert.pem", top / "ca.pem"), ("client-cert.pem", top / "client/node.pem"),
                           ("client-key.pem", top / "client/node.key")):
            os.symlink(file, top / "client" / part)
        if not (top / "server/ca.pem").exists():
            os.symlink(top / "ca.pem", top / "server/ca.pem")


def tls_is_for_those_with_the_right_certificate(base):
    certificates(base)
    there = sparse_file(base / "there", 64 * MIB, 1)
    with memory(base, 64 * MIB, base / "good/server") as server:
        uri = server.uri(**{"tls-certificates": base / "good/client"})
        told = json.loads(client("nbdinfo", "--json", uri).stdout)
        assert told["TLS"] and told["exports"][0]["export-size"] == 64 * MIB, told
        client("nbdcopy", there, uri)
        client("nbdcopy", uri, base / "back")
        client("cmp", there, base / "back")
        strange = server.uri(**{"tls-certificates": base / "strange/client"})
        assert client("nbdinfo", strange, check=False).returncode != 0
        # In clear, with TLS left out: nothing is told.
        assert client("nbdinfo", server.uri(), check=False).returncode != 0
        with Raw(server.socket) as raw:
            raw.socket.sendall(b"\0\0\0\3IHAVEOPT\0\0\0\1\0\0\0\4disk")
            assert raw.is_over()
        # Words in clear behind the request for TLS do not come through.
        with Raw(server.socket) as raw:
            raw.socket.sendall(b"\0\0\0\3IHAVEOPT\0\0\0\5\0\0\0\0IHAVEOPT\0\0\0\3\0\0\0\0")
            assert raw.is_over()
        client("nbdinfo", uri)


def killed_clients_leave_nothing(base):
    seed = random.randrange(1 << 30)
    print(f"# seed {seed}, {KILLS} kills")
    with memory(base, SIZE) as server:
        kill_clients(server.socket, "disk", 8, SIZE, seed)
        client("nbdinfo", server.uri())
        wait_for(lambda: server.status("Threads") == 2, "the threads of clients that are gone")
        n_fds = server.n_fds()
        # The disk is memory of the server: it is there as a whole before it is looked at.
        client("qemu-io", "-f", "raw", server.uri(), "-c", f"write -P 1 0 {SIZE}")
        wait_for(lambda: server.status("Threads") == 2, "the threads of clients that are gone")
        before = server.status("VmRSS")
        kill_clients(server.socket, "disk", KILLS, SIZE, seed + 1000)
        kill_clients(server.socket, "slow", 8, SIZE, seed + 5000)
        wait_for(lambda: server.status("Threads") == 2, "the threads of clients that are gone")
        assert server.n_fds() == n_fds
        grown = server.status("VmRSS") - before
        assert grown < 32 * 1024, f"{grown} KiB more"
        client("nbdinfo", server.uri())


def garbage_ends_only_its_connection(base):
    seed = random.randrange(1 << 30)
    print(f"# seed {seed}")
    rng = random.Random(seed)
    with memory(base, SIZE) as server:
        for i in range(60):
            with Raw(server.socket, "disk" if i % 2 else None) as raw:
                try:
                    raw.socket.sendall(rng.randbytes(rng.randrange(1, 20000)))
                    raw.socket.shutdown(socket.SHUT_WR)
                except OSError:
                    continue
                assert raw.is_over()
        client("nbdinfo", server.uri())


def who_says_nothing_is_left(base):
    with memory(base, SIZE) as server:
        silent = [Raw(server.socket) for _ in range(64)]
        # All connections are taken now; who comes is told so at once.
        with socket.socket(socket.AF_UNIX) as one_more:
            one_more.settimeout(5)
            one_more.connect(str(server.socket))
            assert one_more.recv(1) == b""
        assert silent[0].is_over(30) and silent[-1].is_over(30)
        for raw in silent:
            raw.close()
        wait_for(lambda: server.status("Threads") == 2, "their threads")
        client("nbdinfo", server.uri())


def reads_overtake_flushes(base):
    with memory(base, SIZE) as server, Raw(server.socket, "slow") as raw:
        begun = time.monotonic()
        for cookie in range(3):
            raw.ask(FLUSH, cookie=cookie)
            raw.ask(READ, 0, 4096, cookie=100 + cookie)
        done = []
        while len(done) < 6:
            cookie, error, _ = raw.reply()
            assert error == 0
            if cookie >= 100:
                raw.receive(4096)
            done.append(cookie)
        assert sorted(done[:3]) == [100, 101, 102], done
        assert time.monotonic() - begun < 5


def the_end_waits_for_what_is_under_way(base):
    with memory(base, SIZE) as server, Raw(server.socket, "slow") as raw:
        raw.ask(WRITE, 0, 512, cookie=6, data=bytes(512))
        assert raw.reply()[0] == 6
        raw.ask(FLUSH, cookie=7)
        raw.ask(DISC)
        server.process.terminate()
        cookie, error, _ = raw.reply()
        assert (cookie, error) == (7, 0)
        assert raw.is_over()
        assert server.process.wait(20) == 0
    assert not server.socket.exists()


def main():
    requires("nbdinfo", "nbdcopy", "nbdsh", "qemu-img", "qemu-io", "fio")
    return run_tests([
        the_exports_are_listed,
        nbdcopy_brings_back_what_it_took,
        qemu_works_on_it,
        the_shell_of_libnbd_sees_all_of_the_protocol,
        fio_verifies_what_it_wrote,
        tls_is_for_those_with_the_right_certificate,
        killed_clients_leave_nothing,
        garbage_ends_only_its_connection,
        who_says_nothing_is_left,
        reads_overtake_flushes,
        the_end_waits_for_what_is_under_way,
    ], "dvs-nbd.")


if __name__ == "__main__":
    sys.exit(main())
