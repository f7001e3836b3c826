#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""nweb: a site out of a DC's file server, without a mount."""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import traceback
from contextlib import closing

import fs_gateway
from dvsd import BUILD, Tap
from fs_posix import World

MIB = 1 << 20
NWEB = BUILD / "apps/nweb/nweb"


class Site(World):
    """A World with nweb over what is put into PLACE."""
    store = "file"

    def __init__(self):
        super().__init__()
        self.place = self.gateway().path
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.nweb = subprocess.Popen(
            [NWEB, "--run-dir", self.dvsd.run_dir, "--dc", fs_gateway.DC,
             "--fs", "home", "--root", "/site/", "--listen", f"127.0.0.1:{self.port}"],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        assert "serves on" in self.nweb.stderr.readline()
        self.root = self.place / "site"
        self.root.mkdir()

    def __exit__(self, *how):
        self.nweb.terminate()
        assert self.nweb.wait(30) == 0
        self.nweb.stderr.close()
        return super().__exit__(*how)

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def get(self, path, method="GET", **fields):
        with closing(self.connect()) as one:
            one.request(method, path, headers={k.replace("_", "-"): v for k, v in fields.items()})
            reply = one.getresponse()
            return reply.status, dict(reply.getheaders()), reply.read()

    def raw(self, text):
        """All that is answered to TEXT until the server ends the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as one:
            one.sendall(text)
            got = b""
            while part := one.recv(65536):
                got += part
            return got


def files_are_what_they_are(site):
    for size in (0, 1, 4096, 70001, 3 * MIB + 5):
        data = os.urandom(size)
        (site.root / f"f{size}.html").write_bytes(data)
        status, fields, body = site.get(f"/f{size}.html")
        assert status == 200 and body == data, (size, status, len(body))
        assert fields["Content-Type"].startswith("text/html")
        status, fields, body = site.get(f"/f{size}.html", method="HEAD")
        assert status == 200 and body == b"" and int(fields["Content-Length"]) == size
    (site.root / "a b&c.txt").write_text("named")
    assert site.get("/a%20b%26c.txt?query")[2] == b"named"
    os.symlink("f4096.html", site.root / "link")
    assert site.get("/link")[2] == (site.root / "f4096.html").read_bytes()
    # A change is seen at once.
    (site.root / "a b&c.txt").write_text("other")
    assert site.get("/a%20b%26c.txt")[2] == b"other"


def parts_and_conditions(site):
    data = os.urandom(100000)
    (site.root / "part").write_bytes(data)
    for said, first, last in (("0-9", 0, 9), ("50-", 50, 99999), ("-7", 99993, 99999),
                              ("99990-200000", 99990, 99999), ("-200000", 0, 99999)):
        status, fields, body = site.get("/part", Range=f"bytes={said}")
        assert status == 206 and body == data[first:last + 1], (said, status)
        assert fields["Content-Range"] == f"bytes {first}-{last}/100000"
    status, fields, _ = site.get("/part", Range="bytes=100000-")
    assert status == 416 and fields["Content-Range"] == "bytes */100000"
    for said in ("bytes=9-3", "lines=1-2", "bytes=1-2,5-6", "bytes=x"):
        assert site.get("/part", Range=said)[::2] == (200, data)
    _, fields, _ = site.get("/part")
    assert site.get("/part", If_None_Match=fields["ETag"])[::2] == (304, b"")
    assert site.get("/part", If_None_Match='"x"')[0] == 200
    assert site.get("/part", If_Modified_Since=fields["Last-Modified"])[0] == 304
    assert site.get("/part", If_Modified_Since="Thu, 01 Jan 1970 00:00:01 GMT")[0] == 200
    assert site.get("/part", Range="bytes=0-1", If_Range='"old"')[0] == 200
    assert site.get("/part", Range="bytes=0-1", If_Range=fields["ETag"])[0] == 206


def directories_have_an_index_or_a_list(site):
    (site.root / "d").mkdir()
    status, fields, _ = site.get("/d")
    assert status == 301 and fields["Location"] == "/d/"
    (site.root / "d" / "<x> y").write_text("")
    (site.root / "d" / "sub").mkdir()
    status, _, body = site.get("/d/")
    assert status == 200 and re.findall('href="([^"]*)"', body.decode()) == \
        ["../", "./%3Cx%3E%20y", "./sub/"] and b"&#60;x&#62; y" in body, body
    (site.root / "d" / "index.html").write_text("index")
    assert site.get("/d/")[2] == b"index"
    # No other host, and no field of its own.
    (site.root / "e\r\nX: y").mkdir()
    status, fields, _ = site.get("/e%0d%0aX%3A%20y")
    assert status in (301, 400) and "X" not in fields
    assert site.get("//d")[1].get("Location") == "/d/"


def what_is_wrong_is_told(site):
    (site.root / "f").write_text("f")
    for path, status in (("/none", 404), ("/f/", 404), ("/f/x", 404), ("/%00", 400), ("/%zz", 400),
                         ("/" + "n" * 300, 404), ("/" + "n/" * 2500, 414)):
        assert site.get(path)[0] == status, (path[:20], site.get(path)[0])
    (site.place / "outside").write_text("secret")
    assert site.get("/../outside")[0] in (200, 404)
    for text, status in ((b"GET / HTTP/1.1\r\n\r\n", 400), (b"GET /f HTTP/3.0\r\n\r\n", 505),
                         (b"POST /f HTTP/1.0\r\n\r\n", 405), (b"nonsense\r\n\r\n", 400),
                         (b"GET /f HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 413),
                         (b"GET /f HTTP/1.1\r\nHost : x\r\n\r\n", 400),
                         (b"GET /f HTTP/1.0\r\nX: " + b"y" * 9000, 431)):
        assert site.raw(text).startswith(b"HTTP/1.1 %d " % status), (text[:40], site.raw(text)[:40])


def connections_stay(site):
    (site.root / "f").write_text("12345")
    with closing(site.connect()) as one:
        for _ in range(200):
            one.request("GET", "/f")
            assert one.getresponse().read() == b"12345"
    many = b"GET /f HTTP/1.1\r\nHost: x\r\n\r\n" * 50 + b"GET /f HTTP/1.0\r\n\r\n"
    assert site.raw(many).count(b"12345") == 51


def who_reads_slowly_holds_nobody_up(site):
    data = os.urandom(24 * MIB)
    with open(site.place / "site" / "big", "wb") as file:
        file.write(data[:7 * MIB])
    slow = socket.create_connection(("127.0.0.1", site.port), timeout=60)
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    slow.sendall(b"GET /big HTTP/1.0\r\n\r\n")
    (site.root / "f").write_text("12345")
    wrong = []

    def load():
        with closing(site.connect()) as one:
            for _ in range(50):
                one.request("GET", "/big", headers={"Range": "bytes=1000-300999"})
                if one.getresponse().read() != data[1000:301000]:
                    wrong.append(1)
    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    got = b""
    while part := slow.recv(65536):
        got += part
    slow.close()
    assert got.partition(b"\r\n\r\n")[2] == data[:7 * MIB]


def a_program_of_the_dc_finds_it_by_name(site):
    """Its server may go meanwhile: it asks the next one."""
    site.nweb.terminate()
    assert site.nweb.wait(60) == 0
    with closing(site.dvsd.admin()) as admin:
        key = {"name": fs_gateway.DC, "key": "fs/home"}
        record = json.loads(bytes(admin.ask("record_get", **key, next=0).value)) | {"access": "dc"}
        admin.ask("record_set", **key, expected=fs_gateway.ANY_VERSION,
                  value=json.dumps(record).encode())
    site.end_server()
    site.start_server()
    env = {**os.environ, "DVS_CONTROL": str(site.dvsd.control(fs_gateway.DC))}
    done = subprocess.run([NWEB, "--fs", "none"], env=env, check=False, capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 1 and "the file system: " in done.stderr, done.stderr
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    nweb = subprocess.Popen([NWEB, "--fs", "home", "--root", "/site", "--listen", f"127.0.0.1:{port}"],
                            env=env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert "serves on" in nweb.stderr.readline()
        (site.root / "f").write_text("12345")
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as one:
            for _ in range(2):
                one.request("GET", "/f")
                assert one.getresponse().read() == b"12345"
                site.end_server()
                site.start_server()
            one.request("GET", "/f")
            assert one.getresponse().read() == b"12345"
    finally:
        nweb.terminate()
        status = nweb.wait(60)
        nweb.stderr.close()
    assert status == 0


TESTS = (files_are_what_they_are, parts_and_conditions, directories_have_an_index_or_a_list,
         what_is_wrong_is_told, connections_stay, who_reads_slowly_holds_nobody_up, a_program_of_the_dc_finds_it_by_name)


def main():
    tap = Tap()
    for test in [globals()[name] for name in sys.argv[1:]] or TESTS:
        try:
            with Site() as site:
                test(site)
            tap.ok(True, test.__name__.replace("_", " "))
        except Exception:
            tap.ok(False, test.__name__.replace("_", " "), traceback.format_exc())
    print(f"1..{tap.n}")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
