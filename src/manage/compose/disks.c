/* SPDX-License-Identifier: Apache-2.0 */
/* The volumes of a file made as it says. What is in them is never at risk: they are made and grow, replicas come before others go, and nothing is removed. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "manage/compose/disks.h"
#include "manage/volume/create.h"
#include "manage/volume/replica.h"
#include "manage/volume/volumes.h"

/* That node's bit; none of one that has just been removed. */
static uint64_t bit_of(const struct vol *vol, const char *name)
{
	const struct dvk_node_info *node = nodes_find(&vol->nodes, name);

	return node ? nodes_bit(node->node) : 0;
}

static void add_replica(struct vol *vol, const char *name)
{
	const struct dvk_node_info *node = nodes_find(&vol->nodes, name);

	if (node)
		vol->base.replicas[vol->base.n_replicas++].node = node->node.n;
}

static const char *place_on(const struct disk_at *at, const char *node)
{
	const char *place = json_string_value(json_object_get(disk_value(at, "places"), node));

	return place ? place : "";
}

/* ---- what needs no other replicas ---- */

/* Into BASE what the file says of it. */
static void take_fields(const struct disk_at *at, struct volume *base)
{
	const json_t *async = disk_value(at, "async");
	const json_t *lag = disk_value(at, "lag_bytes");
	const json_t *rate = disk_value(at, "resync_bytes_per_s");
	const char *access = json_string_value(disk_value(at, "access"));

	if (async)
		base->async = json_is_true(async);
	if (lag)
		base->lag_bytes = (uint64_t)json_integer_value(lag);
	else if (!base->async)
		base->lag_bytes = 0;
	else if (base->lag_bytes == 0)
		base->lag_bytes = VOL_LAG_DEFAULT;
	if (rate)
		base->resync_bytes_per_s = (uint64_t)json_integer_value(rate);
	if (access)
		base->access_dc = strcmp(access, "dc") == 0;
}

static int take(struct vol *vol, void *at_void)
{
	take_fields(at_void, &vol->base);
	return EXIT_DONE;
}

/* Whether that changes anything of BASE, which gets it. */
static bool takes_fields(const struct disk_at *at, struct volume *base)
{
	const bool async = base->async;
	const bool access_dc = base->access_dc;
	const uint64_t lag_bytes = base->lag_bytes;
	const uint64_t rate = base->resync_bytes_per_s;

	take_fields(at, base);
	return base->async != async || base->access_dc != access_dc ||
	       base->lag_bytes != lag_bytes || base->resync_bytes_per_s != rate;
}

/* ---- a new one ---- */

static int create(struct vol *vol)
{
	struct disk_at *at = vol->caller->context;
	struct volume *base = &vol->base;
	const char *store = json_string_value(disk_value(at, "store"));
	const json_t *nodes = disk_value(at, "nodes");
	const json_t *n = disk_value(at, "replicas");
	const char *name;
	json_t *place;
	int status = vol_check_new(vol);

	if (status != EXIT_DONE)
		return status;
	*base = (struct volume){ .store = VOLUME_FILE,
				 .bytes = (uint64_t)json_integer_value(disk_value(at, "bytes")),
				 .direct = json_is_true(disk_value(at, "direct")) };
	for (int i = 0; store && volume_stores[i]; i++) {
		if (strcmp(volume_stores[i], store) == 0)
			base->store = (enum volume_store)i;
	}
	take_fields(at, base);
	for (size_t i = 0; i < json_array_size(nodes); i++)
		add_replica(vol, json_string_value(json_array_get(nodes, i)));
	/* A node that has a place has a replica. */
	json_object_foreach(disk_value(at, "places"), name, place)
	{
		if (!nodes)
			add_replica(vol, name);
	}
	if (!nodes)
		status = vol_choose_nodes(vol, n ? (uint64_t)json_integer_value(n) : 1);
	for (uint32_t i = 0; i < base->n_replicas; i++) {
		char known[DVS_NAME_MAX + 1];

		nodes_name(&vol->nodes, (dvs_nodeid){ base->replicas[i].node }, known);
		(void)snprintf(base->replicas[i].place, sizeof(base->replicas[i].place), "%s",
			       place_on(at, known));
	}
	if (status == EXIT_DONE && base->n_replicas == 0)
		status = vol_note(vol, "its nodes have just been removed; try again");
	return status == EXIT_DONE ? vol_create(vol, at->entry.waits) : status;
}

/* ---- one that is there ---- */

static int change_fields(struct vol *vol, struct disk_at *at)
{
	struct vdd_tune_req tune = { .bytes_per_s = vol->base.resync_bytes_per_s };
	dvs_err err = DVS_OK;
	int status;

	if (!takes_fields(at, &vol->base))
		return EXIT_DONE;
	status = vol_change(vol, take, at);
	if (status != EXIT_DONE || tune.bytes_per_s == vol->base.resync_bytes_per_s)
		return status;
	/* Everything else the servers find in the record. */
	tune.bytes_per_s = vol->base.resync_bytes_per_s;
	status = vol_reach(vol);
	if (status == EXIT_DONE)
		err = vdd_call_tune(vol->disk.self, vol->disk.server, &tune, NULL, NULL, 0, NULL, 0,
				    NULL, VOL_ANSWER_MS);
	return err == DVS_OK ? status : vol_fail(vol, err);
}

static int grow(struct vol *vol, const struct disk_at *at)
{
	const json_t *now = plan_disk_now(&at->entry.of->now, at->entry.file->name);
	uint64_t bytes = (uint64_t)json_integer_value(disk_value(at, "bytes"));
	int status;

	if (bytes <= (uint64_t)json_integer_value(json_object_get(now, "bytes")))
		return EXIT_DONE;
	status = vol_reach(vol);
	/* Somebody else may have been faster. */
	return status == EXIT_DONE && vol->disk.bytes < bytes ? vol_resize(vol, bytes) : status;
}

/* The nodes that are to have a replica, as bits. */
static int choose(struct vol *vol, const struct disk_at *at, uint64_t *wanted)
{
	const json_t *nodes = disk_value(at, "nodes");
	const json_t *replicas = disk_value(at, "replicas");
	uint64_t n = replicas ? (uint64_t)json_integer_value(replicas) : vol->base.n_replicas;
	uint32_t n_now = vol->base.n_replicas;
	int status = EXIT_DONE;

	*wanted = 0;
	for (size_t i = 0; i < json_array_size(nodes); i++)
		*wanted |= bit_of(vol, json_string_value(json_array_get(nodes, i)));
	if (nodes)
		return EXIT_DONE;
	if (n > n_now)
		status = vol_choose_nodes(vol, n);
	for (uint32_t i = 0; i < vol->base.n_replicas && i < n; i++)
		*wanted |= UINT64_C(1) << vol->base.replicas[i].node;
	/* They were chosen on paper. */
	vol->base.n_replicas = n_now;
	return status;
}

static int move_replicas(struct vol *vol, const struct disk_at *at)
{
	uint64_t has = 0;
	uint64_t wanted;
	int status = choose(vol, at, &wanted);

	for (uint32_t i = 0; i < vol->base.n_replicas; i++)
		has |= UINT64_C(1) << vol->base.replicas[i].node;
	for (size_t i = 0; status == EXIT_DONE && i < vol->nodes.n; i++) {
		const struct dvk_node_info *node = &vol->nodes.node[i];

		if (wanted & ~has & nodes_bit(node->node))
			status = vol_add_replica(vol, node, place_on(at, node->name), true);
	}
	for (size_t i = 0; status == EXIT_DONE && i < vol->nodes.n; i++) {
		const struct dvk_node_info *node = &vol->nodes.node[i];

		if (has & ~wanted & nodes_bit(node->node))
			status = vol_remove_replica(vol, node, false);
	}
	return status;
}

static int change(struct vol *vol)
{
	struct disk_at *at = vol->caller->context;
	int status = change_fields(vol, at);

	if (status == EXIT_DONE)
		status = grow(vol, at);
	if (status == EXIT_DONE)
		status = move_replicas(vol, at);
	return status;
}

/* ---- all ---- */

int run_apply_disks(struct run *run, struct run_dc *of, bool waits)
{
	int status = EXIT_DONE;

	if (of->dc->n_disks == 0)
		return EXIT_DONE;
	run_leave(run);
	for (of->n_made = 0; of->n_made < of->dc->n_disks; of->n_made++) {
		struct disk_at at;

		disk_at(run, of, of->n_made, &at);
		at.entry.waits = waits;
		if (plan_disk_now(&of->now, at.entry.file->name))
			status = disk_with(&at, "change", VOL_VOLUME, change);
		else
			status = disk_with(&at, "create", VOL_NEW, create);
		if (status != EXIT_DONE)
			break;
	}
	/* What failed is taken back by who asks the agents again. */
	return run_enter(run) == EXIT_DONE ? status : EXIT_FAILED;
}

static int forget(struct vol *vol)
{
	return vol_forget(vol, &vol->volume);
}

void run_forget_disks(struct run *run, struct run_dc *of)
{
	if (of->n_made == 0)
		return;
	run_leave(run);
	for (; of->n_made > 0; of->n_made--) {
		struct disk_at at;

		disk_at(run, of, of->n_made - 1, &at);
		/* What stays of it keeps the DC, and that is told. */
		if (!plan_disk_now(&of->now, at.entry.file->name))
			(void)!disk_with(&at, "remove", VOL_VOLUME, forget);
	}
	(void)!run_enter(run);
}
