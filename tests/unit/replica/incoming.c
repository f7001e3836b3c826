/* SPDX-License-Identifier: Apache-2.0 */
/* What a replica takes of the stream that comes, and what it does not: batches cut anywhere, doubled, out of order, of an old epoch, of no stream at all, items that are too large. */
#include <stdlib.h>
#include <string.h>

#include "lone.h"
#include "unit.h"

#define AFTER 41u /* entries that the primary had before */
#define ALL_MAX 4096u

/* Bytes of a stream. */
struct bytes {
	uint8_t at[ALL_MAX];
	size_t n;
};

static void item(struct bytes *bytes, uint8_t kind, uint64_t number, const char *data)
{
	struct writer out = writer_over(bytes->at + bytes->n, sizeof(bytes->at) - bytes->n);
	struct replica_item row = { .kind = kind,
				    .number = number,
				    .n_head = 3,
				    .head = "abc",
				    .bytes = (uint32_t)strlen(data) };

	replica_item_put(&out, &row);
	writer_bytes(&out, data, strlen(data));
	ck_assert(writer_ok(&out));
	bytes->n += writer_len(&out);
}

/* A head that is longer than any. */
static const uint8_t garbage[] = { 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 1 };

static struct bytes begun(void)
{
	struct bytes bytes = { .n = 0 };

	item(&bytes, ITEM_BEGIN, AFTER, "");
	return bytes;
}

static struct lone_request *send(struct lone *lone, uint64_t batch, const void *data, size_t n)
{
	struct replica_deliver_req req = lone_batch(lone, batch);
	struct lone_request *request = lone_deliver(lone, &req, data, n);

	lone_turn(lone);
	return request;
}

static struct lone_request *send_all(struct lone *lone, uint64_t batch, const struct bytes *bytes)
{
	return send(lone, batch, bytes->at, bytes->n);
}

/* A replica that joins, with N entries to carry out, in batch 1. */
static struct lone *joining(uint32_t n)
{
	struct lone *lone = lone_open();
	struct bytes bytes = begun();

	for (uint32_t i = 1; i <= n; i++)
		item(&bytes, ITEM_ENTRY, AFTER + i, "data");
	send_all(lone, 1, &bytes);
	ck_assert_int_eq(lone->role, REPLICA_JOINING);
	ck_assert_uint_eq(lone->n_entries, n);
	return lone;
}

static uint64_t applied_of(const struct lone_request *request)
{
	struct cursor in = cursor_over(request->payload, sizeof(request->payload));
	struct replica_deliver_rep rep;

	ck_assert_uint_eq(request->n_answered, 1);
	ck_assert_int_eq(request->err, DVS_OK);
	ck_assert_int_eq(replica_deliver_rep_decode_padded(&in, &rep), DVS_OK);
	return rep.applied;
}

static void refused(struct lone_request *request)
{
	ck_assert_uint_eq(request->n_answered, 1);
	ck_assert_int_eq(request->err, DVS_BADSTATE);
}

/* What is carried out once the stream is broken: nothing more. */
static void nothing_came_of_it(struct lone *lone, const struct lone_request *request,
			       uint32_t n_entries)
{
	ck_assert_uint_eq(request->n_answered, 1);
	ck_assert_int_ne(request->err, DVS_OK);
	ck_assert_uint_eq(lone->n_entries, n_entries);
	ck_assert_uint_eq(lone->n_heard, 0);
}

TEST(a_batch_is_answered_when_its_entries_were_carried_out)
{
	struct lone *lone = joining(2);
	const struct lone_request *request = lone->requests[0];

	ck_assert_uint_eq(lone->entries[0]->sequence, AFTER + 1);
	ck_assert_mem_eq(lone->entries[1]->data, "data", 4);
	ck_assert_mem_eq(lone->entries[1]->head, "abc", 3);
	ck_assert_uint_eq(request->n_answered, 0);
	lone_apply(lone, DVS_OK);
	lone_turn(lone);
	ck_assert_uint_eq(request->n_answered, 0);
	lone_apply(lone, DVS_OK);
	lone_turn(lone);
	ck_assert_uint_eq(applied_of(request), AFTER + 2);
	lone_close(lone);
}
END_TEST

TEST(items_may_be_cut_anywhere)
{
	struct lone *lone = lone_open();
	struct bytes bytes = begun();

	item(&bytes, ITEM_ENTRY, AFTER + 1, "one");
	item(&bytes, ITEM_ENTRY, AFTER + 2, "");
	item(&bytes, ITEM_ENTRY, AFTER + 3, "three");
	for (size_t i = 0; i < bytes.n; i++) {
		send(lone, i + 1, bytes.at + i, 1);
		lone_apply(lone, DVS_OK);
		lone_turn(lone);
		lone_forget(lone);
	}
	ck_assert_uint_eq(lone->n_applied, 3);
	ck_assert_uint_eq(replica_sequence(lone->replica), AFTER + 3);
	lone_close(lone);
}
END_TEST

TEST(batches_are_put_in_order)
{
	struct lone *lone = joining(0);
	struct bytes second = { .n = 0 };
	struct bytes third = { .n = 0 };

	item(&second, ITEM_ENTRY, AFTER + 1, "a");
	item(&third, ITEM_ENTRY, AFTER + 2, "b");
	send_all(lone, 3, &third);
	ck_assert_uint_eq(lone->n_entries, 0);
	send_all(lone, 2, &second);
	ck_assert_uint_eq(lone->n_entries, 2);
	ck_assert_uint_eq(lone->entries[0]->sequence, AFTER + 1);
	lone_close(lone);
}
END_TEST

TEST(a_batch_that_came_is_refused)
{
	struct lone *lone = joining(1);
	struct bytes bytes = begun();

	item(&bytes, ITEM_ENTRY, AFTER + 1, "data");
	refused(send_all(lone, 1, &bytes));
	ck_assert_uint_eq(lone->n_entries, 1);
	/* And one that is far ahead. */
	refused(send_all(lone, 100, &bytes));
	refused(send_all(lone, UINT64_MAX, &bytes));
	lone_close(lone);
}
END_TEST

TEST(another_stream_or_an_older_epoch_is_refused)
{
	struct lone *lone = joining(1);
	struct replica_deliver_req req = lone_batch(lone, 2);
	struct bytes bytes = { .n = 0 };

	item(&bytes, ITEM_ENTRY, AFTER + 2, "data");
	req.stream++;
	refused(lone_deliver(lone, &req, bytes.at, bytes.n));
	req.stream = 0;
	refused(lone_deliver(lone, &req, bytes.at, bytes.n));
	req = lone_batch(lone, 2);
	req.epoch--;
	refused(lone_deliver(lone, &req, bytes.at, bytes.n));
	req.node = DVS_NODES_MAX;
	ck_assert_int_eq(lone_deliver(lone, &req, bytes.at, bytes.n)->err, DVS_BADARG);
	ck_assert_uint_eq(lone->n_entries, 1);
	/* The stream itself is as it was. */
	send_all(lone, 2, &bytes);
	ck_assert_uint_eq(lone->n_entries, 2);
	lone_close(lone);
}
END_TEST

TEST(entries_that_are_doubled_or_missing_end_the_stream)
{
	static const uint32_t wrong[] = { AFTER, AFTER + 1, AFTER + 3, 0, UINT32_MAX };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct lone *lone = joining(1);
		struct bytes bytes = { .n = 0 };

		item(&bytes, ITEM_ENTRY, wrong[i], "data");
		item(&bytes, ITEM_WORD, 1, "word");
		nothing_came_of_it(lone, send_all(lone, 2, &bytes), 1);
		/* The former batch was not answered yet. */
		refused(lone->requests[0]);
		lone_close(lone);
	}
}
END_TEST

TEST(what_is_no_item_ends_the_stream)
{
	static const struct replica_item rows[] = {
		{ .kind = ITEM_ENTRY, .number = AFTER + 1, .bytes = DVS_DATA_MAX + 1 },
		{ .kind = ITEM_WORD, .number = 1, .bytes = UINT32_MAX },
		{ .kind = ITEM_BEGIN, .number = AFTER, .bytes = 1 },
		{ .kind = ITEM_TABLE, .number = 1, .bytes = DVS_DATA_MAX * 64 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct lone *lone = joining(0);
		uint8_t bytes[REPLICA_ITEM_BYTES_MAX];
		struct writer out = writer_over(bytes, sizeof(bytes));

		replica_item_put(&out, &rows[i]);
		nothing_came_of_it(lone, send(lone, 2, bytes, writer_len(&out)), 0);
		lone_close(lone);
	}
	/* No such kind; a head that is too long. */
	for (size_t i = 0; i < 2; i++) {
		struct lone *lone = joining(0);
		struct bytes bytes = { .n = 0 };

		item(&bytes, ITEM_ENTRY, AFTER + 1, "data");
		bytes.at[i == 0 ? 0 : 17] = 200;
		nothing_came_of_it(lone, send(lone, 2, bytes.at, ALL_MAX), 0);
		lone_close(lone);
	}
}
END_TEST

TEST(a_stream_that_ended_can_begin_anew)
{
	struct lone *lone = joining(1);
	struct bytes bytes = { .n = 0 };

	nothing_came_of_it(lone, send(lone, 2, garbage, sizeof(garbage)), 1);
	item(&bytes, ITEM_ENTRY, AFTER + 2, "data");
	send_all(lone, 1, &bytes);
	ck_assert_uint_eq(lone->n_entries, 2);
	lone_close(lone);
}
END_TEST

/* A sanitizer sees that it is freed. */
TEST(an_entry_that_the_owner_was_not_given_is_forgotten_at_the_end)
{
	struct lone *lone = joining(0);
	struct replica_deliver_req req = lone_batch(lone, 2);
	struct bytes bytes = { .n = 0 };

	item(&bytes, ITEM_ENTRY, AFTER + 1, "data");
	lone_deliver(lone, &req, bytes.at, bytes.n);
	ck_assert_uint_eq(lone->n_entries, 0);
	lone_close(lone);
}
END_TEST

TEST(a_word_waits_for_the_entries_before_it)
{
	struct lone *lone = joining(1);
	struct bytes bytes = { .n = 0 };
	struct lone_request *request;
	struct replica_said said;
	struct cursor in;

	item(&bytes, ITEM_WORD, 9, "word");
	item(&bytes, ITEM_ENTRY, AFTER + 2, "data");
	request = send_all(lone, 2, &bytes);
	ck_assert_uint_eq(lone->n_heard, 0);
	ck_assert_uint_eq(lone->n_entries, 1);
	lone_apply(lone, DVS_OK);
	lone_turn(lone);
	ck_assert_uint_eq(lone->n_heard, 1);
	ck_assert_mem_eq(lone->heard[0]->data, "word", 4);
	ck_assert_uint_eq(lone->heard[0]->from.n, LONE_PRIMARY);
	lone_answer(lone, DVS_RANGE, "ok", 2);
	lone_turn(lone);
	lone_apply(lone, DVS_OK);
	lone_turn(lone);
	ck_assert_uint_eq(applied_of(request), AFTER + 2);
	in = cursor_over(request->window, request->answer_bytes);
	replica_said_get(&in, &said);
	ck_assert_uint_eq(said.number, 9);
	ck_assert_uint_eq(said.error, (uint32_t)DVS_RANGE);
	ck_assert_uint_eq(said.bytes, 2);
	lone_close(lone);
}
END_TEST

/* The answer belongs to a stream that is no more, although its number is. */
TEST(a_word_of_a_stream_that_ended_is_answered_to_nobody)
{
	struct lone *lone = joining(0);
	struct bytes bytes = { .n = 0 };
	struct lone_request *request;

	item(&bytes, ITEM_WORD, 9, "word");
	send_all(lone, 2, &bytes);
	ck_assert_uint_eq(lone->n_heard, 1);
	send(lone, 3, garbage, sizeof(garbage));
	lone_forget(lone);
	send(lone, 1, NULL, 0);
	lone_answer(lone, DVS_OK, "ok", 2);
	lone_turn(lone);
	ck_assert_uint_eq(lone->replica->inbox.n_open, 0);
	/* Nothing is open: there is nothing to wait for. */
	request = send(lone, 2, NULL, 0);
	ck_assert_uint_eq(request->n_answered, 1);
	ck_assert_uint_eq(request->answer_bytes, 0);
	lone_close(lone);
}
END_TEST

static struct lone_request *view(struct lone *lone, uint64_t epoch, uint32_t node)
{
	uint8_t payload[DVS_PAYLOAD_BYTES];
	struct writer out = writer_over(payload, sizeof(payload));

	replica_view_req_encode(
		&out, &(struct replica_view_req){
			      .epoch = epoch, .stream = 500, .node = node, .ep = LONE_PRIMARY_EP });
	return lone_ask(lone, REPLICA_VIEW, payload, writer_len(&out), NULL, 0);
}

static struct lone_request *tail(struct lone *lone, uint64_t epoch, uint64_t from)
{
	uint8_t payload[DVS_PAYLOAD_BYTES];
	struct writer out = writer_over(payload, sizeof(payload));

	replica_tail_req_encode(&out, &(struct replica_tail_req){
					      .epoch = epoch, .after = AFTER + 1, .from = from });
	return lone_ask(lone, REPLICA_TAIL, payload, writer_len(&out), NULL, 0);
}

TEST(a_primary_of_an_older_epoch_or_of_no_node_is_refused)
{
	struct lone *lone = joining(0);

	refused(view(lone, LONE_EPOCH - 1, LONE_PRIMARY));
	refused(view(lone, LONE_EPOCH + 1, LONE_NODE));
	refused(view(lone, LONE_EPOCH + 1, DVS_NODES_MAX));
	refused(view(lone, LONE_EPOCH + 1, UINT32_MAX));
	ck_assert_uint_eq(replica_epoch(lone->replica), LONE_EPOCH);
	ck_assert_int_eq(view(lone, LONE_EPOCH + 1, LONE_PRIMARY)->err, DVS_OK);
	ck_assert_uint_eq(replica_epoch(lone->replica), LONE_EPOCH + 1);
	lone_close(lone);
}
END_TEST

TEST(the_tail_is_told_from_any_byte_on)
{
	struct lone *lone = joining(3);
	struct bytes bytes = { .n = 0 };

	item(&bytes, ITEM_ENTRY, AFTER + 2, "data");
	item(&bytes, ITEM_ENTRY, AFTER + 3, "data");
	refused(tail(lone, LONE_EPOCH, 0));
	ck_assert_int_eq(view(lone, LONE_EPOCH + 1, LONE_PRIMARY)->err, DVS_OK);
	lone_turn(lone);
	refused(tail(lone, LONE_EPOCH, 0));
	for (size_t from = 0; from <= bytes.n + 1; from++) {
		const struct lone_request *request = tail(lone, LONE_EPOCH + 1, from);
		size_t left = from < bytes.n ? bytes.n - from : 0;

		ck_assert_int_eq(request->err, DVS_OK);
		ck_assert_uint_eq(request->answer_bytes, left);
		if (left > 0)
			ck_assert_mem_eq(request->window, bytes.at + from, left);
		lone_forget(lone);
	}
	ck_assert_uint_eq(tail(lone, LONE_EPOCH + 1, UINT64_MAX)->answer_bytes, 0);
	lone_close(lone);
}
END_TEST

TEST(who_is_not_the_primary_is_not_joined)
{
	struct lone *lone = joining(0);
	uint8_t payload[DVS_PAYLOAD_BYTES];
	uint32_t nodes[] = { LONE_PRIMARY, LONE_NODE, DVS_NODES_MAX, UINT32_MAX };

	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
		struct writer out = writer_over(payload, sizeof(payload));

		replica_join_req_encode(
			&out, &(struct replica_join_req){ .node = nodes[i], .ep = 1, .stream = 7 });
		refused(lone_ask(lone, REPLICA_JOIN, payload, writer_len(&out), "hello", 5));
	}
	lone_close(lone);
}
END_TEST

UNIT_MAIN("replica-incoming", a_batch_is_answered_when_its_entries_were_carried_out,
	  items_may_be_cut_anywhere, batches_are_put_in_order, a_batch_that_came_is_refused,
	  another_stream_or_an_older_epoch_is_refused,
	  entries_that_are_doubled_or_missing_end_the_stream, what_is_no_item_ends_the_stream,
	  a_stream_that_ended_can_begin_anew,
	  an_entry_that_the_owner_was_not_given_is_forgotten_at_the_end,
	  a_word_waits_for_the_entries_before_it,
	  a_word_of_a_stream_that_ended_is_answered_to_nobody,
	  a_primary_of_an_older_epoch_or_of_no_node_is_refused, the_tail_is_told_from_any_byte_on,
	  who_is_not_the_primary_is_not_joined)
