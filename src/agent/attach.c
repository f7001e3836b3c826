/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "agent/task.h"
#include "base/cleanup.h"

/* Small pieces are put together. */
#define CHUNK_BYTES_MIN 4096u

/* From SIGHUP to SIGKILL, for an exec that nobody is attached to any more. */
#define HANG_UP_MS 2000u

enum read_stream { READ_OVER = 3, READ_LOST = 4 };

struct chunk {
	struct list link;
	uint8_t stream;
	uint64_t lost;
	size_t len, room;
	uint8_t data[];
};

dvs_err attachment_new(struct task *task, dvs_ep owner, struct attachment **made)
{
	struct programs *programs = task->programs;
	struct attachment *attachment;
	uint64_t id = 0;

	if (programs->n_attachments >= ATTACHMENTS_MAX)
		return DVS_FULL;
	attachment = calloc(1, sizeof(*attachment));
	if (!attachment)
		return DVS_NOMEM;
	/* Not to be guessed: who knows it may read and write. */
	while (id == 0 || attachment_find(programs, id)) {
		if (getentropy(&id, sizeof(id)) != 0) {
			free(attachment);
			return DVS_IO;
		}
	}
	attachment->id = id;
	attachment->owner = owner;
	attachment->task = task;
	list_init(&attachment->chunks);
	list_add_tail(&programs->attachments, &attachment->of_programs);
	list_add_tail(&task->attachments, &attachment->of_task);
	programs->n_attachments++;
	*made = attachment;
	return DVS_OK;
}

struct attachment *attachment_find(const struct programs *programs, uint64_t id)
{
	LIST_FOREACH(link, &programs->attachments) {
		struct attachment *attachment = CONTAINER_OF(link, struct attachment, of_programs);

		if (attachment->id == id)
			return attachment;
	}
	return NULL;
}

static void chunk_free(struct attachment *attachment, struct chunk *chunk)
{
	list_remove(&chunk->link);
	attachment->bytes -= chunk->len;
	free(chunk);
}

void attachment_free(struct attachment *attachment)
{
	struct programs *programs = attachment->task->programs;

	if (attachment->reader)
		request_fail(TAKE_PTR(attachment->reader), DVS_NOTFOUND,
			     "this attachment has ended");
	while (!list_is_empty(&attachment->chunks))
		chunk_free(attachment, CONTAINER_OF(attachment->chunks.next, struct chunk, link));
	if (attachment->task->first == attachment)
		attachment->task->first = NULL;
	list_remove(&attachment->of_programs);
	list_remove(&attachment->of_task);
	programs->n_attachments--;
	free(attachment);
}

size_t attachment_room(const struct attachment *attachment)
{
	/* Who lags holds nobody up: what it has no room for is counted as lost. */
	if (attachment->lags)
		return READ_BYTES_MAX;
	return ATTACHMENT_BYTES_MAX - attachment->bytes;
}

static struct chunk *chunk_add(struct attachment *attachment, uint8_t stream, size_t room)
{
	struct chunk *chunk = calloc(1, sizeof(*chunk) + room);

	if (!chunk)
		return NULL;
	chunk->stream = stream;
	chunk->room = room;
	list_add_tail(&attachment->chunks, &chunk->link);
	return chunk;
}

static void lose(struct attachment *attachment, struct chunk *last, size_t len)
{
	if (!last || last->stream != READ_LOST)
		last = chunk_add(attachment, READ_LOST, 0);
	if (last)
		last->lost += len;
}

void attachment_put(struct attachment *attachment, enum logs_stream stream, const uint8_t *data,
		    size_t len)
{
	struct chunk *last = NULL;

	if (!list_is_empty(&attachment->chunks)) {
		last = CONTAINER_OF(attachment->chunks.prev, struct chunk, link);
		assert(last);
	}
	if (attachment->bytes + len > ATTACHMENT_BYTES_MAX) {
		lose(attachment, last, len);
		return;
	}
	if (!last || last->stream != stream || last->room - last->len < len)
		last = chunk_add(attachment, (uint8_t)stream,
				 len > CHUNK_BYTES_MIN ? len : CHUNK_BYTES_MIN);
	if (!last) {
		lose(attachment, last, len);
		return;
	}
	memcpy(last->data + last->len, data, len);
	last->len += len;
	attachment->bytes += len;
	attachment_feed(attachment);
}

static void give_chunk(struct attachment *attachment, struct chunk *chunk)
{
	struct agent_read_rep *rep = &attachment->task->programs->body.read;
	struct request *reader = TAKE_PTR(attachment->reader);

	rep->stream = chunk->stream;
	rep->status = 0;
	rep->count = chunk->lost;
	rep->n_data = (uint32_t)chunk->len;
	memcpy(rep->data, chunk->data, chunk->len);
	chunk_free(attachment, chunk);
	REQUEST_ANSWER(reader, read, rep);
}

static void give_end(struct attachment *attachment)
{
	struct task *task = attachment->task;
	struct agent_read_rep *rep = &task->programs->body.read;

	rep->stream = READ_OVER;
	rep->status = task->status;
	rep->count = 0;
	rep->n_data = 0;
	REQUEST_ANSWER(TAKE_PTR(attachment->reader), read, rep);
	attachment_end(attachment);
}

void attachment_feed(struct attachment *attachment)
{
	if (!attachment->reader)
		return;
	if (!list_is_empty(&attachment->chunks))
		give_chunk(attachment, CONTAINER_OF(attachment->chunks.next, struct chunk, link));
	else if (task_has_ended(attachment->task))
		give_end(attachment);
}

static void reader_gone(struct request *request)
{
	struct attachment *attachment = request->keeper;

	attachment->reader = NULL;
}

void attachment_read(struct attachment *attachment, struct request *request)
{
	struct task *task = attachment->task;
	bool was_full = attachment_room(attachment) == 0 || attachment->lags;
	bool ended = task_has_ended(task);

	request->keeper = attachment;
	request->gone = reader_gone;
	attachment->reader = request;
	attachment_feed(attachment);
	/* Of a task that has ended this can have been the last; only a full one can be what holds up the others. */
	if (!ended && was_full && attachment->bytes < ATTACHMENT_BYTES_MAX / 2) {
		attachment->lags = false;
		pumps_resume(task);
	}
}

void attachment_end(struct attachment *attachment)
{
	struct task *task = attachment->task;

	attachment_free(attachment);
	if (task_has_ended(task)) {
		task_settle(task);
		return;
	}
	if ((task->flags & RUN_EXEC) && list_is_empty(&task->attachments))
		task_stop(task, SIGHUP, HANG_UP_MS);
	else
		pumps_resume(task);
}
