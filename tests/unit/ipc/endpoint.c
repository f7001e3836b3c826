/* SPDX-License-Identifier: Apache-2.0 */
/* Two endpoints of one process over memory of its own: what the library does with a channel that dvsd made, without dvsd. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ipc/endpoint.h"
#include "ipc/inbox.h"
#include "unit.h"

#define CLIENT dvs_ep_of(16384)
#define SERVER dvs_ep_of(5)

struct side {
	struct endpoint ep;
	struct channel ch;
	struct ipc_inbox *inbox;
	struct ipc_stats *stats;
};

struct world {
	struct ipc_channel *lanes;
	uint8_t *windows;
	struct side client;
	struct side server;
};

static void no_events(struct endpoint *ep)
{
	(void)ep;
}

static void not_blocked(struct endpoint *ep, dvs_ep on, uint32_t wait, bool waits)
{
	(void)ep;
	(void)on;
	(void)wait;
	(void)waits;
}

static const struct endpoint_host host = { .events = no_events, .blocked = not_blocked };

static void *memory(size_t bytes)
{
	void *at = aligned_alloc(IPC_PAGE, (bytes + IPC_PAGE - 1) / IPC_PAGE * IPC_PAGE);

	ck_assert_ptr_nonnull(at);
	memset(at, 0, bytes);
	return at;
}

static void side_start(struct side *side, dvs_ep self, const struct endpoint_host *with)
{
	side->inbox = memory(IPC_PAGE);
	side->stats = memory(sizeof(*side->stats));
	endpoint_init(&side->ep, self, side->inbox, side->stats, with, NULL);
}

static void side_join(const struct world *w, struct side *side, unsigned at, struct side *peer)
{
	struct channel_memory shared = { .lanes = w->lanes,
					 .window = { w->windows, w->windows + IPC_WINDOW_BYTES },
					 .peer_inbox = peer->inbox };

	channel_init(&side->ch, &shared, at, peer->ep.self);
	side->ch.may_call = side->ch.may_serve = true;
	ck_assert_int_eq(endpoint_add(&side->ep, &side->ch), DVS_OK);
}

static void side_end(struct side *side)
{
	endpoint_fini(&side->ep);
	free(side->inbox);
	free(side->stats);
}

static struct world *world_start(void)
{
	struct world *w = calloc(1, sizeof(*w));

	ck_assert_ptr_nonnull(w);
	w->lanes = memory(IPC_PAGE);
	w->windows = memory(2 * IPC_WINDOW_BYTES);
	side_start(&w->client, CLIENT, &host);
	side_start(&w->server, SERVER, &host);
	side_join(w, &w->client, 0, &w->server);
	side_join(w, &w->server, 1, &w->client);
	return w;
}

static void world_end(struct world *w)
{
	side_end(&w->client);
	side_end(&w->server);
	free(w->windows);
	free(w->lanes);
	free(w);
}

/* ---- time ---- */

/* A hostile partner that counts the events on and on. */
static void one_more_event(struct endpoint *ep)
{
	atomic_fetch_add(&ep->inbox->events, 1);
}

TEST(who_counts_events_on_and_on_does_not_stop_the_clock)
{
	static const struct endpoint_host hostile = { .events = one_more_event };
	struct wait_limit limit = { .timeout_ms = 20 };
	struct side side;
	uint64_t start_ns = clock_now_ns();

	side_start(&side, CLIENT, &hostile);
	side.ep.halt = HALT_BACKUP;
	ck_assert_int_eq(endpoint_enter(&side.ep, &limit, false), DVS_TIMEOUT);
	ck_assert_uint_ge(clock_now_ns() - start_ns, 20 * CLOCK_NS_PER_MS);
	side_end(&side);
}

/* The promotion comes with the last event that there is time for. */
static void promote(struct endpoint *ep)
{
	ep->halt = HALT_NO;
}

TEST(what_happened_in_time_counts_although_the_time_is_over)
{
	static const struct endpoint_host dvsd = { .events = promote };
	struct wait_limit limit = { .timeout_ms = 0 };
	struct side side;

	side_start(&side, CLIENT, &dvsd);
	side.ep.halt = HALT_BACKUP;
	ck_assert_int_eq(endpoint_enter(&side.ep, &limit, false), DVS_OK);
	side_end(&side);
}

/* ---- order ---- */

#define ROUNDS 60000u

static void *notify_and_call(void *arg)
{
	struct world *w = arg;
	struct wait_limit limit = { .timeout_ms = DVS_FOREVER };

	for (uint32_t i = 1; i <= ROUNDS; i++) {
		struct dvs_msg msg = { .type = i };
		struct call_relay relay = { .by = dvs_ep_any() };

		endpoint_notify(&w->client.ep, &w->client.ch, i);
		if (endpoint_call(&w->client.ep, &w->client.ch, IPC_REQUEST, &msg, NULL, &limit,
				  &relay))
			return NULL;
	}
	return arg;
}

/* The client is hot after two rounds: its requests are looked for without its bit. */
static void serve(struct world *w, struct channel *from)
{
	struct wait_limit limit = { .timeout_ms = DVS_FOREVER };
	struct dvs_msg msg;
	pthread_t client;
	void *done;

	ck_assert_int_eq(pthread_create(&client, NULL, notify_and_call, w), 0);
	for (uint32_t i = 1; i <= ROUNDS; i++) {
		ck_assert_int_eq(endpoint_receive(&w->server.ep, from, false, &msg, &limit),
				 DVS_OK);
		ck_assert_msg(msg.type == DVS_TYPE_NOTIFY, "request %u came before its note", i);
		ck_assert_uint_eq(msg.u64[0], i);
		ck_assert_int_eq(endpoint_receive(&w->server.ep, from, false, &msg, &limit),
				 DVS_OK);
		ck_assert_uint_eq(msg.type, i);
		endpoint_reply(&w->server.ep, &w->server.ch, channel_open_call(&w->server.ch, 0),
			       IPC_REPLY, &msg, NULL, 0, dvs_ep_any());
	}
	ck_assert_int_eq(pthread_join(client, &done), 0);
	ck_assert_ptr_eq(done, w);
}

TEST(a_note_comes_before_the_call_that_followed_it)
{
	struct world *w = world_start();

	serve(w, NULL);
	serve(w, &w->server.ch);
	world_end(w);
}

/* ---- calls for which nobody waits ---- */

#define CALLS 5000u

static void *answer_all(void *arg)
{
	struct world *w = arg;
	struct wait_limit limit = { .timeout_ms = DVS_FOREVER };

	for (uint32_t i = 1; i <= CALLS; i++) {
		struct dvs_msg msg;

		if (endpoint_receive(&w->server.ep, NULL, false, &msg, &limit) || msg.type != i)
			return NULL;
		endpoint_reply(&w->server.ep, &w->server.ch, channel_open_call(&w->server.ch, 0),
			       IPC_REPLY, &msg, NULL, 0, dvs_ep_any());
	}
	return arg;
}

TEST(an_answer_ends_the_receive_of_who_has_begun_the_call)
{
	struct world *w = world_start();
	struct wait_limit limit = { .timeout_ms = DVS_FOREVER };
	pthread_t server;
	void *done;

	ck_assert_int_eq(pthread_create(&server, NULL, answer_all, w), 0);
	for (uint32_t i = 1; i <= CALLS; i++) {
		struct dvs_msg msg = { .type = i };
		struct call_data data = { .in_cap = 0 };

		endpoint_begin(&w->client.ep, &w->client.ch, &msg, &data);
		ck_assert_int_eq(endpoint_receive(&w->client.ep, NULL, false, &msg, &limit),
				 DVS_WOKEN);
		ck_assert(endpoint_is_over(&w->client.ch));
		ck_assert_int_eq(endpoint_end(&w->client.ep, &w->client.ch, &msg, &data), DVS_OK);
		ck_assert_uint_eq(msg.type, i);
	}
	ck_assert_int_eq(pthread_join(server, &done), 0);
	ck_assert_ptr_eq(done, w);
	world_end(w);
}

TEST(what_was_begun_and_taken_back_is_not_received)
{
	struct world *w = world_start();
	struct wait_limit limit = { .timeout_ms = 0 };
	struct dvs_msg msg = { .type = 1 };
	struct call_data data = { .in_cap = 0 };

	endpoint_begin(&w->client.ep, &w->client.ch, &msg, &data);
	ck_assert_int_eq(endpoint_end(&w->client.ep, &w->client.ch, &msg, &data), DVS_TIMEOUT);
	ck_assert_int_eq(endpoint_receive(&w->server.ep, NULL, false, &msg, &limit), DVS_TIMEOUT);
	/* An answer to one that was taken back later is not that of the next one. */
	for (uint32_t i = 1; i <= 2; i++) {
		msg.type = i;
		endpoint_begin(&w->client.ep, &w->client.ch, &msg, &data);
		ck_assert_int_eq(endpoint_receive(&w->server.ep, NULL, false, &msg, &limit),
				 DVS_OK);
		if (i == 1)
			ck_assert_int_eq(endpoint_end(&w->client.ep, &w->client.ch, &msg, &data),
					 DVS_TIMEOUT);
	}
	msg.type = 1;
	endpoint_reply(&w->server.ep, &w->server.ch, channel_open_call(&w->server.ch, 1 + 1),
		       IPC_REPLY, &msg, NULL, 0, dvs_ep_any());
	ck_assert(!endpoint_is_over(&w->client.ch));
	msg.type = 2;
	endpoint_reply(&w->server.ep, &w->server.ch, channel_open_call(&w->server.ch, 0), IPC_REPLY,
		       &msg, NULL, 0, dvs_ep_any());
	ck_assert(endpoint_is_over(&w->client.ch));
	ck_assert_int_eq(endpoint_end(&w->client.ep, &w->client.ch, &msg, &data), DVS_OK);
	ck_assert_uint_eq(msg.type, 2);
	world_end(w);
}

UNIT_MAIN_TIMEOUT("ipc-endpoint", 60, who_counts_events_on_and_on_does_not_stop_the_clock,
		  what_happened_in_time_counts_although_the_time_is_over,
		  a_note_comes_before_the_call_that_followed_it,
		  an_answer_ends_the_receive_of_who_has_begun_the_call,
		  what_was_begun_and_taken_back_is_not_received)
