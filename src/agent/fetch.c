/* SPDX-License-Identifier: Apache-2.0 */
/* The job's thread reads the archive from the other agent and feeds a pipe, from which a thread beside it makes the image. What arrives is what was asked for, or
 * it is refused: the digest is that of the archive. */
#include "agent/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "client/calls.h"

#define CALL_MS 30000u

struct receiving {
	struct job *job;
	char name[IMAGE_NAME_MAX + 1];
	char digest[IMAGE_DIGEST_MAX + 1];
	uint64_t total_bytes;
	int fd;
	dvs_err err;
};

static void *receive_run(void *argument)
{
	struct receiving *receiving = argument;
	struct job *job = receiving->job;

	receiving->err = image_receive(job->agent->options.lib_dir, receiving->name,
				       receiving->digest, receiving->fd, receiving->total_bytes,
				       job_progress, job, &job->image, job->why);
	/* Whoever feeds it is not to wait for us. */
	cleanup_close(&receiving->fd);
	return NULL;
}

static bool write_all(int fd, const uint8_t *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, bytes, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		bytes += n;
		len -= (size_t)n;
	}
	return true;
}

/* Until its end, or until nobody takes it any more. */
static dvs_err feed(struct agents *agents, dvs_nodeid node, uint64_t stream, int fd)
{
	AUTO_FREE struct agent_stream_read_rep *rep = malloc(sizeof(*rep));
	struct agent_stream_read_req req = { .stream = stream };
	dvs_err err;

	if (!rep)
		return DVS_NOMEM;
	for (;;) {
		err = agent_call_stream_read(agents, node, &req, rep, CALL_MS);
		if (err)
			return err;
		if (!write_all(fd, rep->data, rep->n_data))
			break;
		if (rep->eof)
			return DVS_OK;
	}
	return agent_call_stream_close(
		agents, node, &(struct agent_stream_close_req){ .stream = stream }, NULL, CALL_MS);
}

static dvs_err receive(struct job *job, struct agents *agents, dvs_nodeid node,
		       const struct agent_image_send_rep *sent)
{
	struct receiving receiving = { .job = job, .total_bytes = sent->total_bytes };
	char told[DESCRIPTION_TEXT_MAX] = "";
	int ends[2];
	struct image other;
	pthread_t thread;
	dvs_err err;

	/* A name that is somebody else's here stays so, unless it was asked for. */
	(void)snprintf(receiving.name, sizeof(receiving.name), "%s",
		       strcmp(job->name, sent->digest) != 0 ? job->name :
		       image_find(job->agent->options.lib_dir, sent->name, &other) == DVS_NOTFOUND ?
							      sent->name :
							      sent->digest);
	memcpy(receiving.digest, sent->digest, sizeof(receiving.digest));
	if (pipe2(ends, O_CLOEXEC))
		return dvs_from_errno(errno);
	receiving.fd = ends[0];
	if (pthread_create(&thread, NULL, receive_run, &receiving)) {
		close(ends[0]);
		close(ends[1]);
		return DVS_NOMEM;
	}
	err = feed(agents, node, sent->stream, ends[1]);
	if (err)
		(void)snprintf(told, sizeof(told), "node %u stopped sending it: %s", node.n,
			       agents_text(agents)[0] ? agents_text(agents) : dvs_strerror(err));
	close(ends[1]);
	pthread_join(thread, NULL);
	if (receiving.err == DVS_OK || receiving.err == DVS_WOKEN)
		return receiving.err;
	if (told[0])
		memcpy(job->why, told, sizeof(told));
	return receiving.err;
}

static dvs_err fetch_from(struct job *job, struct agents *agents, dvs_nodeid node)
{
	struct agent_image_send_req req = { .name = "" };
	struct agent_image_send_rep rep;
	dvs_err err;

	memcpy(req.name, job->name, sizeof(req.name));
	err = agent_call_image_send(agents, node, &req, &rep, CALL_MS);
	if (err) {
		(void)snprintf(job->why, sizeof(job->why), "node %u: %s", node.n,
			       agents_text(agents)[0] ? agents_text(agents) : dvs_strerror(err));
		return err;
	}
	if (strncmp(job->name, "sha256:", 7) == 0 && strcmp(job->name, rep.digest) != 0) {
		(void)snprintf(job->why, sizeof(job->why), "node %u offers another image", node.n);
		return DVS_PROTO;
	}
	return receive(job, agents, node, &rep);
}

/* From the first node that is up and has it. */
static dvs_err fetch_from_any(struct job *job, struct agents *agents)
{
	struct dvk_node_info node;
	uint32_t cursor = 0;
	dvs_err last = DVS_NOTFOUND;
	dvs_err err;

	(void)snprintf(job->why, sizeof(job->why), "no other node is up that could have it");
	while (dvk_node_next(agents_admin(agents), &cursor, &node) == DVS_OK) {
		if (node.is_self || node.state != DVK_NODE_UP)
			continue;
		err = fetch_from(job, agents, node.node);
		if (err == DVS_OK || err == DVS_WOKEN)
			return err;
		if (err == DVS_NOTFOUND)
			(void)snprintf(job->why, sizeof(job->why), "no node that is up has it");
		last = err;
	}
	return last;
}

dvs_err fetch_image(struct job *job)
{
	struct agents *agents;
	dvs_err err = agents_open(job->agent->options.run_dir, &agents);

	if (err) {
		(void)snprintf(job->why, sizeof(job->why), "the other agents cannot be called: %s",
			       dvs_strerror(err));
		return err;
	}
	if (job->from == JOBS_ANY_NODE)
		err = fetch_from_any(job, agents);
	else
		err = fetch_from(job, agents, (dvs_nodeid){ job->from });
	agents_close(agents);
	return err;
}
