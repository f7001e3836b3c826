/* SPDX-License-Identifier: Apache-2.0 */
#include "servers/vdd/meta.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "servers/vdd/image.h"
#include "servers/vdd/store.h"

#define MAGIC UINT64_C(0x004154454d535644) /* "DVSMETA" */
#define VERSION 2u
#define VERSION_NO_CLAIMS 1u
#define SUM_BYTES 8u

static const char hint[] =
	"let this replica be made anew from another one (dvs vol replica rm, then add)";

static void put_disk(struct writer *out, const struct meta_disk *disk)
{
	writer_u32(out, disk->minor);
	writer_u32(out, disk->kind);
	writer_u32(out, disk->parent);
	writer_string(out, disk->name, sizeof(disk->name), 1);
	writer_u64(out, disk->bytes);
	writer_u64(out, disk->created_ns);
	writer_u64(out, disk->base_bytes);
	writer_u64(out, disk->born);
	writer_u64(out, disk->claim);
	writer_count(out, disk->n_layers, META_LAYERS_MAX, 2);
	for (uint32_t i = 0; i < disk->n_layers; i++)
		writer_u32(out, disk->layer[i]);
}

size_t meta_encode(const struct meta *meta, void *room)
{
	struct writer out = writer_over(room, META_BYTES_MAX);

	writer_u64(&out, MAGIC);
	writer_u32(&out, VERSION);
	writer_bytes(&out, meta->id, 36);
	writer_u32(&out, meta->store);
	writer_string(&out, meta->place, sizeof(meta->place), 2);
	writer_u8(&out, meta->is_made);
	writer_u8(&out, meta->is_current);
	writer_u32(&out, meta->next_layer);
	writer_u64(&out, meta->next_born);
	writer_count(&out, meta->n_disks, DISK_MINORS_MAX, 2);
	for (uint32_t i = 0; i < meta->n_disks; i++)
		put_disk(&out, &meta->disk[i]);
	writer_u64(&out, XXH3_64bits(room, writer_len(&out)));
	return writer_ok(&out) ? writer_len(&out) : 0;
}

static void get_disk(struct cursor *in, uint32_t version, struct meta_disk *disk)
{
	disk->minor = cursor_u32(in);
	disk->kind = cursor_u32(in);
	disk->parent = cursor_u32(in);
	cursor_string(in, cursor_u8(in), disk->name, sizeof(disk->name));
	disk->bytes = cursor_u64(in);
	disk->created_ns = cursor_u64(in);
	disk->base_bytes = cursor_u64(in);
	disk->born = cursor_u64(in);
	disk->claim = version == VERSION_NO_CLAIMS ? 0 : cursor_u64(in);
	disk->n_layers = cursor_count(in, META_LAYERS_MAX, 2);
	for (uint32_t i = 0; i < disk->n_layers; i++)
		disk->layer[i] = cursor_u32(in);
}

/* Whether disk I has a parent of the right kind, which was there before it. */
static bool parent_ok(const struct meta *meta, uint32_t i)
{
	const struct meta_disk *disk = &meta->disk[i];

	for (uint32_t p = 0; p < meta->n_disks; p++) {
		const struct meta_disk *parent = &meta->disk[p];

		if (parent->minor == disk->parent && p != i)
			return parent->born < disk->born &&
			       (parent->kind == 2) == (disk->kind == 3) && disk->n_layers >= 1;
	}
	return false;
}

static bool layer_ok(const struct meta *meta, uint32_t layer)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < meta->n_disks; i++) {
		for (uint32_t l = 0; l < meta->disk[i].n_layers; l++)
			n += meta->disk[i].layer[l] == layer;
	}
	return n == 1 && layer < meta->next_layer;
}

/* What this program wrote itself is so; anything else it could not work with. */
static bool disks_ok(const struct meta *meta)
{
	for (uint32_t i = 0; i < meta->n_disks; i++) {
		const struct meta_disk *disk = &meta->disk[i];

		if (disk->bytes == 0 || disk->bytes > DISK_BYTES_MAX ||
		    disk->bytes % DISK_SECTOR_BYTES || disk->minor >= DISK_MINORS_MAX ||
		    disk->born >= meta->next_born)
			return false;
		if (i == 0 && (disk->minor != 0 || disk->kind != 1 || disk->n_layers != 0))
			return false;
		if (i > 0 && (disk->minor <= meta->disk[i - 1].minor || disk->kind < 2 ||
			      disk->kind > 3 || !parent_ok(meta, i)))
			return false;
		for (uint32_t l = 0; l < disk->n_layers; l++) {
			if (!layer_ok(meta, disk->layer[l]))
				return false;
		}
	}
	return meta->n_disks > 0;
}

dvs_err meta_decode(const void *bytes, size_t len, struct meta *meta, char *why)
{
	struct cursor in = cursor_over(bytes, len);
	uint64_t magic = cursor_u64(&in);
	uint32_t version = cursor_u32(&in);
	size_t body = len < SUM_BYTES ? 0 : len - SUM_BYTES;

	memset(meta, 0, sizeof(*meta));
	if (magic != MAGIC) {
		why_say(why, "the file meta is none of a volume; %s", hint);
		return DVS_CORRUPT;
	}
	if (version != VERSION && version != VERSION_NO_CLAIMS) {
		why_say(why, "the file meta is of version %u, this program knows version %u",
			version, VERSION);
		return DVS_CORRUPT;
	}
	cursor_bytes(&in, meta->id, 36);
	meta->store = cursor_u32(&in);
	cursor_string(&in, cursor_u16(&in), meta->place, sizeof(meta->place));
	meta->is_made = cursor_u8(&in);
	meta->is_current = cursor_u8(&in);
	meta->next_layer = cursor_u32(&in);
	meta->next_born = cursor_u64(&in);
	meta->n_disks = cursor_count(&in, DISK_MINORS_MAX, 2);
	for (uint32_t i = 0; i < meta->n_disks; i++)
		get_disk(&in, version, &meta->disk[i]);
	if (cursor_u64(&in) != XXH3_64bits(bytes, body) || !cursor_done(&in) ||
	    meta->store > DISK_NBD || !disks_ok(meta)) {
		why_say(why, "the file meta is damaged; %s", hint);
		return DVS_CORRUPT;
	}
	return DVS_OK;
}

dvs_err meta_read(int dir, struct meta *meta, char *why)
{
	AUTO_CLOSE int fd = openat(dir, "meta", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	AUTO_FREE uint8_t *bytes = NULL;
	struct stat st;
	dvs_err err;

	if (fd < 0) {
		why_say(why, "cannot open the file meta: %s", strerror(errno));
		return errno == ENOENT ? DVS_NOTFOUND : store_errno(errno);
	}
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size > META_BYTES_MAX) {
		why_say(why, "the file meta is none of a volume; %s", hint);
		return DVS_CORRUPT;
	}
	bytes = malloc((size_t)st.st_size + 1);
	if (!bytes)
		return DVS_NOMEM;
	err = store_pread(fd, bytes, (uint64_t)st.st_size, 0);
	if (err != DVS_OK) {
		why_say(why, "cannot read the file meta: %s", dvs_strerror(err));
		return err;
	}
	return meta_decode(bytes, (size_t)st.st_size, meta, why);
}

dvs_err meta_write(int dir, const struct meta *meta)
{
	AUTO_FREE uint8_t *bytes = malloc(META_BYTES_MAX);
	AUTO_CLOSE int fd = -1;
	size_t len;
	dvs_err err;

	if (!bytes)
		return DVS_NOMEM;
	len = meta_encode(meta, bytes);
	if (len == 0)
		return DVS_BADARG;
	fd = openat(dir, "meta.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return store_errno(errno);
	err = store_pwrite(fd, bytes, len, 0);
	if (err == DVS_OK && (fsync(fd) != 0 || renameat(dir, "meta.new", dir, "meta") != 0))
		err = store_errno(errno);
	if (err != DVS_OK) {
		(void)unlinkat(dir, "meta.new", 0);
		return err;
	}
	return fsync(dir) == 0 ? DVS_OK : store_errno(errno);
}
