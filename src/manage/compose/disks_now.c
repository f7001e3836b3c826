/* SPDX-License-Identifier: Apache-2.0 */
/* The volumes of a file before anything is begun: what there is of them, and what cannot be done. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "client/fs_record.h"
#include "manage/compose/disks.h"
#include "manage/compose/units.h"

/* For the server of a volume whose size is to be compared. */
#define LOOK_MS 5000u

static const struct entry_kind kind = { "disk", "volume" };

void disk_at(struct run *run, struct run_dc *of, size_t i, struct disk_at *at)
{
	entry_init(&at->entry, &kind, run, of, &of->dc->disks[i]);
	at->caller = (struct listener){ entry_told, at };
}

int disk_with(struct disk_at *at, const char *what, enum vol_names names,
	      int (*run)(struct vol *vol))
{
	return vol_with_caller(at->entry.run->cli, at->entry.text, what, names, run, &at->caller);
}

/* ---- places ---- */

static enum volume_store store_of(const struct disk_at *at)
{
	const char *text = json_string_value(disk_value(at, "store"));
	enum volume_store store = VOLUME_FILE;

	for (int i = 0; text && volume_stores[i]; i++) {
		if (strcmp(volume_stores[i], text) == 0)
			store = (enum volume_store)i;
	}
	return store;
}

static int name_place(const struct disk_at *at, const char *word, json_t *place, json_t *into)
{
	const struct dvk_node_info *node = nodes_find(&at->entry.run->reach.nodes, word);
	const json_t *nodes = disk_value(at, "nodes");
	const char *text = json_string_value(place);
	char key[COMPOSE_PATH_MAX];
	const char *why;

	(void)snprintf(key, sizeof(key), "places.%s", word);
	if (!node)
		return entry_fail(&at->entry, key,
				  "there is no node '%.64s'; 'dvs node ls' lists them", word);
	if (nodes && !entry_has_text(nodes, node->name))
		return entry_fail(&at->entry, key, "node %s gets no replica; see 'nodes'",
				  node->name);
	if (json_object_get(into, node->name))
		return entry_fail(&at->entry, key, "node %s has a place already", node->name);
	if (strlen(text) > VOLUME_PLACE_MAX)
		return entry_fail(&at->entry, key, "is longer than %d bytes", VOLUME_PLACE_MAX);
	if (!volume_place_ok(store_of(at), text, &why))
		return entry_fail(&at->entry, key, "%s", why);
	return json_object_set(into, node->name, place) == 0 ? EXIT_DONE :
							       entry_no_memory(&at->entry);
}

static int name_places(const struct disk_at *at)
{
	json_t *places = disk_value(at, "places");
	json_t *named = json_object();
	const char *word;
	json_t *place;
	int status = EXIT_DONE;

	json_object_foreach(places, word, place)
	{
		if (status == EXIT_DONE)
			status = name_place(at, word, place, named);
	}
	if (status != EXIT_DONE || !places) {
		json_decref(named);
		return status;
	}
	return json_object_set_new(at->entry.file->json, "places", named) == 0 ?
		       EXIT_DONE :
		       entry_no_memory(&at->entry);
}

/* ---- what there is ---- */

/* VOLUME, which has BYTES now, as a file would say it; NULL: no memory. */
static json_t *volume_now(const struct run *run, const struct volume *volume, uint64_t bytes)
{
	json_t *nodes = json_array();
	json_t *places = json_object();

	for (uint32_t i = 0; i < volume->n_replicas; i++) {
		dvs_nodeid node = { volume->replicas[i].node };
		const char *place = volume->replicas[i].place;
		char name[DVS_NAME_MAX + 1];

		nodes_name(&run->reach.nodes, node, name);
		/* What could not be added is missed when the whole is packed. */
		if (json_array_append_new(nodes, json_string(name)) != 0 ||
		    (place[0] && json_object_set_new(places, name, json_string(place)) != 0)) {
			json_decref(nodes);
			nodes = NULL;
		}
	}
	return json_pack("{s:I, s:s, s:I, s:o, s:o, s:b, s:b, s:I, s:I, s:s}", "bytes",
			 (json_int_t)bytes, "store", volume_stores[volume->store], "replicas",
			 (json_int_t)volume->n_replicas, "nodes", nodes, "places", places, "direct",
			 volume->direct, "async", volume->async, "lag_bytes",
			 (json_int_t)volume->lag_bytes, "resync_bytes_per_s",
			 (json_int_t)volume->resync_bytes_per_s, "access",
			 volume->access_dc ? "dc" : "managers");
}

static int look(struct vol *vol)
{
	const struct disk_at *at = vol->caller->context;
	struct plan_now *now = &at->entry.of->now;
	uint64_t bytes = (uint64_t)json_integer_value(disk_value(at, "bytes"));

	if (vol->volume.of[0])
		return vol_note(vol,
				"there is a volume of that name, and it is a clone of '%s/%s'; "
				"choose another name",
				vol->dc, vol->volume.of);
	/* Programs need not wait for a volume that cannot be asked: its size is left as it is then. */
	if (vol_try(vol, LOOK_MS) == DVS_OK)
		bytes = vol->disk.bytes;
	else
		cli_note(vol->cli,
			 "volume %s: no server of it answers, so its size is not looked at",
			 vol->text);
	return entry_keep(&at->entry, volume_now(at->entry.run, &vol->base, bytes), &now->disks,
			  &now->n_disks);
}

/* ---- what cannot be done ---- */

static int refuse_shrinking(const struct disk_at *at, const json_t *now)
{
	uint64_t wanted = (uint64_t)json_integer_value(disk_value(at, "bytes"));
	uint64_t bytes = (uint64_t)json_integer_value(json_object_get(now, "bytes"));
	char was[UNITS_TEXT_BYTES];
	char is[UNITS_TEXT_BYTES];

	if (wanted >= bytes)
		return EXIT_DONE;
	units_bytes_text(bytes, was);
	units_bytes_text(wanted, is);
	return entry_fail(&at->entry, "bytes",
			  "it has %s, and what is behind a smaller end would be lost; 'dvs vol "
			  "resize --force %s %s' does that",
			  was, at->entry.text, is);
}

/* A node that gets a replica must be up; so many must be there as are wanted. */
static int check_nodes(const struct disk_at *at, const json_t *now)
{
	const json_t *nodes = disk_value(at, "nodes");
	const json_t *nodes_now = json_object_get(now, "nodes");
	uint64_t n_now = json_array_size(nodes_now);
	uint64_t n = (uint64_t)json_integer_value(disk_value(at, "replicas"));
	uint64_t n_ready = 0;

	for (size_t i = 0; i < json_array_size(nodes); i++) {
		const char *name = json_string_value(json_array_get(nodes, i));
		char key[32];

		(void)snprintf(key, sizeof(key), "nodes[%zu]", i);
		if (!entry_has_text(nodes_now, name) &&
		    nodes_find(&at->entry.run->reach.nodes, name)->state != DVK_NODE_UP)
			return entry_fail(&at->entry, key,
					  "node %s is down; start it, or leave it out", name);
	}
	for (uint64_t ready = nodes_ready(&at->entry.run->reach.nodes); ready; ready &= ready - 1)
		n_ready++;
	if (n > n_now && n > n_ready)
		return entry_fail(
			&at->entry, "replicas",
			"only %llu nodes are up and not drained; 'dvs node ls' lists them",
			(unsigned long long)n_ready);
	return EXIT_DONE;
}

/* Stores that have no place of their own need one for each replica. */
static int check_places(const struct disk_at *at)
{
	const json_t *nodes = disk_value(at, "nodes");
	json_t *places = disk_value(at, "places");
	size_t n = disk_value(at, "replicas") ?
			   (size_t)json_integer_value(disk_value(at, "replicas")) :
			   1;
	const char *why;

	if (volume_place_ok(store_of(at), "", &why))
		return EXIT_DONE;
	for (size_t i = 0; i < json_array_size(nodes); i++) {
		const char *name = json_string_value(json_array_get(nodes, i));

		if (!json_object_get(places, name))
			return entry_fail(&at->entry, "places",
					  "there is none for node %s, and it %s", name, why);
	}
	if (!nodes && json_object_size(places) < n)
		return entry_fail(&at->entry, "places", "there is none for each replica, and it %s",
				  why);
	return EXIT_DONE;
}

static int look_at(struct disk_at *at, struct dvk *admin)
{
	struct run_dc *of = at->entry.of;
	AUTO_FREE struct volume *volume = malloc(sizeof(*volume));
	const json_t *now;
	dvs_err err = DVS_NOTFOUND;
	int status = entry_name_nodes(&at->entry);

	if (!volume)
		return entry_no_memory(&at->entry);
	if (status == EXIT_DONE)
		status = name_places(at);
	if (status == EXIT_DONE && admin)
		err = volume_get(admin, of->dc->name, at->entry.file->name, volume, NULL);
	if (status == EXIT_DONE && err != DVS_NOTFOUND)
		status = disk_with(at, "look at", VOL_VOLUME, look);
	now = plan_disk_now(&of->now, at->entry.file->name);
	if (status == EXIT_DONE)
		status = check_nodes(at, now);
	if (status == EXIT_DONE && !now)
		status = check_places(at);
	if (status != EXIT_DONE || !now)
		return status;
	status = refuse_shrinking(at, now);
	if (status == EXIT_DONE)
		status = entry_refuse_change(&at->entry, now, "store", "store");
	if (status == EXIT_DONE)
		status = entry_refuse_change(&at->entry, now, "direct", "way to the file");
	return status == EXIT_DONE ? entry_refuse_change(&at->entry, now, "places", "places") :
				     status;
}

static int look_at_all(struct run *run, struct run_dc *of, struct dvk *admin)
{
	int status = EXIT_DONE;

	for (size_t i = 0; status == EXIT_DONE && i < of->dc->n_disks; i++) {
		struct disk_at at;

		disk_at(run, of, i, &at);
		status = look_at(&at, admin);
	}
	return status;
}

int run_look_disks(struct run *run, struct run_dc *of)
{
	return of->dc->n_disks ? entry_look_at_all(run, of, true, look_at_all) : EXIT_DONE;
}

int run_has_volumes(struct cli *cli, struct dvk *admin, const char *dc, bool *has)
{
	AUTO_FREE struct volume *volume = malloc(sizeof(*volume));
	char name[VOLUME_NAME_MAX + 1] = "";
	struct fs_record record;
	dvs_err err = volume ? volume_next(admin, dc, name, volume, NULL) : DVS_NOMEM;

	if (err == DVS_NOTFOUND) {
		name[0] = '\0';
		err = fs_record_next(admin, dc, name, &record, NULL);
	}
	/* One whose record is damaged is one, too. */
	*has = err == DVS_OK || err == DVS_BADARG;
	return *has || err == DVS_NOTFOUND || err == DVS_NODC ?
		       EXIT_DONE :
		       cli_fail(cli, err, "look for the volumes and file systems of dc %s", dc);
}
