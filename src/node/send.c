/* SPDX-License-Identifier: Apache-2.0 */
/* Frames out. A frame goes out at once when the socket takes it, else it is queued; the queue
 * is bounded, and a process that lets it overflow is cut off. An event is followed by a ring
 * of the inbox that it concerns, after it was sent, never before. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "node/api.h"
#include "node/carrier.h"

struct queued {
	struct list of_queue;
	uint32_t ring;
	unsigned int n_fds;
	struct shared_fd *fds[2];
	size_t len;
	uint8_t bytes[];
};

struct shared_fd *shared_fd_create(int fd)
{
	struct shared_fd *shared = malloc(sizeof(*shared));

	if (!shared) {
		close(fd);
		return NULL;
	}
	*shared = (struct shared_fd){ .fd = fd, .holders = 1 };
	return shared;
}

struct shared_fd *shared_fd_hold(struct shared_fd *shared)
{
	shared->holders++;
	return shared;
}

void shared_fd_drop(struct shared_fd *shared)
{
	if (!shared || --shared->holders > 0)
		return;
	close(shared->fd);
	free(shared);
}

void frame_begin(struct frame *frame, uint32_t op, uint32_t id, dvs_err err)
{
	frame->out = writer_over(frame->bytes, sizeof(frame->bytes));
	frame->n_fds = 0;
	frame->ring = SLOT_NONE;
	writer_u32(&frame->out, op);
	writer_u32(&frame->out, id);
	writer_u32(&frame->out, (uint64_t)err);
}

/* The frame holds it only while it is sent; the queue takes a hold of its own. */
void frame_attach(struct frame *frame, struct shared_fd *fd)
{
	frame->fds[frame->n_fds++] = fd;
}

static ssize_t send_bytes(int socket, const void *bytes, size_t len, struct shared_fd *const *fds,
			  unsigned int n_fds)
{
	union {
		char bytes[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec part = { .iov_len = len };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	/* sendmsg() only reads it */
	memcpy(&part.iov_base, &bytes, sizeof(part.iov_base));
	if (n_fds > 0) {
		struct cmsghdr *head;

		memset(&control, 0, sizeof(control));
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		head = CMSG_FIRSTHDR(&message);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		for (unsigned int i = 0; i < n_fds; i++)
			memcpy(CMSG_DATA(head) + i * sizeof(int), &fds[i]->fd, sizeof(int));
	}
	return sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Out of memory, or too many descriptors are on their way: the socket has room, so epoll would
 * tell that at once and again. */
static bool send_is_starved(int error)
{
	return error == ENOBUFS || error == ENOMEM || error == ETOOMANYREFS;
}

static bool send_must_wait(int error)
{
	return error == EAGAIN || error == EINTR || send_is_starved(error);
}

static void link_want_out(struct host *host, struct link *link, bool wanted)
{
	if (link->wants_out == wanted)
		return;
	link->wants_out = wanted;
	source_change(host, &link->source, wanted ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void on_retry(struct host *host, struct timer *timer)
{
	link_flush(host, CONTAINER_OF(timer, struct link, retry_timer));
}

/* After a send that failed with ERROR. */
static void link_wait_out(struct host *host, struct link *link, int error)
{
	if (!send_is_starved(error)) {
		link_want_out(host, link, true);
		return;
	}
	link_want_out(host, link, false);
	if (host_timer(host, &link->retry_timer, LINK_RETRY_NS, on_retry) != DVS_OK)
		link_doom(host, link, "out of memory for its events");
}

static struct process *link_process(struct link *link)
{
	return link->carrier ? &link->carrier->process : link->process;
}

static void frame_sent(struct host *host, struct link *link, uint32_t ring)
{
	if (ring != SLOT_NONE && link_process(link))
		process_ring(host, link_process(link), ring);
}

static void link_enqueue(struct host *host, struct link *link, const struct frame *frame)
{
	size_t len = writer_len(&frame->out);
	struct queued *queued;

	if (link->n_queued >= LINK_QUEUE_MAX ||
	    (host->n_queued >= QUEUED_MAX && link->n_queued >= LINK_QUEUE_FAIR)) {
		link_doom(host, link, "it does not read its events");
		return;
	}
	queued = malloc(sizeof(*queued) + len);
	if (!queued) {
		link_doom(host, link, "out of memory for its events");
		return;
	}
	queued->ring = frame->ring;
	queued->len = len;
	queued->n_fds = frame->n_fds;
	for (unsigned int i = 0; i < frame->n_fds; i++)
		queued->fds[i] = shared_fd_hold(frame->fds[i]);
	memcpy(queued->bytes, frame->bytes, len);
	list_add_tail(&link->queue, &queued->of_queue);
	link->n_queued++;
	host->n_queued++;
	if (queued->n_fds > 0) {
		link->n_queued_channels++;
		link->server->n_queued_fds++;
	}
}

void link_send(struct host *host, struct link *link, struct frame *frame)
{
	if (link->doomed)
		return;
	if (!writer_ok(&frame->out)) {
		link_doom(host, link, "a frame for it could not be written");
		return;
	}
	if (link->source.fd < 0)
		return; /* a link without a socket, in a test */
	if (list_is_empty(&link->queue)) {
		if (send_bytes(link->source.fd, frame->bytes, writer_len(&frame->out), frame->fds,
			       frame->n_fds) >= 0) {
			frame_sent(host, link, frame->ring);
			return;
		}
		if (!send_must_wait(errno)) {
			link_doom(host, link, NULL);
			return;
		}
		link_wait_out(host, link, errno);
	}
	link_enqueue(host, link, frame);
}

static void queued_free(struct host *host, struct link *link, struct queued *queued)
{
	list_remove(&queued->of_queue);
	link->n_queued--;
	host->n_queued--;
	if (queued->n_fds > 0) {
		link->n_queued_channels--;
		link->server->n_queued_fds--;
	}
	for (unsigned int i = 0; i < queued->n_fds; i++)
		shared_fd_drop(queued->fds[i]);
	free(queued);
}

void link_flush(struct host *host, struct link *link)
{
	bool was_congested = link_is_congested(host, link);

	while (!link->doomed && !list_is_empty(&link->queue)) {
		struct queued *queued = CONTAINER_OF(link->queue.next, struct queued, of_queue);

		if (send_bytes(link->source.fd, queued->bytes, queued->len, queued->fds,
			       queued->n_fds) < 0) {
			if (send_must_wait(errno))
				link_wait_out(host, link, errno);
			else
				link_doom(host, link, NULL);
			break;
		}
		frame_sent(host, link, queued->ring);
		queued_free(host, link, queued);
	}
	if (list_is_empty(&link->queue))
		link_want_out(host, link, false);
	if (was_congested && !link_is_congested(host, link) && link_process(link))
		process_became_ready(host, link_process(link));
}

void link_drop_queue(struct host *host, struct link *link)
{
	LIST_FOREACH_SAFE(at, &link->queue)
		queued_free(host, link, CONTAINER_OF(at, struct queued, of_queue));
}

bool link_is_congested(const struct host *host, const struct link *link)
{
	return link->n_queued_channels >= LINK_QUEUE_CHANNELS_MAX ||
	       (link->n_queued_channels > 0 &&
		link->server->n_queued_fds >= DC_QUEUED_FDS_SHARE_OF(host->n_fds_max));
}

void link_reply(struct host *host, struct link *link, uint32_t op, uint32_t id, dvs_err err)
{
	struct frame frame;

	frame_begin(&frame, op, id, err);
	link_send(host, link, &frame);
}

void process_send(struct host *host, struct process *process, struct frame *frame, uint32_t slot)
{
	/* events are for who has the endpoint; its own node tells it of them */
	if (!process->link || process->carrier)
		return;
	frame->ring = slot;
	link_send(host, process->link, frame);
}
