/* SPDX-License-Identifier: Apache-2.0 */
/* dvsd is killed at any time and started again, while eight clients talk with their servers, and half of them come and go: no
 * call may fail or be lost, and what dvsd knows afterwards is what is so. FAULT_KILLS says how often. */
#include <stdio.h>

#include "base/clock.h"
#include "crew.h"
#include "unit.h"

#define CLIENTS 8u
#define KILLS 25u
/* Between two kills: sometimes dvsd is not even up again. */
#define LIFE_US 400000u
#define DEATH_US 100000u

/* One that ends while nobody watches must be missed later. */
static void lose_a_client(struct crew *crew, uint64_t *rng)
{
	uint32_t client = 1 + 2 * rng_below(rng, CLIENTS / 2);

	crew_replace(crew, TALK_SERVERS + client);
}

static void kill_dvsd(struct lab *lab, struct crew *crew, uint64_t *rng)
{
	lab_kill_dvsd(lab);
	if (rng_below(rng, 3) == 0)
		lose_a_client(crew, rng);
	if (rng_below(rng, 2))
		rng_pause(rng, DEATH_US);
	lab_spawn_dvsd(lab);
}

/* Everybody who is bound can be seen. */
static void check_bindings(const struct lab *lab, const struct crew *crew)
{
	struct dvk_endpoint_info info;
	uint64_t cursor = 0;
	uint32_t n = 0;
	struct dvk *dvk;

	ck_assert(dvk_open(lab->control, &dvk) == DVS_OK);
	for (uint32_t i = 0; i < TALK_SERVERS; i++) {
		ck_assert(dvk_wait_bind(dvk, dvs_ep_of(TALK_SERVER_NUMBER + i), TALK_CALL_MS,
					NULL) == DVS_OK);
		ck_assert(dvk_endpoint_info(dvk, dvs_ep_of(TALK_SERVER_NUMBER + i), &info) ==
			  DVS_OK);
		ck_assert_int_eq(info.pid, crew->pid[i]);
	}
	while (dvk_endpoint_next(dvk, &cursor, &info) == DVS_OK)
		n++;
	ck_assert_uint_le(n, crew->n_seats);
	dvk_close(dvk);
}

TEST(a_dvsd_that_is_killed_and_started_again_goes_unnoticed)
{
	uint64_t rng = lab_seed();
	uint64_t n_kills = lab_option("FAULT_KILLS", KILLS);
	struct crew crew;
	struct lab lab;

	lab_open(&lab);
	crew_open(&crew, &lab, CLIENTS, rng);
	crew.talk.dvsd_dies = true;
	crew.talk.churn = 20;
	crew_start(&crew);
	for (uint64_t i = 0; i < n_kills; i++) {
		rng_pause(&rng, LIFE_US);
		kill_dvsd(&lab, &crew, &rng);
		crew_check(&crew);
	}
	lab_wait_dvsd(&lab);
	check_bindings(&lab, &crew);
	crew_stop(&crew);
	crew_report(&crew);
	crew_check_nothing_left(&lab, &crew);
	lab_close(&lab);
}

UNIT_MAIN_TIMEOUT("fault-dvsd-killed", 3600, a_dvsd_that_is_killed_and_started_again_goes_unnoticed)
