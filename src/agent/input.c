/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <termios.h>
#include <unistd.h>

#include "agent/task.h"
#include "base/cleanup.h"

/* ^D, where the terminal does not say. */
#define EOF_CHARACTER 4

static void input_run(struct task *task);

static void input_ready(struct loop_watch *watch, uint32_t events)
{
	struct input *input = CONTAINER_OF(watch, struct input, watch);

	(void)events;
	input_run(CONTAINER_OF(input, struct task, input));
}

void input_open(struct task *task, int fd)
{
	task->input.fd = fd;
	task->input.at = 0;
}

void input_close(struct task *task, dvs_err err)
{
	struct input *input = &task->input;

	loop_unwatch(task->programs->loop, &input->watch);
	cleanup_close(&input->fd);
	while (!list_is_empty(&input->writes))
		request_fail(CONTAINER_OF(input->writes.next, struct request, kept), err,
			     "program %s does not read its stdin any more", task->name);
}

static uint8_t eof_character(int fd)
{
	struct termios settings;

	return tcgetattr(fd, &settings) == 0 ? settings.c_cc[VEOF] : EOF_CHARACTER;
}

/* What of REQUEST is to be written from AT on; *EOF whether stdin ends then. */
static size_t rest(const struct task *task, const struct request *request, size_t at,
		   const uint8_t **data, bool *eof, uint8_t *last)
{
	struct cursor in = cursor_over(request->body, request->len);
	size_t len;

	(void)cursor_u64(&in);
	*eof = cursor_u8(&in) == 1;
	len = cursor_u16(&in);
	*data = cursor_borrow(&in, len);
	if (at < len) {
		*data += at;
		return len - at;
	}
	/* To a terminal the end is a character like others. */
	*last = eof_character(task->input.fd);
	*data = last;
	return *eof && (task->flags & RUN_TTY) && at == len ? 1 : 0;
}

/* Write as much as goes. */
static void input_run(struct task *task)
{
	struct input *input = &task->input;

	while (input->fd >= 0 && !list_is_empty(&input->writes)) {
		struct request *request = CONTAINER_OF(input->writes.next, struct request, kept);
		const uint8_t *data;
		uint8_t last;
		bool eof;
		size_t len = rest(task, request, input->at, &data, &eof, &last);
		ssize_t written = len > 0 ? write(input->fd, data, len) : 0;

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0 && errno == EAGAIN) {
			if (!input->watch.is_on &&
			    loop_watch(task->programs->loop, &input->watch, input->fd, EPOLLOUT,
				       input_ready) != DVS_OK)
				input_close(task, DVS_IO);
			return;
		}
		if (written < 0) {
			input_close(task, DVS_PEERDEAD);
			return;
		}
		input->at += (size_t)written;
		if (len > (size_t)written || rest(task, request, input->at, &data, &eof, &last) > 0)
			continue;
		input->at = 0;
		request_done(request);
		if (eof && !(task->flags & RUN_TTY)) {
			input_close(task, DVS_PEERDEAD);
			task_stdin_ended(task);
		}
	}
	loop_unwatch(task->programs->loop, &input->watch);
}

/* What of it is written stays written. */
static void write_gone(struct request *request)
{
	struct task *task = request->keeper;

	if (task->input.writes.next == &request->kept)
		task->input.at = 0;
}

void input_add(struct task *task, struct request *request)
{
	request->keeper = task;
	request->gone = write_gone;
	list_add_tail(&task->input.writes, &request->kept);
	input_run(task);
}
