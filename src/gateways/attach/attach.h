/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes that are block devices of this node: what there is, and taking it off. dvs-attach makes them. */
#ifndef GATEWAYS_ATTACH_ATTACH_H
#define GATEWAYS_ATTACH_ATTACH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <dvs/error.h>
#include <jansson.h>

#include "gateways/attach/backend.h"
#include "gateways/attach/loop.h"

#define ATTACHMENTS_MAX 256u
#define ATTACH_VOLUME_MAX 200
#define ATTACH_TOKEN_MAX 240
#define ATTACH_PATH_MAX 1024

struct attachment {
	char token[ATTACH_TOKEN_MAX + 1];   /* names it on this node */
	char volume[ATTACH_VOLUME_MAX + 1]; /* DC/VOLUME[@SNAPSHOT] */
	char device[LOOP_DEVICE_MAX];
	pid_t keeper; /* holds the device */
	pid_t server; /* carries the requests out */
	bool is_read_only;
	bool is_shared;
	bool is_dead; /* its processes have ended, and somebody still has the device open: all it answers are errors */
	uint64_t since_ns; /* CLOCK_REALTIME */
};

/* All attachments of the node of RUN_DIR into *LIST, which the caller frees. What dead ones left is removed. */
DVS_MUST_USE dvs_err attach_list(const char *run_dir, struct attachment **list, size_t *n,
				 char why[ATTACH_WHY_MAX]);

/* Take off WHAT, a device or the name of a volume. It is written out first. FORCE: end it even if somebody uses it, who then gets errors. NOTFOUND. INUSE: it
 * is mounted or otherwise in use. BADSTATE: the volume has several devices here. TIMEOUT: somebody still has it open, it goes when they close it. WHY gets a sentence. */
DVS_MUST_USE dvs_err attach_detach(const char *run_dir, const char *what, bool force,
				   uint32_t timeout_ms, char why[ATTACH_WHY_MAX]);

/* For people, to be added to WHY of attach_detach(): what to try. */
const char *attach_hint(dvs_err err);

/* A row of 'dvs vol attachments'. NULL: no memory. */
json_t *attach_describe(const struct attachment *attachment);
/* Those of all of attach_list() to ROWS, a list. */
DVS_MUST_USE dvs_err attach_rows(const char *run_dir, json_t *rows, char why[ATTACH_WHY_MAX]);

#endif
