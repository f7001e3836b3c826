/* SPDX-License-Identifier: Apache-2.0 */
/* Two servers and eight clients under traffic, killed and stopped at any instruction. FAULT_KILLS says how many are killed. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "crew.h"
#include "unit.h"

#define CLIENTS 8u
#define KILLS 250u
#define WARM_UP_KILLS 30u

static void stop_for_a_while(struct crew *crew, uint64_t *rng)
{
	uint32_t seat = rng_below(rng, crew->n_seats);

	(void)kill(crew->pid[seat], SIGSTOP);
	rng_pause(rng, 20000);
	(void)kill(crew->pid[seat], SIGCONT);
}

static void disturb(struct crew *crew, uint64_t *rng, uint64_t n_kills)
{
	for (uint64_t n = 0; n < n_kills;) {
		rng_pause(rng, 30000);
		if (rng_below(rng, 4) == 0) {
			stop_for_a_while(crew, rng);
		} else {
			/* Servers as often as clients: what both sides lose must be seen. */
			uint32_t seat = rng_below(rng, 2) ? rng_below(rng, TALK_SERVERS) :
							    rng_below(rng, crew->n_seats);

			crew_replace(crew, seat);
			n++;
		}
		crew_check(crew);
	}
}

static void round_of(struct crew *crew, const struct lab *lab, uint64_t *rng, uint64_t n_kills)
{
	crew_start(crew);
	disturb(crew, rng, n_kills);
	crew_stop(crew);
	crew_check_nothing_left(lab, crew);
}

static void check_usage(const struct usage *before, const struct usage *after)
{
	lab_say("dvsd before: %llu KiB, %llu descriptors, %llu mappings",
		(unsigned long long)before->rss_kib, (unsigned long long)before->n_fds,
		(unsigned long long)before->n_maps);
	lab_say("dvsd after:  %llu KiB, %llu descriptors, %llu mappings",
		(unsigned long long)after->rss_kib, (unsigned long long)after->n_fds,
		(unsigned long long)after->n_maps);
	ck_assert_uint_eq(after->n_fds, before->n_fds);
	ck_assert_uint_eq(after->n_memfd_maps, before->n_memfd_maps);
	ck_assert_uint_le(after->n_maps, before->n_maps + 8);
	ck_assert_uint_le(after->rss_kib, before->rss_kib + 4096);
}

TEST(killing_either_side_at_any_time_leaves_nothing_behind)
{
	uint64_t rng = lab_seed();
	struct usage before;
	struct usage after;
	struct crew crew;
	struct lab lab;

	lab_open(&lab);
	crew_open(&crew, &lab, CLIENTS, rng);
	crew.talk.partners_die = true;
	crew.talk.churn = 200;
	round_of(&crew, &lab, &rng, WARM_UP_KILLS);
	before = usage_settled(lab.dvsd);
	round_of(&crew, &lab, &rng, lab_option("FAULT_KILLS", KILLS));
	after = usage_settled(lab.dvsd);
	crew_report(&crew);
	check_usage(&before, &after);
	lab_close(&lab);
}

/* ---- one that hands a request on, and dies ---- */

#define RELAY 10u
#define ANSWERER 11u

struct relay_scene {
	struct lab lab;
	int go[2]; /* the relay waits for a byte */
	struct dvk *dvk;
};

typedef void (*play)(const struct relay_scene *scene, struct m3 *self);

/* A process bound to NUMBER that does its part and exits. */
static pid_t start_part(const struct relay_scene *scene, uint32_t number, play part)
{
	pid_t pid;

	(void)fflush(NULL);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct dvk *dvk;
		struct m3 *self;

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (dvk_open(scene->lab.control, &dvk) ||
		    dvk_bind(dvk, dvs_ep_of(number), DVK_LOCAL, &self))
			_exit(EXIT_FAILURE);
		part(scene, self);
		_exit(EXIT_FAILURE);
	}
	ck_assert(dvk_wait_bind(scene->dvk, dvs_ep_of(number), TALK_CALL_MS, NULL) == DVS_OK);
	return pid;
}

static void play_answerer(const struct relay_scene *scene, struct m3 *self)
{
	struct dvs_msg msg;

	(void)scene;
	while (m3_receive(self, dvs_ep_any(), &msg, DVS_FOREVER) == DVS_OK &&
	       m3_reply(self, msg.source, &msg) == DVS_OK)
		;
}

static void play_relay(const struct relay_scene *scene, struct m3 *self)
{
	struct dvs_msg msg;
	char byte;

	if (m3_receive(self, dvs_ep_any(), &msg, DVS_FOREVER) == DVS_OK &&
	    read(scene->go[0], &byte, 1) == 1 &&
	    m3_relay(self, msg.source, dvs_ep_of(ANSWERER), &msg) == DVS_OK)
		_exit(EXIT_SUCCESS);
}

static void play_client(const struct relay_scene *scene, struct m3 *self)
{
	struct dvs_msg msg = { .type = 1 };

	(void)scene;
	if (m3_sendrec(self, dvs_ep_of(RELAY), &msg, TALK_CALL_MS) == DVS_OK)
		_exit(EXIT_SUCCESS);
}

static void wait_until_it_calls(const struct relay_scene *scene, uint32_t number)
{
	uint64_t deadline_ns = clock_deadline_ns(TALK_CALL_MS * CLOCK_NS_PER_MS);
	struct dvk_endpoint_info info = { .activity = DVK_RUNNING };

	while (info.activity != DVK_CALLING) {
		ck_assert(dvk_endpoint_info(scene->dvk, dvs_ep_of(number), &info) == DVS_OK);
		ck_assert(!clock_is_past(deadline_ns));
	}
}

/* The client sees the relayed answer before it hears of the death, when what the dead one had is given anew. */
TEST(a_request_of_one_that_dies_after_it_handed_it_on_is_answered)
{
	struct relay_scene scene;
	pid_t answerer;
	pid_t relay;
	pid_t client;
	int status;

	lab_open(&scene.lab);
	ck_assert_int_eq(pipe(scene.go), 0);
	ck_assert(dvk_open(scene.lab.control, &scene.dvk) == DVS_OK);
	answerer = start_part(&scene, ANSWERER, play_answerer);
	relay = start_part(&scene, RELAY, play_relay);
	client = start_part(&scene, TALK_CLIENT_NUMBER, play_client);
	wait_until_it_calls(&scene, TALK_CLIENT_NUMBER);
	(void)kill(client, SIGSTOP);
	ck_assert_int_eq(waitpid(client, &status, WUNTRACED), client);
	ck_assert_int_eq(write(scene.go[1], "x", 1), 1);
	ck_assert_int_eq(waitpid(relay, &status, 0), relay);
	ck_assert_int_eq(status, 0);
	ck_assert(dvk_wait_unbind(scene.dvk, dvs_ep_of(RELAY), TALK_CALL_MS) == DVS_OK);
	(void)kill(client, SIGCONT);
	ck_assert_int_eq(waitpid(client, &status, 0), client);
	ck_assert_int_eq(status, 0);
	(void)kill(answerer, SIGKILL);
	ck_assert_int_eq(waitpid(answerer, NULL, 0), answerer);
	dvk_close(scene.dvk);
	lab_close(&scene.lab);
}

UNIT_MAIN_TIMEOUT("fault-kill-anywhere", 3600,
		  killing_either_side_at_any_time_leaves_nothing_behind,
		  a_request_of_one_that_dies_after_it_handed_it_on_is_answered)
