/* SPDX-License-Identifier: Apache-2.0 */
/* A disk in a sparse file, through the page cache: writes and what is in the cache are done in place, everything that has to wait for the
 * medium is done by the crew. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/compiler.h"
#include "servers/vdd/disks.h"
#include "servers/vdd/store.h"

struct store_file {
	struct store store;
	struct crew *crew;
	struct syncer syncer;
	uint64_t base;
	int fd;
	bool is_device;
	bool always_waits; /* the file system cannot say what is in the cache */
};

static struct store_file *file_of(struct store *store)
{
	return CONTAINER_OF(store, struct store_file, store);
}

/* ---- requests ---- */

static void synced(struct sync_wait *wait, dvs_err err)
{
	struct store_io *io = CONTAINER_OF(wait, struct store_io, sync);

	io->done(io, err);
}

/* What was written is in the cache. */
static void end(struct store_file *file, struct store_io *io, dvs_err err)
{
	if (err == DVS_OK && (io->op == STORE_FLUSH || (io->flags & STORE_FUA))) {
		io->sync.done = synced;
		syncer_wait(&file->syncer, &io->sync);
	} else {
		io->done(io, err);
	}
}

static void work(struct job *job)
{
	struct store_io *io = CONTAINER_OF(job, struct store_io, job);
	const struct store_file *file = file_of(io->store);

	if (io->op == STORE_READ)
		io->err = store_pread(file->fd, (uint8_t *)io->buffer + io->at, io->bytes - io->at,
				      file->base + io->offset + io->at);
	else
		io->err = store_pzero(file->fd, file->base + io->offset, io->bytes,
				      io->flags & STORE_KEEP);
}

static void worked(struct post *post)
{
	struct store_io *io = CONTAINER_OF(post, struct store_io, job.post);

	end(file_of(io->store), io, io->err);
}

static void send_off(struct store_file *file, struct store_io *io)
{
	io->job = (struct job){ .post = { .run = worked }, .work = work };
	crew_put(file->crew, &io->job);
}

/* What is in the page cache. True: that was all. */
static bool read_at_hand(struct store_file *file, struct store_io *io)
{
	while (io->at < io->bytes && !file->always_waits) {
		struct iovec part = { .iov_base = (uint8_t *)io->buffer + io->at,
				      .iov_len = io->bytes - io->at };
		ssize_t got = preadv2(file->fd, &part, 1, (off_t)(file->base + io->offset + io->at),
				      RWF_NOWAIT);

		file->always_waits = got < 0 && (errno == EOPNOTSUPP || errno == ENOSYS);
		if (got <= 0)
			return false;
		io->at += (uint64_t)got;
	}
	return io->at == io->bytes;
}

static void file_submit(struct store *store, struct store_io *io)
{
	struct store_file *file = file_of(store);

	assert(io->offset <= store->bytes && io->bytes <= store->bytes - io->offset);
	io->store = store;
	io->at = 0;
	if (io->op != STORE_READ && file->syncer.broken != DVS_OK) {
		io->done(io, file->syncer.broken);
		return;
	}
	switch (io->op) {
	case STORE_READ:
		if (read_at_hand(file, io))
			io->done(io, DVS_OK);
		else
			send_off(file, io);
		break;
	case STORE_WRITE:
		end(file, io,
		    store_pwrite(file->fd, io->buffer, io->bytes, file->base + io->offset));
		break;
	case STORE_ZERO:
		send_off(file, io);
		break;
	case STORE_FLUSH:
		end(file, io, DVS_OK);
		break;
	}
}

/* ---- the rest ---- */

static dvs_err file_resize(struct store *store, uint64_t bytes)
{
	struct store_file *file = file_of(store);
	dvs_err err;

	err = file->is_device ? store_device_resize(file->fd, store->bytes, bytes) :
				store_fd_resize(file->fd, file->base, store->bytes, bytes);
	if (err == DVS_OK)
		store->bytes = bytes;
	return err;
}

static dvs_err file_extent(struct store *store, uint64_t offset, uint64_t limit, uint64_t *bytes,
			   bool *is_hole)
{
	const struct store_file *file = file_of(store);

	return store_fd_extent(file->fd, file->is_device, file->base + offset, limit, bytes,
			       is_hole);
}

static uint64_t file_used(struct store *store)
{
	const struct store_file *file = file_of(store);

	return file->is_device ? store->bytes : store_fd_used(file->fd);
}

static dvs_err file_broken(struct store *store)
{
	return file_of(store)->syncer.broken;
}

static void file_close(struct store *store)
{
	struct store_file *file = file_of(store);

	/* What the cache has and the medium has not must not be taken for what is there when it is opened again. */
	if (file->syncer.broken != DVS_OK)
		(void)posix_fadvise(file->fd, 0, 0, POSIX_FADV_DONTNEED);
	close(file->fd);
	free(file);
}

static const struct store_ops file_ops = {
	.submit = file_submit,
	.resize = file_resize,
	.extent = file_extent,
	.used = file_used,
	.broken = file_broken,
	.close = file_close,
};

dvs_err store_file_open(int fd, uint64_t base, uint64_t bytes, bool is_device,
			const struct store_help *help, struct store **store)
{
	struct store_file *file = calloc(1, sizeof(*file));

	if (!file)
		return DVS_NOMEM;
	file->store = (struct store){ .ops = &file_ops, .bytes = bytes, .align = 1 };
	file->crew = help->crew;
	file->base = base;
	file->fd = fd;
	file->is_device = is_device;
	syncer_init(&file->syncer, fd, help->crew);
	*store = &file->store;
	return DVS_OK;
}
