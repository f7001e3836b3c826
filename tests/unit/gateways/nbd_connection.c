/* SPDX-License-Identifier: Apache-2.0 */
/* A connection over a pair of sockets, with a disk in memory: how its threads take turns. */
#include "gateways/nbd/connection.h"

#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "gateways/nbd/watch.h"
#include "nbd_memory.h"
#include "unit.h"

#define DISK_BYTES (UINT64_C(64) << 20)
/* Far less than the slow disk takes for a flush. */
#define SOON_NS (300 * CLOCK_NS_PER_MS)

struct scene {
	struct log log;
	struct connection_setup setup;
	struct connection *connection;
	pthread_t thread;
	int fd;
};

static void *serve(void *argument)
{
	connection_serve(argument);
	return NULL;
}

static void say(int fd, const void *bytes, size_t len)
{
	ck_assert_int_eq(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void hear(int fd, void *bytes, size_t len)
{
	ck_assert_int_eq(recv(fd, bytes, len, MSG_WAITALL), (ssize_t)len);
}

/* A client that has opened EXPORT with simple replies. */
static void begin(struct scene *scene, const char *name)
{
	static const struct log quiet = { .fd = -1, .level = LOG_LEVEL_ERROR };
	uint8_t option[64];
	struct writer writer = writer_over(option, sizeof(option));
	uint8_t heard[NBD_GREETING_BYTES];
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	scene->log = quiet;
	scene->setup = (struct connection_setup){ .backend = nbd_memory_open(DISK_BYTES),
						  .log = &scene->log };
	ck_assert_ptr_nonnull(scene->setup.backend);
	ck_assert(watch_open(&scene->setup.watch) == DVS_OK);
	ck_assert(connection_open(&scene->setup, fds[0], 1, &scene->connection) == DVS_OK);
	ck_assert_int_eq(pthread_create(&scene->thread, NULL, serve, scene->connection), 0);
	scene->fd = fds[1];
	hear(scene->fd, heard, NBD_GREETING_BYTES);
	nbd_put_u32(&writer, 3);
	writer_bytes(&writer, "IHAVEOPT", 8);
	nbd_put_u32(&writer, 1);
	nbd_put_u32(&writer, (uint32_t)strlen(name));
	writer_bytes(&writer, name, strlen(name));
	say(scene->fd, option, writer_len(&writer));
	hear(scene->fd, heard, 10);
}

static void end(struct scene *scene)
{
	close(scene->fd);
	pthread_join(scene->thread, NULL);
	connection_close(scene->connection);
	watch_close(scene->setup.watch);
	nbd_memory_close(scene->setup.backend);
}

static void ask(int fd, uint16_t command, uint64_t cookie, uint64_t offset, uint32_t bytes)
{
	uint8_t head[NBD_REQUEST_BYTES];
	struct writer writer = writer_over(head, sizeof(head));

	nbd_put_u32(&writer, UINT32_C(0x25609513));
	nbd_put_u16(&writer, 0);
	nbd_put_u16(&writer, command);
	nbd_put_u64(&writer, cookie);
	nbd_put_u64(&writer, offset);
	nbd_put_u32(&writer, bytes);
	say(fd, head, sizeof(head));
}

/* The next reply: whose it is, and its error. */
static uint64_t reply(int fd, uint32_t *error)
{
	uint8_t head[NBD_SIMPLE_BYTES] = { 0 };
	struct cursor in = cursor_over(head, sizeof(head));

	hear(fd, head, sizeof(head));
	ck_assert_uint_eq(nbd_get_u32(&in), UINT32_C(0x67446698));
	*error = nbd_get_u32(&in);
	return nbd_get_u64(&in);
}

TEST(what_was_written_is_read)
{
	static uint8_t data[3][200 * 1024];
	static uint8_t back[200 * 1024];
	struct scene scene;
	uint32_t error;

	begin(&scene, "disk");
	/* Small ones make one call, the large one makes its own. */
	for (uint32_t i = 0; i < 3; i++) {
		memset(data[i], (int)(i + 1), sizeof(data[i]));
		ask(scene.fd, NBD_WRITE, i, i << 20, i == 2 ? sizeof(data[i]) : 4096);
		say(scene.fd, data[i], i == 2 ? sizeof(data[i]) : 4096);
	}
	for (uint64_t seen = 0; seen != 7;) {
		seen |= UINT64_C(1) << reply(scene.fd, &error);
		ck_assert_uint_eq(error, NBD_OK);
	}
	for (uint32_t i = 0; i < 3; i++) {
		uint32_t bytes = i == 2 ? sizeof(data[i]) : 4096;

		ask(scene.fd, NBD_READ, 10 + i, i << 20, bytes);
		ck_assert_uint_eq(reply(scene.fd, &error), 10 + i);
		hear(scene.fd, back, bytes);
		ck_assert_mem_eq(back, data[i], bytes);
	}
	end(&scene);
}

TEST(reads_do_not_wait_for_a_flush)
{
	struct scene scene;
	uint64_t start_ns;
	uint8_t data[512];
	uint32_t error;

	begin(&scene, "slow");
	ask(scene.fd, NBD_FLUSH, 1, 0, 0);
	start_ns = clock_now_ns();
	for (uint64_t i = 0; i < 20; i++) {
		ask(scene.fd, NBD_READ, 100 + i, 0, sizeof(data));
		ck_assert_uint_eq(reply(scene.fd, &error), 100 + i);
		hear(scene.fd, data, sizeof(data));
	}
	ck_assert_uint_lt(clock_now_ns() - start_ns, SOON_NS);
	ck_assert_uint_eq(reply(scene.fd, &error), 1);
	end(&scene);
}

TEST(a_read_that_hangs_loses_the_lead)
{
	struct scene scene;
	uint64_t start_ns;
	uint8_t data[512];
	uint32_t error;

	begin(&scene, "slow");
	/* The last sector of the slow disk takes as long as a flush. */
	ask(scene.fd, NBD_READ, 1, DISK_BYTES - 512, 512);
	/* What comes before it is called would go into the same call. */
	while (!(atomic_load(&scene.connection->call) & CALL_RUNS))
		(void)sched_yield();
	start_ns = clock_now_ns();
	for (uint64_t i = 0; i < 20; i++) {
		ask(scene.fd, NBD_READ, 100 + i, 0, sizeof(data));
		ck_assert_uint_eq(reply(scene.fd, &error), 100 + i);
		hear(scene.fd, data, sizeof(data));
	}
	ck_assert_uint_lt(clock_now_ns() - start_ns, SOON_NS);
	ck_assert_uint_eq(reply(scene.fd, &error), 1);
	hear(scene.fd, data, sizeof(data));
	end(&scene);
}

TEST(an_error_leaves_the_connection_in_order)
{
	static uint8_t data[64 * 1024];
	struct scene scene;
	uint32_t error;

	begin(&scene, "disk");
	ask(scene.fd, NBD_WRITE, 1, DISK_BYTES, sizeof(data));
	say(scene.fd, data, sizeof(data));
	ck_assert_uint_eq(reply(scene.fd, &error), 1);
	ck_assert_uint_eq(error, NBD_ENOSPC);
	ask(scene.fd, 99, 2, 0, 512);
	ck_assert_uint_eq(reply(scene.fd, &error), 2);
	ck_assert_uint_eq(error, NBD_EINVAL);
	ask(scene.fd, NBD_FLUSH, 3, 0, 0);
	ck_assert_uint_eq(reply(scene.fd, &error), 3);
	ck_assert_uint_eq(error, NBD_OK);
	end(&scene);
}

TEST(what_was_asked_before_the_good_bye_is_answered)
{
	struct scene scene;
	uint32_t error;
	uint8_t byte;

	begin(&scene, "slow");
	ask(scene.fd, NBD_FLUSH, 1, 0, 0);
	ask(scene.fd, NBD_DISC, 2, 0, 0);
	ck_assert_uint_eq(reply(scene.fd, &error), 1);
	pthread_join(scene.thread, NULL);
	connection_close(scene.connection);
	ck_assert_int_eq(recv(scene.fd, &byte, 1, 0), 0);
	close(scene.fd);
	watch_close(scene.setup.watch);
	nbd_memory_close(scene.setup.backend);
}

TEST(a_client_that_dies_with_requests_under_way_leaves_nothing)
{
	for (int round = 0; round < 20; round++) {
		struct scene scene;

		begin(&scene, round % 2 ? "disk" : "slow");
		for (uint64_t i = 0; i < 64; i++)
			ask(scene.fd, i % 8 ? NBD_READ : NBD_FLUSH, i, i << 12, i % 8 ? 65536 : 0);
		end(&scene);
	}
}

UNIT_MAIN("gateways-nbd-connection", what_was_written_is_read, reads_do_not_wait_for_a_flush,
	  a_read_that_hangs_loses_the_lead, an_error_leaves_the_connection_in_order,
	  what_was_asked_before_the_good_bye_is_answered,
	  a_client_that_dies_with_requests_under_way_leaves_nothing)
