/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/rejoin.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "lib/group.h"
#include "lib/handle.h"
#include "lib/link.h"

#define ATTEMPT_NS (5 * CLOCK_NS_PER_MS)
#define SYNC_MS DVK_ANSWER_MS

static dvs_err connect_locked(struct dvk *dvk)
{
	/* A dvsd that is stopped must not hang its clients for ever. */
	struct timeval patience = { .tv_sec = DVK_ANSWER_MS / 1000 };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	dvs_err err = DVS_OK;

	if (fd < 0)
		return dvs_from_errno(errno);
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)))
		err = dvs_from_errno(errno);
	else if (connect(fd, (const struct sockaddr *)&dvk->address, sizeof(dvk->address)))
		err = errno == EACCES ? DVS_DENIED : DVS_NODVSD;
	if (err)
		close(fd);
	else
		dvk->fd = fd;
	return err;
}

static struct writer sync_init(struct exchange *x, uint32_t op)
{
	struct writer out = exchange_init(x, op, 0);

	x->deadline_ns = clock_deadline_ns(SYNC_MS * CLOCK_NS_PER_MS);
	return out;
}

static dvs_err enter_locked(struct dvk *dvk)
{
	struct control_enter_req request;
	struct exchange x;
	struct cursor in;
	struct writer out = sync_init(&x, CONTROL_ENTER);

	if (!dvk->entered[0])
		return DVS_OK;
	memcpy(request.name, dvk->entered, sizeof(request.name));
	control_enter_req_encode(&out, &request);
	return link_sync_locked(dvk, &x, &out, &in);
}

static void watch_again_locked(struct dvk *dvk)
{
	struct exchange x;
	struct cursor in;
	struct writer out = sync_init(&x, CONTROL_WATCH);

	if (dvk->watches)
		(void)!link_sync_locked(dvk, &x, &out, &in);
}

static dvs_err send_hello_locked(struct dvk *dvk, bool rejoin, struct exchange *x,
				 struct control_hello_rep *reply)
{
	struct control_hello_req request = { .version = CONTROL_VERSION, .rejoin = rejoin };
	struct writer out = sync_init(x, CONTROL_HELLO);
	struct cursor in;
	dvs_err err;

	if (rejoin) {
		x->fd[0] = dvk->area_fd;
		x->fd[1] = dvk->stats_fd;
	}
	control_hello_req_encode(&out, &request);
	err = link_sync_locked(dvk, x, &out, &in);
	if (err)
		return err;
	return control_hello_rep_decode(&in, reply);
}

static dvs_err map_areas(struct dvk *dvk)
{
	void *area =
		mmap(NULL, IPC_AREA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, dvk->area_fd, 0);
	void *stats;

	if (area == MAP_FAILED)
		return dvs_from_errno(errno);
	dvk->area = area;
	stats = mmap(NULL, IPC_STATS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, dvk->stats_fd, 0);
	if (stats == MAP_FAILED)
		return dvs_from_errno(errno);
	dvk->stats = stats;
	return DVS_OK;
}

dvs_err hello_locked(struct dvk *dvk)
{
	struct control_hello_rep reply;
	struct exchange x;
	dvs_err err = connect_locked(dvk);

	if (err)
		return err;
	err = send_hello_locked(dvk, false, &x, &reply);
	if (err)
		return err;
	dvk->manager = reply.manager;
	dvk->area_fd = take_fd(&x.fd[0]);
	dvk->stats_fd = take_fd(&x.fd[1]);
	/* An admin link has no endpoints of its own, and so no areas. */
	if (dvk->area_fd < 0 || dvk->stats_fd < 0)
		return dvk->admin ? DVS_OK : DVS_PROTO;
	return map_areas(dvk);
}

/* ---- after a restart ---- */

static void tell_handle_locked(struct dvk *dvk, struct m3 *self)
{
	struct control_rejoin_endpoint_req request = { .ep = self->ep.self.n,
						       .slot = self->slot,
						       .role = self->primary ? 1 : 2,
						       .tid = self->tid,
						       .migration = self->migration };
	struct control_rejoin_endpoint_rep reply;
	struct exchange x;
	struct cursor in;
	struct writer out = sync_init(&x, CONTROL_REJOIN_ENDPOINT);
	dvs_err err;

	control_rejoin_endpoint_req_encode(&out, &request);
	err = link_sync_locked(dvk, &x, &out, &in);
	if (!err)
		err = control_rejoin_endpoint_rep_decode(&in, &reply);
	if (!err) {
		self->may = reply.may;
		handle_role_locked(self, reply.role);
	} else if (err != DVS_NODVSD) {
		handle_unbound_locked(self);
	}
}

static void send_links_locked(struct dvk *dvk, struct control_rejoin_links_req *request)
{
	struct exchange x;
	struct cursor in;
	struct writer out = sync_init(&x, CONTROL_REJOIN_LINKS);

	control_rejoin_links_req_encode(&out, request);
	/* Should dvsd refuse one it has told us by events. */
	(void)!link_sync_locked(dvk, &x, &out, &in);
	request->n_links = 0;
}

static void add_link_locked(struct dvk *dvk, struct control_rejoin_links_req *request,
			    const struct control_link *row)
{
	request->links[request->n_links++] = *row;
	if (request->n_links == ARRAY_LEN(request->links))
		send_links_locked(dvk, request);
}

/* Whether MAIL says that the channel of number INDEX with PEER is over, or is followed by another one. */
static bool is_about(const struct mail *mail, uint32_t peer, uint32_t index)
{
	if (mail->op == CONTROL_GONE)
		return mail->gone.peer == peer && mail->gone.my_index == index;
	return mail->op == CONTROL_CHANNEL && mail->channel.mode != 4 &&
	       dvs_ep_number(dvs_ep_of(mail->channel.peer)) == dvs_ep_number(dvs_ep_of(peer));
}

/* Is there something newer of it in the mail behind AT? */
static bool is_old_locked(struct m3 *self, struct list *at, uint32_t peer, uint32_t index)
{
	while ((at = at->next) != &self->mail) {
		if (is_about(CONTAINER_OF(at, struct mail, node), peer, index))
			return true;
	}
	return false;
}

/* A channel of which the owner has not read yet: its partner may use it already. */
static void tell_mail_locked(struct dvk *dvk, struct m3 *self, struct mail *mail,
			     struct control_rejoin_links_req *request)
{
	const struct control_channel_req *channel = &mail->channel;
	struct control_link row;

	if (mail->op != CONTROL_CHANNEL || channel->mode == 4 ||
	    is_old_locked(self, &mail->node, channel->peer, channel->my_index))
		return;
	row = (struct control_link){ .ep = self->ep.self.n,
				     .peer = channel->peer,
				     .my_index = channel->my_index,
				     .peer_index = channel->peer_index,
				     .side = channel->side & 1,
				     .remote = channel->remote };
	add_link_locked(dvk, request, &row);
}

static void tell_links_locked(struct dvk *dvk)
{
	struct control_rejoin_links_req request = { .n_links = 0 };

	LIST_FOREACH(node, &dvk->handles) {
		struct m3 *self = CONTAINER_OF(node, struct m3, node);

		if (self->unbound)
			continue;
		LIST_FOREACH(link, &self->links) {
			const struct known_link *known =
				CONTAINER_OF(link, struct known_link, node);

			if (!is_old_locked(self, &self->mail, known->row.peer, known->row.my_index))
				add_link_locked(dvk, &request, &known->row);
		}
		LIST_FOREACH(mail, &self->mail)
			tell_mail_locked(dvk, self, CONTAINER_OF(mail, struct mail, node),
					 &request);
	}
	/* One that is not full, even an empty one, tells that this was all. */
	send_links_locked(dvk, &request);
}

static void ask_again_locked(struct dvk *dvk)
{
	LIST_FOREACH(node, &dvk->exchanges) {
		struct exchange *x = CONTAINER_OF(node, struct exchange, node);

		if (!x->done)
			link_send_locked(dvk, x);
	}
}

static void tell_all_locked(struct dvk *dvk)
{
	LIST_FOREACH(node, &dvk->handles) {
		struct m3 *self = CONTAINER_OF(node, struct m3, node);

		if (!self->unbound)
			tell_handle_locked(dvk, self);
	}
	tell_links_locked(dvk);
}

bool rejoin_locked(struct dvk *dvk)
{
	struct control_hello_rep reply;
	struct exchange x;
	dvs_err err;

	if (dvk->closing || !*dvk->alive || clock_now_ns() - dvk->open_ns < ATTEMPT_NS)
		return false;
	dvk->open_ns = clock_now_ns();
	err = connect_locked(dvk);
	if (err)
		return false;
	err = send_hello_locked(dvk, dvk->area_fd >= 0, &x, &reply);
	if (err == DVS_NODVSD)
		return false;
	frame_close_fds(x.fd);
	groups_end_locked(dvk);
	if (err) {
		/* dvsd knows nothing of us any more. */
		LIST_FOREACH(node, &dvk->handles)
			handle_unbound_locked(CONTAINER_OF(node, struct m3, node));
	} else if (dvk->admin) {
		(void)!enter_locked(dvk);
		watch_again_locked(dvk);
	} else {
		tell_all_locked(dvk);
	}
	if (dvk->fd >= 0)
		dvk->broken_ns = 0;
	ask_again_locked(dvk);
	return true;
}
