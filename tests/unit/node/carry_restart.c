/* SPDX-License-Identifier: Apache-2.0 */
/* Channels with other nodes when dvsd or a proxy is started again. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rig.h"
#include "unit.h"

#define SERVER 20u

static struct rig before;
static struct rig after;

struct talk {
	struct peer *client;
	dvs_ep ep;
	dvs_ep server;
	struct core_process far;
	struct control_carry_req carried;
	struct control_link row;
	uint64_t memory;
	void *lanes;
};

/* A process has a channel with a server on node 1, and has mapped it as a library does. */
static struct talk talk_open(void)
{
	struct talk talk;
	struct control_connect_rep rep;
	const struct letter *answer;
	struct peer *proxy;
	struct cursor in;

	rig_open(&before);
	talk.client = rig_process_keeping(&before);
	talk.ep = peer_bind(talk.client, UINT32_MAX, DVK_LOCAL);
	talk.far = rig_far_process(&before, 1);
	talk.server = rig_far_bind(&before, &talk.far, SERVER, DVK_LOCAL);
	proxy = rig_proxy(&before, 1);
	answer = peer_mail(talk.client, CONTROL_CONNECT,
			   peer_connect(talk.client, talk.ep, talk.server, 0));
	ck_assert_ptr_nonnull(answer);
	ck_assert_uint_eq(answer->err, DVS_OK);
	in = cursor_over(answer->bytes + FRAME_HEAD_BYTES, answer->len - FRAME_HEAD_BYTES);
	ck_assert_int_eq(control_connect_rep_decode(&in, &rep), DVS_OK);
	talk.lanes = mmap(NULL, IPC_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, answer->fds[0], 0);
	ck_assert_ptr_ne(talk.lanes, MAP_FAILED);
	talk.row = (struct control_link){ .ep = talk.ep.n,
					  .peer = rep.peer,
					  .my_index = rep.my_index,
					  .peer_index = rep.peer_index,
					  .side = rep.side,
					  .remote = rep.remote,
					  .lanes = (uint64_t)(uintptr_t)talk.lanes };
	talk.carried = peer_carry(proxy, &talk.memory);
	return talk;
}

static void talk_close(struct talk *talk)
{
	for (size_t i = 0; i < after.n_peers; i++)
		ck_assert_uint_eq(after.peers[i].n_mail, 0);
	(void)munmap(talk->lanes, IPC_PAGE);
	rig_close(&after);
	rig_close(&before);
}

/* Only who may look at mappings finds the memory. */
static bool may_look(const struct talk *talk)
{
	int fd = proc_open_mapped(&before.host, (uint32_t)getpid(), talk->row.lanes,
				  IPC_CHANNEL_BYTES);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

TEST(a_channel_goes_on_in_its_memory_when_dvsd_comes_back)
{
	struct talk talk = talk_open();
	uint8_t mode = may_look(&talk) ? 4 : 3;
	struct control_channel_req event;
	struct control_carry_req carried;
	struct peer *client;
	struct peer *proxy;
	uint64_t memory;

	rig_open_again(&after, &before);
	proxy = rig_proxy(&after, 1);
	client = rig_process_again(&after, talk.client, talk.ep);
	peer_rejoin_link(client, &talk.row);
	event = peer_channel(client, &memory);
	ck_assert_uint_eq(event.mode, mode);
	ck_assert(mode == 3 || memory == talk.memory);
	ck_assert_uint_eq(event.my_index, talk.row.my_index);
	ck_assert_uint_eq(event.side, talk.row.side);
	carried = peer_carry(proxy, &memory);
	ck_assert(mode == 3 || memory == talk.memory);
	ck_assert(mode == 3 || carried.instance == talk.carried.instance);
	ck_assert_uint_eq(carried.side, talk.carried.side);
	ck_assert_uint_eq(carried.index, event.peer_index);
	talk_close(&talk);
}

TEST(what_a_process_has_still_to_tell_of_is_not_taken_for_over)
{
	struct talk talk = talk_open();
	dvs_err expected = may_look(&talk) ? DVS_BADSTATE : DVS_PEERDEAD;
	struct peer *client;
	struct peer *proxy;
	uint32_t id;

	rig_open_again(&after, &before);
	proxy = rig_proxy(&after, 1);
	id = peer_carry_look(proxy, &talk.carried);
	rig_turn(&after);
	ck_assert_uint_eq(proxy->n_mail, 0);
	client = rig_process_again(&after, talk.client, talk.ep);
	peer_rejoin_link(client, &talk.row);
	(void)peer_channel(client, NULL);
	(void)peer_carry(proxy, NULL);
	ck_assert_uint_eq(peer_mail(proxy, CONTROL_CARRY_CONNECT, id)->err, expected);
	talk_close(&talk);
}

TEST(a_channel_whose_memory_is_not_where_it_was_said_is_made_anew)
{
	struct talk talk = talk_open();
	struct control_channel_req event;
	struct control_carry_req carried;
	struct peer *client;
	struct peer *proxy;
	uint64_t memory;

	rig_open_again(&after, &before);
	proxy = rig_proxy(&after, 1);
	client = rig_process_again(&after, talk.client, talk.ep);
	talk.row.lanes += 64 * IPC_PAGE;
	peer_rejoin_link(client, &talk.row);
	event = peer_channel(client, &memory);
	ck_assert_uint_eq(event.mode, 3);
	ck_assert_uint_ne(memory, talk.memory);
	carried = peer_carry(proxy, NULL);
	ck_assert_uint_ne(carried.instance, talk.carried.instance);
	talk_close(&talk);
}

TEST(a_channel_whose_partner_is_over_by_then_is_gone)
{
	struct talk talk = talk_open();
	struct core_command end = { .op = CORE_UNBIND, .process = talk.far };
	struct control_gone_req gone;
	struct peer *client;

	rig_open_again(&after, &before);
	(void)rig_proxy(&after, 1);
	end.dc = after.dc;
	end.ep = talk.server.n;
	ck_assert_int_eq(rig_command(&after, &end), DVS_OK);
	client = rig_process_again(&after, talk.client, talk.ep);
	peer_rejoin_link(client, &talk.row);
	gone = peer_gone(client);
	ck_assert_uint_eq(gone.peer, talk.server.n);
	talk_close(&talk);
}

/* The far dvsd could not go on: its end is new, and nothing in the order says why. */
TEST(a_far_end_that_begins_anew_is_followed)
{
	struct talk talk = talk_open();
	struct peer *proxy = &before.peers[1];
	struct control_channel_req event;

	ck_assert_int_eq(peer_carry_over(proxy, &talk.carried, false), DVS_OK);
	rig_wait(&before, 2 * CARRY_OVER_NS);
	event = peer_channel(talk.client, NULL);
	ck_assert_uint_eq(event.mode, 3);
	ck_assert_uint_ne(peer_carry(proxy, NULL).instance, talk.carried.instance);
	(void)munmap(talk.lanes, IPC_PAGE);
	rig_close(&before);
}

/* ---- the program ---- */

/* A proxy that writes down how it was started, and goes on until its link ends. */
static const char script[] = "#!/bin/sh\n"
			     "cd \"$(dirname \"$0\")\"\n"
			     "ls /proc/$$/fd >fds\n"
			     "{ echo \"$@\"; grep NoNewPrivs /proc/self/status;\n"
			     "echo $(cat fds) .; rm fds; } >told.$$\n"
			     "mv told.$$ told\n"
			     "exec cat <&3 >/dev/null\n";

static void write_script(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, script, sizeof(script) - 1), (ssize_t)sizeof(script) - 1);
	close(fd);
}

/* Let dvsd see what its descriptors and its timers have, until PATH is there. */
static void run_until(const char *path)
{
	for (int i = 0; i < 1000 && access(path, F_OK) != 0; i++) {
		struct epoll_event events[8];
		int n = epoll_wait(after.host.epoll_fd, events, 8, 10);

		for (int k = 0; k < n; k++) {
			struct source *source = events[k].data.ptr;

			if (source->fd >= 0)
				source->ready(&after.host, source, events[k].events);
			host_settle(&after.host);
		}
		rig_wait(&after, 0);
	}
	ck_assert_int_eq(access(path, F_OK), 0);
}

static void read_line(FILE *file, char *line, int size)
{
	ck_assert_ptr_nonnull(fgets(line, size, file));
	line[strcspn(line, "\n")] = '\0';
}

static void check_told(const char *path)
{
	FILE *file = fopen(path, "re");
	char line[256];

	ck_assert_ptr_nonnull(file);
	read_line(file, line, sizeof(line));
	ck_assert_str_eq(line, "--peer 1 --address 192.0.2.7 --node 0 --log-level error");
	read_line(file, line, sizeof(line));
	ck_assert_ptr_nonnull(strstr(line, "1"));
	read_line(file, line, sizeof(line));
	/* the shell's own descriptor of its script is 10 or above */
	ck_assert_ptr_nonnull(strstr(line, "0 1 "));
	ck_assert_ptr_nonnull(strstr(line, " 3 "));
	ck_assert_ptr_null(strstr(line, " 4 "));
	ck_assert_int_eq(fclose(file), 0);
	ck_assert_int_eq(unlink(path), 0);
}

TEST(a_proxy_is_started_with_its_link_alone_and_again_when_it_ends)
{
	char dir[] = "/tmp/dvs-carry-XXXXXX";
	char program[64];
	char told[64];
	uint32_t first;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	(void)snprintf(program, sizeof(program), "%s/proxy", dir);
	(void)snprintf(told, sizeof(told), "%s/told", dir);
	write_script(program);
	rig_open(&after);
	after.host.proxy = program;
	ck_assert_int_eq(carrier_open(&after.host, 1, "192.0.2.7"), DVS_OK);
	ck_assert_ptr_nonnull(after.host.carriers[1]->child);
	first = after.host.carriers[1]->child->pid;
	run_until(told);
	check_told(told);
	ck_assert_int_eq(kill((pid_t)first, SIGKILL), 0);
	run_until(told);
	check_told(told);
	ck_assert_uint_ne(after.host.carriers[1]->child->pid, first);
	ck_assert_uint_eq(after.host.carriers[1]->n_starts, 2);
	carrier_close(&after.host, 1);
	rig_close(&after);
	ck_assert_int_eq(unlink(program), 0);
	ck_assert_int_eq(rmdir(dir), 0);
}

UNIT_MAIN("node-carry-restart", a_channel_goes_on_in_its_memory_when_dvsd_comes_back,
	  what_a_process_has_still_to_tell_of_is_not_taken_for_over,
	  a_channel_whose_memory_is_not_where_it_was_said_is_made_anew,
	  a_channel_whose_partner_is_over_by_then_is_gone, a_far_end_that_begins_anew_is_followed,
	  a_proxy_is_started_with_its_link_alone_and_again_when_it_ends)
