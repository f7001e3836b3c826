#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The test helpers themselves: a test that cannot fail is worth nothing.
. "$(dirname "$0")/../lib/tap.sh"

lib=$(cd "$(dirname "$0")/../lib" && pwd)

# A test of its own, from standard input; its output and status are kept.
try()
{
	{ echo ". $lib/tap.sh"; cat; } >"$TAP_DIR/try.sh"
	sh "$TAP_DIR/try.sh" >"$TAP_DIR/try.out" 2>&1
	echo "status $?" >>"$TAP_DIR/try.out"
}

try <<'T'
check "works" true
check "breaks" false
check "works again" true
done_testing
T
says "a failing command is not ok" '^not ok 2 - breaks$' cat "$TAP_DIR/try.out"
says "its number follows" '^ok 3 - works again$' cat "$TAP_DIR/try.out"
says "and fails the test" '^status 1$' cat "$TAP_DIR/try.out"

try <<'T'
refuse "crash" sh -c 'kill -SEGV $$'
done_testing
T
says "a crash is not a refusal" '^not ok 1 - crash$' cat "$TAP_DIR/try.out"

try <<'T'
check "works" true
exit 0
T
says "a test that ends early fails" '^Bail out!' cat "$TAP_DIR/try.out"
says "with a status of its own" '^status 1$' cat "$TAP_DIR/try.out"

try <<'T'
at_end 'echo first'
at_end 'echo second'
done_testing
T
is "clean-up runs the newest first" "$(grep -E 'first|second' "$TAP_DIR/try.out" | tr '\n' ' ')" \
	"second first "

try <<'T'
start sleeper sleep 600
echo "dir $TAP_DIR pid $(cat "$TAP_DIR/sleeper.pid")"
kill -TERM $$
done_testing
T
pid=$(sed -n 's/.* pid //p' "$TAP_DIR/try.out")
dir=$(sed -n 's/^dir \(.*\) pid .*/\1/p' "$TAP_DIR/try.out")
refuse "what was started is ended when the test is killed" kill -0 "$pid"
refuse "and its directory is gone" test -e "$dir"

try <<'T'
requires command no-such-command-anywhere
check "never" true
T
says "a missing need skips the test with its reason" '^1..0 # SKIP needs the command' \
	cat "$TAP_DIR/try.out"

try <<'T'
wait_for 1 false && ok "never"
done_testing
T
says "waiting ends at its deadline" '^1..0$' cat "$TAP_DIR/try.out"

done_testing
