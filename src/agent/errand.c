/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/errand.h"

#include <stdlib.h>

#include "agent/workers.h"

struct whole {
	struct errand errand;
	struct work work;
	void (*run)(struct errand *errand);
	void (*answer)(struct errand *errand);
	max_align_t own[];
};

static void client_gone(struct request *request)
{
	struct errand *errand = request->keeper;

	errand->request = NULL;
}

struct errand *errand_create(struct request *request, size_t own_bytes)
{
	struct whole *whole = calloc(1, sizeof(*whole) + own_bytes);

	if (!whole) {
		request_fail(request, DVS_NOMEM, "the agent has no memory left");
		return NULL;
	}
	whole->errand.agent = request->agent;
	whole->errand.request = request;
	whole->errand.own = whole->own;
	request->gone = client_gone;
	request->keeper = &whole->errand;
	return &whole->errand;
}

static void work_run(struct work *work)
{
	struct whole *whole = CONTAINER_OF(work, struct whole, work);

	whole->run(&whole->errand);
}

static void work_done(struct work *work)
{
	struct whole *whole = CONTAINER_OF(work, struct whole, work);
	struct errand *errand = &whole->errand;

	if (errand->request && errand->err)
		request_fail(errand->request, errand->err, "%s",
			     errand->why[0] ? errand->why : dvs_strerror(errand->err));
	else if (errand->request)
		whole->answer(errand);
	else if (!errand->err && errand->abandoned)
		errand->abandoned(errand);
	free(whole);
}

void errand_start(struct errand *errand, void (*run)(struct errand *errand),
		  void (*answer)(struct errand *errand))
{
	struct whole *whole = CONTAINER_OF(errand, struct whole, errand);

	whole->run = run;
	whole->answer = answer;
	workers_add(errand->agent->workers, &whole->work, work_run, work_done);
}
