/* SPDX-License-Identifier: Apache-2.0 */
/* The sentence of a call that fails. It may hold names out of archives and containers, which must neither steer a terminal nor break JSON: control characters and
 * bytes that are no UTF-8 become "\xNN". */
#ifndef CONTAINER_WHY_H
#define CONTAINER_WHY_H

#include <dvs/error.h>

#include "base/compiler.h"
#include "container/description.h"

/* Put the sentence into WHY (room for DESCRIPTION_TEXT_MAX; NULL: nobody wants it), cut if need be. Returns ERR, for the caller to return. */
dvs_err why_say(char *why, dvs_err err, const char *format, ...) PRINTF_LIKE(3, 4);
/* The same, with what errno says at the end: "FORMAT: No such file or directory". Returns what ERRNO_VALUE means. */
dvs_err why_errno(char *why, int errno_value, const char *format, ...) PRINTF_LIKE(3, 4);

/* LEN bytes at TEXT into TO of SIZE bytes, harmless as above. */
void why_printable(const char *text, size_t len, char *to, size_t size);

#endif
