/* SPDX-License-Identifier: Apache-2.0 */
/* The state that the simulated members share: the list of the entries that were applied, and a core that got their commands. */
#ifndef TESTS_SIM_GROUP_APP_H
#define TESTS_SIM_GROUP_APP_H

#include "core/core.h"
#include "group/ordered.h"

#define APP_IDS_MAX 8192u

struct state {
	uint32_t ids[APP_IDS_MAX]; /* in the order applied */
	uint32_t n_ids;
	uint8_t times[APP_IDS_MAX]; /* of each id */
	uint64_t hash;
	struct core *core;
	struct core_effects effects;
};

/* A state as bytes, with its position. */
struct state_file {
	struct ordered_position position;
	uint8_t *bytes;
	size_t len;
};

struct state *state_new(void);
void state_free(struct state *state);
/* Entry ID; BYTES are a core command or nothing. */
void state_apply(struct state *state, uint32_t id, const void *bytes, size_t len);
void state_node_gone(struct state *state, uint32_t node);
uint64_t state_digest(const struct state *state);
dvs_err state_save(const struct state *state,
		   dvs_err (*emit)(void *to, const void *bytes, size_t len), void *to);
dvs_err state_load(struct state *state, const void *bytes, size_t len);

void state_file_write(struct state_file *file, const struct state *state,
		      struct ordered_position position);
void state_file_read(const struct state_file *file, struct state *state);
void state_file_free(struct state_file *file);

/* A random core command as bytes; returns how many. */
size_t command_draw(uint32_t (*roll)(void *context, uint32_t below), void *context, uint8_t *bytes,
		    size_t size);

#endif
