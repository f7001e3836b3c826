/* SPDX-License-Identifier: Apache-2.0 */
/* The traced side of dvs trace: records into the ring that dvsd gave. */
#ifndef LIB_TRACE_H
#define LIB_TRACE_H

#include "lib/internal.h"

/* Use the ring in FD, which stays the caller's, from now on. */
void trace_start(struct m3 *self, int fd);
void trace_end(struct m3 *self);

void trace_write(struct endpoint *ep, uint32_t what, dvs_ep partner, const struct dvs_msg *msg,
		 size_t bytes, dvs_err result);

#endif
