/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary bytes as a file of a snapshot's or clone's blocks: as they are, and as heads of slots in a file that is whole otherwise. What is opened has each granule once,
 * and its slots are within the file. */
#include "servers/vdd/overlay.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "servers/vdd/overlay_internal.h"

#define ID "5a8b0a70-0000-4000-8000-000000000005"
#define SLOT_BYTES 26u /* of input: granule, number, boot and stable, flags */

static void put(void *context, struct post *post)
{
	(void)context;
	(void)post;
}

static void look(const struct overlay *overlay, int fd)
{
	uint64_t granule, last = 0, n = 0;
	struct stat st;

	assert(fstat(fd, &st) == 0);
	for (uint64_t at = 0; overlay_next(overlay, &at, &granule); at++) {
		struct overlay_slot slot;

		assert(overlay_find(overlay, granule, &slot));
		assert(slot.offset + DISK_GRANULE_BYTES <= (uint64_t)st.st_size);
		assert(n == 0 || granule != last);
		last = granule;
		n++;
	}
	assert(overlay_used(overlay) <= n * DISK_GRANULE_BYTES);
}

static void try_file(int dir, bool is_clone)
{
	const struct poster poster = { .put = put };
	char why[DISK_WHY_MAX + 1] = "";
	struct store_help help = { .crew = NULL };
	struct overlay *overlay = NULL;
	int fd = openat(dir, "cow-0", O_RDWR | O_CLOEXEC);

	assert(fd >= 0);
	if (returns_open(&poster, &help.returns) == DVS_OK &&
	    crew_open(1, help.returns, &help.crew) == DVS_OK &&
	    overlay_open_file(dir, "cow-0", ID, is_clone, false, DISK_BYTES_MAX, &help, &overlay,
			      why) == DVS_OK)
		look(overlay, fd);
	else
		assert(why[0] && memchr(why, '\0', sizeof(why)));
	overlay_close(overlay);
	crew_close(help.crew);
	returns_close(help.returns);
	close(fd);
}

static uint64_t number(const uint8_t *bytes, size_t n)
{
	uint64_t value = 0;

	memcpy(&value, bytes, n);
	return value;
}

/* A file with the heads that DATA tells. */
static void write_heads(int dir, bool is_clone, const uint8_t *data, size_t size)
{
	static uint8_t granule[DISK_GRANULE_BYTES];
	struct overlay *overlay;
	struct store_help help = { .crew = NULL };
	char why[DISK_WHY_MAX + 1];
	uint8_t head_bytes[HEAD_BYTES];
	uint64_t slot = 0;
	int fd;

	assert(overlay_open_file(dir, "cow-0", ID, is_clone, true, DISK_BYTES_MAX, &help, &overlay,
				 why) == DVS_OK);
	fd = openat(dir, "cow-0", O_RDWR | O_CLOEXEC);
	assert(fd >= 0);
	for (; size >= SLOT_BYTES; data += SLOT_BYTES, size -= SLOT_BYTES, slot++) {
		struct head head = {
			.granule = number(data, 8),
			.number = number(data + 8, 8),
			.boot = data[16] % 2 ? 0 : number(data + 16, 1),
			.stable = number(data + 17, 8),
			.is_zero = data[25] & 1,
			.has_sum = data[25] & 2,
			.sum = data[25] & 4 ? overlay_sum(granule) : 0,
		};

		overlay_write_head(&head, head_bytes);
		assert(pwrite(fd, head_bytes, sizeof(head_bytes),
			      (off_t)overlay_slot_at(overlay, slot)) == HEAD_BYTES);
	}
	assert(ftruncate(fd, (off_t)overlay_slot_at(overlay, slot)) == 0);
	close(fd);
	overlay_close(overlay);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[] = "/dev/shm/dvs-fuzz-overlay-XXXXXX";
	bool is_clone = size && data[0] & 1;
	int dir, fd;

	assert(mkdtemp(path));
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert(dir >= 0);
	fd = openat(dir, "cow-0", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert(fd >= 0 && (size == 0 || write(fd, data, size) == (ssize_t)size));
	close(fd);
	try_file(dir, is_clone);
	if (size > 1)
		write_heads(dir, is_clone, data + 1, size - 1);
	try_file(dir, is_clone);
	assert(unlinkat(dir, "cow-0", 0) == 0);
	close(dir);
	assert(rmdir(path) == 0);
	return 0;
}
