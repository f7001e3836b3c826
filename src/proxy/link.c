/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/link.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/session.h"

/* OpenSSL and compressors have large frames. */
#define STACK_BYTES ((size_t)1 << 20)

const char *link_class_name(enum link_class class)
{
	return class == LINK_MESSAGES ? "messages" : "bulk";
}

bool link_thread(pthread_t *thread, void *(*run)(void *), void *argument)
{
	pthread_attr_t attributes;
	sigset_t all;
	sigset_t before;
	bool is_made;

	if (pthread_attr_init(&attributes) != 0)
		return false;
	sigfillset(&all);
	/* Signals are for the thread that waits for them. */
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	is_made = pthread_attr_setstacksize(&attributes, STACK_BYTES) == 0 &&
		  pthread_create(thread, &attributes, run, argument) == 0;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attributes);
	return is_made;
}

void link_complain(struct peer_link *link, const char *what, const char *why)
{
	struct seldom *seldom = &link->about_bad;
	uint64_t now_ns = clock_now_ns();
	uint64_t next_ns = atomic_load(&seldom->next_ns);

	atomic_fetch_add(&link->figures.bad_frames, 1);
	if (now_ns < next_ns ||
	    !atomic_compare_exchange_strong(&seldom->next_ns, &next_ns,
					    now_ns + SESSION_LOG_EVERY_MS * CLOCK_NS_PER_MS)) {
		atomic_fetch_add(&seldom->silent, 1);
		return;
	}
	log_warning(&link->log, what, LOG_U64("peer", link->setup.peer), LOG_STR("why", why),
		    LOG_U64("not_told", atomic_exchange(&seldom->silent, 0)));
}

bool link_pause(const struct peer_link *link, uint32_t span_ms)
{
	struct pollfd wait = { .fd = link->transport->stop_fd, .events = POLLIN };

	return poll(&wait, 1, (int)span_ms) == 0 && !atomic_load(&link->is_stopping);
}

static dvs_err link_open_filters(struct peer_link *link, char *text, size_t text_bytes)
{
	const struct filter_setup setup = {
		.config = link->setup.config,
		.node = link->setup.node,
		.peer = link->setup.peer,
	};
	size_t used = 0;

	for (size_t i = 0; i < CONFIG_FILTERS_MAX; i++) {
		enum config_filter which = link->choice->filters[i];
		const struct filter_ops *ops = filter_find(which);
		dvs_err err;

		if (which == CONFIG_NO_FILTER)
			break;
		if (!ops) {
			snprintf(text, text_bytes, "there is no such filter");
			return DVS_BADARG;
		}
		err = ops->open(&setup, &link->filters[i], text, text_bytes);
		if (err != DVS_OK)
			return err;
		used += (size_t)snprintf(link->filter_names + used,
					 sizeof(link->filter_names) - used, "%s%s", i ? "," : "",
					 ops->name);
	}
	return DVS_OK;
}

static dvs_err link_open_parts(struct peer_link *link, char *text, size_t text_bytes)
{
	const struct transport_setup setup = {
		.config = link->setup.config,
		.log = &link->log,
		.node = link->setup.node,
		.peer = link->setup.peer,
		.address = link->address,
		.figures = &link->figures,
	};
	const struct transport_ops *ops = transport_find(link->choice->transport);
	dvs_err err;

	if (!ops) {
		snprintf(text, text_bytes, "there is no such transport");
		return DVS_BADARG;
	}
	err = link_open_filters(link, text, text_bytes);
	if (err != DVS_OK)
		return err;
	err = ops->open(&setup, &link->transport, text, text_bytes);
	for (size_t i = 0; err == DVS_OK && i < LINK_CLASSES; i++)
		err = lane_open(&link->lanes[i], link, (enum link_class)i);
	if (err == DVS_OK && link->listens)
		err = door_open(link, &link->door);
	return err;
}

dvs_err peer_link_open(const struct link_setup *setup, struct peer_link **out)
{
	char text[TRANSPORT_TEXT_BYTES] = "no memory";
	struct peer_link *link = NULL;
	dvs_err err = DVS_BADARG;

	if (setup->peer >= CONFIG_NODES_MAX || setup->node >= CONFIG_NODES_MAX ||
	    setup->peer == setup->node || strlen(setup->address) > CONFIG_NAME_MAX) {
		snprintf(text, sizeof(text), "no such pair of nodes or too long an address");
	} else {
		link = calloc(1, sizeof(*link));
		err = DVS_NOMEM;
	}
	if (link) {
		link->setup = *setup;
		link->log = *setup->log;
		snprintf(link->address, sizeof(link->address), "%s", setup->address);
		link->choice = &setup->config->link[setup->peer];
		link->listens = setup->node < setup->peer;
		err = link_open_parts(link, text, sizeof(text));
	}
	if (err != DVS_OK) {
		log_error(setup->log, "the link cannot be opened", LOG_U64("peer", setup->peer),
			  LOG_STR("why", text));
		peer_link_close(link);
		return err;
	}
	*out = link;
	return DVS_OK;
}

void peer_link_close(struct peer_link *link)
{
	if (!link)
		return;
	atomic_store(&link->is_stopping, true);
	if (link->transport)
		transport_stop(link->transport);
	door_close(link->door);
	for (size_t i = 0; i < LINK_CLASSES; i++) {
		if (link->lanes[i].link)
			lane_close(&link->lanes[i]);
	}
	if (link->transport)
		link->transport->ops->close(link->transport);
	for (size_t i = 0; i < CONFIG_FILTERS_MAX; i++) {
		if (link->filters[i])
			link->filters[i]->ops->close(link->filters[i]);
	}
	free(link);
}

bool peer_link_is_up(const struct peer_link *link, enum link_class class)
{
	return atomic_load_explicit(&link->lanes[class].is_up, memory_order_acquire);
}

int peer_link_cpu(struct peer_link *link, enum link_class class)
{
	/* The reader, which asks, is the one that changes it. */
	return stream_cpu(link->lanes[class].stream);
}

const struct link_figures *peer_link_figures(const struct peer_link *link)
{
	return &link->figures;
}

const char *peer_link_transport(const struct peer_link *link)
{
	return link->transport->ops->name;
}

const char *peer_link_filters(const struct peer_link *link)
{
	return link->filter_names;
}
