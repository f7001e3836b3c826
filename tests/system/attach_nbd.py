#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Memory as a device of the kernel's NBD client, with a stand-in for the kernel (tests/system/attach/kernel.c): no right and no module is needed."""

import errno
import os
import signal
import socket
import struct
import sys
from pathlib import Path

from attach_memory import MIB, PATIENCE_S, PROGRAM, alive, left, run
from dvsd import BUILD, Tap
from lab import wait_for
from nbd_help import exactly

READ, WRITE, DISC, FLUSH, TRIM = range(5)
REQUEST_MAGIC, REPLY_MAGIC = 0x25609513, 0x67446698


class Attached:
    """A device of memory; taken off at the end, whatever happened."""

    def __init__(self, base, *words):
        self.base = base
        self.device = run(PROGRAM, "start", base, "dc/vol", 64 * MIB, "nbd", *words).stdout.strip()
        (_, device, state, keeper, server), = self.rows()
        assert device == self.device and state == "attached", (device, state)
        self.keeper, self.server = int(keeper), int(server)

    def rows(self):
        return [row.split() for row in run(PROGRAM, "list", self.base).stdout.splitlines()]

    def detach(self, *force):
        return run(PROGRAM, "detach", self.base, "dc/vol", *force, check=False)

    def size(self):
        return (self.base / "size").read_text()

    def gone(self):
        wait_for(lambda: not alive(self.server) and not alive(self.keeper), "the end of both")
        wait_for(lambda: not self.rows() and left(self.base) == ["lock", "log"], "clean up")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if alive(self.keeper) or alive(self.server):
            self.detach("force")


class User:
    """Who has the device open: what the kernel would ask for them."""

    def __init__(self, device):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(device)
        self.n = 0

    def ask(self, command, offset=0, n_bytes=0, data=b""):
        self.n += 1
        self.socket.sendall(struct.pack(">IIQQI", REQUEST_MAGIC, command, self.n, offset, n_bytes) +
                            data)
        magic, error, cookie = struct.unpack(">IIQ", exactly(self.socket, 16))
        assert (magic, cookie) == (REPLY_MAGIC, self.n), (magic, cookie)
        return error, exactly(self.socket, n_bytes) if command == READ and not error else b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


def its_bytes_are_those_of_the_disk(base):
    with Attached(base) as it:
        assert it.size() == str(64 * MIB)
        data = os.urandom(2 * MIB)
        with User(it.device) as user:
            assert user.ask(WRITE, 5 * MIB, len(data), data) == (0, b"")
            assert user.ask(FLUSH) == (0, b"")
            assert user.ask(READ, 5 * MIB, len(data)) == (0, data)
            assert user.ask(TRIM, 5 * MIB, MIB) == (0, b"")
            assert user.ask(READ, 64 * MIB, 512) == (errno.EINVAL, b"")
        with User(it.device) as user:
            assert user.ask(READ, 5 * MIB, 2 * MIB) == (0, bytes(MIB) + data[MIB:])
        assert it.detach().returncode == 0
        it.gone()


def errors_of_the_disk_are_the_devices(base):
    with Attached(base) as it, User(it.device) as user:
        (base / "fail").touch()
        assert user.ask(READ, 0, 512) == (errno.EIO, b"")
        assert user.ask(FLUSH) == (errno.EIO, b"")
        (base / "fail").unlink()
        assert user.ask(FLUSH) == (0, b"")


def it_stays_until_it_is_closed(base):
    with Attached(base) as it:
        with User(it.device) as user:
            assert user.ask(FLUSH) == (0, b"")
            refused = it.detach()
            assert refused.returncode == 1 and "TIMEOUT" in refused.stderr, refused
            assert user.ask(WRITE, 0, 512, b"x" * 512) == (0, b"")
        it.gone()


def force_ends_it(base):
    with Attached(base) as it, User(it.device) as user:
        assert user.ask(FLUSH) == (0, b"")
        assert it.detach("force").returncode == 0
        it.gone()
        try:
            user.ask(FLUSH)
            raise AssertionError("it answers without a server")
        except (EOFError, OSError):
            pass


def whoever_is_killed_nothing_is_left(base):
    for which in ("keeper", "server"):
        (base / "n0").unlink(missing_ok=True)  # of the stand-in, which died with the keeper
        with Attached(base) as it, User(it.device) as user:
            assert user.ask(FLUSH) == (0, b"")
            os.kill(getattr(it, which), signal.SIGKILL)
            it.gone()


def a_disk_that_grows(base):
    with Attached(base) as it, User(it.device) as user:
        assert user.ask(WRITE, 64 * MIB, 512, bytes(512)) == (errno.ENOSPC, b"")
        (base / "bytes").write_text(str(96 * MIB))
        wait_for(lambda: it.size() == str(96 * MIB), "the new size")
        assert user.ask(WRITE, 64 * MIB, 512, bytes(512)) == (0, b"")


def read_only_is_read_only(base):
    with Attached(base, "read-only") as it, User(it.device) as user:
        assert it.size() == f"{64 * MIB} read-only"
        assert user.ask(READ, 0, 512) == (0, bytes(512))
        assert user.ask(WRITE, 0, 512, bytes(512)) == (errno.EPERM, b"")


def a_kernel_that_refuses_leaves_nothing(base):
    (base / "refuse").touch()
    done = run(PROGRAM, "start", base, "dc/vol", MIB, "nbd", check=False)
    assert done.returncode == 1 and done.stderr == "FULL: the kernel is asked to refuse\n", done
    assert left(base) == ["lock", "log"], left(base)


def without_the_module_it_says_what_to_do(base):
    # As in every network namespace but the machine's own.
    alone = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]
    done = run(*alone, BUILD / "dvs-attach", "--run-dir", base, "--by", "nbd", "dc/vol", check=False)
    assert done.returncode == 1 and "'modprobe nbd' loads the module" in done.stderr, done
    done = run(BUILD / "dvs-attach", "--run-dir", base, "--by", "tape", "dc/vol", check=False)
    assert done.returncode == 2 and "auto, nbd or loop" in done.stderr, done
    assert not (base / "attach").exists()


def main():
    tap = Tap()
    tests = (its_bytes_are_those_of_the_disk, errors_of_the_disk_are_the_devices,
             it_stays_until_it_is_closed, force_ends_it, whoever_is_killed_nothing_is_left,
             a_disk_that_grows, read_only_is_read_only, a_kernel_that_refuses_leaves_nothing,
             without_the_module_it_says_what_to_do)
    tap.each_in_a_directory(tests, "dvs-nbd-", "attach/log")
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
