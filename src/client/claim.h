/* SPDX-License-Identifier: Apache-2.0 */
/* Who may write to a volume (decision 0027): the record volume-attach/ID of its DC. Two writers that do not know of each other would destroy what is on it, so there is one holder, or several that all said that they share it. A
 * holder is named with an endpoint, and counts as long as that is bound: so the DVS itself ends the claims of what died or was cut off.
 *
 * Claims have numbers that rise whenever somebody else has the volume. The holder tells its number to the volume (claim_enforce()) before anything else, and puts it into each request that changes something: what comes under a
 * lower one is refused there (STALE), also when it was on its way for long, or its sender slept.
 *
 * claim.c has no calls in it: the text of a record goes in and comes out. claim_take.c changes the record. Who has to hold a claim while nodes come and go: hold.h. */
#ifndef CLIENT_CLAIM_H
#define CLIENT_CLAIM_H

#include <stdbool.h>
#include <stdint.h>

#include <dvs/dvk.h>
#include <dvs/m3ipc.h>

#include "client/volume.h"

#define CLAIM_HOLDERS_MAX 16u
#define CLAIM_TOKEN_MAX 63
#define CLAIM_ABOUT_MAX 127
#define CLAIM_WHY_MAX 400

/* What the holder is. */
enum claim_kind { CLAIM_DEVICE, CLAIM_NBD, CLAIM_FS };

struct claim_holder {
	/* Unique in the DVS. Servers that take over from each other have the same, and it is one of them that has the claim. */
	char token[CLAIM_TOKEN_MAX + 1];
	enum claim_kind kind;
	char about[CLAIM_ABOUT_MAX + 1]; /* FS: its name; NBD: where it listens */
	uint32_t node;
	dvs_ep ep;
	bool is_shared;
};

struct claim {
	uint64_t number; /* of the holders together; it stays when there are none */
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
/* Add MINE, instead of one with its token. The number rises, unless MINE joins others, or IS_AGAIN: it had the claim and nobody else did since. INUSE: *OTHER has it, and does not share it or MINE does not. FULL. */
DVS_MUST_USE dvs_err claim_add(struct claim *claim, const struct claim_holder *mine, bool is_again,
			       const struct claim_holder **other);
bool claim_has(const struct claim *claim, const char *token);
void claim_drop(struct claim *claim, const char *token);
/* The record's key for the volume with ID. */
void claim_key(const char *id, char key[DVS_NAME_MAX + 1]);
/* A sentence: what has VOLUME ("DC/VOLUME"), where, and how it gives it up. */
void claim_tell(const struct claim_holder *holder, const char *volume, char why[CLAIM_WHY_MAX]);

/* ---- claim_take.c ---- */

/* A volume, over an admin link and one with its DC (the admin link does for both if it has entered the DC). */
struct claim_place {
	struct dvk *admin;
	struct dvk *dvk;
	const char *dc;
	const char *volume; /* its name */
	const char *id;
};

/* Take the claim for MINE, whose endpoint is bound; IS_AGAIN: MINE had it and was cut off. *NUMBER is its number. INUSE: WHY is claim_tell()'s sentence. DENIED: MINE was forgotten, so somebody else may have written. FULL, CORRUPT, NOMEM, NOQUORUM, NODVSD. */
DVS_MUST_USE dvs_err claim_take(const struct claim_place *place, const struct claim_holder *mine,
				bool is_again, uint64_t *number, char why[CLAIM_WHY_MAX]);
/* Let others have it, if TOKEN has it under NUMBER. */
DVS_MUST_USE dvs_err claim_give_up(const struct claim_place *place, const char *token,
				   uint64_t number);
/* Who holds it now; those that are dead are left out. No record: nobody. */
DVS_MUST_USE dvs_err claim_look(const struct claim_place *place, struct claim *claim);
/* Make the server of DISK refuse whoever has a lower number than disk->claim. When it returns, what they have changed before is done. STALE: somebody has a higher one. NODEST: no server in time. */
DVS_MUST_USE dvs_err claim_enforce(const struct volume_disk *disk, uint32_t timeout_ms);

#endif
