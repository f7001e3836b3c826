/* SPDX-License-Identifier: Apache-2.0 */
/* The volumes of a DC as exports: VOLUME, and VOLUME@SNAPSHOT for its snapshots. Their servers are called by M3-IPC. A server that is gone is waited for, and called again: clients see a pause. */
#ifndef GATEWAYS_NBD_VOLUMES_H
#define GATEWAYS_NBD_VOLUMES_H

#include <stdbool.h>
#include <stdint.h>

#include <dvs/error.h>

#include "base/compiler.h"
#include "base/log.h"
#include "gateways/nbd/backend.h"

#define VOLUMES_WHY_MAX 255
#define VOLUMES_PATIENCE_S 60u

struct volumes_options {
	const char *run_dir; /* as in dvk_admin_open() */
	const char *dc;
	const char *const *names; /* VOLUME or VOLUME@SNAPSHOT; */
	uint32_t n_names;	  /* 0: all that DC has */
	uint32_t patience_s;	  /* so long a server that is gone is waited for */
	const char *about; /* where this gateway listens: others are told when it has a volume */
	bool is_shared; /* other writers that say so, too, can have its volumes at the same time */
	const struct log *log;
};

/* OPTIONS, and what they point to, live as long as the backend. WHY gets a sentence. NODC, NODVSD, DENIED, NOMEM. */
DVS_MUST_USE dvs_err volumes_open(const struct volumes_options *options,
				  struct nbd_backend **backend, char why[VOLUMES_WHY_MAX + 1]);
/* All its disks are closed. */
void volumes_close(struct nbd_backend *backend);

#endif
