/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/bench/web/site.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "manage/bench/web/web.h"

/* Page, and the paper's sizes. */
static const uint64_t sizes[] = { WEB_PAGE_BYTES, UINT64_C(10) << 20, UINT64_C(50) << 20,
				  WEB_FILE_BYTES_MAX };

uint64_t site_files(uint64_t bytes)
{
	return bytes == WEB_PAGE_BYTES ? WEB_PAGES : 1;
}

static void stamp(uint64_t number, uint64_t block, char text[SITE_STAMP_BYTES])
{
	const uint64_t words[] = { number + 1, block + 1 };

	_Static_assert(sizeof(words) == SITE_STAMP_BYTES, "a stamp is two words");
	memcpy(text, words, sizeof(words));
}

/* A block is its stamp, again and again: so LEN bytes from AT of it on are compared, stamp by stamp. */
static bool is_block(const char mark[SITE_STAMP_BYTES], size_t at, const char *data, size_t len)
{
	while (len > 0) {
		size_t from = at % SITE_STAMP_BYTES;
		size_t part = SITE_STAMP_BYTES - from < len ? SITE_STAMP_BYTES - from : len;

		if (memcmp(data, mark + from, part) != 0)
			return false;
		at += part;
		data += part;
		len -= part;
	}
	return true;
}

bool site_is(uint64_t number, uint64_t offset, const void *data, size_t len, bool whole)
{
	const size_t looked_at = whole ? SITE_BLOCK_BYTES : SITE_STAMP_BYTES;
	const char *from = data;

	while (len > 0) {
		size_t at = offset % SITE_BLOCK_BYTES;
		size_t part = SITE_BLOCK_BYTES - at < len ? SITE_BLOCK_BYTES - at : len;
		size_t seen = at >= looked_at ? 0 : looked_at - at < part ? looked_at - at : part;
		char mark[SITE_STAMP_BYTES];

		if (seen > 0) {
			stamp(number, offset / SITE_BLOCK_BYTES, mark);
			if (!is_block(mark, at, from, seen))
				return false;
		}
		offset += part;
		from += part;
		len -= part;
	}
	return true;
}

static dvs_err make_file(int dir_fd, uint64_t number, uint64_t bytes, struct bench_fault *fault)
{
	char name[24], block[SITE_BLOCK_BYTES];
	AUTO_FCLOSE FILE *file = NULL;
	int fd;

	snprintf(name, sizeof(name), "%llu", (unsigned long long)number);
	fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	file = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (!file) {
		if (fd >= 0)
			close(fd);
		return bench_fail_errno(fault, "make a file of the site");
	}
	for (uint64_t at = 0; at < bytes; at += sizeof(block)) {
		for (size_t i = 0; i < sizeof(block); i += SITE_STAMP_BYTES)
			stamp(number, at / sizeof(block), block + i);
		if (fwrite(block, sizeof(block), 1, file) != 1)
			return bench_fail_errno(fault, "write a file of the site");
	}
	return fflush(file) == 0 ? DVS_OK : bench_fail_errno(fault, "write a file of the site");
}

dvs_err site_make(const char *dir, struct bench_fault *fault)
{
	AUTO_CLOSE int top_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (top_fd < 0)
		return bench_fail_errno(fault, dir);
	for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
		AUTO_CLOSE int dir_fd = -1;
		char name[24];

		snprintf(name, sizeof(name), "%llu", (unsigned long long)sizes[s]);
		if (mkdirat(top_fd, name, 0755) == 0 || errno == EEXIST)
			dir_fd = openat(top_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir_fd < 0)
			return bench_fail_errno(fault, "make a directory of the site");
		for (uint64_t i = 0; i < site_files(sizes[s]); i++) {
			dvs_err err = make_file(dir_fd, i, sizes[s], fault);

			if (err)
				return err;
		}
	}
	return DVS_OK;
}
