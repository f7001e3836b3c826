/* SPDX-License-Identifier: Apache-2.0 */
#include "nbd_memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/clock.h"

#define GRANULE 65536u
#define FLUSH_NS (500 * CLOCK_NS_PER_MS)
#define TRIM_NS (1000 * CLOCK_NS_PER_MS)

struct memory {
	struct nbd_backend backend;
	uint64_t bytes;
	uint8_t *bytes_at;
	uint8_t *is_used; /* of each granule */
};

struct nbd_disk {
	struct memory *memory;
	bool is_slow;
	uint8_t *window;
};

static const char *const names[] = { "disk", "disk@before", "slow" };

static dvs_err memory_list(struct nbd_backend *backend, struct nbd_names *list)
{
	(void)backend;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		memcpy(list->name[list->n++], names[i], strlen(names[i]) + 1);
	return DVS_OK;
}

static struct nbd_disk *disk_new(struct memory *memory, bool is_slow)
{
	struct nbd_disk *disk = calloc(1, sizeof(*disk));

	if (disk)
		disk->window = malloc(NBD_CALL_BYTES);
	if (!disk || !disk->window) {
		free(disk);
		return NULL;
	}
	disk->memory = memory;
	disk->is_slow = is_slow;
	return disk;
}

static dvs_err memory_open(struct nbd_backend *backend, const char *name, struct nbd_disk **disk,
			   struct nbd_info *info)
{
	struct memory *memory = CONTAINER_OF(backend, struct memory, backend);
	size_t i = 0;

	while (i < ARRAY_LEN(names) && strcmp(names[i], name) != 0)
		i++;
	if (i == ARRAY_LEN(names) && name[0])
		return DVS_NOTFOUND;
	i %= ARRAY_LEN(names);
	*info = (struct nbd_info){ .bytes = memory->bytes,
				   .block_bytes = 4096,
				   .is_read_only = i == 1,
				   .zeroes_quickly = true };
	memcpy(info->name, names[i], strlen(names[i]) + 1);
	*disk = disk_new(memory, i == 2);
	return *disk ? DVS_OK : DVS_NOMEM;
}

static dvs_err memory_open_thread(struct nbd_disk *disk, struct nbd_disk **mine)
{
	*mine = disk_new(disk->memory, disk->is_slow);
	return *mine ? DVS_OK : DVS_NOMEM;
}

static void memory_close(struct nbd_disk *disk)
{
	free(disk->window);
	free(disk);
}

static dvs_err memory_window(struct nbd_disk *disk, bool is_single, uint8_t **window)
{
	*window = disk->window + (is_single ? 0 : NBD_CALL_HEAD_BYTES);
	return DVS_OK;
}

static void use(struct memory *memory, const struct nbd_item *item, bool is_used)
{
	uint64_t end = item->offset + item->bytes;

	for (uint64_t at = item->offset / GRANULE * GRANULE; at < end; at += GRANULE)
		if (is_used || (at >= item->offset && at + GRANULE <= end))
			memory->is_used[at / GRANULE] = is_used;
}

static void take(uint64_t ns)
{
	struct timespec span = clock_timespec(ns);

	(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &span, NULL);
}

static void run_item(struct nbd_disk *disk, struct nbd_item *item, const uint8_t *data)
{
	struct memory *memory = disk->memory;

	item->err = DVS_OK;
	switch (item->kind) {
	case NBD_ITEM_READ:
		if (disk->is_slow && item->offset + item->bytes == memory->bytes)
			take(FLUSH_NS);
		item->data = memory->bytes_at + item->offset;
		break;
	case NBD_ITEM_WRITE:
		memcpy(memory->bytes_at + item->offset, data, item->bytes);
		use(memory, item, true);
		break;
	case NBD_ITEM_TRIM:
	case NBD_ITEM_ZERO:
		if (disk->is_slow)
			take(TRIM_NS);
		memset(memory->bytes_at + item->offset, 0, item->bytes);
		use(memory, item, item->flags & NBD_ITEM_KEEP);
		break;
	case NBD_ITEM_FLUSH:
		if (disk->is_slow)
			take(FLUSH_NS);
		break;
	}
}

static void memory_run(struct nbd_disk *disk, struct nbd_call *call)
{
	const uint8_t *data = call->out;

	for (size_t i = 0; i < call->n_items; i++) {
		run_item(disk, &call->items[i], data);
		if (call->items[i].kind == NBD_ITEM_WRITE)
			data += call->items[i].bytes;
	}
}

static dvs_err memory_extents(struct nbd_disk *disk, uint64_t offset, uint64_t bytes,
			      struct nbd_extent *extents, size_t *n)
{
	const uint8_t *is_used = disk->memory->is_used;
	size_t most = *n;

	for (*n = 0; *n < most && bytes > 0; (*n)++) {
		uint64_t part = GRANULE - offset % GRANULE;

		part = part < bytes ? part : bytes;
		extents[*n].bytes = part;
		extents[*n].flags = is_used[offset / GRANULE] ? 0 : NBD_STATE_HOLE | NBD_STATE_ZERO;
		offset += part;
		bytes -= part;
	}
	return DVS_OK;
}

static const struct nbd_backend_ops memory_ops = {
	.list = memory_list,
	.open = memory_open,
	.open_thread = memory_open_thread,
	.close = memory_close,
	.window = memory_window,
	.run = memory_run,
	.extents = memory_extents,
};

struct nbd_backend *nbd_memory_open(uint64_t bytes)
{
	struct memory *memory = calloc(1, sizeof(*memory));
	void *at;

	if (!memory)
		return NULL;
	at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		  -1, 0);
	memory->is_used = calloc(1, bytes / GRANULE + 1);
	if (at == MAP_FAILED || !memory->is_used) {
		free(memory->is_used);
		free(memory);
		return NULL;
	}
	memory->backend.ops = &memory_ops;
	memory->bytes = bytes;
	memory->bytes_at = at;
	return &memory->backend;
}

void nbd_memory_close(struct nbd_backend *backend)
{
	struct memory *memory = CONTAINER_OF(backend, struct memory, backend);

	(void)munmap(memory->bytes_at, memory->bytes);
	free(memory->is_used);
	free(memory);
}
