/* SPDX-License-Identifier: Apache-2.0 */
/* Names that the kernel keeps are expired. It locks the directory for that, which a request may hold that waits for another node; so each recall has a thread of its own, and no other recall waits with it. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "gateways/fuse/gateway.h"

struct expiry {
	struct list link;
	uint64_t dir;
	uint64_t recall;
	uint64_t number; /* 0: only one */
	uint64_t until_ns;
	struct names_name one;
};

static void wait_until(uint64_t ns)
{
	const struct timespec until = clock_timespec(ns);

	(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static void expire(struct gateway *gateway, const struct names_name *name)
{
	/* What the kernel does not know any more need not be expired. */
	(void)fuse_lowlevel_notify_expire_entry(gateway->session, name->dir, name->text, name->len,
						FUSE_LL_EXPIRE_ONLY);
}

static void carry_out(struct gateway *gateway, const struct expiry *expiry)
{
	struct names_name name = { .len = 0 };

	if (!expiry->number) {
		expire(gateway, &expiry->one);
		return;
	}
	wait_until(expiry->until_ns);
	while (names_next(gateway->names, expiry->dir, expiry->number, &name))
		expire(gateway, &name);
}

/* ---- threads ---- */

static struct expiry *next(struct gateway *gateway)
{
	struct list *link;

	pthread_mutex_lock(&gateway->lock);
	gateway->n_expirers_idle++;
	while (!(link = list_take_head(&gateway->expiries)) && !gateway->is_closing)
		pthread_cond_wait(&gateway->changed, &gateway->lock);
	gateway->n_expirers_idle--;
	pthread_mutex_unlock(&gateway->lock);
	return link ? CONTAINER_OF(link, struct expiry, link) : NULL;
}

static void *expirer_run(void *context)
{
	struct gateway *gateway = context;
	struct fsc_thread *me = NULL;
	struct expiry *expiry;

	while ((expiry = next(gateway))) {
		dvs_err err = DVS_OK;

		carry_out(gateway, expiry);
		if (expiry->recall && !me)
			err = fsc_enter(gateway->fsc, &me);
		if (expiry->recall && !err)
			err = fsc_recalled(me, expiry->recall);
		if (err)
			log_debug(&gateway->options->log, "a recall is not acknowledged",
				  LOG_STR("why", dvs_strerror(err)));
		free(expiry);
	}
	fsc_leave(me);
	pthread_mutex_lock(&gateway->lock);
	gateway->n_expirers--;
	pthread_cond_broadcast(&gateway->changed);
	pthread_mutex_unlock(&gateway->lock);
	return NULL;
}

static bool start(struct gateway *gateway)
{
	pthread_attr_t detached;
	pthread_t thread;
	bool is_started;

	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	is_started = pthread_create(&thread, &detached, expirer_run, gateway) == 0;
	pthread_attr_destroy(&detached);
	return is_started;
}

/* EXPIRY is the threads' from here on. */
static void put(struct gateway *gateway, struct expiry *expiry)
{
	size_t n_waiting = 1;

	pthread_mutex_lock(&gateway->lock);
	LIST_FOREACH(link, &gateway->expiries)
		n_waiting++;
	list_add_tail(&gateway->expiries, &expiry->link);
	if (n_waiting > gateway->n_expirers_idle && gateway->n_expirers < GATEWAY_EXPIRERS_MAX &&
	    start(gateway))
		gateway->n_expirers++;
	pthread_cond_broadcast(&gateway->changed);
	pthread_mutex_unlock(&gateway->lock);
}

bool expire_names(struct gateway *gateway, uint64_t dir, uint64_t recall)
{
	struct expiry mine = { .dir = dir, .recall = recall };
	struct expiry *expiry;

	mine.number = names_recall(gateway->names, dir, &mine.until_ns);
	if (!mine.number)
		return true;
	expiry = malloc(sizeof(*expiry));
	if (!expiry) {
		carry_out(gateway, &mine);
		return true;
	}
	*expiry = mine;
	put(gateway, expiry);
	return false;
}

void expire_name(struct gateway *gateway, uint64_t dir, const char *name)
{
	struct expiry *expiry = calloc(1, sizeof(*expiry));
	size_t len = strlen(name);

	/* The next recall of the directory does it, then. */
	if (!expiry || len > NAMES_NAME_MAX) {
		free(expiry);
		return;
	}
	expiry->one.dir = dir;
	expiry->one.len = (uint32_t)len;
	memcpy(expiry->one.text, name, len + 1);
	put(gateway, expiry);
}
