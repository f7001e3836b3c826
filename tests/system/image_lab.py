#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""'dvs image' on three nodes: images are imported, copied, used and removed, and what is killed meanwhile leaves nothing."""

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from dvsd import Tap
from images import make_layout
from lab import Lab, requires_lab, wait_for

BUSYBOX = shutil.which("busybox")


def make_archive(path, **more):
    """A root file system with a shell, and files of random bytes."""
    with tarfile.open(path, "w") as tar:
        for name in ("bin", "dev", "etc", "home", "proc", "run", "sys", "tmp"):
            info = tarfile.TarInfo(name)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
        tar.add(BUSYBOX, "bin/busybox")
        for applet in ("sh", "cat", "id", "true"):
            info = tarfile.TarInfo(f"bin/{applet}")
            info.type, info.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(info)
        for name, data in more.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def images(lab, node=0):
    return {row["name"]: row for row in lab.json(node, "image", "ls")["images"]}


def agents(lab, node):
    """The agent of a node, by its number on the host."""
    found = []
    holder = os.readlink(f"/proc/{lab.holders[node]}/ns/pid")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "comm").read_text().strip() == "dvs-agent" and \
                    os.readlink(process / "ns/pid") == holder:
                found.append(int(process.name))
        except OSError:
            continue
    return found


def new_folders(lab, node):
    folder = lab.path(node, "/var/lib/dvs/images")
    return [p.name for p in folder.iterdir() if p.name.startswith("new-")] if folder.exists() \
        else []


def an_image_goes_to_the_nodes(lab, base):
    path = make_archive(base / "small.tar.gz", marker=b"one")
    digest = lab.run(0, "dvs", "image", "import", path, "--to", "n1").strip()
    row = images(lab, 2)["small"]
    assert (row["digest"], row["nodes"], row["used_by"]) == (digest, ["n0", "n1"], 0), row
    told = lab.exec(1, "dvs", "image", "copy", "small", "--to", "all", "--progress", "json")
    assert told.returncode == 0, told.stderr
    assert images(lab)["small"]["nodes"] == ["n0", "n1", "n2"]
    trees = [lab.path(n, f"/var/lib/dvs/images/{digest[7:]}/tree/marker").read_text()
             for n in range(3)]
    assert trees == ["one"] * 3
    inspected = lab.json(0, "image", "inspect", digest[:17])["image"]
    assert inspected["name"] == "small" and inspected["digest"] == digest


def a_dc_brings_the_image_that_it_needs(lab, base):
    path = make_archive(base / "web.tar", marker=b"in the container")
    lab.run(1, "dvs", "image", "import", path, "--name", "web:1")
    lab.run(0, "dvs", "dc", "create", "w", "--image", "web:1")
    for node in range(3):
        out = lab.run(node, "dvs", "run", "--node", f"n{node}", "w", "cat", "/marker")
        assert out == "in the container", out
    assert images(lab)["web:1"]["used_by"] == 3
    refused = lab.exec(0, "dvs", "image", "rm", "web:1")
    assert refused.returncode == 1 and "remove its DC first" in refused.stderr, refused.stderr
    lab.run(0, "dvs", "dc", "rm", "w")
    lab.run(0, "dvs", "image", "rm", "web:1", "--nodes", "n2")
    assert images(lab)["web:1"]["nodes"] == ["n0", "n1"]
    lab.run(2, "dvs", "image", "rm", "web:1")
    assert "web:1" not in images(lab)


def programs_get_what_the_image_says(lab, base):
    layer = make_archive(base / "layer.tar").read_bytes()
    make_layout(base / "layout", [layer], config={"Env": ["FROM=image", "BOTH=image", "no"]})
    lab.run(0, "dvs", "image", "import", base / "layout", "--name", "said")
    lab.run(0, "dvs", "dc", "create", "e", "--nodes", "n0", "--image", "said", "--env", "BOTH=dc")
    out = lab.run(0, "dvs", "run", "e", "sh", "-c", "echo $FROM $BOTH")
    assert out == "image dc\n", out
    out = lab.run(0, "dvs", "run", "-e", "FROM=run", "e", "sh", "-c", "echo $FROM $BOTH")
    assert out == "run dc\n", out
    lab.run(0, "dvs", "dc", "rm", "e")


def a_program_can_be_what_the_image_says(lab, base):
    layer = make_archive(base / "layer.tar").read_bytes()
    make_layout(base / "whole", [layer], config={
        "Entrypoint": ["sh", "-c"], "Cmd": ["echo $(pwd) $(id -u)"], "WorkingDir": "/tmp", "User": "7:8"})
    lab.run(0, "dvs", "image", "import", base / "whole", "--name", "whole")
    shown = lab.json(0, "image", "inspect", "whole")["image"]["says"]
    assert shown["entrypoint"] == ["sh", "-c"] and shown["user"] == "7:8", shown
    assert "echo $(pwd)" in lab.run(0, "dvs", "image", "inspect", "whole")
    lab.run(0, "dvs", "dc", "create", "e", "--nodes", "n0", "--image", "whole")
    assert lab.run(0, "dvs", "run", "e") == "/tmp 7\n"
    assert lab.run(0, "dvs", "run", "-u", "0", "-w", "/", "e") == "/ 0\n"
    assert lab.run(0, "dvs", "run", "e", "id", "-g") == "8\n"
    lab.run(0, "dvs", "dc", "rm", "e")
    (base / "dvs.yaml").write_text("name: e\nnodes: [n0]\nimage: whole\n"
                                   "programs:\n  whole:\n    restart: \"no\"\n")
    lab.run(0, "dvs", "up", base / "dvs.yaml")
    wait_for(lambda: "/tmp 7" in lab.run(0, "dvs", "logs", "e/whole.0"), "the program of the file")
    lab.run(0, "dvs", "down", base / "dvs.yaml")
    lab.run(0, "dvs", "dc", "create", "e", "--nodes", "n0", "--image", "small")
    done = lab.exec(0, "dvs", "run", "e")
    assert done.returncode != 0 and "no image that says a command" in done.stderr, done
    lab.run(0, "dvs", "dc", "rm", "e")


def what_is_wrong_is_said(lab, base):
    (base / "evil.tar").write_bytes(b"no archive" * 1000)
    with tarfile.open(base / "out.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("../out"))
    for words, status, text in (
            ((base / "absent",), 1, "No such file"),
            ((base / "evil.tar",), 1, "must be a tar archive"),
            ((base / "out.tar",), 1, "../out leads out"),
            ((base / "out.tar", "--name", "a b"), 2, "cannot be the name of an image"),
            ((base / "out.tar", "--name", "x" * 200), 2, "at most"),
            ((base / "out.tar", "--to", "n7"), 2, "n7")):
        done = lab.exec(0, "dvs", "image", "import", *words)
        assert done.returncode == status and text in done.stderr, (words, done)
    for command in (("inspect", "small2"), ("copy", "small2"), ("rm", "small2"),
                    ("inspect", "sha256:00000000")):
        done = lab.exec(0, "dvs", "image", *command)
        assert done.returncode == 1 and command[1] in done.stderr, done
    assert lab.exec(0, "dvs", "dc", "create", "v", "--image", "nothing").returncode == 1
    for node in range(3):
        assert not new_folders(lab, node)


def a_name_of_two_images_is_not_guessed(lab, base):
    lab.run(0, "dvs", "image", "import", make_archive(base / "a.tar", marker=b"a"), "--name", "two")
    lab.run(1, "dvs", "image", "import", make_archive(base / "b.tar", marker=b"b"), "--name", "two")
    done = lab.exec(2, "dvs", "image", "copy", "two", "--to", "n2")
    assert done.returncode == 2 and "name the digest" in done.stderr, done.stderr
    lab.run(0, "dvs", "image", "rm", "two")


def ctrl_c_ends_an_import_on_the_node(lab, base):
    path = make_archive(base / "big.tar", **{f"f{i}": os.urandom(1 << 20) for i in range(300)})
    program = lab.popen(0, "dvs", "image", "import", path, "--name", "big", text=True,
                        stderr=subprocess.PIPE)
    wait_for(lambda: new_folders(lab, 0) or program.poll() is not None, "the import begins")
    os.kill(program.inner, signal.SIGINT)
    assert program.wait(60) == 1
    assert "stopped; nothing of it stays" in program.stderr.read()
    wait_for(lambda: not new_folders(lab, 0), "nothing of it stays")
    assert "big" not in images(lab)


def kill_agents(lab, node):
    """The agent and its children, some of which end with it before they are reached."""
    for pid in agents(lab, node):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def an_agent_that_is_killed_leaves_no_half_image(lab, base):
    path = base / "big.tar"
    program = lab.popen(0, "dvs", "image", "import", path, "--name", "big")
    wait_for(lambda: new_folders(lab, 0) or program.poll() is not None, "the import begins")
    kill_agents(lab, 0)
    assert program.wait(60) == 1
    wait_for(lambda: not new_folders(lab, 0), "the next agent cleans", 60)
    assert "big" not in images(lab)
    # And on the side of who fetches.
    lab.run(0, "dvs", "image", "import", path, "--name", "big")
    program = lab.popen(0, "dvs", "image", "copy", "big", "--to", "n1")
    wait_for(lambda: new_folders(lab, 1) or program.poll() is not None, "the copy begins")
    kill_agents(lab, 0)
    program.wait(60)
    wait_for(lambda: not new_folders(lab, 1), "nothing of it stays", 60)
    wait_for(lambda: lab.exec(0, "dvs", "image", "copy", "big", "--to", "n1").returncode == 0,
             "it is copied", 60)
    assert images(lab)["big"]["nodes"] == ["n0", "n1"]


def the_doctor_looks_at_all_nodes(lab, _):
    done = lab.exec(0, "dvs", "doctor", "--all-nodes", "-o", "json")
    findings = json.loads(done.stdout)["findings"]
    missing = [f for f in findings if f["state"] == "missing"]
    assert not missing and done.returncode == 0, missing
    for node in ("n0", "n1", "n2"):
        what = [f["what"] for f in findings if f["node_name"] == node]
        assert "crun" in what and "ports" in what and len(what) == len(set(what)), what


TESTS = [an_image_goes_to_the_nodes, a_dc_brings_the_image_that_it_needs,
         programs_get_what_the_image_says, a_program_can_be_what_the_image_says, what_is_wrong_is_said,
         a_name_of_two_images_is_not_guessed, ctrl_c_ends_an_import_on_the_node,
         an_agent_that_is_killed_leaves_no_half_image, the_doctor_looks_at_all_nodes]


def main():
    requires_lab()
    if not BUSYBOX or not shutil.which("crun"):
        print("1..0 # SKIP needs busybox and crun")
        return 0
    tap = Tap()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as base, Lab(3) as lab:
        lab.wait_nodes(0, [0, 1, 2])
        tap.each(TESTS, lab, Path(base), broken=lambda: lab.show_logs(15))
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
