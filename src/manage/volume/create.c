/* SPDX-License-Identifier: Apache-2.0 */
/* A new volume: its nodes, its endpoint's number, its record; then its servers find it and are waited for. What they refuse is taken back. */
#include "manage/volume/create.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "manage/volume/volumes.h"
#include "manage/volume/watch.h"

#define LAST_RECORD "volume-last"
#define DRAWS_MAX 64
/* How long nothing may happen before it is given up. */
#define SETTLE_NS (60 * CLOCK_NS_PER_S)
#define LOOK_MS 1000u

/* ---- where ---- */

/* How many replicas of the DC's volumes each node has. */
static void count_replicas(struct vol *vol, uint32_t counts[DVS_NODES_MAX])
{
	AUTO_FREE struct volume *volume = malloc(sizeof(*volume));
	char name[VOLUME_NAME_MAX + 1] = "";
	dvs_err err = DVS_OK;

	memset(counts, 0, DVS_NODES_MAX * sizeof(counts[0]));
	while (volume && (err == DVS_OK || err == DVS_BADARG)) {
		err = volume_next(vol->link.dvk, vol->dc, name, volume, NULL);
		for (uint32_t i = 0; err == DVS_OK && i < volume->n_replicas; i++)
			counts[volume->replicas[i].node]++;
	}
}

int vol_choose_nodes(struct vol *vol, uint64_t n)
{
	struct volume *volume = &vol->base;
	uint64_t ready = nodes_ready(&vol->nodes);
	uint32_t counts[DVS_NODES_MAX];

	for (uint32_t i = 0; i < volume->n_replicas; i++)
		ready &= ~(UINT64_C(1) << volume->replicas[i].node);
	count_replicas(vol, counts);
	while (volume->n_replicas < n) {
		const struct dvk_node_info *best = NULL;

		for (size_t i = 0; i < vol->nodes.n; i++) {
			const struct dvk_node_info *node = &vol->nodes.node[i];

			if (!(ready & nodes_bit(node->node)))
				continue;
			if (!best || counts[node->node.n] < counts[best->node.n] ||
			    (counts[node->node.n] == counts[best->node.n] && node->is_self))
				best = node;
		}
		if (!best)
			return vol_note(vol,
					"only %u nodes are up and not drained, so it cannot have "
					"%llu replicas; 'dvs node ls' lists them",
					volume->n_replicas, (unsigned long long)n);
		ready &= ~nodes_bit(best->node);
		volume->replicas[volume->n_replicas++] =
			(struct volume_replica){ .node = best->node.n };
	}
	return EXIT_DONE;
}

/* ---- its endpoint ---- */

struct draw {
	bool used[VOLUME_EP_LAST + 1];
	uint32_t n_volumes;
};

static dvs_err look_at_endpoints(struct vol *vol, struct draw *draw)
{
	AUTO_FREE struct volume *volume = malloc(sizeof(*volume));
	char name[VOLUME_NAME_MAX + 1] = "";
	dvs_err err = volume ? DVS_OK : DVS_NOMEM;

	*draw = (struct draw){ .n_volumes = 0 };
	while (err == DVS_OK || err == DVS_BADARG) {
		err = volume_next(vol->link.dvk, vol->dc, name, volume, NULL);
		draw->n_volumes += err == DVS_OK;
		if (err == DVS_OK)
			draw->used[volume->endpoint] = true;
	}
	return err == DVS_NOTFOUND ? DVS_OK : err;
}

static uint32_t next_of(uint32_t endpoint)
{
	return endpoint < VOLUME_EP_FIRST || endpoint >= VOLUME_EP_LAST ? VOLUME_EP_FIRST :
									  endpoint + 1;
}

/* The number that was drawn last, and the version of its record (0: there is none). */
static uint32_t last_drawn(struct vol *vol, uint64_t *version)
{
	char value[DVK_VALUE_MAX];
	size_t len = 0;
	json_t *last = NULL;
	uint32_t endpoint = 0;
	json_int_t number;

	*version = 0;
	if (dvk_record_get(vol->link.dvk, vol->dc, LAST_RECORD, value, &len, version) == DVS_OK)
		last = json_loadb(value, len, 0, NULL);
	number = json_integer_value(json_object_get(last, "endpoint"));
	if (number >= VOLUME_EP_FIRST && number <= VOLUME_EP_LAST)
		endpoint = (uint32_t)number;
	json_decref(last);
	return endpoint;
}

/* Draw the next free number. Who draws changes the record of the last one, so two never draw the same; and a number comes again only after all others. */
static int draw_endpoint(struct vol *vol, uint32_t *endpoint)
{
	AUTO_FREE struct draw *draw = malloc(sizeof(*draw));
	dvs_err err = draw ? look_at_endpoints(vol, draw) : DVS_NOMEM;

	if (err == DVS_OK && draw->n_volumes >= VOLUMES_OF_DC_MAX)
		return vol_note(vol,
				"the dc %s has %u volumes, and that is the most; remove one, or "
				"use another dc",
				vol->dc, VOLUMES_OF_DC_MAX);
	for (int i = 0; i < DRAWS_MAX && err == DVS_OK; i++) {
		uint64_t version;
		char text[32];
		int len;

		*endpoint = next_of(last_drawn(vol, &version));
		while (draw->used[*endpoint])
			*endpoint = next_of(*endpoint);
		len = snprintf(text, sizeof(text), "{\"endpoint\":%u}", *endpoint);
		err = dvk_record_set(vol->link.dvk, vol->dc, LAST_RECORD, version, text,
				     (size_t)len, &version);
		if (err == DVS_OK)
			return EXIT_DONE;
		/* Another one was faster. */
		if (err == DVS_EXISTS || err == DVS_NOTFOUND)
			err = look_at_endpoints(vol, draw);
	}
	return vol_fail(vol, err == DVS_OK ? DVS_FULL : err);
}

/* ---- until all have it ---- */

/* The first node that has said why it cannot. */
static bool is_refused(struct vol *vol, char text[VOL_KNOWN_BYTES])
{
	for (uint32_t i = 0; i < vol->base.n_replicas; i++) {
		dvs_nodeid id = { vol->base.replicas[i].node };
		char name[DVS_NAME_MAX + 1];
		char why[DVK_TEXT_MAX + 1];

		if (!vol_why(vol, id.n, why))
			continue;
		snprintf(text, VOL_KNOWN_BYTES, "node %s: %s", nodes_name(&vol->nodes, id, name),
			 why);
		return true;
	}
	return false;
}

/* How many replicas have all; *MISSING is the first that has not, and how far it is shows. */
static uint32_t count_ready(struct vol *vol, struct watch *watch, uint32_t *missing,
			    bool *is_syncing)
{
	uint32_t n = 0;

	*missing = vol->base.first;
	*is_syncing = false;
	for (uint32_t i = 0; i < vol->base.n_replicas; i++) {
		uint32_t node = vol->base.replicas[i].node;
		const struct vdd_member *member = vol_member(vol, node);

		if (member && (member->state == VOL_PRIMARY || member->state == VOL_MEMBER)) {
			n++;
			continue;
		}
		*missing = node;
		if (!member || member->state != VOL_SYNCING || *is_syncing)
			continue;
		*is_syncing = true;
		watch_bytes(watch, member->done_bytes, member->total_bytes, member->bytes_per_s,
			    member->eta_ms);
	}
	return n;
}

enum settled { SETTLED, REFUSED, STOPPED, TOO_LATE };

static enum settled settle(struct vol *vol, struct watch *watch, char text[VOL_KNOWN_BYTES])
{
	uint64_t until_ns = clock_deadline_ns(SETTLE_NS);
	uint32_t n_before = 0;

	for (;;) {
		bool is_syncing = false;
		dvs_nodeid missing = { vol->base.first };
		uint32_t n = 0;
		char name[DVS_NAME_MAX + 1];
		char state[DVS_NAME_MAX + 64];
		dvs_err err = vol->is_reached ? DVS_OK : vol_try(vol, LOOK_MS);

		if (err == DVS_OK)
			err = vol_status(vol, VOL_ANSWER_MS);
		if (err == DVS_OK)
			n = count_ready(vol, watch, &missing.n, &is_syncing);
		if (n == vol->base.n_replicas)
			return SETTLED;
		if (is_refused(vol, text))
			return REFUSED;
		if (is_syncing || n > n_before)
			until_ns = clock_deadline_ns(SETTLE_NS);
		n_before = n;
		snprintf(state, sizeof(state), "%u of %u replicas, waits for %s", n,
			 vol->base.n_replicas, nodes_name(&vol->nodes, missing, name));
		if (!is_syncing)
			watch_text(watch, state);
		if (clock_is_past(until_ns)) {
			vol_known(vol, text);
			return TOO_LATE;
		}
		if (!watch_pause(watch))
			return STOPPED;
	}
}

static int wait_settled(struct vol *vol)
{
	char title[DVS_NAME_MAX + VOLUME_NAME_MAX + 32];
	char text[VOL_KNOWN_BYTES] = "";
	struct watch watch;
	enum settled settled;
	int status;

	snprintf(title, sizeof(title), "create volume %s", vol->text);
	if (!watch_begin(&watch, vol->cli, title))
		return EXIT_FAILED;
	settled = settle(vol, &watch, text);
	watch_end(&watch);
	if (settled == SETTLED)
		return EXIT_DONE;
	status = vol_forget(vol, &vol->volume);
	if (settled == STOPPED)
		vol_note(vol, "interrupted; nothing of it stays");
	else if (settled == REFUSED)
		vol_note(vol, "%s; nothing of it stays", text);
	else
		vol_note(vol, "it did not come up: %s; nothing of it stays", text);
	if (settled == STOPPED)
		return 130;
	return status == EXIT_DONE ? EXIT_FAILED : status;
}

/* ---- the whole ---- */

static int note_exists(struct vol *vol)
{
	return vol_note(vol,
			"there is a volume of that name; 'dvs vol inspect %s' tells "
			"about it",
			vol->text);
}

int vol_check_new(struct vol *vol)
{
	char key[DVS_NAME_MAX + 1];
	char value[DVK_VALUE_MAX];
	uint64_t version;
	size_t len;

	volume_key(vol->name, key);
	if (dvk_record_get(vol->link.dvk, vol->dc, key, value, &len, &version) == DVS_OK)
		return note_exists(vol);
	return EXIT_DONE;
}

/* The record: from then on there is a volume. */
static int write_record(struct vol *vol)
{
	dvs_err err;

	vol->version = 0;
	err = vol_store(vol);
	if (err == DVS_EXISTS)
		return note_exists(vol);
	if (err == DVS_TOOBIG)
		return vol_note(vol,
				"its record would be longer than %u bytes; give shorter places",
				DVK_VALUE_MAX);
	if (err == DVS_FULL)
		return vol_note(vol,
				"the dc %s has as many records as it can have; remove volumes "
				"or programs",
				vol->dc);
	return err == DVS_OK ? EXIT_DONE : vol_fail(vol, err);
}

int vol_create(struct vol *vol, bool waits)
{
	struct volume *volume = &vol->base;
	int status = EXIT_DONE;

	memcpy(volume->name, vol->name, sizeof(volume->name));
	if (!volumes_new_id(volume->id))
		return vol_note(vol, "the kernel gives no random bytes: %s", strerror(errno));
	for (uint32_t i = 0; status == EXIT_DONE && i < volume->n_replicas; i++) {
		dvs_nodeid id = { volume->replicas[i].node };

		status = vol_start_agent(vol, nodes_at(&vol->nodes, id));
	}
	volume->first = volume->replicas[0].node;
	if (status == EXIT_DONE)
		status = draw_endpoint(vol, &volume->endpoint);
	if (status == EXIT_DONE)
		status = write_record(vol);
	if (status != EXIT_DONE)
		return status;
	vol->volume = vol->base;
	return waits ? wait_settled(vol) : EXIT_DONE;
}
