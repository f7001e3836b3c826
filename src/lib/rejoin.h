/* SPDX-License-Identifier: Apache-2.0 */
/* Saying hello: the first time, and again after dvsd was restarted, which then learns from us what it lost. */
#ifndef LIB_REJOIN_H
#define LIB_REJOIN_H

#include "lib/internal.h"

/* Connect and say hello for the first time. NODVSD, DENIED, PROTO. */
DVS_MUST_USE dvs_err hello_locked(struct dvk *dvk);

/* The link is broken: try once to connect again, tell dvsd our endpoints and channels, and send again what was asked and not
 * answered. True if dvsd answers (also if it disowns us: then the endpoints are unbound). Limited to one attempt in 5 ms. */
bool rejoin_locked(struct dvk *dvk);

#endif
