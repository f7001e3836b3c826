/* SPDX-License-Identifier: Apache-2.0 */
/* Who waits for a turn that never comes fails by the time-out of the whole. */
#include "gateways/fuse/turns.h"

#include "base/clock.h"
#include "unit.h"

static struct turns turns;

struct reader {
	pthread_t thread;
	struct turn turn;
	bool may_read;
};

static void *reader_run(void *context)
{
	struct reader *reader = context;

	reader->may_read = turns_wait(&turns, &reader->turn);
	return NULL;
}

static void start(struct reader *reader)
{
	*reader = (struct reader){ .may_read = false };
	ck_assert_int_eq(pthread_create(&reader->thread, NULL, reader_run, reader), 0);
}

static bool outcome(struct reader *reader)
{
	ck_assert_int_eq(pthread_join(reader->thread, NULL), 0);
	return reader->may_read;
}

static uint32_t n_standing(void)
{
	uint32_t n;

	pthread_mutex_lock(&turns.lock);
	n = turns.n_resting + turns.has_watch;
	pthread_mutex_unlock(&turns.lock);
	return n;
}

static bool is_watch_asleep(void)
{
	bool is_asleep;

	pthread_mutex_lock(&turns.lock);
	is_asleep = turns.is_watch_asleep;
	pthread_mutex_unlock(&turns.lock);
	return is_asleep;
}

static void nap(void)
{
	const struct timespec while_it_comes = clock_timespec(CLOCK_NS_PER_MS);

	(void)nanosleep(&while_it_comes, NULL);
}

#define UNTIL(what)     \
	while (!(what)) \
	nap()

static void set_slow(struct turn *turn)
{
	turn->taken_ns = clock_now_ns() - TURNS_SLOW_NS;
}

/* However long this thread is kept from going on. */
static void set_quick(struct turn *turn)
{
	turn->taken_ns = clock_deadline_ns(3600 * CLOCK_NS_PER_S);
}

static void *taker_run(void *context)
{
	struct reader *reader = context;

	reader->may_read = turns_wait(&turns, &reader->turn);
	if (reader->may_read)
		(void)turns_take(&turns, &reader->turn);
	return NULL;
}

/* False: this thread was kept from going on for so long that the other one had to read. */
static bool goes_on_reading(void)
{
	struct turn first = { .taken_ns = 0 };
	struct reader second = { .may_read = false };
	uint64_t n_taken;

	turns_begin(&turns);
	ck_assert(turns_wait(&turns, &first));
	ck_assert_int_eq(pthread_create(&second.thread, NULL, taker_run, &second), 0);
	UNTIL(n_standing() == 1);
	for (int i = 0; i < 100; i++) {
		(void)turns_take(&turns, &first);
		set_quick(&first);
		ck_assert(turns_wait(&turns, &first));
	}
	turns_end(&turns);
	(void)outcome(&second);
	n_taken = turns.n_taken;
	ck_assert(!turns_wait(&turns, &first));
	turns_free(&turns);
	ck_assert_uint_eq(n_taken, 100 + second.may_read);
	return !second.may_read;
}

TEST(one_reads_and_goes_on_reading)
{
	int n_tries = 1;

	while (!goes_on_reading())
		ck_assert_int_lt(n_tries++, 100);
}

TEST(who_takes_a_request_when_nobody_stands_by_is_told)
{
	struct turn first = { .taken_ns = 0 };
	struct turn second = { .taken_ns = 0 };

	turns_begin(&turns);
	ck_assert(turns_wait(&turns, &first));
	ck_assert(turns_take(&turns, &first));
	ck_assert(turns_wait(&turns, &second));
	ck_assert(turns_take(&turns, &second));
	turns_end(&turns);
	ck_assert(!turns_take(&turns, &second));
	turns_free(&turns);
}

TEST(one_that_stands_by_reads_when_all_others_are_long_at_it)
{
	struct turn first = { .taken_ns = 0 };
	struct reader others[3];

	turns_begin(&turns);
	ck_assert(turns_wait(&turns, &first));
	for (uint32_t i = 0; i < 3; i++) {
		start(&others[i]);
		UNTIL(n_standing() == i + 1);
	}
	ck_assert(!turns_take(&turns, &first));
	/* Each of them has its turn, takes a request, and never comes back. */
	for (uint32_t left = 3; left > 0; left--) {
		UNTIL(n_standing() == left - 1);
		ck_assert_uint_eq(turns.n_readers, 1);
		ck_assert(turns_take(&turns, &first) == (left == 1));
	}
	for (uint32_t i = 0; i < 3; i++)
		ck_assert(outcome(&others[i]));
	turns_end(&turns);
	turns_free(&turns);
}

TEST(a_watch_that_sleeps_is_woken)
{
	struct turn first = { .taken_ns = 0 };
	struct reader second;

	turns_begin(&turns);
	ck_assert(turns_wait(&turns, &first));
	start(&second);
	UNTIL(is_watch_asleep());
	ck_assert(!turns_take(&turns, &first));
	ck_assert(outcome(&second));
	turns_end(&turns);
	turns_free(&turns);
}

static void serve_many(struct turn *turn, uint32_t n, void (*set)(struct turn *turn))
{
	for (uint32_t i = 0; i < n; i++) {
		(void)turns_take(&turns, turn);
		set(turn);
		ck_assert(turns_wait(&turns, turn));
	}
}

TEST(more_read_while_answers_are_long_in_coming)
{
	struct turn turn[TURNS_READERS_MAX] = { { 0 } };
	struct reader other;

	turns_begin(&turns);
	ck_assert(turns_wait(&turns, &turn[0]));
	serve_many(&turn[0], 100, set_slow);
	for (uint32_t i = 1; i < TURNS_READERS_MAX; i++)
		ck_assert(turns_wait(&turns, &turn[i]));
	start(&other);
	UNTIL(n_standing() == 1);
	turns_end(&turns);
	ck_assert(!outcome(&other));
	turns_free(&turns);
}

TEST(one_reads_again_when_answers_come_at_once)
{
	struct turn first = { .taken_ns = 0 };
	struct reader other;

	turns_begin(&turns);
	ck_assert(turns_wait(&turns, &first));
	serve_many(&first, 100, set_slow);
	serve_many(&first, 1000, set_quick);
	start(&other);
	UNTIL(n_standing() == 1);
	serve_many(&first, 1, set_slow);
	ck_assert(outcome(&other));
	turns_end(&turns);
	turns_free(&turns);
}

UNIT_MAIN("gateways-fuse-turns", one_reads_and_goes_on_reading,
	  who_takes_a_request_when_nobody_stands_by_is_told,
	  one_that_stands_by_reads_when_all_others_are_long_at_it, a_watch_that_sleeps_is_woken,
	  more_read_while_answers_are_long_in_coming, one_reads_again_when_answers_come_at_once)
