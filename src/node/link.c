/* SPDX-License-Identifier: Apache-2.0 */
/* Connections: accepted by a server, read frame by frame, closed when they end or misbehave. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "node/api.h"
#include "node/ask.h"
#include "node/carrier.h"

struct received {
	uint8_t bytes[FRAME_BYTES_MAX];
	size_t len;
	uint32_t pid;
	int fds[2];
	bool cut;
};

static void keep_fds(struct received *received, const struct cmsghdr *head)
{
	size_t n = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < n && i < ARRAY_LEN(received->fds); i++)
		memcpy(&received->fds[i], CMSG_DATA(head) + i * sizeof(int), sizeof(int));
}

/* 1: a frame, 0: none there, -1: the other side is gone. Descriptors for which there is no
 * room never become ours: the kernel drops them. */
static int receive(int socket, bool with_fds, struct received *received)
{
	union {
		char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec part = { .iov_base = received->bytes, .iov_len = sizeof(received->bytes) };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = control.bytes,
				  .msg_controllen = with_fds ? sizeof(control.bytes) :
							       CMSG_SPACE(sizeof(struct ucred)) };
	ssize_t len = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (len < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	received->len = (size_t)len;
	received->pid = 0;
	received->fds[0] = -1;
	received->fds[1] = -1;
	received->cut = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
	for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head;
	     head = CMSG_NXTHDR(&message, head)) {
		if (head->cmsg_level != SOL_SOCKET)
			continue;
		if (head->cmsg_type == SCM_RIGHTS)
			keep_fds(received, head);
		if (head->cmsg_type == SCM_CREDENTIALS) {
			struct ucred who;

			memcpy(&who, CMSG_DATA(head), sizeof(who));
			received->pid = (uint32_t)who.pid;
		}
	}
	/* An empty record and the end look alike; only the end comes without a sender. */
	return len == 0 && received->pid == 0 ? -1 : 1;
}

static void bad_frame(struct host *host, struct link *link)
{
	if (++link->n_bad_frames >= LINK_BAD_FRAMES_MAX)
		link_doom(host, link, "it sends malformed frames");
}

void link_frame(struct host *host, struct link *link, const void *bytes, size_t len, int fds[2])
{
	struct request request = { .link = link,
				   .body = cursor_over(bytes, len),
				   .fds = { fds[0], fds[1] } };
	uint32_t err;

	fds[0] = fds[1] = -1;
	request.op = cursor_u32(&request.body);
	request.id = cursor_u32(&request.body);
	err = cursor_u32(&request.body);
	request.len = cursor_left(&request.body);
	request.bytes = (const uint8_t *)bytes + (len - request.len);
	if (request.body.failed || request.id == 0 || err != 0) {
		link_reply(host, link, request.op, request.id, DVS_PROTO);
		bad_frame(host, link);
	} else {
		dispatch(host, &request);
	}
	fd_discard(host, request.fds[0]);
	fd_discard(host, request.fds[1]);
}

void link_receive(struct host *host, struct link *link)
{
	struct received received;

	for (unsigned int i = 0; i < LINK_READS_MAX && !link->doomed; i++) {
		/* only the first frame brings something */
		bool with_fds = !link->greeted && !link->carrier && fd_discard_can(host);
		int got = receive(link->source.fd, with_fds, &received);

		if (got == 0) {
			link->drained = link->greeted;
			return;
		}
		if (got < 0) {
			link_doom(host, link, NULL);
			return;
		}
		/* What comes after the hello was answered was not sent before: so the process had
		 * the image then that was seen at the hello, and had not yet executed another. */
		if (link->drained && link->process)
			link->process->image_confirmed = true;
		if (received.pid != link->pid) {
			/* The socket was inherited or handed on. Hanging up would hurt its owner. */
			log_debug(&host->log, "a frame came from another process",
				  LOG_U64("pid", received.pid), LOG_U64("owner", link->pid));
		} else if (received.cut) {
			bad_frame(host, link);
		} else {
			link_frame(host, link, received.bytes, received.len, received.fds);
			host_settle(host);
		}
		fd_discard(host, received.fds[0]);
		fd_discard(host, received.fds[1]);
	}
}

static void on_link(struct host *host, struct source *source, uint32_t events)
{
	struct link *link = CONTAINER_OF(source, struct link, source);

	if (events & EPOLLOUT)
		link_flush(host, link);
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		link_receive(host, link);
}

static void on_hello_late(struct host *host, struct timer *timer)
{
	link_doom(host, CONTAINER_OF(timer, struct link, hello_timer), "it never said hello");
}

static unsigned int links_of_process(const struct host *host, uint32_t pid)
{
	unsigned int n = 0;

	for (const struct process *process = process_first(host, pid); process;
	     process = process_next(process)) {
		if (process->state != PROCESS_DEAD)
			n++;
	}
	return n;
}

struct link *link_new(struct host *host, struct server *server, int fd, uint32_t pid, uid_t uid)
{
	struct link *link = calloc(1, sizeof(*link));
	const struct core_dc *dc = core_dc_find(host->core, server->dc);

	if (!link)
		return NULL;
	link->source = (struct source){ .fd = fd, .ready = on_link };
	link->server = server;
	link->dc = server->dc;
	link->pid = pid;
	link->uid = uid;
	link->admin = server->dc.n == 0;
	link->manager = uid == 0 || uid == host->uid || (dc && uid == dc->owner_uid);
	list_init(&link->of_doomed);
	list_init(&link->queue);
	list_init(&link->pendings);
	list_init(&link->orders);
	list_init(&link->asks);
	list_init(&link->traces);
	list_init(&link->seats);
	/* no number of a former dvsd */
	link->last_seat = (uint32_t)host->started_ns | 1u;
	list_add_tail(&host->links, &link->of_host);
	server->n_links++;
	return link;
}

void link_create(struct host *host, struct server *server, int fd)
{
	struct ucred who;
	socklen_t size = sizeof(who);
	int buffer_bytes = LINK_SEND_BUFFER_BYTES;
	struct link *link;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0 || who.pid <= 0 ||
	    (server->dc.n == 0 && who.uid != 0 && who.uid != host->uid) ||
	    links_of_process(host, (uint32_t)who.pid) >= LINKS_PER_PROCESS_MAX ||
	    server->n_links >= DC_LINKS_SHARE_OF(host->n_fds_max) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof(buffer_bytes)) != 0)
		link = NULL;
	else
		link = link_new(host, server, fd, (uint32_t)who.pid, who.uid);
	if (!link) {
		close(fd);
		return;
	}
	link->starttime = proc_starttime(link->pid);
	link->pid_ns = proc_pid_ns(link->pid);
	if (link->starttime == 0 || source_add(host, &link->source, EPOLLIN) != DVS_OK ||
	    (!link->admin &&
	     host_timer(host, &link->hello_timer, LINK_HELLO_NS, on_hello_late) != DVS_OK))
		link_doom(host, link, NULL);
}

void link_doom(struct host *host, struct link *link, const char *why)
{
	if (link->doomed)
		return;
	link->doomed = true;
	list_add_tail(&host->doomed, &link->of_doomed);
	if (why && host_may_complain(host))
		log_warning(&host->log, "closing a connection", LOG_STR("why", why),
			    LOG_U64("pid", link->pid), LOG_U64("dc", link->dc.n));
}

void link_destroy(struct host *host, struct link *link)
{
	struct process *process = link->process;

	timer_cancel(&host->timers, &link->hello_timer);
	timer_cancel(&host->timers, &link->retry_timer);
	list_remove(&link->of_host);
	link->server->n_links--;
	while (!list_is_empty(&link->pendings))
		pending_free(host, CONTAINER_OF(link->pendings.next, struct pending, of_link));
	orders_forget_link(link);
	asks_forget_link(host, link);
	host->n_watchers -= link->watches;
	copies_forget_link(host, link);
	traces_end(link);
	seats_forget_link(link);
	link_drop_queue(host, link);
	source_close(host, &link->source);
	link->process = NULL;
	if (link->carrier)
		carrier_unlinked(host, link->carrier);
	if (process) {
		process->link = NULL;
		if (!host->stopping)
			process_end(host, process);
	}
	link->remains.memory = link;
	list_add_tail(&host->dead, &link->remains.of_dead);
}
