/* SPDX-License-Identifier: Apache-2.0 */
/* The superblock: which file system this is, and how large. */
#include <string.h>
#include <xxhash.h>

#include "base/cursor.h"
#include "servers/fs/fsimage_internal.h"

#define MAGIC UINT64_C(0x4547414d49535644) /* "DVSIMAGE" */
#define KIND UINT64_C(0x454c494600000000)  /* "FILE": of files, no disk */
#define VERSION 1u
#define SUM_AT (BLOCK - 8)
#define CHUNKS_WANTED 65536u /* about as many, when an image is made */

static const uint64_t places[2] = { 0, HEAD_BYTES - BLOCK };

void fsimage_super_layout(struct image_super *super, uint64_t medium_bytes)
{
	uint64_t bytes = medium_bytes < FSIMAGE_BYTES_MAX ? medium_bytes : FSIMAGE_BYTES_MAX;

	super->chunk_bytes = CHUNK_BYTES_MIN;
	while (super->chunk_bytes < CHUNK_BYTES_MAX && bytes / super->chunk_bytes > CHUNKS_WANTED)
		super->chunk_bytes *= 2;
	super->bytes = bytes - bytes % super->chunk_bytes;
}

static void encode(const struct image_super *super, uint8_t block[BLOCK])
{
	struct writer out = writer_over(block, BLOCK);

	memset(block, 0, BLOCK);
	writer_u64(&out, MAGIC);
	writer_u64(&out, KIND);
	writer_u32(&out, VERSION);
	writer_u32(&out, super->chunk_bytes);
	writer_u64(&out, super->generation);
	writer_u64(&out, super->bytes);
	writer_bytes(&out, super->id, sizeof(super->id));
	writer_bytes(&out, super->label, sizeof(super->label));
	out = writer_over(block + SUM_AT, 8);
	writer_u64(&out, XXH3_64bits(block, SUM_AT));
}

static bool decode(const uint8_t block[BLOCK], struct image_super *super, uint32_t *version)
{
	struct cursor in = cursor_over(block, SUM_AT);
	struct cursor sum = cursor_over(block + SUM_AT, 8);
	uint64_t magic = cursor_u64(&in), kind = cursor_u64(&in);

	if (magic != MAGIC || kind != KIND || cursor_u64(&sum) != XXH3_64bits(block, SUM_AT))
		return false;
	*version = cursor_u32(&in);
	super->chunk_bytes = cursor_u32(&in);
	super->generation = cursor_u64(&in);
	super->bytes = cursor_u64(&in);
	cursor_bytes(&in, super->id, sizeof(super->id));
	cursor_bytes(&in, super->label, sizeof(super->label));
	super->label[sizeof(super->label) - 1] = '\0';
	return true;
}

dvs_err fsimage_super_write(struct medium *medium, struct image_super *super)
{
	uint8_t block[BLOCK];
	dvs_err err = DVS_OK;

	super->generation++;
	encode(super, block);
	for (size_t i = 0; err == DVS_OK && i < ARRAY_LEN(places); i++) {
		err = medium_write(medium, places[i], block, BLOCK);
		if (err == DVS_OK)
			err = medium_flush(medium);
	}
	return err;
}

dvs_err fsimage_super_wipe(struct medium *medium)
{
	static const uint8_t zeroes[BLOCK];
	dvs_err err = DVS_OK;

	for (size_t i = 0; err == DVS_OK && i < ARRAY_LEN(places); i++)
		err = medium_write(medium, places[i], zeroes, BLOCK);
	return err == DVS_OK ? medium_flush(medium) : err;
}

/* A checksum keeps accidents out, not people. */
static bool is_possible(const struct image_super *super)
{
	uint32_t chunk = super->chunk_bytes;

	return chunk >= CHUNK_BYTES_MIN && chunk <= CHUNK_BYTES_MAX && (chunk & (chunk - 1)) == 0 &&
	       super->bytes >= FSIMAGE_BYTES_MIN && super->bytes <= FSIMAGE_BYTES_MAX &&
	       super->bytes % chunk == 0;
}

dvs_err fsimage_super_read(struct medium *medium, struct image_super *super, char *why)
{
	uint8_t block[BLOCK];
	uint32_t version = 0;
	bool has_one = false;

	if (medium->bytes < HEAD_BYTES) {
		medium_why(why, "it is too small to have a file system of DVS");
		return DVS_CORRUPT;
	}
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		struct image_super read = { 0 };
		uint32_t read_version;
		dvs_err err = medium_read(medium, places[i], block, BLOCK);

		if (err != DVS_OK) {
			medium_why(why, "cannot read it: %s", dvs_strerror(err));
			return err;
		}
		if (decode(block, &read, &read_version) &&
		    (!has_one || read.generation > super->generation)) {
			*super = read;
			version = read_version;
			has_one = true;
		}
	}
	if (!has_one) {
		medium_why(why, "there is no file system of DVS; make one with 'dvs fs create'");
		return DVS_CORRUPT;
	}
	if (version != VERSION) {
		medium_why(why, "the file system is of version %u, this program knows version %u",
			   version, VERSION);
		return DVS_NOTSUP;
	}
	if (!is_possible(super)) {
		medium_why(why, "the superblock is damaged");
		return DVS_CORRUPT;
	}
	if (super->bytes > medium->bytes) {
		medium_why(why, "the file system has %llu MiB, but its place only %llu",
			   (unsigned long long)(super->bytes >> 20),
			   (unsigned long long)(medium->bytes >> 20));
		return DVS_CORRUPT;
	}
	return DVS_OK;
}
