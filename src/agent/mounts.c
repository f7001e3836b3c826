/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/mounts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/described.h"
#include "agent/gateway.h"
#include "agent/reconcile.h"
#include "base/clock.h"

/* Who wants to start something waits at most so long for a mount that is being made. */
#define HOLD_NS (45 * CLOCK_NS_PER_S)

/* The container of a DC that is to see file systems. */
struct site {
	struct list of_mounts;
	struct mounts *mounts;
	char dc[DVS_NAME_MAX + 1];
	dvs_dcid id;
	pid_t init;
	bool was_made; /* all of them, once */
	struct gateway *gateways[DESCRIPTION_LIST_MAX];
	size_t n_gateways;
	struct list held; /* struct request.kept */
	agent_op_handler again;
	struct loop_timer patience;
};

struct mounts {
	struct agent *agent;
	struct list sites;
};

dvs_err mounts_open(struct agent *agent, struct mounts **out)
{
	struct mounts *mounts = calloc(1, sizeof(*mounts));

	if (!mounts)
		return DVS_NOMEM;
	mounts->agent = agent;
	list_init(&mounts->sites);
	*out = mounts;
	return DVS_OK;
}

static struct site *site_find(const struct mounts *mounts, const char *dc)
{
	LIST_FOREACH(link, &mounts->sites) {
		struct site *site = CONTAINER_OF(link, struct site, of_mounts);

		if (strcmp(site->dc, dc) == 0)
			return site;
	}
	return NULL;
}

/* ---- who waits ---- */

static void held_gone(struct request *request)
{
	list_remove(&request->kept);
}

static void release(struct site *site)
{
	struct list ours;
	struct list *link;

	list_init(&ours);
	/* Whoever is not let in is held anew. */
	while ((link = list_take_head(&site->held)))
		list_add_tail(&ours, link);
	loop_timer_cancel(site->mounts->agent->loop, &site->patience);
	while ((link = list_take_head(&ours))) {
		struct request *request = CONTAINER_OF(link, struct request, kept);

		list_init(&request->kept);
		request->gone = NULL;
		request->in = cursor_over(request->body, request->len);
		site->again(site->mounts->agent, request);
	}
}

static void refuse(struct site *site, const char *why)
{
	struct list *link;

	loop_timer_cancel(site->mounts->agent->loop, &site->patience);
	while ((link = list_take_head(&site->held))) {
		struct request *request = CONTAINER_OF(link, struct request, kept);

		list_init(&request->kept);
		request_fail(request, DVS_BADSTATE, "%s", why);
	}
}

static void patience_fired(struct loop_timer *timer)
{
	struct site *site = CONTAINER_OF(timer, struct site, patience);
	char why[DESCRIPTION_TEXT_MAX];

	if (!mounts_why(site->mounts, site->dc, why))
		(void)snprintf(why, sizeof(why),
			       "the file systems of DC %s are not mounted on this node yet; see "
			       "'dvs fs ls %s'",
			       site->dc, site->dc);
	refuse(site, why);
}

bool mounts_hold(struct mounts *mounts, const char *dc, struct request *request,
		 agent_op_handler again)
{
	struct site *site = site_find(mounts, dc);
	char why[DESCRIPTION_TEXT_MAX];

	if (!site || site->was_made)
		return false;
	if (mounts_why(mounts, dc, why)) {
		request_fail(request, DVS_BADSTATE, "%s", why);
		return true;
	}
	site->again = again;
	request->gone = held_gone;
	if (list_is_empty(&site->held))
		loop_timer_set(mounts->agent->loop, &site->patience, clock_deadline_ns(HOLD_NS),
			       patience_fired);
	list_add_tail(&site->held, &request->kept);
	return true;
}

/* ---- what becomes of them ---- */

static bool all_up(const struct site *site)
{
	for (size_t i = 0; i < site->n_gateways; i++) {
		if (!gateway_is_up(site->gateways[i]))
			return false;
	}
	return true;
}

static void changed(void *context)
{
	struct site *site = context;
	char why[DESCRIPTION_TEXT_MAX];

	if (site->was_made)
		return;
	if (mounts_why(site->mounts, site->dc, why)) {
		refuse(site, why);
		return;
	}
	if (!all_up(site))
		return;
	site->was_made = true;
	release(site);
	/* Programs of records wait for it, too. */
	reconcile_look_at(site->mounts->agent->reconcile, site->dc);
}

static void site_forget(struct site *site)
{
	for (size_t i = 0; i < site->n_gateways; i++)
		gateway_drop(site->gateways[i]);
	refuse(site, "the container has ended; see 'dvs dc ls'");
	list_remove(&site->of_mounts);
	free(site);
}

static struct site *site_new(struct mounts *mounts, const char *dc, dvs_dcid id, pid_t init)
{
	struct site *site = calloc(1, sizeof(*site));

	if (!site)
		return NULL;
	site->mounts = mounts;
	site->id = id;
	site->init = init;
	(void)snprintf(site->dc, sizeof(site->dc), "%s", dc);
	list_init(&site->held);
	list_add_tail(&mounts->sites, &site->of_mounts);
	return site;
}

static void begin(struct site *site, const struct description *description)
{
	for (size_t i = 0; i < description->n_volumes; i++) {
		const struct description_volume *volume = &description->volumes[i];
		const struct gateway_plan plan = {
			.dc = site->dc,
			.id = site->id,
			.init = site->init,
			.index = i,
			.name = volume->source,
			.target = volume->target,
			.is_read_only = volume->readonly,
		};

		if (description_is_fs(volume))
			site->gateways[site->n_gateways++] =
				gateway_start(site->mounts->agent, &plan, changed, site);
	}
	/* None, or those of a former agent. */
	site->was_made = all_up(site);
}

void mounts_container_up(struct mounts *mounts, const char *dc, dvs_dcid id, pid_t init)
{
	struct site *site = site_find(mounts, dc);
	struct description *description;

	if (site && site->init == init && site->id.n == id.n)
		return;
	if (site)
		site_forget(site);
	description = malloc(sizeof(*description));
	/* What it was made from cannot be read: the next look tries again. */
	if (!description || described_load(mounts->agent, dc, description) != DVS_OK) {
		log_error(&mounts->agent->log, "the description of a container cannot be read",
			  LOG_STR("dc", dc));
		free(description);
		return;
	}
	site = site_new(mounts, dc, id, init);
	if (site)
		begin(site, description);
	description_free(description);
	free(description);
}

void mounts_container_down(struct mounts *mounts, const char *dc)
{
	struct site *site = site_find(mounts, dc);

	if (site)
		site_forget(site);
}

/* ---- questions ---- */

bool mounts_are_made(const struct mounts *mounts, const char *dc)
{
	const struct site *site = site_find(mounts, dc);

	return site && site->was_made;
}

bool mounts_why(const struct mounts *mounts, const char *dc, char why[DESCRIPTION_TEXT_MAX])
{
	const struct site *site = site_find(mounts, dc);

	for (size_t i = 0; site && i < site->n_gateways; i++) {
		if (gateway_why(site->gateways[i], why))
			return true;
	}
	return false;
}

void mounts_retry(struct mounts *mounts)
{
	LIST_FOREACH(link, &mounts->sites) {
		struct site *site = CONTAINER_OF(link, struct site, of_mounts);

		for (size_t i = 0; i < site->n_gateways; i++)
			gateway_retry(site->gateways[i]);
	}
}
