/* SPDX-License-Identifier: Apache-2.0 */
/* A volume of the DC as a medium, under a claim: the volume refuses what a former server writes, whenever that wakes up (decision 0027). Each thread has an endpoint of its own, made when it first asks. When one of them is lost this node was cut off, and perhaps another server has the file system now: then the medium is over (STALE), and whoever
 * is still to serve opens it anew. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "client/vdd_calls.h"
#include "client/volume.h"
#include "servers/fs/medium.h"

/* For its server to be there. */
#define OPEN_MS 10000u
/* What takes longer than a failover of the volume with all its time-outs will not come. */
#define CALL_MS 60000u
#define REQUEST_MAX ((size_t)1 << 20)
/* Between two attempts while nobody serves it. */
#define AGAIN_MS 5000u
#define TRIES_MAX 12u

_Static_assert(VOLUME_WHY_MAX == MEDIUM_WHY_MAX, "sentences");

struct volume_thread {
	struct list of_medium;
	pthread_t thread;
	struct volume_disk disk;
};

struct volume_medium {
	struct medium medium;
	struct volume_disk disk; /* of the thread that opened it; its endpoint is the claim's */
	struct dvk *admin;
	char dc[DVS_NAME_MAX + 1];
	char name[VOLUME_NAME_MAX + 1];
	struct claim_holder who;
	pthread_t opener;
	pthread_mutex_t lock;
	struct list threads; /* under the lock */
};

static struct volume_medium *of(struct medium *medium)
{
	return CONTAINER_OF(medium, struct volume_medium, medium);
}

/* ---- an endpoint for each thread ---- */

static const struct volume_disk *find(struct volume_medium *volume)
{
	const pthread_t self = pthread_self();
	const struct volume_disk *found = NULL;

	if (pthread_equal(self, volume->opener))
		return &volume->disk;
	pthread_mutex_lock(&volume->lock);
	LIST_FOREACH(link, &volume->threads) {
		const struct volume_thread *thread =
			CONTAINER_OF(link, struct volume_thread, of_medium);

		if (pthread_equal(self, thread->thread))
			found = &thread->disk;
	}
	pthread_mutex_unlock(&volume->lock);
	return found;
}

static dvs_err take_disk(struct volume_medium *volume, const struct volume_disk **disk)
{
	struct volume_thread *made;
	dvs_err err;

	*disk = find(volume);
	if (*disk)
		return DVS_OK;
	made = calloc(1, sizeof(*made));
	if (!made)
		return DVS_NOMEM;
	made->thread = pthread_self();
	err = volume_open_thread(&volume->disk, &made->disk);
	if (err) {
		free(made);
		return err;
	}
	pthread_mutex_lock(&volume->lock);
	list_add_tail(&volume->threads, &made->of_medium);
	pthread_mutex_unlock(&volume->lock);
	*disk = &made->disk;
	return DVS_OK;
}

/* ---- calls ---- */

/* What ends by itself: another primary is to come. A request of a volume can be asked twice: it does the same. */
static bool is_passing(dvs_err err)
{
	return err == DVS_NODEST || err == DVS_PEERDEAD || err == DVS_BADSTATE;
}

/* What says that this node or this server, and not the volume, is out of it. */
static bool is_cut(dvs_err err)
{
	return err == DVS_NOTBOUND || err == DVS_NODVSD || err == DVS_NOQUORUM ||
	       err == DVS_NODEDOWN || err == DVS_STALE;
}

struct part {
	enum { PART_READ, PART_WRITE, PART_ZERO, PART_FLUSH } what;
	uint64_t offset;
	uint64_t bytes;
	void *into;
	const void *from;
};

static dvs_err call(const struct volume_disk *disk, const struct part *part)
{
	const struct vdd_read_req read = { .minor = disk->minor,
					   .offset = part->offset,
					   .bytes = (uint32_t)part->bytes };
	const struct vdd_write_req write = { .minor = disk->minor,
					     .offset = part->offset,
					     .claim = disk->claim };
	const struct vdd_zero_req zero = { .minor = disk->minor,
					   .offset = part->offset,
					   .bytes = part->bytes,
					   .claim = disk->claim };
	const struct vdd_flush_req flush = { .minor = disk->minor };
	size_t got = 0;
	dvs_err err;

	switch (part->what) {
	case PART_READ:
		err = vdd_call_read(disk->self, disk->server, &read, NULL, NULL, 0, part->into,
				    part->bytes, &got, CALL_MS);
		return !err && got != part->bytes ? DVS_IO : err;
	case PART_WRITE:
		return vdd_call_write(disk->self, disk->server, &write, NULL, part->from,
				      part->bytes, NULL, 0, NULL, CALL_MS);
	case PART_ZERO:
		return vdd_call_zero(disk->self, disk->server, &zero, NULL, NULL, 0, NULL, 0, NULL,
				     CALL_MS);
	case PART_FLUSH:
		break;
	}
	return vdd_call_flush(disk->self, disk->server, &flush, NULL, NULL, 0, NULL, 0, NULL,
			      CALL_MS);
}

/* A flush that ended without an answer may stand for writes that the next primary has no more unflushed than this one: it is asked again like the rest. */
static dvs_err ask(struct volume_medium *volume, const struct part *part)
{
	const struct volume_disk *disk;
	dvs_err err;

	if (atomic_load(&volume->medium.is_over))
		return DVS_STALE;
	err = take_disk(volume, &disk);
	for (uint32_t i = 0; !err && i < TRIES_MAX; i++) {
		dvs_ep bound;

		err = call(disk, part);
		if (!is_passing(err) || i + 1 == TRIES_MAX)
			break;
		err = dvk_wait_bind(disk->dvk, disk->server, AGAIN_MS, &bound);
		if (err == DVS_TIMEOUT)
			err = DVS_OK;
	}
	if (!is_cut(err))
		return err;
	atomic_store(&volume->medium.is_over, true);
	return DVS_STALE;
}

static dvs_err volume_read(struct medium *medium, uint64_t offset, void *buffer, size_t bytes)
{
	dvs_err err = DVS_OK;

	for (size_t at = 0; !err && at < bytes; at += REQUEST_MAX) {
		size_t left = bytes - at;
		const struct part part = { .what = PART_READ,
					   .offset = offset + at,
					   .bytes = left < REQUEST_MAX ? left : REQUEST_MAX,
					   .into = (uint8_t *)buffer + at };

		err = ask(of(medium), &part);
	}
	return err;
}

static dvs_err volume_write(struct medium *medium, uint64_t offset, const void *buffer,
			    size_t bytes)
{
	dvs_err err = DVS_OK;

	for (size_t at = 0; !err && at < bytes; at += REQUEST_MAX) {
		size_t left = bytes - at;
		const struct part part = { .what = PART_WRITE,
					   .offset = offset + at,
					   .bytes = left < REQUEST_MAX ? left : REQUEST_MAX,
					   .from = (const uint8_t *)buffer + at };

		err = ask(of(medium), &part);
	}
	return err;
}

static dvs_err volume_zero(struct medium *medium, uint64_t offset, uint64_t bytes)
{
	const struct part part = { .what = PART_ZERO, .offset = offset, .bytes = bytes };

	return ask(of(medium), &part);
}

static dvs_err volume_flush(struct medium *medium)
{
	const struct part part = { .what = PART_FLUSH };

	return ask(of(medium), &part);
}

static dvs_err volume_grown(struct medium *medium)
{
	struct volume_medium *volume = of(medium);
	const struct vdd_geometry_req request = { .minor = volume->disk.minor };
	struct vdd_geometry_rep reply;
	const struct volume_disk *disk;
	dvs_err err = take_disk(volume, &disk);

	if (!err)
		err = vdd_call_geometry(disk->self, disk->server, &request, &reply, NULL, 0, NULL,
					0, NULL, CALL_MS);
	if (!err)
		medium->bytes = reply.bytes;
	return err;
}

static struct claim_place place_of(const struct volume_medium *volume)
{
	return (struct claim_place){ .admin = volume->admin,
				     .dvk = volume->disk.dvk,
				     .dc = volume->dc,
				     .volume = volume->name,
				     .id = volume->disk.id };
}

/* It ends with the endpoint anyway, which others hear of a little later. */
static void give_up_claim(struct volume_medium *volume)
{
	const struct claim_place place = place_of(volume);

	if (!atomic_load(&volume->medium.is_over))
		(void)!claim_give_up(&place, volume->who.token, volume->disk.claim);
}

/* Endpoints of threads that have ended went with them; those of others end here, from whichever thread. */
static void volume_end(struct medium *medium)
{
	struct volume_medium *volume = of(medium);

	LIST_FOREACH_SAFE(link, &volume->threads) {
		struct volume_thread *thread = CONTAINER_OF(link, struct volume_thread, of_medium);

		volume_close_thread(&thread->disk);
		list_remove(&thread->of_medium);
		free(thread);
	}
	give_up_claim(volume);
	volume_close_thread(&volume->disk);
	pthread_mutex_destroy(&volume->lock);
	free(volume);
}

static const struct medium_ops ops = {
	.read = volume_read,
	.write = volume_write,
	.zero = volume_zero,
	.flush = volume_flush,
	.grown = volume_grown,
	.close = volume_end,
};

/* ---- opening ---- */

/* Of one volume, in one of its lives. */
static dvs_err set_incarnation(struct volume_medium *volume, struct dvk *admin, const char *dc,
			       const char *name)
{
	AUTO_FREE struct volume *record = malloc(sizeof(*record));
	dvs_err err = record ? volume_get(admin, dc, name, record, NULL) : DVS_NOMEM;
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	if (err)
		return err;
	for (const char *at = record->id; *at; at++)
		hash = (hash ^ (uint8_t)*at) * UINT64_C(0x100000001b3);
	memcpy(volume->medium.incarnation, &hash, sizeof(hash));
	memcpy(volume->medium.incarnation + sizeof(hash), &volume->disk.life,
	       sizeof(volume->disk.life));
	return DVS_OK;
}

/* Whoever had it before can write nothing more when this returns. */
static dvs_err take_claim(struct volume_medium *volume, char *why)
{
	const struct claim_place place = place_of(volume);
	char text[CLAIM_WHY_MAX] = "";
	dvs_err err;

	volume->who.ep = m3_self(volume->disk.self);
	err = claim_take(&place, &volume->who, false, &volume->disk.claim, text);
	if (!err)
		err = claim_enforce(&volume->disk, OPEN_MS);
	if (err)
		(void)snprintf(why, MEDIUM_WHY_MAX + 1, "volume %.100s: %s", volume->name,
			       text[0] ? text : dvs_strerror(err));
	return err;
}

dvs_err medium_volume_open(struct dvk *admin, struct dvk *dvk, const char *dc, const char *name,
			   const struct claim_holder *who, struct medium **medium, char *why)
{
	char text[2 * DVS_NAME_MAX + 2];
	struct volume_medium *volume = calloc(1, sizeof(*volume));
	dvs_err err;

	why[0] = '\0';
	if (!volume)
		return DVS_NOMEM;
	(void)snprintf(text, sizeof(text), "%s/%s", dc, name);
	err = volume_open_on(admin, dvk, text, OPEN_MS, &volume->disk, why);
	if (err) {
		free(volume);
		return err;
	}
	volume->admin = admin;
	volume->who = *who;
	(void)snprintf(volume->dc, sizeof(volume->dc), "%s", dc);
	(void)snprintf(volume->name, sizeof(volume->name), "%s", name);
	volume->opener = pthread_self();
	list_init(&volume->threads);
	volume->medium.ops = &ops;
	volume->medium.bytes = volume->disk.bytes;
	err = volume->disk.is_read_only ? DVS_READONLY : take_claim(volume, why);
	if (!err)
		err = set_incarnation(volume, admin, dc, name);
	if (!err && pthread_mutex_init(&volume->lock, NULL) != 0)
		err = DVS_NOMEM;
	if (err) {
		volume_close_thread(&volume->disk);
		free(volume);
		return err;
	}
	*medium = &volume->medium;
	return DVS_OK;
}
