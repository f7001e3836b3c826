/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/init_link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "container/init/frame.h"

/* Frames that are handled before others have their turn. */
#define FRAMES_PER_TURN 32
/* The longest that dc-init has to say: a page of its list. */
#define FRAME_IN_MAX (INIT_HEADER_BYTES + INIT_LIST_REP_BYTES_MAX)
#define RETRY_FIRST_MS 10u
#define RETRY_MAX_MS 2000u

/* A request, from when it is said until its answer. */
struct ask {
	struct list link;
	uint32_t id, op;
	init_link_reply reply;
	void *context;
	int fds[INIT_FDS_MAX];
	size_t n_fds, len;
	uint8_t *frame; /* NULL: is sent */
};

struct init_link {
	struct loop *loop;
	struct sockaddr_un address;
	const struct init_link_calls *calls;
	void *context;
	int fd;
	struct loop_watch watch;
	struct loop_timer retry;
	uint32_t retry_ms;
	bool up;
	struct list asks; /* oldest first; those that are sent before those that are not */
	size_t n_asks;
	uint32_t last_id;
	uint64_t second; /* in which so many frames have come */
	uint32_t frames;
	uint8_t in[FRAME_IN_MAX];
	uint8_t out[INIT_HEADER_BYTES + INIT_BODY_BYTES_MAX];
};

static void connect_now(struct init_link *link);
static void send_waiting(struct init_link *link);

static void close_fds(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		cleanup_close(&fds[i]);
}

static void ask_free(struct init_link *link, struct ask *ask)
{
	list_remove(&ask->link);
	link->n_asks--;
	close_fds(ask->fds, ask->n_fds);
	free(ask->frame);
	free(ask);
}

/* Whether the body was well formed. */
static bool ask_answer(struct init_link *link, struct ask *ask, dvs_err err, struct cursor *body,
		       int *fds, size_t n_fds)
{
	init_link_reply reply = ask->reply;
	void *context = ask->context;

	ask_free(link, ask);
	return !reply || reply(context, err, body, fds, n_fds);
}

static void retry_fire(struct loop_timer *timer)
{
	connect_now(CONTAINER_OF(timer, struct init_link, retry));
}

static void retry_later(struct init_link *link)
{
	loop_timer_set(link->loop, &link->retry,
		       clock_deadline_ns(link->retry_ms * CLOCK_NS_PER_MS), retry_fire);
	link->retry_ms = link->retry_ms * 2 < RETRY_MAX_MS ? link->retry_ms * 2 : RETRY_MAX_MS;
}

/* What was sent and not answered is not known; what was not sent still can be. */
static void disconnect(struct init_link *link)
{
	struct cursor nothing = cursor_over(NULL, 0);
	struct list lost;
	struct list *first;

	loop_unwatch(link->loop, &link->watch);
	cleanup_close(&link->fd);
	link->up = false;
	list_init(&lost);
	LIST_FOREACH_SAFE(at, &link->asks) {
		const struct ask *ask = CONTAINER_OF(at, struct ask, link);

		if (!ask->frame || ask->op == INIT_HELLO) {
			list_remove(at);
			list_add_tail(&lost, at);
		}
	}
	while ((first = lost.next) != &lost)
		(void)ask_answer(link, CONTAINER_OF(first, struct ask, link), DVS_PEERDEAD,
				 &nothing, NULL, 0);
}

static void broken(struct init_link *link, bool refused)
{
	disconnect(link);
	retry_later(link);
	link->calls->down(link->context, refused);
}

/* ---- out ---- */

struct writer init_link_body(struct init_link *link)
{
	return writer_over(link->out + INIT_HEADER_BYTES, INIT_BODY_BYTES_MAX);
}

static void put_header(uint8_t *frame, uint32_t op, uint32_t id)
{
	struct writer out = writer_over(frame, INIT_HEADER_BYTES);

	init_frame_put(&out, (struct init_frame){ .op = op, .id = id });
}

static void resend_fire(struct loop_timer *timer)
{
	send_waiting(CONTAINER_OF(timer, struct init_link, retry));
}

/* Send what waits, as far as there is room. */
static void send_waiting(struct init_link *link)
{
	uint32_t events = EPOLLIN;

	LIST_FOREACH(at, &link->asks) {
		struct ask *ask = CONTAINER_OF(at, struct ask, link);
		int failed;

		if (!ask->frame || (!link->up && ask->op != INIT_HELLO))
			continue;
		failed = init_frame_send(link->fd, ask->frame, ask->len, ask->fds, ask->n_fds);
		if (failed == EAGAIN) {
			events |= EPOLLOUT;
			break;
		}
		/* The end of the connection is told by the loop, and is handled there; else the kernel has too many descriptors under way. */
		if (failed == EPIPE || failed == ECONNRESET)
			break;
		if (failed != 0) {
			loop_timer_set(link->loop, &link->retry,
				       clock_deadline_ns(RETRY_FIRST_MS * CLOCK_NS_PER_MS),
				       resend_fire);
			break;
		}
		free(TAKE_PTR(ask->frame));
		close_fds(ask->fds, ask->n_fds);
		ask->n_fds = 0;
	}
	loop_rewatch(link->loop, &link->watch, events);
}

dvs_err init_link_ask(struct init_link *link, uint32_t op, struct writer *out, int *fds,
		      size_t n_fds, init_link_reply reply, void *context)
{
	struct ask *ask = NULL;

	if (writer_ok(out) && link->n_asks < INIT_LINK_ASKS_MAX)
		ask = calloc(1, sizeof(*ask));
	if (ask) {
		ask->len = INIT_HEADER_BYTES + writer_len(out);
		ask->frame = malloc(ask->len);
	}
	if (!ask || !ask->frame) {
		close_fds(fds, n_fds);
		free(ask);
		return writer_ok(out) ? DVS_FULL : DVS_BADARG;
	}
	ask->id = ++link->last_id ? link->last_id : ++link->last_id;
	ask->op = op;
	ask->reply = reply;
	ask->context = context;
	memcpy(ask->frame, link->out, ask->len);
	put_header(ask->frame, op, ask->id);
	for (; ask->n_fds < n_fds; ask->n_fds++)
		ask->fds[ask->n_fds] = take_fd(&fds[ask->n_fds]);
	if (op == INIT_HELLO)
		list_add_head(&link->asks, &ask->link);
	else
		list_add_tail(&link->asks, &ask->link);
	link->n_asks++;
	if (link->fd >= 0)
		send_waiting(link);
	return DVS_OK;
}

void init_link_forget(struct init_link *link, const void *context)
{
	LIST_FOREACH(at, &link->asks) {
		struct ask *ask = CONTAINER_OF(at, struct ask, link);

		if (ask->context == context)
			ask->reply = NULL;
	}
}

/* ---- in ---- */

static size_t take_fds(struct msghdr *message, int fds[INIT_FDS_MAX])
{
	size_t n_fds = 0;

	for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head;
	     head = CMSG_NXTHDR(message, head)) {
		if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
			continue;
		n_fds = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (n_fds > INIT_FDS_MAX)
			n_fds = INIT_FDS_MAX;
		memcpy(fds, CMSG_DATA(head), n_fds * sizeof(int));
	}
	return n_fds;
}

static bool on_event(struct init_link *link, uint32_t op, struct cursor *in)
{
	struct init_exited_req exited;
	struct init_started_req started;

	if (!link->up)
		return false;
	if (op == INIT_EXITED && init_exited_req_decode(in, &exited) == DVS_OK) {
		link->calls->exited(link->context, &exited);
		return true;
	}
	if (op == INIT_STARTED && init_started_req_decode(in, &started) == DVS_OK) {
		link->calls->started(link->context, &started);
		return true;
	}
	return false;
}

static bool on_reply(struct init_link *link, struct init_frame frame, struct cursor *in, int *fds,
		     size_t n_fds)
{
	LIST_FOREACH(at, &link->asks) {
		struct ask *ask = CONTAINER_OF(at, struct ask, link);

		if (ask->id != frame.id)
			continue;
		if (ask->op != frame.op || ask->frame || (frame.err != 0 && cursor_left(in) > 0))
			return false;
		return ask_answer(link, ask,
				  frame.err == 0 ? DVS_OK : dvs_err_from_number(frame.err), in, fds,
				  n_fds);
	}
	return false;
}

/* Not more than a program could bring about that ends again and again. */
static bool too_many(struct init_link *link)
{
	uint64_t second = clock_now_ns() / CLOCK_NS_PER_S;

	if (second != link->second)
		link->frames = 0;
	link->second = second;
	return ++link->frames > INIT_LINK_FRAMES_PER_S;
}

enum got { GOT_NOTHING, GOT_FRAME, GOT_END };

static enum got read_frame(struct init_link *link)
{
	struct iovec part = { .iov_base = link->in, .iov_len = sizeof(link->in) };
	union init_ancillary beside;
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = &beside,
				  .msg_controllen = sizeof(beside) };
	int fds[INIT_FDS_MAX] = { -1, -1, -1, -1, -1, -1 };
	ssize_t len = recvmsg(link->fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	struct init_frame frame;
	struct cursor in;
	size_t n_fds;
	bool good;

	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return GOT_NOTHING;
	if (len <= 0)
		return GOT_END;
	n_fds = take_fds(&message, fds);
	in = cursor_over(link->in, (size_t)len);
	frame = init_frame_get(&in);
	good = !in.failed && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) && !too_many(link);
	if (good && frame.id == 0)
		good = frame.err == 0 && on_event(link, frame.op, &in);
	else if (good)
		good = on_reply(link, frame, &in, fds, n_fds);
	close_fds(fds, INIT_FDS_MAX);
	return good ? GOT_FRAME : GOT_END;
}

static void link_ready(struct loop_watch *watch, uint32_t events)
{
	struct init_link *link = CONTAINER_OF(watch, struct init_link, watch);
	enum got got = GOT_FRAME;

	if (events & EPOLLOUT)
		send_waiting(link);
	/* What is handled may close the link, but never from within: see programs.c. */
	for (int i = 0; i < FRAMES_PER_TURN && got == GOT_FRAME; i++)
		got = read_frame(link);
	if (got == GOT_END)
		broken(link, false);
}

/* ---- opening ---- */

static bool greeted(void *context, dvs_err err, struct cursor *body, int *fds, size_t n_fds)
{
	struct init_link *link = context;
	struct init_hello_rep rep;

	(void)fds;
	if (err == DVS_PEERDEAD)
		return true;
	if (err != DVS_OK || n_fds != 0 || init_hello_rep_decode(body, &rep) != DVS_OK ||
	    rep.version != INIT_VERSION)
		return false;
	link->up = true;
	link->retry_ms = RETRY_FIRST_MS;
	link->calls->up(link->context);
	if (link->fd >= 0)
		send_waiting(link);
	return true;
}

static void connect_now(struct init_link *link)
{
	struct init_hello_req hello = { .version = INIT_VERSION };
	int room = 1 << 20;
	struct writer out;

	link->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (link->fd < 0) {
		retry_later(link);
		return;
	}
	/* The kernel gives what it allows; a start with all its strings fits into the default, too. */
	(void)setsockopt(link->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	if (connect(link->fd, (const struct sockaddr *)&link->address, sizeof(link->address)) !=
	    0) {
		bool refused = errno == ECONNREFUSED || errno == ENOENT;

		broken(link, refused);
		return;
	}
	out = init_link_body(link);
	init_hello_req_encode(&out, &hello);
	if (loop_watch(link->loop, &link->watch, link->fd, EPOLLIN, link_ready) != DVS_OK ||
	    init_link_ask(link, INIT_HELLO, &out, NULL, 0, greeted, link) != DVS_OK)
		broken(link, false);
}

dvs_err init_link_open(struct loop *loop, const char *path, const struct init_link_calls *calls,
		       void *context, struct init_link **made)
{
	struct init_link *link = calloc(1, sizeof(*link));

	if (!link)
		return DVS_NOMEM;
	link->loop = loop;
	link->calls = calls;
	link->context = context;
	link->fd = -1;
	link->retry_ms = RETRY_FIRST_MS;
	list_init(&link->asks);
	link->address.sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(link->address.sun_path)) {
		free(link);
		return DVS_TOOBIG;
	}
	(void)snprintf(link->address.sun_path, sizeof(link->address.sun_path), "%s", path);
	*made = link;
	/* From the loop, so that nothing is called before this has returned. */
	loop_timer_set(loop, &link->retry, 0, retry_fire);
	return DVS_OK;
}

void init_link_close(struct init_link *link)
{
	if (!link)
		return;
	loop_timer_cancel(link->loop, &link->retry);
	loop_unwatch(link->loop, &link->watch);
	cleanup_close(&link->fd);
	while (!list_is_empty(&link->asks))
		ask_free(link, CONTAINER_OF(link->asks.next, struct ask, link));
	free(link);
}

bool init_link_is_up(const struct init_link *link)
{
	return link && link->up;
}

/* ---- descriptors that came ---- */

bool init_fd_is_pipe(int fd)
{
	/* Only pipes answer that, and without asking whoever made the file. */
	return fcntl(fd, F_GETPIPE_SZ) > 0;
}

/* stat() or an ioctl() would ask a file system that may be the container's own; this does not. */
bool init_fd_is_terminal(int fd)
{
	char path[64];
	char text[512];
	ssize_t len;
	AUTO_CLOSE int info = -1;

	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	if (info < 0)
		return false;
	len = read(info, text, sizeof(text) - 1);
	if (len <= 0)
		return false;
	text[len] = '\0';
	return strstr(text, "\ntty-index:") != NULL;
}
