/* SPDX-License-Identifier: Apache-2.0 */
#include "node/timer.h"

#include <stdlib.h>

#include "base/clock.h"
#include "unit.h"

#define N 500u

static void never(struct host *host, struct timer *timer)
{
	(void)host;
	(void)timer;
}

TEST(timers_come_in_the_order_of_their_deadlines)
{
	struct timers timers = { 0 };
	struct timer all[N] = { 0 };
	uint64_t last_ns = 0;
	uint32_t dice = 12345;
	uint32_t n = 0;

	ck_assert_uint_eq(timers_next_ns(&timers), CLOCK_NEVER_NS);
	for (uint32_t i = 0; i < N; i++) {
		dice = dice * 1103515245 + 12345;
		ck_assert_int_eq(timer_set(&timers, &all[i], 1 + dice % 999, never), DVS_OK);
	}
	for (uint32_t i = 0; i < N; i += 3)
		timer_cancel(&timers, &all[i]);
	for (uint32_t i = 1; i < N; i += 3)
		ck_assert_int_eq(timer_set(&timers, &all[i], i, never), DVS_OK);
	ck_assert_ptr_null(timers_take(&timers, timers_next_ns(&timers) - 1));
	for (;;) {
		uint64_t next_ns = timers_next_ns(&timers);
		const struct timer *timer = timers_take(&timers, 1000);

		if (!timer)
			break;
		ck_assert_uint_eq(timer->deadline_ns, next_ns);
		ck_assert_uint_ge(timer->deadline_ns, last_ns);
		ck_assert_uint_eq(timer->place, 0);
		last_ns = timer->deadline_ns;
		n++;
	}
	ck_assert_uint_eq(n, N - (N + 2) / 3);
	timers_free(&timers);
}

TEST(a_timer_that_is_not_set_can_be_cancelled)
{
	struct timers timers = { 0 };
	struct timer timer = { 0 };

	timer_cancel(&timers, &timer);
	ck_assert_int_eq(timer_set(&timers, &timer, 5, never), DVS_OK);
	ck_assert_int_eq(timer_set(&timers, &timer, 9, never), DVS_OK);
	ck_assert_uint_eq(timers.n, 1);
	ck_assert_uint_eq(timers_next_ns(&timers), 9);
	timer_cancel(&timers, &timer);
	timer_cancel(&timers, &timer);
	ck_assert_uint_eq(timers.n, 0);
	timers_free(&timers);
}

UNIT_MAIN("node-timer", timers_come_in_the_order_of_their_deadlines,
	  a_timer_that_is_not_set_can_be_cancelled)
