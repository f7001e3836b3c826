/* SPDX-License-Identifier: Apache-2.0 */
/* Power cuts at any moment: what was flushed is there, a snapshot shows what it showed, and each block has one of the values that were written since. DVS_SEED in the environment
 * is the first seed, DVS_ROUNDS how many. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "unit.h"
#include "vdd_help.h"
#include "vdd_power.h"

#define BLOCK 4096u
#define BLOCKS 96u /* 6 granules */
#define DISKS 6u
#define VALUES 100u
#define WRITES 10u
#define ROUNDS 40u
#define CUTS 12u

struct block {
	uint64_t value[VALUES]; /* the last one is what a read shows */
	uint32_t n;
};

struct disk_model {
	bool is_there;
	uint32_t kind;
	uint32_t parent;
	struct block block[BLOCKS];
};

struct world {
	struct turns turns;
	struct disks *disks;
	char base[64];
	char dir[96];
	unsigned int n_dirs;
	uint64_t state;
	uint64_t number;
	struct disk_model disk[DISKS];
	struct one write[WRITES];
	uint8_t *room[WRITES];
};

static uint64_t below(void *context, uint64_t n)
{
	struct world *world = context;

	world->state ^= world->state << 13;
	world->state ^= world->state >> 7;
	world->state ^= world->state << 17;
	return (world->state * UINT64_C(0x2545f4914f6cdd1d) >> 11) % n;
}

static void open_world(struct world *world)
{
	char why[DISK_WHY_MAX + 1];
	struct disks_config config = {
		.id = "5a8b0a70-0000-4000-8000-000000000006",
		.dir = world->dir,
		.store = DISK_FILE,
		.bytes = BLOCKS * (uint64_t)BLOCK,
		.poster = turns_poster(&world->turns),
	};
	bool is_empty;
	dvs_err err = disks_open(&config, &world->disks, &is_empty, why);

	ck_assert_msg(err == DVS_OK, "%s", why);
}

static void settle_block(struct block *block)
{
	block->value[0] = block->value[block->n - 1];
	block->n = 1;
}

/* What it shows is on stable storage. */
static void settle(struct disk_model *disk)
{
	for (uint32_t b = 0; b < BLOCKS; b++)
		settle_block(&disk->block[b]);
}

static void wait_all(struct world *world)
{
	for (uint32_t i = 0; i < WRITES; i++) {
		while (world->write[i].io.op && !world->write[i].is_done)
			turns_run(&world->turns);
		world->write[i].io.op = 0;
	}
}

static uint32_t some_disk(struct world *world, bool to_write)
{
	uint32_t minor;

	do
		minor = (uint32_t)below(world, DISKS);
	while (!world->disk[minor].is_there || (to_write && world->disk[minor].kind == 2));
	return minor;
}

static void write_some(struct world *world, uint32_t slot)
{
	struct one *one = &world->write[slot];
	uint32_t minor = some_disk(world, true);
	uint32_t first = (uint32_t)below(world, BLOCKS);
	uint32_t n = 1 + (uint32_t)below(world, below(world, 3) ? 4 : 20);
	bool is_trim = below(world, 5) == 0;

	n = n < BLOCKS - first ? n : BLOCKS - first;
	one->io = (struct disk_io){ .op = is_trim ? DISK_TRIM : DISK_WRITE,
				    .minor = minor,
				    .offset = (uint64_t)first * BLOCK,
				    .bytes = (uint64_t)n * BLOCK,
				    .buffer = world->room[slot] };
	for (uint32_t b = first; b < first + n; b++) {
		struct block *block = &world->disk[minor].block[b];
		uint64_t value = is_trim ? 0 : ++world->number;

		ck_assert_uint_lt(block->n, VALUES);
		block->value[block->n++] = value;
		memset(world->room[slot] + (size_t)(b - first) * BLOCK, 0, BLOCK);
		for (uint32_t i = 0; i < BLOCK; i += 512)
			memcpy(world->room[slot] + (size_t)(b - first) * BLOCK + i, &value, 8);
	}
	one_submit(world->disks, &one[0]);
}

static void flush_one(struct world *world)
{
	uint32_t minor = some_disk(world, true);

	ck_assert(do_io(&world->turns, world->disks, DISK_FLUSH, minor, 0, 0, NULL) == DVS_OK);
	settle(&world->disk[minor]);
}

static void make_one(struct world *world)
{
	uint32_t minor = some_disk(world, false);
	struct disk_model *of = &world->disk[minor];
	struct one one = { .io = { .op = of->kind == 2 ? DISK_CLONE : DISK_SNAPSHOT,
				   .minor = minor } };
	uint32_t n = 0;

	for (uint32_t m = 0; m < DISKS; m++)
		n += world->disk[m].is_there;
	if (n == DISKS)
		return;
	(void)snprintf(one.io.name, sizeof(one.io.name), "d%llu",
		       (unsigned long long)++world->number);
	ck_assert(one_run(&world->turns, world->disks, &one) == DVS_OK);
	settle(of);
	world->disk[one.io.made] = *of;
	world->disk[one.io.made].is_there = true;
	world->disk[one.io.made].kind = of->kind == 2 ? 3 : 2;
	world->disk[one.io.made].parent = minor;
}

static void remove_one(struct world *world)
{
	struct one one = { .io = { .op = DISK_REMOVE, .minor = some_disk(world, false) } };

	if (one_run(&world->turns, world->disks, &one) == DVS_OK)
		world->disk[one.io.minor].is_there = false;
	else
		ck_assert(one.err == DVS_BADSTATE);
}

static void check_disk(struct world *world, uint32_t minor)
{
	static uint8_t room[BLOCKS * BLOCK];
	struct disk_model *disk = &world->disk[minor];

	ck_assert(do_io(&world->turns, world->disks, DISK_READ, minor, 0, sizeof(room), room) ==
		  DVS_OK);
	for (uint32_t b = 0; b < BLOCKS; b++) {
		struct block *block = &disk->block[b];
		bool is_known = false;
		uint64_t value;

		memcpy(&value, room + (size_t)b * BLOCK, 8);
		for (uint32_t i = 0; i < block->n; i++)
			is_known |= block->value[i] == value;
		ck_assert_msg(is_known,
			      "minor %u of kind %u block %u has %llu, not %llu (of %u, %llu)",
			      minor, disk->kind, b, (unsigned long long)value,
			      (unsigned long long)block->value[block->n - 1], block->n,
			      (unsigned long long)block->value[0]);
		/* The mark comes before what it tells of. */
		ck_assert(value == block->value[0] || disks_is_dirty(world->disks, minor, 0));
		/* It is what the machine has from now on, as if it had been there always. */
		block->value[0] = value;
		block->n = 1;
	}
}

static void cut(struct world *world)
{
	char old[sizeof(world->dir)];

	memcpy(old, world->dir, sizeof(old));
	(void)snprintf(world->dir, sizeof(world->dir), "%.60s/%u", world->base, ++world->n_dirs);
	power_cut(old, world->dir, below, world);
	wait_all(world);
	disks_close(world->disks);
	turns_poll(&world->turns);
	power_forget();
	ck_assert(disks_destroy(old) == DVS_OK);
	open_world(world);
	for (uint32_t m = 0; m < DISKS; m++) {
		if (world->disk[m].is_there)
			check_disk(world, m);
	}
}

static void write_many(struct world *world)
{
	for (uint32_t i = 0; i < WRITES; i++)
		write_some(world, i);
}

static void live(struct world *world)
{
	for (uint32_t step = 0; step < 1 + below(world, 6); step++) {
		write_many(world);
		if (below(world, 6) == 0)
			return;
		wait_all(world);
		if (below(world, 6) == 0) {
			/* The cut comes while the snapshot gets its blocks. */
			make_one(world);
			write_many(world);
			return;
		}
		switch (below(world, 6)) {
		case 0:
			flush_one(world);
			break;
		case 1:
		case 2:
			make_one(world);
			break;
		case 3:
			remove_one(world);
			break;
		default:
			break;
		}
	}
}

TEST(a_power_cut_takes_nothing_that_was_flushed_or_kept)
{
	const char *text = getenv("DVS_SEED"), *rounds = getenv("DVS_ROUNDS");
	uint64_t seed = text ? strtoull(text, NULL, 10) : (uint64_t)time(NULL);

	for (uint64_t r = 0; r < (rounds ? strtoull(rounds, NULL, 10) : ROUNDS); r++) {
		struct world *world = calloc(1, sizeof(*world));

		(void)printf("# seed %llu\n", (unsigned long long)(seed + r));
		(void)fflush(stdout);
		world->state = (seed + r) * UINT64_C(0x9e3779b97f4a7c15) | 1;
		for (uint32_t i = 0; i < WRITES; i++)
			world->room[i] = malloc(BLOCKS * BLOCK);
		(void)snprintf(world->base, sizeof(world->base), "/dev/shm/dvs-vdd-XXXXXX");
		ck_assert_ptr_nonnull(mkdtemp(world->base));
		(void)snprintf(world->dir, sizeof(world->dir), "%.60s/0", world->base);
		turns_open(&world->turns);
		world->disk[0].is_there = true;
		world->disk[0].kind = 1;
		for (uint32_t b = 0; b < BLOCKS; b++)
			world->disk[0].block[b].n = 1;
		open_world(world);
		for (uint32_t c = 0; c < CUTS; c++) {
			live(world);
			cut(world);
		}
		disks_close(world->disks);
		turns_close(&world->turns);
		power_forget();
		ck_assert(disks_destroy(world->dir) == DVS_OK);
		ck_assert_int_eq(rmdir(world->base), 0);
		for (uint32_t i = 0; i < WRITES; i++)
			free(world->room[i]);
		free(world);
	}
}

UNIT_MAIN_TIMEOUT("vdd-cuts", 120, a_power_cut_takes_nothing_that_was_flushed_or_kept)
