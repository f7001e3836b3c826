/* SPDX-License-Identifier: Apache-2.0 */
/* Disks on devices and at NBD servers. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "unit.h"
#include "vdd_model.h"

#define BYTES (2400u * DISK_SECTOR_BYTES)
#define LINE_BYTES 512u

struct base {
	char dir[64];	/* with all of the test */
	char disks[96]; /* the volume's */
	char file[96];	/* what is behind the device or the server */
	char place[160];
	pid_t server;
	struct disks_config config;
};

static void base_open(struct base *base, enum disk_store store, uint64_t bytes)
{
	int fd;

	memset(base, 0, sizeof(*base));
	(void)snprintf(base->dir, sizeof(base->dir), "/dev/shm/dvs-vdd-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(base->dir));
	(void)snprintf(base->disks, sizeof(base->disks), "%s/disks", base->dir);
	(void)snprintf(base->file, sizeof(base->file), "%s/file", base->dir);
	fd = open(base->file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)bytes), 0);
	close(fd);
	base->config = (struct disks_config){
		.id = "5a8b0a70-0000-4000-8000-000000000003",
		.dir = base->disks,
		.store = store,
		.place = base->place,
		.bytes = BYTES,
	};
}

static void base_close(struct base *base)
{
	ck_assert(disks_destroy(base->disks) == DVS_OK);
	ck_assert_int_eq(access(base->disks, F_OK), -1);
	(void)unlink(base->file);
	ck_assert_int_eq(rmdir(base->dir), 0);
}

static dvs_err try_open(struct base *base, char *why)
{
	struct turns turns;
	struct disks *disks;
	bool is_empty;
	dvs_err err;

	turns_open(&turns);
	base->config.poster = turns_poster(&turns);
	err = disks_open(&base->config, &disks, &is_empty, why);
	disks_close(disks);
	turns_close(&turns);
	return err;
}

static uint64_t a_seed(void)
{
	const char *text = getenv("DVS_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 10) : (uint64_t)time(NULL);

	(void)printf("# seed %llu\n", (unsigned long long)seed);
	(void)fflush(stdout);
	return seed;
}

/* ---- devices ---- */

static bool read_line(const char *command, char line[LINE_BYTES])
{
	FILE *out = popen(command, "re");
	bool ok = out && fgets(line, LINE_BYTES, out);

	if (out)
		ok = pclose(out) == 0 && ok;
	line[ok ? strcspn(line, "\n") : 0] = '\0';
	return ok;
}

/* False: there are no loop devices for us. */
static bool attach(struct base *base, const char *options)
{
	char command[LINE_BYTES], line[LINE_BYTES];

	(void)snprintf(command, sizeof(command), "losetup -f --show %s %s 2>/dev/null", options,
		       base->file);
	if (!read_line(command, line)) {
		(void)printf("# no loop devices here\n");
		return false;
	}
	(void)snprintf(base->place, sizeof(base->place), "%.100s", line);
	return true;
}

static void detach(const struct base *base)
{
	char command[LINE_BYTES];

	(void)snprintf(command, sizeof(command), "losetup -d %s", base->place);
	ck_assert_int_eq(system(command), 0);
}

static void run_on_device(const char *options)
{
	struct model *model = malloc(sizeof(*model));
	char why[DISK_WHY_MAX + 1];
	struct base base;

	base_open(&base, DISK_RAW, MODEL_BYTES_MAX);
	if (attach(&base, options)) {
		model_open(model, &base.config, a_seed());
		ck_assert(try_open(&base, why) == DVS_INUSE);
		for (unsigned int t = 0; t < 4; t++) {
			model_run(model, 400);
			model_reopen(model, NULL);
		}
		model_compare(model);
		model_close(model);
		detach(&base);
	}
	free(model);
	base_close(&base);
}

TEST(disks_on_devices_do_what_the_model_does)
{
	run_on_device("");
}

TEST(disks_on_devices_of_4096_byte_sectors_do_what_the_model_does)
{
	run_on_device("-b 4096");
}

TEST(only_a_device_that_is_large_enough_is_a_raw_store)
{
	char why[DISK_WHY_MAX + 1];
	struct base base;

	base_open(&base, DISK_RAW, 512 * 1024);
	ck_assert(try_open(&base, why) == DVS_BADARG);
	ck_assert_ptr_nonnull(strstr(why, "Name the device"));
	(void)snprintf(base.place, sizeof(base.place), "%s", base.file);
	ck_assert(try_open(&base, why) == DVS_BADARG);
	ck_assert_ptr_nonnull(strstr(why, "for an ordinary file use store \"file\""));
	(void)snprintf(base.place, sizeof(base.place), "/dev/there-is-none");
	ck_assert(disks_destroy(base.disks) == DVS_OK);
	ck_assert(try_open(&base, why) == DVS_NOTFOUND);
	ck_assert(disks_destroy(base.disks) == DVS_OK);
	if (attach(&base, "")) {
		ck_assert(try_open(&base, why) == DVS_NOSPACE);
		ck_assert_ptr_nonnull(strstr(why, "name a larger device"));
		detach(&base);
	}
	base_close(&base);
}

/* ---- NBD servers ---- */

static void start_server(struct base *base)
{
	char socket[128], file[128];
	struct timespec pause = { .tv_nsec = 5000000 };
	unsigned int tries = 4000;

	(void)snprintf(socket, sizeof(socket), "%s/socket", base->dir);
	(void)snprintf(file, sizeof(file), "file=%s", base->file);
	(void)unlink(socket);
	(void)snprintf(base->place, sizeof(base->place), "nbd+unix:///?socket=%s", socket);
	base->server = fork();
	ck_assert_int_ge(base->server, 0);
	if (base->server == 0) {
		execlp("nbdkit", "nbdkit", "-f", "-U", socket, "file", file, (char *)NULL);
		_exit(127);
	}
	/* It listens when its socket is there. */
	while (access(socket, F_OK) != 0 && --tries)
		(void)nanosleep(&pause, NULL);
	ck_assert_uint_gt(tries, 0);
}

static void stop_server(struct base *base)
{
	char socket[128];
	int status;

	ck_assert_int_eq(kill(base->server, SIGKILL), 0);
	ck_assert_int_eq(waitpid(base->server, &status, 0), base->server);
	ck_assert(WIFSIGNALED(status));
	(void)snprintf(socket, sizeof(socket), "%s/socket", base->dir);
	(void)unlink(socket);
}

static void read_done(struct disk_io *io, dvs_err err)
{
	struct one *one = CONTAINER_OF(io, struct one, io);

	one->is_done = true;
	one->err = err;
}

TEST(disks_at_an_nbd_server_go_on_when_it_is_killed_and_comes_back)
{
	static uint8_t out[65536];
	struct model *model = malloc(sizeof(*model));
	struct base base;

	base_open(&base, DISK_NBD, MODEL_BYTES_MAX);
	start_server(&base);
	model_open(model, &base.config, a_seed());
	/* A volume of somebody else's has the size that it has. */
	model->resizes = false;
	for (unsigned int t = 0; t < 4; t++) {
		struct one one = { .io = { .op = DISK_READ,
					   .bytes = sizeof(out),
					   .buffer = out,
					   .done = read_done } };

		model_run(model, 300);
		stop_server(&base);
		disks_submit(model->disks, &one.io);
		ck_assert(!one.is_done);
		start_server(&base);
		one_wait(&model->turns, &one);
		ck_assert(one.err == DVS_OK);
		ck_assert_int_eq(memcmp(out, model->disk[0].data, sizeof(out)), 0);
		if (t % 2)
			model_reopen(model, NULL);
	}
	model_compare(model);
	model_close(model);
	stop_server(&base);
	free(model);
	base_close(&base);
}

TEST(an_nbd_server_that_cannot_be_used_is_told_in_a_sentence)
{
	char why[DISK_WHY_MAX + 1];
	struct base base;

	base_open(&base, DISK_NBD, 512 * 1024);
	(void)snprintf(base.place, sizeof(base.place), "nbd+unix:///?socket=%s/nothing", base.dir);
	ck_assert(try_open(&base, why) == DVS_NOTFOUND);
	ck_assert_ptr_eq(strstr(why, "cannot reach nbd+unix"), why);
	ck_assert(disks_destroy(base.disks) == DVS_OK);
	(void)snprintf(base.place, sizeof(base.place), "there is no such scheme");
	ck_assert(try_open(&base, why) == DVS_NOTFOUND);
	ck_assert(disks_destroy(base.disks) == DVS_OK);
	start_server(&base);
	ck_assert(try_open(&base, why) == DVS_NOSPACE);
	ck_assert_ptr_nonnull(strstr(why, "name a larger one"));
	stop_server(&base);
	base_close(&base);
}

UNIT_MAIN_TIMEOUT("vdd-devices", 120, disks_on_devices_do_what_the_model_does,
		  disks_on_devices_of_4096_byte_sectors_do_what_the_model_does,
		  only_a_device_that_is_large_enough_is_a_raw_store,
		  disks_at_an_nbd_server_go_on_when_it_is_killed_and_comes_back,
		  an_nbd_server_that_cannot_be_used_is_told_in_a_sentence)
