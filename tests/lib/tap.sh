# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# Helpers for tests written in sh that speak TAP. At the top of a test:
#
#	. "$(dirname "$0")/../lib/tap.sh"
#	requires root
#	requires command ip
#	start server "$DVS_BUILD/dvsd" --foreground
#	wait_for 5 test -S "$TAP_DIR/control"
#	check "a DC is created" dvs dc create web
#	refuse "a second one of that name is refused" dvs dc create web
#	says "the list names it" 'web' dvs dc ls
#	done_testing
#
# $TAP_DIR is a private directory, removed at the end. Whatever start started is ended at the
# end, and what at_end was given is run, newest first, also when the test dies. A test that
# ends without done_testing fails.

TAP_COUNT=0
TAP_FAILED=0
TAP_DONE=
TAP_CLEANUPS=
TAP_DIR=$(mktemp -d "${TMPDIR:-/tmp}/dvs-test.XXXXXX") || exit 1
export TAP_DIR

tap_finish()
{
	tap_status=$?
	trap - EXIT INT TERM HUP
	eval "$TAP_CLEANUPS"
	rm -rf "$TAP_DIR"
	if [ -z "$TAP_DONE" ]; then
		echo "Bail out! The test ended before done_testing (status $tap_status)"
		exit 1
	fi
	[ "$TAP_FAILED" -eq 0 ] || exit 1
	exit 0
}
trap tap_finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# Each line of the input as a TAP comment.
tap_comment()
{
	sed 's/^/# /'
}

# at_end COMMAND: a line of shell to run at the end; the newest runs first.
at_end()
{
	TAP_CLEANUPS="$1
$TAP_CLEANUPS"
}

# skip_all REASON: nothing of this test can run here.
skip_all()
{
	TAP_DONE=yes
	echo "1..0 # SKIP $1"
	exit 0
}

# requires root | command NAME | file PATH
requires()
{
	case $1 in
	root) [ "$(id -u)" -eq 0 ] || skip_all "needs root" ;;
	command) command -v "$2" >/dev/null || skip_all "needs the command $2" ;;
	file) [ -e "$2" ] || skip_all "needs $2" ;;
	*) echo "Bail out! requires: unknown need $1" && exit 1 ;;
	esac
}

ok()
{
	TAP_COUNT=$((TAP_COUNT + 1))
	echo "ok $TAP_COUNT - $1"
}

# not_ok TITLE REASON [FILE]: FILE has what the failed command printed.
not_ok()
{
	TAP_COUNT=$((TAP_COUNT + 1))
	TAP_FAILED=$((TAP_FAILED + 1))
	echo "not ok $TAP_COUNT - $1"
	echo "$2" | tap_comment
	[ -z "${3-}" ] || tap_comment <"$3"
}

# check TITLE COMMAND...: the command must succeed.
check()
{
	tap_title=$1
	shift
	if "$@" >"$TAP_DIR/.out" 2>&1 </dev/null; then
		ok "$tap_title"
	else
		not_ok "$tap_title" "status $? from: $*" "$TAP_DIR/.out"
	fi
}

# refuse TITLE COMMAND...: the command must fail, by itself and not by a signal.
refuse()
{
	tap_title=$1
	shift
	"$@" >"$TAP_DIR/.out" 2>&1 </dev/null
	tap_status=$?
	if [ "$tap_status" -ne 0 ] && [ "$tap_status" -lt 126 ]; then
		ok "$tap_title"
	else
		not_ok "$tap_title" "status $tap_status from: $*" "$TAP_DIR/.out"
	fi
}

# says TITLE PATTERN COMMAND...: what the command prints, on either stream, must match the
# extended regular expression. Its status does not matter.
says()
{
	tap_title=$1 tap_pattern=$2
	shift 2
	"$@" >"$TAP_DIR/.out" 2>&1 </dev/null
	if grep -qE -e "$tap_pattern" "$TAP_DIR/.out"; then
		ok "$tap_title"
	else
		not_ok "$tap_title" "no '$tap_pattern' from: $*" "$TAP_DIR/.out"
	fi
}

# is TITLE GOT WANTED: two texts must be the same.
is()
{
	if [ "$2" = "$3" ]; then
		ok "$1"
	else
		not_ok "$1" "got '$2', wanted '$3'"
	fi
}

# start NAME COMMAND...: run it beside the test; its output is in $TAP_DIR/NAME.log and its
# process number in $TAP_DIR/NAME.pid. It is ended when the test ends.
start()
{
	tap_name=$1
	shift
	"$@" >"$TAP_DIR/$tap_name.log" 2>&1 </dev/null &
	echo $! >"$TAP_DIR/$tap_name.pid"
	at_end "stop $tap_name"
	# Until it is itself: a signal that comes between fork and exec would get lost.
	wait_for 10 tap_is_itself $!
}

tap_is_itself()
{
	! cmp -s "/proc/$1/cmdline" /proc/$$/cmdline
}

tap_is_over()
{
	case $(sed 's/.*) //' "/proc/$1/stat") in
	[!Z]*) return 1 ;;
	esac
}

# stop NAME [SIGNAL]: end what start started, by TERM or SIGNAL, and wait until it is gone.
# Its exit status is the result; what does not end in 10 seconds is killed.
stop()
{
	[ -e "$TAP_DIR/$1.pid" ] || return 0
	tap_pid=$(cat "$TAP_DIR/$1.pid")
	rm -f "$TAP_DIR/$1.pid"
	kill -s "${2:-TERM}" "$tap_pid" 2>/dev/null
	if ! wait_for 10 tap_is_over "$tap_pid"; then
		echo "# $1 did not end by ${2:-TERM} in 10 seconds: killed"
		kill -s KILL "$tap_pid" 2>/dev/null
	fi
	wait "$tap_pid" 2>/dev/null
}

# wait_for SECONDS COMMAND...: until the command succeeds; fails when the time has passed.
wait_for()
{
	tap_deadline=$(($(date +%s) + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(date +%s)" -lt "$tap_deadline" ] || return 1
		sleep 0.02
	done
}

done_testing()
{
	TAP_DONE=yes
	echo "1..$TAP_COUNT"
	exit 0
}
