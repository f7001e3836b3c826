/* SPDX-License-Identifier: Apache-2.0 */
/* Locks of flock(2) and fcntl(2). One that has to wait gets a thread of its own, and no worker waits with it; a signal to who waits cancels it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>

#include "base/clock.h"
#include "gateways/fuse/gateway.h"

/* The cancellation can be at the server before what it cancels. */
#define CANCEL_TRIES 100u
#define CANCEL_AGAIN_MS 10u

struct waiter {
	struct worker worker;
	fuse_req_t req;
	struct fs_lock_req what;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* under lock: */
	bool is_cancelled;
	bool is_done;
};

static void reply(fuse_req_t req, dvs_err err)
{
	if (err == DVS_FULL)
		fuse_reply_err(req, ENOLCK);
	else
		task_end(&(struct task){ .req = req }, err);
}

/* ---- one that waits ---- */

static void interrupted(fuse_req_t req, void *context)
{
	struct waiter *waiter = context;
	struct worker *mine = pthread_getspecific(waiter->worker.gateway->worker);

	(void)req;
	pthread_mutex_lock(&waiter->lock);
	waiter->is_cancelled = true;
	for (uint32_t i = 0; i < CANCEL_TRIES && !waiter->is_done; i++) {
		struct timespec until =
			clock_timespec(clock_deadline_ns(CANCEL_AGAIN_MS * CLOCK_NS_PER_MS));

		pthread_mutex_unlock(&waiter->lock);
		(void)!fsc_cancel(mine->me, waiter->what.handle, waiter->what.kind,
				  waiter->what.owner);
		pthread_mutex_lock(&waiter->lock);
		if (!waiter->is_done)
			(void)pthread_cond_timedwait(&waiter->changed, &waiter->lock, &until);
	}
	pthread_mutex_unlock(&waiter->lock);
}

static dvs_err wait_for_lock(struct waiter *waiter)
{
	bool is_cancelled;
	dvs_err err;

	pthread_mutex_lock(&waiter->lock);
	is_cancelled = waiter->is_cancelled;
	pthread_mutex_unlock(&waiter->lock);
	if (is_cancelled)
		return DVS_WOKEN;
	err = fsc_enter(waiter->worker.gateway->fsc, &waiter->worker.me);
	if (!err)
		err = fsc_lock(waiter->worker.me, &waiter->what);
	return err;
}

static void waiter_free(struct waiter *waiter)
{
	pthread_cond_destroy(&waiter->changed);
	pthread_mutex_destroy(&waiter->lock);
	free(waiter);
}

static void *waiter_run(void *context)
{
	struct waiter *waiter = context;
	struct gateway *gateway = waiter->worker.gateway;
	dvs_err err;

	serve_adopt(gateway, &waiter->worker);
	err = wait_for_lock(waiter);
	pthread_mutex_lock(&waiter->lock);
	waiter->is_done = true;
	pthread_cond_broadcast(&waiter->changed);
	pthread_mutex_unlock(&waiter->lock);
	/* Returns when no interruption of it is at work any more. */
	fuse_req_interrupt_func(waiter->req, NULL, NULL);
	reply(waiter->req, err);
	fsc_leave(waiter->worker.me);
	serve_adopt(gateway, NULL);
	waiter_free(waiter);
	pthread_mutex_lock(&gateway->lock);
	gateway->n_waiters--;
	pthread_cond_broadcast(&gateway->changed);
	pthread_mutex_unlock(&gateway->lock);
	return NULL;
}

static struct waiter *waiter_make(const struct task *task, const struct fs_lock_req *what)
{
	struct waiter *waiter = calloc(1, sizeof(*waiter));
	pthread_condattr_t clock;

	if (!waiter)
		return NULL;
	waiter->worker = (struct worker){ .gateway = task->gateway, .fd = task->worker->fd };
	waiter->req = task->req;
	waiter->what = *what;
	waiter->what.flags = FSC_LOCK_WAIT;
	pthread_mutex_init(&waiter->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&waiter->changed, &clock);
	pthread_condattr_destroy(&clock);
	return waiter;
}

static bool take_place(struct gateway *gateway)
{
	bool is_taken;

	pthread_mutex_lock(&gateway->lock);
	is_taken = gateway->n_waiters < GATEWAY_WAITERS_MAX;
	gateway->n_waiters += is_taken;
	pthread_mutex_unlock(&gateway->lock);
	return is_taken;
}

/* From here on the request is the waiter's. */
static void begin_to_wait(const struct task *task, const struct fs_lock_req *what)
{
	struct gateway *gateway = task->gateway;
	struct waiter *waiter;
	pthread_attr_t detached;
	pthread_t thread;
	int failed = ENOMEM;

	if (!take_place(gateway)) {
		fuse_reply_err(task->req, ENOLCK);
		return;
	}
	waiter = waiter_make(task, what);
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	if (waiter) {
		fuse_req_interrupt_func(task->req, interrupted, waiter);
		failed = pthread_create(&thread, &detached, waiter_run, waiter);
	}
	pthread_attr_destroy(&detached);
	if (!failed)
		return;
	if (waiter) {
		fuse_req_interrupt_func(task->req, NULL, NULL);
		waiter_free(waiter);
	}
	pthread_mutex_lock(&gateway->lock);
	gateway->n_waiters--;
	pthread_mutex_unlock(&gateway->lock);
	fuse_reply_err(task->req, ENOLCK);
}

static void lock(const struct task *task, const struct fs_lock_req *what, bool may_wait)
{
	dvs_err err = fsc_lock(task->me, what);

	if (err == DVS_LOCKED && may_wait)
		begin_to_wait(task, what);
	else
		reply(task->req, err);
}

/* ---- operations ---- */

static void op_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info, int op)
{
	struct task task = task_of(req, ino);
	struct fs_lock_req what = { .handle = (uint32_t)info->fh,
				    .kind = FSC_LOCK_FLOCK,
				    .pid = (uint32_t)fuse_req_ctx(req)->pid,
				    .owner = info->lock_owner };

	switch (op & ~LOCK_NB) {
	case LOCK_SH:
		what.type = FSC_LOCK_SHARED;
		break;
	case LOCK_EX:
		what.type = FSC_LOCK_EXCLUSIVE;
		break;
	case LOCK_UN:
		what.type = FSC_LOCK_NONE;
		break;
	default:
		fuse_reply_err(req, EINVAL);
		return;
	}
	lock(&task, &what, !(op & LOCK_NB));
}

static uint8_t type_of(short type)
{
	if (type == F_UNLCK)
		return FSC_LOCK_NONE;
	return type == F_WRLCK ? FSC_LOCK_EXCLUSIVE : FSC_LOCK_SHARED;
}

static uint64_t end_of(const struct flock *flock)
{
	return flock->l_len ? (uint64_t)flock->l_start + (uint64_t)flock->l_len - 1 : INT64_MAX;
}

static void op_setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info,
		     struct flock *flock, int may_wait)
{
	struct task task = task_of(req, ino);
	const struct fs_lock_req what = { .handle = (uint32_t)info->fh,
					  .kind = FSC_LOCK_FCNTL,
					  .type = type_of(flock->l_type),
					  .pid = (uint32_t)flock->l_pid,
					  .owner = info->lock_owner,
					  .start = (uint64_t)flock->l_start,
					  .end = end_of(flock) };

	lock(&task, &what, may_wait != 0);
}

static void op_getlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info,
		     struct flock *flock)
{
	struct task task = task_of(req, ino);
	const struct fs_test_lock_req what = { .handle = (uint32_t)info->fh,
					       .type = type_of(flock->l_type),
					       .owner = info->lock_owner,
					       .start = (uint64_t)flock->l_start,
					       .end = end_of(flock) };
	struct fs_test_lock_rep rep;
	dvs_err err = fsc_test_lock(task.me, &what, &rep);

	if (err) {
		task_fail(&task, err);
		return;
	}
	flock->l_type = rep.type == FSC_LOCK_NONE      ? F_UNLCK :
			rep.type == FSC_LOCK_EXCLUSIVE ? F_WRLCK :
							 F_RDLCK;
	if (rep.type != FSC_LOCK_NONE) {
		flock->l_whence = SEEK_SET;
		flock->l_start = (off_t)rep.start;
		flock->l_len = rep.end >= INT64_MAX ? 0 : (off_t)(rep.end - rep.start + 1);
		flock->l_pid = (pid_t)rep.pid;
	}
	fuse_reply_lock(req, flock);
}

void ops_locks_add(struct fuse_lowlevel_ops *ops)
{
	ops->flock = op_flock;
	ops->setlk = op_setlk;
	ops->getlk = op_getlk;
}
