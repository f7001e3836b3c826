/* SPDX-License-Identifier: Apache-2.0 */
/* Random operations; then the medium as a power cut could leave it at any point: flushed writes are there, the others are, are not, or are in part. It opens, nothing is wrong with it, what was synced is there, and no file
 * shows another one's bytes. And as a dead process leaves it: everything is there.
 * FS_CRASH_SEEDS=N tries N seeds, FS_CRASH_SEED=S one. */
#include <stdio.h>
#include <stdlib.h>

#include "fs_world.h"
#include "unit.h"

#define MIB (UINT64_C(1) << 20)
#define ROUNDS 12

static uint64_t setting(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

static void look_at_cut(const struct world *world, const struct traced *traced, size_t n,
			uint64_t *seed, bool none)
{
	struct traced *left = traced_cut(traced, n, seed, none);
	struct fs *fs = world_open(traced_medium(left));

	world_check(fs);
	world_compare_synced(fs, world);
	/* It can be gone on with. */
	ck_assert(fsimage_sync(fs_image(fs)) == DVS_OK);
	fs_close(fs, true);
	traced_free(left);
}

static void look_at_death(const struct world *world, const struct traced *traced, size_t n)
{
	struct traced *left = traced_death(traced, n);
	struct fs *fs = world_open(traced_medium(left));

	world_check(fs);
	if (n == traced->n_ops)
		world_compare(fs, world->file);
	else
		world_compare_synced(fs, world);
	fs_close(fs, true);
	traced_free(left);
}

static void crash_with(uint64_t seed)
{
	struct traced *traced = traced_new(16 * MIB);
	struct world world;

	(void)fprintf(stderr, "# seed %llu\n", (unsigned long long)seed);
	world_make(traced_medium(traced));
	world_init(&world, world_open(traced_medium(traced)), seed);
	world_sync(&world);
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t steps = 1 + traced_random(&seed) % 12;
		size_t before;

		traced_keep(traced);
		for (uint64_t i = 0; i < steps; i++)
			world_step(&world);
		/* A sync that an operation needed is one of many points. */
		look_at_cut(&world, traced, traced->n_ops, &seed, true);
		look_at_death(&world, traced, traced->n_ops);
		for (int i = 0; i < 4 && traced->n_ops > 0; i++) {
			look_at_cut(&world, traced, traced->n_ops, &seed, false);
			look_at_cut(&world, traced, traced_random(&seed) % traced->n_ops, &seed,
				    false);
		}
		look_at_death(&world, traced, traced->n_ops - traced->n_ops / 3);
		/* Within a sync, too: what it says to be over must not be so too early. */
		before = traced->n_ops;
		ck_assert(fsimage_sync(fs_image(world.fs)) == DVS_OK);
		for (int i = 0; i < 6 && traced->n_ops > before; i++)
			look_at_cut(&world, traced,
				    before + traced_random(&seed) % (traced->n_ops - before), &seed,
				    false);
		world_sync(&world);
		look_at_cut(&world, traced, traced->n_ops, &seed, false);
	}
	fs_close(world.fs, true);
	world_free(&world);
	traced_free(traced);
}

TEST(no_crash_damages_a_file_system)
{
	uint64_t one = setting("FS_CRASH_SEED", 0);
	uint64_t n = setting("FS_CRASH_SEEDS", 1);

	if (one)
		crash_with(one);
	for (uint64_t i = 1; !one && i <= n; i++)
		crash_with(i);
}
END_TEST

/* Without crashes: what it gives is what the model says, also when it is full. */
TEST(files_are_what_a_model_says)
{
	uint64_t n = setting("FS_CRASH_SEEDS", 1);

	for (uint64_t seed = 1; seed <= n; seed++) {
		struct traced *traced = traced_new(seed % 2 ? 16 * MIB : 24 * MIB);
		struct world world;

		world_make(traced_medium(traced));
		world_init(&world, world_open(traced_medium(traced)), seed);
		for (int i = 0; i < 500; i++) {
			world_step(&world);
			if (i % 100 == 0)
				world_sync(&world);
			if (i % 300 == 0) {
				world_check(world.fs);
				fs_close(world.fs, i % 200 == 0);
				world.fs = world_open(traced_medium(traced));
				world_compare(world.fs, world.file);
			}
		}
		world_compare(world.fs, world.file);
		world_check(world.fs);
		fs_close(world.fs, true);
		world_free(&world);
		traced_free(traced);
	}
}
END_TEST

UNIT_MAIN_TIMEOUT("fs-crash", 3000, no_crash_damages_a_file_system, files_are_what_a_model_says)
