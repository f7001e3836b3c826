#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The guides do what they say: their commands are run in their order, and what stands below them is compared with what comes; '...' stands for
anything.

usage: guide.py containers|filesystems|volumes"""

import fnmatch
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lab import BUILD, SOURCE, Lab, requires_lab

EXAMPLE = SOURCE / "apps" / "examples" / "web.yaml"
# What a node or a program still has to notice.
PATIENCE = 60


def steps(guide):
    """(where, command, lines that are expected) for each command."""
    found = []
    fenced = False
    for line in guide.read_text().splitlines():
        command = re.fullmatch(r"    (host|n0)# (.*)", line)
        fenced ^= line.startswith("```")
        if fenced:
            continue
        if command:
            found.append((command[1], command[2], []))
        elif line.startswith("    ") and found:
            found[-1][2].append(line[4:])
    return found


def pattern(lines):
    text = re.sub(r"([][*?])", r"[\1]", "\n".join(lines))
    # Lines of their own can be none.
    text = re.sub(r"(?m)^(\s*)\.\.\.$", r"\1...", text)
    return text.replace("...", "*")


def matches(output, lines):
    output = "\n".join(line.rstrip() for line in output.strip("\n").splitlines())
    return not lines or fnmatch.fnmatchcase(output, pattern(lines))


def run(lab, folder, where, command):
    if where == "host":
        # The lab of the guide is ours, which has a name of its own.
        command = re.sub(r"^dvs lab (\w+)", rf"dvs lab \1 --name {lab.name}", command)
        command = command.replace("/srv/web", f"{folder}/www")
        done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True,
                              check=False, timeout=120, stdin=subprocess.DEVNULL,
                              env=os.environ | {"PATH": f"{BUILD}:{os.environ['PATH']}"})
    else:
        done = lab.exec(0, "bash", "-c", f"cd {folder} && export PATH={BUILD}:$PATH && {command}",
                        timeout=120)
    # On stderr is also how far it is; what is to fail has nothing else.
    text = done.stdout
    if done.returncode != 0 or command.endswith("|| true"):
        text += done.stderr
    return done.returncode, text


def try_step(lab, folder, where, command, expected):
    """None, or what went wrong. What is not so yet may be so in a moment."""
    deadline = time.monotonic() + PATIENCE
    while True:
        status, output = run(lab, folder, where, command)
        if status == 0 and matches(output, expected):
            return None
        if time.monotonic() > deadline or command.startswith(("dvs up", "dvs down", "dvs vol create", "sed")):
            return f"status {status}:\n{output}\nexpected:\n" + "\n".join(expected)
        time.sleep(0.5)  # the guide's reader looks again, too


def main():
    requires_lab()
    failed = n = 0
    name = sys.argv[1]
    guide = SOURCE / "docs" / "guide" / f"{name}.md"
    with Lab(3) as lab, tempfile.TemporaryDirectory(prefix="dvs-guide.") as folder:
        os.chmod(folder, 0o755)
        if name == "containers":
            text = EXAMPLE.read_text()
            good = text in guide.read_text()
            failed += not good
            n += 1
            print(f"{'ok' if good else 'not ok'} 1 - the guide shows {EXAMPLE.name} as it is")
            Path(folder, "web.yaml").write_text(text.replace("- /srv/web:", f"- {folder}/www:"))
        for where, command, expected in steps(guide):
            if re.match(r"dvs lab (up|down)", command):
                continue
            n += 1
            why = try_step(lab, folder, where, command, expected)
            failed += why is not None
            print(f"{'ok' if why is None else 'not ok'} {n} - {where}# {command}", flush=True)
            if why is not None:
                print("\n".join("# " + line for line in why.splitlines()), flush=True)
    print(f"1..{n}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
