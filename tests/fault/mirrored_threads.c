/* SPDX-License-Identifier: Apache-2.0 */
/* Callers on one node, servers on the other, two mirrors between them whose connections are cut at random places and which are themselves ended
 * and made again over the same memory. Every call is executed once, or, when it was given up, at most once; a plain message is received exactly
 * if its sender was told so; notifications are neither lost nor doubled. FAULT_SECONDS says for how long, FAULT_SEED repeats. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ipc/inbox.h"
#include "lab.h"
#include "mirrored.h"
#include "unit.h"

#define SERVERS 2u
#define CALLERS 3u
#define SECONDS 5u
#define CALLS_MAX (1u << 20)
#define PATIENCE_MS 20000u
#define BITS 60u
#define LAST_BIT 62u

enum { PLAIN = 1, RELAY = 2, REPLY = 100 };

struct play;

struct actor {
	struct play *play;
	struct party *party;
	uint32_t number;
	uint64_t rng;
	uint32_t calls;	    /* number of the last call */
	uint32_t abandoned; /* bit n: a call with data, which server n may still read */
	uint64_t n_given_up;
	uint8_t *out;
	uint8_t *in;
	uint8_t *received;  /* of each call: how often a server took it */
	uint8_t *succeeded; /* of each plain message */
	uint32_t *sent_bits[SERVERS];
	/* as a server, by caller */
	_Atomic uint32_t noted[CALLERS][64]; /* how often a bit was received */
	_Atomic uint32_t noting[CALLERS];    /* notes sent to it */
	_Atomic uint32_t heard[SERVERS];     /* as a caller */
};

struct play {
	struct mirrored m;
	struct actor server[SERVERS];
	struct actor caller[CALLERS];
	_Atomic bool callers_stop;
	_Atomic bool servers_stop;
	uint64_t end_ns;
};

static uint8_t pattern(uint32_t number, uint32_t who)
{
	return (uint8_t)(number * 7 + who);
}

static bool all_are(const uint8_t *data, size_t len, uint8_t value)
{
	return len == 0 || (data[0] == value && memcmp(data, data + 1, len - 1) == 0);
}

/* ---- the server ---- */

static void note_received(struct actor *server, uint32_t caller, uint64_t bits)
{
	for (; bits; bits &= bits - 1)
		atomic_fetch_add(&server->noted[caller][__builtin_ctzll(bits)], 1);
}

static void check_call(struct actor *server, const struct dvs_msg *msg, uint32_t caller)
{
	const struct m3_delivery *last = &server->party->ep.last;
	struct actor *from = &server->play->caller[caller];

	MUST(msg->u32[0] < CALLS_MAX && msg->u32[1] == caller);
	MUST(msg->u32[2] == last->data_bytes);
	memcpy(server->in, last->data ? last->data : server->in, last->data_bytes);
	MUST(all_are(server->in, last->data_bytes, pattern(msg->u32[0], caller)));
	MUST(from->received[msg->u32[0]] == 0);
	from->received[msg->u32[0]] = 1;
}

static void answer(struct actor *server, struct channel *ch, struct dvs_msg *msg)
{
	struct endpoint *ep = &server->party->ep;
	struct open_call *call = channel_open_call(ch, ep->last.call);

	MUST(call);
	if (msg->type == RELAY && server->number == 0) {
		endpoint_reply(ep, ch, call, IPC_RELAYED, msg, NULL, 0, dvs_ep_of(2));
		return;
	}
	memset(server->out, pattern(msg->u32[0], server->number), call->reply_cap);
	msg->type += REPLY;
	endpoint_reply(ep, ch, call, IPC_REPLY, msg, server->out, call->reply_cap, dvs_ep_any());
}

static void serve(struct actor *server, struct dvs_msg *msg)
{
	struct endpoint *ep = &server->party->ep;
	struct channel *ch = endpoint_find(ep, msg->source);
	uint32_t caller = dvs_ep_number(msg->source) - 1 - SERVERS;

	MUST(ch && caller < CALLERS);
	if (msg->type == DVS_TYPE_NOTIFY) {
		note_received(server, caller, msg->u64[0]);
		return;
	}
	if (msg->type != RELAY || server->number == 1)
		check_call(server, msg, caller);
	if (ep->last.kind == M3_REQUEST)
		answer(server, ch, msg);
	if (rng_below(&server->rng, 16) == 0) {
		atomic_fetch_add(&server->noting[caller], 1);
		endpoint_notify(ep, ch, UINT64_C(1) << server->number);
	}
}

static void *run_server(void *arg)
{
	struct actor *server = arg;
	struct endpoint *ep = &server->party->ep;

	while (!atomic_load(&server->play->servers_stop)) {
		bool only_requests = rng_below(&server->rng, 16) == 0;
		struct wait_limit limit = { .timeout_ms = rng_below(&server->rng,
								    only_requests ? 2 : 30) };
		struct dvs_msg msg;
		dvs_err err = endpoint_enter(ep, &limit, false);

		if (!err)
			err = endpoint_receive(ep, NULL, only_requests, &msg, &limit);
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
	struct call_data data;
	struct wait_limit limit;
};

static uint32_t some_bytes(uint64_t *rng)
{
	return rng_below(rng, 8) ? rng_below(rng, 3000) : rng_below(rng, IPC_WINDOW_BYTES / 8);
}

static void choose(struct actor *caller, struct request *request)
{
	uint64_t *rng = &caller->rng;
	uint32_t dice = rng_below(rng, 8);

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
		request->data.out = caller->out;
		request->data.out_bytes = some_bytes(rng);
		request->data.in = caller->in;
		request->data.in_cap = some_bytes(rng);
	}
	request->msg.u32[0] = ++caller->calls;
	request->msg.u32[1] = caller->number;
	request->msg.u32[2] = (uint32_t)request->data.out_bytes;
	memset(caller->out, pattern(caller->calls, caller->number), request->data.out_bytes);
}

static void check_reply(const struct actor *caller, const struct request *request, uint32_t server)
{
	const struct dvs_msg *msg = &request->msg;

	MUST(msg->u32[0] == caller->calls);
	MUST(msg->type >= REPLY);
	MUST(msg->source.n == server + 1);
	MUST(request->data.in_bytes == request->data.in_cap);
	MUST(all_are(caller->in, request->data.in_bytes, pattern(caller->calls, server)));
	MUST(caller->received[caller->calls] == 1);
}

/* A call, also one that is relayed. */
static void one_call(struct actor *caller)
{
	struct endpoint *ep = &caller->party->ep;
	struct request request;
	struct call_relay relay = { .by = dvs_ep_any(), .to = dvs_ep_any() };
	dvs_err err = DVS_OK;
	uint32_t server;

	choose(caller, &request);
	server = request.server;
	do {
		if (!dvs_ep_is_any(relay.to)) {
			relay.by = caller->party->channel[server].peer;
			server = dvs_ep_number(relay.to) - 1;
		}
		err = endpoint_enter(ep, &request.limit, false);
		if (!err)
			err = endpoint_call(ep, &caller->party->channel[server], request.kind,
					    &request.msg, &request.data, &request.limit, &relay);
	} while (!err && !dvs_ep_is_any(relay.to));
	if (err == DVS_OK && request.kind == IPC_REQUEST) {
		check_reply(caller, &request, server);
		caller->abandoned &= ~(1u << server);
	} else if (err == DVS_OK) {
		caller->succeeded[caller->calls] = 1;
	} else {
		if (err != DVS_WOKEN &&
		    (err != DVS_TIMEOUT || request.limit.timeout_ms == PATIENCE_MS))
			ck_abort_msg("caller %u, call %u of kind %u: %s", caller->number,
				     caller->calls, (unsigned)request.kind, dvs_err_name(err));
		caller->n_given_up++;
		/* Nobody may write while the other may read: that would be a race, and a real one. */
		caller->abandoned |= (uint32_t)(request.data.out_bytes != 0) << server;
	}
	if (request.kind == IPC_REQUEST && err)
		caller->succeeded[caller->calls] = 2;
	else if (request.kind == IPC_REQUEST)
		caller->succeeded[caller->calls] = 1;
}

static void one_note(struct actor *caller, uint32_t server, uint32_t bit)
{
	caller->sent_bits[server][bit]++;
	endpoint_notify(&caller->party->ep, &caller->party->channel[server], UINT64_C(1) << bit);
}

static void take_notes(struct actor *caller)
{
	struct wait_limit limit = { .timeout_ms = 0 };
	struct dvs_msg msg;

	while (endpoint_receive(&caller->party->ep, NULL, false, &msg, &limit) == DVS_OK) {
		uint32_t server = dvs_ep_number(msg.source) - 1;

		MUST(msg.type == DVS_TYPE_NOTIFY && server < SERVERS);
		MUST(msg.u64[0] == UINT64_C(1) << server);
		/* Several can be one, but one is not several. */
		MUST(atomic_fetch_add(&caller->heard[server], 1) <
		     atomic_load(&caller->play->server[server].noting[caller->number]));
	}
}

static void *run_caller(void *arg)
{
	struct actor *caller = arg;

	while (!atomic_load(&caller->play->callers_stop) && caller->calls < CALLS_MAX - 2) {
		uint32_t dice = rng_below(&caller->rng, 16);

		if (dice == 0)
			take_notes(caller);
		else if (dice < 3)
			one_note(caller, rng_below(&caller->rng, SERVERS),
				 rng_below(&caller->rng, BITS));
		else
			one_call(caller);
		/* So that servers fall asleep. */
		if (rng_below(&caller->rng, 32) == 0)
			rng_pause(&caller->rng, 500);
	}
	for (uint32_t server = 0; server < SERVERS; server++)
		one_note(caller, server, LAST_BIT);
	return NULL;
}

/* ---- the play ---- */

static void set_up(struct play *play)
{
	static const unsigned node[SERVERS + CALLERS] = { 1, 1, 0, 0, 0 };
	struct mirrored *m = &play->m;

	memset(play, 0, sizeof(*play));
	mirrored_open(m, SERVERS + CALLERS, node);
	for (uint32_t i = 0; i < SERVERS + CALLERS; i++) {
		struct actor *actor = i < SERVERS ? &play->server[i] : &play->caller[i - SERVERS];

		actor->play = play;
		actor->party = &m->party[i];
		actor->number = i < SERVERS ? i : i - SERVERS;
		actor->rng = m->seed + i;
		actor->out = malloc(IPC_WINDOW_BYTES);
		actor->in = malloc(IPC_WINDOW_BYTES);
		actor->received = calloc(CALLS_MAX, 1);
		actor->succeeded = calloc(CALLS_MAX, 1);
		for (uint32_t s = 0; s < SERVERS; s++)
			actor->sent_bits[s] = calloc(64, sizeof(uint32_t));
	}
	for (unsigned caller = SERVERS; caller < SERVERS + CALLERS; caller++) {
		for (unsigned server = 0; server < SERVERS; server++) {
			for (unsigned side = 0; side < 2; side++) {
				mirrored_join(m, side, caller, server);
				mirrored_carry(m, side, caller, server);
			}
		}
	}
	mirrored_start(m, 0);
	mirrored_start(m, 1);
}

static void tear_down(struct play *play)
{
	for (uint32_t i = 0; i < SERVERS + CALLERS; i++) {
		struct actor *actor = i < SERVERS ? &play->server[i] : &play->caller[i - SERVERS];

		free(actor->out);
		free(actor->in);
		free(actor->received);
		free(actor->succeeded);
		for (uint32_t s = 0; s < SERVERS; s++)
			free(actor->sent_bits[s]);
	}
	mirrored_close(&play->m);
}

/* The last note of each caller has come to each server: those before it have, too. */
static void await_last_notes(struct play *play)
{
	uint64_t deadline_ns = clock_deadline_ns(PATIENCE_MS * CLOCK_NS_PER_MS);
	uint64_t rng = 1;

	for (uint32_t s = 0; s < SERVERS; s++) {
		for (uint32_t c = 0; c < CALLERS; c++) {
			while (!atomic_load(&play->server[s].noted[c][LAST_BIT])) {
				ck_assert_msg(!clock_is_past(deadline_ns), "a note was lost");
				rng_pause(&rng, 1000);
			}
		}
	}
}

static void check_books(struct play *play)
{
	for (uint32_t c = 0; c < CALLERS; c++) {
		struct actor *caller = &play->caller[c];

		for (uint32_t i = 1; i <= caller->calls; i++) {
			ck_assert_msg(caller->received[i] <= 1, "received twice");
			/* 0: a plain message that was given up, 1: a success, 2: a request that was given up */
			ck_assert_msg(caller->succeeded[i] == 2 ||
					      caller->received[i] == caller->succeeded[i],
				      "caller %u, call %u: received %u, told %u", c, i,
				      caller->received[i], caller->succeeded[i]);
		}
		for (uint32_t s = 0; s < SERVERS; s++) {
			for (uint32_t bit = 0; bit < 64; bit++) {
				uint32_t got = atomic_load(&play->server[s].noted[c][bit]);
				uint32_t sent = caller->sent_bits[s][bit];

				ck_assert_msg(got <= sent && (got > 0 || sent == 0),
					      "note %u of caller %u to server %u: %u of %u", bit, c,
					      s, got, sent);
			}
		}
		lab_say("caller %u: %u calls, %llu given up", c, caller->calls,
			(unsigned long long)caller->n_given_up);
		ck_assert_uint_gt(caller->calls, caller->n_given_up + 10);
	}
}

static void no_news(struct mirrored *m)
{
	struct mirror_news news;

	for (unsigned node = 0; node < 2; node++) {
		while (mirror_next_news(m->mirror[node], &news))
			ck_assert(news.kind == MIRROR_LINK || news.kind == MIRROR_READY);
	}
}

/* Faults while they talk: CUTS of connections, RESTARTS of mirrors. */
static void disturb(struct play *play, bool cuts, bool restarts)
{
	struct mirrored *m = &play->m;
	uint64_t rng = m->seed * 3;

	while (!clock_is_past(play->end_ns)) {
		struct party *party = &m->party[rng_below(&rng, SERVERS + CALLERS)];

		no_news(m);
		if (cuts && rng_below(&rng, 4) == 0)
			fake_wire_cut(m->wire, rng_below(&rng, LINK_CLASSES));
		if (restarts && rng_below(&rng, 8) == 0) {
			unsigned node = rng_below(&rng, 2);

			mirrored_stop(m, node);
			rng_pause(&rng, 2000);
			mirrored_start(m, node);
		}
		if (rng_below(&rng, 2))
			atomic_store(&party->wake, true);
		inbox_ring_event(party->inbox);
		rng_pause(&rng, 3000);
	}
}

static void play_it(bool cuts, bool restarts)
{
	static struct play play;
	pthread_t thread[SERVERS + CALLERS];

	set_up(&play);
	play.end_ns = clock_deadline_ns(lab_option("FAULT_SECONDS", SECONDS) * CLOCK_NS_PER_S);
	for (uint32_t i = 0; i < SERVERS; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, run_server, &play.server[i]), 0);
	for (uint32_t i = 0; i < CALLERS; i++)
		ck_assert_int_eq(
			pthread_create(&thread[SERVERS + i], NULL, run_caller, &play.caller[i]), 0);
	disturb(&play, cuts, restarts);
	atomic_store(&play.callers_stop, true);
	for (uint32_t i = 0; i < CALLERS; i++)
		(void)pthread_join(thread[SERVERS + i], NULL);
	await_last_notes(&play);
	atomic_store(&play.servers_stop, true);
	for (uint32_t i = 0; i < SERVERS; i++)
		(void)pthread_join(thread[i], NULL);
	check_books(&play);
	no_news(&play.m);
	lab_say("%llu frames", (unsigned long long)fake_wire_frames(play.m.wire));
	tear_down(&play);
}

TEST(endpoints_of_two_nodes_talk)
{
	play_it(false, false);
}

TEST(connections_that_break_lose_and_double_nothing)
{
	play_it(true, false);
}

TEST(mirrors_that_are_made_again_lose_and_double_nothing)
{
	play_it(true, true);
}

UNIT_MAIN_TIMEOUT("fault-mirrored-threads", 3600, endpoints_of_two_nodes_talk,
		  connections_that_break_lose_and_double_nothing,
		  mirrors_that_are_made_again_lose_and_double_nothing)
