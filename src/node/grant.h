/* SPDX-License-Identifier: Apache-2.0 */
/* Grants and the copies that use them. */
#ifndef NODE_GRANT_H
#define NODE_GRANT_H

#include "node/api.h"

struct grant {
	uint32_t number;
	uint32_t grantee;
	uint32_t rights;
	uint64_t addr;
	uint64_t bytes;
};

/* NULL: there is no such grant. */
struct grant *grant_find(const struct binding *binding, uint32_t number);

/* ---- copy.c ---- */

/* Whether a copy that is queued or runs uses GRANT of BINDING; 0 stands for any use. */
bool copies_use(const struct host *host, const struct binding *binding, uint32_t grant);
/* Those copies end with NOGRANT (GRANT 0: with PEERDEAD) as soon as their present chunk is done. */
void copies_stop(struct host *host, const struct binding *binding, uint32_t grant);

#endif
