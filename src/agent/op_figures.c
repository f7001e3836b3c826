/* SPDX-License-Identifier: Apache-2.0 */
/* The containers of this node, and what they use. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "agent/errand.h"
#include "agent/programs.h"
#include "agent/reconcile.h"
#include "agent/server.h"
#include "base/clock.h"

struct names {
	char **all;
	size_t n;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void names_free(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->all[i]);
	free(names->all);
}

/* Sorted; those from AT on follow AFTER. */
static dvs_err names_after(const struct agent *agent, const char *after, struct names *names,
			   size_t *at)
{
	dvs_err err = container_list(&agent->host, &names->all, &names->n);

	if (err)
		return err;
	if (names->n)
		qsort(names->all, names->n, sizeof(*names->all), by_name);
	*at = 0;
	while (*at < names->n && strcmp(names->all[*at], after) <= 0)
		(*at)++;
	return DVS_OK;
}

/* ---- containers ---- */

struct containers {
	char after[DVS_NAME_MAX + 1];
	struct agent_containers_rep rep;
	bool is_leftover[64];
};

/* When its directory in /proc was made: when it was started. */
static uint64_t started_ns(pid_t pid)
{
	char path[32];
	struct stat status;

	(void)snprintf(path, sizeof(path), "/proc/%d", pid);
	if (pid <= 0 || stat(path, &status) != 0)
		return 0;
	return (uint64_t)status.st_ctim.tv_sec * CLOCK_NS_PER_S + (uint64_t)status.st_ctim.tv_nsec;
}

static void containers_run(struct errand *errand)
{
	struct containers *containers = errand->own;
	struct agent_containers_rep *rep = &containers->rep;
	const struct container_host *host = &errand->agent->host;
	struct names names = { .n = 0 };
	size_t at;

	errand->err = names_after(errand->agent, containers->after, &names, &at);
	for (; !errand->err && at < names.n && rep->n_containers < ARRAY_LEN(rep->containers);
	     at++) {
		struct agent_container *one = &rep->containers[rep->n_containers];
		struct container_state state;

		if (container_look(host, names.all[at], &state) || state.is == CONTAINER_ABSENT)
			continue;
		*one = (struct agent_container){ .state = state.is == CONTAINER_FROZEN ? 3 : 2,
						 .pid = (uint32_t)state.pid,
						 .started_ns = started_ns(state.pid),
						 .version = state.version };
		(void)snprintf(one->dc, sizeof(one->dc), "%s", names.all[at]);
		(void)snprintf(one->image, sizeof(one->image), "%.71s", state.digest);
		(void)snprintf(one->cgroup, sizeof(one->cgroup), "%s/%s", host->cgroup,
			       names.all[at]);
		containers->is_leftover[rep->n_containers++] = state.is == CONTAINER_LEFTOVER;
	}
	names_free(&names);
}

static void containers_answer(struct errand *errand)
{
	struct containers *containers = errand->own;

	for (uint32_t i = 0; i < containers->rep.n_containers; i++) {
		struct agent_container *one = &containers->rep.containers[i];
		struct reconcile_row row = { .is_up = false };
		bool is_known = reconcile_row(errand->agent->reconcile, one->dc, &row);

		one->programs = programs_count(errand->agent->programs, one->dc);
		if (is_known && row.err) {
			one->state = 4;
			(void)snprintf(one->text, sizeof(one->text), "%.255s", row.why);
		} else if (containers->is_leftover[i]) {
			one->state = 1;
		}
	}
	REQUEST_ANSWER(errand->request, containers, &containers->rep);
}

void op_containers(struct agent *agent, struct request *request)
{
	struct agent_containers_req req;
	struct containers *containers;
	struct errand *errand;

	(void)agent;
	if (!REQUEST_DECODE(request, containers, &req))
		return;
	errand = errand_create(request, sizeof(*containers));
	if (!errand)
		return;
	containers = errand->own;
	memcpy(containers->after, req.after, sizeof(req.after));
	errand_start(errand, containers_run, containers_answer);
}

/* ---- usage ---- */

struct usages {
	struct agent_usage_req req;
	struct agent_usage_rep rep;
};

static void usage_fill(struct agent_usage *one, const char *dc, const struct container_usage *usage)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	*one = (struct agent_usage){
		.time_ns = (uint64_t)now.tv_sec * CLOCK_NS_PER_S + (uint64_t)now.tv_nsec,
		.cpu_ns = usage->cpu_ns,
		.cpu_limit = usage->cpu_limit_millis,
		.throttled_ns = usage->throttled_ns,
		.memory_bytes = usage->memory_bytes,
		.memory_limit = usage->memory_limit,
		.memory_peak = usage->memory_peak,
		.oom_kills = usage->oom_kills,
		.pids = usage->pids,
		.pids_limit = usage->pids_limit,
		.io_read_bytes = usage->io_read_bytes,
		.io_write_bytes = usage->io_write_bytes,
		.frozen = usage->frozen,
	};
	(void)snprintf(one->dc, sizeof(one->dc), "%s", dc);
}

static void usages_run(struct errand *errand)
{
	struct usages *usages = errand->own;
	struct agent_usage_rep *rep = &usages->rep;
	const char *only = usages->req.dc;
	struct container_usage usage;
	struct names names = { .n = 0 };
	size_t at;

	if (only[0]) {
		if (container_usage(&errand->agent->host, only, &usage)) {
			errand->err = DVS_NODC;
			(void)snprintf(errand->why, sizeof(errand->why),
				       "the DC %s has no container on this node", only);
		} else {
			usage_fill(&rep->usages[rep->n_usages++], only, &usage);
		}
		return;
	}
	errand->err = names_after(errand->agent, usages->req.after, &names, &at);
	for (; !errand->err && at < names.n && rep->n_usages < ARRAY_LEN(rep->usages); at++) {
		if (container_usage(&errand->agent->host, names.all[at], &usage) == DVS_OK)
			usage_fill(&rep->usages[rep->n_usages++], names.all[at], &usage);
	}
	names_free(&names);
}

static void usages_answer(struct errand *errand)
{
	struct usages *usages = errand->own;

	for (uint32_t i = 0; i < usages->rep.n_usages; i++)
		usages->rep.usages[i].programs =
			programs_count(errand->agent->programs, usages->rep.usages[i].dc);
	REQUEST_ANSWER(errand->request, usage, &usages->rep);
}

void op_usage(struct agent *agent, struct request *request)
{
	struct agent_usage_req req;
	struct usages *usages;
	struct errand *errand;

	(void)agent;
	if (!REQUEST_DECODE(request, usage, &req))
		return;
	errand = errand_create(request, sizeof(*usages));
	if (!errand)
		return;
	usages = errand->own;
	usages->req = req;
	errand_start(errand, usages_run, usages_answer);
}
