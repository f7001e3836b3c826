/* SPDX-License-Identifier: Apache-2.0 */
/* For each body of each real service, at every length and with random bytes: what a decoder
 * accepts, its encoder writes back as the very same bytes. */
#include <stdlib.h>
#include <string.h>

#include "proto/control_proto.h"
#include "proto/control_recode.h"
#include "unit.h"

enum { TRIES = 20000 };

static uint8_t *random_bytes(unsigned int *seed, size_t len)
{
	uint8_t *bytes = malloc(len + 1);

	ck_assert_ptr_nonnull(bytes);
	for (size_t i = 0; i < len; i++) {
		/* Small numbers are the interesting ones: counts, lengths, kinds. */
		int value = rand_r(seed);

		bytes[i] = (uint8_t)(value & 0x300 ? value & 3 : value);
	}
	return bytes;
}

static uint32_t random_op(unsigned int *seed)
{
	uint32_t n_ops = 0;

	while (control_recode_op_at(n_ops) != 0)
		n_ops++;
	ck_assert_uint_gt(n_ops, 0);
	return control_recode_op_at((uint32_t)rand_r(seed) % n_ops);
}

TEST(what_is_decoded_encodes_to_the_same_bytes)
{
	static uint8_t buffer[CONTROL_BODY_BYTES_MAX];
	unsigned int seed = 20260101;
	int n_accepted = 0;

	for (int i = 0; i < TRIES; i++) {
		uint32_t op = random_op(&seed);
		bool is_reply = rand_r(&seed) & 1;
		size_t len = (size_t)rand_r(&seed) % 64;
		uint8_t *bytes = random_bytes(&seed, len);
		struct cursor in = cursor_over(bytes, len);
		struct writer out = writer_over(buffer, sizeof(buffer));

		if (control_recode(op, is_reply, &in, &out) == DVS_OK) {
			n_accepted++;
			ck_assert(writer_ok(&out));
			ck_assert_uint_eq(writer_len(&out), len);
			ck_assert_mem_eq(buffer, bytes, len);
		}
		free(bytes);
	}
	ck_assert_int_gt(n_accepted, TRIES / 1000);
}

UNIT_MAIN_TIMEOUT("proto-recode", 30, what_is_decoded_encodes_to_the_same_bytes)
