/* SPDX-License-Identifier: Apache-2.0 */
/* Having a volume open with a claim on it (claim.h), while nodes come and go: a thread that holds the claim's endpoint, and asks for the claim again when this node was cut off: nobody else may have taken it. Each time
 * is a term; endpoints that were bound in an earlier one are not used any more. The claim's number stays the same. */
#ifndef CLIENT_HOLD_H
#define CLIENT_HOLD_H

#include "base/log.h"
#include "client/claim.h"

struct hold;

/* All texts are copied. */
struct hold_config {
	const char *run_dir; /* as in dvk_admin_open() */
	struct dvk *dvk;     /* a link with the DC, which lives longer; NULL: one of its own */
	const char *volume;  /* DC/VOLUME[@SNAPSHOT] */
	enum claim_kind kind;
	const char *about; /* as in struct claim_holder; NULL: nothing */
	bool is_read_only; /* what is only read needs no claim, nor does a snapshot */
	bool is_shared;
	uint32_t open_ms; /* how long the volume's server may take at the beginning */
	struct log log;
};

/* Open the volume and take the claim, if it needs one. INUSE: somebody has it; and as volume_open(). WHY gets a sentence. */
DVS_MUST_USE dvs_err hold_open(const struct hold_config *config, struct hold **hold,
			       char why[CLAIM_WHY_MAX]);
/* Let others have it; the disk can be used no more. For who ends with it. */
void hold_release(struct hold *hold);
/* The same, and free it. Nobody has a thread's disk of hold_disk() any more. NULL is fine. */
void hold_close(struct hold *hold);
/* For volume_open_thread(); its claim is that which is held. */
const struct volume_disk *hold_disk(const struct hold *hold);

/* For any thread. Wait until the claim is held. DENIED: somebody else has it now, for good. NODVSD: not in time. */
DVS_MUST_USE dvs_err hold_wait(struct hold *hold, uint64_t deadline_ns, uint64_t *term);
/* Whether the claim of TERM is still held, as dvsd knows it. NOTBOUND: it is not. */
DVS_MUST_USE dvs_err hold_check(struct hold *hold, uint64_t term);
/* Wait MS, or until a claim is held anew. */
void hold_pause(struct hold *hold, uint32_t ms);

#endif
