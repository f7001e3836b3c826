/* SPDX-License-Identifier: Apache-2.0 */
/* An export into an archive: tar with pax headers, which keep holes, attributes and parts of a second. It is written beside, and renamed when it is whole. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "manage/filesystem/acl.h"
#include "manage/filesystem/export.h"

static const struct kind {
	const char *end;
	int (*filter)(struct archive *out);
} kinds[] = {
	{ ".tar", NULL },
	{ ".tar.gz", archive_write_add_filter_gzip },
	{ ".tgz", archive_write_add_filter_gzip },
	{ ".tar.zst", archive_write_add_filter_zstd },
	{ ".tzst", archive_write_add_filter_zstd },
};

struct pack {
	struct archive *out;
	int folder; /* that it is in */
	int fd;
	const char *name; /* there */
	char beside[EXPORT_BESIDE_BYTES];
	uint64_t size; /* of the file that is being written */
	uint64_t at;
};

static const struct kind *kind_of(const char *to)
{
	size_t len = strlen(to);

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		size_t end = strlen(kinds[i].end);

		if (len > end && strcmp(to + len - end, kinds[i].end) == 0)
			return &kinds[i];
	}
	return NULL;
}

bool export_is_archive(const char *to)
{
	struct stat status;

	if (strcmp(to, "-") == 0)
		return true;
	return kind_of(to) && !(stat(to, &status) == 0 && S_ISDIR(status.st_mode));
}

static int fail(struct export *export, const char *path)
{
	const struct pack *pack = export->state;
	const char *why = archive_error_string(pack->out);

	return fstree_fail(&export->tree, path[0] ? path : export->to,
			   why ? why : strerror(ENOMEM));
}

/* ---- where it goes ---- */

static int open_beside(struct export *export, struct pack *pack)
{
	const char *slash = strrchr(export->to, '/');
	size_t len = slash ? (size_t)(slash - export->to) + 1 : 0;
	char folder[PATH_MAX];
	struct stat there;

	if (len >= sizeof(folder)) {
		errno = ENAMETOOLONG;
		return export_fail_errno(export, "");
	}
	(void)snprintf(folder, sizeof(folder), "%.*s", (int)len, export->to);
	pack->name = export->to + len;
	pack->folder = open(len ? folder : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (pack->folder < 0)
		return export_fail_errno(export, "");
	if (!export->replaces &&
	    fstatat(pack->folder, pack->name, &there, AT_SYMLINK_NOFOLLOW) == 0) {
		errno = EEXIST;
		return export_fail_errno(export, "");
	}
	if (!export_beside(pack->beside))
		return export_fail_errno(export, "");
	pack->fd = openat(pack->folder, pack->beside,
			  O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	return pack->fd < 0 ? export_fail_errno(export, "") : EXIT_DONE;
}

static int archive_open(struct export *export)
{
	struct pack *pack = calloc(1, sizeof(*pack));
	const struct kind *kind = kind_of(export->to);
	int status = EXIT_DONE;
	int result = ARCHIVE_OK;

	if (!pack)
		return filesystem_fail(export->tree.fs, DVS_NOMEM);
	export->state = pack;
	pack->folder = -1;
	pack->fd = -1;
	pack->out = archive_write_new();
	if (!pack->out)
		return filesystem_fail(export->tree.fs, DVS_NOMEM);
	if (strcmp(export->to, "-") != 0)
		status = open_beside(export, pack);
	if (status != EXIT_DONE)
		return status;
	if (kind && kind->filter)
		result = kind->filter(pack->out);
	if (result == ARCHIVE_OK)
		result = archive_write_set_format_pax(pack->out);
	if (result == ARCHIVE_OK)
		result = archive_write_open_fd(pack->out, pack->fd < 0 ? STDOUT_FILENO : pack->fd);
	return result == ARCHIVE_OK ? EXIT_DONE : fail(export, "");
}

/* ---- what is in it ---- */

static int add_xattr(struct export *export, const struct export_what *what, void *context,
		     const char *name, const void *value, size_t len)
{
	dvs_err err = DVS_OK;

	if (acl_is_name(name))
		err = acl_to_entry(context, name, value, len);
	else
		archive_entry_xattr_add_entry(context, name, value, len);
	return err ? fstree_fail_err(&export->tree, what->path, err) : EXIT_DONE;
}

static void add_holes(struct archive_entry *entry, const struct export_what *what)
{
	uint64_t data = 0;

	for (size_t i = 0; i < what->n_segments; i++)
		data += what->segments[i].end - what->segments[i].begin;
	if (data == what->attr.size)
		return;
	for (size_t i = 0; i < what->n_segments; i++)
		archive_entry_sparse_add_entry(
			entry, (la_int64_t)what->segments[i].begin,
			(la_int64_t)(what->segments[i].end - what->segments[i].begin));
	/* All is a hole. */
	if (what->n_segments == 0)
		archive_entry_sparse_add_entry(entry, 0, 0);
}

static void fill(const struct export *export, struct archive_entry *entry,
		 const struct export_what *what)
{
	const struct fs_attr *attr = &what->attr;

	archive_entry_copy_pathname(entry, what->path);
	archive_entry_set_mode(entry, (attr->mode & S_IFMT) | export_mode(export, attr));
	archive_entry_set_mtime(entry, attr->mtime_s, (long)attr->mtime_ns);
	archive_entry_set_atime(entry, attr->atime_s, (long)attr->atime_ns);
	archive_entry_set_uid(entry, export->keeps_owners ? attr->uid : 0);
	archive_entry_set_gid(entry, export->keeps_owners ? attr->gid : 0);
	archive_entry_set_size(entry, 0);
	if (S_ISBLK(attr->mode) || S_ISCHR(attr->mode))
		archive_entry_set_rdev(entry, (dev_t)attr->rdev);
	if (what->same)
		archive_entry_copy_hardlink(entry, what->same);
	else if (what->target)
		archive_entry_copy_symlink(entry, what->target);
	else if (S_ISREG(attr->mode))
		archive_entry_set_size(entry, (la_int64_t)attr->size);
}

static int write_header(struct export *export, const struct export_what *what)
{
	struct pack *pack = export->state;
	struct archive_entry *entry = archive_entry_new();
	int status = EXIT_DONE;

	if (!entry)
		return filesystem_fail(export->tree.fs, DVS_NOMEM);
	fill(export, entry, what);
	pack->at = 0;
	pack->size = S_ISREG(what->attr.mode) && !what->same ? what->attr.size : 0;
	if (pack->size > 0)
		add_holes(entry, what);
	if (!what->same && !S_ISLNK(what->attr.mode))
		status = export_xattrs(export, what, add_xattr, entry);
	/* A warning says that a name is not UTF-8: it is written as it is. */
	if (status == EXIT_DONE && archive_write_header(pack->out, entry) < ARCHIVE_WARN)
		status = fail(export, what->path);
	archive_entry_free(entry);
	return status;
}

/* The top is where it is unpacked. */
static int archive_enter(struct export *export)
{
	return export->level->up ? write_header(export, &export->level->what) : EXIT_DONE;
}

static int archive_leave(struct export *export)
{
	(void)export;
	return EXIT_DONE;
}

static int put(struct export *export, const uint8_t *bytes, size_t len)
{
	struct pack *pack = export->state;

	while (len > 0) {
		la_ssize_t taken = archive_write_data(pack->out, bytes, len);

		if (taken <= 0)
			return fail(export, export->path);
		bytes += taken;
		len -= (size_t)taken;
		pack->at += (uint64_t)taken;
	}
	return EXIT_DONE;
}

/* What is in holes is not written, but counted. */
static int pad(struct export *export, uint64_t to)
{
	static const uint8_t zeroes[65536];
	const struct pack *pack = export->state;
	int status = EXIT_DONE;

	while (status == EXIT_DONE && pack->at < to) {
		uint64_t left = to - pack->at;

		status = put(export, zeroes, left < sizeof(zeroes) ? (size_t)left : sizeof(zeroes));
		if (status == EXIT_DONE && !fstree_goes_on(&export->tree))
			status = EXIT_FAILED;
	}
	return status;
}

static int archive_data(struct export *export, uint64_t offset, const void *bytes, size_t len)
{
	int status = pad(export, offset);

	return status == EXIT_DONE ? put(export, bytes, len) : status;
}

static int archive_end(struct export *export, const struct export_what *what, int so_far)
{
	struct pack *pack = export->state;
	int status = so_far == EXIT_DONE ? pad(export, pack->size) : so_far;

	if (status == EXIT_DONE && archive_write_finish_entry(pack->out) != ARCHIVE_OK)
		status = fail(export, what->path);
	return status;
}

/* ---- the end ---- */

static int finish(struct export *export, struct pack *pack)
{
	if (archive_write_close(pack->out) != ARCHIVE_OK)
		return fail(export, "");
	if (pack->fd >= 0 && (fsync(pack->fd) != 0 ||
			      !export_rename(export, pack->folder, pack->beside, pack->name)))
		return export_fail_errno(export, "");
	return EXIT_DONE;
}

static int archive_close(struct export *export, int so_far)
{
	struct pack *pack = export->state;
	int status = so_far;

	if (!pack)
		return status;
	if (status == EXIT_DONE)
		status = finish(export, pack);
	if (pack->out) {
		/* Or it would write an end to what has none. */
		if (status != EXIT_DONE)
			(void)archive_write_fail(pack->out);
		(void)archive_write_free(pack->out);
	}
	if (pack->fd >= 0) {
		(void)close(pack->fd);
		if (status != EXIT_DONE)
			(void)unlinkat(pack->folder, pack->beside, 0);
	}
	if (pack->folder >= 0)
		(void)close(pack->folder);
	free(pack);
	return status;
}

const struct export_place export_to_archive = {
	.open = archive_open,
	.enter = archive_enter,
	.leave = archive_leave,
	.begin = write_header,
	.data = archive_data,
	.end = archive_end,
	.close = archive_close,
};
