/* SPDX-License-Identifier: Apache-2.0 */
/* Sealed memfds: whoever maps one can trust that it keeps its size. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "node/api.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#define SEALS_NEEDED (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

int memory_create(const char *name, size_t size)
{
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	AUTO_CLOSE int fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);

	/* kernels before 6.3 do not know that flag */
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, flags);
	if (fd < 0 || ftruncate(fd, (off_t)size) != 0 || fcntl(fd, F_ADD_SEALS, SEALS_NEEDED) != 0)
		return -1;
	return take_fd(&fd);
}

dev_t memory_device(void)
{
	AUTO_CLOSE int fd = memory_create("dvs-device", IPC_PAGE);
	struct stat file;

	return fd >= 0 && fstat(fd, &file) == 0 ? file.st_dev : 0;
}

/* Who sent FD may be the one who would have to answer for its file system: so seals, which
 * only memory has, are asked for first. Huge pages are refused: touching one can fail when the pool is empty. */
bool memory_check(int fd, size_t size, uint64_t *inode)
{
	int seals = fcntl(fd, F_GET_SEALS);
	int mode = fcntl(fd, F_GETFL);
	struct statfs system;
	struct stat file;

	if (seals < 0 || (seals & SEALS_NEEDED) != SEALS_NEEDED || (seals & F_SEAL_WRITE) != 0)
		return false;
	if (mode < 0 || (mode & O_ACCMODE) != O_RDWR)
		return false;
	if (fstatfs(fd, &system) != 0 || system.f_type != TMPFS_MAGIC || fstat(fd, &file) != 0)
		return false;
	*inode = file.st_ino;
	return (uint64_t)file.st_size == size;
}
