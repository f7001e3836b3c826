/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of unpacking share. */
#ifndef CONTAINER_UNPACK_INTERNAL_H
#define CONTAINER_UNPACK_INTERNAL_H

#include <limits.h>

#include "container/paths.h"
#include "container/unpack.h"

struct archive;
struct archive_entry;

struct unpacking {
	struct unpack *unpack;
	struct archive *archive;
	struct archive_entry *entry;
	struct paths
		paths; /* folders whose mtime is to be set in the end; of a layer, all that came with it */
	/* The entry at hand: */
	char path[PATH_MAX]; /* clean; "" is the root */
	const char *base;    /* last part of PATH */
	int parent;	     /* folder that it is in; -1: not open */
	char parent_path[PATH_MAX];
	char top[NAME_MAX + 1]; /* the one top name, when it is renamed */
};

/* NAME of the archive without "." parts and doubled slashes, into TO of PATH_MAX. Refuses what leads out. */
DVS_MUST_USE dvs_err unpack_clean(const char *name, char *to, char *why);
/* Open unpacking->parent, the folder of unpacking->path, and make it if need be. */
DVS_MUST_USE dvs_err unpack_parent(struct unpacking *unpacking);
/* That folder's mtime is restored in the end. */
DVS_MUST_USE dvs_err unpack_note_folder(struct unpacking *unpacking, const char *path, int fd);
/* Make the entry at hand. */
DVS_MUST_USE dvs_err unpack_make(struct unpacking *unpacking);
/* Of a layer: everything above the entry at hand stays, although the layer may not tell of it. */
DVS_MUST_USE dvs_err unpack_note_path(struct unpacking *unpacking);
/* Of a layer, with unpacking->base beginning with ".wh.". */
DVS_MUST_USE dvs_err unpack_whiteout(struct unpacking *unpacking);

#endif
