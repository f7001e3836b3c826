/* SPDX-License-Identifier: Apache-2.0 */
/* Whether and when a program that has ended is started again. Time is an input. */
#ifndef CONTAINER_INIT_BACKOFF_H
#define CONTAINER_INIT_BACKOFF_H

#include <stdint.h>

#define BACKOFF_NEVER_MS UINT32_MAX
#define BACKOFF_MAX_MS 60000u
/* Who ran for that long, and for its own delay besides, is well again. */
#define BACKOFF_WELL_MS 10000u

struct backoff {
	uint8_t restart;   /* 0 never, 1 when it ends with another status than 0, 2 always */
	uint32_t retries;  /* 0: no end */
	uint32_t first_ms; /* 0 counts as 1: a program that ends at once must not take the CPU */
	uint32_t count;	   /* starts since it was well */
	uint32_t last_ms;  /* how long the last one was put off */
};

/* The program ended with STATUS (as waitpid() gives it) after RAN_NS: in how many ms it is to be started again, or BACKOFF_NEVER_MS. */
uint32_t backoff_after(struct backoff *backoff, uint32_t status, uint64_t ran_ns);

#endif
