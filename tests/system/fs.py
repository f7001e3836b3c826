#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""dvs fs in a lab: file systems are made, checked, limited, grown and removed, with the real servers."""

import os
import signal
import sys
import traceback
from pathlib import Path

from dvsd import Tap
from lab import Lab, requires_lab, wait_for

DC = "web"
MIB = 1 << 20


def fs(lab, *words, node=0, status=0, timeout=90):
    """Run 'dvs fs WORDS'; its standard output, or its messages when it is to fail."""
    done = lab.exec(node, "dvs", "fs", *words, timeout=timeout)
    assert done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
    return done.stdout if status == 0 else done.stderr


def listed(lab, node=0):
    return {row["name"]: row for row in lab.json(node, "fs", "ls", DC)["file systems"]}


def inspected(lab, name, node=0):
    return lab.json(node, "fs", "inspect", f"{DC}/{name}")


def servers(name):
    """The numbers of the processes dvs-fs that serve NAME."""
    found = []
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            words = (proc / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"/dvs-fs") and name.encode() in words:
            found.append(int(proc.name))
    return found


def wrong_words_make_nothing(lab):
    """Nothing is made, and the sentence says what to do."""
    for words, text in (
            (("create", "site", "--size", "1G"), "DC/NAME"),
            (("create", f"{DC}/-x", "--size", "1G"), "no name"),
            (("create", f"{DC}/a"), "--size 10G"),
            (("create", f"{DC}/a", "--size", "1M"), "16M to 16T"),
            (("create", f"{DC}/a", "--size", "17T"), "16M to 16T"),
            (("create", f"{DC}/a", "--size", "1G", "--volume", "v"), "leave it out"),
            (("create", f"{DC}/a", "--store", "volume"), "--volume NAME"),
            (("create", f"{DC}/a", "--store", "raw"), "--device PATH"),
            (("create", f"{DC}/a", "--device", "sda"), "absolute path"),
            (("create", f"{DC}/a", "--size", "1G", "--nodes", "n0,n1"), "backups"),
            (("quota", f"{DC}/a"), "no such file system")):
        status = 1 if words[0] == "quota" else 2
        said = fs(lab, *words, status=status)
        assert text in said, (words, said)
    assert "nowhere" in fs(lab, "create", "nowhere/a", "--size", "16M", status=1)
    assert "no volume" in fs(lab, "create", f"{DC}/a", "--volume", "v", status=1)
    said = fs(lab, "create", f"{DC}/a", "--device", "/dev/null", status=1)
    assert "/dev/null" in said, said
    assert not listed(lab)


def a_file_system_in_a_file(lab):
    fs(lab, "create", f"{DC}/site", "--size", "64M", "--nodes", "n1")
    row = listed(lab)[f"{DC}/site"]
    assert row["state"] == "served" and row["nodes"] == "n1" and row["bytes"] == 64 * MIB, row
    assert "did you mean 'web/site'" in fs(lab, "inspect", f"{DC}/siet", status=1)
    assert "of that name" in fs(lab, "create", f"{DC}/site", "--size", "64M", status=1)
    fs(lab, "check", f"{DC}/site")
    fs(lab, "quota", f"{DC}/site", "--size", "10M", "--count", "100")
    told = inspected(lab, "site", node=2)
    assert told["quota_bytes"] == 10 * MIB and told["quota_files"] == 100, told
    # Its server is killed: another one opens what is there.
    pid, = servers("site")
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: listed(lab)[f"{DC}/site"]["state"] == "served" and servers("site") != [pid],
             "another server", 30)
    assert inspected(lab, "site")["quota_files"] == 100
    assert "--force" in fs(lab, "rm", f"{DC}/site", status=1)
    fs(lab, "rm", "--force", f"{DC}/site")
    wait_for(lambda: not servers("site"), "the server to end", 30)
    assert not listed(lab)


def a_snapshot_shows_what_was(lab):
    """A clone of it is a file system with all that was there then, beside the one that goes on."""
    lab.run(0, "sh", "-c", "mkdir -p /run/snap/d /run/more && echo then > /run/snap/d/f && head -c 3M /dev/urandom > /run/snap/big && echo now > /run/more/later")
    fs(lab, "import", f"{DC}/data", "/run/snap")
    assert "no name of a snapshot" in fs(lab, "snapshot", f"{DC}/data", "x/y", status=2)
    # What the server was asked a moment ago is in it: names, and bytes, which of an epoch that was not ended are lost with its medium's life.
    told = lab.run(0, "sh", "-c", f"mkdir /run/m && dvs fs mount {DC}/data /run/m && mkdir /run/m/late && cat /run/snap/big > /run/m/late/big && dvs fs snapshot {DC}/data monday -o name && dvs fs umount /run/m")
    assert f"{DC}/data@monday\n" in told, told
    assert "already" in fs(lab, "snapshot", f"{DC}/data", "monday", status=1)
    fs(lab, "import", f"{DC}/data", "/run/more", "d")
    lab.run(0, "dvs", "vol", "clone", f"{DC}/data@monday", "then")
    fs(lab, "create", f"{DC}/then", "--volume", "then")
    assert inspected(lab, "then")["quota_files"] == 77
    fs(lab, "import", f"{DC}/then", "/run/more", "new")
    fs(lab, "check", f"{DC}/then")
    fs(lab, "export", f"{DC}/then", "/run/then")
    fs(lab, "export", f"{DC}/data:d", "/run/now")
    assert lab.run(0, "sh", "-c", "cd /run/then && cmp big ../snap/big && cmp late/big big && rm late/big && rmdir late && find d new -type f && cat d/f && ls /run/now") == "d/f\nnew/later\nthen\nf\nlater\n"
    fs(lab, "rm", "--force", f"{DC}/then")
    fs(lab, "create", f"{DC}/ram", "--size", "16M", "--store", "ram")
    assert "dvs fs export" in fs(lab, "snapshot", f"{DC}/ram", "monday", status=1)
    fs(lab, "rm", "--force", f"{DC}/ram")


def a_backup_takes_over_a_volume(lab):
    """A backup opens it when the primary's node is gone."""
    lab.run(0, "dvs", "vol", "create", f"{DC}/data", "--size", "64M", "--nodes", "n0,n1,n2",
            "--store", "ram")
    fs(lab, "create", f"{DC}/data", "--volume", "data", "--nodes", "n0,n1")
    assert "is on that volume" in fs(lab, "create", f"{DC}/more", "--volume", "data", status=1)
    fs(lab, "quota", f"{DC}/data", "--count", "77")
    a_snapshot_shows_what_was(lab)
    wait_for(lambda: len(servers("data")) == 2, "a backup", 30)
    lab.run(0, "dvs", "vol", "resize", f"{DC}/data", "128M")
    fs(lab, "grow", f"{DC}/data")
    assert inspected(lab, "data")["bytes"] == 128 * MIB
    first = lab.json(0, "fs", "inspect", f"{DC}/data")
    assert first["state"] == "served", first
    lab.kill(0)
    wait_for(lambda: listed(lab, 2)[f"{DC}/data"]["state"] == "served", "the backup", 60)
    told = inspected(lab, "data", node=2)
    assert told["quota_files"] == 77 and told["bytes"] == 128 * MIB, told
    fs(lab, "check", f"{DC}/data", node=2)


def lists(lab, top):
    """The ACLs of what is in directory d of TOP."""
    return lab.run(1, "sh", "-c", f"cd {top} && find d ! -type l | LC_ALL=C sort | xargs getfacl -cn")


def the_same_goes_out(lab):
    """To a directory and to archives. Without --owners nothing that gives rights is kept; what is there is replaced only when that is said, and through no link."""
    lab.run(1, "sh", "-c", "mknod /run/in/x/y/dev c 1 3 && truncate -s 2M /run/in/x/y/empty && touch /run/in/x/y/ä && cd /run && dvs fs export web/in:/x/y out.tar.zst --owners && dvs fs export web/in:x/y - > out.tar")
    fs(lab, "export", f"{DC}/in:x/y", "/run/out", "--owners", node=1)
    lab.run(1, "sh", "-c", "cd /run && mkdir untar && tar --xattrs --acls -xpf out.tar.zst -C untar && mkdir mine && tar --xattrs -xpf out.tar -C mine")
    for top, mode, owner in (("/run/out", 4750, "1000 1001"), ("/run/untar", 4750, "1000 1001"), ("/run/mine", 750, "0 0")):
        told = lab.run(1, "sh", "-c", f"cd {top} && cat a && stat -c '%a %h %Y %y' a && stat -c '%u %g %Y' d && readlink d/link && stat -c %F p && getfattr --only-values -n user.k a && echo && test a -ef d/hard"
                       f" && cmp hole /run/src/hole && du -k hole empty | cut -f1 && stat -c %s empty && ls | tr '\\n' ' '")
        names = "a d {}empty hole p ä \n".format("" if mode == 750 else "dev ")
        assert told.startswith(f"text\n{mode} 2 981173106 2001-02-03 04:05:06.789"), told
        assert told.split("\n", 2)[2] == f"{owner} 981173106\n../a\nfifo\nv\n4\n0\n2097152\n{names.strip()} ", (top, told)
    for top in ("/run/out", "/run/untar"):
        assert lists(lab, top) == lists(lab, "/run/src"), (top, lists(lab, top), lists(lab, "/run/src"))
    assert "user:1000" not in lists(lab, "/run/mine")
    assert "--force replaces" in fs(lab, "export", f"{DC}/in:x/y", "/run/out", node=1, status=1)
    assert "--force replaces" in fs(lab, "export", f"{DC}/in", "/run/out.tar", node=1, status=1)
    fs(lab, "export", "--force", f"{DC}/in:x/y", "/run/out", node=1)
    assert lab.run(1, "stat", "-c", "%a %h", "/run/out/a") == "750 2\n"
    # A link in the way leads nowhere, and nothing is left beside.
    lab.run(1, "sh", "-c", "cd /run/out && rm -r d && mkdir /run/elsewhere && ln -s /run/elsewhere d")
    assert "d: " in fs(lab, "export", "--force", f"{DC}/in:x/y", "/run/out", node=1, status=1)
    assert lab.run(1, "sh", "-c", "ls -A /run/elsewhere; find /run/out /run -maxdepth 1 -name '.dvs-*'; ls /run/in/x/y/dev") == "/run/in/x/y/dev\n"
    assert "no/such" in fs(lab, "export", f"{DC}/in:no/such", "/run/none", node=1, status=1)


def a_tree_and_an_archive_come_in(lab):
    """Modes, times, links, attributes and holes are kept; owners only if that is said. What leads out is refused."""
    fs(lab, "create", f"{DC}/in", "--size", "64M", "--nodes", "n1")
    lab.run(1, "sh", "-c", "mkdir -p /run/src/d/e /run/in && cd /run/src && echo text > a && ln a d/hard && ln -s ../a d/link && mkfifo p && truncate -s 3M hole && echo x >> hole && setfattr -n user.k -v v a"
            " && chmod 4750 a && chown -h 1000:1001 d && setfacl -m u:1000:rw,g:1001:---,m::rwx d/e && setfacl -d -m u:1000:r d/e && touch d/e/f && setfacl -m u:1002:rwx d/e/f && touch d/e/plain && setfacl -b d/e/plain && touch -d 2001-02-03T04:05:06.789 a d && tar --xattrs --acls -czf /run/in.tgz . && touch evil && tar -cPf /run/evil.tar --transform 's#^evil#../../evil#' evil && rm evil")
    fs(lab, "import", f"{DC}/in", "/run/src", node=1)
    fs(lab, "import", f"{DC}/in", "/run/in.tgz", "/x/y", "--owners", node=1)
    # Once more: what is there is replaced.
    fs(lab, "import", f"{DC}/in", "/run/in.tgz", "x/y", "--owners", node=1)
    fs(lab, "mount", f"{DC}/in", "/run/in", node=1)
    for top, owner in (("/run/in", "0 0"), ("/run/in/x/y", "1000 1001")):
        told = lab.run(1, "sh", "-c", f"cd {top} && cat a && stat -c '%a %h %Y' a && stat -c '%u %g %Y' d && readlink d/link && stat -c %F p && getfattr --only-values -n user.k a && echo && test a -ef d/hard"
                       f" && cmp hole /run/src/hole && du -k hole | cut -f1")
        assert told == f"text\n4750 2 981173106\n{owner} 981173106\n../a\nfifo\nv\n4\n", told
    # Whom an ACL names is a number, as owners are.
    fs(lab, "import", f"{DC}/in", "/run/src", "z", "--owners", node=1)
    assert "user:1000:rw-" in lists(lab, "/run/src") and "default:user:1000:r--" in lists(lab, "/run/src")
    for top in ("/run/in/x/y", "/run/in/z"):
        assert lists(lab, top) == lists(lab, "/run/src"), (top, lists(lab, top), lists(lab, "/run/src"))
    assert "user:1000" not in lists(lab, "/run/in")
    assert "leads out" in fs(lab, "import", f"{DC}/in", "/run/evil.tar", node=1, status=1)
    assert "/no/such" in fs(lab, "import", f"{DC}/in", "/no/such", node=1, status=1)
    assert "/a: " in fs(lab, "import", f"{DC}/in", "/run/src", "/a", node=1, status=1)
    the_same_goes_out(lab)
    # Too much for it: half a file is none.
    lab.run(1, "sh", "-c", "mkdir /run/big && head -c 80M /dev/urandom > /run/big/big")
    said = fs(lab, "import", f"{DC}/in", "/run/big", node=1, status=1)
    assert "big: " in said and "the rest is not" in said, said
    assert lab.exec(1, "ls", "/run/in/big").returncode == 2
    lab.run(1, "sh", "-c", "dvs fs umount /run/in && rm -r /run/big")
    fs(lab, "check", f"{DC}/in")
    fs(lab, "rm", "--force", f"{DC}/in")


TESTS = [wrong_words_make_nothing, a_file_system_in_a_file, a_tree_and_an_archive_come_in, a_backup_takes_over_a_volume]


def main():
    requires_lab()
    tap = Tap()
    with Lab(3) as lab:
        lab.run(0, "dvs", "dc", "create", DC, "--no-container")
        for test in TESTS:
            if sys.argv[1:] and test.__name__ not in sys.argv[1:]:
                continue
            title = test.__name__.replace("_", " ")
            try:
                test(lab)
                tap.ok(True, title)
            except Exception:
                tap.ok(False, title, traceback.format_exc())
        if tap.failed:
            lab.show_logs()
    print(f"1..{tap.n}")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
