/* SPDX-License-Identifier: Apache-2.0 */
/* A medium in memory: one mapping, of which the kernel gives pages as they are written. It ends with its process, so each opening is another incarnation. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "servers/fs/medium_internal.h"

struct medium_ram {
	struct medium medium;
	uint8_t *memory;
};

static struct medium_ram *ram_of(struct medium *medium)
{
	return CONTAINER_OF(medium, struct medium_ram, medium);
}

static dvs_err ram_read(struct medium *medium, uint64_t offset, void *buffer, size_t bytes)
{
	if (!medium_range_ok(medium, offset, bytes))
		return DVS_RANGE;
	memcpy(buffer, ram_of(medium)->memory + offset, bytes);
	return DVS_OK;
}

static dvs_err ram_write(struct medium *medium, uint64_t offset, const void *buffer, size_t bytes)
{
	if (!medium_range_ok(medium, offset, bytes))
		return DVS_RANGE;
	memcpy(ram_of(medium)->memory + offset, buffer, bytes);
	return DVS_OK;
}

static dvs_err ram_zero(struct medium *medium, uint64_t offset, uint64_t bytes)
{
	struct medium_ram *ram = ram_of(medium);

	if (!medium_range_ok(medium, offset, bytes))
		return DVS_RANGE;
	if (bytes > 0 && madvise(ram->memory + offset, bytes, MADV_DONTNEED) != 0)
		memset(ram->memory + offset, 0, bytes);
	return DVS_OK;
}

static dvs_err ram_nothing(struct medium *medium)
{
	(void)medium;
	return DVS_OK;
}

static void ram_close(struct medium *medium)
{
	struct medium_ram *ram = ram_of(medium);

	(void)munmap(ram->memory, medium->bytes);
	free(ram);
}

static const struct medium_ops ram_ops = {
	.read = ram_read,
	.write = ram_write,
	.zero = ram_zero,
	.flush = ram_nothing,
	.grown = ram_nothing,
	.close = ram_close,
};

dvs_err medium_ram_open(uint64_t bytes, struct medium **medium)
{
	struct medium_ram *ram;

	bytes -= bytes % MEDIUM_BLOCK_BYTES;
	if (bytes == 0 || bytes > SIZE_MAX / 2)
		return DVS_BADARG;
	ram = calloc(1, sizeof(*ram));
	if (!ram)
		return DVS_NOMEM;
	ram->medium = (struct medium){
		.ops = &ram_ops, .bytes = bytes, .is_quick = true, .is_volatile = true
	};
	ram->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (ram->memory == MAP_FAILED ||
	    getrandom(ram->medium.incarnation, sizeof(ram->medium.incarnation), 0) !=
		    (ssize_t)sizeof(ram->medium.incarnation)) {
		if (ram->memory != MAP_FAILED)
			(void)munmap(ram->memory, bytes);
		free(ram);
		return DVS_NOMEM;
	}
	*medium = &ram->medium;
	return DVS_OK;
}
