/* SPDX-License-Identifier: Apache-2.0 */
/* A stream, for those files that begin some. */
#ifndef AGENT_STREAMS_INTERNAL_H
#define AGENT_STREAMS_INTERNAL_H

#include <sys/types.h>

#include "agent/streams.h"

#define STREAMS_MAX 64u
#define AGENT_WHY_MAX 1001u

struct stream {
	struct list of_streams;
	struct agent *agent;
	uint64_t id;
	dvs_ep owner;
	bool is_in;  /* data comes from the client */
	bool at_end; /* all data has gone by */
	bool is_over;
	bool is_sunk; /* what still comes is dropped */
	int fd;	      /* ours, of the pipe; it does not block */
	struct loop_watch watch;
	struct request *waiting;
	/* the maker */
	bool has_ended;
	dvs_err err;
	char why[AGENT_WHY_MAX];
	pid_t child; /* 0: it is a thread, or has ended */
	int pidfd;
	int why_fd;
	struct loop_watch end_watch;
	/* a piece that is being written */
	size_t out_n, out_at;
	bool out_eof;
	uint8_t out[65535];
};

bool streams_full(const struct streams *streams);
/* FD is the stream's then, and must not block. NULL: no memory. */
struct stream *stream_create(struct agent *agent, dvs_ep owner, bool is_in, int fd);
/* CHILD makes it, and writes to the other end of WHY_FD, which is the stream's then, what is wrong. With an error, too, the stream has both. */
DVS_MUST_USE dvs_err stream_watch_child(struct stream *stream, pid_t child, int why_fd);
/* Whatever makes it has ended. The stream may be gone then. */
void stream_ended(struct stream *stream, dvs_err err, const char *why);

#endif
