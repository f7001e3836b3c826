#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The store of images: archives and layouts become images, are sent and removed, and ends at any moment leave nothing."""

import contextlib
import gzip
import hashlib
import io
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import time
from pathlib import Path

from images import ACTOR, Store, Tar, root_file_system, run, wait_until


# ---- honest archives ----

def an_archive_becomes_a_tree(store):
    path = root_file_system(Tar()).save(store.base / "a.tar")
    answer = store.import_ok("debian:12", path)
    tree = store.tree(answer)
    assert (tree / "bin/sh").stat().st_mode == stat.S_IFREG | 0o4755
    assert (tree / "bin/sh").stat().st_ino == (tree / "bin/ash").stat().st_ino
    assert os.readlink(tree / "sbin") == "bin"
    passwd = (tree / "etc/passwd").stat()
    assert (passwd.st_uid, passwd.st_gid, passwd.st_mtime) == (1, 2, 1004)
    assert stat.S_ISFIFO((tree / "run/fifo").stat().st_mode)
    assert (tree / "run/fifo").stat().st_mode & 0o7777 == 0o620
    assert (tree / "big").read_bytes() == b"\0" * 1000000 + b"end"
    assert (tree / "big").stat().st_blocks < 100, "zeros are not written"
    long = tree / "ünï" / ("long" * 60)
    assert long.stat().st_uid == 3000000
    assert os.listxattr(long) == ["user.colour"] and os.getxattr(long, "user.colour") == b"blue"
    assert [(tree / p).stat().st_mtime for p in (".", "bin", "etc", "ünï", "big")] == [
        1000, 1001, 0, 0, 1006]
    assert answer["bytes"] == 1000003 + 1 + 2 + 22, answer
    assert store.run("find", "debian:12")["digest"] == answer["digest"]
    assert stat.S_IMODE(store.images.stat().st_mode) == 0o700


def equal_trees_are_one_image(store):
    plain = root_file_system(Tar()).done()
    digests = set()
    forms = {"a": plain, "b": gzip.compress(plain)}
    for name, tool in (("c", "xz"), ("d", "zstd"), ("e", "bzip2")):
        if shutil.which(tool):
            forms[name] = subprocess.run([tool, "-c"], input=plain, capture_output=True,
                                         check=True).stdout
    for name, data in forms.items():
        (store.base / name).write_bytes(data)
        digests.add(store.import_ok(name, store.base / name)["digest"])
    assert len(digests) == 1, digests
    digest = digests.pop()
    # The same as a folder.
    answer = store.import_ok("folder", store.images / digest[7:] / "tree")
    assert answer["digest"] == digest, "a folder gives another digest"
    # And in another order, in another form.
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        members = {m.name: (m, tar.extractfile(m).read() if m.isreg() else None) for m in tar}
    other = Tar(form=tarfile.GNU_FORMAT)
    long = [n for n in members if "long" in n]
    for name in sorted(members, key=lambda n: (n == "bin/ash", len(n) % 7)):
        member, data = members[name]
        if name not in long:
            other.tar.addfile(member, io.BytesIO(data) if data is not None else None)
    without = Tar()
    for name, (member, data) in members.items():
        if name not in long:
            without.tar.addfile(member, io.BytesIO(data) if data is not None else None)
    one = store.import_ok("one", other.save(store.base / "one.tar"))["digest"]
    two = store.import_ok("two", without.save(store.base / "two.tar"))["digest"]
    assert one == two
    names = []
    while (answer := store.run("next", names[-1] if names else ""))["error"] == "OK":
        names.append(answer["name"])
    assert names == sorted([*forms, "folder", "one", "two"]), names


def the_digest_is_that_of_what_is_sent(store):
    path = root_file_system(Tar()).save(store.base / "a.tar")
    digest = store.import_ok("a", path)["digest"]
    data = subprocess.run([ACTOR, "send", store.lib, digest], capture_output=True,
                          check=True).stdout
    assert "sha256:" + hashlib.sha256(data).hexdigest() == digest
    names = tarfile.open(fileobj=io.BytesIO(data)).getnames()
    assert names[:2] == ["config", "tree"] and names == sorted(names), names
    listed = subprocess.run(["tar", "-t"], input=data, capture_output=True, check=True)
    assert b"tree/bin/sh" in listed.stdout


def what_is_received_is_the_same(store):
    path = root_file_system(Tar()).save(store.base / "a.tar")
    digest = store.import_ok("a", path)["digest"]
    data = subprocess.run([ACTOR, "send", store.lib, digest], capture_output=True,
                          check=True).stdout
    other = Store(store.base, "lib2")
    (store.base / "sent").write_bytes(data)
    with open(store.base / "sent", "rb") as sent:
        answer = other.run("receive", "copy", digest, stdin=sent)
    assert (answer["error"], answer["digest"], answer["name"]) == ("OK", digest, "copy"), answer
    # Once more: nothing is read, it gets the name.
    with open("/dev/null", "rb") as nothing:
        answer = other.run("receive", "again", digest, stdin=nothing)
    assert (answer["error"], answer["name"]) == ("OK", "again"), answer
    other.run("remove", "copy")
    other.run("remove", "again")
    # One changed byte in a file, a piece that is missing, another digest.
    for wrong in (data.replace(b"root:x:0", b"rood:x:0"), data[:len(data) // 2], b""):
        (store.base / "wrong").write_bytes(wrong)
        with open(store.base / "wrong", "rb") as sent:
            answer = other.run("receive", "copy", digest, stdin=sent)
        assert answer["error"] == "BADARG", answer
        other.is_clean()
    with open(store.base / "sent", "rb") as sent:
        answer = other.run("receive", "copy", digest[:-1] + ("0" if digest[-1] != "0" else "1"),
                           stdin=sent)
    assert answer["error"] == "BADARG" and "not the image" in answer["why"], answer
    assert other.run("next", "")["error"] == "NOTFOUND"


def a_sender_cannot_put_a_link_in_the_place_of_the_tree(store):
    for tar in (Tar().add("config", "{}").link("tree", "/"),
                Tar().link("config", "/etc/shadow").add("tree/"),
                Tar().add("config", "{}").add("tree/").add("info", "{}"),
                Tar().add("config", "{}").add("tree/").add("./")):
        data = tar.done()
        (store.base / "sent").write_bytes(data)
        with open(store.base / "sent", "rb") as sent:
            answer = store.run("receive", "x", "sha256:" + hashlib.sha256(data).hexdigest(),
                               stdin=sent)
        assert answer["error"] == "BADARG" and "refused" in answer["why"], answer
        store.is_clean()


def names_and_digests_find_and_remove(store):
    one = store.import_ok("reg.example:5000/a/b:1", Tar().add("a", "1").save(store.base / "1"))
    two = store.import_ok("other", Tar().add("a", "2").save(store.base / "2"))
    assert store.run("find", one["digest"])["name"] == "reg.example:5000/a/b:1"
    assert store.run("find", one["digest"][:15])["digest"] == one["digest"]
    assert store.run("find", one["digest"][:14])["error"] == "NOTFOUND"
    for wrong in ("", "..", "a/../b", "/a", "a/", ".a", "a b", "a+b", "sha256:x", "n" * 128, "-a"):
        assert store.run("find", wrong)["error"] == "NOTFOUND", wrong
        answer = store.run("import", wrong, store.base / "1")
        assert answer["error"] == "BADARG" and "name of an image" in answer["why"], wrong
    # A name that goes to another image leaves the first with its digest.
    store.import_ok("reg.example:5000/a/b:1", store.base / "2")
    assert store.run("find", "reg.example:5000/a/b:1")["digest"] == two["digest"]
    assert store.run("next", "reg.example:5000/a/b:1")["name"] == one["digest"]
    # Of two names only the last takes the image along, and not when it is used.
    assert store.run("remove", "other", "used")["error"] == "OK"
    assert store.run("remove", "reg.example:5000/a/b:1", "used")["error"] == "INUSE"
    assert store.tree(two).exists()
    assert store.run("remove", "reg.example:5000/a/b:1")["error"] == "OK"
    assert not store.tree(two).exists()
    assert store.run("remove", one["digest"])["error"] == "OK"
    assert store.run("remove", one["digest"])["error"] == "NOTFOUND"
    assert sorted(p.name for p in store.images.iterdir()) == ["lock", "names"]


# ---- ends at any moment ----

def big_source(store):
    data = os.urandom(1 << 20)
    tar = Tar()
    for i in range(48):
        tar.add(f"d{i}/file", data)
    return tar.save(store.base / "big.tar")


def new_folders(store):
    if not store.images.exists():
        return []
    return [p.name for p in store.images.iterdir() if p.name.startswith("new-")]


def a_killed_import_is_cleaned_and_a_running_one_is_left(store):
    path = big_source(store)
    for delay in (0.0, 0.02, 0.05, 0.1):
        process = subprocess.Popen([ACTOR, "import", store.lib, "x", path],
                                   stdout=subprocess.DEVNULL)
        wait_until(lambda: new_folders(store) or process.poll() is not None, "nothing begins")
        store.run("open")
        assert new_folders(store) or process.poll() is not None, "a running one was removed"
        time.sleep(delay)  # another moment each time; none is waited for
        process.send_signal(signal.SIGKILL)
        process.wait()
        children = lambda: subprocess.run(["pgrep", "-f", f"image-actor import {store.lib}"],
                                          stdout=subprocess.DEVNULL, check=False).returncode == 0
        wait_until(lambda: not children(), "a child stays")
        store.run("open")
        assert not new_folders(store), new_folders(store)
        with contextlib.suppress(KeyError):
            store.run("remove", "x")
    store.import_ok("x", path)


def an_import_can_be_stopped(store):
    path = big_source(store)
    for looks in ("0", "3", "20"):
        answer = store.run("import", "x", path, env={"ACTOR_STOP": looks})
        assert answer["error"] == "WOKEN", answer
        store.is_clean()
    folder = store.base / "folder"
    folder.mkdir()
    subprocess.run(["tar", "-xf", path, "-C", folder], check=True)
    answer = store.run("import", "x", folder, env={"ACTOR_STOP": "2"})
    assert answer["error"] == "WOKEN", answer
    store.is_clean()
    assert store.run("find", "x")["error"] == "NOTFOUND"


def the_child_that_unpacks_has_no_rights(store):
    fifo = store.base / "fifo"
    os.mkfifo(fifo)
    # The child waits for more of the archive while we look at it.
    reader, writer = os.pipe()
    digest = "sha256:" + "0" * 64
    process = subprocess.Popen([ACTOR, "receive", store.lib, "x", digest], stdin=reader,
                               stdout=subprocess.PIPE)
    os.close(reader)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    wait_until(lambda: children.read_text().strip() or process.poll() is not None, "no child")
    child = int(children.read_text().split()[0])
    status = Path(f"/proc/{child}/status")
    wait_until(lambda: "Seccomp:\t2" in status.read_text(), "no filter")
    wait_until(lambda: f"CapEff:\t{0x8000001b:016x}" in status.read_text(), status.read_text())
    fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
    for caps in ("CapPrm", "CapEff", "CapBnd"):
        assert int(fields[caps], 16) == 0x8000001b, fields
    assert int(fields["CapInh"], 16) == 0 and int(fields["CapAmb"], 16) == 0
    assert fields["NoNewPrivs"] == "1"
    root = os.readlink(f"/proc/{child}/root")
    assert "/images/new-" in root, root
    links = sorted(os.readlink(fd).split(":")[0] for fd in Path(f"/proc/{child}/fd").iterdir())
    assert [l for l in links if l not in ("/dev/null", "socket", "pipe")] in ([root], []), links
    assert links.count("socket") == 1 and links.count("pipe") == 1, links
    os.close(writer)
    assert json.loads(process.communicate()[0])["error"] == "BADARG"


if __name__ == "__main__":
    sys.exit(run([
        an_archive_becomes_a_tree,
        equal_trees_are_one_image,
        the_digest_is_that_of_what_is_sent,
        what_is_received_is_the_same,
        a_sender_cannot_put_a_link_in_the_place_of_the_tree,
        names_and_digests_find_and_remove,
        a_killed_import_is_cleaned_and_a_running_one_is_left,
        an_import_can_be_stopped,
        the_child_that_unpacks_has_no_rights,
    ]))
