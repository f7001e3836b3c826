/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a box, for programs.c. */
#ifndef AGENT_BOX_H
#define AGENT_BOX_H

#include "agent/task.h"

/* NULL: no memory. */
struct box *box_new(struct programs *programs, const char *dc);
/* Link with the dc-init at PATH, process INIT of the host. */
DVS_MUST_USE dvs_err box_connect(struct box *box, pid_t init, const char *path);
/* dc-init is no more: what ran has ended. */
void box_ended(struct box *box);
/* Nothing more is heard of it; what runs goes on. */
void box_disconnect(struct box *box);
void box_wanted_clear(struct box *box);
/* FORGET: its programs, too, with their logs. */
void box_free(struct box *box, bool forget);

#endif
