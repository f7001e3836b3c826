#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A process in a node of a lab that says to dvsd what it is told: a line of JSON for each question
comes in, one for each answer goes out. cluster_state.py starts it."""

import json
import sys

from dvsd import Failed, Link


def answer(link, question):
    what = question.pop("what")
    timeout = question.pop("timeout", 20)
    try:
        if what == "event":
            return link.event(question["name"], timeout).body
        if what == "quiet":
            return link.quiet(question["name"], timeout)
        return link.ask(what, timeout=timeout, **question).body
    except Failed as error:
        return {"error": str(error)}
    except TimeoutError:
        return {"error": "nothing came"}


def main():
    link = Link(sys.argv[1])
    if len(sys.argv) > 2:  # an admin's, turned to a DC
        link.ask("enter", name=sys.argv[2])
    link.hello()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(link, json.loads(line))), flush=True)


main()
