/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/loop.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "agent/workers.h"
#include "base/clock.h"
#include "unit.h"

#define MS CLOCK_NS_PER_MS
#define POSTS 1000

static struct loop *loop_make(void)
{
	struct loop *loop;

	ck_assert_int_eq(loop_open(&loop), DVS_OK);
	return loop;
}

/* ---- timers ---- */

struct bell {
	struct loop_timer timer;
	struct loop *loop;
	char name;
	char *heard; /* the names of those that have fired */
	size_t *n;
	bool is_last;
};

static void bell_fired(struct loop_timer *timer)
{
	struct bell *bell = CONTAINER_OF(timer, struct bell, timer);

	bell->heard[(*bell->n)++] = bell->name;
	if (bell->is_last)
		loop_stop(bell->loop);
}

START_TEST(timers_fire_in_the_order_of_their_deadlines)
{
	struct loop *loop = loop_make();
	struct bell bells[4] = { 0 };
	uint64_t now_ns = clock_now_ns();
	const unsigned int at_ms[4] = { 30, 10, 20, 15 };
	char heard[8] = "";
	size_t n = 0;

	for (size_t i = 0; i < 4; i++) {
		bells[i] = (struct bell){ .loop = loop,
					  .name = (char)('a' + i),
					  .heard = heard,
					  .n = &n,
					  .is_last = i == 0 };
		loop_timer_set(loop, &bells[i].timer, now_ns + at_ms[i] * MS, bell_fired);
	}
	/* One is called off, one gets another time. */
	loop_timer_cancel(loop, &bells[3].timer);
	loop_timer_set(loop, &bells[2].timer, now_ns + 5 * MS, bell_fired);
	ck_assert_int_eq(loop_run(loop), DVS_OK);
	ck_assert_str_eq(heard, "cba");
	ck_assert_uint_ge(clock_now_ns(), now_ns + 30 * MS);
	loop_timer_cancel(loop, &bells[0].timer);
	loop_close(loop);
}
END_TEST

/* ---- watches ---- */

struct ear {
	struct loop_watch watch;
	struct loop *loop;
	struct ear *other;
	int ends[2];
	unsigned int n;
};

/* Whoever is first takes the other away: it must not be called, though epoll has told of both. */
static void ear_ready(struct loop_watch *watch, uint32_t events)
{
	struct ear *ear = CONTAINER_OF(watch, struct ear, watch);

	ck_assert(events & EPOLLIN);
	ear->n++;
	loop_unwatch(ear->loop, &ear->watch);
	loop_unwatch(ear->loop, &ear->other->watch);
	loop_stop(ear->loop);
}

START_TEST(a_watch_that_is_taken_away_is_not_called_any_more)
{
	struct loop *loop = loop_make();
	struct ear ears[2] = { 0 };

	for (size_t i = 0; i < 2; i++) {
		ears[i] = (struct ear){ .loop = loop, .other = &ears[1 - i] };
		ck_assert_int_eq(pipe(ears[i].ends), 0);
		ck_assert_int_eq(write(ears[i].ends[1], "x", 1), 1);
		ck_assert_int_eq(loop_watch(loop, &ears[i].watch, ears[i].ends[0], EPOLLIN,
					    ear_ready),
				 DVS_OK);
	}
	ck_assert_int_eq(loop_run(loop), DVS_OK);
	ck_assert_uint_eq(ears[0].n + ears[1].n, 1);
	for (size_t i = 0; i < 2; i++) {
		close(ears[i].ends[0]);
		close(ears[i].ends[1]);
	}
	loop_close(loop);
}
END_TEST

/* ---- posts ---- */

struct letter {
	struct loop_post post;
	struct loop *loop;
	unsigned int number;
	unsigned int *next;
};

static void letter_came(struct loop_post *post)
{
	struct letter *letter = CONTAINER_OF(post, struct letter, post);

	ck_assert_uint_eq(letter->number, *letter->next);
	if (++*letter->next == POSTS)
		loop_stop(letter->loop);
}

static void *post_all(void *argument)
{
	struct letter *letters = argument;

	for (size_t i = 0; i < POSTS; i++)
		loop_post(letters[i].loop, &letters[i].post, letter_came);
	return NULL;
}

START_TEST(what_another_thread_posts_comes_in_its_order)
{
	struct loop *loop = loop_make();
	struct letter *letters = calloc(POSTS, sizeof(*letters));
	unsigned int next = 0;
	pthread_t thread;

	ck_assert_ptr_nonnull(letters);
	for (unsigned int i = 0; i < POSTS; i++)
		letters[i] = (struct letter){ .loop = loop, .number = i, .next = &next };
	ck_assert_int_eq(pthread_create(&thread, NULL, post_all, letters), 0);
	ck_assert_int_eq(loop_run(loop), DVS_OK);
	ck_assert_uint_eq(next, POSTS);
	pthread_join(thread, NULL);
	free(letters);
	loop_close(loop);
}
END_TEST

/* ---- workers ---- */

struct chore {
	struct work work;
	struct loop *loop;
	pthread_t done_by;
	unsigned int *left;
};

static void chore_run(struct work *work)
{
	CONTAINER_OF(work, struct chore, work)->done_by = pthread_self();
}

static void chore_done(struct work *work)
{
	struct chore *chore = CONTAINER_OF(work, struct chore, work);

	ck_assert(!pthread_equal(chore->done_by, pthread_self()));
	if (--*chore->left == 0)
		loop_stop(chore->loop);
}

START_TEST(work_is_done_by_others_and_ends_in_the_loop)
{
	struct loop *loop = loop_make();
	struct workers *workers;
	struct chore chores[50];
	unsigned int left = ARRAY_LEN(chores);

	ck_assert_int_eq(workers_open(loop, 3, &workers), DVS_OK);
	for (size_t i = 0; i < ARRAY_LEN(chores); i++) {
		chores[i] = (struct chore){ .loop = loop, .left = &left };
		workers_add(workers, &chores[i].work, chore_run, chore_done);
	}
	ck_assert_int_eq(loop_run(loop), DVS_OK);
	ck_assert_uint_eq(left, 0);
	/* The workers stay: they live as long as the process. */
}
END_TEST

UNIT_MAIN("agent-loop", timers_fire_in_the_order_of_their_deadlines,
	  a_watch_that_is_taken_away_is_not_called_any_more,
	  what_another_thread_posts_comes_in_its_order, work_is_done_by_others_and_ends_in_the_loop)
