/* SPDX-License-Identifier: Apache-2.0 */
/* What this node is, and what it could have. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/errand.h"
#include "agent/server.h"
#include "base/cleanup.h"
#include "container/doctor.h"
#include "container/image.h"

/* "crun version 1.8.1" of its first line. */
static void crun_version(const char *program, char *version, size_t size)
{
	char line[256] = "";
	int ends[2];
	pid_t child;
	ssize_t n;

	version[0] = '\0';
	if (pipe2(ends, O_CLOEXEC))
		return;
	child = fork();
	if (child == 0) {
		(void)dup2(ends[1], STDOUT_FILENO);
		(void)execl(program, program, "--version", (char *)NULL);
		_exit(EXIT_FAILURE);
	}
	close(ends[1]);
	n = child > 0 ? read(ends[0], line, sizeof(line) - 1) : 0;
	close(ends[0]);
	if (child > 0)
		(void)waitpid(child, NULL, 0);
	line[n > 0 ? n : 0] = '\0';
	line[strcspn(line, "\n")] = '\0';
	if (strncmp(line, "crun version ", 13) == 0)
		(void)snprintf(version, size, "%.*s", (int)size - 1, line + 13);
}

static void hello_run(struct errand *errand)
{
	struct agent_hello_rep *rep = errand->own;

	*rep = (struct agent_hello_rep){ .node = errand->agent->node,
					 .layout = (uint8_t)container_layout(),
					 .cpus = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN),
					 .memory_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) *
							 (uint64_t)sysconf(_SC_PAGESIZE),
					 .started_ns = errand->agent->started_ns };
	(void)snprintf(rep->version, sizeof(rep->version), "%s", DVS_VERSION);
	crun_version(errand->agent->host.crun, rep->crun, sizeof(rep->crun));
}

static void hello_answer(struct errand *errand)
{
	REQUEST_ANSWER(errand->request, hello, (struct agent_hello_rep *)errand->own);
}

void op_hello(struct agent *agent, struct request *request)
{
	struct errand *errand = errand_create(request, sizeof(struct agent_hello_rep));

	(void)agent;
	if (errand)
		errand_start(errand, hello_run, hello_answer);
}

/* ---- check ---- */

static dvs_err check_image(const struct agent *agent, const struct description *description,
			   bool fetch, char tree[512], struct container_plan *plan, char *why)
{
	const char *wanted = description->digest ? description->digest : description->image;
	struct image image;

	if (description->root != DESCRIPTION_IMAGE)
		return DVS_OK;
	if (image_find(agent->options.lib_dir, wanted, &image)) {
		/* What can be known of a tree that is not here yet is that of any other. */
		plan->tree = "/";
		if (fetch)
			return DVS_OK;
		(void)snprintf(
			why, DESCRIPTION_TEXT_MAX,
			"root.name: the image %s is not here: bring it with 'dvs image import'"
			" or 'dvs image copy'",
			description->image);
		return DVS_NOTFOUND;
	}
	image_tree(agent->options.lib_dir, image.digest, tree);
	plan->tree = tree;
	return DVS_OK;
}

static void check_run(struct errand *errand)
{
	struct agent_check_req *req = errand->own;
	struct container_plan plan = { .name = req->dc };
	AUTO_FREE struct description *description = malloc(sizeof(*description));
	char tree[512];

	if (!description) {
		errand->err = DVS_NOMEM;
		return;
	}
	errand->err =
		description_parse(req->description, req->n_description, description, errand->why);
	if (errand->err)
		return;
	plan.description = description;
	errand->err =
		check_image(errand->agent, description, req->fetch != 0, tree, &plan, errand->why);
	if (!errand->err)
		errand->err = container_check(&errand->agent->host, &plan, errand->why);
	description_free(description);
}

static void check_answer(struct errand *errand)
{
	request_done(errand->request);
}

void op_check(struct agent *agent, struct request *request)
{
	struct agent_check_req req;
	struct errand *errand;

	(void)agent;
	if (!REQUEST_DECODE(request, check, &req))
		return;
	errand = errand_create(request, sizeof(req));
	if (!errand)
		return;
	memcpy(errand->own, &req, sizeof(req));
	errand_start(errand, check_run, check_answer);
}

/* ---- doctor ---- */

static void doctor_take(void *context, const struct doctor_finding *finding)
{
	struct agent_doctor_rep *rep = context;
	struct agent_finding *to;

	if (rep->n_findings == ARRAY_LEN(rep->findings))
		return;
	to = &rep->findings[rep->n_findings++];
	to->state = (uint8_t)finding->state;
	(void)snprintf(to->what, sizeof(to->what), "%s", finding->what);
	(void)snprintf(to->found, sizeof(to->found), "%s", finding->found);
	(void)snprintf(to->disables, sizeof(to->disables), "%s", finding->disables);
	(void)snprintf(to->cure, sizeof(to->cure), "%s", finding->cure);
}

static void doctor_work(struct errand *errand)
{
	const struct doctor_where where = { .lib_dir = errand->agent->options.lib_dir };

	doctor_run(&where, doctor_take, errand->own);
}

static void doctor_answer(struct errand *errand)
{
	REQUEST_ANSWER(errand->request, doctor, (struct agent_doctor_rep *)errand->own);
}

void op_doctor(struct agent *agent, struct request *request)
{
	struct errand *errand = errand_create(request, sizeof(struct agent_doctor_rep));

	(void)agent;
	if (errand)
		errand_start(errand, doctor_work, doctor_answer);
}
