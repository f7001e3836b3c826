/* SPDX-License-Identifier: Apache-2.0 */
#include "gateways/attach/hold.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "gateways/attach/claim.h"

/* The claim changes while it is being read: so often it is tried again. */
#define TRIES_MAX 32
#define RETAKE_MS 100u
/* For so long at most a release goes unnoticed. */
#define LOOK_MS 100u

enum hold_state { HOLD_BEGINS, HOLD_HELD, HOLD_LOST, HOLD_FAILED, HOLD_RELEASING, HOLD_OVER };

struct hold {
	const struct disk_config *config;
	bool needs_claim;
	char dc[DVS_NAME_MAX + 1];
	char name[VOLUME_NAME_MAX + 1];
	char key[DVS_NAME_MAX + 1];
	struct volume_disk disk; /* the link; its endpoint is the thread's of hold_run() */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* under the lock */
	enum hold_state state;
	uint64_t term;
	struct claim_holder mine;
	dvs_err err; /* FAILED */
	char why[ATTACH_WHY_MAX];
};

static void set_state(struct hold *hold, enum hold_state state)
{
	pthread_mutex_lock(&hold->lock);
	/* What is released stays so. */
	if (hold->state != HOLD_RELEASING || state == HOLD_OVER)
		hold->state = state;
	hold->term += state == HOLD_HELD;
	pthread_cond_broadcast(&hold->changed);
	pthread_mutex_unlock(&hold->lock);
}

static enum hold_state get_state(struct hold *hold)
{
	enum hold_state state;

	pthread_mutex_lock(&hold->lock);
	state = hold->state;
	pthread_mutex_unlock(&hold->lock);
	return state;
}

/* ---- the claim ---- */

static bool is_alive(void *context, dvs_ep ep)
{
	struct hold *hold = context;
	struct dvk_endpoint_info info;

	/* In doubt it is: then somebody waits, and nothing is destroyed. */
	return dvk_endpoint_info(hold->disk.dvk, ep, &info) != DVS_NODEST;
}

static void tell_other(struct hold *hold, const struct claim_holder *other)
{
	(void)snprintf(hold->why, sizeof(hold->why),
		       "it is attached on node %u%s; two file systems that do not know of each"
		       " other would destroy it (--read-only, or --shared for both)",
		       other->node, other->is_shared ? ", shared" : "");
}

static dvs_err change_once(struct hold *hold, struct dvk *admin, bool is_again, bool drop)
{
	AUTO_FREE char *value = malloc(DVK_VALUE_MAX);
	AUTO_FREE struct claim *claim = malloc(sizeof(*claim));
	AUTO_FREE char *text = NULL;
	const struct claim_holder *other;
	uint64_t version = 0;
	size_t len = 0;
	dvs_err err;

	if (!value || !claim)
		return DVS_NOMEM;
	err = dvk_record_get(admin, hold->dc, hold->key, value, &len, &version);
	if (err == DVS_NOTFOUND) {
		version = 0;
		len = 0;
		err = DVS_OK;
	}
	if (!err)
		err = claim_parse(value, len, claim);
	if (err)
		return err;
	/* Who forgot us may have written since: what a file system here knows of the disk is not true any more. */
	if (is_again && !claim_has(claim, hold->mine.token))
		return DVS_DENIED;
	claim_forget_dead(claim, is_alive, hold);
	if (drop)
		claim_drop(claim, hold->mine.token);
	else if ((err = claim_add(claim, &hold->mine, &other)) == DVS_INUSE)
		tell_other(hold, other);
	if (!err)
		err = claim_print(claim, &text);
	if (!err)
		err = dvk_record_set(admin, hold->dc, hold->key, version, text, strlen(text), NULL);
	return err;
}

/* DROP: give it up. IS_AGAIN: only if it is in the record already. */
static dvs_err change(struct hold *hold, bool is_again, bool drop)
{
	struct dvk *admin;
	dvs_err err = dvk_admin_open(hold->config->run_dir, &admin);

	if (err)
		return err;
	for (int i = 0; i < TRIES_MAX; i++) {
		err = change_once(hold, admin, is_again, drop);
		if (err != DVS_EXISTS && err != DVS_NOTFOUND)
			break;
	}
	dvk_close(admin);
	return err;
}

/* With an endpoint of this thread, whose end is the claim's. */
static dvs_err take(struct hold *hold, bool is_again, struct volume_disk *held)
{
	struct dvk_dvs_info info;
	dvs_err err = volume_open_thread(&hold->disk, held);

	if (err)
		return err;
	err = dvk_dvs_info(hold->disk.dvk, &info);
	if (!err) {
		pthread_mutex_lock(&hold->lock);
		hold->mine.ep = m3_self(held->self);
		hold->mine.node = info.node.n;
		pthread_mutex_unlock(&hold->lock);
		if (hold->needs_claim)
			err = change(hold, is_again, false);
	}
	if (err)
		volume_close_thread(held);
	return err;
}

static bool is_cut(const struct dvk_event *event)
{
	return !strcmp(event->what, "quorum.lost") || !strcmp(event->what, "quorum.won");
}

/* Whether nothing has happened by which the claim could be somebody else's: the endpoint is bound, and this node was not cut off. (A node that comes back gets its endpoints back as
 * they were, decision 0017: that they are bound says nothing.) */
static bool is_undisturbed(struct dvk *admin, const struct volume_disk *held)
{
	struct dvk_event event;
	struct dvs_msg ignored;
	uint64_t n_lost = 0;
	dvs_err err = dvk_event_next(admin, LOOK_MS, &event, &n_lost);

	if ((err != DVS_OK && err != DVS_TIMEOUT) || n_lost > 0 || (!err && is_cut(&event)))
		return false;
	return m3_receive(held->self, dvs_ep_any(), &ignored, 0) != DVS_NOTBOUND;
}

/* Until the claim is in doubt, or is released. */
static void stay(struct hold *hold, struct dvk *admin, const struct volume_disk *held)
{
	while (get_state(hold) == HOLD_HELD && is_undisturbed(admin, held))
		;
}

/* What happens is told from here on: to be asked for before the claim is taken. */
static dvs_err watch(const struct hold *hold, struct dvk **admin)
{
	dvs_err err = dvk_admin_open(hold->config->run_dir, admin);

	if (err)
		return err;
	err = dvk_watch(*admin);
	if (err) {
		dvk_close(*admin);
		*admin = NULL;
	}
	return err;
}

/* By the volume's id: what a former one of that name left is not meant. */
static dvs_err name_record(struct hold *hold)
{
	AUTO_FREE struct volume *volume = malloc(sizeof(*volume));
	struct dvk *admin;
	dvs_err err = volume ? dvk_admin_open(hold->config->run_dir, &admin) : DVS_NOMEM;

	if (err)
		return err;
	err = volume_get(admin, hold->dc, hold->name, volume, NULL);
	dvk_close(admin);
	if (!err)
		(void)snprintf(hold->key, sizeof(hold->key), "volume-attach/%s", volume->id);
	return err;
}

static dvs_err begin(struct hold *hold, struct dvk **admin, struct volume_disk *held)
{
	const struct disk_config *config = hold->config;
	char why[VOLUME_WHY_MAX + 1] = "";
	dvs_err err =
		volume_open(config->run_dir, config->volume, config->open_ms, &hold->disk, why);

	if (err) {
		(void)snprintf(hold->why, sizeof(hold->why), "%s", why);
		return err;
	}
	if (config->is_read_only || hold->disk.is_read_only)
		hold->needs_claim = false;
	if (hold->needs_claim)
		err = name_record(hold);
	if (!err)
		err = watch(hold, admin);
	if (!err)
		err = take(hold, false, held);
	if (err && !hold->why[0])
		(void)snprintf(hold->why, sizeof(hold->why), "the claim on the volume: %s",
			       dvs_strerror(err));
	/* In this thread: an endpoint ends with it. */
	if (err)
		volume_close(&hold->disk);
	return err;
}

static dvs_err take_again(struct hold *hold, struct dvk **admin, struct volume_disk *held)
{
	for (;;) {
		dvs_err err;

		dvk_close(*admin);
		*admin = NULL;
		err = watch(hold, admin);
		if (!err)
			err = take(hold, hold->needs_claim, held);
		if (!err || err == DVS_DENIED || err == DVS_INUSE ||
		    get_state(hold) == HOLD_RELEASING)
			return err;
		/* dvsd or the quorum is away: nobody else can take it meanwhile. */
		hold_pause(hold, RETAKE_MS);
	}
}

static void fail(struct hold *hold, dvs_err err)
{
	hold->err = err;
	set_state(hold, HOLD_FAILED);
}

static void *hold_run(void *context)
{
	struct hold *hold = context;
	struct volume_disk held;
	struct dvk *admin = NULL;
	dvs_err err = begin(hold, &admin, &held);

	while (!err) {
		set_state(hold, HOLD_HELD);
		stay(hold, admin, &held);
		if (get_state(hold) == HOLD_RELEASING)
			break;
		log_warning(&hold->config->log,
			    "this node was cut off, or its dvsd gone: asking for the claim again",
			    LOG_STR("volume", hold->config->volume));
		set_state(hold, HOLD_LOST);
		volume_close_thread(&held);
		err = take_again(hold, &admin, &held);
	}
	if (get_state(hold) != HOLD_RELEASING) {
		dvk_close(admin);
		log_error(&hold->config->log, "the volume is not ours",
			  LOG_STR("volume", hold->config->volume),
			  LOG_STR("why", hold->why[0] ? hold->why : dvs_strerror(err)));
		fail(hold, err);
		return NULL;
	}
	dvk_close(admin);
	/* As long as the endpoint is bound nobody else takes it. */
	if (!err && hold->needs_claim && change(hold, true, true))
		log_warning(&hold->config->log, "the claim ends with this process only");
	set_state(hold, HOLD_OVER);
	return NULL;
}

/* ---- for the others ---- */

static dvs_err name_it(struct hold *hold)
{
	char snapshot[DVS_NAME_MAX + 1];
	uint64_t number = 0;

	if (!volume_name_split(hold->config->volume, hold->dc, hold->name, snapshot)) {
		(void)snprintf(hold->why, sizeof(hold->why),
			       "that is no name of a volume; write DC/VOLUME or"
			       " DC/VOLUME@SNAPSHOT");
		return DVS_BADARG;
	}
	if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
		return DVS_IO;
	(void)snprintf(hold->mine.token, sizeof(hold->mine.token), "%016llx",
		       (unsigned long long)number);
	hold->mine.is_shared = hold->config->is_shared;
	hold->needs_claim = !hold->config->is_read_only && !snapshot[0];
	return DVS_OK;
}

dvs_err hold_open(const struct disk_config *config, struct hold **out, char why[ATTACH_WHY_MAX])
{
	struct hold *hold = calloc(1, sizeof(*hold));
	pthread_condattr_t monotonic;
	dvs_err err;

	if (!hold)
		return DVS_NOMEM;
	hold->config = config;
	pthread_mutex_init(&hold->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&hold->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	err = name_it(hold);
	if (!err && pthread_create(&hold->thread, NULL, hold_run, hold))
		err = DVS_NOMEM;
	if (!err) {
		pthread_mutex_lock(&hold->lock);
		while (hold->state == HOLD_BEGINS)
			pthread_cond_wait(&hold->changed, &hold->lock);
		err = hold->state == HOLD_FAILED ? hold->err : DVS_OK;
		pthread_mutex_unlock(&hold->lock);
		if (err)
			(void)pthread_join(hold->thread, NULL);
	}
	if (!err) {
		*out = hold;
		return DVS_OK;
	}
	(void)snprintf(why, ATTACH_WHY_MAX, "%s", hold->why[0] ? hold->why : dvs_strerror(err));
	free(hold);
	return err;
}

void hold_release(struct hold *hold)
{
	/* Without dvsd the process must end, all the same. */
	uint64_t deadline_ns = clock_deadline_ns(5 * CLOCK_NS_PER_S);
	struct timespec until = clock_timespec(deadline_ns);

	pthread_mutex_lock(&hold->lock);
	if (hold->state == HOLD_FAILED) {
		pthread_mutex_unlock(&hold->lock);
		return;
	}
	hold->state = HOLD_RELEASING;
	pthread_cond_broadcast(&hold->changed);
	pthread_mutex_unlock(&hold->lock);
	pthread_mutex_lock(&hold->lock);
	while (hold->state == HOLD_RELEASING &&
	       pthread_cond_timedwait(&hold->changed, &hold->lock, &until) != ETIMEDOUT)
		;
	pthread_mutex_unlock(&hold->lock);
}

const struct volume_disk *hold_disk(const struct hold *hold)
{
	return &hold->disk;
}

dvs_err hold_wait(struct hold *hold, uint64_t deadline_ns, uint64_t *term)
{
	struct timespec until = clock_timespec(deadline_ns);
	dvs_err err = DVS_OK;

	pthread_mutex_lock(&hold->lock);
	while (hold->state == HOLD_LOST && !err)
		err = pthread_cond_timedwait(&hold->changed, &hold->lock, &until) == ETIMEDOUT ?
			      DVS_NODVSD :
			      DVS_OK;
	if (hold->state == HOLD_FAILED)
		err = DVS_DENIED;
	*term = hold->term;
	pthread_mutex_unlock(&hold->lock);
	return err;
}

/* NOTBOUND: the record does not name us. */
static dvs_err is_recorded(struct hold *hold)
{
	AUTO_FREE char *value = malloc(DVK_VALUE_MAX);
	AUTO_FREE struct claim *claim = malloc(sizeof(*claim));
	struct dvk *admin;
	size_t len = 0;
	dvs_err err = value && claim ? dvk_admin_open(hold->config->run_dir, &admin) : DVS_NOMEM;

	if (err)
		return err;
	err = dvk_record_get(admin, hold->dc, hold->key, value, &len, NULL);
	dvk_close(admin);
	if (!err)
		err = claim_parse(value, len, claim);
	if (err)
		return err;
	return claim_has(claim, hold->mine.token) ? DVS_OK : DVS_NOTBOUND;
}

dvs_err hold_check(struct hold *hold, uint64_t term)
{
	struct dvk_endpoint_info info;
	dvs_ep ep;
	bool is_same;
	dvs_err err;

	pthread_mutex_lock(&hold->lock);
	is_same = hold->term == term && hold->state == HOLD_HELD;
	ep = hold->mine.ep;
	pthread_mutex_unlock(&hold->lock);
	if (!is_same)
		return DVS_NOTBOUND;
	err = dvk_endpoint_info(hold->disk.dvk, ep, &info);
	if (err)
		return err == DVS_NODEST ? DVS_NOTBOUND : err;
	return hold->needs_claim ? is_recorded(hold) : DVS_OK;
}

void hold_pause(struct hold *hold, uint32_t ms)
{
	struct timespec until = clock_timespec(clock_deadline_ns(ms * CLOCK_NS_PER_MS));

	pthread_mutex_lock(&hold->lock);
	(void)pthread_cond_timedwait(&hold->changed, &hold->lock, &until);
	pthread_mutex_unlock(&hold->lock);
}
