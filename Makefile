# SPDX-License-Identifier: Apache-2.0
# The front door. Meson does the work; this file only remembers how to call it.
#
#	make		build into build/ (build/dvs, build/dvsd, build/libdvk.so)
#	make run	install what is missing, build, run the main job: a web site on three nodes of a lab, until Ctrl-C
#	make demo	the same, with clients that check each page while one node after the other is killed
#	make stop	take away what 'make run' left
#	make check	install what is missing, build everything, run every test
#	make deb	install what is missing for that, build the Debian packages: build-deb/*.deb
#	make check-deb	the same, and try them in a Debian tree of its own: install, use, remove, purge (root)
#	make format	format all C files
#	make install	install (PREFIX=/usr/local, DESTDIR respected)
#	make uninstall	remove what make install installed

MESON = meson
NINJA = ninja
PREFIX = /usr/local
# A small machine should stay usable while it builds.
JOBS = 2

all: build/build.ninja
	$(NINJA) -j $(JOBS) -C build

# Meson looks whether a room exists, and does not notice by itself when one appears.
build/build.ninja: $(wildcard src/*/meson.build tests/*/meson.build tests/unit/*/meson.build)
	CC=gcc $(MESON) setup $(if $(wildcard build/build.ninja),--reconfigure) \
		--prefix=$(PREFIX) build
	@touch $@

# What runs, without the tests: half of the time to build.
PROGRAMS = dvs dvsd dvs-agent dvs-attach dvs-fs dvs-fuse dvs-nbd dvs-proxy dvs-vdd dc-init apps/nweb/nweb

programs: build/build.ninja
	$(NINJA) -j $(JOBS) -C build $(PROGRAMS)

# Who is not root builds as who he is; only the lab is root's.
AS_ROOT = $(if $(filter 0,$(shell id -u)),,sudo --preserve-env=DVS_LAB,DVS_SITE)

run:
	@tools/run-main --may
	@tools/install-deps run
	@$(MAKE) --no-print-directory programs
	@$(AS_ROOT) tools/run-main

demo:
	@tools/run-main --may
	@tools/install-deps run
	@$(MAKE) --no-print-directory programs
	@$(AS_ROOT) tools/run-demo $(DEMO)

stop:
	@$(AS_ROOT) tools/run-main --stop

check:
	@tools/install-deps
	@tools/run-checks

deb:
	@tools/install-deps deb
	@tools/make-deb

check-deb: deb
	@tests/packages/deb.sh

format:
	tools/check-format --fix

docs: all
	tools/protogen --docs docs/protocol src/proto/*.toml
	tests/calls/table.py --root . --docs
	build/dvs schema | tools/yaml-manual docs/man/dvs.yaml.5.scd

# The build directory may have been set up for another prefix.
install: all
	@grep -q '"name": "prefix", "value": "$(PREFIX)"' build/meson-info/intro-buildoptions.json || \
		$(MESON) configure build -Dprefix=$(PREFIX)
	$(MESON) install -C build
	@[ -n "$(DESTDIR)" ] || [ "$$(id -u)" -ne 0 ] || ldconfig

uninstall:
	$(NINJA) -C build uninstall

clean:
	rm -rf build build-clang build-asan build-tsan build-deb

.PHONY: all programs run demo stop check deb check-deb format docs install uninstall clean
