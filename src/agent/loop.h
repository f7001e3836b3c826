/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's one loop: descriptors, deadlines, and what other threads post to it. All calls but loop_post() and loop_stop() are the
 * loop's own thread's. What waits has its watch, timer or post inside, and finds itself by CONTAINER_OF. */
#ifndef AGENT_LOOP_H
#define AGENT_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include <dvs/error.h>

#include "base/list.h"

struct loop;
struct loop_watch;
struct loop_timer;
struct loop_post;

struct loop_watch {
	int fd; /* belongs to whoever watches it */
	bool is_on;
	/* EVENTS as of epoll. May remove and free any watch, its own, too. */
	void (*ready)(struct loop_watch *watch, uint32_t events);
};

/* Zeroed is a timer that is not set. */
struct loop_timer {
	struct list by_deadline;
	bool is_set;
	uint64_t deadline_ns;
	void (*fire)(struct loop_timer *timer);
};

struct loop_post {
	struct list queued;
	void (*run)(struct loop_post *post);
};

DVS_MUST_USE dvs_err loop_open(struct loop **loop);
/* NULL is fine. What is still posted is not run. */
void loop_close(struct loop *loop);
/* Until loop_stop(); then it can be run again. */
DVS_MUST_USE dvs_err loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* EVENTS: EPOLLIN, EPOLLOUT; 0: only errors and the far end's going. FULL, NOMEM. */
DVS_MUST_USE dvs_err loop_watch(struct loop *loop, struct loop_watch *watch, int fd,
				uint32_t events,
				void (*ready)(struct loop_watch *watch, uint32_t events));
void loop_rewatch(struct loop *loop, struct loop_watch *watch, uint32_t events);
/* Before the descriptor is closed. Afterwards WATCH is not touched. Harmless for one that is off (zeroed). */
void loop_unwatch(struct loop *loop, struct loop_watch *watch);

/* (Re)set it. */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t deadline_ns,
		    void (*fire)(struct loop_timer *timer));
/* Harmless for one that is not set. */
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer);

/* Run RUN(POST) in the loop, in the order of posting. POST must live until then. Any thread. */
void loop_post(struct loop *loop, struct loop_post *post, void (*run)(struct loop_post *post));

#endif
