/* SPDX-License-Identifier: Apache-2.0 */
/* The volumes of a file before anything is begun: what there is of them, and what cannot be done. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "client/fs_record.h"
#include "manage/compose/disks.h"
#include "manage/compose/units.h"

/* For the server of a volume whose size is to be compared. */
#define LOOK_MS 5000u

/* ---- one of them ---- */

static void told(void *at_void, const char *why)
{
	const struct disk_at *at = at_void;

	run_fail(at->run, at->of->dc, at->prefix, NULL, why);
}

void disk_at(struct run *run, struct run_dc *of, size_t i, struct disk_at *at)
{
	*at = (struct disk_at){ .run = run, .of = of, .disk = &of->dc->disks[i] };
	(void)snprintf(at->prefix, sizeof(at->prefix), "disk/%s:", at->disk->name);
	(void)snprintf(at->text, sizeof(at->text), "%s/%s", of->dc->name, at->disk->name);
	at->caller = (struct vol_caller){ told, at };
}

int disk_with(struct disk_at *at, const char *what, enum vol_names names,
	      int (*run)(struct vol *vol))
{
	return vol_with_caller(at->run->cli, at->text, what, names, run, &at->caller);
}

int disk_fail(const struct disk_at *at, const char *key, const char *why, ...)
{
	char sentence[COMPOSE_TEXT_MAX];
	int used = snprintf(sentence, sizeof(sentence), "%s: ", key);
	va_list args;

	va_start(args, why);
	(void)vsnprintf(sentence + used, sizeof(sentence) - (size_t)used, why, args);
	va_end(args);
	return run_fail(at->run, at->of->dc, at->prefix, NULL, sentence);
}

json_t *disk_value(const struct disk_at *at, const char *key)
{
	return json_object_get(at->disk->json, key);
}

static int no_memory(const struct disk_at *at)
{
	return cli_fail(at->run->cli, DVS_NOMEM, "look at volume %s", at->text);
}

/* ---- nodes and places as the DVS calls them ---- */

static bool has_text(const json_t *list, const char *text)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		if (strcmp(json_string_value(json_array_get(list, i)), text) == 0)
			return true;
	}
	return false;
}

static int name_nodes(const struct disk_at *at)
{
	const json_t *words = disk_value(at, "nodes");
	json_t *names = json_array();
	int status = EXIT_DONE;

	for (size_t i = 0; status == EXIT_DONE && i < json_array_size(words); i++) {
		const char *word = json_string_value(json_array_get(words, i));
		const struct dvk_node_info *node = nodes_find(&at->run->reach.nodes, word);
		char key[32];

		(void)snprintf(key, sizeof(key), "nodes[%zu]", i);
		if (!node)
			status = run_fail_no_node(at->run, at->of->dc, at->prefix, i, word);
		else if (has_text(names, node->name))
			status = disk_fail(at, key, "node %s stands here twice", node->name);
		else if (json_array_append_new(names, json_string(node->name)) != 0)
			status = no_memory(at);
	}
	if (status != EXIT_DONE || !words) {
		json_decref(names);
		return status;
	}
	return json_object_set_new(at->disk->json, "nodes", names) == 0 ? EXIT_DONE : no_memory(at);
}

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
	const struct dvk_node_info *node = nodes_find(&at->run->reach.nodes, word);
	const json_t *nodes = disk_value(at, "nodes");
	const char *text = json_string_value(place);
	char key[COMPOSE_PATH_MAX];
	const char *why;

	(void)snprintf(key, sizeof(key), "places.%s", word);
	if (!node)
		return disk_fail(at, key, "there is no node '%.64s'; 'dvs node ls' lists them",
				 word);
	if (nodes && !has_text(nodes, node->name))
		return disk_fail(at, key, "node %s gets no replica; see 'nodes'", node->name);
	if (json_object_get(into, node->name))
		return disk_fail(at, key, "node %s has a place already", node->name);
	if (strlen(text) > VOLUME_PLACE_MAX)
		return disk_fail(at, key, "is longer than %d bytes", VOLUME_PLACE_MAX);
	if (!volume_place_ok(store_of(at), text, &why))
		return disk_fail(at, key, "%s", why);
	return json_object_set(into, node->name, place) == 0 ? EXIT_DONE : no_memory(at);
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
	return json_object_set_new(at->disk->json, "places", named) == 0 ? EXIT_DONE :
									   no_memory(at);
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
	struct plan_now *now = &at->of->now;
	uint64_t bytes = (uint64_t)json_integer_value(disk_value(at, "bytes"));
	struct compose_program *disks;

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
	disks = reallocarray(now->disks, now->n_disks + 1, sizeof(*disks));
	if (!disks)
		return no_memory(at);
	now->disks = disks;
	disks += now->n_disks;
	disks->json = volume_now(at->run, &vol->base, bytes);
	if (!disks->json)
		return no_memory(at);
	(void)snprintf(disks->name, sizeof(disks->name), "%s", vol->name);
	now->n_disks++;
	return EXIT_DONE;
}

/* ---- what cannot be done ---- */

static int refuse_change(const struct disk_at *at, const json_t *now, const char *key,
			 const char *word)
{
	const json_t *wanted = disk_value(at, key);
	AUTO_FREE char *was = NULL;

	if (!wanted || plan_disk_is_same(key, wanted, json_object_get(now, key)))
		return EXIT_DONE;
	was = json_dumps(json_object_get(now, key), JSON_ENCODE_ANY | JSON_COMPACT);
	return disk_fail(at, key,
			 "it is %s, and the %s of a volume cannot change; make another volume, and "
			 "copy",
			 was ? was : "another one", word);
}

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
	return disk_fail(at, "bytes",
			 "it has %s, and what is behind a smaller end would be lost; 'dvs vol "
			 "resize --force %s %s' does that",
			 was, at->text, is);
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
		if (!has_text(nodes_now, name) &&
		    nodes_find(&at->run->reach.nodes, name)->state != DVK_NODE_UP)
			return disk_fail(at, key, "node %s is down; start it, or leave it out",
					 name);
	}
	for (uint64_t ready = nodes_ready(&at->run->reach.nodes); ready; ready &= ready - 1)
		n_ready++;
	if (n > n_now && n > n_ready)
		return disk_fail(at, "replicas",
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
			return disk_fail(at, "places", "there is none for node %s, and it %s", name,
					 why);
	}
	if (!nodes && json_object_size(places) < n)
		return disk_fail(at, "places", "there is none for each replica, and it %s", why);
	return EXIT_DONE;
}

static int look_at(struct disk_at *at, struct dvk *admin)
{
	struct run_dc *of = at->of;
	AUTO_FREE struct volume *volume = malloc(sizeof(*volume));
	const json_t *now;
	dvs_err err = DVS_NOTFOUND;
	int status = name_nodes(at);

	if (!volume)
		return no_memory(at);
	if (status == EXIT_DONE)
		status = name_places(at);
	if (status == EXIT_DONE && admin)
		err = volume_get(admin, of->dc->name, at->disk->name, volume, NULL);
	if (status == EXIT_DONE && err != DVS_NOTFOUND)
		status = disk_with(at, "look at", VOL_VOLUME, look);
	now = plan_disk_now(&of->now, at->disk->name);
	if (status == EXIT_DONE)
		status = check_nodes(at, now);
	if (status == EXIT_DONE && !now)
		status = check_places(at);
	if (status != EXIT_DONE || !now)
		return status;
	status = refuse_shrinking(at, now);
	if (status == EXIT_DONE)
		status = refuse_change(at, now, "store", "store");
	if (status == EXIT_DONE)
		status = refuse_change(at, now, "direct", "way to the file");
	return status == EXIT_DONE ? refuse_change(at, now, "places", "places") : status;
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
	struct link link;
	int status;

	/* Of a DC that is not there nobody needs to be asked. */
	if (!of->now.exists || of->dc->n_disks == 0)
		return look_at_all(run, of, NULL);
	run_leave(run);
	status = link_open_admin(run->cli, &link);
	if (status == EXIT_DONE)
		status = look_at_all(run, of, link.dvk);
	link_close(&link);
	return status == EXIT_DONE ? run_enter(run) : status;
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
