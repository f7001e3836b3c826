/* SPDX-License-Identifier: Apache-2.0 */
/* What comes out of a channel. The input is a program: writes of the partners to their lanes, to ours, to the inbox, between
 * honest calls of ours, which do not wait. Whatever was written: sources are those of the channels, data lies within the
 * window, nothing is taken twice in a row, an answer has the number of its call. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fuzz.h"
#include "ipc/endpoint.h"
#include "ipc/inbox.h"

#define PEERS 4u
#define MEMORIES 3u
#define STEPS_MAX 256u
/* Those that may wait a little for the partner. */
#define CALLS_MAX 16u
#define GRAVES_MAX STEPS_MAX
#define CALL_NS (2 * CLOCK_NS_PER_S)

#define MUST(condition)                   \
	do {                              \
		if (!(condition))         \
			__builtin_trap(); \
	} while (0)

struct peer {
	struct channel *ch; /* NULL: none now */
	struct ipc_inbox *inbox;
	struct channel_memory memory[MEMORIES];
	struct channel_change change[MEMORIES];
	unsigned in_use; /* which memory */
};

struct world {
	const uint8_t *at;
	const uint8_t *end;
	struct endpoint ep;
	struct ipc_inbox *inbox;
	struct ipc_stats *stats;
	struct peer peer[PEERS];
	struct channel *grave[GRAVES_MAX];
	unsigned n_graves;
	unsigned n_calls;
	uint8_t *buffer; /* of DVS_DATA_MAX */
};

/* ---- the input ---- */

static uint32_t take8(struct world *w)
{
	return w->at < w->end ? *w->at++ : 0;
}

static uint32_t take16(struct world *w)
{
	uint32_t low = take8(w);

	return low | take8(w) << 8;
}

static uint32_t take32(struct world *w)
{
	uint32_t low = take16(w);

	return low | take16(w) << 16;
}

static struct peer *take_peer(struct world *w)
{
	return &w->peer[take8(w) % PEERS];
}

/* Small, or anything: both are found quickly. */
static uint32_t take_number(struct world *w)
{
	uint32_t byte = take8(w);

	return byte < 0xc0 ? byte : take32(w);
}

/* ---- channels come and go ---- */

static dvs_ep endpoint_of(const struct world *w, const struct peer *peer)
{
	return dvs_ep_of(100 + (uint32_t)(peer - w->peer));
}

static void channel_add(struct world *w, struct peer *peer, uint32_t index)
{
	struct channel *ch = calloc(1, sizeof(*ch));
	const struct channel_memory *memory = &peer->memory[0];

	MUST(ch);
	memset(memory->lanes, 0, sizeof(*memory->lanes));
	channel_init(ch, memory, index & 1, endpoint_of(w, peer));
	ch->index = index;
	ch->peer_index = index ^ 77;
	ch->may_call = true;
	ch->may_serve = true;
	peer->in_use = 0;
	if (endpoint_add(&w->ep, ch) == DVS_OK) {
		peer->ch = ch;
		MUST(endpoint_find(&w->ep, ch->peer) == ch);
		return;
	}
	MUST(index >= IPC_CHANNELS_MAX || w->ep.by_index[index]);
	free(ch);
}

static void channel_end(struct world *w, struct peer *peer, dvs_err reason)
{
	struct channel *ch = peer->ch;

	if (!ch || w->n_graves == GRAVES_MAX)
		return;
	ch->gone = reason;
	endpoint_remove(&w->ep, ch, reason == DVS_PEERDEAD);
	MUST(!endpoint_find(&w->ep, ch->peer));
	peer->ch = NULL;
	w->grave[w->n_graves++] = ch;
}

/* The partner has moved, or was promoted. */
static void channel_change(struct world *w, struct peer *peer)
{
	struct channel_change *change = &peer->change[peer->in_use];
	struct channel_change **at;

	if (!peer->ch || peer->in_use + 1 == MEMORIES)
		return;
	*change = (struct channel_change){ .lost = take8(w) & 1,
					   .side = take8(w) & 1,
					   .peer_index = take16(w),
					   .memory = peer->memory[++peer->in_use] };
	memset(change->memory.lanes, 0, sizeof(*change->memory.lanes));
	for (at = &peer->ch->changes; *at; at = &(*at)->next)
		;
	*at = change;
	if (w->ep.calling != peer->ch)
		endpoint_replace(&w->ep, peer->ch);
}

static void on_events(struct endpoint *ep)
{
	struct world *w = ep->host_arg;

	switch (take8(w) % 8) {
	case 0:
		ep->woken = true;
		break;
	case 1:
		channel_end(w, take_peer(w), DVS_PEERDEAD);
		break;
	case 2:
		channel_change(w, take_peer(w));
		break;
	case 3:
		ep->deadlock_wait = ep->wait;
		break;
	default:
		break;
	}
}

static void on_blocked(struct endpoint *ep, dvs_ep on, uint32_t wait, bool waits)
{
	(void)on;
	(void)waits;
	MUST(wait == ep->wait);
}

static void on_park(struct endpoint *ep)
{
	ep->halt = HALT_NO;
}

static void on_trace(struct endpoint *ep, uint32_t what, dvs_ep partner, const struct dvs_msg *msg,
		     size_t bytes, dvs_err result)
{
	(void)ep;
	(void)what;
	(void)partner;
	(void)result;
	MUST(msg && bytes <= DVS_DATA_MAX);
}

static const struct endpoint_host host = {
	.events = on_events,
	.blocked = on_blocked,
	.park = on_park,
	.trace = on_trace,
};

/* ---- what partners write ---- */

static void write_lanes(struct world *w, const struct peer *peer)
{
	uint8_t *bytes = (uint8_t *)peer->memory[take8(w) % MEMORIES].lanes;
	uint32_t at = take16(w) % (uint32_t)sizeof(struct ipc_channel);
	uint32_t len = take8(w) % 16;

	for (uint32_t i = 0; i < len && at + i < sizeof(struct ipc_channel); i++)
		bytes[at + i] = (uint8_t)take8(w);
}

static void write_inbox(struct world *w)
{
	uint8_t *bytes = (uint8_t *)w->inbox;
	uint32_t at = take16(w) % IPC_PAGE;
	uint32_t len = take8(w) % 16;

	for (uint32_t i = 0; i < len && at + i < IPC_PAGE; i++)
		bytes[at + i] = (uint8_t)take8(w);
}

static void post_call(struct world *w, const struct peer *peer)
{
	const struct channel *ch = peer->ch;
	uint32_t kind = take8(w);

	if (!ch)
		return;
	atomic_store(&ch->theirs->request.type, take_number(w));
	atomic_store(&ch->theirs->request.payload[0], take32(w));
	atomic_store(&ch->theirs->ext.out_bytes, take_number(w));
	atomic_store(&ch->theirs->ext.in_cap, take_number(w));
	atomic_store(&ch->theirs->ext.relayed_by, kind);
	atomic_store(&ch->theirs->request.head, IPC_HEAD(ch->taken + take_number(w) % 4, kind));
	(void)inbox_ring_request(w->inbox, take8(w) & 1 ? ch->index : take_number(w));
}

static void post_reply(struct world *w, const struct peer *peer)
{
	const struct channel *ch = peer->ch;
	uint32_t kind = take8(w);

	if (!ch)
		return;
	atomic_store(&ch->theirs->reply.type, take_number(w));
	atomic_store(&ch->theirs->ext.reply_bytes, take_number(w));
	atomic_store(&ch->theirs->ext.relay_to, take_number(w));
	atomic_store(&ch->theirs->reply.head, IPC_HEAD(ch->number + take8(w) % 3, kind));
}

/* ---- what we do ---- */

/* All that was announced can be read. */
static void look_at_data(const struct world *w, const struct channel *ch)
{
	const struct m3_delivery *last = &w->ep.last;
	const volatile uint8_t *data = last->data;

	MUST(last->data_bytes <= IPC_WINDOW_BYTES && last->reply_cap <= IPC_WINDOW_BYTES);
	MUST(!last->data_bytes || last->data == ch->their_window);
	if (last->data_bytes) {
		(void)data[0];
		(void)data[last->data_bytes - 1];
	}
}

static void receive(struct world *w)
{
	struct wait_limit limit = { .timeout_ms = 0 };
	uint32_t how = take8(w);
	struct channel *from = how & 1 ? take_peer(w)->ch : NULL;
	uint32_t before[PEERS];
	struct dvs_msg msg;
	struct channel *ch;
	dvs_err err;

	for (unsigned i = 0; i < PEERS; i++)
		before[i] = w->peer[i].ch ? w->peer[i].ch->taken : 0;
	err = endpoint_enter(&w->ep, &limit, false);
	if (!err && !(from && from->gone))
		err = endpoint_receive(&w->ep, from, how & 2, &msg, &limit);
	else
		return;
	if (err)
		return;
	MUST(msg.source.n >= 100 && msg.source.n < 100 + PEERS);
	MUST(!from || msg.source.n == from->peer.n);
	MUST(w->ep.last.source.n == msg.source.n);
	MUST(!(how & 2) || w->ep.last.kind == M3_REQUEST);
	MUST((msg.type == DVS_TYPE_NOTIFY) == (w->ep.last.kind == M3_NOTIFY));
	if (w->ep.last.kind == M3_NOTIFY) {
		MUST(msg.u64[0] <= DVS_NOTIFY_VALUE_MAX);
		return;
	}
	ch = endpoint_find(&w->ep, msg.source);
	MUST(ch && msg.type < DVS_TYPE_RESERVED);
	MUST(w->ep.last.call == ch->taken);
	MUST(ch->former || ch->taken != before[msg.source.n - 100]);
	MUST(ch->n_open <= CHANNEL_OPEN_MAX);
	look_at_data(w, ch);
}

/* The channel may be gone over to another, or gone, when this returns. */
static void call(struct world *w, struct peer *peer)
{
	enum ipc_kind kind = take8(w) & 1 ? IPC_REQUEST : IPC_SEND;
	uint64_t start_ns = clock_now_ns();
	struct wait_limit limit = { .timeout_ms = 0 };
	struct dvs_msg msg = { .type = take8(w) };
	struct call_data data = { .out = w->buffer, .out_bytes = take_number(w) % 5000 };
	struct channel *ch = peer->ch;
	struct call_relay relay = { .by = dvs_ep_of(msg.type & 1 ? 7 : UINT32_MAX) };
	dvs_err err;

	if (!ch || w->n_calls++ == CALLS_MAX)
		return;
	data.in_cap = take_number(w) % 5000;
	/* Of just this size, so that the sanitizer sees each byte beyond. */
	data.in = malloc(data.in_cap);
	err = endpoint_enter(&w->ep, &limit, false);
	if (!err && !ch->gone)
		err = endpoint_call(&w->ep, ch, kind, &msg, kind == IPC_REQUEST ? &data : NULL,
				    &limit, &relay);
	else
		err = err ? err : ch->gone;
	MUST(data.in_bytes <= data.in_cap);
	MUST(err || kind != IPC_REQUEST || msg.source.n == endpoint_of(w, peer).n);
	MUST(!w->ep.calling);
	MUST(clock_now_ns() - start_ns < CALL_NS);
	free(data.in);
}

static void reply(struct world *w, const struct peer *peer)
{
	struct channel *ch = peer->ch;
	uint32_t how = take8(w);
	struct dvs_msg msg = { .type = take8(w) };
	struct open_call *open;
	uint32_t number;
	size_t bytes;

	if (!ch)
		return;
	open = channel_open_call(ch, how & 1 ? w->ep.last.call : 0);
	if (!open)
		return;
	number = open->number;
	bytes = take_number(w);
	if (bytes > open->reply_cap)
		bytes = open->reply_cap;
	endpoint_reply(&w->ep, ch, open, how & 2 ? IPC_RELAYED : IPC_REPLY, &msg,
		       how & 4 ? ch->my_window : w->buffer, how & 2 ? 0 : bytes,
		       dvs_ep_of(take16(w)));
	MUST(number == 0 || !channel_open_call(ch, number));
}

static void step(struct world *w)
{
	struct peer *peer;
	uint32_t op = take8(w) % 16;

	peer = take_peer(w);
	switch (op) {
	case 0:
		write_lanes(w, peer);
		break;
	case 1:
		write_inbox(w);
		break;
	case 2:
	case 3:
		post_call(w, peer);
		break;
	case 4:
		post_reply(w, peer);
		break;
	case 5:
	case 6:
	case 7:
		receive(w);
		break;
	case 8:
	case 9:
		call(w, peer);
		break;
	case 10:
	case 11:
		reply(w, peer);
		break;
	case 12:
		if (peer->ch)
			endpoint_notify(&w->ep, peer->ch, take32(w));
		break;
	case 13:
		channel_end(w, peer, take8(w) & 1 ? DVS_PEERDEAD : DVS_DENIED);
		break;
	case 14:
		if (!peer->ch)
			channel_add(w, peer, take16(w) % (IPC_CHANNELS_MAX + 2));
		break;
	default:
		channel_change(w, peer);
		break;
	}
}

/* ---- the world, made once, swept for each input ---- */

static void *memory(size_t bytes)
{
	void *at = aligned_alloc(IPC_PAGE, bytes);

	MUST(at);
	memset(at, 0, bytes);
	return at;
}

static struct world *world_make(void)
{
	struct world *w = calloc(1, sizeof(*w));

	MUST(w);
	w->inbox = memory(IPC_PAGE);
	w->stats = memory(IPC_PAGE);
	w->buffer = memory(DVS_DATA_MAX);
	for (unsigned i = 0; i < PEERS; i++) {
		struct peer *peer = &w->peer[i];

		peer->inbox = memory(IPC_PAGE);
		for (unsigned j = 0; j < MEMORIES; j++) {
			peer->memory[j].lanes = memory(IPC_PAGE);
			peer->memory[j].window[0] = memory(IPC_WINDOW_BYTES);
			peer->memory[j].window[1] = memory(IPC_WINDOW_BYTES);
			peer->memory[j].peer_inbox = peer->inbox;
		}
	}
	return w;
}

static void world_begin(struct world *w, const uint8_t *data, size_t size)
{
	w->at = data;
	w->end = data + size;
	w->n_graves = 0;
	w->n_calls = 0;
	memset(w->inbox, 0, IPC_PAGE);
	memset(w->stats, 0, sizeof(*w->stats));
	endpoint_init(&w->ep, dvs_ep_of(7), w->inbox, w->stats, &host, w);
	for (uint32_t i = 0; i < PEERS; i++) {
		memset(w->peer[i].inbox, 0, IPC_PAGE);
		w->peer[i].ch = NULL;
	}
	channel_add(w, &w->peer[0], 0);
	channel_add(w, &w->peer[1], 70);
	w->ep.exposed = size & 1;
	atomic_store(&w->stats->tracing, size & 2);
}

static void world_end(struct world *w)
{
	for (unsigned i = 0; i < PEERS; i++)
		free(w->peer[i].ch);
	for (unsigned i = 0; i < w->n_graves; i++)
		free(w->grave[i]);
	endpoint_fini(&w->ep);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world *world;

	if (!world)
		world = world_make();
	world_begin(world, data, size);
	for (unsigned i = 0; i < STEPS_MAX && world->at < world->end; i++)
		step(world);
	world_end(world);
	return 0;
}
