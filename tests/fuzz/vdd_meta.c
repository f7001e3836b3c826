/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary bytes as a volume's file meta, as they are and with a right checksum behind them: what is accepted can be worked with and is written the same again. */
#include "servers/vdd/meta.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "fuzz.h"

static const struct meta_disk *find(const struct meta *meta, uint32_t minor)
{
	for (uint32_t i = 0; i < meta->n_disks; i++) {
		if (meta->disk[i].minor == minor)
			return &meta->disk[i];
	}
	return NULL;
}

/* From each disk the way goes to the volume. */
static void walk(const struct meta *meta, const struct meta_disk *disk)
{
	for (uint32_t steps = 0; disk->kind != 1; steps++) {
		assert(steps < DISK_MINORS_MAX);
		assert(disk->n_layers > 0);
		disk = find(meta, disk->parent);
		assert(disk);
	}
	assert(disk->minor == 0);
}

static void try_bytes(const uint8_t *bytes, size_t len)
{
	static uint8_t again[META_BYTES_MAX], third[META_BYTES_MAX];
	static struct meta meta, same;
	char why[DISK_WHY_MAX + 1];

	memset(why, 'x', sizeof(why));
	if (meta_decode(bytes, len, &meta, why) != DVS_OK) {
		assert(memchr(why, '\0', sizeof(why)) && why[0]);
		return;
	}
	for (uint32_t i = 0; i < meta.n_disks; i++)
		walk(&meta, &meta.disk[i]);
	len = meta_encode(&meta, again);
	assert(meta_decode(again, len, &same, why) == DVS_OK);
	assert(meta_encode(&same, third) == len && memcmp(again, third, len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t magic[12] = { 0x44, 0x56, 0x53, 0x4d, 0x45, 0x54, 0x41, 0, 1 };
	uint8_t *room = malloc(size + sizeof(magic) + 8);
	uint64_t sum;

	assert(room);
	try_bytes(data, size);
	memcpy(room, magic, sizeof(magic));
	if (size)
		memcpy(room + sizeof(magic), data, size);
	sum = XXH3_64bits(room, size + sizeof(magic));
	memcpy(room + size + sizeof(magic), &sum, 8);
	try_bytes(room, size + sizeof(magic) + 8);
	free(room);
	return 0;
}
