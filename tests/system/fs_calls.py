#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""POSIX calls through dvs-fuse and dvs-fs: each with its errors (posix_calls.py, which a tmpfs has to pass as well), and random ones on contents, compared with a model (posix_random.py), at one gateway and over two."""

import os
import sys
import threading
import time
import traceback
from pathlib import Path

import posix_calls
import posix_help
import posix_random
from dvsd import Tap
from fs_posix import World

STEPS = 700


def checked(tap, check, *arguments):
    try:
        check(*arguments)
        tap.ok(True, check.__name__.replace("_", " "))
    except Exception:
        tap.ok(False, check.__name__.replace("_", " "), traceback.format_exc())


def random_calls(where):
    seed = int(os.environ.get("DVS_SEED", time.time()))
    print(f"# seed {seed}", flush=True)
    posix_random.run(where, seed, STEPS)


def contents_at_one_gateway(one):
    random_calls([one])


def contents_over_two_gateways(one, two):
    random_calls([one, two])


def contents_on_tmpfs():
    random_calls([Path("/dev/shm")])


def a_link_that_comes_meanwhile(one, two):
    """Who opens a name, and makes it if need be, is not told that it exists because another node makes it a link just then: the link is followed."""
    (one / "target").touch()
    done = threading.Event()

    def change():
        while not done.is_set():
            os.symlink("target", one / "link")
            os.rename(one / "link", one / "name")
            os.unlink(one / "name")

    changing = threading.Thread(target=change)
    changing.start()
    try:
        said = {posix_help.said(os.open, two / "name", os.O_CREAT | os.O_WRONLY) for _ in range(500)}
    finally:
        done.set()
        changing.join()
    # When it happens twice in one call the kernel gives up.
    assert said <= {"OK", "ESTALE"}, said


def a_copy_has_the_holes_of_the_first(one):
    """Which Linux leaves to the file system: ext4 and tmpfs write zeroes."""
    with open(one / "holes", "w+b") as first, open(one / "copy", "w+b") as copy:
        first.truncate(64 * 4096)
        os.pwrite(first.fileno(), b"x" * 4096, 32 * 4096)
        copy.write(b"old" * 30000)
        copy.flush()
        done = 0
        while done < 64 * 4096:
            done += os.copy_file_range(first.fileno(), copy.fileno(), 64 * 4096 - done, done, done)
        posix_help.equal(os.fstat(copy.fileno()).st_blocks, 8)
    assert (one / "copy").read_bytes() == (one / "holes").read_bytes()


def main():
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        print("1..0 # SKIP needs root and /dev/fuse")
        return 0
    tap = Tap()
    with World() as world:
        os.chmod(world.base, 0o755)
        one, two = (world.gateway("--dev", "--suid").path for _ in range(2))
        posix_calls.run(tap, one)
        checked(tap, a_copy_has_the_holes_of_the_first, one)
        checked(tap, contents_at_one_gateway, one)
        checked(tap, a_link_that_comes_meanwhile, one, two)
        checked(tap, contents_over_two_gateways, one, two)
    posix_calls.run(tap, Path("/dev/shm"))
    checked(tap, contents_on_tmpfs)
    print(f"1..{tap.n}")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
