/* SPDX-License-Identifier: Apache-2.0 */
/* Actors: processes of the test that do what it tells them, each with a link of its own. They
 * were forked from the test, so that a scene's address means the same in both. */
#include <errno.h>
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

#include "dvs_fixture.h"

/* ---- in the actor ---- */

static _Noreturn void actor_main(struct stage *me, int fd)
{
	struct act act;

	me->memory =
		mmap(NULL, STAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (me->memory == MAP_FAILED)
		_exit(1);
	memset(&act, 0, sizeof(act));
	if (me->control[0])
		act.err = dvk_open(me->control, &me->dvk);
	/* The first answer tells that the link is there. */
	while (send(fd, &act, sizeof(act), MSG_NOSIGNAL) == (ssize_t)sizeof(act) &&
	       recv(fd, &act, sizeof(act), 0) == (ssize_t)sizeof(act)) {
		act.err = act.play(me, &act);
		if (act.call)
			saw(act.call, act.err);
	}
	dvk_close(me->dvk);
	_exit(0);
}

static void become(uid_t uid)
{
	if (uid == getuid())
		return;
	if (setgroups(0, NULL) != 0 || setresgid(uid, uid, uid) != 0 ||
	    setresuid(uid, uid, uid) != 0)
		_exit(1);
	/* As after an exec: who changes its user is closed to others of that user, also to dvsd's copies. */
	(void)prctl(PR_SET_DUMPABLE, 1);
}

/* ---- in the test ---- */

static struct actor *start(struct world *w, const char *control, uid_t uid)
{
	struct actor *actor = calloc(1, sizeof(*actor));
	struct stage stage = { .dvk = NULL };
	int fds[2];

	ck_assert_ptr_nonnull(actor);
	(void)snprintf(stage.control, sizeof(stage.control), "%s", control);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	actor->pid = fork();
	ck_assert_int_ge(actor->pid, 0);
	if (actor->pid == 0) {
		close(fds[0]);
		become(uid);
		actor_main(&stage, fds[1]);
	}
	close(fds[1]);
	actor->fd = fds[0];
	actor->next = w->actors;
	w->actors = actor;
	actor->busy = true;
	ck_assert_int_eq(end(actor)->err, DVS_OK);
	return actor;
}

struct actor *actor_start(struct world *w)
{
	return start(w, w->far_dvsd ? w->far_control : w->control, getuid());
}

struct actor *actor_near(struct world *w)
{
	return start(w, w->control, getuid());
}

struct actor *actor_at(struct world *w, const char *control)
{
	return start(w, control, getuid());
}

struct actor *actor_as(struct world *w, uid_t uid)
{
	return start(w, w->far_dvsd ? w->far_control : w->control, uid);
}

struct actor *actor_bound(struct world *w, uint32_t number)
{
	struct actor *actor = actor_start(w);

	(void)bind_as(actor, number ? dvs_ep_of(number) : dvs_ep_any(), DVK_LOCAL);
	return actor;
}

static int actor_wait(struct world *w, struct actor *actor)
{
	struct actor **at = &w->actors;
	int status;

	while (*at != actor)
		at = &(*at)->next;
	*at = actor->next;
	close(actor->fd);
	ck_assert_int_eq(waitpid(actor->pid, &status, 0), actor->pid);
	free(actor);
	return status;
}

/* One that is in the middle of an act cannot be asked to end. */
void actor_end(struct world *w, struct actor *actor)
{
	bool was_busy = actor->busy;
	int status;

	if (was_busy)
		(void)kill(actor->pid, SIGKILL);
	else
		(void)shutdown(actor->fd, SHUT_RDWR);
	status = actor_wait(w, actor);
	ck_assert_msg(was_busy || status == 0, "an actor ended with status %d", status);
}

void actor_kill(struct world *w, struct actor *actor)
{
	(void)kill(actor->pid, SIGKILL);
	(void)actor_wait(w, actor);
}

void begin(struct actor *actor, struct act act)
{
	ck_assert(!actor->busy);
	actor->busy = true;
	ck_assert_int_eq(send(actor->fd, &act, sizeof(act), MSG_NOSIGNAL), sizeof(act));
}

const struct act *end(struct actor *actor)
{
	ssize_t got;

	ck_assert(actor->busy);
	got = recv(actor->fd, &actor->done, sizeof(actor->done), 0);
	ck_assert_msg(got == (ssize_t)sizeof(actor->done), "an actor is gone");
	actor->busy = false;
	return &actor->done;
}

const struct act *play(struct actor *actor, struct act act)
{
	begin(actor, act);
	return end(actor);
}

bool is_done(const struct actor *actor)
{
	struct act act;

	return recv(actor->fd, &act, sizeof(act), MSG_PEEK | MSG_DONTWAIT) == (ssize_t)sizeof(act);
}

/* ---- patterns ---- */

void pattern_fill(void *data, size_t bytes, uint8_t seed)
{
	uint8_t *at = data;

	for (size_t i = 0; i < bytes; i++)
		at[i] = (uint8_t)(seed + i * 7 + (i >> 8));
}

bool pattern_is(const void *data, size_t bytes, uint8_t seed)
{
	const uint8_t *at = data;

	for (size_t i = 0; i < bytes; i++) {
		if (at[i] != (uint8_t)(seed + i * 7 + (i >> 8)))
			return false;
	}
	return true;
}

struct dvs_msg message(uint32_t type)
{
	struct dvs_msg msg = { .type = type };

	return msg;
}

/* ---- scenes ---- */

static dvs_err do_bind(struct stage *me, struct act *act)
{
	dvs_err err = dvk_bind(me->dvk, act->ep, (enum dvk_kind)act->kind, &me->self);

	if (!err)
		act->ep = m3_self(me->self);
	return err;
}

struct act binding(dvs_ep want, enum dvk_kind kind)
{
	return (struct act){ .play = do_bind, .call = "dvk_bind", .ep = want, .kind = kind };
}

static dvs_err do_unbind(struct stage *me, struct act *act)
{
	(void)act;
	dvk_unbind(me->self);
	me->self = NULL;
	return DVS_OK;
}

struct act unbinding(void)
{
	return (struct act){ .play = do_unbind, .call = "dvk_unbind" };
}

static dvs_err do_wait_bound(struct stage *me, struct act *act)
{
	dvs_err err = dvk_wait_bound(me->dvk, act->timeout_ms, &me->self);

	if (!err)
		act->ep = m3_self(me->self);
	return err;
}

struct act taking_bound(uint32_t timeout_ms)
{
	return (struct act){ .play = do_wait_bound,
			     .call = "dvk_wait_bound",
			     .timeout_ms = timeout_ms };
}

static dvs_err do_send(struct stage *me, struct act *act)
{
	return m3_send(me->self, act->ep, &act->msg, act->timeout_ms);
}

struct act sending(dvs_ep dst, uint32_t type)
{
	return (struct act){ .play = do_send,
			     .call = "m3_send",
			     .ep = dst,
			     .msg = { .type = type },
			     .timeout_ms = DVS_FOREVER };
}

/* What came with the message, and whether its data is the pattern with the seed in u64[6]. */
static void describe(struct stage *me, struct act *act)
{
	if (m3_delivered(me->self, &act->got))
		return;
	act->ep = act->got.source;
	act->in_bytes = act->got.data_bytes;
	act->n = act->got.data &&
		 pattern_is(act->got.data, act->got.data_bytes, (uint8_t)act->msg.u64[6]);
}

static dvs_err do_receive(struct stage *me, struct act *act)
{
	dvs_err err = m3_receive(me->self, act->ep, &act->msg, act->timeout_ms);

	if (!err)
		describe(me, act);
	return err;
}

struct act receiving(dvs_ep src)
{
	return (struct act){
		.play = do_receive, .call = "m3_receive", .ep = src, .timeout_ms = DVS_FOREVER
	};
}

static dvs_err do_receive_request(struct stage *me, struct act *act)
{
	dvs_err err = m3_receive_request(me->self, &act->msg, act->timeout_ms);

	if (!err)
		describe(me, act);
	return err;
}

struct act receiving_request(void)
{
	return (struct act){ .play = do_receive_request,
			     .call = "m3_receive_request",
			     .timeout_ms = DVS_FOREVER };
}

static dvs_err do_sendrec(struct stage *me, struct act *act)
{
	return m3_sendrec(me->self, act->ep, &act->msg, act->timeout_ms);
}

struct act sendrecing(dvs_ep dst, uint32_t type)
{
	return (struct act){ .play = do_sendrec,
			     .call = "m3_sendrec",
			     .ep = dst,
			     .msg = { .type = type },
			     .timeout_ms = DVS_FOREVER };
}

static dvs_err do_call(struct stage *me, struct act *act)
{
	uint8_t seed = (uint8_t)act->msg.u64[6];
	uint8_t *in = me->memory + DVS_DATA_MAX;
	size_t in_len = 0;
	dvs_err err;

	pattern_fill(me->memory, act->out_bytes, seed);
	err = m3_call(me->self, act->ep, &act->msg, me->memory, act->out_bytes, in, act->in_bytes,
		      &in_len, act->timeout_ms);
	act->in_bytes = in_len;
	act->n = pattern_is(in, in_len, (uint8_t)(seed + 1));
	return err;
}

struct act calling(dvs_ep dst, uint32_t type, size_t out_bytes, size_t in_cap, uint8_t seed)
{
	struct act act = { .play = do_call,
			   .call = "m3_call",
			   .ep = dst,
			   .out_bytes = out_bytes,
			   .in_bytes = in_cap,
			   .msg = { .type = type },
			   .timeout_ms = DVS_FOREVER };

	act.msg.u64[6] = seed;
	return act;
}

static dvs_err do_reply(struct stage *me, struct act *act)
{
	return m3_reply(me->self, act->ep, &act->msg);
}

struct act replying(dvs_ep client, uint32_t type)
{
	return (struct act){
		.play = do_reply, .call = "m3_reply", .ep = client, .msg = { .type = type }
	};
}

static dvs_err do_relay(struct stage *me, struct act *act)
{
	return m3_relay(me->self, act->ep, dvs_ep_of((uint32_t)act->n), &act->msg);
}

struct act relaying(dvs_ep client, dvs_ep dst, uint32_t type)
{
	return (struct act){ .play = do_relay,
			     .call = "m3_relay",
			     .ep = client,
			     .n = dst.n,
			     .msg = { .type = type } };
}

static dvs_err do_notify(struct stage *me, struct act *act)
{
	return m3_notify(me->self, act->ep, act->n);
}

struct act notifying(dvs_ep dst, uint64_t value)
{
	return (struct act){ .play = do_notify, .call = "m3_notify", .ep = dst, .n = value };
}

static dvs_err do_wakeup(struct stage *me, struct act *act)
{
	return m3_wakeup(me->self, act->ep);
}

struct act waking(dvs_ep dst)
{
	return (struct act){ .play = do_wakeup, .call = "m3_wakeup", .ep = dst };
}

/* Answers in place when data is taken. */
static dvs_err serve_one(struct stage *me, uint64_t number)
{
	struct m3_delivery got;
	struct dvs_msg msg;
	void *window = NULL;
	size_t cap = 0;
	dvs_err err = m3_receive_request(me->self, &msg, DVS_FOREVER);

	if (!err)
		err = m3_delivered(me->self, &got);
	if (!err && got.data && !pattern_is(got.data, got.data_bytes, (uint8_t)msg.u64[6]))
		err = DVS_PROTO;
	if (!err && got.reply_cap > 0)
		err = m3_reply_window(me->self, msg.source, &window, &cap);
	if (err)
		return err;
	if (window)
		pattern_fill(window, cap, (uint8_t)(msg.u64[6] + 1));
	msg.type++;
	msg.u64[0] = number;
	err = m3_reply_data(me->self, msg.source, &msg, window, cap);
	return err == DVS_PEERDEAD ? DVS_OK : err;
}

static dvs_err do_serve(struct stage *me, struct act *act)
{
	dvs_err err = DVS_OK;
	uint64_t count = act->n;

	for (act->n = 0; act->n < count && !err; act->n++)
		err = serve_one(me, act->n);
	return err;
}

struct act serving(uint64_t count)
{
	return (struct act){ .play = do_serve, .n = count };
}

struct act within(struct act act, uint32_t timeout_ms)
{
	act.timeout_ms = timeout_ms;
	return act;
}

dvs_ep bind_as(struct actor *actor, dvs_ep want, enum dvk_kind kind)
{
	const struct act *act = play(actor, binding(want, kind));

	ck_assert_msg(act->err == DVS_OK, "dvk_bind gave %s", dvs_err_name(act->err));
	actor->ep = act->ep;
	return act->ep;
}
