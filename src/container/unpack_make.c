/* SPDX-License-Identifier: Apache-2.0 */
/* Making what an entry of an archive tells of. What is there already is removed first, never written to; only a folder in the place of a folder stays. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "container/pax.h"
#include "container/tree.h"
#include "container/unpack_internal.h"
#include "container/why.h"

/* Blocks of zeros that are not written: what was sparse stays so. */
#define HOLE_BYTES 4096u

static dvs_err failed(struct unpacking *unpacking, const char *what)
{
	return why_errno(unpacking->unpack->why, errno, "cannot %s %s", what, unpacking->path);
}

static dvs_err refuse(struct unpacking *unpacking, const char *is)
{
	return why_say(unpacking->unpack->why, DVS_BADARG,
		       "the archive is refused: %s is %s; make the archive without it",
		       unpacking->path[0] ? unpacking->path : "its top", is);
}

static uid_t owner(const struct unpacking *unpacking)
{
	return unpacking->unpack->uid != UINT32_MAX ? unpacking->unpack->uid :
						      (uid_t)archive_entry_uid(unpacking->entry);
}

static gid_t group(const struct unpacking *unpacking)
{
	return unpacking->unpack->gid != UINT32_MAX ? unpacking->unpack->gid :
						      (gid_t)archive_entry_gid(unpacking->entry);
}

static void mtime(const struct unpacking *unpacking, struct timespec times[2])
{
	times[0] = (struct timespec){ .tv_nsec = UTIME_OMIT };
	times[1] = (struct timespec){ .tv_sec = archive_entry_mtime(unpacking->entry) };
}

/* A user without a number here: the container has only so many. */
static dvs_err owner_failed(struct unpacking *unpacking)
{
	if (errno != EINVAL)
		return failed(unpacking, "set the owner of");
	return why_say(
		unpacking->unpack->why, DVS_BADARG,
		"the owner of %s, user %u and group %u, does not exist in the container, whose"
		" users are 0 to 65535",
		unpacking->path, owner(unpacking), group(unpacking));
}

static mode_t mode(const struct unpacking *unpacking)
{
	mode_t allowed = unpacking->unpack->harmless ? 01777 : 07777;

	return archive_entry_mode(unpacking->entry) & allowed;
}

static bool keeps_xattr(const struct unpacking *unpacking, const char *name)
{
	if (unpacking->unpack->harmless && strncmp(name, "security.", strlen("security.")) == 0)
		return false;
	return pax_keeps_xattr(name);
}

static dvs_err set_xattrs(struct unpacking *unpacking, int fd)
{
	const char *name;
	const void *value;
	size_t len;

	if (archive_entry_xattr_reset(unpacking->entry) == 0)
		return DVS_OK;
	while (archive_entry_xattr_next(unpacking->entry, &name, &value, &len) == ARCHIVE_OK) {
		if (!name || !keeps_xattr(unpacking, name))
			continue;
		if (fsetxattr(fd, name, value, len, 0) != 0)
			return why_errno(unpacking->unpack->why, errno,
					 "cannot set the attribute %s of %s", name,
					 unpacking->path);
	}
	return DVS_OK;
}

/* Owner first: a change of it takes away setuid bits and capabilities. */
static dvs_err set_attributes(struct unpacking *unpacking, int fd)
{
	struct timespec times[2];
	dvs_err err;

	if (fchown(fd, owner(unpacking), group(unpacking)) != 0)
		return owner_failed(unpacking);
	if (fchmod(fd, mode(unpacking)) != 0)
		return failed(unpacking, "set the mode of");
	err = set_xattrs(unpacking, fd);
	if (err != DVS_OK)
		return err;
	mtime(unpacking, times);
	return futimens(fd, times) == 0 ? DVS_OK : failed(unpacking, "set the time of");
}

/* ---- files ---- */

static dvs_err write_at(struct unpacking *unpacking, int fd, const char *bytes, size_t len,
			int64_t at)
{
	while (len > 0) {
		ssize_t put = pwrite(fd, bytes, len, at);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return failed(unpacking, "write");
		bytes += put;
		at += put;
		len -= (size_t)put;
	}
	return DVS_OK;
}

static bool is_zero(const char *bytes, size_t len)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}

static dvs_err write_block(struct unpacking *unpacking, int fd, const char *bytes, size_t len,
			   int64_t at)
{
	dvs_err err = DVS_OK;

	while (err == DVS_OK && len > 0) {
		size_t piece = HOLE_BYTES - (size_t)at % HOLE_BYTES;

		if (piece > len)
			piece = len;
		/* As many as have something in them go at once. */
		if (is_zero(bytes, piece)) {
			bytes += piece;
			at += (int64_t)piece;
			len -= piece;
			continue;
		}
		while (piece < len) {
			size_t next = len - piece < HOLE_BYTES ? len - piece : HOLE_BYTES;

			if (is_zero(bytes + piece, next))
				break;
			piece += next;
		}
		err = write_at(unpacking, fd, bytes, piece, at);
		bytes += piece;
		at += (int64_t)piece;
		len -= piece;
	}
	return err;
}

static dvs_err write_bytes(struct unpacking *unpacking, int fd)
{
	int64_t size = archive_entry_size(unpacking->entry);
	const void *bytes;
	size_t len;
	int64_t at;

	for (;;) {
		int result = archive_read_data_block(unpacking->archive, &bytes, &len, &at);
		dvs_err err;

		if (result == ARCHIVE_EOF)
			break;
		if (result != ARCHIVE_OK && result != ARCHIVE_WARN)
			return why_say(unpacking->unpack->why, DVS_BADARG,
				       "the archive is damaged in %s: %s; make or copy it anew",
				       unpacking->path,
				       archive_error_string(unpacking->archive) ?
					       archive_error_string(unpacking->archive) :
					       "it cannot be read");
		/* Else it would be more than what was counted. */
		if (at < 0 || at > size || (uint64_t)len > (uint64_t)(size - at))
			return refuse(unpacking, "longer than it says");
		err = write_block(unpacking, fd, bytes, len, at);
		if (err != DVS_OK)
			return err;
	}
	return ftruncate(fd, size) == 0 ? DVS_OK : failed(unpacking, "write");
}

static dvs_err make_file(struct unpacking *unpacking)
{
	AUTO_CLOSE int fd = openat(unpacking->parent, unpacking->base,
				   O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	dvs_err err;

	if (fd < 0)
		return failed(unpacking, "make");
	err = write_bytes(unpacking, fd);
	return err == DVS_OK ? set_attributes(unpacking, fd) : err;
}

/* ---- the other kinds ---- */

static dvs_err make_folder(struct unpacking *unpacking)
{
	AUTO_CLOSE int fd = -1;
	struct path_note *note;
	dvs_err err;

	if (unpacking->path[0] && mkdirat(unpacking->parent, unpacking->base, 0700) != 0 &&
	    errno != EEXIST)
		return failed(unpacking, "make the folder");
	fd = tree_open(unpacking->parent, unpacking->base, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return failed(unpacking, "open the folder");
	err = set_attributes(unpacking, fd);
	if (err != DVS_OK)
		return err;
	note = paths_add(&unpacking->paths, unpacking->path);
	if (!note)
		return why_say(unpacking->unpack->why, DVS_NOMEM, "out of memory");
	note->keeps_mtime = true;
	note->mtime_s = archive_entry_mtime(unpacking->entry);
	note->mtime_ns = 0;
	return DVS_OK;
}

static dvs_err set_link_attributes(struct unpacking *unpacking)
{
	struct timespec times[2];

	if (fchownat(unpacking->parent, unpacking->base, owner(unpacking), group(unpacking),
		     AT_SYMLINK_NOFOLLOW) != 0)
		return owner_failed(unpacking);
	mtime(unpacking, times);
	if (utimensat(unpacking->parent, unpacking->base, times, AT_SYMLINK_NOFOLLOW) != 0)
		return failed(unpacking, "set the time of");
	return DVS_OK;
}

/* Where it leads is its own business: nobody follows it outside of a container. */
static dvs_err make_symbolic_link(struct unpacking *unpacking)
{
	const char *target = archive_entry_symlink(unpacking->entry);

	if (!target || !target[0] || strlen(target) >= PATH_MAX)
		return refuse(unpacking, "a link that leads nowhere");
	if (symlinkat(target, unpacking->parent, unpacking->base) != 0)
		return failed(unpacking, "make the link");
	return set_link_attributes(unpacking);
}

static dvs_err make_fifo(struct unpacking *unpacking)
{
	if (mkfifoat(unpacking->parent, unpacking->base, 0600) != 0)
		return failed(unpacking, "make the FIFO");
	if (fchownat(unpacking->parent, unpacking->base, owner(unpacking), group(unpacking),
		     AT_SYMLINK_NOFOLLOW) != 0)
		return owner_failed(unpacking);
	/* Nobody else has the parent's folder open for writing: it is what was just made. */
	if (fchmodat(unpacking->parent, unpacking->base, mode(unpacking), 0) != 0)
		return failed(unpacking, "set the mode of");
	return set_link_attributes(unpacking);
}

/* The first name of the file that is to get another one must have come before, and no link may be on the way to it. */
static dvs_err make_hard_link(struct unpacking *unpacking)
{
	char *why = unpacking->unpack->why;
	char target[PATH_MAX], folder[PATH_MAX];
	AUTO_CLOSE int fd = -1;
	const char *slash;
	struct stat st;
	dvs_err err = unpack_clean(archive_entry_hardlink(unpacking->entry), target, why);

	if (err != DVS_OK)
		return err;
	if (unpacking->unpack->rename) {
		memcpy(folder, target, sizeof(folder));
		(void)snprintf(target, sizeof(target), "%s%.*s", unpacking->unpack->rename,
			       PATH_MAX - 1 - NAME_MAX, folder + strcspn(folder, "/"));
	}
	slash = strrchr(target, '/');
	(void)snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - target) : 0, target);
	fd = tree_open(unpacking->unpack->root, folder, O_RDONLY | O_DIRECTORY);
	slash = slash ? slash + 1 : target;
	if (fd < 0 || fstatat(fd, slash, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return why_say(
			why, DVS_BADARG,
			"the archive is refused: %s is a hard link to %s, which is not in it, or"
			" only through a link",
			unpacking->path, target);
	if (S_ISDIR(st.st_mode))
		return refuse(unpacking, "a hard link to a folder");
	if (linkat(fd, slash, unpacking->parent, unpacking->base, 0) != 0)
		return failed(unpacking, "make the hard link");
	return DVS_OK;
}

/* A hard link to itself would remove what it is to be a link to. */
static bool links_to_itself(const struct unpacking *unpacking)
{
	const char *target = archive_entry_hardlink(unpacking->entry);
	char clean[PATH_MAX], why[DESCRIPTION_TEXT_MAX];

	return target && unpack_clean(target, clean, why) == DVS_OK &&
	       strcmp(clean, unpacking->path) == 0;
}

/* What is in the place of the entry at hand goes. */
static dvs_err clear(struct unpacking *unpacking)
{
	bool folder = !archive_entry_hardlink(unpacking->entry) &&
		      archive_entry_filetype(unpacking->entry) == AE_IFDIR;
	struct stat st;

	if (fstatat(unpacking->parent, unpacking->base, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? DVS_OK : failed(unpacking, "look at");
	if (S_ISDIR(st.st_mode) && folder)
		return DVS_OK;
	if (unpacking->unpack->copy && (S_ISDIR(st.st_mode) || folder))
		return why_say(unpacking->unpack->why, DVS_BADARG,
			       "%s is there already, and is %s folder: remove it first, or choose"
			       " another name",
			       unpacking->path, folder ? "no" : "a");
	return tree_remove(unpacking->parent, unpacking->base, unpacking->unpack->why);
}

static dvs_err make_kind(struct unpacking *unpacking)
{
	if (archive_entry_hardlink(unpacking->entry))
		return make_hard_link(unpacking);
	switch (archive_entry_filetype(unpacking->entry)) {
	case AE_IFREG:
		return make_file(unpacking);
	case AE_IFDIR:
		return make_folder(unpacking);
	case AE_IFLNK:
		return make_symbolic_link(unpacking);
	case AE_IFIFO:
		return make_fifo(unpacking);
	case AE_IFCHR:
	case AE_IFBLK:
		return refuse(unpacking, "a device");
	case AE_IFSOCK:
		return refuse(unpacking, "a socket");
	default:
		return refuse(unpacking, "of an unknown kind");
	}
}

dvs_err unpack_make(struct unpacking *unpacking)
{
	struct path_note *note;
	dvs_err err;

	/* The folder that all goes into is whose it was. */
	if (unpacking->path[0] == '\0' && unpacking->unpack->copy)
		return DVS_OK;
	if (unpacking->path[0] == '\0')
		return archive_entry_filetype(unpacking->entry) == AE_IFDIR &&
				       !archive_entry_hardlink(unpacking->entry) ?
			       make_folder(unpacking) :
			       refuse(unpacking, "no folder");
	if (links_to_itself(unpacking))
		return refuse(unpacking, "a hard link to itself");
	err = clear(unpacking);
	if (err == DVS_OK)
		err = make_kind(unpacking);
	if (err != DVS_OK || !unpacking->unpack->layer)
		return err;
	note = paths_add(&unpacking->paths, unpacking->path);
	if (!note)
		return why_say(unpacking->unpack->why, DVS_NOMEM, "out of memory");
	note->is_new = true;
	return DVS_OK;
}
