/* SPDX-License-Identifier: Apache-2.0 */
#include "node/timer.h"

#include <stdlib.h>

#include "base/clock.h"

static void place(struct timers *timers, size_t at, struct timer *timer)
{
	timers->heap[at] = timer;
	timer->place = at;
}

static void sift_up(struct timers *timers, size_t at)
{
	struct timer *timer = timers->heap[at];

	while (at > 1 && timers->heap[at / 2]->deadline_ns > timer->deadline_ns) {
		place(timers, at, timers->heap[at / 2]);
		at /= 2;
	}
	place(timers, at, timer);
}

static void sift_down(struct timers *timers, size_t at)
{
	struct timer *timer = timers->heap[at];

	for (size_t child = at * 2; child <= timers->n; child = at * 2) {
		if (child < timers->n &&
		    timers->heap[child + 1]->deadline_ns < timers->heap[child]->deadline_ns)
			child++;
		if (timers->heap[child]->deadline_ns >= timer->deadline_ns)
			break;
		place(timers, at, timers->heap[child]);
		at = child;
	}
	place(timers, at, timer);
}

dvs_err timer_set(struct timers *timers, struct timer *timer, uint64_t deadline_ns, timer_fire fire)
{
	timer_cancel(timers, timer);
	if (timers->n + 1 >= timers->room) {
		size_t room = timers->room ? timers->room * 2 : 64;
		struct timer **heap = realloc(timers->heap, room * sizeof(struct timer *));

		if (!heap)
			return DVS_NOMEM;
		timers->heap = heap;
		timers->room = room;
	}
	timer->deadline_ns = deadline_ns;
	timer->fire = fire;
	place(timers, ++timers->n, timer);
	sift_up(timers, timers->n);
	return DVS_OK;
}

void timer_cancel(struct timers *timers, struct timer *timer)
{
	size_t at = timer->place;
	struct timer *last;

	if (at == 0)
		return;
	timer->place = 0;
	last = timers->heap[timers->n--];
	if (last == timer)
		return;
	place(timers, at, last);
	sift_up(timers, at);
	sift_down(timers, last->place);
}

uint64_t timers_next_ns(const struct timers *timers)
{
	return timers->n > 0 ? timers->heap[1]->deadline_ns : CLOCK_NEVER_NS;
}

struct timer *timers_take(struct timers *timers, uint64_t now_ns)
{
	struct timer *timer;

	if (timers->n == 0 || timers->heap[1]->deadline_ns > now_ns)
		return NULL;
	timer = timers->heap[1];
	timer_cancel(timers, timer);
	return timer;
}

void timers_free(struct timers *timers)
{
	free(timers->heap);
	*timers = (struct timers){ 0 };
}
