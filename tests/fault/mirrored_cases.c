/* SPDX-License-Identifier: Apache-2.0 */
/* What mirrors do one thing at a time: channels that begin, end and begin again, messages that are taken back while the link is down, limits. */
#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "ipc/inbox.h"
#include "lab.h"
#include "mirrored.h"
#include "unit.h"

enum { A = 0, B = 1 }; /* on node 0 and node 1 */

static struct mirrored m;

static void open_joined(void)
{
	static const unsigned node[] = { 0, 1 };

	mirrored_open(&m, 2, node);
	for (unsigned i = 0; i < 2; i++) {
		mirrored_join(&m, i, A, B);
		mirrored_carry(&m, i, A, B);
		mirrored_start(&m, i);
	}
}

static struct channel *channel_of(unsigned who)
{
	return &m.party[who].channel[!who];
}

/* ---- a call in a thread of its own ---- */

struct caller {
	pthread_t thread;
	unsigned who;
	enum ipc_kind kind;
	uint32_t timeout_ms;
	uint32_t word;
	dvs_err err;
	_Atomic bool done;
};

static void *run_caller(void *arg)
{
	struct caller *caller = arg;
	struct dvs_msg msg = { .type = 7 };
	struct wait_limit limit = { .timeout_ms = caller->timeout_ms };
	struct call_relay relay = { .by = dvs_ep_any() };

	msg.u32[0] = caller->word;
	caller->err = endpoint_call(&m.party[caller->who].ep, channel_of(caller->who), caller->kind,
				    &msg, NULL, &limit, &relay);
	caller->word = msg.u32[0];
	atomic_store(&caller->done, true);
	return NULL;
}

static struct caller *call(unsigned who, enum ipc_kind kind, uint32_t word, uint32_t timeout_ms)
{
	static struct caller caller;

	caller =
		(struct caller){ .who = who, .kind = kind, .word = word, .timeout_ms = timeout_ms };
	ck_assert_int_eq(pthread_create(&caller.thread, NULL, run_caller, &caller), 0);
	return &caller;
}

static dvs_err result_of(struct caller *caller)
{
	(void)pthread_join(caller->thread, NULL);
	return caller->err;
}

static dvs_err receive(unsigned who, struct dvs_msg *msg, uint32_t timeout_ms)
{
	struct wait_limit limit = { .timeout_ms = timeout_ms };

	return endpoint_receive(&m.party[who].ep, NULL, false, msg, &limit);
}

static void must_receive(unsigned who, uint32_t word)
{
	struct dvs_msg msg;

	ck_assert_int_eq(receive(who, &msg, 20000), DVS_OK);
	ck_assert_uint_eq(msg.u32[0], word);
}

static void reply(unsigned who, uint32_t word)
{
	struct channel *ch = channel_of(who);
	struct dvs_msg msg = { .type = 8 };

	msg.u32[0] = word;
	endpoint_reply(&m.party[who].ep, ch, channel_open_call(ch, 0), IPC_REPLY, &msg, NULL, 0,
		       dvs_ep_any());
}

/* The end of a channel. The other node may have said something before this one had the channel, and it was asked for once more. */
static struct mirror_news over_news(unsigned node)
{
	struct mirror_news news;

	do
		news = mirrored_news(&m, node);
	while (news.kind == MIRROR_CONNECT);
	ck_assert_int_eq(news.kind, MIRROR_OVER);
	return news;
}

static void wait_for_kind(const _Atomic uint32_t *head, enum ipc_kind kind)
{
	uint64_t deadline_ns = clock_deadline_ns(20000 * CLOCK_NS_PER_MS);
	uint64_t rng = 1;

	while (IPC_KIND(atomic_load(head)) != (uint32_t)kind) {
		ck_assert_msg(!clock_is_past(deadline_ns), "the cell never became %d", (int)kind);
		rng_pause(&rng, 500);
	}
}

/* ---- channels begin ---- */

TEST(a_call_to_an_endpoint_without_a_channel_makes_one)
{
	static const unsigned node[] = { 0, 1 };
	struct mirror_news news;
	struct caller *caller;

	mirrored_open(&m, 2, node);
	mirrored_join(&m, 0, A, B);
	mirrored_carry(&m, 0, A, B);
	mirrored_start(&m, 0);
	mirrored_start(&m, 1);
	caller = call(A, IPC_REQUEST, 41, DVS_FOREVER);
	news = mirrored_news(&m, 1);
	ck_assert_int_eq(news.kind, MIRROR_CONNECT);
	ck_assert_uint_eq(news.name.dc, mirrored_name(1, A, B).dc);
	ck_assert_uint_eq(news.name.remote, A + 1);
	ck_assert_uint_eq(news.name.local, B + 1);
	mirrored_join(&m, 1, A, B);
	mirrored_carry(&m, 1, A, B);
	must_receive(B, 41);
	reply(B, 42);
	ck_assert_int_eq(result_of(caller), DVS_OK);
	ck_assert_uint_eq(caller->word, 42);
	mirrored_close(&m);
}

/* Until NODE has heard of the far end. */
static void wait_for_far_end(unsigned node)
{
	const struct mirror_channel *channel = &m.half[node][A][B].channel;
	const _Atomic uint32_t *far =
		&channel->memory.lanes->lane[channel->side].carry.far_instance;
	uint64_t deadline_ns = clock_deadline_ns(20000 * CLOCK_NS_PER_MS);
	uint64_t rng = 1;

	while (atomic_load(far) == 0) {
		ck_assert_msg(!clock_is_past(deadline_ns), "node %u never heard of the far end",
			      node);
		rng_pause(&rng, 500);
	}
}

/* Each node made the channel for an endpoint of its own, one a little later: what the first one asked found nothing there, and it has no reason to
 * ask once more when it was asked itself. */
TEST(both_hear_of_a_channel_that_both_have_made)
{
	static const unsigned node[] = { 0, 1 };

	mirrored_open(&m, 2, node);
	mirrored_join(&m, 0, A, B);
	mirrored_carry(&m, 0, A, B);
	mirrored_start(&m, 0);
	mirrored_start(&m, 1);
	ck_assert_int_eq(mirrored_news(&m, 1).kind, MIRROR_CONNECT);
	mirrored_join(&m, 1, A, B);
	mirrored_carry(&m, 1, A, B);
	wait_for_far_end(0);
	wait_for_far_end(1);
	mirrored_close(&m);
}

TEST(who_cannot_have_a_channel_is_told)
{
	static const unsigned node[] = { 0, 1 };
	struct mirror_news news;
	struct caller *caller;

	mirrored_open(&m, 2, node);
	mirrored_join(&m, 0, A, B);
	mirrored_carry(&m, 0, A, B);
	mirrored_start(&m, 0);
	mirrored_start(&m, 1);
	caller = call(A, IPC_SEND, 1, 300);
	news = mirrored_news(&m, 1);
	mirror_refuse(m.mirror[1], &news.name, news.instance, DVS_DENIED);
	news = over_news(0);
	ck_assert(news.clean);
	ck_assert_int_eq(news.reason, DVS_DENIED);
	/* The plain message is its sender's again, who can give it up. */
	ck_assert_int_eq(result_of(caller), DVS_TIMEOUT);
	mirrored_close(&m);
}

TEST(a_new_far_end_ends_the_conversation_with_the_old_one)
{
	struct mirror_news news;
	struct caller *caller;
	struct mirror_name name = mirrored_name(1, A, B);

	open_joined();
	caller = call(A, IPC_SEND, 1, DVS_FOREVER);
	must_receive(B, 1);
	ck_assert_int_eq(result_of(caller), DVS_OK);
	/* Node 1 begins anew and says so without an end. */
	mirror_end(m.mirror[1], &name, m.half[1][A][B].channel.instance, 2, DVS_OK);
	mirrored_join(&m, 1, A, B);
	mirrored_carry(&m, 1, A, B);
	news = over_news(0);
	ck_assert(!news.clean);
	ck_assert_int_eq(news.reason, DVS_PEERDEAD);
	/* Node 0 follows. */
	mirrored_join(&m, 0, A, B);
	mirrored_carry(&m, 0, A, B);
	caller = call(A, IPC_SEND, 2, DVS_FOREVER);
	must_receive(B, 2);
	ck_assert_int_eq(result_of(caller), DVS_OK);
	mirrored_close(&m);
}

/* ---- channels end ---- */

TEST(all_that_was_said_comes_before_the_end)
{
	struct mirror_name name = mirrored_name(0, A, B);
	struct mirror_news news;
	struct caller *caller;
	struct dvs_msg msg;

	open_joined();
	/* B has told A something that A never received. */
	endpoint_notify(&m.party[B].ep, channel_of(B), 64);
	while (!(atomic_load(&channel_of(A)->theirs->control.note) & IPC_NOTE_PENDING))
		rng_pause(&m.seed, 500);
	caller = call(B, IPC_REQUEST, 5, 20000);
	must_receive(A, 64);
	must_receive(A, 5);
	endpoint_notify(&m.party[B].ep, channel_of(B), 128);
	while (!(atomic_load(&channel_of(A)->theirs->control.note) & IPC_NOTE_PENDING))
		rng_pause(&m.seed, 500);
	/* A answers, says two things more, and is gone. */
	reply(A, 6);
	endpoint_notify(&m.party[A].ep, channel_of(A), 1);
	endpoint_notify(&m.party[A].ep, channel_of(A), 2);
	mirror_end(m.mirror[0], &name, m.half[0][A][B].channel.instance, 0, DVS_PEERDEAD);
	news = over_news(1);
	ck_assert(news.clean);
	ck_assert_int_eq(news.reason, DVS_PEERDEAD);
	ck_assert_int_eq(result_of(caller), DVS_OK);
	ck_assert_uint_eq(caller->word, 6);
	ck_assert_int_eq(receive(B, &msg, 0), DVS_OK);
	ck_assert_uint_eq(msg.u64[0], 3);
	/* What A did not receive lies in B's lane again. */
	ck_assert_uint_eq(atomic_load(&channel_of(B)->mine->control.note), IPC_NOTE_PENDING | 128);
	mirrored_close(&m);
}

TEST(the_last_word_waits_for_the_far_end_to_be_there)
{
	static const unsigned node[] = { 0, 1 };
	struct mirror_name name = mirrored_name(0, A, B);
	struct mirror_news news;
	struct dvs_msg msg;

	mirrored_open(&m, 2, node);
	mirrored_join(&m, 0, A, B);
	mirrored_carry(&m, 0, A, B);
	mirrored_start(&m, 0);
	endpoint_notify(&m.party[A].ep, channel_of(A), 9);
	mirror_end(m.mirror[0], &name, m.half[0][A][B].channel.instance, 0, DVS_PEERDEAD);
	m.half[0][A][B].carried = false;
	/* Its number is another channel's at once. */
	mirrored_start(&m, 1);
	news = mirrored_news(&m, 1);
	ck_assert_int_eq(news.kind, MIRROR_CONNECT);
	mirrored_join(&m, 1, A, B);
	mirrored_carry(&m, 1, A, B);
	ck_assert_int_eq(receive(B, &msg, 20000), DVS_OK);
	ck_assert_uint_eq(msg.u64[0], 9);
	news = over_news(1);
	ck_assert(news.clean);
	mirrored_close(&m);
}

TEST(the_end_waits_for_the_bulk_connection)
{
	static uint8_t data[200000];
	struct mirror_name name = mirrored_name(0, A, B);
	struct call_data with = { .out = data, .out_bytes = sizeof(data) };
	struct mirror_news news;
	struct dvs_msg msg = { .type = 7 };

	open_joined();
	memset(data, 77, sizeof(data));
	for (unsigned i = 0; i < 20; i++) {
		struct channel *ch = channel_of(A);

		/* As endpoint_call() does, but this sender does not live to see what comes of it. */
		channel_post(ch, IPC_SEND, &msg, &with, dvs_ep_any());
		(void)inbox_ring_request(ch->peer_inbox, ch->peer_index);
		wait_for_kind(&ch->mine->request.head, IPC_CARRIED);
		mirror_end(m.mirror[0], &name, m.half[0][A][B].channel.instance, 0, DVS_PEERDEAD);
		news = over_news(1);
		ck_assert(news.clean);
		ck_assert_int_eq(receive(B, &msg, 0), DVS_OK);
		ck_assert_uint_eq(m.party[B].ep.last.data_bytes, sizeof(data));
		ck_assert_int_eq(memcmp(m.party[B].ep.last.data, data, sizeof(data)), 0);
		for (unsigned node = 0; node < 2; node++) {
			mirrored_join(&m, node, A, B);
			mirrored_carry(&m, node, A, B);
		}
	}
	mirrored_close(&m);
}

/* ---- taking back ---- */

TEST(a_message_that_waits_there_is_taken_back)
{
	struct dvs_msg msg;
	struct caller *caller;

	open_joined();
	caller = call(A, IPC_SEND, 1, 50);
	ck_assert_int_eq(result_of(caller), DVS_TIMEOUT);
	ck_assert_int_eq(receive(B, &msg, 0), DVS_TIMEOUT);
	wait_for_kind(&channel_of(B)->theirs->request.head, IPC_NONE);
	mirrored_close(&m);
}

TEST(who_takes_back_waits_until_the_other_node_says_what_has_come_of_it)
{
	struct caller *caller;

	open_joined();
	/* Only one node is there: nothing can be known. */
	mirrored_stop(&m, 1);
	caller = call(A, IPC_SEND, 1, 10);
	wait_for_kind(&channel_of(A)->mine->request.head, IPC_RECALLED);
	ck_assert(!atomic_load(&caller->done));
	mirrored_start(&m, 1);
	ck_assert_int_eq(result_of(caller), DVS_TIMEOUT);
	mirrored_close(&m);
}

TEST(a_message_that_was_received_cannot_be_taken_back)
{
	struct caller *caller;

	open_joined();
	caller = call(A, IPC_SEND, 1, 1000);
	wait_for_kind(&channel_of(B)->theirs->request.head, IPC_SEND);
	/* It is received while nobody can tell. */
	mirrored_stop(&m, 1);
	must_receive(B, 1);
	wait_for_kind(&channel_of(A)->mine->request.head, IPC_RECALLED);
	mirrored_start(&m, 1);
	ck_assert_int_eq(result_of(caller), DVS_OK);
	mirrored_close(&m);
}

TEST(a_request_that_was_given_up_is_not_received)
{
	struct caller *caller;
	struct dvs_msg msg;

	open_joined();
	caller = call(A, IPC_REQUEST, 1, 50);
	ck_assert_int_eq(result_of(caller), DVS_TIMEOUT);
	wait_for_kind(&channel_of(B)->theirs->request.head, IPC_NONE);
	ck_assert_int_eq(receive(B, &msg, 0), DVS_TIMEOUT);
	mirrored_close(&m);
}

TEST(who_takes_back_does_not_wait_for_ever)
{
	struct caller *caller;

	open_joined();
	mirrored_stop(&m, 1);
	caller = call(A, IPC_SEND, 1, 10);
	/* It may have been received. */
	ck_assert_int_eq(result_of(caller), DVS_NODEDOWN);
	mirrored_close(&m);
}

/* ---- an end that was not heard ---- */

/* Node 1 ends its channel, but the proxy that was to say so is killed. Then it is asked for the channel. */
static struct mirror_news end_unheard(void)
{
	struct mirror_news news;

	mirrored_stop(&m, 1);
	m.half[1][A][B].carried = false;
	mirrored_start(&m, 1);
	news = mirrored_news(&m, 1);
	ck_assert_int_eq(news.kind, MIRROR_CONNECT);
	ck_assert_uint_eq(news.wanted, m.half[1][A][B].channel.instance);
	ck_assert_uint_eq(news.instance, m.half[0][A][B].channel.instance);
	return news;
}

static void talk_once(void)
{
	struct caller *caller = call(A, IPC_SEND, 1, DVS_FOREVER);

	must_receive(B, 1);
	ck_assert_int_eq(result_of(caller), DVS_OK);
}

TEST(an_end_that_was_not_heard_is_found)
{
	struct mirror_news news;

	open_joined();
	talk_once();
	news = end_unheard();
	mirror_lost(m.mirror[1], &news);
	news = over_news(0);
	ck_assert(!news.clean);
	ck_assert_int_eq(news.reason, DVS_NODEDOWN);
	mirrored_close(&m);
}

TEST(what_has_come_of_a_message_to_a_lost_channel_is_not_known)
{
	struct mirror_news news;
	struct caller *caller;

	open_joined();
	talk_once();
	caller = call(A, IPC_SEND, 2, 500);
	/* It is received, but that is not told. */
	wait_for_kind(&channel_of(B)->theirs->request.head, IPC_SEND);
	mirrored_stop(&m, 1);
	must_receive(B, 2);
	wait_for_kind(&channel_of(A)->mine->request.head, IPC_RECALLED);
	m.half[1][A][B].carried = false;
	mirrored_start(&m, 1);
	news = mirrored_news(&m, 1);
	mirror_lost(m.mirror[1], &news);
	news = over_news(0);
	ck_assert_int_eq(IPC_KIND(atomic_load(&channel_of(A)->mine->request.head)), IPC_RECALLED);
	atomic_store(&m.party[A].gone, news.reason);
	inbox_ring_event(m.party[A].inbox);
	ck_assert_int_eq(result_of(caller), DVS_NODEDOWN);
	mirrored_close(&m);
}

TEST(nothing_is_received_after_the_end_was_said)
{
	struct mirror_name name = mirrored_name(1, A, B);
	struct mirror_news news;
	struct dvs_msg msg;
	struct caller *caller;

	open_joined();
	endpoint_notify(&m.party[A].ep, channel_of(A), 64);
	caller = call(A, IPC_SEND, 1, DVS_FOREVER);
	wait_for_kind(&channel_of(B)->theirs->request.head, IPC_SEND);
	/* The process of B has not read of it yet. */
	mirror_end(m.mirror[1], &name, m.half[1][A][B].channel.instance, 0, DVS_NODEDOWN);
	news = over_news(0);
	ck_assert(news.clean);
	ck_assert_int_eq(news.reason, DVS_NODEDOWN);
	ck_assert_int_eq(receive(B, &msg, 0), DVS_TIMEOUT);
	ck_assert_int_eq(IPC_KIND(atomic_load(&channel_of(A)->mine->request.head)), IPC_SEND);
	ck_assert_uint_eq(atomic_load(&channel_of(A)->mine->control.note), IPC_NOTE_PENDING | 64);
	atomic_store(&m.party[A].gone, news.reason);
	inbox_ring_event(m.party[A].inbox);
	ck_assert_int_eq(result_of(caller), DVS_NODEDOWN);
	mirrored_close(&m);
}

/* ---- limits ---- */

TEST(a_limit_holds_and_can_be_lifted)
{
	enum { BYTES = 10000, CALLS = 20, RATE = 400000 };
	static uint8_t data[BYTES];
	struct channel *ch;
	struct call_data with = { .out = data, .out_bytes = BYTES };
	struct dvs_msg msg = { .type = 7 };
	uint64_t start_ns;

	open_joined();
	ch = channel_of(A);
	mirror_limit(m.mirror[0], mirrored_name(0, A, B).dc, RATE);
	start_ns = clock_now_ns();
	for (unsigned i = 0; i < CALLS; i++) {
		channel_post(ch, IPC_SEND, &msg, &with, dvs_ep_any());
		(void)inbox_ring_request(ch->peer_inbox, ch->peer_index);
		ck_assert_int_eq(receive(B, &msg, 20000), DVS_OK);
		wait_for_kind(&ch->mine->request.head, IPC_TAKEN);
	}
	/* A tenth of a second's worth may be saved up, and one may go beyond. */
	ck_assert_uint_ge(clock_now_ns() - start_ns,
			  (uint64_t)(CALLS - 1) * BYTES * CLOCK_NS_PER_S / RATE -
				  CLOCK_NS_PER_S / 10);
	/* One that waits for its turn is not left waiting. */
	mirror_limit(m.mirror[0], mirrored_name(0, A, B).dc, 1);
	channel_post(ch, IPC_SEND, &msg, &with, dvs_ep_any());
	(void)inbox_ring_request(ch->peer_inbox, ch->peer_index);
	mirror_limit(m.mirror[0], mirrored_name(0, A, B).dc, 0);
	ck_assert_int_eq(receive(B, &msg, 20000), DVS_OK);
	mirrored_close(&m);
}

UNIT_MAIN_TIMEOUT("fault-mirrored-cases", 120, a_call_to_an_endpoint_without_a_channel_makes_one,
		  both_hear_of_a_channel_that_both_have_made, who_cannot_have_a_channel_is_told,
		  a_new_far_end_ends_the_conversation_with_the_old_one,
		  all_that_was_said_comes_before_the_end,
		  the_last_word_waits_for_the_far_end_to_be_there,
		  the_end_waits_for_the_bulk_connection, a_message_that_waits_there_is_taken_back,
		  who_takes_back_waits_until_the_other_node_says_what_has_come_of_it,
		  a_message_that_was_received_cannot_be_taken_back,
		  a_request_that_was_given_up_is_not_received,
		  who_takes_back_does_not_wait_for_ever, an_end_that_was_not_heard_is_found,
		  what_has_come_of_a_message_to_a_lost_channel_is_not_known,
		  nothing_is_received_after_the_end_was_said, a_limit_holds_and_can_be_lifted)
