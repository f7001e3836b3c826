/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_link.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "lab.h"

struct frame {
	struct list node;
	struct frame_header header;
	uint8_t body[LINK_BODY_MAX];
	const void *data; /* the sender's, until it is flushed */
	uint8_t *copy;
	bool torn; /* the connection broke in the middle of the data */
};

/* One class, both ways. */
struct connection {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct list queue[2]; /* of frames to end 0, 1 */
	unsigned waiting;     /* ends that wish it to come up */
	unsigned epoch;	      /* counts the times it did */
	bool stalled;	      /* nothing arrives: it is about to be cut */
	bool cut;
	bool writable[2]; /* end 0, 1 may put */
	uint64_t n_frames;
	uint64_t rng;
};

struct fake_wire {
	struct connection connection[LINK_CLASSES];
	struct link_figures figures;
};

struct reader {
	struct peer_link *link;
	enum link_class class;
	pthread_t thread;
	struct list gathered;
};

struct peer_link {
	struct fake_wire *wire;
	unsigned end;
	struct link_events events;
	struct reader reader[LINK_CLASSES];
	_Atomic bool closes;
};

static void frame_free(struct frame *frame)
{
	free(frame->copy);
	free(frame);
}

static void drop_all(struct list *list)
{
	struct list *node;

	while ((node = list_take_head(list)))
		frame_free(CONTAINER_OF(node, struct frame, node));
}

struct fake_wire *fake_wire_new(uint64_t seed)
{
	struct fake_wire *wire = calloc(1, sizeof(*wire));

	for (unsigned i = 0; i < LINK_CLASSES; i++) {
		struct connection *c = &wire->connection[i];

		c->rng = seed + i;
		(void)pthread_mutex_init(&c->lock, NULL);
		(void)pthread_cond_init(&c->changed, NULL);
		list_init(&c->queue[0]);
		list_init(&c->queue[1]);
	}
	return wire;
}

void fake_wire_free(struct fake_wire *wire)
{
	for (unsigned i = 0; i < LINK_CLASSES; i++) {
		drop_all(&wire->connection[i].queue[0]);
		drop_all(&wire->connection[i].queue[1]);
	}
	free(wire);
}

uint64_t fake_wire_frames(struct fake_wire *wire)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < LINK_CLASSES; i++) {
		pthread_mutex_lock(&wire->connection[i].lock);
		n += wire->connection[i].n_frames;
		pthread_mutex_unlock(&wire->connection[i].lock);
	}
	return n;
}

/* ---- cutting ---- */

static unsigned length_of(const struct list *list)
{
	unsigned n = 0;

	LIST_FOREACH(node, list)
		n++;
	return n;
}

static void cut_locked(struct connection *c)
{
	for (unsigned to = 0; to < 2; to++) {
		unsigned n = length_of(&c->queue[to]);
		unsigned kept = rng_below(&c->rng, n + 1);

		for (; n > kept; n--) {
			struct frame *frame = CONTAINER_OF(c->queue[to].prev, struct frame, node);

			list_remove(&frame->node);
			frame_free(frame);
		}
		if (kept && rng_below(&c->rng, 2))
			CONTAINER_OF(c->queue[to].prev, struct frame, node)->torn = true;
		c->writable[to] = false;
	}
	c->cut = true;
	(void)pthread_cond_broadcast(&c->changed);
}

void fake_wire_cut(struct fake_wire *wire, enum link_class class)
{
	struct connection *c = &wire->connection[class];
	uint64_t rng;

	pthread_mutex_lock(&c->lock);
	rng = rng_next(&c->rng);
	c->stalled = true;
	pthread_mutex_unlock(&c->lock);
	/* So that something is on its way. */
	rng_pause(&rng, 2000);
	pthread_mutex_lock(&c->lock);
	c->stalled = false;
	if (!c->cut)
		cut_locked(c);
	(void)pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

/* ---- reading ---- */

/* False: the end is to close. */
static bool come_up(struct reader *reader, struct connection *c)
{
	const struct peer_link *link = reader->link;
	unsigned epoch;

	pthread_mutex_lock(&c->lock);
	epoch = c->epoch;
	if (++c->waiting == 2) {
		c->waiting = 0;
		c->cut = false;
		drop_all(&c->queue[0]);
		drop_all(&c->queue[1]);
		c->epoch++;
		(void)pthread_cond_broadcast(&c->changed);
	}
	while (c->epoch == epoch && !atomic_load(&link->closes))
		(void)pthread_cond_wait(&c->changed, &c->lock);
	if (c->epoch == epoch)
		c->waiting--;
	/* What is put because of the call below must not be lost. */
	c->writable[link->end] = c->epoch != epoch && !c->cut;
	pthread_mutex_unlock(&c->lock);
	if (atomic_load(&link->closes))
		return false;
	link->events.up(link->events.context, reader->class, false);
	return true;
}

static void arrive(struct reader *reader, struct frame *frame)
{
	const struct link_events *events = &reader->link->events;
	struct cursor body = cursor_over(frame->body, frame->header.body_bytes);
	size_t bytes = frame->header.data_bytes;
	void *at = NULL;

	if (bytes) {
		at = events->place(events->context, reader->class, &frame->header, body);
		if (at)
			memcpy(at, frame->copy, frame->torn ? bytes / 2 : bytes);
	}
	if (!frame->torn)
		events->frame(events->context, reader->class, &frame->header, body, at);
	frame_free(frame);
}

static void read_all(struct reader *reader, struct connection *c)
{
	const struct peer_link *link = reader->link;
	struct list *queue = &c->queue[link->end];

	for (;;) {
		struct list *node;
		bool more;

		pthread_mutex_lock(&c->lock);
		while ((list_is_empty(queue) || c->stalled) && !c->cut &&
		       !atomic_load(&link->closes))
			(void)pthread_cond_wait(&c->changed, &c->lock);
		node = atomic_load(&link->closes) ? NULL : list_take_head(queue);
		more = !list_is_empty(queue);
		c->n_frames += node != NULL;
		pthread_mutex_unlock(&c->lock);
		if (!node)
			return;
		arrive(reader, CONTAINER_OF(node, struct frame, node));
		if (!more)
			link->events.idle(link->events.context, reader->class);
	}
}

static void cut(struct connection *c)
{
	pthread_mutex_lock(&c->lock);
	if (!c->cut)
		cut_locked(c);
	pthread_mutex_unlock(&c->lock);
}

static void *run_reader(void *arg)
{
	struct reader *reader = arg;
	struct peer_link *link = reader->link;
	struct connection *c = &link->wire->connection[reader->class];

	while (come_up(reader, c)) {
		read_all(reader, c);
		cut(c);
		link->events.down(link->events.context, reader->class, "cut");
	}
	/* This end closes: the other one sees it. */
	cut(c);
	return NULL;
}

/* ---- proxy/link.h ---- */

struct peer_link *fake_link_open(struct fake_wire *wire, unsigned end, struct link_events events)
{
	struct peer_link *link = calloc(1, sizeof(*link));

	link->wire = wire;
	link->end = end;
	link->events = events;
	for (unsigned i = 0; i < LINK_CLASSES; i++) {
		link->reader[i].link = link;
		link->reader[i].class = i;
		list_init(&link->reader[i].gathered);
		(void)pthread_create(&link->reader[i].thread, NULL, run_reader, &link->reader[i]);
	}
	return link;
}

void peer_link_close(struct peer_link *link)
{
	if (!link)
		return;
	atomic_store(&link->closes, true);
	for (unsigned i = 0; i < LINK_CLASSES; i++) {
		struct connection *c = &link->wire->connection[i];

		pthread_mutex_lock(&c->lock);
		(void)pthread_cond_broadcast(&c->changed);
		pthread_mutex_unlock(&c->lock);
		(void)pthread_join(link->reader[i].thread, NULL);
		drop_all(&link->reader[i].gathered);
	}
	free(link);
}

bool peer_link_put(struct peer_link *link, enum link_class class, struct frame_header *header,
		   const void *body, size_t body_bytes, const void *data, size_t data_bytes)
{
	struct connection *c = &link->wire->connection[class];
	struct frame *frame;
	bool writable;

	pthread_mutex_lock(&c->lock);
	writable = c->writable[link->end];
	pthread_mutex_unlock(&c->lock);
	if (!writable)
		return false;
	frame = calloc(1, sizeof(*frame));
	frame->header = *header;
	frame->header.body_bytes = (uint16_t)body_bytes;
	frame->header.data_bytes = (uint32_t)data_bytes;
	if (body_bytes)
		memcpy(frame->body, body, body_bytes);
	frame->data = data;
	list_add_tail(&link->reader[class].gathered, &frame->node);
	return true;
}

/* Unseen by the thread sanitizer, as the kernel's copying would be: a call with data that was given up may be overwritten by the next one
 * while it is sent; who gets it then drops it. */
__attribute__((no_sanitize("thread"), noinline)) static void
copy_unseen(uint8_t *to, const volatile uint8_t *from, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		to[i] = from[i];
}

void peer_link_flush(struct peer_link *link, enum link_class class)
{
	struct connection *c = &link->wire->connection[class];
	struct list *node;

	while ((node = list_take_head(&link->reader[class].gathered))) {
		struct frame *frame = CONTAINER_OF(node, struct frame, node);
		size_t bytes = frame->header.data_bytes;

		if (bytes) {
			frame->copy = malloc(bytes);
			copy_unseen(frame->copy, frame->data, bytes);
		}
		pthread_mutex_lock(&c->lock);
		if (c->writable[link->end]) {
			list_add_tail(&c->queue[!link->end], &frame->node);
			(void)pthread_cond_broadcast(&c->changed);
			frame = NULL;
		}
		pthread_mutex_unlock(&c->lock);
		if (frame)
			frame_free(frame);
	}
}

bool peer_link_is_up(const struct peer_link *link, enum link_class class)
{
	struct connection *c = &link->wire->connection[class];
	bool up;

	pthread_mutex_lock(&c->lock);
	up = c->writable[link->end];
	pthread_mutex_unlock(&c->lock);
	return up;
}

int peer_link_cpu(struct peer_link *link, enum link_class class)
{
	(void)link;
	(void)class;
	return -1;
}

const struct link_figures *peer_link_figures(const struct peer_link *link)
{
	return &link->wire->figures;
}

const char *peer_link_transport(const struct peer_link *link)
{
	(void)link;
	return "fake";
}

const char *peer_link_filters(const struct peer_link *link)
{
	(void)link;
	return "";
}
