/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "unit.h"

static void host_begin(struct rig *rig)
{
	struct options options = { .run_dir = "/nonexistent", .log_level = LOG_LEVEL_ERROR };

	memset(rig, 0, sizeof(*rig));
	ck_assert_int_eq(host_init(&rig->host, &options), DVS_OK);
	rig->host.log.fd = -1;
	rig->host.proxy = NULL;
	rig->host.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	rig->host.n_fds_max = 1024;
	list_init(&rig->host.admin.of_host);
}

void rig_open(struct rig *rig)
{
	struct core_command command = { .op = CORE_DC_CREATE, .name = "a" };

	host_begin(rig);
	ck_assert_int_eq(rig_command(rig, &command), DVS_OK);
	rig->dc.n = 1;
	if (!server_find(&rig->host, rig->dc))
		ck_assert_ptr_nonnull(server_new(&rig->host, rig->dc, "a"));
}

static dvs_err copy_command(void *context, const struct core_command *command)
{
	struct rig *rig = context;

	return core_step(rig->host.core, command, &rig->host.effects);
}

void rig_open_again(struct rig *rig, const struct rig *former)
{
	host_begin(rig);
	rig->dc = former->dc;
	rig->last_serial = former->last_serial;
	ck_assert_int_eq(core_snapshot(former->host.core, copy_command, rig), DVS_OK);
	ck_assert_ptr_nonnull(server_new(&rig->host, rig->dc, "a"));
	ck_assert_int_eq(recover(&rig->host), DVS_OK);
}

void rig_close(struct rig *rig)
{
	for (size_t i = 0; i < rig->n_peers; i++) {
		struct peer *peer = &rig->peers[i];

		cleanup_close(&peer->fd);
		while (peer->n_kept > 0)
			close(peer->kept[--peer->n_kept]);
	}
	host_free(&rig->host);
	cleanup_close(&rig->host.epoll_fd);
}

static void letter_fds(struct peer *peer, struct letter *letter, struct msghdr *message)
{
	for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head;
	     head = CMSG_NXTHDR(message, head)) {
		size_t n = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (head->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			struct stat file;
			int fd;

			memcpy(&fd, CMSG_DATA(head) + i * sizeof(int), sizeof(int));
			ck_assert_int_eq(fstat(fd, &file), 0);
			letter->fds[letter->n_fds] = fd;
			letter->inodes[letter->n_fds++] = file.st_ino;
			if (peer->keeps_fds && peer->n_kept < RIG_KEPT_MAX)
				peer->kept[peer->n_kept++] = fd;
			else
				close(fd);
		}
	}
}

static bool peer_read(struct peer *peer)
{
	union {
		char bytes[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct letter *letter = &peer->mail[peer->n_mail];
	struct iovec part = { .iov_base = letter->bytes, .iov_len = sizeof(letter->bytes) };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = control.bytes,
				  .msg_controllen = sizeof(control.bytes) };
	struct cursor in;
	ssize_t len;

	ck_assert_uint_lt(peer->n_mail, RIG_MAIL_MAX);
	len = peer->fd >= 0 ? recvmsg(peer->fd, &message, MSG_DONTWAIT) : -1;
	if (len <= 0)
		return false;
	letter->len = (size_t)len;
	letter->n_fds = 0;
	letter_fds(peer, letter, &message);
	in = cursor_over(letter->bytes, letter->len);
	letter->op = cursor_u32(&in);
	letter->id = cursor_u32(&in);
	letter->err = cursor_u32(&in);
	peer->n_mail++;
	return true;
}

static bool is_linked(const struct rig *rig, const struct link *link)
{
	LIST_FOREACH(at, &rig->host.links) {
		if (CONTAINER_OF(at, struct link, of_host) == link)
			return true;
	}
	return false;
}

void rig_turn(struct rig *rig)
{
	host_settle(&rig->host);
	for (size_t i = 0; i < rig->n_peers; i++) {
		struct peer *peer = &rig->peers[i];

		if (peer->link && is_linked(rig, peer->link)) {
			link_receive(&rig->host, peer->link);
			host_settle(&rig->host);
		}
		if (!is_linked(rig, peer->link))
			peer->link = NULL;
	}
	for (size_t i = 0; i < rig->n_peers; i++) {
		while (peer_read(&rig->peers[i]))
			;
	}
	host_bury(&rig->host);
}

void rig_wait(struct rig *rig, uint64_t span_ns)
{
	uint64_t until_ns = clock_now_ns() + span_ns;
	struct timer *timer;

	/* Those that look at the clock set themselves again: one round is enough for what is asked here. */
	for (int i = 0; i < 32; i++) {
		timer = timers_take(&rig->host.timers, until_ns);
		if (!timer)
			break;
		timer->fire(&rig->host, timer);
		host_settle(&rig->host);
	}
	rig_turn(rig);
}

/* ---- processes and proxies ---- */

static struct peer *peer_new(struct rig *rig, int *theirs)
{
	struct peer *peer = &rig->peers[rig->n_peers];
	int on = 1;
	int pair[2];

	ck_assert_uint_lt(rig->n_peers, RIG_PEERS_MAX);
	rig->n_peers++;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
	peer->rig = rig;
	peer->fd = pair[1];
	*theirs = pair[0];
	return peer;
}

static void peer_hello(struct peer *peer)
{
	uint8_t bytes[64];
	struct writer body = writer_over(bytes, sizeof(bytes));
	struct control_hello_req req = { .version = CONTROL_VERSION };
	const struct letter *answer;
	uint32_t id;

	control_hello_req_encode(&body, &req);
	id = peer_send(peer, CONTROL_HELLO, &body);
	answer = peer_mail(peer, CONTROL_HELLO, id);
	ck_assert_ptr_nonnull(answer);
	ck_assert_uint_eq(answer->err, DVS_OK);
	ck_assert_uint_eq(answer->n_fds, 2);
	peer->area_fd = answer->fds[0];
	peer->stats_fd = answer->fds[1];
}

static struct peer *process_link(struct rig *rig)
{
	int fd;
	struct peer *peer = peer_new(rig, &fd);

	peer->link =
		link_new(&rig->host, server_find(&rig->host, rig->dc), fd, (uint32_t)getpid(), 0);
	ck_assert_ptr_nonnull(peer->link);
	peer->link->starttime = proc_starttime((uint32_t)getpid());
	peer->link->pid_ns = rig->host.pid_ns;
	return peer;
}

struct peer *rig_process(struct rig *rig)
{
	struct peer *peer = process_link(rig);

	peer_hello(peer);
	return peer;
}

struct peer *rig_process_keeping(struct rig *rig)
{
	struct peer *peer = process_link(rig);

	peer->keeps_fds = true;
	peer_hello(peer);
	return peer;
}

/* The first frame brings the areas along: it is handed to dvsd as its link would. */
static void hello_again(struct peer *peer, const struct peer *former)
{
	uint8_t bytes[64];
	struct writer out = writer_over(bytes, sizeof(bytes));
	struct control_hello_req req = { .version = CONTROL_VERSION, .rejoin = 1 };
	const struct letter *answer;
	int fds[2] = { fcntl(former->area_fd, F_DUPFD_CLOEXEC, 0),
		       fcntl(former->stats_fd, F_DUPFD_CLOEXEC, 0) };

	writer_u32(&out, CONTROL_HELLO);
	writer_u32(&out, ++peer->next_id);
	writer_u32(&out, 0);
	control_hello_req_encode(&out, &req);
	link_frame(&peer->rig->host, peer->link, bytes, writer_len(&out), fds);
	rig_turn(peer->rig);
	answer = peer_mail(peer, CONTROL_HELLO, peer->next_id);
	ck_assert_ptr_nonnull(answer);
	ck_assert_uint_eq(answer->err, DVS_OK);
}

struct peer *rig_process_again(struct rig *rig, const struct peer *former, dvs_ep ep)
{
	struct peer *peer = process_link(rig);
	uint8_t bytes[64];
	struct writer body = writer_over(bytes, sizeof(bytes));
	struct control_rejoin_endpoint_req req = { .ep = ep.n, .slot = 0, .role = 1, .tid = 1 };

	hello_again(peer, former);
	control_rejoin_endpoint_req_encode(&body, &req);
	ck_assert_int_eq(peer_ask(peer, CONTROL_REJOIN_ENDPOINT, &body), DVS_OK);
	return peer;
}

void peer_rejoin_link(struct peer *peer, const struct control_link *row)
{
	static struct control_rejoin_links_req req;
	uint8_t bytes[256];
	struct writer body = writer_over(bytes, sizeof(bytes));

	req.n_links = 1;
	req.links[0] = *row;
	control_rejoin_links_req_encode(&body, &req);
	ck_assert_int_eq(peer_ask(peer, CONTROL_REJOIN_LINKS, &body), DVS_OK);
}

struct peer *rig_proxy(struct rig *rig, uint32_t node)
{
	int fd;
	struct peer *peer = peer_new(rig, &fd);

	ck_assert_int_eq(carrier_open(&rig->host, node, "192.0.2.1"), DVS_OK);
	ck_assert_int_eq(carrier_link(&rig->host, rig->host.carriers[node], fd, (uint32_t)getpid()),
			 DVS_OK);
	LIST_FOREACH(at, &rig->host.links) {
		struct link *link = CONTAINER_OF(at, struct link, of_host);

		if (link->source.fd == fd)
			peer->link = link;
	}
	peer_hello(peer);
	return peer;
}

void peer_end(struct peer *peer)
{
	cleanup_close(&peer->fd);
	rig_turn(peer->rig);
}

/* ---- letters ---- */

uint32_t peer_send(struct peer *peer, uint32_t op, const struct writer *body)
{
	uint8_t bytes[FRAME_BYTES_MAX];
	struct writer out = writer_over(bytes, sizeof(bytes));
	uint32_t id = ++peer->next_id;

	writer_u32(&out, op);
	writer_u32(&out, id);
	writer_u32(&out, 0);
	writer_bytes(&out, body->start, writer_len(body));
	ck_assert(writer_ok(body) && writer_ok(&out));
	ck_assert_int_eq(send(peer->fd, bytes, writer_len(&out), 0), (ssize_t)writer_len(&out));
	rig_turn(peer->rig);
	return id;
}

const struct letter *peer_mail(struct peer *peer, uint32_t op, uint32_t id)
{
	static struct letter taken;

	for (size_t i = 0; i < peer->n_mail; i++) {
		if (peer->mail[i].op != op || peer->mail[i].id != id)
			continue;
		taken = peer->mail[i];
		peer->n_mail--;
		memmove(&peer->mail[i], &peer->mail[i + 1],
			(peer->n_mail - i) * sizeof(peer->mail[0]));
		return &taken;
	}
	return NULL;
}

size_t peer_forget_mail(struct peer *peer)
{
	size_t n = peer->n_mail;

	peer->n_mail = 0;
	return n;
}

dvs_err peer_ask(struct peer *peer, uint32_t op, const struct writer *body)
{
	uint32_t id = peer_send(peer, op, body);
	const struct letter *answer = peer_mail(peer, op, id);

	ck_assert_ptr_nonnull(answer);
	return (dvs_err)answer->err;
}

/* What stands in LETTER behind op, id and err. */
static struct cursor letter_body(const struct letter *letter)
{
	return cursor_over(letter->bytes + FRAME_HEAD_BYTES, letter->len - FRAME_HEAD_BYTES);
}

#define DECODE(letter, name, into)                                               \
	do {                                                                     \
		struct cursor in_ = letter_body(letter);                         \
                                                                                 \
		ck_assert_int_eq(control_##name##_decode(&in_, (into)), DVS_OK); \
	} while (0)

/* ---- endpoints ---- */

dvs_ep peer_bind(struct peer *peer, uint32_t number, enum dvk_kind kind)
{
	uint8_t bytes[64];
	struct writer body = writer_over(bytes, sizeof(bytes));
	struct control_bind_req req = { .want = number, .binding = (uint8_t)kind, .tid = 1 };
	struct control_bind_rep rep;
	const struct letter *answer;

	control_bind_req_encode(&body, &req);
	answer = peer_mail(peer, CONTROL_BIND, peer_send(peer, CONTROL_BIND, &body));
	ck_assert_ptr_nonnull(answer);
	ck_assert_uint_eq(answer->err, DVS_OK);
	DECODE(answer, bind_rep, &rep);
	return (dvs_ep){ rep.ep };
}

dvs_err peer_unbind(struct peer *peer, dvs_ep ep)
{
	struct core_command command = { .op = CORE_UNBIND,
					.dc = peer->rig->dc,
					.ep = ep.n,
					.process = peer->link->process->id };

	return rig_command(peer->rig, &command);
}

uint32_t peer_connect(struct peer *peer, dvs_ep ep, dvs_ep to, uint32_t timeout_ms)
{
	uint8_t bytes[64];
	struct writer body = writer_over(bytes, sizeof(bytes));
	struct control_connect_req req = { .ep = ep.n, .to = to.n, .timeout_ms = timeout_ms };

	control_connect_req_encode(&body, &req);
	return peer_send(peer, CONTROL_CONNECT, &body);
}

struct core_process rig_far_process(struct rig *rig, uint32_t node)
{
	return (struct core_process){
		.node = node, .pid = 100, .starttime = 1, .serial = ++rig->last_serial
	};
}

static void on_command(struct host *host, struct order *order, dvs_err err)
{
	(void)host;
	order->spare = NULL;
	/* the engine is local: it is done before rig_command() goes on */
	order->link = NULL;
	order->id = (uint32_t)err;
	host->first_dc_error = err;
}

dvs_err rig_command(struct rig *rig, const struct core_command *command)
{
	const struct order order = { .done = on_command };

	order_command(&rig->host, command, &order, true);
	if (rig->dc.n != 0)
		rig_turn(rig);
	return rig->host.first_dc_error;
}

dvs_ep rig_far_bind(struct rig *rig, const struct core_process *process, uint32_t number,
		    enum dvk_kind kind)
{
	struct core_command command = {
		.op = CORE_BIND, .dc = rig->dc, .ep = number, .kind = kind, .process = *process
	};

	command.privileges.n_call_to = 1;
	command.privileges.call_to[0].last = DVS_EP_NUMBER_MAX;
	ck_assert_int_eq(rig_command(rig, &command), DVS_OK);
	return core_endpoint_find(core_dc_find(rig->host.core, rig->dc), number)->ep;
}

/* ---- what is looked at ---- */

struct control_carry_req peer_carry(struct peer *proxy, uint64_t *memory)
{
	const struct letter *letter = peer_mail(proxy, CONTROL_CARRY, 0);
	struct control_carry_req event;

	ck_assert_msg(letter != NULL, "no carry was sent");
	ck_assert_uint_eq(letter->n_fds, 2);
	if (memory)
		*memory = letter->inodes[0];
	DECODE(letter, carry_req, &event);
	return event;
}

struct control_carry_end_req peer_carry_end(struct peer *proxy)
{
	const struct letter *letter = peer_mail(proxy, CONTROL_CARRY_END, 0);
	struct control_carry_end_req event;

	ck_assert_msg(letter != NULL, "no carry_end was sent");
	DECODE(letter, carry_end_req, &event);
	return event;
}

struct control_channel_req peer_channel(struct peer *peer, uint64_t *memory)
{
	const struct letter *letter = peer_mail(peer, CONTROL_CHANNEL, 0);
	struct control_channel_req event;

	ck_assert_msg(letter != NULL, "no channel was sent");
	ck_assert_uint_eq(letter->n_fds, 2);
	if (memory)
		*memory = letter->inodes[0];
	DECODE(letter, channel_req, &event);
	return event;
}

struct control_gone_req peer_gone(struct peer *peer)
{
	const struct letter *letter = peer_mail(peer, CONTROL_GONE, 0);
	struct control_gone_req event;

	ck_assert_msg(letter != NULL, "no gone was sent");
	DECODE(letter, gone_req, &event);
	return event;
}

dvs_err peer_carry_over(struct peer *proxy, const struct control_carry_req *carried, bool clean)
{
	return peer_carry_over_why(proxy, carried, clean, DVS_PEERDEAD);
}

dvs_err peer_carry_over_why(struct peer *proxy, const struct control_carry_req *carried, bool clean,
			    dvs_err why)
{
	uint8_t bytes[64];
	struct writer body = writer_over(bytes, sizeof(bytes));
	struct control_carry_over_req req = { .dc = carried->dc,
					      .remote = carried->remote,
					      .local = carried->local,
					      .instance = carried->instance,
					      .reason = (uint32_t)why,
					      .clean = clean };

	control_carry_over_req_encode(&body, &req);
	return peer_ask(proxy, CONTROL_CARRY_OVER, &body);
}

dvs_err peer_carry_ready(struct peer *proxy, const struct control_carry_req *carried)
{
	uint8_t bytes[64];
	struct writer body = writer_over(bytes, sizeof(bytes));
	struct control_carry_ready_req req = { .dc = carried->dc,
					       .remote = carried->remote,
					       .local = carried->local,
					       .instance = carried->instance };

	control_carry_ready_req_encode(&body, &req);
	return peer_ask(proxy, CONTROL_CARRY_READY, &body);
}

uint32_t peer_carry_connect(struct peer *proxy, dvs_ep remote, dvs_ep local, uint32_t timeout_ms)
{
	uint8_t bytes[64];
	struct writer body = writer_over(bytes, sizeof(bytes));
	struct control_carry_connect_req req = { .dc = proxy->rig->dc.n,
						 .remote = remote.n,
						 .local = local.n,
						 .timeout_ms = timeout_ms };

	control_carry_connect_req_encode(&body, &req);
	return peer_send(proxy, CONTROL_CARRY_CONNECT, &body);
}

uint32_t peer_carry_look(struct peer *proxy, const struct control_carry_req *carried)
{
	uint8_t bytes[64];
	struct writer body = writer_over(bytes, sizeof(bytes));
	struct control_carry_connect_req req = { .dc = carried->dc,
						 .remote = carried->remote,
						 .local = carried->local,
						 .timeout_ms = 2000,
						 .instance = carried->instance };

	control_carry_connect_req_encode(&body, &req);
	return peer_send(proxy, CONTROL_CARRY_CONNECT, &body);
}
