#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The benchmark between nodes measures every pattern and system in a lab, in the agreed form, and leaves nothing behind.
# How fast anything is, is not asked here.

. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
requires command iperf3

bench()
{
	"$DVS_BUILD/dvs" bench remote "$@"
}

is "the quick run succeeds" \
	"$(status_of bench --quick --repeats 1 --json --plot "$TAP_DIR/plot.svg")" 0
tap_comment <"$TAP_DIR/err"
cp "$TAP_DIR/out" "$TAP_DIR/quick.json"
check "its lines are complete and in the agreed form" \
	python3 "$DVS_SOURCE/tests/system/bench_form.py" "$TAP_DIR/quick.json" remote
check "its picture is well-formed" \
	python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' \
	"$TAP_DIR/plot.svg"
says "a document can be made of it" "^## Between nodes: all figures" \
	"$DVS_SOURCE/tools/bench-table" "$TAP_DIR/quick.json"
is "it leaves nothing behind" "$(traces)" ""

says "help lists the systems" "^  dvs-tcp[+]zstd[+]tls " bench --help
is "a wrong option is wrong usage" "$(status_of bench --fast)" 2
says "a system is known or not" "unknown system 'pigeon'; choose from dvs-tcp" \
	bench --system pigeon
says "and so is a transport" "unknown transport 'ppp'; choose from tcp, udp, raw, tipc" \
	bench --transport ppp
is "a picture that cannot be written is found first" \
	"$(status_of bench --plot "$TAP_DIR/none/plot.svg")" 1

# A lab of somebody else is used and left as it is.
# shellcheck disable=SC2016 # expanded at the end
at_end '"$DVS_BUILD/dvs" lab down --name mine >/dev/null 2>&1'
check "a lab comes up" "$DVS_BUILD/dvs" lab up 2 --name mine
is "it is used" "$(bench --lab mine --quick --repeats 1 --pattern rt --clients 3 --system tcp \
	-o json | sed 's/.*"clients":\([0-9]*\),"servers":\([0-9]*\),.*/\1 \2/')" "3 3"
check "and is there afterwards" "$DVS_BUILD/dvs" lab exec --name mine n0 true
is "too few nodes are told" "$(status_of bench --lab mine --pattern mcast)" 1
is "a lab that is not there is told" "$(status_of bench --lab yours --pattern rt)" 1
check "it goes down" "$DVS_BUILD/dvs" lab down --name mine

# Interrupted in the middle: the status says so, and all is cleaned up.
timeout --preserve-status -s INT 4 "$DVS_BUILD/dvs" bench remote --pattern rt,fan-in \
	>"$TAP_DIR/out" 2>"$TAP_DIR/err"
is "an interrupted run says so" $? 130
is "and leaves nothing behind" "$(traces)" ""
done_testing
