/* SPDX-License-Identifier: Apache-2.0 */
/* The claims of this gateway (client/claim.h): one for each volume that a client can write to, however many clients. It is taken for the first and given up after the last. */
#ifndef GATEWAYS_NBD_CLAIMS_H
#define GATEWAYS_NBD_CLAIMS_H

#include <stdbool.h>

#include "base/log.h"
#include "client/hold.h"

struct nbd_claims;
struct nbd_claim;

/* As in struct hold_config, and live as long as the claims. */
struct nbd_claims_options {
	const char *run_dir;
	struct dvk *dvk;
	const char *about;
	bool is_shared;
	const struct log *log;
};

DVS_MUST_USE dvs_err nbd_claims_open(const struct nbd_claims_options *options,
				     struct nbd_claims **claims);
/* NULL is fine. All have been put. */
void nbd_claims_close(struct nbd_claims *claims);
/* That on DISK, which is VOLUME ("DC/VOLUME"): disk->claim is its number then. For any thread; others that want a claim wait meanwhile, up to some seconds when the volume's server is slow. INUSE, DENIED: somebody else has it; and as hold_open(). WHY gets a sentence. */
DVS_MUST_USE dvs_err nbd_claims_get(struct nbd_claims *claims, const char *volume,
				    struct volume_disk *disk, struct nbd_claim **claim,
				    char why[CLAIM_WHY_MAX]);
/* NULL is fine. */
void nbd_claims_put(struct nbd_claims *claims, struct nbd_claim *claim);

#endif
