/* SPDX-License-Identifier: Apache-2.0 */
/* Calls for which nobody waits, for the loop of a server (src/skeleton): it goes on receiving, and is told when one is over. */
#ifndef LIB_BEGUN_H
#define LIB_BEGUN_H

#include <stdbool.h>

#include <dvs/m3ipc.h>

struct m3_begun;

/* Begin the call of m3_call(). DST must be a partner already, by m3_call_window() for example: nothing is waited for. MSG may be used again; OUT is copied, unless it is DST's window. From
 * now on each m3_receive() of SELF ends with WOKEN while the call is over and was not ended. A partner that moves or is promoted ends it: it is not sent again. NODEST: DST is no partner.
 * BADSTATE: a call to DST was begun already, or DST waits for an answer of SELF. */
DVS_MUST_USE dvs_err m3_begin(struct m3 *self, dvs_ep dst, const struct dvs_msg *msg,
			      const void *out, size_t out_len, size_t in_cap,
			      struct m3_begun **begun);
/* Its answer is here, or cannot come any more. */
DVS_MUST_USE bool m3_is_over(struct m3_begun *begun);
/* End it in any case, before SELF is unbound. As m3_call(), but *IN is where the *IN_LEN bytes of the reply stand, NULL when there are none: until SELF calls DST again or calls anything that waits, and the partner can change
 * them at any time. TIMEOUT: it was not over; it is taken back. */
DVS_MUST_USE dvs_err m3_end(struct m3 *self, struct m3_begun *begun, struct dvs_msg *msg,
			    const void **in, size_t *in_len);

#endif
