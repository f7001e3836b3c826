/* SPDX-License-Identifier: Apache-2.0 */
/* Time that never goes back, and deadlines on it. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define CLOCK_NS_PER_S UINT64_C(1000000000)
#define CLOCK_NS_PER_MS UINT64_C(1000000)

/* A deadline that never comes. */
#define CLOCK_NEVER_NS UINT64_MAX

static inline uint64_t clock_now_ns(void)
{
	struct timespec now;

	/* It cannot fail: the clock exists on every Linux and the pointer is good. */
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * CLOCK_NS_PER_S + (uint64_t)now.tv_nsec;
}

/* The time of day, since 1970: for people and files, never for deadlines. */
static inline uint64_t clock_real_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * CLOCK_NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Now plus SPAN_NS, or never when that is further than the clock can tell. */
static inline uint64_t clock_deadline_ns(uint64_t span_ns)
{
	uint64_t now_ns = clock_now_ns();

	return span_ns > CLOCK_NEVER_NS - now_ns ? CLOCK_NEVER_NS : now_ns + span_ns;
}

static inline bool clock_is_past(uint64_t deadline_ns)
{
	return deadline_ns != CLOCK_NEVER_NS && clock_now_ns() >= deadline_ns;
}

static inline struct timespec clock_timespec(uint64_t ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / CLOCK_NS_PER_S),
				  .tv_nsec = (long)(ns % CLOCK_NS_PER_S) };
}

/* What is left until DEADLINE_NS in the form poll() and epoll_wait() take: whole
 * milliseconds, rounded up so that a wait never ends just before its deadline, -1 for never. */
static inline int clock_poll_ms(uint64_t deadline_ns)
{
	uint64_t now_ns;
	uint64_t left_ms;

	if (deadline_ns == CLOCK_NEVER_NS)
		return -1;
	now_ns = clock_now_ns();
	if (now_ns >= deadline_ns)
		return 0;
	left_ms = (deadline_ns - now_ns + CLOCK_NS_PER_MS - 1) / CLOCK_NS_PER_MS;
	return left_ms > INT32_MAX ? INT32_MAX : (int)left_ms;
}

#endif
