/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of users and groups: those in the file system, and those of this node, to which the user namespace of the container maps them. */
#ifndef GATEWAYS_FUSE_IDS_H
#define GATEWAYS_FUSE_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Who cannot be named, as the kernel says it. */
#define IDS_NOBODY 65534u

struct ids {
	uint32_t base; /* the node's number of the file system's 0 */
	uint32_t count;
};

/* For numbers that are the same on both sides. */
#define IDS_SAME ((struct ids){ 0, UINT32_MAX })

uint32_t ids_outside(const struct ids *ids, uint32_t inside);
/* False: it has no number inside; then *INSIDE is nobody's. The node's root is root inside, too. */
bool ids_inside(const struct ids *ids, uint32_t outside, uint32_t *inside);
/* The numbers in the value of an extended attribute that is an ACL, in place; false: one of them has none on the other side, or it is no ACL. */
bool ids_acl(const struct ids *ids, bool to_inside, void *value, size_t len);

#endif
