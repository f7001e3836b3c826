/* SPDX-License-Identifier: Apache-2.0 */
#include "forge.h"

#include <string.h>

#include "lab.h"

#define OPS_END 72u

union any_request {
	uint32_t words[600];
	struct control_hello_req hello;
	struct control_bind_req bind;
	struct control_bind_for_req bind_for;
	struct control_unbind_req unbind;
	struct control_wait_req wait;
	struct control_endpoint_of_req endpoint_of;
	struct control_connect_req connect;
	struct control_privileges_get_req privileges_get;
	struct control_privileges_set_req privileges_set;
	struct control_migrate_start_req migrate_start;
	struct control_migrate_commit_req migrate_commit;
	struct control_migrate_rollback_req migrate_rollback;
	struct control_parked_req parked;
	struct control_promote_req promote;
	struct control_wakeup_req wakeup;
	struct control_grant_req grant;
	struct control_revoke_req revoke;
	struct control_copy_req copy;
	struct control_blocked_req blocked;
	struct control_endpoint_info_req endpoint_info;
	struct control_trace_req trace;
	struct control_rejoin_endpoint_req rejoin_endpoint;
	struct control_rejoin_links_req rejoin_links;
	struct control_dc_create_req dc_create;
	struct control_dc_remove_req dc_remove;
	struct control_dc_next_req dc_next;
	struct control_enter_req enter;
};

static void fill(const struct forge *forge, union any_request *any)
{
	for (size_t i = 0; i < sizeof(any->words) / sizeof(any->words[0]); i++) {
		uint32_t dice = rng_below(forge->rng, 8);

		if (dice < 5)
			any->words[i] = forge->values[rng_below(forge->rng, forge->n_values)];
		else if (dice < 7)
			any->words[i] = rng_below(forge->rng, 4);
		else
			any->words[i] = (uint32_t)rng_next(forge->rng);
	}
}

/* Counts and texts must fit, or nothing would be sent. */
static void tame(const struct forge *forge, uint32_t op, union any_request *any)
{
	if (op == CONTROL_PRIVILEGES_SET)
		any->privileges_set.n_call_to = rng_below(forge->rng, 9);
	else if (op == CONTROL_PARKED)
		any->parked.n_taken = rng_below(forge->rng, 257);
	else if (op == CONTROL_REJOIN_LINKS)
		any->rejoin_links.n_links = rng_below(forge->rng, 33);
	else if (op == CONTROL_DC_CREATE || op == CONTROL_DC_REMOVE || op == CONTROL_ENTER)
		memcpy(any, "a", 2); /* the name comes first */
}

#define FORGE(OP, name)                                       \
	case OP:                                              \
		control_##name##_req_encode(out, &any->name); \
		return true

static bool encode(uint32_t op, const union any_request *any, struct writer *out)
{
	switch (op) {
		FORGE(CONTROL_HELLO, hello);
		FORGE(CONTROL_BIND, bind);
		FORGE(CONTROL_BIND_FOR, bind_for);
		FORGE(CONTROL_UNBIND, unbind);
		FORGE(CONTROL_WAIT, wait);
		FORGE(CONTROL_ENDPOINT_OF, endpoint_of);
		FORGE(CONTROL_CONNECT, connect);
		FORGE(CONTROL_PRIVILEGES_GET, privileges_get);
		FORGE(CONTROL_PRIVILEGES_SET, privileges_set);
		FORGE(CONTROL_MIGRATE_START, migrate_start);
		FORGE(CONTROL_MIGRATE_COMMIT, migrate_commit);
		FORGE(CONTROL_MIGRATE_ROLLBACK, migrate_rollback);
		FORGE(CONTROL_PARKED, parked);
		FORGE(CONTROL_PROMOTE, promote);
		FORGE(CONTROL_WAKEUP, wakeup);
		FORGE(CONTROL_GRANT, grant);
		FORGE(CONTROL_REVOKE, revoke);
		FORGE(CONTROL_COPY, copy);
		FORGE(CONTROL_BLOCKED, blocked);
		FORGE(CONTROL_ENDPOINT_INFO, endpoint_info);
		FORGE(CONTROL_TRACE, trace);
		FORGE(CONTROL_REJOIN_ENDPOINT, rejoin_endpoint);
		FORGE(CONTROL_REJOIN_LINKS, rejoin_links);
		FORGE(CONTROL_DC_CREATE, dc_create);
		FORGE(CONTROL_DC_REMOVE, dc_remove);
		FORGE(CONTROL_DC_NEXT, dc_next);
		FORGE(CONTROL_ENTER, enter);
	default:
		return op == CONTROL_DVS_INFO || op == CONTROL_DC_INFO;
	}
}

bool forge_request(const struct forge *forge, uint32_t op, struct exchange *x, struct writer *out)
{
	union any_request any;

	*out = raw_begin(x, op);
	fill(forge, &any);
	tame(forge, op, &any);
	return encode(op, &any, out) && writer_ok(out);
}

static void send_noise(const struct forge *forge, struct raw_link *link)
{
	uint32_t words[300];
	size_t len = rng_below(forge->rng, sizeof(words) + 1);

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		words[i] = (uint32_t)rng_next(forge->rng);
	words[0] = rng_below(forge->rng, OPS_END);
	(void)raw_send_bytes(link, words, len, rng_below(forge->rng, 4) ? -1 : link->fd);
}

static void mutate(const struct forge *forge, struct exchange *x, struct writer *out)
{
	size_t len = writer_len(out);
	uint32_t n = rng_below(forge->rng, 4);

	for (uint32_t i = 0; i < n && len; i++)
		x->body[rng_below(forge->rng, (uint32_t)len)] ^=
			(uint8_t)(1u << rng_below(forge->rng, 8));
}

void forge_send(const struct forge *forge, struct raw_link *link)
{
	struct exchange x;
	struct writer out;

	if (rng_below(forge->rng, 16) == 0)
		send_noise(forge, link);
	else if (forge_request(forge, rng_below(forge->rng, OPS_END), &x, &out)) {
		if (rng_below(forge->rng, 4) == 0)
			mutate(forge, &x, &out);
		(void)raw_send(link, &x, &out);
	}
}
