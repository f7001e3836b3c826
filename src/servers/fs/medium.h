/* SPDX-License-Identifier: Apache-2.0 */
/* Where a file system's bytes are (decision 0026): one flat room. All calls may come from any thread of the process, also at the same time, and block until they are done; who calls sees to it that what overlaps is not under
 * way at the same time. */
#ifndef SERVERS_FS_MEDIUM_H
#define SERVERS_FS_MEDIUM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/dvk.h>

#include "base/compiler.h"
#include "client/claim.h"

#define MEDIUM_BLOCK_BYTES 4096u /* offsets and sizes of requests are multiples of it */
#define MEDIUM_WHY_MAX 255

struct medium;

struct medium_ops {
	dvs_err (*read)(struct medium *medium, uint64_t offset, void *buffer, size_t bytes);
	dvs_err (*write)(struct medium *medium, uint64_t offset, const void *buffer, size_t bytes);
	dvs_err (*zero)(struct medium *medium, uint64_t offset, uint64_t bytes);
	dvs_err (*flush)(struct medium *medium);
	dvs_err (*grown)(struct medium *medium);
	void (*close)(struct medium *medium);
};

struct medium {
	const struct medium_ops *ops;
	uint64_t bytes;
	bool is_quick; /* reads and writes wait for nobody: no worker is worth its while */
	atomic_bool
		is_over; /* another one has it, or this node was cut off: nothing can be read or written through it any more */
	bool is_volatile; /* it goes with the process: nobody finds what a crash has left */
	uint8_t incarnation
		[16]; /* the same as at an earlier opening: nothing that was answered is lost, flushed or not */
};

/* In memory of this process. NOMEM. */
DVS_MUST_USE dvs_err medium_ram_open(uint64_t bytes, struct medium **medium);
/* The image file or block device PATH, through the page cache. With BYTES, not 0, a file is made that must not be there yet. It is locked against another process. WHY (room for MEDIUM_WHY_MAX + 1) gets a
 * sentence. NOTFOUND, EXISTS, INUSE, DENIED, NOSPACE, BADARG, IO, NOMEM. */
DVS_MUST_USE dvs_err medium_file_open(const char *path, uint64_t bytes, struct medium **medium,
				      char *why);
/* Volume NAME of the DC that DVK is in, through ADMIN and DVK, which stay the caller's and live longer. A claim on it is taken for WHO (whose endpoint is filled in), from whoever had it under WHO's token: that one can write nothing any more when this returns. Who loses an endpoint of it (this node was
 * cut off), or the claim, has lost it: STALE from then on; it is to be opened anew by whoever is to serve then. WHY as above. NOTFOUND, DENIED, INUSE, NODEST, READONLY, NOMEM. */
DVS_MUST_USE dvs_err medium_volume_open(struct dvk *admin, struct dvk *dvk, const char *dc,
					const char *name, const struct claim_holder *who,
					struct medium **medium, char *why);

/* IO, and of volumes what the call there ended with (NODEST, NOQUORUM, NODEDOWN, STALE: another one has opened it since). */
static inline DVS_MUST_USE dvs_err medium_read(struct medium *medium, uint64_t offset, void *buffer,
					       size_t bytes)
{
	return medium->ops->read(medium, offset, buffer, bytes);
}

/* As medium_read(), NOSPACE, READONLY. When it is done, medium_read() gives it, also that of another process after this one's death. */
static inline DVS_MUST_USE dvs_err medium_write(struct medium *medium, uint64_t offset,
						const void *buffer, size_t bytes)
{
	return medium->ops->write(medium, offset, buffer, bytes);
}

/* It reads as zeroes, and takes no space where that is possible. */
static inline DVS_MUST_USE dvs_err medium_zero(struct medium *medium, uint64_t offset,
					       uint64_t bytes)
{
	return medium->ops->zero(medium, offset, bytes);
}

/* All that was done before it was called is on stable storage. After an error nobody knows what is: whoever gets one must not go on as if. */
static inline DVS_MUST_USE dvs_err medium_flush(struct medium *medium)
{
	return medium->ops->flush(medium);
}

/* Look whether it has become larger: `bytes`. */
static inline DVS_MUST_USE dvs_err medium_grown(struct medium *medium)
{
	return medium->ops->grown(medium);
}

/* Whoever is to serve opens it anew. */
static inline bool medium_is_over(const struct medium *medium)
{
	return atomic_load(&medium->is_over);
}

/* NULL is fine. Nothing is flushed. */
static inline void medium_close(struct medium *medium)
{
	if (medium)
		medium->ops->close(medium);
}

#endif
