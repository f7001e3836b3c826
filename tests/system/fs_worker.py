#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A program in a mounted file system while its servers are lost: what a call of it means must have happened, and once. For fs_failover.py and fs_chaos.py.

usage: fs_worker.py hold DIR    works, and has files and locks, until its standard input ends
       fs_worker.py rival DIR   a program of another node that wants the locks: 'try' on its standard input tries to take them, 'wait' waits for them
       fs_worker.py look DIR    says whether all is there that 'hold' has said

Lines of JSON on standard output: {"done": N} after the Nth round."""

import errno
import fcntl
import json
import os
import select
import sys

RECORD = 64
FLOCK, RANGES, LOG = "flock", "ranges", "log"
RANGE = (10, 5)  # bytes, from


def say(**what):
    print(json.dumps(what), flush=True)


def record(number):
    return b"%063d\n" % number


class Holder:
    """Every round changes names, which fail when they are changed twice; appends, which would be there twice; and reads what has no name any more."""

    def __init__(self, at):
        self.at = at
        self.flock = open(f"{at}/{FLOCK}", "w+")
        self.ranges = open(f"{at}/{RANGES}", "w+")
        fcntl.flock(self.flock, fcntl.LOCK_EX)
        fcntl.lockf(self.ranges, fcntl.LOCK_EX, *RANGE)
        self.nameless = os.open(f"{at}/nameless", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.unlink(f"{at}/nameless")
        self.log = os.open(f"{at}/{LOG}", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self.top = os.open(at, os.O_RDONLY | os.O_DIRECTORY)

    def round(self, i):
        a, b = f"{self.at}/a{i}", f"{self.at}/b{i}"
        os.mkdir(a)
        os.rename(a, b)
        os.close(os.open(f"{b}/new", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        os.link(f"{b}/new", f"{b}/other")
        os.unlink(f"{b}/new")
        assert os.stat(f"{b}/other").st_nlink == 1
        os.unlink(f"{b}/other")
        os.rmdir(b)
        assert os.pwrite(self.nameless, record(i), i * RECORD) == RECORD
        for old in {0, i // 2, i}:
            assert os.pread(self.nameless, RECORD, old * RECORD) == record(old), old
        assert os.fstat(self.nameless).st_nlink == 0
        assert os.write(self.log, record(i)) == RECORD
        os.fsync(self.log)

    def run(self):
        i = 0
        while not select.select([sys.stdin], [], [], 0)[0]:
            self.round(i)
            i += 1
            say(done=i)
        os.fsync(self.top)


def refused(file, lock, *args):
    try:
        lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB, *args)
    except OSError as why:
        assert why.errno in (errno.EAGAIN, errno.EACCES), why
        return True
    lock(file, fcntl.LOCK_UN, *args)
    return False


def rival(at):
    with open(f"{at}/{FLOCK}", "r+") as flock, open(f"{at}/{RANGES}", "r+") as ranges:
        for line in sys.stdin:
            if line == "try\n":
                say(flock=refused(flock, fcntl.flock), ranges=refused(ranges, fcntl.lockf, *RANGE), beside=refused(ranges, fcntl.lockf, 3))
            else:
                say(waits=True)
                fcntl.flock(flock, fcntl.LOCK_EX)
                fcntl.lockf(ranges, fcntl.LOCK_EX, *RANGE)
                say(has=True)


def look(at):
    with open(f"{at}/{LOG}", "rb") as file:
        data = file.read()
    rounds = len(data) // RECORD
    say(rounds=rounds, right=data == b"".join(map(record, range(rounds))), names=sorted(os.listdir(at)))


if __name__ == "__main__":
    if sys.argv[1] == "hold":
        Holder(sys.argv[2]).run()
    else:
        {"rival": rival, "look": look}[sys.argv[1]](sys.argv[2])
