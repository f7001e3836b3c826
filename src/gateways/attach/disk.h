/* SPDX-License-Identifier: Apache-2.0 */
/* A volume as the backend of an attachment. While its server is away (it is started anew, or a replica takes over) requests wait; an answer that they could not be carried
 * out comes when `patience_ms` have passed. The claim (client/claim.h) is taken at the beginning; a claim that was lost to somebody else, because this node was cut off for long, makes all
 * later requests fail. */
#ifndef GATEWAYS_ATTACH_DISK_H
#define GATEWAYS_ATTACH_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "gateways/attach/keeper.h"

struct disk;

struct disk_config {
	const char *run_dir;
	const char *volume; /* DC/VOLUME[@SNAPSHOT] */
	bool is_read_only;  /* is wanted to be */
	bool is_shared;
	uint32_t open_ms;     /* how long the volume's server may take at the beginning */
	uint32_t patience_ms; /* and later, for each request */
	struct log log;
};

/* For struct attach_source: its context is DISK_CONFIG's, which must outlive it. NOMEM. */
DVS_MUST_USE dvs_err disk_source(const struct disk_config *config, struct attach_source *source);

#endif
