#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Groups on one node: views, order, state for those who join, members that die or do not read."""

import os
import sys

from actors import Actor, wait_for
from dvsd import Dvsd, Tap


def test_views_and_order(tap, dvsd):
    a = Actor(dvsd, 10, "g")
    tap.ok(a.expect("view")[1:] == ["10@0"], "the first member is alone in its view")
    a.tell("cast hello")
    tap.ok(a.expect("cast") == ["OK"] and a.expect("message")[2:] == ["hello"],
              "and gets its own messages")
    b = Actor(dvsd, 11, "g")
    tap.ok(b.expect("view")[1:] == ["10@0", "11@0?"], "the second awaits the state")
    tap.ok(a.expect("view")[1:] == ["10@0", "11@0?"], "the first sees the same view")
    tap.ok(a.expect("gave")[1] == "OK" and b.expect("state")[0] == "1",
              "and gives the state, in several pieces")
    c = Actor(dvsd, 12, "g")
    c.expect("state")
    for actor in (a, b, c):
        actor.tell("flood 500")
    for actor in (a, b, c):
        actor.expect("flooded", timeout=60)
    wait_for(lambda: all(actor.count == 1501 for actor in (a, b, c)), "all messages came")
    tap.ok(len({actor.state for actor in (a, b, c)}) == 1,
              "1500 messages of three at once come in one order")
    b.kill()
    tap.ok(wait_for(lambda: a.members == ["10@0", "12@0"], "a view without it"),
              "who dies is out of the view")
    d = Actor(dvsd, 13, "g")
    d.expect("state")
    a.tell("cast more")
    wait_for(lambda: all(actor.count == 1502 for actor in (a, c, d)), "the last message")
    tap.ok(a.state == c.state == d.state, "who joins has the state, and what comes after it")
    for actor in (a, c, d):
        actor.end()


def test_donor_dies(tap, dvsd):
    a = Actor(dvsd, 10, "h")
    b = Actor(dvsd, 11, "h")
    b.expect("state")
    b.tell("flood 20")
    b.expect("flooded")
    a.tell("pause")  # the donor does not read, so it gives nothing
    a.expect("paused")
    c = Actor(dvsd, 12, "h")
    c.expect("view")
    b.tell("flood 20")
    b.expect("flooded")
    tap.ok(c.count == 0, "without the state nothing is delivered")
    a.kill()
    c.expect("state")
    b.tell("cast end")
    wait_for(lambda: b.count == c.count == 41, "the other donor's state")
    tap.ok(b.state == c.state, "when the donor dies another one gives the state")
    b.tell("pause")
    b.expect("paused")
    d = Actor(dvsd, 13, "h")
    d.expect("view")
    b.kill()
    c.kill()
    tap.ok(wait_for(lambda: d.members == ["13@0"], "a view of its own"),
              "when all who had it are gone the group begins anew")
    d.tell("cast x")
    tap.ok(d.expect("message")[2:] == ["x"], "and goes on")
    d.end()


def test_who_does_not_read(tap, dvsd):
    a = Actor(dvsd, 10, "i")
    b = Actor(dvsd, 11, "i")
    b.expect("state")
    b.tell("pause")
    b.expect("paused")
    a.tell("flood 5000")
    a.expect("flooded", timeout=120)
    tap.ok(wait_for(lambda: a.members == ["10@0"], "a view without it"),
              "a member that does not read is put out of the group")
    b.tell("go")
    tap.ok(b.expect("over", timeout=60) == ["FULL"], "and is told why")
    a.tell("cast still")
    tap.ok(a.expect("cast") == ["OK"], "the others go on")
    a.tell("pause")
    a.expect("paused")
    for _ in range(200):
        a.tell("cast x")
    answers = [a.expect("cast")[0] for _ in range(200)]
    tap.ok("FULL" in answers, "who does not read cannot cast for long")
    a.tell("go")
    wait_for(lambda: a.count == 5001 + answers.count("OK"), "all that were taken")
    a.tell("cast again")
    tap.ok(a.expect("cast") == ["OK"], "and can again when it has read")
    a.end()
    b.end()


def test_bounds(tap, dvsd):
    link = dvsd.link()
    link.bind(20)
    client = link.bind()
    bound = link.bind(21)
    server, slot = bound.ep, bound.slot
    tap.ok(link.error("group_join", ep=client.ep, name="j") == "DENIED",
              "clients are no members")
    tap.ok(link.error("group_join", ep=22, name="j") == "NODEST",
              "nor endpoints of others")
    tap.ok(link.error("group_join", ep=server, name="a/b") == "BADARG", "names are names")
    seat = link.ask("group_join", ep=server, name="j").seat
    tap.ok(link.error("group_join", ep=server, name="j") == "EXISTS", "once")
    tap.ok(link.error("group_cast", seat=seat + 1, data=b"x") == "NOTBOUND",
              "only the own seat")
    other = dvsd.link()
    tap.ok(other.error("group_cast", seat=seat, data=b"x") == "NOTBOUND",
              "and only by its process")
    tap.ok(link.error("group_give", seat=seat, to=5, view=1, last=1) == "BADSTATE",
              "state is for who awaits it")
    tap.ok(link.error("group_read", seat=seat, count=2 ** 32 - 1) == "OK",
              "who claims to have read more than there was gains nothing")
    tap.ok(link.error("group_leave", seat=seat) == "OK", "it leaves")
    tap.ok(link.error("group_leave", seat=seat) == "NOTBOUND", "once")
    link.ask("group_join", ep=server, name="j")
    link.ask("unbind", ep=server, slot=slot)
    tap.ok(link.event("group_over").why == 3, "an endpoint that is unbound is no member")
    link.close()
    other.close()


def test_restart(tap, dvsd):
    a = Actor(dvsd, 10, "k")
    a.expect("view")
    dvsd.kill()
    dvsd.start()
    tap.ok(a.expect("over", timeout=30) == ["PEERDEAD"],
              "when dvsd is started anew the memberships are over")
    a.tell("cast x")
    tap.ok(a.expect("cast") == ["PEERDEAD"], "which a cast says too")
    b = Actor(dvsd, 11, "k")
    tap.ok(b.expect("view")[1:] == ["11@0"], "and the group begins anew")
    a.end()
    b.end()


def main():
    tap = Tap()
    dvsd = Dvsd()
    dvsd.create("a", owner_uid=os.getuid())
    try:
        for test in (test_views_and_order, test_donor_dies, test_who_does_not_read,
                     test_bounds, test_restart):
            test(tap, dvsd)
    finally:
        status = dvsd.end()
    tap.ok(status == 0, "dvsd stops cleanly")
    print(f"1..{tap.n}")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
