/* SPDX-License-Identifier: Apache-2.0 */
/* A stream is our end of a pipe and the maker at its other end: a child process (files of a container), or a thread (an image). The maker's end tells whether it went well. A
 * stream that is over is forgotten once its maker has ended. */
#include "agent/streams.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/streams_internal.h"
#include "base/cleanup.h"
#include "base/err.h"

struct streams {
	struct agent *agent;
	struct list all;
	unsigned int n;
	uint64_t last_id;
};

dvs_err streams_open(struct agent *agent, struct streams **out)
{
	struct streams *streams = calloc(1, sizeof(*streams));

	if (!streams)
		return DVS_NOMEM;
	streams->agent = agent;
	list_init(&streams->all);
	/* So that an id of a former agent is not taken for one of ours. */
	if (getrandom(&streams->last_id, sizeof(streams->last_id), 0) < 0)
		streams->last_id = agent->started_ns;
	*out = streams;
	return DVS_OK;
}

/* ---- life ---- */

bool streams_full(const struct streams *streams)
{
	return streams->n >= STREAMS_MAX;
}

struct stream *stream_create(struct agent *agent, dvs_ep owner, bool is_in, int fd)
{
	struct streams *streams = agent->streams;
	struct stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return NULL;
	*stream = (struct stream){ .agent = agent,
				   .owner = owner,
				   .id = ++streams->last_id,
				   .is_in = is_in,
				   .fd = fd,
				   .why_fd = -1,
				   .pidfd = -1 };
	list_add_tail(&streams->all, &stream->of_streams);
	streams->n++;
	return stream;
}

static void stream_free(struct stream *stream)
{
	struct agent *agent = stream->agent;

	loop_unwatch(agent->loop, &stream->watch);
	loop_unwatch(agent->loop, &stream->end_watch);
	cleanup_close(&stream->fd);
	cleanup_close(&stream->why_fd);
	cleanup_close(&stream->pidfd);
	list_remove(&stream->of_streams);
	agent->streams->n--;
	free(stream);
}

/* Nobody asks for it any more. */
static void stream_over(struct stream *stream)
{
	struct agent *agent = stream->agent;

	loop_unwatch(agent->loop, &stream->watch);
	cleanup_close(&stream->fd);
	stream->is_over = true;
	if (stream->has_ended) {
		stream_free(stream);
		return;
	}
	/* A thread ends by the closed pipe. */
	if (stream->child > 0)
		(void)kill(stream->child, SIGKILL);
}

static void waiting_gone(struct request *request)
{
	struct stream *stream = request->keeper;

	stream->waiting = NULL;
}

static void stream_keep(struct stream *stream, struct request *request)
{
	request->gone = waiting_gone;
	request->keeper = stream;
	stream->waiting = request;
}

static struct request *stream_take_waiting(struct stream *stream)
{
	struct request *request = stream->waiting;

	stream->waiting = NULL;
	return request;
}

/* The answer to what waits, which is the last one of this stream. */
static void stream_finish(struct stream *stream)
{
	struct request *request = stream_take_waiting(stream);
	struct agent_stream_read_rep *rep;

	if (stream->err) {
		request_fail(request, stream->err, "%s",
			     stream->why[0] ? stream->why : dvs_strerror(stream->err));
	} else if (stream->is_in) {
		request_done(request);
	} else {
		rep = calloc(1, sizeof(*rep));
		if (rep) {
			rep->eof = 1;
			REQUEST_ANSWER(request, stream_read, rep);
		} else {
			request_fail(request, DVS_NOMEM, "the agent has no memory left");
		}
		free(rep);
	}
	stream_over(stream);
}

/* ---- the maker's end ---- */

static void stream_write(struct stream *stream);

void stream_ended(struct stream *stream, dvs_err err, const char *why)
{
	stream->has_ended = true;
	stream->err = err;
	(void)snprintf(stream->why, sizeof(stream->why), "%s", why);
	if (stream->is_over)
		stream_free(stream);
	else if (stream->waiting && (stream->at_end || (stream->is_sunk && err)))
		stream_finish(stream);
	else if (stream->waiting && stream->is_sunk)
		stream_write(stream);
}

static void child_ended(struct loop_watch *watch, uint32_t events)
{
	struct stream *stream = CONTAINER_OF(watch, struct stream, end_watch);
	char why[AGENT_WHY_MAX] = "";
	dvs_err err = DVS_IO;
	int status = 0;
	ssize_t n;

	(void)events;
	if (waitpid(stream->child, &status, WNOHANG) == 0)
		return;
	loop_unwatch(stream->agent->loop, watch);
	n = read(stream->why_fd, why, sizeof(why) - 1);
	why[n > 0 ? n : 0] = '\0';
	if (WIFEXITED(status))
		err = WEXITSTATUS(status) == 0 ?
			      DVS_OK :
			      dvs_err_from_number((unsigned int)WEXITSTATUS(status));
	else
		(void)snprintf(why, sizeof(why),
			       "the copy was ended by signal %d: look for"
			       " memory that ran out on this node",
			       WTERMSIG(status));
	stream->child = 0;
	stream_ended(stream, err, why);
}

dvs_err stream_watch_child(struct stream *stream, pid_t child, int why_fd)
{
	stream->child = child;
	stream->why_fd = why_fd;
	if (fcntl(why_fd, F_SETFL, O_NONBLOCK) != 0)
		return dvs_from_errno(errno);
	stream->pidfd = (int)syscall(SYS_pidfd_open, child, 0);
	if (stream->pidfd < 0)
		return dvs_from_errno(errno);
	return loop_watch(stream->agent->loop, &stream->end_watch, stream->pidfd, EPOLLIN,
			  child_ended);
}

/* ---- pieces ---- */

/* Nothing more comes or goes: what is left is how the maker ended. */
static void stream_at_end(struct stream *stream)
{
	loop_unwatch(stream->agent->loop, &stream->watch);
	cleanup_close(&stream->fd);
	stream->at_end = true;
	if (stream->has_ended)
		stream_finish(stream);
}

static void stream_ready(struct loop_watch *watch, uint32_t events);

static void stream_wait(struct stream *stream)
{
	uint32_t events = stream->is_in ? EPOLLOUT : EPOLLIN;
	dvs_err err = DVS_OK;

	if (!stream->watch.is_on)
		err = loop_watch(stream->agent->loop, &stream->watch, stream->fd, events,
				 stream_ready);
	if (err) {
		request_fail(stream_take_waiting(stream), err, "the stream cannot be waited for");
		stream_over(stream);
	}
}

static void stream_read(struct stream *stream)
{
	AUTO_FREE struct agent_stream_read_rep *rep = malloc(sizeof(*rep));
	ssize_t n;

	if (!rep) {
		request_fail(stream_take_waiting(stream), DVS_NOMEM,
			     "the agent has no memory left");
		return;
	}
	n = read(stream->fd, rep->data, sizeof(rep->data));
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		stream_wait(stream);
	} else if (n <= 0) {
		stream_at_end(stream);
	} else {
		loop_unwatch(stream->agent->loop, &stream->watch);
		rep->eof = 0;
		rep->n_data = (uint32_t)n;
		REQUEST_ANSWER(stream_take_waiting(stream), stream_read, rep);
	}
}

/* False: not all of it goes now. */
static bool stream_push(struct stream *stream)
{
	while (!stream->is_sunk && stream->out_at < stream->out_n) {
		ssize_t n = write(stream->fd, stream->out + stream->out_at,
				  stream->out_n - stream->out_at);

		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			stream_wait(stream);
			return false;
		}
		/* Whoever unpacks wants no more: it has failed, or what follows is only padding. */
		stream->is_sunk = n < 0;
		if (n > 0)
			stream->out_at += (size_t)n;
	}
	return true;
}

static void stream_write(struct stream *stream)
{
	if (!stream_push(stream))
		return;
	loop_unwatch(stream->agent->loop, &stream->watch);
	if (stream->out_eof)
		stream_at_end(stream);
	else if (stream->is_sunk && stream->has_ended && stream->err)
		stream_finish(stream);
	else if (!stream->is_sunk || stream->has_ended)
		request_done(stream_take_waiting(stream));
}

static void stream_ready(struct loop_watch *watch, uint32_t events)
{
	struct stream *stream = CONTAINER_OF(watch, struct stream, watch);

	(void)events;
	if (!stream->waiting)
		loop_unwatch(stream->agent->loop, watch);
	else if (stream->is_in)
		stream_write(stream);
	else
		stream_read(stream);
}

/* ---- operations ---- */

/* NULL: there is none, and the request is answered. */
static struct stream *stream_find(struct agent *agent, struct request *request, uint64_t id,
				  bool is_in)
{
	LIST_FOREACH(link, &agent->streams->all) {
		struct stream *stream = CONTAINER_OF(link, struct stream, of_streams);

		if (stream->id != id || stream->is_over || stream->is_in != is_in)
			continue;
		if (!stream->waiting && !stream->at_end)
			return stream;
		request_fail(request, DVS_NOTFOUND, "the stream is in use, or over");
		return NULL;
	}
	request_fail(request, DVS_NOTFOUND, "the stream is over: begin the copy again");
	return NULL;
}

void op_stream_read(struct agent *agent, struct request *request)
{
	struct agent_stream_read_req req;
	struct stream *stream;

	if (!REQUEST_DECODE(request, stream_read, &req))
		return;
	stream = stream_find(agent, request, req.stream, false);
	if (!stream)
		return;
	stream_keep(stream, request);
	stream_read(stream);
}

void op_stream_write(struct agent *agent, struct request *request)
{
	AUTO_FREE struct agent_stream_write_req *req = malloc(sizeof(*req));
	struct stream *stream;

	if (!req) {
		request_fail(request, DVS_NOMEM, "the agent has no memory left");
		return;
	}
	if (!REQUEST_DECODE(request, stream_write, req))
		return;
	stream = stream_find(agent, request, req->stream, true);
	if (!stream)
		return;
	assert(req->n_data <= sizeof(stream->out));
	memcpy(stream->out, req->data, req->n_data);
	stream->out_n = req->n_data;
	stream->out_at = 0;
	stream->out_eof = req->eof != 0;
	stream_keep(stream, request);
	stream_write(stream);
}

void op_stream_close(struct agent *agent, struct request *request)
{
	struct agent_stream_close_req req;

	if (!REQUEST_DECODE(request, stream_close, &req))
		return;
	LIST_FOREACH(link, &agent->streams->all) {
		struct stream *stream = CONTAINER_OF(link, struct stream, of_streams);

		if (stream->id != req.stream || stream->is_over)
			continue;
		if (stream->waiting)
			request_fail(stream_take_waiting(stream), DVS_NOTFOUND,
				     "the stream was ended");
		stream_over(stream);
		request_done(request);
		return;
	}
	request_fail(request, DVS_NOTFOUND, "the stream is over");
}

void streams_client_gone(struct streams *streams, dvs_ep client)
{
	LIST_FOREACH_SAFE(link, &streams->all) {
		struct stream *stream = CONTAINER_OF(link, struct stream, of_streams);

		if (stream->owner.n != client.n || stream->is_over)
			continue;
		if (stream->waiting)
			request_fail(stream_take_waiting(stream), DVS_NOTFOUND,
				     "whoever began the stream is gone");
		stream_over(stream);
	}
}
