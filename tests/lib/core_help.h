/* SPDX-License-Identifier: Apache-2.0 */
/* A core to try commands on, and short ways to give them. */
#ifndef TESTS_CORE_HELP_H
#define TESTS_CORE_HELP_H

#include "core/core.h"

struct bench {
	struct core *core;
	struct core_effects effects;
	dvs_dcid dc;
};

/* With one DC. */
void bench_open(struct bench *bench);
void bench_close(struct bench *bench);

/* Process N of node NODE. */
struct core_process process_n(uint32_t node, uint32_t n);
dvs_err bench_step(struct bench *bench, const struct core_command *command);
dvs_err bench_bind(struct bench *bench, uint32_t want, enum dvk_kind kind,
		   struct core_process process, uint32_t *ep);
dvs_err bench_unbind(struct bench *bench, uint32_t ep, struct core_process process);
dvs_err bench_dead(struct bench *bench, struct core_process process);
/* Ops with nothing but an endpoint. */
dvs_err bench_simple(struct bench *bench, enum core_op op, uint32_t ep);
dvs_err bench_move(struct bench *bench, enum core_op op, uint32_t ep, struct core_process process);
/* "BOUND", "UNBOUND PROMOTED"...: what the last command did. */
const char *bench_effects(const struct bench *bench);
/* Another core from the snapshot of this one. */
void bench_copy(const struct core *from, struct core **to);
/* The bytes of a command and back: what a journal does with it. */
void bench_recode(struct core_command *command);

#endif
