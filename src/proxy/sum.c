/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/sum.h"

#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <sys/auxv.h>
#endif

#define POLYNOMIAL UINT32_C(0x82f63b78) /* its bits reversed */

uint32_t sum_crc32c_plain(uint32_t sum, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;
	uint32_t crc = ~sum;

	for (size_t i = 0; i < len; i++) {
		crc ^= at[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ POLYNOMIAL : crc >> 1;
	}
	return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t sum_by_processor(uint32_t sum, const uint8_t *at,
								   size_t len)
{
	uint64_t crc = (uint32_t)~sum;
	uint64_t word;

	for (; len >= sizeof(word); at += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		crc = _mm_crc32_u64(crc, word);
	}
	for (; len > 0; at++, len--)
		crc = _mm_crc32_u8((uint32_t)crc, *at);
	return ~(uint32_t)crc;
}

static int processor_can(void)
{
	return __builtin_cpu_supports("sse4.2");
}
#elif defined(__aarch64__)
__attribute__((target("+crc"))) static uint32_t sum_by_processor(uint32_t sum, const uint8_t *at,
								 size_t len)
{
	uint32_t crc = ~sum;
	uint64_t word;

	for (; len >= sizeof(word); at += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		crc = __crc32cd(crc, word);
	}
	for (; len > 0; at++, len--)
		crc = __crc32cb(crc, *at);
	return ~crc;
}

static int processor_can(void)
{
	return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
}
#else
static uint32_t sum_by_processor(uint32_t sum, const uint8_t *at, size_t len)
{
	return sum_crc32c_plain(sum, at, len);
}

static int processor_can(void)
{
	return 0;
}
#endif

uint32_t sum_crc32c(uint32_t sum, const void *bytes, size_t len)
{
	return processor_can() ? sum_by_processor(sum, bytes, len) :
				 sum_crc32c_plain(sum, bytes, len);
}
