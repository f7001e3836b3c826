/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to a link when the network, or the peer, is not there for a time. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "certs.h"
#include "net.h"
#include "pair.h"
#include "unit.h"

#define PORT 7100u
/* Far below what is taken for the end of the peer, and far above a round trip. */
#define SHORT_CUT_MS 700

static const struct row {
	const char *name;
	enum config_transport transport;
	enum config_filter filter;
} rows[] = {
	{ "tcp", CONFIG_TCP, CONFIG_NO_FILTER },
	{ "udp", CONFIG_UDP, CONFIG_NO_FILTER },
	{ "raw", CONFIG_RAW, CONFIG_NO_FILTER },
	{ "raw tls", CONFIG_RAW, CONFIG_TLS },
};

/* libsrt is not built for the thread sanitizer, which then sees races between its threads. */
#if defined(__SANITIZE_THREAD__)
#define WITHOUT_SRT true
#elif defined(__has_feature)
#define WITHOUT_SRT __has_feature(thread_sanitizer)
#else
#define WITHOUT_SRT false
#endif

static void sides_open(struct net *net, struct side sides[2], const struct row *row)
{
	struct authority authority;
	char keys[2][64];

	printf("# %s\n", row->name);
	authority_make(&authority, "farm");
	for (int i = 0; i < 2; i++) {
		static const char *const addresses[] = { "10.7.6.1", "10.7.6.2" };
		struct config_link *choice;

		certs_dir(keys[i]);
		certs_write(keys[i], &authority, &authority, "farm", i == 0 ? "node0" : "node1", 60,
			    3600);
		side_init(&sides[i], (uint32_t)i, 1 - (uint32_t)i, PORT);
		choice = &sides[i].config.link[1 - i];
		choice->transport = row->transport;
		choice->filters[0] = row->filter;
		memcpy(sides[i].keys, keys[i], sizeof(keys[i]));
		snprintf(sides[i].config.dir, sizeof(sides[i].config.dir), "%s", keys[i]);
		snprintf(sides[i].address, sizeof(sides[i].address), "%s", addresses[1 - i]);
		snprintf(sides[i].config.address, sizeof(sides[i].config.address), "%s",
			 addresses[i]);
		net_enter(net, i);
		ck_assert(side_open(&sides[i]) == DVS_OK);
		net_leave(net);
	}
	authority_free(&authority);
}

static void sides_wait_up(struct side sides[2], unsigned int n)
{
	for (int i = 0; i < 2; i++) {
		ck_assert(side_wait_up(&sides[i], LINK_MESSAGES, n));
		ck_assert(side_wait_up(&sides[i], LINK_BULK, n));
	}
}

static void sides_close(struct side sides[2])
{
	for (int i = 0; i < 2; i++) {
		side_close(&sides[i]);
		certs_remove(sides[i].keys);
	}
}

/* N frames each way in both classes, and all that was sent arrives. */
static void sides_talk(struct side sides[2], uint64_t n)
{
	for (int i = 0; i < 2; i++) {
		for (int class = 0; class < LINK_CLASSES; class ++) {
			struct told *told = &sides[1 - i].told[class];
			uint64_t before = told->frames;

			ck_assert_uint_eq(side_send(&sides[i], (enum link_class) class, n, 30000),
					  n);
			ck_assert(side_wait_frames(&sides[1 - i], (enum link_class) class,
						   before + n));
			ck_assert_uint_eq(told->broken, 0);
		}
	}
}

static bool can_run(struct net *net, const struct row *row)
{
	if (row->transport == CONFIG_UDP && WITHOUT_SRT)
		return false;
	memset(net, 0, sizeof(*net));
	if (net_open(net, false))
		return true;
	printf("# SKIP: no right to make network namespaces\n");
	return false;
}

static void short_cut(const struct row *row)
{
	struct side sides[2];
	struct net net;

	if (!can_run(&net, row))
		return;
	sides_open(&net, sides, row);
	sides_wait_up(sides, 1);
	sides_talk(sides, 10);
	net_cable(&net, false);
	for (int i = 0; i < 2; i++)
		ck_assert_uint_eq(side_send(&sides[i], LINK_MESSAGES, 5, 500), 5);
	poll(NULL, 0, SHORT_CUT_MS);
	net_cable(&net, true);
	for (int i = 0; i < 2; i++)
		ck_assert(side_wait_frames(&sides[i], LINK_MESSAGES, 15));
	sides_talk(sides, 10);
	for (int i = 0; i < 2; i++) {
		ck_assert_uint_eq(side_told(&sides[i], LINK_MESSAGES).downs, 0);
		ck_assert_uint_eq(side_told(&sides[i], LINK_BULK).downs, 0);
	}
	sides_close(sides);
	net_close(&net);
}

static void long_cut(const struct row *row)
{
	struct side sides[2];
	struct net net;

	if (!can_run(&net, row))
		return;
	sides_open(&net, sides, row);
	sides_wait_up(sides, 1);
	sides_talk(sides, 10);
	net_cable(&net, false);
	for (int i = 0; i < 2; i++) {
		ck_assert(side_wait_down(&sides[i], LINK_MESSAGES, 1));
		ck_assert(side_wait_down(&sides[i], LINK_BULK, 1));
		ck_assert(!peer_link_is_up(sides[i].link, LINK_BULK));
		ck_assert_uint_eq(side_send(&sides[i], LINK_MESSAGES, 1, 0), 0);
	}
	net_cable(&net, true);
	sides_wait_up(sides, 2);
	for (int i = 0; i < 2; i++)
		ck_assert_uint_eq(side_told(&sides[i], LINK_MESSAGES).fresh, 1);
	sides_talk(sides, 10);
	sides_close(sides);
	net_close(&net);
}

TEST(a_short_cut_is_not_noticed_tcp)
{
	short_cut(&rows[0]);
}
END_TEST

TEST(a_short_cut_is_not_noticed_udp)
{
	short_cut(&rows[1]);
}
END_TEST

TEST(a_short_cut_is_not_noticed_raw)
{
	short_cut(&rows[2]);
}
END_TEST

TEST(a_long_cut_is_noticed_and_mended_tcp)
{
	long_cut(&rows[0]);
}
END_TEST

TEST(a_long_cut_is_noticed_and_mended_udp)
{
	long_cut(&rows[1]);
}
END_TEST

TEST(a_long_cut_is_noticed_and_mended_raw)
{
	long_cut(&rows[3]);
}
END_TEST

/* A process with side WHICH. */
static pid_t peer_start(int which)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct side side;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		side_init(&side, (uint32_t)which, 1 - (uint32_t)which, PORT);
		side.incarnation = (uint64_t)getpid();
		if (side_open(&side) != DVS_OK)
			_exit(1);
		for (;;)
			pause();
	}
	return pid;
}

static void peer_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

TEST(a_killed_peer_is_noticed_and_its_successor_is_another)
{
	for (int which = 0; which < 2; which++) {
		struct side side;
		pid_t peer;

		pair_own_network();
		peer = peer_start(which);
		side_init(&side, 1 - (uint32_t)which, (uint32_t)which, PORT);
		ck_assert(side_open(&side) == DVS_OK);
		for (unsigned int i = 1; i <= 3; i++) {
			ck_assert(side_wait_up(&side, LINK_MESSAGES, i));
			ck_assert(side_wait_up(&side, LINK_BULK, i));
			peer_kill(peer);
			ck_assert(side_wait_down(&side, LINK_MESSAGES, i));
			ck_assert(side_wait_down(&side, LINK_BULK, i));
			ck_assert_uint_eq(side_told(&side, LINK_MESSAGES).fresh, i);
			peer = peer_start(which);
		}
		peer_kill(peer);
		side_close(&side);
	}
}
END_TEST

/* A sender that waits for a peer that takes nothing gets its answer when the link is given up. */
TEST(a_stopped_peer_is_given_up_and_holds_no_sender)
{
	struct side side;
	pid_t peer;

	pair_own_network();
	peer = peer_start(0);
	side_init(&side, 1, 0, PORT);
	ck_assert(side_open(&side) == DVS_OK);
	ck_assert(side_wait_up(&side, LINK_BULK, 1));
	ck_assert(side_wait_up(&side, LINK_MESSAGES, 1));
	kill(peer, SIGSTOP);
	ck_assert_uint_lt(side_send(&side, LINK_BULK, 1000, WIRE_DATA_MAX), 1000);
	ck_assert(side_wait_down(&side, LINK_BULK, 1));
	ck_assert(side_wait_down(&side, LINK_MESSAGES, 1));
	kill(peer, SIGCONT);
	ck_assert(side_wait_up(&side, LINK_BULK, 2));
	ck_assert(side_wait_up(&side, LINK_MESSAGES, 2));
	ck_assert_uint_eq(side_told(&side, LINK_BULK).fresh, 1);
	peer_kill(peer);
	side_close(&side);
}
END_TEST

static void over_a_bad_cable(const struct row *row)
{
	struct net net = {
		.seed = pair_seed(),
		.lost = 10,
		.doubled = 10,
		.late = 20,
		.cut = 5,
		.spoilt = 5,
	};
	struct side sides[2];

	if (!net_open(&net, true)) {
		printf("# SKIP: no right to make network namespaces\n");
		return;
	}
	sides_open(&net, sides, row);
	sides_wait_up(sides, 1);
	sides_talk(sides, 300);
	for (int i = 0; i < 2; i++) {
		ck_assert_uint_eq(side_told(&sides[i], LINK_MESSAGES).downs, 0);
		ck_assert_uint_eq(side_told(&sides[i], LINK_BULK).downs, 0);
		ck_assert_uint_eq(peer_link_figures(sides[i].link)->bad_frames, 0);
	}
	ck_assert_uint_gt(net.harmed, 100);
	sides_close(sides);
	net_close(&net);
}

TEST(raw_packets_may_be_lost_doubled_late_cut_and_spoilt)
{
	over_a_bad_cable(&rows[2]);
	over_a_bad_cable(&rows[3]);
}
END_TEST

UNIT_MAIN_TIMEOUT("proxy-cuts", 60, a_short_cut_is_not_noticed_tcp, a_short_cut_is_not_noticed_udp,
		  a_short_cut_is_not_noticed_raw, a_long_cut_is_noticed_and_mended_tcp,
		  a_long_cut_is_noticed_and_mended_udp, a_long_cut_is_noticed_and_mended_raw,
		  a_killed_peer_is_noticed_and_its_successor_is_another,
		  a_stopped_peer_is_given_up_and_holds_no_sender,
		  raw_packets_may_be_lost_doubled_late_cut_and_spoilt)
