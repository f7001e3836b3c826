/* SPDX-License-Identifier: Apache-2.0 */
#include "gateways/attach/server.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"
#include "gateways/attach/file.h"
#include "gateways/attach/stream.h"

/* How often it is asked whether the disk has another size: nobody tells. */
#define GEOMETRY_POLL_MS 2000

/* A word is a line of text: a letter, three numbers, and for people why. */
static void say(int fd, const struct server_word *word, char what)
{
	char text[ATTACH_WHY_MAX + 64];
	struct iovec part = { .iov_base = text };
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	int n = snprintf(text, sizeof(text), "%c %u %d %" PRIu64 " %s", what,
			 (unsigned int)word->err, word->is_read_only, word->bytes, word->why);

	part.iov_len = (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
	if (word->fd >= 0) {
		memset(&control, 0, sizeof(control));
		message.msg_control = control.room;
		message.msg_controllen = sizeof(control.room);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &word->fd, sizeof(word->fd));
	}
	/* A keeper that is gone needs nothing of it. */
	(void)sendmsg(fd, &message, MSG_NOSIGNAL);
}

static int passed_fd(struct msghdr *message)
{
	struct cmsghdr *header = CMSG_FIRSTHDR(message);
	int fd = -1;

	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
	    header->cmsg_len == CMSG_LEN(sizeof(fd)))
		memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	return fd;
}

void server_hear(int fd, struct server_word *word)
{
	char text[ATTACH_WHY_MAX + 64];
	struct iovec part = { .iov_base = text, .iov_len = sizeof(text) - 1 };
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = control.room,
				  .msg_controllen = sizeof(control.room) };
	ssize_t n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	char *at;

	*word = (struct server_word){ .says = SERVER_GONE, .fd = -1 };
	if (n <= 0)
		return;
	text[n] = '\0';
	word->fd = passed_fd(&message);
	word->says = text[0] == 'r' ? SERVER_READY :
		     text[0] == 's' ? SERVER_RESIZED :
				      SERVER_FAILED;
	word->err = dvs_err_from_number((unsigned int)strtoul(text + 1, &at, 10));
	word->is_read_only = strtoul(at, &at, 10);
	word->bytes = strtoull(at, &at, 10);
	(void)snprintf(word->why, sizeof(word->why), "%.*s", ATTACH_WHY_MAX - 1,
		       *at == ' ' ? at + 1 : at);
}

/* ---- serving ---- */

struct serving {
	const struct attach_config *config;
	struct attach_backend backend;
	struct attach_geometry geometry;
	void *thread;	       /* this one's, of the backend */
	struct file *file;     /* of a loop device */
	struct stream *stream; /* of an NBD device */
	int keeper_fd;
};

static void look_at_size(struct serving *serving)
{
	struct attach_geometry now;

	if (serving->backend.geometry(serving->thread, &now) ||
	    now.bytes == serving->geometry.bytes)
		return;
	log_info(&serving->config->log, "the volume has another size", LOG_U64("bytes", now.bytes));
	serving->geometry.bytes = now.bytes;
	if (serving->stream)
		stream_resized(serving->stream, now.bytes);
	else
		file_resized(serving->file, now.bytes);
	say(serving->keeper_fd, &(struct server_word){ .bytes = now.bytes, .fd = -1 }, 's');
}

static void serve(struct serving *serving)
{
	struct pollfd wait = { .fd = serving->stream ? stream_ended_fd(serving->stream) :
						       file_ended_fd(serving->file),
			       .events = POLLIN };
	dvs_err err;

	while (poll(&wait, 1, GEOMETRY_POLL_MS) <= 0)
		look_at_size(serving);
	if (serving->geometry.is_read_only)
		return;
	err = serving->backend.flush(serving->thread);
	if (err)
		log_error(&serving->config->log, "what was written may not be on stable storage",
			  LOG_STR("why", dvs_strerror(err)));
}

/* What the keeper makes the device of, to *FD. */
static dvs_err begin(struct serving *serving, const char *name, int *fd, char why[ATTACH_WHY_MAX])
{
	const struct attach_config *config = serving->config;
	dvs_err err = config->source->open(config->source->context, &serving->backend,
					   &serving->geometry, why);

	if (!err)
		err = serving->backend.enter(serving->backend.context, &serving->thread);
	if (err)
		return err;
	if (config->nbd)
		return stream_open(&(struct stream_config){ .backend = &serving->backend,
							    .geometry = serving->geometry,
							    .n_threads = config->n_threads },
				   &serving->stream, fd, why);
	return file_open(&(struct file_config){ .backend = &serving->backend,
						.name = name,
						.geometry = serving->geometry,
						.n_threads = config->n_threads },
			 &serving->file, fd, why);
}

int server_run(const struct attach_config *config, const char *name, int keeper_fd)
{
	struct serving serving = { .config = config, .keeper_fd = keeper_fd };
	struct server_word word = { .fd = -1 };

	/* Memory that is written out through this very device must not wait for it. Needs a right that not everybody has: without it, a machine without
	 * free memory may stop. */
	(void)prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	/* The terminal and the keeper's signals are not for it: it ends when the device does. */
	(void)signal(KEEPER_GENTLY, SIG_IGN);
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	word.err = begin(&serving, name, &word.fd, word.why);
	if (word.err) {
		if (!word.why[0])
			(void)snprintf(word.why, sizeof(word.why), "%s", dvs_strerror(word.err));
		say(keeper_fd, &word, 'e');
		return EXIT_FAILURE;
	}
	word.is_read_only = serving.geometry.is_read_only;
	word.bytes = serving.geometry.bytes;
	say(keeper_fd, &word, 'r');
	close(word.fd);
	serve(&serving);
	if (serving.stream)
		stream_close(serving.stream);
	if (config->source->close)
		config->source->close(config->source->context);
	return EXIT_SUCCESS;
}
