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
    ('version = 1', 'version = 1\ncarrier = "pigeon"', "'payload' or 'data', not 'pigeon'"),
    ('version = 1', 'version = 1\ncarrier = "payload"', "allow is 'user' or 'manager', not 'any'"),
    ('allow = "any"', 'allow = "any"\ncarrier = "data"', "the service has no carrier"),
]

CARRIED = GOOD.replace('version = 1', 'version = 1\ncarrier = "payload"').replace('any', 'user')
CARRIED_MISTAKES = [
    ('"f one"', '"f one", "g bytes55"', "the request can take 57 bytes, and carrier payload has 56"),
    ('reply = []', 'reply = ["g bytes52"]', "the reply can take 53 bytes, and carrier payload has 52"),
    ('allow = "user"', 'allow = "user"\ncarrier = "pigeon"', "'payload' or 'data', not 'pigeon'"),
    ('doc = "d"\n[struct', 'doc = "d"\nheader = ["h u8"]\n[struct', "has no header"),
    ('[op.a]', '[op.b]\n' 'number = 2\nkind = "event"\ndoc = "d"\nrequest = []\n[op.a]',
     "has no events"),
    ('[op.a]', '[op.b]\n' 'number = 1025\nallow = "user"\ndoc = "d"\nrequest = []\nreply = []\n'
     'errors = []\n[op.a]', "lie within 1024"),
    ('"f one"]\nreply = []', '"f one"]\ncarrier = "data"\nreply = ["g u64[8192]"]',
     "the reply can take 65538 bytes, and carrier data has 65536"),
]


def generate(text, directory):
    path = Path(directory) / "s.toml"
    path.write_text(text)
    return subprocess.run([PROTOGEN, "--code", directory, str(path)], capture_output=True,
                          text=True, check=False)


def main():
    tries = [(GOOD, "", "", "")] + [(GOOD, *row) for row in MISTAKES]
    tries += [(CARRIED, "", "", "")] + [(CARRIED, *row) for row in CARRIED_MISTAKES]
    failed = 0
    print(f"1..{len(tries)}")
    with tempfile.TemporaryDirectory() as directory:
        for number, (text, before, after, message) in enumerate(tries, start=1):
            assert before in text, before
            result = generate(text.replace(before, after, 1) if before else text, directory)
            if message:
                named = result.returncode == 1 and message in result.stderr
            else:
                named = result.returncode == 0
            failed += not named
            what = f"names: {message}" if message else "an example without a mistake passes"
            print(f"{'ok' if named else 'not ok'} {number} - {what}")
            if not named:
                print(f"# exit {result.returncode}: {result.stderr.strip()}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
