/* SPDX-License-Identifier: Apache-2.0 */
/* A disk that is a block device of this node, as a whole. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "servers/vdd/image.h"
#include "servers/vdd/store.h"

/* Nobody else has it: no file system is mounted, no other volume uses it. */
static dvs_err take(const char *path, int *fd, char *why)
{
	AUTO_CLOSE int opened = -1;
	struct stat st;

	if (stat(path, &st) != 0) {
		why_say(why, "cannot look at %s: %s", path, strerror(errno));
		return errno == ENOENT || errno == ENOTDIR ? DVS_NOTFOUND : store_errno(errno);
	}
	if (!S_ISBLK(st.st_mode)) {
		why_say(why,
			"%s is no block device: store \"raw\" takes a device as a whole; for an ordinary file use store \"file\"",
			path);
		return DVS_BADARG;
	}
	opened = open(path, O_RDWR | O_EXCL | O_CLOEXEC);
	if (opened < 0) {
		why_say(why, "cannot open %s: %s%s", path, strerror(errno),
			errno == EBUSY ? "; it is mounted, or used by somebody else" : "");
		return errno == EBUSY					   ? DVS_INUSE :
		       errno == EACCES || errno == EPERM || errno == EROFS ? DVS_DENIED :
									     store_errno(errno);
	}
	*fd = take_fd(&opened);
	return DVS_OK;
}

dvs_err store_raw_open(const char *path, uint64_t bytes, const struct store_help *help,
		       struct store **store, char *why)
{
	AUTO_CLOSE int fd = -1;
	uint64_t has = 0;
	dvs_err err = take(path, &fd, why);

	if (err != DVS_OK)
		return err;
	if (ioctl(fd, BLKGETSIZE64, &has) != 0 || has < bytes) {
		why_say(why, "%s has %llu bytes, the volume %llu; name a larger device", path,
			(unsigned long long)has, (unsigned long long)bytes);
		return DVS_NOSPACE;
	}
	err = store_uring_open(fd, 0, bytes, true, help, store, why);
	/* Without io_uring it is slower. */
	if (err == DVS_DENIED || err == DVS_BADSTATE)
		err = store_file_open(fd, 0, bytes, true, help, store);
	if (err == DVS_OK) {
		why[0] = '\0';
		fd = -1;
	}
	return err;
}
