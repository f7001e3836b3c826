/* SPDX-License-Identifier: Apache-2.0 */
/* The connection with the agent: records in, records out, descriptors beside them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "container/init/init.h"

/* A record that the socket had no room for. */
struct out_frame {
	struct list link;
	size_t len, n_fds;
	int fds[INIT_FDS_MAX];
	uint8_t bytes[];
};

static void out_free(struct out_frame *frame)
{
	for (size_t i = 0; i < frame->n_fds; i++)
		cleanup_close(&frame->fds[i]);
	free(frame);
}

void link_close(struct init *init)
{
	struct list *link;

	if (init->link < 0)
		return;
	(void)init_watch(init, EPOLL_CTL_DEL, init->link, 0);
	cleanup_close(&init->link);
	init->greeted = false;
	while ((link = list_take_head(&init->out)))
		out_free(CONTAINER_OF(link, struct out_frame, link));
	init->n_out = 0;
	/* The next one does not know these numbers: it sees in the list what became of them. */
	for (size_t i = 0; i < init->n_rows; i++)
		init->rows[i]->request = 0;
}

void link_accept(struct init *init)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	AUTO_CLOSE int fd = accept4(init->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	/* Only who is not in this PID namespace has no number in it. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 || peer.pid != 0)
		return;
	if (!init_watch(init, EPOLL_CTL_ADD, fd, EPOLLIN))
		return;
	link_close(init);
	init->link = take_fd(&fd);
}

struct writer link_body(struct init *init, struct init_frame frame)
{
	struct writer out = writer_over(init->reply, sizeof(init->reply));

	init_frame_put(&out, frame);
	return out;
}

static bool out_add(struct init *init, const void *bytes, size_t len, const int *fds, size_t n_fds)
{
	struct out_frame *frame;

	if (init->n_out >= OUT_FRAMES_MAX)
		return false;
	frame = calloc(1, sizeof(*frame) + len);
	if (!frame)
		return false;
	frame->len = len;
	memcpy(frame->bytes, bytes, len);
	list_add_tail(&init->out, &frame->link);
	init->n_out++;
	for (; frame->n_fds < n_fds; frame->n_fds++) {
		frame->fds[frame->n_fds] = dup(fds[frame->n_fds]);
		if (frame->fds[frame->n_fds] < 0)
			return false;
	}
	return init_watch(init, EPOLL_CTL_MOD, init->link, EPOLLOUT);
}

void link_send(struct init *init, const struct writer *out, const int *fds, size_t n_fds)
{
	int failed = EAGAIN;

	if (init->link < 0)
		return;
	if (!writer_ok(out)) {
		link_close(init);
		return;
	}
	if (list_is_empty(&init->out))
		failed = init_frame_send(init->link, init->reply, writer_len(out), fds, n_fds);
	if (failed == EAGAIN && out_add(init, init->reply, writer_len(out), fds, n_fds))
		failed = 0;
	/* What cannot be said must not be passed over: a new connection begins with the list. */
	if (failed != 0)
		link_close(init);
}

void link_answer(struct init *init, uint32_t op, uint32_t id, dvs_err err)
{
	struct writer out =
		link_body(init, (struct init_frame){ .op = op, .id = id, .err = (uint32_t)err });

	link_send(init, &out, NULL, 0);
}

/* Send what waits; then listen again. */
static void link_flush(struct init *init)
{
	while (!list_is_empty(&init->out)) {
		struct out_frame *frame = CONTAINER_OF(init->out.next, struct out_frame, link);
		int failed = init_frame_send(init->link, frame->bytes, frame->len, frame->fds,
					     frame->n_fds);

		if (failed == EAGAIN)
			return;
		if (failed != 0) {
			link_close(init);
			return;
		}
		list_remove(&frame->link);
		init->n_out--;
		out_free(frame);
	}
	if (!init_watch(init, EPOLL_CTL_MOD, init->link, EPOLLIN))
		link_close(init);
}

static size_t take_fds(struct msghdr *message, int fds[INIT_FDS_MAX])
{
	size_t n_fds = 0;

	for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head;
	     head = CMSG_NXTHDR(message, head)) {
		size_t n;

		if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
			continue;
		n = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (n > INIT_FDS_MAX)
			n = INIT_FDS_MAX;
		memcpy(fds, CMSG_DATA(head), n * sizeof(int));
		n_fds = n;
	}
	return n_fds;
}

static void link_read(struct init *init)
{
	struct iovec part = { .iov_base = init->frame, .iov_len = sizeof(init->frame) };
	union init_ancillary beside;
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = &beside,
				  .msg_controllen = sizeof(beside) };
	int fds[INIT_FDS_MAX] = { -1, -1, -1, -1, -1, -1 };
	ssize_t len = recvmsg(init->link, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	size_t n_fds;
	struct cursor in;
	struct init_frame frame;

	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	n_fds = len > 0 ? take_fds(&message, fds) : 0;
	in = cursor_over(init->frame, len > 0 ? (size_t)len : 0);
	frame = init_frame_get(&in);
	if (len <= 0 || in.failed || frame.id == 0 || frame.err != 0 ||
	    (message.msg_flags & MSG_TRUNC))
		link_close(init);
	else if (message.msg_flags & MSG_CTRUNC)
		link_answer(init, frame.op, frame.id, DVS_FULL);
	else
		request_handle(init, frame, &in, fds, n_fds);
	row_close(fds, INIT_FDS_MAX);
}

void link_ready(struct init *init, uint32_t events)
{
	if (!list_is_empty(&init->out))
		link_flush(init);
	else if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		link_read(init);
}
