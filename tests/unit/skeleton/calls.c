/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that the loop of a server makes itself: it serves meanwhile, and is told of each once, whatever becomes of it. The test's own endpoint is who is called. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "stand.h"

#define QUESTION 77u
#define BYTES 3000u

struct asked {
	struct skeleton_call call;
	struct stand *stand;
	dvs_ep to;
	dvs_err begun;
	/* what the server was told */
	atomic_uint n_over;
	dvs_err err;
	struct dvs_msg reply;
	size_t bytes;
	uint8_t data[BYTES];
};

static void over(struct skeleton_call *call, dvs_err err, const struct dvs_msg *reply,
		 const uint8_t *data, size_t bytes)
{
	struct asked *asked = CONTAINER_OF(call, struct asked, call);

	asked->n_over++;
	asked->err = err;
	asked->reply = *reply;
	asked->bytes = bytes;
	ck_assert_uint_le(bytes, BYTES);
	if (bytes)
		memcpy(asked->data, data, bytes);
	sem_post(&asked->stand->said);
}

static void ask(struct stand *stand)
{
	struct asked *asked = stand->context;
	struct dvs_msg msg = { .type = QUESTION, .u32 = { 1 + asked->n_over } };
	void *window;

	asked->stand = stand;
	asked->call.over = over;
	asked->begun = skeleton_call_window(stand->skeleton, asked->to, PATIENCE_MS, &window);
	if (asked->begun)
		return;
	memset(window, (int)(7 + asked->n_over), BYTES);
	asked->begun =
		skeleton_call(stand->skeleton, &asked->call, asked->to, &msg, window, BYTES, BYTES);
}

static void cancel(struct stand *stand)
{
	struct asked *asked = stand->context;

	skeleton_call_cancel(&asked->call);
}

static void forget(struct stand *stand)
{
	skeleton_forget(stand->skeleton, stand->service);
	dvk_unbind(stand->service);
	stand->service = NULL;
}

static struct stand *open_asking(struct asked *asked)
{
	struct stand *stand = stand_open(true);

	*asked = (struct asked){ .to = m3_self(stand->self) };
	stand->context = asked;
	return stand;
}

/* The server has asked SELF for the Nth time. */
static void take_question(struct m3 *self, uint32_t n)
{
	struct m3_delivery delivery;
	struct dvs_msg msg;

	ck_assert_int_eq(m3_receive(self, dvs_ep_of(SERVICE), &msg, PATIENCE_MS), DVS_OK);
	ck_assert_uint_eq(msg.type, QUESTION);
	ck_assert_uint_eq(msg.u32[0], n);
	ck_assert_int_eq(m3_delivered(self, &delivery), DVS_OK);
	ck_assert_uint_eq(delivery.data_bytes, BYTES);
	ck_assert_uint_eq(((const uint8_t *)delivery.data)[BYTES - 1], 6 + n);
}

static void answer(struct m3 *self, uint32_t n)
{
	struct dvs_msg msg = { .type = QUESTION, .u32 = { n } };
	uint8_t data[BYTES];

	memset(data, (int)n, sizeof(data));
	ck_assert_int_eq(m3_reply_data(self, dvs_ep_of(SERVICE), &msg, data, n), DVS_OK);
}

static void check_answer(const struct asked *asked, uint32_t n)
{
	ck_assert_uint_eq(asked->n_over, n);
	ck_assert_int_eq(asked->err, DVS_OK);
	ck_assert_uint_eq(asked->reply.u32[0], n);
	ck_assert_uint_eq(asked->bytes, n);
	ck_assert_uint_eq(asked->data[n - 1], n);
}

TEST(an_answer_wakes_the_loop)
{
	struct asked asked;
	struct stand *stand = open_asking(&asked);

	for (uint32_t n = 1; n <= 100; n++) {
		stand_run(stand, ask);
		ck_assert_int_eq(asked.begun, DVS_OK);
		take_question(stand->self, n);
		answer(stand->self, n);
		stand_hear(stand);
		check_answer(&asked, n);
	}
	stand_close(stand);
}

TEST(the_loop_serves_while_its_call_is_under_way)
{
	struct asked asked;
	struct stand *stand = open_asking(&asked);
	struct m3 *client;
	uint8_t in[512];
	size_t got;

	ck_assert_int_eq(dvk_bind(stand->dvk, dvs_ep_any(), DVK_LOCAL, &client), DVS_OK);
	stand_run(stand, ask);
	take_question(stand->self, 1);
	ck_assert_int_eq(vdd_call_read(client, dvs_ep_of(SERVICE),
				       &(struct vdd_read_req){ .bytes = sizeof(in) }, NULL, NULL, 0,
				       in, sizeof(in), &got, PATIENCE_MS),
			 DVS_OK);
	/* There is one cell for its calls to one partner. */
	stand_run(stand, ask);
	ck_assert_int_eq(asked.begun, DVS_BADSTATE);
	ck_assert_uint_eq(asked.n_over, 0);
	answer(stand->self, 1);
	stand_hear(stand);
	check_answer(&asked, 1);
	dvk_unbind(client);
	stand_close(stand);
}

TEST(a_call_ends_with_its_partner)
{
	struct asked asked;
	struct stand *stand = open_asking(&asked);
	struct m3 *other;

	ck_assert_int_eq(dvk_bind(stand->dvk, dvs_ep_any(), DVK_LOCAL, &other), DVS_OK);
	asked.to = m3_self(other);
	stand_run(stand, ask);
	ck_assert_int_eq(asked.begun, DVS_OK);
	dvk_unbind(other);
	stand_hear(stand);
	ck_assert_int_eq(asked.err, DVS_PEERDEAD);
	/* And there is none any more. */
	stand_run(stand, ask);
	ck_assert_int_eq(asked.begun, DVS_NODEST);
	stand_close(stand);
}

TEST(a_cancelled_call_is_not_told)
{
	struct asked asked;
	struct stand *stand = open_asking(&asked);

	/* Before it was received, and afterwards. */
	stand_run(stand, ask);
	stand_run(stand, cancel);
	stand_run(stand, ask);
	take_question(stand->self, 1);
	stand_run(stand, cancel);
	answer(stand->self, 9);
	stand_run(stand, cancel);
	stand_run(stand, ask);
	take_question(stand->self, 1);
	answer(stand->self, 1);
	stand_hear(stand);
	check_answer(&asked, 1);
	stand_close(stand);
}

TEST(a_call_of_a_forgotten_endpoint_is_over)
{
	struct asked asked;
	struct stand *stand = open_asking(&asked);

	stand_run(stand, ask);
	take_question(stand->self, 1);
	stand_run(stand, forget);
	stand_hear(stand);
	ck_assert_uint_eq(asked.n_over, 1);
	ck_assert_int_eq(asked.err, DVS_NOTBOUND);
	/* Now it listens on its own. */
	stand_run(stand, ask);
	ck_assert_int_eq(asked.begun, DVS_BADSTATE);
	stand_close(stand);
}

UNIT_MAIN_TIMEOUT("skeleton-calls", 60, an_answer_wakes_the_loop,
		  the_loop_serves_while_its_call_is_under_way, a_call_ends_with_its_partner,
		  a_cancelled_call_is_not_told, a_call_of_a_forgotten_endpoint_is_over)
