/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing a replica up to date, and comparing replicas, between two real sets of disks. The order of everything that can happen is by chance; SYNC_SEED repeats one, SYNC_ROUNDS makes it more. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "sync_world.h"

#define MIB (UINT64_C(1) << 20)

static uint64_t option(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

static struct sync_progress progress_of(struct world *w)
{
	struct sync_progress progress = { .done_bytes = 0 };

	ck_assert(sync_look(w->side[PRIMARY].sync, (dvs_nodeid){ OTHER }, &progress));
	return progress;
}

/* To its end; what was sent. */
static struct sync_progress join(struct world *w, bool is_empty)
{
	struct sync_progress last = { .done_bytes = 0 };
	uint32_t before = w->n_current;

	world_join(w, is_empty);
	while (world_step(w) && w->n_current == before)
		last = progress_of(w);
	ck_assert_uint_eq(w->n_current, before + 1);
	ck_assert(!sync_look(w->side[PRIMARY].sync, (dvs_nodeid){ OTHER }, &last));
	world_finish(w);
	return last;
}

/* On both sides, and nothing is marked. */
static void both(struct world *w, uint64_t offset, uint64_t bytes, uint64_t seed)
{
	for (uint32_t i = 0; i < 2; i++) {
		side_change(&w->side[i], DISK_WRITE, 0, offset, bytes, seed);
		disks_cool(w->side[i].disks);
		disks_cool(w->side[i].disks);
	}
}

TEST(an_empty_replica_gets_everything)
{
	struct world *w = world_open(20 * MIB + 512, 1);
	struct sync_progress last;

	side_change(&w->side[PRIMARY], DISK_WRITE, 0, 3 * MIB, 2 * MIB, 1);
	side_change(&w->side[PRIMARY], DISK_WRITE, 0, 20 * MIB, 512, 2);
	last = join(w, true);
	world_is_equal(w);
	ck_assert_uint_eq(last.total_bytes, 20 * MIB + 512);
	ck_assert_uint_eq(last.done_bytes, last.total_bytes);
	ck_assert_uint_eq(last.sent_bytes, 2 * MIB + 512);
	world_close(w);
}

TEST(what_is_not_there_any_more_goes_away)
{
	struct world *w = world_open(8 * MIB, 2);
	struct sync_progress last;
	uint64_t bytes;
	bool is_hole;

	side_change(&w->side[OTHER], DISK_WRITE, 0, 4 * MIB, MIB, 1);
	last = join(w, true);
	world_is_equal(w);
	ck_assert_uint_eq(last.sent_bytes, 0);
	ck_assert_int_eq(disks_extent(w->side[OTHER].disks, 0, 0, 8 * MIB, &bytes, &is_hole),
			 DVS_OK);
	ck_assert(is_hole);
	ck_assert_uint_eq(bytes, 8 * MIB);
	world_close(w);
}

TEST(what_is_equal_is_not_sent)
{
	struct world *w = world_open(16 * MIB, 3);
	struct sync_progress last;

	both(w, 0, 8 * MIB, 7);
	side_change(&w->side[OTHER], DISK_WRITE, 0, 5 * MIB + 512, 512, 8);
	last = join(w, true);
	world_is_equal(w);
	ck_assert_uint_eq(last.sent_bytes, DISK_GRANULE_BYTES);
	world_close(w);
}

TEST(only_what_was_written_is_compared)
{
	struct world *w = world_open(64 * MIB, 4);
	struct sync_progress last;

	both(w, 0, 64 * MIB, 7);
	/* Here while the other one was away, and there what nobody else has. */
	side_change(&w->side[PRIMARY], DISK_WRITE, 0, 9 * MIB, 4096, 8);
	side_change(&w->side[OTHER], DISK_WRITE, 0, 33 * MIB, 4096, 9);
	last = join(w, false);
	world_is_equal(w);
	ck_assert_uint_eq(last.total_bytes, 2 * DISK_CHUNK_BYTES);
	ck_assert_uint_eq(last.sent_bytes, 2 * DISK_GRANULE_BYTES);
	world_close(w);
}

/* A third one is away: whoever of these two is the primary when it comes back must know what it lacks. */
TEST(who_joins_takes_over_what_others_lack)
{
	struct world *w = world_open(64 * MIB, 4);

	both(w, 0, 64 * MIB, 7);
	side_change(&w->side[PRIMARY], DISK_WRITE, 0, 9 * MIB, 4096, 8);
	(void)join(w, false);
	for (uint64_t chunk = 0; chunk < 16; chunk++)
		ck_assert(disks_is_dirty(w->side[OTHER].disks, 0, chunk) == (chunk == 2));
	world_close(w);
}

/* It was taken off the replicas and added again, while its node was away: what was written meanwhile is marked nowhere any more. */
TEST(who_was_left_out_is_compared_as_a_whole)
{
	struct world *w = world_open(64 * MIB, 4);

	both(w, 0, 64 * MIB, 7);
	side_change(&w->side[PRIMARY], DISK_WRITE, 0, 9 * MIB, 4096, 8);
	disks_cool(w->side[PRIMARY].disks);
	disks_cool(w->side[PRIMARY].disks);
	ck_assert_uint_eq(join(w, false).total_bytes, 64 * MIB);
	world_is_equal(w);
	ck_assert_uint_eq(disks_cooled(w->side[OTHER].disks), disks_cooled(w->side[PRIMARY].disks));
	world_close(w);
}

/* It forgets what it was sent and what was written since. */
static void lose_all(struct world *w)
{
	side_change(&w->side[OTHER], DISK_TRIM, 0, 8 * MIB, 24 * MIB, 0);
}

TEST(what_a_failed_flush_may_have_lost_is_sent_again)
{
	for (uint64_t seed = 0; seed < 20; seed++) {
		struct world *w = world_open(64 * MIB, seed);
		bool is_empty = seed % 2;

		both(w, 0, 8 * MIB, 7);
		both(w, 32 * MIB, 32 * MIB, 7);
		side_change(&w->side[PRIMARY], DISK_WRITE, 0, 9 * MIB, 4096, 8);
		side_change(&w->side[PRIMARY], DISK_WRITE, 0, 21 * MIB, 4096, 9);
		w->lose = lose_all;
		world_join(w, is_empty);
		world_change(w, DISK_WRITE, 0, 13 * MIB, 8192, 10);
		world_finish(w);
		ck_assert_ptr_null(w->lose);
		ck_assert_uint_eq(w->n_current, 1);
		world_is_equal(w);
		world_close(w);
	}
}

/* Something that a client does. */
static void change_something(struct world *w, uint64_t bytes)
{
	static const enum disk_op ops[] = { DISK_WRITE, DISK_WRITE, DISK_WRITE, DISK_TRIM,
					    DISK_ZERO };
	uint64_t sectors = bytes / DISK_SECTOR_BYTES;
	/* Often the same place. */
	uint64_t from = world_random(w, 3) ? world_random(w, 256) :
					     world_random(w, (uint32_t)sectors);
	uint64_t n = 1 + world_random(w, world_random(w, 4) ? 16 : 1024);

	if (n > sectors - from)
		n = sectors - from;
	world_change(w, ops[world_random(w, 5)], 0, from * DISK_SECTOR_BYTES, n * DISK_SECTOR_BYTES,
		     w->seed);
}

static void start_different(struct world *w, uint64_t bytes)
{
	/* First what both have: afterwards nothing is marked. */
	for (uint32_t i = 0; i < 8; i++) {
		uint64_t at = world_random(w, (uint32_t)(bytes / MIB)) * MIB;

		if (i < 4)
			both(w, at, MIB / 2, w->seed);
		else
			side_change(&w->side[world_random(w, 2)], DISK_WRITE, 0, at, MIB / 2,
				    w->seed);
	}
}

TEST(writes_meanwhile_are_kept)
{
	const uint64_t bytes = 10 * MIB;
	uint64_t rounds = option("SYNC_ROUNDS", 60);
	uint64_t first = option("SYNC_SEED", clock_now_ns() % 1000000007);

	(void)printf("# SYNC_SEED=%llu\n", (unsigned long long)first);
	for (uint64_t i = 0; i < rounds; i++) {
		struct world *w = world_open(bytes, first + i);
		uint32_t left = 200 + world_random(w, 2000);

		start_different(w, bytes);
		world_join(w, world_random(w, 2));
		while (left > 0 && w->n_current == 0) {
			/* Not so many that it never comes to an end. */
			if (w->n_entries < 8 && world_random(w, 3) == 0) {
				change_something(w, bytes);
				left--;
			}
			(void)world_step(w);
		}
		world_finish(w);
		ck_assert_uint_eq(w->n_current, 1);
		world_is_equal(w);
		world_close(w);
	}
}

TEST(who_leaves_in_the_middle_comes_back)
{
	const uint64_t bytes = 10 * MIB;
	uint64_t first = option("SYNC_SEED", clock_now_ns() % 1000000007);

	(void)printf("# SYNC_SEED=%llu\n", (unsigned long long)first);
	for (uint64_t i = 0; i < 30; i++) {
		struct world *w = world_open(bytes, first + i);
		struct sync_progress progress;

		start_different(w, bytes);
		for (uint32_t times = 0; times < 3; times++) {
			world_join(w, world_random(w, 2));
			for (uint32_t n = world_random(w, 60); n > 0 && w->n_current == 0; n--) {
				if (w->n_entries < 8 && world_random(w, 3) == 0)
					change_something(w, bytes);
				(void)world_step(w);
			}
			world_leave(w);
			ck_assert(!sync_look(w->side[PRIMARY].sync, (dvs_nodeid){ OTHER },
					     &progress));
			change_something(w, bytes);
			world_finish(w);
			w->n_current = 0;
		}
		(void)join(w, false);
		world_is_equal(w);
		world_close(w);
	}
}

TEST(a_primary_that_is_none_any_more_stops)
{
	struct world *w = world_open(10 * MIB, 5);
	struct sync_progress progress;

	side_change(&w->side[PRIMARY], DISK_WRITE, 0, 0, 10 * MIB, 1);
	world_join(w, true);
	for (int i = 0; i < 20; i++)
		(void)world_step(w);
	sync_stop(w->side[PRIMARY].sync);
	ck_assert(!sync_look(w->side[PRIMARY].sync, (dvs_nodeid){ OTHER }, &progress));
	world_finish(w);
	ck_assert_uint_eq(w->n_current, 0);
	world_close(w);
}

/* ---- verify ---- */

static struct sync_verify verify(struct world *w, bool repair, uint32_t n_changes)
{
	struct sync_verify verify;

	w->is_member = true;
	ck_assert_int_eq(sync_verify_start(w->side[PRIMARY].sync, repair), DVS_OK);
	ck_assert_int_eq(sync_verify_start(w->side[PRIMARY].sync, repair), DVS_BADSTATE);
	for (; n_changes > 0; n_changes--) {
		if (w->n_entries < 8)
			change_something(w, 10 * MIB);
		(void)world_step(w);
	}
	world_finish(w);
	sync_verify_look(w->side[PRIMARY].sync, &verify);
	ck_assert_uint_eq(verify.state, 2);
	ck_assert_uint_eq(verify.done_bytes, verify.total_bytes);
	return verify;
}

TEST(verify_finds_what_differs_and_nothing_else)
{
	struct world *w = world_open(20 * MIB, 6);
	struct sync_verify found;

	both(w, 0, 20 * MIB, 7);
	ck_assert_uint_eq(verify(w, false, 0).differs, 0);
	side_change(&w->side[OTHER], DISK_WRITE, 0, 5 * MIB, 512, 8);
	side_change(&w->side[OTHER], DISK_WRITE, 0, 6 * MIB, 512, 8);
	side_change(&w->side[OTHER], DISK_WRITE, 0, 20 * MIB - 512, 512, 8);
	found = verify(w, false, 0);
	ck_assert_uint_eq(found.total_bytes, 20 * MIB);
	ck_assert_uint_eq(found.differs, 2);
	ck_assert_uint_eq(found.repaired, 0);
	found = verify(w, true, 0);
	ck_assert_uint_eq(found.differs, 2);
	ck_assert_uint_eq(found.repaired, 2);
	ck_assert_uint_eq(verify(w, false, 0).differs, 0);
	world_is_equal(w);
	world_close(w);
}

static void lose_nothing(struct world *w)
{
	(void)w;
}

TEST(what_was_not_made_stable_counts_as_not_repaired)
{
	struct world *w = world_open(16 * MIB, 8);
	struct sync_verify found;

	both(w, 0, 16 * MIB, 7);
	side_change(&w->side[OTHER], DISK_WRITE, 0, 5 * MIB, 4096, 8);
	w->lose = lose_nothing;
	found = verify(w, true, 0);
	ck_assert_uint_eq(found.differs, 1);
	ck_assert_uint_eq(found.repaired, 0);
	found = verify(w, true, 0);
	ck_assert_uint_eq(found.differs, 0);
	world_close(w);
}

TEST(verify_takes_no_write_for_a_difference)
{
	for (uint64_t seed = 1; seed < 20; seed++) {
		struct world *w = world_open(10 * MIB, seed);

		both(w, 0, 10 * MIB, 7);
		ck_assert_uint_eq(verify(w, false, 500).differs, 0);
		side_change(&w->side[OTHER], DISK_WRITE, 0, 512 * 1024, MIB, 8);
		(void)verify(w, true, 500);
		world_is_equal(w);
		ck_assert_uint_eq(verify(w, false, 100).differs, 0);
		world_close(w);
	}
}

TEST(verify_can_be_stopped)
{
	struct world *w = world_open(20 * MIB, 6);
	struct sync_verify found;

	both(w, 0, 20 * MIB, 7);
	w->is_member = true;
	ck_assert_int_eq(sync_verify_start(w->side[PRIMARY].sync, false), DVS_OK);
	for (int i = 0; i < 10; i++)
		(void)world_step(w);
	sync_verify_stop(w->side[PRIMARY].sync);
	world_finish(w);
	sync_verify_look(w->side[PRIMARY].sync, &found);
	ck_assert_uint_eq(found.state, 3);
	ck_assert_uint_lt(found.done_bytes, found.total_bytes);
	world_close(w);
}

/* ---- speed ---- */

TEST(a_limit_is_kept)
{
	struct world *w = world_open(64 * MIB, 7);
	uint64_t start_ns = clock_now_ns();
	uint64_t span_ns;

	both(w, 0, 64 * MIB, 7);
	sync_tune(w->side[PRIMARY].sync, 100 * MIB);
	start_ns = clock_now_ns();
	(void)join(w, true);
	span_ns = clock_now_ns() - start_ns;
	/* 640 ms, less what may go at once. */
	ck_assert_uint_gt(span_ns, 500 * CLOCK_NS_PER_MS);
	ck_assert_uint_gt(w->n_timers, 10);
	world_close(w);
}

TEST(progress_is_told)
{
	struct world *w = world_open(128 * MIB, 8);
	struct sync_progress progress;
	bool has_eta = false;

	both(w, 0, 128 * MIB, 7);
	sync_tune(w->side[PRIMARY].sync, 100 * MIB);
	world_join(w, true);
	while (world_step(w) && w->n_current == 0) {
		progress = progress_of(w);
		ck_assert_uint_le(progress.done_bytes, progress.total_bytes);
		if (progress.eta_ms == 0)
			continue;
		has_eta = true;
		ck_assert_uint_lt(progress.eta_ms, 5000);
		/* Now without the limit. */
		sync_tune(w->side[PRIMARY].sync, 0);
	}
	ck_assert(has_eta);
	world_finish(w);
	world_close(w);
}

static double cpu_s(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

TEST(unchanged_data_are_gone_over_quickly)
{
	const uint64_t bytes = 512 * MIB;
	struct world *w = world_open(bytes, 9);
	uint64_t start_ns;
	double start_s;
	double cpu;

	both(w, 0, bytes, 7);
	start_ns = clock_now_ns();
	start_s = cpu_s();
	ck_assert_uint_eq(join(w, true).sent_bytes, 0);
	cpu = cpu_s() - start_s;
	/* Both sides do it in this one thread. */
	(void)printf("# compared %.2f GB/s; of CPU time, each side alone %.2f GB/s\n",
		     (double)bytes / (double)(clock_now_ns() - start_ns),
		     2 * (double)bytes / 1e9 / cpu);
	world_close(w);
}

TEST(a_huge_disk_of_holes_is_gone_over_at_once)
{
	struct world *w = world_open(UINT64_C(4) << 40, 10);
	uint64_t start_ns;

	side_change(&w->side[PRIMARY], DISK_WRITE, 0, UINT64_C(3) << 40, MIB, 1);
	side_change(&w->side[OTHER], DISK_WRITE, 0, UINT64_C(2) << 40, MIB, 1);
	start_ns = clock_now_ns();
	ck_assert_uint_eq(join(w, true).sent_bytes, MIB);
	ck_assert_uint_lt(clock_now_ns() - start_ns, 10 * CLOCK_NS_PER_S);
	for (uint32_t i = 0; i < 2; i++) {
		uint64_t got = 0;
		bool is_hole;

		ck_assert_int_eq(disks_extent(w->side[i].disks, 0, 0, UINT64_C(4) << 40, &got,
					      &is_hole),
				 DVS_OK);
		ck_assert(is_hole);
		ck_assert_uint_eq(got, UINT64_C(3) << 40);
	}
	world_close(w);
}

UNIT_MAIN_TIMEOUT("vdd-sync", 180, an_empty_replica_gets_everything,
		  what_is_not_there_any_more_goes_away, what_is_equal_is_not_sent,
		  only_what_was_written_is_compared, who_joins_takes_over_what_others_lack,
		  what_a_failed_flush_may_have_lost_is_sent_again,
		  what_was_not_made_stable_counts_as_not_repaired,
		  who_was_left_out_is_compared_as_a_whole, writes_meanwhile_are_kept,
		  who_leaves_in_the_middle_comes_back, a_primary_that_is_none_any_more_stops,
		  verify_finds_what_differs_and_nothing_else,
		  verify_takes_no_write_for_a_difference, verify_can_be_stopped, a_limit_is_kept,
		  progress_is_told, unchanged_data_are_gone_over_quickly,
		  a_huge_disk_of_holes_is_gone_over_at_once)
