/* SPDX-License-Identifier: Apache-2.0 */
/* pipe and fifo: one request pipe into the server, shared by its clients (a write of a message is atomic),
 * and one reply pipe per client. The two systems differ only in how the pipe is made. */
#include "manage/bench/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_END, WRITE_END, ENDS };

struct pipes {
	int request[ENDS];
	int reply[BENCH_CLIENTS_MAX][ENDS];
	unsigned self; /* in a client's process */
};

static void pipes_close(int ends[ENDS])
{
	for (int i = 0; i < ENDS; i++)
		if (ends[i] >= 0)
			close(ends[i]);
}

static void pipes_teardown(struct bench_link *link)
{
	struct pipes *pipes = link->state;

	if (!pipes)
		return;
	pipes_close(pipes->request);
	for (unsigned i = 0; i < BENCH_CLIENTS_MAX; i++)
		pipes_close(pipes->reply[i]);
	free(pipes);
	link->state = NULL;
}

static dvs_err pipes_setup(struct bench_link *link,
			   dvs_err (*make)(struct bench_link *link, int ends[ENDS]))
{
	struct pipes *pipes = malloc(sizeof(*pipes));
	dvs_err err;

	link->state = pipes;
	if (!pipes)
		return bench_fail_errno(&link->fault, "allocate the pipes");
	pipes->request[READ_END] = pipes->request[WRITE_END] = -1;
	for (unsigned i = 0; i < BENCH_CLIENTS_MAX; i++)
		pipes->reply[i][READ_END] = pipes->reply[i][WRITE_END] = -1;
	err = make(link, pipes->request);
	for (unsigned i = 0; err == DVS_OK && i < link->clients; i++)
		err = make(link, pipes->reply[i]);
	return err;
}

static dvs_err pipe_make(struct bench_link *link, int ends[ENDS])
{
	if (pipe2(ends, O_CLOEXEC) != 0)
		return bench_fail_errno(&link->fault, "pipe");
	return DVS_OK;
}

static dvs_err pipe_setup(struct bench_link *link)
{
	return pipes_setup(link, pipe_make);
}

/* Open both ends of the FIFO at PATH. The reader comes first and without waiting, or opening would block. */
static dvs_err fifo_open(struct bench_link *link, const char *path, int ends[ENDS])
{
	ends[READ_END] = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (ends[READ_END] < 0)
		return bench_fail_errno(&link->fault, "open a FIFO to read");
	ends[WRITE_END] = open(path, O_WRONLY | O_CLOEXEC);
	if (ends[WRITE_END] < 0)
		return bench_fail_errno(&link->fault, "open a FIFO to write");
	if (fcntl(ends[READ_END], F_SETFL, 0) != 0)
		return bench_fail_errno(&link->fault, "make a FIFO wait");
	return DVS_OK;
}

/* The name lives only until both ends are open, so that no end of this program leaves one behind. */
static dvs_err fifo_make(struct bench_link *link, int ends[ENDS])
{
	char directory[] = "/tmp/dvs-bench-XXXXXX";
	char path[sizeof(directory) + 8];
	dvs_err err;

	if (!mkdtemp(directory))
		return bench_fail_errno(&link->fault, "make a directory in /tmp");
	snprintf(path, sizeof(path), "%s/fifo", directory);
	if (mkfifo(path, 0600) != 0) {
		err = bench_fail_errno(&link->fault, "mkfifo");
	} else {
		err = fifo_open(link, path, ends);
		unlink(path);
	}
	rmdir(directory);
	return err;
}

static dvs_err fifo_setup(struct bench_link *link)
{
	return pipes_setup(link, fifo_make);
}

static dvs_err write_all(struct bench_link *link, int fd, const void *data, size_t bytes)
{
	size_t done = 0;

	while (done < bytes) {
		ssize_t n = write(fd, (const char *)data + done, bytes - done);

		if (n < 0 && errno != EINTR)
			return bench_fail_errno(&link->fault, "write a pipe");
		done += n > 0 ? (size_t)n : 0;
	}
	return DVS_OK;
}

static dvs_err read_all(struct bench_link *link, int fd, void *data, size_t bytes)
{
	size_t done = 0;

	while (done < bytes) {
		ssize_t n = read(fd, (char *)data + done, bytes - done);

		if (n == 0)
			return bench_fail(&link->fault, DVS_IO,
					  "read a pipe: the other side closed it");
		if (n < 0 && errno != EINTR)
			return bench_fail_errno(&link->fault, "read a pipe");
		done += n > 0 ? (size_t)n : 0;
	}
	return DVS_OK;
}

static dvs_err pipes_client_open(struct bench_link *link, unsigned client)
{
	struct pipes *pipes = link->state;

	pipes->self = client;
	return DVS_OK;
}

static dvs_err pipes_call(struct bench_link *link, const void *request, struct bench_msg *reply)
{
	struct pipes *pipes = link->state;
	dvs_err err = write_all(link, pipes->request[WRITE_END], request, link->bytes);

	return err == DVS_OK ?
		       read_all(link, pipes->reply[pipes->self][READ_END], reply, sizeof(*reply)) :
		       err;
}

static dvs_err pipes_receive(struct bench_link *link, struct bench_request *request)
{
	struct pipes *pipes = link->state;
	dvs_err err = read_all(link, pipes->request[READ_END], request->buffer, link->bytes);

	request->data = request->buffer;
	request->client = ((const struct bench_msg *)request->buffer)->client;
	return err;
}

static dvs_err pipes_reply(struct bench_link *link, unsigned client, const struct bench_msg *reply)
{
	struct pipes *pipes = link->state;

	return write_all(link, pipes->reply[client][WRITE_END], reply, sizeof(*reply));
}

const struct bench_system bench_system_pipe = {
	.name = "pipe",
	.summary = "a pipe each way",
	.class = BENCH_KERNEL,
	.patterns = BENCH_IPC_PATTERNS,
	.setup = pipe_setup,
	.teardown = pipes_teardown,
	.receive = pipes_receive,
	.reply = pipes_reply,
	.client_open = pipes_client_open,
	.call = pipes_call,
};

const struct bench_system bench_system_fifo = {
	.name = "fifo",
	.summary = "a named pipe each way",
	.class = BENCH_KERNEL,
	.patterns = BENCH_IPC_PATTERNS,
	.setup = fifo_setup,
	.teardown = pipes_teardown,
	.receive = pipes_receive,
	.reply = pipes_reply,
	.client_open = pipes_client_open,
	.call = pipes_call,
};
