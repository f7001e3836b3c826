#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The commands on containers as users type them: on one node, then on the three of a lab."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from commands_room import DEADLINE_S, DVS, Room, Terminal
from dvsd import Tap
from lab import Lab, requires_lab, wait_for


# ---- DCs ----

def what_is_wrong_with_a_dc_is_said_before_anything_is_begun(room):
    def says(text, *words, status=2):
        why = room.refused(status, "dc", "create", "x", *words)
        assert text in why, (text, why)
    says("--memory does not take 'lots'", "--memory", "lots")
    says("--cpus", "--cpus", "-1")
    says("--io does not take '/dev/vda'", "--io", "/dev/vda")
    says("--volume does not take", "--volume", "here:there")
    says("--rlimit", "--rlimit", "nofile=many")
    says("--network", "--network", "mine")
    says("exclude each other", "--root", "host", "--directory", "/")
    says("there is no node 'n7'", "--nodes", "n7")
    says("--no-container", "--no-container", "--cpus", "1")
    says("--cpus: ", "--cpus", "1000", status=1)
    says("--directory: ", "--directory", "/no/such/place", status=1)
    says("/no/such/place", "--volume", "/no/such/place:/x", status=1)
    says("no node that is up has it", "--image", "nothing", status=1)
    assert "x" not in room.done("dc", "ls", "-q").split()


def a_dc_is_created_listed_and_told(room):
    created = room.json("dc", "create", "web", "--memory", "256M", "--cpus", "1.5", "--pids", 200,
                        "-e", "COLOUR=blue", "--label", "team=web")
    assert created["name"] == "web" and len(created["nodes"]) == 1, created
    assert created["owner_uid"] >= 0x10000000, created
    row = next(dc for dc in room.json("dc", "ls")["dcs"] if dc["name"] == "web")
    assert (row["phase"], row["nodes_ready"], row["root"], row["cpus"], row["memory"],
            row["pids"]) == ("runs", "1/1", "host", "1.5", 256 << 20, 200), row
    told = room.json("dc", "inspect", "web")
    assert told == room.json("inspect", "web")
    assert told["containers"]["description"]["labels"] == {"team": "web"}
    assert told["containers"]["nodes"][0]["state"] == "ready"
    assert "Containers:" in room.done("dc", "inspect", "web")
    assert "already" in room.refused(1, "dc", "create", "web")
    assert "did you mean 'web'?" in room.refused(1, "dc", "set", "wbe", "--memory", "1G")
    assert "did you mean 'web'?" in room.refused(125, "run", "wbe", "true")


def a_directory_is_a_root_file_system(room):
    root = room.dir / "root"
    for name in ("bin", "etc", "tmp", "proc", "dev", "sys", "run", "srv", "root"):
        (root / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin")
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nbird:x:7:8::/srv:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nbirds:x:8:\n")
    room.done("dc", "create", "tiny", "--directory", root, "--hostname", "nest", "--network", "none")
    assert room.done("run", "tiny", "/bin/busybox", "hostname") == "nest\n"
    assert room.done("run", "-u", "bird", "tiny", "/bin/busybox", "id", "-u") == "7\n"
    assert room.done("run", "-w", "/srv", "tiny", "/bin/busybox", "pwd") == "/srv\n"
    wrong = room.dvs("run", "-u", "nobody", "tiny", "/bin/busybox", "true")
    assert wrong.returncode in (125, 127) and "no user nobody" in wrong.stderr, wrong
    room.done("dc", "rm", "tiny")
    assert not [name for name in os.listdir(root / "srv")]


def limits_change_while_programs_run(room):
    room.done("run", "-d", "--name", "stays", "web", "sleep", "1000")
    before = room.programs("web")["stays"]["pid"]
    room.done("dc", "set", "web", "--memory", "512M", "--pids", "300", "--cpus", "none")
    row = next(dc for dc in room.json("dc", "ls")["dcs"] if dc["name"] == "web")
    assert (row["memory"], row["pids"], row["cpus"]) == (512 << 20, 300, None), row
    figures = room.json("stats", "web", "-i", "0.1")["containers"][0]
    assert (figures["memory_limit"], figures["pids_limit"], figures["cpu_limit_millis"]) == \
        (512 << 20, 300, None), figures
    assert room.programs("web")["stays"]["pid"] == before
    assert "--cpus: " in room.refused(1, "dc", "set", "web", "--cpus", "1000")
    assert "say what is to change" in room.refused(2, "dc", "set", "web")
    row = next(dc for dc in room.json("dc", "ls")["dcs"] if dc["name"] == "web")
    assert row["cpus"] is None and row["memory"] == 512 << 20
    room.done("kill", "web/stays")


def a_frozen_dc_stands_still(room):
    room.done("run", "-d", "--name", "clock", "web", "sh", "-c",
              "while :; do date +%s.%N >/tmp/clock; sleep 0.05; done")
    room.done("dc", "freeze", "web")
    assert "frozen" in room.done("dc", "ls")
    at = Path(f"/proc/{room.programs('web')['clock']['pid']}/root/tmp/clock")
    stopped = at.read_text()
    time.sleep(0.5)  # for what must not happen
    assert at.read_text() == stopped
    room.done("dc", "thaw", "web")
    first = room.done("exec", "web", "cat", "/tmp/clock")
    wait_for(lambda: room.done("exec", "web", "cat", "/tmp/clock") != first, "it goes on")
    room.done("kill", "web/clock")


# ---- programs ----

def a_program_is_as_if_it_were_run_here(room):
    result = room.dvs("run", "web", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (result.returncode, result.stdout, result.stderr) == (7, "out\n", "err\n"), result
    assert room.dvs("run", "web", "sh", "-c", "kill -KILL $$").returncode == 128 + 9
    assert room.dvs("run", "web", "sh", "-c", "exit 255").returncode == 255
    why = room.refused(127, "run", "web", "no-such-program")
    assert "no-such-program" in why, why
    assert "/etc/passwd" in room.refused(126, "run", "web", "/etc/passwd")
    assert "no image that says a command" in room.refused(125, "run", "web")
    assert "COMMAND is missing" in room.refused(125, "exec", "web")
    assert "--restart does not take" in room.refused(125, "run", "--restart", "maybe", "web", "true")
    assert "unknown option" in room.refused(125, "run", "--froce", "web", "true")
    assert "no terminal" in room.refused(125, "run", "-t", "web", "true")
    assert room.done("run", "web", "echo", "-n", "--node", "-i") == "--node -i"
    assert room.done("run", "web", "--", "echo", "x") == "x\n"


def variables_come_from_the_dc_and_from_here(room):
    room.environ["FROM_HERE"] = "yes"
    said = room.done("run", "-e", "FROM_HERE", "-e", "A=b c", "-e", "NOT_SET", "web", "sh", "-c",
                     "echo $COLOUR,$FROM_HERE,$A,${NOT_SET-none}")
    assert said == "blue,yes,b c,none\n", said


def input_and_output_are_exact(room):
    data = os.urandom(3 << 20)
    result = room.dvs("run", "-i", "web", "cat", input=data, text=False)
    assert result.returncode == 0 and result.stdout == data, (result.returncode, result.stderr)
    # Without -i nobody reads what is typed.
    assert room.done("run", "web", "cat", input="not for you") == ""
    piped = subprocess.run(["sh", "-c", f"{DVS} run web yes | head -n 2"], env=room.environ,
                           capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    assert (piped.stdout, piped.stderr) == ("y\ny\n", ""), piped


def signals_reach_the_program(room):
    script = "trap 'echo got it; exit 3' {}; echo ready; while :; do sleep 0.05; done"
    for name in ("TERM", "INT", "USR1", "HUP"):
        program = room.popen("run", "web", "sh", "-c", script.format(name), stdout=subprocess.PIPE,
                             stdin=subprocess.DEVNULL, text=True)
        assert program.stdout.readline() == "ready\n"
        program.send_signal(getattr(signal, f"SIG{name}"))
        assert program.stdout.read() == "got it\n", name
        assert program.wait(DEADLINE_S) == 3, name
        program.stdout.close()


def a_terminal_is_ours(room):
    terminal = Terminal(room, "run", "-it", "web", "sh", lines=30, columns=100)
    terminal.type(b"stty size; tty\n")
    terminal.wait_for(b"30 100\r\n")
    terminal.wait_for(b"/dev/")
    terminal.resize(12, 34)
    os.kill(terminal.pid, signal.SIGWINCH)
    deadline = time.monotonic() + DEADLINE_S
    while True:
        terminal.type(b"stty size | tr ' ' x\n")
        terminal.wait_for(b"\r\n")
        terminal.wait_for(b"x")
        terminal.wait_for(b"\r\n")
        if b"12x34" in terminal.seen or time.monotonic() > deadline:
            break
        terminal.type(b"stty size | tr ' ' =; echo END\n")
        terminal.wait_for(b"END\r\n")
        terminal.type(b"test \"$(stty size)\" = '12 34' && echo SIZE''D\n")
        try:
            terminal.wait_for(b"SIZED\r\n")
            break
        except AssertionError:
            continue
    # Ctrl-C is a key for the program that has the terminal, which has it when it speaks: the shell goes on.
    terminal.type(b"sh -c 'echo go\"\"ing; exec sleep 1000'\n")
    terminal.wait_for(b"going\r\n")
    terminal.type(b"\003")
    terminal.type(b"echo al''ive; exit 42\n")
    terminal.wait_for(b"alive\r\n")
    assert terminal.end() == 42


def a_terminal_that_goes_ends_only_the_client(room):
    terminal = Terminal(room, "run", "-it", "--name", "shell", "web", "sh")
    terminal.type(b"echo re''ady\n")
    terminal.wait_for(b"ready\r\n")
    os.kill(terminal.pid, signal.SIGTERM)
    assert terminal.end() == 128 + signal.SIGTERM
    assert room.programs("web")["shell"]["state"] == "running"
    again = Terminal(room, "attach", "web/shell")
    again.type(b"echo ba''ck; exit 5\n")
    again.wait_for(b"back\r\n")
    assert again.end() == 5


def what_exec_started_ends_with_it(room):
    program = room.popen("exec", "web", "sh", "-c", "echo ready; exec sleep 1234",
                         stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    assert program.stdout.readline() == "ready\n"
    program.kill()
    program.wait()
    program.stdout.close()
    wait_for(lambda: "sleep 1234" not in room.done("exec", "web", "ps", "ax"), "it ends, too")


def programs_are_listed_and_named(room):
    assert room.done("run", "-d", "--name", "a", "web", "sleep", "1000") == "web/a\n"
    assert "already" in room.refused(125, "run", "-d", "--name", "a", "web", "true")
    row = room.programs("web")["a"]
    assert row["state"] == "running" and row["command"] == "sleep 1000", row
    assert os.readlink(f"/proc/{row['pid']}/exe")
    assert "a" in room.done("ps", "-q")
    assert "endpoints" in room.json("ps")
    assert "did you mean 'web/a'?" in room.refused(1, "kill", "web/b")
    assert "there is no such program" in room.refused(1, "logs", "ffffffffffff")
    room.done("kill", "-s", "TERM", row["id"][:10])
    wait_for(lambda: "a" not in room.programs("web"), "it has ended")
    ended = room.programs("web", "-a")["a"]
    assert (ended["state"], ended["exit_status"]) == ("ended", 128 + signal.SIGTERM), ended
    assert "no signal 'NOSUCH'" in room.refused(2, "kill", "-s", "NOSUCH", "web/a")
    assert "is for --stop" in room.refused(2, "kill", "--grace", "3", "web/a")


def a_program_is_started_again_until_it_is_stopped(room):
    room.done("run", "-d", "--name", "r", "--restart", "always", "web", "sh", "-c",
              "echo begun; sleep 1000")
    first = room.programs("web")["r"]["pid"]
    room.done("kill", "-s", "KILL", "web/r")
    wait_for(lambda: room.programs("web").get("r", {}).get("pid") not in (None, first), "again")
    assert room.programs("web")["r"]["restarts"] == 1
    room.done("kill", "--stop", "web/r")
    assert room.done("wait", "web/r") == f"{128 + signal.SIGTERM}\n"
    assert "r" not in room.programs("web")
    room.done("run", "-d", "--name", "few", "--restart", "on-failure:2", "web", "sh", "-c",
              "echo try; exit 1")
    assert room.done("wait", "web/few") == "1\n"
    assert room.done("logs", "web/few") == "try\n" * 3


def logs_are_kept_and_followed(room):
    room.done("run", "-d", "--name", "talk", "web", "sh", "-c",
              "echo one; echo two >&2; sleep 0.5; echo three; while [ ! -e /tmp/go ]; do sleep 0.05; done; "
              "echo four")
    result = wait_for(lambda: (lambda r: r if "three" in r.stdout else None)(
        room.dvs("logs", "web/talk")), "it has written")
    assert (result.stdout, result.stderr) == ("one\nthree\n", "two\n"), result
    assert room.done("logs", "--tail", "1", "web/talk") == "three\n"
    stamped = room.done("logs", "-t", "--tail", "1", "web/talk")
    assert stamped.endswith("Z three\n") and stamped[4] == "-", stamped
    assert room.done("logs", "--since", "2000-01-01", "--tail", "1", "web/talk") == "three\n"
    assert room.done("logs", "--since", "2100-01-01T00:00:00Z", "web/talk") == ""
    assert "--since does not take" in room.refused(2, "logs", "--since", "lately", "web/talk")
    room.done("exec", "web", "touch", "/tmp/go")
    room.done("wait", "web/talk")
    # That it follows is seen by its first line.
    room.done("run", "-d", "--name", "tick", "web", "sh", "-c",
              "while [ ! -e /tmp/stop ]; do echo tick; sleep 0.05; done; echo last")
    follower = room.popen("logs", "-f", "--tail", "0", "web/tick", stdout=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, text=True)
    assert follower.stdout.readline() == "tick\n"
    room.done("exec", "web", "touch", "/tmp/stop")
    rest = follower.communicate(timeout=DEADLINE_S)[0]
    assert rest.replace("tick\n", "") == "last\n", rest
    assert follower.returncode == 0


def a_program_outlives_its_agent(room):
    program = room.popen("run", "-i", "web", "sh", "-c",
                         "trap 'echo usr1' USR1; echo $$; read a; echo $a; while ! read b; do :; done; echo $b; exit 9",
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert program.stdout.readline().strip().isdigit()
    program.stdin.write("first\n")
    program.stdin.flush()
    assert program.stdout.readline() == "first\n"
    program.send_signal(signal.SIGUSR1)
    assert program.stdout.readline() == "usr1\n"
    former = room.agent()
    os.kill(former, signal.SIGKILL)
    wait_for(lambda: room.agent() != former, "there is another agent")
    wait_for(lambda: room.dvs("ps", "web").returncode == 0, "it answers")
    # Each of its threads has an endpoint of its own, and hears of the agent's end by itself.
    program.send_signal(signal.SIGUSR1)
    assert program.stdout.readline() == "usr1\n"
    program.stdin.write("second\n")
    program.stdin.flush()
    assert program.stdout.readline() == "second\n"
    assert program.wait(DEADLINE_S) == 9
    program.stdin.close()
    program.stdout.close()


# ---- files ----

def tree(path):
    return {str(at.relative_to(path)): at.read_bytes() if at.is_file() else None
            for at in sorted(path.rglob("*"))}


def files_go_in_and_out(room):
    source = room.dir / "many"
    (source / "deep/er").mkdir(parents=True)
    for i in range(1000):
        (source / f"f{i}").write_text(str(i) * i)
    (source / "deep/er/x").write_bytes(os.urandom(1 << 20))
    room.done("cp", source, "web:/tmp")
    assert room.done("run", "web", "sh", "-c", "ls /tmp/many | wc -l") == "1001\n"
    room.done("cp", source, "web:/tmp/other")
    back = room.dir / "back"
    room.done("cp", "web:/tmp/other", back)
    assert tree(back) == tree(source)
    back.joinpath("in").mkdir()
    room.done("cp", "web:/tmp/many/deep/.", back / "in")
    assert tree(back / "in") == tree(source / "deep")
    room.done("cp", source / "f7", "web:/tmp/many/f8")
    assert room.done("exec", "web", "cat", "/tmp/many/f8") == "7" * 7
    listed = subprocess.run(["tar", "t"], input=room.done("cp", "web:/tmp/other/f9", "-",
                            text=False), capture_output=True, check=True)
    assert listed.stdout.strip().endswith(b"f9"), listed
    archive = subprocess.run(["tar", "c", "-C", source, "deep"], capture_output=True, check=True)
    room.done("cp", "-", "web:/run", input=archive.stdout, text=False)
    assert room.done("exec", "web", "sh", "-c", "wc -c </run/deep/er/x") == f"{1 << 20}\n"
    room.done("cp", "web:/tmp/many/deep", "web:/tmp/copied")
    assert room.done("exec", "web", "sh", "-c", "wc -c </tmp/copied/er/x") == f"{1 << 20}\n"
    assert "/no-such" in room.refused(1, "cp", "web:/no-such", back)
    assert "/no" in room.refused(1, "cp", source / "f7", "web:/no/such/place")
    assert "No such file" in room.refused(1, "cp", room.dir / "nothing", "web:/tmp")
    assert "neither" in room.refused(2, "cp", "a", "b")
    assert "no such DC" in room.refused(1, "cp", "nothing:/x", back)


def hostile_files_do_no_harm(room):
    """Links of a container lead nowhere, neither when it is read nor when it is written."""
    victim = room.dir / "victim"
    victim.mkdir()
    (victim / "secret").write_text("mine")
    room.done("run", "web", "sh", "-c",
              f"mkdir -p /tmp/evil; ln -sfn {victim} /tmp/evil/out; ln -sf {victim}/secret /tmp/evil/s")
    taken = room.dir / "taken"
    room.done("cp", "web:/tmp/evil", taken)
    assert (taken / "out").is_symlink() and (taken / "s").is_symlink()
    # A program that would have the rights of whoever copies it has none.
    room.done("run", "web", "sh", "-c", "cp /bin/true /tmp/evil/suid; chmod 6755 /tmp/evil/suid")
    room.done("cp", "web:/tmp/evil/suid", taken)
    assert (taken / "suid").stat().st_mode & 0o7777 == 0o755
    # What is written through the link that came before must not arrive.
    archive = subprocess.run(
        ["sh", "-ec", "d=$(mktemp -d); cd $d; ln -s " + str(victim) + " x; tar cf a x; rm x; "
         "mkdir x; echo theirs >x/secret; tar rf a x/secret; cat a; rm -r $d"],
        capture_output=True, check=True).stdout
    room.dvs("run", "-i", "web", "sh", "-c", "cat >/tmp/a.tar", input=archive, text=False)
    result = room.dvs("cp", "-", "web:/tmp/evil", input=archive, text=False)
    assert result.returncode == 1 and b"link" in result.stderr, result
    assert (victim / "secret").read_text() == "mine"
    # Paths are the container's own: a link to the host's root is one to its root.
    room.done("run", "web", "ln", "-sfn", "/", "/tmp/evil/root")
    (room.dir / "planted").write_text("x")
    room.dvs("cp", room.dir / "planted", f"web:/tmp/evil/root{room.dir}/victim/planted")
    assert not (victim / "planted").exists()


# ---- figures, and the end ----

def stats_tell_use_and_limits(room):
    room.done("run", "-d", "--name", "busy", "web", "sh", "-c", "while :; do :; done")
    row = room.json("stats", "web", "-i", "0.5")["containers"][0]
    assert row["cpu_millis"] > 100 and row["programs"] >= 1, row
    assert "MEMORY" in room.done("stats", "web", "-n", "1", "-i", "0.1")
    assert len(room.done("stats", "web", "-n", "2", "-i", "0.1", "--no-header").splitlines()) == 2
    assert "no such DC" in room.refused(1, "stats", "nothing")
    terminal = Terminal(room, "stats", "-i", "0.1")
    terminal.wait_for(b"q quit")
    terminal.type(b"q")
    assert terminal.end() == 0
    room.done("kill", "web/busy")


def a_dc_is_removed_with_all_that_runs_in_it(room):
    room.done("run", "-d", "web", "sh", "-c", "trap '' TERM; sleep 1000")
    pids = [program["pid"] for program in room.programs("web").values()]
    assert pids
    # It does not end by itself, so there is time to tell how far it is.
    assert room.dvs("dc", "rm", "web").returncode == 0
    assert "web" not in room.done("dc", "ls", "-q").split()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "they have ended")
    assert "no such DC" in room.refused(1, "dc", "rm", "web")
    assert "no such DC" in room.refused(125, "run", "web", "true")


ROOM_TESTS = [
    what_is_wrong_with_a_dc_is_said_before_anything_is_begun, a_dc_is_created_listed_and_told,
    a_directory_is_a_root_file_system, limits_change_while_programs_run, a_frozen_dc_stands_still,
    a_program_is_as_if_it_were_run_here, variables_come_from_the_dc_and_from_here,
    input_and_output_are_exact, signals_reach_the_program, a_terminal_is_ours,
    a_terminal_that_goes_ends_only_the_client, what_exec_started_ends_with_it,
    programs_are_listed_and_named, a_program_is_started_again_until_it_is_stopped,
    logs_are_kept_and_followed, a_program_outlives_its_agent, files_go_in_and_out,
    hostile_files_do_no_harm, stats_tell_use_and_limits, a_dc_is_removed_with_all_that_runs_in_it,
]


# ---- over nodes ----

def a_dc_has_containers_where_it_is_told(lab):
    lab.run(0, "dvs", "dc", "create", "web", "--nodes", "n0,2")
    rows = lab.json(1, "dc", "inspect", "web")["containers"]["nodes"]
    assert [(row["name"], row["state"]) for row in rows] == [("n0", "ready"), ("n2", "ready")]
    lab.run(1, "dvs", "dc", "add-node", "web", "n1")
    assert lab.json(0, "dc", "ls")["dcs"][0]["nodes_ready"] == "3/3"
    lab.run(1, "dvs", "dc", "rm-node", "web", "n2")
    assert lab.json(2, "dc", "ls")["dcs"][0]["nodes_ready"] == "2/2"
    wrong = lab.exec(0, "dvs", "dc", "rm-node", "web", "n2")
    assert wrong.returncode == 1 and "no container there" in wrong.stderr, wrong
    lab.run(0, "dvs", "dc", "add-node", "web", "n2")
    for node in range(3):
        assert lab.run(node, "dvs", "run", "web", "hostname") == "web\n"


def programs_run_on_any_node(lab):
    for node in range(3):
        lab.run(0, "dvs", "run", "--node", f"n{node}", "-d", "--name", f"p{node}", "web", "sleep",
                "1000")
    rows = lab.json(1, "ps")["programs"]
    assert sorted((row["program"], row["node_name"]) for row in rows) == \
        [(f"p{node}", f"n{node}") for node in range(3)], rows
    far = lab.exec(0, "dvs", "run", "-i", "--node", "n2", "web", "sh", "-c", "cat; exit 3",
                   input="through\n")
    assert (far.returncode, far.stdout) == (3, "through\n"), far
    beside = lab.run(0, "dvs", "exec", "web/p1", "ps", "ax")
    assert "sleep 1000" in beside
    lab.run(2, "dvs", "kill", "web/p0", "web/p1")
    wait_for(lambda: [row["program"] for row in lab.json(0, "ps")["programs"]] == ["p2"], "ended")
    wrong = lab.exec(0, "dvs", "run", "--node", "n9", "web", "true")
    assert wrong.returncode == 125 and "there is no node 'n9'" in wrong.stderr, wrong


def files_go_between_nodes(lab):
    lab.run(0, "dvs", "run", "--node", "n0", "web", "sh", "-c",
            "mkdir -p /tmp/d; head -c 3000000 /dev/urandom >/tmp/d/x; sha256sum </tmp/d/x >/tmp/d/sum")
    lab.run(1, "dvs", "cp", "web@n0:/tmp/d", "web@n2:/tmp/e")
    said = lab.run(1, "dvs", "run", "--node", "n2", "web", "sh", "-c",
                   "sha256sum </tmp/e/x | cmp - /tmp/e/sum && echo same")
    assert said == "same\n", said


def figures_of_all_nodes_are_one_list(lab):
    rows = lab.json(0, "stats", "-i", "0.1")["containers"]
    assert sorted(row["node_name"] for row in rows) == ["n0", "n1", "n2"], rows


def a_node_that_is_down_does_not_hold_the_rest_up(lab):
    lab.kill(2)
    lab.wait_members(0, [0, 1])
    wait_for(lambda: [row["node_name"] for row in lab.json(0, "ps")["programs"]] == [], "n2 is gone")
    assert lab.run(0, "dvs", "run", "web", "echo", "on") == "on\n"
    lab.start(2)
    lab.wait_members(0, [0, 1, 2])
    wait_for(lambda: lab.json(0, "dc", "ls")["dcs"][0]["nodes_ready"] == "3/3", "it is back", 60)
    lab.run(0, "dvs", "dc", "rm", "web")
    assert lab.json(1, "dc", "ls")["dcs"] == []


LAB_TESTS = [a_dc_has_containers_where_it_is_told, programs_run_on_any_node, files_go_between_nodes,
             figures_of_all_nodes_are_one_list, a_node_that_is_down_does_not_hold_the_rest_up]


def main():
    requires_lab()
    if not shutil.which("crun"):
        print("1..0 # SKIP needs crun")
        return 0
    tap = Tap()
    chosen = sys.argv[1:]
    room = Room()
    try:
        if chosen and not any(test.__name__ == "a_dc_is_created_listed_and_told" for test in ROOM_TESTS
                              if test.__name__ in chosen):
            room.dvs("dc", "create", "web", "-e", "COLOUR=blue")
        tap.each(ROOM_TESTS, room, needed=[a_dc_is_created_listed_and_told])
        tap.equal(room.end(), 0, "dvsd ends well")
    finally:
        if tap.failed:
            tap.comment((room.dir / "log").read_text()[-4000:].replace("\n", "\n# "))
        room.remove()
    if not chosen or any(test.__name__ in chosen for test in LAB_TESTS):
        with Lab(3) as lab:
            tap.each(LAB_TESTS, lab, needed=LAB_TESTS[:1])
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
