#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What `make deb` would complain of, without building anything: each installed file is in one of the packages, what they need to be built is among what the tree needs, and they have the tree's version.

usage: files.py PREFIX    where the tree was installed
"""

import fnmatch
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEBIAN = ROOT / "packaging/debian"


def patterns():
    """Of each package: what it takes of the prefix; units, which have a place of their own there, are in `lib`."""
    for install in sorted(DEBIAN.glob("*.install")):
        for line in install.read_text().splitlines():
            pattern = line.split()[0]
            yield install.stem, pattern.removeprefix("usr/")


def packages_of(file, wanted):
    return {package for package, pattern in wanted if fnmatch.fnmatch(file, pattern) or file.startswith(pattern + "/")}


def wrong_files(prefix):
    wanted = list(patterns())
    for path in sorted(Path(prefix).rglob("*")):
        if path.is_dir() and not path.is_symlink():
            continue
        file = str(path.relative_to(prefix))
        packages = packages_of(file, wanted)
        if len(packages) != 1:
            yield f"{file} is in {' and '.join(sorted(packages)) or 'no package'}; see packaging/debian/*.install"


def wrong_needs():
    known = {line.split()[0] for line in (ROOT / "packaging/debian-packages.txt").read_text().splitlines()
             if line and not line.startswith("#")}
    needs = re.search(r"^Build-Depends:\n((?: .*\n)+)", (DEBIAN / "control").read_text(), re.M)[1]
    for need in needs.splitlines():
        name = need.split()[0].rstrip(",")
        if name not in known and name != "debhelper-compat":
            yield f"packaging/debian/control: {name} is not in packaging/debian-packages.txt"


def wrong_version():
    tree = re.search(r"^  version: '(.*)',", (ROOT / "meson.build").read_text(), re.M)[1]
    package = re.match(r"dvs \((.*)-\d+\)", (DEBIAN / "changelog").read_text())[1]
    if tree != package:
        yield f"packaging/debian/changelog has the version {package}, meson.build {tree}"


found = [*wrong_files(sys.argv[1]), *wrong_needs(), *wrong_version()]
for text in found:
    print(text)
sys.exit(1 if found else 0)
