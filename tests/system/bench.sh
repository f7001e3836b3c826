#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The benchmark measures every pattern and system, in the agreed form, and leaves nothing behind.
# How fast anything is, is not asked here.

# Message queues of others must not be taken for ours: if possible, be alone with them.
if [ -z "${BENCH_ALONE-}" ] && unshare --ipc true 2>/dev/null; then
	BENCH_ALONE=yes exec unshare --ipc sh "$0"
fi
. "$(dirname "$0")/../lib/tap.sh"
TMPDIR=$TAP_DIR/tmp
export TMPDIR
mkdir "$TMPDIR"
[ "$(nproc)" -ge 2 ] || skip_all "needs two CPUs"

bench()
{
	"$DVS_BUILD/dvs" bench ipc "$@"
}

# What the benchmark could leave behind, as one text.
traces()
{
	ipcs -q
	ls -A "$TMPDIR"
}

status_of()
{
	"$@" >"$TAP_DIR/out" 2>"$TAP_DIR/err"
	echo $?
}

before=$(traces)
is "the quick run succeeds" "$(status_of bench --quick --json --plot "$TAP_DIR/plot.svg")" 0
tap_comment <"$TAP_DIR/err"
cp "$TAP_DIR/out" "$TAP_DIR/quick.json"
check "its lines are complete and in the agreed form" \
	python3 "$DVS_SOURCE/tests/system/bench_form.py" "$TAP_DIR/quick.json"
check "its picture is well-formed" \
	python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' \
	"$TAP_DIR/plot.svg"
is "it leaves nothing behind" "$(traces)" "$before"

is "one pattern of one system is one line" \
	"$(bench --quick --repeats 1 --pattern pair --system pipe -o json | wc -l)" 1
says "people get a table" '^  pipe +[0-9.]+ ' \
	bench --quick --repeats 1 --pattern pair --system pipe,raw
says "help lists the patterns" "^  fan-in " bench --help
says "and the systems" "^  unix-seqpacket " bench --help
is "a wrong option is wrong usage" "$(status_of bench --fast)" 2
is "and so is an unknown system" "$(status_of bench --system smoke-signal)" 2
says "which is told apart from the known ones" "unknown system 'smoke-signal'; choose from" \
	bench --system smoke-signal
is "a picture that cannot be written is found first" \
	"$(status_of bench --plot "$TAP_DIR/none/plot.svg")" 1

# Interrupted in the middle: the status says so, and all is cleaned up.
before=$(traces)
timeout --preserve-status -s INT 1 "$DVS_BUILD/dvs" bench ipc >"$TAP_DIR/out" 2>"$TAP_DIR/err"
is "an interrupted run says so" $? 130
is "and leaves nothing behind" "$(traces)" "$before"
refuse "and no process" pgrep -P 1 -f "^$DVS_BUILD/dvs bench"

# Whoever reads the table may stop reading: that ends the run, and nothing is left either.
{ bench --quick --json 2>/dev/null; echo $? >"$TAP_DIR/status"; } | head -n 1 >/dev/null
refuse "a run whose reader left does not succeed" test "$(cat "$TAP_DIR/status")" -eq 0
is "and leaves nothing behind either" "$(traces)" "$before"

# A parent that ignores the end of children passes that on.
is "it runs where ends of processes are ignored" \
	"$(trap '' CHLD; bench --quick --repeats 1 --pattern pair --system pipe --json | wc -l)" 1
done_testing
