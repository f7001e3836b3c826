/* SPDX-License-Identifier: Apache-2.0 */
/* <dvs/fs.h>: directories, many entries a call. */
#include <stdlib.h>
#include <string.h>

#include "client/files_internal.h"

#define ROOM_BYTES ((size_t)64 << 10)

struct dvs_dir {
	uint64_t ino;
	uint64_t cookie;
	struct fsc_entries entries; /* in the room */
	bool is_read;		    /* there are entries */
	char name[FSC_NAME_MAX + 1];
	uint8_t room[ROOM_BYTES];
};

dvs_err dvs_dir_open(struct dvs_fs_thread *me, const char *path, struct dvs_dir **out)
{
	struct files_place place;
	struct dvs_dir *dir;
	dvs_err err = files_walk(me, path, FILES_FOLLOW, &place);

	if (err)
		return err;
	if (!S_ISDIR(place.attr.mode))
		return DVS_NOTDIR;
	dir = calloc(1, sizeof(*dir));
	if (!dir)
		return DVS_NOMEM;
	dir->ino = place.attr.ino;
	*out = dir;
	return DVS_OK;
}

static bool is_dots(const struct fs_dirent *entry)
{
	return entry->n_name <= 2 && memcmp(entry->name, "..", entry->n_name) == 0;
}

/* False: no entry is left in the room. */
static bool next_here(struct dvs_dir *dir, const char **name, struct stat *info)
{
	struct fs_dirent entry;
	struct fs_attr attr = { .ino = 0 };

	while (dir->is_read && fsc_entry_next(&dir->entries, &entry, &attr)) {
		dir->cookie = entry.cookie;
		/* One that is gone meanwhile has no attributes. */
		if (is_dots(&entry) || attr.ino == 0)
			continue;
		memcpy(dir->name, entry.name, entry.n_name);
		dir->name[entry.n_name] = '\0';
		*name = dir->name;
		if (info)
			*info = files_stat(&attr);
		return true;
	}
	return false;
}

dvs_err dvs_dir_next(struct dvs_fs_thread *me, struct dvs_dir *dir, const char **name,
		     struct stat *info)
{
	while (!next_here(dir, name, info)) {
		dvs_err err;

		*name = NULL;
		if (dir->is_read && dir->entries.is_end)
			return DVS_OK;
		dir->is_read = false;
		err = fsc_readdir(me->fsc, me->who, 0, dir->ino, dir->cookie, true, dir->room,
				  sizeof(dir->room), &dir->entries);
		if (err)
			return err;
		dir->is_read = true;
	}
	return DVS_OK;
}

void dvs_dir_close(struct dvs_fs_thread *me, struct dvs_dir *dir)
{
	(void)me;
	free(dir);
}
