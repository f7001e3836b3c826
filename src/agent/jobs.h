/* SPDX-License-Identifier: Apache-2.0 */
/* What takes long: images that are imported, or brought from another node. Each job has a thread. */
#ifndef AGENT_JOBS_H
#define AGENT_JOBS_H

#include "agent/agent.h"

#define JOBS_ANY_NODE UINT32_MAX

DVS_MUST_USE dvs_err jobs_open(struct agent *agent, struct jobs **jobs);

/* Bring the image NAME (or digest) here from node FROM, or from whichever node has it. ENDED is called in the loop with ERR and a sentence, or OK and the image's digest.
 * A fetch of the same name that is under way is joined. FULL, NOMEM. */
typedef void (*job_ended)(void *context, dvs_err err, const char *text);
DVS_MUST_USE dvs_err jobs_fetch(struct jobs *jobs, const char *name, uint32_t from, job_ended ended,
				void *context, uint64_t *id);

void op_image_import(struct agent *agent, struct request *request);
void op_image_fetch(struct agent *agent, struct request *request);
void op_job(struct agent *agent, struct request *request);
void op_job_stop(struct agent *agent, struct request *request);
void op_jobs(struct agent *agent, struct request *request);

#endif
