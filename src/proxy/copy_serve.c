/* SPDX-License-Identifier: Apache-2.0 */
/* The answering side of copies: pieces that the peer asks for. Each is allowed or refused by dvsd, and worked on
 * only once at a time, however often it is asked for. */
#include <stdlib.h>

#include "base/cleanup.h"
#include "proxy/copy_internal.h"

/* Pieces that wait or are worked on, and the data that came with them. A DC takes a quarter at most. */
#define SERVING_MAX 256u
#define SERVING_BYTES_MAX (32u * 1024u * 1024u)
#define OF_DC(most) ((most) / 4)

struct served {
	struct work work;
	struct list of_serving;
	uint64_t id;
	bool write;
	bool placing; /* its data comes in just now */
	bool settled; /* there is nothing to do but to tell `err` */
	dvs_err err;
	struct control_copy_open_req open;
	void *data; /* of a write */
};

static struct served *served_at(struct list *at)
{
	return CONTAINER_OF(at, struct served, of_serving);
}

static struct served *served_find_locked(struct copies *copies, uint64_t id)
{
	LIST_FOREACH(at, &copies->serving) {
		if (served_at(at)->id == id)
			return served_at(at);
	}
	return NULL;
}

static bool has_room_locked(const struct copies *copies, uint32_t dc, size_t bytes)
{
	size_t n_of_dc = 0;
	size_t bytes_of_dc = 0;

	LIST_FOREACH(at, &copies->serving) {
		const struct served *served = served_at(at);

		if (served->work.dc != dc)
			continue;
		n_of_dc++;
		bytes_of_dc += served->write ? served->open.bytes : 0;
	}
	return copies->n_serving < SERVING_MAX && n_of_dc < OF_DC(SERVING_MAX) &&
	       copies->serving_bytes + bytes <= SERVING_BYTES_MAX &&
	       bytes_of_dc + bytes <= OF_DC(SERVING_BYTES_MAX);
}

/* ---- what was written ---- */

/* A question may come once more when its answer is on its way: the copy may be over then, and its owner have put something else
 * there. */
static const struct written *written_find_locked(const struct copies *copies, uint64_t id)
{
	for (size_t i = 0; i < copies->n_written && i < ARRAY_LEN(copies->written); i++) {
		if (copies->written[i].id == id)
			return &copies->written[i];
	}
	return NULL;
}

static void written_add_locked(struct copies *copies, uint64_t id, dvs_err err)
{
	copies->written[copies->n_written++ % ARRAY_LEN(copies->written)] =
		(struct written){ .id = id, .err = err };
}

static void served_free_locked(struct copies *copies, struct served *served)
{
	list_remove(&served->of_serving);
	list_remove(&served->work.of_pool);
	copies->n_serving--;
	if (served->data)
		copies->serving_bytes -= served->open.bytes;
	free(served->data);
	free(served);
}

/* ---- answering ---- */

static void answer(struct copies *copies, struct served *served, dvs_err err, const void *data)
{
	struct frame_header header = { .dc = served->open.dc,
				       .src = served->open.owner,
				       .dst = served->open.by };
	uint8_t bytes[FRAME_COPY_END_REQ_BYTES_MAX];
	struct writer body = writer_over(bytes, sizeof(bytes));

	if (data) {
		struct frame_copy_data_req req = { .id = served->id };

		header.type = FRAME_COPY_DATA;
		frame_copy_data_req_encode(&body, &req);
	} else {
		struct frame_copy_end_req req = { .id = served->id, .reason = (uint32_t)err };

		header.type = FRAME_COPY_END;
		frame_copy_end_req_encode(&body, &req);
	}
	/* When the link is down the peer asks again; what comes from here on is not answered by this, which may be lost already. */
	pthread_mutex_lock(&copies->lock);
	list_remove(&served->of_serving);
	pthread_mutex_unlock(&copies->lock);
	(void)copies->owner.send(copies->owner.context, &header, bytes, writer_len(&body), data,
				 data ? (size_t)served->open.bytes : 0);
}

static void serve(struct copies *copies, struct served *served)
{
	struct control_copy_open_rep use;
	AUTO_CLOSE int fd = -1;
	AUTO_FREE void *data = NULL;
	dvs_err err;

	if (!served->write) {
		data = malloc(served->open.bytes);
		if (!data) {
			answer(copies, served, DVS_FULL, NULL);
			return;
		}
	}
	err = copies->owner.open(copies->owner.context, &served->open, &use, &fd);
	if (err == DVS_OK) {
		if (served->write) {
			err = memory_write(fd, use.addr, served->data, served->open.bytes);
			pthread_mutex_lock(&copies->lock);
			written_add_locked(copies, served->id, err);
			pthread_mutex_unlock(&copies->lock);
		} else {
			err = memory_read(fd, use.addr, data, served->open.bytes);
		}
		cleanup_close(&fd);
		copies->owner.close(copies->owner.context, use.use);
	}
	answer(copies, served, err, err == DVS_OK ? data : NULL);
}

static void served_run(struct copies *copies, struct work *work)
{
	struct served *served = CONTAINER_OF(work, struct served, work);

	if (served->settled)
		answer(copies, served, served->err, NULL);
	else
		serve(copies, served);
	pthread_mutex_lock(&copies->lock);
	served_free_locked(copies, served);
	pthread_mutex_unlock(&copies->lock);
}

/* ---- what comes in, by the reader thread ---- */

static struct served *served_new_locked(struct copies *copies, const struct frame_header *header,
					uint64_t id)
{
	struct served *served =
		copies->n_serving < 4 * (size_t)SERVING_MAX ? calloc(1, sizeof(*served)) : NULL;

	if (!served)
		return NULL;
	served->work = (struct work){ .dc = header->dc, .run = served_run };
	list_init(&served->work.of_pool);
	served->id = id;
	served->open = (struct control_copy_open_req){ .dc = header->dc,
						       .by = header->src,
						       .owner = header->dst };
	list_add_tail(&copies->serving, &served->of_serving);
	copies->n_serving++;
	return served;
}

void *serve_place(struct copies *copies, const struct frame_header *header, struct cursor body)
{
	struct frame_copy_write_req req;
	struct served *served = NULL;
	void *data = NULL;

	if (frame_copy_write_req_decode(&body, &req) != DVS_OK || header->data_bytes == 0 ||
	    header->data_bytes > 1048576)
		return NULL;
	pthread_mutex_lock(&copies->lock);
	if (!served_find_locked(copies, req.id) && !written_find_locked(copies, req.id) &&
	    has_room_locked(copies, header->dc, header->data_bytes))
		data = malloc(header->data_bytes);
	if (data)
		served = served_new_locked(copies, header, req.id);
	if (served) {
		served->write = served->placing = true;
		served->data = data;
		served->open.bytes = header->data_bytes;
		copies->serving_bytes += header->data_bytes;
	} else {
		free(data);
		data = NULL;
	}
	pthread_mutex_unlock(&copies->lock);
	return data;
}

/* What is asked for while it is worked on is answered by that. */
static void serve_new_locked(struct copies *copies, const struct frame_header *header, uint64_t id,
			     const struct control_copy_open_req *open)
{
	const struct written *written = open->write ? written_find_locked(copies, id) : NULL;
	struct served *served;
	bool full;

	if (served_find_locked(copies, id))
		return;
	full = !has_room_locked(copies, header->dc, 0);
	served = served_new_locked(copies, header, id);
	if (!served)
		return; /* the peer asks again after a while */
	served->open.grant = open->grant;
	served->open.offset = open->offset;
	served->open.bytes = open->bytes;
	served->settled = full || open->write;
	served->err = written ? written->err : DVS_FULL;
	pool_add_locked(&copies->servers, &served->work);
}

static void serve_write_locked(struct copies *copies, const struct frame_header *header,
			       const struct frame_copy_write_req *req, const void *data)
{
	struct served *served = served_find_locked(copies, req->id);
	struct control_copy_open_req none = { .write = 1 };

	if (!data) {
		serve_new_locked(copies, header, req->id, &none);
		return;
	}
	if (!served || !served->placing || served->data != data)
		return;
	served->placing = false;
	served->open.grant = req->grant;
	served->open.offset = req->offset;
	served->open.write = 1;
	pool_add_locked(&copies->servers, &served->work);
}

void serve_frame(struct copies *copies, const struct frame_header *header, struct cursor body,
		 void *data)
{
	struct frame_copy_write_req write;
	struct frame_copy_read_req read;

	pthread_mutex_lock(&copies->lock);
	if (header->type == FRAME_COPY_WRITE &&
	    frame_copy_write_req_decode(&body, &write) == DVS_OK) {
		serve_write_locked(copies, header, &write, data);
	} else if (header->type == FRAME_COPY_READ &&
		   frame_copy_read_req_decode(&body, &read) == DVS_OK) {
		struct control_copy_open_req open = { .grant = read.grant,
						      .offset = read.offset,
						      .bytes = read.bytes };

		serve_new_locked(copies, header, read.id, &open);
	}
	pthread_mutex_unlock(&copies->lock);
}

/* Data that was coming in when the connection broke will not come to its end. */
void serve_changed(struct copies *copies)
{
	pthread_mutex_lock(&copies->lock);
	LIST_FOREACH_SAFE(at, &copies->serving) {
		if (served_at(at)->placing)
			served_free_locked(copies, served_at(at));
	}
	pthread_mutex_unlock(&copies->lock);
}

void serve_end_all(struct copies *copies)
{
	pthread_mutex_lock(&copies->lock);
	LIST_FOREACH_SAFE(at, &copies->serving)
		served_free_locked(copies, served_at(at));
	pthread_mutex_unlock(&copies->lock);
}
