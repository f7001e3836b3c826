#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""protogen names each mistake in a .toml file instead of generating wrong code."""

import subprocess
import sys
import tempfile
from pathlib import Path

PROTOGEN = sys.argv[1]

GOOD = """service = "s"
version = 1
doc = "d"
[struct.one]
fields = ["x u8"]
[op.a]
number = 1
allow = "any"
doc = "d"
request = ["f one"]
reply = []
errors = ["NODEST"]
"""

# what is replaced, by what, and what the message must say
MISTAKES = [
    ('version = 1\n', '', "'version' is missing"),
    ('doc = "d"\nrequest', 'doc = "d"\nextra = 1\nrequest', "unknown key 'extra'"),
    ('"f one"', '"f two"', "'two' is no type"),
    ('"f one"', '"f one", "f u8"', "the field f stands twice"),
    ('"f one"', '"f one", "n_g u8", "g u8[4]"', "the field n_g stands twice"),
    ('"f one"', '"f one[0]"', "the bound 0 is not in"),
    ('"f one"', '"f one[70000]"', "the bound 70000 is not in"),
    ('"f one"', '"f one", "g u8 1..256"', "does not fit u8"),
    ('"f one"', '"f one", "g u8 3..2"', "does not fit u8"),
    ('"f one"', '"f one", "g u8 0..255"', "is all of u8"),
    ('"f one"', '"f one", "g str4 1..2"', "is not a range"),
    ('"f one"', '"f one", "Bad u8"', "is not a name"),
    ('"f one"', '"f one", "int u8"', "is a word of C"),
    ('"f one"', '"u8"', "is not 'name type'"),
    ('"f one"', '"f u8"', "has no fields or no use"),
    ('fields = ["x u8"]', 'fields = ["x one"]', "'one' is no type"),
    ('"NODEST"', '"NOSUCH"', "no error NOSUCH"),
    ('number = 1', 'number = 0', "an integer above 0"),
    ('number = 1', 'number = "1"', "an integer above 0"),
    ('allow = "any"', 'kind = "event"', "unknown key 'reply'"),
    ('allow = "any"', 'allow = "any"\nkind = "other"', "'request' or 'event'"),
    ('errors = ["NODEST"]', 'errors = []\n[op.b]\n'
     'number = 1\nkind = "event"\ndoc = "d"\nrequest = []', "the number 1 stands twice"),
    ('service = "s"', 'service = ', "line 1"),
]


def generate(text, directory):
    path = Path(directory) / "s.toml"
    path.write_text(text)
    return subprocess.run([PROTOGEN, "--code", directory, str(path)], capture_output=True,
                          text=True, check=False)


def main():
    failed = 0
    print(f"1..{len(MISTAKES) + 1}")
    with tempfile.TemporaryDirectory() as directory:
        good = generate(GOOD, directory)
        print("ok 1 - the example without a mistake passes" if good.returncode == 0
              else f"not ok 1 - the example without a mistake passes\n# {good.stderr}")
        failed += good.returncode != 0
        for number, (before, after, message) in enumerate(MISTAKES, start=2):
            assert before in GOOD, before
            result = generate(GOOD.replace(before, after), directory)
            named = result.returncode == 1 and message in result.stderr
            failed += not named
            print(f"{'ok' if named else 'not ok'} {number} - names: {message}")
            if not named:
                print(f"# exit {result.returncode}: {result.stderr.strip()}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
