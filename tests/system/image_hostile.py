#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Layouts with their layers, and archives that mean harm: refused with the name of what is wrong, and nothing stays."""

import gzip
import hashlib
import io
import json
import os
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

from images import ACTOR, MACHINE, Tar, blob, make_layout, root_file_system, run


# ---- layouts ----

def three_layers():
    low = Tar().add("./", mtime=7)
    low.add("gone", "1").add("kept", "1").add("dir/", mtime=8).add("dir/old", "1")
    low.add("dir/sub/deep", "1").add("replaced/in", "1").add("file", "1").add("other/x", "1")
    low.add("quiet/", mtime=9).add("quiet/a", "1")
    middle = Tar().add(".wh.gone", "").add("dir/new", "2").add("dir/.wh..wh..opq", "")
    middle.add("dir/sub/fresh", "2").add("replaced", "2").add("file/", mtime=3)
    middle.add("quiet/.wh.a", "").hard("hard", "kept")
    high = Tar().add("other/.wh.x", "").add("other/y", "3").add(".wh..wh.plnk", "")
    high.add(".wh.missing", "")
    return [low.done(), gzip.compress(middle.done()), high.done()]


def check_three_layers(tree):
    found = sorted(str(p.relative_to(tree)) for p in tree.rglob("*"))
    assert found == ["dir", "dir/new", "dir/sub", "dir/sub/fresh", "file", "hard", "kept", "other",
                     "other/y", "quiet", "replaced"], found
    assert (tree / "replaced").read_text() == "2" and (tree / "file").is_dir()
    assert [(tree / p).stat().st_mtime for p in (".", "dir", "file", "quiet", "other")] == [
        7, 8, 3, 9, 0], [(tree / p).stat().st_mtime for p in (".", "dir", "file", "quiet")]


def layers_lie_on_each_other(store):
    config = {"Env": ["PATH=/bin", "A=b"], "Cmd": ["sh"], "Entrypoint": ["/init", "--"],
              "WorkingDir": "/srv", "User": "www", "StopSignal": "SIGQUIT"}
    layout = store.base / "layout"
    make_layout(layout, three_layers(), config=config)
    answer = store.import_ok("a", layout)
    check_three_layers(store.tree(answer))
    done = subprocess.run([ACTOR, "config", store.lib, answer["digest"]], capture_output=True,
                          check=True)
    assert json.loads(done.stdout) == {
        "env": ["PATH=/bin", "A=b"], "cmd": ["sh"], "entrypoint": ["/init", "--"],
        "workdir": "/srv", "user": "www", "stop_signal": "SIGQUIT"}
    # The same in an archive, with the layout's files in any order.
    with tarfile.open(store.base / "layout.tar.gz", "w:gz") as tar:
        for path in sorted(layout.rglob("*"), key=lambda p: p.name):
            tar.add(path, path.relative_to(layout), recursive=False)
    assert store.import_ok("b", store.base / "layout.tar.gz")["digest"] == answer["digest"]
    assert store.import_ok("c", layout, "v1")["digest"] == answer["digest"]
    # What the image says of its programs is a part of it.
    other = store.base / "other"
    make_layout(other, three_layers())
    assert store.import_ok("d", other)["digest"] != answer["digest"]


def an_image_is_chosen_by_name_and_machine(store):
    layout = store.base / "layout"
    one = make_layout(layout, [Tar().add("a", "1").done()], name="docker.io/library/x:1")
    foreign = make_layout(layout, [Tar().add("a", "2").done()], machine="sparc", name="2")
    two = make_layout(layout, [Tar().add("a", "3").done()], name="2", more=[one, foreign])
    store.refused(layout, "several images", "--reference", "docker.io/library/x:1")
    store.refused(layout, "no image called \"3\"", reference="3")
    for reference, wanted in (("1", "1"), ("docker.io/library/x:1", "1"), ("2", "3")):
        answer = store.import_ok("a", layout, reference)
        assert (store.tree(answer) / "a").read_text() == wanted
    make_layout(layout, [], machine="sparc")
    store.refused(layout, "no image for linux/" + MACHINE, "linux/sparc")
    # An index in an index, as for several machines.
    inner = blob(layout, json.dumps({"manifests": [foreign, two]}).encode())
    inner["mediaType"] = "application/vnd.oci.image.index.v1+json"
    (layout / "index.json").write_text(json.dumps({"manifests": [inner]}))
    assert (store.tree(store.import_ok("a", layout)) / "a").read_text() == "3"
    # A machine that only the configuration tells.
    foreign.pop("platform")
    (layout / "index.json").write_text(json.dumps({"manifests": [foreign]}))
    store.refused(layout, "for linux/sparc", "this node is linux/" + MACHINE)


def what_docker_saves_is_an_image(store):
    folder = store.base / "saved"
    layers = three_layers()
    for i, layer in enumerate(layers):
        (folder / f"l{i}").mkdir(parents=True)
        (folder / f"l{i}/layer.tar").write_bytes(layer)
    (folder / "c.json").write_text(json.dumps({"os": "linux", "architecture": MACHINE,
                                               "config": {"Cmd": ["x"]}}))
    (folder / "manifest.json").write_text(json.dumps([{
        "Config": "c.json", "RepoTags": ["x:latest"],
        "Layers": [f"l{i}/layer.tar" for i in range(3)]}]))
    answer = store.import_ok("a", folder)
    check_three_layers(store.tree(answer))
    subprocess.run(["tar", "-cf", store.base / "saved.tar", "-C", folder, "."], check=True)
    assert store.import_ok("b", store.base / "saved.tar", "latest")["digest"] == answer["digest"]
    # A layer that is a link to a file outside of the archive.
    (folder / "l2/layer.tar").unlink()
    (folder / "l2/layer.tar").symlink_to("/etc/passwd")
    store.refused(folder, "l2/layer.tar", error="IO")
    # A root file system with a manifest.json of its own is none.
    answer = store.import_ok("c", Tar().add("manifest.json", "{}").save(store.base / "c.tar"))
    assert (store.tree(answer) / "manifest.json").exists()


def damaged_layouts_are_refused(store):
    def layout(name, layers=None):
        made = store.base / name
        return made, make_layout(made, layers or three_layers())

    made, manifest = layout("wrong-blob")
    path = made / "blobs/sha256" / json.loads(
        (made / "blobs/sha256" / manifest["digest"][7:]).read_text())["layers"][0]["digest"][7:]
    good = path.read_bytes()
    path.write_bytes(good.replace(b"kept", b"kopt"))
    store.refused(made, "damaged")
    path.write_bytes(good[:-512])
    store.refused(made, "should have")
    path.unlink()
    store.refused(made, "not complete", path.name)
    # Of the same size and a good archive, but not what was meant.
    one, two = Tar().add("a", "1").done(), Tar().add("a", "2").done()
    made, manifest = layout("exchanged", [one])
    (made / "blobs/sha256" / hashlib.sha256(one).hexdigest()).write_bytes(two)
    store.refused(made, "damaged", hashlib.sha256(two).hexdigest())
    made, manifest = layout("wrong-manifest")
    path = made / "blobs/sha256" / manifest["digest"][7:]
    path.write_bytes(path.read_bytes() + b" ")
    store.refused(made, "damaged", manifest["digest"][7:])
    made, _ = layout("no-json")
    (made / "index.json").write_text("{")
    store.refused(made, "no JSON")
    for digest in ("sha256:../../../../etc/passwd", "md5:0", "sha256:" + "A" * 64, 5, None):
        (made / "index.json").write_text(json.dumps(
            {"manifests": [{"digest": digest, "size": 5}]}))
        store.refused(made, "digest")
    nested = b"{}"
    for _ in range(7):
        inner = blob(made, nested)
        inner["mediaType"] = "application/vnd.oci.image.index.v1+json"
        nested = json.dumps({"manifests": [inner]}).encode()
    (made / "index.json").write_bytes(nested)
    store.refused(made, "indexes in indexes")


def hostile_whiteouts_are_refused(store):
    (store.base / "victim").write_text("here")
    for name in (".wh.", ".wh..", ".wh...", "a/.wh..."):
        layout = store.base / "layout"
        make_layout(layout, [Tar().add("a/b", "").done(), Tar().add(name, "").done()])
        store.refused(layout, "nothing is to be removed")
    make_layout(layout, [Tar().link(".wh.a", "/").done()])
    store.refused(layout, "no regular file")
    make_layout(layout, [Tar().add(".wh.a/").done()])
    store.refused(layout, "no regular file")
    make_layout(layout, [Tar().link("out", str(store.base)).done(),
                         Tar().add("out/.wh.victim", "").done()])
    store.refused(layout, "through the link out")
    # A link is removed, not what it leads to.
    make_layout(layout, [Tar().link("out", str(store.base)).add("x", "").done(),
                         Tar().add(".wh.out", "").add(".wh..wh..opq", "").done()])
    assert list(store.tree(store.import_ok("a", layout)).iterdir()) == []
    assert (store.base / "victim").read_text() == "here"


# ---- hostile archives ----

def names_that_lead_out_are_refused(store):
    evil = Path("/etc/dvs-evil")
    for name in ("../evil", "a/../../evil", "/etc/dvs-evil", "a/..", ".."):
        tar = Tar().add("a/")
        info = tarfile.TarInfo(name)
        tar.tar.addfile(info)
        store.refused(tar.save(store.base / "t.tar"), "refused", name)
    tar = Tar().link("out", "/etc").add("out/dvs-evil", "x")
    store.refused(tar.save(store.base / "t.tar"), "out/dvs-evil", "through the link out")
    tar = Tar().link("a", "b").link("b", "..").add("c/").link("c/d", "../a").add("c/d/evil", "x")
    store.refused(tar.save(store.base / "t.tar"), "through the link c/d")
    tar = Tar().add("f", "x").add("f/evil", "x")
    store.refused(tar.save(store.base / "t.tar"), "below f", "no folder")
    assert not evil.exists() and not (store.base / "evil").exists()
    # A link alone is no harm: in a container it leads into the container.
    answer = store.import_ok("a", Tar().link("l", "/etc/passwd").link("m", "../../x").save(
        store.base / "t.tar"))
    assert os.readlink(store.tree(answer) / "l") == "/etc/passwd"


def links_are_replaced_not_written_through(store):
    victim = store.base / "victim"
    victim.write_text("before")
    tar = Tar().link("x", str(victim)).add("x", "after", mode=0o777)
    answer = store.import_ok("a", tar.save(store.base / "t.tar"))
    assert victim.read_text() == "before" and (store.tree(answer) / "x").read_text() == "after"
    # A folder in the place of a link to a folder.
    tar = Tar().link("d", str(store.base)).add("d/", mode=0o700).add("d/victim", "after")
    answer = store.import_ok("a", tar.save(store.base / "t.tar"))
    assert victim.read_text() == "before" and (store.tree(answer) / "d/victim").is_file()
    # Hard links: to what is outside, through a link, to itself, to a folder, to a link and then written.
    for target in (str(victim), "../victim", "../../../../" + str(victim)):
        store.refused(Tar().hard("x", target).save(store.base / "t.tar"), "refused")
    tar = Tar().link("out", str(store.base)).hard("x", "out/victim")
    store.refused(tar.save(store.base / "t.tar"), "x", "hard link to out/victim")
    store.refused(Tar().add("x", "").hard("x", "x").save(store.base / "t.tar"), "to itself")
    store.refused(Tar().add("d/").hard("x", "d").save(store.base / "t.tar"), "to a folder")
    store.refused(Tar().hard("x", "missing").save(store.base / "t.tar"), "missing")
    tar = Tar().link("l", str(victim)).hard("h", "l").add("h", "after")
    answer = store.import_ok("a", tar.save(store.base / "t.tar"))
    assert victim.read_text() == "before" and (store.tree(answer) / "h").read_text() == "after"


def devices_and_sockets_are_refused(store):
    for kind in (tarfile.CHRTYPE, tarfile.BLKTYPE):
        tar = Tar().add("dev/null", kind=kind, devmajor=1, devminor=3)
        store.refused(tar.save(store.base / "t.tar"), "dev/null is a device")
    folder = store.base / "folder"
    folder.mkdir()
    os.mknod(folder / "mem", stat.S_IFCHR | 0o600, os.makedev(1, 1))
    store.refused(folder, "mem is a device")
    (folder / "mem").unlink()
    os.mknod(folder / "sock", stat.S_IFSOCK | 0o600)
    store.refused(folder, "sock is a socket")


def what_is_too_much_is_refused(store):
    def sized(size, data=b"", name="huge"):
        tar = Tar()
        tar.add("a", "x")
        raw = bytearray(tar.done()[:1024])
        info = tarfile.TarInfo(name)
        info.size = size
        return bytes(raw) + info.tobuf(tarfile.PAX_FORMAT) + data

    (store.base / "t.tar").write_bytes(sized((64 << 30) + 1))
    store.refused(store.base / "t.tar", "too big", "huge", error="TOOBIG")
    (store.base / "t.tar").write_bytes(sized(1 << 62))
    store.refused(store.base / "t.tar", "huge", error="TOOBIG")
    # 40 GiB of zeros twice, sparse: a few bytes of archive.
    sparse = store.base / "sparse"
    sparse.mkdir()
    for name in ("a", "b"):
        with open(sparse / name, "wb") as file:
            file.truncate(40 << 30)
    subprocess.run(["tar", "--sparse", "-cf", store.base / "t.tar", "-C", sparse, "."], check=True)
    store.refused(store.base / "t.tar", "too big", error="TOOBIG")
    name = "/".join(["d" * 100] * 60)
    store.refused(Tar().add(name, "x").save(store.base / "t.tar"), "too long")
    store.refused(Tar().add("f" * 256, "x").save(store.base / "t.tar"), "too long")
    store.refused(Tar().add("d/" * 300 + "x", "x").save(store.base / "t.tar"), "folders deep")


def damaged_archives_are_refused(store):
    plain = root_file_system(Tar()).done()
    packed = gzip.compress(plain)
    path = store.base / "t.tar"
    for data, word in ((packed[:len(packed) // 2], "damaged"), (packed[:-4], "damaged"),
                       (plain[:1024 * 900], "damaged"), (b"no archive" * 1000, "must be a tar"),
                       (b"", "must be a tar"), (b"\x1f\x8b" + b"x" * 100, ""),
                       (plain[:512] + b"\xff" * 512 + plain[1024:], "damaged")):
        path.write_bytes(data)
        store.refused(path, word)
    store.refused(store.base / "absent", "absent", error="NOTFOUND")
    store.refused("/dev/null", "neither an archive nor a folder")
    fifo = store.base / "fifo"
    os.mkfifo(fifo)
    store.refused(fifo, "neither")
    why = store.refused(Tar().add("evil\033[2J\n/../x", "").save(path), "refused")
    assert "\033" not in why and "\n" not in why, why


def later_entries_win(store):
    tar = Tar().add("a", "1").add("a", "2").add("b/c/d", "1").add("b", "2").add("c", "1")
    tar.add("c/", mtime=4).add("c/x", "1").add("./d/./e", "1").add("d//f", "1")
    tree = store.tree(store.import_ok("a", tar.save(store.base / "t.tar")))
    assert (tree / "a").read_text() == "2" and (tree / "b").read_text() == "2"
    assert (tree / "c/x").exists() and (tree / "c").stat().st_mtime == 4
    assert (tree / "d/e").exists() and (tree / "d/f").exists()
    # What the archive does not tell of does not depend on when this is.
    assert tree.stat().st_mtime == 0 and (tree / "d").stat().st_mtime == 0


def the_store_is_not_packed_into_itself(store):
    store.import_ok("a", Tar().add("a", "1").save(store.base / "t.tar"))
    for folder in ("/", store.base, store.lib):
        store.refused(folder, "are in it")


if __name__ == "__main__":
    sys.exit(run([
        layers_lie_on_each_other,
        an_image_is_chosen_by_name_and_machine,
        what_docker_saves_is_an_image,
        damaged_layouts_are_refused,
        hostile_whiteouts_are_refused,
        names_that_lead_out_are_refused,
        links_are_replaced_not_written_through,
        devices_and_sockets_are_refused,
        what_is_too_much_is_refused,
        damaged_archives_are_refused,
        later_entries_win,
        the_store_is_not_packed_into_itself,
    ]))
