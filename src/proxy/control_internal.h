/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the control link: its frames. */
#ifndef PROXY_CONTROL_INTERNAL_H
#define PROXY_CONTROL_INTERNAL_H

#include "base/cursor.h"
#include "base/err.h"
#include "proxy/control.h"

#define CONTROL_FRAME_MAX 8192u
#define CONTROL_FDS_MAX 2u

/* What comes. */
struct message {
	uint32_t op;
	uint32_t id;
	uint32_t err;
	struct cursor in;
	int fd[CONTROL_FDS_MAX]; /* -1: none; closed after it was handled, unless it was taken */
	uint8_t bytes[CONTROL_FRAME_MAX];
};

/* What goes. */
struct request {
	struct writer out;
	uint8_t bytes[CONTROL_FRAME_MAX];
};

/* These by any thread. */
uint32_t control_new_id(struct control *control);
void request_begin(struct request *request, uint32_t op, uint32_t id);
/* False: the link has ended. */
bool request_send(struct control *control, const struct request *request);

/* ---- control_copy.c ---- */

DVS_MUST_USE dvs_err control_copies_create(struct control *control);
void control_copy_start(struct control *control, struct message *message);
void control_copy_stop(struct control *control, struct message *message);
/* False: it is the reply to something else. */
bool control_copy_reply(struct control *control, struct message *message);

#endif
