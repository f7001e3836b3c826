/* SPDX-License-Identifier: Apache-2.0 */
/* Control frames that nobody honest sends: well-formed requests of any kind with values picked from a list, and their
 * mutations. */
#ifndef TESTS_FAULT_FORGE_H
#define TESTS_FAULT_FORGE_H

#include "raw.h"

struct forge {
	uint64_t *rng;
	const uint32_t *values; /* numbers that mean something: endpoints, pids, slots */
	uint32_t n_values;
};

/* Write a request of kind OP (a number of control.toml) with such values into X. False: it has no request. */
bool forge_request(const struct forge *forge, uint32_t op, struct exchange *x, struct writer *out);

/* Send a request of any kind, as it is, mutated, or random bytes altogether. */
void forge_send(const struct forge *forge, struct raw_link *link);

#endif
