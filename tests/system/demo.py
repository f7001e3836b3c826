#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`make run` and `make demo`: the web site of examples/web comes up, goes on while the node of its disk and file server is killed, and leaves nothing."""

import os
import shutil
import subprocess
import sys

from dvsd import BUILD, Tap
from lab import SOURCE, requires_lab

LAB = f"demo{os.getpid()}"
OWN = {**os.environ, "DVS_LAB": LAB, "DVS_SITE": str(SOURCE / "docs")}


def demo(*words):
    return subprocess.run([SOURCE / "tools/run-demo", "--plain", *words], env=OWN, check=False,
                          capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL)


def main():
    requires_lab()
    # Its own build: the tools look for it beside themselves.
    if not shutil.which("nginx") or not shutil.which("curl") or BUILD.resolve() != SOURCE.resolve() / "build":
        print("1..0 # SKIP needs nginx and curl, and the build directory 'build'")
        return 0
    tap = Tap()
    done = demo("--nodes", "7")
    tap.ok(done.returncode == 2 and "nodes are 0 to 2" in done.stderr, "a node that is not there is refused", done.stderr)
    done = demo("--nodes", "0", "--seconds", "8")
    # How long the pause is depends on who else works here.
    tap.ok(", 0 wrong, 0 failed" in done.stdout.splitlines()[-1], "no byte is wrong and no request fails",
           done.stdout[-3000:] + done.stderr[-3000:])
    labs = subprocess.run([BUILD / "dvs", "lab", "ls"], check=True, capture_output=True, text=True).stdout
    tap.ok(LAB not in labs, "nothing is left", labs)
    print(f"1..{tap.n}")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
