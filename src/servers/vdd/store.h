/* SPDX-License-Identifier: Apache-2.0 */
/* Where a disk's bytes are: one flat room of bytes behind one table of operations. A store knows no snapshots and no order: whoever submits sees to
 * it that what overlaps is not under way at the same time.
 *
 * Requests are submitted on the thread that opened the store and end by `done` on that thread: in store_submit() when the store has everything at hand, else by
 * a post. */
#ifndef SERVERS_VDD_STORE_H
#define SERVERS_VDD_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "servers/vdd/crew.h"

enum store_op {
	STORE_READ = 1,
	STORE_WRITE,
	STORE_ZERO, /* reads as zeroes; without STORE_KEEP its space is given back where that is possible */
	STORE_FLUSH,
};

#define STORE_FUA 1u  /* WRITE, ZERO: on stable storage when it is done */
#define STORE_KEEP 2u /* ZERO: the space stays */

struct store;

struct store_io {
	enum store_op op;
	uint32_t flags;
	uint64_t offset;
	uint64_t bytes;
	void *buffer; /* the submitter's until `done` */
	/* OK, IO, NOSPACE, NOMEM. The io is the submitter's again. */
	void (*done)(struct store_io *io, dvs_err err);
	/* the store's own */
	struct store *store;
	struct job job;
	struct sync_wait sync;
	dvs_err err;
	int result;
	void *bounce;
	uint64_t at;
};

struct store_ops {
	void (*submit)(struct store *store, struct store_io *io);
	/* Nothing is under way. What is added reads as zeroes. May block. NOSPACE, NOMEM, BADSTATE (it cannot grow), IO. */
	dvs_err (*resize)(struct store *store, uint64_t bytes);
	/* See store_extent(). */
	dvs_err (*extent)(struct store *store, uint64_t offset, uint64_t limit, uint64_t *bytes,
			  bool *is_hole);
	/* Bytes that it takes. */
	uint64_t (*used)(struct store *store);
	/* The store's own memory at OFFSET for reading, until something else is submitted. NULL: there is none. */
	const void *(*memory)(struct store *store, uint64_t offset, uint64_t bytes);
	/* Not OK: a flush has failed so; nobody knows what is on the medium, and nothing is written any more. NULL: it has no such state. */
	dvs_err (*broken)(struct store *store);
	void (*close)(struct store *store);
};

struct store {
	const struct store_ops *ops;
	uint64_t bytes;
	uint32_t align; /* requests that overlap in units of this must not be under way together */
};

/* What stores of this process share. */
struct store_help {
	struct returns *returns;
	struct crew *crew;
};

/* In memory of this process. NOMEM. */
DVS_MUST_USE dvs_err store_ram_open(uint64_t bytes, struct store **store);
/* In file FD from byte BASE on, through the page cache. The store owns FD when it is made. With IS_DEVICE it has no holes and its size is fixed. NOMEM. */
DVS_MUST_USE dvs_err store_file_open(int fd, uint64_t base, uint64_t bytes, bool is_device,
				     const struct store_help *help, struct store **store);

/* The same past the page cache, with O_DIRECT and io_uring. WHY gets a sentence. BADSTATE: there is no O_DIRECT; DENIED: no io_uring; NOMEM. */
DVS_MUST_USE dvs_err store_uring_open(int fd, uint64_t base, uint64_t bytes, bool is_device,
				      const struct store_help *help, struct store **store,
				      char *why);

/* The block device PATH, as a whole. WHY gets a sentence. NOTFOUND, BADARG: it is none; NOSPACE: too small; INUSE, DENIED, IO, NOMEM. */
DVS_MUST_USE dvs_err store_raw_open(const char *path, uint64_t bytes, const struct store_help *help,
				    struct store **store, char *why);
/* What an NBD server has. NOTFOUND: it does not answer; NOSPACE: too small; DENIED: read only; BADARG, NOMEM. */
DVS_MUST_USE dvs_err store_nbd_open(const char *uri, uint64_t bytes, const struct store_help *help,
				    struct store **store, char *why);
/* What a file must have behind BASE for a disk of BYTES: whole blocks. */
static inline uint64_t store_file_bytes(uint64_t bytes)
{
	return (bytes + 4095) / 4096 * 4096;
}

/* What a failed system call on a store's file means to who wrote or read. */
DVS_MUST_USE dvs_err store_errno(int errno_value);
/* All of BYTES at OFFSET, also when the kernel takes or gives them in parts; what is beyond the end of the file is IO. */
DVS_MUST_USE dvs_err store_pread(int fd, void *buffer, uint64_t bytes, uint64_t offset);
DVS_MUST_USE dvs_err store_pwrite(int fd, const void *buffer, uint64_t bytes, uint64_t offset);
/* Zeroes there, as a hole unless KEEP. */
DVS_MUST_USE dvs_err store_pzero(int fd, uint64_t offset, uint64_t bytes, bool keep);

/* The file of a disk that had WAS bytes behind BASE has BYTES from now on. */
DVS_MUST_USE dvs_err store_fd_resize(int fd, uint64_t base, uint64_t was, uint64_t bytes);
/* The same of a device, if it has so many. What is added is made zeroes. */
DVS_MUST_USE dvs_err store_device_resize(int fd, uint64_t was, uint64_t bytes);
/* See store_extent(); FROM is in the file. */
DVS_MUST_USE dvs_err store_fd_extent(int fd, bool is_device, uint64_t from, uint64_t limit,
				     uint64_t *bytes, bool *is_hole);
uint64_t store_fd_used(int fd);

static inline void store_submit(struct store *store, struct store_io *io)
{
	store->ops->submit(store, io);
}

static inline dvs_err store_resize(struct store *store, uint64_t bytes)
{
	return store->ops->resize(store, bytes);
}

/* The extent that begins at OFFSET: *IS_HOLE, and *BYTES up to at most LIMIT. What is no hole may still be zeroes. */
static inline dvs_err store_extent(struct store *store, uint64_t offset, uint64_t limit,
				   uint64_t *bytes, bool *is_hole)
{
	return store->ops->extent(store, offset, limit, bytes, is_hole);
}

static inline uint64_t store_used(struct store *store)
{
	return store->ops->used(store);
}

static inline dvs_err store_broken(struct store *store)
{
	return store->ops->broken ? store->ops->broken(store) : DVS_OK;
}

static inline void store_close(struct store *store)
{
	if (store)
		store->ops->close(store);
}

#endif
