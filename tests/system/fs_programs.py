#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Real programs in a directory; what they leave there must be the same wherever the directory is. For fs_chaos.py.

usage: fs_programs.py PROGRAM DIR SOURCE SEED
PROGRAM: untar, git, sqlite, make, postgres; one line of JSON on standard output tells what came of it.
         ledger: rows into a database, and each row's number when it is said to be durable, until it is killed; audit: how many rows there are

SOURCE has tree.tar and tree.bundle (prepare())."""

import hashlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

POSTGRES = Path(max(map(str, Path("/usr/lib/postgresql").glob("*/bin")), default="/nonexistent"))
AUTHOR = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_AUTHOR_DATE": "2001-02-03T04:05:06Z",
          "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b", "GIT_COMMITTER_DATE": "2001-02-03T04:05:06Z",
          "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}


def run(*argv, **how):
    done = subprocess.run([str(word) for word in argv], check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, **how)
    if done.returncode != 0:
        raise RuntimeError(f"{argv}: status {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def prepare(tree, source):
    """An archive and a repository of directory TREE, in SOURCE."""
    run("tar", "-C", tree, "--owner=0", "--group=0", "--mtime=2001-02-03", "-cf", source / "tree.tar", ".")
    top = source / "repository"
    run("git", "init", "-q", "-b", "main", top, env=os.environ | AUTHOR)
    run("tar", "-C", top, "-xf", source / "tree.tar")
    files = sorted(path for path in top.rglob("*") if path.is_file() and ".git" not in path.parts)
    for i in range(8):
        for path in files[i::8]:
            with open(path, "ab") as file:
                file.write(b"\n%d\n" % i)
        run("git", "add", "-A", cwd=top, env=os.environ | AUTHOR)
        run("git", "commit", "-qm", str(i), cwd=top, env=os.environ | AUTHOR)
        run("git", "branch", f"b{i}", cwd=top, env=os.environ | AUTHOR)
    run("git", "bundle", "create", "-q", source / "tree.bundle", "--all", cwd=top, env=os.environ | AUTHOR)
    shutil.rmtree(top)


def digest(top, but=(), times=False):
    """Of all files below TOP, their contents, modes and, of those that say so, times."""
    whole = hashlib.sha256()
    for where, names, files in os.walk(top):
        names[:] = sorted(name for name in names if name not in but)
        for name in sorted(files) + names:
            path = Path(where) / name
            info = path.lstat()
            what = [str(path.relative_to(top)), info.st_mode, info.st_mtime if times else 0]
            if path.is_symlink():
                what.append(os.readlink(path))
            elif path.is_file():
                what += [info.st_size, info.st_nlink, hashlib.sha256(path.read_bytes()).hexdigest()]
            whole.update(json.dumps(what).encode())
    return whole.hexdigest()


def untar(at, source, rng):
    for name in "ab":
        (at / name).mkdir()
        run("tar", "-C", at / name, "--no-same-owner", "-xf", source / "tree.tar")
    run("diff", "-r", at / "a", at / "b")
    for path in sorted((at / "a").rglob("*.h")):
        if rng.random() < 0.5:
            os.replace(path, path.with_suffix(".moved"))
    run("rm", "-r", at / "b")
    return digest(at / "a", times=False)


def git(at, source, rng):
    env = os.environ | AUTHOR
    run("git", "clone", "-q", "-b", "main", source / "tree.bundle", at / "r", env=env)
    top = at / "r"
    for i in range(6):
        run("git", "checkout", "-q", f"origin/b{rng.randrange(8)}", cwd=top, env=env)
        (top / f"new{i}").write_bytes(rng.randbytes(rng.randrange(100000)))
        run("git", "add", "-A", cwd=top, env=env)
        run("git", "commit", "-qm", f"new {i}", cwd=top, env=env)
    run("git", "gc", "-q", cwd=top, env=env)
    run("git", "fsck", "--strict", cwd=top, env=env)
    dirty = run("git", "status", "--short", cwd=top, env=env)
    return [run("git", "rev-parse", "HEAD", cwd=top, env=env), dirty, digest(top, but=[".git"])]


def sqlite(at, _, rng):
    base = sqlite3.connect(at / "base", isolation_level=None, timeout=120)
    base.execute("pragma journal_mode=" + rng.choice(["delete", "truncate", "wal"]))
    base.execute("pragma synchronous=full")
    base.execute("create table t(k integer primary key, v blob)")
    base.execute("create index i on t(v)")
    for _ in range(150):
        base.execute("begin")
        for _ in range(rng.randrange(1, 12)):
            k = rng.randrange(2000)
            if rng.random() < 0.8:
                base.execute("insert or replace into t values(?, ?)", (k, rng.randbytes(rng.randrange(3000))))
            else:
                base.execute("delete from t where k between ? and ?", (k, k + 20))
        base.execute("rollback" if rng.random() < 0.1 else "commit")
    ok = base.execute("pragma integrity_check").fetchone()[0]
    base.close()
    base = sqlite3.connect(at / "base")
    whole = hashlib.sha256()
    for row in base.execute("select k, v from t order by k"):
        whole.update(repr(row).encode())
    return [ok, whole.hexdigest()]


def make(at, source, _):
    """The smallest library of the tree, from its sources."""
    run("tar", "-C", at, "--no-same-owner", "-xf", source / "tree.tar", "./src/base", "./include")
    (at / "Makefile").write_text("SOURCES = $(sort $(wildcard src/base/*.c))\nlibbase.a: $(SOURCES:.c=.o)\n\trm -f $@ && ar crD $@ $^\n"
                                 "%.o: %.c\n\t$(CC) -std=gnu17 -D_GNU_SOURCE '-DDVS_VERSION=\"1\"' -O1 -Isrc -Iinclude -c -o $@ $<\n")
    run("make", "-j2", cwd=at)
    assert "up to date" in run("make", cwd=at)
    return hashlib.sha256((at / "libbase.a").read_bytes()).hexdigest()


def postgres(at, _, rng):
    """As its own user. One client with a seed: what it has done is known."""
    at.chmod(0o755)
    data = at / "pg"
    data.mkdir()
    shutil.chown(data, "postgres", "postgres")
    how = {"user": "postgres", "group": "postgres", "extra_groups": [], "cwd": "/"}
    talk = f"/tmp/pg.{os.getpid()}"
    os.mkdir(talk, 0o777)
    os.chmod(talk, 0o777)
    count = 300
    try:
        run(POSTGRES / "initdb", "-D", data, "-A", "trust", "-k", "--no-instructions", **how)
        run(POSTGRES / "pg_ctl", "-D", data, "-w", "-t", "300", "-l", data / "log", "-o", f"-k {talk} -h '' -c shared_buffers=8MB", "start", **how)
        try:
            run(POSTGRES / "pgbench", "-h", talk, "-i", "-q", "postgres", **how)
            run(POSTGRES / "pgbench", "-h", talk, "-c", "1", "-t", count, f"--random-seed={rng.randrange(1 << 30)}", "postgres", **how)
            told = run(POSTGRES / "psql", "-h", talk, "-At", "postgres", "-c", "select (select count(*) from pgbench_history), (select sum(delta) from pgbench_history), "
                       "(select sum(abalance) from pgbench_accounts), (select sum(tbalance) from pgbench_tellers), (select sum(bbalance) from pgbench_branches)", **how)
            run(POSTGRES / "pg_amcheck", "-h", talk, "--install-missing", "postgres", **how)
        finally:
            run(POSTGRES / "pg_ctl", "-D", data, "-w", "-t", "300", "-m", "fast", "stop", **how)
        run(POSTGRES / "pg_checksums", "-D", data, "--check", **how)
    finally:
        shutil.rmtree(talk)
    return told


def ledger(at, *_):
    base = sqlite3.connect(at / "ledger", isolation_level=None, timeout=120)
    base.execute("pragma synchronous=full")
    base.execute("create table if not exists t(k integer primary key)")
    n = base.execute("select count(*) from t").fetchone()[0]
    while True:
        base.execute("insert into t values(?)", (n,))
        n += 1
        print(n, flush=True)


def audit(at, *_):
    base = sqlite3.connect(at / "ledger")
    return [*base.execute("pragma integrity_check").fetchone(), *base.execute("select count(*), max(k) from t").fetchone()]


# Long enough for something to happen meanwhile.
REPEAT = {"untar": 1, "git": 1, "sqlite": 1, "make": 1}
PROGRAMS = {"untar": untar, "git": git, "sqlite": sqlite, "make": make, "postgres": postgres, "ledger": ledger, "audit": audit}


def repeat(name, at, source, seed):
    rng = random.Random(seed)
    results = []
    for i in range(REPEAT[name]):
        (at / str(i)).mkdir()
        results.append(PROGRAMS[name](at / str(i), source, rng))
    return results


if __name__ == "__main__":
    what = repeat if sys.argv[1] in REPEAT else lambda name, at, source, seed: PROGRAMS[name](at, source, random.Random(seed))
    print(json.dumps(what(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])), flush=True)
