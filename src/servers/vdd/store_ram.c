/* SPDX-License-Identifier: Apache-2.0 */
/* A disk in memory: one mapping of its whole size, of which the kernel gives pages as they are written, and a mark for each granule that has data. Granules without a mark
 * are never touched by reads, so that reading an empty disk takes no memory. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/compiler.h"
#include "servers/vdd/disks.h"
#include "servers/vdd/marks.h"
#include "servers/vdd/store.h"

/* As much as is read at once: what a hole shows who reads in place. */
#define ZEROES_BYTES (1u << 20)
#define PAGE_BYTES 4096u
/* See copy_far(). */
#define FAR_PAGES 4u
#define FAR_STEP_BYTES 512u

struct store_ram {
	struct store store;
	uint8_t *memory;
	uint64_t mapped;
	const void *zeroes;
	struct marks has; /* granules with data */
	uint64_t n_has;
};

static struct store_ram *ram_of(struct store *store)
{
	return CONTAINER_OF(store, struct store_ram, store);
}

static uint64_t granules_of(uint64_t bytes)
{
	return (bytes + DISK_GRANULE_BYTES - 1) / DISK_GRANULE_BYTES;
}

/* As memcpy(), from memory or to memory that is in no cache: CPUs fetch ahead within a page only, and from several pages at once they get more in the same time. */
static void copy_far(uint8_t *to, const uint8_t *from, uint64_t bytes)
{
	size_t step = FAR_STEP_BYTES;

	/* No constant for the compiler: the library copies so little faster than what would be put in its place. */
	__asm__("" : "+r"(step));
	for (; bytes >= FAR_PAGES * PAGE_BYTES; bytes -= FAR_PAGES * PAGE_BYTES) {
		for (size_t at = 0; at < PAGE_BYTES; at += step)
			for (size_t page = 0; page < FAR_PAGES; page++)
				memcpy(to + page * PAGE_BYTES + at, from + page * PAGE_BYTES + at,
				       step);
		to += FAR_PAGES * PAGE_BYTES;
		from += FAR_PAGES * PAGE_BYTES;
	}
	memcpy(to, from, bytes);
}

static void ram_read(struct store_ram *ram, const struct store_io *io)
{
	uint64_t end = io->offset + io->bytes;
	uint64_t last = granules_of(end);
	uint8_t *out = io->buffer;

	for (uint64_t at = io->offset; at < end;) {
		uint64_t granule = at / DISK_GRANULE_BYTES;
		bool has = marks_is_set(&ram->has, granule);
		uint64_t to = has ? marks_next_clear(&ram->has, granule, last) :
				    marks_next_set(&ram->has, granule, last);

		to = to * DISK_GRANULE_BYTES < end ? to * DISK_GRANULE_BYTES : end;
		if (has)
			copy_far(out, ram->memory + at, to - at);
		else
			memset(out, 0, to - at);
		out += to - at;
		at = to;
	}
}

static void mark(struct store_ram *ram, uint64_t offset, uint64_t bytes)
{
	uint64_t from = offset / DISK_GRANULE_BYTES;
	uint64_t to = granules_of(offset + bytes);

	ram->n_has += to - from - marks_count(&ram->has, from, to);
	marks_set_range(&ram->has, from, to);
}

/* Zeroes in [FROM, TO), whole pages given back to the kernel. */
static void blank(struct store_ram *ram, uint64_t from, uint64_t to)
{
	uint64_t first = (from + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
	uint64_t last = to / PAGE_BYTES * PAGE_BYTES;

	if (first >= last || madvise(ram->memory + first, last - first, MADV_DONTNEED) != 0) {
		memset(ram->memory + from, 0, to - from);
		return;
	}
	memset(ram->memory + from, 0, first - from);
	memset(ram->memory + last, 0, to - last);
}

static void ram_trim(struct store_ram *ram, uint64_t offset, uint64_t end)
{
	uint64_t last = granules_of(end);
	uint64_t at = marks_next_set(&ram->has, offset / DISK_GRANULE_BYTES, last);

	while (at < last) {
		uint64_t stop = marks_next_clear(&ram->has, at, last);
		uint64_t from = at * DISK_GRANULE_BYTES, to = stop * DISK_GRANULE_BYTES;
		uint64_t whole_from = granules_of(from < offset ? offset : from);
		uint64_t whole_to = to > end ? end / DISK_GRANULE_BYTES : stop;

		blank(ram, from < offset ? offset : from, to > end ? end : to);
		/* The disk may end within its last granule. */
		if (to > end && end == ram->store.bytes)
			whole_to = stop;
		if (whole_from < whole_to) {
			ram->n_has -= whole_to - whole_from;
			marks_clear_range(&ram->has, whole_from, whole_to);
		}
		at = marks_next_set(&ram->has, stop, last);
	}
}

static void ram_submit(struct store *store, struct store_io *io)
{
	struct store_ram *ram = ram_of(store);

	assert(io->offset <= store->bytes && io->bytes <= store->bytes - io->offset);
	switch (io->op) {
	case STORE_READ:
		ram_read(ram, io);
		break;
	case STORE_WRITE:
		copy_far(ram->memory + io->offset, io->buffer, io->bytes);
		mark(ram, io->offset, io->bytes);
		break;
	case STORE_ZERO:
		if (io->flags & STORE_KEEP) {
			memset(ram->memory + io->offset, 0, io->bytes);
			mark(ram, io->offset, io->bytes);
		} else {
			ram_trim(ram, io->offset, io->offset + io->bytes);
		}
		break;
	case STORE_FLUSH:
		break;
	}
	io->done(io, DVS_OK);
}

static uint64_t mapped_of(uint64_t bytes)
{
	return bytes ? granules_of(bytes) * DISK_GRANULE_BYTES : DISK_GRANULE_BYTES;
}

static dvs_err ram_resize(struct store *store, uint64_t bytes)
{
	struct store_ram *ram = ram_of(store);
	uint64_t mapped = mapped_of(bytes);
	void *memory;
	dvs_err err;

	/* What is cut off must be zeroes when it is added again. */
	if (bytes < store->bytes)
		ram_trim(ram, bytes, store->bytes);
	memory = mapped == ram->mapped ? ram->memory :
					 mremap(ram->memory, ram->mapped, mapped, MREMAP_MAYMOVE);
	if (memory == MAP_FAILED)
		return DVS_NOMEM;
	ram->memory = memory;
	ram->mapped = mapped;
	err = marks_resize(&ram->has, granules_of(bytes));
	if (err == DVS_OK)
		store->bytes = bytes;
	return err;
}

static dvs_err ram_extent(struct store *store, uint64_t offset, uint64_t limit, uint64_t *bytes,
			  bool *is_hole)
{
	struct store_ram *ram = ram_of(store);
	uint64_t granule = offset / DISK_GRANULE_BYTES;
	uint64_t last = granules_of(offset + limit);
	uint64_t end;

	*is_hole = !marks_is_set(&ram->has, granule);
	end = *is_hole ? marks_next_set(&ram->has, granule, last) :
			 marks_next_clear(&ram->has, granule, last);
	end *= DISK_GRANULE_BYTES;
	*bytes = end - offset < limit ? end - offset : limit;
	return DVS_OK;
}

static uint64_t ram_used(struct store *store)
{
	return ram_of(store)->n_has * DISK_GRANULE_BYTES;
}

static const void *ram_memory(struct store *store, uint64_t offset, uint64_t bytes)
{
	struct store_ram *ram = ram_of(store);
	uint64_t last = granules_of(offset + bytes);

	if (bytes <= ZEROES_BYTES &&
	    marks_next_set(&ram->has, offset / DISK_GRANULE_BYTES, last) == last)
		return ram->zeroes;
	return ram->memory + offset;
}

static void ram_close(struct store *store)
{
	struct store_ram *ram = ram_of(store);

	(void)munmap(ram->memory, ram->mapped);
	(void)munmap((void *)(uintptr_t)ram->zeroes, ZEROES_BYTES);
	marks_close(&ram->has);
	free(ram);
}

static const struct store_ops ram_ops = {
	.submit = ram_submit,
	.resize = ram_resize,
	.extent = ram_extent,
	.used = ram_used,
	.memory = ram_memory,
	.close = ram_close,
};

dvs_err store_ram_open(uint64_t bytes, struct store **store)
{
	struct store_ram *ram = calloc(1, sizeof(*ram));
	void *memory = MAP_FAILED, *zeroes = MAP_FAILED;

	if (!ram)
		return DVS_NOMEM;
	ram->mapped = mapped_of(bytes);
	memory = mmap(NULL, ram->mapped, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	zeroes = mmap(NULL, ZEROES_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		      -1, 0);
	if (memory == MAP_FAILED || zeroes == MAP_FAILED ||
	    marks_open(&ram->has, granules_of(bytes)) != DVS_OK) {
		if (memory != MAP_FAILED)
			(void)munmap(memory, ram->mapped);
		if (zeroes != MAP_FAILED)
			(void)munmap(zeroes, ZEROES_BYTES);
		free(ram);
		return DVS_NOMEM;
	}
	ram->memory = memory;
	ram->zeroes = zeroes;
	ram->store = (struct store){ .ops = &ram_ops, .bytes = bytes, .align = 1 };
	*store = &ram->store;
	return DVS_OK;
}
