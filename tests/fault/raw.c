/* SPDX-License-Identifier: Apache-2.0 */
#include "raw.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"

#define ANSWER_MS 2000u

bool raw_open(struct raw_link *link, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	*link = (struct raw_link){ .fd = -1 };
	if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
		return false;
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)))
		return false;
	link->fd = take_fd(&fd);
	return true;
}

void raw_close(struct raw_link *link)
{
	if (link->fd >= 0)
		close(link->fd);
	link->fd = -1;
}

struct writer raw_begin(struct exchange *x, uint32_t op)
{
	return exchange_init(x, op, 0);
}

bool raw_send(struct raw_link *link, struct exchange *x, const struct writer *out)
{
	x->bytes = writer_len(out);
	x->id = ++link->id;
	if (link->fd >= 0 && frame_send(link->fd, x))
		return true;
	raw_close(link);
	return false;
}

bool raw_send_bytes(struct raw_link *link, const void *bytes, size_t len, int fd)
{
	struct iovec part = { (void *)(uintptr_t)bytes, len };
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .bytes = { 0 } };
	struct msghdr msg = { .msg_iov = &part, .msg_iovlen = 1 };

	if (fd >= 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(int));
	}
	if (sendmsg(link->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 || errno == EAGAIN)
		return true;
	raw_close(link);
	return false;
}

/* A frame, or false: none until DEADLINE_NS, or the link is closed. */
static bool next_frame(struct raw_link *link, struct frame *frame, uint64_t deadline_ns)
{
	struct pollfd poll_fd = { .fd = link->fd, .events = POLLIN };
	enum frame_result result;

	if (link->fd < 0 || poll(&poll_fd, 1, clock_poll_ms(deadline_ns)) <= 0)
		return false;
	result = frame_receive(link->fd, frame);
	if (result == FRAME_END)
		raw_close(link);
	return result == FRAME_GOT;
}

static void handle_event(struct raw_link *link, struct frame *frame)
{
	if (frame->id == 0 && link->on_event)
		link->on_event(link->arg, frame);
	frame_close_fds(frame->fd);
}

dvs_err raw_ask(struct raw_link *link, struct exchange *x, const struct writer *out)
{
	uint32_t patience_ms = link->patience_ms ? link->patience_ms : ANSWER_MS;
	uint64_t deadline_ns = clock_deadline_ns(patience_ms * CLOCK_NS_PER_MS);
	struct frame frame;

	if (!raw_send(link, x, out))
		return DVS_NODVSD;
	frame_close_fds(x->fd);
	while (next_frame(link, &frame, deadline_ns)) {
		if (frame.id != x->id) {
			handle_event(link, &frame);
			continue;
		}
		x->bytes = cursor_left(&frame.in);
		cursor_bytes(&frame.in, x->body, x->bytes);
		memcpy(x->fd, frame.fd, sizeof(x->fd));
		return frame.err ? dvs_err_from_number(frame.err) : DVS_OK;
	}
	return DVS_NODVSD;
}

void raw_pump(struct raw_link *link)
{
	struct frame frame;

	while (next_frame(link, &frame, 0))
		handle_event(link, &frame);
}

dvs_err raw_hello(struct raw_link *link, int fd[2])
{
	struct control_hello_req request = { .version = CONTROL_VERSION };
	struct exchange x;
	struct writer out = raw_begin(&x, CONTROL_HELLO);
	dvs_err err;

	control_hello_req_encode(&out, &request);
	err = raw_ask(link, &x, &out);
	fd[0] = x.fd[0];
	fd[1] = x.fd[1];
	return err;
}

dvs_err raw_bind(struct raw_link *link, uint32_t want, struct control_bind_rep *reply)
{
	struct control_bind_req request = { .want = want,
					    .binding = DVK_LOCAL,
					    .tid = (uint32_t)gettid() };
	struct exchange x;
	struct cursor in;
	struct writer out = raw_begin(&x, CONTROL_BIND);
	dvs_err err;

	control_bind_req_encode(&out, &request);
	err = raw_ask(link, &x, &out);
	if (err)
		return err;
	in = cursor_over(x.body, x.bytes);
	return control_bind_rep_decode(&in, reply);
}

dvs_err raw_connect(struct raw_link *link, uint32_t ep, uint32_t to,
		    struct control_connect_rep *reply, int fd[2])
{
	struct control_connect_req request = { .ep = ep, .to = to };
	struct exchange x;
	struct cursor in;
	struct writer out = raw_begin(&x, CONTROL_CONNECT);
	dvs_err err;

	control_connect_req_encode(&out, &request);
	err = raw_ask(link, &x, &out);
	fd[0] = x.fd[0];
	fd[1] = x.fd[1];
	if (err)
		return err;
	in = cursor_over(x.body, x.bytes);
	return control_connect_rep_decode(&in, reply);
}
