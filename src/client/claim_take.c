/* SPDX-License-Identifier: Apache-2.0 */
/* The record of a claim is changed by compare-and-set. It is never removed while its volume is there: there is no moment in which a removal could meet somebody else's claim, and its number goes on. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "client/claim.h"
#include "client/vdd_calls.h"

/* The claim changes while it is being read: so often it is tried again. */
#define TRIES_MAX 32
/* So long a server that is there may take; it writes a file. */
#define ENFORCE_MS 10000u
#define AGAIN_MS 200u
#define PAUSE_MS 20

static bool is_alive(void *context, dvs_ep ep)
{
	const struct claim_place *place = context;
	struct dvk_endpoint_info info;

	/* In doubt it is: then somebody waits, and nothing is destroyed. */
	return dvk_endpoint_info(place->dvk, ep, &info) != DVS_NODEST;
}

/* *VERSION 0: there is none. */
static dvs_err get(const struct claim_place *place, struct claim *claim, uint64_t *version)
{
	AUTO_FREE char *value = malloc(DVK_VALUE_MAX);
	char key[DVS_NAME_MAX + 1];
	size_t len = 0;
	dvs_err err;

	if (!value)
		return DVS_NOMEM;
	claim_key(place->id, key);
	err = dvk_record_get(place->admin, place->dc, key, value, &len, version);
	if (err == DVS_NOTFOUND) {
		*version = 0;
		len = 0;
		err = DVS_OK;
	}
	return err ? err : claim_parse(value, len, claim);
}

static dvs_err set(const struct claim_place *place, const struct claim *claim, uint64_t version)
{
	AUTO_FREE char *text = NULL;
	char key[DVS_NAME_MAX + 1];
	dvs_err err = claim_print(claim, &text);

	claim_key(place->id, key);
	return err ? err :
		     dvk_record_set(place->admin, place->dc, key, version, text, strlen(text),
				    NULL);
}

static dvs_err take_once(const struct claim_place *place, const struct claim_holder *mine,
			 bool is_again, uint64_t *number, char why[CLAIM_WHY_MAX])
{
	AUTO_FREE struct claim *claim = malloc(sizeof(*claim));
	const struct claim_holder *other = NULL;
	uint64_t version = 0;
	dvs_err err = claim ? get(place, claim, &version) : DVS_NOMEM;

	if (err)
		return err;
	/* Who forgot us may have written since: what a file system here knows of the disk is not true any more. */
	if (is_again && !claim_has(claim, mine->token))
		return DVS_DENIED;
	claim_forget_dead(claim, is_alive, (void *)(uintptr_t)place);
	err = claim_add(claim, mine, is_again, &other);
	if (err == DVS_INUSE) {
		char volume[2 * DVS_NAME_MAX + 2];

		(void)snprintf(volume, sizeof(volume), "%s/%s", place->dc, place->volume);
		claim_tell(other, volume, why);
	}
	if (!err)
		err = set(place, claim, version);
	*number = claim->number;
	return err;
}

dvs_err claim_take(const struct claim_place *place, const struct claim_holder *mine, bool is_again,
		   uint64_t *number, char why[CLAIM_WHY_MAX])
{
	dvs_err err = DVS_OK;

	for (int i = 0; i < TRIES_MAX; i++) {
		err = take_once(place, mine, is_again, number, why);
		/* Somebody else changed it meanwhile. */
		if (err != DVS_EXISTS && err != DVS_NOTFOUND)
			break;
	}
	return err;
}

dvs_err claim_give_up(const struct claim_place *place, const char *token, uint64_t number)
{
	AUTO_FREE struct claim *claim = malloc(sizeof(*claim));
	dvs_err err = claim ? DVS_OK : DVS_NOMEM;

	for (int i = 0; claim && i < TRIES_MAX; i++) {
		uint64_t version = 0;

		err = get(place, claim, &version);
		if (err || !claim_has(claim, token) || claim->number != number)
			break;
		claim_drop(claim, token);
		err = set(place, claim, version);
		if (err != DVS_EXISTS && err != DVS_NOTFOUND)
			break;
	}
	return err;
}

dvs_err claim_look(const struct claim_place *place, struct claim *claim)
{
	uint64_t version = 0;
	dvs_err err = get(place, claim, &version);

	if (!err)
		claim_forget_dead(claim, is_alive, (void *)(uintptr_t)place);
	return err;
}

/* Its server went, or another one takes over: the same can be asked again. */
static bool will_pass(dvs_err err)
{
	return err == DVS_NODEST || err == DVS_PEERDEAD || err == DVS_NODEDOWN ||
	       err == DVS_BADSTATE || err == DVS_TIMEOUT;
}

dvs_err claim_enforce(const struct volume_disk *disk, uint32_t timeout_ms)
{
	const struct vdd_claim_req request = { .minor = disk->minor, .claim = disk->claim };
	uint64_t deadline_ns = clock_deadline_ns(timeout_ms * CLOCK_NS_PER_MS);
	dvs_err err;

	for (;;) {
		dvs_ep bound;

		err = vdd_call_claim(disk->self, disk->server, &request, NULL, NULL, 0, NULL, 0,
				     NULL, ENFORCE_MS);
		if (!will_pass(err) || clock_is_past(deadline_ns))
			break;
		(void)!dvk_wait_bind(disk->dvk, disk->server, AGAIN_MS, &bound);
		(void)poll(NULL, 0, PAUSE_MS);
	}
	return err == DVS_TIMEOUT ? DVS_NODEST : err;
}
