/* SPDX-License-Identifier: Apache-2.0 */
/* The loop's side: which DCs there are to look at, one look at a time for each, and what follows from it. Nothing here is kept beyond the agent's life but what
 * the containers and the ordered state themselves tell. */
#include "agent/reconcile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/jobs.h"
#include "agent/mounts.h"
#include "agent/settle.h"
#include "agent/workers.h"
#include "base/clock.h"

#define RETRY_MIN_NS CLOCK_NS_PER_S
#define RETRY_MAX_NS (30 * CLOCK_NS_PER_S)
/* Programs of a container that is to be removed have so long after SIGTERM, ... */
#define END_GRACE_MS 5000u
/* ... and their dc-init so much longer. */
#define END_SPARE_MS 2000u
/* Without any event all is looked at that often. */
#define PATIENCE_NS (5 * CLOCK_NS_PER_S)
#define SURVEY_NS (60 * CLOCK_NS_PER_S)

/* A DC as far as this node has to do with it. */
struct site {
	struct list of_reconcile;
	struct reconcile *reconcile;
	char dc[DVS_NAME_MAX + 1];
	dvs_dcid id; /* under which it was last seen */
	bool has_looked;
	bool is_busy;	/* a worker looks at it */
	bool is_dirty;	/* look once more afterwards */
	bool is_ending; /* its programs were asked to end */
	bool may_kill;	/* and had their time, or have ended */
	bool has_fetched;
	dvs_err fetch_err;
	char fetch_why[256];
	uint64_t job; /* that is waited for; 0: none */
	pid_t init;   /* of the container that programs know; 0: none */
	dvs_err err;  /* of the last look */
	char why[DESCRIPTION_TEXT_MAX];
	uint64_t retry_ns; /* the next span */
	struct loop_timer retry;
	struct loop_timer end;
	struct work work;
	struct settle settle;
};

/* All names, in a worker. */
struct survey {
	struct work work;
	struct reconcile *reconcile;
	dvs_err err;
	struct seen {
		char name[DVS_NAME_MAX + 1];
		dvs_dcid id;
	} * dcs;
	size_t n_dcs;
	char **there;
	size_t n_there;
};

struct reconcile {
	struct agent *agent;
	struct list sites;
	bool is_surveying;
	bool is_dirty;
	bool has_surveyed;
	void (*first)(struct agent *agent); /* NULL: was called */
	struct loop_timer patience;
	struct loop_timer again;
	struct survey survey;
};

static void site_look(struct site *site);

/* ---- sites ---- */

static struct site *site_find(const struct reconcile *reconcile, const char *dc)
{
	LIST_FOREACH(link, &reconcile->sites) {
		struct site *site = CONTAINER_OF(link, struct site, of_reconcile);

		if (strcmp(site->dc, dc) == 0)
			return site;
	}
	return NULL;
}

static struct site *site_get(struct reconcile *reconcile, const char *dc)
{
	struct site *site = site_find(reconcile, dc);

	if (site)
		return site;
	site = calloc(1, sizeof(*site));
	if (!site)
		return NULL;
	site->reconcile = reconcile;
	(void)snprintf(site->dc, sizeof(site->dc), "%s", dc);
	list_add_tail(&reconcile->sites, &site->of_reconcile);
	return site;
}

static void site_forget(struct site *site)
{
	struct agent *agent = site->reconcile->agent;

	loop_timer_cancel(agent->loop, &site->retry);
	loop_timer_cancel(agent->loop, &site->end);
	list_remove(&site->of_reconcile);
	free(site);
}

/* What was there when this agent began is known to programs: who asks for it may come. */
static void first_over(struct reconcile *reconcile)
{
	void (*first)(struct agent * agent) = reconcile->first;

	reconcile->first = NULL;
	loop_timer_cancel(reconcile->agent->loop, &reconcile->patience);
	if (first)
		first(reconcile->agent);
}

static void check_first(struct reconcile *reconcile)
{
	if (!reconcile->first || !reconcile->has_surveyed)
		return;
	LIST_FOREACH(link, &reconcile->sites) {
		if (!CONTAINER_OF(link, struct site, of_reconcile)->has_looked)
			return;
	}
	first_over(reconcile);
}

/* One container that takes long does not keep the others from being asked for. */
static void patience_fired(struct loop_timer *timer)
{
	first_over(CONTAINER_OF(timer, struct reconcile, patience));
}

/* ---- what follows from a look ---- */

static void retry_fired(struct loop_timer *timer)
{
	site_look(CONTAINER_OF(timer, struct site, retry));
}

static void site_retry(struct site *site)
{
	if (site->retry_ns == 0)
		site->retry_ns = RETRY_MIN_NS;
	loop_timer_set(site->reconcile->agent->loop, &site->retry,
		       clock_deadline_ns(site->retry_ns), retry_fired);
	site->retry_ns = site->retry_ns * 2 < RETRY_MAX_NS ? site->retry_ns * 2 : RETRY_MAX_NS;
}

static void end_fired(struct loop_timer *timer)
{
	struct site *site = CONTAINER_OF(timer, struct site, end);

	site->may_kill = true;
	site_look(site);
}

static void site_end(struct site *site)
{
	struct agent *agent = site->reconcile->agent;

	if (site->is_ending)
		return;
	site->is_ending = true;
	if (site->init == 0) {
		/* This agent has no link with it, by which it could be asked. */
		site->may_kill = true;
		site_look(site);
		return;
	}
	loop_timer_set(agent->loop, &site->end,
		       clock_deadline_ns((END_GRACE_MS + END_SPARE_MS) * CLOCK_NS_PER_MS),
		       end_fired);
	programs_shutdown(agent->programs, site->dc, END_GRACE_MS);
}

/* A site with a job is not forgotten. */
static void fetch_ended(void *context, dvs_err err, const char *text)
{
	struct site *site = context;

	site->job = 0;
	site->has_fetched = true;
	site->fetch_err = err;
	(void)snprintf(site->fetch_why, sizeof(site->fetch_why), "%s", err ? text : "");
	site_look(site);
}

static void site_fetch(struct site *site)
{
	struct agent *agent = site->reconcile->agent;
	dvs_err err;

	if (site->job)
		return;
	err = jobs_fetch(agent->jobs, site->settle.image, JOBS_ANY_NODE, fetch_ended, site,
			 &site->job);
	if (err)
		site_retry(site);
}

static void site_up(struct site *site)
{
	struct agent *agent = site->reconcile->agent;
	struct settle *settle = &site->settle;

	site->init = settle->there.pid;
	site->is_ending = site->may_kill = false;
	loop_timer_cancel(agent->loop, &site->end);
	programs_container_up(agent->programs, site->dc, settle->info.dc, site->init,
			      &settle->description);
	programs_container_frozen(agent->programs, site->dc, settle->there.is == CONTAINER_FROZEN);
	mounts_container_up(agent->mounts, site->dc, settle->info.dc, site->init);
	if (settle->has_wanted && mounts_are_made(agent->mounts, site->dc))
		programs_want(agent->programs, site->dc, settle->wanted, settle->n_wanted);
}

static void site_down(struct site *site, bool for_good)
{
	struct agent *agent = site->reconcile->agent;

	site->init = 0;
	mounts_container_down(agent->mounts, site->dc);
	programs_container_down(agent->programs, site->dc, for_good);
}

static void tell(const struct site *site)
{
	const struct log *log = &site->reconcile->agent->log;
	const struct settle *settle = &site->settle;

	if (settle->made)
		log_info(log, "container made", LOG_STR("dc", site->dc),
			 LOG_I64("init", settle->there.pid));
	if (settle->step == SETTLE_RETRY && strcmp(settle->why, site->why) != 0)
		log_warning(log, "a container is not as it is wanted", LOG_STR("dc", site->dc),
			    LOG_STR("why", settle->why));
}

static void site_looked(struct work *work)
{
	struct site *site = CONTAINER_OF(work, struct site, work);
	struct settle *settle = &site->settle;
	struct reconcile *reconcile = site->reconcile;
	bool runs = settle->there.is == CONTAINER_RUNS || settle->there.is == CONTAINER_FROZEN;
	bool is_over;

	site->has_looked = true;
	if (settle->is_known)
		site->id = settle->info.dc;
	tell(site);
	site->err = settle->step == SETTLE_RETRY ? settle->err : DVS_OK;
	(void)snprintf(site->why, sizeof(site->why), "%s",
		       settle->step == SETTLE_RETRY ? settle->why : "");
	if (settle->step != SETTLE_OUTSIDE && settle->has_description && runs)
		site_up(site);
	if (settle->step == SETTLE_UP) {
		site->retry_ns = 0;
		site->has_fetched = false;
	} else if (settle->step == SETTLE_RETRY) {
		/* The image may have come elsewhere by then. */
		site->has_fetched = false;
		site_retry(site);
	} else if (settle->step == SETTLE_END) {
		site_end(site);
	} else if (settle->step == SETTLE_FETCH) {
		site_fetch(site);
	} else if (settle->step == SETTLE_ABSENT) {
		site_down(site, true);
		site->is_ending = site->may_kill = false;
		loop_timer_cancel(reconcile->agent->loop, &site->end);
	}
	is_over = settle->step == SETTLE_ABSENT && !site->job;
	settle_clear(settle);
	/* Until here a new look only made it dirty: `settle` was in use. */
	site->is_busy = false;
	if (site->is_dirty)
		site_look(site);
	else if (is_over)
		site_forget(site);
	check_first(reconcile);
}

static void look_run(struct work *work)
{
	settle_run(&CONTAINER_OF(work, struct site, work)->settle);
}

static void site_look(struct site *site)
{
	struct reconcile *reconcile = site->reconcile;

	site->is_dirty = site->is_busy;
	if (site->is_busy)
		return;
	site->is_busy = true;
	loop_timer_cancel(reconcile->agent->loop, &site->retry);
	memset(&site->settle, 0, sizeof(site->settle));
	site->settle.agent = reconcile->agent;
	site->settle.id = site->id;
	site->settle.may_kill = site->may_kill;
	site->settle.has_fetched = site->has_fetched;
	site->settle.fetch_err = site->fetch_err;
	memcpy(site->settle.dc, site->dc, sizeof(site->dc));
	memcpy(site->settle.fetch_why, site->fetch_why, sizeof(site->fetch_why));
	workers_add(reconcile->agent->workers, &site->work, look_run, site_looked);
}

/* ---- all of them ---- */

static void survey_run(struct work *work)
{
	struct survey *survey = CONTAINER_OF(work, struct survey, work);
	struct agent *agent = survey->reconcile->agent;
	struct dvk_container_info info;
	uint32_t cursor = 0;
	dvs_err err;

	while (!(err = dvk_container_next(agent->admin, &cursor, 0, &info))) {
		struct seen *more;

		if (info.phase == DVK_NO_CONTAINERS)
			continue;
		more = realloc(survey->dcs, (survey->n_dcs + 1) * sizeof(*more));
		if (!more)
			break;
		survey->dcs = more;
		more[survey->n_dcs].id = info.dc;
		memcpy(more[survey->n_dcs++].name, info.name, sizeof(info.name));
	}
	survey->err = err == DVS_NODC ? DVS_OK : err ? err : DVS_NOMEM;
	if (!survey->err)
		survey->err = container_list(&agent->host, &survey->there, &survey->n_there);
}

static void survey_fired(struct loop_timer *timer)
{
	reconcile_look(CONTAINER_OF(timer, struct reconcile, again));
}

static void survey_done(struct work *work)
{
	struct survey *survey = CONTAINER_OF(work, struct survey, work);
	struct reconcile *reconcile = survey->reconcile;

	reconcile->is_surveying = false;
	for (size_t i = 0; i < survey->n_dcs; i++) {
		struct site *site = site_get(reconcile, survey->dcs[i].name);

		if (site)
			site->id = survey->dcs[i].id;
		reconcile_look_at(reconcile, survey->dcs[i].name);
	}
	for (size_t i = 0; i < survey->n_there; i++) {
		if (!survey->err)
			reconcile_look_at(reconcile, survey->there[i]);
		free(survey->there[i]);
	}
	/* Those that neither list names any more: look, and forget them. */
	LIST_FOREACH_SAFE(link, &reconcile->sites) {
		struct site *site = CONTAINER_OF(link, struct site, of_reconcile);

		if (!site->is_busy)
			site_look(site);
	}
	free(survey->there);
	free(survey->dcs);
	loop_timer_set(reconcile->agent->loop, &reconcile->again,
		       clock_deadline_ns(survey->err ? RETRY_MIN_NS : SURVEY_NS), survey_fired);
	if (!survey->err)
		reconcile->has_surveyed = true;
	check_first(reconcile);
	if (reconcile->is_dirty)
		reconcile_look(reconcile);
}

void reconcile_look(struct reconcile *reconcile)
{
	reconcile->is_dirty = reconcile->is_surveying;
	if (reconcile->is_surveying)
		return;
	reconcile->is_surveying = true;
	reconcile->survey = (struct survey){ .reconcile = reconcile };
	workers_add(reconcile->agent->workers, &reconcile->survey.work, survey_run, survey_done);
}

void reconcile_look_at(struct reconcile *reconcile, const char *dc)
{
	struct site *site = site_get(reconcile, dc);

	if (site)
		site_look(site);
	else
		log_error(&reconcile->agent->log, "no memory to look at a DC", LOG_STR("dc", dc));
}

void reconcile_init_gone(struct reconcile *reconcile, const char *dc, pid_t init)
{
	struct site *site = site_find(reconcile, dc);

	if (!site || site->init != init)
		return;
	site_down(site, false);
	if (site->is_ending)
		site->may_kill = true;
	site_look(site);
}

bool reconcile_row(const struct reconcile *reconcile, const char *dc, struct reconcile_row *row)
{
	const struct site *site = site_find(reconcile, dc);

	if (!site)
		return false;
	*row = (struct reconcile_row){ .is_up = site->init != 0,
				       .is_busy = site->is_busy,
				       .err = site->err,
				       .job = site->job };
	memcpy(row->why, site->why, sizeof(row->why));
	if (!row->err && mounts_why(reconcile->agent->mounts, dc, row->why))
		row->err = DVS_BADSTATE;
	return true;
}

dvs_err reconcile_open(struct agent *agent, void (*first)(struct agent *agent),
		       struct reconcile **out)
{
	struct reconcile *reconcile = calloc(1, sizeof(*reconcile));

	if (!reconcile)
		return DVS_NOMEM;
	reconcile->agent = agent;
	reconcile->first = first;
	list_init(&reconcile->sites);
	loop_timer_set(agent->loop, &reconcile->patience, clock_deadline_ns(PATIENCE_NS),
		       patience_fired);
	*out = reconcile;
	return DVS_OK;
}
