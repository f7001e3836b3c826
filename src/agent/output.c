/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "agent/task.h"
#include "base/cleanup.h"
#include "base/clock.h"

/* Reads of one program before others have their turn. */
#define READS_PER_TURN 8
/* More than a pipe holds: what a program that has ended wrote is read to the end. */
#define READS_TO_END 64

static void pump_ready(struct loop_watch *watch, uint32_t events);

static void watch_on(struct pump *pump)
{
	if (pump->fd < 0 || pump->watch.is_on)
		return;
	if (loop_watch(pump->task->programs->loop, &pump->watch, pump->fd, EPOLLIN, pump_ready) !=
	    DVS_OK)
		pump_close(pump);
}

void pump_open(struct task *task, size_t which, int fd, enum logs_stream stream)
{
	struct pump *pump = &task->pumps[which];

	pump->task = task;
	pump->fd = fd;
	pump->stream = stream;
	pump->held = pump->drained = false;
	watch_on(pump);
}

void pump_close(struct pump *pump)
{
	if (!pump->task)
		return;
	loop_unwatch(pump->task->programs->loop, &pump->watch);
	cleanup_close(&pump->fd);
	pump->held = false;
}

static void lag_fire(struct loop_timer *timer)
{
	struct task *task = CONTAINER_OF(timer, struct task, lag);

	LIST_FOREACH(link, &task->attachments) {
		struct attachment *attachment = CONTAINER_OF(link, struct attachment, of_task);

		if (attachment_room(attachment) == 0)
			attachment->lags = true;
	}
	pumps_resume(task);
}

/* How much may be read now: what those who are attached have room for. */
static size_t room(const struct task *task)
{
	size_t least = READ_BYTES_MAX;

	LIST_FOREACH(link, &task->attachments) {
		size_t one = attachment_room(CONTAINER_OF(link, struct attachment, of_task));

		if (one < least)
			least = one;
	}
	return least;
}

static void hold(struct pump *pump)
{
	struct task *task = pump->task;

	pump->held = true;
	loop_unwatch(task->programs->loop, &pump->watch);
	if (!task->lag.is_set)
		loop_timer_set(task->programs->loop, &task->lag,
			       clock_deadline_ns(LAG_MS * CLOCK_NS_PER_MS), lag_fire);
}

static void got(struct pump *pump, const uint8_t *data, size_t len)
{
	struct task *task = pump->task;

	if (task->logs)
		logs_append(task->logs, pump->stream, data, len, clock_real_ns());
	followers_feed(task);
	/* What others still write who have its output open is in the log only. */
	if (task_has_ended(task))
		return;
	LIST_FOREACH(link, &task->attachments)
		attachment_put(CONTAINER_OF(link, struct attachment, of_task), pump->stream, data,
			       len);
}

/* Nobody has the other end open. A terminal's program may come back to it when it is started again. */
static void ended(struct pump *pump)
{
	if ((pump->task->flags & RUN_TTY) && !pump->task->over)
		loop_unwatch(pump->task->programs->loop, &pump->watch);
	else
		pump_close(pump);
}

/* Returns whether there may be more. */
static bool pump_read(struct pump *pump)
{
	uint8_t *data = pump->task->programs->chunk;
	size_t most = room(pump->task);
	ssize_t len;

	if (pump->fd < 0)
		return false;
	if (most == 0) {
		hold(pump);
		return false;
	}
	len = read(pump->fd, data, most);
	if (len > 0) {
		got(pump, data, (size_t)len);
		return true;
	}
	if (len < 0 && errno == EINTR)
		return true;
	if (len < 0 && errno == EAGAIN)
		pump->drained = pump->task->over;
	else
		ended(pump);
	return false;
}

static void pump_ready(struct loop_watch *watch, uint32_t events)
{
	struct pump *pump = CONTAINER_OF(watch, struct pump, watch);

	(void)events;
	for (int i = 0; i < READS_PER_TURN && pump_read(pump); i++)
		(void)0;
	task_settle(pump->task);
}

void pumps_run(struct task *task)
{
	for (size_t i = 0; i < 2; i++) {
		struct pump *pump = &task->pumps[i];

		if (pump->fd < 0 || pump->held)
			continue;
		for (int n = 0; n < READS_TO_END && pump_read(pump); n++)
			(void)0;
		if (!pump->held)
			watch_on(pump);
	}
}

void pumps_resume(struct task *task)
{
	if (room(task) == 0)
		return;
	loop_timer_cancel(task->programs->loop, &task->lag);
	for (size_t i = 0; i < 2; i++) {
		if (task->pumps[i].held) {
			task->pumps[i].held = false;
			watch_on(&task->pumps[i]);
		}
	}
	/* Whether a pipe is empty is not told by the loop. */
	if (task->over) {
		pumps_run(task);
		task_settle(task);
	}
}
