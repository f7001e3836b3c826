/* SPDX-License-Identifier: Apache-2.0 */
/* What is attached on this node: a folder RUN_DIR/attach/TOKEN for each device, with a file `lock` that the attachment's processes hold as long as one of them lives, and `about`. What
 * dead ones leave is removed by whoever comes next. */
#ifndef GATEWAYS_ATTACH_SLOT_H
#define GATEWAYS_ATTACH_SLOT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <dvs/error.h>

#include "gateways/attach/attach.h"
#include "gateways/attach/backend.h"

struct slot {
	char folder[ATTACH_PATH_MAX];
	char token[ATTACH_TOKEN_MAX + 1];
	int lock_fd; /* inherited by the children: they hold it, too */
};

/* A folder for VOLUME ("DC/VOLUME[@SNAPSHOT]"). FULL. WHY gets a sentence. */
DVS_MUST_USE dvs_err slot_make(const char *run_dir, const char *volume, struct slot *slot,
			       char why[ATTACH_WHY_MAX]);
/* Tell the others about it; from now on it is listed. */
DVS_MUST_USE dvs_err slot_write(const struct slot *slot, const struct attachment *attachment);
/* Whether the kernel still has the slot's DEVICE. */
bool slot_has_device(const struct slot *slot, const char *device);
void slot_remove(struct slot *slot);
/* It stays as that of a dead attachment. */
void slot_leave(struct slot *slot);

#endif
