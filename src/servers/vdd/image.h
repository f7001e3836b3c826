/* SPDX-License-Identifier: Apache-2.0 */
/* The file of a volume: a block that says of which one it is, then the disk. */
#ifndef SERVERS_VDD_IMAGE_H
#define SERVERS_VDD_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

#define IMAGE_BASE 4096u /* where the disk begins */
#define IMAGE_ID_BYTES 36u

/* Write a sentence to WHY, which has room for DISK_WHY_MAX and its end. */
void why_say(char *why, const char *format, ...) PRINTF_LIKE(2, 3);

/* Make the file PATH (relative to directory AT) for volume ID with BYTES; DO_REPLACE: what an interrupted creation left may be there. EXISTS: there is a file; NOSPACE, DENIED, NOTFOUND, IO. */
DVS_MUST_USE dvs_err image_make(int at, const char *path, const char *id, uint64_t bytes,
				bool do_replace, int *fd, char *why);
/* Open one for writing. CORRUPT: damaged, too short, of another version; EXISTS: of another volume; INUSE, DENIED, NOTFOUND, IO. */
DVS_MUST_USE dvs_err image_open(int at, const char *path, const char *id, uint64_t bytes, int *fd,
				char *why);

#endif
