/* SPDX-License-Identifier: Apache-2.0 */
/* A disk that an NBD server of somebody else has. A thread of its own has the connection; when that is lost it is made anew, and requests that were under way are
 * sent again (which is harmless: those that overlap are never under way together). While nobody answers they wait; after GIVE_UP_MS they fail. */
#include <assert.h>
#include <errno.h>
#include <libnbd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "servers/vdd/disks.h"
#include "servers/vdd/image.h"
#include "servers/vdd/store.h"

#define FIRST_MS 5000u
#define GIVE_UP_MS 30000u
#define AGAIN_MS 200u
#define DATA_PART_BYTES (UINT64_C(8) << 20)
#define RANGE_PART_BYTES (UINT64_C(1) << 30)

struct store_nbd {
	struct store store;
	struct returns *returns;
	char *uri;
	pthread_t thread;
	int bell; /* eventfd: something is in `submitted`, or it ends */
	pthread_mutex_t lock;
	/* under lock: */
	struct list submitted;
	bool is_ending;
	/* the thread's: */
	struct nbd_handle *nbd;
	struct list waiting; /* not sent */
	struct list sent;
	struct list ended;
	uint64_t lost_ns;  /* since when there is no connection; 0: there is one */
	uint64_t again_ns; /* when to try again */
	bool can_flush;
	bool can_fua;
	bool can_trim;
	bool can_zero;
};

static struct store_nbd *nbd_of(struct store *store)
{
	return CONTAINER_OF(store, struct store_nbd, store);
}

static struct store_io *io_of_link(struct list *link)
{
	return CONTAINER_OF(link, struct store_io, job.post.queued);
}

/* ---- the connection ---- */

static dvs_err look(struct store_nbd *nbd, char *why)
{
	int64_t bytes = nbd_get_size(nbd->nbd);

	if (bytes < 0 || (uint64_t)bytes < nbd->store.bytes) {
		why_say(why, "%s has %lld bytes, the volume %llu; name a larger one", nbd->uri,
			(long long)bytes, (unsigned long long)nbd->store.bytes);
		return DVS_NOSPACE;
	}
	if (nbd_is_read_only(nbd->nbd) > 0) {
		why_say(why, "%s is read only; let its server give it for writing", nbd->uri);
		return DVS_DENIED;
	}
	if (nbd_get_block_size(nbd->nbd, LIBNBD_SIZE_MINIMUM) > (int64_t)DISK_SECTOR_BYTES) {
		why_say(why, "%s takes no requests of %u bytes; its server must allow them",
			nbd->uri, DISK_SECTOR_BYTES);
		return DVS_BADARG;
	}
	nbd->can_flush = nbd_can_flush(nbd->nbd) > 0;
	nbd->can_fua = nbd_can_fua(nbd->nbd) > 0;
	nbd->can_trim = nbd_can_trim(nbd->nbd) > 0;
	nbd->can_zero = nbd_can_zero(nbd->nbd) > 0;
	return DVS_OK;
}

static bool begin_connecting(struct store_nbd *nbd)
{
	nbd->nbd = nbd_create();
	return nbd->nbd && nbd_aio_connect_uri(nbd->nbd, nbd->uri) == 0;
}

static void hang_up(struct store_nbd *nbd)
{
	nbd_close(nbd->nbd);
	nbd->nbd = NULL;
	/* What was not answered goes again, first, in its order. */
	while (!list_is_empty(&nbd->sent)) {
		struct list *link = nbd->sent.prev;

		list_remove(link);
		list_add_head(&nbd->waiting, link);
	}
}

/* Wait for the connection or the bell, at most WAIT_MS, and let the connection go on. */
static void turn(struct store_nbd *nbd, int wait_ms)
{
	struct pollfd fds[2] = { { .fd = nbd->bell, .events = POLLIN }, { .fd = -1 } };
	unsigned int direction = 0;
	uint64_t rung;

	if (nbd->nbd) {
		direction = nbd_aio_get_direction(nbd->nbd);
		fds[1].fd = nbd_aio_get_fd(nbd->nbd);
		fds[1].events = (direction & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0) |
				(direction & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0);
	}
	if (poll(fds, 2, wait_ms) <= 0)
		return;
	if (fds[0].revents & POLLIN && read(nbd->bell, &rung, sizeof(rung)) < 0)
		return;
	if (!nbd->nbd || fds[1].revents == 0)
		return;
	/* What fails shows in the connection's state. */
	if (direction & LIBNBD_AIO_DIRECTION_READ && fds[1].revents & (POLLIN | POLLHUP | POLLERR))
		(void)nbd_aio_notify_read(nbd->nbd);
	else if (direction & LIBNBD_AIO_DIRECTION_WRITE)
		(void)nbd_aio_notify_write(nbd->nbd);
}

static dvs_err connect_first(struct store_nbd *nbd, char *why)
{
	uint64_t end_ns = clock_deadline_ns(FIRST_MS * CLOCK_NS_PER_MS);
	bool is_begun = begin_connecting(nbd);

	while (is_begun && nbd_aio_is_connecting(nbd->nbd) > 0 && !clock_is_past(end_ns))
		turn(nbd, clock_poll_ms(end_ns));
	if (is_begun && nbd_aio_is_ready(nbd->nbd) > 0)
		return look(nbd, why);
	why_say(why, "cannot reach %s: %s; see that the server runs and that the URI is right",
		nbd->uri,
		is_begun && nbd_aio_is_connecting(nbd->nbd) > 0 ? "it does not answer" :
		nbd_get_error()					? nbd_get_error() :
								  "the connection was refused");
	return DVS_NOTFOUND;
}

/* ---- requests, on the thread ---- */

static int answered(void *context, int *error)
{
	struct store_io *io = context;
	struct store_nbd *nbd = nbd_of(io->store);

	list_remove(&io->job.post.queued);
	if (*error == ENOTCONN || *error == ESHUTDOWN || *error == EPIPE || *error == ECONNRESET) {
		list_add_tail(&nbd->waiting, &io->job.post.queued);
		return 1;
	}
	io->err = *error ? store_errno(*error) : DVS_OK;
	io->at += (uint64_t)io->result;
	/* The rest of it, or the flush behind a write that wants one. */
	if (io->err == DVS_OK && (io->at < io->bytes || io->flags & STORE_FUA) &&
	    !(io->at == io->bytes && (nbd->can_fua || io->bounce || io->op == STORE_READ)))
		list_add_tail(&nbd->waiting, &io->job.post.queued);
	else
		list_add_tail(&nbd->ended, &io->job.post.queued);
	return 1;
}

static int64_t send_zeroes(struct store_nbd *nbd, struct store_io *io, uint64_t bytes,
			   nbd_completion_callback done, uint32_t fua)
{
	static const uint8_t zeroes[DISK_GRANULE_BYTES];

	if (nbd->can_zero) {
		uint32_t keep = io->flags & STORE_KEEP ? LIBNBD_CMD_FLAG_NO_HOLE : 0;

		return nbd_aio_zero(nbd->nbd, bytes, io->offset + io->at, done, fua | keep);
	}
	if (bytes > sizeof(zeroes))
		bytes = sizeof(zeroes);
	io->result = (int)bytes;
	return nbd_aio_pwrite(nbd->nbd, zeroes, bytes, io->offset + io->at, done, fua);
}

/* The next part of IO. False: the connection did not take it. */
static bool send_part(struct store_nbd *nbd, struct store_io *io)
{
	nbd_completion_callback done = { .callback = answered, .user_data = io };
	uint64_t left = io->bytes - io->at;
	uint64_t most = io->op == STORE_ZERO ? RANGE_PART_BYTES : DATA_PART_BYTES;
	uint64_t bytes = left < most ? left : most;
	uint32_t fua = io->flags & STORE_FUA && nbd->can_fua ? LIBNBD_CMD_FLAG_FUA : 0;
	uint8_t *buffer = io->buffer ? (uint8_t *)io->buffer + io->at : NULL;
	int64_t cookie = -1;

	io->result = (int)bytes;
	if (bytes == 0) {
		/* `bounce` says that this was the last. */
		io->bounce = io;
		cookie = nbd_aio_flush(nbd->nbd, done, 0);
		return cookie >= 0;
	}
	switch (io->op) {
	case STORE_READ:
		cookie = nbd_aio_pread(nbd->nbd, buffer, bytes, io->offset + io->at, done, 0);
		break;
	case STORE_WRITE:
		cookie = nbd_aio_pwrite(nbd->nbd, buffer, bytes, io->offset + io->at, done, fua);
		break;
	case STORE_ZERO:
		cookie = send_zeroes(nbd, io, bytes, done, fua);
		break;
	case STORE_FLUSH:
		break;
	}
	return cookie >= 0;
}

static void send_waiting(struct store_nbd *nbd)
{
	struct list *link;

	while (nbd->nbd && nbd_aio_is_ready(nbd->nbd) > 0 &&
	       (link = list_take_head(&nbd->waiting)) != NULL) {
		struct store_io *io = io_of_link(link);

		if (io->at == io->bytes && !nbd->can_flush) {
			io->err = DVS_OK;
			list_add_tail(&nbd->ended, link);
			continue;
		}
		/* It can be answered in the call. */
		list_add_tail(&nbd->sent, link);
		if (send_part(nbd, io))
			continue;
		list_remove(link);
		if (nbd_aio_is_ready(nbd->nbd) > 0 || nbd_aio_is_processing(nbd->nbd) > 0) {
			io->err = DVS_IO;
			list_add_tail(&nbd->ended, link);
		} else {
			list_add_head(&nbd->waiting, link);
			return;
		}
	}
}

/* ---- the thread ---- */

static bool take_submitted(struct store_nbd *nbd)
{
	struct list *link;
	bool is_ending;

	pthread_mutex_lock(&nbd->lock);
	while ((link = list_take_head(&nbd->submitted)) != NULL)
		list_add_tail(&nbd->waiting, link);
	is_ending = nbd->is_ending;
	pthread_mutex_unlock(&nbd->lock);
	return !is_ending;
}

static void give_up(struct store_nbd *nbd)
{
	struct list *link;

	if (nbd->lost_ns == 0 || clock_now_ns() - nbd->lost_ns < GIVE_UP_MS * CLOCK_NS_PER_MS)
		return;
	while ((link = list_take_head(&nbd->waiting)) != NULL) {
		io_of_link(link)->err = DVS_IO;
		list_add_tail(&nbd->ended, link);
	}
}

/* Keep a connection, or try to. */
static void keep(struct store_nbd *nbd)
{
	char why[DISK_WHY_MAX + 1];

	if (nbd->nbd && (nbd_aio_is_dead(nbd->nbd) > 0 || nbd_aio_is_closed(nbd->nbd) > 0 ||
			 (nbd_aio_is_connecting(nbd->nbd) > 0 && nbd->lost_ns &&
			  clock_is_past(nbd->again_ns + FIRST_MS * CLOCK_NS_PER_MS)))) {
		hang_up(nbd);
		if (nbd->lost_ns == 0)
			nbd->lost_ns = clock_now_ns();
		nbd->again_ns = clock_deadline_ns(AGAIN_MS * CLOCK_NS_PER_MS);
	}
	if (!nbd->nbd && clock_is_past(nbd->again_ns) && !begin_connecting(nbd)) {
		hang_up(nbd);
		nbd->again_ns = clock_deadline_ns(AGAIN_MS * CLOCK_NS_PER_MS);
	}
	if (nbd->nbd && nbd->lost_ns && nbd_aio_is_ready(nbd->nbd) > 0) {
		/* Another one may be there in its place. */
		if (look(nbd, why) == DVS_OK) {
			nbd->lost_ns = 0;
		} else {
			hang_up(nbd);
			nbd->again_ns = clock_deadline_ns(AGAIN_MS * CLOCK_NS_PER_MS);
		}
	}
	give_up(nbd);
}

static void *nbd_main(void *context)
{
	struct store_nbd *nbd = context;

	while (take_submitted(nbd)) {
		keep(nbd);
		send_waiting(nbd);
		if (!list_is_empty(&nbd->ended)) {
			returns_put_all(nbd->returns, &nbd->ended);
			continue;
		}
		turn(nbd, nbd->lost_ns ? (int)AGAIN_MS : -1);
	}
	hang_up(nbd);
	return NULL;
}

/* ---- the owner's side ---- */

static void ring(struct store_nbd *nbd)
{
	uint64_t one = 1;

	/* It fails only when it is full of rings. */
	while (write(nbd->bell, &one, sizeof(one)) < 0 && errno == EINTR)
		continue;
}

static void returned(struct post *post)
{
	struct store_io *io = CONTAINER_OF(post, struct store_io, job.post);

	io->done(io, io->err);
}

static void nbd_submit(struct store *store, struct store_io *io)
{
	struct store_nbd *nbd = nbd_of(store);

	assert(io->offset <= store->bytes && io->bytes <= store->bytes - io->offset);
	io->store = store;
	io->at = 0;
	io->bounce = NULL;
	io->job = (struct job){ .post = { .run = returned } };
	pthread_mutex_lock(&nbd->lock);
	list_add_tail(&nbd->submitted, &io->job.post.queued);
	pthread_mutex_unlock(&nbd->lock);
	ring(nbd);
}

static dvs_err nbd_resize(struct store *store, uint64_t bytes)
{
	if (bytes > store->bytes)
		return DVS_BADSTATE;
	store->bytes = bytes;
	return DVS_OK;
}

static dvs_err nbd_extent(struct store *store, uint64_t offset, uint64_t limit, uint64_t *bytes,
			  bool *is_hole)
{
	(void)store;
	(void)offset;
	*bytes = limit;
	*is_hole = false;
	return DVS_OK;
}

static uint64_t nbd_used(struct store *store)
{
	return store->bytes;
}

static void nbd_store_close(struct store *store)
{
	struct store_nbd *nbd = nbd_of(store);

	pthread_mutex_lock(&nbd->lock);
	nbd->is_ending = true;
	pthread_mutex_unlock(&nbd->lock);
	ring(nbd);
	(void)pthread_join(nbd->thread, NULL);
	pthread_mutex_destroy(&nbd->lock);
	close(nbd->bell);
	free(nbd->uri);
	free(nbd);
}

static const struct store_ops nbd_ops = {
	.submit = nbd_submit,
	.resize = nbd_resize,
	.extent = nbd_extent,
	.used = nbd_used,
	.close = nbd_store_close,
};

static bool start_thread(struct store_nbd *nbd)
{
	sigset_t all, was;
	int failed;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &was);
	failed = pthread_create(&nbd->thread, NULL, nbd_main, nbd);
	(void)pthread_sigmask(SIG_SETMASK, &was, NULL);
	return failed == 0;
}

dvs_err store_nbd_open(const char *uri, uint64_t bytes, const struct store_help *help,
		       struct store **store, char *why)
{
	struct store_nbd *nbd = calloc(1, sizeof(*nbd));
	dvs_err err = DVS_NOMEM;

	if (!nbd)
		return DVS_NOMEM;
	nbd->store = (struct store){ .ops = &nbd_ops, .bytes = bytes, .align = 1 };
	nbd->returns = help->returns;
	list_init(&nbd->submitted);
	list_init(&nbd->waiting);
	list_init(&nbd->sent);
	list_init(&nbd->ended);
	nbd->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	nbd->uri = strdup(uri);
	if (nbd->bell < 0 || !nbd->uri || pthread_mutex_init(&nbd->lock, NULL) != 0)
		goto undo_memory;
	err = connect_first(nbd, why);
	if (err == DVS_OK && !start_thread(nbd))
		err = DVS_NOMEM;
	if (err == DVS_OK) {
		*store = &nbd->store;
		return DVS_OK;
	}
	hang_up(nbd);
	pthread_mutex_destroy(&nbd->lock);
undo_memory:
	if (nbd->bell >= 0)
		close(nbd->bell);
	free(nbd->uri);
	free(nbd);
	return err;
}
