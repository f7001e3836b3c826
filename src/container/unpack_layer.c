/* SPDX-License-Identifier: Apache-2.0 */
/* Layers of OCI images: ".wh.NAME" removes NAME, and ".wh..wh..opq" all that is in its folder, as far as it came with the layers below. What the same layer brings
 * stays, whether it comes before or after. */
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "container/tree.h"
#include "container/unpack_internal.h"
#include "container/why.h"

#define WHITEOUT ".wh."
#define WHITEOUT_META ".wh..wh."
#define WHITEOUT_OPAQUE ".wh..wh..opq"

static dvs_err remove_old(struct unpacking *unpacking, int folder, const char *path,
			  const char *name);

/* All in the folder FD (at PATH) that this layer did not bring. */
static dvs_err empty_old(struct unpacking *unpacking, int fd, const char *path)
{
	int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_CLOSEDIR DIR *stream = again < 0 ? NULL : fdopendir(again);
	const struct dirent *entry;
	dvs_err err = DVS_OK;

	if (!stream) {
		if (again >= 0)
			close(again);
		return why_errno(unpacking->unpack->why, errno, "cannot read the folder %s", path);
	}
	while (err == DVS_OK && (entry = readdir(stream)) != NULL) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			err = remove_old(unpacking, fd, path, entry->d_name);
	}
	return err;
}

static dvs_err remove_old(struct unpacking *unpacking, int folder, const char *path,
			  const char *name)
{
	AUTO_FREE char *child = NULL;
	const struct path_note *note;
	AUTO_CLOSE int fd = -1;
	dvs_err err;

	if (asprintf(&child, "%s%s%s", path, path[0] ? "/" : "", name) < 0)
		return why_say(unpacking->unpack->why, DVS_NOMEM, "out of memory");
	note = paths_find(&unpacking->paths, child);
	if (!note)
		return tree_remove(folder, name, unpacking->unpack->why);
	/* It is of this layer, or something of this layer is in it. */
	fd = tree_open(folder, name, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return note->is_new ? DVS_OK : tree_remove(folder, name, unpacking->unpack->why);
	err = unpack_note_folder(unpacking, child, fd);
	return err == DVS_OK ? empty_old(unpacking, fd, child) : err;
}

dvs_err unpack_note_path(struct unpacking *unpacking)
{
	char path[PATH_MAX];

	memcpy(path, unpacking->parent_path, sizeof(path));
	while (path[0]) {
		char *slash = strrchr(path, '/');

		if (!paths_add(&unpacking->paths, path))
			return why_say(unpacking->unpack->why, DVS_NOMEM, "out of memory");
		if (slash)
			*slash = '\0';
		else
			path[0] = '\0';
	}
	return DVS_OK;
}

static dvs_err remove_name(struct unpacking *unpacking, const char *name)
{
	if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return why_say(unpacking->unpack->why, DVS_BADARG,
			       "the archive is refused: %s says that nothing is to be removed",
			       unpacking->path);
	return remove_old(unpacking, unpacking->parent, unpacking->parent_path, name);
}

dvs_err unpack_whiteout(struct unpacking *unpacking)
{
	if (archive_entry_filetype(unpacking->entry) != AE_IFREG ||
	    archive_entry_hardlink(unpacking->entry))
		return why_say(unpacking->unpack->why, DVS_BADARG,
			       "the archive is refused: %s, which says that something is to be"
			       " removed, is no regular file",
			       unpacking->path);
	if (strcmp(unpacking->base, WHITEOUT_OPAQUE) == 0)
		return empty_old(unpacking, unpacking->parent, unpacking->parent_path);
	/* Notes that some file systems made for themselves. */
	if (strncmp(unpacking->base, WHITEOUT_META, strlen(WHITEOUT_META)) == 0)
		return DVS_OK;
	return remove_name(unpacking, unpacking->base + strlen(WHITEOUT));
}
