/* SPDX-License-Identifier: Apache-2.0 */
/* Drawing two partners to one CPU, from the caller's side (decision D3, "affinity inheritance").
 *
 * Two kinds of callers gain by it. One that calls rarely: its own time between two calls is longer than a wake-up costs, so its
 * server is asleep each time, and waking it on another CPU costs ten times as much as on this one. And one that sends much data:
 * where the caches of two CPUs are far apart, the data travels more slowly between them than it is copied twice on one. The
 * first kind is known by the clock; for the second both ways are tried now and then, and the faster one is taken.
 *
 * The caller only asks (control.draw); the server follows if this is its only client lately and its affinity allows it, and
 * only while it sleeps, so that code outside this library always runs with the affinity its owner gave it. */
#ifndef IPC_DRAW_H
#define IPC_DRAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ipc_lane;

struct draw {
	/* When the last call returned that found the server asleep; 0: the last one did not. */
	uint64_t returned_ns;
	uint64_t start_ns;   /* of the present call with much data; 0: it has little */
	uint32_t rare_calls; /* in a row */
	uint32_t unwatched;  /* so many more calls are not looked at: all is well */
	uint32_t bulk_calls; /* in the present trial */
	bool settled;	     /* the present call is not looked at */
	bool bulk_together;  /* the way the present trial goes */
	bool bulk_chosen;    /* both are known: this is the better one */
	uint32_t cost[2];    /* picoseconds per byte, apart and together; 0: unknown */
};

/* Before a call with BYTES of data: wish for what the last ones have taught. */
void draw_before(struct draw *draw, struct ipc_lane *mine, size_t bytes);

/* The call was posted; WOKE: the server was asleep and is woken now. */
void draw_posted(struct draw *draw, struct ipc_lane *mine, const struct ipc_lane *theirs,
		 bool woke);

/* The call has returned; BYTES of data went with it and came back. */
void draw_after(struct draw *draw, bool woke, size_t bytes);

/* Does the caller wish to be on one CPU with its server? */
bool draw_wished(const struct ipc_lane *mine);

#endif
