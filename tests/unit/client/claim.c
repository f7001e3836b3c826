/* SPDX-License-Identifier: Apache-2.0 */
#include "client/claim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

static struct claim_holder holder(const char *token, uint32_t endpoint, bool is_shared)
{
	struct claim_holder holder = {
		.kind = CLAIM_FS,
		.about = "home",
		.node = 3,
		.ep = { endpoint },
		.is_shared = is_shared,
	};

	(void)snprintf(holder.token, sizeof(holder.token), "%s", token);
	return holder;
}

static bool only_even(void *context, dvs_ep ep)
{
	(void)context;
	return ep.n % 2 == 0;
}

static bool nobody(void *context, dvs_ep ep)
{
	(void)context;
	(void)ep;
	return false;
}

TEST(a_claim_that_nobody_has_is_empty)
{
	struct claim claim;

	ck_assert_int_eq(claim_parse("", 0, &claim), DVS_OK);
	ck_assert_uint_eq(claim.n, 0);
}
END_TEST

TEST(what_is_written_is_read_again)
{
	struct claim claim = { .number = 7,
			       .n = 2,
			       .holders = { holder("one", 0xfffff001, false),
					    holder("two", 7, true) } };
	struct claim again;
	char *text = NULL;

	ck_assert_int_eq(claim_print(&claim, &text), DVS_OK);
	ck_assert_int_eq(claim_parse(text, strlen(text), &again), DVS_OK);
	free(text);
	ck_assert_uint_eq(again.number, 7);
	ck_assert_uint_eq(again.n, 2);
	for (int i = 0; i < 2; i++) {
		ck_assert_str_eq(again.holders[i].token, claim.holders[i].token);
		ck_assert_uint_eq(again.holders[i].ep.n, claim.holders[i].ep.n);
		ck_assert_uint_eq(again.holders[i].node, 3);
		ck_assert_int_eq(again.holders[i].kind, CLAIM_FS);
		ck_assert_str_eq(again.holders[i].about, "home");
		ck_assert_int_eq(again.holders[i].is_shared, claim.holders[i].is_shared);
	}
}
END_TEST

TEST(what_is_no_claim_is_refused)
{
	static const char *const texts[] = {
		"x",
		"{}",
		"[]",
		"{\"holders\": 1}",
		"{\"holders\": [1]}",
		"{\"holders\": [{\"token\": \"a\", \"node\": 0}]}",
		"{\"holders\": [{\"token\": \"a\", \"node\": -1, \"endpoint\": 1}]}",
		"{\"holders\": [{\"token\": \"a\", \"node\": 1, \"endpoint\": 4294967296}]}",
		"{\"holders\": [{\"token\": 5, \"node\": 1, \"endpoint\": 1}]}",
		"{\"number\": -1, \"holders\": []}",
		"{\"holders\": [{\"token\": \"a\", \"node\": 1, \"endpoint\": 1, \"kind\": \"tape\"}]}",
		"{\"holders\": [{\"token\": \"a\", \"node\": 1, \"endpoint\": 1, \"kind\": 1}]}",
		"{\"holders\": [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}",
	};
	struct claim claim;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		ck_assert_msg(claim_parse(texts[i], strlen(texts[i]), &claim) == DVS_CORRUPT, "%s",
			      texts[i]);
}
END_TEST

TEST(one_holder_keeps_everybody_else_out)
{
	struct claim claim = { .n = 0 };
	struct claim_holder first = holder("first", 2, false);
	struct claim_holder second = holder("second", 4, false);
	struct claim_holder shared = holder("shared", 6, true);
	const struct claim_holder *other = NULL;

	ck_assert_int_eq(claim_add(&claim, &first, false, &other), DVS_OK);
	ck_assert_int_eq(claim_add(&claim, &second, false, &other), DVS_INUSE);
	ck_assert_str_eq(other->token, "first");
	ck_assert_int_eq(claim_add(&claim, &shared, false, &other), DVS_INUSE);
	claim_drop(&claim, "first");
	ck_assert(!claim_has(&claim, "first"));
	ck_assert_int_eq(claim_add(&claim, &second, false, &other), DVS_OK);
	ck_assert(claim_has(&claim, "second"));
}
END_TEST

TEST(those_that_share_have_it_together)
{
	struct claim claim = { .n = 0 };
	const struct claim_holder *other = NULL;
	struct claim_holder alone = holder("alone", 2, false);

	for (uint32_t i = 0; i < CLAIM_HOLDERS_MAX; i++) {
		char token[16];
		struct claim_holder shared;

		(void)snprintf(token, sizeof(token), "s%u", i);
		shared = holder(token, 2 * i, true);
		ck_assert_int_eq(claim_add(&claim, &shared, false, &other), DVS_OK);
	}
	ck_assert_int_eq(claim_add(&claim, &alone, false, &other), DVS_INUSE);
	alone.is_shared = true;
	ck_assert_int_eq(claim_add(&claim, &alone, false, &other), DVS_FULL);
}
END_TEST

TEST(what_died_holds_nothing)
{
	struct claim claim = { .n = 3,
			       .holders = { holder("a", 2, true), holder("b", 3, true),
					    holder("c", 4, true) } };

	claim_forget_dead(&claim, only_even, NULL);
	ck_assert_uint_eq(claim.n, 2);
	ck_assert_str_eq(claim.holders[0].token, "a");
	ck_assert_str_eq(claim.holders[1].token, "c");
}
END_TEST

TEST(a_holder_takes_it_again_with_a_new_endpoint)
{
	struct claim claim = { .n = 0 };
	struct claim_holder mine = holder("mine", 2, false);
	const struct claim_holder *other = NULL;

	ck_assert_int_eq(claim_add(&claim, &mine, false, &other), DVS_OK);
	mine.ep.n = 8;
	ck_assert_int_eq(claim_add(&claim, &mine, false, &other), DVS_OK);
	ck_assert_uint_eq(claim.n, 1);
	ck_assert_uint_eq(claim.holders[0].ep.n, 8);
}
END_TEST

TEST(a_number_rises_when_somebody_else_has_it)
{
	struct claim claim = { .number = 4 };
	struct claim_holder mine = holder("mine", 2, false);
	struct claim_holder one = holder("one", 4, true);
	struct claim_holder two = holder("two", 6, true);
	const struct claim_holder *other = NULL;

	ck_assert_int_eq(claim_add(&claim, &mine, false, &other), DVS_OK);
	ck_assert_uint_eq(claim.number, 5);
	/* The same once more, after it was cut off. */
	claim_forget_dead(&claim, nobody, NULL);
	ck_assert_int_eq(claim_add(&claim, &mine, true, &other), DVS_OK);
	ck_assert_uint_eq(claim.number, 5);
	/* One that takes over from it, under its name. */
	ck_assert_int_eq(claim_add(&claim, &mine, false, &other), DVS_OK);
	ck_assert_uint_eq(claim.number, 6);
	claim_drop(&claim, "mine");
	/* Those that share it do not keep each other out. */
	ck_assert_int_eq(claim_add(&claim, &one, false, &other), DVS_OK);
	ck_assert_int_eq(claim_add(&claim, &two, false, &other), DVS_OK);
	ck_assert_uint_eq(claim.number, 7);
}
END_TEST

TEST(a_record_of_a_former_version_is_read)
{
	static const char text[] =
		"{\"holders\":[{\"token\":\"t\",\"node\":1,\"endpoint\":9,\"shared\":true}]}";
	struct claim claim;

	ck_assert_int_eq(claim_parse(text, strlen(text), &claim), DVS_OK);
	ck_assert_uint_eq(claim.n, 1);
	ck_assert_uint_eq(claim.number, 0);
	ck_assert_int_eq(claim.holders[0].kind, CLAIM_DEVICE);
	ck_assert_str_eq(claim.holders[0].about, "");
}
END_TEST

TEST(who_has_it_is_told_with_what_to_do)
{
	struct claim_holder who = holder("t", 2, false);
	char why[CLAIM_WHY_MAX];

	claim_tell(&who, "web/data", why);
	ck_assert_ptr_nonnull(strstr(why, "file system home is on it, which node 3 serves"));
	who.kind = CLAIM_DEVICE;
	claim_tell(&who, "web/data", why);
	ck_assert_ptr_nonnull(strstr(why, "'dvs vol detach web/data'"));
	who.kind = CLAIM_NBD;
	claim_tell(&who, "web/data", why);
	ck_assert_ptr_nonnull(strstr(why, "clients of dvs-nbd at home on node 3"));
}
END_TEST

UNIT_MAIN("client-claim", a_claim_that_nobody_has_is_empty, what_is_written_is_read_again,
	  what_is_no_claim_is_refused, one_holder_keeps_everybody_else_out,
	  those_that_share_have_it_together, what_died_holds_nothing,
	  a_holder_takes_it_again_with_a_new_endpoint, a_number_rises_when_somebody_else_has_it,
	  a_record_of_a_former_version_is_read, who_has_it_is_told_with_what_to_do)
