/* SPDX-License-Identifier: Apache-2.0 */
/* A file with the number of the process, which holds a lock on it as long as it lives: so nobody takes another process for it. */
#ifndef GATEWAYS_NBD_PIDFILE_H
#define GATEWAYS_NBD_PIDFILE_H

#include <stddef.h>

#include <dvs/error.h>

#include "base/compiler.h"

#define PIDFILE_WHY_MAX 255

struct pidfile {
	int fd;
	const char *path;
};

/* PATH stays the caller's. WHY gets a sentence. INUSE: another process holds it. DENIED, NOTFOUND, IO. */
DVS_MUST_USE dvs_err pidfile_open(const char *path, struct pidfile *pidfile,
				  char why[PIDFILE_WHY_MAX + 1]);
/* Removes the file. One that was never opened is fine. */
void pidfile_close(struct pidfile *pidfile);

#endif
