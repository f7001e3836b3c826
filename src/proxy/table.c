/* SPDX-License-Identifier: Apache-2.0 */
/* The channels of the mirror: found by name for what comes in, by their number for what goes out. */
#include <stdlib.h>

#include "proxy/carried.h"

/* ---- a channel ---- */

struct carried *carried_new(struct mirror *mirror, const struct mirror_channel *channel)
{
	struct carried *ch = calloc(1, sizeof(*ch));

	if (!ch)
		return NULL;
	ch->mirror = mirror;
	ch->name = channel->name;
	ch->instance = channel->instance;
	ch->index = channel->index;
	ch->peer_index = channel->peer_index;
	ch->memory = channel->memory;
	ch->mine = &channel->memory.lanes->lane[channel->side];
	ch->theirs = &channel->memory.lanes->lane[!channel->side];
	ch->my_window = channel->memory.window[channel->side];
	ch->their_window = channel->memory.window[!channel->side];
	atomic_init(&ch->refs, 1);
	atomic_init(&ch->heard, true);
	atomic_init(&ch->far_instance, atomic_load(&ch->mine->carry.far_instance));
	for (unsigned i = 0; i < LINK_CLASSES; i++)
		list_init(&ch->in_queue[i]);
	list_init(&ch->in_news);
	list_init(&ch->in_lingering);
	list_init(&ch->in_ready);
	list_init(&ch->flying);
	list_init(&ch->flying_bulk);
	(void)pthread_mutex_init(&ch->lock, NULL);
	return ch;
}

void carried_put(struct carried *ch)
{
	const struct mirror_setup *setup = &ch->mirror->setup;

	if (atomic_fetch_sub_explicit(&ch->refs, 1, memory_order_acq_rel) != 1)
		return;
	setup->release(setup->context, &ch->memory);
	(void)pthread_mutex_destroy(&ch->lock);
	free(ch);
}

void carried_mark(struct carried *ch, uint32_t due)
{
	atomic_fetch_or(&ch->due, due);
	if (atomic_load(&ch->ending)) {
		/* It has no number any more. */
		queue_push(ch->mirror, LINK_MESSAGES, ch);
		sender_wake(ch->mirror, LINK_MESSAGES);
		return;
	}
	(void)inbox_ring_request(ch->mirror->setup.inbox, ch->index);
}

/* ---- the table ---- */

static uint32_t hash_of(const struct mirror *mirror, const struct mirror_name *name)
{
	uint64_t key = ((uint64_t)name->remote << 32 | name->local) + name->dc;

	key *= UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)(key >> 32) & (mirror->by_name_size - 1);
}

static bool same_name(const struct mirror_name *a, const struct mirror_name *b)
{
	return a->dc == b->dc && a->remote == b->remote && a->local == b->local;
}

static void insert(struct mirror *mirror, struct carried *ch)
{
	uint32_t at = hash_of(mirror, &ch->name);

	while (mirror->by_name[at])
		at = (at + 1) & (mirror->by_name_size - 1);
	mirror->by_name[at] = ch;
}

static struct carried *look_up(struct mirror *mirror, const struct mirror_name *name)
{
	uint32_t at = hash_of(mirror, name);

	while (mirror->by_name[at] && !same_name(&mirror->by_name[at]->name, name))
		at = (at + 1) & (mirror->by_name_size - 1);
	return mirror->by_name[at];
}

/* At most half full. */
static bool grow(struct mirror *mirror)
{
	struct carried **old = mirror->by_name;
	uint32_t old_size = mirror->by_name_size;

	if (mirror->n_channels * 2 < old_size)
		return true;
	mirror->by_name = calloc((size_t)old_size * 2, sizeof(struct carried *));
	if (!mirror->by_name) {
		mirror->by_name = old;
		return false;
	}
	mirror->by_name_size = old_size * 2;
	for (uint32_t i = 0; i < old_size; i++) {
		if (old[i])
			insert(mirror, old[i]);
	}
	free(old);
	return true;
}

bool table_open(struct mirror *mirror)
{
	list_init(&mirror->lingering);
	mirror->by_name_size = TABLE_MIN;
	mirror->by_name = calloc(TABLE_MIN, sizeof(struct carried *));
	mirror->by_index = calloc(IPC_CHANNELS_MAX, sizeof(struct carried *));
	return mirror->by_name && mirror->by_index &&
	       pthread_rwlock_init(&mirror->table_lock, NULL) == 0;
}

void table_close(struct mirror *mirror)
{
	struct list *node;

	while ((node = list_take_head(&mirror->lingering)))
		carried_put(CONTAINER_OF(node, struct carried, in_lingering));
	for (uint32_t i = 0; mirror->by_index && i < IPC_CHANNELS_MAX; i++) {
		if (mirror->by_index[i])
			carried_put(mirror->by_index[i]);
	}
	free(mirror->by_name);
	free(mirror->by_index);
}

dvs_err table_add(struct mirror *mirror, struct carried *ch)
{
	dvs_err err = DVS_OK;

	if (ch->index >= IPC_CHANNELS_MAX)
		return DVS_FULL;
	pthread_rwlock_wrlock(&mirror->table_lock);
	if (mirror->by_index[ch->index] || look_up(mirror, &ch->name)) {
		err = DVS_EXISTS;
	} else if (!grow(mirror)) {
		err = DVS_NOMEM;
	} else {
		insert(mirror, ch);
		mirror->by_index[ch->index] = ch;
		mirror->n_channels++;
	}
	pthread_rwlock_unlock(&mirror->table_lock);
	return err;
}

/* Take out what stands at AT; those behind it were pushed on by it, perhaps. */
static void close_gap(struct mirror *mirror, uint32_t at)
{
	uint32_t mask = mirror->by_name_size - 1;

	mirror->by_name[at] = NULL;
	for (at = (at + 1) & mask; mirror->by_name[at]; at = (at + 1) & mask) {
		struct carried *moved = mirror->by_name[at];

		mirror->by_name[at] = NULL;
		insert(mirror, moved);
	}
}

static bool remove_locked(struct mirror *mirror, struct carried *ch)
{
	bool found = mirror->by_index[ch->index] == ch;
	if (found) {
		uint32_t at = hash_of(mirror, &ch->name);

		mirror->by_index[ch->index] = NULL;
		while (mirror->by_name[at] != ch)
			at = (at + 1) & (mirror->by_name_size - 1);
		close_gap(mirror, at);
		mirror->n_channels--;
	}
	return found;
}

bool table_remove(struct mirror *mirror, struct carried *ch)
{
	bool found;

	pthread_rwlock_wrlock(&mirror->table_lock);
	found = remove_locked(mirror, ch);
	pthread_rwlock_unlock(&mirror->table_lock);
	if (found)
		carried_put(ch);
	return found;
}

bool table_linger(struct mirror *mirror, struct carried *ch)
{
	bool found;

	pthread_rwlock_wrlock(&mirror->table_lock);
	found = remove_locked(mirror, ch);
	/* The table's reference is this list's. */
	if (found)
		list_add_tail(&mirror->lingering, &ch->in_lingering);
	pthread_rwlock_unlock(&mirror->table_lock);
	return found;
}

void table_linger_over(struct mirror *mirror, struct carried *ch)
{
	bool found;

	pthread_rwlock_wrlock(&mirror->table_lock);
	found = !list_is_empty(&ch->in_lingering);
	list_remove(&ch->in_lingering);
	pthread_rwlock_unlock(&mirror->table_lock);
	if (found)
		carried_put(ch);
}

static struct carried *lingering_locked(struct mirror *mirror, const struct mirror_name *name,
					uint32_t instance)
{
	LIST_FOREACH(node, &mirror->lingering) {
		struct carried *ch = CONTAINER_OF(node, struct carried, in_lingering);

		if (same_name(&ch->name, name) && (instance == 0 || ch->instance == instance))
			return ch;
	}
	return NULL;
}

struct carried *table_find(struct mirror *mirror, const struct mirror_name *name, uint32_t instance)
{
	struct carried *ch;

	pthread_rwlock_rdlock(&mirror->table_lock);
	ch = look_up(mirror, name);
	if (!ch || (instance != 0 && ch->instance != instance))
		ch = lingering_locked(mirror, name, instance);
	if (ch)
		carried_get(ch);
	pthread_rwlock_unlock(&mirror->table_lock);
	return ch;
}

struct carried *table_at(struct mirror *mirror, uint32_t index)
{
	struct carried *ch;

	pthread_rwlock_rdlock(&mirror->table_lock);
	ch = index < IPC_CHANNELS_MAX ? mirror->by_index[index] : NULL;
	if (ch)
		carried_get(ch);
	pthread_rwlock_unlock(&mirror->table_lock);
	return ch;
}

void table_mark_all(struct mirror *mirror, uint32_t due)
{
	pthread_rwlock_rdlock(&mirror->table_lock);
	for (uint32_t i = 0; i < mirror->by_name_size; i++) {
		if (!mirror->by_name[i])
			continue;
		if (due & DUE_PULL)
			atomic_store(&mirror->by_name[i]->heard, false);
		carried_mark(mirror->by_name[i], due);
	}
	LIST_FOREACH(node, &mirror->lingering)
		carried_mark(CONTAINER_OF(node, struct carried, in_lingering), due);
	pthread_rwlock_unlock(&mirror->table_lock);
}

void table_push_all(struct mirror *mirror)
{
	pthread_rwlock_rdlock(&mirror->table_lock);
	for (uint32_t i = 0; i < mirror->by_name_size; i++) {
		struct carried *ch = mirror->by_name[i];

		if (!ch)
			continue;
		/* As long as nothing came from the far end, it may not be there yet, and drop what it is sent. */
		if (atomic_load_explicit(&ch->far_instance, memory_order_relaxed) == 0)
			atomic_fetch_or(&ch->due, DUE_AGAIN);
		/* Both ends ask when the link comes: who is not answered may have none any more. */
		else if (!atomic_load_explicit(&ch->heard, memory_order_relaxed))
			atomic_fetch_or(&ch->due, DUE_PULL);
		queue_push(mirror, LINK_MESSAGES, ch);
	}
	LIST_FOREACH(node, &mirror->lingering)
		queue_push(mirror, LINK_MESSAGES, CONTAINER_OF(node, struct carried, in_lingering));
	pthread_rwlock_unlock(&mirror->table_lock);
}
