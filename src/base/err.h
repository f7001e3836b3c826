/* SPDX-License-Identifier: Apache-2.0 */
/* The one error type, for everybody inside. Its texts, for users too, are in dvs/error.h. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <dvs/error.h>

/* What a failed system call means to our callers: to be called where the call was made,
 * errno travels no further. What has no error of its own is DVS_IO. Never DVS_OK. */
DVS_MUST_USE dvs_err dvs_from_errno(int errno_value);

/* NUMBER as an error, for a number that came in a message; DVS_PROTO when it is none. */
DVS_MUST_USE dvs_err dvs_err_from_number(unsigned int number);

#endif
