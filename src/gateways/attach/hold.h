/* SPDX-License-Identifier: Apache-2.0 */
/* Having a volume open with a claim on it, while nodes come and go: a thread that holds the claim's endpoint, and asks for the claim again when this node was cut off: nobody else may have taken it. Each time
 * is a term; endpoints that were bound in an earlier one are not used any more. */
#ifndef GATEWAYS_ATTACH_HOLD_H
#define GATEWAYS_ATTACH_HOLD_H

#include "client/volume.h"
#include "gateways/attach/disk.h"

struct hold;

/* Open the volume and take the claim, if it needs one (what is only read does not). INUSE: somebody has it; and as volume_open(). WHY gets a sentence. */
DVS_MUST_USE dvs_err hold_open(const struct disk_config *config, struct hold **hold,
			       char why[ATTACH_WHY_MAX]);
/* Let others have it. */
void hold_release(struct hold *hold);
/* For volume_open_thread(). */
const struct volume_disk *hold_disk(const struct hold *hold);

/* For any thread. Wait until the claim is held. DENIED: somebody else has it now, for good. NODVSD: not in time. */
DVS_MUST_USE dvs_err hold_wait(struct hold *hold, uint64_t deadline_ns, uint64_t *term);
/* Whether the claim of TERM is still held, as dvsd knows it. NOTBOUND: it is not. */
DVS_MUST_USE dvs_err hold_check(struct hold *hold, uint64_t term);
/* Wait MS, or until a claim is held anew. */
void hold_pause(struct hold *hold, uint32_t ms);

#endif
