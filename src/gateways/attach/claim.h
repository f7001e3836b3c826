/* SPDX-License-Identifier: Apache-2.0 */
/* Who may write to a volume as to a device: the record volume-attach/ID of its DC. Two file systems that do not know of each other would destroy it, so
 * there is one holder, or several that all said that they share it. A holder is named with an endpoint, and
 * counts as long as that is bound: so the DVS itself ends the claims of what died or was cut off. Who comes back looks whether the record still names it (hold.h). This file has no calls in it: the text of a record goes in and comes out. */
#ifndef GATEWAYS_ATTACH_CLAIM_H
#define GATEWAYS_ATTACH_CLAIM_H

#include <stdbool.h>
#include <stdint.h>

#include <dvs/m3ipc.h>

#include "gateways/attach/attach.h"

#define CLAIM_HOLDERS_MAX 16u

struct claim_holder {
	char token[ATTACH_TOKEN_MAX + 1]; /* unique in the DVS */
	uint32_t node;
	dvs_ep ep;
	bool is_shared;
};

struct claim {
	uint32_t n;
	struct claim_holder holders[CLAIM_HOLDERS_MAX];
};

/* TEXT (LEN bytes; none: nobody holds it). CORRUPT. */
DVS_MUST_USE dvs_err claim_parse(const void *text, size_t len, struct claim *claim);
/* *TEXT is malloc'ed. NOMEM. */
DVS_MUST_USE dvs_err claim_print(const struct claim *claim, char **text);
/* Forget those that IS_ALIVE says no of; the others keep their order. */
void claim_forget_dead(struct claim *claim, bool (*is_alive)(void *context, dvs_ep ep),
		       void *context);
/* Add MINE, instead of one with its token. INUSE: *OTHER has it, and does not share it or MINE does not. FULL. */
DVS_MUST_USE dvs_err claim_add(struct claim *claim, const struct claim_holder *mine,
			       const struct claim_holder **other);
bool claim_has(const struct claim *claim, const char *token);
void claim_drop(struct claim *claim, const char *token);

#endif
