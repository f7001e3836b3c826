/* SPDX-License-Identifier: Apache-2.0 */
/* The loop. A turn runs what was posted and the timers that are due, then receives one request. The thread sleeps in m3_receive() only; whoever posts pokes it
 * out of there, and only when it sleeps or is about to: a busy loop costs a poster no system call. */
#include "skeleton/skeleton.h"

#include <stdlib.h>

#include "base/clock.h"
#include "lib/poke.h"
#include "skeleton/internal.h"

/* ---- what other threads do ---- */

/* The loop announces its sleep and then looks for posts; here it is the other way round. */
static void wake(struct skeleton *skeleton)
{
	if (!atomic_exchange(&skeleton->is_asleep, false))
		return;
	pthread_mutex_lock(&skeleton->listen_lock);
	m3_poke(skeleton->listening);
	pthread_mutex_unlock(&skeleton->listen_lock);
}

static void put(void *context, struct post *post)
{
	struct skeleton *skeleton = context;

	pthread_mutex_lock(&skeleton->post_lock);
	list_add_tail(&skeleton->posts, &post->queued);
	atomic_store(&skeleton->has_posts, true);
	pthread_mutex_unlock(&skeleton->post_lock);
	wake(skeleton);
}

struct poster skeleton_poster(struct skeleton *skeleton)
{
	return (struct poster){ .context = skeleton, .put = put };
}

void skeleton_stop(struct skeleton *skeleton)
{
	/* The loop cannot end, and what is in here be freed, before this has let go of the lock. */
	pthread_mutex_lock(&skeleton->listen_lock);
	atomic_store(&skeleton->is_stopped, true);
	if (atomic_exchange(&skeleton->is_asleep, false))
		m3_poke(skeleton->listening);
	pthread_mutex_unlock(&skeleton->listen_lock);
}

/* ---- posts and timers, in the loop ---- */

static void move_all(struct list *from, struct list *to)
{
	list_init(to);
	if (list_is_empty(from))
		return;
	*to = *from;
	to->next->prev = to;
	to->prev->next = to;
	list_init(from);
}

/* Those that are put meanwhile have their turn after the next request. */
static void run_posts(struct skeleton *skeleton)
{
	struct list posts;
	struct list *link;

	if (!atomic_load_explicit(&skeleton->has_posts, memory_order_relaxed))
		return;
	pthread_mutex_lock(&skeleton->post_lock);
	move_all(&skeleton->posts, &posts);
	atomic_store(&skeleton->has_posts, false);
	pthread_mutex_unlock(&skeleton->post_lock);
	while ((link = list_take_head(&posts))) {
		struct post *post = CONTAINER_OF(link, struct post, queued);

		skeleton->figures.posts++;
		post->run(post);
	}
}

void skeleton_timer_cancel(struct skeleton *skeleton, struct skeleton_timer *timer)
{
	(void)skeleton;
	if (!timer->is_set)
		return;
	timer->is_set = false;
	list_remove(&timer->by_deadline);
}

void skeleton_timer_set(struct skeleton *skeleton, struct skeleton_timer *timer,
			uint64_t deadline_ns, void (*fire)(struct skeleton_timer *timer))
{
	struct list *after;

	skeleton_timer_cancel(skeleton, timer);
	timer->is_set = true;
	timer->deadline_ns = deadline_ns;
	timer->fire = fire;
	after = skeleton->timers.prev;
	while (after != &skeleton->timers &&
	       CONTAINER_OF(after, struct skeleton_timer, by_deadline)->deadline_ns > deadline_ns)
		after = after->prev;
	list_insert_between(&timer->by_deadline, after, after->next);
}

static struct skeleton_timer *first_timer(const struct skeleton *skeleton)
{
	if (list_is_empty(&skeleton->timers))
		return NULL;
	return CONTAINER_OF(skeleton->timers.next, struct skeleton_timer, by_deadline);
}

/* One that sets itself to a time that is past fires in the next turn. */
static void fire_timers(struct skeleton *skeleton)
{
	struct list due;
	struct list *link;
	uint64_t now_ns;

	if (list_is_empty(&skeleton->timers))
		return;
	now_ns = clock_now_ns();
	list_init(&due);
	while (first_timer(skeleton) && first_timer(skeleton)->deadline_ns <= now_ns)
		list_add_tail(&due, list_take_head(&skeleton->timers));
	while ((link = list_take_head(&due))) {
		struct skeleton_timer *timer =
			CONTAINER_OF(link, struct skeleton_timer, by_deadline);

		timer->is_set = false;
		timer->fire(timer);
	}
}

/* ---- the loop ---- */

static uint32_t timeout_ms(const struct skeleton *skeleton)
{
	const struct skeleton_timer *timer = first_timer(skeleton);
	int ms = clock_poll_ms(timer ? timer->deadline_ns : CLOCK_NEVER_NS);

	return ms < 0 ? DVS_FOREVER : (uint32_t)ms;
}

static dvs_err receive(struct skeleton *skeleton)
{
	struct m3 *self = skeleton->listening;
	struct dvs_msg msg;
	dvs_err err;

	atomic_store(&skeleton->is_asleep, true);
	if (atomic_load(&skeleton->has_posts) || atomic_load(&skeleton->is_stopped)) {
		atomic_store(&skeleton->is_asleep, false);
		err = m3_receive(self, dvs_ep_any(), &msg, 0);
	} else {
		err = m3_receive(self, dvs_ep_any(), &msg, timeout_ms(skeleton));
		atomic_store_explicit(&skeleton->is_asleep, false, memory_order_relaxed);
	}
	if (err == DVS_OK)
		skeleton_take(skeleton, self, &msg);
	if (err == DVS_NOTBOUND && skeleton->lost && self != skeleton->own) {
		log_warning(skeleton->log, "an endpoint is lost",
			    LOG_U64("number", dvs_ep_number(m3_self(self))));
		skeleton_forget(skeleton, self);
		skeleton->lost(skeleton->lost_context, self, err);
		return DVS_OK;
	}
	return err == DVS_WOKEN || err == DVS_TIMEOUT ? DVS_OK : err;
}

dvs_err skeleton_run(struct skeleton *skeleton)
{
	dvs_err err = DVS_OK;

	while (!atomic_load_explicit(&skeleton->is_stopped, memory_order_relaxed) &&
	       err == DVS_OK) {
		run_posts(skeleton);
		skeleton_look_at_calls(skeleton);
		fire_timers(skeleton);
		err = receive(skeleton);
	}
	pthread_mutex_lock(&skeleton->listen_lock);
	atomic_store(&skeleton->is_stopped, false);
	pthread_mutex_unlock(&skeleton->listen_lock);
	return err;
}

void skeleton_set_users(struct skeleton *skeleton, bool users_are_all)
{
	skeleton->users_are_all = users_are_all;
}

void skeleton_listen(struct skeleton *skeleton, struct m3 *self)
{
	pthread_mutex_lock(&skeleton->listen_lock);
	skeleton->listening = self ? self : skeleton->own;
	pthread_mutex_unlock(&skeleton->listen_lock);
}

void skeleton_on_lost(struct skeleton *skeleton,
		      void (*lost)(void *context, struct m3 *self, dvs_err err), void *context)
{
	skeleton->lost = lost;
	skeleton->lost_context = context;
}

/* ---- opening ---- */

dvs_err skeleton_open(const struct skeleton_config *config, struct skeleton **skeleton)
{
	struct skeleton *made = calloc(1, sizeof(*made));
	dvs_err err;

	if (!made)
		return DVS_NOMEM;
	err = dvk_bind(config->dvk, dvs_ep_any(), DVK_LOCAL, &made->own);
	if (err != DVS_OK) {
		free(made);
		return err;
	}
	made->dvk = config->dvk;
	made->log = config->log;
	made->users_are_all = config->users_are_all;
	made->services = config->services;
	made->n_services = config->n_services;
	made->listening = made->own;
	list_init(&made->timers);
	list_init(&made->calls);
	list_init(&made->posts);
	list_init(&made->free);
	list_init(&made->open);
	pthread_mutex_init(&made->post_lock, NULL);
	pthread_mutex_init(&made->listen_lock, NULL);
	*skeleton = made;
	return DVS_OK;
}

void skeleton_close(struct skeleton *skeleton)
{
	if (!skeleton)
		return;
	skeleton_end_calls(skeleton, skeleton->own);
	dvk_unbind(skeleton->own);
	skeleton_free_requests(skeleton);
	pthread_mutex_destroy(&skeleton->post_lock);
	pthread_mutex_destroy(&skeleton->listen_lock);
	free(skeleton);
}

struct m3 *skeleton_self(struct skeleton *skeleton)
{
	return skeleton->own;
}

const struct skeleton_figures *skeleton_figures(const struct skeleton *skeleton)
{
	return &skeleton->figures;
}
