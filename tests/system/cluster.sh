#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A cluster of machines from nothing: dvs ca, init, node add, join, leave, each with bad input too. The machines are namespaces.
. "$(dirname "$0")/../lib/tap.sh"
requires root
requires command unshare
requires command ip
requires command corosync
requires command openssl
. "$(dirname "$0")/../lib/machines.sh"
machines_here "$@"
PATH=$DVS_BUILD:$PATH

# ends TITLE STATUS PATTERN COMMAND...: it ends with the status, and its message fits.
ends()
{
	title=$1 wanted=$2 pattern=$3
	shift 3
	"$@" >"$TAP_DIR/.out" 2>&1 </dev/null
	status=$?
	if [ "$status" -ne "$wanted" ]; then
		not_ok "$title" "status $status, not $wanted" "$TAP_DIR/.out"
	elif ! grep -qE -e "$pattern" "$TAP_DIR/.out"; then
		not_ok "$title" "no '$pattern'" "$TAP_DIR/.out"
	else
		ok "$title"
	fi
}

# All files of a machine that a command could have touched, with their contents and modes.
state_of()
{
	(cd "$TAP_DIR/$1/etc" && find dvs corosync -exec stat -c '%n %a' {} + 2>/dev/null &&
		find dvs corosync -type f -exec sha256sum {} + 2>/dev/null) | sort
}

# unchanged TITLE MACHINE STATUS PATTERN COMMAND...: it fails so on MACHINE, and leaves everything as it was.
unchanged()
{
	title=$1 machine=$2 wanted=$3 pattern=$4
	shift 4
	before=$(state_of "$machine")
	ends "$title" "$wanted" "$pattern" on "$machine" "$@"
	is "and nothing has changed" "$(state_of "$machine")" "$before"
}

mode() { stat -c %a "$1"; }

# ---- ca ----

ca=$TAP_DIR/ca
ends "an authority needs the name of its cluster" 1 'cluster: .*--cluster' dvs ca init --dir "$ca"
ends "which must be one" 2 "'a b' cannot be" dvs ca init --dir "$ca" --cluster "a b"
ends "no certificates without an authority" 1 "ca.pem.*'dvs ca init'" dvs ca issue --dir "$ca" --node 1
check "an authority is made" dvs ca init --dir "$ca" --cluster farm
is "its key is for its owner only" "$(mode "$ca/ca.key")" 600
is "its certificate is for all" "$(mode "$ca/ca.pem")" 644
ends "it is not overwritten" 1 'ca.key: File exists; --force' dvs ca init --dir "$ca" --cluster farm
ends "a certificate is for a number" 2 'say for which node' dvs ca issue --dir "$ca"
ends "that exists" 2 "'62' is no" dvs ca issue --dir "$ca" --node 62
check "a certificate is made" dvs ca issue --dir "$ca" --node 5 --into "$ca/five"
is "its key is for its owner only" "$(mode "$ca/five/node.key")" 600
check "it is good" openssl verify -purpose sslserver -CAfile "$ca/ca.pem" "$ca/five/node.pem"
check "for both ends" openssl verify -purpose sslclient -CAfile "$ca/ca.pem" "$ca/five/node.pem"
is "it says for whom" "$(openssl x509 -in "$ca/five/node.pem" -noout -subject)" \
	"subject=O = farm, CN = node5"
ends "it is not overwritten" 1 'node.key: File exists' dvs ca issue --dir "$ca" --node 5 --into "$ca/five"
check "but with force" dvs ca issue --dir "$ca" --node 6 --into "$ca/five" --force
cp "$ca/ca.pem" "$ca/five"
says "show tells it" '^node.pem +node 6 +farm +20.* good$' dvs ca show --dir "$ca/five"
cp "$ca/five/node.pem" "$TAP_DIR/before.pem"
cp "$ca/five/node.pem" "$ca/five/node.key" "$ca"
check "it is renewed" dvs ca renew --dir "$ca" --days 3
says "for the same node, and soon over" '^node.pem +node 6 +farm .* expires soon$' dvs ca show --dir "$ca"
refuse "it is another one" cmp "$TAP_DIR/before.pem" "$ca/node.pem"
check "the authority is renewed" dvs ca renew --authority --dir "$ca"
check "and its certificates stay good" openssl verify -CAfile "$ca/ca.pem" "$ca/node.pem" "$ca/five/node.pem"
check "another authority of that name" dvs ca init --dir "$ca/other" --cluster farm
cp "$ca/other/ca.pem" "$ca/five"
says "is another one" '^node.pem .*not good for ca.pem' dvs ca show --dir "$ca/five"
cp "$ca/other/ca.key" "$ca/ca.key"
ends "a key of another authority is none" 1 'ca.key is not the key that belongs to ca.pem' \
	dvs ca issue --dir "$ca" --node 1 --into "$ca/x"
echo "nonsense" >"$ca/five/node.pem"
ends "what is no certificate is told" 1 'it is not a certificate' dvs ca show --dir "$ca/five"
refuse "no key is ever printed" grep -rq 'PRIVATE' "$TAP_DIR/.out"

# ---- init ----

machine one 10.9.0.1
machine two 10.9.0.2
machine three 10.9.0.3
cp /etc/corosync/corosync.conf "$TAP_DIR/two/etc/corosync/" 2>/dev/null
unchanged "init must be told enough" one 2 'cluster.*address' dvs init --cluster farm
unchanged "init: a wrong name" one 2 "'-/-' cannot be a name" dvs init --cluster -/- --address 10.9.0.1
unchanged "init: a wrong address" one 2 "'10.9.0' is not an IP" dvs init --cluster farm --address 10.9.0
unchanged "init: an address of another machine" one 1 '10.9.0.2 is no address of this machine' \
	dvs init --cluster farm --address 10.9.0.2
unchanged "init: a loopback address" one 1 'cannot reach a loopback address' dvs init --cluster farm --address 127.0.0.1
unchanged "init: not by everybody" one 1 'only root may do that' setpriv --reuid 65534 \
	--regid 65534 --clear-groups "$DVS_BUILD/dvs" init --cluster farm --address 10.9.0.1
start_on one taken python3 -c 'import os, socket, time
s = socket.socket(); s.bind(("10.9.0.1", 7103)); s.listen()
open("/run/taken", "w").write(str(os.getpid())); time.sleep(1000)'
wait_for 20 test -s "$TAP_DIR/one/run/taken"
unchanged "init: a port that somebody has" one 1 'TCP port 7103 is in use' dvs init --cluster farm --address 10.9.0.1
# shellcheck disable=SC2016 # that is for the shell there
on one sh -c 'kill "$(cat taken)"'
stop taken KILL
echo 'nodelist {' >"$TAP_DIR/one/etc/corosync/corosync.conf"
unchanged "init: a corosync.conf that is not understood" one 1 'corosync.conf is that of another' \
	dvs init --cluster farm --address 10.9.0.1
rm "$TAP_DIR/one/etc/corosync/corosync.conf"
touch "$TAP_DIR/one/etc/corosync/authkey"
unchanged "init: a key of another cluster" one 1 'authkey is there already' dvs init --cluster farm --address 10.9.0.1
rm "$TAP_DIR/one/etc/corosync/authkey"
check "init begins a cluster" on one dvs init --cluster farm --address 10.9.0.1
says "node.yaml tells it" '^name: "one"$' cat "$TAP_DIR/one/etc/dvs/node.yaml"
says "corosync's list has this node" '^.ring0_addr: 10.9.0.1$' sed 's/^\t//' "$TAP_DIR/one/etc/corosync/corosync.conf"
says "corosync encrypts" 'crypto_cipher: aes256' cat "$TAP_DIR/one/etc/corosync/corosync.conf"
for file in dvs/ca.key dvs/node.key corosync/authkey; do
	is "$file is for its owner only" "$(mode "$TAP_DIR/one/etc/$file")" 600
done
says "its certificates are good" '^node.pem +node 0 +farm +20.* good$' on one dvs ca show
unchanged "init: it is a node already" one 1 "this machine is node 0 of the cluster 'farm'" \
	dvs init --cluster farm --address 10.9.0.1

# ---- node add ----

unchanged "node add: not on a machine that is no node" two 1 'run this on a node' dvs node add two 10.9.0.2
unchanged "node add: a wrong name" one 2 "'.two' cannot be" dvs node add .two 10.9.0.2
unchanged "node add: a wrong address" one 2 "'two' is not an IP" dvs node add two two
unchanged "node add: a name that is taken" one 1 'that name is that of node 0' dvs node add one 10.9.0.2
unchanged "node add: an address that is taken" one 1 'that address is that of node 0' dvs node add two 10.9.0.1
unchanged "node add: a number that is taken" one 1 'that number is that of node 0' \
	dvs node add two 10.9.0.2 --number 0
unchanged "node add: no place for the bundle" one 1 'No such file' dvs node add two 10.9.0.2 --into /none/two.dvs
check "node add makes a bundle" on one dvs node add two 10.9.0.2 --into two.dvs
is "for its owner only" "$(mode "$TAP_DIR/one/run/two.dvs")" 600
says "and corosync's list has the node" 'ring0_addr: 10.9.0.2' cat "$TAP_DIR/one/etc/corosync/corosync.conf"
says "and votes for it" 'expected_votes: 2' cat "$TAP_DIR/one/etc/corosync/corosync.conf"
unchanged "node add: once" one 1 'that name is that of node 1' dvs node add two 10.9.0.2
bundle=$TAP_DIR/two/run/two.dvs
cp "$TAP_DIR/one/run/two.dvs" "$bundle"

# ---- join ----

# with_sum FROM TO: the bundle with a right sum again, for changes that the sum would tell.
with_sum()
{
	tail -n +2 "$1" >"$1.body"
	printf 'dvs-join 1 %s\n' "$(sha256sum "$1.body" | cut -d ' ' -f 1)" | cat - "$1.body" >"$2"
	# What ends a bundle is no line end.
	chmod 600 "$2"
}

unchanged "join: no such bundle" two 1 'No such file' dvs join none.dvs
unchanged "join: a directory" two 1 'not a file' dvs join /run
chmod 644 "$bundle"
unchanged "join: a bundle that others can read" two 1 'others than its owner can read' dvs join two.dvs
chmod 600 "$bundle"
unchanged "join: not by everybody" two 1 'only root may do that' setpriv --reuid 65534 \
	--regid 65534 --clear-groups "$DVS_BUILD/dvs" join two.dvs
for bytes in 0 10 76 1000; do
	head -c $bytes "$bundle" >"$bundle.cut"
	chmod 600 "$bundle.cut"
	unchanged "join: a bundle cut to $bytes bytes" two 1 'no bundle|damaged' dvs join two.dvs.cut
done
sed '2,$s/a/b/' "$bundle" >"$bundle.bad"
chmod 600 "$bundle.bad"
unchanged "join: a damaged bundle" two 1 'it is damaged' dvs join two.dvs.bad
for change in 's/node: 1/node: 2/' 's/cluster: .*farm.*node/cluster: \\"form\\"\\nnode/' \
	's/ring0_addr: 10.9.0.2/ring0_addr: 10.9.0.9/' 's/"authkey": "/"authkey": "=/' \
	's/BEGIN CERTIFICATE/BEGIN/' 's/"key"/"kex"/'; do
	sed "2,\$$change" "$bundle" >"$bundle.changed"
	with_sum "$bundle.changed" "$bundle.forged"
	unchanged "join: a bundle with $change" two 1 'join: two.dvs.forged: it' dvs join two.dvs.forged
done
mkdir "$TAP_DIR/two/etc/dvs"
cp "$ca/other/ca.pem" "$TAP_DIR/two/etc/dvs"
unchanged "join: a machine of another cluster" two 1 'ca.pem is there already' dvs join two.dvs
rm "$TAP_DIR/two/etc/dvs/ca.pem"
mv "$TAP_DIR/two/etc/corosync/corosync.conf" "$TAP_DIR/example.conf"
cp "$TAP_DIR/one/etc/corosync/corosync.conf" "$TAP_DIR/two/etc/corosync/"
unchanged "join: a machine of another corosync" two 1 "corosync.conf is that of another cluster \('farm'\)" \
	dvs join two.dvs
mv "$TAP_DIR/example.conf" "$TAP_DIR/two/etc/corosync/corosync.conf"
cp "$bundle" "$TAP_DIR/three/run"
unchanged "join: on another machine than the bundle is for" three 1 '10.9.0.2 is no address of this machine' \
	dvs join two.dvs
check "join makes it a node" on two dvs join two.dvs
says "its certificate is good" '^node.pem +node 1 +farm +20.* good$' on two dvs ca show
check "both have the same corosync.conf" cmp "$TAP_DIR/one/etc/corosync/corosync.conf" "$TAP_DIR/two/etc/corosync/corosync.conf"
check "and the same key" cmp "$TAP_DIR/one/etc/corosync/authkey" "$TAP_DIR/two/etc/corosync/authkey"
check "but not the authority's" test ! -e "$TAP_DIR/two/etc/dvs/ca.key"
says "no secret is printed" '^0$' sh -c "on() { nsenter -t \$(cat '$TAP_DIR/two/pid') -m -- \"\$@\"; }; on dvs ca show -o json | grep -c PRIVATE"
unchanged "join: it is a node already" two 1 'this machine is node 1' dvs join two.dvs
unchanged "node add: only where the authority's key is" two 1 'run this on the node on which the cluster was begun' \
	dvs node add three 10.9.0.3
check "but its list can be told" on two dvs node add three 10.9.0.3 --number 2 --no-bundle
check "as often as one likes" on two dvs node add three 10.9.0.3 --number 2 --no-bundle
check "the first node makes a bundle for it" on one dvs node add three 10.9.0.3
check "both have the same corosync.conf again" cmp "$TAP_DIR/one/etc/corosync/corosync.conf" "$TAP_DIR/two/etc/corosync/corosync.conf"

# ---- leave ----

unchanged "leave: a machine that is no node" three 1 'no node' dvs leave
unchanged "leave: not with the authority's key" one 1 "the authority's key is here" dvs leave
check "leave makes it no node" on two dvs leave
is "nothing is left" "$(find "$TAP_DIR/two/etc/dvs" -mindepth 1)" ""
check "and corosync.conf is as before" cmp "$TAP_DIR/two/etc/corosync/corosync.conf" /etc/corosync/corosync.conf
check "so that it can join again" on two dvs join two.dvs
done_testing
