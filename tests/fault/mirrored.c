/* SPDX-License-Identifier: Apache-2.0 */
#include "mirrored.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ipc/inbox.h"
#include "lab.h"
#include "unit.h"

#define DC 5u
#define NEWS_MS 20000u

/* ---- the host, which here is nobody ---- */

static void host_events(struct endpoint *ep)
{
	struct party *party = ep->host_arg;

	if (atomic_exchange(&party->wake, false))
		ep->woken = true;
	for (unsigned i = 0; i < MIRRORED_PARTIES_MAX; i++)
		party->channel[i].gone = atomic_load(&party->gone);
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

/* ---- memory ---- */

static void *memory(size_t bytes)
{
	void *at = aligned_alloc(IPC_PAGE, bytes);

	ck_assert_ptr_nonnull(at);
	memset(at, 0, bytes);
	return at;
}

static void memory_free(struct channel_memory *memory)
{
	free(memory->lanes);
	free(memory->window[0]);
	free(memory->window[1]);
	*memory = (struct channel_memory){ .lanes = NULL };
}

/* ---- mirrors ---- */

static void on_wake(void *context)
{
	struct mirrored *m = context;

	atomic_fetch_add(&m->n_news, 1);
}

/* The memory is kept, as dvsd does. */
static void on_release(void *context, const struct channel_memory *memory)
{
	(void)context;
	(void)memory;
}

void mirrored_start(struct mirrored *m, unsigned node)
{
	struct mirror_setup setup = { .context = m,
				      .wake = on_wake,
				      .release = on_release,
				      .log = &m->log,
				      .inbox = m->inbox[node] };

	ck_assert(mirror_create(&setup, &m->mirror[node]) == DVS_OK);
	for (unsigned a = 0; a < MIRRORED_PARTIES_MAX; a++) {
		for (unsigned b = 0; b < MIRRORED_PARTIES_MAX; b++) {
			const struct half *half = &m->half[node][a][b];

			if (half->carried)
				ck_assert(mirror_carry(m->mirror[node], &half->channel) == DVS_OK);
		}
	}
	m->link[node] = fake_link_open(m->wire, node, mirror_link_events(m->mirror[node]));
	ck_assert(mirror_start(m->mirror[node], m->link[node]) == DVS_OK);
}

void mirrored_stop(struct mirrored *m, unsigned node)
{
	mirror_stop(m->mirror[node]);
	peer_link_close(m->link[node]);
	mirror_destroy(m->mirror[node]);
	m->mirror[node] = NULL;
}

struct mirror_news mirrored_news(struct mirrored *m, unsigned node)
{
	uint64_t deadline_ns = clock_deadline_ns(NEWS_MS * CLOCK_NS_PER_MS);
	struct mirror_news news = { .kind = MIRROR_LINK };
	uint64_t rng = 1;

	while (news.kind == MIRROR_LINK || news.kind == MIRROR_READY) {
		if (mirror_next_news(m->mirror[node], &news))
			continue;
		ck_assert_msg(!clock_is_past(deadline_ns), "no news from node %u", node);
		rng_pause(&rng, 1000);
	}
	return news;
}

/* ---- channels ---- */

struct mirror_name mirrored_name(unsigned node, unsigned a, unsigned b)
{
	return (struct mirror_name){ .dc = DC,
				     .remote = node == 0 ? b + 1 : a + 1,
				     .local = node == 0 ? a + 1 : b + 1 };
}

void mirrored_join(struct mirrored *m, unsigned node, unsigned a, unsigned b)
{
	struct half *half = &m->half[node][a][b];
	unsigned local = node == 0 ? a : b;
	unsigned remote = node == 0 ? b : a;
	struct party *party = &m->party[local];
	struct channel *ch = &party->channel[remote];
	struct channel_memory shared = { .lanes = memory(IPC_PAGE) };

	if (ch->mine)
		endpoint_remove(&party->ep, ch, true);
	if (half->channel.memory.lanes) {
		MUST(m->n_graves < MIRRORED_GRAVES_MAX);
		m->grave[m->n_graves++] = half->channel.memory;
	}
	shared.window[0] = memory(IPC_WINDOW_BYTES);
	shared.window[1] = memory(IPC_WINDOW_BYTES);
	half->channel = (struct mirror_channel){ .name = mirrored_name(node, a, b),
						 .instance = ++m->n_instances,
						 .index = m->n_indexes[node]++ * 29,
						 .peer_index = party->n_channels++ * 50,
						 .side = node == 0 ? 1 : 0,
						 .memory = shared };
	half->channel.memory.peer_inbox = party->inbox;
	shared.peer_inbox = m->inbox[node];
	channel_init(ch, &shared, !half->channel.side, dvs_ep_of(remote + 1));
	ch->index = half->channel.peer_index;
	ch->peer_index = half->channel.index;
	ch->may_call = ch->may_serve = ch->remote = true;
	ck_assert(endpoint_add(&party->ep, ch) == DVS_OK);
}

void mirrored_carry(struct mirrored *m, unsigned node, unsigned a, unsigned b)
{
	struct half *half = &m->half[node][a][b];

	half->carried = true;
	if (m->mirror[node])
		ck_assert(mirror_carry(m->mirror[node], &half->channel) == DVS_OK);
}

/* ---- all of it ---- */

void mirrored_open(struct mirrored *m, unsigned n_parties, const unsigned *node)
{
	memset(m, 0, sizeof(*m));
	m->seed = lab_seed();
	m->log = log_to_stderr(LOG_LEVEL_WARNING);
	m->wire = fake_wire_new(m->seed);
	for (unsigned i = 0; i < 2; i++)
		m->inbox[i] = memory(IPC_PAGE);
	for (unsigned i = 0; i < n_parties; i++) {
		struct party *party = &m->party[i];

		party->node = node[i];
		party->inbox = memory(IPC_PAGE);
		endpoint_init(&party->ep, dvs_ep_of(i + 1), party->inbox, &party->stats, &host,
			      party);
		party->ep.exposed = i % 2;
	}
}

void mirrored_close(struct mirrored *m)
{
	for (unsigned node = 0; node < 2; node++) {
		if (m->mirror[node])
			mirrored_stop(m, node);
		free(m->inbox[node]);
	}
	for (unsigned i = 0; i < 2 * MIRRORED_PARTIES_MAX * MIRRORED_PARTIES_MAX; i++) {
		struct half *half = &m->half[0][0][0] + i;

		memory_free(&half->channel.memory);
	}
	for (unsigned i = 0; i < m->n_graves; i++)
		memory_free(&m->grave[i]);
	for (unsigned i = 0; i < MIRRORED_PARTIES_MAX; i++) {
		if (m->party[i].inbox)
			endpoint_fini(&m->party[i].ep);
		free(m->party[i].inbox);
	}
	fake_wire_free(m->wire);
}
