/* SPDX-License-Identifier: Apache-2.0 */
/* Streams of files of containers. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/errand.h"
#include "agent/streams_internal.h"
#include "base/cleanup.h"
#include "base/err.h"

struct copy {
	bool is_in;
	dvs_ep owner;
	struct agent_copy_in_req in; /* of copy_out: dc and path */
	struct agent_copy_out_rep rep;
	int fd;	    /* our end of the data; -1: none */
	int why_fd; /* and of the complaint */
	pid_t child;
};

static dvs_err find_init(struct errand *errand, const char *dc, pid_t *init)
{
	struct container_state state;

	if (container_look(&errand->agent->host, dc, &state) == DVS_OK &&
	    (state.is == CONTAINER_RUNS || state.is == CONTAINER_FROZEN)) {
		*init = state.pid;
		return DVS_OK;
	}
	(void)snprintf(errand->why, sizeof(errand->why),
		       "the DC %s has no container that runs on this node: see 'dvs dc inspect %s'",
		       dc, dc);
	return DVS_NODC;
}

static dvs_err start_child(struct copy *copy, pid_t init)
{
	int data[2] = { -1, -1 };
	int why[2] = { -1, -1 };
	dvs_err err;

	if (pipe2(data, O_CLOEXEC) || pipe2(why, O_CLOEXEC)) {
		err = dvs_from_errno(errno);
	} else if (copy->is_in) {
		err = container_unpack(init, copy->in.path, copy->in.into != 0, copy->in.uid,
				       copy->in.gid, data[0], why[1], &copy->child);
		copy->fd = take_fd(&data[1]);
	} else {
		err = container_pack(init, copy->in.path, data[1], why[1], &copy->child);
		copy->fd = take_fd(&data[0]);
	}
	copy->why_fd = take_fd(&why[0]);
	cleanup_close(&data[0]);
	cleanup_close(&data[1]);
	cleanup_close(&why[1]);
	if (!err && fcntl(copy->fd, F_SETFL, O_NONBLOCK) != 0)
		err = dvs_from_errno(errno);
	return err;
}

static void copy_drop(struct copy *copy)
{
	cleanup_close(&copy->fd);
	cleanup_close(&copy->why_fd);
	if (copy->child > 0) {
		(void)kill(copy->child, SIGKILL);
		(void)waitpid(copy->child, NULL, 0);
	}
	copy->child = 0;
}

static void copy_run(struct errand *errand)
{
	struct copy *copy = errand->own;
	struct agent_copy_out_rep *rep = &copy->rep;
	bool is_directory = false;
	pid_t init = 0;

	errand->err = find_init(errand, copy->in.dc, &init);
	if (!errand->err && !copy->is_in)
		errand->err = container_measure(init, copy->in.path, &rep->total_bytes,
						&rep->entries, &is_directory, errand->why);
	rep->directory = is_directory;
	if (!errand->err)
		errand->err = start_child(copy, init);
	if (errand->err)
		copy_drop(copy);
}

static void copy_answer(struct errand *errand)
{
	struct copy *copy = errand->own;
	struct stream *stream = NULL;
	dvs_err err = DVS_FULL;

	if (!streams_full(errand->agent->streams)) {
		err = DVS_NOMEM;
		stream = stream_create(errand->agent, copy->owner, copy->is_in, copy->fd);
	}
	if (!stream) {
		copy_drop(copy);
		request_fail(errand->request, err,
			     "there are too many copies under way on this node");
		return;
	}
	err = stream_watch_child(stream, copy->child, copy->why_fd);
	if (err) {
		/* Nobody would see its end. */
		(void)kill(copy->child, SIGKILL);
		(void)waitpid(copy->child, NULL, 0);
		stream->child = 0;
		stream->is_over = true;
		stream_ended(stream, err, "");
		request_fail(errand->request, err, "the copy cannot be followed");
		return;
	}
	copy->rep.stream = stream->id;
	if (copy->is_in)
		REQUEST_ANSWER(errand->request, copy_in,
			       (&(struct agent_copy_in_rep){ .stream = stream->id }));
	else
		REQUEST_ANSWER(errand->request, copy_out, &copy->rep);
}

static void copy_abandoned(struct errand *errand)
{
	copy_drop(errand->own);
}

static void copy_begin(struct request *request, bool is_in, const struct agent_copy_in_req *in)
{
	struct errand *errand = errand_create(request, sizeof(struct copy));
	struct copy *copy;

	if (!errand)
		return;
	copy = errand->own;
	*copy = (struct copy){
		.is_in = is_in, .owner = request->source, .in = *in, .fd = -1, .why_fd = -1
	};
	errand->abandoned = copy_abandoned;
	errand_start(errand, copy_run, copy_answer);
}

void op_copy_in(struct agent *agent, struct request *request)
{
	struct agent_copy_in_req req;

	(void)agent;
	if (REQUEST_DECODE(request, copy_in, &req))
		copy_begin(request, true, &req);
}

void op_copy_out(struct agent *agent, struct request *request)
{
	struct agent_copy_in_req in = { .into = 0 };
	struct agent_copy_out_req req;

	(void)agent;
	if (!REQUEST_DECODE(request, copy_out, &req))
		return;
	memcpy(in.dc, req.dc, sizeof(in.dc));
	memcpy(in.path, req.path, sizeof(in.path));
	copy_begin(request, false, &in);
}
