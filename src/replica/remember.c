/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/remember.h"

#include <stdlib.h>

#include "base/list.h"

#define BUCKETS 1024u

struct known {
	struct remembered what;
	struct list by_age;
	struct list in_bucket;
};

struct remember {
	struct list buckets[BUCKETS];
	struct list by_age; /* the longest silent first */
	size_t n;
	struct known known[REMEMBER_MAX];
};

struct remember *remember_open(void)
{
	struct remember *remember = malloc(sizeof(*remember));

	if (remember)
		remember_clear(remember);
	return remember;
}

void remember_close(struct remember *remember)
{
	free(remember);
}

void remember_clear(struct remember *remember)
{
	remember->n = 0;
	list_init(&remember->by_age);
	for (uint32_t i = 0; i < BUCKETS; i++)
		list_init(&remember->buckets[i]);
}

static uint32_t bucket_of(dvs_ep client)
{
	return (client.n * UINT32_C(2654435761)) >> 22;
}

/* With its generation: an endpoint that was bound anew has nothing to do with the calls of the former one. */
static struct known *find(const struct remember *remember, dvs_ep client)
{
	LIST_FOREACH(link, &remember->buckets[bucket_of(client)]) {
		struct known *known = CONTAINER_OF(link, struct known, in_bucket);

		if (known->what.client.n == client.n)
			return known;
	}
	return NULL;
}

static struct known *place_for(struct remember *remember)
{
	struct known *known;

	if (remember->n < REMEMBER_MAX) {
		known = &remember->known[remember->n++];
		list_init(&known->by_age);
		list_init(&known->in_bucket);
		return known;
	}
	known = CONTAINER_OF(remember->by_age.next, struct known, by_age);
	list_remove(&known->in_bucket);
	return known;
}

/* Calls are numbered by their client, and the numbers come round. */
static bool is_after(uint32_t call, uint32_t other)
{
	return (int32_t)(call - other) > 0;
}

void remember_add(struct remember *remember, const struct remembered *what)
{
	struct known *known;

	if (what->client.n == 0)
		return;
	known = find(remember, what->client);
	if (!known) {
		known = place_for(remember);
		list_add_tail(&remember->buckets[bucket_of(what->client)], &known->in_bucket);
	} else if (what->call != known->what.call && !is_after(what->call, known->what.call)) {
		return;
	}
	known->what = *what;
	list_remove(&known->by_age);
	list_add_tail(&remember->by_age, &known->by_age);
}

bool remember_find(const struct remember *remember, dvs_ep client, uint32_t call, dvs_err *result)
{
	const struct known *known = client.n == 0 ? NULL : find(remember, client);

	if (!known || known->what.call != call)
		return false;
	*result = known->what.result;
	return true;
}

size_t remember_all(const struct remember *remember, struct remembered *room)
{
	size_t n = 0;

	LIST_FOREACH(link, &remember->by_age)
		room[n++] = CONTAINER_OF(link, struct known, by_age)->what;
	return n;
}
