/* SPDX-License-Identifier: Apache-2.0 */
/* What the benchmark moves, and how each side knows that it arrived whole.
 *
 * Every message is written and read in full, by all systems alike: a mechanism that lost, doubled or
 * tore a message would otherwise look fast. */
#include "manage/bench/internal.h"

#include <string.h>

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

void bench_msg_fill(struct bench_msg *msg, unsigned client, enum bench_kind kind, uint64_t seq)
{
	msg->client = client;
	msg->kind = kind;
	msg->seq = seq;
	for (unsigned i = 0; i < 6; i++)
		msg->fill[i] = seq + i;
}

bool bench_msg_check(const struct bench_msg *msg, uint64_t seq)
{
	uint64_t wrong = msg->seq ^ seq;

	for (unsigned i = 0; i < 6; i++)
		wrong |= msg->fill[i] ^ (seq + i);
	return wrong == 0;
}

/* The words between the message at the front and the mark at the back. */
static size_t payload_words(size_t bytes)
{
	return bytes > sizeof(struct bench_msg) ? (bytes - sizeof(struct bench_msg)) / 8 - 1 : 0;
}

void bench_payload_fill(void *request, size_t bytes, uint64_t seed)
{
	uint64_t *word = (uint64_t *)((char *)request + sizeof(struct bench_msg));

	for (size_t i = 0; i < payload_words(bytes); i++)
		word[i] = mix(seed + i);
}

void bench_payload_mark(void *request, size_t bytes, uint64_t seq)
{
	if (bytes > sizeof(struct bench_msg))
		memcpy((char *)request + bytes - 8, &seq, 8);
}

bool bench_payload_check(const void *request, size_t bytes, uint64_t seq)
{
	if (bytes <= sizeof(struct bench_msg))
		return true;
	return memcmp((const char *)request + bytes - 8, &seq, 8) == 0;
}

bool bench_payload_check_all(const void *request, size_t bytes, uint64_t seed)
{
	const uint64_t *word = (const uint64_t *)((const char *)request + sizeof(struct bench_msg));

	for (size_t i = 0; i < payload_words(bytes); i++)
		if (word[i] != mix(seed + i))
			return false;
	return true;
}

/* As wide as every CPU can add at once; the data may begin at any word. */
typedef uint64_t word_pair __attribute__((vector_size(16), aligned(8), may_alias));

/* Several sums side by side, so that reading the memory is what takes the time, and not an addition that
 * waits for the one before. */
uint64_t bench_payload_sum(const void *request, size_t bytes)
{
	const word_pair *pairs = request;
	word_pair a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };

	for (size_t i = 0; i + 4 <= bytes / sizeof(word_pair); i += 4) {
		a += pairs[i];
		b += pairs[i + 1];
		c += pairs[i + 2];
		d += pairs[i + 3];
	}
	a += b + c + d;
	return a[0] + a[1];
}
