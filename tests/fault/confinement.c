/* SPDX-License-Identifier: Apache-2.0 */
/* Programs of DC a that try to reach DC b, where a crew talks: by numbers, paths, descriptors, pids, forged frames. Each attempt
 * gets the error that is right, and in b nothing changes. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crew.h"
#include "raw.h"
#include "unit.h"

#define NOBODY 65534
#define CLIENTS 2u
/* How long it is waited for an answer that must not come. */
#define STRANGER_MS 200u
#define SERVER_B TALK_SERVER_NUMBER

struct scene {
	struct lab lab;
	struct crew crew; /* in b */
	char control_b[104];
};

struct attacker {
	const struct scene *scene;
	struct talk_board *board;
	struct raw_link link; /* to a, greeted */
	uint32_t ep;	      /* bound there */
	pid_t victim;	      /* a process of b */
	int fd[2];	      /* own areas */
};

/* A request of that kind; only its error matters. */
#define RAW_CALL(name, OP)                                                                    \
	static dvs_err ask_##name(struct raw_link *link, struct control_##name##_req request) \
	{                                                                                     \
		struct exchange x;                                                            \
		struct writer out = raw_begin(&x, OP);                                        \
		dvs_err err;                                                                  \
                                                                                              \
		control_##name##_req_encode(&out, &request);                                  \
		err = raw_ask(link, &x, &out);                                                \
		frame_close_fds(x.fd);                                                        \
		return err;                                                                   \
	}

RAW_CALL(bind_for, CONTROL_BIND_FOR)
RAW_CALL(unbind, CONTROL_UNBIND)
RAW_CALL(wait, CONTROL_WAIT)
RAW_CALL(endpoint_of, CONTROL_ENDPOINT_OF)
RAW_CALL(connect, CONTROL_CONNECT)
RAW_CALL(privileges_get, CONTROL_PRIVILEGES_GET)
RAW_CALL(privileges_set, CONTROL_PRIVILEGES_SET)
RAW_CALL(migrate_start, CONTROL_MIGRATE_START)
RAW_CALL(migrate_commit, CONTROL_MIGRATE_COMMIT)
RAW_CALL(migrate_rollback, CONTROL_MIGRATE_ROLLBACK)
RAW_CALL(parked, CONTROL_PARKED)
RAW_CALL(promote, CONTROL_PROMOTE)
RAW_CALL(wakeup, CONTROL_WAKEUP)
RAW_CALL(grant, CONTROL_GRANT)
RAW_CALL(revoke, CONTROL_REVOKE)
RAW_CALL(copy, CONTROL_COPY)
RAW_CALL(endpoint_info, CONTROL_ENDPOINT_INFO)
RAW_CALL(trace, CONTROL_TRACE)
RAW_CALL(rejoin_endpoint, CONTROL_REJOIN_ENDPOINT)
RAW_CALL(rejoin_links, CONTROL_REJOIN_LINKS)
RAW_CALL(dc_create, CONTROL_DC_CREATE)
RAW_CALL(dc_remove, CONTROL_DC_REMOVE)
RAW_CALL(enter, CONTROL_ENTER)

#define ASK(name, ...) ask_##name(&at->link, (struct control_##name##_req){ __VA_ARGS__ })

static void expect(struct attacker *at, const char *what, dvs_err got, dvs_err wanted)
{
	if (got != wanted)
		talk_fail(at->board, "%s: %s, not %s", what, dvs_err_name(got),
			  dvs_err_name(wanted));
}

#define EXPECT(wanted, name, ...) expect(at, #name " " #__VA_ARGS__, ASK(name, __VA_ARGS__), wanted)

/* ---- setting the scene ---- */

static void begin(struct scene *scene)
{
	lab_open(&scene->lab);
	lab_create_dc(&scene->lab, "b", scene->control_b);
	crew_open(&scene->crew, &scene->lab, CLIENTS, lab_seed());
	scene->crew.talk.control = scene->control_b;
	crew_start(&scene->crew);
}

static void end(struct scene *scene)
{
	uint64_t before = crew_done(&scene->crew);

	while (crew_done(&scene->crew) < before + 100)
		crew_check(&scene->crew);
	crew_stop(&scene->crew);
	lab_close(&scene->lab);
}

static void join_a(struct attacker *at)
{
	struct control_bind_rep bound = { .ep = 0 };

	if (!raw_open(&at->link, at->scene->lab.control))
		talk_fail(at->board, "cannot connect to a: %s", strerror(errno));
	expect(at, "hello", raw_hello(&at->link, at->fd), DVS_OK);
	expect(at, "bind", raw_bind(&at->link, UINT32_MAX, &bound), DVS_OK);
	at->ep = bound.ep;
}

/* Run the attack BY in a process of its own, as UID. */
static void attack(const struct scene *scene, uid_t uid, void (*by)(struct attacker *at))
{
	struct attacker at = { .scene = scene,
			       .board = scene->crew.talk.board,
			       .link = { .fd = -1 },
			       .victim = scene->crew.pid[0] };
	int status;
	pid_t pid;

	(void)fflush(NULL);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (uid && (setgroups(0, NULL) || setgid(uid) || setuid(uid)))
			_exit(EXIT_FAILURE);
		by(&at);
		_exit(EXIT_SUCCESS);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_msg(atomic_load(&at.board->n_failures) == 0, "%s", at.board->failure);
}

/* ---- by numbers ---- */

static void by_numbers(struct attacker *at)
{
	join_a(at);
	EXPECT(DVS_NODEST, connect, .ep = at->ep, .to = SERVER_B);
	EXPECT(DVS_NODEST, connect, .ep = at->ep, .to = SERVER_B | 1u << DVS_EP_NUMBER_BITS);
	EXPECT(DVS_TIMEOUT, wait, .ep = SERVER_B, .what = 1);
	EXPECT(DVS_OK, wait, .ep = SERVER_B, .what = 2);
	EXPECT(DVS_NODEST, endpoint_info, .cursor = SERVER_B);
	EXPECT(DVS_NODEST, privileges_get, .ep = SERVER_B);
	EXPECT(DVS_NODEST, wakeup, .ep = at->ep, .to = SERVER_B);
	/* Who may not unbind others does not even learn that nobody is there. */
	expect(at, "unbind", ASK(unbind, .ep = SERVER_B, .slot = UINT32_MAX),
	       geteuid() ? DVS_DENIED : DVS_NODEST);
	EXPECT(DVS_NODEST, copy, .ep = at->ep, .from_ep = SERVER_B, .from_grant = 1,
	       .to_ep = at->ep, .bytes = 8);
}

TEST(numbers_of_another_dc_name_nobody)
{
	struct scene scene;

	begin(&scene);
	attack(&scene, 0, by_numbers);
	attack(&scene, NOBODY, by_numbers);
	end(&scene);
}

/* Endpoints and pages that belong to others, also of the same DC. */
static void by_wrong_names(struct attacker *at)
{
	uint32_t other = TALK_SERVER_NUMBER + 1;

	join_a(at);
	EXPECT(DVS_NOTBOUND, connect, .ep = other, .to = at->ep);
	EXPECT(DVS_NODEST, grant, .ep = other, .grantee = at->ep, .bytes = 8, .rights = 3);
	EXPECT(DVS_NODEST, unbind, .ep = at->ep, .slot = 5);
	EXPECT(DVS_BADSTATE, parked, .ep = at->ep, .slot = 0);
	EXPECT(DVS_NODEST, parked, .ep = other, .slot = 0);
	EXPECT(DVS_BADSTATE, rejoin_links, .n_links = 0);
	EXPECT(DVS_NODEST, rejoin_endpoint, .ep = other, .slot = 1, .role = 1);
	EXPECT(DVS_NOGRANT, revoke, .ep = at->ep, .grant = 1);
}

static void without_privileges(struct attacker *at)
{
	join_a(at);
	EXPECT(DVS_DENIED, bind_for, .pid = (uint32_t)at->victim, .want = 20, .binding = 1);
	EXPECT(DVS_DENIED, privileges_set, .ep = at->ep, .may = DVS_MAY_ALL);
	EXPECT(DVS_DENIED, migrate_start, .ep = at->ep);
	EXPECT(DVS_DENIED, migrate_commit, .ep = at->ep, .pid = (uint32_t)at->victim);
	EXPECT(DVS_DENIED, migrate_rollback, .ep = at->ep);
	EXPECT(DVS_DENIED, promote, .ep = at->ep, .pid = (uint32_t)at->victim);
	EXPECT(DVS_DENIED, trace, .ep = at->ep);
	EXPECT(DVS_DENIED, dc_create, .name = "c");
	EXPECT(DVS_DENIED, dc_remove, .name = "b", .force = 1);
	EXPECT(DVS_DENIED, enter, .name = "b");
}

TEST(frames_with_the_names_of_others_are_refused)
{
	struct scene scene;

	begin(&scene);
	attack(&scene, 0, by_wrong_names);
	attack(&scene, NOBODY, by_wrong_names);
	attack(&scene, NOBODY, without_privileges);
	end(&scene);
}

/* ---- by pids, as a manager ---- */

static void by_pids(struct attacker *at)
{
	uint32_t victim = (uint32_t)at->victim;

	join_a(at);
	EXPECT(DVS_NOPROC, endpoint_of, .pid = victim);
	EXPECT(DVS_DENIED, bind_for, .pid = victim, .want = 20, .binding = DVK_LOCAL);
	EXPECT(DVS_DENIED, bind_for, .pid = victim, .want = at->ep, .binding = DVK_BACKUP);
	EXPECT(DVS_OK, migrate_start, .ep = at->ep);
	EXPECT(DVS_NOPROC, migrate_commit, .ep = at->ep, .pid = victim);
	EXPECT(DVS_OK, migrate_rollback, .ep = at->ep);
	EXPECT(DVS_NOPROC, promote, .ep = at->ep, .pid = victim);
}

TEST(pids_of_another_dc_are_nobody_too)
{
	struct scene scene;

	begin(&scene);
	attack(&scene, 0, by_pids);
	end(&scene);
}

/* ---- by paths ---- */

static void must_not_open(struct attacker *at, const char *path)
{
	struct raw_link link;

	if (raw_open(&link, path))
		talk_fail(at->board, "%s can be connected to", path);
	else if (errno != EACCES)
		talk_fail(at->board, "%s: %s", path, strerror(errno));
	raw_close(&link);
}

static void by_paths(struct attacker *at)
{
	char link[] = "/tmp/dvs-fault-link.XXXXXX";
	const char *run_dir = at->scene->lab.run_dir;
	char path[104];

	must_not_open(at, at->scene->control_b);
	(void)snprintf(path, sizeof(path), "%s/dc/a/../b/control", run_dir);
	must_not_open(at, path);
	(void)snprintf(path, sizeof(path), "%s/admin", run_dir);
	must_not_open(at, path);
	if (!mkdtemp(link))
		talk_fail(at->board, "mkdtemp: %s", strerror(errno));
	(void)snprintf(path, sizeof(path), "%s/control", link);
	if (symlink(at->scene->control_b, path))
		talk_fail(at->board, "symlink: %s", strerror(errno));
	must_not_open(at, path);
	(void)unlink(path);
	(void)rmdir(link);
}

/* Who may open any socket still is in one DC only. */
static void by_a_second_link(struct attacker *at)
{
	struct raw_link second;
	int fd[2];

	join_a(at);
	if (!raw_open(&second, at->scene->control_b))
		talk_fail(at->board, "cannot connect to b: %s", strerror(errno));
	expect(at, "hello to b", raw_hello(&second, fd), DVS_DENIED);
	frame_close_fds(fd);
	raw_close(&second);
}

TEST(the_socket_of_another_dc_cannot_be_reached)
{
	struct scene scene;

	begin(&scene);
	attack(&scene, NOBODY, by_paths);
	attack(&scene, 0, by_a_second_link);
	end(&scene);
}

/* ---- by descriptors of an accomplice in b ---- */

struct accomplice {
	pid_t pid;
	int pair[2];
};

static void pass(int socket_fd, int fd)
{
	struct raw_link link = { .fd = socket_fd };

	(void)raw_send_bytes(&link, "x", 1, fd);
}

static int take(int socket_fd)
{
	int fd = -1;
	char byte;
	struct iovec part = { &byte, 1 };
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr msg = { .msg_iov = &part,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen = sizeof(control.bytes) };

	if (recvmsg(socket_fd, &msg, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&msg))
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
	return fd;
}

/* In b: passes its greeted link, a fresh connection, and its areas, and stays until it is killed. */
static _Noreturn void help(const struct scene *scene, int socket_fd)
{
	struct raw_link greeted;
	struct raw_link fresh;
	struct control_bind_rep bound;
	int fd[2];

	if (!raw_open(&greeted, scene->control_b) || raw_hello(&greeted, fd) ||
	    raw_bind(&greeted, UINT32_MAX, &bound) || !raw_open(&fresh, scene->control_b))
		_exit(EXIT_FAILURE);
	pass(socket_fd, greeted.fd);
	pass(socket_fd, fresh.fd);
	pass(socket_fd, fd[0]);
	pass(socket_fd, fd[1]);
	for (;;)
		(void)pause();
}

static void accomplice_start(struct accomplice *it, const struct scene *scene)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, it->pair))
		_exit(EXIT_FAILURE);
	it->pid = fork();
	if (it->pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		help(scene, it->pair[1]);
	}
	close(it->pair[1]);
}

static void accomplice_end(const struct accomplice *it)
{
	close(it->pair[0]);
	(void)kill(it->pid, SIGKILL);
	(void)waitpid(it->pid, NULL, 0);
}

/* What somebody else writes on a link is not answered. */
static void must_be_useless(struct attacker *at, struct raw_link *link)
{
	dvs_err err;

	link->patience_ms = STRANGER_MS;
	err = ask_endpoint_info(link, (struct control_endpoint_info_req){ .next = 1 });
	if (err == DVS_OK)
		talk_fail(at->board, "another's link can be used");
	err = ask_connect(link, (struct control_connect_req){ .ep = at->ep, .to = SERVER_B });
	if (err == DVS_OK)
		talk_fail(at->board, "another's link gives channels");
}

/* A rejoin as PARTS of another process, or with memory that is nobody's. */
static dvs_err rejoin_with(struct attacker *at, int area_fd, int stats_fd)
{
	struct control_hello_req request = { .version = CONTROL_VERSION, .rejoin = 1 };
	struct raw_link link;
	struct exchange x;
	struct writer out = raw_begin(&x, CONTROL_HELLO);
	dvs_err err;

	if (!raw_open(&link, at->scene->lab.control))
		return DVS_OK;
	control_hello_req_encode(&out, &request);
	x.fd[0] = area_fd < 0 ? -1 : dup(area_fd);
	x.fd[1] = stats_fd < 0 ? -1 : dup(stats_fd);
	err = raw_ask(&link, &x, &out);
	frame_close_fds(x.fd);
	raw_close(&link);
	return err;
}

static void must_not_rejoin(struct attacker *at, const char *what, int area_fd, int stats_fd)
{
	dvs_err err = rejoin_with(at, area_fd, stats_fd);

	if (err == DVS_OK || err == DVS_NODVSD)
		talk_fail(at->board, "rejoin with %s: %s", what, dvs_err_name(err));
}

static void by_descriptors(struct attacker *at)
{
	struct raw_link greeted = { .fd = -1 };
	struct raw_link fresh = { .fd = -1 };
	struct accomplice accomplice;
	int fake = memfd_create("fake", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int area_fd;
	int stats_fd;
	int fd[2];

	accomplice_start(&accomplice, at->scene);
	greeted.fd = take(accomplice.pair[0]);
	fresh.fd = take(accomplice.pair[0]);
	area_fd = take(accomplice.pair[0]);
	stats_fd = take(accomplice.pair[0]);
	if (greeted.fd < 0 || fresh.fd < 0 || area_fd < 0 || stats_fd < 0)
		talk_fail(at->board, "the accomplice does not help");
	join_a(at);
	must_not_rejoin(at, "another's areas", area_fd, stats_fd);
	must_not_rejoin(at, "nothing", -1, -1);
	must_not_rejoin(at, "fake areas", fake, fake);
	if (ftruncate(fake, (off_t)IPC_AREA_BYTES))
		talk_fail(at->board, "ftruncate: %s", strerror(errno));
	must_not_rejoin(at, "fake areas of the right size", fake, fake);
	fresh.patience_ms = STRANGER_MS;
	if (raw_hello(&fresh, fd) == DVS_OK)
		talk_fail(at->board, "another's connection can be greeted");
	must_be_useless(at, &greeted);
	EXPECT(DVS_NODEST, connect, .ep = at->ep, .to = SERVER_B);
	close(fake);
	accomplice_end(&accomplice);
}

TEST(descriptors_of_an_accomplice_open_no_way)
{
	struct scene scene;

	begin(&scene);
	attack(&scene, 0, by_descriptors);
	end(&scene);
}

/* A descriptor that comes by fork() instead of a message. */
static void by_inheritance(struct attacker *at)
{
	struct raw_link inherited;
	int fd[2];
	int status;
	pid_t pid;

	/* This process is the accomplice: in b. */
	if (!raw_open(&inherited, at->scene->control_b) || raw_hello(&inherited, fd))
		talk_fail(at->board, "the accomplice cannot enter b");
	pid = fork();
	if (pid == 0) {
		join_a(at);
		must_be_useless(at, &inherited);
		_exit(EXIT_SUCCESS);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		talk_fail(at->board, "the child failed");
}

TEST(inherited_links_open_no_way)
{
	struct scene scene;

	begin(&scene);
	attack(&scene, 0, by_inheritance);
	end(&scene);
}

/* ---- by a rejoin, when dvsd has lost its memory ---- */

static dvs_ep bound_endpoint(const char *control, uint32_t number)
{
	struct dvk *dvk;
	dvs_ep ep;

	ck_assert(dvk_open(control, &dvk) == DVS_OK);
	ck_assert(dvk_wait_bind(dvk, dvs_ep_of(number), TALK_CALL_MS, &ep) == DVS_OK);
	dvk_close(dvk);
	return ep;
}

/* Claim what SERVER and CLIENT have, and channels that never were. */
static void claim_too_much(struct attacker *at, dvs_ep server, dvs_ep client)
{
	struct control_rejoin_links_req links = { .n_links = 4 };

	EXPECT(DVS_NODEST, rejoin_endpoint, .ep = server.n, .slot = 0, .role = 1);
	EXPECT(DVS_NODEST, rejoin_endpoint, .ep = client.n, .slot = 0, .role = 1);
	EXPECT(DVS_NODEST, rejoin_endpoint, .ep = at->ep, .slot = 9, .role = 1);
	EXPECT(DVS_OK, rejoin_endpoint, .ep = at->ep, .slot = 0, .role = 1);
	/* Their conversation, either side of it, and one with each of them in its place. */
	links.links[0] = (struct control_link){ .ep = server.n, .peer = client.n };
	links.links[1] = (struct control_link){ .ep = client.n, .peer = server.n, .side = 1 };
	links.links[2] = (struct control_link){ .ep = at->ep, .peer = server.n };
	links.links[3] = (struct control_link){ .ep = at->ep, .peer = client.n, .my_index = 1 };
	expect(at, "rejoin_links", ask_rejoin_links(&at->link, links), DVS_OK);
}

/* The rejoin of a process that has what it says, until its claims. */
static void come_back(struct attacker *at)
{
	struct control_hello_req request = { .version = CONTROL_VERSION, .rejoin = 1 };
	struct exchange x;
	struct writer out = raw_begin(&x, CONTROL_HELLO);

	raw_close(&at->link);
	ck_assert(raw_open(&at->link, at->scene->lab.control));
	control_hello_req_encode(&out, &request);
	x.fd[0] = dup(at->fd[0]);
	x.fd[1] = dup(at->fd[1]);
	expect(at, "rejoin", raw_ask(&at->link, &x, &out), DVS_OK);
}

TEST(a_rejoin_claims_nothing_of_others)
{
	struct attacker at = { .link = { .fd = -1 } };
	struct scene scene;
	dvs_ep server;
	dvs_ep client;

	lab_open(&scene.lab);
	crew_open(&scene.crew, &scene.lab, CLIENTS, lab_seed());
	scene.crew.talk.dvsd_dies = true;
	crew_start(&scene.crew);
	server = bound_endpoint(scene.lab.control, TALK_SERVER_NUMBER);
	client = bound_endpoint(scene.lab.control, TALK_CLIENT_NUMBER);
	at.scene = &scene;
	at.board = scene.crew.talk.board;
	join_a(&at);
	lab_kill_dvsd(&scene.lab);
	lab_start_dvsd(&scene.lab);
	come_back(&at);
	claim_too_much(&at, server, client);
	ck_assert_uint_eq(bound_endpoint(scene.lab.control, TALK_SERVER_NUMBER).n, server.n);
	ck_assert_uint_eq(bound_endpoint(scene.lab.control, TALK_CLIENT_NUMBER).n, client.n);
	raw_close(&at.link);
	end(&scene);
}

UNIT_MAIN_TIMEOUT("fault-confinement", 3600, numbers_of_another_dc_name_nobody,
		  frames_with_the_names_of_others_are_refused, pids_of_another_dc_are_nobody_too,
		  the_socket_of_another_dc_cannot_be_reached,
		  descriptors_of_an_accomplice_open_no_way, inherited_links_open_no_way,
		  a_rejoin_claims_nothing_of_others)
