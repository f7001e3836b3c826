/* SPDX-License-Identifier: Apache-2.0 */
/* What comes to a link. The first byte says how: as it is, to a lane that is up; as a hello; or as a program that makes frames whose checksums and
 * numbers are right, but for those that it spoils. Whatever comes: bodies and data are within their bounds, and a frame has the data that was placed
 * for it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "feed.h"
#include "fuzz.h"
#include "proxy/sum.h"

#define FRAMES_MAX 32u
#define BYTES_MAX ((size_t)1 << 16)

#define MUST(condition)                   \
	do {                              \
		if (!(condition))         \
			__builtin_trap(); \
	} while (0)

struct heard {
	uint8_t *room;
	uint32_t room_bytes;
};

static void *on_place(void *context, enum link_class class, const struct frame_header *header,
		      struct cursor body)
{
	struct heard *heard = context;

	(void)class;
	MUST(!heard->room && header->data_bytes > 0 && header->data_bytes <= WIRE_DATA_MAX);
	MUST(cursor_left(&body) == header->body_bytes && header->body_bytes <= LINK_BODY_MAX);
	if (header->src % 2)
		return NULL;
	heard->room = malloc(header->data_bytes);
	heard->room_bytes = header->data_bytes;
	return heard->room;
}

static void on_frame(void *context, enum link_class class, const struct frame_header *header,
		     struct cursor body, void *data)
{
	struct heard *heard = context;
	uint8_t copy[LINK_BODY_MAX];

	(void)class;
	MUST(cursor_left(&body) == header->body_bytes && header->body_bytes <= LINK_BODY_MAX);
	MUST(data == heard->room);
	MUST(header->type != FRAME_HELLO && header->type != FRAME_PING);
	cursor_bytes(&body, copy, cursor_left(&body));
	MUST(cursor_done(&body));
	if (data)
		MUST(heard->room_bytes == header->data_bytes);
	free(heard->room);
	heard->room = NULL;
}

static void on_idle(void *context, enum link_class class)
{
	(void)context;
	(void)class;
}

static void run_class(const uint8_t *bytes, size_t len, size_t piece, enum link_class class)
{
	struct heard heard = { .room = NULL };
	const struct link_events events = {
		.context = &heard,
		.place = on_place,
		.frame = on_frame,
		.idle = on_idle,
	};
	struct fed_lane *fed = malloc(sizeof(*fed));
	struct feed feed;
	char why[100] = "";

	fed_lane_init(fed, class, &events);
	feed_init(&feed, bytes, len);
	feed.piece = piece;
	lane_read(fed->lane, &feed.stream, why, sizeof(why));
	MUST(why[0]);
	fed_lane_free(fed);
	free(heard.room);
	free(fed);
}

static void run_lane(const uint8_t *bytes, size_t len, size_t piece)
{
	run_class(bytes, len, piece, LINK_MESSAGES);
	run_class(bytes, len, piece, LINK_BULK);
}

/* A frame of what DATA says; its length there. */
static size_t make_frame(struct cursor *in, uint8_t *out, uint64_t seq)
{
	uint8_t spoil = cursor_u8(in);
	struct frame_header header = {
		.type = cursor_u8(in),
		.src = cursor_u8(in),
		.flags = cursor_u8(in),
	};
	size_t body_bytes = cursor_u8(in);
	size_t data_bytes = cursor_u16(in) % 2000;
	uint8_t body[LINK_BODY_MAX] = { 0 };
	size_t len;

	if (body_bytes > cursor_left(in))
		body_bytes = cursor_left(in);
	cursor_bytes(in, body, body_bytes);
	if (spoil == 1)
		seq += cursor_u8(in);
	len = wire_encode(out, &header, body, body_bytes, data_bytes, seq);
	if (spoil == 2)
		out[cursor_u8(in) % len] ^= cursor_u8(in);
	if (spoil == 3)
		return cursor_u8(in) % len;
	memset(out + len, 7, data_bytes);
	return len + data_bytes;
}

static void run_program(struct cursor in, size_t piece)
{
	uint8_t *bytes = malloc(FRAMES_MAX * (WIRE_FRAME_BYTES_MAX + 2000));
	size_t len = 0;

	for (uint32_t i = 1; i <= FRAMES_MAX && cursor_left(&in) > 0; i++)
		len += make_frame(&in, bytes + len, i);
	run_lane(bytes, len, piece);
	free(bytes);
}

static void run_hello(struct cursor in, size_t piece)
{
	static const struct config config = { .cluster = "farm" };
	struct peer_link *link = calloc(1, sizeof(*link));
	struct frame_header header = { .type = FRAME_HELLO };
	uint8_t bytes[WIRE_FRAME_BYTES_MAX];
	size_t body_bytes = cursor_left(&in) < LINK_BODY_MAX ? cursor_left(&in) : LINK_BODY_MAX;
	struct greeted greeted;
	struct feed feed;
	char why[100] = "";

	link->log.fd = -1;
	link->listens = true;
	link->setup.config = &config;
	link->setup.peer = 1;
	feed_init(&feed, bytes, wire_encode(bytes, &header, in.at, body_bytes, 0, 0));
	feed.piece = piece;
	if (greet(link, &feed.stream, LINK_MESSAGES, &greeted, why, sizeof(why)) != DVS_OK)
		MUST(why[0]);
	free(link);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor in = cursor_over(data, size < BYTES_MAX ? size : BYTES_MAX);
	uint8_t way = cursor_u8(&in);
	size_t piece = cursor_u8(&in);

	if (in.failed)
		return 0;
	switch (way % 3) {
	case 0:
		run_program(in, piece);
		break;
	case 1:
		run_hello(in, piece);
		break;
	default:
		run_lane(in.at, cursor_left(&in), piece);
		break;
	}
	return 0;
}
