/* SPDX-License-Identifier: Apache-2.0 */
/* Locks of flock(2) and fcntl(2), of all sessions. They are kept in memory: after a failover clients claim theirs again before anybody else gets one. */
#include <stdlib.h>

#include "servers/fs/fsd.h"

enum { KIND_FLOCK = 1, KIND_POSIX = 2 };
enum { TYPE_SHARED = 0, TYPE_EXCLUSIVE = 1, TYPE_UNLOCK = 2 };
#define WAIT 1u
#define RECLAIM 2u
#define TO_END UINT64_MAX

/* Who holds or wants a lock: flock's belong to an open file, fcntl's to an owner of the client's. */
struct holder {
	struct fsd_session *session;
	uint8_t kind;
	uint64_t owner; /* FLOCK: the handle */
};

struct range {
	uint64_t start;
	uint64_t end; /* inclusive */
};

struct lock {
	struct list of_file;
	struct holder holder;
	struct range range;
	uint8_t type;
	uint32_t pid;
};

/* A request that waits. */
struct waiter {
	struct list of_file;
	struct skeleton_request *request;
	struct fsd_session *session;
	struct lock want;
};

struct locked {
	struct list by_ino;
	uint64_t ino;
	struct list locks;
	struct list waiters; /* in the order of their coming */
};

static struct locked *find(const struct fsd *fsd, uint64_t ino)
{
	LIST_FOREACH(link, &fsd->locked[fsd_bucket(ino)]) {
		struct locked *locked = CONTAINER_OF(link, struct locked, by_ino);

		if (locked->ino == ino)
			return locked;
	}
	return NULL;
}

static struct locked *get(struct fsd *fsd, uint64_t ino)
{
	struct locked *locked = find(fsd, ino);

	if (locked)
		return locked;
	locked = calloc(1, sizeof(*locked));
	if (!locked)
		return NULL;
	locked->ino = ino;
	list_init(&locked->locks);
	list_init(&locked->waiters);
	list_add_head(&fsd->locked[fsd_bucket(ino)], &locked->by_ino);
	return locked;
}

static void put(struct locked *locked)
{
	if (!list_is_empty(&locked->locks) || !list_is_empty(&locked->waiters))
		return;
	list_remove(&locked->by_ino);
	free(locked);
}

static bool is_same(const struct holder *a, const struct holder *b)
{
	return a->session == b->session && a->kind == b->kind && a->owner == b->owner;
}

/* The first one in the file that keeps WANT from being set; NULL: none does. Locks of the two kinds have nothing to do with each other, as on Linux. */
static struct lock *conflict(const struct locked *locked, const struct lock *want)
{
	struct lock *first = NULL;

	LIST_FOREACH(link, &locked->locks) {
		struct lock *lock = CONTAINER_OF(link, struct lock, of_file);

		if (lock->holder.kind == want->holder.kind &&
		    !is_same(&lock->holder, &want->holder) &&
		    (lock->type == TYPE_EXCLUSIVE || want->type == TYPE_EXCLUSIVE) &&
		    lock->range.start <= want->range.end && want->range.start <= lock->range.end &&
		    (!first || lock->range.start < first->range.start))
			first = lock;
	}
	return first;
}

/* ---- changing what a holder has ---- */

static struct lock *add(struct fsd *fsd, struct locked *locked, const struct lock *what)
{
	struct lock *lock;

	if (fsd->n_locks >= FSD_LOCKS_MAX)
		return NULL;
	lock = malloc(sizeof(*lock));
	if (!lock)
		return NULL;
	*lock = *what;
	list_add_tail(&locked->locks, &lock->of_file);
	fsd->n_locks++;
	lock->holder.session->n_locks++;
	return lock;
}

static void drop(struct fsd *fsd, struct lock *lock)
{
	lock->holder.session->n_locks--;
	fsd->n_locks--;
	list_remove(&lock->of_file);
	free(lock);
}

/* Take the range WANT from LOCK, of the same holder. False: no memory for the part behind it; then nothing is changed. */
static bool cut(struct fsd *fsd, struct locked *locked, struct lock *lock, const struct range *want)
{
	struct range was = lock->range;

	if (was.start < want->start && want->end < was.end) {
		struct lock rest = *lock;

		rest.range.start = want->end + 1;
		if (!add(fsd, locked, &rest))
			return false;
		lock->range.end = want->start - 1;
	} else if (was.start < want->start) {
		lock->range.end = want->start - 1;
	} else if (want->end < was.end) {
		lock->range.start = want->end + 1;
	} else {
		drop(fsd, lock);
	}
	return true;
}

/* What touches WANT and is of its type becomes one with it. */
static void join(struct fsd *fsd, struct locked *locked, struct lock *want)
{
	LIST_FOREACH_SAFE(link, &locked->locks) {
		struct lock *lock = CONTAINER_OF(link, struct lock, of_file);
		bool is_before = lock->range.end != TO_END &&
				 lock->range.end + 1 == want->range.start;
		bool is_behind = want->range.end != TO_END &&
				 want->range.end + 1 == lock->range.start;

		if (!is_same(&lock->holder, &want->holder) || lock->type != want->type ||
		    (!is_before && !is_behind))
			continue;
		if (is_before)
			want->range.start = lock->range.start;
		else
			want->range.end = lock->range.end;
		drop(fsd, lock);
	}
}

/* The holder has WANT from now on, whatever it had there. */
static dvs_err set(struct fsd *fsd, struct locked *locked, struct lock *want)
{
	/* What may be needed more than is set free: one for the rest behind, one for itself. */
	if (fsd->n_locks + 2 > FSD_LOCKS_MAX)
		return DVS_FULL;
	LIST_FOREACH_SAFE(link, &locked->locks) {
		struct lock *lock = CONTAINER_OF(link, struct lock, of_file);

		if (is_same(&lock->holder, &want->holder) && lock->range.start <= want->range.end &&
		    want->range.start <= lock->range.end && !cut(fsd, locked, lock, &want->range))
			return DVS_NOMEM;
	}
	if (want->type == TYPE_UNLOCK)
		return DVS_OK;
	join(fsd, locked, want);
	return add(fsd, locked, want) ? DVS_OK : DVS_NOMEM;
}

/* ---- waiting ---- */

/* Those that can have theirs now get it; the one that came first is looked at first. */
static void serve(struct fsd *fsd, struct locked *locked)
{
	bool again = true;

	while (again) {
		again = false;
		LIST_FOREACH_SAFE(link, &locked->waiters) {
			struct waiter *waiter = CONTAINER_OF(link, struct waiter, of_file);
			struct skeleton_request *request = waiter->request;
			dvs_err err;

			if (conflict(locked, &waiter->want))
				continue;
			err = set(fsd, locked, &waiter->want);
			list_remove(&waiter->of_file);
			free(waiter);
			fs_lock_answer(request, err, NULL);
			again = true;
		}
	}
}

/* Looking for a circle goes no deeper, and looks at no more who wait: it is one thread for all. */
#define DEPTH_MAX 32u
#define LOOKS_MAX 20000u

struct search {
	const struct holder *origin;
	uint32_t n_looks;
};

/* Whether somebody whom HOLDER waits for, at whatever remove, waits for the origin of the search. */
static bool waits_for(const struct fsd *fsd, struct search *search, const struct holder *holder,
		      uint32_t depth)
{
	if (depth == 0)
		return false;
	for (uint32_t i = 0; i < FSD_BUCKETS; i++) {
		LIST_FOREACH(file, &fsd->locked[i]) {
			const struct locked *locked = CONTAINER_OF(file, struct locked, by_ino);

			LIST_FOREACH(link, &locked->waiters) {
				const struct waiter *waiter =
					CONTAINER_OF(link, struct waiter, of_file);
				const struct lock *against;

				if (++search->n_looks > LOOKS_MAX)
					return false;
				if (!is_same(&waiter->want.holder, holder))
					continue;
				against = conflict(locked, &waiter->want);
				if (against &&
				    (is_same(&against->holder, search->origin) ||
				     waits_for(fsd, search, &against->holder, depth - 1)))
					return true;
			}
		}
	}
	return false;
}

static dvs_err wait(struct fsd *fsd, struct locked *locked, struct fsd_session *session,
		    struct skeleton_request *request, const struct lock *want)
{
	const struct lock *against = conflict(locked, want);
	struct search search = { .origin = &want->holder };
	struct waiter *waiter;

	/* fcntl(2) looks for circles, flock(2) does not. */
	if (want->holder.kind == KIND_POSIX && waits_for(fsd, &search, &against->holder, DEPTH_MAX))
		return DVS_DEADLOCK;
	waiter = calloc(1, sizeof(*waiter));
	if (!waiter)
		return DVS_NOMEM;
	waiter->request = request;
	waiter->session = session;
	waiter->want = *want;
	list_add_tail(&locked->waiters, &waiter->of_file);
	return DVS_OK;
}

/* ---- operations ---- */

static struct lock wanted(struct fsd_session *session, const struct fs_lock_req *req)
{
	bool is_flock = req->kind == KIND_FLOCK;

	return (struct lock){
		.holder = { session, req->kind, is_flock ? req->handle : req->owner },
		.range = { is_flock ? 0 : req->start, is_flock ? TO_END : req->end },
		.type = req->type,
		.pid = req->pid,
	};
}

/* The request is answered, or waits. */
static void take(struct fsd *fsd, struct fsd_session *session, struct skeleton_request *request,
		 const struct fs_lock_req *req, uint64_t ino)
{
	struct lock want = wanted(session, req);
	struct locked *locked = get(fsd, ino);
	dvs_err err;

	if (!locked) {
		fs_lock_answer(request, DVS_NOMEM, NULL);
		return;
	}
	if (req->type == TYPE_UNLOCK || !conflict(locked, &want)) {
		err = set(fsd, locked, &want);
		fs_lock_answer(request, err, NULL);
		serve(fsd, locked);
	} else if ((req->flags & WAIT) == 0) {
		fs_lock_answer(request, DVS_LOCKED, NULL);
	} else {
		/* flock(2) gives up what it has before it waits for something else. */
		if (req->kind == KIND_FLOCK) {
			struct lock none = want;

			none.type = TYPE_UNLOCK;
			err = set(fsd, locked, &none);
			if (!err)
				err = wait(fsd, locked, session, request, &want);
			if (!err)
				serve(fsd, locked);
		} else {
			err = wait(fsd, locked, session, request, &want);
		}
		if (err)
			fs_lock_answer(request, err, NULL);
	}
	put(locked);
}

void fsd_lock(void *state, struct skeleton_request *request, const struct fs_lock_req *req)
{
	struct fsd *fsd = state;
	struct fsd_session *session = fsd_session_of(fsd, request->source);
	const struct fsd_handle *handle;
	dvs_err err = DVS_OK;

	fsd_take_over(fsd);
	if (!session || !fsd->fs ||
	    ((session->is_expected || session->is_resuming) && (req->flags & RECLAIM) == 0))
		err = DVS_RESUME;
	else if (req->kind == KIND_POSIX && req->start > req->end)
		err = DVS_BADARG;
	handle = err ? NULL : fsd_handle(session, req->handle);
	if (!err && !handle)
		err = DVS_NOHANDLE;
	if (err)
		fs_lock_answer(request, err, NULL);
	else
		take(fsd, session, request, req, handle->ino);
}

void fsd_test_lock(void *state, struct skeleton_request *request,
		   const struct fs_test_lock_req *req)
{
	struct fs_test_lock_rep rep = { .type = TYPE_UNLOCK };
	const struct fsd_handle *handle;
	const struct locked *locked;
	const struct lock *against;
	struct fsd_call call;
	struct lock want;

	if (!fsd_begin(state, &call, request, false, FSD_NOBODY))
		return;
	handle = fsd_handle(call.session, req->handle);
	locked = handle ? find(call.fsd, handle->ino) : NULL;
	want = (struct lock){ .holder = { call.session, KIND_POSIX, req->owner },
			      .range = { req->start, req->end },
			      .type = req->type };
	against = locked ? conflict(locked, &want) : NULL;
	if (against)
		rep = (struct fs_test_lock_rep){ .type = against->type,
						 .pid = against->pid,
						 .start = against->range.start,
						 .end = against->range.end };
	fs_test_lock_answer(request, handle ? DVS_OK : DVS_NOHANDLE, &rep);
	fsd_end(&call);
}

void fsd_cancel(void *state, struct skeleton_request *request, const struct fs_cancel_req *req)
{
	const struct fsd_handle *handle;
	struct locked *locked;
	struct fsd_call call;

	if (!fsd_begin(state, &call, request, false, FSD_NOBODY))
		return;
	handle = fsd_handle(call.session, req->handle);
	locked = handle ? find(call.fsd, handle->ino) : NULL;
	if (locked) {
		LIST_FOREACH_SAFE(link, &locked->waiters) {
			struct waiter *waiter = CONTAINER_OF(link, struct waiter, of_file);
			const struct holder *holder = &waiter->want.holder;

			if (waiter->session != call.session || holder->kind != req->kind ||
			    holder->owner != (req->kind == KIND_FLOCK ? req->handle : req->owner))
				continue;
			list_remove(&waiter->of_file);
			fs_lock_answer(waiter->request, DVS_WOKEN, NULL);
			free(waiter);
		}
		put(locked);
	}
	fsd_answer(&call, handle ? DVS_OK : DVS_NOHANDLE, NULL, 0, NULL, 0);
}

/* What of FILE belongs to SESSION, and with HANDLE only to that open file. */
static void end_of_file(struct fsd *fsd, struct locked *locked, const struct fsd_session *session,
			const struct fsd_handle *handle)
{
	LIST_FOREACH_SAFE(link, &locked->waiters) {
		struct waiter *waiter = CONTAINER_OF(link, struct waiter, of_file);

		if (waiter->session != session ||
		    (handle && (waiter->want.holder.kind != KIND_FLOCK ||
				waiter->want.holder.owner != handle->number)))
			continue;
		list_remove(&waiter->of_file);
		fs_lock_answer(waiter->request, handle ? DVS_NOHANDLE : DVS_RESUME, NULL);
		free(waiter);
	}
	LIST_FOREACH_SAFE(link, &locked->locks) {
		struct lock *lock = CONTAINER_OF(link, struct lock, of_file);

		if (lock->holder.session == session &&
		    (!handle ||
		     (lock->holder.kind == KIND_FLOCK && lock->holder.owner == handle->number)))
			drop(fsd, lock);
	}
	serve(fsd, locked);
	put(locked);
}

void fsd_locks_end(struct fsd *fsd, struct fsd_session *session, const struct fsd_handle *handle)
{
	struct locked *locked = handle ? find(fsd, handle->ino) : NULL;

	if (locked)
		end_of_file(fsd, locked, session, handle);
	if (handle)
		return;
	for (uint32_t i = 0; i < FSD_BUCKETS; i++) {
		LIST_FOREACH_SAFE(link, &fsd->locked[i])
			end_of_file(fsd, CONTAINER_OF(link, struct locked, by_ino), session, NULL);
	}
}
