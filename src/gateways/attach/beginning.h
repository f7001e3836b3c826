/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that serve, begun one after the other, so that an error belongs to somebody. Signals are the process's, not theirs. */
#ifndef GATEWAYS_ATTACH_BEGINNING_H
#define GATEWAYS_ATTACH_BEGINNING_H

#include <dvs/error.h>

struct beginning;

/* Starts a thread that runs RUN with a beginning, whose context is CONTEXT, and waits until it has called beginning_end(): what it told there; NOMEM. Nobody waits for the thread's end. */
DVS_MUST_USE dvs_err beginning_start(void *(*run)(void *beginning), void *context);

void *beginning_context(const struct beginning *beginning);
/* By the thread, once: it has begun, or ends with ERR. The beginning is gone then. */
void beginning_end(struct beginning *beginning, dvs_err err);

#endif
