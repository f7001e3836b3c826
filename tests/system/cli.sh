#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The command line against a real dvsd: each command, used rightly and wrongly.
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
requires command python3

here=$(dirname "$0")
PATH=$DVS_BUILD:$DVS_BUILD/apps/examples:$PATH
export DVS_RUN_DIR="$TAP_DIR/run" NO_COLOR=1
unset DVS_CONTROL
run_dir=$DVS_RUN_DIR

# ends TITLE STATUS PATTERN COMMAND...: the command must end with that status, print nothing to
# stdout and a message that matches to stderr.
ends()
{
	ends_title=$1 ends_wanted=$2 ends_pattern=$3
	shift 3
	"$@" >"$TAP_DIR/stdout" 2>"$TAP_DIR/stderr" </dev/null
	ends_status=$?
	if [ "$ends_status" -ne "$ends_wanted" ]; then
		not_ok "$ends_title" "status $ends_status from: $*" "$TAP_DIR/stderr"
	elif [ -s "$TAP_DIR/stdout" ]; then
		not_ok "$ends_title" "data on stdout from: $*" "$TAP_DIR/stdout"
	elif ! grep -qE -e "$ends_pattern" "$TAP_DIR/stderr"; then
		not_ok "$ends_title" "no '$ends_pattern' from: $*" "$TAP_DIR/stderr"
	else
		ok "$ends_title"
	fi
}

# json EXPRESSION COMMAND...: print a Python expression over d, the document that the command
# prints; dd are all documents, one per line.
json()
{
	json_expression=$1
	shift
	"$@" </dev/null | python3 -c '
import json, sys
text = sys.stdin.read()
try:
    d, dd = json.loads(text), []
except json.JSONDecodeError:
    d, dd = None, [json.loads(line) for line in text.splitlines()]
print(eval(sys.argv[1]))' "$json_expression"
}

# prints TITLE WANTED COMMAND...: on stdout, and with success.
prints()
{
	prints_title=$1 prints_wanted=$2
	shift 2
	prints_got=$("$@" 2>&1 </dev/null) || prints_got="$prints_got (failed)"
	is "$prints_title" "$prints_got" "$prints_wanted"
}

ends "without dvsd it says what to try" 1 '^dvs: reach dvsd in .*; start dvsd, or name' dvs ps
says "version works without dvsd" '^dvsd  none answers$' dvs version
is "also as JSON" "$(json 'd["dvsd"]' dvs version -o json)" None

start dvsd dvsd --run-dir "$run_dir" --log-level warning
wait_for 10 dvs dc ls || { tap_comment <"$TAP_DIR/dvsd.log"; exit 1; }

# ---- DCs ----

prints "no DC, no name" '' dvs dc ls -q
check "a DC is created" dvs dc create web --no-container
ends "a second one of that name is refused" 1 \
	'^dvs: create dc web: that name or number exists already; choose another one$' \
	dvs dc create web --no-container
prints "-q prints its name" db dvs dc create db --no-container --owner 12 -q
is "-o json tells its owner" "$(json 'd["owner_uid"]' dvs dc create third --no-container --owner 34 -o json)" 34
ends "a wrong name is refused" 2 "'a/b' is no name of a DC" dvs dc create a/b
ends "what contradicts itself too" 2 "^dvs: dc create: --no-container makes a dc without containers" \
	dvs dc create x --no-container --memory 1G
ends "a size that is none names its option" 2 "--memory does not take 'lots'; give a number of bytes" \
	dvs dc create x --memory lots
ends "a missing name is told" 2 'NAME is missing; usage: dvs dc create NAME' dvs dc create
prints "the DCs are listed" 'web
db
third' dvs dc ls -q
is "also as JSON" "$(json '[dc["name"] for dc in d["dcs"]]' dvs dc ls -o json)" \
	"['web', 'db', 'third']"
is "also as CSV" "$(dvs dc ls -o csv | sed 1q)" name,id,phase,nodes_ready,root,cpus,memory_text,pids,owner,endpoints,processes,channels,records
check "a DC is removed" dvs dc rm third
ends "an unknown one is not, and the nearest is named" 1 \
	"^dvs: remove dc wbe: no such DC; did you mean 'web'\?$" dvs dc rm wbe

# ---- endpoints ----

prints "no endpoint, no name" '' dvs ep ls -q
start server env DVS_CONTROL="$run_dir/dc/web/control" dvs-echo server
wait_for 10 sh -c 'dvs ep ls -q | grep -qx web/17' || tap_comment <"$TAP_DIR/server.log"
server_pid=$(cat "$TAP_DIR/server.pid")
prints "the server is listed" web/17 dvs ep ls -q
prints "in its DC" web/17 dvs ep ls web -q
prints "not in another one" '' dvs ep ls db -q
ends "an unknown DC is told" 1 "^dvs: find dc we: no such DC; did you mean 'web'\?$" dvs ep ls we
prints "the example echoes" hello env DVS_CONTROL="$run_dir/dc/web/control" \
	dvs-echo client hello
is "who it is, and that it waits for anyone" "$(json \
	'[(e["endpoint"], e["pid"], e["state"], e["partner"], e["kind"]) for e in d["endpoints"]]' \
	dvs ep ls -o json)" "[(17, $server_pid, 'receiving', 'any', 'local')]"
is "what it received and sent" "$(json \
	'[d["endpoints"][0][key] for key in ("messages_in", "messages_out", "bytes_in", "bytes_out")]' \
	dvs ep ls -o json)" '[1, 1, 5, 5]'
says "the table has its titles" '^DC +ENDPOINT +GEN +KIND +NODE +PID +PROGRAM' dvs ep ls
says "the wide table has more" 'BYTES IN +BYTES OUT +NOTIFIES +SLEEPS +CHANNELS' dvs ep ls -w
says "no title when asked so" '^web +17 ' dvs ep ls --no-header
is "CSV has the columns of the wide table" "$(dvs ep ls -o csv | sed 1q | tr ',' '\n' | wc -l)" 19

ends "a DC in use is not removed" 1 "use --force$" dvs dc rm web
says "inspect tells a DC" '^DC: +web$' dvs inspect web
is "also as JSON" "$(json '(d["dc"]["name"], d["dvs"]["dcs"], len(d["endpoints"]))' \
	dvs inspect web -o json)" "('web', 2, 1)"
says "inspect tells an endpoint" '^Endpoint: +web/17$' dvs inspect web/17
generation=$(json 'd["endpoint"]["generation"]' dvs inspect web/17 -o json)
is "with its privileges" "$(json 'd["endpoint"]["privileges"]["call_to"]' \
	dvs inspect "web/17.$generation" -o json)" '[[0, 1048574]]'
ends "a generation that is over is refused" 1 'no process is bound to that endpoint' \
	dvs inspect "web/17.$((generation + 1))"
ends "an endpoint that nobody has too" 1 '^dvs: inspect web/18: no process is bound' \
	dvs inspect web/18
ends "what names no endpoint is wrong use" 2 'names no endpoint' dvs inspect web/x

# ---- inside the DC ----

inside()
{
	env -u DVS_RUN_DIR DVS_CONTROL="$run_dir/dc/web/control" "$@"
}
prints "inside, ep ls shows the DC" web/17 inside dvs ep ls -q
prints "and dc ls only that one" web inside dvs dc ls -q
ends "another DC is not there" 1 '^dvs: find dc db: no such DC' inside dvs ep ls db
ends "managing is refused" 1 '^dvs: reach dvsd in /run/dvs: ' inside dvs dc create x

# ---- top ----

is "top prints one document per look" "$(json '[len(x["endpoints"]) for x in dd]' \
	dvs top -n 2 -i 0.1 -o json)" '[1, 1]'
says "and tables without a terminal" 'IN/S +OUT/S +BYTES/S +SLEEPS/S' dvs top web -n 1 -i 0.1
ends "top of an unknown DC fails" 1 'no such DC' dvs top nothing -n 1
check "on a terminal q leaves and gives it back" python3 "$here/terminal.py" key dvs top
check "so does Ctrl-C" python3 "$here/terminal.py" interrupt dvs top
check "so does SIGTERM" python3 "$here/terminal.py" terminate dvs top
check "it follows the size of the terminal" python3 "$here/terminal.py" resize dvs top
check "it gives the terminal back while it is stopped" python3 "$here/terminal.py" stop dvs top

# ---- trace ----

dvs trace web/17 -n 2 -o json >"$TAP_DIR/trace.json" 2>"$TAP_DIR/trace.err" </dev/null &
tracer=$!
# Requests go on until the tracer has seen enough: it may not be ready for the first ones, and begin with an answer.
tries=0
while kill -0 "$tracer" 2>/dev/null && [ "$tries" -lt 200 ]; do
	inside dvs-echo client again >/dev/null
	tries=$((tries + 1))
done
kill "$tracer" 2>/dev/null
wait "$tracer"
is "trace follows what the server does" \
	"$(json '[(x["what"], x["data_bytes"], x["result"], x["lost"]) for x in sorted(dd, key=lambda x: x["what"])]' \
		cat "$TAP_DIR/trace.json")" "[('reply', 5, 'OK', 0), ('request', 5, 'OK', 0)]"
ends "trace of nobody fails" 1 '^dvs: trace web/18: no process is bound' dvs trace web/18
ends "trace of a DC is wrong use" 2 "names a DC; name one of its endpoints" dvs trace web

start tracer dvs trace web/17
sleep 0.2
stop server
wait_for 5 grep -q 'web/17 ended' "$TAP_DIR/tracer.log"
is "trace tells when the endpoint ends" "$(grep -c 'web/17 ended' "$TAP_DIR/tracer.log")" 1

# ---- the programs of the man pages ----

# A sanitizer's library only loads into a program that has the sanitizer too.
if ! nm "$DVS_BUILD/libdvk.a" 2>/dev/null | grep -qE '__(asan|tsan)_init'; then
	for page in m3ipc.3 dvk.3; do
		"$here/../unit/manage/man-pages.py" --example "$DVS_SOURCE" $page >"$TAP_DIR/$page.c"
		check "the example of $page builds" cc -I "$DVS_SOURCE/include" -o "$TAP_DIR/$page" \
			"$TAP_DIR/$page.c" "$DVS_BUILD/libdvk.a" -pthread
	done
	prints "that of m3ipc.3 greets the world" 'hello, world' inside "$TAP_DIR/m3ipc.3"
	says "that of dvk.3 finds itself" '^[0-9]+: dvk.3, process [0-9]+$' inside "$TAP_DIR/dvk.3"
fi

# ---- a user who is no manager ----

if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
	# The build directory may be nobody else's to see.
	cp "$DVS_BUILD/dvs" "$DVS_BUILD/apps/examples/dvs-echo" "$TAP_DIR"
	chmod 711 "$TAP_DIR"
	as_user()
	{
		# shellcheck disable=SC2317 # the checker does not see that it is called
		setpriv --reuid=12 --regid=12 --clear-groups env -u DVS_RUN_DIR \
			DVS_CONTROL="$run_dir/dc/db/control" "$@"
	}
	prints "the owner of a DC sees it from inside" db as_user "$TAP_DIR/dvs" dc ls -q
	ends "but may not manage" 1 '^dvs: reach dvsd in .*: ' \
		as_user "$TAP_DIR/dvs" dc rm db --run-dir "$run_dir"
	ends "a call to nobody is told" 1 '^dvs-echo: call the server: no process is bound' \
		as_user "$TAP_DIR/dvs-echo" client hello
	ends "the DC of another one he does not enter" 1 '^dvs-echo: open the link: not allowed' \
		as_user env DVS_CONTROL="$run_dir/dc/web/control" "$TAP_DIR/dvs-echo" server
	chmod 755 "$run_dir/dc/web"
	ends "and if he is let in he binds no server" 1 \
		'^dvs-echo: bind the server.s endpoint: not allowed' timeout 10 \
		setpriv --reuid=12 --regid=12 --clear-groups env -u DVS_RUN_DIR \
		DVS_CONTROL="$run_dir/dc/web/control" "$TAP_DIR/dvs-echo" server
fi

# ---- the rest ----

ends "an unknown command is wrong use" 2 "did you mean 'ps'" dvs sp
ends "an unknown option too" 2 "did you mean '--force'" dvs dc rm web --froce
ends "and no command" 2 "'dvs help' lists the commands" dvs
says "help lists the commands" '^  ps +\[DC\] ' dvs help
says "version tells that of dvsd" '^dvsd  [0-9.]+ \(node' dvs version
check "JSON of the table of commands" json 'len(d["commands"])' dvs help -o json
is "output that cannot be written is a failure" \
	"$(dvs help >/dev/full 2>&1; echo $?)" 1
check "a DC is removed with force" dvs dc rm web --force
stop dvsd
is "dvsd ends well" "$?" 0
ends "and then nothing answers" 1 'no dvsd answers' dvs ps

done_testing
