#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Each check in tools/ accepts a good tree and finds what is wrong in a bad one."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

TOOLS = Path(__file__).resolve().parent.parent.parent / "tools"
LICENCE = "/* SPDX-License-Identifier: Apache-2.0 */\n"
LONG = "\n".join(f"\tn += {i};" for i in range(70))
# In two parts, so that the checks of this tree do not find them here.
UNFINISHED = "TO" "DO"
MISSPELT = "rec" "ieve"

# check, file, content of the file, what the check must say ("" means: nothing is wrong)
CASES = [
    ("layers", "src/core/a.c", '#include "core/b.h"\n#include "base/list.h"\n', ""),
    ("layers", "src/base/a.c", '#include "ipc/b.h"\n', "base (floor 0) may not include"),
    ("layers", "src/core/a.c", '#include "ipc/b.h"\n', "core (floor 2) may not include"),
    ("layers", "src/core/a.c", '#include "b.h"\n', "is not a path relative to src/"),
    ("layers", "src/core/a.c", '#include "core/../ipc/b.h"\n', 'no ".." in paths'),
    ("layers", "src/core/a.c", '#include <base/b.h>\n', "<> is for the system"),
    ("layers", "src/base/a.c", '#include <dvs/m3ipc.h>\n', "base may not include"),
    ("layers", "src/attic/a.c", '#include "base/b.h"\n', "gives src/attic no floor"),
    ("layers", "src/servers/fs/a.c", '#include "servers/pm/b.h"\n', "may not see servers/pm"),
    ("layers", "src/servers/fs/a.c", '#include "servers/fs/b.h"\n', ""),
    ("layers", "apps/a.c", '#include "base/b.h"\n', "is not public"),
    ("size", "src/base/a.c", "int f(int n)\n{\n\treturn n;\n}\n", ""),
    ("size", "src/base/a.c", f"int f(int n)\n{{\n{LONG}\n\treturn n;\n}}\n", "f has 74 lines"),
    ("size", "src/base/a.c", "\n" * 601, "601 lines, at most 600"),
    ("size", "tools/a.py", "def f(n):\n" + LONG.replace("\t", "    ").replace(";", ""),
     "f has 71 lines"),
    ("format", "src/base/a.c", "int f(int n)\n{\n\treturn n;\n}\n", ""),
    ("format", "src/base/a.c", "int f(int n) {\n  return n;\n}\n", "clang-formatted"),
    ("words", "src/base/a.c", LICENCE + "int n;\n", ""),
    ("words", "src/base/a.c", "int n;\n", "no line 'SPDX"),
    ("words", "src/base/a.c", LICENCE + f"/* {UNFINISHED}: more */\n", f"'{UNFINISHED}'"),
    ("words", "src/base/a.c", LICENCE + "int n; \n", "blanks at the end"),
    ("words", "README.md", "no end", "no newline at its end"),
    ("cppcheck", "src/base/a.c", "int f(void);\nint f(void)\n{\n\tint a[2] = { 0, 0 };\n"
     "\n\treturn a[2];\n}\n", "out of bounds"),
    ("cppcheck", "src/base/a.c", "int f(void);\nint f(void)\n{\n\treturn 1;\n}\n", ""),
    ("shell", "tools/a.sh", "#!/bin/sh\nrm $1\n", "SC2086"),
    ("shell", "tools/a.sh", '#!/bin/sh\nrm "$1"\n', ""),
    ("spelling", "README.md", f"They {MISSPELT} it.\n", MISSPELT),
    ("spelling", "README.md", "They receive it.\n", ""),
    ("pages", "docs/a.md", "# A title\n\n[here](a.md#a-title)\n", ""),
    ("pages", "docs/a.md", "[there](b.md)\n", "no such file"),
    ("pages", "docs/a.md", "# A title\n\n[here](#another)\n", "no such heading"),
    ("pages", "docs/security.md", "`none_such()`\n", "no such function"),
    ("pages", "docs/architecture/a.md", "`src/base/none.c`\n", "no such file"),
    ("headers", "include/dvs/a.h", "#include <stddef.h>\nsize_t dvs_a(void);\n", ""),
    ("headers", "include/dvs/a.h", "size_t dvs_a(void);\n", "does not compile alone"),
    ("headers", "include/dvs/a.h", "int dvs_a(int class);\n", "-x c++"),
    ("headers", "src/base/a.h", "int a(size_t n);\n", "does not compile alone"),
]

# A room's library and what check-symbols must say of it.
LIBRARIES = [
    ("libroom.a", "const int table[2] = { 1, 2 };\n", ""),
    ("libroom.a", "static int counter;\nint next(void);\nint next(void) { return ++counter; }\n",
     "counter is mutable"),
    ("libroom.a", "const char *const names[] = { \"a\" };\n", ""),
    ("libcore.a", "#include <string.h>\nsize_t f(const char *s) { return strlen(s) + 1; }\n", ""),
    ("libcore.a", "#include <unistd.h>\nint f(void) { return getpid(); }\n", "needs getpid"),
    ("libdvk.so", "int m3_send(void) { return 0; }\n", ""),
    ("libdvk.a", "int helper(void) { return 0; }\n", "exports helper"),
    ("libdvk.so", "int helper(void) { return 0; }\n", "exports helper"),
]

TIDY = [
    ("src/a.c", "int f(int n);\nint f(int n)\n{\n\treturn n + 1;\n}\n", ""),
    ("src/a.c", "int f(int n);\nint f(int n)\n{\n\tint *p = 0;\n\n\treturn n ? *p : 0;\n}\n",
     "Dereference of null pointer"),
]

SERVICE = """service = "s"
version = 1
doc = "d"
[op.a]
number = 1
allow = "any"
doc = "d"
request = []
reply = []
errors = []
"""
DOCS = [
    ("s.toml", SERVICE, ""),
    ("s.toml", SERVICE.replace("number = 1", "number = 2"), "run: make docs"),
]


def write(root, name, content):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def run(*command):
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                            check=False)
    return result.returncode, result.stdout + result.stderr


def try_check(root, check, name, content):
    write(root, name, content)
    return run(TOOLS / f"check-{check}", "--root", root)


def try_library(root, name, content):
    source, library = write(root, "a.c", content), root / name
    if name.endswith(".so"):
        run("gcc", "-shared", "-fPIC", "-o", library, source)
    else:
        run("gcc", "-fPIC", "-c", "-o", root / "a.o", source)
        run("ar", "rc", library, root / "a.o")
    return run(TOOLS / "check-symbols", library)


def try_tidy(root, name, content):
    source = write(root, name, content)
    write(root, "build/compile_commands.json", json.dumps([
        {"directory": str(root / "build"), "file": str(source), "command": f"cc -c {source}"}]))
    write(root, ".clang-tidy", (TOOLS.parent / ".clang-tidy").read_text())
    return run(TOOLS / "check-tidy", "--root", root, "--build", root / "build")


def try_docs(root, name, content):
    """A protocol page, then perhaps a change in the service."""
    (root / "docs").mkdir()
    service = write(root, name, SERVICE)
    run(TOOLS / "protogen", "--docs", root / "docs", service)
    service.write_text(content)
    return run(TOOLS / "protogen", "--check-docs", root / "docs", service)


def main():
    tries = [(f"check-{case[0]}", try_check, case[:3], case[3]) for case in CASES]
    tries += [("check-symbols", try_library, case[:2], case[2]) for case in LIBRARIES]
    tries += [("check-tidy", try_tidy, case[:2], case[2]) for case in TIDY]
    tries += [("check-docs", try_docs, case[:2], case[2]) for case in DOCS]
    failed = 0
    print(f"1..{len(tries)}")
    for number, (check, attempt, arguments, expected) in enumerate(tries, start=1):
        with tempfile.TemporaryDirectory() as directory:
            status, output = attempt(Path(directory), *arguments)
        good = (status != 0 and expected in output) if expected else status == 0
        title = f"finds: {expected}" if expected else f"accepts a good {arguments[-2]}"
        print(f"{'ok' if good else 'not ok'} {number} - {check} {title}", flush=True)
        if not good:
            failed += 1
            print(f"# status {status}: {output.strip()[:500]}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
