/* SPDX-License-Identifier: Apache-2.0 */
/* What is known about DVS, DCs and endpoints, the DCs themselves, and traces. */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dvs_fixture.h"

TEST(the_dvs_and_the_dc_describe_themselves)
{
	struct world *w = world_start();
	struct dvk *dvk = world_link(w);
	struct m3 *me = world_bind(w);
	struct actor *a = actor_bound(w, 5);
	struct dvk_dvs_info dvs;
	struct dvk_dc_info dc;

	GIVES(OK, m3_notify, me, a->ep, 1);
	GIVES(OK, dvk_dvs_info, dvk, &dvs);
	ck_assert_int_eq(dvs.dvsd_pid, w->dvsd);
	ck_assert_uint_eq(dvs.n_nodes, 1);
	ck_assert_uint_eq(dvs.n_dcs, 1);
	ck_assert_uint_eq(dvs.n_endpoints, 2);
	ck_assert_uint_eq(dvs.n_channels, 1);
	ck_assert_uint_gt(dvs.started_ns, 0);
	ck_assert_uint_gt(strlen(dvs.version), 0);
	GIVES(OK, dvk_dc_info, dvk, &dc);
	ck_assert_str_eq(dc.name, "a");
	ck_assert_uint_eq(dc.n_endpoints, 2);
	ck_assert_uint_eq(dc.n_channels, 1);
	ck_assert_uint_eq(dc.n_processes, 2);
	ck_assert_uint_eq(dc.owner_uid, getuid());
	dvk_unbind(me);
	world_end(w);
}

TEST(an_endpoint_is_described)
{
	struct world *w = world_start();
	struct dvk *dvk = world_link(w);
	struct m3 *me = world_bind(w);
	struct actor *server = actor_bound(w, 5);
	struct dvk_endpoint_info info;
	struct dvs_msg msg;
	uint8_t in[30];

	begin(server, serving(3));
	for (unsigned i = 0; i < 3; i++) {
		msg = message(1);
		msg.u64[6] = 0;
		pattern_fill(in, sizeof(in), 0);
		GIVES(OK, m3_call, me, server->ep, &msg, in, 20, in, sizeof(in), NULL, DVS_FOREVER);
	}
	ck_assert_int_eq(end(server)->err, DVS_OK);
	GIVES(OK, m3_notify, me, server->ep, 1);
	begin(server, receiving(dvs_ep_any()));
	ck_assert_int_eq(end(server)->err, DVS_OK);
	begin(server, receiving(m3_self(me)));
	await_activity_with(w, server->ep, DVK_RECEIVING, m3_self(me));
	GIVES(OK, dvk_endpoint_info, dvk, server->ep, &info);
	EQUAL_EP(info.ep, server->ep);
	ck_assert_int_eq(info.kind, DVK_LOCAL);
	ck_assert_int_eq(info.pid, server->pid);
	ck_assert_int_eq(info.tid, server->pid);
	ck_assert_int_eq(info.migrating, 0);
	ck_assert_uint_eq(info.n_backups, 0);
	ck_assert_uint_eq(info.n_channels, 1);
	ck_assert_uint_eq(info.messages_in, 3);
	ck_assert_uint_eq(info.messages_out, 3);
	ck_assert_uint_eq(info.bytes_in, 60);
	ck_assert_uint_eq(info.bytes_out, 90);
	ck_assert_uint_eq(info.notifies_in, 1);
	ck_assert_msg(strncmp(info.program, "calls-", 6) == 0, "%s", info.program);
	GIVES(NODEST, dvk_endpoint_info, dvk, dvs_ep_of(6), &info);
	dvk_unbind(me);
	world_end(w);
}

TEST(endpoints_are_listed_by_number)
{
	struct world *w = world_start();
	struct dvk *dvk = world_link(w);
	struct dvk_endpoint_info info;
	uint64_t cursor = 0;

	(void)actor_bound(w, 9);
	(void)actor_bound(w, 0);
	ck_assert_int_eq(play(actor_bound(w, 3), binding(dvs_ep_of(9), DVK_BACKUP))->err, DVS_OK);
	GIVES(OK, dvk_endpoint_next, dvk, &cursor, &info);
	ck_assert_uint_eq(dvs_ep_number(info.ep), 3);
	GIVES(OK, dvk_endpoint_next, dvk, &cursor, &info);
	ck_assert_uint_eq(dvs_ep_number(info.ep), 9);
	ck_assert_int_eq(info.kind, DVK_LOCAL);
	ck_assert_uint_eq(info.n_backups, 1);
	GIVES(OK, dvk_endpoint_next, dvk, &cursor, &info);
	ck_assert_uint_eq(dvs_ep_number(info.ep), 9);
	ck_assert_int_eq(info.kind, DVK_BACKUP);
	GIVES(OK, dvk_endpoint_next, dvk, &cursor, &info);
	ck_assert_uint_ge(dvs_ep_number(info.ep), DVS_EP_SERVERS);
	GIVES(NODEST, dvk_endpoint_next, dvk, &cursor, &info);
	cursor = UINT64_MAX;
	GIVES(NODEST, dvk_endpoint_next, dvk, &cursor, &info);
	world_end(w);
}

/* ---- DCs ---- */

TEST(dcs_are_made_listed_and_removed)
{
	struct world *w = world_start();
	struct dvk *admin = world_admin(w);
	struct dvk_link_info far;
	struct dvk_dc_info info;
	/* Only root can make one for another user. */
	uint32_t owner = getuid() == 0 ? 77 : getuid();
	uint32_t cursor = 0;
	dvs_dcid b;
	dvs_dcid again;

	GIVES(OK, dvk_dc_create, admin, "b-1_x.y", owner, &b);
	GIVES(EXISTS, dvk_dc_create, admin, "b-1_x.y", owner, &again);
	GIVES(EXISTS, dvk_dc_create, admin, "a", owner, NULL);
	GIVES(OK, dvk_dc_next, admin, &cursor, &info);
	ck_assert_str_eq(info.name, "a");
	GIVES(OK, dvk_dc_next, admin, &cursor, &info);
	ck_assert_str_eq(info.name, "b-1_x.y");
	ck_assert_uint_eq(info.id.n, b.n);
	ck_assert_uint_eq(info.owner_uid, owner);
	GIVES(NODC, dvk_dc_next, admin, &cursor, &info);
	cursor = 0;
	if (!w->far_dvsd)
		GIVES(NODEST, dvk_link_next, admin, &cursor, &far);
	GIVES(OK, dvk_dc_remove, admin, "b-1_x.y", 0);
	GIVES(NODC, dvk_dc_remove, admin, "b-1_x.y", 0);
	GIVES(OK, dvk_dc_create, admin, "b-1_x.y", owner, &again);
	ck_assert_uint_ne(again.n, b.n);
	dvk_close(admin);
	world_end(w);
}

TEST(dcs_run_out)
{
	struct world *w = world_start();
	struct dvk *admin = world_admin(w);
	dvs_err err = DVS_OK;
	unsigned n = 0;
	char name[16];

	for (; n < 5000 && !err; n++) {
		(void)snprintf(name, sizeof(name), "x%u", n);
		err = dvk_dc_create(admin, name, getuid(), NULL);
	}
	ck_assert_int_eq(err, DVS_FULL);
	saw("dvk_dc_create", DVS_FULL);
	ck_assert_uint_gt(n, 100);
	GIVES(OK, dvk_dc_remove, admin, "x7", 0);
	GIVES(OK, dvk_dc_create, admin, "y", getuid(), NULL);
	dvk_close(admin);
	world_end(w);
}

TEST(an_admin_enters_a_dc)
{
	struct world *w = world_start();
	struct actor *a = actor_bound(w, 5);
	struct dvk *admin = world_admin(w);
	struct dvk_endpoint_info info;
	struct dvk_dc_info dc;
	char control[96];
	uint64_t cursor = 0;

	world_add_dc(w, "b", control, sizeof(control));
	GIVES(NODC, dvk_admin_enter, admin, "c");
	GIVES(OK, dvk_admin_enter, admin, "a");
	GIVES(OK, dvk_dc_info, admin, &dc);
	ck_assert_str_eq(dc.name, "a");
	GIVES(OK, dvk_endpoint_next, admin, &cursor, &info);
	EQUAL_EP(info.ep, a->ep);
	GIVES(OK, dvk_admin_enter, admin, "b");
	cursor = 0;
	GIVES(NODEST, dvk_endpoint_next, admin, &cursor, &info);
	GIVES(OK, dvk_admin_enter, admin, "a");
	begin(a, receiving(dvs_ep_any()));
	GIVES(OK, dvk_unbind_endpoint, admin, a->ep, DVS_FOREVER);
	ck_assert_int_eq(end(a)->err, DVS_NOTBOUND);
	dvk_close(admin);
	world_end(w);
}

/* ---- traces ---- */

static void expect_record(struct dvk_trace *trace, const char *what, dvs_ep partner, uint32_t type,
			  uint32_t bytes)
{
	struct dvk_trace_record record;
	uint64_t lost = 0;

	GIVES(OK, dvk_trace_next, trace, PATIENCE_MS, &record, &lost);
	ck_assert_str_eq(record.what, what);
	EQUAL_EP(record.partner, partner);
	ck_assert_uint_eq(record.type, type);
	ck_assert_uint_eq(record.data_bytes, bytes);
	ck_assert_int_eq(record.result, DVS_OK);
	ck_assert_uint_gt(record.time_ns, 0);
	ck_assert_uint_eq(lost, 0);
}

TEST(a_trace_follows_the_messages)
{
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *a = actor_bound(w, 5);
	struct dvk_trace_record record;
	struct dvk_trace *trace;
	struct dvs_msg msg;

	GIVES(NODEST, dvk_trace_open, w->dvk, dvs_ep_of(6), &trace);
	GIVES(OK, dvk_trace_open, w->dvk, a->ep, &trace);
	GIVES(TIMEOUT, dvk_trace_next, trace, 0, &record, NULL);
	GIVES(TIMEOUT, dvk_trace_next, trace, 20, &record, NULL);
	begin(a, calling(m3_self(me), 3, 100, 50, 0));
	GIVES(OK, m3_receive_request, me, &msg, DVS_FOREVER);
	expect_record(trace, "call", m3_self(me), 3, 100);
	msg.type = 4;
	GIVES(OK, m3_reply_data, me, a->ep, &msg, &msg, 40);
	ck_assert_int_eq(end(a)->err, DVS_OK);
	expect_record(trace, "return", m3_self(me), 4, 40);
	begin(a, receiving(dvs_ep_any()));
	GIVES(OK, m3_send, me, a->ep, &msg, DVS_FOREVER);
	ck_assert_int_eq(end(a)->err, DVS_OK);
	expect_record(trace, "receive", m3_self(me), 4, 0);
	ck_assert_int_eq(play(a, notifying(m3_self(me), 1))->err, DVS_OK);
	expect_record(trace, "notify", m3_self(me), DVS_TYPE_NOTIFY, 0);
	GIVES(OK, m3_notify, me, a->ep, 1);
	ck_assert_int_eq(play(a, receiving(dvs_ep_any()))->err, DVS_OK);
	expect_record(trace, "notified", m3_self(me), DVS_TYPE_NOTIFY, 0);
	ck_assert_int_eq(play(a, unbinding())->err, DVS_OK);
	GIVES(PEERDEAD, dvk_trace_next, trace, DVS_FOREVER, &record, NULL);
	dvk_trace_close(trace);
	saw("dvk_trace_close", DVS_OK);
	dvk_unbind(me);
	world_end(w);
}

TEST(a_trace_that_is_not_read_counts_what_it_loses)
{
	enum { MANY = 10000 };
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *a = actor_bound(w, 5);
	struct dvk_trace_record record;
	struct dvk_trace *trace;
	struct dvs_msg msg;
	uint64_t lost = 0;
	uint64_t n = 0;

	GIVES(OK, dvk_trace_open, w->dvk, m3_self(me), &trace);
	for (unsigned i = 0; i < MANY; i++)
		ck_assert_int_eq(m3_notify(me, a->ep, 1), DVS_OK);
	while (dvk_trace_next(trace, 0, &record, &lost) == DVS_OK)
		n++;
	ck_assert_uint_gt(lost, 0);
	ck_assert_uint_eq(n + lost, MANY);
	dvk_trace_close(trace);
	/* The traced one goes on. */
	begin(a, sending(m3_self(me), 1));
	GIVES(OK, m3_receive, me, a->ep, &msg, DVS_FOREVER);
	ck_assert_int_eq(end(a)->err, DVS_OK);
	dvk_unbind(me);
	world_end(w);
}

/* With one node or two. */
TEST(nodes_are_listed_emptied_and_compared)
{
	struct world *w = world_start();
	struct dvk *admin = world_admin(w);
	struct dvk_node_digest digests[DVS_NODES_MAX];
	const dvs_nodeid none = { 61 };
	struct dvk_node_info self = { 0 };
	struct dvk_node_info node;
	uint32_t n_digests;
	uint32_t cursor = 0;
	uint32_t n = 0;

	while (dvk_node_next(admin, &cursor, &node) == DVS_OK) {
		saw("dvk_node_next", DVS_OK);
		ck_assert_int_eq(node.state, DVK_NODE_UP);
		if (node.is_self)
			self = node;
		n++;
	}
	ck_assert(self.is_self && self.is_quorate && !self.draining);
	ck_assert_uint_eq(self.n_endpoints, 0);
	GIVES(NODEST, dvk_node_next, admin, &cursor, &node);
	GIVES(OK, dvk_node_drain, admin, self.node, 1, &n_digests);
	ck_assert_uint_eq(n_digests, 0);
	cursor = self.node.n;
	GIVES(OK, dvk_node_next, admin, &cursor, &node);
	ck_assert(node.draining);
	GIVES(OK, dvk_node_drain, admin, self.node, 0, NULL);
	GIVES(NODEST, dvk_node_drain, admin, none, 1, NULL);
	GIVES(BADSTATE, dvk_node_remove, admin, self.node);
	GIVES(NODEST, dvk_node_remove, admin, none);
	GIVES(OK, dvk_verify, admin, PATIENCE_MS, digests, &n_digests);
	ck_assert_uint_eq(n_digests, n);
	for (uint32_t i = 0; i < n; i++) {
		ck_assert_uint_eq(digests[i].digest, digests[0].digest);
		ck_assert_uint_eq(digests[i].n_applied, digests[0].n_applied);
	}
	dvk_close(admin);
	world_end(w);
}

/* The next event that says WHAT. */
static struct dvk_event await_event(struct dvk *admin, const char *what)
{
	struct dvk_event event;

	do {
		GIVES(OK, dvk_event_next, admin, PATIENCE_MS, &event, NULL);
	} while (strcmp(event.what, what) != 0);
	return event;
}

TEST(what_happens_is_told)
{
	struct world *w = world_start();
	struct dvk *admin = world_admin(w);
	struct dvk_event event;
	struct actor *a;

	GIVES(OK, dvk_watch, admin);
	GIVES(TIMEOUT, dvk_event_next, admin, 0, &event, NULL);
	a = actor_bound(w, 5);
	event = await_event(admin, "bound");
	EQUAL_EP(event.ep, a->ep);
	ck_assert_str_eq(event.dc, "a");
	GIVES(OK, dvk_dc_create, admin, "b", getuid(), NULL);
	ck_assert_str_eq(await_event(admin, "dc.created").dc, "b");
	GIVES(OK, dvk_dc_remove, admin, "b", 0);
	ck_assert_str_eq(await_event(admin, "dc.removed").dc, "b");
	GIVES(OK, dvk_unbind_endpoint, world_link(w), a->ep, PATIENCE_MS);
	EQUAL_EP(await_event(admin, "unbound").ep, a->ep);
	dvk_close(admin);
	world_end(w);
}

CALLS_MAIN("info", nodes_are_listed_emptied_and_compared, what_happens_is_told,
	   the_dvs_and_the_dc_describe_themselves, an_endpoint_is_described,
	   endpoints_are_listed_by_number, dcs_are_made_listed_and_removed, dcs_run_out,
	   an_admin_enters_a_dc, a_trace_follows_the_messages,
	   a_trace_that_is_not_read_counts_what_it_loses)
