#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""POSIX calls on the file systems whose directories are named (or a tmpfs, to look at the checks themselves): errors, rights, times, limits."""

import os
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

import posix_files
import posix_names
import posix_rights
from dvsd import Tap

CHECKS = posix_names.CHECKS + posix_rights.CHECKS + posix_files.CHECKS


def run(tap, where, only=()):
    for check in CHECKS:
        if only and check.__name__ not in only:
            continue
        title = f"{where.name}: {check.__name__.replace('_', ' ')}"
        os.umask(0)
        at = Path(tempfile.mkdtemp(prefix="posix.", dir=where))
        os.chmod(at, 0o755)
        try:
            check(at)
            tap.ok(True, title)
        except Exception:
            tap.ok(False, title, traceback.format_exc())
        finally:
            os.chdir("/")
            os.umask(0o22)
            shutil.rmtree(at, ignore_errors=True)


def main():
    tap = Tap()
    where = [Path(word) for word in sys.argv[1:] if "/" in word] or [Path("/dev/shm")]
    for path in where:
        run(tap, path, [word for word in sys.argv[1:] if "/" not in word])
    print(f"1..{tap.n}")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
