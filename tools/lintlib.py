# SPDX-License-Identifier: Apache-2.0
"""What the checks in tools/ share: which files there are, and how findings are told."""

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def parse_root(description, **extra):
    """The common command line: --root DIR (the tree to check), and what EXTRA names."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--root", type=Path, default=ROOT, help="the tree to check")
    for name, options in extra.items():
        parser.add_argument(name if options.get("nargs") else f"--{name.replace('_', '-')}",
                            **options)
    return parser.parse_args()


def all_files(root):
    """Paths below ROOT that git knows or would add; everything, where there is no git."""
    if (root / ".git").exists():
        found = subprocess.run(["git", "-C", str(root), "ls-files", "-co", "--exclude-standard"],
                               check=True, capture_output=True, text=True).stdout.split("\n")
        return [root / name for name in sorted(found) if name and (root / name).is_file()]
    return sorted(path for path in root.rglob("*") if path.is_file())


def c_files(root, folders=("src", "include", "apps", "tests", "fuzz")):
    return [path for path in all_files(root)
            if path.suffix in (".c", ".h") and path.relative_to(root).parts[0] in folders]


def first_line(path):
    with open(path, "rb") as file:
        return file.readline(200).decode(errors="replace")


def python_files(root):
    return [path for path in all_files(root)
            if path.suffix == ".py" or (not path.suffix and "python3" in first_line(path))]


def shell_files(root):
    return [path for path in all_files(root) if path.suffix == ".sh"
            or (not path.suffix and first_line(path).startswith(("#!/bin/sh", "#!/bin/bash")))]


def reasons(path):
    """{entry: reason} of a list whose lines are "entry  # reason"; a reason is required."""
    entries = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        entry, mark, reason = line.partition("#")
        if not mark or not reason.strip():
            sys.exit(f"{path}:{number}: '{line.strip()}' has no reason; write: entry  # reason")
        entries[entry.strip()] = reason.strip()
    return entries


def finish(tool, findings, checked):
    """Tell what was found; the exit status."""
    for finding in findings:
        print(finding)
    if findings:
        print(f"{tool}: {len(findings)} findings")
        return 1
    print(f"{tool}: {checked} checked, nothing found")
    return 0


def run_tool(tool, command, **options):
    """Run an outside checker; its missing is a failure with a hint, not a skip."""
    try:
        return subprocess.run(command, check=False, **options).returncode
    except FileNotFoundError:
        print(f"{tool}: {command[0]} is not installed; run tools/install-deps", file=sys.stderr)
        return 1
