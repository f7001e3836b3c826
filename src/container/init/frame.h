/* SPDX-License-Identifier: Apache-2.0 */
/* What both ends of the socket between the agent and dc-init agree on beside src/proto/init.toml. */
#ifndef CONTAINER_INIT_FRAME_H
#define CONTAINER_INIT_FRAME_H

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

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

/* Room for the descriptors that ride along with a frame. */
union init_ancillary {
	char bytes[CMSG_SPACE(INIT_FDS_MAX * sizeof(int))];
	struct cmsghdr align;
};

/* Send a frame with up to INIT_FDS_MAX descriptors, without waiting. 0 or an errno. */
static inline int init_frame_send(int link, const void *bytes, size_t len, const int *fds,
				  size_t n_fds)
{
	struct iovec part = { .iov_len = len };
	union init_ancillary beside;
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	/* The call only reads. */
	memcpy(&part.iov_base, &bytes, sizeof(bytes));
	if (n_fds > 0) {
		struct cmsghdr *head;

		memset(&beside, 0, sizeof(beside));
		message.msg_control = &beside;
		message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		head = CMSG_FIRSTHDR(&message);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(head), fds, n_fds * sizeof(int));
	}
	return sendmsg(link, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? errno : 0;
}

#endif
