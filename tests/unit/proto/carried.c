/* SPDX-License-Identifier: Apache-2.0 */
/* The two ends that protogen makes of a service whose messages are M3-IPC's, put together without M3-IPC: m3_call() hands what the client's end
 * made to the server's end, and the skeleton's answers are what the client's end gets. */
#include <string.h>

#include "client/vdd_calls.h"
#include "skeleton/vdd_serve.h"
#include "unit.h"

/* What crosses between the two ends. */
struct m3 {
	struct vdd_handlers handlers;
	struct skeleton_request request;
	struct dvs_msg reply;
	uint8_t reply_data[DVS_DATA_MAX];
	size_t reply_bytes;
	dvs_err served; /* what vdd_serve() gave */
	/* what the handlers saw */
	struct vdd_read_req read;
	struct vdd_snapshot_req snapshot;
	/* what is done to a reply on its way */
	void (*spoil)(struct m3 *m3);
};

void skeleton_answer_data(struct skeleton_request *request, dvs_err err, const void *payload,
			  size_t len, const void *data, size_t bytes)
{
	struct m3 *m3 = CONTAINER_OF(request, struct m3, request);

	ck_assert_uint_le(len, DVS_PAYLOAD_BYTES - 4);
	m3->reply.u32[0] = err;
	if (len)
		memcpy(m3->reply.bytes + 4, payload, len);
	if (bytes)
		memcpy(m3->reply_data, data, bytes);
	m3->reply_bytes = bytes;
}

void skeleton_answer(struct skeleton_request *request, dvs_err err, const void *payload, size_t len)
{
	skeleton_answer_data(request, err, payload, len, NULL, 0);
}

dvs_err m3_call(struct m3 *self, dvs_ep dst, struct dvs_msg *msg, const void *out, size_t out_len,
		void *in, size_t in_cap, size_t *in_len, uint32_t timeout_ms)
{
	ck_assert_uint_eq(dst.n, 300);
	ck_assert_uint_eq(timeout_ms, 1000);
	self->request = (struct skeleton_request){
		.op = msg->type, .data = out, .data_bytes = out_len, .reply_cap = in_cap
	};
	memcpy(self->request.payload, msg->bytes, sizeof(msg->bytes));
	memset(&self->reply, 0, sizeof(self->reply));
	self->reply_bytes = 0;
	self->served = vdd_serve(&self->handlers, self, &self->request);
	if (self->served)
		skeleton_answer(&self->request, self->served, NULL, 0);
	if (self->spoil)
		self->spoil(self);
	*msg = self->reply;
	ck_assert_uint_le(self->reply_bytes, in_cap);
	if (self->reply_bytes)
		memcpy(in, self->reply_data, self->reply_bytes);
	if (in_len)
		*in_len = self->reply_bytes;
	return DVS_OK;
}

static void serve_read(void *state, struct skeleton_request *request,
		       const struct vdd_read_req *req)
{
	struct m3 *m3 = state;

	m3->read = *req;
	if (req->minor == 9)
		vdd_read_answer(request, DVS_NOTFOUND, NULL);
	else
		vdd_read_answer_data(request, DVS_OK, NULL, "data of it", 10);
}

static void serve_geometry(void *state, struct skeleton_request *request,
			   const struct vdd_geometry_req *req)
{
	const struct vdd_geometry_rep rep = { .bytes = UINT64_C(1) << 44,
					      .block_bytes = 4096,
					      .flags = req->minor };

	(void)state;
	vdd_geometry_answer(request, DVS_OK, &rep);
}

static void serve_snapshot(void *state, struct skeleton_request *request,
			   const struct vdd_snapshot_req *req)
{
	struct m3 *m3 = state;

	m3->snapshot = *req;
	vdd_snapshot_answer(request, DVS_OK, &(struct vdd_snapshot_rep){ .minor = 7 });
}

static void serve_disks(void *state, struct skeleton_request *request,
			const struct vdd_disks_req *req)
{
	static struct vdd_disks_rep rep;

	(void)state;
	memset(&rep, 0, sizeof(rep));
	rep.n_disks = 64;
	for (uint32_t i = 0; i < rep.n_disks; i++) {
		rep.disks[i].minor = req->cursor + i;
		rep.disks[i].kind = 2;
		memset(rep.disks[i].name, 'x', sizeof(rep.disks[i].name) - 1);
	}
	vdd_disks_answer(request, DVS_OK, &rep);
}

static struct m3 *ends(void)
{
	static struct m3 m3;

	m3.handlers = (struct vdd_handlers){ .read = serve_read,
					     .geometry = serve_geometry,
					     .snapshot = serve_snapshot,
					     .disks = serve_disks };
	return &m3;
}

#define CALL(name, req, rep) \
	vdd_call_##name(m3, dvs_ep_of(300), req, rep, NULL, 0, NULL, 0, NULL, 1000)

static dvs_err read_into(struct m3 *m3, uint32_t minor, char data[16], size_t *bytes)
{
	const struct vdd_read_req req = {
		.minor = minor, .flags = 5, .offset = UINT64_C(0x123456789), .bytes = 16
	};

	return vdd_call_read(m3, dvs_ep_of(300), &req, NULL, NULL, 0, data, 16, bytes, 1000);
}

TEST(a_request_in_the_payload_arrives_and_data_comes_back)
{
	struct m3 *m3 = ends();
	char data[16];
	size_t bytes;

	ck_assert_int_eq(read_into(m3, 3, data, &bytes), DVS_OK);
	ck_assert_uint_eq(bytes, 10);
	ck_assert_mem_eq(data, "data of it", 10);
	ck_assert_uint_eq(m3->request.op, VDD_READ);
	ck_assert_uint_eq(m3->read.minor, 3);
	ck_assert_uint_eq(m3->read.flags, 5);
	ck_assert_uint_eq(m3->read.offset, UINT64_C(0x123456789));
	ck_assert_uint_eq(m3->read.bytes, 16);
}

TEST(an_error_of_the_server_is_the_result)
{
	struct m3 *m3 = ends();
	char data[16];
	size_t bytes;

	ck_assert_int_eq(read_into(m3, 9, data, &bytes), DVS_NOTFOUND);
	ck_assert_uint_eq(bytes, 0);
}

TEST(a_reply_in_the_payload_arrives)
{
	struct m3 *m3 = ends();
	struct vdd_geometry_rep rep;

	ck_assert_int_eq(CALL(geometry, &(struct vdd_geometry_req){ .minor = 2 }, &rep), DVS_OK);
	ck_assert_uint_eq(rep.bytes, UINT64_C(1) << 44);
	ck_assert_uint_eq(rep.block_bytes, 4096);
	ck_assert_uint_eq(rep.flags, 2);
	/* Who does not want it. */
	ck_assert_int_eq(CALL(geometry, &(struct vdd_geometry_req){ .minor = 2 }, NULL), DVS_OK);
}

TEST(bodies_as_data_arrive)
{
	static struct vdd_disks_rep disks;
	struct m3 *m3 = ends();
	struct vdd_snapshot_rep rep;
	const struct vdd_snapshot_req req = { .minor = 1, .name = "monday" };

	ck_assert_int_eq(vdd_call_snapshot(m3, dvs_ep_of(300), &req, &rep, 1000), DVS_OK);
	ck_assert_uint_eq(rep.minor, 7);
	ck_assert_str_eq(m3->snapshot.name, "monday");
	/* The largest that there is. */
	ck_assert_int_eq(vdd_call_disks(m3, dvs_ep_of(300), &(struct vdd_disks_req){ .cursor = 5 },
					&disks, 1000),
			 DVS_OK);
	ck_assert_uint_eq(disks.n_disks, 64);
	ck_assert_uint_eq(disks.disks[63].minor, 68);
}

TEST(an_operation_without_a_handler_is_refused)
{
	struct m3 *m3 = ends();

	ck_assert_int_eq(CALL(flush, &(struct vdd_flush_req){ .minor = 0 }, NULL), DVS_BADARG);
	ck_assert_int_eq(m3->served, DVS_BADARG);
	m3->request.op = 63;
	ck_assert_int_eq(vdd_serve(&m3->handlers, m3, &m3->request), DVS_BADARG);
	m3->request.op = UINT32_MAX;
	ck_assert_int_eq(vdd_serve(&m3->handlers, m3, &m3->request), DVS_BADARG);
}

TEST(operations_say_who_may_ask)
{
	ck_assert_int_eq(vdd_serve_allow(VDD_READ), SKELETON_USER);
	ck_assert_int_eq(vdd_serve_allow(VDD_RESIZE), SKELETON_MANAGER);
	ck_assert_int_eq(vdd_serve_allow(VDD_TUNE), SKELETON_MANAGER);
	ck_assert_int_eq(vdd_serve_allow(0), SKELETON_NOBODY);
	ck_assert_int_eq(vdd_serve_allow(12), SKELETON_NOBODY);
	ck_assert_int_eq(vdd_serve_allow(VDD_CLAIM + 1), SKELETON_NOBODY);
	ck_assert_int_eq(vdd_serve_allow(UINT32_MAX), SKELETON_NOBODY);
}

TEST(what_does_not_fit_the_protocol_is_not_sent)
{
	struct m3 *m3 = ends();
	struct vdd_snapshot_req req = { .minor = 1 };

	memset(req.name, 'x', sizeof(req.name));
	ck_assert_int_eq(vdd_call_snapshot(m3, dvs_ep_of(300), &req, NULL, 1000), DVS_BADARG);
	ck_assert_int_eq(CALL(batch, &(struct vdd_batch_req){ .count = 257 }, NULL), DVS_BADARG);
	ck_assert_uint_eq(m3->request.op, 0);
}

TEST(a_malformed_request_is_refused)
{
	struct m3 *m3 = ends();
	uint8_t body[VDD_SNAPSHOT_REQ_BYTES_MAX + 1] = { 0 };

	m3->request.op = VDD_READ;
	m3->request.payload[DVS_PAYLOAD_BYTES - 1] = 1; /* behind the body */
	ck_assert_int_eq(vdd_serve(&m3->handlers, m3, &m3->request), DVS_PROTO);
	m3->request.op = VDD_SNAPSHOT;
	m3->request.data = body;
	m3->request.data_bytes = 5; /* minor, and an empty name */
	ck_assert_int_eq(vdd_serve(&m3->handlers, m3, &m3->request), DVS_OK);
	m3->request.data_bytes = 4;
	ck_assert_int_eq(vdd_serve(&m3->handlers, m3, &m3->request), DVS_PROTO);
	m3->request.data_bytes = 6;
	ck_assert_int_eq(vdd_serve(&m3->handlers, m3, &m3->request), DVS_PROTO);
	m3->request.data_bytes = sizeof(body);
	ck_assert_int_eq(vdd_serve(&m3->handlers, m3, &m3->request), DVS_PROTO);
	m3->request.data = NULL;
	m3->request.data_bytes = 0;
	ck_assert_int_eq(vdd_serve(&m3->handlers, m3, &m3->request), DVS_PROTO);
}

static void spoil_error(struct m3 *m3)
{
	m3->reply.u32[0] = 1000;
}

static void spoil_rest(struct m3 *m3)
{
	m3->reply.bytes[DVS_PAYLOAD_BYTES - 1] = 1;
}

static void spoil_data(struct m3 *m3)
{
	m3->reply_bytes--;
}

TEST(a_malformed_reply_is_refused)
{
	struct m3 *m3 = ends();
	const struct vdd_geometry_req geometry = { .minor = 2 };
	const struct vdd_snapshot_req snapshot = { .minor = 1, .name = "monday" };
	struct vdd_geometry_rep rep;
	struct vdd_snapshot_rep made;

	m3->spoil = spoil_error;
	ck_assert_int_eq(CALL(geometry, &geometry, &rep), DVS_PROTO);
	m3->spoil = spoil_rest;
	ck_assert_int_eq(CALL(geometry, &geometry, &rep), DVS_PROTO);
	m3->spoil = spoil_data;
	ck_assert_int_eq(vdd_call_snapshot(m3, dvs_ep_of(300), &snapshot, &made, 1000), DVS_PROTO);
}

TEST(structs_stand_in_data_behind_one_another)
{
	uint8_t buffer[2 * VDD_ITEM_BYTES_MAX];
	struct writer out = writer_over(buffer, sizeof(buffer));
	const struct vdd_item items[2] = { { .kind = 1, .bytes = 512 },
					   { .kind = 2, .offset = UINT64_MAX } };
	struct vdd_item got;
	struct cursor in;

	vdd_item_put(&out, &items[0]);
	vdd_item_put(&out, &items[1]);
	ck_assert(writer_ok(&out));
	ck_assert_uint_eq(writer_len(&out), sizeof(buffer));
	in = cursor_over(buffer, sizeof(buffer));
	vdd_item_get(&in, &got);
	ck_assert_uint_eq(got.bytes, 512);
	vdd_item_get(&in, &got);
	ck_assert_uint_eq(got.offset, UINT64_MAX);
	ck_assert(cursor_done(&in));
}

UNIT_MAIN("proto-carried", a_request_in_the_payload_arrives_and_data_comes_back,
	  an_error_of_the_server_is_the_result, a_reply_in_the_payload_arrives,
	  bodies_as_data_arrive, an_operation_without_a_handler_is_refused,
	  operations_say_who_may_ask, what_does_not_fit_the_protocol_is_not_sent,
	  a_malformed_request_is_refused, a_malformed_reply_is_refused,
	  structs_stand_in_data_behind_one_another)
