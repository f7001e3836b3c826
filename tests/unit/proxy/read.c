/* SPDX-License-Identifier: Apache-2.0 */
/* The reader of a lane, however the bytes come. */
#include <stdlib.h>
#include <string.h>

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

	fed_lane_init(&fed, &events);
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

UNIT_MAIN("proxy-read", frames_may_be_cut_anywhere, frames_may_come_in_pieces_of_any_size,
	  what_ends_in_the_midst_of_a_frame_is_not_handed_on,
	  a_frame_that_comes_twice_ends_the_connection)
