/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "proxy/control_internal.h"

#define HEADER_BYTES 12u
/* The endpoint may be known here a little later than there; so long its node's dvsd is given. */
#define CONNECT_MS 2000u
#define HELLO_MS 10000u
#define REPORT_MS 1000u

/* ---- frames ---- */

void request_begin(struct request *request, uint32_t op, uint32_t id)
{
	request->out = writer_over(request->bytes, sizeof(request->bytes));
	writer_u32(&request->out, op);
	writer_u32(&request->out, id);
	writer_u32(&request->out, 0);
}

uint32_t control_new_id(struct control *control)
{
	uint32_t id = atomic_fetch_add(&control->last_id, 1) + 1;

	return id ? id : control_new_id(control);
}

bool request_send(struct control *control, const struct request *request)
{
	ssize_t sent;

	do
		sent = send(control->fd, request->bytes, writer_len(&request->out), MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent >= 0;
}

static void close_fds(struct message *message)
{
	for (unsigned i = 0; i < CONTROL_FDS_MAX; i++) {
		if (message->fd[i] >= 0)
			close(message->fd[i]);
		message->fd[i] = -1;
	}
}

static void take_fds(struct message *message, struct msghdr *msg)
{
	unsigned n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count && n < CONTROL_FDS_MAX; i++, n++)
			memcpy(&message->fd[n], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
	}
}

enum receive_result { RECEIVE_GOT, RECEIVE_NONE, RECEIVE_END };

static enum receive_result receive(struct control *control, struct message *message)
{
	struct iovec part = { message->bytes, sizeof(message->bytes) };
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int) * CONTROL_FDS_MAX)];
	} space;
	struct msghdr msg = { .msg_iov = &part,
			      .msg_iovlen = 1,
			      .msg_control = space.bytes,
			      .msg_controllen = sizeof(space.bytes) };
	ssize_t got;

	for (unsigned i = 0; i < CONTROL_FDS_MAX; i++)
		message->fd[i] = -1;
	do
		got = recvmsg(control->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0 && errno == EAGAIN)
		return RECEIVE_NONE;
	if (got <= 0)
		return RECEIVE_END;
	take_fds(message, &msg);
	message->in = cursor_over(message->bytes, (size_t)got);
	message->op = cursor_u32(&message->in);
	message->id = cursor_u32(&message->in);
	message->err = cursor_u32(&message->in);
	if (!message->in.failed)
		return RECEIVE_GOT;
	close_fds(message);
	return RECEIVE_END;
}

/* ---- channels ---- */

static void unmap_memory(const struct channel_memory *memory)
{
	if (memory->lanes)
		(void)munmap(memory->lanes, IPC_CHANNEL_BYTES);
	if (memory->peer_inbox)
		(void)munmap(memory->peer_inbox, IPC_PAGE);
}

static void *map(int fd, size_t bytes, off_t offset)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);

	return at == MAP_FAILED ? NULL : at;
}

static dvs_err map_memory(const int fd[CONTROL_FDS_MAX], uint32_t peer_slot,
			  struct channel_memory *memory)
{
	uint8_t *base;

	*memory = (struct channel_memory){ .lanes = NULL };
	if (fd[0] < 0 || fd[1] < 0 || peer_slot >= IPC_SLOTS_MAX)
		return DVS_PROTO;
	base = map(fd[0], IPC_CHANNEL_BYTES, 0);
	memory->lanes = (struct ipc_channel *)(void *)base;
	memory->peer_inbox = map(fd[1], IPC_PAGE, (off_t)peer_slot * IPC_PAGE);
	if (!base || !memory->peer_inbox) {
		unmap_memory(memory);
		return DVS_NOMEM;
	}
	for (unsigned side = 0; side < 2; side++)
		memory->window[side] = base + IPC_WINDOW_OFFSET(side);
	return DVS_OK;
}

static void log_name(const struct control *control, const char *what,
		     const struct mirror_name *name, uint32_t instance)
{
	log_debug(control->log, what, LOG_U64("dc", name->dc), LOG_U64("remote", name->remote),
		  LOG_U64("local", name->local), LOG_U64("instance", instance));
}

static void on_carry(struct control *control, struct message *message)
{
	struct control_carry_req carry;
	struct mirror_channel channel;
	dvs_err err = control_carry_req_decode(&message->in, &carry);

	if (!err)
		err = map_memory(message->fd, carry.peer_slot, &channel.memory);
	if (!err) {
		channel.name = (struct mirror_name){ carry.dc, carry.remote, carry.local };
		channel.instance = carry.instance;
		channel.index = carry.index;
		channel.peer_index = carry.peer_index;
		channel.side = carry.side & 1;
		err = mirror_carry(control->mirror, &channel);
		if (err)
			unmap_memory(&channel.memory);
	}
	if (err) {
		log_warning(control->log, "cannot carry a channel", LOG_U64("dc", carry.dc),
			    LOG_U64("remote", carry.remote), LOG_U64("local", carry.local),
			    LOG_STR("why", dvs_strerror(err)));
		return;
	}
	log_name(control, "a channel begins", &channel.name, channel.instance);
}

static void on_carry_end(struct control *control, struct message *message)
{
	struct control_carry_end_req end;
	struct mirror_name name;

	if (control_carry_end_req_decode(&message->in, &end))
		return;
	name = (struct mirror_name){ end.dc, end.remote, end.local };
	log_name(control,
		 end.far == 0 ? "the local end of a channel is over" :
		 end.far == 1 ? "the far end of a channel is over" :
				"a channel is over",
		 &name, end.instance);
	mirror_end(control->mirror, &name, end.instance, end.far, dvs_err_from_number(end.reason));
}

static void on_event(struct control *control, struct message *message)
{
	struct control_carry_limit_req limit;

	switch (message->op) {
	case CONTROL_CARRY:
		on_carry(control, message);
		break;
	case CONTROL_CARRY_END:
		on_carry_end(control, message);
		break;
	case CONTROL_CARRY_LIMIT:
		if (control_carry_limit_req_decode(&message->in, &limit) == DVS_OK)
			mirror_limit(control->mirror, limit.dc, limit.bytes_per_s);
		break;
	case CONTROL_COPY_START:
		control_copy_start(control, message);
		break;
	case CONTROL_COPY_STOP:
		control_copy_stop(control, message);
		break;
	default: /* of a newer dvsd */
		break;
	}
}

/* ---- questions ---- */

static void ask_connect(struct control *control, const struct mirror_news *news)
{
	struct control_carry_connect_req connect = { .dc = news->name.dc,
						     .remote = news->name.remote,
						     .local = news->name.local,
						     .timeout_ms = CONNECT_MS,
						     .instance = news->wanted };
	struct control_ask *ask;
	struct request request;

	LIST_FOREACH(node, &control->asks) {
		const struct mirror_name *name =
			&CONTAINER_OF(node, struct control_ask, node)->news.name;

		/* One at a time for each pair. */
		if (memcmp(name, &news->name, sizeof(*name)) == 0)
			return;
	}
	if (control->n_asks == CONTROL_ASKS_MAX)
		return;
	ask = calloc(1, sizeof(*ask));
	if (!ask)
		return;
	ask->id = control_new_id(control);
	ask->news = *news;
	list_add_tail(&control->asks, &ask->node);
	control->n_asks++;
	request_begin(&request, CONTROL_CARRY_CONNECT, ask->id);
	control_carry_connect_req_encode(&request.out, &connect);
	(void)request_send(control, &request);
}

static void on_reply(struct control *control, struct message *message)
{
	if (control_copy_reply(control, message))
		return;
	LIST_FOREACH_SAFE(node, &control->asks) {
		struct control_ask *ask = CONTAINER_OF(node, struct control_ask, node);
		dvs_err err;

		if (ask->id != message->id)
			continue;
		err = message->err ? dvs_err_from_number(message->err) : DVS_OK;
		log_debug(control->log, "dvsd was asked for a channel",
			  LOG_U64("remote", ask->news.name.remote),
			  LOG_U64("local", ask->news.name.local),
			  LOG_STR("answer", dvs_err_name(err)));
		/* The far end waits as long as its own dvsd lets it. */
		if (ask->news.wanted && err == DVS_PEERDEAD)
			mirror_lost(control->mirror, &ask->news);
		else if (!ask->news.wanted && (err == DVS_NODC || err == DVS_DENIED))
			mirror_refuse(control->mirror, &ask->news.name, ask->news.instance, err);
		list_remove(&ask->node);
		control->n_asks--;
		if (err == DVS_TIMEOUT)
			ask_connect(control, &ask->news);
		free(ask);
	}
}

static void say_ready(struct control *control, const struct mirror_news *news)
{
	struct control_carry_ready_req ready = { .dc = news->name.dc,
						 .remote = news->name.remote,
						 .local = news->name.local,
						 .instance = news->instance };
	struct request request;

	request_begin(&request, CONTROL_CARRY_READY, control_new_id(control));
	control_carry_ready_req_encode(&request.out, &ready);
	(void)request_send(control, &request);
}

static void say_over(struct control *control, const struct mirror_news *news)
{
	struct control_carry_over_req over = { .dc = news->name.dc,
					       .remote = news->name.remote,
					       .local = news->name.local,
					       .instance = news->instance,
					       .reason = (uint32_t)news->reason,
					       .clean = news->clean };
	struct request request;

	log_name(control,
		 news->clean ? "the far end has said its last" : "the far end is a new one",
		 &news->name, news->instance);
	request_begin(&request, CONTROL_CARRY_OVER, control_new_id(control));
	control_carry_over_req_encode(&request.out, &over);
	(void)request_send(control, &request);
}

/* ---- reports ---- */

static void fill_report(struct control *control, struct control_link_report_req *report)
{
	const struct link_figures *figures = peer_link_figures(control->link);

	memset(report, 0, sizeof(*report));
	report->up = peer_link_is_up(control->link, LINK_MESSAGES) &&
		     peer_link_is_up(control->link, LINK_BULK);
	(void)snprintf(report->transport, sizeof(report->transport), "%s",
		       peer_link_transport(control->link));
	(void)snprintf(report->filters, sizeof(report->filters), "%s",
		       peer_link_filters(control->link));
	report->rtt_ns = atomic_load(&figures->rtt_ns);
	report->frames_in = atomic_load(&figures->frames_in);
	report->frames_out = atomic_load(&figures->frames_out);
	report->bytes_in = atomic_load(&figures->bytes_in);
	report->bytes_out = atomic_load(&figures->bytes_out);
	report->writes = atomic_load(&figures->writes);
	report->reconnects = atomic_load(&figures->reconnects);
	report->bad_frames = atomic_load(&figures->bad_frames);
	if (!report->up)
		(void)snprintf(report->text, sizeof(report->text), "%s", control->why);
}

static void say_report(struct control *control, bool now)
{
	struct control_link_report_req report;
	struct request request;
	size_t bytes;

	if (!now && clock_now_ns() - control->told_ns < REPORT_MS * CLOCK_NS_PER_MS)
		return;
	control->told_ns = clock_now_ns();
	fill_report(control, &report);
	request_begin(&request, CONTROL_LINK_REPORT, control_new_id(control));
	control_link_report_req_encode(&request.out, &report);
	bytes = writer_len(&request.out) - HEADER_BYTES;
	if (bytes == control->told_bytes &&
	    memcmp(request.bytes + HEADER_BYTES, control->told, bytes) == 0)
		return;
	memcpy(control->told, request.bytes + HEADER_BYTES, bytes);
	control->told_bytes = bytes;
	(void)request_send(control, &request);
}

/* ---- the loop ---- */

static void handle_news(struct control *control)
{
	struct mirror_news news;

	while (mirror_next_news(control->mirror, &news)) {
		switch (news.kind) {
		case MIRROR_CONNECT:
			ask_connect(control, &news);
			break;
		case MIRROR_OVER:
			say_over(control, &news);
			break;
		case MIRROR_READY:
			say_ready(control, &news);
			break;
		case MIRROR_LINK:
			memcpy(control->why, news.why, sizeof(control->why));
			say_report(control, true);
			break;
		}
	}
}

/* False: the link has ended. */
static bool handle_messages(struct control *control)
{
	struct message message;
	enum receive_result result;

	while ((result = receive(control, &message)) == RECEIVE_GOT) {
		if (message.id == 0)
			on_event(control, &message);
		else
			on_reply(control, &message);
		close_fds(&message);
	}
	return result == RECEIVE_NONE;
}

dvs_err control_attach(struct control *control, struct mirror *mirror)
{
	dvs_err err;

	control->mirror = mirror;
	err = control_copies_create(control);
	if (!err)
		mirror_set_copies(mirror, control->copies);
	return err;
}

void control_run(struct control *control, struct peer_link *link)
{
	control->link = link;
	for (;;) {
		struct pollfd fds[2] = { { .fd = control->fd, .events = POLLIN },
					 { .fd = control->wake_fd, .events = POLLIN } };
		uint64_t count;

		(void)poll(fds, 2, (int)REPORT_MS);
		if (fds[1].revents && read(control->wake_fd, &count, sizeof(count)) < 0)
			continue;
		/* Before the events: a channel that is over makes room for the next one. */
		handle_news(control);
		if (fds[0].revents && !handle_messages(control))
			return;
		say_report(control, false);
	}
}

/* ---- the beginning ---- */

static void on_wake(void *context)
{
	const struct control *control = context;
	uint64_t one = 1;

	/* It fails only when it has been told so often that it is full. */
	if (write(control->wake_fd, &one, sizeof(one)) < 0)
		return;
}

static void on_release(void *context, const struct channel_memory *memory)
{
	(void)context;
	unmap_memory(memory);
}

struct mirror_setup control_mirror_setup(struct control *control)
{
	return (struct mirror_setup){ .context = control,
				      .wake = on_wake,
				      .release = on_release,
				      .log = control->log,
				      .inbox = control->inbox };
}

static dvs_err await_hello(struct control *control, struct message *message)
{
	struct pollfd fds = { .fd = control->fd, .events = POLLIN };
	enum receive_result result = RECEIVE_NONE;

	while (result == RECEIVE_NONE) {
		if (poll(&fds, 1, (int)HELLO_MS) <= 0 && errno != EINTR)
			return DVS_TIMEOUT;
		result = receive(control, message);
	}
	if (result == RECEIVE_END)
		return DVS_NODVSD;
	if (message->op != CONTROL_HELLO || message->id == 0)
		return DVS_PROTO;
	return message->err ? dvs_err_from_number(message->err) : DVS_OK;
}

dvs_err control_open(struct control *control, int fd, const struct log *log)
{
	struct control_hello_req hello = { .version = CONTROL_VERSION };
	struct request request;
	struct message message;
	dvs_err err;

	*control = (struct control){ .log = log, .fd = fd };
	list_init(&control->asks);
	list_init(&control->questions);
	(void)pthread_mutex_init(&control->lock, NULL);
	control->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (control->wake_fd < 0)
		return dvs_from_errno(errno);
	request_begin(&request, CONTROL_HELLO, control_new_id(control));
	control_hello_req_encode(&request.out, &hello);
	if (!request_send(control, &request))
		return DVS_NODVSD;
	err = await_hello(control, &message);
	if (err)
		return err;
	if (message.fd[0] >= 0)
		control->inbox = map(message.fd[0], IPC_PAGE, 0);
	close_fds(&message);
	return control->inbox ? DVS_OK : DVS_NOMEM;
}
