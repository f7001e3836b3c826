#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Many endpoints and many processes: what they cost dvsd in memory and descriptors."""

import os
import resource
import sys
import time

from dvsd import ANY, BUILD, Child, Dvsd, Tap

ENDPOINTS = 10000
PER_PROCESS = 2500
PROCESSES = 4000
# A sanitizer's own memory is not what is measured here.
SANITIZED = b"__asan_init" in (BUILD / "dvsd").read_bytes()


def start():
    dvsd = Dvsd()
    dvsd.create("a")
    return dvsd


def settled(dvsd, wanted):
    """Wait until the DC has so many endpoints."""
    admin = dvsd.admin()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if admin.ask("dc_next", cursor=0).endpoints == wanted:
            admin.close()
            return True
    return False


def ten_thousand_endpoints_cost_little(dvsd):
    links = [dvsd.link() for _ in range(ENDPOINTS // PER_PROCESS)]
    before_kib, before_fds = dvsd.rss_kib(), dvsd.n_fds()
    ends = []
    for link in links:
        asked = [link.send("bind", want=ANY, binding=1, tid=1) for _ in range(PER_PROCESS)]
        ends.append([link.reply(request, 60).ep for request in asked])
    bound_kib = dvsd.rss_kib()
    server = dvsd.link()
    server.bind(want=5)
    for link, mine in zip(links, ends):
        for ep in mine:
            for fd in link.connect(ep, 5, timeout_ms=10000).fds:
                os.close(fd)
            for fd in server.event("channel").fds:
                os.close(fd)
    connected_kib = dvsd.rss_kib()
    info = links[0].ask("dc_info")
    assert (info.endpoints, info.channels) == (ENDPOINTS + 1, ENDPOINTS)
    print(f"# {ENDPOINTS} endpoints: {bound_kib - before_kib} KiB,"
          f" with a channel each {connected_kib - before_kib} KiB, {dvsd.n_fds()} descriptors")
    assert dvsd.n_fds() < before_fds + 10
    assert SANITIZED or (bound_kib - before_kib) / ENDPOINTS < 1, "KiB for an endpoint"
    assert SANITIZED or (connected_kib - before_kib) / ENDPOINTS < 2, "KiB with a channel"
    idle = dvsd.cpu_s()
    time.sleep(2)  # the span that is measured
    assert dvsd.cpu_s() - idle <= 0.03, "idle endpoints cost dvsd no time"
    for link in links:
        link.close()
    assert settled(dvsd, 1)
    print(f"# after their end: {dvsd.rss_kib() - before_kib} KiB")


def a_restart_with_ten_thousand_endpoints_is_quick(dvsd):
    link = dvsd.link()
    asked = [link.send("bind", want=ANY, binding=1, tid=1) for _ in range(ENDPOINTS)]
    for request in asked:
        link.reply(request, 60)
    began = time.monotonic()
    dvsd.kill()
    dvsd.start()
    print(f"# started again in {(time.monotonic() - began) * 1000:.0f} ms")
    assert dvsd.admin().ask("dc_next", cursor=0).endpoints == ENDPOINTS


def four_thousand_processes_are_served(dvsd):
    need = PROCESSES * 4 + 500
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < need:
        print(f"# skipped in part: descriptors are limited to {hard}")
    n = min(PROCESSES, (hard - 500) // 4)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    before_kib, before_fds = dvsd.rss_kib(), dvsd.n_fds()
    server = dvsd.link()
    server.bind(want=5)
    crowd = Child()
    crowd.run(f"""
def crowd(n):
    import select
    global pids, ready
    ready, done = os.pipe()
    pids = []
    for _ in range(n):
        pid = os.fork()
        if pid == 0:
            try:
                link = Link('{dvsd.control("a")}')
                link.hello()
                link.bind()
                os.write(done, b'.')
                while True:
                    signal.pause()
            finally:
                os._exit(1)
        pids.append(pid)
    got = 0
    while got < n and select.select([ready], [], [], 60)[0]:
        got += len(os.read(ready, 65536))
    return got
""")
    got = crowd.run(f"crowd({n})")
    assert got == n, got
    print(f"# {n} processes: {dvsd.rss_kib() - before_kib} KiB,"
          f" {dvsd.n_fds() - before_fds} descriptors")
    assert dvsd.n_fds() - before_fds <= 4 * n + 10
    assert server.ask("dc_info").processes == n + 1
    crowd.run("[os.kill(pid, signal.SIGKILL) for pid in pids] and None")
    crowd.run("[os.waitpid(pid, 0) for pid in pids] and None")
    assert settled(dvsd, 1)
    assert dvsd.n_fds() - before_fds < 20, "nothing is left of them"
    crowd.kill()


TESTS = [
    ten_thousand_endpoints_cost_little,
    a_restart_with_ten_thousand_endpoints_is_quick,
    four_thousand_processes_are_served,
]

if __name__ == "__main__":
    if os.geteuid() != 0:
        print("1..0 # SKIP needs root")
        sys.exit(0)
    sys.exit(Tap().run(TESTS, start))
