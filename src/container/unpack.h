/* SPDX-License-Identifier: Apache-2.0 */
/* Unpacking an archive that may be meant to do harm. This runs in a child process that can reach nothing but the folder (confine.h, files.c); it refuses all the same
 * what leads out of it, so that whoever made the archive is told, and what is unpacked is what was meant. */
#ifndef CONTAINER_UNPACK_H
#define CONTAINER_UNPACK_H

#include <stdbool.h>
#include <stdint.h>

#include "container/description.h"

#define UNPACK_DEPTH_MAX 256u

struct unpack {
	int source;	     /* the archive: tar, plain or packed with gzip, bzip2, xz or zstd */
	int root;	     /* folder below which it goes */
	uint64_t bytes_left; /* of all files together, as they say of themselves */
	uint64_t files_left;
	bool layer; /* of an OCI image: ".wh." names remove what is in the layers below */
	bool copy; /* into what people use: only what is in the archive changes, and no folder goes for a file */
	bool harmless;	   /* nothing that gives rights: no set-id bits, no capabilities */
	uint32_t uid, gid; /* owners; UINT32_MAX: those of the archive */
	const char *
		rename; /* the one top name of the archive becomes this one; NULL: names are as they are */
	const char *const *tops; /* only these top names, up to a NULL; NULL: any */
	char *why;
};

/* What the child says in the end. */
struct unpack_report {
	uint32_t err;
	uint64_t bytes_left, files_left;
	char why[DESCRIPTION_TEXT_MAX];
};

/* Blocks. BADARG: the archive is damaged or refused; TOOBIG: one of the bounds; IO. Reads the source to its end. */
DVS_MUST_USE dvs_err unpack_archive(struct unpack *unpack);

#endif
