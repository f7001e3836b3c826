/* SPDX-License-Identifier: Apache-2.0 */
#include "gateways/nbd/claims.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/list.h"

/* The volume's server has just answered. */
#define OPEN_MS 8000u
/* A claim that is asked for again, because this node was cut off, is waited for so long. */
#define AGAIN_NS (8 * CLOCK_NS_PER_S)

struct nbd_claim {
	struct list of_claims;
	char id[sizeof(((struct volume_disk *)0)->id)];
	struct hold *hold;
	uint32_t n_users;
};

struct nbd_claims {
	struct nbd_claims_options options;
	pthread_mutex_t
		lock; /* also while one is taken or given up: who wants the same waits for that */
	struct list all; /* under it */
};

dvs_err nbd_claims_open(const struct nbd_claims_options *options, struct nbd_claims **out)
{
	struct nbd_claims *claims = calloc(1, sizeof(*claims));

	if (!claims)
		return DVS_NOMEM;
	claims->options = *options;
	pthread_mutex_init(&claims->lock, NULL);
	list_init(&claims->all);
	*out = claims;
	return DVS_OK;
}

void nbd_claims_close(struct nbd_claims *claims)
{
	if (!claims)
		return;
	assert(list_is_empty(&claims->all));
	pthread_mutex_destroy(&claims->lock);
	free(claims);
}

static struct nbd_claim *find_locked(struct nbd_claims *claims, const char *id)
{
	LIST_FOREACH(link, &claims->all) {
		struct nbd_claim *claim = CONTAINER_OF(link, struct nbd_claim, of_claims);

		if (strcmp(claim->id, id) == 0)
			return claim;
	}
	return NULL;
}

static dvs_err take_locked(struct nbd_claims *claims, const char *volume, const char *id,
			   struct nbd_claim **out, char why[CLAIM_WHY_MAX])
{
	const struct hold_config config = { .run_dir = claims->options.run_dir,
					    .dvk = claims->options.dvk,
					    .volume = volume,
					    .kind = CLAIM_NBD,
					    .about = claims->options.about,
					    .is_shared = claims->options.is_shared,
					    .open_ms = OPEN_MS,
					    .log = *claims->options.log };
	struct nbd_claim *claim = calloc(1, sizeof(*claim));
	dvs_err err = claim ? hold_open(&config, &claim->hold, why) : DVS_NOMEM;

	if (err) {
		free(claim);
		return err;
	}
	(void)snprintf(claim->id, sizeof(claim->id), "%s", id);
	list_add_tail(&claims->all, &claim->of_claims);
	*out = claim;
	return DVS_OK;
}

dvs_err nbd_claims_get(struct nbd_claims *claims, const char *volume, struct volume_disk *disk,
		       struct nbd_claim **out, char why[CLAIM_WHY_MAX])
{
	struct nbd_claim *claim;
	uint64_t term;
	dvs_err err = DVS_OK;

	why[0] = '\0';
	pthread_mutex_lock(&claims->lock);
	claim = find_locked(claims, disk->id);
	if (claim)
		err = hold_wait(claim->hold, clock_deadline_ns(AGAIN_NS), &term);
	else
		err = take_locked(claims, volume, disk->id, &claim, why);
	if (!err) {
		claim->n_users++;
		disk->claim = hold_disk(claim->hold)->claim;
		*out = claim;
	}
	pthread_mutex_unlock(&claims->lock);
	if (err && !why[0])
		(void)snprintf(why, CLAIM_WHY_MAX, "%s",
			       err == DVS_DENIED ? "this node was cut off, and somebody else has "
						   "the volume since; end all clients of it here" :
						   dvs_strerror(err));
	return err;
}

void nbd_claims_put(struct nbd_claims *claims, struct nbd_claim *claim)
{
	if (!claim)
		return;
	pthread_mutex_lock(&claims->lock);
	if (--claim->n_users == 0) {
		list_remove(&claim->of_claims);
		hold_close(claim->hold);
		free(claim);
	}
	pthread_mutex_unlock(&claims->lock);
}
