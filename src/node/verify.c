/* SPDX-License-Identifier: Apache-2.0 */
/* Whether all nodes have the same state: each tells its digest at the same place of the order. */
#include <stdlib.h>

#include "node/api.h"
#include "node/ask.h"

struct answers {
	bool has[CORE_NODES_MAX];
	struct control_node_digest of[CORE_NODES_MAX];
};

void asked_digest(struct host *host, struct asker asker, struct cursor *in)
{
	uint8_t bytes[24];
	struct writer out = writer_over(bytes, sizeof(bytes));

	(void)in;
	writer_u64(&out, host->position.epoch);
	writer_u64(&out, host->position.index);
	writer_u64(&out, core_digest(host->core));
	ask_answer(host, asker, DVS_OK, bytes, writer_len(&out));
}

/* All that are up have answered. */
static bool is_complete(const struct host *host, const struct answers *answers)
{
	for (uint32_t node = 0; node < CORE_NODES_MAX; node++) {
		const struct core_node *known = core_node_find(host->core, node);

		if (known && known->state == CORE_UP && !answers->has[node])
			return false;
	}
	return true;
}

static void verify_answer(struct host *host, const struct ask *ask, const struct answers *answers)
{
	struct control_verify_rep rep = { 0 };
	struct frame frame;

	if (!ask->link)
		return;
	for (uint32_t node = 0; node < CORE_NODES_MAX; node++) {
		if (answers->has[node])
			rep.nodes[rep.n_nodes++] = answers->of[node];
	}
	frame_begin(&frame, ask->op, ask->id, DVS_OK);
	control_verify_rep_encode(&frame.out, &rep);
	link_send(host, ask->link, &frame);
}

static bool on_digest(struct host *host, struct ask *ask, uint32_t node, dvs_err err,
		      struct cursor *answer)
{
	struct answers *answers = ask->more;
	struct control_node_digest digest = { .node = node };

	digest.epoch = cursor_u64(answer);
	digest.applied = cursor_u64(answer);
	digest.digest = cursor_u64(answer);
	if (node == ASK_ALL) {
		if (ask->link)
			link_reply(host, ask->link, ask->op, ask->id, err);
		return true;
	}
	if (err == DVS_OK && cursor_done(answer) && node < CORE_NODES_MAX) {
		answers->has[node] = true;
		answers->of[node] = digest;
	}
	if (!is_complete(host, answers))
		return false;
	verify_answer(host, ask, answers);
	return true;
}

void op_verify(struct host *host, struct request *request)
{
	struct ask first = { .done = on_digest,
			     .node = ASK_ALL,
			     .link = request->link,
			     .op = request->op,
			     .id = request->id };
	struct control_verify_req req;

	if (control_verify_req_decode(&request->body, &req) != DVS_OK) {
		request_answer(host, request, DVS_PROTO);
	} else if (req.timeout_ms > DVS_TIMEOUT_MAX_MS) {
		request_answer(host, request, DVS_BADARG);
	} else {
		first.more = calloc(1, sizeof(struct answers));
		if (first.more)
			ask(host, &first, ASK_DIGEST, NULL, 0, req.timeout_ms);
		else
			request_answer(host, request, DVS_NOMEM);
	}
}
