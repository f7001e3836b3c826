/* SPDX-License-Identifier: Apache-2.0 */
/* Two servers and eight clients under traffic, killed and stopped at any instruction. FAULT_KILLS says how many are killed. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

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

UNIT_MAIN_TIMEOUT("fault-kill-anywhere", 3600,
		  killing_either_side_at_any_time_leaves_nothing_behind)
