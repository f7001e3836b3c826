/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "gateways/fuse/gateway.h"

#define READAHEAD_KB "1024"

/* A gateway that was killed leaves a mount behind that answers nobody. */
static void remove_dead(const struct gateway_options *options)
{
	struct stat stat_of;

	while (stat(options->mount, &stat_of) != 0 &&
	       (errno == ENOTCONN || errno == ECONNABORTED)) {
		log_info(&options->log, "a dead mount is removed",
			 LOG_STR("mount", options->mount));
		if (umount2(options->mount, MNT_DETACH) != 0)
			return;
	}
}

dvs_err mount_make(const struct gateway_options *options, int fuse_fd, char why[GATEWAY_WHY_MAX])
{
	char source[DVS_NAME_MAX + 128];
	char words[160];
	unsigned long flags = 0;

	remove_dead(options);
	if (!options->devices)
		flags |= MS_NODEV;
	if (!options->set_ids)
		flags |= MS_NOSUID;
	if (options->is_read_only)
		flags |= MS_RDONLY;
	(void)snprintf(source, sizeof(source), "%s/%s", options->dc, options->name);
	(void)snprintf(words, sizeof(words),
		       "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions,"
		       "max_read=%zu",
		       fuse_fd, FSC_IO_MAX);
	if (mount(source, options->mount, "fuse.dvs", flags, words) == 0)
		return DVS_OK;
	(void)snprintf(why, GATEWAY_WHY_MAX, "mount it at %.200s: %s", options->mount,
		       strerror(errno));
	return dvs_from_errno(errno);
}

bool mount_end(const struct gateway_options *options)
{
	if (umount2(options->mount, UMOUNT_NOFOLLOW) == 0)
		return true;
	(void)umount2(options->mount, MNT_DETACH | UMOUNT_NOFOLLOW);
	return false;
}

void mount_set_readahead(const struct gateway_options *options)
{
	char path[80];
	struct stat stat_of;
	AUTO_CLOSE int fd = -1;

	if (stat(options->mount, &stat_of) != 0)
		return;
	(void)snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb",
		       major(stat_of.st_dev), minor(stat_of.st_dev));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	/* Without it reading is slower, and right. */
	if (fd < 0 || write(fd, READAHEAD_KB, strlen(READAHEAD_KB)) < 0)
		log_debug(&options->log, "the kernel reads ahead as it likes",
			  LOG_STR("why", strerror(errno)));
}
