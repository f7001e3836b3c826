/* SPDX-License-Identifier: Apache-2.0 */
/* Loop devices. One that this room makes clears itself when nobody has it open any more. */
#ifndef GATEWAYS_ATTACH_LOOP_H
#define GATEWAYS_ATTACH_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include <dvs/error.h>

#include "gateways/attach/backend.h"

#define LOOP_DEVICE_MAX 32

/* A free loop device over FILE_FD: its path to DEVICE, and open as *FD, which keeps it. DVS_FULL: there is none. WHY gets a sentence. */
DVS_MUST_USE dvs_err loop_make(int file_fd, const char *name, bool is_read_only,
			       char device[LOOP_DEVICE_MAX], int *fd, char why[ATTACH_WHY_MAX]);
/* The file under it has another size now. */
DVS_MUST_USE dvs_err loop_resized(int fd);
/* Whether DEVICE is a loop device over a file called NAME (whatever its folder). */
bool loop_is_over(const char *device, const char *name);

#endif
