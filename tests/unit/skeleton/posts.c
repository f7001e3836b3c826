/* SPDX-License-Identifier: Apache-2.0 */
/* Posts from many threads, to a loop that sleeps and to one that has no time to. */
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "stand.h"

#define THREADS 6u
#define POSTS 2000u

struct note {
	struct post post;
	struct sender *sender;
	uint32_t number;
};

struct sender {
	struct stand *stand;
	pthread_t thread;
	uint64_t seed;
	struct note notes[POSTS];
	uint32_t n_run; /* by the loop alone */
	sem_t run;
	bool waits; /* for each of its posts */
};

static void run_note(struct post *post)
{
	struct note *note = CONTAINER_OF(post, struct note, post);
	struct sender *sender = note->sender;

	/* In the order in which this thread has put them. */
	ck_assert_uint_eq(note->number, sender->n_run);
	sender->n_run++;
	sem_post(&sender->run);
}

static void hear(struct sender *sender)
{
	struct timespec until = clock_timespec(clock_real_ns() + PATIENCE_MS * CLOCK_NS_PER_MS);

	ck_assert_int_eq(sem_timedwait(&sender->run, &until), 0);
}

static void *send_all(void *argument)
{
	struct sender *sender = argument;

	for (uint32_t i = 0; i < POSTS; i++) {
		sender->notes[i] =
			(struct note){ .post = { .run = run_note }, .sender = sender, .number = i };
		poster_put(&sender->stand->poster, &sender->notes[i].post);
		if (sender->waits)
			hear(sender);
	}
	for (uint32_t i = 0; i < POSTS && !sender->waits; i++)
		hear(sender);
	return NULL;
}

static void send_from_all(struct stand *stand, bool waits, void (*meanwhile)(struct stand *stand))
{
	struct sender *senders = calloc(THREADS, sizeof(*senders));

	ck_assert_ptr_nonnull(senders);
	for (uint32_t i = 0; i < THREADS; i++) {
		senders[i].stand = stand;
		senders[i].waits = waits;
		sem_init(&senders[i].run, 0, 0);
		ck_assert_int_eq(pthread_create(&senders[i].thread, NULL, send_all, &senders[i]),
				 0);
	}
	if (meanwhile)
		meanwhile(stand);
	for (uint32_t i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_join(senders[i].thread, NULL), 0);
		ck_assert_uint_eq(senders[i].n_run, POSTS);
		sem_destroy(&senders[i].run);
	}
	free(senders);
}

TEST(each_post_is_run_once_and_in_order)
{
	struct stand *stand = stand_open(true);

	send_from_all(stand, false, NULL);
	stand_close(stand);
}

/* Each of them finds the loop asleep, or about to be. */
TEST(each_post_wakes_the_loop)
{
	struct stand *stand = stand_open(true);

	send_from_all(stand, true, NULL);
	stand_close(stand);
}

static void read_much(struct stand *stand)
{
	const struct vdd_read_req req = { .bytes = 4096 };
	uint8_t in[4096];

	for (int i = 0; i < 5000; i++)
		ck_assert_int_eq(vdd_call_read(stand->self, dvs_ep_of(SERVICE), &req, NULL, NULL, 0,
					       in, sizeof(in), NULL, PATIENCE_MS),
				 DVS_OK);
}

TEST(posts_and_requests_do_not_keep_each_other_waiting)
{
	struct stand *stand = stand_open(true);

	send_from_all(stand, true, read_much);
	send_from_all(stand, false, read_much);
	stand_close(stand);
}

/* The loop listens now here, now there. */
static void change_over(struct stand *stand)
{
	stand->n_fired++;
	skeleton_listen(stand->skeleton, stand->n_fired & 1 ? NULL : stand->service);
}

static void change_often(struct stand *stand)
{
	for (int i = 0; i < 500; i++)
		stand_run(stand, change_over);
}

TEST(posts_reach_a_loop_that_changes_its_endpoint)
{
	struct stand *stand = stand_open(true);

	send_from_all(stand, true, change_often);
	stand_close(stand);
}

TEST(a_loop_can_be_stopped_at_once)
{
	for (int i = 0; i < 3; i++)
		stand_close(stand_open(true));
}

UNIT_MAIN_TIMEOUT("skeleton-posts", 50, each_post_is_run_once_and_in_order,
		  each_post_wakes_the_loop, posts_and_requests_do_not_keep_each_other_waiting,
		  posts_reach_a_loop_that_changes_its_endpoint, a_loop_can_be_stopped_at_once)
