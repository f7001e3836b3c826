/* SPDX-License-Identifier: Apache-2.0
 *
 * Errors: every public call returns a dvs_err, zero is success, results come by out parameter.
 * The list with texts stands in dvs/errors.def (architecture, section 6).
 */
#ifndef DVS_ERROR_H
#define DVS_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define DVS_MUST_USE __attribute__((warn_unused_result))
#define DVS_PUBLIC __attribute__((visibility("default")))
#else
#define DVS_MUST_USE
#define DVS_PUBLIC
#endif

typedef enum dvs_err {
#define X(name, number, text, hint, errno_value) DVS_##name = number,
#include <dvs/errors.def>
#undef X
} dvs_err;

/* What ERR means, one sentence without a full stop. Never NULL. */
DVS_PUBLIC const char *dvs_strerror(dvs_err err);

/* What a user can try; "" when there is nothing to say. Never NULL. */
DVS_PUBLIC const char *dvs_err_hint(dvs_err err);

/* The short name, e.g. "NODEST". Never NULL. */
DVS_PUBLIC const char *dvs_err_name(dvs_err err);

/* The errno that stands for ERR where only an errno fits; 0 for DVS_OK. */
DVS_PUBLIC int dvs_err_errno(dvs_err err);

#ifdef __cplusplus
}
#endif
#endif
