#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Processes in other pid namespaces, other DCs and with strange descriptors."""

import ctypes
import os
import struct
import sys
import time

from dvsd import ANY, OPS, Child, Dvsd, Tap, put

CLONE_NEWPID = 0x20000000


def start():
    dvsd = Dvsd()
    dvsd.create("a")
    return dvsd


def inside(dvsd):
    """A process that is pid 1 of a pid namespace of its own, and has a link `l`."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWPID) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    child = Child()
    # Python's later children belong there, too: only this test forks so
    child.run(f"globals().update(l=Link('{dvsd.control('a')}'))")
    child.run("l.hello() and None")
    return child


def pids_mean_what_the_asking_process_sees(dvsd):
    outside = dvsd.link()
    mine = outside.bind(want=5).ep
    child = inside(dvsd)
    assert child.run("os.getpid()") == 1
    theirs = child.run("l.bind(want=6).ep")
    assert child.run(f"l.ask('endpoint_info', cursor={theirs}, next=0).pid") == 1
    assert child.run(f"l.ask('endpoint_info', cursor={mine}, next=0).pid") == 0
    assert child.run("l.ask('dvs_info').dvsd_pid") == 0
    assert outside.ask("endpoint_info", cursor=theirs, next=0).pid == child.pid
    assert child.run("l.ask('endpoint_of', pid=1).ep") == theirs
    assert outside.ask("endpoint_of", pid=child.pid).ep == theirs
    assert outside.error("endpoint_of", pid=1) == "NOPROC"
    assert child.run(f"l.ask('endpoint_of', pid={os.getpid()})") == "failed NOPROC"
    child.run("globals().update(c=Child())")
    assert child.run("c.pid") == 2
    given = child.run("l.ask('bind_for', pid=2, want=7, binding=1).ep")
    child.run(f"c.run(\"globals().update(l=Link('{dvsd.control('a')}'))\")")
    child.run("c.run('l.hello() and None')")
    assert child.run("c.run(\"l.event('bound').ep\")") == given
    assert child.run("l.ask('bind_for', pid=3, want=8, binding=1)") == "failed NOPROC"
    assert child.run("l.ask('migrate_start', ep=6) and None") is None
    child.run("globals().update(m=l.event('migrate').number)")
    assert child.run(f"l.ask('parked', ep={theirs}, slot=0, number=m).body") == {}
    assert child.run("l.ask('migrate_commit', ep=6, pid=2, timeout_ms=1000) and None") is None
    assert child.run("c.run(\"l.event('bound').ep\")") == theirs
    child.kill()
    assert outside.error("wait", ep=6, what=2, timeout_ms=5000) == "OK"


def nothing_of_another_dc_can_be_reached(dvsd):
    dvsd.create("b")
    here = dvsd.link("a")
    mine = here.bind(want=5).ep
    grant = here.ask("grant", ep=mine, grantee=ANY, addr=4096, bytes=4096, rights=3).grant
    child = Child()
    child.run(f"globals().update(l=Link('{dvsd.control('b')}'))")
    child.run("l.hello() and None")
    theirs = child.run("l.bind(want=6).ep")
    for request in (f"'connect', ep={theirs}, to={mine}, timeout_ms=0",
                    f"'connect', ep={theirs}, to=5, timeout_ms=0",
                    f"'unbind', ep={mine}, slot=NO_SLOT",
                    f"'unbind', ep={mine}, slot=0",
                    f"'privileges_get', ep={mine}",
                    f"'privileges_set', ep={mine}, may=31",
                    f"'migrate_start', ep={mine}",
                    f"'promote', ep={mine}, pid=0",
                    f"'wakeup', ep={theirs}, to={mine}",
                    f"'trace', ep={mine}",
                    f"'endpoint_info', cursor={mine}, next=0",
                    f"'copy', ep={theirs}, from_ep={mine}, from_grant={grant}, to_ep={theirs},"
                    " to_offset=4096, bytes=1"):
        assert child.run(f"l.ask({request})") == "failed NODEST", request
    assert child.run(f"l.ask('connect', ep={mine}, to={theirs}, timeout_ms=0)") == \
        "failed NOTBOUND"
    assert child.run(f"l.ask('endpoint_of', pid={os.getpid()})") == "failed NOPROC"
    assert child.run(f"l.ask('bind_for', pid={os.getpid()}, want=7, binding=1)") == \
        "failed DENIED"
    assert child.run(f"l.ask('grant', ep={mine}, grantee=0, addr=0, bytes=1, rights=1)") == \
        "failed NODEST"
    assert child.run("l.ask('dc_info').body['name']") == "b"
    assert child.run("l.ask('endpoint_info', cursor=0, next=1).ep") == theirs
    # a wish for a process of the other DC does not keep it from its own
    free = Child()
    here.ask("bind_for", pid=free.pid, want=9, binding=1)
    free.run(f"globals().update(l=Link('{dvsd.control('b')}'))")
    assert free.run("l.hello().dc_name") == "b"
    free.kill()
    child.kill()


def descriptors_that_nobody_asked_for_do_not_stay(dvsd):
    link = dvsd.link()
    ep = link.bind().ep
    n_fds = dvsd.n_fds()
    null = os.open("/dev/null", os.O_RDWR)
    other = dvsd.link(hello=False)
    for _ in range(5):
        assert other.error("hello", version=1, rejoin=1, fds=[null] * 2) == "PROTO"
    other.close()
    head = struct.pack("<III", OPS["endpoint_of"]["number"], 99, 0)
    link.send_raw(head + put(OPS["endpoint_of"]["request"], {"pid": os.getpid()}), [null] * 100)
    assert link.ask("endpoint_of", pid=os.getpid()).ep == ep, "that frame was dropped"
    assert 99 not in link.replies
    deadline = time.monotonic() + 5
    while dvsd.n_fds() > n_fds and time.monotonic() < deadline:
        pass
    assert dvsd.n_fds() <= n_fds


TESTS = [
    nothing_of_another_dc_can_be_reached,
    descriptors_that_nobody_asked_for_do_not_stay,
    pids_mean_what_the_asking_process_sees,
]

if __name__ == "__main__":
    if os.geteuid() != 0:
        print("1..0 # SKIP needs root")
        sys.exit(0)
    sys.exit(Tap().run(TESTS, start))
