# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# Machines for tests written in sh: namespaces with a network between them, an /etc, /run, /var/log and /var/lib of their own, and nothing of
# the host's but its programs. To be read after tap.sh; the test needs root.
#
#	machines_here "$@"            first of all: nothing from here on touches the host's network
#	machine one 10.9.0.1          it is on the net with the others
#	check "..." on one dvs init --cluster farm --address 10.9.0.1
#	cat "$TAP_DIR/one/etc/dvs/node.yaml"
#
# All processes of a machine end with the test.

MACHINES_LIB=$(cd "$(dirname "$0")/../lib" && pwd)

# machines_here ARGUMENTS: run the test again in namespaces of its own, where the net between the machines is.
machines_here()
{
	if [ -z "${MACHINES_HERE-}" ]; then
		# The next one makes its own, and this one does not live to remove it.
		rm -rf "$TAP_DIR"
		MACHINES_HERE=yes exec unshare --mount --net --ipc --propagation private -- "$0" "$@"
	fi
	ip link set lo up
	ip link add hub type bridge stp_state 0 forward_delay 0 mcast_snooping 0
	ip link set hub up
}

# What a machine does first, in its namespaces: its own directories over those of the host.
machine_begin()
{
	machine_dir=$1
	# As the test sees it: /proc is still the test's. (What follows the number is not used.)
	# shellcheck disable=SC2034
	read -r machine_pid machine_rest </proc/self/stat
	for machine_part in etc run var/log var/lib; do
		mkdir -p "$machine_dir/$machine_part"
	done
	cp -a /etc/passwd /etc/group /etc/nsswitch.conf /etc/ld.so.cache /etc/hosts \
		"$machine_dir/etc" 2>/dev/null
	mkdir -p "$machine_dir/etc/corosync" "$machine_dir/var/lib/corosync" "$machine_dir/run/lock"
	for machine_part in etc run var/log var/lib; do
		mount --bind "$machine_dir/$machine_part" "/$machine_part"
	done
	mount -t proc proc /proc
	mount -t tmpfs tmpfs /dev/shm
	ip link set lo up
	echo "$machine_pid" >"$machine_dir/pid.new"
	mv "$machine_dir/pid.new" "$machine_dir/pid"
	exec sleep infinity
}

# machine NAME ADDRESS
machine()
{
	mkdir -p "$TAP_DIR/$1"
	# Should the test be killed, the machine goes, too.
	start "machine-$1" setpriv --pdeathsig KILL unshare --mount --net --ipc --uts --pid --fork --kill-child=KILL \
		--propagation private -- sh -c ". '$MACHINES_LIB/machines.sh'; machine_begin '$TAP_DIR/$1'"
	# unshare ends only so, and takes all that runs there with it.
	at_end "stop machine-$1 KILL"
	wait_for 20 test -e "$TAP_DIR/$1/pid" || return 1
	machine_pid=$(cat "$TAP_DIR/$1/pid")
	ip link add "p-$1" type veth peer name eth0 netns "$machine_pid"
	ip link set "p-$1" master hub up
	on "$1" ip addr add "$2/24" dev eth0
	on "$1" ip link set eth0 up
	on "$1" hostname "$1"
}

# on NAME COMMAND...: run it there, in its directory /run.
on()
{
	machine_pid=$(cat "$TAP_DIR/$1/pid")
	shift
	nsenter --target "$machine_pid" --mount --net --ipc --uts --pid -- \
		sh -c 'cd /run && exec "$@"' sh "$@"
}

# start_on MACHINE NAME COMMAND...: as start, there. It ends with the machine at the latest.
start_on()
{
	machine_pid=$(cat "$TAP_DIR/$1/pid") machine_job=$2
	shift 2
	start "$machine_job" nsenter --target "$machine_pid" --mount --net --ipc --uts --pid -- \
		sh -c 'cd /run && exec "$@"' sh "$@"
	at_end "stop $machine_job KILL"
}
