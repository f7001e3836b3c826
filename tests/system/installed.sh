#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# An installed tree is all that is needed, wherever it is: its programs find each other, in a lab of two nodes.
. "$(dirname "$0")/../lib/tap.sh"
requires root
requires command corosync
requires command crun
requires command ip
requires file /dev/fuse

root=$TAP_DIR/root
prefix=$(sed -n 's/.*"name": "prefix", "value": "\([^"]*\)".*/\1/p' \
	"$DVS_BUILD/meson-info/intro-buildoptions.json")
check "it installs into a directory of choice" \
	meson install -C "$DVS_BUILD" --no-rebuild --destdir "$root"
dvs=$root$prefix/bin/dvs
PATH=/usr/sbin:/usr/bin:/sbin:/bin
DVS_LAB=installed
export PATH DVS_LAB
at_end "$dvs lab down >/dev/null 2>&1"

check "a lab comes up" "$dvs" lab up 2
on()
{
	node=$1
	shift
	"$dvs" lab exec "$node" -- "$@"
}
# The two of the lab, and none of anybody else.
programs()
{
	readlink /proc/[0-9]*/exe | grep -F "$root$prefix/" | grep -o '[^/]*$' | sort -u | xargs
}
check "a DC is created, by agents" on n0 dvs dc create demo
is "a program runs on the other node, by proxies and a dc-init" \
	"$(on n0 dvs run --node n1 demo echo hello 2>&1)" hello
check "a volume is created, by its servers" on n0 dvs vol create demo/disk --size 64M --nodes n0,n1
check "a file system is created, by a server" on n0 dvs fs create demo/files --volume disk --nodes n0,n1
check "it is mounted, by a gateway" on n1 sh -c 'mkdir /run/mnt && dvs fs mount demo/files /run/mnt'
check "and takes a file" on n1 sh -c 'echo kept >/run/mnt/file && grep kept /run/mnt/file'
is "all of them are those that were installed" "$(programs)" \
	"dvs dvs-agent dvs-fs dvs-fuse dvs-proxy dvs-vdd dvsd"
check "the lab is taken down" "$dvs" lab down
done_testing
