#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The benchmark of web servers measures in a lab, in the agreed form, looks at what comes, and leaves nothing behind.
# How fast anything is, is not asked here.

. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
requires command nginx
requires command iperf3
[ -c /dev/fuse ] || skip_all "needs /dev/fuse"

# shellcheck disable=SC2317 # called by status_of, check and says
bench()
{
	"$DVS_BUILD/dvs" bench "$@"
}

is "the quick run of one pattern succeeds" \
	"$(status_of bench web --quick --repeats 1 --pattern cold --json --plot "$TAP_DIR/plot.svg")" 0
tap_comment <"$TAP_DIR/err"
check "its lines are complete and in the agreed form" \
	python3 "$DVS_SOURCE/tests/system/bench_form.py" "$TAP_DIR/out" web cold
check "its picture is well-formed" \
	python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' \
	"$TAP_DIR/plot.svg"
is "it leaves nothing behind" "$(traces)" ""

# A client alone: all that it counts has come, and is what it was.
mkdir "$TAP_DIR/site"
check "a site is made" bench work site "$TAP_DIR/site"
is "with a thousand pages and a file of each size" \
	"$(find "$TAP_DIR/site" -type f -size +0 | wc -l)" 1003
cat >"$TAP_DIR/serve.py" <<'END'
import functools, http.server, sys
class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *words): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
    functools.partial(Handler, directory=sys.argv[1]))
print(server.server_port, flush=True)
server.serve_forever()
END
start serve python3 "$TAP_DIR/serve.py" "$TAP_DIR/site"
wait_for 60 grep -q . "$TAP_DIR/serve.log"
port=$(cat "$TAP_DIR/serve.log")
# shellcheck disable=SC2317
work()
{
	bench work web --port "$port" "$@"
}
says "pages come over several connections" "^[0-9.]+ [0-9.]+$" \
	work --bytes 4096 --connections 4 --ms 1
says "a large file comes" "^[0-9.]+ [0-9.]+$" work --bytes 10485760
says "and comes again after it was forgotten" "^[0-9.]+ [0-9.]+$" \
	work --bytes 10485760 --drop "$TAP_DIR/site" --ms 1
printf x | dd of="$TAP_DIR/site/10485760/0" bs=1 seek=9000000 conv=notrunc 2>/dev/null
says "a byte that is not right is seen" "10485760/0: it is not what it was" work --bytes 10485760
truncate -s 8M "$TAP_DIR/site/10485760/0"
says "a length that is not right, too" "its length is not what it is" work --bytes 10485760
rm "$TAP_DIR/site/4096/7"
says "and what is not there" "4096/7: the status is not 200" work --bytes 4096
is "a size that no file has is wrong usage" "$(status_of work --bytes 17)" 2
says "a system is known or not" "unknown system 'apache'; choose from nginx-host, nginx-dvs" \
	bench web --system apache

done_testing
