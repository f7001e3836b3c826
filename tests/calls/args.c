/* SPDX-License-Identifier: Apache-2.0 */
/* What every call can return: wrong arguments, a handle that is not the caller's, no dvsd. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dvs_fixture.h"

/* ---- one good use of each call ---- */

struct around {
	struct m3 *self;
	struct dvk *dvk;
	struct dvk *admin;
	dvs_ep other;
	dvs_err wanted;
};

#define TRY(call, ...) gives(#call, call(__VA_ARGS__), a->wanted, __FILE__, __LINE__)

static void try_send(struct around *a)
{
	struct dvs_msg msg = message(1);

	TRY(m3_send, a->self, a->other, &msg, 0);
}

static void try_receive(struct around *a)
{
	struct dvs_msg msg;

	TRY(m3_receive, a->self, a->other, &msg, 0);
}

static void try_receive_request(struct around *a)
{
	struct dvs_msg msg;

	TRY(m3_receive_request, a->self, &msg, 0);
}

static void try_sendrec(struct around *a)
{
	struct dvs_msg msg = message(1);

	TRY(m3_sendrec, a->self, a->other, &msg, 0);
}

static void try_call(struct around *a)
{
	struct dvs_msg msg = message(1);

	TRY(m3_call, a->self, a->other, &msg, NULL, 0, NULL, 0, NULL, 0);
}

static void try_call_window(struct around *a)
{
	void *window;

	TRY(m3_call_window, a->self, a->other, 0, &window);
}

static void try_reply(struct around *a)
{
	struct dvs_msg msg = message(1);

	TRY(m3_reply, a->self, a->other, &msg);
}

static void try_reply_data(struct around *a)
{
	struct dvs_msg msg = message(1);

	TRY(m3_reply_data, a->self, a->other, &msg, NULL, 0);
}

static void try_reply_call(struct around *a)
{
	struct dvs_msg msg = message(1);

	TRY(m3_reply_call, a->self, a->other, 1, &msg, NULL, 0);
}

static void try_relay(struct around *a)
{
	struct dvs_msg msg = message(1);

	TRY(m3_relay, a->self, a->other, a->other, &msg);
}

static void try_reply_window(struct around *a)
{
	void *window;
	size_t cap;

	TRY(m3_reply_window, a->self, a->other, &window, &cap);
}

static void try_delivered(struct around *a)
{
	struct m3_delivery got;

	TRY(m3_delivered, a->self, &got);
}

static void try_notify(struct around *a)
{
	TRY(m3_notify, a->self, a->other, 1);
}

static void try_wakeup(struct around *a)
{
	TRY(m3_wakeup, a->self, a->other);
}

static void try_grant(struct around *a)
{
	uint32_t grant;

	TRY(m3_grant, a->self, a->other, a, 4, M3_GRANT_READ, &grant);
}

static void try_revoke(struct around *a)
{
	TRY(m3_revoke, a->self, 1);
}

static void try_copy(struct around *a)
{
	struct m3_span from = { .owner = a->other, .grant = 1 };
	struct m3_span to = { .owner = a->other, .grant = 2 };

	TRY(m3_copy, a->self, &from, &to, 1);
}

typedef void (*attempt)(struct around *a);

/* Those that need dvsd when the partner is new, and those that never do. */
static const attempt asking[] = {
	try_send,   try_receive, try_sendrec, try_call, try_call_window,
	try_notify, try_wakeup,	 try_grant,   try_copy, try_revoke,
};
static const attempt not_asking[] = {
	try_receive_request, try_reply,	       try_reply_data, try_reply_call,
	try_relay,	     try_reply_window, try_delivered,
};

static void try_all(struct around *a)
{
	for (size_t i = 0; i < sizeof(asking) / sizeof(asking[0]); i++)
		asking[i](a);
	for (size_t i = 0; i < sizeof(not_asking) / sizeof(not_asking[0]); i++)
		not_asking[i](a);
}

/* ---- the handle ---- */

static void *try_in_thread(void *around)
{
	try_all(around);
	return NULL;
}

TEST(a_handle_is_of_no_use_to_other_threads)
{
	struct world *w = world_start();
	struct actor *other = actor_bound(w, 0);
	struct m3 *me = world_bind(w);
	struct around a = { .self = me, .other = other->ep, .wanted = DVS_NOTBOUND };
	struct dvs_msg msg = message(1);
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, try_in_thread, &a), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	/* And its own is none the worse for it. */
	GIVES(TIMEOUT, m3_send, me, other->ep, &msg, 0);
	dvk_unbind(me);
	world_end(w);
}

TEST(a_handle_is_of_no_use_to_a_child)
{
	struct world *w = world_start();
	struct actor *other = actor_bound(w, 0);
	struct m3 *me = world_bind(w);
	struct around a = { .self = me, .other = other->ep, .wanted = DVS_NOTBOUND };
	struct dvk_dc_info info;
	struct m3 *bound;
	int status;
	pid_t child = fork();

	if (child == 0) {
		try_all(&a);
		GIVES(BADARG, dvk_dc_info, w->dvk, &info);
		GIVES(BADARG, dvk_bind, w->dvk, dvs_ep_any(), DVK_LOCAL, &bound);
		/* What it opens by itself is its own. */
		w->dvk = NULL;
		bound = world_bind(w);
		ck_assert_uint_ne(m3_self(bound).n, m3_self(me).n);
		dvk_unbind(bound);
		dvk_close(w->dvk);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	begin(other, sending(m3_self(me), 2));
	GIVES(OK, m3_receive, me, dvs_ep_any(), &(struct dvs_msg){ .type = 0 }, DVS_FOREVER);
	ck_assert_int_eq(end(other)->err, DVS_OK);
	dvk_unbind(me);
	world_end(w);
}

TEST(an_unbound_handle_is_of_no_use)
{
	struct world *w = world_start();
	struct actor *other = actor_bound(w, 0);
	struct m3 *me = world_bind(w);
	struct around a = { .self = me, .other = other->ep, .wanted = DVS_NOTBOUND };

	GIVES(OK, dvk_unbind_endpoint, w->dvk, m3_self(me), DVS_FOREVER);
	try_all(&a);
	dvk_unbind(me);
	a.self = NULL;
	try_all(&a);
	world_end(w);
}

/* ---- arguments of m3_* ---- */

TEST(messages_and_timeouts_are_checked)
{
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *other = actor_bound(w, 0);
	dvs_ep to = other->ep;
	dvs_ep beyond = dvs_ep_of(DVS_EP_NUMBER_MAX + 1);
	struct dvs_msg good = message(1);
	struct dvs_msg bad = message(DVS_TYPE_RESERVED);
	uint32_t late = DVS_TIMEOUT_MAX_MS + 1;

	GIVES(BADARG, m3_send, me, to, NULL, 0);
	GIVES(BADARG, m3_send, me, to, &bad, 0);
	GIVES(BADARG, m3_send, me, to, &good, late);
	GIVES(BADARG, m3_send, me, beyond, &good, 0);
	GIVES(BADARG, m3_send, me, dvs_ep_any(), &good, 0);
	GIVES(BADARG, m3_receive, me, to, NULL, 0);
	GIVES(BADARG, m3_receive, me, to, &good, late);
	GIVES(BADARG, m3_receive, me, beyond, &good, 0);
	GIVES(BADARG, m3_receive_request, me, NULL, 0);
	GIVES(BADARG, m3_receive_request, me, &good, late);
	GIVES(BADARG, m3_sendrec, me, to, NULL, 0);
	GIVES(BADARG, m3_sendrec, me, to, &bad, 0);
	GIVES(BADARG, m3_sendrec, me, to, &good, late);
	GIVES(BADARG, m3_call, me, to, NULL, NULL, 0, NULL, 0, NULL, 0);
	GIVES(BADARG, m3_call, me, to, &good, NULL, 1, NULL, 0, NULL, 0);
	GIVES(BADARG, m3_call, me, to, &good, NULL, 0, NULL, 1, NULL, 0);
	GIVES(TOOBIG, m3_call, me, to, &good, &good, DVS_DATA_MAX + 1, NULL, 0, NULL, 0);
	GIVES(TOOBIG, m3_call, me, to, &good, NULL, 0, &good, DVS_DATA_MAX + 1, NULL, 0);
	GIVES(BADARG, m3_call_window, me, to, 0, NULL);
	GIVES(BADARG, m3_notify, me, to, DVS_NOTIFY_VALUE_MAX + 1);
	GIVES(BADARG, m3_notify, me, beyond, 1);
	dvk_unbind(me);
	world_end(w);
}

TEST(answers_and_grants_are_checked)
{
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *other = actor_bound(w, 0);
	dvs_ep to = other->ep;
	struct m3_span mine = { .owner = m3_self(me), .addr = w };
	struct m3_span nothing = { .owner = m3_self(me) };
	struct dvs_msg good = message(1);
	struct dvs_msg bad = message(DVS_TYPE_NOTIFY);
	uint32_t grant;
	void *window;
	size_t cap;

	GIVES(BADARG, m3_reply, me, to, NULL);
	GIVES(BADARG, m3_reply, me, to, &bad);
	GIVES(BADARG, m3_reply_data, me, to, &good, NULL, 1);
	GIVES(BADARG, m3_reply_call, me, to, 1, &bad, NULL, 0);
	GIVES(BADARG, m3_reply_call, me, to, 1, &good, NULL, 1);
	GIVES(BADARG, m3_relay, me, to, to, NULL);
	GIVES(BADARG, m3_relay, me, to, dvs_ep_any(), &good);
	GIVES(BADARG, m3_reply_window, me, to, NULL, &cap);
	GIVES(BADARG, m3_reply_window, me, to, &window, NULL);
	GIVES(BADARG, m3_delivered, me, NULL);
	GIVES(BADARG, m3_wakeup, me, dvs_ep_any());
	GIVES(BADARG, m3_grant, me, to, NULL, 1, M3_GRANT_READ, &grant);
	GIVES(BADARG, m3_grant, me, to, w, 1, 0, &grant);
	GIVES(BADARG, m3_grant, me, to, w, 1, 4, &grant);
	GIVES(BADARG, m3_grant, me, to, w, UINT64_MAX, M3_GRANT_READ, &grant);
	GIVES(BADARG, m3_grant, me, to, w, 1, M3_GRANT_READ, NULL);
	GIVES(NOGRANT, m3_revoke, me, 0);
	GIVES(BADARG, m3_copy, me, NULL, &mine, 1);
	GIVES(BADARG, m3_copy, me, &mine, NULL, 1);
	GIVES(BADARG, m3_copy, me, &mine, &nothing, 1);
	mine.owner = to;
	GIVES(BADARG, m3_copy, me, &mine, &mine, 1);
	dvk_unbind(me);
	world_end(w);
}

/* ---- arguments of dvk_* ---- */

TEST(arguments_of_bindings_are_checked)
{
	struct world *w = world_start();
	struct dvk *dvk = world_link(w);
	dvs_ep beyond = dvs_ep_of(DVS_EP_NUMBER_MAX + 1);
	char path[200];
	struct dvk *other;
	struct m3 *self;
	dvs_ep ep;

	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	GIVES(BADARG, dvk_open, w->control, NULL);
	GIVES(BADARG, dvk_open, path, &other);
	GIVES(BADARG, dvk_bind, NULL, dvs_ep_any(), DVK_LOCAL, &self);
	GIVES(BADARG, dvk_bind, dvk, dvs_ep_any(), DVK_LOCAL, NULL);
	GIVES(BADARG, dvk_bind, dvk, dvs_ep_any(), DVK_REMOTE, &self);
	GIVES(BADARG, dvk_bind, dvk, dvs_ep_any(), DVK_BACKUP, &self);
	GIVES(BADARG, dvk_bind, dvk, beyond, DVK_LOCAL, &self);
	GIVES(BADARG, dvk_bind_for, dvk, 0, dvs_ep_any(), DVK_LOCAL, &ep);
	GIVES(BADARG, dvk_bind_for, dvk, getpid(), beyond, DVK_LOCAL, &ep);
	GIVES(BADARG, dvk_bind_for, dvk, getpid(), dvs_ep_any(), DVK_REMOTE, &ep);
	GIVES(BADARG, dvk_bind_for, dvk, getpid(), dvs_ep_any(), DVK_LOCAL, NULL);
	GIVES(BADARG, dvk_wait_bound, dvk, 0, NULL);
	GIVES(BADARG, dvk_wait_bound, NULL, 0, &self);
	GIVES(BADARG, dvk_unbind_endpoint, dvk, beyond, 0);
	GIVES(BADARG, dvk_unbind_endpoint, NULL, dvs_ep_of(3), 0);
	GIVES(BADARG, dvk_wait_bind, dvk, dvs_ep_any(), 0, &ep);
	GIVES(BADARG, dvk_wait_bind, dvk, dvs_ep_of(3), DVS_TIMEOUT_MAX_MS + 1, &ep);
	GIVES(BADARG, dvk_wait_unbind, dvk, beyond, 0);
	GIVES(BADARG, dvk_endpoint_of, dvk, 0, &ep);
	GIVES(BADARG, dvk_endpoint_of, dvk, getpid(), NULL);
	dvk_unbind(NULL);
	saw("dvk_unbind", DVS_OK);
	dvk_close(NULL);
	saw("dvk_close", DVS_OK);
	world_end(w);
}

TEST(arguments_of_management_are_checked)
{
	struct world *w = world_start();
	struct dvk *dvk = world_link(w);
	struct dvk_privileges privileges = { .may = DVS_MAY_ALL + 1 };
	struct dvk_trace_record record;
	struct dvk_endpoint_info info;
	struct dvk_trace *trace;
	struct dvk_dc_info dc;
	uint64_t cursor = 0;

	GIVES(BADARG, dvk_privileges_get, dvk, dvs_ep_of(3), NULL);
	GIVES(BADARG, dvk_privileges_get, dvk, dvs_ep_any(), &privileges);
	GIVES(BADARG, dvk_privileges_set, dvk, dvs_ep_of(3), NULL);
	GIVES(BADARG, dvk_privileges_set, dvk, dvs_ep_of(3), &privileges);
	privileges = (struct dvk_privileges){ .n_call_to = DVS_RANGES_MAX + 1 };
	GIVES(BADARG, dvk_privileges_set, dvk, dvs_ep_of(3), &privileges);
	privileges = (struct dvk_privileges){ .n_call_to = 1, .call_to = { { 5, 4 } } };
	GIVES(BADARG, dvk_privileges_set, dvk, dvs_ep_of(3), &privileges);
	privileges.call_to[0].last = DVS_EP_NUMBER_MAX + 1;
	GIVES(BADARG, dvk_privileges_set, dvk, dvs_ep_of(3), &privileges);
	GIVES(BADARG, dvk_migrate_start, dvk, dvs_ep_any());
	GIVES(BADARG, dvk_migrate_commit, dvk, dvs_ep_of(3), 0, 0);
	GIVES(BADARG, dvk_migrate_commit, dvk, dvs_ep_any(), 1, 0);
	GIVES(BADARG, dvk_migrate_rollback, dvk, dvs_ep_any());
	GIVES(BADARG, dvk_promote, dvk, dvs_ep_any(), 0);
	GIVES(BADARG, dvk_promote, dvk, dvs_ep_of(3), -1);
	GIVES(BADARG, dvk_dvs_info, dvk, NULL);
	GIVES(BADARG, dvk_dc_info, dvk, NULL);
	GIVES(BADARG, dvk_endpoint_info, dvk, dvs_ep_of(3), NULL);
	GIVES(BADARG, dvk_endpoint_info, dvk, dvs_ep_any(), &info);
	GIVES(BADARG, dvk_endpoint_next, dvk, NULL, &info);
	GIVES(BADARG, dvk_endpoint_next, dvk, &cursor, NULL);
	GIVES(BADARG, dvk_trace_open, dvk, dvs_ep_of(3), NULL);
	GIVES(BADARG, dvk_trace_open, NULL, dvs_ep_of(3), &trace);
	GIVES(BADARG, dvk_trace_next, NULL, 0, &record, NULL);
	dvk_trace_close(NULL);
	GIVES(BADARG, dvk_dc_info, NULL, &dc);
	world_end(w);
}

TEST(arguments_of_dcs_are_checked)
{
	struct world *w = world_start();
	struct dvk *admin = world_admin(w);
	char name[DVS_NAME_MAX + 2];
	struct dvk *other;
	struct dvk_link_info far;
	struct dvk_dc_info info;
	uint32_t cursor = 0;
	dvs_dcid id;

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	GIVES(BADARG, dvk_admin_open, w->run_dir, NULL);
	GIVES(BADARG, dvk_dc_create, admin, NULL, 0, &id);
	GIVES(BADARG, dvk_dc_create, admin, name, 0, &id);
	GIVES(BADARG, dvk_dc_create, admin, "", 0, &id);
	GIVES(BADARG, dvk_dc_create, admin, ".x", 0, &id);
	GIVES(BADARG, dvk_dc_create, admin, "../x", 0, &id);
	GIVES(BADARG, dvk_dc_create, admin, "x y", 0, &id);
	GIVES(BADARG, dvk_dc_remove, admin, NULL, 0);
	GIVES(BADARG, dvk_dc_remove, admin, name, 0);
	GIVES(BADARG, dvk_dc_next, admin, NULL, &info);
	GIVES(BADARG, dvk_dc_next, admin, &cursor, NULL);
	GIVES(BADARG, dvk_link_next, admin, NULL, &far);
	GIVES(BADARG, dvk_link_next, admin, &cursor, NULL);
	GIVES(BADARG, dvk_admin_enter, admin, NULL);
	GIVES(BADARG, dvk_admin_enter, world_link(w), "a");
	memset(name, '/', sizeof(name) - 1);
	GIVES(NODVSD, dvk_admin_open, "/nowhere", &other);
	dvk_close(admin);
	world_end(w);
}

/* ---- no dvsd ---- */

static void try_manage(struct around *a)
{
	struct dvk_privileges privileges = { .may = 0 };
	struct dvk_endpoint_info endpoint;
	struct dvk_dvs_info dvs;
	struct dvk_dc_info dc;
	uint64_t cursor = 0;

	TRY(dvk_privileges_get, a->dvk, a->other, &privileges);
	TRY(dvk_privileges_set, a->dvk, a->other, &privileges);
	TRY(dvk_migrate_start, a->dvk, a->other);
	TRY(dvk_migrate_commit, a->dvk, a->other, 1, 0);
	TRY(dvk_migrate_commit_on, a->dvk, a->other, (dvs_nodeid){ 0 }, 1, 0);
	TRY(dvk_migrate_rollback, a->dvk, a->other);
	TRY(dvk_promote, a->dvk, a->other, 0);
	TRY(dvk_dvs_info, a->dvk, &dvs);
	TRY(dvk_dc_info, a->dvk, &dc);
	TRY(dvk_endpoint_info, a->dvk, a->other, &endpoint);
	TRY(dvk_endpoint_next, a->dvk, &cursor, &endpoint);
}

static void try_bindings(struct around *a)
{
	struct dvk_trace *trace;
	struct m3 *self;
	dvs_ep ep;

	TRY(dvk_bind, a->dvk, dvs_ep_any(), DVK_LOCAL, &self);
	TRY(dvk_bind_for, a->dvk, 1, dvs_ep_any(), DVK_LOCAL, &ep);
	TRY(dvk_unbind_endpoint, a->dvk, a->other, 0);
	TRY(dvk_wait_bind, a->dvk, a->other, 0, &ep);
	TRY(dvk_wait_unbind, a->dvk, a->other, DVS_FOREVER);
	TRY(dvk_endpoint_of, a->dvk, 1, &ep);
	TRY(dvk_trace_open, a->dvk, a->other, &trace);
}

static void try_dcs(struct around *a)
{
	struct dvk_node_digest digests[DVS_NODES_MAX];
	struct dvk_node_info node;
	struct dvk_link_info far;
	struct dvk_dc_info dc;
	uint32_t cursor = 0;
	dvs_dcid id;

	TRY(dvk_dc_create, a->admin, "b", getuid(), &id);
	TRY(dvk_dc_remove, a->admin, "b", 0);
	TRY(dvk_dc_next, a->admin, &cursor, &dc);
	TRY(dvk_link_next, a->admin, &cursor, &far);
	TRY(dvk_admin_enter, a->admin, "a");
	TRY(dvk_node_next, a->admin, &cursor, &node);
	TRY(dvk_node_drain, a->admin, (dvs_nodeid){ 0 }, 0, &cursor);
	TRY(dvk_node_remove, a->admin, (dvs_nodeid){ 9 });
	TRY(dvk_verify, a->admin, 100, digests, &cursor);
	TRY(dvk_watch, a->admin);
}

static void *try_admin_in_thread(void *around)
{
	try_dcs(around);
	return NULL;
}

static void try_asking(struct around *a)
{
	for (size_t i = 0; i < sizeof(asking) / sizeof(asking[0]); i++)
		asking[i](a);
}

/* The first call waits as long as it is told, the others see at once that nobody answers. */
TEST(no_dvsd_answers)
{
	struct world *w = world_start();
	struct actor *other = actor_bound(w, 0);
	struct m3 *me = world_bind(w);
	struct around a = { .self = me,
			    .dvk = world_link(w),
			    .admin = world_admin(w),
			    .other = other->ep,
			    .wanted = DVS_NODVSD };
	uint64_t start_ms;
	struct dvk *dvk;
	pthread_t thread;

	dvsd_kill(w);
	start_ms = now_ms();
	ck_assert_int_eq(pthread_create(&thread, NULL, try_admin_in_thread, &a), 0);
	try_bindings(&a);
	ck_assert_uint_ge(now_ms() - start_ms, DVK_ANSWER_MS - 100);
	try_manage(&a);
	try_asking(&a);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_uint_lt(now_ms() - start_ms, 2 * (uint64_t)DVK_ANSWER_MS);
	GIVES(NODVSD, dvk_open, w->control, &dvk);
	GIVES(NODVSD, dvk_admin_open, w->run_dir, &dvk);
	dvk_close(a.admin);
	dvk_unbind(me);
	actor_kill(w, other);
	world_end(w);
}

TEST(the_environment_names_the_sockets)
{
	struct world *w = world_start();
	struct dvk *dvk;

	(void)setenv("DVS_CONTROL", w->control, 1);
	GIVES(OK, dvk_open, NULL, &dvk);
	dvk_close(dvk);
	(void)setenv("DVS_CONTROL", "/nowhere/control", 1);
	GIVES(NODVSD, dvk_open, NULL, &dvk);
	(void)setenv("DVS_RUN_DIR", w->run_dir, 1);
	GIVES(OK, dvk_admin_open, NULL, &dvk);
	dvk_close(dvk);
	world_end(w);
}

TEST(arguments_of_nodes_are_checked)
{
	struct world *w = world_start();
	struct dvk *admin = world_admin(w);
	struct dvk_node_digest digests[DVS_NODES_MAX];
	const dvs_nodeid none = { DVS_NODES_MAX };
	struct dvk_node_info node;
	struct dvk_event event;
	uint32_t n = 0;

	GIVES(BADARG, dvk_node_next, admin, NULL, &node);
	GIVES(BADARG, dvk_node_next, admin, &n, NULL);
	GIVES(BADARG, dvk_node_drain, admin, none, 1, NULL);
	GIVES(BADARG, dvk_node_drain, NULL, (dvs_nodeid){ 0 }, 1, NULL);
	GIVES(BADARG, dvk_node_remove, admin, none);
	GIVES(BADARG, dvk_verify, admin, 0, NULL, &n);
	GIVES(BADARG, dvk_verify, admin, 0, digests, NULL);
	GIVES(BADARG, dvk_verify, admin, DVS_TIMEOUT_MAX_MS + 1, digests, &n);
	GIVES(BADARG, dvk_watch, NULL);
	GIVES(BADARG, dvk_event_next, admin, 0, NULL, NULL);
	GIVES(BADARG, dvk_event_next, admin, DVS_TIMEOUT_MAX_MS + 1, &event, NULL);
	GIVES(BADARG, dvk_migrate_commit_on, world_link(w), dvs_ep_of(3), none, 1, 0);
	GIVES(BADARG, dvk_migrate_commit_on, w->dvk, dvs_ep_of(3), (dvs_nodeid){ 0 }, 0, 0);
	dvk_close(admin);
	world_end(w);
}

CALLS_MAIN("args", arguments_of_nodes_are_checked, a_handle_is_of_no_use_to_other_threads,
	   a_handle_is_of_no_use_to_a_child, an_unbound_handle_is_of_no_use,
	   messages_and_timeouts_are_checked, answers_and_grants_are_checked,
	   arguments_of_bindings_are_checked, arguments_of_management_are_checked,
	   arguments_of_dcs_are_checked, no_dvsd_answers, the_environment_names_the_sockets)
