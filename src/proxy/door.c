/* SPDX-License-Identifier: Apache-2.0 */
/* The door of the side that listens. Whoever comes gets a thread and SESSION_GREET_MS to say who he is. There is a bounded number of
 * such guests, and two rooms for them, so that strangers cannot take the places of those who come from the peer's address; in a room that is full
 * the one who has been there longest goes. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/session.h"

/* Of both rooms, and as many again who were shown out and are about to leave. */
#define GUESTS_MAX (4u * SESSION_GREETING_MAX)

struct guest {
	struct door *door;
	pthread_t thread;
	/* under the door's lock: */
	bool is_taken; /* the thread is to be joined */
	bool is_gone;  /* its thread has nothing more to do */
	bool is_shown_out;
	bool is_known;
	uint64_t order;
	struct stream *stream; /* as the transport made it; NULL: not the door's any more */
};

struct door {
	struct peer_link *link;
	pthread_t thread;
	bool is_running;
	uint64_t n_guests;
	pthread_mutex_t lock;
	struct guest guests[GUESTS_MAX];
};

/* The stream may be shut by the door as long as the guest greets, and by nobody else; after that it is a lane's. */
static void *guest_run(void *argument)
{
	struct guest *guest = argument;
	struct door *door = guest->door;
	struct peer_link *link = door->link;
	struct greeted greeted = { .stream = NULL };
	char why[TRANSPORT_TEXT_BYTES] = "";
	dvs_err err = greet(link, guest->stream, LINK_MESSAGES, &greeted, why, sizeof(why));

	pthread_mutex_lock(&door->lock);
	guest->stream = NULL;
	pthread_mutex_unlock(&door->lock);
	if (err == DVS_OK) {
		lane_offer(&link->lanes[greeted.class], &greeted);
	} else {
		stream_close(greeted.stream);
		if (!atomic_load(&link->is_stopping))
			link_complain(link, "a connection is refused", why);
	}
	pthread_mutex_lock(&door->lock);
	guest->is_gone = true;
	pthread_mutex_unlock(&door->lock);
	return NULL;
}

static void door_join(struct door *door, bool all)
{
	for (size_t i = 0; i < GUESTS_MAX; i++) {
		struct guest *guest = &door->guests[i];
		bool is_over;

		pthread_mutex_lock(&door->lock);
		is_over = guest->is_taken && (guest->is_gone || all);
		pthread_mutex_unlock(&door->lock);
		if (!is_over)
			continue;
		pthread_join(guest->thread, NULL);
		guest->is_taken = false;
	}
}

/* Make place in the room of the KNOWN or of the others. */
static void door_show_out(struct door *door, bool is_known)
{
	struct guest *oldest = NULL;
	size_t n = 0;

	pthread_mutex_lock(&door->lock);
	for (size_t i = 0; i < GUESTS_MAX; i++) {
		struct guest *guest = &door->guests[i];

		if (!guest->is_taken || guest->is_gone || guest->is_shown_out ||
		    guest->is_known != is_known)
			continue;
		n++;
		if (!oldest || guest->order < oldest->order)
			oldest = guest;
	}
	if (n >= SESSION_GREETING_MAX && oldest->stream) {
		oldest->is_shown_out = true;
		stream_shut(oldest->stream);
	}
	pthread_mutex_unlock(&door->lock);
}

static struct guest *door_place(struct door *door)
{
	for (size_t i = 0; i < GUESTS_MAX; i++) {
		if (!door->guests[i].is_taken)
			return &door->guests[i];
	}
	return NULL;
}

static void door_let_in(struct door *door, struct stream *stream, bool is_known)
{
	struct guest *guest;

	door_join(door, false);
	door_show_out(door, is_known);
	guest = door_place(door);
	if (guest) {
		*guest = (struct guest){
			.door = door,
			.is_taken = true,
			.is_known = is_known,
			.order = door->n_guests++,
			.stream = stream,
		};
		if (link_thread(&guest->thread, guest_run, guest))
			return;
		guest->is_taken = false;
	}
	link_complain(door->link, "a connection is refused", "too many at once");
	stream_close(stream);
}

static void *door_run(void *argument)
{
	struct door *door = argument;
	struct peer_link *link = door->link;
	struct transport *transport = link->transport;
	char told[TRANSPORT_TEXT_BYTES] = "";
	uint32_t retry_ms = SESSION_RETRY_MIN_MS;

	while (!atomic_load(&link->is_stopping)) {
		char why[TRANSPORT_TEXT_BYTES] = "";
		struct stream *stream;
		bool is_known = false;
		uint64_t deadline_ns = clock_deadline_ns(SESSION_GREET_MS * CLOCK_NS_PER_MS);
		dvs_err err = transport->ops->accept(transport, deadline_ns, &stream, &is_known,
						     why, sizeof(why));

		if (err == DVS_OK) {
			retry_ms = SESSION_RETRY_MIN_MS;
			told[0] = '\0';
			door_let_in(door, stream, is_known);
		} else if (err == DVS_TIMEOUT) {
			door_join(door, false);
		} else {
			if (strcmp(why, told) != 0)
				log_warning(&link->log, "the link takes no connections, trying on",
					    LOG_U64("peer", link->setup.peer), LOG_STR("why", why));
			memcpy(told, why, sizeof(told));
			(void)link_pause(link, retry_ms);
			retry_ms = retry_ms * 2 < SESSION_RETRY_MAX_MS ? retry_ms * 2 :
									 SESSION_RETRY_MAX_MS;
		}
	}
	return NULL;
}

dvs_err door_open(struct peer_link *link, struct door **out)
{
	struct door *door = calloc(1, sizeof(*door));

	if (!door)
		return DVS_NOMEM;
	door->link = link;
	pthread_mutex_init(&door->lock, NULL);
	*out = door;
	door->is_running = link_thread(&door->thread, door_run, door);
	return door->is_running ? DVS_OK : DVS_NOMEM;
}

void door_close(struct door *door)
{
	if (!door)
		return;
	if (door->is_running)
		pthread_join(door->thread, NULL);
	pthread_mutex_lock(&door->lock);
	for (size_t i = 0; i < GUESTS_MAX; i++) {
		if (door->guests[i].is_taken && door->guests[i].stream)
			stream_shut(door->guests[i].stream);
	}
	pthread_mutex_unlock(&door->lock);
	door_join(door, true);
	pthread_mutex_destroy(&door->lock);
	free(door);
}
