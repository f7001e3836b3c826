/* SPDX-License-Identifier: Apache-2.0 */
/* DCs with containers: made, changed, looked at. What is wanted is ordered and kept by the core; the agents of the nodes make it so and report.
 *
 * Who asks for something that takes the agents' work waits until the DC has settled. What a node said against it comes by an effect, before the DC
 * may be gone, and is noted with those who wait. */
#include "node/containers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of one who waits. */
struct settle {
	pending_try try;
	uint64_t add;
	uint64_t remove;
	bool on;
	dvs_err err; /* what a node said; OK: nothing */
	uint32_t node;
	char text[DVK_TEXT_MAX + 1];
};

static uint64_t bit(uint32_t node)
{
	return UINT64_C(1) << node;
}

static bool node_is_down(const struct host *host, uint32_t node)
{
	const struct core_node *known = core_node_find(host->core, node);

	return known && known->state == CORE_DOWN;
}

/* ---- what nodes say against it ---- */

static void settle_note(const struct host *host, struct settle *settle, uint32_t node,
			const char *text)
{
	if (settle->err != DVS_OK || node >= CORE_NODES_MAX)
		return;
	settle->err = node_is_down(host, node) ? DVS_NODEDOWN : DVS_DENIED;
	settle->node = node;
	(void)snprintf(settle->text, sizeof(settle->text), "%s", text ? text : "");
}

/* Whether PENDING waits for what NODE says of DC. */
static bool waits_for(const struct pending *pending, dvs_dcid dc, uint32_t node)
{
	const struct settle *settle = pending->more;

	if (pending->dc.n != dc.n || !settle ||
	    (pending->op != CONTROL_CONTAINER_CREATE && pending->op != CONTROL_CONTAINER_NODES))
		return false;
	return pending->op == CONTROL_CONTAINER_CREATE || (settle->add & bit(node));
}

static void note_refusal(struct host *host, const struct core_effect *effect)
{
	struct map_node *at = map_first(&host->watches, watch_dc(effect->dc));

	for (; at; at = map_next(at)) {
		struct pending *pending = CONTAINER_OF(at, struct pending, by_watch);

		if (waits_for(pending, effect->dc, effect->node))
			settle_note(host, pending->more, effect->node, effect->text);
	}
}

static const char *state_name(enum dvk_container_state state)
{
	static const char *const names[] = { [DVK_WANTED] = "wanted",
					     [DVK_READY] = "ready",
					     [DVK_BROKEN] = "broken",
					     [DVK_GONE] = "gone",
					     [DVK_LEAVING] = "leaving" };

	return (size_t)state < ARRAY_LEN(names) && names[state] ? names[state] : "";
}

/* What has changed, in a few words. */
static void change_text(const struct host *host, const struct core_effect *effect, char *text,
			size_t size)
{
	const struct core_command *command = host->command;
	const struct core_dc *dc = core_dc_find(host->core, effect->dc);
	enum core_op op = command ? command->op : 0;

	text[0] = '\0';
	if (effect->text)
		(void)snprintf(text, size, "%s", effect->text);
	else if (op == CORE_RECORD_SET || op == CORE_RECORD_REMOVE)
		(void)snprintf(text, size, "record %s%s", command->name,
			       op == CORE_RECORD_REMOVE ? " removed" : "");
	else if (op == CORE_CONTAINER_NODES)
		(void)snprintf(text, size, "nodes");
	else if (op == CORE_CONTAINER_FREEZE)
		(void)snprintf(text, size, command->flags & CORE_F_FROZEN ? "freeze" : "thaw");
	else if (op == CORE_CONTAINER_REMOVE)
		(void)snprintf(text, size, "removing");
	else if (op == CORE_CONTAINER_REPORT)
		(void)snprintf(text, size, "%s",
			       state_name((enum dvk_container_state)command->kind));
	else if (dc && effect->node < CORE_NODES_MAX)
		(void)snprintf(text, size, "node down");
}

void containers_changed(struct host *host, const struct core_effect *effect)
{
	char text[DVK_TEXT_MAX + 1];
	struct news news = { .what = "dc.changed", .dc = effect->dc, .text = text };
	const struct server *server = server_find(host, effect->dc);

	if (effect->kind == CORE_DC_UP)
		news.what = "dc.up";
	else if (effect->kind == CORE_DC_FAILED)
		news.what = "dc.failed";
	if (effect->kind == CORE_DC_FAILED || effect->kind == CORE_DC_REFUSED) {
		note_refusal(host, effect);
		log_info(&host->log, "a node cannot have a container", LOG_U64("dc", effect->dc.n),
			 LOG_U64("node", effect->node), LOG_STR("why", effect->text));
	}
	change_text(host, effect, text, sizeof(text));
	news.node = effect->node < CORE_NODES_MAX ? effect->node : 0;
	news.dc_name = server ? server->name : NULL; /* it may be gone by now */
	happened(host, &news);
}

/* ---- those who wait ---- */

static void answer_create(struct host *host, const struct pending *pending,
			  const struct settle *settle)
{
	struct control_container_create_rep rep = { .dc = pending->dc.n,
						    .err = (uint32_t)settle->err,
						    .node = settle->node };
	struct frame frame;

	memcpy(rep.text, settle->text, sizeof(rep.text));
	frame_begin(&frame, pending->op, pending->id, DVS_OK);
	control_container_create_rep_encode(&frame.out, &rep);
	link_send(host, pending->link, &frame);
}

static bool create_try(struct host *host, struct pending *pending)
{
	const struct core_dc *dc = core_dc_find(host->core, pending->dc);
	const struct core_containers *containers = dc ? dc->containers : NULL;
	struct settle *settle = pending->more;

	/* while this node was cut off there were no effects */
	if (containers && containers->phase == DVK_FAILED)
		settle_note(host, settle, containers->refuser, containers->refusal);
	if (containers && containers->phase != DVK_RUNS) {
		pending->watch = watch_dc(pending->dc);
		return false;
	}
	if (!containers && settle->err == DVS_OK) {
		settle->err = DVS_NODC;
		(void)snprintf(settle->text, sizeof(settle->text),
			       "it was removed while it was being created");
	}
	answer_create(host, pending, settle);
	return true;
}

static bool remove_try(struct host *host, struct pending *pending)
{
	if (core_dc_find(host->core, pending->dc)) {
		pending->watch = watch_dc(pending->dc);
		return false;
	}
	link_reply(host, pending->link, pending->op, pending->id, DVS_OK);
	return true;
}

/* One that is not on it any more although nothing was heard of a refusal: that was while this node was cut off. */
static void nodes_note_lost(const struct host *host, const struct core_containers *containers,
			    struct settle *settle)
{
	for (uint32_t node = 0; node < CORE_NODES_MAX; node++) {
		if ((settle->add & bit(node)) && !(containers->nodes & bit(node)))
			settle_note(host, settle, node,
				    containers->refuser == node ? containers->refusal : "");
	}
}

static bool nodes_try(struct host *host, struct pending *pending)
{
	const struct core_dc *dc = core_dc_find(host->core, pending->dc);
	const struct core_containers *containers = dc ? dc->containers : NULL;
	struct settle *settle = pending->more;
	struct control_container_nodes_rep rep = { 0 };
	struct frame frame;

	if (!containers) {
		link_reply(host, pending->link, pending->op, pending->id, DVS_NODC);
		return true;
	}
	if (containers->phase == DVK_RUNS &&
	    ((containers->adding & settle->add) ||
	     (containers->leaving & (settle->add | settle->remove)))) {
		pending->watch = watch_dc(pending->dc);
		return false;
	}
	nodes_note_lost(host, containers, settle);
	rep.err = (uint32_t)settle->err;
	rep.node = settle->node;
	memcpy(rep.text, settle->text, sizeof(rep.text));
	frame_begin(&frame, pending->op, pending->id, DVS_OK);
	control_container_nodes_rep_encode(&frame.out, &rep);
	link_send(host, pending->link, &frame);
	return true;
}

static bool is_frozen_so(const struct host *host, const struct core_containers *containers,
			 uint32_t node, bool on)
{
	const struct core_container *container = &containers->on[node];

	if (!(containers->nodes & bit(node)) || node_is_down(host, node) ||
	    container->state == DVK_BROKEN)
		return true; /* there is nothing to be frozen */
	return container->state == DVK_READY && container->frozen == on;
}

static bool freeze_try(struct host *host, struct pending *pending)
{
	const struct core_dc *dc = core_dc_find(host->core, pending->dc);
	const struct core_containers *containers = dc ? dc->containers : NULL;
	const struct settle *settle = pending->more;
	dvs_err err = DVS_OK;

	if (!containers)
		err = DVS_NODC;
	else if (containers->phase != DVK_RUNS || containers->frozen != settle->on)
		err = DVS_BADSTATE;
	for (uint32_t node = 0; node < CORE_NODES_MAX && err == DVS_OK; node++) {
		if (is_frozen_so(host, containers, node, settle->on))
			continue;
		pending->watch = watch_dc(pending->dc);
		return false;
	}
	link_reply(host, pending->link, pending->op, pending->id, err);
	return true;
}

/* ---- requests ---- */

/* It is ordered: now whoever asked waits. */
static void on_ordered(struct host *host, struct order *order, dvs_err err)
{
	const struct settle *settle = order->more;
	struct pending pending = { .link = order->link, .op = order->op, .id = order->id };

	if (err == DVS_OK && order->op == CONTROL_CONTAINER_CREATE) {
		if (host->effects.n == 0)
			err = DVS_NOQUORUM; /* the others have it; the list of DCs tells which one */
		else
			order->dc = host->effects.list[0].dc;
	}
	if (err == DVS_OK && order->op == CONTROL_CONTAINER_CREATE && host->dc_error != DVS_OK) {
		err = host->dc_error;
		order_command(host,
			      &(struct core_command){ .op = CORE_CONTAINER_REMOVE,
						      .dc = order->dc,
						      .flags = CORE_F_FORCE },
			      NULL, true);
	}
	if (err != DVS_OK) {
		order_answer(host, order, err);
		return;
	}
	if (!order->link)
		return;
	pending.try = settle->try;
	pending.dc = order->dc;
	pending.more = order->more;
	order->more = NULL;
	pending_start(host, &pending, (uint32_t)order->number);
}

/* Submit COMMAND; REQUEST is answered when what FIRST describes has come about, or after TIMEOUT_MS. */
static void order_and_wait(struct host *host, const struct request *request,
			   const struct core_command *command, const struct settle *first,
			   uint32_t timeout_ms)
{
	struct order order = order_of(request, on_ordered);
	struct settle *settle = malloc(sizeof(*settle));

	if (!settle || (timeout_ms != DVS_FOREVER && timeout_ms > DVS_TIMEOUT_MAX_MS)) {
		request_answer(host, request, settle ? DVS_BADARG : DVS_NOMEM);
		free(settle);
		return;
	}
	*settle = *first;
	order.more = settle;
	order.number = timeout_ms;
	order.dc = command->dc;
	order_command(host, command, &order, false);
}

dvs_err dc_for_change(const struct host *host, const char *name, dvs_dcid *id)
{
	const struct core_dc *dc = core_dc_by_name(host->core, name);

	if (!dc)
		return DVS_NODC;
	*id = dc->id;
	return core_name_is_hidden(name) ? DVS_DENIED : DVS_OK;
}

void op_container_create(struct host *host, struct request *request)
{
	struct core_command command = { .op = CORE_CONTAINER_CREATE };
	const struct settle settle = { .try = create_try };
	struct control_container_create_req req;

	if (control_container_create_req_decode(&request->body, &req) != DVS_OK) {
		request_answer(host, request, DVS_PROTO);
		return;
	}
	memcpy(command.name, req.name, sizeof(command.name));
	command.owner_uid = req.owner_uid;
	command.id = req.nodes;
	command.value = req.description;
	command.n_value = req.n_description;
	order_and_wait(host, request, &command, &settle, req.timeout_ms);
}

void op_container_remove(struct host *host, struct request *request)
{
	struct core_command command = { .op = CORE_CONTAINER_REMOVE };
	const struct settle settle = { .try = remove_try };
	struct control_container_remove_req req;
	dvs_err err = control_container_remove_req_decode(&request->body, &req);

	if (err == DVS_OK)
		err = dc_for_change(host, req.name, &command.dc);
	if (err != DVS_OK) {
		request_answer(host, request, err);
		return;
	}
	command.flags = req.force ? CORE_F_FORCE : 0;
	order_and_wait(host, request, &command, &settle, req.timeout_ms);
}

void op_container_nodes(struct host *host, struct request *request)
{
	struct core_command command = { .op = CORE_CONTAINER_NODES };
	struct settle settle = { .try = nodes_try };
	struct control_container_nodes_req req;
	dvs_err err = control_container_nodes_req_decode(&request->body, &req);

	if (err == DVS_OK)
		err = dc_for_change(host, req.name, &command.dc);
	if (err != DVS_OK) {
		request_answer(host, request, err);
		return;
	}
	command.id = settle.add = req.add;
	command.count = settle.remove = req.remove;
	order_and_wait(host, request, &command, &settle, req.timeout_ms);
}

void op_container_freeze(struct host *host, struct request *request)
{
	struct core_command command = { .op = CORE_CONTAINER_FREEZE };
	struct settle settle = { .try = freeze_try };
	struct control_container_freeze_req req;
	dvs_err err = control_container_freeze_req_decode(&request->body, &req);

	if (err == DVS_OK)
		err = dc_for_change(host, req.name, &command.dc);
	if (err != DVS_OK) {
		request_answer(host, request, err);
		return;
	}
	settle.on = req.on != 0;
	command.flags = req.on ? CORE_F_FROZEN : 0;
	order_and_wait(host, request, &command, &settle, req.timeout_ms);
}

void op_container_report(struct host *host, struct request *request)
{
	struct core_command command = { .op = CORE_CONTAINER_REPORT, .node = host->config.node };
	struct control_container_report_req req;

	if (control_container_report_req_decode(&request->body, &req) != DVS_OK) {
		request_answer(host, request, DVS_PROTO);
		return;
	}
	command.dc.n = req.dc;
	command.kind = req.state;
	command.flags = req.frozen ? CORE_F_FROZEN : 0;
	command.count = req.version;
	command.value = (const uint8_t *)req.text;
	command.n_value = (uint32_t)strlen(req.text);
	order_request(host, request, &command);
}

/* ---- looking ---- */

static void put_nodes(const struct core_containers *containers,
		      struct control_container_next_rep *rep)
{
	rep->phase = (uint8_t)containers->phase;
	rep->frozen = containers->frozen;
	for (uint32_t node = 0; node < CORE_NODES_MAX; node++) {
		const struct core_container *container = &containers->on[node];
		bool leaving = (containers->leaving & bit(node)) != 0;

		if (!leaving && !(containers->nodes & bit(node)))
			continue;
		rep->nodes[rep->n_nodes++] = (struct control_container_node){
			.node = node,
			.state = leaving ? DVK_LEAVING : (uint8_t)container->state,
			.frozen = container->frozen,
			.version = container->version,
		};
	}
}

void op_container_next(struct host *host, struct request *request)
{
	struct control_container_next_req req;
	struct control_container_next_rep rep = { 0 };
	const struct core_record *description;
	const struct core_dc *dc = NULL;
	struct frame frame;
	dvs_err err = control_container_next_req_decode(&request->body, &req);

	if (err == DVS_OK) {
		dc = core_dc_next(host->core, req.cursor);
		while (dc && core_name_is_hidden(dc->name) && !req.hidden)
			dc = core_dc_next(host->core, dc->id.n);
		err = dc ? DVS_OK : DVS_NODC;
	}
	if (err != DVS_OK) {
		request_answer(host, request, err);
		return;
	}
	description = core_record_find(dc, CORE_DESCRIPTION);
	rep.dc = dc->id.n;
	memcpy(rep.name, dc->name, sizeof(rep.name));
	rep.owner_uid = dc->owner_uid;
	rep.version = description ? description->version : 0;
	rep.change = dc->change;
	rep.records = dc->n_records;
	if (dc->containers)
		put_nodes(dc->containers, &rep);
	frame_begin(&frame, request->op, request->id, DVS_OK);
	control_container_next_rep_encode(&frame.out, &rep);
	link_send(host, request->link, &frame);
}

void op_container_why(struct host *host, struct request *request)
{
	const struct core_containers *containers = NULL;
	struct control_container_why_req req;
	struct control_container_why_rep rep = { 0 };
	const struct core_dc *dc = NULL;
	struct frame frame;
	dvs_err err = control_container_why_req_decode(&request->body, &req);

	if (err == DVS_OK) {
		dc = core_dc_by_name(host->core, req.name);
		containers = dc ? dc->containers : NULL;
		err = dc ? DVS_OK : DVS_NODC;
	}
	if (err == DVS_OK && (!containers || req.node >= CORE_NODES_MAX ||
			      (!((containers->nodes | containers->leaving) & bit(req.node)) &&
			       containers->refuser != req.node)))
		err = DVS_NODEST;
	if (err != DVS_OK) {
		request_answer(host, request, err);
		return;
	}
	memcpy(rep.text, containers->on[req.node].text, sizeof(rep.text));
	if (rep.text[0] == '\0' && containers->refuser == req.node)
		memcpy(rep.text, containers->refusal, sizeof(rep.text));
	frame_begin(&frame, request->op, request->id, DVS_OK);
	control_container_why_rep_encode(&frame.out, &rep);
	link_send(host, request->link, &frame);
}
