/* SPDX-License-Identifier: Apache-2.0 */
/* Random requests on every kind of store, beside the model. DVS_SEED in the environment is the first seed, DVS_ROUNDS how many. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "unit.h"
#include "vdd_model.h"

#define ROUNDS 6u
#define TURNS 6u
#define REQUESTS 500u

static uint64_t number_of(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

static uint64_t first_seed(void)
{
	return number_of("DVS_SEED", (uint64_t)time(NULL) * 1000 + (uint64_t)getpid() % 1000);
}

static struct disks_config config_of(enum disk_store store, uint64_t bytes, const char *dir)
{
	return (struct disks_config){
		.id = "5a8b0a70-0000-4000-8000-000000000002",
		.dir = dir,
		.store = store,
		.bytes = bytes,
	};
}

static struct model *new_model(const struct disks_config *config, uint64_t seed)
{
	struct model *model = malloc(sizeof(*model));

	ck_assert_ptr_nonnull(model);
	(void)printf("# seed %llu\n", (unsigned long long)seed);
	(void)fflush(stdout);
	model_open(model, config, seed);
	return model;
}

static void rounds(enum disk_store store, bool direct)
{
	uint64_t seed = first_seed();

	for (uint64_t r = 0; r < number_of("DVS_ROUNDS", ROUNDS); r++) {
		char dir[] = "/dev/shm/dvs-vdd-XXXXXX";
		struct disks_config config =
			config_of(store, (2500 - 300 * (r % 3)) * DISK_SECTOR_BYTES, dir);
		struct model *model;

		ck_assert_ptr_nonnull(mkdtemp(dir));
		config.direct = direct;
		model = new_model(&config, seed + r);
		for (unsigned int t = 0; t < TURNS; t++) {
			model_run(model, REQUESTS);
			if (t % 3 == 2)
				model_compare(model);
			if (store != DISK_RAM)
				model_reopen(model, NULL);
		}
		model_compare(model);
		model_close(model);
		free(model);
		ck_assert(disks_destroy(dir) == DVS_OK);
		ck_assert_int_ne(access(dir, F_OK), store == DISK_RAM ? 1 : 0);
		(void)rmdir(dir);
	}
}

TEST(disks_in_memory_do_what_the_model_does)
{
	rounds(DISK_RAM, false);
}

TEST(disks_in_files_do_what_the_model_does)
{
	rounds(DISK_FILE, false);
}

TEST(disks_past_the_page_cache_do_what_the_model_does)
{
	rounds(DISK_FILE, true);
}

/* What was answered is there when the process is killed, flushed or not: the directory is copied while it is open, and the copy goes on. */
TEST(disks_of_a_killed_process_have_all_that_was_answered)
{
	char base[] = "/dev/shm/dvs-vdd-XXXXXX", dir[TURNS + 1][sizeof(base) + 8], command[300];
	struct disks_config config = config_of(DISK_FILE, 2000 * DISK_SECTOR_BYTES, dir[0]);
	struct model *model;

	ck_assert_ptr_nonnull(mkdtemp(base));
	(void)snprintf(dir[0], sizeof(dir[0]), "%s/0", base);
	model = new_model(&config, first_seed());
	for (unsigned int t = 0; t < TURNS; t++) {
		model_run(model, REQUESTS);
		(void)snprintf(dir[t + 1], sizeof(dir[0]), "%s/%u", base, t + 1);
		(void)snprintf(command, sizeof(command), "cp -a --sparse=always %s %s", dir[t],
			       dir[t + 1]);
		ck_assert_int_eq(system(command), 0);
		model_reopen(model, dir[t + 1]);
		ck_assert(disks_destroy(dir[t]) == DVS_OK);
		model_compare(model);
	}
	model_close(model);
	ck_assert(disks_destroy(dir[TURNS]) == DVS_OK);
	free(model);
	ck_assert_int_eq(rmdir(base), 0);
}

UNIT_MAIN_TIMEOUT("vdd-random", 120, disks_in_memory_do_what_the_model_does,
		  disks_in_files_do_what_the_model_does,
		  disks_past_the_page_cache_do_what_the_model_does,
		  disks_of_a_killed_process_have_all_that_was_answered)
