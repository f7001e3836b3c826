/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel keeps ends with the lease under which it keeps it.
 *
 * Attributes and contents: the kernel is told by the file's number. It waits there for contents that are on their way to it, so whoever reads must never wait for a recall: the server answers reads at
 * once, and there is always a thread to take them (serve.c). What the kernel has asked for before, and gets afterwards, it does not keep; except of files that it does not know yet, so it is
 * told again until it does.
 *
 * Names: to expire one the kernel locks its directory, which a request that waits for another node may hold; so only one node keeps names of a directory (lease 2), and each of its recalls has a thread of its own (expire.c).
 *
 * When all leases are lost at once (another server, or this node was cut off), requests that could show the difference wait until the kernel has forgotten everything; contents do not
 * wait, since the kernel waits for them meanwhile. */
#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "gateways/fuse/gateway.h"

/* A file of which the kernel has been told and that it does not know yet: its answer is just being read. */
#define UNKNOWN_MS 1u
#define UNKNOWN_TRIES 2000u
/* Who waits takes a thread, of which contents may need one. */
#define GATE_MS 10000u

static void nap(void)
{
	const struct timespec while_it_reads = clock_timespec(UNKNOWN_MS * CLOCK_NS_PER_MS);

	(void)nanosleep(&while_it_reads, NULL);
}

static int tell_inode(struct gateway *gateway, uint64_t ino)
{
	return fuse_lowlevel_notify_inval_inode(gateway->session, ino, 0, 0);
}

static bool recalled(void *context, const struct fs_recall *recall)
{
	struct gateway *gateway = context;
	struct nodes_recall mine;
	uint32_t tries = 0;

	nodes_recall_begin(gateway->nodes, recall->ino, &mine);
	do {
		while (mine.is_known && tell_inode(gateway, recall->ino) == -ENOENT &&
		       tries++ < UNKNOWN_TRIES && nodes_is_known(gateway->nodes, recall->ino))
			nap();
	} while (!nodes_recall_end(gateway->nodes, &mine));
	return expire_names(gateway, recall->ino, recall->number);
}

/* ---- all at once ---- */

static size_t held(void *context, uint64_t *cursor, uint64_t *inos, size_t max)
{
	const struct gateway *gateway = context;

	return nodes_held(gateway->nodes, cursor, inos, max);
}

static void lost(void *context)
{
	struct gateway *gateway = context;

	nodes_lost(gateway->nodes);
	pthread_mutex_lock(&gateway->lock);
	gateway->is_flushing = gateway->has_flusher;
	gateway->is_flush_wanted = true;
	pthread_cond_broadcast(&gateway->changed);
	pthread_mutex_unlock(&gateway->lock);
}

static void flush_one(void *context, uint64_t ino)
{
	(void)tell_inode(context, ino);
	(void)expire_names(context, ino, 0);
}

static void *flusher_run(void *context)
{
	struct gateway *gateway = context;

	pthread_mutex_lock(&gateway->lock);
	while (!gateway->is_closing) {
		if (!gateway->is_flush_wanted) {
			gateway->is_flushing = false;
			pthread_cond_broadcast(&gateway->changed);
			pthread_cond_wait(&gateway->changed, &gateway->lock);
			continue;
		}
		gateway->is_flush_wanted = false;
		pthread_mutex_unlock(&gateway->lock);
		nodes_each(gateway->nodes, flush_one, gateway);
		pthread_mutex_lock(&gateway->lock);
	}
	gateway->is_flushing = false;
	pthread_cond_broadcast(&gateway->changed);
	pthread_mutex_unlock(&gateway->lock);
	return NULL;
}

void coherence_gate(struct gateway *gateway)
{
	struct timespec until = clock_timespec(clock_deadline_ns(GATE_MS * CLOCK_NS_PER_MS));

	pthread_mutex_lock(&gateway->lock);
	while (gateway->is_flushing &&
	       pthread_cond_timedwait(&gateway->changed, &gateway->lock, &until) != ETIMEDOUT)
		;
	pthread_mutex_unlock(&gateway->lock);
}

dvs_err coherence_start(struct gateway *gateway)
{
	if (pthread_create(&gateway->flusher, NULL, flusher_run, gateway))
		return DVS_NOMEM;
	pthread_mutex_lock(&gateway->lock);
	gateway->has_flusher = true;
	pthread_mutex_unlock(&gateway->lock);
	return DVS_OK;
}

void coherence_stop(struct gateway *gateway)
{
	if (!gateway->has_flusher)
		return;
	pthread_mutex_lock(&gateway->lock);
	gateway->is_closing = true;
	pthread_cond_broadcast(&gateway->changed);
	pthread_mutex_unlock(&gateway->lock);
	pthread_join(gateway->flusher, NULL);
}

struct fsc_recalls coherence_recalls(struct gateway *gateway)
{
	return (struct fsc_recalls){
		.context = gateway, .recalled = recalled, .held = held, .lost = lost
	};
}

void coherence_wrote(const struct task *task, uint64_t offset, uint64_t bytes)
{
	if (bytes > 0 && nodes_may_be_cached(task->gateway->nodes, task->ino))
		(void)fuse_lowlevel_notify_inval_inode(task->gateway->session, task->ino,
						       (off_t)offset, (off_t)bytes);
}
