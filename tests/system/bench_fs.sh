#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The benchmark of file systems measures in a lab, in the agreed form, finds what was written, and leaves nothing behind.
# How fast anything is, is not asked here.

. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
requires command mkfs.ext4
[ -c /dev/fuse ] || skip_all "needs /dev/fuse"

# shellcheck disable=SC2317 # called by status_of, check and says
bench()
{
	"$DVS_BUILD/dvs" bench "$@"
}

# shellcheck disable=SC2317
loops()
{
	losetup -n -O BACK-FILE | grep -c dvs-bench-fs
}

before=$(loops)
is "the quick run of one pattern succeeds" \
	"$(status_of bench fs --quick --repeats 1 --pattern stat --json --plot "$TAP_DIR/plot.svg")" 0
tap_comment <"$TAP_DIR/err"
check "its lines are complete and in the agreed form" \
	python3 "$DVS_SOURCE/tests/system/bench_form.py" "$TAP_DIR/out" fs stat
check "its picture is well-formed" \
	python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' \
	"$TAP_DIR/plot.svg"
is "it leaves nothing behind" "$(traces)" ""
is "nor a loop device" "$(loops)" "$before"

# What a client does, in a directory and through the file system that hands on: all that is counted was done, and what is read is what was written.
# shellcheck disable=SC2317
work()
{
	bench work files dir "$1" "$2" "$3" 100 2 1
}

mkdir "$TAP_DIR/plain" "$TAP_DIR/source" "$TAP_DIR/through"
for pattern in seq-read rand-write create rename unlink small fsync readdir stat-cached; do
	says "$pattern is done" "^[0-9.]+ [0-9.]+$" work "$TAP_DIR/plain" "$pattern" 65536
done
is "and leaves what it found" "$(find "$TAP_DIR/plain" -type f | wc -l)" 100

start passthrough "$DVS_BUILD/dvs" bench work passthrough "$TAP_DIR/source" "$TAP_DIR/through"
# shellcheck disable=SC2016 # expanded at the end
at_end 'umount "$TAP_DIR/through" 2>/dev/null'
wait_for 20 grep -q ready "$TAP_DIR/passthrough.log"
for pattern in seq-read rand-write small readdir rename; do
	says "$pattern is done through it" "^[0-9.]+ [0-9.]+$" \
		work "$TAP_DIR/through" "$pattern" 65536
done
check "names, attributes and contents pass through it" sh -c "
	cd '$TAP_DIR/through' && echo one >a && ln a b && ln -s b c && mkdir d && mv a d/ &&
	chmod 640 b && truncate -s 3 c && [ \"\$(cat '$TAP_DIR/source/d/a')\" = one ] &&
	[ \"\$(stat -c %a:%h:%s d/a)\" = 640:2:3 ] && [ \"\$(readlink c)\" = b ] &&
	rm b && ! cat c 2>/dev/null && rm -r c d"
umount "$TAP_DIR/through"

is "a pattern that is not known is wrong usage" "$(status_of work "$TAP_DIR/plain" love 4096)" 2
is "a size that is none is wrong usage" "$(status_of work "$TAP_DIR/plain" seq-read 5000)" 2
says "a system is known or not" "unknown system 'pigeon'; choose from dvs-fuse, dvs-ipc" \
	bench fs --system pigeon
says "only this one counts a million files" "only 'dvs bench fs' has the option" \
	bench vdd --many

done_testing
