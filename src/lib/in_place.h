/* SPDX-License-Identifier: Apache-2.0 */
/* A call whose reply's data is not copied, for gateways (src/gateways): what a server has put into its window goes from there to a socket. */
#ifndef LIB_IN_PLACE_H
#define LIB_IN_PLACE_H

#include <dvs/m3ipc.h>

/* As m3_call(), but *IN is where the *IN_LEN bytes of the reply (at most IN_CAP) stand, NULL when there are none. They stay until SELF calls anything again. The partner can change them at any time.
 * It is exported for libdvkfs alone, in a version of its own that promises nothing. */
DVS_PUBLIC DVS_MUST_USE dvs_err m3_call_in_place(struct m3 *self, dvs_ep dst, struct dvs_msg *msg,
						 const void *out, size_t out_len, size_t in_cap,
						 const void **in, size_t *in_len,
						 uint32_t timeout_ms);

#endif
