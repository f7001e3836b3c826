/* SPDX-License-Identifier: Apache-2.0 */
/* Honest clients and servers beside two processes that write garbage into every byte they can: into their own memory, the
 * channels, the inboxes of their partners, the control socket. FAULT_SECONDS says for how long. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "crew.h"
#include "hostile.h"
#include "unit.h"

#define CLIENTS 3u
#define SECONDS 5u

/* Clients that think between their calls, so that servers sleep and must be woken. */
#define THINK_US 3000u

struct scene {
	struct lab lab;
	struct crew crew;
	uint32_t n_hostiles;
	pid_t hostile[TALK_HOSTILES];
};

static pid_t start_hostile(const struct hostile *hostile)
{
	pid_t pid;

	(void)fflush(NULL);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(hostile_run(hostile));
	}
	return pid;
}

static void begin(struct scene *scene, uint32_t n_hostiles, bool only_wipes)
{
	uint64_t seed = lab_seed();
	struct crew *crew = &scene->crew;

	lab_open(&scene->lab);
	crew_open(crew, &scene->lab, CLIENTS, seed);
	crew->talk.with_hostiles = true;
	crew->talk.think_us = THINK_US;
	crew_start(crew);
	scene->n_hostiles = n_hostiles;
	for (uint32_t i = 0; i < n_hostiles; i++) {
		struct hostile hostile = { .board = crew->talk.board,
					   .control = crew->talk.control,
					   .number = i,
					   .n_clients = CLIENTS,
					   .pause_us = i ? 200 : 0,
					   .only_wipes = only_wipes,
					   .seed = seed + i };

		scene->hostile[i] = start_hostile(&hostile);
	}
}

static void watch(struct scene *scene)
{
	uint64_t span_s = lab_option("FAULT_SECONDS", SECONDS);
	uint64_t end_ns = clock_deadline_ns(span_s * CLOCK_NS_PER_S);

	while (!clock_is_past(end_ns)) {
		crew_check(&scene->crew);
		for (uint32_t i = 0; i < scene->n_hostiles; i++)
			ck_assert_msg(waitpid(scene->hostile[i], NULL, WNOHANG) == 0,
				      "the hostile process ended by itself");
		(void)poll(NULL, 0, 50);
	}
}

static void end(struct scene *scene)
{
	crew_stop(&scene->crew);
	for (uint32_t i = 0; i < scene->n_hostiles; i++)
		ck_assert_int_eq(waitpid(scene->hostile[i], NULL, 0), scene->hostile[i]);
	crew_report(&scene->crew);
	ck_assert_uint_gt(crew_done(&scene->crew), 20);
	lab_close(&scene->lab);
}

/* An attack that did not take place proves nothing. */
static void report_attack(const struct talk_board *board)
{
	lab_say("%llu pieces of garbage, %llu channels and %llu frames of hostile processes,"
		" which answered %llu calls",
		(unsigned long long)atomic_load(&board->n_garbage),
		(unsigned long long)atomic_load(&board->n_channels),
		(unsigned long long)atomic_load(&board->n_frames),
		(unsigned long long)atomic_load(&board->n_answered));
	ck_assert_uint_gt(atomic_load(&board->n_garbage), 1000);
	ck_assert_uint_gt(atomic_load(&board->n_channels), 2);
	ck_assert_uint_gt(atomic_load(&board->n_frames), 100);
	ck_assert_uint_gt(atomic_load(&board->n_answered), 0);
}

TEST(garbage_from_one_partner_does_not_harm_the_others)
{
	struct scene scene;

	begin(&scene, TALK_HOSTILES, false);
	watch(&scene);
	report_attack(scene.crew.talk.board);
	end(&scene);
}

/* Who wipes the hints makes others wait until they look by themselves, and no longer. */
TEST(wiped_hints_cost_a_bounded_delay)
{
	struct scene scene;

	begin(&scene, 1, true);
	watch(&scene);
	ck_assert_uint_gt(atomic_load(&scene.crew.talk.board->n_channels), 2);
	end(&scene);
}

UNIT_MAIN_TIMEOUT("fault-hostile-partner", 3600, garbage_from_one_partner_does_not_harm_the_others,
		  wiped_hints_cost_a_bounded_delay)
