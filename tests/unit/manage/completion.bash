#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The completion script, with a dvs that knows one DC and two endpoints.
# usage: completion.bash DVS

program=$1
count=0
failed=0

# What the script asks for at run time (it does so indirectly); the rest comes from the program itself.
# shellcheck disable=SC2317
dvs()
{
	local words="$*"

	words=${words#--run-dir /r }
	case $words in
	'dc ls -q') echo web ;;
	'ps -q') echo web/httpd ;;
	'vol ls -q') echo web/data ;;
	'fs ls -q') echo web/site ;;
	'ep ls -q') printf '%s\n' web/17 web/1025 ;;
	*) echo "unexpected: $*" >&2 && return 1 ;;
	esac
}
# compopt only works inside a real completion.
# shellcheck disable=SC2317
compopt()
{
	:
}

script=$("$program" completion bash) || exit 1
eval "$script"

# offers TITLE WANTED WORD...: completing the last word must offer exactly the WANTED words.
offers()
{
	local title=$1 wanted=$2 got
	shift 2
	COMP_WORDS=(dvs "$@")
	COMP_CWORD=$#
	COMPREPLY=()
	_dvs
	got=${COMPREPLY[*]}
	count=$((count + 1))
	if [ "$got" = "$wanted" ]; then
		echo "ok $count - $title"
	else
		echo "not ok $count - $title"
		echo "# got '$got', wanted '$wanted'"
		failed=1
	fi
}

offers 'a beginning is completed' 'inspect' ins
offers 'the commands are offered' 'dc node verify events up plan down schema run exec attach ps logs kill wait stats cp vol fs ep top proxy inspect trace image doctor ca init node join leave lab bench version help completion' ''
offers 'a group offers its commands' 'create ls inspect set add-node rm-node freeze thaw rm' dc ''
offers 'a group offers what begins so' 'create' dc c
offers 'options of a command' '--force' dc rm --fo
offers 'options of all commands' '--run-dir' ps --ru
offers 'values of an option' 'json' ps -o j
offers 'values of a long option' 'rate data sleeps endpoint program' top --sort ''
offers 'values after an equals sign' 'json' ps --output = js
offers 'values of a benchmark option' 'table json' bench ipc -o ''
offers 'names of DCs' 'web' ps w
offers 'names of DCs after an option' 'web' ps -o json ''
offers 'names of DCs after a flag' 'web' dc rm --force ''
offers 'names of endpoints' 'web/17 web/1025' trace web/
offers 'DCs and endpoints' 'web web/17 web/1025' inspect ''
offers 'the run directory is handed on' 'web' --run-dir /r ps ''
offers 'commands after an option' 'plan ps proxy' --run-dir /r p
offers 'commands to be helped with' 'inspect init' help in
offers 'names of programs' 'web/httpd' logs ''
offers 'names of volumes' 'web/data' vol resize ''
offers 'what a replica can be' 'add rm web/data' vol replica ''
offers 'commands on volumes' 'create clone' vol c
offers 'an export of a file system' 'export' fs ex
offers 'file systems to be kept' 'web/site' fs snapshot ''
offers 'nodes are not known' '' run --node ''
offers 'shells' 'bash' completion ''
offers 'nothing where nothing fits' '' dc create ''
offers 'nothing for a free value' '' top -n ''
offers 'nothing for an unknown command' '' frobnicate ''

echo "1..$count"
exit "$failed"
