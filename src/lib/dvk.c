/* SPDX-License-Identifier: Apache-2.0 */
/* The link is opened and closed, endpoints are bound and unbound. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <dvs/dvk.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "lib/handle.h"
#include "lib/link.h"
#include "lib/nodes.h"
#include "lib/partner.h"
#include "lib/rejoin.h"

#define DEFAULT_CONTROL "/run/dvs/control"
#define DEFAULT_RUN_DIR "/run/dvs"

/* ---- the link ---- */

/* A thread that ends gives its endpoints up. */
static void thread_ends(void *handles)
{
	struct m3 *self = handles;

	while (self) {
		struct m3 *next = self->next_of_thread;

		dvk_unbind(self);
		self = next;
	}
}

/* A word that is 1 here and 0 in children, which share our channels but must not use them. */
static dvs_err alive_make(struct dvk *dvk)
{
	void *page =
		mmap(NULL, IPC_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return dvs_from_errno(errno);
	if (madvise(page, IPC_PAGE, MADV_WIPEONFORK)) {
		(void)munmap(page, IPC_PAGE);
		return DVS_IO;
	}
	dvk->alive = page;
	*dvk->alive = 1;
	return DVS_OK;
}

static void dvk_free(struct dvk *dvk)
{
	if (dvk->fd >= 0)
		close(dvk->fd);
	if (dvk->area_fd >= 0)
		close(dvk->area_fd);
	if (dvk->stats_fd >= 0)
		close(dvk->stats_fd);
	if (dvk->area)
		(void)munmap(dvk->area, IPC_AREA_BYTES);
	if (dvk->stats)
		(void)munmap(dvk->stats, IPC_STATS_BYTES);
	pages_fini(&dvk->pages);
	nodes_events_free(dvk);
	if (dvk->alive)
		(void)munmap(dvk->alive, IPC_PAGE);
	(void)pthread_key_delete(dvk->thread_key);
	(void)pthread_cond_destroy(&dvk->turned);
	(void)pthread_mutex_destroy(&dvk->lock);
	free(dvk);
}

static dvs_err dvk_new(struct dvk **out)
{
	struct dvk *dvk = calloc(1, sizeof(*dvk));
	pthread_condattr_t attr;
	dvs_err err;

	if (!dvk)
		return DVS_NOMEM;
	dvk->fd = dvk->area_fd = dvk->stats_fd = -1;
	list_init(&dvk->exchanges);
	list_init(&dvk->handles);
	list_init(&dvk->groups);
	list_init(&dvk->unclaimed);
	list_init(&dvk->events);
	for (unsigned i = 0; i < DVK_BUCKETS; i++)
		list_init(&dvk->bucket[i]);
	if (pthread_key_create(&dvk->thread_key, thread_ends)) {
		free(dvk);
		return DVS_FULL;
	}
	(void)pthread_mutex_init(&dvk->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&dvk->turned, &attr);
	(void)pthread_condattr_destroy(&attr);
	err = alive_make(dvk);
	if (err) {
		dvk_free(dvk);
		return err;
	}
	*out = dvk;
	return DVS_OK;
}

static dvs_err dvk_open_at(const char *path, bool admin, struct dvk **out)
{
	struct dvk *dvk;
	dvs_err err;

	if (strlen(path) >= sizeof(dvk->address.sun_path))
		return DVS_BADARG;
	err = dvk_new(&dvk);
	if (err)
		return err;
	dvk->admin = admin;
	dvk->address.sun_family = AF_UNIX;
	memcpy(dvk->address.sun_path, path, strlen(path) + 1);
	pthread_mutex_lock(&dvk->lock);
	err = hello_locked(dvk);
	pthread_mutex_unlock(&dvk->lock);
	if (err) {
		dvk_free(dvk);
		return err;
	}
	*out = dvk;
	return DVS_OK;
}

dvs_err dvk_open(const char *path, struct dvk **dvk)
{
	if (!dvk)
		return DVS_BADARG;
	if (!path)
		path = getenv("DVS_CONTROL");
	return dvk_open_at(path ? path : DEFAULT_CONTROL, false, dvk);
}

dvs_err dvk_admin_open(const char *run_dir, struct dvk **admin)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
	int len;

	if (!admin)
		return DVS_BADARG;
	if (!run_dir)
		run_dir = getenv("DVS_RUN_DIR");
	len = snprintf(path, sizeof(path), "%s/admin", run_dir ? run_dir : DEFAULT_RUN_DIR);
	if (len < 0 || (size_t)len >= sizeof(path))
		return DVS_BADARG;
	return dvk_open_at(path, true, admin);
}

void dvk_close(struct dvk *dvk)
{
	struct list *node;

	if (!dvk)
		return;
	/* The socket's end is what ends the bindings for dvsd. */
	pthread_mutex_lock(&dvk->lock);
	dvk->closing = true;
	(void)pthread_setspecific(dvk->thread_key, NULL);
	while ((node = list_take_head(&dvk->handles))) {
		struct m3 *self = CONTAINER_OF(node, struct m3, node);

		handle_leave_locked(self);
		pthread_mutex_unlock(&dvk->lock);
		handle_free(self);
		pthread_mutex_lock(&dvk->lock);
	}
	pthread_mutex_unlock(&dvk->lock);
	dvk_free(dvk);
}

/* ---- bindings ---- */

/* In the thread that reads the reply, so that no event for the endpoint can come before it is known. */
static void bind_replied(struct dvk *dvk, struct exchange *x)
{
	struct cursor in = cursor_over(x->body, x->bytes);
	struct control_bind_rep reply;
	struct m3 *self = x->arg;

	(void)dvk;
	if (x->err)
		return;
	x->err = control_bind_rep_decode(&in, &reply);
	if (!x->err && reply.slot >= IPC_SLOTS_MAX)
		x->err = DVS_PROTO;
	if (!x->err)
		handle_bind_locked(self, reply.ep, reply.slot, (uint8_t)self->binding, reply.role,
				   reply.may);
}

dvs_err dvk_bind(struct dvk *dvk, dvs_ep want, enum dvk_kind kind, struct m3 **self)
{
	struct control_bind_req request = { .want = want.n,
					    .binding = (uint8_t)kind,
					    .tid = (uint32_t)gettid() };
	struct exchange x;
	struct cursor in;
	struct writer out = exchange_init(&x, CONTROL_BIND, 0);
	struct m3 *made;
	dvs_err err;

	if (!dvk || !self || !*dvk->alive || dvk->admin || kind < DVK_LOCAL || kind > DVK_REPLICA ||
	    (!dvs_ep_is_any(want) && want.n > DVS_EP_NUMBER_MAX))
		return DVS_BADARG;
	made = handle_new(dvk);
	if (!made)
		return DVS_NOMEM;
	made->binding = (uint8_t)kind;
	control_bind_req_encode(&out, &request);
	x.on_reply = bind_replied;
	x.arg = made;
	err = link_exchange(dvk, &x, &out, &in);
	if (err) {
		free(made);
		return err;
	}
	handle_own(made);
	*self = made;
	return DVS_OK;
}

dvs_err dvk_wait_bound(struct dvk *dvk, uint32_t timeout_ms, struct m3 **self)
{
	struct wait_limit limit = { .timeout_ms = timeout_ms };
	struct list *node;
	dvs_err err;

	if (!dvk || !self || !*dvk->alive || dvk->admin)
		return DVS_BADARG;
	err = link_wait(dvk, &dvk->unclaimed, limit_deadline_ns(&limit), &node);
	if (err)
		return err;
	*self = CONTAINER_OF(node, struct m3, unclaimed);
	handle_own(*self);
	return DVS_OK;
}

LINK_CALL(unbind, CONTROL_UNBIND)
LINK_CALL(bind_for, CONTROL_BIND_FOR)
LINK_CALL(wait, CONTROL_WAIT)
LINK_CALL(endpoint_of, CONTROL_ENDPOINT_OF)

static void thread_forget(struct m3 *self)
{
	struct m3 *first = pthread_getspecific(self->dvk->thread_key);
	struct m3 **at = &first;

	while (*at && *at != self)
		at = &(*at)->next_of_thread;
	if (*at)
		*at = self->next_of_thread;
	(void)pthread_setspecific(self->dvk->thread_key, first);
}

void dvk_unbind(struct m3 *self)
{
	struct control_unbind_req request;
	struct control_unbind_rep none;
	struct dvk *dvk;
	bool unbound;

	if (!self || !*self->alive)
		return;
	dvk = self->dvk;
	pthread_mutex_lock(&dvk->lock);
	unbound = self->unbound;
	pthread_mutex_unlock(&dvk->lock);
	request = (struct control_unbind_req){ .ep = self->ep.self.n, .slot = self->slot };
	/* If dvsd does not know it any more, all the better; if it does not answer, it will find it missing at the rejoin. */
	if (!unbound)
		(void)!call_unbind(dvk, 0, &request, &none);
	thread_forget(self);
	pthread_mutex_lock(&dvk->lock);
	handle_leave_locked(self);
	pthread_mutex_unlock(&dvk->lock);
	handle_free(self);
}

static bool bad_link(const struct dvk *dvk)
{
	return !dvk || !*dvk->alive;
}

static bool bad_wait(const struct dvk *dvk, dvs_ep ep, uint32_t timeout_ms)
{
	return bad_link(dvk) || dvs_ep_number(ep) > DVS_EP_NUMBER_MAX ||
	       (timeout_ms > DVS_TIMEOUT_MAX_MS && timeout_ms != DVS_FOREVER);
}

dvs_err dvk_bind_for(struct dvk *dvk, pid_t pid, dvs_ep want, enum dvk_kind kind, dvs_ep *ep)
{
	struct control_bind_for_req request = { .pid = (uint32_t)pid,
						.want = want.n,
						.binding = (uint8_t)kind };
	struct control_bind_for_rep reply;
	dvs_err err;

	if (bad_link(dvk) || !ep || pid <= 0 || kind < DVK_LOCAL || kind > DVK_REPLICA ||
	    (!dvs_ep_is_any(want) && want.n > DVS_EP_NUMBER_MAX))
		return DVS_BADARG;
	err = call_bind_for(dvk, 0, &request, &reply);
	if (!err)
		ep->n = reply.ep;
	return err;
}

/* What an UNBIND or a WAIT must do until the binding is over. */
static dvs_err wait_for(struct dvk *dvk, dvs_ep ep, uint8_t what, uint32_t timeout_ms, dvs_ep *got)
{
	struct control_wait_req request = { .ep = ep.n, .what = what, .timeout_ms = timeout_ms };
	struct control_wait_rep reply;
	dvs_err err;

	if (bad_wait(dvk, ep, timeout_ms))
		return DVS_BADARG;
	err = call_wait(dvk, timeout_ms, &request, &reply);
	if (!err && got)
		got->n = reply.ep;
	return err;
}

dvs_err dvk_unbind_endpoint(struct dvk *dvk, dvs_ep ep, uint32_t timeout_ms)
{
	struct control_unbind_req request = { .ep = ep.n, .slot = UINT32_MAX };
	struct control_unbind_rep none;

	if (bad_wait(dvk, ep, timeout_ms))
		return DVS_BADARG;
	return call_unbind(dvk, timeout_ms, &request, &none);
}

dvs_err dvk_wait_bind(struct dvk *dvk, dvs_ep ep, uint32_t timeout_ms, dvs_ep *bound)
{
	return wait_for(dvk, ep, 1, timeout_ms, bound);
}

dvs_err dvk_wait_unbind(struct dvk *dvk, dvs_ep ep, uint32_t timeout_ms)
{
	return wait_for(dvk, ep, 2, timeout_ms, NULL);
}

dvs_err dvk_endpoint_of(struct dvk *dvk, pid_t pid, dvs_ep *ep)
{
	struct control_endpoint_of_req request = { .pid = (uint32_t)pid };
	struct control_endpoint_of_rep reply;
	dvs_err err;

	if (bad_link(dvk) || !ep || pid <= 0)
		return DVS_BADARG;
	err = call_endpoint_of(dvk, 0, &request, &reply);
	if (!err)
		ep->n = reply.ep;
	return err;
}
