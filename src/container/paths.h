/* SPDX-License-Identifier: Apache-2.0 */
/* A set of paths with something noted for each. */
#ifndef CONTAINER_PATHS_H
#define CONTAINER_PATHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/error.h>

struct path_note {
	char *path;
	char *text; /* may be NULL */
	int64_t mtime_s;
	int64_t mtime_ns;
	bool keeps_mtime; /* it is a folder that is to have that mtime in the end */
	bool is_new;	  /* came with the archive that is being unpacked */
};

/* All zero is an empty one. */
struct paths {
	struct path_note *slot; /* open addressing; path NULL: free */
	size_t room, n;
};

void paths_free(struct paths *paths);
/* NULL: not in it. Valid until the next addition. */
struct path_note *paths_find(const struct paths *paths, const char *path);
/* Find or add. NULL: no memory. */
struct path_note *paths_add(struct paths *paths, const char *path);

const char *paths_text(const struct paths *paths, const char *path);
DVS_MUST_USE dvs_err paths_set_text(struct paths *paths, const char *path, const char *text);

#endif
