/* SPDX-License-Identifier: Apache-2.0 */
/* What both ends of the socket between the agent and dc-init agree on beside src/proto/init.toml. */
#ifndef CONTAINER_INIT_FRAME_H
#define CONTAINER_INIT_FRAME_H

#include "base/cursor.h"

#define INIT_FRAME_BYTES_MAX (192u * 1024u)
#define INIT_HEADER_BYTES 12u
#define INIT_FDS_MAX 6u
#define INIT_PROGRAMS_MAX 1024u
#define INIT_NO_RESTART UINT32_MAX

struct init_frame {
	uint32_t op;
	uint32_t id;
	uint32_t err;
};

static inline struct init_frame init_frame_get(struct cursor *in)
{
	struct init_frame frame;

	frame.op = cursor_u32(in);
	frame.id = cursor_u32(in);
	frame.err = cursor_u32(in);
	return frame;
}

static inline void init_frame_put(struct writer *out, struct init_frame frame)
{
	writer_u32(out, frame.op);
	writer_u32(out, frame.id);
	writer_u32(out, frame.err);
}

#endif
