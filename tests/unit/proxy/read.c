/* SPDX-License-Identifier: Apache-2.0 */
/* The reader of a lane, however the bytes come. */
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"

#include "feed.h"
#include "pair.h"
#include "unit.h"

#define FRAMES 6u
#define BYTES_MAX 4096u

/* Data of these lengths hangs on the frames; that of NOT_WANTED has no place. */
static const size_t lengths[FRAMES] = { 0, 1, 300, 0, 700, 64 };
#define NOT_WANTED 4u

struct heard {
	uint8_t room[1024];
	unsigned int frames;
	unsigned int idles;
	unsigned int wrong;
};

static void *on_place(void *context, enum link_class class, const struct frame_header *header,
		      struct cursor body)
{
	struct heard *heard = context;

	(void)class;
	(void)body;
	if (header->dc == NOT_WANTED)
		return NULL;
	memset(heard->room, 0, sizeof(heard->room));
	return heard->room;
}

static void on_frame(void *context, enum link_class class, const struct frame_header *header,
		     struct cursor body, void *data)
{
	struct heard *heard = context;
	uint8_t expected[1024];

	(void)class;
	pair_fill(expected, sizeof(expected), header->dc);
	heard->wrong += header->dc != heard->frames || cursor_left(&body) != header->dc ||
			memcmp(body.at, expected, cursor_left(&body)) != 0 ||
			header->data_bytes != lengths[header->dc] ||
			(data && memcmp(data, expected, header->data_bytes) != 0) ||
			(data != NULL) != (header->data_bytes > 0 && header->dc != NOT_WANTED);
	heard->frames++;
}

static void on_idle(void *context, enum link_class class)
{
	struct heard *heard = context;

	(void)class;
	heard->idles++;
}

static size_t frames_make(uint8_t *bytes, uint64_t first_seq)
{
	uint8_t content[1024];
	size_t len = 0;

	for (uint32_t i = 0; i < FRAMES; i++) {
		struct frame_header header = { .type = FRAME_CALL, .dc = i };

		pair_fill(content, sizeof(content), i);
		len += wire_encode(bytes + len, &header, content, i, lengths[i], first_seq + i);
		memcpy(bytes + len, content, lengths[i]);
		len += lengths[i];
	}
	return len;
}

static void read_all(struct feed *feed, struct heard *heard, char why[100])
{
	const struct link_events events = {
		.context = heard,
		.place = on_place,
		.frame = on_frame,
		.idle = on_idle,
	};
	struct fed_lane fed;

	fed_lane_init(&fed, LINK_MESSAGES, &events);
	lane_read(fed.lane, &feed->stream, why, 100);
	fed_lane_free(&fed);
}

TEST(frames_may_be_cut_anywhere)
{
	uint8_t bytes[BYTES_MAX];
	size_t len = frames_make(bytes, 1);
	char why[100];

	for (size_t cut = 0; cut <= len; cut++) {
		struct heard heard = { .frames = 0 };
		struct feed feed;

		feed_init(&feed, bytes, len);
		feed.first = cut;
		read_all(&feed, &heard, why);
		ck_assert_msg(heard.frames == FRAMES && heard.wrong == 0, "cut at %zu", cut);
		ck_assert_str_eq(why, "the connection was closed");
		ck_assert_uint_gt(heard.idles, 0);
	}
}
END_TEST

TEST(frames_may_come_in_pieces_of_any_size)
{
	uint8_t bytes[BYTES_MAX];
	size_t len = frames_make(bytes, 1);
	char why[100];

	for (size_t piece = 1; piece <= 100; piece++) {
		struct heard heard = { .frames = 0 };
		struct feed feed;

		feed_init(&feed, bytes, len);
		feed.piece = piece;
		read_all(&feed, &heard, why);
		ck_assert_msg(heard.frames == FRAMES && heard.wrong == 0, "pieces of %zu", piece);
	}
}
END_TEST

TEST(what_ends_in_the_midst_of_a_frame_is_not_handed_on)
{
	uint8_t bytes[BYTES_MAX];
	size_t len = frames_make(bytes, 1);
	unsigned int before = 0;
	char why[100];

	for (size_t end = 0; end <= len; end++) {
		struct heard heard = { .frames = 0 };
		struct feed feed;

		feed_init(&feed, bytes, end);
		read_all(&feed, &heard, why);
		ck_assert_uint_eq(heard.wrong, 0);
		ck_assert_uint_ge(heard.frames, before);
		ck_assert_uint_le(heard.frames, before + 1);
		before = heard.frames;
	}
	ck_assert_uint_eq(before, FRAMES);
}
END_TEST

TEST(a_frame_that_comes_twice_ends_the_connection)
{
	uint8_t bytes[BYTES_MAX];
	size_t len = frames_make(bytes, 1);
	struct heard heard = { .frames = 0 };
	struct feed feed;
	char why[100];

	memcpy(bytes + len, bytes, len);
	feed_init(&feed, bytes, 2 * len);
	read_all(&feed, &heard, why);
	ck_assert_uint_eq(heard.frames, FRAMES);
	ck_assert_str_eq(why, "a frame that is not the next one");
}
END_TEST

/* ---- bulk ---- */

#define BULK_FRAMES 5u
#define BULK_NOT_WANTED 2u
#define BULK_BYTES_MAX ((size_t)1 << 20)

static const size_t bulk_lengths[BULK_FRAMES] = { 20000, 400000, 300000, 17000, 70000 };

struct bulk {
	struct feed feed;
	uint8_t *room;
	uint8_t *expected;
	size_t begins[BULK_FRAMES]; /* where the data of each does */
	unsigned int frames;
	unsigned int wrong;
	size_t ahead_max; /* so much data had been read at most when it was asked where it belongs */
};

static void *on_bulk_place(void *context, enum link_class class, const struct frame_header *header,
			   struct cursor body)
{
	struct bulk *bulk = context;
	size_t ahead = bulk->feed.at - bulk->begins[header->dc];

	(void)body;
	bulk->wrong += class != LINK_BULK;
	if (ahead > bulk->ahead_max)
		bulk->ahead_max = ahead;
	return header->dc == BULK_NOT_WANTED ? NULL : bulk->room;
}

static void on_bulk_frame(void *context, enum link_class class, const struct frame_header *header,
			  struct cursor body, void *data)
{
	struct bulk *bulk = context;
	uint32_t number = header->dc;

	(void)class;
	bulk->wrong += number != bulk->frames || cursor_left(&body) != 1 ||
		       *(const uint8_t *)body.at != number ||
		       header->data_bytes != bulk_lengths[number] ||
		       (data != NULL) != (number != BULK_NOT_WANTED);
	pair_fill(bulk->expected, header->data_bytes, number);
	if (data)
		bulk->wrong += memcmp(data, bulk->expected, header->data_bytes) != 0;
	bulk->frames++;
}

static void on_bulk_idle(void *context, enum link_class class)
{
	(void)context;
	(void)class;
}

static uint8_t *bulk_make(struct bulk *bulk, size_t *len)
{
	uint8_t *bytes = malloc(BULK_BYTES_MAX);

	*len = 0;
	for (uint32_t i = 0; i < BULK_FRAMES; i++) {
		struct frame_header header = { .type = FRAME_REPLY, .dc = i };
		const uint8_t body = (uint8_t)i;

		*len += wire_encode(bytes + *len, &header, &body, 1, bulk_lengths[i], i + 1);
		bulk->begins[i] = *len;
		pair_fill(bytes + *len, bulk_lengths[i], i);
		*len += bulk_lengths[i];
	}
	return bytes;
}

static void bulk_read(struct bulk *bulk, size_t piece)
{
	const struct link_events events = {
		.context = bulk,
		.place = on_bulk_place,
		.frame = on_bulk_frame,
		.idle = on_bulk_idle,
	};
	struct fed_lane fed;
	char why[100];
	size_t len;
	uint8_t *bytes = bulk_make(bulk, &len);

	feed_init(&bulk->feed, bytes, len);
	bulk->feed.piece = piece;
	bulk->room = malloc(BULK_BYTES_MAX);
	bulk->expected = malloc(BULK_BYTES_MAX);
	fed_lane_init(&fed, LINK_BULK, &events);
	lane_read(fed.lane, &bulk->feed.stream, why, sizeof(why));
	ck_assert_str_eq(why, "the connection was closed");
	ck_assert_msg(bulk->frames == BULK_FRAMES && bulk->wrong == 0, "pieces of %zu", piece);
	fed_lane_free(&fed);
	free(bulk->expected);
	free(bulk->room);
	free(bytes);
}

TEST(bulk_may_come_in_pieces_of_any_size)
{
	static const size_t pieces[] = { 1,	1000,	4095,	4096,	4097,	16384,
					 70000, 250000, 258048, 262144, 300001, 0 };

	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		struct bulk bulk = { .frames = 0 };

		bulk_read(&bulk, pieces[i]);
	}
}
END_TEST

TEST(bulk_that_is_there_is_read_to_where_it_belongs)
{
	struct bulk bulk = { .frames = 0 };

	bulk_read(&bulk, 0);
	ck_assert_uint_le(bulk.ahead_max, READ_AHEAD_BYTES);
}
END_TEST

UNIT_MAIN("proxy-read", frames_may_be_cut_anywhere, frames_may_come_in_pieces_of_any_size,
	  what_ends_in_the_midst_of_a_frame_is_not_handed_on,
	  a_frame_that_comes_twice_ends_the_connection, bulk_may_come_in_pieces_of_any_size,
	  bulk_that_is_there_is_read_to_where_it_belongs)
