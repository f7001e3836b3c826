/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/container/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "container/image.h"
#include "container/pack.h"
#include "container/unpack.h"

static dvs_err fail_errno(struct archive_end *end, const char *what, const char *path)
{
	dvs_err err = dvs_from_errno(errno);

	snprintf(end->why, sizeof(end->why), "%s %.300s: %s", what, path, strerror(errno));
	return err;
}

static void begin(struct archive_end *end, const char *name)
{
	*end = (struct archive_end){ .fd = -1, .pipe = -1, .root = -1, .err = DVS_OK };
	snprintf(end->name, sizeof(end->name), "%s", name);
}

static dvs_err start(struct archive_end *end, bool packs, void *(*thread)(void *end))
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) != 0)
		return fail_errno(end, "cannot make a pipe for", end->path);
	end->fd = fds[packs ? 0 : 1];
	end->pipe = fds[packs ? 1 : 0];
	end->runs = pthread_create(&end->thread, NULL, thread, end) == 0;
	return end->runs ? DVS_OK : DVS_NOMEM;
}

/* ---- packing ---- */

static dvs_err put(void *end_void, const void *bytes, size_t len)
{
	struct archive_end *end = end_void;
	const char *at = bytes;

	while (len > 0) {
		ssize_t n = write(end->pipe, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_errno(end, "cannot pass on", end->path);
		at += n;
		len -= (size_t)n;
	}
	return DVS_OK;
}

static dvs_err pack_once(struct archive_end *end, const struct pax_sink *sink,
			 struct pack_count *count)
{
	struct pack pack = { .root = end->root, .kind = PACK_COPY, .sink = sink, .why = end->why };
	dvs_err err = pack_tree(&pack, end->path, end->name);

	err = pack_end(&pack, err);
	*count = pack.count;
	return err;
}

static void *pack_thread(void *end_void)
{
	struct archive_end *end = end_void;
	struct pax_sink sink = { .write = put, .context = end };
	struct pack_count count;

	end->err = pack_once(end, &sink, &count);
	close(end->pipe);
	return NULL;
}

dvs_err archive_pack(struct archive_end *end, const char *path, const char *name)
{
	char parent[4096];
	char *slash;
	struct pack_count count;
	dvs_err err;

	begin(end, name);
	snprintf(parent, sizeof(parent), "%s", path);
	slash = strrchr(parent, '/');
	/* What is in a directory is below that; something itself is below its parent. */
	if (!name[0]) {
		end->path[0] = '\0';
	} else {
		snprintf(end->path, sizeof(end->path), "%s", slash ? slash + 1 : parent);
		if (slash)
			slash[slash == parent ? 1 : 0] = '\0';
		else
			strcpy(parent, ".");
	}
	end->root = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (end->root < 0)
		return fail_errno(end, "cannot open", parent);
	err = pack_once(end, NULL, &count);
	if (err != DVS_OK)
		return err;
	end->bytes = count.bytes;
	end->entries = count.entries;
	return start(end, true, pack_thread);
}

/* ---- unpacking ---- */

static void *unpack_thread(void *end_void)
{
	struct archive_end *end = end_void;
	struct unpack unpack = { .source = end->pipe,
				 .root = end->root,
				 .bytes_left = IMAGE_BYTES_MAX,
				 .files_left = IMAGE_FILES_MAX,
				 .copy = true,
				 .harmless = true,
				 .uid = geteuid(),
				 .gid = getegid(),
				 .rename = end->name[0] ? end->name : NULL,
				 .why = end->why };

	end->err = unpack_archive(&unpack);
	/* Who writes to us sees that nobody reads. */
	close(end->pipe);
	return NULL;
}

dvs_err archive_unpack(struct archive_end *end, const char *path, const char *name)
{
	begin(end, name);
	snprintf(end->path, sizeof(end->path), "%s", path);
	end->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (end->root < 0)
		return fail_errno(end, "cannot open", path);
	return start(end, false, unpack_thread);
}

dvs_err archive_finish(struct archive_end *end)
{
	cleanup_close(&end->fd);
	if (end->runs)
		pthread_join(end->thread, NULL);
	else
		cleanup_close(&end->pipe);
	end->runs = false;
	cleanup_close(&end->root);
	return end->err;
}
