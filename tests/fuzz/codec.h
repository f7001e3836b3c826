/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a body of a protocol: no decoder reads past them, and what one accepts is encoded to the very same bytes again. The first four bytes say which
 * operation. To be included once, after CODEC_RECODE and CODEC_BYTES_MAX are defined for a service. */
#ifndef TESTS_FUZZ_CODEC_H
#define TESTS_FUZZ_CODEC_H

#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static void recode(uint32_t op, bool is_reply, const uint8_t *body, size_t len)
{
	uint8_t *buffer = malloc(CODEC_BYTES_MAX);
	struct writer out = writer_over(buffer, buffer ? CODEC_BYTES_MAX : 0);
	struct cursor in = cursor_over(body, len);

	if (buffer && CODEC_RECODE(op, is_reply, &in, &out) == DVS_OK) {
		if (!writer_ok(&out) || writer_len(&out) != len ||
		    (len > 0 && memcmp(buffer, body, len) != 0))
			abort();
	}
	free(buffer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor in = cursor_over(data, size);
	uint32_t op = cursor_u32(&in);

	if (in.failed)
		return 0;
	recode(op, false, in.at, cursor_left(&in));
	recode(op, true, in.at, cursor_left(&in));
	return 0;
}

#endif
