/* SPDX-License-Identifier: Apache-2.0 */
/* A disk in a file or on a device past the page cache: io_uring and O_DIRECT. The owner's thread submits; a thread of its own waits for what has
 * ended and posts all that it finds at once.
 *
 * O_DIRECT wants memory, offsets and lengths in units of the medium. What is not so goes through a buffer of the store; to write a part of a unit, the units around it are read first (requests that share a unit
 * are not under way together: store.align). */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/compiler.h"
#include "servers/vdd/disks.h"
#include "servers/vdd/image.h"
#include "servers/vdd/store.h"

#define ENTRIES 256u
#define MEMORY_ALIGN 4096u
#define REAP_MAX 64u

struct store_uring {
	struct store store;
	struct returns *returns;
	struct crew *crew;
	struct io_uring ring;
	pthread_t thread;
	pthread_mutex_t lock; /* orders what the owner's thread and the ring's have written */
	uint64_t base;
	int fd;
	int cached_fd; /* without O_DIRECT: for zeroes, which know no units */
	bool is_device;
	dvs_err broken; /* after a flush that failed nobody knows what is on the medium */
	/* Requests that found no room in the ring. */
	struct list waiting;
	uint32_t n_under_way;
};

/* One step of a request in the kernel. `io.bounce` is this, when the request needs its own memory. */
struct bounce {
	uint8_t *memory;
	uint64_t from; /* of the units around the request */
	uint64_t bytes;
	bool is_reading; /* before writing a part */
};

static struct store_uring *uring_of(struct store *store)
{
	return CONTAINER_OF(store, struct store_uring, store);
}

static bool is_aligned(const struct store_uring *uring, const struct store_io *io)
{
	uint64_t all = io->offset | io->bytes;

	return all % uring->store.align == 0 && (uintptr_t)io->buffer % uring->store.align == 0;
}

/* ---- the way in ---- */

static void prepare(struct store_uring *uring, struct io_uring_sqe *sqe, struct store_io *io)
{
	const struct bounce *bounce = io->bounce;
	uint8_t *memory = bounce ? bounce->memory : io->buffer;
	uint64_t from = uring->base + (bounce ? bounce->from : io->offset) + io->at;
	uint64_t bytes = (bounce ? bounce->bytes : io->bytes) - io->at;
	unsigned int part = bytes > (1u << 30) ? 1u << 30 : (unsigned int)bytes;

	switch (io->op) {
	case STORE_WRITE:
		if (!bounce || !bounce->is_reading) {
			io_uring_prep_write(sqe, uring->fd, memory + io->at, part, from);
			sqe->rw_flags = io->flags & STORE_FUA ? RWF_DSYNC : 0;
			break;
		}
		/* fallthrough: the units around it */
		__attribute__((fallthrough));
	case STORE_READ:
		io_uring_prep_read(sqe, uring->fd, memory + io->at, part, from);
		break;
	case STORE_ZERO:
	case STORE_FLUSH:
		io_uring_prep_fsync(sqe, uring->fd, IORING_FSYNC_DATASYNC);
		break;
	}
	io_uring_sqe_set_data(sqe, io);
}

/* As many as there is room for. */
static void pump(struct store_uring *uring)
{
	bool any = false;

	while (uring->n_under_way < ENTRIES && !list_is_empty(&uring->waiting)) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);
		struct list *link;

		if (!sqe)
			break;
		link = list_take_head(&uring->waiting);
		prepare(uring, sqe, CONTAINER_OF(link, struct store_io, job.post.queued));
		uring->n_under_way++;
		any = true;
	}
	if (!any)
		return;
	pthread_mutex_lock(&uring->lock);
	pthread_mutex_unlock(&uring->lock);
	/* What is not taken now (no memory in the kernel) goes with the next ones. */
	(void)io_uring_submit(&uring->ring);
}

static void send_off(struct store_uring *uring, struct store_io *io)
{
	list_add_tail(&uring->waiting, &io->job.post.queued);
	pump(uring);
}

static void drop_bounce(struct store_io *io)
{
	struct bounce *bounce = io->bounce;

	if (bounce)
		free(bounce->memory);
	free(bounce);
	io->bounce = NULL;
}

static void end(struct store_io *io, dvs_err err)
{
	drop_bounce(io);
	io->done(io, err);
}

/* ---- the way back, on the owner's thread ---- */

static void begin_write(struct store_uring *uring, struct store_io *io)
{
	struct bounce *bounce = io->bounce;

	bounce->is_reading = false;
	memcpy(bounce->memory + (io->offset - bounce->from), io->buffer, io->bytes);
	io->at = 0;
	send_off(uring, io);
}

/* What was read or written, perhaps not all of it. */
static void step(struct store_uring *uring, struct store_io *io)
{
	const struct bounce *bounce = io->bounce;

	io->at += (uint64_t)io->result;
	if (io->at < (bounce ? bounce->bytes : io->bytes)) {
		if (io->result == 0)
			end(io, DVS_IO);
		else
			send_off(uring, io);
	} else if (bounce && bounce->is_reading) {
		begin_write(uring, io);
	} else {
		if (bounce && io->op == STORE_READ)
			memcpy(io->buffer, bounce->memory + (io->offset - bounce->from), io->bytes);
		end(io, DVS_OK);
	}
}

static void fail(struct store_uring *uring, struct store_io *io)
{
	dvs_err err = store_errno(-io->result);

	if (io->op == STORE_FLUSH || io->op == STORE_ZERO)
		uring->broken = err;
	end(io, err);
}

static void returned(struct post *post)
{
	struct store_io *io = CONTAINER_OF(post, struct store_io, job.post);
	struct store_uring *uring = uring_of(io->store);

	uring->n_under_way--;
	if (io->result == -EINTR || io->result == -EAGAIN)
		send_off(uring, io);
	else if (io->result < 0)
		fail(uring, io);
	else if (io->op == STORE_FLUSH || io->op == STORE_ZERO)
		end(io, DVS_OK);
	else
		step(uring, io);
	pump(uring);
}

/* The ring's thread: until it reads a request without a name. */
static void *reap(void *context)
{
	struct store_uring *uring = context;

	for (;;) {
		struct io_uring_cqe *cqes[REAP_MAX];
		struct list ended;
		unsigned int n;
		bool is_over = false;

		if (io_uring_wait_cqe(&uring->ring, &cqes[0]) < 0)
			continue;
		n = io_uring_peek_batch_cqe(&uring->ring, cqes, REAP_MAX);
		list_init(&ended);
		pthread_mutex_lock(&uring->lock);
		pthread_mutex_unlock(&uring->lock);
		for (unsigned int i = 0; i < n; i++) {
			struct store_io *io = io_uring_cqe_get_data(cqes[i]);

			is_over |= io == NULL;
			if (!io)
				continue;
			io->result = cqes[i]->res;
			list_add_tail(&ended, &io->job.post.queued);
		}
		io_uring_cq_advance(&uring->ring, n);
		if (!list_is_empty(&ended))
			returns_put_all(uring->returns, &ended);
		if (is_over)
			return NULL;
	}
}

/* ---- requests ---- */

/* The units around IO, in memory of the store. */
static dvs_err make_bounce(const struct store_uring *uring, struct store_io *io)
{
	uint64_t unit = uring->store.align;
	uint64_t to = (io->offset + io->bytes + unit - 1) / unit * unit;
	struct bounce *bounce = calloc(1, sizeof(*bounce));
	void *memory = NULL;

	if (!bounce)
		return DVS_NOMEM;
	bounce->from = io->offset / unit * unit;
	bounce->bytes = to - bounce->from;
	if (posix_memalign(&memory, MEMORY_ALIGN, bounce->bytes) != 0) {
		free(bounce);
		return DVS_NOMEM;
	}
	bounce->memory = memory;
	io->bounce = bounce;
	if (io->op == STORE_WRITE)
		bounce->is_reading = bounce->from != io->offset || bounce->bytes != io->bytes;
	return DVS_OK;
}

static void zero_work(struct job *job)
{
	struct store_io *io = CONTAINER_OF(job, struct store_io, job);
	const struct store_uring *uring = uring_of(io->store);

	io->err = store_pzero(uring->cached_fd, uring->base + io->offset, io->bytes,
			      io->flags & STORE_KEEP);
}

static void zero_done(struct post *post)
{
	struct store_io *io = CONTAINER_OF(post, struct store_io, job.post);

	if (io->err != DVS_OK || !(io->flags & STORE_FUA)) {
		end(io, io->err);
		return;
	}
	io->job.post.run = returned;
	send_off(uring_of(io->store), io);
}

static void uring_submit(struct store *store, struct store_io *io)
{
	struct store_uring *uring = uring_of(store);
	dvs_err err = DVS_OK;

	assert(io->offset <= store->bytes && io->bytes <= store->bytes - io->offset);
	io->store = store;
	io->at = 0;
	io->bounce = NULL;
	io->job = (struct job){ .post = { .run = returned } };
	list_init(&io->job.post.queued);
	if (io->op != STORE_READ && uring->broken != DVS_OK) {
		end(io, uring->broken);
		return;
	}
	if (io->op == STORE_ZERO) {
		io->job = (struct job){ .post = { .run = zero_done }, .work = zero_work };
		crew_put(uring->crew, &io->job);
		return;
	}
	if (io->op != STORE_FLUSH && !is_aligned(uring, io))
		err = make_bounce(uring, io);
	if (err != DVS_OK) {
		end(io, err);
		return;
	}
	if (io->op == STORE_WRITE && io->bounce && !((struct bounce *)io->bounce)->is_reading)
		begin_write(uring, io);
	else
		send_off(uring, io);
}

/* ---- the rest ---- */

static dvs_err uring_resize(struct store *store, uint64_t bytes)
{
	struct store_uring *uring = uring_of(store);
	dvs_err err;

	err = uring->is_device ? store_device_resize(uring->cached_fd, store->bytes, bytes) :
				 store_fd_resize(uring->fd, uring->base, store->bytes, bytes);
	if (err == DVS_OK)
		store->bytes = bytes;
	return err;
}

static dvs_err uring_extent(struct store *store, uint64_t offset, uint64_t limit, uint64_t *bytes,
			    bool *is_hole)
{
	const struct store_uring *uring = uring_of(store);

	return store_fd_extent(uring->fd, uring->is_device, uring->base + offset, limit, bytes,
			       is_hole);
}

static uint64_t uring_used(struct store *store)
{
	const struct store_uring *uring = uring_of(store);

	return uring->is_device ? store->bytes : store_fd_used(uring->fd);
}

static dvs_err uring_broken(struct store *store)
{
	return uring_of(store)->broken;
}

static void uring_close(struct store *store)
{
	struct store_uring *uring = uring_of(store);
	struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);

	/* The ring holds more than are ever under way. */
	assert(sqe);
	io_uring_prep_nop(sqe);
	io_uring_sqe_set_data(sqe, NULL);
	while (io_uring_submit(&uring->ring) < 0)
		continue;
	(void)pthread_join(uring->thread, NULL);
	io_uring_queue_exit(&uring->ring);
	pthread_mutex_destroy(&uring->lock);
	close(uring->fd);
	close(uring->cached_fd);
	free(uring);
}

static const struct store_ops uring_ops = {
	.submit = uring_submit,
	.resize = uring_resize,
	.extent = uring_extent,
	.used = uring_used,
	.broken = uring_broken,
	.close = uring_close,
};

static bool start_thread(struct store_uring *uring)
{
	sigset_t all, was;
	int failed;

	/* Signals are for the thread that has the loop. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &was);
	failed = pthread_create(&uring->thread, NULL, reap, uring);
	(void)pthread_sigmask(SIG_SETMASK, &was, NULL);
	return failed == 0;
}

/* The unit of O_DIRECT on FD; 0: it has none. */
static uint32_t unit_of(int fd, bool is_device)
{
	struct statx st;
	int unit;

	if (is_device)
		return ioctl(fd, BLKSSZGET, &unit) == 0 && unit > 0 ? (uint32_t)unit : 0;
#ifdef STATX_DIOALIGN
	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &st) == 0 &&
	    (st.stx_mask & STATX_DIOALIGN))
		return st.stx_dio_offset_align > st.stx_dio_mem_align ? st.stx_dio_offset_align :
									st.stx_dio_mem_align;
#endif
	/* Whatever it is, it is no more than a block. */
	(void)st;
	return DISK_BLOCK_BYTES;
}

static dvs_err open_direct(struct store_uring *uring, char *why)
{
	char path[64];
	uint32_t unit;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", uring->cached_fd);
	uring->fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	unit = uring->fd < 0 ? 0 : unit_of(uring->fd, uring->is_device);
	if (unit == 0 || unit > DISK_BLOCK_BYTES || DISK_BLOCK_BYTES % unit) {
		why_say(why,
			"what is below does not know O_DIRECT (%s); make the volume without direct",
			uring->fd < 0 ? strerror(errno) : "no unit that fits");
		return DVS_BADSTATE;
	}
	uring->store.align = unit < DISK_SECTOR_BYTES ? DISK_SECTOR_BYTES : unit;
	return DVS_OK;
}

static dvs_err open_ring(struct store_uring *uring, char *why)
{
	int failed = io_uring_queue_init(ENTRIES * 2, &uring->ring, 0);

	if (failed >= 0)
		return DVS_OK;
	why_say(why,
		"io_uring is not to be had here (%s); allow it (sysctl kernel.io_uring_disabled=0), or make the volume without direct",
		strerror(-failed));
	return failed == -ENOMEM ? DVS_NOMEM : DVS_DENIED;
}

dvs_err store_uring_open(int fd, uint64_t base, uint64_t bytes, bool is_device,
			 const struct store_help *help, struct store **store, char *why)
{
	struct store_uring *uring = calloc(1, sizeof(*uring));
	dvs_err err;

	if (!uring)
		return DVS_NOMEM;
	uring->store = (struct store){ .ops = &uring_ops, .bytes = bytes };
	uring->returns = help->returns;
	uring->crew = help->crew;
	uring->cached_fd = fd;
	uring->base = base;
	uring->is_device = is_device;
	list_init(&uring->waiting);
	err = open_direct(uring, why);
	if (err != DVS_OK)
		goto undo_memory;
	err = open_ring(uring, why);
	if (err != DVS_OK)
		goto undo_memory;
	err = DVS_NOMEM;
	if (pthread_mutex_init(&uring->lock, NULL) != 0)
		goto undo_ring;
	if (!start_thread(uring))
		goto undo_lock;
	*store = &uring->store;
	return DVS_OK;
undo_lock:
	pthread_mutex_destroy(&uring->lock);
undo_ring:
	io_uring_queue_exit(&uring->ring);
undo_memory:
	if (uring->fd >= 0)
		close(uring->fd);
	free(uring);
	return err;
}
