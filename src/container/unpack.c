/* SPDX-License-Identifier: Apache-2.0 */
#include "container/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "container/tree.h"
#include "container/unpack_internal.h"
#include "container/why.h"

#define BLOCK_BYTES (128u * 1024)
#define WHITEOUT ".wh."

/* ---- names ---- */

/* Append the part of LEN bytes at PART. */
static dvs_err clean_part(const char *name, const char *part, size_t len, char *to, char *why)
{
	size_t at = strlen(to);

	if (len == 0 || (len == 1 && part[0] == '.'))
		return DVS_OK;
	if (len == 2 && part[0] == '.' && part[1] == '.')
		return why_say(why, DVS_BADARG,
			       "the archive is refused: the name %s leads out with \"..\"", name);
	if (len > NAME_MAX || at + 1 + len >= PATH_MAX)
		return why_say(why, DVS_BADARG,
			       "the archive is refused: the name %.200s... is too long", name);
	if (at > 0)
		to[at++] = '/';
	memcpy(to + at, part, len);
	to[at + len] = '\0';
	return DVS_OK;
}

dvs_err unpack_clean(const char *name, char *to, char *why)
{
	const char *part = name;
	unsigned depth = 0;

	to[0] = '\0';
	if (name[0] == '/')
		return why_say(why, DVS_BADARG,
			       "the archive is refused: the name %s is absolute; make the archive"
			       " with names relative to the root",
			       name);
	for (;;) {
		size_t len = strcspn(part, "/");
		dvs_err err = clean_part(name, part, len, to, why);

		if (err != DVS_OK)
			return err;
		if (++depth > UNPACK_DEPTH_MAX)
			return why_say(why, DVS_BADARG,
				       "the archive is refused: the name %.200s... is more than %u"
				       " folders deep",
				       name, UNPACK_DEPTH_MAX);
		if (part[len] == '\0')
			return DVS_OK;
		part += len + 1;
	}
}

/* The first part of the name at hand, by what is to become of it. */
static dvs_err check_top(struct unpacking *unpacking)
{
	const struct unpack *unpack = unpacking->unpack;
	char *path = unpacking->path;
	size_t len = strcspn(path, "/");
	char rest[PATH_MAX];

	for (const char *const *top = unpack->tops; top; top++) {
		if (!*top)
			return why_say(
				unpack->why, DVS_BADARG,
				"the archive is refused: it has %s beside what belongs in it",
				path);
		if (strlen(*top) == len && strncmp(*top, path, len) == 0)
			break;
	}
	if (!unpack->rename)
		return DVS_OK;
	if (unpacking->top[0] == '\0')
		memcpy(unpacking->top, path, len);
	if (len == 0 || strlen(unpacking->top) != len || strncmp(unpacking->top, path, len) != 0)
		return why_say(unpack->why, DVS_BADARG,
			       "the archive is refused: %s is beside the one name that it may have",
			       path);
	memcpy(rest, path + len, strlen(path + len) + 1);
	if (snprintf(path, PATH_MAX, "%s%.*s", unpack->rename, PATH_MAX - 1, rest) >= PATH_MAX)
		return why_say(unpack->why, DVS_BADARG, "the path of %s is too long", path);
	return DVS_OK;
}

/* ---- folders ---- */

dvs_err unpack_note_folder(struct unpacking *unpacking, const char *path, int fd)
{
	struct path_note *note;
	struct stat st;

	if (unpacking->unpack->copy)
		return DVS_OK;
	note = paths_add(&unpacking->paths, path);
	if (!note)
		return why_say(unpacking->unpack->why, DVS_NOMEM, "out of memory");
	if (note->keeps_mtime)
		return DVS_OK;
	if (fstat(fd, &st) != 0)
		return why_errno(unpacking->unpack->why, errno, "cannot look at %s", path);
	note->keeps_mtime = true;
	note->mtime_s = st.st_mtim.tv_sec;
	note->mtime_ns = st.st_mtim.tv_nsec;
	return DVS_OK;
}

/* A folder that the archive does not tell of; its time must not depend on when this is. */
static dvs_err make_parent(struct unpacking *unpacking, int folder, const char *path,
			   const char *part)
{
	struct path_note *note;

	if (mkdirat(folder, part, 0755) != 0)
		return errno == EEXIST ? DVS_OK :
					 why_errno(unpacking->unpack->why, errno,
						   "cannot make the folder %s", path);
	if (unpacking->unpack->copy)
		return DVS_OK;
	note = paths_add(&unpacking->paths, path);
	if (!note)
		return why_say(unpacking->unpack->why, DVS_NOMEM, "out of memory");
	note->keeps_mtime = true;
	note->is_new = true;
	note->mtime_s = 0;
	note->mtime_ns = 0;
	return DVS_OK;
}

static dvs_err refuse_parent(const struct unpacking *unpacking, const char *path, const char *part)
{
	int errno_value = errno;
	struct stat st;

	if (errno_value == ENOTDIR &&
	    fstatat(unpacking->parent, part, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
		return why_say(unpacking->unpack->why, DVS_BADARG,
			       "the archive is refused: %s would be written through the link %s",
			       unpacking->path, path);
	if (errno_value == ENOTDIR)
		return why_say(unpacking->unpack->why, DVS_BADARG,
			       "the archive is refused: %s is below %s, which is no folder",
			       unpacking->path, path);
	return why_errno(unpacking->unpack->why, errno_value, "cannot open the folder %s", path);
}

/* One step down from unpacking->parent: the folder at unpacking->path up to END. */
static dvs_err step_down(struct unpacking *unpacking, const char *begin, const char *end)
{
	char path[PATH_MAX], part[NAME_MAX + 1];
	dvs_err err;
	int fd;

	(void)snprintf(path, sizeof(path), "%.*s", (int)(end - unpacking->path), unpacking->path);
	(void)snprintf(part, sizeof(part), "%.*s", (int)(end - begin), begin);
	fd = tree_open(unpacking->parent, part, O_RDONLY | O_DIRECTORY);
	if (fd < 0 && errno == ENOENT) {
		err = unpack_note_folder(unpacking, unpacking->parent_path, unpacking->parent);
		if (err == DVS_OK)
			err = make_parent(unpacking, unpacking->parent, path, part);
		if (err != DVS_OK)
			return err;
		fd = tree_open(unpacking->parent, part, O_RDONLY | O_DIRECTORY);
	}
	if (fd < 0)
		return refuse_parent(unpacking, path, part);
	close(unpacking->parent);
	unpacking->parent = fd;
	memcpy(unpacking->parent_path, path, sizeof(path));
	return DVS_OK;
}

dvs_err unpack_parent(struct unpacking *unpacking)
{
	char *slash = strrchr(unpacking->path, '/');
	size_t len = slash ? (size_t)(slash - unpacking->path) : 0;
	const char *begin = unpacking->path;
	dvs_err err = DVS_OK;

	unpacking->base = slash ? slash + 1 : unpacking->path;
	/* Most entries are in the folder of the one before. */
	if (unpacking->parent >= 0 && strlen(unpacking->parent_path) == len &&
	    strncmp(unpacking->parent_path, unpacking->path, len) == 0)
		return unpack_note_folder(unpacking, unpacking->parent_path, unpacking->parent);
	if (unpacking->parent >= 0)
		close(unpacking->parent);
	unpacking->parent_path[0] = '\0';
	unpacking->parent = tree_open(unpacking->unpack->root, "", O_RDONLY | O_DIRECTORY);
	if (unpacking->parent < 0)
		return why_errno(unpacking->unpack->why, errno, "cannot open the folder");
	while (err == DVS_OK && begin < unpacking->path + len) {
		const char *end = begin + strcspn(begin, "/");

		err = step_down(unpacking, begin, end);
		begin = end + 1;
	}
	if (err == DVS_OK)
		err = unpack_note_folder(unpacking, unpacking->parent_path, unpacking->parent);
	return err;
}

/* ---- the archive ---- */

static bool owner_ok(int64_t id)
{
	return id >= 0 && id < UINT32_MAX;
}

static dvs_err count(struct unpacking *unpacking)
{
	struct unpack *unpack = unpacking->unpack;
	int64_t size = archive_entry_size_is_set(unpacking->entry) ?
			       archive_entry_size(unpacking->entry) :
			       0;

	if (unpack->files_left == 0)
		return why_say(unpack->why, DVS_TOOBIG, "the archive has too many files");
	unpack->files_left--;
	if (!owner_ok(archive_entry_uid(unpacking->entry)) ||
	    !owner_ok(archive_entry_gid(unpacking->entry)))
		return why_say(unpack->why, DVS_BADARG,
			       "the archive is refused: the owner of %s is no user or group",
			       unpacking->path);
	if (archive_entry_filetype(unpacking->entry) != AE_IFREG ||
	    archive_entry_hardlink(unpacking->entry))
		return DVS_OK;
	if (size < 0 || (uint64_t)size > unpack->bytes_left)
		return why_say(unpack->why, DVS_TOOBIG,
			       "the archive is too big: with %s of %lld bytes, its files are more"
			       " than is allowed",
			       unpacking->path, (long long)size);
	unpack->bytes_left -= (uint64_t)size;
	return DVS_OK;
}

static dvs_err take_entry(struct unpacking *unpacking)
{
	const char *name = archive_entry_pathname(unpacking->entry);
	dvs_err err;

	if (!name)
		return why_say(unpacking->unpack->why, DVS_BADARG,
			       "the archive is refused: it has an entry without a name");
	err = unpack_clean(name, unpacking->path, unpacking->unpack->why);
	if (err == DVS_OK)
		err = check_top(unpacking);
	if (err == DVS_OK)
		err = count(unpacking);
	if (err == DVS_OK)
		err = unpack_parent(unpacking);
	if (err == DVS_OK && unpacking->unpack->layer)
		err = unpack_note_path(unpacking);
	if (err != DVS_OK)
		return err;
	if (unpacking->unpack->layer && strncmp(unpacking->base, WHITEOUT, strlen(WHITEOUT)) == 0)
		return unpack_whiteout(unpacking);
	return unpack_make(unpacking);
}

static dvs_err damaged(struct unpacking *unpacking)
{
	const char *reason = archive_error_string(unpacking->archive);

	if (archive_format(unpacking->archive) == 0)
		return why_say(
			unpacking->unpack->why, DVS_BADARG,
			"that is no archive that can be read: it must be a tar archive, plain or"
			" packed with gzip, bzip2, xz or zstd");
	return why_say(unpacking->unpack->why, DVS_BADARG,
		       "the archive is damaged%s%s: %s; make or copy it anew",
		       unpacking->path[0] ? " after " : "", unpacking->path,
		       reason ? reason : "it cannot be read");
}

static dvs_err take_entries(struct unpacking *unpacking)
{
	for (;;) {
		int result = archive_read_next_header(unpacking->archive, &unpacking->entry);
		dvs_err err;

		if (result == ARCHIVE_EOF)
			return DVS_OK;
		/* Warnings are about names and attributes that this node writes otherwise. */
		if (result != ARCHIVE_OK && result != ARCHIVE_WARN)
			return damaged(unpacking);
		err = take_entry(unpacking);
		if (err == DVS_IO && archive_errno(unpacking->archive) != 0 &&
		    unpacking->unpack->why[0] == '\0')
			return damaged(unpacking);
		if (err != DVS_OK)
			return err;
	}
}

/* Folders get their times when nothing more is written into them. */
static dvs_err set_times(struct unpacking *unpacking)
{
	for (size_t i = 0; i < unpacking->paths.room; i++) {
		const struct path_note *note = &unpacking->paths.slot[i];
		struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
					     { .tv_sec = note->mtime_s,
					       .tv_nsec = note->mtime_ns } };
		AUTO_CLOSE int fd = -1;

		if (!note->path || !note->keeps_mtime)
			continue;
		fd = tree_open(unpacking->unpack->root, note->path, O_RDONLY | O_DIRECTORY);
		/* It may have been removed or replaced by a later entry. */
		if (fd >= 0 && futimens(fd, times) != 0 && errno != EPERM)
			return why_errno(unpacking->unpack->why, errno, "cannot set the time of %s",
					 note->path);
	}
	return DVS_OK;
}

static bool open_archive(struct unpacking *unpacking)
{
	struct archive *archive = archive_read_new();

	unpacking->archive = archive;
	return archive && archive_read_support_format_tar(archive) == ARCHIVE_OK &&
	       archive_read_support_filter_gzip(archive) == ARCHIVE_OK &&
	       archive_read_support_filter_bzip2(archive) == ARCHIVE_OK &&
	       archive_read_support_filter_xz(archive) == ARCHIVE_OK &&
	       archive_read_support_filter_zstd(archive) == ARCHIVE_OK;
}

/* Whoever writes to the source must not be stopped before its end: it counts and sums what passes. */
static dvs_err drain(struct unpacking *unpacking)
{
	char bytes[8192];
	ssize_t got;

	do
		got = read(unpacking->unpack->source, bytes, sizeof(bytes));
	while (got > 0 || (got < 0 && errno == EINTR));
	return got == 0 ? DVS_OK :
			  why_errno(unpacking->unpack->why, errno, "cannot read the archive");
}

dvs_err unpack_archive(struct unpack *unpack)
{
	/* Without it libarchive takes names for ASCII and mends what is not. */
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	locale_t before = utf8 ? uselocale(utf8) : (locale_t)0;
	AUTO_FREE struct unpacking *unpacking = calloc(1, sizeof(*unpacking));
	dvs_err err = DVS_OK;

	unpack->why[0] = '\0';
	if (!unpacking)
		return why_say(unpack->why, DVS_NOMEM, "out of memory");
	unpacking->unpack = unpack;
	unpacking->parent = -1;
	if (!open_archive(unpacking))
		err = why_say(unpack->why, DVS_NOMEM, "the archive library does not start");
	else if (archive_read_open_fd(unpacking->archive, unpack->source, BLOCK_BYTES) !=
		 ARCHIVE_OK)
		err = damaged(unpacking);
	if (err == DVS_OK)
		err = take_entries(unpacking);
	if (err == DVS_OK)
		err = set_times(unpacking);
	if (err == DVS_OK)
		err = drain(unpacking);
	if (unpacking->archive)
		archive_read_free(unpacking->archive);
	if (unpacking->parent >= 0)
		close(unpacking->parent);
	paths_free(&unpacking->paths);
	if (utf8) {
		uselocale(before);
		freelocale(utf8);
	}
	return err;
}
