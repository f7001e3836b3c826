#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The table of calls and errors against the headers, and the page that is made from it.

usage: table.py --root ROOT --programs NAME...   check (TAP)
       table.py --root ROOT --docs               write docs/calls.md"""

import argparse
import re
import sys
from pathlib import Path

COMMON = {"m3": ["NOTBOUND", "BADARG", "NODVSD"], "dvk": ["BADARG", "NODVSD"]}
NEVER_FAILS = {"m3_self"}

TITLES = {"m3ipc.h": "Communication: `dvs/m3ipc.h`", "dvk.h": "Management: `dvs/dvk.h`"}

HEAD = """# The calls and their errors

Made by `make docs` from `tests/calls/table.def`, whose every row is a test. The calls themselves
are explained in the headers; what the errors mean, and what to try, is in `dvs/errors.def`.
"""


class Row:
    def __init__(self, call, error, program, test, meaning):
        self.call, self.error, self.program = call, error, program
        self.test, self.meaning = test, meaning


def read_table(root):
    """The rows, and the errors that a call names and cannot return."""
    text = (root / "tests/calls/table.def").read_text()
    text = re.sub(r'"\s*\n\s*"', "", text)
    rows = [Row(*match) for match in re.findall(
        r'^X\((\w+),\s*(\w+),\s*(\w+),\s*(\w+),\s*"([^"]*)"\)', text, re.M)]
    n_starts = len(re.findall(r"^X\(", text, re.M))
    if n_starts != len(rows):
        raise SystemExit(f"table.def: {n_starts - len(rows)} rows are malformed")
    never = {(call, error): why for call, error, why in re.findall(
        r'^NEVER\((\w+),\s*(\w+),\s*"([^"]*)"\)', text, re.M)}
    return rows, never


def read_errors(root):
    text = (root / "include/dvs/errors.def").read_text()
    return [name for name, _ in re.findall(r"^X\((\w+), (\d+),", text, re.M)]


class Call:
    def __init__(self, name, header, comment, section, returns_error):
        self.name, self.header, self.comment = name, header, comment
        self.section, self.returns_error = section, returns_error

    def named_errors(self, calls, errors):
        """What its comment, the one it refers to, and its section name."""
        words = set(re.findall(r"\b[A-Z]+\b", self.comment + " " + self.section))
        named = words & set(errors) - {"OK"}
        for other in re.findall(r"\b(?:Errors as|As) (m3_\w+|dvk_\w+)\(\)", self.comment):
            if other in calls and other != self.name:
                named |= calls[other].named_errors(calls, errors)
        return named

    def all_errors(self, calls, errors):
        if not self.returns_error:
            return set()
        return self.named_errors(calls, errors) | set(COMMON[self.name.split("_")[0]])


def read_calls(root):
    """The functions of the headers with the comment before each, in their order."""
    calls = {}
    token = re.compile(r"/\*(?P<comment>.*?)\*/|"
                       r"DVS_PUBLIC\s+(?P<type>[\w\s*]*?)\*?(?P<name>(?:m3|dvk)_\w+)\s*\(|"
                       r"(?P<blank>\n\n)", re.S)
    for header in ("m3ipc.h", "dvk.h"):
        text = (root / "include/dvs" / header).read_text()
        comment, section = "", ""
        for match in token.finditer(text):
            if match["comment"] is not None:
                words = " ".join(re.sub(r"\n\s*\*", "\n", match["comment"]).split())
                if words.startswith("----"):
                    comment, section = "", words
                else:
                    comment = words
            elif match["blank"]:
                comment = ""
            elif match["name"] not in calls:
                calls[match["name"]] = Call(match["name"], header, comment, section,
                                            "dvs_err" in match["type"])
    return calls


def page(calls, rows, errors):
    out = [HEAD]
    for header, title in TITLES.items():
        out.append(f"\n## {title}\n")
        for call in (c for c in calls.values() if c.header == header):
            out.append(f"\n### {call.name}\n\n| result | when | test |\n| --- | --- | --- |")
            own = [row for row in rows if row.call == call.name]
            for row in sorted(own, key=lambda r: errors.index(r.error)):
                out.append(f"| {row.error} | {row.meaning} | `{row.program}`:"
                           f" {row.test.replace('_', ' ')} |")
    return "\n".join(out) + "\n"


def findings(root, programs):
    """Pairs of a title and what is wrong."""
    rows, never = read_table(root)
    errors, calls = read_errors(root), read_calls(root)
    have = {(row.call, row.error) for row in rows}
    yield ("every function of the headers is in the table",
           [name for name in calls if not any(row.call == name for row in rows)])
    yield ("every error that a comment names has a row",
           [f"{call.name} {error}" for call in calls.values()
            for error in sorted(call.all_errors(calls, errors))
            if call.name not in NEVER_FAILS and (call.name, error) not in have
            and (call.name, error) not in never])
    yield ("every row is about a call and an error that exist",
           [f"{call} {error}" for call, error in sorted(have | set(never))
            if call not in calls or error not in errors])
    yield ("no row is there twice, or said to be impossible",
           [f"{row.call} {row.error}" for n, row in enumerate(rows)
            if (row.call, row.error) in never
            or any((r.call, r.error, r.test) == (row.call, row.error, row.test)
                   for r in rows[:n])])
    yield ("every row is tested by a program that runs",
           [f"{row.call} {row.error}: {row.program}" for row in rows
            if row.program not in programs])
    shown = root / "docs/calls.md"
    good = shown.exists() and shown.read_text() == page(calls, rows, errors)
    yield ("docs/calls.md is up to date", [] if good else ["run: make docs"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--programs", nargs="*", default=[])
    parser.add_argument("--docs", action="store_true")
    options = parser.parse_args()
    if options.docs:
        rows, _ = read_table(options.root)
        calls, errors = read_calls(options.root), read_errors(options.root)
        (options.root / "docs/calls.md").write_text(page(calls, rows, errors))
        return 0
    results = list(findings(options.root, options.programs))
    print(f"1..{len(results)}")
    for number, (title, wrong) in enumerate(results, start=1):
        print(f"{'not ok' if wrong else 'ok'} {number} - {title}")
        for line in wrong:
            print(f"# {line}")
    return 1 if any(wrong for _, wrong in results) else 0


if __name__ == "__main__":
    sys.exit(main())
