#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The benchmark of volumes measures in a lab, in the agreed form, finds what was written, and leaves nothing behind.
# How fast anything is, is not asked here.

. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
requires command nbdkit

# shellcheck disable=SC2317 # called by status_of, check and says
bench()
{
	"$DVS_BUILD/dvs" bench "$@"
}

is "the quick run of three patterns succeeds" \
	"$(status_of bench vdd --quick --repeats 1 --pattern rand-read,resync,failover --json --plot "$TAP_DIR/plot.svg")" 0
tap_comment <"$TAP_DIR/err"
check "its lines are complete and in the agreed form" \
	python3 "$DVS_SOURCE/tests/system/bench_form.py" "$TAP_DIR/out" vdd rand-read,resync,failover
check "its picture is well-formed" \
	python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' \
	"$TAP_DIR/plot.svg"
is "it leaves nothing behind" "$(traces)" ""

# What a client does: all that is counted was done, and what is read is what was written.
truncate -s 1M "$TAP_DIR/disk"
says "a disk is filled, once" "^[0-9.]+ [0-9.]+$" bench work disk file "$TAP_DIR/disk" fill 4096 3 1048576 0
is "each block has its own place in it" \
	"$(od -A n -t u8 -N 8 -j 40960 "$TAP_DIR/disk" | tr -d ' ')" 40961
is "what is there is found" \
	"$(status_of bench work disk file "$TAP_DIR/disk" rand-read 8192 4 1048576 20)" 0
printf x | dd of="$TAP_DIR/disk" bs=1 seek=40960 conv=notrunc 2>/dev/null
is "what is not is an error" \
	"$(status_of bench work disk file "$TAP_DIR/disk" seq-read 8192 4 1048576 20)" 1
is "work that is not known is wrong usage" "$(status_of bench work disk file "$TAP_DIR/disk" love 4096 1 4096 1)" 2
says "a system is known or not" "unknown system 'pigeon'; choose from dvs-ipc, dvs-nbd" \
	bench vdd --system pigeon

done_testing
