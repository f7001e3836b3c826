/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/mirror.h"

#include <stdio.h>
#include <stdlib.h>

#include "proxy/carried.h"
#include "proxy/copy.h"

/* ---- its life ---- */

dvs_err mirror_create(const struct mirror_setup *setup, struct mirror **made)
{
	struct mirror *mirror = calloc(1, sizeof(*mirror));

	*made = NULL;
	if (!mirror)
		return DVS_NOMEM;
	mirror->setup = *setup;
	list_init(&mirror->shares);
	list_init(&mirror->overs);
	list_init(&mirror->ready);
	for (unsigned i = 0; i < LINK_CLASSES; i++) {
		list_init(&mirror->turn[i]);
		sender_init(mirror, i);
	}
	(void)pthread_mutex_init(&mirror->queue_lock, NULL);
	(void)pthread_mutex_init(&mirror->news_lock, NULL);
	if (!table_open(mirror)) {
		mirror_destroy(mirror);
		return DVS_NOMEM;
	}
	*made = mirror;
	return DVS_OK;
}

dvs_err mirror_start(struct mirror *mirror, struct peer_link *link)
{
	dvs_err err;

	atomic_store(&mirror->link, link);
	err = sender_start(mirror, LINK_MESSAGES);
	if (!err)
		err = sender_start(mirror, LINK_BULK);
	if (err)
		mirror_stop(mirror);
	return err;
}

void mirror_stop(struct mirror *mirror)
{
	atomic_store(&mirror->stops, true);
	for (unsigned i = 0; i < LINK_CLASSES; i++)
		sender_stop(mirror, i);
}

void mirror_destroy(struct mirror *mirror)
{
	struct list *node;

	if (!mirror)
		return;
	for (unsigned i = 0; i < LINK_CLASSES; i++)
		hear_broken(mirror, i);
	while ((node = list_take_head(&mirror->overs)))
		carried_put(CONTAINER_OF(node, struct carried, in_news));
	near_end(&mirror->near);
	while ((node = list_take_head(&mirror->ready)))
		carried_put(CONTAINER_OF(node, struct carried, in_ready));
	queue_clear(mirror);
	table_close(mirror);
	free(mirror);
}

void mirror_set_copies(struct mirror *mirror, struct copies *copies)
{
	mirror->copies = copies;
}

const struct mirror_figures *mirror_figures(const struct mirror *mirror)
{
	return &mirror->figures;
}

/* ---- the link ---- */

static void tell_link(struct mirror *mirror, const char *why)
{
	pthread_mutex_lock(&mirror->news_lock);
	mirror->link_news = true;
	(void)snprintf(mirror->link_why, sizeof(mirror->link_why), "%s", why);
	pthread_mutex_unlock(&mirror->news_lock);
	mirror->setup.wake(mirror->setup.context);
}

static void on_up(void *context, enum link_class class, bool fresh)
{
	struct mirror *mirror = context;

	(void)fresh;
	if (class == LINK_BULK && mirror->copies)
		copies_link_changed(mirror->copies);
	/* What was put before may have been lost, also the end of a channel: asking for it finds that out. The other side does the same. */
	table_mark_all(mirror, class == LINK_MESSAGES ? DUE_AGAIN | DUE_PULL : DUE_AGAIN);
	tell_link(mirror, "");
}

static void on_down(void *context, enum link_class class, const char *why)
{
	struct mirror *mirror = context;

	hear_broken(mirror, class);
	if (class == LINK_MESSAGES)
		near_end(&mirror->near);
	if (class == LINK_BULK && mirror->copies)
		copies_link_changed(mirror->copies);
	tell_link(mirror, why);
}

static int cpu_of_messages(void *context)
{
	struct peer_link *link = atomic_load(&((struct mirror *)context)->link);

	return link ? peer_link_cpu(link, LINK_MESSAGES) : -1;
}

static void on_idle(void *context, enum link_class class)
{
	struct mirror *mirror = context;

	if (class == LINK_MESSAGES)
		near_idle(&mirror->near, cpu_of_messages, mirror);
}

struct link_events mirror_link_events(struct mirror *mirror)
{
	return (struct link_events){ .context = mirror,
				     .up = on_up,
				     .down = on_down,
				     .place = hear_place,
				     .frame = hear_frame,
				     .idle = on_idle };
}

/* ---- the owner's calls ---- */

/* Its memory stays the caller's. */
static void disown(struct carried *ch)
{
	(void)pthread_mutex_destroy(&ch->lock);
	free(ch);
}

dvs_err mirror_carry(struct mirror *mirror, const struct mirror_channel *channel)
{
	struct carried *ch = carried_new(mirror, channel);
	dvs_err err;

	if (!ch)
		return DVS_NOMEM;
	ch->share = queue_share(mirror, channel->name.dc);
	if (!ch->share) {
		disown(ch);
		return DVS_NOMEM;
	}
	/* From now on the local endpoint rings for each answer. What it did before is found by the first look. */
	atomic_store(&ch->mine->control.watch, IPC_AWAY);
	atomic_store(&ch->mine->control.answer, IPC_ASLEEP_BIT);
	carried_get(ch);
	err = table_add(mirror, ch);
	if (err) {
		disown(ch);
		return err;
	}
	carried_mark(ch, DUE_AGAIN | DUE_PULL);
	if (atomic_load(&ch->far_instance) != 0)
		news_ready(ch);
	carried_put(ch);
	return DVS_OK;
}

void mirror_end(struct mirror *mirror, const struct mirror_name *name, uint32_t instance,
		uint32_t far, dvs_err reason)
{
	struct carried *ch = table_find(mirror, name, instance);

	if (!ch)
		return;
	/* FAR 1: the frame end is waited for, as it is always. */
	if (far == 0 && !atomic_load(&ch->ending)) {
		ch->linger_until_ns = clock_deadline_ns(LINGER_NS);
		atomic_store(&ch->end_reason, reason);
		atomic_store(&ch->ending, true);
		if (table_linger(mirror, ch))
			carried_mark(ch, 0);
	} else if (far == 2) {
		pthread_mutex_lock(&ch->lock);
		ch->over = true;
		pthread_mutex_unlock(&ch->lock);
		if (!table_remove(mirror, ch))
			table_linger_over(mirror, ch);
	}
	carried_put(ch);
}

static void refuse(struct mirror *mirror, const struct mirror_news *refusal)
{
	pthread_mutex_lock(&mirror->news_lock);
	if (mirror->n_refusals < REFUSALS_MAX)
		mirror->refusals[mirror->n_refusals++] = *refusal;
	pthread_mutex_unlock(&mirror->news_lock);
	sender_wake(mirror, LINK_MESSAGES);
}

void mirror_refuse(struct mirror *mirror, const struct mirror_name *name, uint32_t far_instance,
		   dvs_err reason)
{
	refuse(mirror,
	       &(struct mirror_news){ .name = *name, .instance = far_instance, .reason = reason });
}

void mirror_lost(struct mirror *mirror, const struct mirror_news *connect)
{
	refuse(mirror, connect);
}

/* ---- news ---- */

void news_over(struct carried *ch, dvs_err reason, bool clean)
{
	struct mirror *mirror = ch->mirror;

	carried_get(ch);
	pthread_mutex_lock(&mirror->news_lock);
	ch->over_reason = reason;
	ch->over_clean = clean;
	list_add_tail(&mirror->overs, &ch->in_news);
	pthread_mutex_unlock(&mirror->news_lock);
	mirror->setup.wake(mirror->setup.context);
}

void news_ready(struct carried *ch)
{
	struct mirror *mirror = ch->mirror;

	pthread_mutex_lock(&mirror->news_lock);
	if (list_is_empty(&ch->in_ready)) {
		carried_get(ch);
		list_add_tail(&mirror->ready, &ch->in_ready);
	}
	pthread_mutex_unlock(&mirror->news_lock);
	mirror->setup.wake(mirror->setup.context);
}

static bool same_pair(const struct mirror_name *a, const struct mirror_name *b)
{
	return a->dc == b->dc && a->remote == b->remote && a->local == b->local;
}

void news_connect(struct mirror *mirror, const struct mirror_name *name, uint32_t far_instance,
		  uint32_t wanted)
{
	uint32_t i;

	pthread_mutex_lock(&mirror->news_lock);
	for (i = 0; i < mirror->n_connects && !same_pair(&mirror->connects[i].name, name); i++)
		;
	/* Whom nobody has room for asks again. */
	if (i == mirror->n_connects && i < NEWS_CONNECTS_MAX)
		mirror->connects[mirror->n_connects++] =
			(struct mirror_news){ .kind = MIRROR_CONNECT, .name = *name };
	if (i < mirror->n_connects) {
		mirror->connects[i].instance = far_instance;
		mirror->connects[i].wanted = wanted;
	}
	pthread_mutex_unlock(&mirror->news_lock);
	mirror->setup.wake(mirror->setup.context);
}

static void take_over_news(struct list *node, struct mirror_news *news)
{
	struct carried *ch = CONTAINER_OF(node, struct carried, in_news);

	*news = (struct mirror_news){ .kind = MIRROR_OVER,
				      .name = ch->name,
				      .instance = ch->instance,
				      .reason = ch->over_reason,
				      .clean = ch->over_clean };
	carried_put(ch);
}

static void take_ready_news(struct list *node, struct mirror_news *news)
{
	struct carried *ch = CONTAINER_OF(node, struct carried, in_ready);

	*news = (struct mirror_news){ .kind = MIRROR_READY,
				      .name = ch->name,
				      .instance = ch->instance };
	carried_put(ch);
}

bool mirror_next_news(struct mirror *mirror, struct mirror_news *news)
{
	struct list *ready;
	struct list *node;
	bool any = true;

	pthread_mutex_lock(&mirror->news_lock);
	/* before its end */
	ready = list_take_head(&mirror->ready);
	node = ready ? ready : list_take_head(&mirror->overs);
	if (!node && mirror->n_connects) {
		*news = mirror->connects[--mirror->n_connects];
	} else if (!node && mirror->link_news) {
		mirror->link_news = false;
		*news = (struct mirror_news){ .kind = MIRROR_LINK };
		(void)snprintf(news->why, sizeof(news->why), "%s", mirror->link_why);
	} else if (!node) {
		any = false;
	}
	pthread_mutex_unlock(&mirror->news_lock);
	if (ready)
		take_ready_news(ready, news);
	else if (node)
		take_over_news(node, news);
	return any;
}
