/* SPDX-License-Identifier: Apache-2.0 */
/* A medium in a file or on a block device, through the page cache: what a dead process wrote is still there, until the machine goes down. So the incarnation is that of the boot and the file. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/cleanup.h"
#include "servers/fs/medium_internal.h"

struct medium_file {
	struct medium medium;
	int fd;
};

static struct medium_file *file_of(struct medium *medium)
{
	return CONTAINER_OF(medium, struct medium_file, medium);
}

static dvs_err from_errno(int errno_value)
{
	if (errno_value == ENOSPC || errno_value == EDQUOT || errno_value == EFBIG)
		return DVS_NOSPACE;
	if (errno_value == EROFS)
		return DVS_READONLY;
	return errno_value == ENOMEM ? DVS_NOMEM : DVS_IO;
}

/* ---- requests ---- */

static dvs_err file_read(struct medium *medium, uint64_t offset, void *buffer, size_t bytes)
{
	uint8_t *at = buffer;

	if (!medium_range_ok(medium, offset, bytes))
		return DVS_RANGE;
	while (bytes > 0) {
		ssize_t got = pread(file_of(medium)->fd, at, bytes, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		/* Somebody has cut it off. */
		if (got == 0)
			return DVS_IO;
		if (got < 0)
			return from_errno(errno);
		at += got;
		bytes -= (size_t)got;
		offset += (uint64_t)got;
	}
	return DVS_OK;
}

static dvs_err put(int fd, uint64_t offset, const uint8_t *at, size_t bytes)
{
	while (bytes > 0) {
		ssize_t got = pwrite(fd, at, bytes, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got == 0 ? DVS_IO : from_errno(errno);
		at += got;
		bytes -= (size_t)got;
		offset += (uint64_t)got;
	}
	return DVS_OK;
}

static dvs_err file_write(struct medium *medium, uint64_t offset, const void *buffer, size_t bytes)
{
	if (!medium_range_ok(medium, offset, bytes))
		return DVS_RANGE;
	return put(file_of(medium)->fd, offset, buffer, bytes);
}

static dvs_err file_zero(struct medium *medium, uint64_t offset, uint64_t bytes)
{
	static const uint8_t zeroes[65536];
	static const int modes[] = { FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE };
	dvs_err err = DVS_OK;

	if (!medium_range_ok(medium, offset, bytes))
		return DVS_RANGE;
	for (size_t i = 0; bytes > 0 && i < ARRAY_LEN(modes); i++) {
		if (fallocate(file_of(medium)->fd, modes[i], (off_t)offset, (off_t)bytes) == 0)
			return DVS_OK;
		if (errno != EOPNOTSUPP && errno != EINTR && errno != ENOSYS && errno != EINVAL)
			return from_errno(errno);
	}
	while (err == DVS_OK && bytes > 0) {
		size_t part = bytes < sizeof(zeroes) ? (size_t)bytes : sizeof(zeroes);

		err = put(file_of(medium)->fd, offset, zeroes, part);
		offset += part;
		bytes -= part;
	}
	return err;
}

static dvs_err file_flush(struct medium *medium)
{
	return fdatasync(file_of(medium)->fd) == 0 ? DVS_OK : from_errno(errno);
}

static dvs_err size_of(int fd, uint64_t *bytes)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return from_errno(errno);
	*bytes = (uint64_t)st.st_size;
	if (S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, bytes) != 0)
		return from_errno(errno);
	*bytes -= *bytes % MEDIUM_BLOCK_BYTES;
	return DVS_OK;
}

static dvs_err file_grown(struct medium *medium)
{
	uint64_t bytes;
	dvs_err err = size_of(file_of(medium)->fd, &bytes);

	if (err == DVS_OK && bytes > medium->bytes)
		medium->bytes = bytes;
	return err;
}

static void file_close(struct medium *medium)
{
	struct medium_file *file = file_of(medium);

	close(file->fd);
	free(file);
}

static const struct medium_ops file_ops = {
	.read = file_read,
	.write = file_write,
	.zero = file_zero,
	.flush = file_flush,
	.grown = file_grown,
	.close = file_close,
};

/* ---- opening ---- */

/* The boot and the file (or the device): a copy of the file is another one. */
static dvs_err incarnation_of(int fd, uint8_t incarnation[16])
{
	AUTO_CLOSE int boot_fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	struct {
		uint64_t device;
		uint64_t inode;
		char boot[48];
	} what = { 0 };
	XXH128_canonical_t sum;
	struct stat st;

	if (boot_fd < 0 || fstat(fd, &st) != 0 || read(boot_fd, what.boot, sizeof(what.boot)) < 36)
		return DVS_IO;
	what.device = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
	what.inode = S_ISBLK(st.st_mode) ? 0 : st.st_ino;
	XXH128_canonicalFromHash(&sum, XXH3_128bits(&what, sizeof(what)));
	_Static_assert(sizeof(sum) == 16, "an incarnation is a hash");
	memcpy(incarnation, &sum, sizeof(sum));
	return DVS_OK;
}

static dvs_err open_error(const char *path, char *why)
{
	int error = errno;

	medium_why(why, "cannot open %s: %s", path, strerror(error));
	switch (error) {
	case ENOENT:
	case ENOTDIR:
	case ENXIO:
		return DVS_NOTFOUND;
	case EEXIST:
		return DVS_EXISTS;
	case EBUSY:
		return DVS_INUSE;
	case EACCES:
	case EPERM:
	case EROFS:
		return DVS_DENIED;
	default:
		return from_errno(error);
	}
}

/* It is a file or a device, and nobody else's. O_EXCL on a device that is mounted fails. */
static dvs_err take(const char *path, bool do_make, int *fd, char *why)
{
	int flags = O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	struct stat st;
	AUTO_CLOSE int opened = -1;

	if (!do_make && stat(path, &st) == 0 && S_ISBLK(st.st_mode))
		flags |= O_EXCL;
	opened = open(path, do_make ? flags | O_CREAT | O_EXCL | O_NOFOLLOW : flags, 0600);
	if (opened < 0)
		return open_error(path, why);
	if (fstat(opened, &st) != 0 || (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))) {
		medium_why(why, "%s is neither a file nor a block device; name another place",
			   path);
		return DVS_BADARG;
	}
	if (flock(opened, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK)
			return open_error(path, why);
		medium_why(why, "%s is in use by another process", path);
		return DVS_INUSE;
	}
	*fd = take_fd(&opened);
	return DVS_OK;
}

static dvs_err make(const char *path, uint64_t bytes, int *fd, char *why)
{
	dvs_err err = take(path, true, fd, why);

	if (err == DVS_OK && ftruncate(*fd, (off_t)bytes) != 0) {
		err = from_errno(errno);
		medium_why(why, "cannot make %s that large: %s", path, strerror(errno));
		(void)unlink(path);
	}
	return err;
}

dvs_err medium_file_open(const char *path, uint64_t bytes, struct medium **medium, char *why)
{
	struct medium_file *file;
	AUTO_CLOSE int fd = -1;
	dvs_err err;

	bytes -= bytes % MEDIUM_BLOCK_BYTES;
	if (bytes > INT64_MAX) {
		medium_why(why, "no file can be that large");
		return DVS_BADARG;
	}
	file = calloc(1, sizeof(*file));
	if (!file) {
		medium_why(why, "out of memory");
		return DVS_NOMEM;
	}
	file->medium.ops = &file_ops;
	err = bytes ? make(path, bytes, &fd, why) : take(path, false, &fd, why);
	if (err == DVS_OK) {
		err = size_of(fd, &file->medium.bytes);
		if (err == DVS_OK)
			err = incarnation_of(fd, file->medium.incarnation);
		if (err != DVS_OK)
			medium_why(why, "cannot look at %s: %s", path, dvs_strerror(err));
	}
	if (err != DVS_OK) {
		free(file);
		return err;
	}
	file->fd = take_fd(&fd);
	*medium = &file->medium;
	return DVS_OK;
}
