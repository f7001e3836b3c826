/* SPDX-License-Identifier: Apache-2.0 */
/* A dvsd of the benchmark's own, in a private directory, so that it needs nothing running and
 * disturbs nothing that runs. */
#ifndef DVS_MANAGE_BENCH_OWN_DVSD_H
#define DVS_MANAGE_BENCH_OWN_DVSD_H

#include "manage/bench/internal.h"

struct own_dvsd;

/* Start it and wait until it serves. SIGCHLD must be blocked or ignored by the caller's own means. */
DVS_MUST_USE dvs_err own_dvsd_start(struct own_dvsd **dvsd, struct bench_fault *fault);
/* End it and remove all it left. NULL is fine. */
void own_dvsd_stop(struct own_dvsd *dvsd);
/* The control socket of its one DC. */
const char *own_dvsd_control(const struct own_dvsd *dvsd);

#endif
