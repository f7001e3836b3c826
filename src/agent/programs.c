/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/programs.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/box.h"
#include "agent/reconcile.h"
#include "base/cleanup.h"

dvs_err programs_open(struct agent *agent, struct programs **made)
{
	struct programs *programs = calloc(1, sizeof(*programs));

	if (!programs)
		return DVS_NOMEM;
	programs->agent = agent;
	programs->loop = agent->loop;
	list_init(&programs->boxes);
	list_init(&programs->attachments);
	/* A program may close its stdin while it is written to. */
	(void)signal(SIGPIPE, SIG_IGN);
	*made = programs;
	return DVS_OK;
}

void programs_close(struct programs *programs)
{
	if (!programs)
		return;
	while (!list_is_empty(&programs->boxes))
		box_free(CONTAINER_OF(programs->boxes.next, struct box, of_programs), false);
	free(programs);
}

void programs_container_up(struct programs *programs, const char *dc, dvs_dcid id, pid_t init,
			   const struct description *description)
{
	struct box *box = box_find(programs, dc);
	char path[108];

	if (!box)
		box = box_new(programs, dc);
	if (!box) {
		log_error(&programs->agent->log, "no memory for a container", LOG_STR("dc", dc));
		return;
	}
	if (!says_load(&box->says, programs->agent->options.lib_dir, description))
		log_error(&programs->agent->log, "no memory for what an image says",
			  LOG_STR("dc", dc));
	if (box->link && box->init == init && box->id.n == id.n)
		return;
	box->id = id;
	if (!box->loaded)
		store_load(box);
	else
		box_ended(box);
	box->loaded = true;
	container_socket(&programs->agent->host, dc, path);
	if (box_connect(box, init, path) != DVS_OK)
		log_error(&programs->agent->log, "no link with dc-init", LOG_STR("dc", dc));
}

void programs_container_down(struct programs *programs, const char *dc, bool for_good)
{
	struct box *box = box_find(programs, dc);

	if (box && for_good)
		box_free(box, true);
	else if (box)
		box_ended(box);
	if (for_good)
		store_clear(programs, dc);
}

static bool copy_wanted(struct box *box, const struct programs_wanted *wanted, size_t n)
{
	char why[DESCRIPTION_TEXT_MAX + 1];

	box->wanted = calloc(n > 0 ? n : 1, sizeof(*box->wanted));
	if (!box->wanted)
		return false;
	for (size_t i = 0; i < n; i++) {
		struct wanted *copy = &box->wanted[i];

		(void)snprintf(copy->name, sizeof(copy->name), "%s", wanted[i].name);
		(void)snprintf(copy->record, sizeof(copy->record), "%s", wanted[i].record);
		copy->version = wanted[i].version;
		if (program_from_json(wanted[i].program->document, &copy->program, why) != DVS_OK)
			return false;
		box->n_wanted++;
	}
	return true;
}

void programs_want(struct programs *programs, const char *dc, const struct programs_wanted *wanted,
		   size_t n)
{
	struct box *box = box_find(programs, dc);

	if (!box && n == 0)
		return;
	if (!box)
		box = box_new(programs, dc);
	if (!box)
		return;
	box_wanted_clear(box);
	if (!copy_wanted(box, wanted, n))
		log_error(&programs->agent->log, "no memory for what is to run", LOG_STR("dc", dc));
	else
		box_look(box);
}

static bool shuts_down(void *context, dvs_err err, struct cursor *body, int *fds, size_t n_fds)
{
	(void)context;
	(void)err;
	(void)body;
	(void)fds;
	return n_fds == 0;
}

void programs_container_frozen(struct programs *programs, const char *dc, bool on)
{
	struct box *box = box_find(programs, dc);

	if (box)
		box->frozen = on;
}

void programs_shutdown(struct programs *programs, const char *dc, uint32_t grace_ms)
{
	struct init_shutdown_req req = { .grace_ms = grace_ms };
	struct box *box = box_find(programs, dc);
	struct writer out;

	if (box)
		box->closing = true;
	if (box && box->link) {
		out = init_link_body(box->link);
		init_shutdown_req_encode(&out, &req);
		if (init_link_is_up(box->link) && init_link_ask(box->link, INIT_SHUTDOWN, &out,
								NULL, 0, shuts_down, box) == DVS_OK)
			return;
	}
	reconcile_init_gone(programs->agent->reconcile, dc, box ? box->init : 0);
}

uint32_t programs_count(const struct programs *programs, const char *dc)
{
	const struct box *box = box_find(programs, dc);
	uint32_t n = 0;

	if (!box)
		return 0;
	LIST_FOREACH(link, &box->tasks)
		n += CONTAINER_OF(link, struct task, of_box)->state == TASK_RUNS;
	return n;
}

void programs_client_gone(struct programs *programs, dvs_ep client)
{
	struct attachment *attachment;

	/* The end of one may take others along. */
	do {
		attachment = NULL;
		LIST_FOREACH(link, &programs->attachments) {
			struct attachment *one = CONTAINER_OF(link, struct attachment, of_programs);

			if (one->owner.n == client.n)
				attachment = one;
		}
		if (attachment)
			attachment_end(attachment);
	} while (attachment);
}
