/* SPDX-License-Identifier: Apache-2.0 */
/* What volumes need: to keep them in files, and to be block devices of the node. */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/loop.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "container/doctor_internal.h"
#include "container/internal.h"

#define BLOCK_BYTES 4096u
#define FILE_BYTES (16 * BLOCK_BYTES)
#define RING_ENTRIES 8u

static int try_ring(void *argument, char *text)
{
	struct io_uring_params params = { .flags = 0 };

	(void)argument;
	(void)text;
	/* It goes with this process. */
	return syscall(SYS_io_uring_setup, RING_ENTRIES, &params) >= 0 ? 0 : errno;
}

static void say_ring(const struct doctor *doctor)
{
	char text[DOCTOR_TEXT_MAX];
	int failed = doctor_try(try_ring, NULL, text);

	doctor_say(
		doctor, "io_uring", failed ? DOCTOR_LESS : DOCTOR_GOOD, "volumes with --direct",
		failed == EPERM ?
			"sysctl -w kernel.io_uring_disabled=0, or let the seccomp filter of this machine allow it" :
			"a kernel with CONFIG_IO_URING",
		"%s", failed ? strerror(failed) : "works");
}

/* ---- files ---- */

static int try_direct(void *argument, char *text)
{
	AUTO_CLOSE int fd = open(argument, O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
	AUTO_FREE void *block = aligned_alloc(BLOCK_BYTES, BLOCK_BYTES);

	(void)text;
	if (fd < 0)
		return errno;
	if (!block)
		return ENOMEM;
	memset(block, 0x5a, BLOCK_BYTES);
	if (pwrite(fd, block, BLOCK_BYTES, 0) != BLOCK_BYTES ||
	    pread(fd, block, BLOCK_BYTES, 0) != BLOCK_BYTES)
		return errno;
	return 0;
}

static int try_holes(void *argument, char *text)
{
	AUTO_CLOSE int fd = open(argument, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	(void)text;
	if (fd < 0 || ftruncate(fd, FILE_BYTES) != 0 ||
	    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, BLOCK_BYTES) != 0)
		return errno;
	return 0;
}

static void say_files(const struct doctor *doctor)
{
	char *lib_dir = (char *)(uintptr_t)doctor->where->lib_dir;
	char text[DOCTOR_TEXT_MAX];
	int failed = doctor_try(try_direct, lib_dir, text);

	doctor_say(doctor, "direct I/O", failed ? DOCTOR_LESS : DOCTOR_GOOD,
		   "volumes with --direct", "put it on ext4, xfs or btrfs", "%s: %s", lib_dir,
		   failed ? strerror(failed) : "works");
	failed = doctor_try(try_holes, lib_dir, text);
	doctor_say(doctor, "holes", failed ? DOCTOR_LESS : DOCTOR_GOOD,
		   "space that comes back from volumes in files when something in them is removed",
		   "put it on ext4, xfs or btrfs", "%s: %s", lib_dir,
		   failed ? strerror(failed) : "work");
}

/* ---- block devices ---- */

static int try_loop(void *argument, char *text)
{
	AUTO_CLOSE int fd = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int number;

	(void)argument;
	if (fd < 0)
		return errno;
	number = ioctl(fd, LOOP_CTL_GET_FREE);
	if (number < 0)
		return errno;
	(void)snprintf(text, DOCTOR_TEXT_MAX, "/dev/loop%d is free", number);
	return 0;
}

static void say_devices(const struct doctor *doctor)
{
	char text[DOCTOR_TEXT_MAX];
	int failed = doctor_try(try_loop, NULL, text);
	bool nbd = access("/sys/module/nbd", F_OK) == 0;

	doctor_say(doctor, "loop devices", failed ? DOCTOR_LESS : DOCTOR_GOOD,
		   "dvs vol attach, where the module nbd is not loaded",
		   "load the module loop (modprobe loop), or give this machine /dev/loop-control "
		   "and the devices",
		   "%s", failed ? strerror(failed) : text);
	/* Without it volumes become devices by FUSE and loop devices. */
	doctor_say(doctor, "nbd module", DOCTOR_GOOD, "", "", "%s",
		   nbd ? "loaded: volumes become devices /dev/nbdN" :
			 "not loaded: volumes become devices by FUSE and loop devices");
}

void doctor_volumes(const struct doctor *doctor)
{
	say_ring(doctor);
	say_files(doctor);
	say_devices(doctor);
}
