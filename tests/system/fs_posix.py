#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""dvs-fuse and dvs-fs together: rights of users, and real programs over two gateways; and all that fs_gateway.py has for the gateway alone."""

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys

import fs_gateway
from dvsd import BUILD
from lab import SOURCE


SESSION_MEMBERS = 1024


class World(fs_gateway.World):
    """With dvs-fs for the file server."""

    def serve(self):
        (self.base / "lib").mkdir()
        self.start_server()

    def start_server(self):
        with open(self.base / "fs.log", "ab") as log:
            self.server = subprocess.Popen(
                [BUILD / "dvs-fs", "--run-dir", self.dvsd.run_dir, "--lib-dir", self.base / "lib",
                 "--dc", fs_gateway.DC, "--fs", "home", "--node", "0"],
                stdin=subprocess.DEVNULL, stderr=log)

    def end_server(self):
        self.server.kill()
        self.server.wait()

    def two(self):
        os.chmod(self.base, 0o755)
        return super().two()


def sh(text, uid=0, groups=(), status=0):
    done = subprocess.run(["sh", "-c", text], check=False, user=uid, group=uid, extra_groups=groups,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == status, (text, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def rights_are_those_of_the_user_and_all_groups(world):
    a, b = world.two()
    os.chmod(a, 0o1777)
    made = sh(f"cd {a} && umask 027 && echo hi > f && mkdir d && stat -c '%u %g %a' f d", uid=1000)
    assert made == "1000 1000 640\n1000 1000 750\n", made
    assert "Permission denied" in sh(f"cat {b}/f", uid=1001, status=1)
    assert sh(f"cat {b}/f", uid=1001, groups=[1000]) == "hi\n"
    assert "not permitted" in sh(f"rm -f {b}/f", uid=1001, status=1)
    assert sh(f"cat {b}/f") == "hi\n"


class Interrupted(Exception):
    pass


def interrupt(_signal, _frame):
    raise Interrupted


def any_number_of_locks_can_be_waited_for_one_after_the_other(world):
    """Each has an endpoint of its own, and the server keeps no more than a session may have."""
    at = world.gateway().path
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with open(at / "f", "w") as one, open(at / "f") as other:
            fcntl.flock(one, fcntl.LOCK_EX)
            for _ in range(SESSION_MEMBERS + 100):
                try:
                    signal.setitimer(signal.ITIMER_REAL, 0.0015)
                    fcntl.flock(other, fcntl.LOCK_EX)
                    raise AssertionError("two have it")
                except Interrupted:
                    pass
            fcntl.flock(one, fcntl.LOCK_UN)
            fcntl.flock(other, fcntl.LOCK_EX)
    finally:
        signal.signal(signal.SIGALRM, before)


def link_fd(fd, to):
    # With a directory named Python follows the link.
    os.link(f"/proc/self/fd/{fd}", to, src_dir_fd=fd, follow_symlinks=True)


def a_file_without_a_name_gets_one_or_never(world):
    a, b = world.two()
    fd = os.open(a, os.O_TMPFILE | os.O_RDWR, 0o640)
    os.write(fd, b"of no name")
    assert os.listdir(b) == [] and os.fstat(fd).st_nlink == 0
    link_fd(fd, a / "named")
    assert (b / "named").read_bytes() == b"of no name" and os.stat(b / "named").st_mode & 0o7777 == 0o640
    os.pwrite(fd, b"is", 0)
    os.close(fd)
    assert (b / "named").read_bytes() == b"is no name" and os.stat(b / "named").st_nlink == 1
    never = os.open(b, os.O_TMPFILE | os.O_WRONLY | os.O_EXCL, 0o600)
    try:
        link_fd(never, b / "never")
        raise AssertionError("it was to get no name")
    except OSError as mistake:
        assert mistake.errno == errno.ENOENT, mistake
    os.close(never)
    assert os.listdir(a) == ["named"]


def a_tree_is_the_same_at_both(world):
    a, b = world.two()
    sh(f"cd {a} && tar cf - -C {SOURCE} docs | tar xf - && diff -r {SOURCE}/docs {b}/docs")


def a_database_is_whole(world):
    a, b = world.two()
    sh(f"""{sys.executable} -c 'import sqlite3
c = sqlite3.connect("{a}/db")
c.execute("create table t(x)")
for i in range(500):
    c.execute("insert into t values(?)", (i,))
c.commit()'""")
    assert sh(f"""{sys.executable} -c 'import sqlite3
c = sqlite3.connect("{b}/db")
print(c.execute("select count(*), sum(x) from t").fetchone(), *c.execute("pragma integrity_check").fetchone())'""") \
        == "(500, 124750) ok\n"


def a_clone_is_whole(world):
    a, b = world.two()
    if not shutil.which("git"):
        return
    sh(f"cd {a} && git init -q r && cd r && cp -r {SOURCE}/docs . && git add -A && "
       f"git -c user.name=a -c user.email=a@b commit -qm x && git clone -q . {b}/r2")
    assert sh(f"cd {a}/r2 && git fsck && git status --short") == ""


def a_program_needs_no_mount(world):
    """What <dvs/fs.h> promises; and a mount shows what it has made."""
    sh(f"{BUILD}/tests/system/fs-files {world.dvsd.run_dir} {fs_gateway.DC} home")
    made = world.gateway().path / "made"
    assert sorted(os.listdir(made)) == ["dangling", "f", "far", "link", "loop", "many", "none", "up"]
    assert len(os.listdir(made / "many")) == 1999 and os.readlink(made / "up") == "/made"


# A server that is started anew finds what there was; that is tested with the server. What is open there it counts for managers only.
OTHERS = {"another_server_is_found", "without_a_server_it_says_so", "what_is_closed_is_given_back_together"}

if __name__ == "__main__":
    fs_gateway.World = World
    fs_gateway.TESTS = tuple(test for test in fs_gateway.TESTS if test.__name__ not in OTHERS) + (
        rights_are_those_of_the_user_and_all_groups, a_file_without_a_name_gets_one_or_never, a_tree_is_the_same_at_both, a_database_is_whole,
        a_clone_is_whole, a_program_needs_no_mount, any_number_of_locks_can_be_waited_for_one_after_the_other)
    sys.exit(fs_gateway.main())
