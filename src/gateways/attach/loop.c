/* SPDX-License-Identifier: Apache-2.0 */
#include "gateways/attach/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <linux/major.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

#define CONTROL "/dev/loop-control"
/* Others take loop devices, too: between asking for a free one and taking it. */
#define TRIES_MAX 64

static dvs_err failed(char why[ATTACH_WHY_MAX], const char *what, const char *hint)
{
	int number = errno;

	(void)snprintf(why, ATTACH_WHY_MAX, "%s: %s%s", what, strerror(number), hint);
	return dvs_from_errno(number);
}

/* A container's /dev may lack the node of a device that the kernel has. */
static dvs_err open_device(int number, const char *device, bool is_read_only, int *fd,
			   char why[ATTACH_WHY_MAX])
{
	int flags = (is_read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC;

	*fd = open(device, flags);
	if (*fd < 0 && errno == ENOENT &&
	    !mknod(device, S_IFBLK | 0600, makedev(LOOP_MAJOR, (unsigned int)number)))
		*fd = open(device, flags);
	if (*fd < 0)
		return failed(why, device,
			      " (the kernel has this device, but /dev has no node for it, or it"
			      " may not be opened here: see the device rules of the container)");
	return DVS_OK;
}

static dvs_err configure(int fd, int file_fd, const char *name, bool is_read_only)
{
	struct loop_config config = {
		.fd = (uint32_t)file_fd,
		.block_size = ATTACH_SECTOR_BYTES,
		.info = { .lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO |
				      (is_read_only ? LO_FLAGS_READ_ONLY : 0u) },
	};

	(void)snprintf((char *)config.info.lo_file_name, sizeof(config.info.lo_file_name), "%s",
		       name);
	return ioctl(fd, LOOP_CONFIGURE, &config) ? dvs_from_errno(errno) : DVS_OK;
}

dvs_err loop_make(int file_fd, const char *name, bool is_read_only, char device[LOOP_DEVICE_MAX],
		  int *fd, char why[ATTACH_WHY_MAX])
{
	AUTO_CLOSE int control = open(CONTROL, O_RDWR | O_CLOEXEC);

	if (control < 0)
		return failed(why, CONTROL, " (is the module loop loaded?)");
	for (int i = 0; i < TRIES_MAX; i++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE);
		AUTO_CLOSE int loop = -1;
		dvs_err err;

		if (number < 0)
			return failed(why, "there is no free loop device", "");
		(void)snprintf(device, LOOP_DEVICE_MAX, "/dev/loop%d", number);
		err = open_device(number, device, is_read_only, &loop, why);
		if (err)
			return err;
		err = configure(loop, file_fd, name, is_read_only);
		if (!err) {
			*fd = take_fd(&loop);
			return DVS_OK;
		}
		if (errno != EBUSY)
			return failed(why, device,
				      " (a loop device cannot be made over FUSE here)");
	}
	(void)snprintf(why, ATTACH_WHY_MAX, "others take every loop device first");
	return DVS_FULL;
}

dvs_err loop_resized(int fd)
{
	return ioctl(fd, LOOP_SET_CAPACITY) ? dvs_from_errno(errno) : DVS_OK;
}

bool loop_is_over(const char *device, const char *name)
{
	char path[128];
	char file[4096];
	AUTO_CLOSE int fd = -1;
	const char *base = strrchr(device, '/');
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/sys/block/%s/loop/backing_file",
		       base ? base + 1 : device);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, file, sizeof(file) - 1);
	if (n <= 0)
		return false;
	file[n] = '\0';
	file[strcspn(file, "\n")] = '\0';
	base = strrchr(file, '/');
	return base && !strcmp(base + 1, name);
}
