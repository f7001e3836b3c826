/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are closed. Nobody waits for the server to hear of it, but that the file system goes on does: the thread that reads has better things to do. So handles are gathered, and given back together some moments later, by a thread of their own.
 * Until then a file without names still takes its room. One that holds locks is given back at once. */
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "gateways/fuse/gateway.h"

#define GATHER_NS (2 * CLOCK_NS_PER_MS)

static void nap(void)
{
	const struct timespec while_more_come = clock_timespec(GATHER_NS);

	(void)nanosleep(&while_more_come, NULL);
}

void releases_begin(struct releases *releases)
{
	pthread_mutex_init(&releases->lock, NULL);
	pthread_cond_init(&releases->some, NULL);
}

void releases_free(struct releases *releases)
{
	pthread_cond_destroy(&releases->some);
	pthread_mutex_destroy(&releases->lock);
}

/* Sleeps while there are none. */
static bool wait_for_some(struct releases *releases)
{
	bool is_taking;

	pthread_mutex_lock(&releases->lock);
	while (releases->n == 0 && releases->is_taking) {
		releases->is_asleep = true;
		pthread_cond_wait(&releases->some, &releases->lock);
		releases->is_asleep = false;
	}
	is_taking = releases->is_taking;
	pthread_mutex_unlock(&releases->lock);
	return is_taking;
}

static uint32_t take_all(struct releases *releases, uint32_t handles[FSC_RELEASE_MAX])
{
	uint32_t n;

	pthread_mutex_lock(&releases->lock);
	n = releases->n;
	memcpy(handles, releases->handles, n * sizeof(handles[0]));
	releases->n = 0;
	pthread_mutex_unlock(&releases->lock);
	return n;
}

void releases_flush(struct gateway *gateway, struct fsc_thread *me)
{
	uint32_t handles[FSC_RELEASE_MAX];
	uint32_t n = take_all(&gateway->releases, handles);
	dvs_err err = n > 0 ? fsc_release_many(me, handles, n) : DVS_OK;

	if (err)
		log_debug(&gateway->options->log, "files that were closed are not given back",
			  LOG_STR("why", dvs_strerror(err)));
}

static void *releases_run(void *context)
{
	struct gateway *gateway = context;
	struct releases *releases = &gateway->releases;

	while (wait_for_some(releases)) {
		nap();
		releases_flush(gateway, releases->me);
	}
	fsc_leave(releases->me);
	pthread_mutex_lock(&gateway->lock);
	gateway->has_releaser = false;
	pthread_cond_broadcast(&gateway->changed);
	pthread_mutex_unlock(&gateway->lock);
	return NULL;
}

dvs_err releases_start(struct gateway *gateway)
{
	struct releases *releases = &gateway->releases;
	pthread_t thread;
	dvs_err err = fsc_enter(gateway->fsc, &releases->me);

	if (err)
		return err;
	releases->is_taking = true;
	gateway->has_releaser = true;
	if (pthread_create(&thread, NULL, releases_run, gateway) == 0) {
		pthread_detach(thread);
		return DVS_OK;
	}
	releases->is_taking = false;
	gateway->has_releaser = false;
	fsc_leave(releases->me);
	return DVS_NOMEM;
}

void releases_stop(struct releases *releases)
{
	pthread_mutex_lock(&releases->lock);
	releases->is_taking = false;
	pthread_cond_signal(&releases->some);
	pthread_mutex_unlock(&releases->lock);
}

bool releases_put(struct gateway *gateway, uint32_t handle)
{
	struct releases *releases = &gateway->releases;
	bool is_taken;

	pthread_mutex_lock(&releases->lock);
	is_taken = releases->is_taking && releases->n < FSC_RELEASE_MAX;
	if (is_taken) {
		releases->handles[releases->n++] = handle;
		if (releases->is_asleep && releases->n == 1)
			pthread_cond_signal(&releases->some);
	}
	pthread_mutex_unlock(&releases->lock);
	return is_taken;
}
