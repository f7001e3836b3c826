/* SPDX-License-Identifier: Apache-2.0 */
/* Cut and slowed connections between the nodes of a lab. */
#ifndef MANAGE_LAB_TRAFFIC_H
#define MANAGE_LAB_TRAFFIC_H

#include "manage/lab/lab.h"

struct lab_rule {
	bool cut;
	uint32_t rate_kbit; /* 0: as fast as it goes */
	uint32_t delay_us;
};

struct lab_traffic {
	struct lab_rule rules[LAB_NODES_MAX][LAB_NODES_MAX]; /* [from][to] */
};

static inline bool lab_rule_is_set(const struct lab_rule *rule)
{
	return rule->cut || rule->rate_kbit || rule->delay_us;
}

/* Whether some node does not hear NODE. */
static inline bool lab_traffic_is_cut(const struct lab_traffic *traffic, uint32_t node)
{
	for (uint32_t i = 0; i < LAB_NODES_MAX; i++) {
		if (traffic->rules[node][i].cut)
			return true;
	}
	return false;
}

/* Under the lab's lock. */
MUST_USE bool lab_traffic_read(struct lab *lab, struct lab_traffic *traffic);

/* Make what WAS into what IS. */
MUST_USE bool lab_traffic_change(struct lab *lab, const struct lab_traffic *was,
				 const struct lab_traffic *is);

#endif
