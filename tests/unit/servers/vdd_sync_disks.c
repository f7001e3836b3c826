/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing up to date with snapshots and clones, which come and go meanwhile. As in vdd_sync.c SYNC_SEED repeats a run, SYNC_ROUNDS makes it longer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "sync_world.h"

#define MIB (UINT64_C(1) << 20)
#define BYTES (9 * MIB)

static uint64_t option(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

static struct world *open_with_snapshots(uint64_t seed)
{
	struct world *w = world_open(BYTES, seed);

	w->has_snapshots = true;
	return w;
}

static struct disk_io control(struct world *w, enum disk_op op, uint32_t minor, const char *name)
{
	struct disk_io io = { .op = op, .minor = minor };

	/* The clock of a former primary may have been ahead. */
	io.now_ns = 1000000 + w->n_current + world_random(w, 1000);
	(void)snprintf(io.name, sizeof(io.name), "%s", name);
	return io;
}

static void both_control(struct world *w, const struct disk_io *io)
{
	for (uint32_t i = 0; i < 2; i++) {
		struct one one = { .io = *io };

		(void)one_run(&w->side[i].turns, w->side[i].disks, &one);
	}
}

static void one_control(struct side *side, const struct disk_io *io)
{
	struct one one = { .io = *io };

	ck_assert_int_eq(one_run(&side->turns, side->disks, &one), DVS_OK);
}

static void both_write(struct world *w, uint32_t minor, uint64_t offset, uint64_t bytes,
		       uint64_t seed)
{
	side_change(&w->side[PRIMARY], DISK_WRITE, minor, offset, bytes, seed);
	side_change(&w->side[OTHER], DISK_WRITE, minor, offset, bytes, seed);
}

static void forget_marks(struct world *w)
{
	for (uint32_t i = 0; i < 4; i++)
		disks_cool(w->side[i / 2].disks);
}

static void join(struct world *w, bool is_empty)
{
	uint32_t before = w->n_current;

	world_join(w, is_empty);
	world_finish(w);
	ck_assert_uint_eq(w->n_current, before + 1);
	world_is_equal(w);
}

TEST(snapshots_that_were_made_meanwhile_are_made)
{
	struct world *w = open_with_snapshots(1);
	struct disk_io io = control(w, DISK_SNAPSHOT, 0, "old");

	both_write(w, 0, 0, 2 * MIB, 1);
	both_control(w, &io);
	both_write(w, 0, MIB, 2 * MIB, 2);
	forget_marks(w);
	/* Now the other one is away. */
	io = control(w, DISK_SNAPSHOT, 0, "new");
	io.now_ns = 2000000;
	side_change(&w->side[PRIMARY], DISK_WRITE, 0, 5 * MIB, MIB, 3);
	one_control(&w->side[PRIMARY], &io);
	side_change(&w->side[PRIMARY], DISK_WRITE, 0, 5 * MIB, MIB / 2, 4);
	io = control(w, DISK_CLONE, 2, "clone");
	one_control(&w->side[PRIMARY], &io);
	side_change(&w->side[PRIMARY], DISK_WRITE, 3, 8 * MIB, 4096, 5);
	side_change(&w->side[PRIMARY], DISK_WRITE, 3, 5 * MIB, 4096, 6);
	join(w, false);
	world_close(w);
}

TEST(what_nobody_else_has_is_removed)
{
	struct world *w = open_with_snapshots(2);
	struct disk_io io = control(w, DISK_SNAPSHOT, 0, "both");

	both_write(w, 0, 0, 2 * MIB, 1);
	both_control(w, &io);
	forget_marks(w);
	/* The other one was the primary, and took a write and a snapshot that nobody else has. */
	side_change(&w->side[OTHER], DISK_WRITE, 0, MIB, MIB, 2);
	io = control(w, DISK_SNAPSHOT, 0, "mine");
	one_control(&w->side[OTHER], &io);
	/* The new primary made another one of that number. */
	io = control(w, DISK_SNAPSHOT, 0, "theirs");
	one_control(&w->side[PRIMARY], &io);
	side_change(&w->side[PRIMARY], DISK_WRITE, 0, MIB / 2, MIB, 3);
	join(w, false);
	world_close(w);
}

TEST(a_snapshot_in_the_middle_was_removed)
{
	struct world *w = open_with_snapshots(3);
	static const char *const names[] = { "one", "two", "three" };

	for (uint32_t i = 0; i < 3; i++) {
		struct disk_io io = control(w, DISK_SNAPSHOT, 0, names[i]);

		both_write(w, 0, i * MIB, 2 * MIB, i);
		both_control(w, &io);
	}
	both_write(w, 0, 0, 8 * MIB, 9);
	forget_marks(w);
	one_control(&w->side[PRIMARY], &(struct disk_io){ .op = DISK_REMOVE, .minor = 2 });
	join(w, false);
	world_close(w);
}

TEST(other_sizes_become_the_same)
{
	struct world *w = open_with_snapshots(4);
	struct disk_io io = control(w, DISK_SNAPSHOT, 0, "small");

	both_write(w, 0, 0, BYTES, 1);
	forget_marks(w);
	one_control(&w->side[PRIMARY], &io);
	one_control(&w->side[PRIMARY],
		    &(struct disk_io){ .op = DISK_RESIZE, .bytes = BYTES + 2 * MIB });
	side_change(&w->side[PRIMARY], DISK_WRITE, 0, BYTES - MIB, 2 * MIB, 2);
	/* It had shrunk there, which nobody else knows. */
	one_control(&w->side[OTHER], &(struct disk_io){ .op = DISK_RESIZE, .bytes = 3 * MIB });
	one_control(&w->side[OTHER], &(struct disk_io){ .op = DISK_RESIZE, .bytes = 4 * MIB });
	join(w, false);
	world_close(w);
}

TEST(who_comes_back_learns_who_may_write)
{
	struct world *w = open_with_snapshots(5);
	struct disk_io io = control(w, DISK_SNAPSHOT, 0, "s");

	both_write(w, 0, 0, MIB, 1);
	both_control(w, &io);
	forget_marks(w);
	one_control(&w->side[PRIMARY], &(struct disk_io){ .op = DISK_CLAIM, .claim = 3 });
	io = control(w, DISK_CLONE, 1, "clone");
	one_control(&w->side[PRIMARY], &io);
	one_control(&w->side[PRIMARY],
		    &(struct disk_io){ .op = DISK_CLAIM, .minor = 2, .claim = 8 });
	join(w, false);
	ck_assert_uint_eq(disks_claim(w->side[OTHER].disks, 0), 3);
	ck_assert_uint_eq(disks_claim(w->side[OTHER].disks, 2), 8);
	world_close(w);
}

/* ---- by chance ---- */

static uint32_t some_minor(struct world *w)
{
	return world_random(w, 3) ? 0 : world_random(w, 6);
}

static void change_something(struct world *w)
{
	static const enum disk_op ops[] = { DISK_WRITE, DISK_WRITE, DISK_TRIM, DISK_ZERO };
	uint64_t sectors = BYTES / DISK_SECTOR_BYTES;
	uint64_t from = world_random(w, 3) ? world_random(w, 256) :
					     world_random(w, (uint32_t)sectors);
	uint64_t n = 1 + world_random(w, world_random(w, 4) ? 16 : 1024);

	if (n > sectors - from)
		n = sectors - from;
	world_change(w, ops[world_random(w, 4)], some_minor(w), from * DISK_SECTOR_BYTES,
		     n * DISK_SECTOR_BYTES, w->seed);
}

static struct disk_io some_control(struct world *w)
{
	char name[16];
	struct disk_io io;

	(void)snprintf(name, sizeof(name), "n%u", world_random(w, 1000));
	switch (world_random(w, 4)) {
	case 0:
		io = control(w, DISK_SNAPSHOT, some_minor(w), name);
		break;
	case 1:
		io = control(w, DISK_CLONE, 1 + world_random(w, 5), name);
		break;
	case 2:
		io = control(w, DISK_REMOVE, 1 + world_random(w, 5), "");
		break;
	default:
		io = control(w, DISK_RESIZE, some_minor(w), "");
		io.bytes = BYTES - MIB + world_random(w, 6) * (MIB / 2);
		break;
	}
	return io;
}

/* N things that clients do. */
static void live(struct world *w, uint32_t n)
{
	uint32_t before = w->n_current;

	while (n > 0 && w->n_current == before) {
		if (w->n_entries < 6 && world_random(w, 3) == 0) {
			if (world_random(w, 12) == 0) {
				struct disk_io io = some_control(w);

				world_control(w, &io);
			} else {
				change_something(w);
			}
			n--;
		}
		(void)world_step(w);
	}
}

static void begin(struct world *w)
{
	for (uint32_t i = 0; i < 12; i++) {
		struct disk_io io = some_control(w);

		both_write(w, 0, world_random(w, 8) * MIB, MIB / 2, w->seed);
		if (io.op == DISK_SNAPSHOT || io.op == DISK_CLONE)
			both_control(w, &io);
	}
	forget_marks(w);
}

TEST(disks_that_come_and_go_are_the_same)
{
	uint64_t rounds = option("SYNC_ROUNDS", 60);
	uint64_t first = option("SYNC_SEED", clock_now_ns() % 1000000007);

	(void)printf("# SYNC_SEED=%llu\n", (unsigned long long)first);
	for (uint64_t i = 0; i < rounds; i++) {
		struct world *w = open_with_snapshots(first + i);

		begin(w);
		w->is_away = true;
		live(w, world_random(w, 60));
		world_finish(w);
		world_join(w, world_random(w, 4) == 0);
		live(w, world_random(w, 300));
		world_finish(w);
		ck_assert_uint_eq(w->n_current, 1);
		world_is_equal(w);
		/* From here on the same comes of everything. */
		w->is_same = true;
		live(w, 30);
		world_finish(w);
		world_is_equal(w);
		world_close(w);
	}
}

UNIT_MAIN_TIMEOUT("vdd-sync-disks", 180, snapshots_that_were_made_meanwhile_are_made,
		  what_nobody_else_has_is_removed, a_snapshot_in_the_middle_was_removed,
		  other_sizes_become_the_same, who_comes_back_learns_who_may_write,
		  disks_that_come_and_go_are_the_same)
