/* SPDX-License-Identifier: Apache-2.0 */
/* The test is the kernel's NBD client: it has the kernel's end of the socket, and speaks as the kernel does. */
#include "gateways/attach/stream.h"

#include <errno.h>
#include <linux/nbd.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit.h"

#define DISK_BYTES (UINT64_C(8) << 20)
#define HEAD_BYTES 28u
#define REPLY_BYTES 16u
#define NO_HOLE (2u << 16)
#define COMMAND_ZERO 6u
#define WAIT_MS 60000

/* Some memory; what is asked is counted. */
struct disk {
	uint8_t bytes[DISK_BYTES];
	pthread_mutex_t lock;
	pthread_cond_t changed;
	dvs_err fails;
	unsigned int n_calls;
	unsigned int n_flushes;
	unsigned int n_zeroes_kept;
	unsigned int n_inside;
	size_t largest;
	bool is_held; /* flushes wait */
};

struct scene {
	struct disk *disk;
	struct stream *stream;
	struct attach_backend backend;
	int fd;
};

static dvs_err disk_enter(void *context, void **thread)
{
	*thread = context;
	return DVS_OK;
}

static void disk_leave(void *thread)
{
	(void)thread;
}

static dvs_err counted(struct disk *disk, size_t bytes)
{
	dvs_err err;

	pthread_mutex_lock(&disk->lock);
	disk->n_calls++;
	if (bytes > disk->largest)
		disk->largest = bytes;
	err = disk->fails;
	pthread_mutex_unlock(&disk->lock);
	return err;
}

static dvs_err disk_read(void *thread, uint64_t offset, void *room, size_t bytes)
{
	struct disk *disk = thread;
	dvs_err err = counted(disk, bytes);

	memcpy(room, disk->bytes + offset, bytes);
	return err;
}

static dvs_err disk_write(void *thread, uint64_t offset, const void *data, size_t bytes)
{
	struct disk *disk = thread;
	dvs_err err = counted(disk, bytes);

	if (!err)
		memcpy(disk->bytes + offset, data, bytes);
	return err;
}

static dvs_err disk_flush(void *thread)
{
	struct disk *disk = thread;

	pthread_mutex_lock(&disk->lock);
	disk->n_flushes++;
	disk->n_inside++;
	pthread_cond_broadcast(&disk->changed);
	while (disk->is_held)
		pthread_cond_wait(&disk->changed, &disk->lock);
	disk->n_inside--;
	pthread_mutex_unlock(&disk->lock);
	return disk->fails;
}

static dvs_err disk_trim(void *thread, uint64_t offset, uint64_t bytes)
{
	struct disk *disk = thread;
	dvs_err err = counted(disk, 0);

	memset(disk->bytes + offset, 0, bytes);
	return err;
}

static dvs_err disk_zero(void *thread, uint64_t offset, uint64_t bytes, bool keep)
{
	struct disk *disk = thread;

	disk->n_zeroes_kept += keep;
	return disk_trim(thread, offset, bytes);
}

static void begin(struct scene *scene, bool is_read_only)
{
	char why[ATTACH_WHY_MAX];

	scene->disk = calloc(1, sizeof(*scene->disk));
	ck_assert_ptr_nonnull(scene->disk);
	pthread_mutex_init(&scene->disk->lock, NULL);
	pthread_cond_init(&scene->disk->changed, NULL);
	scene->backend = (struct attach_backend){ .context = scene->disk,
						  .enter = disk_enter,
						  .leave = disk_leave,
						  .read = disk_read,
						  .write = disk_write,
						  .flush = disk_flush,
						  .trim = disk_trim,
						  .zero = disk_zero };
	ck_assert(stream_open(&(struct stream_config){ .backend = &scene->backend,
						       .geometry = { .bytes = DISK_BYTES,
								     .is_read_only = is_read_only },
						       .n_threads = 4 },
			      &scene->stream, &scene->fd, why) == DVS_OK);
}

static bool has_ended(const struct scene *scene, int timeout_ms)
{
	struct pollfd wait = { .fd = stream_ended_fd(scene->stream), .events = POLLIN };

	return poll(&wait, 1, timeout_ms) == 1;
}

static void end(struct scene *scene)
{
	close(scene->fd);
	ck_assert(has_ended(scene, WAIT_MS));
	stream_close(scene->stream);
	free(scene->disk);
}

static void put(uint8_t *at, uint64_t number, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		at[i] = (uint8_t)(number >> (8 * (bytes - 1 - i)));
}

static void say(const struct scene *scene, uint32_t type, uint64_t cookie, uint64_t offset,
		uint32_t bytes)
{
	uint8_t head[HEAD_BYTES];

	put(head, NBD_REQUEST_MAGIC, 4);
	put(head + 4, type, 4);
	put(head + 8, cookie, 8);
	put(head + 16, offset, 8);
	put(head + 24, bytes, 4);
	ck_assert_int_eq(send(scene->fd, head, sizeof(head), MSG_NOSIGNAL), sizeof(head));
}

static uint64_t number_at(const uint8_t *at, size_t bytes)
{
	uint64_t number = 0;

	for (size_t i = 0; i < bytes; i++)
		number = number << 8 | at[i];
	return number;
}

/* The error of the next reply; its cookie to *COOKIE. */
static uint32_t hear(const struct scene *scene, uint64_t *cookie)
{
	uint8_t head[REPLY_BYTES];

	ck_assert_int_eq(recv(scene->fd, head, sizeof(head), MSG_WAITALL), sizeof(head));
	ck_assert_uint_eq(number_at(head, 4), NBD_REPLY_MAGIC);
	*cookie = number_at(head + 8, 8);
	return (uint32_t)number_at(head + 4, 4);
}

static uint32_t ask(const struct scene *scene, uint32_t type, uint64_t offset, uint32_t bytes)
{
	const uint64_t sent = UINT64_C(0xfedcba9876543210);
	uint64_t cookie;
	uint32_t number;

	say(scene, type, sent, offset, bytes);
	number = hear(scene, &cookie);
	ck_assert(cookie == sent);
	return number;
}

static uint32_t ask_write(const struct scene *scene, uint64_t offset, const void *data,
			  uint32_t bytes)
{
	uint64_t cookie;

	say(scene, NBD_CMD_WRITE, 1, offset, bytes);
	ck_assert_int_eq(send(scene->fd, data, bytes, MSG_NOSIGNAL), bytes);
	return hear(scene, &cookie);
}

TEST(what_is_written_is_read)
{
	struct scene scene;
	uint8_t data[4096];
	uint8_t room[4096];

	begin(&scene, false);
	memset(data, 0x5a, sizeof(data));
	ck_assert_uint_eq(ask_write(&scene, 512, data, sizeof(data)), 0);
	ck_assert_mem_eq(scene.disk->bytes + 512, data, sizeof(data));
	ck_assert_uint_eq(scene.disk->bytes[511], 0);
	ck_assert_uint_eq(ask(&scene, NBD_CMD_READ, 512, sizeof(room)), 0);
	ck_assert_int_eq(recv(scene.fd, room, sizeof(room), MSG_WAITALL), sizeof(room));
	ck_assert_mem_eq(room, data, sizeof(data));
	ck_assert_uint_eq(ask(&scene, NBD_CMD_FLUSH, 0, 0), 0);
	ck_assert_uint_eq(scene.disk->n_flushes, 1);
	end(&scene);
}
END_TEST

/* Newer kernels send more than a MiB at once. */
TEST(large_requests_become_several)
{
	struct scene scene;
	const uint32_t bytes = (3u << 20) + 512;
	uint8_t *data = malloc(bytes);

	begin(&scene, false);
	ck_assert_ptr_nonnull(data);
	for (uint32_t i = 0; i < bytes; i++)
		data[i] = (uint8_t)(i * 7 + (i >> 16));
	ck_assert_uint_eq(ask_write(&scene, 1024, data, bytes), 0);
	ck_assert_mem_eq(scene.disk->bytes + 1024, data, bytes);
	ck_assert_uint_eq(scene.disk->n_calls, 4);
	memset(data, 0, bytes);
	ck_assert_uint_eq(ask(&scene, NBD_CMD_READ, 1024, bytes), 0);
	ck_assert_int_eq(recv(scene.fd, data, bytes, MSG_WAITALL), bytes);
	ck_assert_mem_eq(scene.disk->bytes + 1024, data, bytes);
	ck_assert_uint_eq(scene.disk->n_calls, 8);
	ck_assert_uint_eq(scene.disk->largest, ATTACH_REQUEST_MAX);
	free(data);
	end(&scene);
}
END_TEST

TEST(trim_and_zeroes_reach_the_disk)
{
	struct scene scene;
	uint8_t data[2048];

	begin(&scene, false);
	memset(data, 1, sizeof(data));
	ck_assert_uint_eq(ask_write(&scene, 0, data, sizeof(data)), 0);
	ck_assert_uint_eq(ask(&scene, NBD_CMD_TRIM, 512, 512), 0);
	ck_assert_uint_eq(ask(&scene, COMMAND_ZERO, 1024, 512), 0);
	ck_assert_uint_eq(scene.disk->n_zeroes_kept, 0);
	ck_assert_uint_eq(ask(&scene, COMMAND_ZERO | NO_HOLE, 1536, 512), 0);
	ck_assert_uint_eq(scene.disk->n_zeroes_kept, 1);
	ck_assert_uint_eq(scene.disk->bytes[511], 1);
	for (int i = 512; i < 2048; i++)
		ck_assert_uint_eq(scene.disk->bytes[i], 0);
	end(&scene);
}
END_TEST

TEST(what_is_refused_reaches_no_disk)
{
	struct scene scene;
	uint8_t data[512] = { 0 };

	begin(&scene, false);
	ck_assert_uint_eq(ask(&scene, NBD_CMD_READ, DISK_BYTES, 512), EINVAL);
	ck_assert_uint_eq(ask(&scene, NBD_CMD_READ, UINT64_MAX - 511, 512), EINVAL);
	ck_assert_uint_eq(ask(&scene, NBD_CMD_READ, 1, 512), EINVAL);
	ck_assert_uint_eq(ask(&scene, NBD_CMD_READ, 0, 100), EINVAL);
	ck_assert_uint_eq(ask_write(&scene, DISK_BYTES, data, sizeof(data)), ENOSPC);
	ck_assert_uint_eq(ask(&scene, NBD_CMD_TRIM, DISK_BYTES - 512, 1024), ENOSPC);
	ck_assert_uint_eq(ask(&scene, 77, 0, 512), EINVAL);
	ck_assert_uint_eq(scene.disk->n_calls, 0);
	/* It is understood as before. */
	ck_assert_uint_eq(ask_write(&scene, 0, data, sizeof(data)), 0);
	stream_resized(scene.stream, 4096);
	ck_assert_uint_eq(ask_write(&scene, 4096, data, sizeof(data)), ENOSPC);
	end(&scene);
}
END_TEST

TEST(errors_of_the_disk_are_told)
{
	struct scene scene;
	uint8_t data[512] = { 0 };

	begin(&scene, false);
	scene.disk->fails = DVS_TIMEOUT;
	ck_assert_uint_eq(ask(&scene, NBD_CMD_READ, 0, 512), EIO); /* and no data follows */
	ck_assert_uint_eq(ask_write(&scene, 0, data, sizeof(data)), EIO);
	ck_assert_uint_eq(ask(&scene, NBD_CMD_FLUSH, 0, 0), EIO);
	scene.disk->fails = DVS_NOSPACE;
	ck_assert_uint_eq(ask_write(&scene, 0, data, sizeof(data)), ENOSPC);
	scene.disk->fails = DVS_READONLY;
	ck_assert_uint_eq(ask_write(&scene, 0, data, sizeof(data)), EPERM);
	end(&scene);
}
END_TEST

TEST(read_only_takes_no_change)
{
	struct scene scene;
	uint8_t data[512] = { 0 };

	begin(&scene, true);
	ck_assert_uint_eq(ask_write(&scene, 0, data, sizeof(data)), EPERM);
	ck_assert_uint_eq(ask(&scene, NBD_CMD_TRIM, 0, 512), EPERM);
	ck_assert_uint_eq(ask(&scene, COMMAND_ZERO, 0, 512), EPERM);
	ck_assert_uint_eq(scene.disk->n_calls, 0);
	ck_assert_uint_eq(ask(&scene, NBD_CMD_READ, 0, 512), 0);
	ck_assert_int_eq(recv(scene.fd, data, sizeof(data), MSG_WAITALL), sizeof(data));
	end(&scene);
}
END_TEST

static void hold(struct disk *disk, bool is_held)
{
	pthread_mutex_lock(&disk->lock);
	disk->is_held = is_held;
	pthread_cond_broadcast(&disk->changed);
	pthread_mutex_unlock(&disk->lock);
}

static void await_inside(struct disk *disk, unsigned int n)
{
	pthread_mutex_lock(&disk->lock);
	while (disk->n_inside < n)
		pthread_cond_wait(&disk->changed, &disk->lock);
	pthread_mutex_unlock(&disk->lock);
}

TEST(a_slow_request_holds_up_no_other)
{
	struct scene scene;
	uint64_t cookie;
	uint8_t data[512];

	begin(&scene, false);
	hold(scene.disk, true);
	say(&scene, NBD_CMD_FLUSH, 41, 0, 0);
	say(&scene, NBD_CMD_FLUSH, 42, 0, 0);
	await_inside(scene.disk, 2);
	ck_assert_uint_eq(ask(&scene, NBD_CMD_READ, 0, sizeof(data)), 0);
	ck_assert_int_eq(recv(scene.fd, data, sizeof(data), MSG_WAITALL), sizeof(data));
	hold(scene.disk, false);
	ck_assert_uint_eq(hear(&scene, &cookie), 0);
	ck_assert(cookie == 41 || cookie == 42);
	ck_assert_uint_eq(hear(&scene, &cookie), 0);
	ck_assert(cookie == 41 || cookie == 42);
	end(&scene);
}
END_TEST

TEST(it_is_over_when_all_that_was_asked_is_done)
{
	struct scene scene;
	uint64_t cookie;

	begin(&scene, false);
	hold(scene.disk, true);
	say(&scene, NBD_CMD_FLUSH, 7, 0, 0);
	await_inside(scene.disk, 1);
	say(&scene, NBD_CMD_DISC, 8, 0, 0);
	ck_assert(!has_ended(&scene, 0));
	hold(scene.disk, false);
	ck_assert_uint_eq(hear(&scene, &cookie), 0);
	ck_assert_uint_eq(cookie, 7);
	ck_assert(has_ended(&scene, WAIT_MS));
	end(&scene);
}
END_TEST

TEST(what_is_no_request_ends_it)
{
	struct scene scene;
	const uint8_t garbage[HEAD_BYTES] = "this is no request at all.";

	begin(&scene, false);
	ck_assert_int_eq(send(scene.fd, garbage, sizeof(garbage), MSG_NOSIGNAL), HEAD_BYTES);
	ck_assert(has_ended(&scene, WAIT_MS));
	end(&scene);
	begin(&scene, false);
	say(&scene, NBD_CMD_WRITE, 1, 0, STREAM_PAYLOAD_MAX + 512);
	ck_assert(has_ended(&scene, WAIT_MS));
	end(&scene);
}
END_TEST

UNIT_MAIN("gateways-attach-stream", what_is_written_is_read, large_requests_become_several,
	  trim_and_zeroes_reach_the_disk, what_is_refused_reaches_no_disk,
	  errors_of_the_disk_are_told, read_only_takes_no_change, a_slow_request_holds_up_no_other,
	  it_is_over_when_all_that_was_asked_is_done, what_is_no_request_ends_it)
