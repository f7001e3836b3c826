#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Backups, promotion, migration and copies between memories, by raw frames."""

import ctypes
import os
import shutil
import signal
import sys
import tempfile
import time

from dvsd import ANY, NO_SLOT, Child, Dvsd, Failed, Tap

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


def a_backup_follows_its_primary(dvsd):
    client, spare, manager = dvsd.link(), dvsd.link(), dvsd.link()
    primary = Child()
    primary.run(f"globals().update(l=Link('{dvsd.control('a')}'))")
    primary.run("l.hello() and None")
    ep = primary.run("l.bind(want=5).ep")
    backup = spare.bind(want=5, binding=2)
    assert (backup.ep, backup.role) == (ep, 2)
    assert spare.error("bind", want=5, binding=2, tid=1) == "INUSE"
    assert spare.error("connect", ep=ep, to=client.bind().ep, timeout_ms=20) == "TIMEOUT"
    mine = client.bind().ep
    first = client.connect(mine, 5)
    primary.kill()
    assert (spare.event("role").role) == 1
    new = client.event("channel")
    assert (new.mode, new.peer, new.my_index, new.open) == (3, ep, first.my_index, 0)
    theirs = spare.event("channel")
    assert (theirs.mode, theirs.peer, theirs.my_index) == (3, mine, first.peer_index)
    assert os.fstat(new.fds[0]).st_ino == os.fstat(theirs.fds[0]).st_ino
    assert os.fstat(new.fds[0]).st_ino != os.fstat(first.fds[0]).st_ino
    assert os.fstat(new.fds[1]).st_ino == os.fstat(spare.area).st_ino
    assert client.quiet("gone")
    assert manager.error("promote", ep=5, pid=0) == "NOPROC"


def promotion_makes_a_living_primary_a_backup(dvsd):
    client, primary, manager = dvsd.link(), dvsd.link(), dvsd.link()
    backups = [dvsd.link(), dvsd.link()]
    ep = primary.bind(want=5).ep
    for link in backups:
        link.bind(want=5, binding=2)
    mine = client.bind().ep
    client.connect(mine, 5)
    primary.event("channel")
    assert manager.error("promote", ep=6, pid=0) == "NODEST"
    assert manager.error("promote", ep=5, pid=1) == "NOPROC"
    manager.ask("promote", ep=5, pid=0)
    assert primary.event("role").role == 2
    assert backups[0].event("role").role == 1, "the oldest one"
    assert backups[0].event("channel").peer == mine
    assert client.event("channel").peer == ep
    info = manager.ask("endpoint_info", cursor=5, next=0)
    assert (info.backups, info.role, info.binding, info.channels) == (2, 1, 1, 1)
    rows = []
    cursor = 0
    while True:
        try:
            row = manager.ask("endpoint_info", cursor=cursor, next=1)
        except Failed:
            break
        rows.append((number(row.ep), row.role))
        cursor = row.cursor_next
    assert rows == [(5, 1), (5, 2), (5, 2), (16384, 1)], rows


def an_endpoint_moves_to_another_process(dvsd):
    client, old, new, manager = dvsd.link(), dvsd.link(), dvsd.link(), dvsd.link()
    child = Child()
    ep = old.bind(want=5).ep
    clients = [client.bind().ep for _ in range(3)]
    for mine in clients[:2]:
        client.connect(mine, 5)
    assert manager.error("migrate_commit", ep=6, pid=os.getpid(), timeout_ms=0) == "NODEST"
    assert manager.error("migrate_commit", ep=5, pid=os.getpid(), timeout_ms=0) == "BADSTATE"
    assert manager.error("migrate_rollback", ep=5) == "BADSTATE"
    assert old.error("parked", ep=ep, slot=0, number=0, more=0, taken=[]) == "BADSTATE"
    manager.ask("migrate_start", ep=5)
    begun = old.event("migrate")
    assert (begun.what, begun.number) == (1, 1)
    assert manager.error("migrate_start", ep=5) == "BADSTATE"
    assert manager.error("promote", ep=5, pid=0) == "BADSTATE"
    assert client.error("connect", ep=clients[2], to=5, timeout_ms=30) == "TIMEOUT"
    manager.ask("migrate_rollback", ep=5)
    over = old.event("migrate")
    assert (over.what, over.number) == (2, 1)
    manager.ask("migrate_start", ep=5)
    assert old.event("migrate").number == 2
    for stale in (0, 1, 3):
        assert old.error("parked", ep=ep, slot=0, number=stale, more=0,
                         taken=[{"peer": clients[0], "number": 1}]) == "BADSTATE"
    assert manager.error("migrate_commit", ep=5, pid=child.pid, timeout_ms=0) == "NOPROC"
    child.run(f"globals().update(l=Link('{dvsd.control('a')}'))")
    child.run("l.hello() and None")
    assert manager.error("migrate_commit", ep=5, pid=child.pid, timeout_ms=30) == "TIMEOUT"
    waiting = manager.send("migrate_commit", ep=5, pid=child.pid, timeout_ms=10000)
    held = client.send("connect", ep=clients[2], to=5, timeout_ms=10000)
    assert new.error("parked", ep=ep, slot=0, number=2, more=0, taken=[]) == "NODEST"
    old.ask("parked", ep=ep, slot=0, number=2, more=1,
            taken=[{"peer": clients[1], "number": 77, "stale": 3}])
    assert not manager.replies
    old.ask("parked", ep=ep, slot=0, number=2, more=0, taken=[])
    assert manager.reply(waiting).error == "OK"
    assert old.event("unbound").ep == ep
    names = child.run("[l.event('bound').body] + [l.event('channel').body for _ in '12']")
    assert names[0]["ep"] == ep and names[0]["role"] == 1
    opens = {row["peer"]: (row["mode"], row["open"], row["stale"]) for row in names[1:]}
    assert opens == {clients[0]: (2, 0, 0), clients[1]: (2, 77, 3)}, opens
    for _ in range(2):
        event = client.event("channel")
        assert (event.mode, event.open, event.stale) == (2, 0, 0), "they are not its own to answer"
    assert client.reply(held).peer == ep
    assert client.quiet("gone")
    child.kill()


def new_home(dvsd):
    child = Child()
    child.run(f"globals().update(l=Link('{dvsd.control('a')}'))")
    child.run("l.hello() and None")
    return child


def congest(dvsd, ep):
    """Channels for EP until its process, which reads nothing, gets no more of them."""
    other = dvsd.link()
    for _ in range(2000):
        if other.error("connect", ep=other.bind().ep, to=ep, timeout_ms=0) == "TIMEOUT":
            return
    raise AssertionError("it takes everything")


def channel_with(link, peer):
    while True:
        event = link.event("channel")
        for fd in event.fds:
            os.close(fd)
        if event.peer == peer:
            return event


def what_is_owed_survives_a_second_move(dvsd):
    for parks_first in (True, False):
        client, old, manager = dvsd.link(), dvsd.link(), dvsd.link()
        homes = [new_home(dvsd), new_home(dvsd)]
        ep, mine = old.bind(want=5).ep, client.bind().ep
        client.connect(mine, 5)
        congest(dvsd, mine)
        manager.ask("migrate_start", ep=5)
        old.ask("parked", ep=ep, slot=0, number=old.event("migrate").number, more=0,
                taken=[{"peer": mine, "number": 77, "stale": 3}])
        manager.ask("migrate_commit", ep=5, pid=homes[0].pid, timeout_ms=0)
        slot = homes[0].run("l.event('bound').slot")
        manager.ask("migrate_start", ep=5)
        number = homes[0].run("l.event('migrate').number")
        parked = f"l.error('parked', ep={ep}, slot={slot}, number={{}}, more=0, taken={{}})"
        if parks_first:
            assert homes[0].run("l.quiet('channel', 0.05)")
            assert homes[0].run(parked.format(number, [])) == "OK"
            waiting = manager.send("migrate_commit", ep=5, pid=homes[1].pid, timeout_ms=9000)
            owed = homes[1]
        else:
            owed = homes[0]
        event = channel_with(client, ep)
        assert (event.mode, event.open, event.stale) == (2, 0, 0)
        if parks_first:
            assert manager.reply(waiting).error == "OK"
        assert owed.run("(lambda c: (c.mode, c.open, c.stale))(l.event('channel'))") == (2, 77, 3)
        if not parks_first:
            again = homes[0].run("l.event('migrate').number")
            assert again > number, "it may have parked before it read of the channel"
            assert homes[0].run(parked.format(number, [])) == "BADSTATE"
            assert homes[0].run(parked.format(again, [])) == "OK"
            manager.ask("migrate_commit", ep=5, pid=homes[1].pid, timeout_ms=0)
            channel_with(client, ep)
            assert homes[1].run("l.event('channel').open") == 0, "the second one told none"
        for home in homes:
            home.kill()
        client.close()
        old.close()


def who_asks_for_a_channel_can_migrate(dvsd):
    client, server, manager = dvsd.link(), dvsd.link(), dvsd.link()
    mine = client.bind().ep
    server.bind(want=5)
    manager.ask("migrate_start", ep=mine)
    assert client.connect(mine, 5).peer == server.event("channel").ep
    begun = client.event("migrate")
    client.ask("parked", ep=mine, slot=0, number=begun.number, more=0, taken=[])
    manager.ask("migrate_rollback", ep=mine)


def who_moves_while_its_partner_moves_owes_no_number(dvsd):
    client, old, manager = dvsd.link(), dvsd.link(), dvsd.link()
    homes = [new_home(dvsd), new_home(dvsd)]
    ep, mine = old.bind(want=5).ep, client.bind().ep
    client.connect(mine, 5)
    for link, who in ((old, ep), (client, mine)):
        manager.ask("migrate_start", ep=who)
        peer = mine if link is old else ep
        link.ask("parked", ep=who, slot=0, number=link.event("migrate").number, more=0,
                 taken=[{"peer": peer, "number": 7, "stale": 1}])
    for home, who in zip(homes, (ep, mine)):
        manager.ask("migrate_commit", ep=who, pid=home.pid, timeout_ms=0)
    for home in homes:
        got = home.run("(lambda c: (c.mode, c.open, c.stale))(l.event('channel'))")
        assert got == (2, 0, 2), got
        home.kill()


def an_endpoint_that_dies_while_it_moves_is_kept(dvsd):
    client, manager = dvsd.link(), dvsd.link()
    mine = client.bind().ep
    for commit in (True, False):
        old = Child()
        old.run(f"globals().update(l=Link('{dvsd.control('a')}'))")
        old.run("l.hello() and None")
        ep = old.run("l.bind(want=5).ep")
        client.connect(mine, 5)
        manager.ask("migrate_start", ep=5)
        old.kill()
        assert client.quiet("gone")
        if commit:
            new = dvsd.link()
            manager.ask("migrate_commit", ep=5, pid=os.getpid(), timeout_ms=1000)
            event = client.event("channel")
            assert (event.mode, event.peer) == (3, ep), "what the dead one had is unknown"
            info = manager.ask("endpoint_info", cursor=5, next=0)
            assert info.pid == os.getpid()
            manager.ask("unbind", ep=5, slot=NO_SLOT)
            assert client.event("gone").reason == 3
            new.close()
        else:
            manager.ask("migrate_rollback", ep=5)
            assert client.event("gone").reason == 3
            assert manager.error("wait", ep=5, what=2, timeout_ms=0) == "OK"


def grants_let_memory_be_copied(dvsd):
    a = dvsd.link()
    mine = a.bind().ep
    text = "ctypes.create_string_buffer"
    child = Child()
    child.run(f"globals().update(l=Link('{dvsd.control('a')}'))")
    child.run("l.hello() and None")
    theirs = child.run("l.bind(want=5).ep")
    child.run(f"globals().update(b={text}(b'x' * 700000, 700000))")
    address = child.run("ctypes.addressof(b)")

    def grant(rights, grantee=ANY, size=700000):
        return child.run(f"l.ask('grant', ep={theirs}, grantee={grantee}, addr={address},"
                         f" bytes={size}, rights={rights}).grant")

    buffer = ctypes.create_string_buffer(700000)
    here = ctypes.addressof(buffer)
    readable, writable, not_mine = grant(1), grant(2), grant(3, grantee=77)

    def copy(from_grant, to_grant, size=700000, offset=0):
        return a.error("copy", ep=mine, bytes=size,
                       from_ep=theirs if from_grant else mine, from_grant=from_grant,
                       from_offset=offset if from_grant else here,
                       to_ep=theirs if to_grant else mine, to_grant=to_grant,
                       to_offset=offset if to_grant else here)

    assert copy(readable, 0) == "OK"
    assert buffer.raw == b"x" * 700000
    buffer[:5] = b"hello"
    assert copy(0, writable, 5, offset=10) == "OK"
    assert child.run("b.raw[9:16]") == b"xhellox"
    assert copy(0, readable) == "NOGRANT"
    assert copy(writable, 0) == "NOGRANT"
    assert copy(not_mine, 0) == "NOGRANT"
    assert copy(99, 0) == "NOGRANT"
    assert copy(readable, 0, 700001) == "TOOBIG"
    assert copy(readable, 0, 2, offset=699999) == "TOOBIG"
    assert copy(readable, 0, 2, offset=(1 << 64) - 1) == "TOOBIG"
    assert copy(readable, 0, (1 << 30) + 1) == "TOOBIG"
    assert copy(readable, 0, 0) == "OK"
    assert a.error("copy", ep=mine, from_ep=99, from_grant=1, to_ep=mine, to_offset=here,
                   bytes=1) == "NODEST"
    assert a.error("copy", ep=mine, from_ep=theirs, from_grant=readable, to_ep=mine,
                   to_offset=8, bytes=1) == "FAULT"
    assert a.error("copy", ep=mine, from_ep=theirs, from_grant=readable, to_ep=mine,
                   to_offset=(1 << 64) - 1, bytes=9) == "FAULT"
    assert a.error("copy", ep=theirs, bytes=1) == "NOTBOUND"
    assert child.run(f"l.ask('revoke', ep={theirs}, grant={readable}).body") == {}
    assert error(child, f"l.ask('revoke', ep={theirs}, grant={readable})") == "NOGRANT"
    assert copy(readable, 0) == "NOGRANT"
    assert a.error("grant", ep=mine, grantee=ANY, addr=0, bytes=1, rights=4) == "BADARG"
    assert a.error("grant", ep=mine, grantee=ANY, addr=1 << 63, bytes=1 << 63,
                   rights=1) == "BADARG"
    child.run(f"[l.ask('grant', ep={theirs}, grantee=0, addr=0, bytes=1, rights=1).grant"
              " for _ in range(1024 - 2)][-1]")
    assert error(child, f"l.ask('grant', ep={theirs}, grantee=0, addr=0, bytes=1,"
                 " rights=1)") == "FULL"
    child.kill()


def a_third_party_copies_with_the_right(dvsd):
    a, b, c = dvsd.link(), dvsd.link(), dvsd.link()
    ends = [link.bind().ep for link in (a, b, c)]
    buffers = [ctypes.create_string_buffer(b"secret", 6), ctypes.create_string_buffer(6)]
    grants = [link.ask("grant", ep=ep, grantee=ends[2], addr=ctypes.addressof(buffer), bytes=6,
                       rights=rights).grant
              for link, ep, buffer, rights in zip((a, b), ends, buffers, (1, 2))]
    request = {"ep": ends[2], "from_ep": ends[0], "from_grant": grants[0], "to_ep": ends[1],
               "to_grant": grants[1], "bytes": 6}
    c.ask("copy", **request)
    assert buffers[1].raw == b"secret"
    a.ask("privileges_set", ep=ends[2], may=0, call_to=[])
    assert c.error("copy", **request) == "DENIED"
    assert b.error("copy", **{**request, "ep": ends[1]}) == "NOGRANT"


def a_program_that_gained_rights_is_not_written_to(dvsd):
    a = dvsd.link()
    mine = a.bind().ep
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        program = shutil.copy("/bin/sleep", directory)
        os.chmod(program, 0o4755)
        child = Child(NOBODY)
        child.run(f"globals().update(l=Link('{dvsd.control('a')}'))")
        child.run("l.hello() and None")
        theirs = child.run("l.bind().ep")
        child.run("globals().update(b=ctypes.create_string_buffer(64))")
        grant = child.run(f"l.ask('grant', ep={theirs}, grantee=ANY, bytes=64, rights=3,"
                          " addr=ctypes.addressof(b)).grant")
        buffer = ctypes.create_string_buffer(b"x" * 64, 64)
        request = {"ep": mine, "bytes": 64, "from_ep": mine,
                   "from_offset": ctypes.addressof(buffer), "to_ep": theirs, "to_grant": grant}
        a.ask("copy", **request)
        # a child of it keeps the link open, so that nothing tells of the execution
        holder = child.run("(lambda pid: pid or signal.pause())(os.fork())")
        child.ours.send(f"os.execv('{program}', ['sleep', '100'])".encode())
        deadline = time.monotonic() + 10
        while os.stat(f"/proc/{child.pid}").st_uid != 0 and time.monotonic() < deadline:
            pass
        assert os.readlink(f"/proc/{child.pid}/exe").endswith("/sleep")
        assert a.error("wait", ep=theirs, what=2, timeout_ms=0) == "TIMEOUT", "still bound"
        assert a.error("copy", **request) == "DENIED"
        os.kill(holder, signal.SIGKILL)
        assert a.error("wait", ep=theirs, what=2, timeout_ms=5000) == "OK"
        child.kill()


TESTS = [
    a_backup_follows_its_primary,
    promotion_makes_a_living_primary_a_backup,
    an_endpoint_moves_to_another_process,
    what_is_owed_survives_a_second_move,
    who_asks_for_a_channel_can_migrate,
    who_moves_while_its_partner_moves_owes_no_number,
    an_endpoint_that_dies_while_it_moves_is_kept,
    grants_let_memory_be_copied,
    a_third_party_copies_with_the_right,
    a_program_that_gained_rights_is_not_written_to,
]

if __name__ == "__main__":
    if os.geteuid() != 0:
        print("1..0 # SKIP needs root")
        sys.exit(0)
    sys.exit(Tap().run(TESTS, start))
