/* SPDX-License-Identifier: Apache-2.0 */
/* The rendezvous between threads that share one mapping of each channel, so that the thread sanitizer sees both sides of it:
 * three callers, two servers, and one that rings bells for no reason. FAULT_SECONDS says for how long. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ipc/endpoint.h"
#include "ipc/inbox.h"
#include "lab.h"
#include "unit.h"

#define SERVERS 2u
#define CALLERS 3u
#define SIDES (SERVERS + CALLERS)
#define SECONDS 5u
#define WINDOW_BYTES 4096u
#define PATIENCE_MS 10000u

enum { PLAIN = 1, RELAY = 2, REPLY = 100 };

struct party {
	struct stage *stage;
	uint32_t number;
	uint64_t rng;
	struct endpoint ep;
	struct ipc_inbox *inbox;
	struct ipc_stats stats;
	struct channel channel[SIDES]; /* by the partner's number */
	_Atomic bool wake;
	uint32_t calls;		     /* number of the last call */
	uint32_t abandoned;	     /* bit n: a call with data, which server n may still read */
	uint32_t withdrawn[SERVERS]; /* the last plain message that was taken back */
	uint64_t n_done;
	uint64_t n_given_up;
};

struct stage {
	struct party party[SIDES];
	_Atomic uint32_t executed[CALLERS][SERVERS];
	_Atomic uint32_t sent[CALLERS][SERVERS]; /* of the plain ones */
	_Atomic uint64_t notes_out[CALLERS][SERVERS];
	_Atomic bool callers_stop;
	_Atomic bool servers_stop;
	uint64_t seed;
};

/* ---- the host, which here is nobody ---- */

static void host_events(struct endpoint *ep)
{
	struct party *party = ep->host_arg;

	if (atomic_exchange(&party->wake, false))
		ep->woken = true;
}

static void host_blocked(struct endpoint *ep, dvs_ep on, uint32_t wait, bool waits)
{
	(void)ep;
	(void)on;
	(void)wait;
	(void)waits;
}

static void host_park(struct endpoint *ep)
{
	ep->halt = HALT_NO;
}

static void host_trace(struct endpoint *ep, uint32_t what, dvs_ep partner,
		       const struct dvs_msg *msg, size_t bytes, dvs_err result)
{
	(void)ep;
	(void)what;
	(void)partner;
	(void)msg;
	(void)bytes;
	(void)result;
}

static const struct endpoint_host host = {
	.events = host_events,
	.blocked = host_blocked,
	.park = host_park,
	.trace = host_trace,
};

static void *memory(size_t bytes)
{
	void *at = aligned_alloc(IPC_PAGE, bytes);

	ck_assert_ptr_nonnull(at);
	memset(at, 0, bytes);
	return at;
}

static void join_up(struct stage *stage, uint32_t a, uint32_t b)
{
	struct channel_memory shared = { .lanes = memory(IPC_PAGE) };
	uint32_t side[2] = { a, b };

	shared.window[0] = memory(WINDOW_BYTES);
	shared.window[1] = memory(WINDOW_BYTES);
	for (unsigned i = 0; i < 2; i++) {
		struct party *party = &stage->party[side[i]];
		uint32_t peer = side[1 - i];
		struct channel *ch = &party->channel[peer];

		shared.peer_inbox = stage->party[peer].inbox;
		channel_init(ch, &shared, i, dvs_ep_of(peer + 1));
		/* Some beyond the first word of the inbox. */
		ch->index = peer * 50;
		ch->peer_index = side[i] * 50;
		ch->may_call = ch->may_serve = true;
		ck_assert(endpoint_add(&party->ep, ch) == DVS_OK);
	}
}

static void tear_down(struct stage *stage)
{
	for (uint32_t i = 0; i < SIDES; i++) {
		struct party *party = &stage->party[i];

		for (uint32_t peer = i + 1; peer < SIDES; peer++) {
			const struct channel_memory *shared = &party->channel[peer].memory;

			free(shared->lanes);
			free(shared->window[0]);
			free(shared->window[1]);
		}
		endpoint_fini(&party->ep);
	}
	for (uint32_t i = 0; i < SIDES; i++)
		free(stage->party[i].inbox);
}

static void set_up(struct stage *stage)
{
	memset(stage, 0, sizeof(*stage));
	stage->seed = lab_seed();
	for (uint32_t i = 0; i < SIDES; i++) {
		struct party *party = &stage->party[i];

		party->stage = stage;
		party->number = i;
		party->rng = stage->seed + i;
		party->inbox = memory(IPC_PAGE);
		endpoint_init(&party->ep, dvs_ep_of(i + 1), party->inbox, &party->stats, &host,
			      party);
		party->ep.exposed = i % 2;
	}
	for (uint32_t server = 0; server < SERVERS; server++) {
		for (uint32_t caller = SERVERS; caller < SIDES; caller++)
			join_up(stage, server, caller);
	}
}

/* Check's own writes to a pipe each time it passes. */
#define MUST(condition)                                      \
	do {                                                 \
		if (!(condition))                            \
			ck_abort_msg("not so: " #condition); \
	} while (0)

static bool all_are(const uint8_t *data, size_t len, uint8_t value)
{
	return len == 0 || (data[0] == value && memcmp(data, data + 1, len - 1) == 0);
}

/* ---- the server ---- */

static void check_call(struct party *server, const struct dvs_msg *msg, uint32_t caller)
{
	struct stage *stage = server->stage;
	uint32_t before = atomic_exchange(&stage->executed[caller][server->number], msg->u32[0]);
	const struct m3_delivery *last = &server->ep.last;
	uint8_t copy[WINDOW_BYTES];

	MUST(msg->u32[0] > before);
	if (last->kind == M3_MESSAGE)
		atomic_store(&stage->sent[caller][server->number], msg->u32[0]);
	MUST(msg->u32[1] == caller);
	MUST(msg->u32[2] == last->data_bytes);
	memcpy(copy, last->data ? last->data : "", last->data_bytes);
	MUST(all_are(copy, last->data_bytes, (uint8_t)(msg->u32[0] + caller)));
}

static void answer(struct party *server, struct channel *ch, struct dvs_msg *msg)
{
	struct open_call *call = channel_open_call(ch, server->ep.last.call);
	uint8_t data[WINDOW_BYTES];

	MUST(call);
	if (msg->type == RELAY && server->number == 0) {
		endpoint_reply(&server->ep, ch, call, IPC_RELAYED, msg, NULL, 0, dvs_ep_of(2));
		return;
	}
	memset(data, (int)(uint8_t)(msg->u32[0] + server->number), call->reply_cap);
	msg->type += REPLY;
	endpoint_reply(&server->ep, ch, call, IPC_REPLY, msg, data, call->reply_cap, dvs_ep_any());
}

static void serve(struct party *server, struct dvs_msg *msg)
{
	struct channel *ch = endpoint_find(&server->ep, msg->source);
	uint32_t caller = dvs_ep_number(msg->source) - 1 - SERVERS;

	MUST(ch);
	MUST(caller < CALLERS);
	if (msg->type == DVS_TYPE_NOTIFY) {
		uint64_t out = atomic_load(&server->stage->notes_out[caller][server->number]);

		MUST((msg->u64[0] & ~out) == 0);
		return;
	}
	if (msg->type != RELAY || server->number == 1)
		check_call(server, msg, caller);
	if (server->ep.last.kind == M3_REQUEST)
		answer(server, ch, msg);
	if (rng_below(&server->rng, 16) == 0)
		endpoint_notify(&server->ep, ch, UINT64_C(1) << server->number);
}

static void *run_server(void *arg)
{
	struct party *server = arg;

	while (!atomic_load(&server->stage->servers_stop)) {
		bool only_requests = rng_below(&server->rng, 16) == 0;
		struct wait_limit limit = { .timeout_ms = rng_below(&server->rng,
								    only_requests ? 2 : 30) };
		struct dvs_msg msg;
		dvs_err err = endpoint_enter(&server->ep, &limit, false);

		if (!err)
			err = endpoint_receive(&server->ep, NULL, only_requests, &msg, &limit);
		if (err == DVS_OK)
			serve(server, &msg);
		else
			MUST(err == DVS_TIMEOUT || err == DVS_WOKEN);
	}
	return NULL;
}

/* ---- the caller ---- */

struct request {
	uint32_t server;
	enum ipc_kind kind;
	struct dvs_msg msg;
	uint8_t out[WINDOW_BYTES];
	uint8_t in[WINDOW_BYTES];
	struct call_data data;
	struct wait_limit limit;
};

static void choose(struct party *caller, struct request *request)
{
	uint64_t *rng = &caller->rng;
	uint32_t dice = rng_below(rng, 8);
	uint32_t me = caller->number - SERVERS;

	memset(request, 0, sizeof(*request));
	request->server = rng_below(rng, SERVERS);
	request->kind = dice < 2 ? IPC_SEND : IPC_REQUEST;
	request->limit.timeout_ms = rng_below(rng, 8) ? PATIENCE_MS : rng_below(rng, 2);
	request->msg.type = PLAIN;
	if (dice == 2) {
		request->server = 0;
		request->msg.type = RELAY;
	}
	if (dice >= 5 && !caller->abandoned) {
		request->data.out = request->out;
		request->data.out_bytes = rng_below(rng, WINDOW_BYTES + 1);
		request->data.in = request->in;
		request->data.in_cap = rng_below(rng, WINDOW_BYTES + 1);
	}
	request->msg.u32[0] = ++caller->calls;
	request->msg.u32[1] = me;
	request->msg.u32[2] = (uint32_t)request->data.out_bytes;
	memset(request->out, (int)(uint8_t)(caller->calls + me), request->data.out_bytes);
}

static void check_reply(const struct party *caller, const struct request *request, uint32_t server)
{
	const struct stage *stage = caller->stage;
	const struct dvs_msg *msg = &request->msg;
	uint32_t me = caller->number - SERVERS;

	MUST(msg->u32[0] == caller->calls);
	MUST(msg->type >= REPLY);
	MUST(msg->source.n == server + 1);
	MUST(request->data.in_bytes == request->data.in_cap);
	MUST(all_are(request->in, request->data.in_bytes, (uint8_t)(caller->calls + server)));
	MUST(atomic_load(&stage->executed[me][server]) == caller->calls);
}

/* A call, also one that is relayed. */
static void one_call(struct party *caller)
{
	struct request request;
	struct call_relay relay = { .by = dvs_ep_any(), .to = dvs_ep_any() };
	dvs_err err = DVS_OK;
	uint32_t server;

	choose(caller, &request);
	server = request.server;
	do {
		if (!dvs_ep_is_any(relay.to)) {
			relay.by = caller->channel[server].peer;
			server = dvs_ep_number(relay.to) - 1;
		}
		err = endpoint_enter(&caller->ep, &request.limit, false);
		if (!err)
			err = endpoint_call(&caller->ep, &caller->channel[server], request.kind,
					    &request.msg, &request.data, &request.limit, &relay);
	} while (!err && !dvs_ep_is_any(relay.to));
	if (err == DVS_OK && request.kind == IPC_REQUEST) {
		check_reply(caller, &request, server);
		caller->abandoned &= ~(1u << server);
		/* What was taken back never arrives. */
		MUST(caller->withdrawn[server] == 0 ||
		     atomic_load(&caller->stage->sent[caller->number - SERVERS][server]) !=
			     caller->withdrawn[server]);
	} else if (err) {
		MUST(err == DVS_WOKEN ||
		     (err == DVS_TIMEOUT && request.limit.timeout_ms < PATIENCE_MS));
		caller->n_given_up++;
		if (request.kind == IPC_SEND)
			caller->withdrawn[server] = caller->calls;
		/* Nobody may write while the other may read: that would be a race, and a real one. */
		caller->abandoned |= (uint32_t)(request.data.out_bytes != 0) << server;
	}
	caller->n_done++;
}

static void one_note(struct party *caller)
{
	uint32_t server = rng_below(&caller->rng, SERVERS);
	uint64_t value = UINT64_C(1) << rng_below(&caller->rng, 63);

	atomic_fetch_or(&caller->stage->notes_out[caller->number - SERVERS][server], value);
	endpoint_notify(&caller->ep, &caller->channel[server], value);
}

static void take_notes(struct party *caller)
{
	struct wait_limit limit = { .timeout_ms = 0 };
	struct dvs_msg msg;

	while (endpoint_receive(&caller->ep, NULL, false, &msg, &limit) == DVS_OK) {
		MUST(msg.type == DVS_TYPE_NOTIFY);
		MUST(msg.u64[0] == UINT64_C(1) << (msg.source.n - 1));
	}
}

static void *run_caller(void *arg)
{
	struct party *caller = arg;

	while (!atomic_load(&caller->stage->callers_stop)) {
		uint32_t dice = rng_below(&caller->rng, 16);

		if (dice == 0)
			take_notes(caller);
		else if (dice < 3)
			one_note(caller);
		else
			one_call(caller);
		/* So that servers fall asleep. */
		if (rng_below(&caller->rng, 32) == 0)
			rng_pause(&caller->rng, 500);
	}
	return NULL;
}

/* ---- the play ---- */

TEST(threads_that_share_a_mapping_meet_without_a_race)
{
	static struct stage stage;
	pthread_t thread[SIDES];
	uint64_t end_ns;
	uint64_t rng;

	set_up(&stage);
	rng = stage.seed;
	end_ns = clock_deadline_ns(lab_option("FAULT_SECONDS", SECONDS) * CLOCK_NS_PER_S);
	for (uint32_t i = 0; i < SIDES; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL,
						i < SERVERS ? run_server : run_caller,
						&stage.party[i]),
				 0);
	while (!clock_is_past(end_ns)) {
		struct party *party = &stage.party[rng_below(&rng, SIDES)];

		if (rng_below(&rng, 2))
			atomic_store(&party->wake, true);
		inbox_ring_event(party->inbox);
		rng_pause(&rng, 1000);
	}
	atomic_store(&stage.callers_stop, true);
	for (uint32_t i = SERVERS; i < SIDES; i++) {
		(void)pthread_join(thread[i], NULL);
		lab_say("caller %u: %llu calls, %llu given up", i - SERVERS,
			(unsigned long long)stage.party[i].n_done,
			(unsigned long long)stage.party[i].n_given_up);
		ck_assert_uint_gt(stage.party[i].n_done, stage.party[i].n_given_up + 10);
	}
	atomic_store(&stage.servers_stop, true);
	for (uint32_t i = 0; i < SERVERS; i++)
		(void)pthread_join(thread[i], NULL);
	tear_down(&stage);
}

UNIT_MAIN_TIMEOUT("fault-rendezvous-threads", 3600,
		  threads_that_share_a_mapping_meet_without_a_race)
