/* SPDX-License-Identifier: Apache-2.0 */
/* Trees of files that strangers made: opened and removed without following a link of theirs. */
#ifndef CONTAINER_TREE_H
#define CONTAINER_TREE_H

#include <stdbool.h>

#include <dvs/error.h>

/* PATH below the directory ROOT, as open(); no symbolic link on the way or at its end is followed, and ".." leads nowhere. -1 with errno: ELOOP is a link. PATH "" is ROOT itself. */
int tree_open(int root, const char *path, int flags);
/* The same, but links are followed as long as they stay below ROOT. */
int tree_open_within(int root, const char *path, int flags);

/* Remove the file or tree NAME of the directory DIR. However deep it is, with a few descriptors. Does not go into mounts: INUSE. OK when there is none. */
DVS_MUST_USE dvs_err tree_remove(int dir, const char *name, char *why);

#endif
