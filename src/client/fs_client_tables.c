/* SPDX-License-Identifier: Apache-2.0 */
/* What a session has: identities, open files, locks. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "client/fs_client_internal.h"

dvs_err fsc_tables_make(struct fsc *fsc)
{
	for (size_t i = 0; i < FSC_WHO_BUCKETS; i++)
		list_init(&fsc->who_by_key[i]);
	list_init(&fsc->who_by_use);
	fsc->n_handles = 1;
	fsc->who_numbers = calloc(FSC_WHO_MAX + 1, sizeof(void *));
	fsc->handles = calloc(FSC_HANDLE_BLOCKS, sizeof(void *));
	return fsc->who_numbers && fsc->handles ? DVS_OK : DVS_NOMEM;
}

static void drop_locks(struct handle *handle)
{
	struct list *link;

	while ((link = list_take_head(&handle->locks)))
		free(CONTAINER_OF(link, struct held_lock, link));
}

void fsc_tables_free(struct fsc *fsc)
{
	for (uint32_t n = 1; fsc->handles && n < fsc->n_handles; n++)
		drop_locks(fsc_handle(fsc, n));
	for (size_t i = 0; fsc->handles && i < FSC_HANDLE_BLOCKS; i++)
		free(fsc->handles[i]);
	for (size_t i = 0; fsc->who_numbers && i <= FSC_WHO_MAX; i++)
		free(fsc->who_numbers[i]);
	free(fsc->handles);
	free(fsc->who_numbers);
}

/* ---- identities ---- */

static size_t bucket_of(const struct fsc_identity *identity)
{
	uint64_t hash = identity->uid * UINT64_C(0x9e3779b97f4a7c15) ^ identity->gid;

	for (uint32_t i = 0; i < identity->n_groups; i++)
		hash = (hash ^ identity->groups[i]) * UINT64_C(0x100000001b3);
	return (hash ^ hash >> 32) % FSC_WHO_BUCKETS;
}

static bool is_of(const struct fsc_who *who, const struct fsc_identity *identity)
{
	return who->uid == identity->uid && who->gid == identity->gid &&
	       who->flags == identity->flags && who->n_groups == identity->n_groups &&
	       (who->n_groups == 0 ||
		memcmp(who->groups, identity->groups, who->n_groups * sizeof(*who->groups)) == 0);
}

/* Forget who was used longest ago and is used by nobody: its number; 0: there is none. */
static uint32_t forget_one(struct fsc *fsc)
{
	uint32_t number;

	LIST_FOREACH(link, &fsc->who_by_use) {
		struct fsc_who *who = CONTAINER_OF(link, struct fsc_who, by_use);

		if (who->refs > 0)
			continue;
		list_remove(&who->by_use);
		list_remove(&who->by_key);
		number = who->number;
		fsc->who_numbers[number] = NULL;
		fsc->n_who--;
		free(who);
		return number;
	}
	return 0;
}

static dvs_err make_who(struct fsc *fsc, const struct fsc_identity *identity, struct fsc_who **out)
{
	struct fsc_who *who = calloc(1, sizeof(*who) + identity->n_groups * sizeof(*who->groups));

	if (!who)
		return DVS_NOMEM;
	/* Numbers are used again, so that the server has no more than these. */
	if (fsc->n_who >= FSC_WHO_KNOWN)
		who->number = forget_one(fsc);
	if (!who->number && fsc->last_who < FSC_WHO_MAX)
		who->number = ++fsc->last_who;
	if (!who->number) {
		free(who);
		return DVS_FULL;
	}
	who->uid = identity->uid;
	who->gid = identity->gid;
	who->flags = identity->flags;
	who->n_groups = identity->n_groups;
	if (who->n_groups > 0)
		memcpy(who->groups, identity->groups, who->n_groups * sizeof(*who->groups));
	list_add_tail(&fsc->who_by_key[bucket_of(identity)], &who->by_key);
	list_add_tail(&fsc->who_by_use, &who->by_use);
	fsc->who_numbers[who->number] = who;
	fsc->n_who++;
	*out = who;
	return DVS_OK;
}

static struct fsc_who *find_who(struct fsc *fsc, const struct fsc_identity *identity)
{
	LIST_FOREACH(link, &fsc->who_by_key[bucket_of(identity)]) {
		struct fsc_who *who = CONTAINER_OF(link, struct fsc_who, by_key);

		if (!is_of(who, identity))
			continue;
		list_remove(&who->by_use);
		list_add_tail(&fsc->who_by_use, &who->by_use);
		return who;
	}
	return NULL;
}

dvs_err fsc_who_tell(struct fsc_thread *me, const struct fsc_who *who,
		     dvs_err (*send)(struct fsc_thread *me, struct fsc_request *request))
{
	struct fs_who_req *req = calloc(1, sizeof(*req) + FS_WHO_REQ_BYTES_MAX);
	struct fsc_request request = { .op = FS_WHO };
	struct writer out;
	dvs_err err = DVS_BADARG;

	if (!req)
		return DVS_NOMEM;
	out = writer_over(req + 1, FS_WHO_REQ_BYTES_MAX);
	req->who = who->number;
	req->uid = who->uid;
	req->gid = who->gid;
	req->flags = who->flags;
	req->n_groups = who->n_groups;
	memcpy(req->groups, who->groups, who->n_groups * sizeof(*who->groups));
	fs_who_req_encode(&out, req);
	if (writer_ok(&out)) {
		request.out = req + 1;
		request.out_len = writer_len(&out);
		err = send(me, &request);
	}
	free(req);
	return err;
}

dvs_err fsc_who_get(struct fsc_thread *me, const struct fsc_identity *identity,
		    struct fsc_who **out)
{
	struct fsc *fsc = me->fsc;
	struct fsc_who *who;
	bool is_told = false;
	dvs_err err = DVS_OK;

	if (identity->n_groups > FSC_GROUPS_MAX)
		return DVS_BADARG;
	pthread_mutex_lock(&fsc->lock);
	who = find_who(fsc, identity);
	if (!who)
		err = make_who(fsc, identity, &who);
	if (!err) {
		who->refs++;
		is_told = who->is_told;
	}
	pthread_mutex_unlock(&fsc->lock);
	if (!err && !is_told) {
		/* Two threads may both tell it: that does no harm. */
		err = fsc_who_tell(me, who, fsc_ask);
		pthread_mutex_lock(&fsc->lock);
		who->is_told = who->is_told || !err;
		who->refs -= err != DVS_OK;
		pthread_mutex_unlock(&fsc->lock);
	}
	if (!err)
		*out = who;
	return err;
}

void fsc_who_put(struct fsc_thread *me, struct fsc_who *who)
{
	if (!who)
		return;
	pthread_mutex_lock(&me->fsc->lock);
	who->refs--;
	pthread_mutex_unlock(&me->fsc->lock);
}

/* ---- open files ---- */

struct handle *fsc_handle(struct fsc *fsc, uint32_t number)
{
	if (number == FSC_NO_HANDLE || number >= fsc->n_handles)
		return NULL;
	return &fsc->handles[number / FSC_HANDLE_BLOCK][number % FSC_HANDLE_BLOCK];
}

static dvs_err new_number(struct fsc *fsc, uint32_t *number)
{
	struct handle **block = &fsc->handles[fsc->n_handles / FSC_HANDLE_BLOCK];

	if (fsc->n_handles > FSC_HANDLE_MAX)
		return DVS_FULL;
	if (!*block)
		*block = calloc(FSC_HANDLE_BLOCK, sizeof(**block));
	if (!*block)
		return DVS_NOMEM;
	*number = fsc->n_handles++;
	list_init(&fsc_handle(fsc, *number)->locks);
	return DVS_OK;
}

dvs_err fsc_handle_take(struct fsc *fsc, struct fsc_who *who, uint32_t flags, uint32_t *number)
{
	struct handle *handle;
	dvs_err err = DVS_OK;

	*number = fsc->free_handle;
	if (*number)
		fsc->free_handle = fsc_handle(fsc, *number)->next_free;
	else
		err = new_number(fsc, number);
	if (err)
		return err;
	handle = fsc_handle(fsc, *number);
	handle->state = HANDLE_OPENING;
	handle->flags = flags;
	handle->who = who;
	if (who)
		who->refs++;
	return DVS_OK;
}

void fsc_handle_free(struct fsc *fsc, uint32_t number)
{
	struct handle *handle = fsc_handle(fsc, number);

	if (handle->who)
		handle->who->refs--;
	handle->who = NULL;
	drop_locks(handle);
	handle->state = HANDLE_FREE;
	handle->next_free = fsc->free_handle;
	fsc->free_handle = number;
}

/* ---- locks ---- */

static bool is_same_owner(const struct held_lock *held, const struct handle *handle,
			  const struct fs_lock_req *what)
{
	if (held->what.kind != what->kind)
		return false;
	return what->kind == FSC_LOCK_FLOCK ?
		       held->what.handle == what->handle :
		       held->ino == handle->ino && held->what.owner == what->owner;
}

/* Take the range of WHAT out of HELD; what is left behind it goes into *REST. */
static void cut(struct held_lock *held, const struct fs_lock_req *what, struct held_lock **rest)
{
	uint64_t start = held->what.start;
	uint64_t end = held->what.end;

	if (held->what.kind == FSC_LOCK_FLOCK || (what->start <= start && what->end >= end)) {
		list_remove(&held->link);
		free(held);
		return;
	}
	if (what->end < start || what->start > end)
		return;
	if (what->start > start && what->end < end && *rest) {
		struct held_lock *behind = TAKE_PTR(*rest);

		behind->ino = held->ino;
		behind->what = held->what;
		behind->what.start = what->end + 1;
		list_add_head(&held->link, &behind->link);
	}
	if (what->start > start)
		held->what.end = what->start - 1;
	else
		held->what.start = what->end + 1;
}

static void cut_all(struct handle *of, const struct handle *handle, const struct fs_lock_req *what,
		    struct held_lock **rest)
{
	LIST_FOREACH_SAFE(link, &of->locks) {
		struct held_lock *held = CONTAINER_OF(link, struct held_lock, link);

		if (is_same_owner(held, handle, what))
			cut(held, what, rest);
	}
}

void fsc_lock_note(struct fsc *fsc, const struct fs_lock_req *what, struct held_lock *room[2])
{
	struct handle *handle = fsc_handle(fsc, what->handle);

	if (!handle)
		return;
	if (what->kind == FSC_LOCK_FLOCK) {
		cut_all(handle, handle, what, &room[1]);
	} else {
		/* A process can have got its locks on this file by another handle. */
		for (uint32_t n = 1; n < fsc->n_handles; n++) {
			struct handle *other = fsc_handle(fsc, n);

			if (other->state != HANDLE_FREE && other->ino == handle->ino)
				cut_all(other, handle, what, &room[1]);
		}
	}
	if (what->type == FSC_LOCK_NONE)
		return;
	fsc->had_fcntl = fsc->had_fcntl || what->kind == FSC_LOCK_FCNTL;
	room[0]->ino = handle->ino;
	room[0]->what = *what;
	list_add_tail(&handle->locks, &room[0]->link);
	room[0] = NULL;
}

bool fsc_has_locks(struct fsc_thread *me, uint32_t number, uint64_t owner)
{
	struct fsc *fsc = me->fsc;
	const struct handle *handle;
	bool found = false;

	pthread_mutex_lock(&fsc->lock);
	handle = fsc_handle(fsc, number);
	for (uint32_t n = 1; handle && fsc->had_fcntl && n < fsc->n_handles && !found; n++) {
		const struct handle *other = fsc_handle(fsc, n);

		if (other->state == HANDLE_FREE || other->ino != handle->ino)
			continue;
		LIST_FOREACH(link, &other->locks) {
			const struct held_lock *held = CONTAINER_OF(link, struct held_lock, link);

			found = found ||
				(held->what.kind == FSC_LOCK_FCNTL && held->what.owner == owner);
		}
	}
	pthread_mutex_unlock(&fsc->lock);
	return found;
}

bool fsc_holds_locks(struct fsc_thread *me, uint32_t number)
{
	const struct handle *handle;
	bool does;

	pthread_mutex_lock(&me->fsc->lock);
	handle = fsc_handle(me->fsc, number);
	does = handle && !list_is_empty(&handle->locks);
	pthread_mutex_unlock(&me->fsc->lock);
	return does;
}
