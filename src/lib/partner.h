/* SPDX-License-Identifier: Apache-2.0 */
/* The channels of a handle: looked up, connected, replaced, buried. Only from the owner's thread. */
#ifndef LIB_PARTNER_H
#define LIB_PARTNER_H

#include "lib/internal.h"

/* The channel over which SELF may call DST, connected if need be. NODEST, DENIED, TIMEOUT, NODVSD... */
DVS_MUST_USE dvs_err partner_for_call(struct m3 *self, dvs_ep dst, struct wait_limit *limit,
				      struct channel **ch);

/* The channel over which SRC can come; connected if SELF may, else waited for. */
DVS_MUST_USE dvs_err partner_for_receive(struct m3 *self, dvs_ep src, struct wait_limit *limit,
					 struct channel **ch);

/* The channel of CLIENT, also one that is over and has open calls. NULL: none. */
struct channel *partner_of_client(struct m3 *self, dvs_ep client);

/* Events. */
void partner_add(struct m3 *self, const struct control_channel_req *event, int fd[LINK_FDS_MAX]);
void partner_gone(struct m3 *self, const struct control_gone_req *event, dvs_err reason);
/* All channels are over: the endpoint is unbound or moved. */
void partner_all_gone(struct m3 *self);

/* Free the channels that are over and that nobody needs. */
void partner_bury(struct m3 *self, bool all);

#endif
