/* SPDX-License-Identifier: Apache-2.0 */
/* The mirror between a hostile node and hostile local processes. The input is a program: frames come in, whole or torn, lanes are overwritten, channels
 * begin and end, and the senders look. Whatever comes: data is placed only in windows and sent only from them, frames go out under the
 * names of their channels, and nothing is said of a channel after its end. The link is replaced by one that checks. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "proxy/carried.h"

#define CHANNELS 4u
#define STEPS_MAX 256u
#define DC 3u

#define MUST(condition)                   \
	do {                              \
		if (!(condition))         \
			__builtin_trap(); \
	} while (0)

struct slot {
	struct mirror_channel channel;
	bool carried;
};

struct world {
	const uint8_t *at;
	const uint8_t *end;
	struct mirror *mirror;
	struct ipc_inbox *inbox;
	struct slot slot[CHANNELS];
	uint32_t instances;
	bool up;
	int32_t n_released;
	int32_t n_owned;
};

/* Of the present input, for the link. */
static struct world *present;

/* ---- the link ---- */

static bool is_window(const uint8_t *data, size_t bytes)
{
	for (unsigned i = 0; i < CHANNELS; i++) {
		const struct mirror_channel *channel = &present->slot[i].channel;

		if (data == channel->memory.window[!channel->side])
			return bytes <= IPC_WINDOW_BYTES;
	}
	return false;
}

bool peer_link_put(struct peer_link *link, enum link_class class, struct frame_header *header,
		   const void *body, size_t body_bytes, const void *data, size_t data_bytes)
{
	const volatile uint8_t *read = data;

	(void)link;
	MUST((header->type >= FRAME_CALL && header->type <= FRAME_END) ||
	     header->type == FRAME_LOST);
	MUST(header->dc == DC && body_bytes <= LINK_BODY_MAX && (body || body_bytes == 0));
	MUST(header->src >= 1 && header->src <= CHANNELS);
	MUST(header->dst == header->src + 100 || header->src_instance == 0 ||
	     header->type == FRAME_LOST);
	if (data_bytes) {
		MUST(is_window(data, data_bytes));
		(void)read[data_bytes - 1];
		MUST(data_bytes <= LINK_BULK_BYTES || class == LINK_BULK);
	}
	return present->up;
}

void peer_link_flush(struct peer_link *link, enum link_class class)
{
	(void)link;
	(void)class;
}

bool peer_link_is_up(const struct peer_link *link, enum link_class class)
{
	(void)link;
	(void)class;
	return present->up;
}

int peer_link_cpu(struct peer_link *link, enum link_class class)
{
	(void)link;
	(void)class;
	return -1;
}

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

/* Small, or anything: both are found quickly. */
static uint32_t take_number(struct world *w)
{
	uint32_t byte = take8(w);

	return byte < 0xc0 ? byte : take32(w);
}

/* ---- frames come in ---- */

static void encode(struct world *w, uint8_t type, struct writer *body)
{
	struct frame_call_req call = { .in_cap = take_number(w), .relayed_by = take8(w) };
	struct frame_reply_req reply = { .relay_to = take8(w) };
	struct frame_recall_req recall = { .call = take_number(w), .kind = take8(w) & 1 ? 1 : 3 };
	struct frame_note_req note = { .count = take_number(w), .value = take32(w) };
	struct frame_end_req end = { .reason = take8(w), .note = take32(w) };

	call.cell.head = reply.cell.head = IPC_HEAD(take_number(w), take8(w));
	switch (type) {
	case FRAME_CALL:
		frame_call_req_encode(body, &call);
		break;
	case FRAME_REPLY:
		frame_reply_req_encode(body, &reply);
		break;
	case FRAME_RECALL:
		frame_recall_req_encode(body, &recall);
		break;
	case FRAME_NOTE:
		frame_note_req_encode(body, &note);
		break;
	case FRAME_END:
		frame_end_req_encode(body, &end);
		break;
	case FRAME_PULL:
	case FRAME_LOST:
		break;
	default:
		writer_u32(body, take_number(w));
		break;
	}
}

static void hear(struct world *w)
{
	uint8_t bytes[LINK_BODY_MAX];
	struct writer out = writer_over(bytes, sizeof(bytes));
	uint32_t how = take8(w);
	enum link_class class = how & 1 ? LINK_BULK : LINK_MESSAGES;
	const struct slot *slot = &w->slot[take8(w) % CHANNELS];
	struct frame_header header = { .type = (uint8_t)(take8(w) % 18),
				       .flags = (uint16_t)(how >> 1 & 1),
				       .dc = DC,
				       .src = slot->channel.name.remote,
				       .dst = slot->channel.name.local,
				       .src_instance = 1 + take8(w) % 4 };
	struct cursor body;
	uint8_t *data = NULL;

	header.dst_instance = how & 4 ? 0 : slot->channel.instance - (how >> 3 & 1);
	header.data_bytes = how & 16 ? take_number(w) : 0;
	encode(w, header.type, &out);
	/* Too short, at times. */
	header.body_bytes = (uint16_t)(writer_len(&out) - (how & 32 && writer_len(&out)));
	body = cursor_over(bytes, header.body_bytes);
	if (header.data_bytes) {
		data = hear_place(w->mirror, class, &header, body);
		MUST(!data || (header.data_bytes <= IPC_WINDOW_BYTES &&
			       data == slot->channel.memory.window[slot->channel.side]));
		if (data)
			data[header.data_bytes - 1] = 1;
	}
	if (how & 64)
		hear_broken(w->mirror, class);
	else
		hear_frame(w->mirror, class, &header, body, data);
}

/* ---- local processes write ---- */

static void write_lanes(struct world *w, const struct slot *slot)
{
	uint8_t *bytes = (uint8_t *)slot->channel.memory.lanes;
	uint32_t at = take16(w) % (uint32_t)sizeof(struct ipc_channel);
	uint32_t len = take8(w) % 16;

	for (uint32_t i = 0; i < len && at + i < sizeof(struct ipc_channel); i++)
		bytes[at + i] = (uint8_t)take8(w);
}

static void post(struct world *w, const struct slot *slot)
{
	struct ipc_lane *lane = &slot->channel.memory.lanes->lane[!slot->channel.side];

	atomic_store(&lane->ext.out_bytes, take_number(w));
	atomic_store(&lane->ext.in_cap, take_number(w));
	atomic_store(&lane->ext.reply_bytes, take_number(w));
	if (take8(w) & 1)
		atomic_store(&lane->request.head, IPC_HEAD(take_number(w), take8(w)));
	else
		atomic_store(&lane->reply.head, IPC_HEAD(take_number(w), take8(w)));
	if (take8(w) & 1)
		atomic_store(&lane->control.note, IPC_NOTE_PENDING | take8(w));
}

/* ---- the senders ---- */

static void look(struct world *w)
{
	table_push_all(w->mirror);
	for (unsigned class = 0; class < LINK_CLASSES; class ++) {
		struct sender *sender = &w->mirror->sender[class];
		uint64_t wait_ns;
		struct carried *ch;

		say_refusals(sender);
		while ((ch = queue_pop(w->mirror, class, &wait_ns))) {
			if (class == LINK_MESSAGES)
				say_messages(sender, ch);
			else
				say_bulk(sender, ch);
			carried_put(ch);
		}
		queue_next_round(w->mirror, class);
		say_flush(sender);
	}
}

/* ---- the owner ---- */

static void carry(struct world *w, struct slot *slot)
{
	if (slot->carried)
		return;
	memset(slot->channel.memory.lanes, 0, IPC_PAGE);
	slot->channel.instance = ++w->instances;
	slot->carried = mirror_carry(w->mirror, &slot->channel) == DVS_OK;
	w->n_owned += slot->carried;
}

static void end(struct world *w, struct slot *slot)
{
	uint32_t far = take8(w) % 3;

	mirror_end(w->mirror, &slot->channel.name, slot->channel.instance, far, DVS_PEERDEAD);
	if (far != 1)
		slot->carried = false;
}

static void news(struct world *w)
{
	struct mirror_news news;

	while (mirror_next_news(w->mirror, &news)) {
		uint32_t i = news.name.local - 1;

		MUST(news.kind == MIRROR_LINK || i < CHANNELS);
		if (news.kind == MIRROR_CONNECT && take8(w) & 1) {
			if (news.wanted)
				mirror_lost(w->mirror, &news);
			else
				mirror_refuse(w->mirror, &news.name, news.instance, DVS_DENIED);
		} else if (news.kind == MIRROR_OVER && news.instance == w->slot[i].channel.instance)
			w->slot[i].carried = false;
	}
}

static void link_turns(struct world *w)
{
	struct link_events events = mirror_link_events(w->mirror);
	enum link_class class = take8(w) % LINK_CLASSES;

	w->up = !w->up;
	if (w->up)
		events.up(events.context, class, false);
	else
		events.down(events.context, class, "fuzz");
}

static void step(struct world *w)
{
	uint32_t op = take8(w) % 16;
	struct slot *slot = &w->slot[take8(w) % CHANNELS];

	if (op < 7)
		hear(w);
	else if (op < 9)
		post(w, slot);
	else if (op < 10)
		write_lanes(w, slot);
	else if (op < 12)
		look(w);
	else if (op < 13)
		carry(w, slot);
	else if (op < 14)
		end(w, slot);
	else if (op < 15)
		news(w);
	else
		link_turns(w);
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
	for (uint32_t i = 0; i < CHANNELS; i++) {
		struct mirror_channel *channel = &w->slot[i].channel;

		*channel = (struct mirror_channel){ .name = { DC, i + 101, i + 1 },
						    .index = i * 70,
						    .peer_index = i * 90,
						    .side = i & 1 };
		channel->memory.lanes = memory(IPC_PAGE);
		channel->memory.window[0] = memory(IPC_WINDOW_BYTES);
		channel->memory.window[1] = memory(IPC_WINDOW_BYTES);
		channel->memory.peer_inbox = memory(IPC_PAGE);
	}
	return w;
}

static void on_wake(void *context)
{
	(void)context;
}

static void on_release(void *context, const struct channel_memory *memory)
{
	struct world *w = context;

	(void)memory;
	w->n_released++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world *w;
	struct mirror_setup setup = { .wake = on_wake, .release = on_release };

	if (!w)
		w = world_make();
	present = w;
	w->at = data;
	w->end = data + size;
	w->instances = 0;
	w->up = size & 1;
	w->n_released = w->n_owned = 0;
	memset(w->inbox, 0, IPC_PAGE);
	setup.context = w;
	setup.inbox = w->inbox;
	MUST(mirror_create(&setup, &w->mirror) == DVS_OK);
	for (unsigned i = 0; i < CHANNELS; i++) {
		w->slot[i].carried = false;
		w->slot[i].channel.instance = 0;
		if (i < 2)
			carry(w, &w->slot[i]);
	}
	for (unsigned i = 0; i < STEPS_MAX && w->at < w->end; i++)
		step(w);
	mirror_destroy(w->mirror);
	/* Every reference was given back. */
	MUST(w->n_released == w->n_owned);
	return 0;
}
