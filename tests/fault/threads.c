/* SPDX-License-Identifier: Apache-2.0 */
/* Servers and clients that are threads of one process, with one link: they call, send, notify, time out, are woken up, unbind
 * and bind again. For the thread sanitizer above all. FAULT_SECONDS says for how long. */
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "lab.h"
#include "talk.h"
#include "unit.h"

#define CLIENTS 4u
#define SEATS (TALK_SERVERS + CLIENTS)
#define SECONDS 5u

struct seat {
	const struct talk *talk;
	uint32_t number;
	int status;
};

static void *run_seat(void *arg)
{
	struct seat *seat = arg;

	seat->status = talk_run(seat->talk, seat->number);
	return NULL;
}

static dvs_ep endpoint_of(uint32_t seat)
{
	return dvs_ep_of(seat < TALK_SERVERS ? TALK_SERVER_NUMBER + seat :
					       TALK_CLIENT_NUMBER + seat - TALK_SERVERS);
}

static void start(struct seat *seat, pthread_t *thread, const struct talk *talk, uint32_t number)
{
	*seat = (struct seat){ .talk = talk, .number = number };
	ck_assert_int_eq(pthread_create(thread, NULL, run_seat, seat), 0);
	ck_assert(dvk_wait_bind(talk->shared, endpoint_of(number), TALK_CALL_MS, NULL) == DVS_OK);
}

/* Wake somebody up now and then, until the time is over. */
static void disturb(struct talk *talk, struct m3 *self)
{
	uint64_t span_s = lab_option("FAULT_SECONDS", SECONDS);
	uint64_t end_ns = clock_deadline_ns(span_s * CLOCK_NS_PER_S);

	while (!clock_is_past(end_ns)) {
		dvs_err err = m3_wakeup(self, endpoint_of(rng_below(&talk->seed, SEATS)));

		ck_assert_msg(err == DVS_OK || err == DVS_NODEST, "wakeup: %s", dvs_err_name(err));
		ck_assert_msg(atomic_load(&talk->board->n_failures) == 0, "%s",
			      talk->board->failure);
		rng_pause(&talk->seed, 3000);
	}
}

static void join(const struct seat *seat, pthread_t thread)
{
	const struct talk_board *board = seat->talk->board;

	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_msg(seat->status == EXIT_SUCCESS, "seat %u: %s", seat->number, board->failure);
}

static void stop(struct talk *talk, struct m3 *self, struct seat *seat, const pthread_t *thread)
{
	uint64_t n_done = 0;

	atomic_store(&talk->board->stop, TALK_STOP_CLIENTS);
	for (uint32_t i = TALK_SERVERS; i < SEATS; i++) {
		join(&seat[i], thread[i]);
		n_done += atomic_load(&talk->board->seat[i].n_done);
	}
	atomic_store(&talk->board->stop, TALK_STOP_ALL);
	for (uint32_t i = 0; i < TALK_SERVERS; i++) {
		dvs_err err = m3_wakeup(self, endpoint_of(i));

		ck_assert_msg(err == DVS_OK || err == DVS_NODEST, "wakeup: %s", dvs_err_name(err));
		join(&seat[i], thread[i]);
	}
	ck_assert_msg(atomic_load(&talk->board->n_failures) == 0, "%s", talk->board->failure);
	lab_say("%llu calls done", (unsigned long long)n_done);
	ck_assert_uint_gt(n_done, 100);
}

TEST(threads_with_endpoints_of_their_own_share_a_link_in_peace)
{
	struct talk talk = { .board = talk_board_create(),
			     .n_clients = CLIENTS,
			     .partners_die = true,
			     .wakes = true,
			     .churn = 100,
			     .servers_churn = 1000 };
	struct seat seat[SEATS];
	pthread_t thread[SEATS];
	struct lab lab;
	struct m3 *self;

	lab_open(&lab);
	talk.seed = lab_seed();
	talk.control = lab.control;
	ck_assert(dvk_open(lab.control, &talk.shared) == DVS_OK);
	ck_assert(dvk_bind(talk.shared, dvs_ep_any(), DVK_LOCAL, &self) == DVS_OK);
	for (uint32_t i = 0; i < SEATS; i++)
		start(&seat[i], &thread[i], &talk, i);
	disturb(&talk, self);
	stop(&talk, self, seat, thread);
	dvk_close(talk.shared);
	lab_close(&lab);
}

UNIT_MAIN_TIMEOUT("fault-threads", 3600, threads_with_endpoints_of_their_own_share_a_link_in_peace)
