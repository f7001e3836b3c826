/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a lane: connect or be connected, read until it breaks, again. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/session.h"

/* What a lane tells of its attempts: a reason once, until there is another. */
struct attempts {
	uint32_t retry_ms; /* 0: the next one at once */
	uint64_t began_ns;
	char told[TRANSPORT_TEXT_BYTES];
};

/* Not too soon after the last one; false: the link is being closed. */
static bool attempts_wait(struct attempts *attempts, const struct peer_link *link)
{
	uint64_t next_ns = attempts->began_ns + attempts->retry_ms * CLOCK_NS_PER_MS;

	if (attempts->retry_ms > 0 && !clock_is_past(next_ns) &&
	    !link_pause(link, (uint32_t)clock_poll_ms(next_ns)))
		return false;
	attempts->began_ns = clock_now_ns();
	attempts->retry_ms = attempts->retry_ms == 0 ? SESSION_RETRY_MIN_MS :
						       attempts->retry_ms * 2;
	if (attempts->retry_ms > SESSION_RETRY_MAX_MS)
		attempts->retry_ms = SESSION_RETRY_MAX_MS;
	return true;
}

static void lane_set_stream(struct lane *lane, struct stream *stream)
{
	pthread_mutex_lock(&lane->state_lock);
	lane->stream = stream;
	/* A newer one may have come meanwhile, or the end. */
	if (stream && (lane->offered.stream || atomic_load(&lane->link->is_stopping)))
		stream_shut(stream);
	pthread_mutex_unlock(&lane->state_lock);
}

static bool lane_connect(struct lane *lane, struct greeted *greeted, char *why, size_t why_bytes)
{
	struct peer_link *link = lane->link;
	uint64_t deadline_ns = clock_deadline_ns(SESSION_CONNECT_MS * CLOCK_NS_PER_MS);
	struct stream *stream;

	if (link->transport->ops->connect(link->transport, deadline_ns, &stream, why, why_bytes) !=
	    DVS_OK)
		return false;
	lane_set_stream(lane, stream);
	if (greet(link, stream, lane->class, greeted, why, why_bytes) == DVS_OK)
		return true;
	lane_set_stream(lane, NULL);
	stream_close(greeted->stream);
	return false;
}

/* The next connection; false: the link is being closed. */
static bool lane_next_by_connecting(struct lane *lane, struct attempts *attempts,
				    struct greeted *greeted)
{
	struct peer_link *link = lane->link;
	char why[TRANSPORT_TEXT_BYTES];

	while (!atomic_load(&link->is_stopping)) {
		why[0] = '\0';
		if (!attempts_wait(attempts, link))
			return false;
		if (lane_connect(lane, greeted, why, sizeof(why)))
			return true;
		if (strcmp(why, attempts->told) != 0 && !atomic_load(&link->is_stopping)) {
			snprintf(attempts->told, sizeof(attempts->told), "%s", why);
			log_warning(&link->log, "the peer cannot be reached, trying on",
				    LOG_U64("peer", link->setup.peer),
				    LOG_STR("class", link_class_name(lane->class)),
				    LOG_STR("address", link->address), LOG_STR("why", why));
		}
	}
	return false;
}

static bool lane_next_by_waiting(struct lane *lane, struct greeted *greeted)
{
	pthread_mutex_lock(&lane->state_lock);
	while (!lane->offered.stream && !atomic_load(&lane->link->is_stopping))
		pthread_cond_wait(&lane->news, &lane->state_lock);
	*greeted = lane->offered;
	lane->offered.stream = NULL;
	pthread_mutex_unlock(&lane->state_lock);
	return greeted->stream != NULL;
}

static bool lane_next(struct lane *lane, struct attempts *attempts, struct greeted *greeted)
{
	return lane->link->listens ? lane_next_by_waiting(lane, greeted) :
				     lane_next_by_connecting(lane, attempts, greeted);
}

static void lane_use(struct lane *lane, const struct greeted *greeted)
{
	struct peer_link *link = lane->link;
	const struct link_events *events = &link->setup.events;
	bool is_fresh = !lane->was_up || lane->incarnation != greeted->incarnation;
	char why[TRANSPORT_TEXT_BYTES] = "";

	lane_set_stream(lane, greeted->stream);
	if (lane->was_up)
		atomic_fetch_add(&link->figures.reconnects, 1);
	lane->was_up = true;
	lane->incarnation = greeted->incarnation;
	log_info(&link->log, "link is up", LOG_U64("peer", link->setup.peer),
		 LOG_STR("class", link_class_name(lane->class)),
		 LOG_STR("transport", link->transport->ops->name),
		 LOG_STR("filters", link->filter_names));
	lane_send_start(lane, greeted->stream);
	events->up(events->context, lane->class, is_fresh);

	lane_read(lane, greeted->stream, why, sizeof(why));

	lane_set_stream(lane, NULL);
	stream_shut(greeted->stream);
	lane_send_stop(lane);
	stream_close(greeted->stream);
	if (!atomic_load(&link->is_stopping))
		log_warning(&link->log, "link is down", LOG_U64("peer", link->setup.peer),
			    LOG_STR("class", link_class_name(lane->class)), LOG_STR("why", why));
	events->down(events->context, lane->class, why);
}

static void *lane_run(void *argument)
{
	struct lane *lane = argument;
	struct attempts attempts = { .retry_ms = 0 };
	struct greeted greeted = { .stream = NULL };

	while (lane_next(lane, &attempts, &greeted)) {
		uint64_t since_ns = clock_now_ns();

		lane_use(lane, &greeted);
		/* One that breaks at once, again and again, is not made anew at full speed. */
		if (clock_now_ns() - since_ns > SESSION_RETRY_MAX_MS * CLOCK_NS_PER_MS)
			attempts.retry_ms = 0;
		attempts.told[0] = '\0';
	}
	return NULL;
}

dvs_err lane_open(struct lane *lane, struct peer_link *link, enum link_class class)
{
	lane->link = link;
	lane->class = class;
	pthread_mutex_init(&lane->send_lock, NULL);
	pthread_mutex_init(&lane->state_lock, NULL);
	pthread_cond_init(&lane->news, NULL);
	lane->gather.bytes = malloc(GATHER_BYTES);
	lane->buffer = malloc(READ_BYTES);
	if (!lane->gather.bytes || !lane->buffer)
		return DVS_NOMEM;
	lane->is_running = link_thread(&lane->reader, lane_run, lane);
	return lane->is_running ? DVS_OK : DVS_NOMEM;
}

void lane_break(struct lane *lane)
{
	pthread_mutex_lock(&lane->state_lock);
	if (lane->stream)
		stream_shut(lane->stream);
	pthread_cond_broadcast(&lane->news);
	pthread_mutex_unlock(&lane->state_lock);
}

void lane_offer(struct lane *lane, const struct greeted *greeted)
{
	struct stream *before;

	pthread_mutex_lock(&lane->state_lock);
	before = lane->offered.stream;
	lane->offered = *greeted;
	if (lane->stream)
		stream_shut(lane->stream);
	pthread_cond_broadcast(&lane->news);
	pthread_mutex_unlock(&lane->state_lock);
	stream_close(before);
}

void lane_close(struct lane *lane)
{
	lane_break(lane);
	if (lane->is_running)
		pthread_join(lane->reader, NULL);
	stream_close(lane->offered.stream);
	free(lane->gather.bytes);
	free(lane->buffer);
	pthread_cond_destroy(&lane->news);
	pthread_mutex_destroy(&lane->state_lock);
	pthread_mutex_destroy(&lane->send_lock);
}
