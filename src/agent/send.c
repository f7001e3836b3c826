/* SPDX-License-Identifier: Apache-2.0 */
/* Streams of images, to other agents. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/streams_internal.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "container/image.h"

/* Lives as long as its thread; the stream does, too. */
struct sending {
	struct stream *stream;
	struct agent *agent;
	struct loop_post post;
	char digest[IMAGE_DIGEST_MAX + 1];
	int fd;
	dvs_err err;
	char why[DESCRIPTION_TEXT_MAX];
};

static void sent(struct loop_post *post)
{
	struct sending *sending = CONTAINER_OF(post, struct sending, post);

	stream_ended(sending->stream, sending->err, sending->why);
	free(sending);
}

static void *send_run(void *argument)
{
	struct sending *sending = argument;

	sending->err = image_send(sending->agent->options.lib_dir, sending->digest, sending->fd,
				  sending->why);
	cleanup_close(&sending->fd);
	loop_post(sending->agent->loop, &sending->post, sent);
	return NULL;
}

static dvs_err send_start(struct request *request, const struct image *image, uint64_t *id)
{
	struct agent *agent = request->agent;
	AUTO_FREE struct sending *sending = calloc(1, sizeof(*sending));
	int ends[2] = { -1, -1 };
	struct stream *stream;
	pthread_t thread;

	if (!sending)
		return DVS_NOMEM;
	if (pipe2(ends, O_CLOEXEC) || fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0)
		return dvs_from_errno(errno);
	stream = stream_create(agent, request->source, false, ends[0]);
	if (!stream) {
		close(ends[0]);
		close(ends[1]);
		return DVS_NOMEM;
	}
	*sending = (struct sending){ .stream = stream, .agent = agent, .fd = ends[1] };
	memcpy(sending->digest, image->digest, sizeof(sending->digest));
	*id = stream->id;
	if (pthread_create(&thread, NULL, send_run, sending)) {
		close(ends[1]);
		stream->is_over = true;
		stream_ended(stream, DVS_NOMEM, "");
		return DVS_NOMEM;
	}
	pthread_detach(thread);
	sending = NULL;
	return DVS_OK;
}

void op_image_send(struct agent *agent, struct request *request)
{
	struct agent_image_send_req req;
	struct agent_image_send_rep rep = { .stream = 0 };
	struct image image;
	dvs_err err;

	if (!REQUEST_DECODE(request, image_send, &req))
		return;
	if (image_find(agent->options.lib_dir, req.name, &image)) {
		request_fail(request, DVS_NOTFOUND, "the image %s is not on this node", req.name);
		return;
	}
	err = streams_full(agent->streams) ? DVS_FULL : send_start(request, &image, &rep.stream);
	if (err) {
		request_fail(request, err, "the image %s cannot be sent now: %s", req.name,
			     dvs_strerror(err));
		return;
	}
	memcpy(rep.name, image.name, sizeof(rep.name));
	memcpy(rep.digest, image.digest, sizeof(rep.digest));
	rep.total_bytes = image.bytes;
	rep.entries = image.files;
	REQUEST_ANSWER(request, image_send, &rep);
}
