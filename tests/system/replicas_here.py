#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Three replicas on one node, each a process: what their threads do together, which the sanitizers watch. They come together, end and come back under load. (They do not hand over: on one node dvsd chooses who follows.)"""

import shutil
import subprocess
import sys
import tempfile
import traceback

from dvsd import Dvsd, Tap
from lab import wait_for
from replicas import NODES, Server, all_are_members, count, primary, report


class Here:
    """In place of a lab: dvsd's node, which is all of them."""

    def __init__(self, dvsd):
        self.run_dir = dvsd.run_dir
        self.programs = []
        self.said = tempfile.TemporaryFile("w+")

    def popen(self, _node, *argv, **how):
        program = subprocess.Popen([*map(str, argv)], stderr=self.said, **how)
        program.inner = program.pid
        self.programs.append(program)
        return program

    def close(self):
        """What the programs said besides."""
        for program in self.programs:
            if program.poll() is None:
                program.kill()
            program.wait()
            for pipe in (program.stdin, program.stdout):
                if pipe:
                    pipe.close()
        with self.said:
            self.said.seek(0)
            return self.said.read()


def end_and_come_back(tap, server, servers):
    server.tell("end")
    tap.equal(server.process.wait(60), 0, "one ends in order")
    server.reader.join(60)
    wait_for(lambda: primary(servers), "another one takes over", timeout=60)
    server.start()
    wait_for(lambda: all_are_members(servers), "it is a member again", timeout=60)


def run(tap, here, directory):
    servers = [Server(here, node, directory) for node in range(NODES)]
    wait_for(lambda: all_are_members(servers), "all are members", timeout=60)
    tap.ok(True, "three replicas come together")
    clients = [count(here, 0, number, 3000) for number in range(2)]
    for server in (primary(servers), servers[-1]):
        end_and_come_back(tap, server, servers)
    for number, client in enumerate(clients):
        report(tap, client, f"client {number}")
    for server in servers:
        server.tell("end")
    tap.equal([server.process.wait(60) for server in servers], [0] * NODES, "all end in order")


def main():
    tap = Tap()
    dvsd = Dvsd()
    dvsd.create("web")
    here = Here(dvsd)
    directory = tempfile.mkdtemp(prefix="dvs-replicas.")
    why = ""
    try:
        run(tap, here, directory)
    except (AssertionError, TimeoutError, OSError, subprocess.SubprocessError):
        why = traceback.format_exc()
    said = here.close()
    tap.ok(not why, "nobody waits for ever", why + said)
    tap.ok("Sanitizer" not in said, "the sanitizers find nothing", said)
    shutil.rmtree(directory)
    tap.equal(dvsd.end(), 0, "dvsd ends well")
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
