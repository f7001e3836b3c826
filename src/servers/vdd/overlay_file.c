/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/cursor.h"
#include "servers/vdd/image.h"
#include "servers/vdd/overlay_internal.h"

#define FILE_MAGIC UINT64_C(0x59414c5245564f44) /* "DOVERLAY" */
#define HEAD_MAGIC UINT64_C(0x544f4c5353564444)
#define VERSION 1u
#define FILE_HEAD_BYTES (8u + 4u + 1u + IMAGE_ID_BYTES)
#define FLAG_ZERO 1u
#define FLAG_SUM 2u
/* More than any disk has. */
#define SLOTS_MAX (DISK_BYTES_MAX / DISK_GRANULE_BYTES * 2)

uint64_t overlay_sum(const void *data)
{
	return XXH3_64bits(data, DISK_GRANULE_BYTES);
}

void overlay_write_head(const struct head *head, uint8_t bytes[HEAD_BYTES])
{
	struct writer out = writer_over(bytes, HEAD_BYTES);

	memset(bytes, 0, HEAD_BYTES);
	writer_u64(&out, HEAD_MAGIC);
	writer_u64(&out, head->granule);
	writer_u64(&out, head->number);
	writer_u64(&out, head->boot);
	writer_u64(&out, head->stable);
	writer_u64(&out, (head->is_zero ? FLAG_ZERO : 0) | (head->has_sum ? FLAG_SUM : 0));
	writer_u64(&out, head->sum);
	writer_u64(&out, XXH3_64bits(bytes, writer_len(&out)));
}

/* False: there is none. */
static bool read_head(const uint8_t bytes[HEAD_BYTES], struct head *head)
{
	struct cursor in = cursor_over(bytes, HEAD_BYTES);
	uint64_t magic = cursor_u64(&in), flags;

	head->granule = cursor_u64(&in);
	head->number = cursor_u64(&in);
	head->boot = cursor_u64(&in);
	head->stable = cursor_u64(&in);
	flags = cursor_u64(&in);
	head->is_zero = flags & FLAG_ZERO;
	head->has_sum = flags & FLAG_SUM;
	head->sum = cursor_u64(&in);
	return magic == HEAD_MAGIC && cursor_u64(&in) == XXH3_64bits(bytes, HEAD_BYTES - 8) &&
	       head->granule < DISK_BYTES_MAX / DISK_GRANULE_BYTES && head->number < UINT64_MAX;
}

static dvs_err write_file_head(int fd, const char *id, bool is_clone)
{
	uint8_t block[OVERLAY_HEAD_BYTES] = { 0 };
	struct writer out = writer_over(block, sizeof(block));
	dvs_err err;

	writer_u64(&out, FILE_MAGIC);
	writer_u32(&out, VERSION);
	writer_u8(&out, is_clone);
	writer_bytes(&out, id, IMAGE_ID_BYTES);
	writer_u64(&out, XXH3_64bits(block, FILE_HEAD_BYTES));
	err = ftruncate(fd, 0) == 0 ? store_pwrite(fd, block, sizeof(block), 0) :
				      store_errno(errno);
	return err == DVS_OK && fsync(fd) != 0 ? store_errno(errno) : err;
}

static dvs_err check_file_head(int fd, const char *name, const char *id, bool is_clone, char *why)
{
	uint8_t bytes[FILE_HEAD_BYTES + 8];
	struct cursor in = cursor_over(bytes, sizeof(bytes));
	char of[IMAGE_ID_BYTES];
	uint32_t version;
	bool is_ours;

	if (store_pread(fd, bytes, sizeof(bytes), 0) != DVS_OK || cursor_u64(&in) != FILE_MAGIC) {
		why_say(why,
			"%s has no blocks of a snapshot or clone; put back the right file, or let this replica be made anew from another one",
			name);
		return DVS_CORRUPT;
	}
	version = cursor_u32(&in);
	if (version != VERSION) {
		why_say(why, "%s is of version %u, this program knows version %u", name, version,
			VERSION);
		return DVS_CORRUPT;
	}
	is_ours = cursor_u8(&in) == is_clone;
	cursor_bytes(&in, of, sizeof(of));
	if (cursor_u64(&in) != XXH3_64bits(bytes, FILE_HEAD_BYTES) || !is_ours) {
		why_say(why, "%s is damaged; let this replica be made anew from another one", name);
		return DVS_CORRUPT;
	}
	if (memcmp(of, id, IMAGE_ID_BYTES) != 0) {
		why_say(why, "%s is of another volume, %.36s", name, of);
		return DVS_EXISTS;
	}
	return DVS_OK;
}

/* ---- finding what is there ---- */

struct found {
	struct head head;
	bool is_there;
};

/* Whether the data that HEAD tells of is there. */
static bool is_whole(struct overlay *overlay, uint64_t slot, const struct head *head,
		     uint64_t stable, uint8_t *room)
{
	if (head->boot)
		return head->boot == overlay->boot;
	if (!head->has_sum || head->number <= stable)
		return true;
	return store_pread(overlay->fd, room, DISK_GRANULE_BYTES,
			   overlay_slot_at(overlay, slot) + OVERLAY_HEAD_BYTES) == DVS_OK &&
	       overlay_sum(room) == head->sum;
}

static dvs_err read_heads(struct overlay *overlay, struct found *found, uint64_t *stable)
{
	for (uint64_t slot = 0; slot < overlay->n_slots; slot++) {
		struct found *one = &found[slot];
		uint8_t bytes[HEAD_BYTES];
		dvs_err err = store_pread(overlay->fd, bytes, sizeof(bytes),
					  overlay_slot_at(overlay, slot));

		if (err != DVS_OK)
			return err;
		one->is_there = read_head(bytes, &one->head);
		if (!one->is_there)
			continue;
		if (one->head.stable > *stable)
			*stable = one->head.stable;
		if (one->head.number > overlay->number)
			overlay->number = one->head.number;
	}
	return DVS_OK;
}

/* The newest whole slot of each granule; all others can be used again. */
static dvs_err take_found(struct overlay *overlay, struct found *found, uint64_t stable,
			  uint64_t end)
{
	AUTO_FREE uint8_t *room = malloc(DISK_GRANULE_BYTES);

	if (!room)
		return DVS_NOMEM;
	for (uint64_t slot = 0; slot < overlay->n_slots; slot++) {
		struct found *one = &found[slot];
		struct overlay_slot had;
		uint64_t was = SLOT_NONE;
		dvs_err err;

		one->is_there = one->is_there && one->head.granule * DISK_GRANULE_BYTES < end &&
				is_whole(overlay, slot, &one->head, stable, room);
		if (!one->is_there) {
			overlay->unused[overlay->n_unused++] = slot;
			continue;
		}
		err = overlay_reserve(overlay, 1);
		if (err != DVS_OK)
			return err;
		if (overlay_find(overlay, one->head.granule, &had)) {
			was = (had.offset - OVERLAY_HEAD_BYTES * 2) / OVERLAY_ROOM_BYTES;
			if (found[was].head.number > one->head.number) {
				overlay->unused[overlay->n_unused++] = slot;
				continue;
			}
			overlay->unused[overlay->n_unused++] = was;
		}
		(void)overlay_insert(overlay, one->head.granule, slot, one->head.is_zero);
		if (one->head.boot)
			overlay->fresh[overlay->n_fresh++] =
				(struct entry){ .granule = one->head.granule, .slot = slot };
	}
	return DVS_OK;
}

static dvs_err find_slots(struct overlay *overlay, uint64_t end)
{
	AUTO_FREE struct found *found = NULL;
	uint64_t stable = 0;
	struct stat st;
	dvs_err err;

	if (fstat(overlay->fd, &st) != 0)
		return store_errno(errno);
	if (((uint64_t)st.st_size - OVERLAY_HEAD_BYTES) % OVERLAY_ROOM_BYTES)
		return DVS_CORRUPT;
	overlay->n_slots = ((uint64_t)st.st_size - OVERLAY_HEAD_BYTES) / OVERLAY_ROOM_BYTES;
	if (overlay->n_slots > SLOTS_MAX)
		return DVS_CORRUPT;
	found = calloc(overlay->n_slots + 1, sizeof(*found));
	if (!found)
		return DVS_NOMEM;
	overlay->fresh = calloc(overlay->n_slots + 1, sizeof(*overlay->fresh));
	overlay->room_fresh = overlay->n_slots + 1;
	err = overlay->fresh ? overlay_grow(overlay, overlay->n_slots) : DVS_NOMEM;
	if (err == DVS_OK)
		err = read_heads(overlay, found, &stable);
	return err == DVS_OK ? take_found(overlay, found, stable, end) : err;
}

/* The same until the machine starts anew: so long the page cache has what was written. */
static uint64_t boot_of_machine(void)
{
	AUTO_CLOSE int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	char id[36];

	return fd >= 0 && read(fd, id, sizeof(id)) == (ssize_t)sizeof(id) ?
		       XXH3_64bits(id, sizeof(id)) | 1 :
		       clock_real_ns() | 1;
}

dvs_err overlay_open_file(int dir, const char *name, const char *id, bool is_clone, bool do_make,
			  uint64_t end, const struct store_help *help, struct overlay **overlay,
			  char *why)
{
	int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | (do_make ? O_CREAT : 0);
	AUTO_CLOSE int fd = openat(dir, name, flags, 0600);
	struct overlay *made;
	dvs_err err;

	if (fd < 0) {
		why_say(why, "cannot open %s: %s", name, strerror(errno));
		return errno == ENOENT ? DVS_CORRUPT : store_errno(errno);
	}
	err = do_make ? write_file_head(fd, id, is_clone) :
			check_file_head(fd, name, id, is_clone, why);
	if (err != DVS_OK)
		return err;
	made = calloc(1, sizeof(*made));
	if (!made)
		return DVS_NOMEM;
	made->is_clone = is_clone;
	list_init(&made->putting);
	list_init(&made->flush_waiting);
	list_init(&made->flush_now);
	made->fd = fd;
	made->boot = boot_of_machine();
	err = overlay_reserve(made, 1);
	if (err == DVS_OK)
		err = store_file_open(fd, 0, OVERLAY_HEAD_BYTES + SLOTS_MAX * OVERLAY_ROOM_BYTES,
				      false, help, &made->store);
	if (err == DVS_OK) {
		/* The store's now. */
		made->fd = take_fd(&fd);
		err = find_slots(made, end);
	}
	if (err != DVS_OK) {
		if (err == DVS_CORRUPT)
			why_say(why,
				"%s is truncated; let this replica be made anew from another one",
				name);
		else
			why_say(why, "cannot read %s: %s", name, dvs_strerror(err));
		overlay_close(made);
		return err;
	}
	*overlay = made;
	return DVS_OK;
}
