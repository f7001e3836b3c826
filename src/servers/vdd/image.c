/* SPDX-License-Identifier: Apache-2.0 */
#include "servers/vdd/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "servers/vdd/disks.h"
#include "servers/vdd/store.h"

#define MAGIC UINT64_C(0x4547414d49535644) /* "DVSIMAGE" */
#define VERSION 1u
#define HEAD_BYTES (8u + 4u + IMAGE_ID_BYTES)

void why_say(char *why, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(why, DISK_WHY_MAX + 1, format, args);
	va_end(args);
}

/* Locked against another opener, also by another path. */
static dvs_err take(int at, const char *path, int flags, int *fd, char *why)
{
	AUTO_CLOSE int opened = openat(at, path, flags | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat st;

	if (opened < 0) {
		why_say(why, "cannot open %s: %s", path, strerror(errno));
		return errno == ENOENT					   ? DVS_NOTFOUND :
		       errno == EEXIST					   ? DVS_EXISTS :
		       errno == EACCES || errno == EPERM || errno == EROFS ? DVS_DENIED :
									     store_errno(errno);
	}
	if (fstat(opened, &st) != 0 || !S_ISREG(st.st_mode)) {
		why_say(why, "%s is no ordinary file; name another place", path);
		return DVS_CORRUPT;
	}
	if (flock(opened, LOCK_EX | LOCK_NB) != 0) {
		why_say(why, "%s is in use by another process", path);
		return DVS_INUSE;
	}
	*fd = take_fd(&opened);
	return DVS_OK;
}

dvs_err image_make(int at, const char *path, const char *id, uint64_t bytes, bool do_replace,
		   int *fd, char *why)
{
	AUTO_CLOSE int made = -1;
	uint8_t block[IMAGE_BASE] = { 0 };
	struct writer out = writer_over(block, sizeof(block));
	dvs_err err = take(at, path, O_CREAT | (do_replace ? 0 : O_EXCL), &made, why);

	if (err == DVS_EXISTS)
		why_say(why, "there is a file %s already; remove it, or name another place", path);
	if (err != DVS_OK)
		return err;
	writer_u64(&out, MAGIC);
	writer_u32(&out, VERSION);
	writer_bytes(&out, id, IMAGE_ID_BYTES);
	writer_u64(&out, XXH3_64bits(block, HEAD_BYTES));
	err = ftruncate(made, 0) == 0 &&
			      ftruncate(made, (off_t)(IMAGE_BASE + store_file_bytes(bytes))) == 0 ?
		      store_pwrite(made, block, sizeof(block), 0) :
		      store_errno(errno);
	if (err == DVS_OK && fsync(made) != 0)
		err = store_errno(errno);
	if (err != DVS_OK) {
		why_say(why, "cannot make %s: %s", path, dvs_strerror(err));
		(void)unlinkat(at, path, 0);
		return err;
	}
	*fd = take_fd(&made);
	return DVS_OK;
}

static dvs_err check(const uint8_t *head, const char *id, const char *path, char *why)
{
	struct cursor in = cursor_over(head, HEAD_BYTES + 8);
	uint64_t magic = cursor_u64(&in);
	uint32_t version = cursor_u32(&in);
	char of[IMAGE_ID_BYTES];

	cursor_bytes(&in, of, sizeof(of));
	if (magic != MAGIC) {
		why_say(why,
			"%s is no image of a volume; put back the right file, or let this replica be made anew from another one",
			path);
		return DVS_CORRUPT;
	}
	if (version != VERSION) {
		why_say(why, "%s is an image of version %u, this program knows version %u", path,
			version, VERSION);
		return DVS_CORRUPT;
	}
	if (cursor_u64(&in) != XXH3_64bits(head, HEAD_BYTES)) {
		why_say(why,
			"the first block of %s is damaged; let this replica be made anew from another one",
			path);
		return DVS_CORRUPT;
	}
	if (memcmp(of, id, IMAGE_ID_BYTES) != 0) {
		why_say(why, "%s is the image of another volume, %.36s; name another place", path,
			of);
		return DVS_EXISTS;
	}
	return DVS_OK;
}

dvs_err image_open(int at, const char *path, const char *id, uint64_t bytes, int *fd, char *why)
{
	AUTO_CLOSE int opened = -1;
	uint8_t head[HEAD_BYTES + 8];
	struct stat st;
	dvs_err err = take(at, path, 0, &opened, why);

	if (err != DVS_OK)
		return err;
	if (fstat(opened, &st) != 0)
		return store_errno(errno);
	if ((uint64_t)st.st_size < sizeof(head)) {
		why_say(why,
			"%s is truncated: it has %lld bytes; put back the right file, or let this replica be made anew from another one",
			path, (long long)st.st_size);
		return DVS_CORRUPT;
	}
	err = store_pread(opened, head, sizeof(head), 0);
	if (err != DVS_OK) {
		why_say(why, "cannot read %s: %s", path, dvs_strerror(err));
		return err;
	}
	err = check(head, id, path, why);
	if (err != DVS_OK)
		return err;
	if ((uint64_t)st.st_size < IMAGE_BASE + bytes) {
		why_say(why,
			"%s is truncated: it has %lld bytes of %llu; let this replica be made anew from another one",
			path, (long long)st.st_size, (unsigned long long)(IMAGE_BASE + bytes));
		return DVS_CORRUPT;
	}
	/* A resize that was interrupted leaves less than whole blocks. */
	if ((uint64_t)st.st_size < IMAGE_BASE + store_file_bytes(bytes) &&
	    ftruncate(opened, (off_t)(IMAGE_BASE + store_file_bytes(bytes))) != 0)
		return store_errno(errno);
	*fd = take_fd(&opened);
	return DVS_OK;
}
