/* SPDX-License-Identifier: Apache-2.0 */
/* Disks in files when system calls fail, when there is no space, and when files are not what they should be. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"
#include "vdd_help.h"

#define GRANULE DISK_GRANULE_BYTES
#define GRANULES 6u
#define BYTES (GRANULES * (uint64_t)GRANULE)

/* ---- system calls that fail ---- */

static _Atomic int calls_left = -1; /* the one after so many fails; negative: none */
static _Atomic int fails_with;
static _Atomic bool is_full; /* nothing can be written */

static bool fails(void)
{
	if (atomic_load(&calls_left) >= 0 && atomic_fetch_sub(&calls_left, 1) == 0) {
		errno = atomic_load(&fails_with);
		return true;
	}
	return false;
}

static bool finds_no_space(void)
{
	if (atomic_load(&is_full))
		errno = ENOSPC;
	return atomic_load(&is_full);
}

ssize_t __real_pwrite64(int fd, const void *buffer, size_t bytes, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *buffer, size_t bytes, off_t offset);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_ftruncate64(int fd, off_t bytes);
int __wrap_ftruncate64(int fd, off_t bytes);
int __real_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to);

ssize_t __wrap_pwrite64(int fd, const void *buffer, size_t bytes, off_t offset)
{
	/* A call that fails may have done half of it. */
	if (fails()) {
		int saved = errno;

		/* Half of it may be done, in whole pages. */
		if (bytes > 4096)
			(void)!__real_pwrite64(fd, buffer, bytes / 2, offset);
		errno = saved;
		return -1;
	}
	if (finds_no_space())
		return -1;
	return __real_pwrite64(fd, buffer, bytes, offset);
}

int __wrap_fdatasync(int fd)
{
	return fails() ? -1 : __real_fdatasync(fd);
}

int __wrap_fsync(int fd)
{
	return fails() ? -1 : __real_fsync(fd);
}

int __wrap_ftruncate64(int fd, off_t bytes)
{
	return fails() ? -1 : __real_ftruncate64(fd, bytes);
}

int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return fails() ? -1 : __real_renameat(from_dir, from, to_dir, to);
}

/* ---- a volume whose granules have a number each ---- */

#define SEEN_MAX 4u

struct shown {
	bool is_sure; /* it was answered that it is there */
	uint32_t minor;
	/* What a granule may have: the last that was answered, and those that failed after that. */
	uint64_t number[GRANULES][SEEN_MAX];
	uint32_t n[GRANULES];
};

struct scene {
	char dir[64];
	struct turns turns;
	struct disks *disks;
	struct shown volume;
	struct shown first;
	struct shown second;
	struct shown clone;
	unsigned int n_failed;
};

static dvs_err scene_open_also(struct scene *scene, bool *is_empty, char *why)
{
	struct disks_config config = {
		.id = "5a8b0a70-0000-4000-8000-000000000004",
		.dir = scene->dir,
		.store = DISK_FILE,
		.bytes = BYTES,
		.poster = turns_poster(&scene->turns),
	};

	return disks_open(&config, &scene->disks, is_empty, why);
}

static dvs_err scene_open(struct scene *scene, char *why)
{
	bool is_empty;

	return scene_open_also(scene, &is_empty, why);
}

static void scene_begin(struct scene *scene)
{
	memset(scene, 0, sizeof(*scene));
	(void)snprintf(scene->dir, sizeof(scene->dir), "/dev/shm/dvs-vdd-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(scene->dir));
	turns_open(&scene->turns);
	scene->volume.is_sure = true;
	for (uint32_t g = 0; g < GRANULES; g++)
		scene->volume.n[g] = 1;
}

static void scene_end(struct scene *scene)
{
	disks_close(scene->disks);
	turns_close(&scene->turns);
	ck_assert(disks_destroy(scene->dir) == DVS_OK);
	ck_assert_int_eq(access(scene->dir, F_OK), -1);
}

static void numbered(void *room, uint64_t number)
{
	if (number == 0)
		memset(room, 0, GRANULE);
	else
		fill(room, GRANULE, number);
}

static dvs_err put(struct scene *scene, struct shown *shown, uint32_t granule, uint64_t number)
{
	static uint8_t room[GRANULE];
	dvs_err err;

	if (!shown->is_sure)
		return DVS_NOTFOUND;
	numbered(room, number);
	err = do_io(&scene->turns, scene->disks, number ? DISK_WRITE : DISK_TRIM, shown->minor,
		    (uint64_t)granule * GRANULE, GRANULE, room);
	if (err == DVS_OK)
		shown->n[granule] = 0;
	else
		scene->n_failed++;
	shown->number[granule][shown->n[granule]++] = number;
	return err;
}

/* Half of it was written perhaps: each half is one of those that it can be. */
static void check_granule(const struct shown *shown, uint32_t granule, const uint8_t *room)
{
	static uint8_t wanted[GRANULE];

	for (uint32_t half = 0; half < 2; half++) {
		bool is_right = false;

		for (uint32_t i = 0; i < shown->n[granule] && !is_right; i++) {
			numbered(wanted, shown->number[granule][i]);
			is_right = memcmp(wanted + half * GRANULE / 2, room + half * GRANULE / 2,
					  GRANULE / 2) == 0;
		}
		ck_assert_msg(is_right, "minor %u granule %u", shown->minor, granule);
	}
}

static void check(struct scene *scene, const struct shown *shown)
{
	static uint8_t room[GRANULE];

	for (uint32_t g = 0; shown->is_sure && g < GRANULES; g++) {
		ck_assert(do_io(&scene->turns, scene->disks, DISK_READ, shown->minor,
				(uint64_t)g * GRANULE, GRANULE, room) == DVS_OK);
		check_granule(shown, g, room);
	}
}

static void check_all(struct scene *scene)
{
	check(scene, &scene->volume);
	check(scene, &scene->first);
	check(scene, &scene->second);
	check(scene, &scene->clone);
}

static void make(struct scene *scene, struct shown *shown, const struct shown *of, enum disk_op op,
		 const char *name)
{
	struct one one = { .io = { .op = op, .minor = of->minor } };

	(void)snprintf(one.io.name, sizeof(one.io.name), "%s", name);
	if (!of->is_sure)
		return;
	*shown = *of;
	shown->is_sure = one_run(&scene->turns, scene->disks, &one) == DVS_OK;
	shown->minor = one.io.made;
	scene->n_failed += !shown->is_sure;
}

static void play(struct scene *scene)
{
	struct one one = { .io = { .op = DISK_REMOVE } };

	for (uint32_t g = 0; g < 4; g++)
		(void)!put(scene, &scene->volume, g, 10 + g);
	make(scene, &scene->first, &scene->volume, DISK_SNAPSHOT, "first");
	(void)!put(scene, &scene->volume, 1, 21);
	(void)!put(scene, &scene->volume, 2, 22);
	make(scene, &scene->second, &scene->volume, DISK_SNAPSHOT, "second");
	make(scene, &scene->clone, &scene->first, DISK_CLONE, "clone");
	(void)!put(scene, &scene->clone, 2, 32);
	(void)!put(scene, &scene->volume, 2, 42);
	(void)!put(scene, &scene->clone, 3, 33);
	(void)!put(scene, &scene->volume, 0, 0);
	(void)!put(scene, &scene->clone, 2, 0);
	(void)!do_io(&scene->turns, scene->disks, DISK_FLUSH, 0, 0, 0, NULL);
	if (scene->clone.is_sure)
		(void)!do_io(&scene->turns, scene->disks, DISK_FLUSH, scene->clone.minor, 0, 0,
			     NULL);
	check_all(scene);
	if (scene->second.is_sure) {
		one.io.minor = scene->second.minor;
		scene->n_failed += one_run(&scene->turns, scene->disks, &one) != DVS_OK;
		scene->second.is_sure = false;
	}
	(void)!put(scene, &scene->volume, 3, 53);
	check_all(scene);
}

static void fail_each(int errno_value)
{
	char why[DISK_WHY_MAX + 1];
	bool is_over = false;

	for (int n = 0; !is_over; n++) {
		struct scene scene;

		ck_assert_int_lt(n, 1000);
		scene_begin(&scene);
		atomic_store(&fails_with, errno_value);
		atomic_store(&calls_left, n);
		if (scene_open(&scene, why) == DVS_OK) {
			play(&scene);
			disks_close(scene.disks);
		} else {
			ck_assert_uint_gt(strlen(why), 0);
		}
		turns_poll(&scene.turns);
		is_over = atomic_load(&calls_left) >= 0;
		atomic_store(&calls_left, -1);
		ck_assert_msg(scene_open(&scene, why) == DVS_OK, "call %d: %s", n, why);
		check_all(&scene);
		scene_end(&scene);
	}
}

TEST(what_was_answered_stays_when_any_call_fails)
{
	fail_each(EIO);
}

TEST(what_was_answered_stays_when_any_call_finds_no_space)
{
	fail_each(ENOSPC);
}

TEST(a_full_disk_is_told_to_the_writer_and_goes_on_when_there_is_space)
{
	char why[DISK_WHY_MAX + 1];
	struct scene scene;
	struct one one = { .io = { .op = DISK_SNAPSHOT, .name = "third" } };

	scene_begin(&scene);
	ck_assert(scene_open(&scene, why) == DVS_OK);
	play(&scene);
	ck_assert_uint_eq(scene.n_failed, 0);
	atomic_store(&is_full, true);
	ck_assert(put(&scene, &scene.volume, 1, 61) == DVS_NOSPACE);
	ck_assert(put(&scene, &scene.volume, 5, 65) == DVS_NOSPACE);
	ck_assert(put(&scene, &scene.clone, 1, 71) == DVS_NOSPACE);
	ck_assert(put(&scene, &scene.clone, 3, 73) == DVS_NOSPACE);
	ck_assert(one_run(&scene.turns, scene.disks, &one) == DVS_NOSPACE);
	check_all(&scene);
	atomic_store(&is_full, false);
	ck_assert(put(&scene, &scene.volume, 1, 81) == DVS_OK);
	ck_assert(put(&scene, &scene.volume, 5, 85) == DVS_OK);
	ck_assert(put(&scene, &scene.clone, 1, 91) == DVS_OK);
	ck_assert(put(&scene, &scene.clone, 3, 93) == DVS_OK);
	check_all(&scene);
	disks_close(scene.disks);
	turns_poll(&scene.turns);
	ck_assert(scene_open(&scene, why) == DVS_OK);
	check_all(&scene);
	scene_end(&scene);
}

TEST(after_a_flush_that_failed_nothing_is_written_until_it_is_opened_anew)
{
	char why[DISK_WHY_MAX + 1];
	struct scene scene;
	bool is_empty = false;

	scene_begin(&scene);
	ck_assert(scene_open(&scene, why) == DVS_OK);
	ck_assert(disks_set_current(scene.disks, true) == DVS_OK);
	ck_assert(put(&scene, &scene.volume, 1, 61) == DVS_OK);
	ck_assert(!disks_are_broken(scene.disks));
	atomic_store(&fails_with, EIO);
	atomic_store(&calls_left, 0);
	ck_assert(do_io(&scene.turns, scene.disks, DISK_FLUSH, 0, 0, 0, NULL) == DVS_IO);
	ck_assert(disks_are_broken(scene.disks));
	ck_assert(put(&scene, &scene.volume, 2, 62) == DVS_IO);
	check_all(&scene);
	ck_assert(disks_set_current(scene.disks, false) == DVS_OK);
	disks_close(scene.disks);
	turns_poll(&scene.turns);
	ck_assert(scene_open_also(&scene, &is_empty, why) == DVS_OK);
	ck_assert(is_empty);
	ck_assert(!disks_are_broken(scene.disks));
	ck_assert(put(&scene, &scene.volume, 2, 63) == DVS_OK);
	check_all(&scene);
	scene_end(&scene);
}

/* ---- files that are not what they should be ---- */

static int open_in(const struct scene *scene, const char *name)
{
	char path[128];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", scene->dir, name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	return fd;
}

/* Change the byte AT of the file NAME; opening is refused with ERR and TEXT, and goes well when it is as it was. */
static void damage(struct scene *scene, const char *name, off_t at, dvs_err err, const char *text)
{
	char why[DISK_WHY_MAX + 1];
	int fd = open_in(scene, name);
	uint8_t byte;
	dvs_err got;

	ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
	byte ^= 0xff;
	ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
	got = scene_open(scene, why);
	ck_assert_msg(got == err && strstr(why, text), "%s at %lld: %s: %s", name, (long long)at,
		      dvs_err_name(got), why);
	byte ^= 0xff;
	ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
	close(fd);
	ck_assert_msg(scene_open(scene, why) == DVS_OK, "%s", why);
	check_all(scene);
	disks_close(scene->disks);
	turns_poll(&scene->turns);
}

static void cut(struct scene *scene, const char *name, off_t bytes, const char *text)
{
	char why[DISK_WHY_MAX + 1];
	int fd = open_in(scene, name);
	struct stat st;
	uint8_t *kept;

	ck_assert_int_eq(fstat(fd, &st), 0);
	kept = malloc((size_t)st.st_size);
	ck_assert_int_eq(pread(fd, kept, (size_t)st.st_size, 0), st.st_size);
	ck_assert_int_eq(ftruncate(fd, bytes), 0);
	ck_assert(scene_open(scene, why) == DVS_CORRUPT);
	ck_assert_msg(strstr(why, text) != NULL, "%s", why);
	ck_assert_int_eq(pwrite(fd, kept, (size_t)st.st_size, 0), st.st_size);
	free(kept);
	close(fd);
	ck_assert(scene_open(scene, why) == DVS_OK);
	check_all(scene);
	disks_close(scene->disks);
	turns_poll(&scene->turns);
}

TEST(damaged_and_foreign_files_are_refused_and_left_as_they_are)
{
	char why[DISK_WHY_MAX + 1], path[128];
	struct scene scene;
	struct turns turns;

	scene_begin(&scene);
	ck_assert(scene_open(&scene, why) == DVS_OK);
	play(&scene);
	turns_open(&turns);
	ck_assert_ptr_nonnull(scene.disks);
	disks_close(scene.disks);
	turns_poll(&scene.turns);
	damage(&scene, "meta", 0, DVS_CORRUPT, "is none of a volume");
	damage(&scene, "meta", 8, DVS_CORRUPT, "this program knows version 2");
	damage(&scene, "meta", 20, DVS_CORRUPT, "is damaged");
	damage(&scene, "meta", 100, DVS_CORRUPT, "is damaged");
	damage(&scene, "disk.img", 0, DVS_CORRUPT, "is no image of a volume");
	damage(&scene, "disk.img", 8, DVS_CORRUPT, "this program knows version 1");
	damage(&scene, "disk.img", 13, DVS_CORRUPT, "is damaged");
	damage(&scene, "cow-0", 0, DVS_CORRUPT, "has no blocks");
	damage(&scene, "cow-0", 8, DVS_CORRUPT, "this program knows version 1");
	damage(&scene, "cow-0", 30, DVS_CORRUPT, "is damaged");
	cut(&scene, "meta", 50, "is damaged");
	cut(&scene, "disk.img", 4096 + (off_t)BYTES - 4096, "is truncated");
	cut(&scene, "disk.img", 100, "is truncated");
	cut(&scene, "disk.img", 7, "is truncated");
	cut(&scene, "cow-0", 4096 + 2 * 69632 - 512, "is truncated");
	(void)snprintf(path, sizeof(path), "%s/meta", scene.dir);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert(scene_open(&scene, why) == DVS_CORRUPT);
	ck_assert_ptr_nonnull(strstr(why, "no file meta"));
	turns_close(&turns);
	scene.disks = NULL;
	scene_end(&scene);
}

TEST(a_lost_or_damaged_file_of_marks_makes_everything_dirty)
{
	char why[DISK_WHY_MAX + 1], path[128];
	struct scene scene;
	uint8_t byte = 1;
	int fd;

	scene_begin(&scene);
	ck_assert(scene_open(&scene, why) == DVS_OK);
	ck_assert(!disks_is_dirty(scene.disks, 0, 0));
	ck_assert(put(&scene, &scene.volume, 1, 5) == DVS_OK);
	disks_close(scene.disks);
	ck_assert(scene_open(&scene, why) == DVS_OK);
	ck_assert(disks_is_dirty(scene.disks, 0, 0));
	disks_cool(scene.disks);
	disks_cool(scene.disks);
	disks_close(scene.disks);
	ck_assert(scene_open(&scene, why) == DVS_OK);
	/* It was not written since: a mark that is not known to be on the medium is not taken off it. */
	disks_close(scene.disks);
	fd = open_in(&scene, "dirty");
	ck_assert_int_eq(pwrite(fd, &byte, 1, 0), 1);
	close(fd);
	ck_assert(scene_open(&scene, why) == DVS_OK);
	ck_assert(disks_is_dirty(scene.disks, 0, 0));
	disks_close(scene.disks);
	(void)snprintf(path, sizeof(path), "%s/dirty", scene.dir);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert(scene_open(&scene, why) == DVS_OK);
	ck_assert(disks_is_dirty(scene.disks, 0, 0));
	scene_end(&scene);
}

TEST(a_directory_of_another_volume_or_in_use_is_refused)
{
	char why[DISK_WHY_MAX + 1];
	struct scene scene;
	struct disks *other;
	struct disks_config config;
	bool is_empty;

	scene_begin(&scene);
	ck_assert(scene_open(&scene, why) == DVS_OK);
	config = (struct disks_config){
		.id = "5a8b0a70-0000-4000-8000-000000000004",
		.dir = scene.dir,
		.store = DISK_FILE,
		.bytes = BYTES,
		.poster = turns_poster(&scene.turns),
	};
	ck_assert(disks_open(&config, &other, &is_empty, why) == DVS_INUSE);
	ck_assert(disks_set_current(scene.disks, true) == DVS_OK);
	disks_close(scene.disks);
	ck_assert(disks_open(&config, &scene.disks, &is_empty, why) == DVS_OK);
	ck_assert(!is_empty);
	disks_close(scene.disks);
	(void)snprintf(config.id, sizeof(config.id), "5a8b0a70-0000-4000-8000-00000000ffff");
	ck_assert(disks_open(&config, &other, &is_empty, why) == DVS_EXISTS);
	ck_assert_ptr_nonnull(
		strstr(why, "has another volume, 5a8b0a70-0000-4000-8000-000000000004"));
	scene.disks = NULL;
	scene_end(&scene);
}

UNIT_MAIN_TIMEOUT("vdd-faults", 120, what_was_answered_stays_when_any_call_fails,
		  what_was_answered_stays_when_any_call_finds_no_space,
		  a_full_disk_is_told_to_the_writer_and_goes_on_when_there_is_space,
		  after_a_flush_that_failed_nothing_is_written_until_it_is_opened_anew,
		  damaged_and_foreign_files_are_refused_and_left_as_they_are,
		  a_lost_or_damaged_file_of_marks_makes_everything_dirty,
		  a_directory_of_another_volume_or_in_use_is_refused)
