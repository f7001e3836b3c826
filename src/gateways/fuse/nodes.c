/* SPDX-License-Identifier: Apache-2.0 */
#include "gateways/fuse/nodes.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define BUCKETS 16384u
#define ROOT 1u
#define HOLD_NAMES (UINT64_C(1) << 63)
#define LEASE_NAMES 2u /* struct fs_attr.lease */

struct node {
	struct node *next;
	uint64_t ino;
	uint64_t n_lookups;
	uint64_t leased; /* the clock when the lease was asked for; 0: there is none */
	uint64_t n_delivered;
	uint32_t n_under_way;
	uint32_t n_recalls;
	uint64_t
		names_since; /* the clock since it is known that the lease is of a directory's names, too; 0: it is not */
	bool may_be_cached;
};

struct bucket {
	pthread_mutex_t lock;
	/* under lock: */
	struct node *first;
	uint64_t recalled; /* the clock after the last recall of any of these */
};

struct nodes {
	_Atomic uint64_t clock;
	_Atomic uint64_t lost; /* the clock when all leases were lost last */
	struct bucket buckets[BUCKETS];
};

static struct bucket *bucket_of(struct nodes *nodes, uint64_t ino)
{
	return &nodes->buckets[(ino * UINT64_C(0x9e3779b97f4a7c15)) >> 50];
}

static struct node *find(const struct bucket *bucket, uint64_t ino)
{
	struct node *node = bucket->first;

	while (node && node->ino != ino)
		node = node->next;
	return node;
}

/* The bucket of INO, locked, and its node, if there is one. */
static struct bucket *enter(struct nodes *nodes, uint64_t ino, struct node **node)
{
	struct bucket *bucket = bucket_of(nodes, ino);

	pthread_mutex_lock(&bucket->lock);
	*node = find(bucket, ino);
	return bucket;
}

static void leave(struct bucket *bucket)
{
	pthread_mutex_unlock(&bucket->lock);
}

static struct node *add(struct bucket *bucket, uint64_t ino)
{
	struct node *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	node->ino = ino;
	node->next = bucket->first;
	bucket->first = node;
	return node;
}

static void drop_unused(struct bucket *bucket, struct node *node)
{
	struct node **at = &bucket->first;

	if (node->n_lookups > 0 || node->n_recalls > 0 || node->n_under_way > 0)
		return;
	while (*at != node)
		at = &(*at)->next;
	*at = node->next;
	free(node);
}

dvs_err nodes_make(struct nodes **out)
{
	struct nodes *nodes = calloc(1, sizeof(*nodes));
	const struct fs_attr root = { .ino = ROOT };
	dvs_err err;

	if (!nodes)
		return DVS_NOMEM;
	nodes->clock = 1;
	for (size_t i = 0; i < BUCKETS; i++)
		pthread_mutex_init(&nodes->buckets[i].lock, NULL);
	err = nodes_keep(nodes, &root);
	if (err)
		nodes_free(nodes);
	else
		*out = nodes;
	return err;
}

void nodes_free(struct nodes *nodes)
{
	if (!nodes)
		return;
	for (size_t i = 0; i < BUCKETS; i++) {
		struct node *next;

		for (struct node *node = nodes->buckets[i].first; node; node = next) {
			next = node->next;
			free(node);
		}
		pthread_mutex_destroy(&nodes->buckets[i].lock);
	}
	free(nodes);
}

uint64_t nodes_clock(const struct nodes *nodes)
{
	return atomic_load(&nodes->clock);
}

uint64_t nodes_tick(struct nodes *nodes)
{
	return atomic_fetch_add(&nodes->clock, 1) + 1;
}

dvs_err nodes_keep(struct nodes *nodes, const struct fs_attr *attr)
{
	struct node *node;
	struct bucket *bucket = enter(nodes, attr->ino, &node);

	if (!node)
		node = add(bucket, attr->ino);
	if (node)
		node->n_lookups++;
	leave(bucket);
	return node ? DVS_OK : DVS_NOMEM;
}

bool nodes_is_known(struct nodes *nodes, uint64_t ino)
{
	struct node *node;
	struct bucket *bucket = enter(nodes, ino, &node);
	bool is_known = node && node->n_lookups > 0;

	leave(bucket);
	return is_known;
}

bool nodes_forget(struct nodes *nodes, uint64_t ino, uint64_t n)
{
	struct node *node;
	struct bucket *bucket = enter(nodes, ino, &node);
	bool is_unknown = false;

	if (node && ino != ROOT) {
		node->n_lookups -= n < node->n_lookups ? n : node->n_lookups;
		is_unknown = !node->n_lookups;
		if (is_unknown)
			node->may_be_cached = false;
		drop_unused(bucket, node);
	}
	leave(bucket);
	return is_unknown;
}

static bool is_newer(const struct nodes *nodes, const struct bucket *bucket, uint64_t asked)
{
	return asked >= bucket->recalled && asked >= atomic_load(&nodes->lost);
}

static bool holds(const struct nodes *nodes, const struct bucket *bucket, const struct node *node,
		  uint64_t asked)
{
	return node && node->leased && is_newer(nodes, bucket, node->leased) &&
	       is_newer(nodes, bucket, asked);
}

bool nodes_took(struct nodes *nodes, const struct fs_attr *attr, uint64_t asked)
{
	struct node *node;
	struct bucket *bucket = enter(nodes, attr->ino, &node);
	bool is_good = attr->lease && is_newer(nodes, bucket, asked);

	if (is_good && node && node->leased < asked)
		node->leased = asked;
	/* What was asked before may have been answered before there was the lease. */
	if (is_good && node && attr->lease == LEASE_NAMES &&
	    (!node->names_since || !is_newer(nodes, bucket, node->names_since)))
		node->names_since = atomic_fetch_add(&nodes->clock, 1) + 1;
	leave(bucket);
	return is_good;
}

bool nodes_holds(struct nodes *nodes, uint64_t ino, uint64_t asked)
{
	struct node *node;
	struct bucket *bucket = enter(nodes, ino, &node);
	bool held = holds(nodes, bucket, node, asked);

	leave(bucket);
	return held;
}

bool nodes_holds_names(struct nodes *nodes, uint64_t ino, uint64_t asked)
{
	struct node *node;
	struct bucket *bucket = enter(nodes, ino, &node);
	bool held = holds(nodes, bucket, node, asked) && node->names_since &&
		    is_newer(nodes, bucket, node->names_since) && asked >= node->names_since;

	leave(bucket);
	return held;
}

/* ---- contents on their way to the kernel ---- */

enum nodes_verdict nodes_judge(struct nodes *nodes, uint64_t ino, uint64_t asked)
{
	struct node *node;
	struct bucket *bucket = enter(nodes, ino, &node);
	enum nodes_verdict verdict = NODES_AGAIN;

	if (holds(nodes, bucket, node, asked))
		verdict = NODES_GOOD;
	else if (node && node->n_recalls > 0)
		verdict = NODES_OLD;
	if (verdict == NODES_OLD)
		node->n_under_way++;
	if (verdict != NODES_AGAIN)
		node->may_be_cached = true;
	leave(bucket);
	return verdict;
}

void nodes_delivered(struct nodes *nodes, uint64_t ino)
{
	struct node *node;
	struct bucket *bucket = enter(nodes, ino, &node);

	if (node) {
		node->n_under_way--;
		node->n_delivered++;
		drop_unused(bucket, node);
	}
	leave(bucket);
}

bool nodes_may_be_cached(struct nodes *nodes, uint64_t ino)
{
	struct node *node;
	struct bucket *bucket = enter(nodes, ino, &node);
	bool may_be = node && node->may_be_cached;

	leave(bucket);
	return may_be;
}

/* ---- recalls ---- */

void nodes_recall_begin(struct nodes *nodes, uint64_t ino, struct nodes_recall *recall)
{
	struct node *node;
	struct bucket *bucket = enter(nodes, ino, &node);

	bucket->recalled = atomic_fetch_add(&nodes->clock, 1) + 1;
	*recall = (struct nodes_recall){ .ino = ino };
	if (node) {
		node->leased = 0;
		node->names_since = 0;
		node->n_recalls++;
		recall->is_known = true;
		recall->n_delivered = node->n_delivered;
	}
	leave(bucket);
}

bool nodes_recall_end(struct nodes *nodes, struct nodes_recall *recall)
{
	struct node *node;
	struct bucket *bucket;
	bool is_over = true;

	if (!recall->is_known)
		return true;
	bucket = enter(nodes, recall->ino, &node);
	if (node->n_under_way > 0 || node->n_delivered != recall->n_delivered) {
		recall->n_delivered = node->n_delivered;
		is_over = false;
	} else {
		node->n_recalls--;
		if (!node->n_recalls)
			node->may_be_cached = false;
		drop_unused(bucket, node);
	}
	leave(bucket);
	return is_over;
}

/* Those of BUCKET. A recall of another file in it has ended what can still be answered of them, not what the kernel has. */
static size_t held_in(const struct nodes *nodes, const struct bucket *bucket, uint64_t *inos,
		      size_t max)
{
	uint64_t lost = atomic_load(&nodes->lost);
	size_t n = 0;

	for (const struct node *node = bucket->first; node; node = node->next) {
		if (!node->leased || node->leased < lost)
			continue;
		if (n < max)
			inos[n] = node->ino | (node->names_since ? HOLD_NAMES : 0);
		n++;
	}
	return n;
}

size_t nodes_held(struct nodes *nodes, uint64_t *cursor, uint64_t *inos, size_t max)
{
	size_t n = 0;

	for (; *cursor < BUCKETS; (*cursor)++) {
		struct bucket *bucket = &nodes->buckets[*cursor];
		size_t more;

		pthread_mutex_lock(&bucket->lock);
		more = held_in(nodes, bucket, inos + n, max - n);
		pthread_mutex_unlock(&bucket->lock);
		if (more > max - n)
			break;
		n += more;
	}
	return n;
}

void nodes_lost(struct nodes *nodes)
{
	atomic_store(&nodes->lost, atomic_fetch_add(&nodes->clock, 1) + 1);
}

void nodes_each(struct nodes *nodes, void (*each)(void *context, uint64_t ino), void *context)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		struct bucket *bucket = &nodes->buckets[i];
		uint64_t inos[64];
		uint64_t after = 0;
		size_t n;

		/* In the order of numbers, so that those that come and go meanwhile do no harm. */
		do {
			n = 0;
			pthread_mutex_lock(&bucket->lock);
			for (const struct node *node = bucket->first; node; node = node->next) {
				size_t at = n;

				if (node->ino <= after)
					continue;
				while (at > 0 && inos[at - 1] > node->ino)
					at--;
				if (at == 64)
					continue;
				if (n == 64)
					n--;
				for (size_t k = n; k > at; k--)
					inos[k] = inos[k - 1];
				inos[at] = node->ino;
				n++;
			}
			pthread_mutex_unlock(&bucket->lock);
			for (size_t k = 0; k < n; k++)
				each(context, inos[k]);
			after = n ? inos[n - 1] : after;
		} while (n == 64);
	}
}
