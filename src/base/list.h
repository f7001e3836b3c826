/* SPDX-License-Identifier: Apache-2.0 */
/* A doubly linked list whose links live inside the things it links.
 *
 *	struct job { struct list link; int n; };
 *	struct list jobs;
 *	list_init(&jobs);
 *	list_add_tail(&jobs, &job->link);
 *	LIST_FOREACH(link, &jobs) { struct job *job = CONTAINER_OF(link, struct job, link); }
 *
 * The list owns nothing: taking a thing out and freeing it are the caller's. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

/* A list's head and each of its links. A link in no list points at itself. */
struct list {
	struct list *next;
	struct list *prev;
};

static inline void list_init(struct list *list)
{
	list->next = list;
	list->prev = list;
}

static inline bool list_is_empty(const struct list *list)
{
	return list->next == list;
}

static inline void list_insert_between(struct list *link, struct list *prev, struct list *next)
{
	link->prev = prev;
	link->next = next;
	prev->next = link;
	next->prev = link;
}

static inline void list_add_head(struct list *list, struct list *link)
{
	list_insert_between(link, list, list->next);
}

static inline void list_add_tail(struct list *list, struct list *link)
{
	list_insert_between(link, list->prev, list);
}

/* Harmless for a link that is in no list. */
static inline void list_remove(struct list *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	list_init(link);
}

/* The oldest link, taken out; NULL when there is none. */
static inline struct list *list_take_head(struct list *list)
{
	struct list *link = list->next;

	if (link == list)
		return NULL;
	list_remove(link);
	return link;
}

/* The body must not take LINK_NAME out; LIST_FOREACH_SAFE lets it. */
#define LIST_FOREACH(link_name, head)                                    \
	for (struct list *link_name = (head)->next; link_name != (head); \
	     link_name = link_name->next)

#define LIST_FOREACH_SAFE(link_name, head)                                               \
	for (struct list *link_name = (head)->next, *link_name##_next = link_name->next; \
	     link_name != (head);                                                        \
	     link_name = link_name##_next, link_name##_next = link_name->next)

#endif
