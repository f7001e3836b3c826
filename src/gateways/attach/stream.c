/* SPDX-License-Identifier: Apache-2.0 */
#include "gateways/attach/stream.h"

#include <assert.h>
#include <errno.h>
#include <linux/nbd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"
#include "gateways/attach/beginning.h"

#define REQUEST_BYTES 28u
#define REPLY_BYTES 16u
#define COOKIE_BYTES 8u
/* Of newer kernels, not in all headers: zeroes, whose space stays taken if a flag says so. */
#define COMMAND_ZERO 6u
#define FLAG_NO_HOLE (1u << 1)
/* Errors have the numbers that Linux has for them. */
#define NO_ERROR 0u

struct stream {
	struct attach_backend backend;
	bool is_read_only;
	_Atomic uint64_t bytes;
	int fd;
	int ended_fd;
	_Atomic unsigned int n_threads;
	pthread_mutex_t
		in;   /* one receives a request with its data; never held together with `out` */
	bool is_over; /* under `in` */
	pthread_mutex_t out; /* one reply at a time */
};

struct request {
	uint32_t command;
	uint32_t flags;
	uint8_t cookie[COOKIE_BYTES];
	uint64_t offset;
	uint32_t bytes;
};

/* What each thread has. */
struct worker {
	struct stream *stream;
	void *thread; /* the backend's */
	uint8_t *room;
	size_t room_bytes;
};

/* ---- bytes ---- */

static uint64_t number_at(const uint8_t *at, size_t bytes)
{
	uint64_t number = 0;

	for (size_t i = 0; i < bytes; i++)
		number = number << 8 | at[i];
	return number;
}

static void put_u32(uint8_t *at, uint32_t number)
{
	for (size_t i = 0; i < 4; i++)
		at[i] = (uint8_t)(number >> (24 - 8 * i));
}

static bool receive(int fd, void *room, size_t bytes)
{
	ssize_t n;

	do {
		n = recv(fd, room, bytes, MSG_WAITALL);
		if (n > 0) {
			room = (uint8_t *)room + n;
			bytes -= (size_t)n;
		}
	} while (bytes && (n > 0 || (n < 0 && errno == EINTR)));
	return !bytes;
}

static bool transmit(int fd, const void *data, size_t bytes)
{
	while (bytes) {
		ssize_t n = send(fd, data, bytes, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		data = (const uint8_t *)data + n;
		bytes -= (size_t)n;
	}
	return true;
}

/* False: nothing that follows can be understood. */
static bool parse(const uint8_t head[REQUEST_BYTES], struct request *request)
{
	if (number_at(head, 4) != NBD_REQUEST_MAGIC)
		return false;
	request->flags = (uint32_t)number_at(head + 4, 2);
	request->command = (uint32_t)number_at(head + 6, 2);
	memcpy(request->cookie, head + 8, COOKIE_BYTES);
	request->offset = number_at(head + 16, 8);
	request->bytes = (uint32_t)number_at(head + 24, 4);
	return true;
}

static bool has_payload(const struct request *request)
{
	return request->command == NBD_CMD_READ || request->command == NBD_CMD_WRITE;
}

static bool make_room(struct worker *worker, size_t bytes)
{
	uint8_t *room;

	if (bytes <= worker->room_bytes)
		return true;
	room = realloc(worker->room, bytes);
	if (!room)
		return false;
	worker->room = room;
	worker->room_bytes = bytes;
	return true;
}

/* One request, with the data of a write. False: it is over. With the lock `in`. */
static bool take_locked(struct worker *worker, struct request *request)
{
	struct stream *stream = worker->stream;
	uint8_t head[REQUEST_BYTES];

	if (!receive(stream->fd, head, sizeof(head)) || !parse(head, request) ||
	    request->command == NBD_CMD_DISC)
		return false;
	if (!has_payload(request))
		return true;
	if (request->bytes > STREAM_PAYLOAD_MAX || !make_room(worker, request->bytes))
		return false;
	return request->command == NBD_CMD_READ ||
	       receive(stream->fd, worker->room, request->bytes);
}

static bool take(struct worker *worker, struct request *request)
{
	struct stream *stream = worker->stream;
	bool is_there;

	pthread_mutex_lock(&stream->in);
	is_there = !stream->is_over && take_locked(worker, request);
	stream->is_over = !is_there;
	pthread_mutex_unlock(&stream->in);
	return is_there;
}

/* ---- requests ---- */

static uint32_t refusal(const struct stream *stream, const struct request *request)
{
	uint64_t end = stream->bytes;

	if (request->command == NBD_CMD_FLUSH)
		return NO_ERROR;
	if (!has_payload(request) && request->command != NBD_CMD_TRIM &&
	    request->command != COMMAND_ZERO)
		return EINVAL;
	if (stream->is_read_only && request->command != NBD_CMD_READ)
		return EPERM;
	if (request->offset % ATTACH_SECTOR_BYTES || request->bytes % ATTACH_SECTOR_BYTES)
		return EINVAL;
	if (request->offset > end || request->bytes > end - request->offset)
		return request->command == NBD_CMD_READ ? EINVAL : ENOSPC;
	return NO_ERROR;
}

/* In as many parts as the backend needs. */
static dvs_err move_data(struct worker *worker, const struct request *request)
{
	const struct attach_backend *backend = &worker->stream->backend;
	uint32_t done = 0;
	dvs_err err = DVS_OK;

	while (!err && done < request->bytes) {
		uint32_t left = request->bytes - done;
		uint32_t n = left < ATTACH_REQUEST_MAX ? left : ATTACH_REQUEST_MAX;

		if (request->command == NBD_CMD_READ)
			err = backend->read(worker->thread, request->offset + done,
					    worker->room + done, n);
		else
			err = backend->write(worker->thread, request->offset + done,
					     worker->room + done, n);
		done += n;
	}
	return err;
}

static dvs_err carry_out(struct worker *worker, const struct request *request)
{
	const struct attach_backend *backend = &worker->stream->backend;

	if (request->command == NBD_CMD_FLUSH)
		return backend->flush(worker->thread);
	if (has_payload(request))
		return move_data(worker, request);
	if (!request->bytes)
		return DVS_OK;
	if (request->command == NBD_CMD_TRIM)
		return backend->trim(worker->thread, request->offset, request->bytes);
	return backend->zero(worker->thread, request->offset, request->bytes,
			     request->flags & FLAG_NO_HOLE);
}

static bool answer(struct worker *worker, const struct request *request, uint32_t number)
{
	struct stream *stream = worker->stream;
	uint8_t head[REPLY_BYTES];
	bool ok;

	put_u32(head, NBD_REPLY_MAGIC);
	put_u32(head + 4, number);
	memcpy(head + 8, request->cookie, COOKIE_BYTES);
	pthread_mutex_lock(&stream->out);
	ok = transmit(stream->fd, head, sizeof(head));
	if (ok && !number && request->command == NBD_CMD_READ)
		ok = transmit(stream->fd, worker->room, request->bytes);
	pthread_mutex_unlock(&stream->out);
	return ok;
}

static void serve(struct worker *worker)
{
	struct request request = { .command = NBD_CMD_DISC };

	while (take(worker, &request)) {
		uint32_t number = refusal(worker->stream, &request);

		if (!number) {
			dvs_err err = carry_out(worker, &request);

			number = !err		     ? NO_ERROR :
				 err == DVS_NOSPACE  ? ENOSPC :
				 err == DVS_READONLY ? EPERM :
						       EIO;
		}
		if (!answer(worker, &request, number))
			break;
	}
	/* Whoever receives is to see it, too. */
	(void)shutdown(worker->stream->fd, SHUT_RD);
}

/* ---- threads ---- */

static void *worker_run(void *argument)
{
	struct stream *stream = beginning_context(argument);
	struct worker worker = { .stream = stream };
	int ended_fd = stream->ended_fd;
	dvs_err err = stream->backend.enter(stream->backend.context, &worker.thread);

	if (!err && !make_room(&worker, ATTACH_REQUEST_MAX))
		err = DVS_NOMEM;
	if (!err)
		stream->n_threads++;
	beginning_end(argument, err);
	if (!err)
		serve(&worker);
	free(worker.room);
	if (worker.thread)
		stream->backend.leave(worker.thread);
	/* After the last one the stream may be closed. */
	if (!err && --stream->n_threads == 0)
		(void)eventfd_write(ended_fd, 1);
	return NULL;
}

void stream_close(struct stream *stream)
{
	eventfd_t n;

	assert(stream->n_threads == 0);
	/* What the last thread did is done, not only seen. */
	if (stream->ended_fd >= 0)
		(void)eventfd_read(stream->ended_fd, &n);
	if (stream->fd >= 0)
		close(stream->fd);
	if (stream->ended_fd >= 0)
		close(stream->ended_fd);
	pthread_mutex_destroy(&stream->in);
	pthread_mutex_destroy(&stream->out);
	free(stream);
}

dvs_err stream_open(const struct stream_config *config, struct stream **out, int *kernel_fd,
		    char why[ATTACH_WHY_MAX])
{
	struct stream *stream = calloc(1, sizeof(*stream));
	AUTO_CLOSE int theirs = -1;
	unsigned int n = 0;
	int pair[2];
	dvs_err err = DVS_OK;

	if (!stream)
		return DVS_NOMEM;
	stream->backend = *config->backend;
	stream->is_read_only = config->geometry.is_read_only;
	stream->bytes = config->geometry.bytes;
	stream->fd = -1;
	pthread_mutex_init(&stream->in, NULL);
	pthread_mutex_init(&stream->out, NULL);
	stream->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (stream->ended_fd < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
		err = dvs_from_errno(errno);
		(void)snprintf(why, ATTACH_WHY_MAX, "no socket for the kernel: %s",
			       dvs_strerror(err));
		stream_close(stream);
		return err;
	}
	stream->fd = pair[0];
	theirs = pair[1];
	while (!err && n < config->n_threads) {
		err = beginning_start(worker_run, stream);
		n += err ? 0 : 1;
	}
	if (!err) {
		*out = stream;
		*kernel_fd = take_fd(&theirs);
	} else if (!n) { /* with threads in it, it goes with the process */
		stream_close(stream);
	}
	return err;
}

int stream_ended_fd(const struct stream *stream)
{
	return stream->ended_fd;
}

void stream_resized(struct stream *stream, uint64_t bytes)
{
	stream->bytes = bytes;
}
