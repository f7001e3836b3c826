#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The benchmarks of containers measure every pattern and system in a lab, in the agreed form, and leave nothing behind.
# How fast anything is, is not asked here.

. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
requires command crun

# shellcheck disable=SC2317 # called by status_of, check and says
bench()
{
	"$DVS_BUILD/dvs" bench "$@"
}

# Beside its labs: its directory of data.
leftovers()
{
	traces
	ls -d /var/tmp/dvs-bench-data 2>/dev/null
}

# shellcheck disable=SC2317
form()
{
	python3 "$DVS_SOURCE/tests/system/bench_form.py" "$TAP_DIR/out" "$@"
}

is "the quick run of containers succeeds" \
	"$(status_of bench container --quick --repeats 1 --json)" 0
tap_comment <"$TAP_DIR/err"
check "its lines are complete and in the agreed form" form container
is "a neighbour is measured" \
	"$(status_of bench neighbour --pattern cpu --repeats 1 --json)" 0
tap_comment <"$TAP_DIR/err"
check "in the agreed form" form neighbour cpu
is "they leave nothing behind" "$(leftovers)" ""

says "work is counted" "^[0-9]+[.][0-9]+" bench work cpu 10
is "work that is not known is wrong usage" "$(status_of bench work love 10)" 2
says "a pattern is known or not" "unknown pattern 'pigeon'; choose from exec, start, footprint" \
	bench container --pattern pigeon

done_testing
