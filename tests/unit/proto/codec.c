/* SPDX-License-Identifier: Apache-2.0 */
/* What protogen generates, tried on a service that has every type. */
#include <string.h>

#include "proto/sample_proto.h"
#include "proto/sample_recode.h"
#include "unit.h"

static struct sample_mix_req mix_example(void)
{
	struct sample_mix_req mix = {
		.a = 0xf1,
		.b = 0xf1f2,
		.c = 0xf1f2f3f4,
		.d = UINT64_C(0xf1f2f3f4f5f6f7f8),
		.e = INT32_MIN,
		.f = -3,
		.name = "abcde",
		.n_blob = 2,
		.blob = { 0, 9 },
		.n_ids = 3,
		.ids = { 1, 2, UINT32_MAX },
		.n_names = 2,
		.names = { "x", "yz" },
		.path = { .label = "home", .n_steps = 1, .steps = { { 1, 2 } } },
		.n_paths = 300,
	};

	memset(mix.long_name, 'l', 300);
	for (uint32_t i = 0; i < mix.n_paths; i++)
		mix.paths[i] = mix.path;
	return mix;
}

static size_t mix_encode(uint8_t *buffer, size_t size, const struct sample_mix_req *mix)
{
	struct writer out = writer_over(buffer, size);

	sample_mix_req_encode(&out, mix);
	ck_assert(writer_ok(&out));
	return writer_len(&out);
}

TEST(a_body_comes_back_as_it_was_encoded)
{
	uint8_t buffer[SAMPLE_MIX_REQ_BYTES_MAX];
	struct sample_mix_req sent = mix_example();
	struct sample_mix_req got;
	struct cursor in = cursor_over(buffer, mix_encode(buffer, sizeof(buffer), &sent));

	ck_assert_int_eq(sample_mix_req_decode(&in, &got), DVS_OK);
	ck_assert_uint_eq(got.a, sent.a);
	ck_assert_uint_eq(got.b, sent.b);
	ck_assert_uint_eq(got.c, sent.c);
	ck_assert_uint_eq(got.d, sent.d);
	ck_assert_int_eq(got.e, sent.e);
	ck_assert_int_eq(got.f, sent.f);
	ck_assert_str_eq(got.name, sent.name);
	ck_assert_str_eq(got.long_name, sent.long_name);
	ck_assert_uint_eq(got.n_blob, 2);
	ck_assert_mem_eq(got.blob, sent.blob, sizeof(got.blob));
	ck_assert_uint_eq(got.n_ids, 3);
	ck_assert_mem_eq(got.ids, sent.ids, sizeof(got.ids));
	ck_assert_uint_eq(got.n_names, 2);
	ck_assert_str_eq(got.names[1], "yz");
	ck_assert_str_eq(got.path.label, "home");
	ck_assert_uint_eq(got.n_paths, 300);
	ck_assert_str_eq(got.paths[299].label, "home");
	ck_assert_uint_eq(got.paths[299].steps[0].last, 2);
}

TEST(every_shorter_body_is_refused)
{
	uint8_t buffer[SAMPLE_MIX_REQ_BYTES_MAX];
	struct sample_mix_req mix = mix_example();
	size_t len = mix_encode(buffer, sizeof(buffer), &mix);

	for (size_t shorter = 0; shorter < len; shorter++) {
		struct cursor in = cursor_over(buffer, shorter);

		ck_assert_int_eq(sample_mix_req_decode(&in, &mix), DVS_PROTO);
	}
}

TEST(left_over_bytes_are_refused)
{
	uint8_t buffer[SAMPLE_MIX_REQ_BYTES_MAX + 1] = { 0 };
	struct sample_mix_req mix = mix_example();
	size_t len = mix_encode(buffer, sizeof(buffer), &mix);
	struct cursor in = cursor_over(buffer, len + 1);

	ck_assert_int_eq(sample_mix_req_decode(&in, &mix), DVS_PROTO);
}

TEST(a_full_body_fits_its_bound)
{
	uint8_t buffer[SAMPLE_MIX_REQ_BYTES_MAX];
	struct sample_mix_req mix = mix_example();

	mix.n_blob = 4;
	strcpy(mix.names[0], "abc");
	strcpy(mix.names[1], "abc");
	strcpy(mix.path.label, "abcdefg");
	mix.path.n_steps = 2;
	for (uint32_t i = 0; i < mix.n_paths; i++)
		mix.paths[i] = mix.path;
	ck_assert_uint_eq(mix_encode(buffer, sizeof(buffer), &mix), SAMPLE_MIX_REQ_BYTES_MAX);
	ck_assert_uint_ge(SAMPLE_BODY_BYTES_MAX, SAMPLE_MIX_REQ_BYTES_MAX);
}

TEST(a_buffer_too_small_is_reported)
{
	uint8_t buffer[SAMPLE_MIX_REQ_BYTES_MAX];
	struct sample_mix_req mix = mix_example();
	struct writer out;

	out = writer_over(buffer, mix_encode(buffer, sizeof(buffer), &mix) - 1);
	sample_mix_req_encode(&out, &mix);
	ck_assert(!writer_ok(&out));
}

TEST(an_encoder_refuses_counts_above_their_bounds)
{
	uint8_t buffer[SAMPLE_MIX_REQ_BYTES_MAX];
	struct sample_mix_req mix = mix_example();
	struct writer out = writer_over(buffer, sizeof(buffer));

	mix.n_ids = 4;
	sample_mix_req_encode(&out, &mix);
	ck_assert(!writer_ok(&out));

	mix = mix_example();
	mix.n_blob = 5;
	out = writer_over(buffer, sizeof(buffer));
	sample_mix_req_encode(&out, &mix);
	ck_assert(!writer_ok(&out));

	mix = mix_example();
	memset(mix.name, 'x', sizeof(mix.name));
	out = writer_over(buffer, sizeof(buffer));
	sample_mix_req_encode(&out, &mix);
	ck_assert(!writer_ok(&out));
}

static struct sample_bounded_req bounded_example(void)
{
	return (struct sample_bounded_req){ .kind = 1,
					    .low = 9,
					    .high = 5,
					    .all = 255,
					    .level = -2,
					    .wide = INT64_MIN,
					    .n_each = 2,
					    .each = { 1, 2 } };
}

static bool bounded_is_encoded(const struct sample_bounded_req *req)
{
	uint8_t buffer[SAMPLE_BOUNDED_REQ_BYTES_MAX];
	struct writer out = writer_over(buffer, sizeof(buffer));

	sample_bounded_req_encode(&out, req);
	return writer_ok(&out);
}

TEST(an_encoder_refuses_values_out_of_range)
{
	struct sample_bounded_req req = bounded_example();

	ck_assert(bounded_is_encoded(&req));
	req.kind = 0;
	ck_assert(!bounded_is_encoded(&req));
	req = bounded_example();
	req.low = 10;
	ck_assert(!bounded_is_encoded(&req));
	req = bounded_example();
	req.high = 4;
	ck_assert(!bounded_is_encoded(&req));
	req = bounded_example();
	req.level = 3;
	ck_assert(!bounded_is_encoded(&req));
	req = bounded_example();
	req.wide = 0;
	ck_assert(!bounded_is_encoded(&req));
	req = bounded_example();
	req.each[1] = 3;
	ck_assert(!bounded_is_encoded(&req));
}

TEST(a_decoder_refuses_values_out_of_range)
{
	uint8_t buffer[SAMPLE_BOUNDED_REQ_BYTES_MAX];
	struct sample_bounded_req req = bounded_example();
	struct writer out = writer_over(buffer, sizeof(buffer));
	struct cursor in;

	sample_bounded_req_encode(&out, &req);
	in = cursor_over(buffer, writer_len(&out));
	ck_assert_int_eq(sample_bounded_req_decode(&in, &req), DVS_OK);
	buffer[0] = 4; /* kind */
	in = cursor_over(buffer, writer_len(&out));
	ck_assert_int_eq(sample_bounded_req_decode(&in, &req), DVS_PROTO);
	buffer[0] = 3;
	buffer[writer_len(&out) - 1] = 0; /* the last of each */
	in = cursor_over(buffer, writer_len(&out));
	ck_assert_int_eq(sample_bounded_req_decode(&in, &req), DVS_PROTO);
}

TEST(an_empty_body_wants_no_bytes)
{
	struct sample_mix_rep rep;
	struct cursor in = cursor_over(NULL, 0);

	ck_assert_int_eq(sample_mix_rep_decode(&in, &rep), DVS_OK);
	in = cursor_over("x", 1);
	ck_assert_int_eq(sample_mix_rep_decode(&in, &rep), DVS_PROTO);
}

TEST(operations_have_names_and_permissions)
{
	ck_assert_str_eq(sample_op_name(SAMPLE_MIX), "mix");
	ck_assert_str_eq(sample_op_name(4), "unknown");
	ck_assert_int_eq(sample_op_allow(SAMPLE_MIX), SAMPLE_ALLOW_MANAGER);
	ck_assert_int_eq(sample_op_allow(SAMPLE_BOUNDED), SAMPLE_ALLOW_ANY);
	ck_assert_int_eq(sample_op_allow(SAMPLE_CHANGED), SAMPLE_ALLOW_NOBODY);
	ck_assert_int_eq(sample_op_allow(0), SAMPLE_ALLOW_NOBODY);
	ck_assert_ptr_null(sample_op_find(UINT32_MAX));
	ck_assert(sample_op_find(SAMPLE_CHANGED)->is_event);
	ck_assert(!sample_op_find(SAMPLE_MIX)->is_event);
	ck_assert_int_eq(SAMPLE_VERSION, 7);
}

TEST(recoding_refuses_what_does_not_exist)
{
	uint8_t buffer[SAMPLE_BODY_BYTES_MAX];
	struct writer out = writer_over(buffer, sizeof(buffer));
	struct cursor in = cursor_over("\1\2\3\4\5\6\7\10", 8);

	ck_assert_int_eq(sample_recode(SAMPLE_CHANGED, false, &in, &out), DVS_OK);
	ck_assert_mem_eq(buffer, "\1\2\3\4\5\6\7\10", 8);
	in = cursor_over("\1\2\3\4\5\6\7\10", 8);
	ck_assert_int_eq(sample_recode(SAMPLE_CHANGED, true, &in, &out), DVS_PROTO);
	ck_assert_int_eq(sample_recode(77, false, &in, &out), DVS_PROTO);
	ck_assert_uint_eq(sample_recode_op_at(2), SAMPLE_CHANGED);
	ck_assert_uint_eq(sample_recode_op_at(3), 0);
}

UNIT_MAIN("proto-codec", a_body_comes_back_as_it_was_encoded, every_shorter_body_is_refused,
	  left_over_bytes_are_refused, a_full_body_fits_its_bound, a_buffer_too_small_is_reported,
	  an_encoder_refuses_counts_above_their_bounds, an_encoder_refuses_values_out_of_range,
	  a_decoder_refuses_values_out_of_range, an_empty_body_wants_no_bytes,
	  operations_have_names_and_permissions, recoding_refuses_what_does_not_exist)
