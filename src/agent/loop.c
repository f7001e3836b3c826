/* SPDX-License-Identifier: Apache-2.0 */
/* epoll, one eventfd for posts, and timers in a list: there are tens of them, not thousands. */
#include "agent/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"

#define LOOP_BATCH 64

struct loop {
	int epoll_fd;
	int post_fd;
	atomic_bool stopping;
	struct list timers; /* by deadline */
	struct loop_watch posts_watch;
	/* The events that epoll told and that are not worked on yet: one whose watch is removed meanwhile is forgotten. */
	struct epoll_event batch[LOOP_BATCH];
	int batch_at, batch_n;
	pthread_mutex_t lock;
	struct list posts; /* under the lock */
};

/* ---- posts ---- */

static void run_posts(struct loop_watch *watch, uint32_t events)
{
	struct loop *loop = CONTAINER_OF(watch, struct loop, posts_watch);
	struct list taken;
	struct list *link;
	uint64_t count;

	(void)events;
	if (read(loop->post_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return;
	list_init(&taken);
	pthread_mutex_lock(&loop->lock);
	while ((link = list_take_head(&loop->posts)))
		list_add_tail(&taken, link);
	pthread_mutex_unlock(&loop->lock);
	while ((link = list_take_head(&taken))) {
		struct loop_post *post = CONTAINER_OF(link, struct loop_post, queued);

		post->run(post);
	}
}

static void ring(struct loop *loop)
{
	uint64_t one = 1;

	/* It fails only when the counter is full, and then the loop is awake. */
	if (write(loop->post_fd, &one, sizeof(one)) < 0)
		return;
}

void loop_post(struct loop *loop, struct loop_post *post, void (*run)(struct loop_post *post))
{
	post->run = run;
	pthread_mutex_lock(&loop->lock);
	list_add_tail(&loop->posts, &post->queued);
	pthread_mutex_unlock(&loop->lock);
	ring(loop);
}

/* ---- watches ---- */

dvs_err loop_watch(struct loop *loop, struct loop_watch *watch, int fd, uint32_t events,
		   void (*ready)(struct loop_watch *watch, uint32_t events))
{
	struct epoll_event event = { .events = events, .data = { .ptr = watch } };

	*watch = (struct loop_watch){ .fd = fd, .ready = ready };
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event))
		return dvs_from_errno(errno);
	watch->is_on = true;
	return DVS_OK;
}

void loop_rewatch(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
	struct epoll_event event = { .events = events, .data = { .ptr = watch } };

	if (watch->is_on)
		(void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event);
}

void loop_unwatch(struct loop *loop, struct loop_watch *watch)
{
	if (!watch->is_on)
		return;
	watch->is_on = false;
	(void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	for (int i = loop->batch_at; i < loop->batch_n; i++) {
		if (loop->batch[i].data.ptr == watch)
			loop->batch[i].data.ptr = NULL;
	}
}

/* ---- timers ---- */

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t deadline_ns,
		    void (*fire)(struct loop_timer *timer))
{
	struct list *after;

	loop_timer_cancel(loop, timer);
	timer->deadline_ns = deadline_ns;
	timer->fire = fire;
	timer->is_set = true;
	after = loop->timers.prev;
	while (after != &loop->timers &&
	       CONTAINER_OF(after, struct loop_timer, by_deadline)->deadline_ns > deadline_ns)
		after = after->prev;
	list_insert_between(&timer->by_deadline, after, after->next);
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
	(void)loop;
	if (!timer->is_set)
		return;
	timer->is_set = false;
	list_remove(&timer->by_deadline);
}

static struct loop_timer *first_timer(const struct loop *loop)
{
	if (list_is_empty(&loop->timers))
		return NULL;
	return CONTAINER_OF(loop->timers.next, struct loop_timer, by_deadline);
}

/* Those that a timer sets anew for a past moment have their turn in the next round. */
static void run_timers(struct loop *loop)
{
	uint64_t now_ns = clock_now_ns();
	struct loop_timer *timer;

	for (unsigned int i = 0; i < LOOP_BATCH; i++) {
		timer = first_timer(loop);
		if (!timer || timer->deadline_ns > now_ns)
			return;
		loop_timer_cancel(loop, timer);
		timer->fire(timer);
	}
}

/* ---- the loop ---- */

dvs_err loop_open(struct loop **out)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	dvs_err err;

	if (!loop)
		return DVS_NOMEM;
	list_init(&loop->timers);
	list_init(&loop->posts);
	pthread_mutex_init(&loop->lock, NULL);
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->post_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->epoll_fd < 0 || loop->post_fd < 0)
		err = dvs_from_errno(errno);
	else
		err = loop_watch(loop, &loop->posts_watch, loop->post_fd, EPOLLIN, run_posts);
	if (err) {
		loop_close(loop);
		return err;
	}
	*out = loop;
	return DVS_OK;
}

void loop_close(struct loop *loop)
{
	if (!loop)
		return;
	cleanup_close(&loop->epoll_fd);
	cleanup_close(&loop->post_fd);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
}

void loop_stop(struct loop *loop)
{
	atomic_store(&loop->stopping, true);
	ring(loop);
}

dvs_err loop_run(struct loop *loop)
{
	while (!atomic_exchange(&loop->stopping, false)) {
		struct loop_timer *timer = first_timer(loop);
		int n = epoll_wait(loop->epoll_fd, loop->batch, LOOP_BATCH,
				   clock_poll_ms(timer ? timer->deadline_ns : CLOCK_NEVER_NS));

		if (n < 0 && errno != EINTR)
			return dvs_from_errno(errno);
		loop->batch_n = n < 0 ? 0 : n;
		for (loop->batch_at = 0; loop->batch_at < loop->batch_n;) {
			struct epoll_event event = loop->batch[loop->batch_at++];
			struct loop_watch *watch = event.data.ptr;

			if (watch)
				watch->ready(watch, event.events);
		}
		run_timers(loop);
	}
	return DVS_OK;
}
