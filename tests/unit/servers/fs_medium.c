/* SPDX-License-Identifier: Apache-2.0 */
#include "fs_medium.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SECTOR_BYTES 512u

uint64_t traced_random(uint64_t *seed)
{
	uint64_t z = (*seed += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static struct traced *traced_of(struct medium *medium)
{
	return CONTAINER_OF(medium, struct traced, medium);
}

static uint8_t *room(uint64_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	ck_assert_ptr_ne(memory, MAP_FAILED);
	return memory;
}

static void note(struct traced *traced, struct traced_op op, const void *data)
{
	if (!traced->is_kept)
		return;
	if (traced->n_ops == traced->ops_room) {
		traced->ops_room = traced->ops_room ? traced->ops_room * 2 : 256;
		traced->ops = realloc(traced->ops, traced->ops_room * sizeof(*traced->ops));
		ck_assert_ptr_nonnull(traced->ops);
	}
	if (data) {
		op.data = malloc(op.bytes);
		ck_assert_ptr_nonnull(op.data);
		memcpy(op.data, data, op.bytes);
	}
	traced->ops[traced->n_ops++] = op;
}

/* Whether this one fails. */
static bool is_due(uint64_t *in)
{
	if (*in == 0)
		return false;
	if (*in > 1) {
		--*in;
		return false;
	}
	return true;
}

static void check_range(const struct medium *medium, uint64_t offset, uint64_t bytes)
{
	ck_assert_uint_eq(offset % MEDIUM_BLOCK_BYTES, 0);
	ck_assert_uint_eq(bytes % MEDIUM_BLOCK_BYTES, 0);
	ck_assert_uint_le(offset, medium->bytes);
	ck_assert_uint_le(bytes, medium->bytes - offset);
}

static dvs_err traced_read(struct medium *medium, uint64_t offset, void *buffer, size_t bytes)
{
	struct traced *traced = traced_of(medium);

	check_range(medium, offset, bytes);
	if (is_due(&traced->fail_read_in))
		return traced->fails;
	memcpy(buffer, traced->memory + offset, bytes);
	return DVS_OK;
}

static dvs_err traced_write(struct medium *medium, uint64_t offset, const void *buffer,
			    size_t bytes)
{
	struct traced *traced = traced_of(medium);

	check_range(medium, offset, bytes);
	if (is_due(&traced->fail_write_in))
		return traced->fails;
	memcpy(traced->memory + offset, buffer, bytes);
	note(traced, (struct traced_op){ .kind = TRACED_WRITE, .offset = offset, .bytes = bytes },
	     buffer);
	return DVS_OK;
}

static dvs_err traced_zero(struct medium *medium, uint64_t offset, uint64_t bytes)
{
	struct traced *traced = traced_of(medium);

	check_range(medium, offset, bytes);
	if (is_due(&traced->fail_write_in))
		return traced->fails;
	memset(traced->memory + offset, 0, bytes);
	note(traced, (struct traced_op){ .kind = TRACED_ZERO, .offset = offset, .bytes = bytes },
	     NULL);
	return DVS_OK;
}

static dvs_err traced_flush(struct medium *medium)
{
	struct traced *traced = traced_of(medium);

	if (is_due(&traced->fail_flush_in))
		return traced->fails;
	note(traced, (struct traced_op){ .kind = TRACED_FLUSH }, NULL);
	return DVS_OK;
}

static dvs_err traced_grown(struct medium *medium)
{
	struct traced *traced = traced_of(medium);
	uint8_t *memory;

	if (traced->can_have <= medium->bytes)
		return DVS_OK;
	memory = room(traced->can_have);
	memcpy(memory, traced->memory, medium->bytes);
	(void)munmap(traced->memory, medium->bytes);
	traced->memory = memory;
	medium->bytes = traced->can_have;
	return DVS_OK;
}

static void traced_close(struct medium *medium)
{
	struct traced *traced = traced_of(medium);

	if (traced->is_closed)
		*traced->is_closed = true;
}

static const struct medium_ops traced_ops = {
	.read = traced_read,
	.write = traced_write,
	.zero = traced_zero,
	.flush = traced_flush,
	.grown = traced_grown,
	.close = traced_close,
};

struct traced *traced_new(uint64_t bytes)
{
	struct traced *traced = calloc(1, sizeof(*traced));

	ck_assert_ptr_nonnull(traced);
	traced->medium = (struct medium){ .ops = &traced_ops, .bytes = bytes, .is_quick = true };
	traced->medium.incarnation[0] = 1;
	traced->memory = room(bytes);
	traced->fails = DVS_IO;
	return traced;
}

static void drop_ops(struct traced *traced)
{
	for (size_t i = 0; i < traced->n_ops; i++)
		free(traced->ops[i].data);
	traced->n_ops = 0;
	traced->n_flushed = 0;
}

void traced_free(struct traced *traced)
{
	drop_ops(traced);
	free(traced->ops);
	if (traced->durable)
		(void)munmap(traced->durable, traced->medium.bytes);
	(void)munmap(traced->memory, traced->medium.bytes);
	free(traced);
}

struct medium *traced_medium(struct traced *traced)
{
	return &traced->medium;
}

/* Pages without anything are not copied: an image has many. */
static void copy(uint8_t *to, const uint8_t *from, uint64_t bytes)
{
	static const uint8_t zeroes[65536];

	for (uint64_t at = 0; at < bytes; at += sizeof(zeroes)) {
		size_t part = bytes - at < sizeof(zeroes) ? (size_t)(bytes - at) : sizeof(zeroes);

		if (memcmp(from + at, zeroes, part) != 0)
			memcpy(to + at, from + at, part);
	}
}

void traced_keep(struct traced *traced)
{
	drop_ops(traced);
	if (traced->durable)
		(void)munmap(traced->durable, traced->medium.bytes);
	traced->durable = room(traced->medium.bytes);
	copy(traced->durable, traced->memory, traced->medium.bytes);
	traced->is_kept = true;
}

/* Sectors that SEED says, all without one. */
static void apply(uint8_t *memory, const struct traced_op *op, uint64_t *seed)
{
	if (op->kind == TRACED_FLUSH)
		return;
	for (uint64_t at = 0; at < op->bytes; at += SECTOR_BYTES) {
		if (seed && traced_random(seed) % 2)
			continue;
		if (op->kind == TRACED_WRITE)
			memcpy(memory + op->offset + at, op->data + at, SECTOR_BYTES);
		else
			memset(memory + op->offset + at, 0, SECTOR_BYTES);
	}
}

static size_t last_flush(const struct traced *traced, size_t n)
{
	while (n > 0 && traced->ops[n - 1].kind != TRACED_FLUSH)
		n--;
	return n;
}

static struct traced *rebuild(const struct traced *traced, size_t n)
{
	struct traced *made = traced_new(traced->medium.bytes);

	ck_assert_uint_le(n, traced->n_ops);
	memcpy(made->medium.incarnation, traced->medium.incarnation,
	       sizeof(made->medium.incarnation));
	copy(made->memory, traced->durable, traced->medium.bytes);
	for (size_t i = 0; i < n; i++)
		apply(made->memory, &traced->ops[i], NULL);
	return made;
}

struct traced *traced_cut(const struct traced *traced, size_t n, uint64_t *seed, bool none)
{
	/* Few losses, too: with many, the log is never whole beyond the data. */
	static const uint64_t odds[] = { 4, 12, 40 };
	uint64_t one_in = odds[traced_random(seed) % ARRAY_LEN(odds)];
	size_t flushed = last_flush(traced, n);
	struct traced *made = rebuild(traced, flushed);

	made->medium.incarnation[0]++;
	for (size_t i = flushed; !none && i < n; i++) {
		switch (traced_random(seed) % one_in) {
		case 0:
			break;
		case 1:
			apply(made->memory, &traced->ops[i], seed);
			break;
		default:
			apply(made->memory, &traced->ops[i], NULL);
			break;
		}
	}
	return made;
}

struct traced *traced_death(const struct traced *traced, size_t n)
{
	return rebuild(traced, n);
}
