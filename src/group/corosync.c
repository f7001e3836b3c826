/* SPDX-License-Identifier: Apache-2.0 */
/* The engine of a cluster: corosync's closed process groups for order and views, its quorum service for the quorum. Node n of the
 * DVS is corosync's node n + 1.
 *
 * The two services tell the same change in either order and know views by different names, so what the quorum service says is
 * told on only when it is about the ring of the present view. */
#include <corosync/cpg.h>
#include <corosync/quorum.h>
#include <corosync/votequorum.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "group/engine.h"

/* The daemon is looked for again after so long. */
#define RETRY_NS 200000000
/* A cast that the daemon had no room for is tried again after so long. */
#define ROOM_NS 1000000
/* Callbacks of one dispatch, so that the caller's other work is not forgotten. */
#define CALLBACKS_MAX 512u

struct ring {
	uint32_t node;
	uint64_t seq;
	bool known;
};

struct corosync {
	struct engine engine;
	struct cpg_name group;
	cpg_handle_t cpg;
	quorum_handle_t quorum;
	votequorum_handle_t votes;
	bool connected;
	bool broken; /* noticed within a callback or a cast */
	int epoll_fd;
	int timer_fd;
	int cpg_fd;
	int quorum_fd;

	struct group_view view; /* the present one; no member: none */
	uint64_t gone;		/* nodes that were lost in the change to it, as bits */
	bool told;		/* the quorum, for this view */
	bool told_quorate;

	struct ring ring;  /* of the groups */
	uint64_t ring_has; /* its nodes, as bits */
	struct ring quorum_ring;
	bool quorate;
};

static struct corosync *corosync_of(struct engine *engine)
{
	return CONTAINER_OF(engine, struct corosync, engine);
}

/* ---- numbers ---- */

static bool node_of(uint32_t nodeid, uint32_t *node)
{
	*node = nodeid - 1;
	return nodeid >= 1 && nodeid <= GROUP_MEMBERS_MAX;
}

static uint64_t bit_of(uint32_t node)
{
	return UINT64_C(1) << node;
}

static uint64_t bits_of(const uint32_t *nodes, uint32_t n)
{
	uint64_t bits = 0;

	for (uint32_t i = 0; i < n; i++)
		bits |= bit_of(nodes[i]);
	return bits;
}

static uint32_t nodes_of(uint64_t bits, uint32_t nodes[GROUP_MEMBERS_MAX])
{
	uint32_t n = 0;

	for (uint32_t node = 0; node < GROUP_MEMBERS_MAX; node++) {
		if (bits & bit_of(node))
			nodes[n++] = node;
	}
	return n;
}

static uint64_t bits_of_ids(const uint32_t *ids, size_t n)
{
	uint64_t bits = 0;
	uint32_t node;

	for (size_t i = 0; i < n; i++) {
		if (node_of(ids[i], &node))
			bits |= bit_of(node);
	}
	return bits;
}

static uint64_t bits_of_addresses(const struct cpg_address *list, size_t n)
{
	uint64_t bits = 0;
	uint32_t node;

	for (size_t i = 0; i < n; i++) {
		if (node_of(list[i].nodeid, &node))
			bits |= bit_of(node);
	}
	return bits;
}

/* ---- the quorum ---- */

/* Whether the ring that is known is the one in which the present view came to be. */
static bool ring_fits(const struct corosync *c)
{
	uint64_t members = bits_of(c->view.members, c->view.n_members);

	return c->ring.known && (members & ~c->ring_has) == 0 && (c->gone & c->ring_has) == 0;
}

/* That the nodes of the ring are the quorum is not enough: the members must be, of which there may be fewer. */
static bool members_suffice(const struct corosync *c)
{
	struct votequorum_info info = { .node_votes = 0 };
	unsigned int votes = 0;

	for (uint32_t i = 0; i < c->view.n_members; i++) {
		if (votequorum_getinfo(c->votes, c->view.members[i] + 1, &info) != CS_OK)
			return false;
		votes += info.node_votes;
	}
	return votes >= info.quorum;
}

static void tell_quorum(struct corosync *c)
{
	bool quorate;
	bool same = c->quorum_ring.known && c->quorum_ring.seq == c->ring.seq &&
		    c->quorum_ring.node == c->ring.node;

	if (c->view.n_members == 0 || !same || !ring_fits(c))
		return;
	quorate = c->quorate && members_suffice(c);
	if (c->told && c->told_quorate == quorate)
		return;
	c->told = true;
	c->told_quorate = quorate;
	c->engine.events.quorum(c->engine.events.context, quorate);
}

static void on_quorum(quorum_handle_t handle, uint32_t quorate, struct quorum_ring_id ring,
		      uint32_t n, const uint32_t *ids)
{
	const void *context;
	struct corosync *c;

	(void)n;
	(void)ids;
	if (quorum_context_get(handle, &context) != CS_OK)
		return;
	memcpy(&c, &context, sizeof(context));
	c->quorum_ring = (struct ring){ .node = ring.nodeid, .seq = ring.seq, .known = true };
	c->quorate = quorate != 0;
	tell_quorum(c);
}

/* ---- the group ---- */

static struct corosync *corosync_of_cpg(cpg_handle_t handle)
{
	void *context = NULL;

	return cpg_context_get(handle, &context) == CS_OK ? context : NULL;
}

static void on_deliver(cpg_handle_t handle, const struct cpg_name *group, uint32_t nodeid,
		       uint32_t pid, void *bytes, size_t len)
{
	struct corosync *c = corosync_of_cpg(handle);
	uint32_t node;

	(void)group;
	(void)pid;
	if (c && node_of(nodeid, &node))
		c->engine.events.deliver(c->engine.events.context, node, bytes, len);
}

static enum group_left why_left(uint32_t reason)
{
	if (reason == CPG_REASON_LEAVE)
		return GROUP_LEFT;
	return reason == CPG_REASON_PROCDOWN ? GROUP_DIED : GROUP_LOST;
}

static void on_members(cpg_handle_t handle, const struct cpg_name *group,
		       const struct cpg_address *members, size_t n_members,
		       const struct cpg_address *left, size_t n_left,
		       const struct cpg_address *joined, size_t n_joined)
{
	struct corosync *c = corosync_of_cpg(handle);
	struct group_view view = { 0 };

	(void)group;
	if (!c)
		return;
	view.id = c->view.id + 1;
	view.n_members = nodes_of(bits_of_addresses(members, n_members), view.members);
	view.n_joined = nodes_of(bits_of_addresses(joined, n_joined), view.joined);
	c->gone = 0;
	for (size_t i = 0; i < n_left && view.n_left < GROUP_MEMBERS_MAX; i++) {
		uint32_t node;

		if (!node_of(left[i].nodeid, &node))
			continue;
		view.left[view.n_left] = node;
		view.why[view.n_left] = why_left(left[i].reason);
		if (view.why[view.n_left++] == GROUP_LOST)
			c->gone |= bit_of(node);
	}
	c->view = view;
	c->told = false;
	c->engine.events.view(c->engine.events.context, &view);
	tell_quorum(c);
}

static void on_ring(cpg_handle_t handle, struct cpg_ring_id ring, uint32_t n, const uint32_t *ids)
{
	struct corosync *c = corosync_of_cpg(handle);

	if (!c)
		return;
	c->ring = (struct ring){ .node = ring.nodeid, .seq = ring.seq, .known = true };
	c->ring_has = bits_of_ids(ids, n);
	if (c->engine.events.reach)
		c->engine.events.reach(c->engine.events.context, c->ring_has);
	tell_quorum(c);
}

/* ---- the daemon ---- */

static void timer_arm(const struct corosync *c, long span_ns)
{
	const struct itimerspec when = { .it_value = { .tv_nsec = span_ns } };

	/* It fails for no reason that is not a mistake in this file. */
	(void)timerfd_settime(c->timer_fd, 0, &when, NULL);
}

static bool watch(const struct corosync *c, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static dvs_err connect_quorum(struct corosync *c)
{
	quorum_model_v1_data_t model;
	votequorum_callbacks_t no_callbacks = { NULL, NULL, NULL };
	uint32_t type;

	memset(&model, 0, sizeof(model));
	model.model = QUORUM_MODEL_V1;
	model.quorum_notify_fn = on_quorum;
	if (quorum_model_initialize(&c->quorum, QUORUM_MODEL_V1, (quorum_model_data_t *)&model,
				    &type, c) != CS_OK)
		return DVS_IO;
	/* Without a provider every partition would take itself for the quorum. */
	if (type == QUORUM_SET && votequorum_initialize(&c->votes, &no_callbacks) == CS_OK) {
		if (quorum_fd_get(c->quorum, &c->quorum_fd) == CS_OK &&
		    quorum_trackstart(c->quorum, CS_TRACK_CURRENT | CS_TRACK_CHANGES) == CS_OK &&
		    watch(c, c->quorum_fd))
			return DVS_OK;
		(void)votequorum_finalize(c->votes);
	}
	(void)quorum_finalize(c->quorum);
	return type == QUORUM_SET ? DVS_IO : DVS_BADARG;
}

static dvs_err connect_group(struct corosync *c)
{
	cpg_model_v1_data_t model;
	unsigned int nodeid;
	dvs_err err = DVS_IO;

	memset(&model, 0, sizeof(model));
	model.model = CPG_MODEL_V1;
	model.cpg_deliver_fn = on_deliver;
	model.cpg_confchg_fn = on_members;
	model.cpg_totem_confchg_fn = on_ring;
	model.flags = CPG_MODEL_V1_DELIVER_INITIAL_TOTEM_CONF;
	if (cpg_model_initialize(&c->cpg, CPG_MODEL_V1, (cpg_model_data_t *)&model, c) != CS_OK)
		return DVS_IO;
	if (cpg_local_get(c->cpg, &nodeid) == CS_OK && nodeid != c->engine.node + 1)
		err = DVS_BADARG;
	else if (cpg_fd_get(c->cpg, &c->cpg_fd) == CS_OK && cpg_join(c->cpg, &c->group) == CS_OK &&
		 watch(c, c->cpg_fd))
		return DVS_OK;
	(void)cpg_finalize(c->cpg);
	return err;
}

static dvs_err daemon_connect(struct corosync *c)
{
	dvs_err err = connect_quorum(c);

	if (err != DVS_OK)
		return err;
	err = connect_group(c);
	if (err != DVS_OK) {
		(void)votequorum_finalize(c->votes);
		(void)quorum_finalize(c->quorum);
		return err;
	}
	c->connected = true;
	c->broken = false;
	return DVS_OK;
}

static void daemon_disconnect(struct corosync *c)
{
	if (!c->connected)
		return;
	(void)cpg_finalize(c->cpg);
	(void)votequorum_finalize(c->votes);
	(void)quorum_finalize(c->quorum);
	c->connected = false;
	c->view = (struct group_view){ .id = c->view.id };
	c->ring = c->quorum_ring = (struct ring){ .known = false };
	c->told = false;
}

static void daemon_lost(struct corosync *c)
{
	daemon_disconnect(c);
	timer_arm(c, RETRY_NS);
	c->engine.events.lost(c->engine.events.context,
			      "corosync does not answer any more; it is tried again");
}

/* ---- the interface ---- */

static dvs_err corosync_cast(struct engine *engine, const void *bytes, size_t len)
{
	struct corosync *c = corosync_of(engine);
	struct iovec piece = { .iov_len = len };
	cs_error_t result;

	if (len > GROUP_CAST_MAX)
		return DVS_TOOBIG;
	if (!c->connected)
		return DVS_FULL;
	/* The library takes a pointer that is not const, and only reads. */
	memcpy(&piece.iov_base, &bytes, sizeof(bytes));
	result = cpg_mcast_joined(c->cpg, CPG_TYPE_AGREED, &piece, 1);
	if (result == CS_OK)
		return DVS_OK;
	if (result != CS_ERR_TRY_AGAIN)
		c->broken = true;
	timer_arm(c, ROOM_NS);
	return DVS_FULL;
}

static int corosync_fd(const struct engine *engine)
{
	const struct corosync *c = (const void *)engine; /* its first member */

	return c->epoll_fd;
}

/* Nothing more: true. */
static bool dispatched(struct corosync *c, cs_error_t result)
{
	if (result != CS_OK && result != CS_ERR_TRY_AGAIN)
		c->broken = true;
	return result != CS_OK;
}

static void corosync_dispatch(struct engine *engine)
{
	struct corosync *c = corosync_of(engine);
	uint64_t n;

	if (read(c->timer_fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		c->broken = true;
	if (!c->connected) {
		if (daemon_connect(c) != DVS_OK)
			timer_arm(c, RETRY_NS);
		return;
	}
	for (unsigned int i = 0; i < CALLBACKS_MAX && !c->broken; i++) {
		if (dispatched(c, cpg_dispatch(c->cpg, CS_DISPATCH_ONE_NONBLOCKING)))
			break;
	}
	for (unsigned int i = 0; i < CALLBACKS_MAX && !c->broken; i++) {
		if (dispatched(c, quorum_dispatch(c->quorum, CS_DISPATCH_ONE_NONBLOCKING)))
			break;
	}
	if (c->broken)
		daemon_lost(c);
}

static void corosync_close(struct engine *engine)
{
	struct corosync *c = corosync_of(engine);

	if (c->connected)
		(void)cpg_leave(c->cpg, &c->group);
	daemon_disconnect(c);
	cleanup_close(&c->epoll_fd);
	cleanup_close(&c->timer_fd);
	free(c);
}

static const struct engine_ops corosync_ops = {
	.name = "corosync",
	.cast = corosync_cast,
	.fd = corosync_fd,
	.dispatch = corosync_dispatch,
	.close = corosync_close,
};

dvs_err engine_corosync_open(const char *name, uint32_t node, const struct engine_events *events,
			     struct engine **engine)
{
	size_t len = strlen(name);
	struct corosync *c;
	dvs_err err;

	if (len > GROUP_NAME_MAX || node >= GROUP_MEMBERS_MAX)
		return DVS_BADARG;
	c = calloc(1, sizeof(*c));
	if (!c)
		return DVS_NOMEM;
	c->engine = (struct engine){ .ops = &corosync_ops, .events = *events, .node = node };
	c->group.length = (uint32_t)len;
	memcpy(c->group.value, name, len);
	c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	c->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	err = c->epoll_fd >= 0 && c->timer_fd >= 0 && watch(c, c->timer_fd) ? DVS_OK : DVS_IO;
	if (err == DVS_OK)
		err = daemon_connect(c);
	if (err != DVS_OK) {
		corosync_close(&c->engine);
		return err;
	}
	*engine = &c->engine;
	return DVS_OK;
}
