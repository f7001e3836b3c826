/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing an image from another node's agent. */
#ifndef AGENT_FETCH_H
#define AGENT_FETCH_H

#include "agent/jobs_internal.h"

/* In the job's thread, as whose client it calls the other agents. Fills job->image and job->why. */
DVS_MUST_USE dvs_err fetch_image(struct job *job);

#endif
