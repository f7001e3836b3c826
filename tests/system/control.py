#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every op of the control socket and every error that it can give, by raw frames."""

import os
import random
import struct
import sys
import time

from dvsd import (ANY, AREA_BYTES, CHANNEL_BYTES, FOREVER, NO_SLOT, STATS_BYTES, Child, Dvsd,
                  Tap)
from lab import wait_for

GENERATION = 1 << 20
NOBODY = 65534  # a uid without any right


def start():
    dvsd = Dvsd()
    dvsd.create("a")
    return dvsd


def number(ep):
    return ep & (GENERATION - 1)


def error(child, text):
    """The name of the error that a request of a child gives."""
    answer = child.run(text)
    return answer.removeprefix("failed ") if isinstance(answer, str) else answer


def stranger(dvsd, uid=NOBODY):
    """A process without rights that has a link `l`."""
    child = Child(uid)
    child.run(f"globals().update(l=Link('{dvsd.control('a')}'))")
    child.run("l.hello() and None")
    return child


def the_admin_makes_lists_and_removes_dcs(dvsd):
    admin = dvsd.admin()
    assert admin.error("dc_create", name="a", owner_uid=0) == "EXISTS"
    for name in ("", ".x", "a/b", "x" * 63 + "\0"):
        assert admin.error("dc_create", name=name, owner_uid=0) in ("BADARG", "PROTO"), name
    second = admin.ask("dc_create", name="b", owner_uid=7).dc
    first = admin.ask("dc_next", cursor=0)
    assert (first.name, first.dc) == ("a", 1)
    after = admin.ask("dc_next", cursor=first.dc)
    assert (after.name, after.dc, after.owner_uid) == ("b", second, 7)
    assert admin.error("dc_next", cursor=second) == "NODC"
    assert admin.error("enter", name="c") == "NODC"
    assert admin.ask("enter", name="b").dc == second
    assert admin.ask("dc_info").name == "b"
    assert admin.error("dc_remove", name="c", force=0) == "NODC"
    link = dvsd.link("b")
    link.bind()
    assert admin.error("dc_remove", name="b", force=0) == "BADSTATE"
    assert admin.error("dc_remove", name="b", force=1) == "OK"
    assert link.event("unbound")
    assert link.is_closed()
    assert not dvsd.control("b").parent.exists()
    assert admin.error("dc_info") == "NODC"
    assert admin.ask("dc_create", name="b", owner_uid=0).dc == second + 1


def only_the_admin_socket_does_that(dvsd):
    link = dvsd.link()
    assert link.error("dc_create", name="z", owner_uid=0) == "DENIED"
    assert link.error("dc_remove", name="a", force=1) == "DENIED"
    assert link.error("dc_next", cursor=0) == "DENIED"
    assert link.error("enter", name="a") == "DENIED"
    admin = dvsd.admin()
    admin.ask("dc_create", name="z", owner_uid=0)
    for dc in ("a", "z"):
        for key in ("fs/home", "volume/home"):
            admin.ask("record_set", name=dc, key=key, expected=0, value=b"told")
    # Of what describes its own DC a program is told whom to ask for files, and no more.
    assert bytes(link.ask("record_get", name="a", key="fs/home").value) == b"told"
    assert link.error("record_get", name="a", key="fs/none") == "NOTFOUND"
    for dc, key, following in (("a", "volume/home", 0), ("a", "fs/", 1), ("z", "fs/home", 0), ("no", "fs/home", 0)):
        assert link.error("record_get", name=dc, key=key, next=following) == "DENIED", (dc, key)
    assert link.error("record_set", name="a", key="fs/home", expected=0, value=b"") == "DENIED"
    assert link.error("record_remove", name="a", key="fs/home") == "DENIED"
    child = Child(NOBODY)
    assert "mistake PermissionError" in child.run(f"Link('{dvsd.run_dir / 'admin'}')")
    child.kill()


def hello_gives_sealed_areas_once(dvsd):
    link = dvsd.link(hello=False)
    assert link.error("bind", want=ANY, binding=1, tid=1) == "PROTO"
    assert link.error("hello", version=99, rejoin=0) == "PROTO"
    reply = link.hello()
    assert (reply.dc, reply.dc_name, reply.manager, reply.node) == (1, "a", 1, 0)
    assert os.fstat(link.area).st_size == AREA_BYTES
    assert os.fstat(link.stats).st_size == STATS_BYTES
    for fd in (link.area, link.stats):
        for size in (0, AREA_BYTES * 2):
            try:
                os.ftruncate(fd, size)
                raise AssertionError("not sealed")
            except PermissionError:
                pass
    assert link.error("hello", version=1, rejoin=0) == "PROTO"


def numbers_are_given_and_taken(dvsd):
    link = dvsd.link()
    first, second = link.bind(), link.bind()
    assert (number(first.ep), number(second.ep)) == (16384, 16385)
    assert (first.slot, second.slot, first.role) == (0, 1, 1)
    assert link.error("bind", want=number(first.ep), binding=1, tid=1) == "INUSE"
    link.ask("unbind", ep=first.ep, slot=first.slot)
    third = link.bind()
    assert number(third.ep) == 16386, "a number is used again as late as possible"
    assert third.slot == 0
    again = link.bind(want=16384)
    assert again.ep == 16384 + 2 * GENERATION, "the number has a new generation"
    assert link.error("bind", want=5, binding=9, tid=1) == "BADARG"
    assert link.error("bind", want=5, binding=2, tid=1) == "NODEST"
    assert link.error("bind", want=(1 << 20) - 1, binding=1, tid=1) in ("BADARG", "DENIED")
    assert link.error("bind", want=40000, binding=1, tid=1) == "DENIED", "another node's client"


def a_program_without_rights_gets_no_server_numbers(dvsd):
    child = stranger(dvsd)
    assert error(child, "l.bind(want=5)") == "DENIED"
    assert error(child, "l.bind(want=1023)") == "DENIED"
    for free in (1024, 16383, (1 << 20) - 2):
        assert child.run(f"l.bind(want={free}).ep & 0xfffff") == free
    assert error(child, "l.bind(want=2000, binding=2)") == "DENIED"
    assert child.run("l.bind().may") == 0
    assert child.run("l.bind(want=20000).ep & 0xfffff") == 20000
    assert error(child, "l.bind(want=20000, binding=2)") == "DENIED"
    assert error(child, "l.ask('bind_for', pid=1, want=6, binding=1)") == "DENIED"
    server = dvsd.link()
    ep = server.bind(want=5).ep
    assert error(child, f"l.ask('unbind', ep={ep}, slot=NO_SLOT)") == "DENIED"
    for op in ("migrate_start", "migrate_rollback"):
        assert error(child, f"l.ask('{op}', ep={ep})") == "DENIED"
    assert error(child, f"l.ask('migrate_commit', ep={ep}, pid=1, timeout_ms=0)") == "DENIED"
    assert error(child, f"l.ask('promote', ep={ep}, pid=0)") == "DENIED"
    assert error(child, f"l.ask('privileges_set', ep={ep}, may=0)") == "DENIED"
    assert error(child, f"l.ask('trace', ep={ep})") == "DENIED"
    child.kill()


def a_dc_owner_is_a_manager(dvsd):
    dvsd.create("mine", owner_uid=NOBODY)
    child = Child(NOBODY)
    child.run(f"globals().update(l=Link('{dvsd.control('mine')}'))")
    assert child.run("l.hello().manager") == 1
    assert child.run("l.bind(want=5).may") == 63
    child.kill()


def a_process_is_in_one_dc_at_a_time(dvsd):
    dvsd.create("b")
    here = dvsd.link("a")
    there = dvsd.link("b", hello=False)
    assert there.error("hello", version=1, rejoin=0) == "DENIED"
    here.close()
    admin = dvsd.admin()
    while admin.ask("dc_next", cursor=0).processes:
        pass
    assert there.error("hello", version=1, rejoin=0) == "OK"


def a_binding_for_another_process_waits_for_it(dvsd):
    link = dvsd.link()
    child = Child()
    given = link.ask("bind_for", pid=child.pid, want=7, binding=1).ep
    assert link.error("bind_for", pid=child.pid, want=7, binding=1) == "INUSE"
    assert link.error("bind_for", pid=4000000, want=8, binding=1) == "NOPROC"
    mine = link.bind().ep
    assert link.error("connect", ep=mine, to=given, timeout_ms=50) == "TIMEOUT"
    waiting = link.send("connect", ep=mine, to=given, timeout_ms=10000)
    child.run(f"globals().update(l=Link('{dvsd.control('a')}'))")
    child.run("l.hello() and None")
    event = child.run("l.event('bound').body")
    assert (event["ep"], event["role"], event["slot"]) == (given, 1, 0)
    assert link.reply(waiting).peer == given
    assert child.run("l.event('channel').body")["peer"] == mine
    another = link.ask("bind_for", pid=child.pid, want=8, binding=1).ep
    assert child.run("l.event('bound').body")["ep"] == another
    assert link.ask("endpoint_of", pid=child.pid).ep == given
    assert link.error("endpoint_of", pid=1) == "NOPROC"
    child.kill()
    assert link.event("gone").reason == 3
    assert link.error("wait", ep=given, what=2, timeout_ms=1000) == "OK"


def waits_end_when_it_happens_or_time_is_over(dvsd):
    link, other = dvsd.link(), dvsd.link()
    assert link.error("wait", ep=9, what=1, timeout_ms=0) == "TIMEOUT"
    assert link.error("wait", ep=9, what=1, timeout_ms=30) == "TIMEOUT"
    assert link.error("wait", ep=9, what=2, timeout_ms=0) == "OK"
    assert link.error("wait", ep=9, what=3, timeout_ms=0) == "PROTO"
    assert link.error("wait", ep=9, what=1, timeout_ms=0xfffffffe) == "BADARG"
    bound = link.send("wait", ep=9, what=1, timeout_ms=FOREVER)
    ep = other.bind(want=9).ep
    assert link.reply(bound).ep == ep
    unbound = link.send("wait", ep=ep, what=2, timeout_ms=10000)
    other.close()
    assert link.reply(unbound).error == "OK"


def two_processes_get_one_channel(dvsd):
    a, b = dvsd.link(), dvsd.link()
    mine, theirs = a.bind(), b.bind(want=5)
    assert a.error("connect", ep=mine.ep, to=6, timeout_ms=0) == "NODEST"
    assert a.error("connect", ep=mine.ep, to=5 + 9 * GENERATION, timeout_ms=0) == "NODEST"
    assert a.error("connect", ep=theirs.ep, to=5, timeout_ms=0) == "NOTBOUND", "not one's own"
    assert a.error("connect", ep=mine.ep, to=mine.ep, timeout_ms=0) == "BADARG"
    before = b.bell(theirs.slot)
    reply = a.connect(mine.ep, 5)
    event = b.event("channel")
    assert reply.peer == theirs.ep and event.peer == mine.ep and event.mode == 1
    assert (reply.side, event.side) == (0, 1)
    assert (reply.may_call, reply.may_serve, event.may_call, event.may_serve) == (1, 1, 1, 1)
    assert (reply.my_index, reply.peer_index) == (event.peer_index, event.my_index)
    assert b.bell(theirs.slot)[1] > before[1], "the inbox was rung"
    for mine_fd, their_fd in zip(reply.fds[:1], event.fds[:1]):
        assert os.fstat(mine_fd).st_ino == os.fstat(their_fd).st_ino
        assert os.fstat(mine_fd).st_size == CHANNEL_BYTES
    assert os.fstat(reply.fds[1]).st_ino == os.fstat(b.area).st_ino
    assert os.fstat(event.fds[1]).st_ino == os.fstat(a.area).st_ino
    assert a.error("connect", ep=mine.ep, to=5, timeout_ms=0) == "BADSTATE"
    assert b.error("connect", ep=theirs.ep, to=mine.ep, timeout_ms=0) == "BADSTATE"
    second = a.bind()
    assert a.connect(second.ep, 5).peer_index == 1
    b.ask("unbind", ep=theirs.ep, slot=NO_SLOT)
    assert {a.event("gone").ep, a.event("gone").ep} == {mine.ep, second.ep}
    assert a.error("connect", ep=mine.ep, to=theirs.ep, timeout_ms=0) == "NODEST"


def an_unbound_channel_number_is_used_again(dvsd):
    a, b = dvsd.link(), dvsd.link()
    server = b.bind(want=5)
    mine = [a.bind() for _ in range(130)]
    for endpoint in mine:
        a.connect(endpoint.ep, 5)
        b.event("channel")
    a.ask("unbind", ep=mine[70].ep, slot=mine[70].slot)
    assert b.event("gone").peer == mine[70].ep
    assert a.connect(a.bind().ep, server.ep).peer_index == 70


def privileges_decide_who_may_call(dvsd):
    a, b = dvsd.link(), dvsd.link()
    mine, theirs = a.bind().ep, b.bind(want=5).ep
    assert b.ask("privileges_get", ep=mine).call_to == [{"first": 0, "last": (1 << 20) - 2}]
    assert b.error("privileges_get", ep=77) == "NODEST"
    assert b.error("privileges_set", ep=77, may=0, call_to=[]) == "NODEST"
    assert b.error("privileges_set", ep=mine, may=64, call_to=[]) == "BADARG"
    assert b.error("privileges_set", ep=mine, may=0,
                   call_to=[{"first": 6, "last": 5}]) == "BADARG"
    b.ask("privileges_set", ep=mine, may=2, call_to=[{"first": 6, "last": 9}])
    assert a.event("may").may == 2
    assert a.error("connect", ep=mine, to=5, timeout_ms=0) == "DENIED"
    reply = b.connect(theirs, mine)
    assert (reply.may_call, reply.may_serve) == (1, 0)
    event = a.event("channel")
    assert (event.may_call, event.may_serve) == (0, 1)
    b.ask("privileges_set", ep=mine, may=0, call_to=[{"first": 0, "last": 99}])
    assert a.event("gone").reason == 2 and b.event("gone").reason == 2
    reply = a.connect(mine, 5)
    event = b.event("channel")
    assert (reply.peer_may_relay, event.peer_may_relay) == (1, 0), "b is a manager's, a was set to 0"
    a.ask("privileges_set", ep=mine, may=1, call_to=[{"first": 0, "last": 99}])
    assert a.quiet("gone", 0.05) and b.quiet("gone", 0.05)
    a.ask("privileges_set", ep=mine, may=32, call_to=[{"first": 0, "last": 99}])
    assert a.event("gone").reason == 2 and b.event("gone").reason == 2
    reply = b.connect(theirs, mine)
    assert (reply.peer_may_relay, a.event("channel").peer_may_relay) == (1, 1)


def nobody_gives_rights_that_he_lacks(dvsd):
    manager = dvsd.link()
    child = stranger(dvsd)
    ep = child.run("l.bind().ep")
    manager.ask("privileges_set", ep=ep, may=16, call_to=[{"first": 0, "last": 99}])
    assert error(child, f"l.ask('privileges_set', ep={ep}, may=17, call_to=[])") == "DENIED"
    wide = "[{'first': 0, 'last': 100}]"
    assert error(child, f"l.ask('privileges_set', ep={ep}, may=16, call_to={wide})") == "DENIED"
    small = "[{'first': 3, 'last': 9}]"
    assert child.run(f"l.ask('privileges_set', ep={ep}, may=16, call_to={small}).body") == {}
    child.kill()


def a_dead_process_loses_its_endpoints(dvsd):
    link = dvsd.link()
    mine = link.bind().ep
    for _ in range(3):
        child = Child()
        child.run(f"globals().update(l=Link('{dvsd.control('a')}'))")
        child.run("l.hello() and None")
        theirs = child.run("l.bind(want=5).ep")
        link.connect(mine, theirs)
        child.kill()
        gone = link.event("gone")
        assert (gone.peer, gone.ep, gone.reason) == (theirs, mine, 3)
        assert link.error("wait", ep=5, what=2, timeout_ms=5000) == "OK"


def a_process_that_executes_another_program_loses_them_too(dvsd):
    link = dvsd.link()
    child = Child()
    child.run(f"globals().update(l=Link('{dvsd.control('a')}'))")
    child.run("l.hello() and None")
    ep = child.run("l.bind(want=5).ep")
    child.ours.send(b"os.execv('/bin/sleep', ['sleep', '100'])")
    assert link.error("wait", ep=ep, what=2, timeout_ms=5000) == "OK"
    child.kill()


def an_inherited_socket_is_of_no_use(dvsd):
    link = dvsd.link()
    ep = link.bind(want=5).ep
    pid = os.fork()
    if pid == 0:
        link.send("unbind", ep=ep, slot=NO_SLOT)
        os._exit(0)
    os.waitpid(pid, 0)
    # Refused, and its owner is none the worse for it.
    assert link.error("wait", ep=ep, what=1, timeout_ms=0) == "OK"
    assert link.bind(want=6).ep


def a_waiter_can_be_woken(dvsd):
    a, b = dvsd.link(), dvsd.link()
    mine, theirs = a.bind().ep, b.bind(want=5).ep
    a.ask("wakeup", ep=mine, to=5)
    assert b.event("woken").ep == theirs
    assert a.error("wakeup", ep=mine, to=6) == "NODEST"
    child = stranger(dvsd)
    child.run("globals().update(e=l.bind().ep, f=l.bind().ep)")
    assert error(child, "l.ask('wakeup', ep=e, to=5)") == "DENIED"
    assert error(child, f"l.ask('wakeup', ep={mine}, to=5)") == "NOTBOUND"
    child.run("l.ask('wakeup', ep=e, to=f) and None")
    assert child.run("l.event('woken').ep == f")
    child.kill()


def a_cycle_of_waits_is_broken_when_all_confirm(dvsd):
    links = [dvsd.link() for _ in range(3)]
    ends = [link.bind().ep for link in links]

    def blocked(i, on, wait=1, probe=0):
        links[i].ask("blocked", ep=ends[i], on=on, wait=wait, probe=probe)

    blocked(0, ends[1])
    blocked(1, ends[2])
    assert all(link.quiet("probe", 0.05) for link in links)
    blocked(2, ends[0])
    probes = [link.event("probe") for link in links]
    assert len({probe.probe for probe in probes}) == 1
    for i in (0, 1):
        blocked(i, ends[(i + 1) % 3], probe=probes[i].probe)
        assert links[2].quiet("deadlock", 0.05)
    blocked(2, ends[0], probe=probes[2].probe)
    assert links[2].event("deadlock").wait == 1, "the last one that came"
    assert links[0].quiet("deadlock", 0.05) and links[1].quiet("deadlock", 0.05)
    # one that waits no more breaks the cycle by itself
    blocked(2, ends[0], wait=2)
    probes = [link.event("probe") for link in links]
    blocked(0, ANY)
    blocked(1, ends[2], probe=probes[1].probe)
    blocked(2, ends[0], wait=2, probe=probes[2].probe)
    assert all(link.quiet("deadlock", 0.05) for link in links)
    assert links[0].error("blocked", ep=ends[1], on=1, wait=1, probe=0) == "NODEST"


def information_is_given(dvsd):
    a, b = dvsd.link(), dvsd.link()
    mine = a.bind(tid=4711)
    b.bind(want=5)
    a.connect(mine.ep, 5)
    info = a.ask("dvs_info")
    assert (info.node, info.nodes, info.dcs, info.endpoints, info.channels) == (0, 1, 1, 2, 1)
    assert info.dvsd_pid == dvsd.process.pid and info.version
    info = a.ask("dc_info")
    assert (info.name, info.endpoints, info.channels, info.processes) == ("a", 2, 1, 2)
    # 64 bytes a record: ep, activity, partner, tracing, six counters
    os.pwrite(a.stats, struct.pack("<IIII6Q", mine.ep, 3, 5, 0, 1, 2, 3, 4, 5, 6), 0)
    info = b.ask("endpoint_info", cursor=mine.ep, next=0)
    assert (info.pid, info.tid, info.channels, info.node) == (os.getpid(), 4711, 1, 0)
    assert (info.activity, info.partner) == (3, 5)
    assert (info.messages_in, info.messages_out, info.bytes_in, info.bytes_out,
            info.notifies_in, info.sleeps) == (1, 2, 3, 4, 5, 6)
    with open("/proc/self/comm", encoding="ascii") as comm:
        assert info.program == comm.read().strip()[:15], info.program
    assert b.error("endpoint_info", cursor=77, next=0) == "NODEST"
    assert b.error("endpoint_info", cursor=1 << 63, next=1) == "NODEST"
    assert b.error("endpoint_info", cursor=0, next=2) == "PROTO"


def messages_can_be_followed(dvsd):
    a, b, c = dvsd.link(), dvsd.link(), dvsd.link()
    ep = b.bind(want=5).ep
    assert a.error("trace", ep=6) == "NODEST"
    ring = a.ask("trace", ep=5)
    event = b.event("trace_ring")
    assert event.ep == ep
    assert os.fstat(ring.fds[0]).st_ino == os.fstat(event.fds[0]).st_ino
    tracing = lambda: struct.unpack("<I", os.pread(b.stats, 4, 12))[0]
    assert tracing() == 1
    assert c.error("trace", ep=5) == "INUSE"
    again = a.ask("trace", ep=5)
    ended = lambda fd: struct.unpack("<I", os.pread(fd, 4, 16))[0]
    assert ended(ring.fds[0]) == 1 and ended(again.fds[0]) == 0
    a.close()
    while c.error("trace", ep=5) == "INUSE":
        pass
    assert tracing() == 1
    c.close()
    d = dvsd.link()
    last = d.ask("trace", ep=5) if d.error("trace", ep=5) == "OK" else None
    b.ask("unbind", ep=ep, slot=NO_SLOT)
    assert last is None or ended(last.fds[0]) == 1


def garbage_ends_the_link_and_nothing_else(dvsd):
    seed = int.from_bytes(os.urandom(4), "little")
    print(f"# seed {seed}")
    dice = random.Random(seed)
    good = dvsd.link()
    ep = good.bind(want=5).ep
    for round_number in range(200):
        link = dvsd.link(hello=round_number % 2 == 0)
        try:
            for _ in range(20):
                op = dice.choice([*range(0, 72), 2**31, 2**32 - 1])
                head = struct.pack("<III", op, dice.choice([0, 1, 2**32 - 1]),
                                   dice.choice([0, 0, 0, 5]))
                size = dice.choice([0, 1, 4, 8, 9, 12, 64, 4354, 5000])
                fds = [0] * dice.choice([0, 0, 1, 2, 3])
                link.send_raw((head + dice.randbytes(size))[:dice.choice([3, 12, 6000])], fds)
        except (BrokenPipeError, ConnectionResetError):
            pass
        link.close()
    assert good.ask("endpoint_info", cursor=ep, next=0).ep == ep
    # Connections that ended are closed when dvsd comes to them.
    wait_for(lambda: dvsd.n_fds() < 60, "their descriptors are closed")


def a_bad_frame_is_answered_until_there_are_too_many(dvsd):
    link = dvsd.link()
    for _ in range(7):
        link.send_raw(struct.pack("<III", 200, 7, 0))
        assert link.reply(7).error == "PROTO"
    link.send_raw(struct.pack("<III", 2, 8, 0) + b"xx")
    assert link.is_closed()


def who_does_not_read_blocks_nobody(dvsd):
    reader, deaf = dvsd.link(), dvsd.link()
    slow = deaf.bind(want=5)
    mine = [reader.bind().ep for _ in range(3000)]
    refused = 0
    asked = [reader.send("connect", ep=ep, to=5, timeout_ms=300) for ep in mine]
    for request in asked:
        refused += reader.reply(request, 20).error == "TIMEOUT"
    assert refused > 0, "a queue of channels is bounded"
    assert dvsd.n_fds() < 200, dvsd.n_fds()
    late = reader.send("connect", ep=[ep for ep in mine][-1], to=5, timeout_ms=20000)
    for _ in range(3000 - refused):
        for fd in deaf.event("channel").fds:
            os.close(fd)
    assert reader.reply(late, 20).error in ("OK", "BADSTATE")
    before = deaf.bell(slow.slot)[1]
    reader.ask("wakeup", ep=mine[0], to=5)
    deadline = time.monotonic() + 5
    while deaf.bell(slow.slot)[1] < before + 3 and time.monotonic() < deadline:
        time.sleep(0.01)  # the count is in shared memory
    assert deaf.bell(slow.slot)[1] >= before + 3, "an unread event is rung for again"


TESTS = [
    the_admin_makes_lists_and_removes_dcs,
    only_the_admin_socket_does_that,
    hello_gives_sealed_areas_once,
    numbers_are_given_and_taken,
    a_program_without_rights_gets_no_server_numbers,
    a_dc_owner_is_a_manager,
    a_process_is_in_one_dc_at_a_time,
    a_binding_for_another_process_waits_for_it,
    waits_end_when_it_happens_or_time_is_over,
    two_processes_get_one_channel,
    an_unbound_channel_number_is_used_again,
    privileges_decide_who_may_call,
    nobody_gives_rights_that_he_lacks,
    a_dead_process_loses_its_endpoints,
    a_process_that_executes_another_program_loses_them_too,
    an_inherited_socket_is_of_no_use,
    a_waiter_can_be_woken,
    a_cycle_of_waits_is_broken_when_all_confirm,
    information_is_given,
    messages_can_be_followed,
    garbage_ends_the_link_and_nothing_else,
    a_bad_frame_is_answered_until_there_are_too_many,
    who_does_not_read_blocks_nobody,
]

if __name__ == "__main__":
    if os.geteuid() != 0:
        print("1..0 # SKIP needs root")
        sys.exit(0)
    sys.exit(Tap().run(TESTS, start))
