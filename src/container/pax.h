/* SPDX-License-Identifier: Apache-2.0 */
/* Writing archives, byte for byte the same for the same files whatever library is installed: the digest of an image is that of its archive.
 *
 * The form is ustar; what does not fit in its fields is in a pax header before the entry, in a fixed order: hdrcharset (only if a name is not ASCII, so that
 * nobody converts it), path, linkpath, size, uid, gid, mtime, extended attributes. There are no names of users, no other times than mtime, no devices. */
#ifndef CONTAINER_PAX_H
#define CONTAINER_PAX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/error.h>

#define PAX_BLOCK 512u

enum pax_type {
	PAX_FILE = '0',
	PAX_HARD_LINK = '1',
	PAX_SYMBOLIC_LINK = '2',
	PAX_DIRECTORY = '5',
	PAX_FIFO = '6',
};

/* Where the bytes of an archive go. What it returns is returned by those that write. */
struct pax_sink {
	dvs_err (*write)(void *context, const void *bytes, size_t len);
	void *context;
};

/* A sink's write: to the descriptor that CONTEXT points to. PEERDEAD: nobody reads any more, and the other side says why; IO and others. */
DVS_MUST_USE dvs_err pax_write_fd(void *context, const void *bytes, size_t len);

struct pax_xattr {
	char *name;
	void *value;
	size_t len;
};

struct pax_entry {
	enum pax_type type;
	const char *path;
	const char *link; /* of links */
	uint32_t mode, uid, gid;
	uint64_t size; /* of files */
	int64_t mtime_s;
	const struct pax_xattr *xattrs; /* sorted by name; names have no '=' */
	size_t n_xattrs;
};

/* The header of ENTRY; the bytes of a file follow, then pax_pad(). NOMEM, or what the sink says. */
DVS_MUST_USE dvs_err pax_header(const struct pax_sink *sink, const struct pax_entry *entry);
/* Fill the last block after SIZE bytes of a file. */
DVS_MUST_USE dvs_err pax_pad(const struct pax_sink *sink, uint64_t size);
/* The end of the archive. */
DVS_MUST_USE dvs_err pax_end(const struct pax_sink *sink);

/* Whether an extended attribute is a part of images and copies: file capabilities, and what users set. */
bool pax_keeps_xattr(const char *name);

#endif
