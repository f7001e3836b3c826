/* SPDX-License-Identifier: Apache-2.0 */
/* The other nodes: the core's state as the one that all of them have (group/ordered.h), and what it means here that nodes come
 * and go. Alone (engine local) a dvsd is a cluster of one that never loses its quorum. */
#include "node/cluster.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "node/api.h"

/* ---- this node ---- */

static void on_said_up(struct host *host, struct order *order, dvs_err err)
{
	(void)order;
	host->saying_up = false;
	if (err != DVS_OK)
		log_error(&host->log, "the other nodes do not take this one up",
			  LOG_STR("why", dvs_strerror(err)));
}

static bool is_up(const struct host *host)
{
	const struct core_node *self = core_node_find(host->core, host->config.node);

	return self && self->state == CORE_UP && self->incarnation == host->started_ns;
}

/* Whoever is in a view says himself that he is up: only he knows his name and his address. */
void cluster_say_up(struct host *host)
{
	struct core_command command = { .op = CORE_NODE_UP,
					.node = host->config.node,
					.count = host->started_ns };
	const struct order order = { .done = on_said_up };

	if (is_up(host) || host->saying_up)
		return;
	if (host->config.name[0] != '\0')
		memcpy(command.name, host->config.name, sizeof(command.name));
	else
		(void)snprintf(command.name, sizeof(command.name), "node%u", host->config.node);
	static_assert(sizeof(command.name) == sizeof(host->config.name), "names of nodes");
	static_assert(sizeof(command.address) == sizeof(host->config.address), "addresses");
	memcpy(command.address, host->config.address, sizeof(command.address));
	host->saying_up = true;
	order_command(host, &command, &order, true);
}

/* ---- views ---- */

static bool view_has(const struct ordered_view *view, uint32_t node)
{
	for (uint32_t i = 0; i < view->n_members; i++) {
		if (view->members[i] == node)
			return true;
	}
	return false;
}

/* A node that is not there although nobody saw it go is lost, too: it did not come back when all were started again. */
static enum group_left why_left(const struct ordered_view *view, uint32_t node)
{
	for (uint32_t i = 0; i < view->n_left; i++) {
		if (view->left[i] == node)
			return view->why[i];
	}
	return GROUP_LOST;
}

/* All nodes do this at the same place in the order, from the same view and the same state. A dvsd that said good-bye has left its
 * programs behind if it has any; their machine is there. */
static void node_left(struct host *host, const struct ordered_view *view, uint32_t node)
{
	enum group_left why = why_left(view, node);
	bool away = why == GROUP_DIED ||
		    (why == GROUP_LEFT && (core_node_bindings(host->core, node) > 0 ||
					   core_node_has_containers(host->core, node)));
	struct core_command command = { .op = away ? CORE_NODE_AWAY : CORE_NODE_DOWN,
					.node = node };

	order_apply_here(host, &command);
}

void cluster_view(struct host *host, const struct ordered_view *view)
{
	for (uint32_t node = 0; node < CORE_NODES_MAX; node++) {
		const struct core_node *known = core_node_find(host->core, node);

		if (!known || view_has(view, node))
			continue;
		if (known->state == CORE_UP)
			node_left(host, view, node);
		else if (known->state == CORE_AWAY)
			node_await(host, node);
	}
	nodes_carry(host);
	cluster_say_up(host);
	seats_follow(host);
}

static void on_view(void *context, const struct ordered_view *view)
{
	struct host *host = context;

	host->position = ordered_position(host->ordered);
	log_info(&host->log, "a view of the cluster", LOG_U64("epoch", view->epoch),
		 LOG_U64("members", view->n_members), LOG_U64("joined", view->n_joined),
		 LOG_U64("left", view->n_left));
	cluster_view(host, view);
}

/* It was away, and now its machine is gone too. */
static void on_node_lost(void *context, uint32_t node)
{
	struct host *host = context;
	const struct core_node *known = core_node_find(host->core, node);
	const struct core_command command = { .op = CORE_NODE_DOWN, .node = node };

	host->position = ordered_position(host->ordered);
	if (known && known->state == CORE_AWAY)
		order_apply_here(host, &command);
}

/* What this node has and what the others have cannot be brought together here; the next dvsd begins with theirs. */
static void on_failed(void *context, dvs_err err, const char *why)
{
	struct host *host = context;

	log_error(&host->log, "cannot follow the other nodes", LOG_STR("error", dvs_strerror(err)),
		  LOG_STR("why", why));
	order_die(host);
}

static void on_ready(void *context, bool ready)
{
	struct host *host = context;

	if (ready)
		quorum_won(host);
	else
		quorum_lost(host);
}

/* ---- the state, to and from other nodes ---- */

/* Commands with their lengths, as many as fit into a piece. */
struct saver {
	dvs_err (*emit)(void *to, const void *bytes, size_t len);
	void *to;
	struct writer out;
	uint8_t bytes[ORDERED_ENTRY_MAX];
};

static dvs_err saver_flush(struct saver *saver)
{
	dvs_err err = DVS_OK;

	if (writer_len(&saver->out) > 0)
		err = saver->emit(saver->to, saver->bytes, writer_len(&saver->out));
	saver->out = writer_over(saver->bytes, sizeof(saver->bytes));
	return err;
}

static dvs_err save_one(void *context, const struct core_command *command)
{
	struct saver *saver = context;
	uint8_t bytes[CORE_COMMAND_BYTES_MAX];
	struct writer out = writer_over(bytes, sizeof(bytes));
	dvs_err err = DVS_OK;

	core_command_encode(&out, command);
	if (writer_len(&saver->out) + 2 + writer_len(&out) > sizeof(saver->bytes))
		err = saver_flush(saver);
	writer_u16(&saver->out, writer_len(&out));
	writer_bytes(&saver->out, bytes, writer_len(&out));
	return err;
}

static dvs_err on_save(void *context, dvs_err (*emit)(void *to, const void *bytes, size_t len),
		       void *to)
{
	struct host *host = context;
	struct saver *saver = malloc(sizeof(*saver));
	dvs_err err;

	if (!saver)
		return DVS_NOMEM;
	saver->emit = emit;
	saver->to = to;
	saver->out = writer_over(saver->bytes, sizeof(saver->bytes));
	err = core_snapshot(host->core, save_one, saver);
	if (err == DVS_OK)
		err = saver_flush(saver);
	free(saver);
	return err;
}

static void on_load_begin(void *context)
{
	struct host *host = context;

	core_destroy(host->loading);
	host->loading = NULL;
	(void)!core_create(&host->loading); /* the first piece finds out */
}

static dvs_err on_load(void *context, const void *bytes, size_t len)
{
	struct host *host = context;
	struct core_effects effects = { 0 };
	struct cursor in = cursor_over(bytes, len);
	dvs_err err = host->loading ? DVS_OK : DVS_NOMEM;

	while (err == DVS_OK && cursor_left(&in) > 0) {
		struct core_command command;
		size_t n = cursor_u16(&in);
		const uint8_t *one = cursor_borrow(&in, n);
		struct cursor body = cursor_over(one, one ? n : 0);

		err = core_command_decode(&body, &command);
		if (err == DVS_OK)
			err = core_step(host->loading, &command, &effects);
	}
	core_effects_free(&effects);
	return err;
}

static void on_load_end(void *context, bool ok)
{
	struct host *host = context;
	struct core *loaded = host->loading;

	host->loading = NULL;
	if (!ok || !loaded) {
		log_error(&host->log, "the state of the other nodes did not arrive whole");
		core_destroy(loaded);
		return;
	}
	host->position = ordered_position(host->ordered);
	adopt(host, loaded);
}

static uint64_t on_digest(void *context)
{
	const struct host *host = context;

	return core_digest(host->core);
}

/* ---- open and close ---- */

static void on_source(struct host *host, struct source *source, uint32_t events)
{
	(void)source;
	(void)events;
	ordered_dispatch(host->ordered);
}

static dvs_err open_corosync(void *argument, const struct engine_events *events,
			     struct engine **engine)
{
	const struct host *host = argument;

#ifdef NODE_WITHOUT_COROSYNC
	(void)host;
	(void)events;
	(void)engine;
	return DVS_IO;
#else
	return engine_corosync_open("dvs", host->config.node, events, engine);
#endif
}

dvs_err cluster_join(struct host *host, ordered_open_engine open_engine, void *argument)
{
	const struct ordered_app app = {
		.context = host,
		.apply = order_apply,
		.view = on_view,
		.save = on_save,
		.load_begin = on_load_begin,
		.load = on_load,
		.load_end = on_load_end,
		.digest = on_digest,
		.ready = on_ready,
		.refused = order_refused,
		.node_lost = on_node_lost,
		.failed = on_failed,
	};
	struct ordered_position position = host->position;
	dvs_err err;

	position.promised = host->started_ns / CLOCK_NS_PER_MS;
	err = ordered_open(&app, &position, host->config.node, open_engine, argument,
			   &host->ordered);

	if (err != DVS_OK)
		return err;
	host->ordered_source =
		(struct source){ .fd = ordered_fd(host->ordered), .ready = on_source };
	err = source_add(host, &host->ordered_source, EPOLLIN);
	if (err == DVS_OK && !order_is_ready(host))
		err = quorum_await(host);
	if (err == DVS_OK)
		ordered_dispatch(host->ordered);
	return err;
}

dvs_err cluster_open(struct host *host)
{
	struct ordered_view alone = { .n_members = 1, .members = { host->config.node } };
	dvs_err err;

	if (host->config.engine == CONFIG_LOCAL) {
		cluster_view(host, &alone);
		return DVS_OK;
	}
	err = cluster_join(host, open_corosync, host);
	if (err != DVS_OK)
		log_error(&host->log,
			  "cannot join the cluster: does corosync run, and may this user use it?",
			  LOG_STR("why", dvs_strerror(err)));
	return err;
}

void cluster_close(struct host *host)
{
	struct ordered *ordered = host->ordered;

	host->ordered_source.fd = -1; /* it is the engine's */
	host->ordered = NULL;
	ordered_close(ordered);
	core_destroy(host->loading);
	host->loading = NULL;
}
