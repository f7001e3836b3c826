#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The man pages tell all there is: every command and option of the table of commands, every
public function with its prototype, every error; and their examples compile.

usage: man-pages.py SOURCE DVS DVSD [CC...]   test, in TAP
       man-pages.py --example SOURCE PAGE     print the example program of a page
"""

import json
import re
import subprocess
import sys
from pathlib import Path

DAEMONS = ("dvsd", "dvs-agent", "dvs-attach", "dvs-fs", "dvs-fuse", "dvs-nbd", "dvs-proxy", "dvs-vdd")
LIBRARY_PAGES = {"m3ipc.3": "m3ipc.h", "dvk.3": "dvk.h", "dvs-fs.3": "fs.h", "dvs-group.3": "group.h"}


class Tap:
    def __init__(self):
        self.count = 0
        self.failed = 0

    def check(self, good, title, why=""):
        self.count += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.count} - {title}", flush=True)
        if not good:
            print("\n".join(f"# {line}" for line in why.splitlines()))

    def finish(self):
        print(f"1..{self.count}")
        return 1 if self.failed else 0


def page_path(source, page):
    return source / "docs" / "man" / f"{page}.scd"


def code_blocks(text):
    return re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def example_of(source, page):
    programs = [block for block in code_blocks(page_path(source, page).read_text())
                if "int main(" in block]
    return programs[0] if len(programs) == 1 else None


def squeeze(text):
    return re.sub(r"\s+", " ", text).strip()


def prototypes(header):
    """The public functions of a header, each as name and prototype in one line."""
    text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.DOTALL)
    found = re.findall(r"^DVS_PUBLIC\s+((?:DVS_MUST_USE\s+)?[^;{]+;)", text, re.MULTILINE)
    for one in found:
        one = squeeze(one.replace("DVS_MUST_USE", ""))
        yield re.search(r"(\w+)\(", one)[1], one


def mentions(text, option):
    wanted = [f"*--{option['name']}*"]
    if option["letter"]:
        wanted.append(f"*-{option['letter']}*")
    # "*-o json*, *--output json*" is a mention too.
    return [want for want in wanted if want not in text and want[:-1] + " " not in text]


def check_commands(tap, source, table):
    main_page = page_path(source, "dvs.1").read_text()
    for option in table["common_options"]:
        missing = mentions(main_page, option)
        tap.check(not missing, f"dvs(1) tells --{option['name']}", f"missing: {missing}")
    for command in table["commands"]:
        name, section = re.fullmatch(r"([\w-]+)\((\d)\)", command["page"]).groups()
        path = page_path(source, f"{name}.{section}")
        text = path.read_text() if path.exists() else ""
        wanted = f"*dvs {command['name']}*"
        tap.check(wanted in text and wanted in main_page,
                  f"{command['page']} and dvs(1) tell {command['name']}", f"no {wanted}")
        missing = [word for option in command["options"] for word in mentions(text, option)]
        tap.check(not missing, f"{command['page']} tells the options of {command['name']}",
                  f"missing: {missing}")


def options_of(*command):
    """The long options that the help of a program tells."""
    usage = subprocess.run([*command, "--help"], check=True, text=True,
                           stdout=subprocess.PIPE).stdout
    return sorted({"".join(option) for option
                   in re.findall(r"^ +(--[\w-]+)|, (--[\w-]+)", usage, re.MULTILINE)})


def check_bench(tap, table, dvs):
    """The benchmarks read their own words: the table must know them all."""
    row = next(row for row in table["commands"] if row["name"] == "bench ipc")
    known = {f"--{option['name']}" for option in row["options"]} | {"--help"}
    missing = sorted(set(options_of(dvs, "bench", "ipc")) - known)
    tap.check(not missing, "the table has the options of bench ipc", f"missing: {missing}")


def check_daemons(tap, source, dvsd):
    for daemon in DAEMONS:
        path = page_path(source, f"{daemon}.8")
        text = path.read_text() if path.exists() else ""
        missing = [name for name in options_of(dvsd.parent / daemon) if f"*{name}*" not in text]
        tap.check(text and not missing, f"{daemon}(8) tells its options", f"missing: {missing}")


def check_library(tap, source):
    for page, header in LIBRARY_PAGES.items():
        blocks = squeeze(" ".join(code_blocks(page_path(source, page).read_text())))
        for name, prototype in prototypes(source / "include" / "dvs" / header):
            tap.check(prototype in blocks, f"{page} tells {name}", f"no: {prototype}")
    page = page_path(source, "m3ipc.3").read_text()
    blocks = squeeze(" ".join(code_blocks(page)))
    for name, prototype in prototypes(source / "include" / "dvs" / "error.h"):
        tap.check(prototype in blocks, f"m3ipc.3 tells {name}", f"no: {prototype}")
    errors = (source / "include" / "dvs" / "errors.def").read_text()
    for name, text, errno in re.findall(r'^X\((\w+), \d+, "([^"]*)", "[^"]*", (\w+)\)', errors,
                                        re.MULTILINE):
        if name != "OK":
            row = f"|  {name}\n:  {text}\n:  {errno}\n"
            tap.check(row in page, f"m3ipc.3 tells {name}", f"no row:\n{row}")


def check_examples(tap, source, compiler):
    for page in LIBRARY_PAGES:
        program = example_of(source, page)
        if not program:
            tap.check(False, f"{page} has one example program")
            continue
        result = subprocess.run([*compiler, "-x", "c", "-std=c11", "-Wall", "-Wextra", "-Werror",
                                 "-fsyntax-only", "-I", str(source / "include"), "-"],
                                input=program, capture_output=True, text=True, check=False)
        tap.check(result.returncode == 0, f"the example of {page} compiles", result.stderr)


def check_pages(tap, source):
    pages = sorted((source / "docs" / "man").glob("*.scd"))
    names = {page.stem for page in pages}
    built = "".join(path.read_text() for path in (source / "src").rglob("meson.build"))
    built += "".join(path.read_text() for path in (source / "apps").rglob("meson.build"))
    for page in pages:
        text = page.read_text()
        result = subprocess.run(["scdoc"], input=text, capture_output=True, text=True, check=False)
        tap.check(result.returncode == 0 and not result.stderr, f"{page.stem} is a page",
                  result.stderr)
        linked = {f"{name}.{section}" for name, section
                  in re.findall(r"\*((?:dvs|dvsd|m3ipc|dvk)[\w-]*)\*\((\d)\)", text)}
        tap.check(f"/{page.name}'" in built, f"{page.stem} is installed", "no meson.build has it")
        tap.check(linked <= names, f"{page.stem} refers to pages that exist",
                  f"no {sorted(linked - names)}")


def main():
    if sys.argv[1] == "--example":
        sys.stdout.write(example_of(Path(sys.argv[2]), sys.argv[3]) or "")
        return 0
    source, dvs, dvsd = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    table = json.loads(subprocess.run([dvs, "help", "-o", "json"], check=True, text=True,
                                      stdout=subprocess.PIPE).stdout)
    tap = Tap()
    check_commands(tap, source, table)
    check_bench(tap, table, dvs)
    check_daemons(tap, source, Path(dvsd).resolve())
    check_library(tap, source)
    check_examples(tap, source, sys.argv[4:] or ["cc"])
    check_pages(tap, source)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
