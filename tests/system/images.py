# SPDX-License-Identifier: Apache-2.0
"""For tests of the store of images: a store of its own, and archives that are made entry by entry."""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback
from pathlib import Path

from dvsd import Tap

SOURCE = Path(os.environ.get("DVS_SOURCE", Path(__file__).resolve().parents[2]))
BUILD = Path(os.environ.get("DVS_BUILD", SOURCE / "build"))
ACTOR = BUILD / "tests/system/image-actor"
MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


class Store:
    """A store of its own, and a folder for sources."""

    def __init__(self, base, name="lib"):
        self.base = Path(base)
        self.lib = self.base / name
        self.images = self.lib / "images"

    def run(self, verb, *args, stdin=None, env=None):
        done = subprocess.run([ACTOR, verb, self.lib, *args], stdin=stdin, capture_output=True,
                              env={**os.environ, **(env or {})}, timeout=120, check=False)
        return json.loads(done.stdout)

    def import_ok(self, name, path, *rest):
        answer = self.run("import", name, path, *rest)
        assert answer["error"] == "OK", answer
        return answer

    def refused(self, path, *words, error="BADARG", reference=""):
        answer = self.run("import", "x", path, reference)
        assert answer["error"] == error, answer
        for word in words:
            assert word in answer["why"], (word, answer["why"])
        self.is_clean()
        return answer["why"]

    def is_clean(self):
        left = [p.name for p in self.images.iterdir() if p.name.startswith("new-")]
        assert not left, left

    def tree(self, answer):
        return self.images / answer["digest"][7:] / "tree"


class Tar:
    """An archive that is made entry by entry, however wrong."""

    def __init__(self, mode="w", form=tarfile.PAX_FORMAT):
        self.bytes = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.bytes, mode=mode, format=form)

    def add(self, name, data=None, kind=tarfile.REGTYPE, **fields):
        info = tarfile.TarInfo(name)
        info.type = tarfile.DIRTYPE if name.endswith("/") else kind
        info.mode = 0o755 if info.isdir() else 0o644
        if data is not None:
            data = data if isinstance(data, bytes) else data.encode()
            info.size = len(data)
        for key, value in fields.items():
            setattr(info, key, value)
        self.tar.addfile(info, io.BytesIO(data) if data is not None else None)
        return self

    def link(self, name, target, **fields):
        return self.add(name, kind=tarfile.SYMTYPE, linkname=target, **fields)

    def hard(self, name, target, **fields):
        return self.add(name, kind=tarfile.LNKTYPE, linkname=target, **fields)

    def done(self):
        self.tar.close()
        return self.bytes.getvalue()

    def save(self, path):
        Path(path).write_bytes(self.done())
        return path


def root_file_system(tar):
    tar.add("./", mode=0o755, mtime=1000)
    tar.add("bin/", mtime=1001)
    tar.add("bin/sh", "#!", mode=0o4755, mtime=1002)
    tar.hard("bin/ash", "bin/sh")
    tar.link("sbin", "bin", mtime=1003)
    tar.add("etc/passwd", "root:x:0:0::/:/bin/sh\n", mtime=1004, uid=1, gid=2)
    tar.add("run/fifo", kind=tarfile.FIFOTYPE, mode=0o620, mtime=1005)
    tar.add("big", b"\0" * 1000000 + b"end", mtime=1006.75)
    tar.add("ünï/" + "long" * 60, "x", mtime=5, uid=3000000, pax_headers={
        "SCHILY.xattr.user.colour": "blue", "SCHILY.xattr.trusted.overlay.opaque": "y"})
    return tar


def blob(layout, data):
    digest = hashlib.sha256(data).hexdigest()
    folder = layout / "blobs/sha256"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / digest).write_bytes(data)
    return {"digest": "sha256:" + digest, "size": len(data)}


def make_layout(layout, layers, name="v1", machine=MACHINE, config=None, more=()):
    layout.mkdir(exist_ok=True)
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    config = blob(layout, json.dumps({"os": "linux", "architecture": machine,
                                      "config": config or {}}).encode())
    manifest = blob(layout, json.dumps({
        "schemaVersion": 2, "config": config,
        "layers": [blob(layout, layer) for layer in layers]}).encode())
    manifest["mediaType"] = "application/vnd.oci.image.manifest.v1+json"
    manifest["annotations"] = {"org.opencontainers.image.ref.name": name}
    manifest["platform"] = {"os": "linux", "architecture": machine}
    index = {"schemaVersion": 2, "manifests": [manifest, *more]}
    (layout / "index.json").write_text(json.dumps(index))
    return manifest


def wait_until(condition, what):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def run(tests):
    """Each test gets a store of its own; its name is its title."""
    tap = Tap()
    if os.geteuid() != 0:
        print("1..0 # SKIP files get owners: it takes root")
        return 0
    for test in tests:
        title = test.__name__.replace("_", " ")
        if sys.argv[1:] and test.__name__ not in sys.argv[1:]:
            continue
        with tempfile.TemporaryDirectory(prefix="dvs-image-", dir="/var/tmp") as base:
            try:
                test(Store(base))
                tap.ok(True, title)
            except Exception:
                tap.ok(False, title, traceback.format_exc())
    print(f"1..{tap.n}")
    return 1 if tap.failed else 0
