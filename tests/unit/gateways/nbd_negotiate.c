/* SPDX-License-Identifier: Apache-2.0 */
#include "gateways/nbd/negotiate.h"

#include <string.h>

#include "unit.h"

#define ACK 1u
#define SERVER 2u
#define INFO 3u
#define META 4u
#define ERR_UNSUP 0x80000001u
#define ERR_POLICY 0x80000002u
#define ERR_INVALID 0x80000003u
#define ERR_TLS_REQD 0x80000005u
#define ERR_UNKNOWN 0x80000006u
#define ERR_TOO_BIG 0x80000009u

/* A client: what it has said and what it was answered. */
struct talk {
	struct negotiation negotiation;
	uint8_t said[NBD_OPTION_HEAD_BYTES + 70000];
	size_t n_said;
	size_t at; /* of the answers */
	enum negotiation_step step;
	size_t used;
};

static dvs_err list(void *context, struct nbd_names *names)
{
	(void)context;
	memcpy(names->name[names->n++], "one", 4);
	memcpy(names->name[names->n++], "two@s", 6);
	return DVS_OK;
}

static dvs_err look(void *context, const char *name, struct nbd_info *info)
{
	(void)context;
	*info = (struct nbd_info){ .bytes = 1 << 20, .block_bytes = 65536 };
	if (strcmp(name, "away") == 0)
		return DVS_NODEST;
	info->is_read_only = strcmp(name, "two@s") == 0;
	memcpy(info->name, info->is_read_only ? "two@s" : "one", info->is_read_only ? 6 : 4);
	return strcmp(name, "one") == 0 || !name[0] || info->is_read_only ? DVS_OK : DVS_NOTFOUND;
}

static const struct negotiation_ops ops = { .list = list, .look = look };

static void feed(struct talk *talk)
{
	talk->step = negotiation_feed(&talk->negotiation, talk->said, talk->n_said, &talk->used);
	memmove(talk->said, talk->said + talk->used, talk->n_said - talk->used);
	talk->n_said -= talk->used;
}

static void say(struct talk *talk, const void *bytes, size_t len)
{
	ck_assert_uint_le(talk->n_said + len, sizeof(talk->said));
	memcpy(talk->said + talk->n_said, bytes, len);
	talk->n_said += len;
}

static void begin(struct talk *talk, uint32_t flags, enum negotiation_tls tls)
{
	uint8_t bytes[4] = { 0, 0, 0, (uint8_t)flags };

	memset(talk, 0, sizeof(*talk));
	negotiation_init(&talk->negotiation, &ops, NULL, tls);
	say(talk, bytes, sizeof(bytes));
	feed(talk);
}

static void head(struct talk *talk, uint32_t option, uint32_t bytes)
{
	uint8_t text[NBD_OPTION_HEAD_BYTES];
	struct writer writer = writer_over(text, sizeof(text));

	writer_bytes(&writer, "IHAVEOPT", 8);
	nbd_put_u32(&writer, option);
	nbd_put_u32(&writer, bytes);
	say(talk, text, sizeof(text));
}

/* Say OPTION with LEN bytes, and drop what was answered before. */
static void option(struct talk *talk, uint32_t number, const void *data, uint32_t len)
{
	talk->negotiation.out_bytes = 0;
	talk->at = 0;
	head(talk, number, len);
	if (len)
		say(talk, data, len);
	feed(talk);
}

/* The next answer; its data. */
static const uint8_t *answer(struct talk *talk, uint32_t number, uint32_t type, uint32_t *len)
{
	struct cursor in = cursor_over(talk->negotiation.out + talk->at,
				       talk->negotiation.out_bytes - talk->at);
	const uint8_t *data;

	ck_assert_uint_eq(nbd_get_u64(&in), UINT64_C(0x0003e889045565a9));
	ck_assert_uint_eq(nbd_get_u32(&in), number);
	ck_assert_uint_eq(nbd_get_u32(&in), type);
	*len = nbd_get_u32(&in);
	data = cursor_borrow(&in, *len);
	ck_assert_ptr_nonnull(data);
	talk->at += 20 + *len;
	return data;
}

static void only_answer(struct talk *talk, uint32_t number, uint32_t type)
{
	uint32_t len;

	(void)answer(talk, number, type, &len);
	ck_assert_uint_eq(talk->at, talk->negotiation.out_bytes);
	ck_assert_int_eq(talk->step, NEGOTIATION_MORE);
}

/* The data of an INFO or GO for NAME that asks for the canonical name. */
static uint32_t info_data(uint8_t *to, const char *name)
{
	struct writer writer = writer_over(to, 256);

	nbd_put_u32(&writer, (uint32_t)strlen(name));
	writer_bytes(&writer, name, strlen(name));
	nbd_put_u16(&writer, 1);
	nbd_put_u16(&writer, 1);
	return (uint32_t)writer_len(&writer);
}

static uint32_t context_data(uint8_t *to, const char *name, const char *query)
{
	struct writer writer = writer_over(to, 256);

	nbd_put_u32(&writer, (uint32_t)strlen(name));
	writer_bytes(&writer, name, strlen(name));
	nbd_put_u32(&writer, query ? 1 : 0);
	if (query) {
		nbd_put_u32(&writer, (uint32_t)strlen(query));
		writer_bytes(&writer, query, strlen(query));
	}
	return (uint32_t)writer_len(&writer);
}

TEST(the_greeting_is_that_of_fixed_newstyle)
{
	uint8_t greeting[NBD_GREETING_BYTES];

	negotiation_greet(greeting);
	ck_assert_mem_eq(greeting, "NBDMAGICIHAVEOPT\0\3", sizeof(greeting));
}

TEST(unknown_flags_of_the_client_end_it)
{
	struct talk talk;

	begin(&talk, 4, NEGOTIATION_NO_TLS);
	ck_assert_int_eq(talk.step, NEGOTIATION_END);
	begin(&talk, 3, NEGOTIATION_NO_TLS);
	ck_assert_int_eq(talk.step, NEGOTIATION_MORE);
	ck_assert_uint_eq(talk.used, 4);
}

TEST(units_are_taken_when_they_are_complete)
{
	struct talk talk;

	begin(&talk, 3, NEGOTIATION_NO_TLS);
	head(&talk, 3, 5);
	say(&talk, "abcd", 4);
	feed(&talk);
	ck_assert_uint_eq(talk.used, 0);
	ck_assert_int_eq(talk.step, NEGOTIATION_MORE);
	ck_assert_uint_eq(talk.negotiation.out_bytes, 0);
	say(&talk, "e", 1);
	feed(&talk);
	ck_assert_uint_eq(talk.used, NBD_OPTION_HEAD_BYTES + 5);
	only_answer(&talk, 3, ERR_INVALID);
	negotiation_free(&talk.negotiation);
}

TEST(something_else_than_an_option_ends_it)
{
	struct talk talk;

	begin(&talk, 3, NEGOTIATION_NO_TLS);
	say(&talk, "GET / HTTP/1.1\r\n\r\n", 18);
	feed(&talk);
	ck_assert_int_eq(talk.step, NEGOTIATION_END);
	negotiation_free(&talk.negotiation);
}

TEST(the_list_has_all_exports)
{
	struct talk talk;
	uint32_t len;

	begin(&talk, 3, NEGOTIATION_NO_TLS);
	option(&talk, 3, NULL, 0);
	ck_assert_mem_eq(answer(&talk, 3, SERVER, &len), "\0\0\0\3one", 7);
	ck_assert_mem_eq(answer(&talk, 3, SERVER, &len), "\0\0\0\5two@s", 9);
	only_answer(&talk, 3, ACK);
	negotiation_free(&talk.negotiation);
}

TEST(go_tells_size_flags_blocks_and_name)
{
	uint8_t data[256];
	struct talk talk;
	uint32_t len;

	begin(&talk, 3, NEGOTIATION_NO_TLS);
	option(&talk, 7, data, info_data(data, ""));
	ck_assert_mem_eq(answer(&talk, 7, INFO, &len), "\0\0\0\0\0\0\0\x10\0\0\x09\x6d", 12);
	ck_assert_mem_eq(answer(&talk, 7, INFO, &len), "\0\3\0\0\2\0\0\1\0\0\2\0\0\0", 14);
	ck_assert_mem_eq(answer(&talk, 7, INFO, &len), "\0\1one", 5);
	(void)answer(&talk, 7, ACK, &len);
	ck_assert_int_eq(talk.step, NEGOTIATION_TRANSMIT);
	ck_assert_uint_eq(talk.negotiation.rules.bytes, 1 << 20);
	ck_assert(!talk.negotiation.rules.is_structured && !talk.negotiation.rules.has_status);
	negotiation_free(&talk.negotiation);
}

TEST(info_goes_on_and_a_wrong_name_is_told)
{
	uint8_t data[256];
	struct talk talk;

	begin(&talk, 3, NEGOTIATION_NO_TLS);
	option(&talk, 6, data, info_data(data, "one"));
	ck_assert_int_eq(talk.step, NEGOTIATION_MORE);
	option(&talk, 7, data, info_data(data, "three"));
	only_answer(&talk, 7, ERR_UNKNOWN);
	option(&talk, 7, data, info_data(data, "away"));
	only_answer(&talk, 7, ERR_UNKNOWN);
	option(&talk, 7, data, info_data(data, "one") - 1);
	only_answer(&talk, 7, ERR_INVALID);
	negotiation_free(&talk.negotiation);
}

TEST(an_export_name_is_answered_with_zeroes_unless_agreed_otherwise)
{
	struct talk talk;

	begin(&talk, 1, NEGOTIATION_NO_TLS);
	option(&talk, 1, "two@s", 5);
	ck_assert_int_eq(talk.step, NEGOTIATION_TRANSMIT);
	ck_assert_uint_eq(talk.negotiation.out_bytes, 8 + 2 + 124);
	ck_assert(talk.negotiation.rules.is_read_only);
	negotiation_free(&talk.negotiation);
	begin(&talk, 3, NEGOTIATION_NO_TLS);
	option(&talk, 1, "one", 3);
	ck_assert_uint_eq(talk.negotiation.out_bytes, 8 + 2);
	negotiation_free(&talk.negotiation);
	begin(&talk, 3, NEGOTIATION_NO_TLS);
	option(&talk, 1, "three", 5);
	ck_assert_int_eq(talk.step, NEGOTIATION_END);
	negotiation_free(&talk.negotiation);
}

TEST(contexts_need_structured_replies_and_hold_for_their_export)
{
	uint8_t data[256];
	struct talk talk;
	uint32_t len;

	begin(&talk, 3, NEGOTIATION_NO_TLS);
	option(&talk, 10, data, context_data(data, "one", "base:allocation"));
	only_answer(&talk, 10, ERR_INVALID);
	option(&talk, 8, NULL, 0);
	only_answer(&talk, 8, ACK);
	option(&talk, 10, data, context_data(data, "one", "base:allocation"));
	ck_assert_mem_eq(answer(&talk, 10, META, &len), "\0\0\0\1base:allocation", 19);
	only_answer(&talk, 10, ACK);
	option(&talk, 7, data, info_data(data, "two@s"));
	ck_assert(talk.negotiation.rules.is_structured && !talk.negotiation.rules.has_status);
	option(&talk, 6, data, info_data(data, "one"));
	ck_assert(talk.negotiation.rules.has_status);
	option(&talk, 10, data, context_data(data, "one", "qemu:dirty-bitmap:x"));
	only_answer(&talk, 10, ACK);
	option(&talk, 6, data, info_data(data, "one"));
	ck_assert(!talk.negotiation.rules.has_status);
	negotiation_free(&talk.negotiation);
}

TEST(contexts_are_listed_by_wildcard_and_without_a_query)
{
	static const char *const queries[] = { NULL, "base:", "base:allocation" };
	uint8_t data[256];
	struct talk talk;
	uint32_t len;

	begin(&talk, 3, NEGOTIATION_NO_TLS);
	option(&talk, 8, NULL, 0);
	for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
		option(&talk, 9, data, context_data(data, "one", queries[i]));
		(void)answer(&talk, 9, META, &len);
		only_answer(&talk, 9, ACK);
	}
	option(&talk, 10, data, context_data(data, "one", "base:"));
	only_answer(&talk, 10, ACK);
	option(&talk, 9, data, context_data(data, "three", NULL));
	only_answer(&talk, 9, ERR_UNKNOWN);
	/* A query that is longer than the option. */
	option(&talk, 9, data, context_data(data, "one", "base:") - 1);
	only_answer(&talk, 9, ERR_INVALID);
	negotiation_free(&talk.negotiation);
}

TEST(nothing_is_told_before_tls_and_nothing_said_before_counts)
{
	uint8_t data[256];
	struct talk talk;

	begin(&talk, 3, NEGOTIATION_MUST_TLS);
	option(&talk, 3, NULL, 0);
	only_answer(&talk, 3, ERR_TLS_REQD);
	option(&talk, 7, data, info_data(data, "one"));
	only_answer(&talk, 7, ERR_TLS_REQD);
	option(&talk, 8, NULL, 0);
	only_answer(&talk, 8, ERR_TLS_REQD);
	option(&talk, 5, NULL, 0);
	ck_assert_int_eq(talk.step, NEGOTIATION_TLS);
	option(&talk, 5, NULL, 0);
	only_answer(&talk, 5, ERR_INVALID);
	option(&talk, 7, data, info_data(data, "one"));
	ck_assert_int_eq(talk.step, NEGOTIATION_TRANSMIT);
	negotiation_free(&talk.negotiation);
	begin(&talk, 3, NEGOTIATION_MUST_TLS);
	option(&talk, 1, "one", 3);
	ck_assert_int_eq(talk.step, NEGOTIATION_END);
	ck_assert_uint_eq(talk.negotiation.out_bytes, 0);
	negotiation_free(&talk.negotiation);
}

TEST(a_server_without_tls_says_so)
{
	struct talk talk;

	begin(&talk, 3, NEGOTIATION_NO_TLS);
	option(&talk, 5, NULL, 0);
	only_answer(&talk, 5, ERR_POLICY);
	negotiation_free(&talk.negotiation);
}

TEST(unknown_options_are_refused_and_long_ones_read_over)
{
	static uint8_t noise[60000];
	struct talk talk;

	begin(&talk, 3, NEGOTIATION_NO_TLS);
	option(&talk, 77, "abc", 3);
	only_answer(&talk, 77, ERR_UNSUP);
	option(&talk, 3, noise, sizeof(noise));
	only_answer(&talk, 3, ERR_TOO_BIG);
	while (talk.n_said > 0)
		feed(&talk);
	option(&talk, 2, NULL, 0);
	ck_assert_int_eq(talk.step, NEGOTIATION_END);
	ck_assert_uint_eq(talk.negotiation.out_bytes, 20);
	negotiation_free(&talk.negotiation);
	begin(&talk, 3, NEGOTIATION_NO_TLS);
	head(&talk, 3, UINT32_MAX);
	feed(&talk);
	ck_assert_int_eq(talk.step, NEGOTIATION_END);
	negotiation_free(&talk.negotiation);
}

TEST(a_client_that_never_decides_is_left)
{
	struct talk talk;
	uint32_t n = 0;

	begin(&talk, 3, NEGOTIATION_NO_TLS);
	while (talk.step == NEGOTIATION_MORE && n++ < 10 * NBD_OPTIONS_MAX)
		option(&talk, 77, NULL, 0);
	ck_assert_int_eq(talk.step, NEGOTIATION_END);
	ck_assert_uint_eq(n, NBD_OPTIONS_MAX + 1);
	negotiation_free(&talk.negotiation);
}

UNIT_MAIN("gateways-nbd-negotiate", the_greeting_is_that_of_fixed_newstyle,
	  unknown_flags_of_the_client_end_it, units_are_taken_when_they_are_complete,
	  something_else_than_an_option_ends_it, the_list_has_all_exports,
	  go_tells_size_flags_blocks_and_name, info_goes_on_and_a_wrong_name_is_told,
	  an_export_name_is_answered_with_zeroes_unless_agreed_otherwise,
	  contexts_need_structured_replies_and_hold_for_their_export,
	  contexts_are_listed_by_wildcard_and_without_a_query,
	  nothing_is_told_before_tls_and_nothing_said_before_counts, a_server_without_tls_says_so,
	  unknown_options_are_refused_and_long_ones_read_over, a_client_that_never_decides_is_left)
