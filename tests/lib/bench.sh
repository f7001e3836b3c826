# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# Helpers for tests of benchmarks that make labs, in sh: to be read after tap.sh. It skips the test where no lab can be; labs are in a directory of the test's own.

requires root
requires command corosync
requires command ip
# In memory: a log on a busy disk holds corosync up.
DVS_LAB_DIR=$(mktemp -d /dev/shm/dvs-test-XXXXXX) || exit 1
export DVS_LAB_DIR
# shellcheck disable=SC2016 # expanded at the end
at_end 'rm -rf "$DVS_LAB_DIR"'
[ "$(nproc)" -ge 2 ] || skip_all "needs two CPUs"

# What a benchmark could leave behind: labs, that is their directories and holders, which name them.
traces()
{
	ls -A "$DVS_LAB_DIR" 2>/dev/null
	pgrep -f "^dvs-lab-hold .*$DVS_LAB_DIR"
}

# status_of COMMAND...: its status; what it printed is in $TAP_DIR/out and $TAP_DIR/err.
status_of()
{
	"$@" >"$TAP_DIR/out" 2>"$TAP_DIR/err"
	echo $?
}
