/* SPDX-License-Identifier: Apache-2.0 */
/* The asking side of copies: a thread for each copy, some pieces under way. */
#include <stdlib.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "proxy/copy_internal.h"

/* An answer that did not come in this time is asked for once more; a full peer is asked again after the shorter one. */
#define ASK_AGAIN_NS (2 * CLOCK_NS_PER_S)
#define FULL_AGAIN_NS (2 * CLOCK_NS_PER_MS)

enum piece_state {
	PIECE_FREE = 0,
	PIECE_WAITS,	/* to be asked, not before `at_ns` */
	PIECE_ASKED,	/* asked again at `at_ns` */
	PIECE_PLACING,	/* its data comes in just now */
	PIECE_ANSWERED, /* data or room is there */
};

struct piece {
	enum piece_state state;
	uint64_t id;
	uint64_t at_ns;
	uint64_t offset;
	uint32_t bytes;
	uint8_t *buffer;
};

struct asked {
	struct work work;
	struct list of_asking;
	struct control_copy_start_req start;
	int fd;
	bool stop;
	dvs_err err;
	uint64_t next; /* offset of the next piece */
	struct piece piece[COPY_PIECES];
	pthread_cond_t changed;
};

static struct asked *asked_at(struct list *at)
{
	return CONTAINER_OF(at, struct asked, of_asking);
}

static struct piece *piece_find_locked(struct copies *copies, uint64_t id, struct asked **owner)
{
	LIST_FOREACH(at, &copies->asking) {
		*owner = asked_at(at);
		for (unsigned int i = 0; i < COPY_PIECES; i++) {
			struct piece *piece = &(*owner)->piece[i];

			if (piece->state != PIECE_FREE && piece->id == id)
				return piece;
		}
	}
	return NULL;
}

/* ---- what comes in, by the reader thread ---- */

void *ask_place(struct copies *copies, uint64_t id, size_t bytes)
{
	struct asked *asked;
	struct piece *piece;
	void *room = NULL;

	pthread_mutex_lock(&copies->lock);
	piece = piece_find_locked(copies, id, &asked);
	if (piece && piece->state == PIECE_ASKED && !asked->start.write && piece->bytes == bytes) {
		piece->state = PIECE_PLACING;
		room = piece->buffer;
	}
	pthread_mutex_unlock(&copies->lock);
	return room;
}

void ask_answered(struct copies *copies, uint64_t id, dvs_err err, bool data)
{
	struct asked *asked;
	struct piece *piece;

	pthread_mutex_lock(&copies->lock);
	piece = piece_find_locked(copies, id, &asked);
	if (!piece) {
		/* of a copy that is over */
	} else if (err == DVS_FULL && piece->state == PIECE_ASKED) {
		piece->state = PIECE_WAITS;
		piece->at_ns = clock_deadline_ns(FULL_AGAIN_NS);
	} else if (err != DVS_OK && piece->state == PIECE_ASKED) {
		asked->err = err;
	} else if (piece->state == (data ? PIECE_PLACING : PIECE_ASKED) &&
		   data == !asked->start.write) {
		piece->state = PIECE_ANSWERED;
	}
	if (piece)
		pthread_cond_signal(&asked->changed);
	pthread_mutex_unlock(&copies->lock);
}

void copies_link_changed(struct copies *copies)
{
	pthread_mutex_lock(&copies->lock);
	LIST_FOREACH(at, &copies->asking) {
		struct asked *asked = asked_at(at);

		for (unsigned int i = 0; i < COPY_PIECES; i++) {
			struct piece *piece = &asked->piece[i];

			if (piece->state == PIECE_ASKED || piece->state == PIECE_PLACING) {
				piece->state = PIECE_WAITS;
				piece->at_ns = 0;
			}
		}
		pthread_cond_signal(&asked->changed);
	}
	pthread_mutex_unlock(&copies->lock);
	serve_changed(copies);
}

/* ---- the copying thread ---- */

static bool piece_send(struct copies *copies, const struct asked *asked, const struct piece *piece)
{
	const struct control_copy_start_req *start = &asked->start;
	struct frame_header header = { .dc = start->dc, .src = start->by, .dst = start->owner };
	uint8_t bytes[FRAME_COPY_READ_REQ_BYTES_MAX];
	struct writer body = writer_over(bytes, sizeof(bytes));

	if (start->write) {
		struct frame_copy_write_req req = { .id = piece->id,
						    .grant = start->grant,
						    .offset = start->offset + piece->offset };

		header.type = FRAME_COPY_WRITE;
		frame_copy_write_req_encode(&body, &req);
		return copies->owner.send(copies->owner.context, &header, bytes, writer_len(&body),
					  piece->buffer, piece->bytes);
	} else {
		struct frame_copy_read_req req = { .id = piece->id,
						   .grant = start->grant,
						   .offset = start->offset + piece->offset,
						   .bytes = piece->bytes };

		header.type = FRAME_COPY_READ;
		frame_copy_read_req_encode(&body, &req);
		return copies->owner.send(copies->owner.context, &header, bytes, writer_len(&body),
					  NULL, 0);
	}
}

/* What was answered makes room; read data is put where it belongs. */
static void piece_finish_locked(struct copies *copies, struct asked *asked, struct piece *piece)
{
	dvs_err err = DVS_OK;

	if (!asked->start.write) {
		pthread_mutex_unlock(&copies->lock);
		err = memory_write(asked->fd, asked->start.addr + piece->offset, piece->buffer,
				   piece->bytes);
		pthread_mutex_lock(&copies->lock);
	}
	piece->state = PIECE_FREE;
	if (err != DVS_OK)
		asked->err = err;
}

static void piece_begin_locked(struct copies *copies, struct asked *asked, struct piece *piece)
{
	uint64_t left = asked->start.bytes - asked->next;
	dvs_err err = DVS_OK;

	piece->offset = asked->next;
	piece->bytes = left < COPY_PIECE_BYTES ? (uint32_t)left : COPY_PIECE_BYTES;
	piece->id = copies->next_piece++;
	asked->next += piece->bytes;
	pthread_mutex_unlock(&copies->lock);
	if (!piece->buffer)
		piece->buffer = malloc(COPY_PIECE_BYTES);
	if (!piece->buffer)
		err = DVS_NOMEM;
	else if (asked->start.write)
		err = memory_read(asked->fd, asked->start.addr + piece->offset, piece->buffer,
				  piece->bytes);
	pthread_mutex_lock(&copies->lock);
	piece->state = PIECE_WAITS;
	piece->at_ns = 0;
	if (err != DVS_OK)
		asked->err = err;
}

static void piece_ask_locked(struct copies *copies, struct asked *asked, struct piece *piece)
{
	/* Before it is sent: the answer may be quick. */
	piece->state = PIECE_ASKED;
	piece->at_ns = clock_deadline_ns(ASK_AGAIN_NS);
	pthread_mutex_unlock(&copies->lock);
	/* When the link is down it is asked again once that changes. */
	(void)piece_send(copies, asked, piece);
	pthread_mutex_lock(&copies->lock);
}

/* One step of work on PIECE, if there is any; *NEXT_NS gets when there will be. */
static bool piece_step_locked(struct copies *copies, struct asked *asked, struct piece *piece,
			      uint64_t *next_ns)
{
	switch (piece->state) {
	case PIECE_ANSWERED:
		piece_finish_locked(copies, asked, piece);
		return true;
	case PIECE_FREE:
		if (asked->next == asked->start.bytes)
			return false;
		piece_begin_locked(copies, asked, piece);
		return true;
	case PIECE_WAITS:
	case PIECE_ASKED:
		if (clock_is_past(piece->at_ns)) {
			piece_ask_locked(copies, asked, piece);
			return true;
		}
		if (piece->at_ns < *next_ns)
			*next_ns = piece->at_ns;
		return false;
	case PIECE_PLACING:
		return false;
	}
	return false;
}

static bool asked_is_over_locked(const struct asked *asked)
{
	bool idle = true;

	for (unsigned int i = 0; i < COPY_PIECES; i++) {
		if (asked->piece[i].state == PIECE_PLACING)
			return false; /* the reader thread writes into it */
		idle &= asked->piece[i].state == PIECE_FREE;
	}
	return asked->stop || asked->err != DVS_OK || (idle && asked->next == asked->start.bytes);
}

static void asked_wait_locked(struct copies *copies, struct asked *asked, uint64_t until_ns)
{
	struct timespec until = clock_timespec(until_ns);

	(void)pthread_cond_timedwait(&asked->changed, &copies->lock, &until);
}

static void asked_free(struct asked *asked)
{
	for (unsigned int i = 0; i < COPY_PIECES; i++)
		free(asked->piece[i].buffer);
	cleanup_close(&asked->fd);
	(void)pthread_cond_destroy(&asked->changed);
	free(asked);
}

static void asked_run(struct copies *copies, struct work *work)
{
	struct asked *asked = CONTAINER_OF(work, struct asked, work);
	uint64_t copy = asked->start.copy;
	dvs_err err;

	pthread_mutex_lock(&copies->lock);
	while (!asked_is_over_locked(asked)) {
		uint64_t next_ns = clock_deadline_ns(ASK_AGAIN_NS);
		bool done = false;

		for (unsigned int i = 0; i < COPY_PIECES && !asked->stop && !asked->err; i++)
			done |= piece_step_locked(copies, asked, &asked->piece[i], &next_ns);
		if (!done && !asked_is_over_locked(asked))
			asked_wait_locked(copies, asked, next_ns);
	}
	err = asked->err;
	if (asked->stop && err == DVS_OK && asked->next < asked->start.bytes)
		err = DVS_PEERDEAD;
	list_remove(&asked->of_asking);
	list_remove(&work->of_pool);
	pthread_mutex_unlock(&copies->lock);
	asked_free(asked);
	copies->owner.done(copies->owner.context, copy, err);
}

/* ---- dvsd's events ---- */

void copies_start(struct copies *copies, const struct control_copy_start_req *start, int fd)
{
	struct asked *asked = calloc(1, sizeof(*asked));
	pthread_condattr_t attributes;

	if (!asked || fd < 0) {
		free(asked);
		cleanup_close(&fd);
		copies->owner.done(copies->owner.context, start->copy, DVS_NOMEM);
		return;
	}
	asked->work = (struct work){ .dc = start->dc, .run = asked_run };
	asked->start = *start;
	asked->fd = fd;
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&asked->changed, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	pthread_mutex_lock(&copies->lock);
	list_add_tail(&copies->asking, &asked->of_asking);
	pool_add_locked(&copies->askers, &asked->work);
	pthread_mutex_unlock(&copies->lock);
}

void copies_stop(struct copies *copies, const struct control_copy_stop_req *stop)
{
	pthread_mutex_lock(&copies->lock);
	LIST_FOREACH(at, &copies->asking) {
		struct asked *asked = asked_at(at);

		if (stop->copy != 0 && asked->start.copy == stop->copy) {
			asked->stop = true;
			pthread_cond_signal(&asked->changed);
		}
	}
	pthread_mutex_unlock(&copies->lock);
	/* A piece for the peer (stop->use) is as short as a piece: it ends by itself. */
}

void ask_end_all_locked(struct copies *copies)
{
	struct list *at;

	LIST_FOREACH(link, &copies->asking) {
		asked_at(link)->stop = true;
		pthread_cond_signal(&asked_at(link)->changed);
	}
	while ((at = list_take_head(&copies->askers.queue)) != NULL) {
		struct asked *asked = CONTAINER_OF(at, struct asked, work.of_pool);

		list_remove(&asked->of_asking);
		asked_free(asked);
	}
}
