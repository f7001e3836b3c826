/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets to listen on. */
#ifndef GATEWAYS_NBD_LISTEN_H
#define GATEWAYS_NBD_LISTEN_H

#include <stdbool.h>

#include <dvs/error.h>

#include "base/compiler.h"

#define LISTEN_WHY_MAX 255

/* A Unix socket at PATH, for its owner alone. One that nobody listens on any more is replaced. WHY gets a sentence. INUSE, EXISTS, BADARG, DENIED, IO. */
DVS_MUST_USE dvs_err listen_unix(const char *path, int *fd, char why[LISTEN_WHY_MAX + 1]);
/* TEXT is ADDRESS:PORT or [ADDRESS]:PORT, in numbers. *IS_LOCAL: only this machine can reach it. */
DVS_MUST_USE dvs_err listen_tcp(const char *text, int *fd, bool *is_local,
				char why[LISTEN_WHY_MAX + 1]);

#endif
