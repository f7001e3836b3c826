/* SPDX-License-Identifier: Apache-2.0 */
/* What every transport does through every filter. A new one is a row. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "certs.h"
#include "pair.h"
#include "unit.h"

static const struct row {
	const char *name;
	enum config_transport transport;
	enum config_filter filters[CONFIG_FILTERS_MAX];
} rows[] = {
	{ "tcp", CONFIG_TCP, { CONFIG_NO_FILTER } },
	{ "tcp tls", CONFIG_TCP, { CONFIG_TLS } },
	{ "tcp zstd", CONFIG_TCP, { CONFIG_ZSTD } },
	{ "tcp lz4", CONFIG_TCP, { CONFIG_LZ4 } },
	{ "tcp zstd tls", CONFIG_TCP, { CONFIG_ZSTD, CONFIG_TLS } },
	{ "tcp lz4 tls", CONFIG_TCP, { CONFIG_LZ4, CONFIG_TLS } },
	{ "udp", CONFIG_UDP, { CONFIG_NO_FILTER } },
	{ "udp zstd tls", CONFIG_UDP, { CONFIG_ZSTD, CONFIG_TLS } },
	{ "raw", CONFIG_RAW, { CONFIG_NO_FILTER } },
	{ "raw lz4 tls", CONFIG_RAW, { CONFIG_LZ4, CONFIG_TLS } },
	{ "tipc", CONFIG_TIPC, { CONFIG_NO_FILTER } },
	{ "tipc zstd tls", CONFIG_TIPC, { CONFIG_ZSTD, CONFIG_TLS } },
};

static void pair_keys(struct side sides[2])
{
	struct authority authority;
	char name[16];

	authority_make(&authority, "farm");
	for (size_t i = 0; i < 2; i++) {
		certs_dir(sides[i].keys);
		snprintf(name, sizeof(name), "node%u", sides[i].config.node);
		certs_write(sides[i].keys, &authority, &authority, "farm", name, 60, 3600);
		snprintf(sides[i].config.dir, sizeof(sides[i].config.dir), "%s", sides[i].keys);
	}
	authority_free(&authority);
}

/* libsrt is not built for the thread sanitizer, which then sees races between its threads. */
#if defined(__SANITIZE_THREAD__)
#define WITHOUT_SRT true
#elif defined(__has_feature)
#define WITHOUT_SRT __has_feature(thread_sanitizer)
#else
#define WITHOUT_SRT false
#endif

static bool has_sockets(int family, int type)
{
	int fd = socket(family, type | SOCK_CLOEXEC, 0);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* What this machine cannot do is refused as it should be, and passed over. */
static bool row_can(const struct row *row)
{
	struct side side;

	if (row->transport == CONFIG_UDP && WITHOUT_SRT) {
		printf("# %s: SKIP: libsrt under the thread sanitizer\n", row->name);
		return false;
	}
	if (!(row->transport == CONFIG_TIPC && !has_sockets(AF_TIPC, SOCK_STREAM)) &&
	    !(row->transport == CONFIG_RAW && !has_sockets(AF_PACKET, SOCK_DGRAM)))
		return true;
	side_init(&side, 4, 9, pair_port());
	side.log.fd = -1;
	side.config.link[9].transport = row->transport;
	ck_assert(side_open(&side) == DVS_BADARG);
	side_close(&side);
	printf("# %s: SKIP: %s\n", row->name,
	       row->transport == CONFIG_TIPC ? "this kernel has no TIPC (modprobe tipc)" :
					       "no right to use packet sockets");
	return false;
}

static void pair_open(struct side sides[2], const struct row *row)
{
	uint32_t port = pair_port();

	printf("# %s\n", row->name);
	side_init(&sides[0], 4, 9, port);
	side_init(&sides[1], 9, 4, port);
	pair_keys(sides);
	for (size_t i = 0; i < 2; i++) {
		struct config_link *choice = &sides[i].config.link[sides[i].peer];

		choice->transport = row->transport;
		memcpy(choice->filters, row->filters, sizeof(row->filters));
		ck_assert(side_open(&sides[i]) == DVS_OK);
	}
}

static void pair_wait_up(struct side sides[2], unsigned int n)
{
	for (size_t i = 0; i < 2; i++) {
		for (int class = 0; class < LINK_CLASSES; class ++)
			ck_assert_msg(side_wait_up(&sides[i], (enum link_class) class, n),
				      "side %zu class %d is not up", i, class);
	}
}

static void pair_close(struct side sides[2])
{
	certs_remove(sides[0].keys);
	certs_remove(sides[1].keys);
	side_close(&sides[0]);
	side_close(&sides[1]);
}

/* Both sides, both classes at once. */
static void pair_talk(struct side sides[2], uint64_t n)
{
	struct sender senders[2][LINK_CLASSES];

	for (size_t i = 0; i < 2; i++) {
		for (int class = 0; class < LINK_CLASSES; class ++) {
			senders[i][class] = (struct sender){
				.side = &sides[i],
				.class = (enum link_class) class,
				.n = n,
				.max_data = class == LINK_BULK ? WIRE_DATA_MAX : LINK_BULK_BYTES,
			};
			sender_start(&senders[i][class]);
		}
	}
	for (size_t i = 0; i < 2; i++) {
		for (int class = 0; class < LINK_CLASSES; class ++)
			sender_join(&senders[i][class]);
	}
	for (size_t i = 0; i < 2; i++) {
		for (int class = 0; class < LINK_CLASSES; class ++) {
			struct told *told = &sides[1 - i].told[class];

			ck_assert_uint_eq(senders[i][class].sent, n);
			ck_assert_msg(side_wait_frames(&sides[1 - i], (enum link_class) class, n),
				      "%lu of %lu frames came", told->frames, n);
			ck_assert_uint_eq(told->frames, n);
			ck_assert_uint_eq(told->broken, 0);
		}
	}
}

TEST(what_is_sent_arrives_whole_and_in_order)
{
	struct side sides[2];

	pair_own_network();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!row_can(&rows[i]))
			continue;
		pair_open(sides, &rows[i]);
		pair_wait_up(sides, 1);
		pair_talk(sides, 200);
		pair_close(sides);
	}
}
END_TEST

TEST(a_link_comes_back_when_the_peer_is_another_process)
{
	struct side sides[2];

	pair_own_network();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t who = 0; who < 2 && row_can(&rows[i]); who++) {
			pair_open(sides, &rows[i]);
			pair_wait_up(sides, 1);
			peer_link_close(sides[who].link);
			sides[who].link = NULL;
			ck_assert(side_wait_down(&sides[1 - who], LINK_MESSAGES, 1));
			ck_assert(side_wait_down(&sides[1 - who], LINK_BULK, 1));
			sides[who].incarnation++;
			ck_assert(side_open(&sides[who]) == DVS_OK);
			pair_wait_up(sides, 2);
			ck_assert_uint_eq(side_told(&sides[1 - who], LINK_MESSAGES).fresh, 2);
			ck_assert_uint_eq(peer_link_figures(sides[1 - who].link)->reconnects, 2);
			ck_assert_uint_eq(peer_link_figures(sides[1 - who].link)->bad_frames, 0);
			pair_talk(sides, 20);
			pair_close(sides);
		}
	}
}
END_TEST

UNIT_MAIN_TIMEOUT("proxy-matrix", 120, what_is_sent_arrives_whole_and_in_order,
		  a_link_comes_back_when_the_peer_is_another_process)
