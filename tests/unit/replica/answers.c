/* SPDX-License-Identifier: Apache-2.0 */
/* What a primary takes of the answers of a backup that lies or is broken, and what it does not: of another view, of what was never sent, doubled, too long, of nobody that was asked, garbage. Such a
 * backup is put out; what is acknowledged to clients does not depend on what it says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "lone.h"
#include "unit.h"

#define BACKUP LONE_PRIMARY /* the node that the test is */
#define STREAM 7u
#define ANSWERS_MAX 16384u

/* Answers to words, as they come with an acknowledgement. */
struct said_bytes {
	uint8_t at[ANSWERS_MAX];
	size_t n;
};

struct write {
	struct replica_entry entry;
	uint32_t n_done;
	dvs_err err;
};

struct word {
	struct replica_word word;
	uint32_t n_done;
	dvs_err err;
	size_t n_answer;
};

static void said(struct said_bytes *bytes, uint8_t kind, uint64_t number, dvs_err err,
		 uint32_t n_told, size_t n)
{
	struct writer out = writer_over(bytes->at + bytes->n, sizeof(bytes->at) - bytes->n);

	replica_said_put(&out, &(struct replica_said){ .kind = kind,
						       .number = number,
						       .error = (uint32_t)err,
						       .bytes = n_told });
	ck_assert(writer_ok(&out));
	bytes->n += writer_len(&out);
	ck_assert_uint_le(bytes->n + n, sizeof(bytes->at));
	memset(bytes->at + bytes->n, 'a', n);
	bytes->n += n;
}

static void acknowledge_with(struct lone *lone, uint64_t applied, const struct said_bytes *bytes)
{
	struct dvs_msg reply = { .type = REPLICA_DELIVER };
	struct writer out = writer_over(reply.bytes + 4, sizeof(reply.bytes) - 4);

	replica_deliver_rep_encode(&out, &(struct replica_deliver_rep){ .epoch = lone->sent.epoch,
									.applied = applied });
	lone_reply(lone, DVS_OK, &reply, bytes ? bytes->at : NULL, bytes ? bytes->n : 0);
}

static void acknowledge(struct lone *lone, uint64_t applied)
{
	acknowledge_with(lone, applied, NULL);
}

static dvs_err join_as(struct lone *lone, uint32_t node)
{
	uint8_t payload[DVS_PAYLOAD_BYTES];
	struct writer out = writer_over(payload, sizeof(payload));
	struct lone_request *request;

	replica_join_req_encode(
		&out, &(struct replica_join_req){ .node = node, .ep = 77, .stream = STREAM });
	request = lone_ask(lone, REPLICA_JOIN, payload, writer_len(&out), "hello", 5);
	lone_turn(lone);
	ck_assert_uint_eq(request->n_answered, 1);
	return request->err;
}

/* The backup joins, and everything that was sent to it is answered. */
static struct lone *with_joiner(void)
{
	struct lone *lone = lone_open_primary();

	ck_assert_int_eq(join_as(lone, BACKUP), DVS_OK);
	ck_assert_uint_eq(lone->n_joined, 1);
	ck_assert_ptr_nonnull(lone->call);
	ck_assert_uint_eq(lone->sent.stream, STREAM);
	acknowledge(lone, 0);
	ck_assert_uint_eq(lone->n_left, 0);
	return lone;
}

/* And is a member of the view. */
static struct lone *with_member(void)
{
	struct lone *lone = with_joiner();
	struct said_bytes taken = { .n = 0 };

	replica_is_current(lone->replica, (dvs_nodeid){ BACKUP });
	lone_turn(lone);
	ck_assert_ptr_nonnull(lone->call);
	said(&taken, 1, 1, DVS_OK, 0, 0);
	acknowledge_with(lone, 0, &taken);
	ck_assert_uint_eq(lone->view.members, 1u << BACKUP | 1u << LONE_NODE);
	return lone;
}

static void write_done(struct replica_entry *entry, dvs_err err)
{
	struct write *write = CONTAINER_OF(entry, struct write, entry);

	write->n_done++;
	write->err = err;
}

/* Carried out here. */
static void submit(struct lone *lone, struct write *write)
{
	write->entry.done = write_done;
	write->entry.data = "data";
	write->entry.bytes = 4;
	replica_submit(lone->replica, &write->entry);
	lone_turn(lone);
	lone_apply(lone, DVS_OK);
	lone_turn(lone);
}

static void word_done(struct replica_word *replica_word, dvs_err err, const void *answer, size_t n)
{
	struct word *word = CONTAINER_OF(replica_word, struct word, word);

	(void)answer;
	word->n_done++;
	word->err = err;
	word->n_answer = n;
}

static void ask(struct lone *lone, struct word *word)
{
	word->word.done = word_done;
	word->word.head_bytes = 1;
	replica_tell(lone->replica, (dvs_nodeid){ BACKUP }, &word->word);
	lone_turn(lone);
	ck_assert_ptr_nonnull(lone->call);
}

static void is_out(const struct lone *lone)
{
	ck_assert_ptr_null(lone->call);
	ck_assert_uint_eq(lone->n_left, 1);
	ck_assert_uint_eq(lone->view.members, 1u << LONE_NODE);
	ck_assert_int_eq(lone->role, REPLICA_PRIMARY);
}

TEST(a_write_is_done_when_the_member_says_so)
{
	struct lone *lone = with_member();
	struct write write = { .n_done = 0 };

	submit(lone, &write);
	ck_assert_uint_eq(write.n_done, 0);
	acknowledge(lone, write.entry.sequence);
	ck_assert_uint_eq(write.n_done, 1);
	ck_assert_int_eq(write.err, DVS_OK);
	lone_close(lone);
}
END_TEST

TEST(who_joins_is_not_waited_for)
{
	struct lone *lone = with_joiner();
	struct write write = { .n_done = 0 };

	submit(lone, &write);
	ck_assert_uint_eq(write.n_done, 1);
	acknowledge(lone, UINT64_MAX);
	is_out(lone);
	lone_close(lone);
}
END_TEST

/* The second one waits behind the call that carries the first. */
TEST(what_was_not_sent_cannot_be_acknowledged)
{
	struct lone *lone = with_member();
	struct write first = { .n_done = 0 };
	struct write second = { .n_done = 0 };

	submit(lone, &first);
	submit(lone, &second);
	acknowledge(lone, second.entry.sequence);
	/* Both are done, for it is put out: not for what it has said. */
	is_out(lone);
	ck_assert_uint_eq(first.n_done, 1);
	ck_assert_uint_eq(second.n_done, 1);
	lone_close(lone);
}
END_TEST

TEST(what_is_not_there_yet_cannot_be_acknowledged)
{
	static const uint64_t beyond[] = { 2, 1000, UINT64_MAX };

	for (size_t i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++) {
		struct lone *lone = with_member();
		struct write write = { .n_done = 0 };

		submit(lone, &write);
		ck_assert_uint_eq(write.entry.sequence, 1);
		acknowledge(lone, beyond[i]);
		is_out(lone);
		ck_assert_uint_eq(write.n_done, 1);
		lone_close(lone);
	}
}
END_TEST

TEST(an_acknowledgement_does_not_go_back)
{
	struct lone *lone = with_member();
	struct write first = { .n_done = 0 };
	struct write second = { .n_done = 0 };
	struct write third = { .n_done = 0 };

	submit(lone, &first);
	acknowledge(lone, 1);
	submit(lone, &second);
	/* Doubled, then older: nothing new. */
	acknowledge(lone, 1);
	ck_assert_uint_eq(second.n_done, 0);
	submit(lone, &third);
	acknowledge(lone, 0);
	ck_assert_uint_eq(second.n_done + third.n_done, 0);
	acknowledge(lone, 3);
	ck_assert_uint_eq(first.n_done, 1);
	ck_assert_uint_eq(second.n_done, 1);
	ck_assert_uint_eq(third.n_done, 1);
	ck_assert_uint_eq(lone->n_left, 0);
	lone_close(lone);
}
END_TEST

TEST(who_knows_another_view_is_put_out_and_the_record_is_read)
{
	struct lone *lone = with_member();
	struct write write = { .n_done = 0 };
	struct dvs_msg reply = { .type = REPLICA_DELIVER };
	uint32_t n_read = lone->n_read;

	submit(lone, &write);
	reply.u32[0] = DVS_BADSTATE;
	lone_reply(lone, DVS_OK, &reply, NULL, 0);
	ck_assert_uint_gt(lone->n_read, n_read);
	is_out(lone);
	ck_assert_uint_eq(write.n_done, 1);
	lone_close(lone);
}
END_TEST

/* Each of them is the answer to the one word that it was asked, 1 more than that of the table. */
enum { ASKED = 2 };

static void word_is_refused(const struct said_bytes *bytes)
{
	struct lone *lone = with_member();
	struct word word = { .n_done = 0 };

	ask(lone, &word);
	acknowledge_with(lone, 0, bytes);
	is_out(lone);
	ck_assert_uint_eq(word.n_done, 1);
	lone_close(lone);
}

TEST(a_word_is_answered_once)
{
	struct lone *lone = with_member();
	struct word word = { .n_done = 0 };
	struct said_bytes bytes = { .n = 0 };

	ask(lone, &word);
	said(&bytes, 1, ASKED, DVS_IO, 5, 5);
	acknowledge_with(lone, 0, &bytes);
	ck_assert_uint_eq(word.n_done, 1);
	ck_assert_int_eq(word.err, DVS_IO);
	ck_assert_uint_eq(word.n_answer, 5);
	ck_assert_uint_eq(lone->n_left, 0);
	/* Once more, with the next batch. */
	ask(lone, &(struct word){ .n_done = 0 });
	acknowledge_with(lone, 0, &bytes);
	ck_assert_uint_eq(word.n_done, 1);
	is_out(lone);
	lone_close(lone);
}
END_TEST

TEST(answers_that_nobody_asked_for_are_refused)
{
	static const uint64_t numbers[] = { 0, 1, ASKED + 1, UINT64_MAX };

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct said_bytes bytes = { .n = 0 };

		said(&bytes, 1, numbers[i], DVS_OK, 0, 0);
		word_is_refused(&bytes);
	}
}
END_TEST

TEST(answers_that_are_doubled_too_long_or_cut_are_refused)
{
	struct said_bytes bytes = { .n = 0 };

	said(&bytes, 1, ASKED, DVS_OK, 0, 0);
	said(&bytes, 1, ASKED, DVS_OK, 0, 0);
	word_is_refused(&bytes);
	bytes.n = 0;
	said(&bytes, 1, ASKED, DVS_OK, REPLICA_ANSWER_MAX + 1, REPLICA_ANSWER_MAX + 1);
	word_is_refused(&bytes);
	bytes.n = 0;
	said(&bytes, 1, ASKED, DVS_OK, 100, 99);
	word_is_refused(&bytes);
	bytes.n = 0;
	said(&bytes, 1, ASKED, DVS_OK, UINT32_MAX, 0);
	word_is_refused(&bytes);
	bytes.n = 0;
	said(&bytes, 1, ASKED, DVS_OK, 0, 0);
	bytes.n--;
	word_is_refused(&bytes);
	/* Of a kind that there is not. */
	bytes.n = 0;
	said(&bytes, 1, ASKED, DVS_OK, 0, 0);
	bytes.at[0] = 3;
	word_is_refused(&bytes);
}
END_TEST

TEST(nobody_can_say_that_its_stream_has_ended)
{
	struct lone *lone = with_member();
	struct word word = { .n_done = 0 };
	struct said_bytes bytes = { .n = 0 };

	ask(lone, &word);
	said(&bytes, 1, ASKED, DVS_NODEDOWN, 0, 0);
	acknowledge_with(lone, 0, &bytes);
	ck_assert_uint_eq(word.n_done, 1);
	ck_assert_int_eq(word.err, DVS_PROTO);
	ck_assert_uint_eq(lone->n_left, 0);
	lone_close(lone);
}
END_TEST

TEST(an_error_of_an_entry_that_there_is_not_is_refused)
{
	static const uint64_t numbers[] = { 0, 2, UINT64_MAX };

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct lone *lone = with_member();
		struct write write = { .n_done = 0 };
		struct said_bytes bytes = { .n = 0 };

		submit(lone, &write);
		said(&bytes, 2, numbers[i], DVS_IO, 0, 0);
		acknowledge_with(lone, 1, &bytes);
		is_out(lone);
		ck_assert_uint_eq(write.n_done, 1);
		ck_assert_int_eq(write.err, DVS_OK);
		lone_close(lone);
	}
}
END_TEST

TEST(an_answer_that_is_no_payload_is_refused)
{
	struct lone *lone = with_member();
	struct dvs_msg reply;
	struct write write = { .n_done = 0 };

	submit(lone, &write);
	memset(&reply, 0xff, sizeof(reply));
	reply.u32[0] = 0;
	lone_reply(lone, DVS_OK, &reply, NULL, 0);
	is_out(lone);
	ck_assert_uint_eq(write.n_done, 1);
	lone_close(lone);
}
END_TEST

/* For a client that asks again for it. */
TEST(what_is_under_way_is_found_until_it_is_done)
{
	struct lone *lone = with_member();
	struct write write = { .n_done = 0 };
	const dvs_ep client = { 500 };

	write.entry.client = client;
	write.entry.call = 9;
	submit(lone, &write);
	ck_assert_ptr_eq(replica_under_way(lone->replica, client, 9), &write.entry);
	ck_assert_ptr_null(replica_under_way(lone->replica, client, 8));
	ck_assert_ptr_null(replica_under_way(lone->replica, (dvs_ep){ 501 }, 9));
	ck_assert_ptr_null(replica_under_way(lone->replica, (dvs_ep){ 0 }, 0));
	acknowledge(lone, 1);
	ck_assert_uint_eq(write.n_done, 1);
	ck_assert_ptr_null(replica_under_way(lone->replica, client, 9));
	lone_close(lone);
}
END_TEST

TEST(whoever_is_no_replica_is_not_sent_anything)
{
	static const uint32_t nodes[] = { LONE_NODE, 3, DVS_NODES_MAX, UINT32_MAX };

	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
		struct lone *lone = lone_open_primary();

		ck_assert_int_ne(join_as(lone, nodes[i]), DVS_OK);
		ck_assert_ptr_null(lone->call);
		ck_assert_uint_eq(lone->n_joined, 0);
		lone_close(lone);
	}
}
END_TEST

TEST(garbage_hurts_nobody_else)
{
	uint64_t seed = clock_now_ns() % 1000000007;
	struct said_bytes bytes;

	(void)printf("# seed %llu\n", (unsigned long long)seed);
	srandom((unsigned)seed);
	for (uint32_t round = 0; round < 300; round++) {
		struct lone *lone = with_member();
		struct write write = { .n_done = 0 };
		struct word word = { .n_done = 0 };

		ask(lone, &word);
		submit(lone, &write);
		bytes.n = (size_t)random() % 100;
		for (size_t i = 0; i < bytes.n; i++)
			bytes.at[i] = random() % 3 ? (uint8_t)(random() % 4) : (uint8_t)random();
		acknowledge_with(lone, 0, &bytes);
		ck_assert_int_eq(lone->role, REPLICA_PRIMARY);
		ck_assert_uint_le(word.n_done, 1);
		if (lone->n_left == 1)
			ck_assert_uint_eq(write.n_done, 1);
		lone_close(lone);
		ck_assert_uint_eq(write.n_done, 1);
		ck_assert_uint_eq(word.n_done, 1);
	}
}
END_TEST

UNIT_MAIN("replica-answers", a_write_is_done_when_the_member_says_so, who_joins_is_not_waited_for,
	  what_was_not_sent_cannot_be_acknowledged, what_is_not_there_yet_cannot_be_acknowledged,
	  an_acknowledgement_does_not_go_back,
	  who_knows_another_view_is_put_out_and_the_record_is_read, a_word_is_answered_once,
	  answers_that_nobody_asked_for_are_refused,
	  answers_that_are_doubled_too_long_or_cut_are_refused,
	  nobody_can_say_that_its_stream_has_ended,
	  an_error_of_an_entry_that_there_is_not_is_refused,
	  an_answer_that_is_no_payload_is_refused, what_is_under_way_is_found_until_it_is_done,
	  whoever_is_no_replica_is_not_sent_anything, garbage_hurts_nobody_else)
