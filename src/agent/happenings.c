/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/happenings.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "agent/mounts.h"
#include "agent/reconcile.h"
#include "agent/server.h"
#include "agent/volumes.h"

struct happening {
	struct loop_post post;
	struct agent *agent;
	struct dvk_event event;
	bool has_lost; /* others were not told before it */
};

static bool begins(const char *what, const char *with)
{
	return strncmp(what, with, strlen(with)) == 0;
}

/* A DC that is gone may have no name in its event. Views of servers (view/NAME) change often, and nothing of them is done here. */
static void dc_changed(struct agent *agent, const struct dvk_event *event)
{
	if (begins(event->text, "record view/"))
		return;
	if (event->dc[0])
		reconcile_look_at(agent->reconcile, event->dc);
	if (strcmp(event->what, "dc.removed") == 0)
		volumes_dc_removed(agent->volumes, event->dc);
	else if (!begins(event->text, "record ") || begins(event->text, "record volume/") ||
		 begins(event->text, "record fs/"))
		volumes_look(agent->volumes);
	if (begins(event->text, "record fs/"))
		mounts_retry(agent->mounts);
}

static void happened(struct loop_post *post)
{
	struct happening *happening = CONTAINER_OF(post, struct happening, post);
	struct agent *agent = happening->agent;
	const struct dvk_event *event = &happening->event;

	if (happening->has_lost) {
		server_check_clients(agent->server);
		reconcile_look(agent->reconcile);
		volumes_look(agent->volumes);
	}
	if (strcmp(event->what, "unbound") == 0 && strcmp(event->dc, DVK_AGENTS_DC) == 0)
		server_client_gone(agent->server, event->ep);
	else if (begins(event->what, "dc.") && event->dc[0] != '.')
		dc_changed(agent, event);
	else if (begins(event->what, "node.") || begins(event->what, "quorum."))
		reconcile_look(agent->reconcile);
	free(happening);
}

static void *listen(void *argument)
{
	struct agent *agent = argument;
	uint64_t n_known = 0;
	dvs_err err = DVS_OK;

	while (!err) {
		struct happening *happening = calloc(1, sizeof(*happening));
		uint64_t n_lost = 0;

		err = happening ? dvk_event_next(agent->admin, DVS_FOREVER, &happening->event,
						 &n_lost) :
				  DVS_NOMEM;
		if (err) {
			free(happening);
			break;
		}
		happening->agent = agent;
		happening->has_lost = n_lost != n_known;
		n_known = n_lost;
		loop_post(agent->loop, &happening->post, happened);
	}
	log_error(&agent->log, "dvsd tells nothing any more", LOG_STR("why", dvs_strerror(err)));
	loop_stop(agent->loop);
	return NULL;
}

dvs_err happenings_open(struct agent *agent)
{
	pthread_t thread;
	dvs_err err = dvk_watch(agent->admin);

	if (err)
		return err;
	if (pthread_create(&thread, NULL, listen, agent))
		return DVS_NOMEM;
	pthread_detach(thread);
	return DVS_OK;
}
