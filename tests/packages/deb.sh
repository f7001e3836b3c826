#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The Debian packages in build-deb/ in a Debian tree of their own: they are installed, used, removed and purged, and
# then nothing is there that was not there before. `make check-deb` builds them first.
#
# The tree comes from the mirror that this machine's apt has. It is no machine: no systemd runs in it.
#
# shellcheck disable=SC2016,SC2317 # the tree's shell is to see the variables; helpers are called by name
DVS_SOURCE=${DVS_SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}
. "$DVS_SOURCE/tests/lib/tap.sh"

debs=$DVS_SOURCE/build-deb
tree=$TAP_DIR/tree
packages="dvs libdvk1 libdvk-dev libdvkfs1 libdvkfs-dev"
version=$(sed -n "s/^  version: '\(.*\)',/\1/p" "$DVS_SOURCE/meson.build" | head -n 1)

requires root
for command in mmdebstrap lintian pkg-config gcc unshare nsenter; do
	requires command $command
done
for package in $packages; do
	ls "$debs/${package}_"*.deb >/dev/null 2>&1 || skip_all "needs build-deb/: run 'make deb'"
done
grep -q '^VERSION_CODENAME=bookworm$' /etc/os-release ||
	skip_all "the packages are for Debian 12, and this machine's mirror is that of another system"

# ---- what they look like ----

# That nobody asked Debian for them is no mistake: they are not for its archive.
check "lintian finds nothing" lintian --allow-root --fail-on error,warning --tag-display-limit 0 \
	--suppress-tags initial-upload-closes-no-bugs "$debs"/*.changes

# ---- a tree ----

make_tree()
{
	sources=/etc/apt/sources.list
	[ ! -e /etc/apt/sources.list.d/debian.sources ] || sources=/etc/apt/sources.list.d/debian.sources
	apt-config dump | grep '^Acquire::' | grep -v '^Acquire::\(IndexTargets\|Changelogs\)' \
		>"$TAP_DIR/apt.conf"
	timeout 300 mmdebstrap --mode=root --variant=apt --include=mount --aptopt="$TAP_DIR/apt.conf" \
		--aptopt='APT::Install-Recommends "false"' --skip=cleanup/apt/lists \
		bookworm "$tree" "${DVS_MIRROR:-$sources}" >"$TAP_DIR/tree.out" 2>&1 </dev/null
}
if ! make_tree; then
	if grep -qiE 'could not (resolve|connect)|unreachable|timed? out|failed to fetch|refused' \
		"$TAP_DIR/tree.out"; then
		tap_comment <"$TAP_DIR/tree.out"
		skip_all "needs a Debian mirror; none that apt is configured for can be reached"
	fi
	not_ok "a Debian tree is made" "mmdebstrap failed" "$TAP_DIR/tree.out"
	done_testing
fi
# No service is started by an installation here, as the policy of a chroot has it.
printf '#!/bin/sh\nexit 101\n' >"$tree/usr/sbin/policy-rc.d"
chmod 755 "$tree/usr/sbin/policy-rc.d"
mkdir "$tree/debs"
for package in $packages; do
	cp "$debs/${package}_"*.deb "$tree/debs"
done

start machine unshare --mount --pid --fork --kill-child --propagation private \
	sh "$DVS_SOURCE/tests/packages/tree.sh" "$tree"
# Who ends the first process ends all: unshare only waits for it.
first_process()
{
	first=$(cat "/proc/$1/task/$1/children")
	first=${first% }
	[ -n "$first" ] && [ -e "/proc/$first/root/run/ready" ]
}
if ! wait_for 60 first_process "$(cat "$TAP_DIR/machine.pid")"; then
	not_ok "the tree is a machine" "it did not come up" "$TAP_DIR/machine.log"
	done_testing
fi
at_end "kill -s KILL $first 2>/dev/null"

# inside COMMAND...: in the tree, as on a machine of its own.
inside()
{
	timeout --kill-after=5 300 nsenter --target "$first" --mount --pid -- \
		env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		HOME=/root TERM=dumb LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}

# All files and what is written in the configuration, but what apt and dpkg keep for themselves.
picture()
{
	inside find / -xdev \( -path /debs -o -path /var/lib/apt -o -path /var/cache -o \
		-path '/var/lib/dpkg/*-old' \) -prune -o -printf '%M %u %g %p %l\n' | sort
		inside sh -c 'find /etc -type f -exec sha256sum {} + | sort -k 2'
}

# ---- install ----

# What they need comes first, so that it is not taken for theirs later.
needed=$(inside sh -c "apt-get install --simulate /debs/*.deb" | awk '/^Inst / { print $2 }' |
	grep -vxE "$(echo "$packages" | tr ' ' '|')")
# shellcheck disable=SC2086 # packages are words
check "what they need is in Debian 12" inside apt-get install --yes $needed
picture >"$TAP_DIR/before"
check "they install" inside sh -c 'apt-get install --yes /debs/*.deb'

is "dvs tells its version" "$(inside dvs --version)" "dvs $version"
check "dvsd is enabled" test -h "$tree/etc/systemd/system/multi-user.target.wants/dvsd.service"
for file in etc/default/dvsd lib/systemd/system/dvsd.service usr/share/man/man8/dvsd.8.gz \
	usr/share/man/man3/m3ipc.3.gz usr/share/bash-completion/completions/dvs \
	usr/share/doc/dvs/copyright usr/share/doc/dvs/changelog.gz usr/share/doc/dvs/README.md \
	usr/share/doc/dvs/examples/web/dvs.yaml usr/include/dvs/m3ipc.h usr/include/dvs/fs.h; do
	check "/$file is there" test -s "$tree/$file"
done
is "/etc/default/dvsd is a configuration file" \
	"$(inside dpkg-query -W -f '${Conffiles}' dvs | awk '{ print $1 }' | xargs)" /etc/default/dvsd
is "all programs find their libraries" \
	"$(inside sh -c 'for f in /usr/bin/dvs /usr/sbin/dvs*; do ldd $f; done' | grep 'not found')" ""
if command -v systemd-analyze >/dev/null; then
	# Without the units that systemd itself has: there is no systemd in the tree.
	is "systemd has nothing to say about the unit" \
		"$(systemd-analyze verify --man=no --root="$tree" dvsd.service 2>&1 |
			grep -i dvs | grep -v 'Unit sysinit.target not found')" ""
fi

# ---- use ----

# As the unit does it.
command=$(sed -n 's/^ExecStart=//p' "$tree/lib/systemd/system/dvsd.service")
start dvsd nsenter --target "$first" --mount --pid -- sh -c \
	". /etc/default/dvsd; exec $command"
if ! wait_for 60 test -S "/proc/$first/root/run/dvs/admin"; then
	not_ok "dvsd starts" "it did not come up" "$TAP_DIR/dvsd.log"
	done_testing
fi
ok "dvsd starts"
check "a DC is created" inside dvs dc create demo
is "a program runs in its container" "$(inside dvs run demo echo hello 2>&1)" hello
check "a volume is created" inside dvs vol create demo/disk --size 64M
check "a file system is created on it" inside dvs fs create demo/files --volume disk
check "it is mounted" inside sh -c 'mkdir /run/mnt && dvs fs mount demo/files /run/mnt'
check "and takes a file" inside sh -c 'echo kept >/run/mnt/file && grep kept /run/mnt/file'

# ---- programs against the libraries ----

export PKG_CONFIG_SYSROOT_DIR="$tree" PKG_CONFIG_LIBDIR
PKG_CONFIG_LIBDIR=$(echo "$tree"/usr/lib/*/pkgconfig)
program=/proc/$first/root/run
# shellcheck disable=SC2046 # flags are words
check "a program builds with libdvk-dev" gcc -o "$program/echo" \
	"$tree/usr/share/doc/libdvk-dev/examples/echo.c" $(pkg-config --cflags --libs libdvk)
# shellcheck disable=SC2046
check "and with the static library" gcc -pthread -o "$program/echo-static" \
	"$tree/usr/share/doc/libdvk-dev/examples/echo.c" $(pkg-config --cflags libdvk) \
	"$tree"/usr/lib/*/libdvk.a
# shellcheck disable=SC2046
check "a program builds with libdvkfs-dev" gcc -D_GNU_SOURCE -o "$program/fs-files" \
	"$DVS_SOURCE/tests/system/programs/fs_files.c" $(pkg-config --cflags --libs libdvkfs)
control=DVS_CONTROL=/run/dvs/dc/demo/control
start server nsenter --target "$first" --mount --pid -- env "$control" /run/echo server
echoes()
{
	[ "$(inside env "$control" /run/echo-static client hello 2>/dev/null)" = hello ]
}
check "they talk" wait_for 60 echoes
check "files are read and written without a mount" inside /run/fs-files /run/dvs demo files

# ---- remove ----

check "dvsd ends" inside sh -c 'kill "$(cat /run/dvs/dvsd.pid)"'
wait_for 60 tap_is_over "$(cat "$TAP_DIR/dvsd.pid")"
# Names of all processes but those of the look itself.
running()
{
	inside sh -c 'cat /proc/[0-9]*/comm' | grep -vxE 'sh|sleep|cat|timeout' | sort | xargs
}
is "what serves and what talks goes on" "$(running)" "dvs-fs dvs-fuse dvs-init dvs-vdd echo"
inside sh -c 'kill $(pidof echo)'
# shellcheck disable=SC2086
check "the packages are removed" inside apt-get remove --yes $packages
for file in usr/bin/dvs usr/sbin/dvsd lib/systemd/system/dvsd.service usr/libexec/dvs; do
	check "/$file is gone" test ! -e "$tree/$file"
done
is "nothing of them runs" "$(running)" ""
is "they have no cgroups" "$(ls -d /sys/fs/cgroup/*/"dvs-$(cat "$tree/var/lib/dvs/id")" 2>/dev/null)" ""
check "the state stays" test -s "$tree/var/lib/dvs/state/state"
check "and the configuration" test -s "$tree/etc/default/dvsd"
# shellcheck disable=SC2086
check "they are purged" inside dpkg --purge $packages
picture >"$TAP_DIR/after"
check "nothing of them is left" diff "$TAP_DIR/before" "$TAP_DIR/after"
done_testing
