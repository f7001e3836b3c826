#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The guides do what they say: their commands are run in their order, and what stands below them is compared with what comes; '...' stands for
anything. Pages that are named together share a lab.

usage: guide.py PAGE..."""

import fnmatch
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lab import BUILD, SOURCE, Lab, requires_lab

GUIDE = SOURCE / "docs" / "guide"
EXAMPLE = SOURCE / "apps" / "examples" / "web.yaml"
EXAMPLES_INSTALLED = "/usr/share/doc/libdvk-dev/examples"
# What a node or a program still has to notice.
PATIENCE = 60
FAILED_MAX = 1
# What a reader types once.
ONCE = re.compile(r"sed|dvs (up|down|vol create|fs create|image import|run -d|lab (?!ls|exec))\b")


def steps(guide):
    """(where, command, lines that are expected) for each command."""
    found = []
    fenced = False
    for line in guide.read_text().splitlines():
        command = re.fullmatch(r"    (host|n\d)# (.*)", line)
        fenced ^= line.startswith("```")
        if fenced:
            continue
        if command:
            found.append((command[1], command[2], []))
        elif line.startswith("    ") and found:
            found[-1][2].append(line[4:])
    return found


def prepare(name, folder):
    """The files that the page shows, or tells the reader to take; whether they are as they should be."""
    text = (GUIDE / f"{name}.md").read_text()
    for file, content in re.findall(r"^`(\w+\.yaml)`.*?^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        Path(folder, file).write_text(content)
    if name == "programming":
        page = (SOURCE / "docs" / "man" / "dvs-fs.3.scd").read_text()
        example = re.search(r"^# EXAMPLE$.*?^```\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[1]
        Path(folder, "show.c").write_text(example.replace('"web"', '"talk"'))
    if name != "containers":
        return True
    example = EXAMPLE.read_text()
    Path(folder, "web.yaml").write_text(example.replace("- /srv/web:", f"- {folder}/www:"))
    return example in text


def plain(lines):
    """Columns are as wide as what stands in them."""
    return "\n".join(re.sub(r" +", " ", line.rstrip()) for line in lines)


def pattern(lines):
    text = re.sub(r"([][*?])", r"[\1]", plain(lines))
    # Lines of their own can be none.
    text = re.sub(r"(?m)^(\s*)\.\.\.$", r"\1...", text)
    return text.replace("...", "*")


def matches(output, lines):
    return not lines or fnmatch.fnmatchcase(plain(output.strip("\n").splitlines()), pattern(lines))


def environment():
    return {
        "PATH": f"{BUILD}:{BUILD}/apps/examples:{os.environ['PATH']}",
        "LD_LIBRARY_PATH": str(BUILD),
        "CPATH": str(SOURCE / "include"),
        "PKG_CONFIG_PATH": str(BUILD / "meson-uninstalled"),
    }


def run(lab, folder, where, command):
    command = command.replace(EXAMPLES_INSTALLED, str(SOURCE / "apps" / "examples"))
    if where == "host":
        # The lab of the guide is ours, which has a name of its own.
        command = re.sub(r"^dvs lab (\w+)", rf"dvs lab \1 --name {lab.name}", command)
        command = command.replace("/srv/web", f"{folder}/www")
        done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True,
                              check=False, timeout=120, stdin=subprocess.DEVNULL,
                              env=os.environ | environment())
    else:
        words = " ".join(f"{name}={value}" for name, value in environment().items())
        done = lab.exec(int(where[1:]), "bash", "-c", f"cd {folder} && export {words}\n{command}",
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
        if time.monotonic() > deadline or ONCE.match(command):
            return f"status {status}:\n{output}\nexpected:\n" + "\n".join(expected)
        time.sleep(0.5)  # the guide's reader looks again, too


def tell(number, good, title, why=""):
    print(f"{'ok' if good else 'not ok'} {number} - {title}", flush=True)
    if not good:
        print("\n".join("# " + line for line in why.splitlines()), flush=True)


def is_for_everybody():
    """Whether what a plain compiler makes can use the libraries: not those of sanitizers."""
    library = (BUILD / "libdvk.so").read_bytes()
    return b"__asan_init" not in library and b"__tsan_init" not in library


def main():
    requires_lab()
    failed = n = 0
    with Lab(3) as lab, tempfile.TemporaryDirectory(prefix="dvs-guide.") as folder:
        os.chmod(folder, 0o755)
        for name in sys.argv[1:]:
            if name == "programming" and not is_for_everybody():
                continue
            n += 1
            good = prepare(name, folder)
            failed += not good
            tell(n, good, f"{name}: files are those of the source")
            for where, command, expected in steps(GUIDE / f"{name}.md"):
                # What follows a failure mostly fails, too, after a long wait.
                if re.match(r"dvs lab (up|down)", command) or failed > FAILED_MAX:
                    continue
                n += 1
                why = try_step(lab, folder, where, command, expected)
                failed += why is not None
                tell(n, why is None, f"{name}: {where}# {command}", why or "")
    print(f"1..{n}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
