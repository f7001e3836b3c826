#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Files into and out of real containers, and what a container may do to who copies them: nothing."""

import io
import json
import os
import stat
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from pathlib import Path

from container_room import Room
from dvsd import BUILD, Tap

ACTOR = BUILD / "tests/system/image-actor"
ANY = str(0xFFFFFFFF)


class Copies:
    """A container, and copies into and out of it."""

    def __init__(self, room):
        self.inside = room.create("web")
        self.sh = self.inside.sh
        self.pid = str(room.ask("look", "web")["pid"])

    def pack(self, path):
        done = subprocess.run([ACTOR, "pack", self.pid, path], capture_output=True, timeout=60,
                              check=False)
        err, why = done.stderr.decode().split("\n", 1)
        if err != "OK":
            return err, why.strip()
        return "OK", tarfile.open(fileobj=io.BytesIO(done.stdout))

    def names(self, path):
        err, tar = self.pack(path)
        assert err == "OK", (err, tar)
        return tar.getnames()

    def refused(self, path, *words):
        err, why = self.pack(path)
        assert err != "OK" and isinstance(why, str), err
        for word in words:
            assert word in why, (word, why)
        return err

    def unpack(self, path, tar, how="into", uid=ANY, gid=ANY):
        done = subprocess.run([ACTOR, "unpack", self.pid, path, how, uid, gid], input=tar,
                              capture_output=True, timeout=60, check=False)
        err, why = done.stderr.decode().split("\n", 1)
        return err, why.strip()

    def unpack_ok(self, *args, **more):
        answer = self.unpack(*args, **more)
        assert answer == ("OK", ""), answer

    def ask(self, verb, what):
        done = subprocess.run([ACTOR, verb, self.pid, what], capture_output=True, timeout=60,
                              check=False)
        return json.loads(done.stdout)

    def close(self):
        self.inside.close()


def archive(*entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, what, *owner in entries:
            info = tarfile.TarInfo(name)
            info.mtime = 1000
            info.uid, info.gid = owner or (0, 0)
            if what is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif what.startswith("-> "):
                info.type, info.linkname = tarfile.SYMTYPE, what[3:]
            else:
                info.size = len(what)
            tar.addfile(info, io.BytesIO(what.encode()) if info.isreg() else None)
    return out.getvalue()


def what_goes_in_comes_out(copies, room):
    copies.unpack_ok("/home", archive(("a", None), ("a/f", "text", 7, 8), ("a/l", "-> f")))
    assert copies.sh("cat /home/a/f; stat -c %u:%g:%Y /home/a/f; readlink /home/a/l") == \
        "text7:8:1000\nf"
    err, tar = copies.pack("/home/a")
    assert err == "OK" and tar.getnames() == ["a", "a/f", "a/l"]
    assert tar.extractfile("a/f").read() == b"text" and tar.getmember("a/f").uid == 7
    assert tar.getmember("a/l").linkname == "f"
    copies.unpack_ok("/home", archive(("g", "x", 7, 8)), uid="5", gid="6")
    assert copies.sh("stat -c %u:%g /home/g") == "5:6"
    # In the place of a name.
    copies.unpack_ok("/home/new", archive(("a", None), ("a/f", "one")), how="place")
    assert copies.sh("cat /home/new/f") == "one"
    copies.unpack_ok("/home/a/f", archive(("other", "two")), how="place")
    assert copies.sh("cat /home/a/f") == "two"
    # On the host it belongs to the container.
    host = next(p for p in room.lib_dir.rglob("home/g"))
    assert host.stat().st_uid == room.uid(1) + 5
    # The folder that it goes into is not changed.
    before = copies.sh("stat -c %a:%u /tmp")
    copies.unpack_ok("/tmp", archive((".", None, 9, 9), ("x", "y")))
    assert copies.sh("stat -c %a:%u /tmp") == before


def a_folder_never_goes_for_a_file(copies, _):
    copies.sh("mkdir -p /srv/dir/deep; echo kept > /srv/dir/deep/file; echo kept > /srv/file; "
              "ln -s /srv/dir /srv/link")
    for how, path, tar, word in (
            ("into", "/srv", archive(("dir", "text")), "is a folder"),
            ("place", "/srv/dir", archive(("x", "text")), "is a folder"),
            ("into", "/srv", archive(("file", None)), "is no folder"),
            ("into", "/srv", archive(("link", None), ("link/evil", "x")), "is no folder"),
            ("into", "/srv", archive(("link/evil", "x")), "through the link"),
            ("into", "/srv/file", archive(("x", "y")), "no folder"),
            ("into", "/absent", archive(("x", "y")), "no folder /absent"),
            ("place", "/absent/x", archive(("x", "y")), "no folder /absent"),
            ("place", "/", archive(("x", "y")), "nothing can be put in its place"),
            ("place", "/srv/new", archive(("x", "y"), ("z", "y")), "beside the one name"),
            ("into", "relative", archive(("x", "y")), "must begin with"),
            ("into", "/srv", archive(("../x", "y")), "leads out"),
            ("into", "/srv", archive(("x", "y", 70000, 0)), "does not exist in the container")):
        err, why = copies.unpack(path, tar, how)
        assert err != "OK" and word in why, (path, err, why)
    assert copies.sh("cat /srv/dir/deep/file /srv/file") == "kept\nkept"
    assert copies.sh("ls /srv/dir") == "deep"


def links_lead_only_into_the_container(copies, _):
    secret = Path(tempfile.mkdtemp(dir="/var/tmp"))
    try:
        (secret / "secret").write_text("of the host")
        copies.sh(f"ln -s {secret} /out; ln -s / /home/root; ln -s /proc/1/root /home/one; "
                  "ln -s ../../../../../../.. /home/up; ln -s loop /home/loop; "
                  "ln -s /home/sub /home/tosub; mkdir /home/sub; echo in > /home/sub/f")
        assert copies.refused("/out/secret", "no folder /out") == "NOTFOUND"
        assert copies.refused(f"{secret}/secret") == "NOTFOUND"
        # A link at the end is copied as one, with a '/' behind it what it leads to.
        err, tar = copies.pack("/home/tosub")
        assert err == "OK" and tar.getmember("tosub").linkname == "/home/sub"
        assert copies.names("/home/tosub/") == ["tosub", "tosub/f"]
        assert copies.names("/home/tosub/f") == ["f"]
        assert copies.refused("/home/loop/") == "IO"
        assert copies.refused("/home/loop/x") == "IO"
        # What a link of the root leads to is the container's root.
        err, tar = copies.pack("/home/up/etc/passwd")
        assert err == "OK" and tar.extractfile("passwd").read() == b"root:x:0:0::/:/bin/sh\n"
        assert copies.refused("/home/one/etc/passwd") in ("NOTFOUND", "IO", "DENIED")
        # Into a link: into the container's own folder of that name, or not at all.
        err, why = copies.unpack("/out", archive(("evil", "x")))
        assert err == "NOTFOUND", (err, why)
        copies.sh(f"mkdir -p {secret}")
        copies.unpack_ok("/out", archive(("evil", "x")))
        assert not (secret / "evil").exists() and copies.sh(f"cat {secret}/evil") == "x"
    finally:
        for path in secret.iterdir():
            path.unlink()
        secret.rmdir()


def what_is_no_file_does_not_hold_a_copy_up(copies, _):
    copies.sh("mkdir /odd; mkfifo /odd/fifo; echo x > /odd/file; ln -s /odd /odd/self; "
              "ln /odd/file /odd/hard; nc -l -s 127.0.0.1 -p 0 & sleep 0; "
              "nc -lU /odd/socket & ")
    names = copies.names("/odd")
    assert [n for n in names if n != "odd/socket"] == \
        ["odd", "odd/fifo", "odd/file", "odd/hard", "odd/self"], names
    assert "odd/socket" not in names
    err, tar = copies.pack("/odd/fifo")
    assert err == "OK" and tar.getmember("fifo").isfifo()
    # The kernel's own file systems are left out; a device is, too.
    assert copies.names("/proc") == ["proc"]
    assert "null" not in [n.split("/")[-1] for n in copies.names("/dev")]
    all_of_it = copies.names("/")
    assert "bin/busybox" in all_of_it and "proc" in all_of_it and "proc/1" not in all_of_it
    assert copies.names("/odd/.") == ["."] + [n[4:] for n in names if n != "odd"]


def files_that_change_while_they_are_read_do_no_harm(copies, _):
    copies.sh("mkdir /live; head -c 30000000 /dev/urandom > /live/a")
    out = copies.inside.start("/bin/busybox", "sh", "-c",
                              "i=0; while [ $i -lt 60 ]; do i=$((i+1)); : > /live/a; rm -f /live/b;"
                              " head -c 20000000 /dev/zero > /live/a; mkfifo /live/b;"
                              " rm -f /live/c; mkdir /live/c; rmdir /live/c; ln -s / /live/c; "
                              "done; echo done")
    ended = threading.Event()
    looks = 0

    def wait():
        copies.inside.end(out)
        ended.set()

    waiter = threading.Thread(target=wait)
    waiter.start()
    while not ended.is_set():
        err, tar = copies.pack("/live")
        assert err == "OK", (err, tar)
        names = set(tar.getnames())
        assert names <= {"live", "live/a", "live/b", "live/c"}, names
        looks += 1
    waiter.join()
    assert looks > 0


def sizes_and_users_are_told(copies, _):
    copies.sh("mkdir -p /m/d; head -c 1000 /dev/zero > /m/a; head -c 24 /dev/zero > /m/d/b; "
              "ln /m/a /m/c")
    assert copies.ask("measure", "/m") == {"bytes": 1024, "entries": 5, "directory": True}
    assert copies.ask("measure", "/m/a") == {"bytes": 1000, "entries": 1, "directory": False}
    assert copies.ask("measure", "/absent")["error"] == "NOTFOUND"
    copies.sh("printf 'root:x:0:0:r:/root:/bin/sh\nwww:x:33:44:w:/srv:/bin/sh\n' > /etc/passwd; "
              "printf 'www:x:44:\nextra:x:55:other,www\nmore:x:66:www\n' > /etc/group")
    assert copies.ask("user", "") == {"uid": 0, "gid": 0, "groups": [], "home": "/root"}
    www = {"uid": 33, "gid": 44, "groups": [55, 66], "home": "/srv"}
    assert copies.ask("user", "www") == copies.ask("user", "33") == www
    assert copies.ask("user", "www:extra") == www | {"gid": 55, "groups": []}
    assert copies.ask("user", "12:13") == {"uid": 12, "gid": 13, "groups": [], "home": "/"}
    assert copies.ask("user", "nobody")["error"] == "NOTFOUND"
    assert copies.ask("user", "www:nogroup")["error"] == "NOTFOUND"
    # Accounts that a program never ends to write are not waited for, nor read from outside.
    copies.sh("rm /etc/passwd; mkfifo /etc/passwd")
    assert copies.ask("user", "5")["uid"] == 5
    copies.sh("rm /etc/passwd; ln -s /dev/zero /etc/passwd")
    assert copies.ask("user", "www")["error"] == "NOTFOUND"


def a_container_does_not_see_who_copies(copies, room):
    copies.sh("mkdir /slow; head -c 3000000 /dev/zero > /slow/a")
    process = subprocess.Popen([ACTOR, "pack", copies.pid, "/slow"], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL)
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        deadline = time.monotonic() + 20
        status = ""
        # Nobody reads, so it stops when the pipe is full.
        while "Seccomp:\t2" not in status or "State:\tS" not in status:
            assert time.monotonic() < deadline, status
            child = children.read_text().split()
            status = Path(f"/proc/{child[0]}/status").read_text() if child else ""
        uid = room.uid(1)
        assert f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}" in status, status
        assert "NoNewPrivs:\t1" in status
        assert "CapEff:\t000000008000001b" in status, status
        assert os.stat(f"/proc/{child[0]}/mem").st_uid == 0, "it can be dumped"
        assert os.readlink(f"/proc/{child[0]}/ns/pid") == os.readlink("/proc/self/ns/pid")
        links = [os.readlink(fd) for fd in Path(f"/proc/{child[0]}/fd").iterdir()]
        assert not any(str(room.top) in link for link in links), links
        seen = copies.sh("ps -o args")
        assert "image-actor" not in seen, seen
        assert copies.sh(f"kill -9 {child[0]} 2>&1; kill -9 -1; echo on") != ""
        assert children.read_text().split() == child
    finally:
        process.kill()
        process.communicate()


def a_container_that_has_ended_is_said_to_have(copies, room):
    copies.close()
    room.remove("web")
    assert copies.refused("/etc", "has ended") == "NOTFOUND"


TESTS = [what_goes_in_comes_out, a_folder_never_goes_for_a_file, links_lead_only_into_the_container,
         what_is_no_file_does_not_hold_a_copy_up, files_that_change_while_they_are_read_do_no_harm,
         sizes_and_users_are_told, a_container_does_not_see_who_copies,
         a_container_that_has_ended_is_said_to_have]


def main():
    if os.geteuid() != 0:
        print("1..0 # SKIP containers are made by root")
        return 0
    tap = Tap()
    for test in TESTS:
        if sys.argv[1:] and test.__name__ not in sys.argv[1:]:
            continue
        title = test.__name__.replace("_", " ")
        room = Room()
        try:
            test(Copies(room), room)
            tap.ok(True, title)
        except Exception:
            import traceback
            tap.ok(False, title, traceback.format_exc())
        finally:
            room.close()
    print(f"1..{tap.n}")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
