/* SPDX-License-Identifier: Apache-2.0 */
/* What is under an attached device: a volume, or in tests some memory. All calls wait until it is done. Each thread that serves has one `thread` of its own, and
 * uses it alone. Offsets and sizes are within the disk and multiples of ATTACH_SECTOR_BYTES. */
#ifndef GATEWAYS_ATTACH_BACKEND_H
#define GATEWAYS_ATTACH_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/error.h>

#define ATTACH_SECTOR_BYTES 512u
#define ATTACH_REQUEST_MAX (1u << 20) /* bytes of a read or write */
#define ATTACH_WHY_MAX 400

struct attach_geometry {
	uint64_t bytes;
	bool is_read_only;
};

struct attach_backend {
	void *context;
	/* For the calling thread. */
	dvs_err (*enter)(void *context, void **thread);
	void (*leave)(void *thread);
	dvs_err (*geometry)(void *thread, struct attach_geometry *geometry);
	dvs_err (*read)(void *thread, uint64_t offset, void *room, size_t bytes);
	dvs_err (*write)(void *thread, uint64_t offset, const void *data, size_t bytes);
	dvs_err (*flush)(void *thread);
	dvs_err (*trim)(void *thread, uint64_t offset, uint64_t bytes);
	/* KEEP: the space stays taken. */
	dvs_err (*zero)(void *thread, uint64_t offset, uint64_t bytes, bool keep);
	/* How many bytes from OFFSET (below the disk's end) on are alike, at least a sector, and whether they are a hole. */
	dvs_err (*extent)(void *thread, uint64_t offset, uint64_t *bytes, bool *is_hole);
};

#endif
