/* SPDX-License-Identifier: Apache-2.0 */
#include "crew.h"

#include <check.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

/* Longer than any honest wait, with some mercy for a machine that is busy. */
#define STUCK_NS (3 * TALK_CALL_MS * CLOCK_NS_PER_MS)
#define END_NS (20 * CLOCK_NS_PER_S)

void crew_open(struct crew *crew, const struct lab *lab, uint32_t n_clients, uint64_t seed)
{
	memset(crew, 0, sizeof(*crew));
	crew->talk = (struct talk){ .board = talk_board_create(),
				    .control = lab->control,
				    .n_clients = n_clients,
				    .seed = seed };
	crew->n_seats = TALK_SERVERS + n_clients;
}

static const char *control_of(const struct crew *crew, uint32_t seat)
{
	return crew->other_control && seat % 2 == 1 ? crew->other_control : crew->talk.control;
}

static void start_one(struct crew *crew, uint32_t seat)
{
	pid_t pid;

	(void)fflush(NULL);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		crew->talk.control = control_of(crew, seat);
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(talk_run(&crew->talk, seat));
	}
	crew->pid[seat] = pid;
}

static uint32_t number_of(uint32_t seat)
{
	return seat < TALK_SERVERS ? TALK_SERVER_NUMBER + seat :
				     TALK_CLIENT_NUMBER + seat - TALK_SERVERS;
}

/* Have the seats from FIRST on bound their endpoints? */
static void wait_for(const struct crew *crew, uint32_t first, uint32_t end)
{
	struct dvk *dvk;

	ck_assert(dvk_open(crew->talk.control, &dvk) == DVS_OK);
	for (uint32_t i = first; i < end; i++)
		ck_assert_msg(dvk_wait_bind(dvk, dvs_ep_of(number_of(i)), TALK_CALL_MS, NULL) ==
				      DVS_OK,
			      "seat %u did not start: %s", i, crew->talk.board->failure);
	dvk_close(dvk);
}

void crew_start(struct crew *crew)
{
	atomic_store(&crew->talk.board->stop, TALK_GO);
	for (uint32_t i = 0; i < TALK_SERVERS; i++)
		start_one(crew, i);
	/* Clients that start before would call nobody. */
	wait_for(crew, 0, TALK_SERVERS);
	for (uint32_t i = TALK_SERVERS; i < crew->n_seats; i++)
		start_one(crew, i);
	wait_for(crew, TALK_SERVERS, crew->n_seats);
}

void crew_replace(struct crew *crew, uint32_t seat)
{
	int status;

	(void)kill(crew->pid[seat], SIGKILL);
	ck_assert_int_eq(waitpid(crew->pid[seat], &status, 0), crew->pid[seat]);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
		      "seat %u had ended by itself, status %#x: %s", seat, (unsigned)status,
		      crew->talk.board->failure);
	atomic_store(&crew->talk.board->seat[seat].since_ns, 0);
	start_one(crew, seat);
}

void crew_check(struct crew *crew)
{
	struct talk_board *board = crew->talk.board;

	ck_assert_msg(atomic_load(&board->n_failures) == 0, "%s", board->failure);
	for (uint32_t i = 0; i < crew->n_seats; i++) {
		uint64_t since_ns = atomic_load(&board->seat[i].since_ns);
		int status;

		ck_assert_msg(since_ns == 0 || clock_now_ns() < since_ns + STUCK_NS,
			      "seat %u is stuck in a call", i);
		ck_assert_msg(crew->pid[i] == 0 || waitpid(crew->pid[i], &status, WNOHANG) == 0,
			      "seat %u ended by itself, status %#x", i, (unsigned)status);
	}
}

static void end_one(struct crew *crew, uint32_t seat)
{
	uint64_t deadline_ns = clock_deadline_ns(END_NS);
	int status = 0;
	pid_t ended;

	while ((ended = waitpid(crew->pid[seat], &status, WNOHANG)) == 0) {
		ck_assert_msg(!clock_is_past(deadline_ns), "seat %u does not end", seat);
		(void)poll(NULL, 0, 2);
	}
	ck_assert_msg(ended == crew->pid[seat] && status == 0, "seat %u ended with status %#x: %s",
		      seat, (unsigned)status, crew->talk.board->failure);
	crew->pid[seat] = 0;
}

/* They wait for messages: look at the board. */
static void wake_servers(const struct crew *crew)
{
	for (uint32_t i = 0; i < TALK_SERVERS; i++) {
		struct dvk *dvk;
		struct m3 *self;
		dvs_err err;

		ck_assert(dvk_open(control_of(crew, i), &dvk) == DVS_OK);
		ck_assert(dvk_bind(dvk, dvs_ep_any(), DVK_LOCAL, &self) == DVS_OK);
		err = m3_wakeup(self, dvs_ep_of(number_of(i)));
		/* It may have looked by itself, and gone. */
		ck_assert_msg(err == DVS_OK || err == DVS_NODEST, "%s", dvs_err_name(err));
		dvk_close(dvk);
	}
}

void crew_stop(struct crew *crew)
{
	struct talk_board *board = crew->talk.board;

	atomic_store(&board->stop, TALK_STOP_CLIENTS);
	for (uint32_t i = TALK_SERVERS; i < crew->n_seats; i++)
		end_one(crew, i);
	atomic_store(&board->stop, TALK_STOP_ALL);
	wake_servers(crew);
	for (uint32_t i = 0; i < TALK_SERVERS; i++)
		end_one(crew, i);
	ck_assert_msg(atomic_load(&board->n_failures) == 0, "%s", board->failure);
}

uint64_t crew_done(const struct crew *crew)
{
	uint64_t n = 0;

	for (uint32_t i = TALK_SERVERS; i < crew->n_seats; i++)
		n += atomic_load(&crew->talk.board->seat[i].n_done);
	return n;
}

void crew_report(const struct crew *crew)
{
	uint64_t n_lost = 0;
	uint64_t n_timeouts = 0;
	uint64_t worst_ns = 0;

	for (uint32_t i = TALK_SERVERS; i < crew->n_seats; i++) {
		const struct talk_seat *seat = &crew->talk.board->seat[i];

		n_lost += atomic_load(&seat->n_lost);
		n_timeouts += atomic_load(&seat->n_timeouts);
		if (atomic_load(&seat->worst_ns) > worst_ns)
			worst_ns = atomic_load(&seat->worst_ns);
	}
	lab_say("%llu calls done, %llu lost with their partner, %llu given up; longest %llu ms",
		(unsigned long long)crew_done(crew), (unsigned long long)n_lost,
		(unsigned long long)n_timeouts, (unsigned long long)(worst_ns / CLOCK_NS_PER_MS));
}

void crew_check_nothing_left(const struct lab *lab, const struct crew *crew)
{
	uint64_t deadline_ns = clock_deadline_ns(END_NS);
	struct dvk_dvs_info info = { .n_endpoints = 0 };
	struct dvk *dvk;

	ck_assert(dvk_open(lab->control, &dvk) == DVS_OK);
	for (uint32_t i = 0; i < crew->n_seats; i++) {
		uint32_t number = number_of(i);

		ck_assert_msg(dvk_wait_unbind(dvk, dvs_ep_of(number), TALK_CALL_MS) == DVS_OK,
			      "endpoint %u stays bound", number);
	}
	/* Of what ended on another node this one hears in its turn. */
	while (dvk_dvs_info(dvk, &info) == DVS_OK && (info.n_endpoints || info.n_channels) &&
	       !clock_is_past(deadline_ns))
		(void)poll(NULL, 0, 2);
	ck_assert_msg(info.n_endpoints == 0 && info.n_channels == 0,
		      "%u endpoints and %u channels are left", info.n_endpoints, info.n_channels);
	dvk_close(dvk);
}
