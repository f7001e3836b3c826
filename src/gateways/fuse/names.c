/* SPDX-License-Identifier: Apache-2.0 */
#include "gateways/fuse/names.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"

#define BUCKETS (1u << 16)
#define NAMES_MAX (1u << 18)
#define NEGATIVE_MAX (1u << 16)
/* After a recall no names are given to be kept for a while: the longer, the sooner it came after the one before. */
#define REST_NS (10 * CLOCK_NS_PER_MS)
#define REST_NS_MAX (5 * CLOCK_NS_PER_S)
/* A directory without a recall for so long is quiet. */
#define QUIET_NS (5 * CLOCK_NS_PER_S)
/* Who asked for a name again has noted the answer by then. */
#define NOTED_NS (500 * CLOCK_NS_PER_MS)
#define NUL_BYTES 1u

struct dir {
	struct list by_ino;
	uint64_t ino;
	uint64_t recalled_ns; /* last; 0: never */
	uint64_t rest_ns;     /* after that */
	uint64_t noted_ns;    /* when what was given without the lock is surely noted */
	uint32_t n_moving;    /* names that are being renamed */
	uint64_t moved;	      /* nodes_clock() after the last one */
	struct list kept;
	struct list others;
};

struct entry {
	struct list by_name;
	struct list by_ino;
	struct list of_dir; /* kept, or others */
	struct dir *dir;
	uint64_t ino; /* 0: there is no such name */
	bool is_kept;
	uint64_t kept_at; /* names.n_recalls then */
	uint32_t len;
	char text[];
};

struct names {
	struct nodes *nodes;
	pthread_mutex_t lock;
	/* under lock: */
	struct list dirs[BUCKETS];
	struct list by_name[BUCKETS];
	struct list by_ino[BUCKETS];
	uint64_t n_recalls;
	uint32_t n_entries;
	uint32_t n_negative;
	bool is_overflown; /* the kernel may know names that are not here */
};

static uint32_t bucket_of(uint64_t number)
{
	return (uint32_t)(number * UINT64_C(0x9e3779b97f4a7c15) >> 48) % BUCKETS;
}

static uint32_t bucket_of_name(uint64_t dir, const char *text, size_t len)
{
	uint64_t hash = dir ^ UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (uint8_t)text[i]) * UINT64_C(0x100000001b3);
	return bucket_of(hash);
}

static struct dir *find_dir(const struct names *names, uint64_t ino)
{
	LIST_FOREACH(link, &names->dirs[bucket_of(ino)]) {
		struct dir *dir = CONTAINER_OF(link, struct dir, by_ino);

		if (dir->ino == ino)
			return dir;
	}
	return NULL;
}

static struct dir *get_dir(struct names *names, uint64_t ino)
{
	struct dir *dir = find_dir(names, ino);

	if (dir)
		return dir;
	dir = calloc(1, sizeof(*dir));
	if (!dir)
		return NULL;
	dir->ino = ino;
	list_init(&dir->kept);
	list_init(&dir->others);
	list_add_head(&names->dirs[bucket_of(ino)], &dir->by_ino);
	return dir;
}

static struct entry *find(const struct names *names, uint64_t dir, const char *text)
{
	size_t len = strlen(text);

	LIST_FOREACH(link, &names->by_name[bucket_of_name(dir, text, len)]) {
		struct entry *entry = CONTAINER_OF(link, struct entry, by_name);

		if (entry->dir->ino == dir && entry->len == len &&
		    memcmp(entry->text, text, len) == 0)
			return entry;
	}
	return NULL;
}

static void set_ino(struct names *names, struct entry *entry, uint64_t ino)
{
	names->n_negative -= entry->ino == 0;
	names->n_negative += ino == 0;
	entry->ino = ino;
	list_remove(&entry->by_ino);
	if (ino)
		list_add_head(&names->by_ino[bucket_of(ino)], &entry->by_ino);
}

static void set_kept(struct names *names, struct entry *entry, bool is_kept)
{
	entry->is_kept = is_kept;
	entry->kept_at = names->n_recalls;
	list_remove(&entry->of_dir);
	list_add_tail(is_kept ? &entry->dir->kept : &entry->dir->others, &entry->of_dir);
}

static void drop(struct names *names, struct entry *entry)
{
	set_ino(names, entry, 0);
	names->n_negative--;
	names->n_entries--;
	list_remove(&entry->of_dir);
	list_remove(&entry->by_name);
	free(entry);
}

static struct entry *add(struct names *names, uint64_t dir_ino, const char *text, uint64_t ino)
{
	size_t len = strlen(text);
	struct dir *dir = get_dir(names, dir_ino);
	struct entry *entry = NULL;

	if (dir && len <= NAMES_NAME_MAX && names->n_entries < NAMES_MAX)
		entry = calloc(1, sizeof(*entry) + len + NUL_BYTES);
	if (!entry)
		return NULL;
	entry->dir = dir;
	entry->len = (uint32_t)len;
	memcpy(entry->text, text, len);
	list_init(&entry->by_ino);
	list_init(&entry->of_dir);
	names->n_entries++;
	names->n_negative++;
	set_ino(names, entry, ino);
	set_kept(names, entry, false);
	list_add_head(&names->by_name[bucket_of_name(dir_ino, text, len)], &entry->by_name);
	return entry;
}

dvs_err names_make(struct nodes *nodes, struct names **out)
{
	struct names *names = calloc(1, sizeof(*names));

	if (!names)
		return DVS_NOMEM;
	names->nodes = nodes;
	pthread_mutex_init(&names->lock, NULL);
	for (uint32_t i = 0; i < BUCKETS; i++) {
		list_init(&names->dirs[i]);
		list_init(&names->by_name[i]);
		list_init(&names->by_ino[i]);
	}
	*out = names;
	return DVS_OK;
}

void names_free(struct names *names)
{
	if (!names)
		return;
	for (uint32_t i = 0; i < BUCKETS; i++) {
		LIST_FOREACH_SAFE(link, &names->by_name[i])
			free(CONTAINER_OF(link, struct entry, by_name));
		LIST_FOREACH_SAFE(link, &names->dirs[i])
			free(CONTAINER_OF(link, struct dir, by_ino));
	}
	pthread_mutex_destroy(&names->lock);
	free(names);
}

/* ---- what the kernel is told ---- */

static bool may_keep(struct names *names, const struct entry *entry, bool is_new, bool is_locked,
		     uint64_t asked)
{
	struct dir *dir = entry->dir;
	uint64_t now_ns = clock_now_ns();

	if (entry->ino == 0 && names->n_negative > NEGATIVE_MAX)
		return false;
	/* Of a name that there is not the kernel never asks again without the lock. */
	if (now_ns - dir->recalled_ns < dir->rest_ns)
		return false;
	if (is_locked || entry->ino == 0)
		return true;
	if (is_new && !names->is_overflown && dir->n_moving == 0 && asked >= dir->moved)
		return true;
	if (dir->recalled_ns && now_ns - dir->recalled_ns < QUIET_NS)
		return false;
	/* Who asked for a name again that was renamed meanwhile notes the answer at the new one. */
	if (dir->n_moving > 0 || asked < dir->moved)
		return false;
	dir->noted_ns = now_ns + NOTED_NS;
	return true;
}

bool names_tell(struct names *names, uint64_t dir, const char *text, uint64_t ino, uint64_t asked,
		bool is_locked)
{
	struct entry *entry;
	bool is_new;
	bool keeps = false;

	pthread_mutex_lock(&names->lock);
	entry = find(names, dir, text);
	is_new = !entry;
	if (entry)
		set_ino(names, entry, ino);
	else
		entry = add(names, dir, text, ino);
	if (!entry) {
		names->is_overflown = true;
	} else {
		keeps = nodes_holds_names(names->nodes, dir, asked) &&
			may_keep(names, entry, is_new, is_locked, asked);
		if (keeps)
			set_kept(names, entry, true);
		else if (!entry->is_kept && ino == 0)
			drop(names, entry);
	}
	pthread_mutex_unlock(&names->lock);
	return keeps;
}

void names_drop(struct names *names, uint64_t dir, const char *text)
{
	struct entry *entry;

	pthread_mutex_lock(&names->lock);
	entry = find(names, dir, text);
	if (entry)
		drop(names, entry);
	pthread_mutex_unlock(&names->lock);
}

struct moved {
	bool was_kept;
	uint64_t ino;
};

static struct moved look(const struct names *names, const struct names_place *from)
{
	const struct entry *entry = find(names, from->dir, from->name);

	return entry ? (struct moved){ entry->is_kept, entry->ino } :
		       (struct moved){ .was_kept = false };
}

/* True: TO must be expired afterwards. */
static bool arrive(struct names *names, struct moved moved, const struct names_place *to,
		   uint64_t asked)
{
	struct entry *entry = find(names, to->dir, to->name);

	if (entry)
		set_ino(names, entry, moved.ino);
	else if (moved.ino)
		entry = add(names, to->dir, to->name, moved.ino);
	if (entry && moved.was_kept)
		set_kept(names, entry, true);
	if (!entry && moved.ino)
		names->is_overflown = true;
	return moved.was_kept && (!entry || !nodes_holds_names(names->nodes, to->dir, asked));
}

static void begin_move(struct names *names, uint64_t ino)
{
	struct dir *dir = get_dir(names, ino);

	if (dir)
		dir->n_moving++;
	else
		names->is_overflown = true;
}

void names_move(struct names *names, const struct names_place *from, const struct names_place *to,
		bool exchanges, uint64_t asked, bool must_expire[2])
{
	struct moved there;
	struct moved back;

	pthread_mutex_lock(&names->lock);
	begin_move(names, from->dir);
	begin_move(names, to->dir);
	there = look(names, from);
	back = look(names, to);
	must_expire[0] = arrive(names, there, to, asked);
	must_expire[1] = exchanges && arrive(names, back, from, asked);
	pthread_mutex_unlock(&names->lock);
}

static void end_move(struct names *names, uint64_t ino)
{
	struct dir *dir = find_dir(names, ino);

	if (!dir)
		return;
	dir->n_moving -= dir->n_moving > 0;
	dir->moved = nodes_tick(names->nodes);
}

void names_moved(struct names *names, const struct names_place *from, const struct names_place *to,
		 bool is_gone)
{
	struct entry *entry;

	pthread_mutex_lock(&names->lock);
	end_move(names, from->dir);
	end_move(names, to->dir);
	entry = is_gone ? find(names, from->dir, from->name) : NULL;
	if (entry)
		drop(names, entry);
	pthread_mutex_unlock(&names->lock);
}

static void drop_dir(struct names *names, struct dir *dir)
{
	LIST_FOREACH_SAFE(link, &dir->kept)
		drop(names, CONTAINER_OF(link, struct entry, of_dir));
	LIST_FOREACH_SAFE(link, &dir->others)
		drop(names, CONTAINER_OF(link, struct entry, of_dir));
	list_remove(&dir->by_ino);
	free(dir);
}

void names_forget(struct names *names, uint64_t ino)
{
	struct dir *dir;

	pthread_mutex_lock(&names->lock);
	LIST_FOREACH_SAFE(link, &names->by_ino[bucket_of(ino)]) {
		struct entry *entry = CONTAINER_OF(link, struct entry, by_ino);

		if (entry->ino == ino)
			drop(names, entry);
	}
	dir = find_dir(names, ino);
	if (dir)
		drop_dir(names, dir);
	pthread_mutex_unlock(&names->lock);
}

/* ---- what is to be expired ---- */

static void rest(struct dir *dir)
{
	uint64_t now_ns = clock_now_ns();

	if (now_ns - dir->recalled_ns > 2 * dir->rest_ns + REST_NS)
		dir->rest_ns = REST_NS;
	else if (dir->rest_ns < REST_NS_MAX)
		dir->rest_ns *= 2;
	dir->recalled_ns = now_ns;
}

uint64_t names_recall(struct names *names, uint64_t ino, uint64_t *until_ns)
{
	struct dir *dir;
	uint64_t number = 0;

	*until_ns = 0;
	pthread_mutex_lock(&names->lock);
	dir = find_dir(names, ino);
	if (dir) {
		rest(dir);
		*until_ns = dir->noted_ns;
		if (!list_is_empty(&dir->kept))
			number = ++names->n_recalls;
	}
	pthread_mutex_unlock(&names->lock);
	return number;
}

bool names_next(struct names *names, uint64_t ino, uint64_t number, struct names_name *name)
{
	const struct dir *dir;
	struct entry *entry;
	bool found = false;

	pthread_mutex_lock(&names->lock);
	entry = name->len ? find(names, ino, name->text) : NULL;
	if (entry && entry->is_kept && entry->kept_at < number)
		set_kept(names, entry, false);
	dir = find_dir(names, ino);
	/* Those that were kept since are behind the others. */
	if (dir && !list_is_empty(&dir->kept)) {
		entry = CONTAINER_OF(dir->kept.next, struct entry, of_dir);
		found = entry->kept_at < number;
	}
	if (found) {
		name->dir = ino;
		name->len = entry->len;
		memcpy(name->text, entry->text, entry->len + NUL_BYTES);
	}
	pthread_mutex_unlock(&names->lock);
	return found;
}
