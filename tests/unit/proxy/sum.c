/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "proxy/sum.h"
#include "unit.h"

TEST(the_checksum_is_crc_32c)
{
	/* The check value that catalogues of checksums give for "123456789". */
	ck_assert_uint_eq(sum_crc32c(0, "123456789", 9), 0xe3069283);
	ck_assert_uint_eq(sum_crc32c_plain(0, "123456789", 9), 0xe3069283);
	ck_assert_uint_eq(sum_crc32c(sum_crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
}
END_TEST

TEST(the_processor_counts_as_the_plain_code_does)
{
	unsigned char bytes[100];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 37 + 11);
	for (size_t len = 0; len <= sizeof(bytes); len++)
		ck_assert_uint_eq(sum_crc32c(7, bytes, len), sum_crc32c_plain(7, bytes, len));
}
END_TEST

UNIT_MAIN("proxy-sum", the_checksum_is_crc_32c, the_processor_counts_as_the_plain_code_does)
