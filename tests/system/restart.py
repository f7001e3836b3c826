#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""dvsd is killed, or stopped, and started again: nothing that it knew is lost."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile

from dvsd import BUILD, NO_SLOT, Child, Dvsd, Link, Tap

GENERATION = 1 << 20


def start():
    dvsd = Dvsd()
    dvsd.create("a")
    return dvsd


class Process:
    """What a library would keep of one link, to be able to come back."""

    def __init__(self, dvsd, dc="a"):
        self.dvsd, self.dc = dvsd, dc
        self.link = dvsd.link(dc)
        self.ends = {}   # ep -> [slot, role, migration]
        self.links = []

    def bind(self, **values):
        reply = self.link.bind(**values)
        self.ends[reply.ep] = [reply.slot, reply.role, 0]
        return reply.ep

    def connect(self, ep, other, to):
        reply = self.link.connect(ep, to)
        event = other.link.event("channel")
        for fd in reply.fds + event.fds:
            os.close(fd)
        self.links.append({"ep": ep, "peer": reply.peer, "my_index": reply.my_index,
                           "peer_index": reply.peer_index, "side": reply.side, "remote": 0, "lanes": 0})
        other.links.append({"ep": event.ep, "peer": event.peer, "my_index": event.my_index,
                            "peer_index": event.peer_index, "side": event.side, "remote": 0, "lanes": 0})

    def back(self, end=True):
        former = self.link
        self.link = Link(self.dvsd.control(self.dc))
        self.link.area, self.link.stats = former.area, former.stats
        former.area = former.stats = None
        former.close()
        self.link.hello(rejoin=1, fds=[self.link.area, self.link.stats])
        errors = {}
        for ep, (slot, role, migration) in self.ends.items():
            errors[ep] = self.link.error("rejoin_endpoint", ep=ep, slot=slot, role=role, tid=1,
                                         migration=migration)
        if end:
            self.link.ask("rejoin_links", links=self.links)
        return errors


def pair(dvsd):
    client, server = Process(dvsd), Process(dvsd)
    mine, theirs = client.bind(), server.bind(want=5)
    client.connect(mine, server, 5)
    return client, server, mine, theirs


def end(dvsd, how):
    if how == "kill":
        dvsd.kill()
    else:
        assert dvsd.stop() == 0


def again(dvsd, how="kill"):
    end(dvsd, how)
    dvsd.start()


def conversations_outlive_dvsd(dvsd):
    for how in ("kill", "stop"):
        client, server, mine, theirs = pair(dvsd)
        client.link.ask("privileges_set", ep=mine, may=3, call_to=[{"first": 0, "last": 9}])
        end(dvsd, how)
        bells = client.link.bell(0), server.link.bell(0)
        dvsd.start()
        # Once or more: who does not come back at once is rung again.
        assert client.link.bell(0)[1] > bells[0][1], "its inbox was rung"
        assert server.link.bell(0)[1] > bells[1][1]
        assert set(client.back().values()) == {"OK"}
        assert server.back() == {theirs: "OK"}
        assert client.link.error("connect", ep=mine, to=5, timeout_ms=0) == "BADSTATE"
        assert client.link.quiet("gone", 0.05) and server.link.quiet("gone", 0.05)
        info = client.link.ask("endpoint_info", cursor=mine, next=0)
        assert (info.channels, info.may) == (1, 3)
        assert info.call_to == [{"first": 0, "last": 9}]
        another = client.bind()
        assert another & 0xfffff == (mine & 0xfffff) + 1, "numbers go on where they were"
        reply = client.link.connect(another, 5)
        assert reply.peer_index == 1, "the number of the channel is taken"
        server.link.event("channel")
        server.link.close()
        assert {client.link.event("gone").ep, client.link.event("gone").ep} == {mine, another}
        assert client.link.error("wait", ep=5, what=2, timeout_ms=5000) == "OK"
        client.link.close()
        fresh = dvsd.link()
        fresh.bind(want=5)
        fresh.close()


def who_is_not_back_yet_is_waited_for(dvsd):
    client, server, mine, theirs = pair(dvsd)
    again(dvsd)
    client.links = []
    client.back()
    other = client.bind()
    assert client.link.error("connect", ep=other, to=5, timeout_ms=50) == "TIMEOUT"
    waiting = client.link.send("connect", ep=other, to=5, timeout_ms=10000)
    server.back()
    assert client.link.reply(waiting).peer == theirs
    assert server.link.event("gone").peer == mine, "the other side did not tell of it"
    assert server.link.event("channel").peer == other


def what_one_side_does_not_tell_is_gone(dvsd):
    client, server, mine, theirs = pair(dvsd)
    again(dvsd)
    server.back()
    assert server.link.quiet("gone", 0.05), "the client is not back yet"
    client.links = []
    client.back()
    assert server.link.event("gone").peer == mine
    assert client.link.connect(mine, 5).peer == theirs


def who_died_meanwhile_is_unbound(dvsd):
    client = Process(dvsd)
    mine = client.bind()
    child = Child()
    child.run(f"globals().update(l=Link('{dvsd.control('a')}'))")
    child.run("l.hello() and None")
    theirs = child.run("l.bind(want=5).ep")
    reply = client.link.connect(mine, 5)
    client.links.append({"ep": mine, "peer": theirs, "my_index": reply.my_index,
                         "peer_index": reply.peer_index, "side": reply.side, "remote": 0, "lanes": 0})
    dvsd.kill()
    child.kill()
    dvsd.start()
    client.back()
    assert client.link.event("gone").peer == theirs
    assert client.link.error("connect", ep=mine, to=5, timeout_ms=0) == "NODEST"
    assert client.link.bind(want=5).ep == 5 + 2 * GENERATION, "generations are remembered"


def who_let_go_meanwhile_is_unbound(dvsd):
    client, server, mine, theirs = pair(dvsd)
    dvsd.kill()
    server.link.close()
    dvsd.start()
    client.back()
    assert client.link.event("gone").peer == theirs
    fresh = dvsd.link()
    assert fresh.bind(want=5).ep == 5 + 2 * GENERATION


def a_backup_follows_a_primary_that_died_meanwhile(dvsd):
    client, spare = Process(dvsd), Process(dvsd)
    mine = client.bind()
    child = Child()
    child.run(f"globals().update(l=Link('{dvsd.control('a')}'))")
    child.run("l.hello() and None")
    ep = child.run("l.bind(want=5).ep")
    spare.bind(want=5, binding=2)
    reply = client.link.connect(mine, 5)
    client.links.append({"ep": mine, "peer": ep, "my_index": reply.my_index,
                         "peer_index": reply.peer_index, "side": reply.side, "remote": 0, "lanes": 0})
    for first, second in ((client, spare), (spare, client)):
        dvsd.kill()
        if first is client:
            child.kill()
        dvsd.start()
        assert set(first.back().values()) == {"OK"}
        assert set(second.back().values()) == {"OK"}
        if first is client:
            event = client.link.event("channel")
            assert (event.mode, event.peer) == (3, ep)
            theirs = spare.link.event("channel")
            assert (theirs.mode, theirs.peer) == (3, mine)
            spare.ends[ep][1] = 1
            spare.links = [{"ep": ep, "peer": mine, "my_index": theirs.my_index,
                            "peer_index": theirs.peer_index, "side": theirs.side, "remote": 0, "lanes": 0}]
        assert client.link.quiet("gone", 0.05)
    assert client.link.error("connect", ep=mine, to=5, timeout_ms=0) == "BADSTATE"


def who_is_lost_finds_the_promoted_primary(dvsd):
    client, server, mine, theirs = pair(dvsd)
    spare = Process(dvsd)
    spare.bind(want=5, binding=2)
    again(dvsd)
    server.back()
    spare.back()
    spare.link.ask("promote", ep=5, pid=0)
    assert spare.link.event("role").role == 1
    client.back()
    event = client.link.event("channel")
    assert (event.mode, event.peer) == (3, theirs)
    assert spare.link.event("channel").peer == mine
    assert client.link.quiet("gone", 0.05)


def a_binding_that_was_made_for_another_is_kept(dvsd):
    link = dvsd.link()
    child = Child()
    given = link.ask("bind_for", pid=child.pid, want=7, binding=1).ep
    link.close()
    again(dvsd)
    child.run(f"globals().update(l=Link('{dvsd.control('a')}'))")
    child.run("l.hello() and None")
    assert child.run("l.event('bound').ep") == given
    again(dvsd)
    child.run(f"globals().update(o=l, l=Link('{dvsd.control('a')}'))")
    child.run("l.hello(rejoin=1, fds=[o.area, o.stats]) and None")
    child.run("l.ask('rejoin_links', links=[]) and None")
    assert child.run("l.event('bound').ep") == given, "it is told of it again"
    child.kill()


def a_binding_whose_answer_was_lost_is_not_kept(dvsd):
    process = Process(dvsd)
    ep = process.bind(want=5)
    del process.ends[ep]
    again(dvsd)
    process.back(end=False)
    assert process.link.bind(want=5).ep == ep + GENERATION, "asking again ends the rejoin"


def rejoining_with_nonsense_is_refused(dvsd):
    client, server, mine, theirs = pair(dvsd)
    again(dvsd)
    stranger = dvsd.link(hello=False)
    null = os.open("/dev/null", os.O_RDWR)
    assert stranger.error("hello", version=1, rejoin=1) == "PROTO"
    assert stranger.error("hello", version=1, rejoin=1, fds=[null, null]) == "PROTO"
    memory = os.memfd_create("x", os.MFD_ALLOW_SEALING)
    os.ftruncate(memory, 16384 * 4096)
    assert stranger.error("hello", version=1, rejoin=1, fds=[memory, memory]) == "PROTO"
    child = Child()
    child.run(f"globals().update(l=Link('{dvsd.control('a')}'))")
    fds = [client.link.area, client.link.stats]
    child.run(f"globals().update(area=os.open('/proc/{os.getpid()}/fd/{fds[0]}', os.O_RDWR),"
              f" stats=os.open('/proc/{os.getpid()}/fd/{fds[1]}', os.O_RDWR))")
    assert child.run("l.ask('hello', version=1, rejoin=1, fds=[area, stats])") == "failed DENIED"
    child.kill()
    client.back(end=False)
    rows = [{"ep": mine, "peer": theirs, "my_index": 0, "peer_index": 20000, "side": 0, "remote": 0, "lanes": 0}]
    assert client.link.error("rejoin_links", links=rows) == "PROTO"
    assert client.link.error("rejoin_endpoint", ep=theirs, slot=0, role=1, tid=1,
                             migration=0) == "NODEST"
    rows = [{"ep": mine, "peer": theirs, "my_index": 9, "peer_index": 9, "side": 1, "remote": 0, "lanes": 0},
            {"ep": mine, "peer": mine, "my_index": 1, "peer_index": 1, "side": 1, "remote": 0, "lanes": 0},
            {"ep": theirs, "peer": mine, "my_index": 1, "peer_index": 1, "side": 1, "remote": 0, "lanes": 0},
            {"ep": mine, "peer": 77, "my_index": 9, "peer_index": 9, "side": 1, "remote": 0, "lanes": 0}]
    client.link.ask("rejoin_links", links=rows)
    server.back()
    assert server.link.event("gone").peer == mine, "the two stories differ"
    assert client.link.connect(mine, 5).peer == theirs
    assert client.link.error("rejoin_links", links=[]) == "BADSTATE"


def a_parked_endpoint_still_owes_what_it_told(dvsd):
    client, server, mine, theirs = pair(dvsd)
    heir = Child()
    client.link.ask("migrate_start", ep=5)
    number = server.link.event("migrate").number
    server.link.ask("parked", ep=theirs, slot=0, number=number, more=0,
                    taken=[{"peer": mine, "number": 9, "stale": 2}]
                    + [{"peer": 1, "number": 1}] * 100)
    server.ends[theirs][2] = number
    again(dvsd)
    client.back()
    server.back()
    assert server.link.quiet("migrate", 0.05)
    heir.run(f"globals().update(l=Link('{dvsd.control('a')}'))")
    heir.run("l.hello() and None")
    client.link.ask("migrate_commit", ep=5, pid=heir.pid, timeout_ms=0)
    assert server.link.event("unbound").ep == theirs
    assert client.link.event("channel").mode == 2
    assert heir.run("l.event('bound').ep") == theirs
    assert heir.run("(lambda c: (c.open, c.stale))(l.event('channel'))") == (9, 2)
    heir.kill()


def a_migration_that_began_goes_on(dvsd):
    client, server, mine, theirs = pair(dvsd)
    client.link.ask("migrate_start", ep=5)
    number = server.link.event("migrate").number
    server.link.ask("parked", ep=theirs, slot=0, number=number, more=1,
                    taken=[{"peer": mine, "number": 9}])
    server.ends[theirs][2] = number
    again(dvsd)
    client.back()
    server.back()
    once_more = server.link.event("migrate")
    assert once_more.what == 1 and once_more.number > number
    assert server.link.error("parked", ep=theirs, slot=0, number=number, more=0,
                             taken=[]) == "BADSTATE", "it begins anew"
    server.link.ask("parked", ep=theirs, slot=0, number=once_more.number, more=0, taken=[])
    heir = Child()
    heir.run(f"globals().update(l=Link('{dvsd.control('a')}'))")
    heir.run("l.hello() and None")
    client.link.ask("migrate_commit", ep=5, pid=heir.pid, timeout_ms=0)
    assert heir.run("l.event('channel').open") == 0
    heir.kill()


def a_migration_that_ended_unnoticed_is_told(dvsd):
    client, server, _, theirs = pair(dvsd)
    for end in ("rollback", "none"):
        client.link.ask("migrate_start", ep=5)
        begun = server.link.event("migrate")
        server.link.ask("parked", ep=theirs, slot=0, number=begun.number, more=0, taken=[])
        server.ends[theirs][2] = begun.number
        if end == "rollback":
            client.link.ask("migrate_rollback", ep=5)
        again(dvsd)
        client.back()
        server.back()
        if end == "rollback":
            over = server.link.event("migrate")
            assert (over.what, over.number) == (2, begun.number)
        else:
            assert server.link.quiet("migrate", 0.05)


def a_record_that_is_cut_short_is_dropped(dvsd):
    client = Process(dvsd)
    first = client.bind()
    state = dvsd.run_dir / "lib" / "state" / "state"
    for cut in (1, 20, 60):
        lost = client.bind()
        dvsd.kill()
        os.truncate(state, state.stat().st_size - cut)
        dvsd.start()
        assert client.back() == {first: "OK", lost: "NODEST"}
        del client.ends[lost]
    dvsd.kill()
    state.write_bytes(b"no state file at all")
    dvsd.start()
    assert dvsd.create("b") == 1


def dcs_and_their_sockets_are_there_again(dvsd):
    dvsd.create("b", owner_uid=5)
    dvsd.admin().ask("dc_remove", name="a", force=1)
    again(dvsd)
    rows = dvsd.admin().ask("dc_next", cursor=0)
    assert (rows.body["name"], rows.dc, rows.owner_uid) == ("b", 2, 5)
    assert dvsd.admin().error("dc_next", cursor=2) == "NODC"
    assert dvsd.create("a") == 3
    assert dvsd.link("b").bind().ep


def dcs_and_records_outlive_the_machine(dvsd):
    """Only the library directory is left, as after a loss of power."""
    admin = dvsd.admin()
    admin.ask("record_set", name="a", key="volume/x", expected=0, value=b"wanted")
    client = Process(dvsd)
    lost = client.bind(want=5)
    dvsd.kill()
    client.link.close()
    for path in dvsd.run_dir.iterdir():
        if path.name not in ("lib", "log"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    dvsd.start()
    got = dvsd.admin().ask("record_get", name="a", key="volume/x")
    assert bytes(got.value) == b"wanted"
    assert dvsd.link().bind(want=5).ep % GENERATION == lost % GENERATION


def a_second_dvsd_is_refused(dvsd):
    done = subprocess.run([BUILD / "dvsd", "--run-dir", dvsd.run_dir], capture_output=True,
                          timeout=20, check=False)
    assert done.returncode == 1
    assert b"another dvsd" in done.stderr and done.stdout == b""
    assert dvsd.link().bind().ep
    assert (dvsd.run_dir / "dvsd.pid").read_text().strip() == str(dvsd.process.pid)


def a_service_manager_is_told(dvsd):
    with tempfile.TemporaryDirectory() as directory:
        for name in (f"{directory}/notify", "\0dvsd-test-notify"):
            manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            manager.bind(name)
            manager.settimeout(10)
            process = subprocess.Popen(
                [BUILD / "dvsd", "--run-dir", f"{directory}/run"], stderr=subprocess.DEVNULL,
                env={**os.environ, "NOTIFY_SOCKET": name.replace("\0", "@")})
            assert manager.recv(100) == b"READY=1"
            process.terminate()
            assert process.wait(10) == 0
            manager.close()
    assert dvsd.link().bind().ep


def an_admin_comes_back_to_its_dc(dvsd):
    admin = dvsd.admin()
    admin.hello()
    admin.ask("enter", name="a")
    again(dvsd)
    former, admin = admin, dvsd.admin()
    admin.hello(rejoin=1, fds=[former.area, former.stats])
    admin.ask("enter", name="a")
    assert admin.ask("dc_info").body["name"] == "a"


def the_state_file_does_not_grow_without_end(dvsd):
    link = dvsd.link()
    state = dvsd.run_dir / "lib" / "state" / "state"
    largest = 0
    for _ in range(30):
        for request in [link.send("bind", want=5, binding=1, tid=1) if i % 2 == 0 else
                        link.send("unbind", ep=5, slot=NO_SLOT) for i in range(2000)]:
            link.reply(request)
        largest = max(largest, state.stat().st_size)
    assert largest < 5 << 20, largest


TESTS = [
    conversations_outlive_dvsd,
    who_is_not_back_yet_is_waited_for,
    what_one_side_does_not_tell_is_gone,
    who_died_meanwhile_is_unbound,
    who_let_go_meanwhile_is_unbound,
    a_backup_follows_a_primary_that_died_meanwhile,
    who_is_lost_finds_the_promoted_primary,
    a_binding_that_was_made_for_another_is_kept,
    a_binding_whose_answer_was_lost_is_not_kept,
    rejoining_with_nonsense_is_refused,
    a_parked_endpoint_still_owes_what_it_told,
    a_migration_that_began_goes_on,
    a_migration_that_ended_unnoticed_is_told,
    a_record_that_is_cut_short_is_dropped,
    dcs_and_their_sockets_are_there_again,
    dcs_and_records_outlive_the_machine,
    a_second_dvsd_is_refused,
    a_service_manager_is_told,
    an_admin_comes_back_to_its_dc,
    the_state_file_does_not_grow_without_end,
]

if __name__ == "__main__":
    if os.geteuid() != 0:
        print("1..0 # SKIP needs root")
        sys.exit(0)
    sys.exit(Tap().run(TESTS, start))
