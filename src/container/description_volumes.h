/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a description that says what of the node, and which file systems, are seen in a container. For description.c. */
#ifndef CONTAINER_DESCRIPTION_VOLUMES_H
#define CONTAINER_DESCRIPTION_VOLUMES_H

#include "container/reader.h"

/* As a reader_key has it: into the struct description TO. */
bool description_read_volumes(const struct place *place, const json_t *value,
			      const struct reader_key *row, void *to);

#endif
