/* SPDX-License-Identifier: Apache-2.0 */
/* System calls on a store's file. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/compiler.h"
#include "servers/vdd/disks.h"
#include "servers/vdd/store.h"

dvs_err store_errno(int errno_value)
{
	if (errno_value == ENOSPC || errno_value == EDQUOT || errno_value == EFBIG)
		return DVS_NOSPACE;
	return errno_value == ENOMEM ? DVS_NOMEM : DVS_IO;
}

dvs_err store_pread(int fd, void *buffer, uint64_t bytes, uint64_t offset)
{
	uint8_t *at = buffer;

	while (bytes > 0) {
		ssize_t got = pread(fd, at, bytes, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return store_errno(errno);
		if (got == 0)
			return DVS_IO;
		at += got;
		bytes -= (uint64_t)got;
		offset += (uint64_t)got;
	}
	return DVS_OK;
}

dvs_err store_pwrite(int fd, const void *buffer, uint64_t bytes, uint64_t offset)
{
	const uint8_t *at = buffer;

	while (bytes > 0) {
		ssize_t put = pwrite(fd, at, bytes, (off_t)offset);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return store_errno(errno);
		if (put == 0)
			return DVS_IO;
		at += put;
		bytes -= (uint64_t)put;
		offset += (uint64_t)put;
	}
	return DVS_OK;
}

static dvs_err write_zeroes(int fd, uint64_t offset, uint64_t bytes)
{
	static const uint8_t zeroes[DISK_GRANULE_BYTES];
	dvs_err err = DVS_OK;

	while (err == DVS_OK && bytes > 0) {
		uint64_t part = bytes < sizeof(zeroes) ? bytes : sizeof(zeroes);

		err = store_pwrite(fd, zeroes, part, offset);
		offset += part;
		bytes -= part;
	}
	return err;
}

dvs_err store_pzero(int fd, uint64_t offset, uint64_t bytes, bool keep)
{
	static const int modes[] = { FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE };

	if (bytes == 0)
		return DVS_OK;
	for (size_t i = keep ? 1 : 0; i < ARRAY_LEN(modes); i++) {
		if (fallocate(fd, modes[i], (off_t)offset, (off_t)bytes) == 0)
			return DVS_OK;
		if (errno != EOPNOTSUPP && errno != EINTR && errno != ENOSYS && errno != EINVAL)
			return store_errno(errno);
	}
	return write_zeroes(fd, offset, bytes);
}

dvs_err store_fd_resize(int fd, uint64_t base, uint64_t was, uint64_t bytes)
{
	uint64_t kept = bytes < was ? bytes : was;

	/* First without what is beyond: nothing old must show up again. */
	if (ftruncate(fd, (off_t)(base + kept)) != 0 ||
	    ftruncate(fd, (off_t)(base + store_file_bytes(bytes))) != 0)
		return store_errno(errno);
	return DVS_OK;
}

dvs_err store_device_resize(int fd, uint64_t was, uint64_t bytes)
{
	uint64_t has = 0;

	if (ioctl(fd, BLKGETSIZE64, &has) != 0 || bytes > has)
		return DVS_NOSPACE;
	return bytes > was ? store_pzero(fd, was, bytes - was, false) : DVS_OK;
}

dvs_err store_fd_extent(int fd, bool is_device, uint64_t from, uint64_t limit, uint64_t *bytes,
			bool *is_hole)
{
	off_t data, to;

	*bytes = limit;
	*is_hole = false;
	if (is_device)
		return DVS_OK;
	data = lseek(fd, (off_t)from, SEEK_DATA);
	if (data < 0) {
		*is_hole = errno == ENXIO;
		return *is_hole ? DVS_OK : store_errno(errno);
	}
	*is_hole = data > (off_t)from;
	/* Where data end takes the longer to find the more of them there are: who asks for little is not to pay for that. */
	if (!*is_hole && limit <= DISK_GRANULE_BYTES)
		return DVS_OK;
	to = *is_hole ? data : lseek(fd, (off_t)from, SEEK_HOLE);
	if (to < 0)
		return store_errno(errno);
	if ((uint64_t)to - from < limit)
		*bytes = (uint64_t)to - from;
	return DVS_OK;
}

uint64_t store_fd_used(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}
