#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Other people's programs build against what is installed, and against nothing else.
. "$(dirname "$0")/../lib/tap.sh"
requires command pkg-config

root=$TAP_DIR/root
prefix=$(sed -n 's/.*"name": "prefix", "value": "\/\([^"]*\)".*/\1/p' \
	"$DVS_BUILD/meson-info/intro-buildoptions.json")
check "it installs into a directory of choice" \
	meson install -C "$DVS_BUILD" --no-rebuild --destdir "$root"
is "and nowhere else in it than below the prefix" \
	"$(cd "$root" && find . -type f ! -path "./$prefix/*")" ""
check "each file is in one Debian package" "$DVS_SOURCE/tests/packages/files.py" "$root/$prefix"
program=$(sed -n 's/^ExecStart=\([^ ]*\).*/\1/p' "$root/$prefix/lib/systemd/system/dvsd.service")
check "the unit starts what is installed" test -x "$root$program"
pc=$(find "$root" -name libdvk.pc)
check "pkg-config finds libdvk" test -n "$pc"
export PKG_CONFIG_PATH="${pc%/*}" PKG_CONFIG_SYSROOT_DIR="$root"
is "its version is that of the tree" "$(pkg-config --modversion libdvk)" \
	"$(sed -n "s/^  version: '\(.*\)',/\1/p" "$DVS_SOURCE/meson.build" | head -n 1)"

cat >"$TAP_DIR/hello.c" <<'C'
#include <dvs/error.h>
#include <stdio.h>

int main(void)
{
	return puts(dvs_strerror(DVS_OK)) < 0;
}
C
for file in bin/dvs sbin/dvsd share/man/man1/dvs.1 share/man/man3/m3ipc.3 share/man/man8/dvsd.8 \
	systemd/system/dvsd.service \
	share/bash-completion/completions/dvs share/doc/dvs/examples/echo.c; do
	check "$file is installed" test -n "$(find "$root" -path "*/$file" -size +0)"
done
lib=$(find "$root" -name libdvk.so)
# A sanitizer's library only loads into a program that has the sanitizer too.
if nm -D "$lib" | grep -qE '__(asan|tsan)_init'; then
	echo "# built with a sanitizer: programs are not linked"
	done_testing
fi
# shellcheck disable=SC2046 # the flags are words on purpose
check "a C program links with it" gcc -o "$TAP_DIR/hello" "$TAP_DIR/hello.c" \
	$(pkg-config --cflags --libs libdvk)
says "and runs" '^success$' env LD_LIBRARY_PATH="${lib%/*}" "$TAP_DIR/hello"
# shellcheck disable=SC2046
check "a C++ program links with it" clang++ -x c++ -o "$TAP_DIR/hello++" "$TAP_DIR/hello.c" \
	$(pkg-config --cflags --libs libdvk)
echo 'void log_write(void) {} void cursor_u8(void) {}' >"$TAP_DIR/names.c"
# shellcheck disable=SC2046
check "a C program that uses our inner names links with the static library" gcc -o "$TAP_DIR/hello-static" \
	"$TAP_DIR/hello.c" "$TAP_DIR/names.c" $(pkg-config --cflags libdvk) "${lib%.so}.a" -pthread
says "and runs without the shared one" '^success$' "$TAP_DIR/hello-static"
done_testing
