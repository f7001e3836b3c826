/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/bench/internal.h"

#include "unit.h"

TEST(a_message_as_it_was_filled_is_good)
{
	struct bench_msg msg;

	bench_msg_fill(&msg, 3, BENCH_CALL, 17);
	ck_assert(bench_msg_check(&msg, 17));
	ck_assert_uint_eq(msg.client, 3);
}

TEST(a_message_of_another_call_is_bad)
{
	struct bench_msg msg;

	bench_msg_fill(&msg, 0, BENCH_CALL, 17);
	ck_assert(!bench_msg_check(&msg, 16));
	ck_assert(!bench_msg_check(&msg, 18));
}

TEST(a_change_in_any_word_is_seen)
{
	for (int i = 0; i < 6; i++) {
		struct bench_msg msg;

		bench_msg_fill(&msg, 0, BENCH_CALL, 17);
		msg.fill[i] ^= UINT64_C(1) << 63;
		ck_assert(!bench_msg_check(&msg, 17));
	}
}

TEST(data_is_the_same_for_the_same_seed_only)
{
	uint64_t request[32] = { 0 };

	bench_payload_fill(request, sizeof(request), 5);
	bench_payload_mark(request, sizeof(request), 9);
	ck_assert(bench_payload_check_all(request, sizeof(request), 5));
	ck_assert(!bench_payload_check_all(request, sizeof(request), 6));
	ck_assert(bench_payload_check(request, sizeof(request), 9));
	ck_assert(!bench_payload_check(request, sizeof(request), 10));
}

TEST(a_change_anywhere_in_the_data_is_seen)
{
	for (size_t i = 8; i < 31; i++) {
		uint64_t request[32] = { 0 };

		bench_payload_fill(request, sizeof(request), 5);
		request[i]++;
		ck_assert(!bench_payload_check_all(request, sizeof(request), 5));
	}
}

TEST(a_request_without_data_has_nothing_to_check)
{
	struct bench_msg msg;

	bench_msg_fill(&msg, 0, BENCH_CALL, 1);
	bench_payload_fill(&msg, sizeof(msg), 5);
	bench_payload_mark(&msg, sizeof(msg), 1);
	ck_assert(bench_msg_check(&msg, 1));
	ck_assert(bench_payload_check(&msg, sizeof(msg), 1));
	ck_assert(bench_payload_check_all(&msg, sizeof(msg), 5));
}

TEST(the_sum_has_every_word)
{
	uint64_t request[32];
	uint64_t sum = 0;

	for (unsigned i = 0; i < 32; i++) {
		request[i] = UINT64_C(1) << 62 | (uint64_t)i * i;
		sum += request[i];
	}
	ck_assert_uint_eq(bench_payload_sum(request, sizeof(request)), sum);
}

UNIT_MAIN("bench-message", a_message_as_it_was_filled_is_good, a_message_of_another_call_is_bad,
	  a_change_in_any_word_is_seen, data_is_the_same_for_the_same_seed_only,
	  a_change_anywhere_in_the_data_is_seen, a_request_without_data_has_nothing_to_check,
	  the_sum_has_every_word)
