#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The configuration file of dvsd: read at the start, overridden by the command line, and read again on SIGHUP.
. "$(dirname "$0")/../lib/tap.sh"
PATH=$DVS_BUILD:$PATH
file=$TAP_DIR/node.yaml
run_dir=$TAP_DIR/run
export DVS_RUN_DIR="$run_dir"

# Functions are called by check and wait_for.
# shellcheck disable=SC2317
logged() { grep -qE -e "$1" "$TAP_DIR/dvsd.log"; }
# shellcheck disable=SC2317
count() { grep -cE -e "$1" "$TAP_DIR/dvsd.log"; }
# shellcheck disable=SC2317
more_than() { [ "$(count "$2")" -gt "$1" ]; }
# reread PATTERN: tell dvsd to read the file again, and wait until PATTERN is one more time in its log.
# shellcheck disable=SC2317
reread()
{
	before=$(count "$1")
	kill -s HUP "$(cat "$TAP_DIR/dvsd.pid")"
	wait_for 10 more_than "$before" "$1"
}

echo 'nod: 3' >"$file"
says "a mistake is told with its place" "node.yaml:1:1: .* no key 'nod'; did you mean 'node'" \
	dvsd --config "$file" --run-dir "$run_dir"
refuse "and dvsd does not start" dvsd --config "$file" --run-dir "$run_dir"
refuse "a file that is named must be there" dvsd --config "$TAP_DIR/none" --run-dir "$run_dir"
echo 'node: 3' >"$file"
start dvsd dvsd --config "$file" --run-dir "$run_dir" --dc web
check "it starts" wait_for 10 dvs dc ls
check "with the number of the file" logged 'ready.* node=3 '
printf 'node: 3\nlimits:\n - { dc: web, bytes_per_s: 1000 }\n' >"$file"
check "limits are read again" reread 'limits read anew.* limits=1'
printf 'node: 4\naddress: 10.0.0.9\n' >"$file"
check "what cannot change is told" reread 'limits read anew.* limits=0'
check "each by its name" logged 'takes a restart of dvsd key=node'
check "each by its name" logged 'takes a restart of dvsd key=address'
echo 'node: [' >"$file"
check "a mistake is told" reread 'configuration not read anew.*node.yaml:2:1'
check "and everything goes on" dvs dc ls
stop dvsd
echo 'node: 3' >"$file"
start dvsd dvsd --config "$file" --run-dir "$TAP_DIR/other" --node 5
check "the command line is stronger" wait_for 10 logged 'ready.* node=5 '
check "and not called a change" reread 'limits read anew'
refuse "as it is none" logged 'takes a restart'
stop dvsd
start dvsd dvsd --run-dir "$TAP_DIR/other"
wait_for 10 logged 'ready'
check "without a file there is nothing to read" reread 'there is no configuration file'
done_testing
