/* SPDX-License-Identifier: Apache-2.0 */
/* Who is in the cluster, as corosync.conf says it: read from there, and changed there without touching what somebody tuned beside it. */
#ifndef MANAGE_CLUSTER_NODELIST_H
#define MANAGE_CLUSTER_NODELIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/error.h>

#include "config/config.h"

#define NODELIST_WHY_MAX 256u

struct nodelist {
	char cluster[CONFIG_NAME_MAX + 1];
	size_t n;
	struct nodelist_node {
		uint32_t node; /* its number in the DVS: corosync's is one more */
		char name[CONFIG_NAME_MAX + 1];
		char address[CONFIG_NAME_MAX + 1];
	} list[CONFIG_NODES_MAX];
};

/* Read the text of a corosync.conf. BADARG: WHY tells what is wrong in which line. */
DVS_MUST_USE dvs_err nodelist_read(const char *text, struct nodelist *nodes,
				   char why[NODELIST_WHY_MAX]);

/* TEXT with NODES in place of the nodes it has, and as many expected votes; for the caller to free. NULL: out of memory. */
char *nodelist_replace(const char *text, const struct nodelist *nodes);

/* Entries; NULL: none. */
const struct nodelist_node *nodelist_by_number(const struct nodelist *nodes, uint32_t node);
const struct nodelist_node *nodelist_by_name(const struct nodelist *nodes, const char *name);
const struct nodelist_node *nodelist_by_address(const struct nodelist *nodes, const char *address);

/* A number for a new node: one that nobody had before as long as there are such; CONFIG_NODES_MAX: all are taken. */
uint32_t nodelist_free_number(const struct nodelist *nodes);

/* Whether they are no cluster but the example that a distribution installs: one node, at the loopback address. */
bool nodelist_is_example(const struct nodelist *nodes);

#endif
