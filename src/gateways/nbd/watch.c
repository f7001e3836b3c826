/* SPDX-License-Identifier: Apache-2.0 */
#include "gateways/nbd/watch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "gateways/nbd/connection.h"

/* So many looks without anything new, then it sleeps. */
#define QUIET_LOOKS 50u

struct watch {
	pthread_t thread;
	pthread_mutex_t lock; /* before that of a connection */
	pthread_cond_t changed;
	atomic_bool sleeps;
	/* under the lock: */
	bool ends;
	struct list connections;
};

/* Whether anything has happened since the last look. */
static bool look_locked(struct watch *watch)
{
	bool is_new = false;

	LIST_FOREACH(link, &watch->connections) {
		struct connection *connection = CONTAINER_OF(link, struct connection, watched);
		uint64_t call = atomic_load(&connection->call);

		if (call != connection->seen_call)
			is_new = true;
		else if ((call & (CALL_RUNS | CALL_LOST_LEAD)) == CALL_RUNS)
			connection_take_lead(connection, call);
		connection->seen_call = call;
	}
	return is_new;
}

static void *watch_run(void *argument)
{
	struct watch *watch = argument;
	unsigned quiet = 0;

	pthread_mutex_lock(&watch->lock);
	while (!watch->ends) {
		struct timespec until =
			clock_timespec(clock_deadline_ns(WATCH_MS * CLOCK_NS_PER_MS));

		quiet = look_locked(watch) ? 0 : quiet + 1;
		if (quiet < QUIET_LOOKS) {
			(void)pthread_cond_timedwait(&watch->changed, &watch->lock, &until);
			continue;
		}
		atomic_store(&watch->sleeps, true);
		/* A call that began before this is seen here, one that begins after it wakes us up. */
		while (!look_locked(watch) && atomic_load(&watch->sleeps) && !watch->ends)
			(void)pthread_cond_wait(&watch->changed, &watch->lock);
		atomic_store(&watch->sleeps, false);
		quiet = 0;
	}
	pthread_mutex_unlock(&watch->lock);
	return NULL;
}

dvs_err watch_open(struct watch **out)
{
	struct watch *watch = calloc(1, sizeof(*watch));
	pthread_condattr_t attributes;

	if (!watch)
		return DVS_NOMEM;
	list_init(&watch->connections);
	pthread_mutex_init(&watch->lock, NULL);
	pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&watch->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	if (pthread_create(&watch->thread, NULL, watch_run, watch)) {
		pthread_cond_destroy(&watch->changed);
		pthread_mutex_destroy(&watch->lock);
		free(watch);
		return DVS_NOMEM;
	}
	*out = watch;
	return DVS_OK;
}

void watch_close(struct watch *watch)
{
	if (!watch)
		return;
	pthread_mutex_lock(&watch->lock);
	watch->ends = true;
	pthread_cond_signal(&watch->changed);
	pthread_mutex_unlock(&watch->lock);
	pthread_join(watch->thread, NULL);
	pthread_cond_destroy(&watch->changed);
	pthread_mutex_destroy(&watch->lock);
	free(watch);
}

void watch_add(struct watch *watch, struct connection *connection)
{
	pthread_mutex_lock(&watch->lock);
	connection->seen_call = atomic_load(&connection->call);
	list_add_tail(&watch->connections, &connection->watched);
	pthread_mutex_unlock(&watch->lock);
}

void watch_remove(struct watch *watch, struct connection *connection)
{
	pthread_mutex_lock(&watch->lock);
	list_remove(&connection->watched);
	pthread_mutex_unlock(&watch->lock);
}

void watch_note(struct watch *watch)
{
	if (__builtin_expect(!atomic_load(&watch->sleeps), 1))
		return;
	pthread_mutex_lock(&watch->lock);
	atomic_store(&watch->sleeps, false);
	pthread_cond_signal(&watch->changed);
	pthread_mutex_unlock(&watch->lock);
}
