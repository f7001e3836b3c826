/* SPDX-License-Identifier: Apache-2.0 */
/* A tree of files as an archive (pax.h): names sorted by their bytes, each file of several names once and then as hard links. Equal trees are equal bytes.
 *
 * Links are packed as links, never followed. */
#ifndef CONTAINER_PACK_H
#define CONTAINER_PACK_H

#include <stdbool.h>

#include "container/pax.h"

/* A tree that cannot be an image can still be copied. */
enum pack_kind {
	PACK_IMAGE, /* devices, sockets and files that change are refused; other file systems are left out */
	PACK_COPY, /* devices and sockets are left out; a file that shrinks is filled with zeros; pseudo file systems (/proc) are left out */
};

struct pack_count {
	uint64_t bytes; /* of files */
	uint64_t entries;
};

struct pack {
	int root; /* folder below which everything is */
	enum pack_kind kind;
	const struct pax_sink *sink; /* NULL: only count */
	/* Told before each entry; false stops with WOKEN. May be NULL. */
	bool (*go_on)(void *context, const struct pack_count *count);
	void *context;
	struct pack_count count;
	char *why;
	/* Its own: */
	struct pack_links *links;
	char *buffer;
	uint64_t device;
	unsigned depth;
};

/* Write the archive of what is at PATH below pack->root ("" is the root itself), where it is called NAME ("" puts what is in it at the top, as "./" and names
 * below). Several calls may follow each other, pack_end() ends the archive and frees what they took; it must be called, and after an error writes nothing. WHY as in container.h. */
DVS_MUST_USE dvs_err pack_tree(struct pack *pack, const char *path, const char *name);
DVS_MUST_USE dvs_err pack_end(struct pack *pack, dvs_err err);

#endif
