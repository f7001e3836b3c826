/* SPDX-License-Identifier: Apache-2.0 */
/* The handles of a process: made when an endpoint is bound, told by events what dvsd says, ended by the unbinding. */
#ifndef LIB_HANDLE_H
#define LIB_HANDLE_H

#include "lib/internal.h"
#include "lib/link.h"

/* A handle in no list; NULL: out of memory. */
struct m3 *handle_new(struct dvk *dvk);

/* Give SELF its endpoint and page and enter it. */
void handle_bind_locked(struct m3 *self, uint32_t ep, uint32_t slot, uint8_t binding, uint8_t role,
			uint32_t may);

/* Make the calling thread the owner. */
void handle_own(struct m3 *self);

/* Out of all lists. */
void handle_leave_locked(struct m3 *self);

/* Free SELF, which is in no list any more, with its channels. */
void handle_free(struct m3 *self);

/* An event of dvsd: into the mail of the handle it is for. Takes the descriptors of FRAME. */
void handle_event(struct dvk *dvk, struct frame *frame);

/* A channel for SELF, as if it had come by an event. Takes the descriptors. NOMEM. */
DVS_MUST_USE dvs_err handle_channel_locked(struct m3 *self, const struct control_channel_req *event,
					   int fd[LINK_FDS_MAX]);

/* The role that dvsd tells; if it is another one than before its owner hears of it. */
void handle_role_locked(struct m3 *self, uint8_t role);
void handle_unbound_locked(struct m3 *self);

/* The calls by which an endpoint reaches its handle. */
extern const struct endpoint_host handle_host;

#endif
