#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Machines become one cluster while it runs: real corosync and dvsd, from dvs init to three nodes that see each other.
. "$(dirname "$0")/../lib/tap.sh"
requires root
requires command unshare
requires command ip
requires command corosync
. "$(dirname "$0")/../lib/machines.sh"
machines_here "$@"
PATH=$DVS_BUILD:$DVS_BUILD/apps/examples:$PATH
# shellcheck disable=SC2317 # functions are called by check and wait_for

# serve NAME: what systemd does on a real machine.
serve()
{
	start_on "$1" "corosync-$1" corosync -f
	wait_for 30 on "$1" corosync-quorumtool || return 1
	start_on "$1" "dvsd-$1" dvsd --run-dir /run/dvs
	wait_for 30 on "$1" dvs dc ls
}

# members NAME: how many nodes corosync has there.
# shellcheck disable=SC2317
members() { on "$1" corosync-quorumtool -l 2>/dev/null | grep -cE '^ +[0-9]+ +1 '; }
# shellcheck disable=SC2317
has_members() { [ "$(members "$1")" = "$2" ]; }

# shellcheck disable=SC2317
has_nodes() { [ "$(on "$1" dvs node ls -o json | grep -c '"state": "up"')" = "$2" ]; }

machine one 10.9.0.1
machine two 10.9.0.2
machine three 10.9.0.3
# The token is for a machine on which everything else is tested at the same time.
check "a cluster begins" on one dvs init --cluster farm --address 10.9.0.1 --token 1000
check "its services run" serve one
check "one node is a cluster" wait_for 30 has_members one 1
check "a node is added while it runs" on one dvs node add two 10.9.0.2
cp "$TAP_DIR/one/run/two.dvs" "$TAP_DIR/two/run"
check "it joins" on two dvs join two.dvs
check "its services run" serve two
check "the first sees it" wait_for 30 has_members one 2
check "it sees the first" wait_for 30 has_members two 2
check "a third is added" on one dvs node add three 10.9.0.3
check "and the second is told" on two dvs node add three 10.9.0.3 --number 2 --no-bundle
cp "$TAP_DIR/one/run/three.dvs" "$TAP_DIR/three/run"
check "it joins" on three dvs join three.dvs
check "its services run" serve three
for name in one two three; do
	check "the corosync of $name sees all three" wait_for 30 has_members $name 3
	check "and so does its dvsd" wait_for 60 has_nodes $name 3
done
check "a DC that is made on one" on one dvs dc create web --no-container
check "is on the others" wait_for 30 on three dvs inspect web
# What the guide shows next: links are encrypted from the start, and a server of one machine answers another.
# shellcheck disable=SC2317
has_sealed() { [ "$(on "$1" dvs proxy ls -o json | grep -c '"filters": "tls"')" = "$2" ]; }
check "both links of the first are sealed" wait_for 30 has_sealed one 2
start_on two echo env DVS_CONTROL=/run/dvs/dc/web/control dvs-echo server
# shellcheck disable=SC2317
echoes() { [ "$(on three env DVS_CONTROL=/run/dvs/dc/web/control dvs-echo client hello 2>/dev/null)" = hello ]; }
check "a server of the second answers the third" wait_for 60 echoes
done_testing
