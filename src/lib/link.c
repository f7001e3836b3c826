/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/link.h"

#include "lib/nodes.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "lib/handle.h"
#include "lib/rejoin.h"

/* Between two attempts to reach a dvsd that is not there. */
#define RETRY_MS 20

struct writer exchange_init(struct exchange *x, uint32_t op, uint32_t timeout_ms)
{
	uint64_t span_ms = (uint64_t)timeout_ms + DVK_ANSWER_MS;

	x->op = op;
	x->deadline_ns = timeout_ms == DVS_FOREVER ? CLOCK_NEVER_NS :
						     clock_deadline_ns(span_ms * CLOCK_NS_PER_MS);
	x->on_reply = NULL;
	x->arg = NULL;
	for (unsigned i = 0; i < LINK_FDS_MAX; i++)
		x->fd[i] = -1;
	list_init(&x->node);
	x->id = 0;
	x->done = false;
	x->err = DVS_OK;
	x->bytes = 0;
	return writer_over(x->body, sizeof(x->body));
}

/* ---- frames ---- */

void frame_close_fds(int fd[LINK_FDS_MAX])
{
	for (unsigned i = 0; i < LINK_FDS_MAX; i++) {
		if (fd[i] >= 0)
			close(fd[i]);
		fd[i] = -1;
	}
}

bool frame_send(int socket_fd, struct exchange *x)
{
	uint8_t header[LINK_HEADER_BYTES];
	struct writer out = writer_over(header, sizeof(header));
	struct iovec part[2] = { { header, sizeof(header) }, { x->body, x->bytes } };
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int) * LINK_FDS_MAX)];
	} control = { .bytes = { 0 } };
	struct msghdr msg = { .msg_iov = part, .msg_iovlen = 2 };
	unsigned n_fds = 0;
	ssize_t sent;

	writer_u32(&out, x->op);
	writer_u32(&out, x->id);
	writer_u32(&out, 0);
	while (n_fds < LINK_FDS_MAX && x->fd[n_fds] >= 0)
		n_fds++;
	if (n_fds) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(&control.head), x->fd, sizeof(int) * n_fds);
	}
	do
		sent = sendmsg(socket_fd, &msg, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent == (ssize_t)(sizeof(header) + x->bytes);
}

static void frame_take_fds(struct frame *frame, struct msghdr *msg)
{
	unsigned n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count && n < LINK_FDS_MAX; i++, n++)
			memcpy(&frame->fd[n], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
	}
}

enum frame_result frame_receive(int socket_fd, struct frame *frame)
{
	struct iovec part = { frame->bytes, sizeof(frame->bytes) };
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int) * LINK_FDS_MAX)];
	} control;
	struct msghdr msg = { .msg_iov = &part,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen = sizeof(control.bytes) };
	ssize_t got;

	for (unsigned i = 0; i < LINK_FDS_MAX; i++)
		frame->fd[i] = -1;
	/* A dvsd that died with something unread is told of once, before what it has sent; that ends with the end. */
	do
		got = recvmsg(socket_fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (got < 0 && (errno == EINTR || errno == ECONNRESET));
	if (got < 0 && errno == EAGAIN)
		return FRAME_NONE;
	if (got <= 0)
		return FRAME_END;
	frame_take_fds(frame, &msg);
	frame->in = cursor_over(frame->bytes, (size_t)got);
	frame->op = cursor_u32(&frame->in);
	frame->id = cursor_u32(&frame->in);
	frame->err = cursor_u32(&frame->in);
	if (frame->in.failed) {
		frame_close_fds(frame->fd);
		return FRAME_END;
	}
	return FRAME_GOT;
}

/* ---- what comes in, under the lock ---- */

static bool dispatch_reply(struct dvk *dvk, struct frame *frame)
{
	LIST_FOREACH(node, &dvk->exchanges) {
		struct exchange *x = CONTAINER_OF(node, struct exchange, node);

		if (x->id != frame->id || x->done)
			continue;
		x->done = true;
		x->err = frame->err ? dvs_err_from_number(frame->err) : DVS_OK;
		x->bytes = cursor_left(&frame->in);
		cursor_bytes(&frame->in, x->body, x->bytes);
		memcpy(x->fd, frame->fd, sizeof(x->fd));
		if (x->on_reply)
			x->on_reply(dvk, x);
		return true;
	}
	return false;
}

void link_dispatch(struct dvk *dvk, struct frame *frame)
{
	if (frame->id == 0 && frame->op == CONTROL_HAPPENED)
		nodes_event_locked(dvk, frame);
	else if (frame->id == 0)
		handle_event(dvk, frame);
	else if (!dispatch_reply(dvk, frame))
		frame_close_fds(frame->fd);
}

/* Whoever polls the socket without the lock must not find another file under its number: then it closes it. */
static void broken_locked(struct dvk *dvk)
{
	if (dvk->fd < 0)
		return;
	if (dvk->reading) {
		(void)shutdown(dvk->fd, SHUT_RDWR);
		return;
	}
	close(dvk->fd);
	dvk->fd = -1;
	if (dvk->broken_ns == 0)
		dvk->broken_ns = clock_now_ns();
}

/* Wait for a frame without the lock, until DEADLINE_NS. */
static void read_locked(struct dvk *dvk, uint64_t deadline_ns)
{
	struct pollfd poll_fd = { .fd = dvk->fd, .events = POLLIN };
	enum frame_result result = FRAME_NONE;
	struct frame frame;

	dvk->reading = true;
	pthread_mutex_unlock(&dvk->lock);
	if (poll(&poll_fd, 1, clock_poll_ms(deadline_ns)) > 0)
		result = frame_receive(poll_fd.fd, &frame);
	pthread_mutex_lock(&dvk->lock);
	dvk->reading = false;
	if (result == FRAME_GOT)
		link_dispatch(dvk, &frame);
	else if (result == FRAME_END)
		broken_locked(dvk);
	pthread_cond_broadcast(&dvk->turned);
}

static void wait_turn_locked(struct dvk *dvk, uint64_t until_ns)
{
	struct timespec until = clock_timespec(until_ns);

	if (until_ns == CLOCK_NEVER_NS)
		pthread_cond_wait(&dvk->turned, &dvk->lock);
	else
		(void)pthread_cond_timedwait(&dvk->turned, &dvk->lock, &until);
}

/* A dvsd that is gone may have told something that is not read yet, as of a channel that the partner uses already: whoever
 * reads it comes to the end, and then it is asked again. */
void link_send_locked(struct dvk *dvk, struct exchange *x)
{
	if (dvk->fd >= 0 && !frame_send(dvk->fd, x) && errno != EPIPE && errno != ECONNRESET)
		broken_locked(dvk);
}

/* Let the socket be read once, by this thread or by the one that is at it. */
static void turn_locked(struct dvk *dvk, uint64_t deadline_ns)
{
	if (dvk->reading)
		wait_turn_locked(dvk, deadline_ns);
	else if (dvk->fd >= 0)
		read_locked(dvk, deadline_ns);
	else if (!rejoin_locked(dvk))
		wait_turn_locked(dvk, clock_deadline_ns(RETRY_MS * CLOCK_NS_PER_MS));
}

/* However long the question may take: without a link for so long nobody will answer it. */
static bool is_down_locked(const struct dvk *dvk)
{
	return dvk->fd < 0 && dvk->broken_ns &&
	       clock_now_ns() - dvk->broken_ns > DVK_ANSWER_MS * CLOCK_NS_PER_MS;
}

dvs_err link_exchange(struct dvk *dvk, struct exchange *x, const struct writer *out,
		      struct cursor *in)
{
	dvs_err err = DVS_NODVSD;

	if (!writer_ok(out))
		return DVS_BADARG;
	x->bytes = writer_len(out);
	pthread_mutex_lock(&dvk->lock);
	x->id = ++dvk->next_id ? dvk->next_id : ++dvk->next_id;
	list_add_tail(&dvk->exchanges, &x->node);
	link_send_locked(dvk, x);
	while (!x->done && !clock_is_past(x->deadline_ns) && !is_down_locked(dvk))
		turn_locked(dvk, x->deadline_ns);
	list_remove(&x->node);
	if (x->done)
		err = x->err;
	pthread_mutex_unlock(&dvk->lock);
	*in = cursor_over(x->body, x->done ? x->bytes : 0);
	return err;
}

dvs_err link_wait(struct dvk *dvk, struct list *list, uint64_t deadline_ns, struct list **node)
{
	link_pump(dvk);
	pthread_mutex_lock(&dvk->lock);
	while (list_is_empty(list) && !clock_is_past(deadline_ns))
		turn_locked(dvk, deadline_ns);
	*node = list_take_head(list);
	pthread_mutex_unlock(&dvk->lock);
	return *node ? DVS_OK : DVS_TIMEOUT;
}

void link_turn(struct dvk *dvk, const struct list *list, const dvs_err *over, uint64_t deadline_ns)
{
	pthread_mutex_lock(&dvk->lock);
	if (list_is_empty(list) && *over == DVS_OK && !clock_is_past(deadline_ns))
		turn_locked(dvk, deadline_ns);
	pthread_mutex_unlock(&dvk->lock);
}

void link_tell(struct dvk *dvk, struct exchange *x, const struct writer *out)
{
	if (!writer_ok(out))
		return;
	x->bytes = writer_len(out);
	pthread_mutex_lock(&dvk->lock);
	x->id = ++dvk->next_id ? dvk->next_id : ++dvk->next_id;
	link_send_locked(dvk, x);
	pthread_mutex_unlock(&dvk->lock);
}

void link_pump(struct dvk *dvk)
{
	struct frame frame;
	bool read = false;

	pthread_mutex_lock(&dvk->lock);
	/* Who reads now will ring those for whom it reads something. */
	while (!dvk->reading && dvk->fd >= 0) {
		enum frame_result result = frame_receive(dvk->fd, &frame);

		if (result == FRAME_NONE)
			break;
		if (result == FRAME_END)
			broken_locked(dvk);
		else
			link_dispatch(dvk, &frame);
		read = true;
	}
	if (!dvk->reading && dvk->fd < 0)
		(void)rejoin_locked(dvk);
	if (read)
		pthread_cond_broadcast(&dvk->turned);
	pthread_mutex_unlock(&dvk->lock);
}

dvs_err link_sync_locked(struct dvk *dvk, struct exchange *x, const struct writer *out,
			 struct cursor *in)
{
	struct pollfd poll_fd = { .fd = dvk->fd, .events = POLLIN };
	struct frame frame;

	if (!writer_ok(out))
		return DVS_BADARG;
	x->bytes = writer_len(out);
	x->id = ++dvk->next_id ? dvk->next_id : ++dvk->next_id;
	list_add_tail(&dvk->exchanges, &x->node);
	link_send_locked(dvk, x);
	while (dvk->fd >= 0 && !x->done) {
		enum frame_result result = FRAME_END;

		if (poll(&poll_fd, 1, clock_poll_ms(x->deadline_ns)) > 0)
			result = frame_receive(dvk->fd, &frame);
		if (result == FRAME_GOT)
			link_dispatch(dvk, &frame);
		else if (result == FRAME_END)
			broken_locked(dvk);
	}
	list_remove(&x->node);
	*in = cursor_over(x->body, x->done ? x->bytes : 0);
	return x->done ? x->err : DVS_NODVSD;
}
