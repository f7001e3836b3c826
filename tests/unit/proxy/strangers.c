/* SPDX-License-Identifier: Apache-2.0 */
/* Who is not the peer, or does not behave as one: refused, counted, and nothing else is touched. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "certs.h"
#include "pair.h"
#include "proxy/sum.h"
#include "unit.h"

#define LOW 4u
#define HIGH 9u

static int stranger_connect(uint32_t port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)(port + HIGH)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	uint64_t deadline_ns = clock_deadline_ns(PAIR_WAIT_MS * CLOCK_NS_PER_MS);

	/* The link may not listen yet. */
	for (;;) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
			return fd;
		close(fd);
		ck_assert(!clock_is_past(deadline_ns));
		poll(NULL, 0, 5);
	}
}

/* The other side has closed the connection, whatever it said before. */
static bool is_closed(int fd)
{
	uint64_t deadline_ns = clock_deadline_ns(PAIR_WAIT_MS * CLOCK_NS_PER_MS);
	uint8_t bytes[4096];

	for (;;) {
		struct pollfd wait = { .fd = fd, .events = POLLIN };

		if (poll(&wait, 1, clock_poll_ms(deadline_ns)) != 1)
			return false;
		if (recv(fd, bytes, sizeof(bytes), 0) <= 0)
			return true;
	}
}

/* A hello as it should be, to be spoilt. */
struct greeting {
	uint8_t version;
	uint8_t type;
	uint64_t seq;
	uint32_t data_bytes;
	struct frame_hello_req hello;
	size_t bytes;	/* so many are sent; 0: all */
	size_t flipped; /* this byte is changed; 0: none */
};

static struct greeting good_greeting(void)
{
	return (struct greeting){
		.version = FRAME_VERSION,
		.type = FRAME_HELLO,
		.hello = { .cluster = "farm",
			   .node = HIGH,
			   .peer = LOW,
			   .lane_class = 1,
			   .incarnation = 1 },
	};
}

static size_t greeting_encode(const struct greeting *greeting, uint8_t out[WIRE_FRAME_BYTES_MAX])
{
	uint8_t body[FRAME_HELLO_REQ_BYTES_MAX];
	struct writer writer = writer_over(body, sizeof(body));
	struct frame_header header = { .type = greeting->type };
	struct writer head;
	size_t len;

	frame_hello_req_encode(&writer, &greeting->hello);
	len = wire_encode(out, &header, body, writer_len(&writer), greeting->data_bytes,
			  greeting->seq);
	header.version = greeting->version;
	header.sum = 0;
	head = writer_over(out, WIRE_HEAD_BYTES);
	frame_header_encode(&head, &header);
	header.sum = sum_crc32c(0, out, len);
	head = writer_over(out, WIRE_HEAD_BYTES);
	frame_header_encode(&head, &header);
	if (greeting->flipped)
		out[greeting->flipped] ^= 0x40;
	return greeting->bytes ? greeting->bytes : len;
}

static void greet_with(int fd, const struct greeting *greeting)
{
	uint8_t bytes[WIRE_FRAME_BYTES_MAX];
	size_t len = greeting_encode(greeting, bytes);

	ck_assert_int_eq(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void listener_open(struct side *side, uint32_t port)
{
	pair_own_network();
	side_init(side, LOW, HIGH, port);
	side->log.fd = getenv("PAIR_LOG") ? 2 : -1;
	ck_assert(side_open(side) == DVS_OK);
}

static uint64_t bad_of(const struct side *side)
{
	return atomic_load(&peer_link_figures(side->link)->bad_frames);
}

static void wait_bad(const struct side *side, uint64_t n)
{
	uint64_t deadline_ns = clock_deadline_ns(PAIR_WAIT_MS * CLOCK_NS_PER_MS);

	while (bad_of(side) < n) {
		ck_assert_msg(!clock_is_past(deadline_ns), "%lu of %lu were counted", bad_of(side),
			      n);
		poll(NULL, 0, 1);
	}
	ck_assert_uint_eq(bad_of(side), n);
}

TEST(a_good_greeting_is_taken)
{
	uint32_t port = pair_port();
	struct greeting greeting = good_greeting();
	struct side side;
	int fd;

	listener_open(&side, port);
	fd = stranger_connect(port);
	greet_with(fd, &greeting);
	ck_assert(side_wait_up(&side, LINK_MESSAGES, 1));
	ck_assert_uint_eq(bad_of(&side), 0);
	close(fd);
	ck_assert(side_wait_down(&side, LINK_MESSAGES, 1));
	ck_assert_uint_eq(bad_of(&side), 0);
	side_close(&side);
}
END_TEST

TEST(a_greeting_that_is_wrong_anywhere_is_refused_and_counted)
{
	uint32_t port = pair_port();
	struct greeting cases[12];
	struct side side;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		cases[i] = good_greeting();
	snprintf(cases[0].hello.cluster, sizeof(cases[0].hello.cluster), "other");
	cases[1].hello.node = 8;
	cases[2].hello.peer = 5;
	cases[3].hello.lane_class = 3;
	cases[4].version = FRAME_VERSION + 1;
	cases[5].version = 0;
	cases[6].type = FRAME_CALL;
	cases[7].seq = 1;
	cases[8].data_bytes = 10;
	cases[9].flipped = 50;
	snprintf(cases[10].hello.filters, sizeof(cases[10].hello.filters), "lz4");
	cases[11].flipped = 1;
	listener_open(&side, port);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int fd = stranger_connect(port);

		greet_with(fd, &cases[i]);
		ck_assert_msg(is_closed(fd), "case %zu", i);
		close(fd);
		wait_bad(&side, i + 1);
	}
	ck_assert_uint_eq(side_told(&side, LINK_MESSAGES).ups + side_told(&side, LINK_BULK).ups, 0);
	side_close(&side);
}
END_TEST

TEST(a_greeting_that_ends_too_early_is_refused)
{
	uint32_t port = pair_port();
	struct greeting greeting = good_greeting();
	uint8_t bytes[WIRE_FRAME_BYTES_MAX];
	size_t whole = greeting_encode(&greeting, bytes);
	struct side side;

	listener_open(&side, port);
	for (size_t len = 0; len < whole; len++) {
		int fd = stranger_connect(port);

		ck_assert_int_eq(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
		shutdown(fd, SHUT_WR);
		ck_assert(is_closed(fd));
		close(fd);
	}
	wait_bad(&side, whole);
	ck_assert_uint_eq(side_told(&side, LINK_MESSAGES).ups, 0);
	side_close(&side);
}
END_TEST

TEST(silent_strangers_are_shown_out_and_keep_nobody_away)
{
	uint32_t port = pair_port();
	struct side sides[2];
	int strangers[100];

	listener_open(&sides[0], port);
	side_init(&sides[1], HIGH, LOW, port);
	for (size_t i = 0; i < ARRAY_LEN(strangers); i++)
		strangers[i] = stranger_connect(port);
	ck_assert(side_open(&sides[1]) == DVS_OK);
	for (size_t i = 0; i < 2; i++) {
		ck_assert(side_wait_up(&sides[i], LINK_MESSAGES, 1));
		ck_assert(side_wait_up(&sides[i], LINK_BULK, 1));
	}
	ck_assert_uint_eq(side_send(&sides[1], LINK_MESSAGES, 20, 1000), 20);
	ck_assert(side_wait_frames(&sides[0], LINK_MESSAGES, 20));
	for (size_t i = 0; i < ARRAY_LEN(strangers); i++) {
		ck_assert_msg(is_closed(strangers[i]), "stranger %zu", i);
		close(strangers[i]);
	}
	wait_bad(&sides[0], ARRAY_LEN(strangers));
	ck_assert_uint_eq(side_told(&sides[0], LINK_MESSAGES).downs, 0);
	side_close(&sides[1]);
	side_close(&sides[0]);
}
END_TEST

TEST(a_bad_frame_ends_its_connection_and_is_counted_once)
{
	uint32_t port = pair_port();
	struct greeting greeting = good_greeting();
	struct greeting second = good_greeting();
	uint8_t garbage[1000];
	struct side side;
	int fd;

	listener_open(&side, port);
	pair_fill(garbage, sizeof(garbage), 3);
	for (unsigned int i = 0; i < 3; i++) {
		fd = stranger_connect(port);
		greet_with(fd, &greeting);
		ck_assert(side_wait_up(&side, LINK_MESSAGES, i + 1));
		if (i == 0) {
			ck_assert_int_eq(send(fd, garbage, sizeof(garbage), MSG_NOSIGNAL), 1000);
		} else {
			/* A hello once more, or the first one again. */
			second.seq = i - 1;
			greet_with(fd, &second);
		}
		ck_assert(is_closed(fd));
		close(fd);
		ck_assert(side_wait_down(&side, LINK_MESSAGES, i + 1));
		wait_bad(&side, i + 1);
	}
	ck_assert_uint_eq(side_told(&side, LINK_MESSAGES).frames, 0);
	side_close(&side);
}
END_TEST

TEST(a_second_connection_of_a_class_takes_the_place_of_the_first)
{
	uint32_t port = pair_port();
	struct greeting greeting = good_greeting();
	struct side side;
	int first;
	int second;

	listener_open(&side, port);
	first = stranger_connect(port);
	greet_with(first, &greeting);
	ck_assert(side_wait_up(&side, LINK_MESSAGES, 1));
	second = stranger_connect(port);
	greet_with(second, &greeting);
	ck_assert(side_wait_up(&side, LINK_MESSAGES, 2));
	ck_assert(is_closed(first));
	ck_assert_uint_eq(side_told(&side, LINK_MESSAGES).downs, 1);
	/* And not because it was silent. */
	ck_assert_str_eq(side_told(&side, LINK_MESSAGES).why, "the connection was closed");
	ck_assert_uint_eq(side_told(&side, LINK_MESSAGES).fresh, 1);
	close(first);
	close(second);
	side_close(&side);
}
END_TEST

/* Whose certificates say what. */
struct papers {
	bool is_of_other_ca;
	const char *organisation;
	const char *name;
	long age_s;
	long life_s;
};

static void papers_write(const struct papers *papers, struct side *side,
			 const struct authority *authorities)
{
	certs_dir(side->keys);
	snprintf(side->config.dir, sizeof(side->config.dir), "%s", side->keys);
	/* Whoever has other papers trusts everybody: the other side has to refuse. */
	certs_write(side->keys, &authorities[0], &authorities[papers->is_of_other_ca],
		    papers->organisation, papers->name, papers->age_s, papers->life_s);
	side->config.link[side->peer].filters[0] = CONFIG_TLS;
}

static void wrong_papers(const struct papers *papers, size_t who)
{
	static const struct papers good[2] = { { false, "farm", "node4", 60, 3600 },
					       { false, "farm", "node9", 60, 3600 } };
	uint32_t port = pair_port();
	struct authority authorities[2];
	struct side sides[2];

	authority_make(&authorities[0], "farm");
	authority_make(&authorities[1], "farm");
	side_init(&sides[0], LOW, HIGH, port);
	side_init(&sides[1], HIGH, LOW, port);
	for (size_t i = 0; i < 2; i++) {
		papers_write(i == who ? papers : &good[i], &sides[i], authorities);
		sides[i].log.fd = getenv("PAIR_LOG") ? 2 : -1;
		ck_assert(side_open(&sides[i]) == DVS_OK);
	}
	/* Several attempts. */
	while (bad_of(&sides[0]) < 5)
		poll(NULL, 0, 1);
	for (size_t i = 0; i < 2; i++) {
		ck_assert_uint_eq(side_told(&sides[i], LINK_MESSAGES).ups, 0);
		ck_assert_uint_eq(side_told(&sides[i], LINK_BULK).ups, 0);
		side_close(&sides[i]);
		certs_remove(sides[i].keys);
	}
	authority_free(&authorities[0]);
	authority_free(&authorities[1]);
}

TEST(a_certificate_of_another_authority_or_time_is_refused)
{
	static const struct papers cases[][2] = {
		{ { true, "farm", "node4", 60, 3600 }, { true, "farm", "node9", 60, 3600 } },
		{ { false, "farm", "node4", 3600, -60 }, { false, "farm", "node9", 3600, -60 } },
		{ { false, "farm", "node4", -600, 3600 }, { false, "farm", "node9", -600, 3600 } },
	};

	pair_own_network();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		wrong_papers(&cases[i][0], 0);
		wrong_papers(&cases[i][1], 1);
	}
}
END_TEST

/* A node that uses the keys of another: its own configuration is refused, so it lies about itself. */
TEST(a_certificate_of_another_node_is_refused)
{
	static const struct papers good = { false, "farm", "node4", 60, 3600 };
	static const struct papers others[] = { { false, "farm", "node8", 60, 3600 },
						{ false, "barn", "node9", 60, 3600 } };

	pair_own_network();
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		uint32_t port = pair_port();
		struct authority authorities[2];
		struct side sides[2];

		authority_make(&authorities[0], "farm");
		authority_make(&authorities[1], "farm");
		side_init(&sides[0], LOW, HIGH, port);
		/* The same port as node 9 would ask at. */
		side_init(&sides[1], i == 0 ? 8 : 9, LOW, i == 0 ? port + 1 : port);
		if (i == 1)
			snprintf(sides[1].config.cluster, sizeof(sides[1].config.cluster), "barn");
		papers_write(&good, &sides[0], authorities);
		papers_write(&others[i], &sides[1], authorities);
		for (size_t side = 0; side < 2; side++) {
			sides[side].log.fd = getenv("PAIR_LOG") ? 2 : -1;
			ck_assert(side_open(&sides[side]) == DVS_OK);
		}
		while (bad_of(&sides[0]) < 5)
			poll(NULL, 0, 1);
		for (size_t side = 0; side < 2; side++) {
			ck_assert_uint_eq(side_told(&sides[side], LINK_MESSAGES).ups, 0);
			side_close(&sides[side]);
			certs_remove(sides[side].keys);
		}
		authority_free(&authorities[0]);
		authority_free(&authorities[1]);
	}
}
END_TEST

TEST(a_link_with_missing_or_wrong_keys_of_its_own_is_not_opened)
{
	static const struct papers others = { false, "farm", "node8", 60, 3600 };
	struct authority authority;
	struct side side;

	authority_make(&authority, "farm");
	side_init(&side, LOW, HIGH, pair_port());
	side.log.fd = -1;
	side.config.link[HIGH].filters[0] = CONFIG_TLS;
	snprintf(side.config.dir, sizeof(side.config.dir), "/nowhere");
	ck_assert(side_open(&side) == DVS_BADARG);
	papers_write(&others, &side, &authority);
	ck_assert(side_open(&side) == DVS_BADARG);
	certs_remove(side.keys);
	authority_free(&authority);
	side_close(&side);
}
END_TEST

UNIT_MAIN_TIMEOUT("proxy-strangers", 60, a_good_greeting_is_taken,
		  a_greeting_that_is_wrong_anywhere_is_refused_and_counted,
		  a_greeting_that_ends_too_early_is_refused,
		  silent_strangers_are_shown_out_and_keep_nobody_away,
		  a_bad_frame_ends_its_connection_and_is_counted_once,
		  a_second_connection_of_a_class_takes_the_place_of_the_first,
		  a_certificate_of_another_authority_or_time_is_refused,
		  a_certificate_of_another_node_is_refused,
		  a_link_with_missing_or_wrong_keys_of_its_own_is_not_opened)
