/* SPDX-License-Identifier: Apache-2.0 */
#include "client/hold.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define RETAKE_MS 100u
/* For so long at most a release goes unnoticed. */
#define LOOK_MS 100u
#define HOLD_PATH_MAX 700

enum hold_state { HOLD_BEGINS, HOLD_HELD, HOLD_LOST, HOLD_FAILED, HOLD_RELEASING, HOLD_OVER };

struct hold {
	struct hold_config config; /* its texts are those that follow */
	char run_dir[HOLD_PATH_MAX + 1];
	char text[HOLD_PATH_MAX + 1]; /* DC/VOLUME[@SNAPSHOT] */
	bool needs_claim;
	char dc[DVS_NAME_MAX + 1];
	char name[VOLUME_NAME_MAX + 1];
	struct volume_disk disk; /* the link; its endpoint is the thread's of hold_run() */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* under the lock */
	enum hold_state state;
	uint64_t term;
	struct claim_holder mine;
	dvs_err err; /* FAILED */
	char why[CLAIM_WHY_MAX];
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

static struct claim_place place_of(const struct hold *hold, struct dvk *admin)
{
	return (struct claim_place){ .admin = admin,
				     .dvk = hold->disk.dvk,
				     .dc = hold->dc,
				     .volume = hold->name,
				     .id = hold->disk.id };
}

static dvs_err give_up(struct hold *hold)
{
	struct dvk *admin;
	struct claim_place place;
	dvs_err err = dvk_admin_open(hold->config.run_dir, &admin);

	if (err)
		return err;
	place = place_of(hold, admin);
	err = claim_give_up(&place, hold->mine.token, hold->disk.claim);
	dvk_close(admin);
	return err;
}

static dvs_err claim_it(struct hold *hold, bool is_again, struct volume_disk *held)
{
	struct dvk *admin;
	struct claim_place place;
	dvs_err err = dvk_admin_open(hold->config.run_dir, &admin);

	if (err)
		return err;
	place = place_of(hold, admin);
	err = claim_take(&place, &hold->mine, is_again, &held->claim, hold->why);
	/* The volume knows the number of one that is taken again. */
	if (!err && !is_again)
		err = claim_enforce(held, hold->config.open_ms);
	if (!err && !is_again)
		hold->disk.claim = held->claim;
	if (err && !is_again)
		(void)!claim_give_up(&place, hold->mine.token, held->claim);
	dvk_close(admin);
	return err == DVS_STALE ? DVS_DENIED : err;
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
			err = claim_it(hold, is_again, held);
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
	dvs_err err = dvk_admin_open(hold->config.run_dir, admin);

	if (err)
		return err;
	err = dvk_watch(*admin);
	if (err) {
		dvk_close(*admin);
		*admin = NULL;
	}
	return err;
}

static dvs_err open_disk(struct hold *hold, char why[VOLUME_WHY_MAX + 1])
{
	const struct hold_config *config = &hold->config;
	struct dvk *admin;
	dvs_err err;

	if (!config->dvk)
		return volume_open(config->run_dir, config->volume, config->open_ms, &hold->disk,
				   why);
	err = dvk_admin_open(config->run_dir, &admin);
	if (err)
		return err;
	err = volume_open_on(admin, config->dvk, config->volume, config->open_ms, &hold->disk, why);
	dvk_close(admin);
	return err;
}

/* In the thread that opened it: an endpoint ends with its thread. */
static void close_disk(struct hold *hold)
{
	if (hold->config.dvk)
		volume_close_thread(&hold->disk);
	else
		volume_close(&hold->disk);
}

static dvs_err begin(struct hold *hold, struct dvk **admin, struct volume_disk *held)
{
	char why[VOLUME_WHY_MAX + 1] = "";
	dvs_err err = open_disk(hold, why);

	if (err) {
		(void)snprintf(hold->why, sizeof(hold->why), "%s", why);
		return err;
	}
	if (hold->disk.is_read_only)
		hold->needs_claim = false;
	err = watch(hold, admin);
	if (!err)
		err = take(hold, false, held);
	if (err && !hold->why[0])
		(void)snprintf(hold->why, sizeof(hold->why), "the claim on the volume: %s",
			       dvs_strerror(err));
	if (err)
		close_disk(hold);
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
		log_warning(&hold->config.log,
			    "this node was cut off, or its dvsd gone: asking for the claim again",
			    LOG_STR("volume", hold->config.volume));
		set_state(hold, HOLD_LOST);
		volume_close_thread(&held);
		err = take_again(hold, &admin, &held);
	}
	if (get_state(hold) != HOLD_RELEASING) {
		dvk_close(admin);
		/* Who opens it is told why it cannot be had at all. */
		if (hold->term) {
			log_error(&hold->config.log, "the volume is not ours any more",
				  LOG_STR("volume", hold->config.volume),
				  LOG_STR("why", hold->why[0] ? hold->why : dvs_strerror(err)));
			volume_close_thread(&hold->disk);
		}
		fail(hold, err);
		return NULL;
	}
	dvk_close(admin);
	/* As long as the endpoint is bound nobody else takes it. */
	if (!err && hold->needs_claim && give_up(hold))
		log_warning(&hold->config.log, "the claim ends with its endpoint only");
	if (!err)
		volume_close_thread(&held);
	volume_close_thread(&hold->disk);
	set_state(hold, HOLD_OVER);
	return NULL;
}

/* ---- for the others ---- */

/* A text of the caller's; NULL stays NULL. */
static bool keep_text(const char **text, char room[HOLD_PATH_MAX + 1])
{
	if (!*text)
		return true;
	if (snprintf(room, HOLD_PATH_MAX + 1, "%s", *text) > HOLD_PATH_MAX)
		return false;
	*text = room;
	return true;
}

static dvs_err name_it(struct hold *hold)
{
	char snapshot[DVS_NAME_MAX + 1];
	uint64_t number = 0;

	if (!keep_text(&hold->config.run_dir, hold->run_dir) ||
	    !keep_text(&hold->config.volume, hold->text))
		return DVS_TOOBIG;
	if (!volume_name_split(hold->config.volume, hold->dc, hold->name, snapshot)) {
		(void)snprintf(hold->why, sizeof(hold->why),
			       "that is no name of a volume; write DC/VOLUME or"
			       " DC/VOLUME@SNAPSHOT");
		return DVS_BADARG;
	}
	if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
		return DVS_IO;
	(void)snprintf(hold->mine.token, sizeof(hold->mine.token), "%016llx",
		       (unsigned long long)number);
	(void)snprintf(hold->mine.about, sizeof(hold->mine.about), "%s",
		       hold->config.about ? hold->config.about : "");
	hold->mine.kind = hold->config.kind;
	hold->mine.is_shared = hold->config.is_shared;
	hold->needs_claim = !hold->config.is_read_only && !snapshot[0];
	return DVS_OK;
}

static void hold_free(struct hold *hold)
{
	pthread_cond_destroy(&hold->changed);
	pthread_mutex_destroy(&hold->lock);
	free(hold);
}

dvs_err hold_open(const struct hold_config *config, struct hold **out, char why[CLAIM_WHY_MAX])
{
	struct hold *hold = calloc(1, sizeof(*hold));
	pthread_condattr_t monotonic;
	dvs_err err;

	if (!hold)
		return DVS_NOMEM;
	hold->config = *config;
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
	(void)snprintf(why, CLAIM_WHY_MAX, "%s", hold->why[0] ? hold->why : dvs_strerror(err));
	hold_free(hold);
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

void hold_close(struct hold *hold)
{
	enum hold_state state;

	if (!hold)
		return;
	hold_release(hold);
	state = get_state(hold);
	/* A dvsd that does not answer has the thread: it goes with the process. */
	if (state != HOLD_OVER && state != HOLD_FAILED) {
		(void)pthread_detach(hold->thread);
		return;
	}
	(void)pthread_join(hold->thread, NULL);
	if (!hold->config.dvk)
		dvk_close(hold->disk.dvk);
	hold_free(hold);
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
	AUTO_FREE struct claim *claim = malloc(sizeof(*claim));
	struct dvk *admin;
	struct claim_place place;
	dvs_err err = claim ? dvk_admin_open(hold->config.run_dir, &admin) : DVS_NOMEM;

	if (err)
		return err;
	place = place_of(hold, admin);
	err = claim_look(&place, claim);
	dvk_close(admin);
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
