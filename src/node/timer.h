/* SPDX-License-Identifier: Apache-2.0 */
/* Many deadlines for one timerfd: a heap of timers that live inside what waits. */
#ifndef NODE_TIMER_H
#define NODE_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/error.h>

struct host;
struct timer;

typedef void (*timer_fire)(struct host *host, struct timer *timer);

/* Zeroed is a timer that is not set. */
struct timer {
	size_t place; /* in the heap, from 1; 0: not set */
	uint64_t deadline_ns;
	timer_fire fire;
};

struct timers {
	struct timer **heap; /* from 1 */
	size_t n;
	size_t room;
};

/* (Re)set TIMER. NOMEM: it is not set. */
DVS_MUST_USE dvs_err timer_set(struct timers *timers, struct timer *timer, uint64_t deadline_ns,
			       timer_fire fire);
/* Harmless for one that is not set. */
void timer_cancel(struct timers *timers, struct timer *timer);
/* CLOCK_NEVER_NS when none is set. */
uint64_t timers_next_ns(const struct timers *timers);
/* Take the earliest timer out if its time has come, else NULL. */
struct timer *timers_take(struct timers *timers, uint64_t now_ns);
void timers_free(struct timers *timers);

#endif
