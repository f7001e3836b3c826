/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/nbd.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

#define REQUEST_BYTES 28u

/* A device; it is the thread's. */
struct stand_in {
	int server_fd; /* what the kernel was given */
	int listen_fd;
	int open_fd; /* ends when who has made the device closes it */
	int user_fd;
	bool is_held;
	char path[LOOP_DEVICE_MAX];
};

static dvs_err tell_size(const char *run_dir, uint64_t bytes, bool is_read_only)
{
	char path[256];
	AUTO_FCLOSE FILE *file = NULL;

	(void)snprintf(path, sizeof(path), "%.200s/size", run_dir);
	file = fopen(path, "we");
	if (!file || fprintf(file, "%" PRIu64 "%s", bytes, is_read_only ? " read-only" : "") < 0)
		return DVS_IO;
	return DVS_OK;
}

/* What is there from one to the other; false: that was the end. */
static bool hand_on(int from, int to)
{
	uint8_t room[65536];
	ssize_t n = read(from, room, sizeof(room));

	for (ssize_t done = 0, step = 0; done < n; done += step) {
		step = send(to, room + done, (size_t)(n - done), MSG_NOSIGNAL);
		if (step <= 0)
			return false;
	}
	return n > 0;
}

static void drop_user(struct stand_in *device)
{
	if (device->user_fd >= 0)
		close(device->user_fd);
	device->user_fd = -1;
}

/* False: the server has gone, what is left of the device gives errors. */
static bool turn(struct stand_in *device)
{
	struct pollfd wait[] = {
		{ .fd = device->is_held ? device->open_fd : -1, .events = POLLIN },
		{ .fd = device->server_fd, .events = POLLIN },
		{ .fd = device->user_fd, .events = POLLIN },
		{ .fd = device->user_fd < 0 ? device->listen_fd : -1, .events = POLLIN },
	};

	if (poll(wait, 4, -1) < 0)
		return errno == EINTR;
	if (wait[0].revents)
		device->is_held = false;
	if (wait[1].revents && !hand_on(device->server_fd, device->user_fd))
		return false;
	if (wait[2].revents && !hand_on(device->user_fd, device->server_fd))
		drop_user(device);
	if (wait[3].revents)
		device->user_fd = accept(device->listen_fd, NULL, NULL);
	return true;
}

static void *run(void *argument)
{
	struct stand_in *device = argument;
	uint8_t bye[REQUEST_BYTES] = { 0 };
	const uint32_t magic = htobe32(NBD_REQUEST_MAGIC);
	const uint32_t command = htobe32(NBD_CMD_DISC);
	bool goes_on = true;

	while (goes_on && (device->is_held || device->user_fd >= 0))
		goes_on = turn(device);
	memcpy(bye, &magic, sizeof(magic));
	memcpy(bye + 4, &command, sizeof(command));
	if (goes_on)
		(void)send(device->server_fd, bye, sizeof(bye), MSG_NOSIGNAL);
	drop_user(device);
	close(device->server_fd);
	close(device->listen_fd);
	close(device->open_fd);
	(void)unlink(device->path);
	free(device);
	return NULL;
}

static dvs_err listen_at(const char *path, int *fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*fd < 0 || bind(*fd, (const struct sockaddr *)&address, sizeof(address)) ||
	    listen(*fd, 8))
		return dvs_from_errno(errno);
	return DVS_OK;
}

static dvs_err stand_in_connect(void *context, const struct nbd_wish *wish,
				char device[LOOP_DEVICE_MAX], int *fd, char why[ATTACH_WHY_MAX])
{
	const char *run_dir = context;
	struct stand_in *made = calloc(1, sizeof(*made));
	char refuse[256];
	pthread_t thread;
	int pair[2];
	dvs_err err;

	(void)snprintf(refuse, sizeof(refuse), "%.200s/refuse", run_dir);
	if (!made || !access(refuse, F_OK)) {
		free(made);
		(void)snprintf(why, ATTACH_WHY_MAX, "the kernel is asked to refuse");
		return DVS_FULL;
	}
	(void)snprintf(made->path, sizeof(made->path), "%.28s/n0", run_dir);
	(void)snprintf(device, LOOP_DEVICE_MAX, "%s", made->path);
	made->server_fd = fcntl(wish->socket_fd, F_DUPFD_CLOEXEC, 0);
	made->user_fd = -1;
	made->is_held = true;
	err = listen_at(made->path, &made->listen_fd);
	if (!err)
		err = tell_size(run_dir, wish->bytes, wish->is_read_only);
	if (!err && (pipe2(pair, O_CLOEXEC) || made->server_fd < 0))
		err = dvs_from_errno(errno);
	if (err) {
		free(made);
		return err;
	}
	made->open_fd = pair[0];
	*fd = pair[1];
	return pthread_create(&thread, NULL, run, made) || pthread_detach(thread) ? DVS_NOMEM :
										    DVS_OK;
}

static dvs_err stand_in_resize(void *context, const char *device, const char *name, uint64_t bytes)
{
	(void)device;
	(void)name;
	return tell_size(context, bytes, false);
}

struct nbd_kernel kernel_stand_in(const char *run_dir)
{
	return (struct nbd_kernel){ .context = (void *)(uintptr_t)run_dir,
				    .connect = stand_in_connect,
				    .resize = stand_in_resize };
}
