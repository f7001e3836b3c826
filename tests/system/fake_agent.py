#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An agent that makes no containers: it says of each what a file tells it to say. dvsd starts it in the place of dvs-agent (DVS_AGENT).

LIB_DIR/behave.json: {"DC": "broken: no such image"}, or "slow" (it says nothing), "stuck" (it does not say that it is gone); without a word for a DC all goes
well. LIB_DIR/heard: what it was started with, one line each time."""

import argparse
import json
import signal
import sys
from pathlib import Path

from dvsd import Failed, Link

WANTED, READY, BROKEN, GONE, LEAVING = 1, 2, 3, 4, 5
CREATING, RUNS, FAILED, REMOVING = 1, 2, 3, 4


class Agent:
    def __init__(self, options):
        self.node = options.node
        self.lib = Path(options.lib_dir)
        self.admin = Link(f"{options.run_dir}/admin")
        self.admin.ask("watch")
        self.link = Link(f"{options.run_dir}/dc/.dvs/control")
        self.link.hello()
        self.link.bind(self.node + 1)

    def behaviour(self, name):
        try:
            return json.loads((self.lib / "behave.json").read_text()).get(name, "")
        except (OSError, ValueError):
            return ""

    def dcs(self):
        cursor = 0
        while True:
            try:
                dc = self.admin.ask("container_next", cursor=cursor, hidden=1)
            except Failed:
                return
            cursor = dc.dc
            yield dc

    def say(self, dc, state, frozen=0, version=0, text=""):
        self.admin.error("container_report", dc=dc.dc, state=state, frozen=frozen, version=version, text=text)

    def look_at(self, dc):
        mine = [row for row in dc.nodes if row["node"] == self.node]
        if not mine:
            return
        mine = mine[0]
        behaviour = self.behaviour(dc.name)
        if dc.phase in (FAILED, REMOVING) or mine["state"] == LEAVING:
            if mine["state"] != GONE and behaviour != "stuck":
                self.say(dc, GONE)
        elif behaviour.startswith("broken: "):
            self.say(dc, BROKEN, text=behaviour.removeprefix("broken: "))
        elif behaviour != "slow" and (mine["state"], mine["version"], mine["frozen"]) != (READY, dc.version, dc.frozen):
            self.say(dc, READY, frozen=dc.frozen, version=dc.version)

    def run(self):
        while True:
            for dc in self.dcs():
                self.look_at(dc)
            try:
                self.admin.event("happened", 0.2)
                self.admin.events.clear()
            except TimeoutError:
                pass  # its behaviour may be another one by now


def main():
    parser = argparse.ArgumentParser()
    for name in ("--run-dir", "--lib-dir", "--log-level"):
        parser.add_argument(name, required=True)
    parser.add_argument("--node", type=int, required=True)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    Path(options.lib_dir).mkdir(exist_ok=True)
    with open(f"{options.lib_dir}/heard", "a", encoding="utf-8") as heard:
        heard.write(" ".join(sys.argv[1:]) + "\n")
    try:
        Agent(options).run()
    except (EOFError, OSError):
        sys.exit(1)


main()
