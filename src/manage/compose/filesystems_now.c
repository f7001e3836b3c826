/* SPDX-License-Identifier: Apache-2.0 */
/* The file systems of a file before anything is begun: what there is of them, and what cannot be done. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "client/volume.h"
#include "manage/compose/filesystems.h"

/* For the server of one whose quota is to be compared. */
#define LOOK_MS 5000u

/* ---- one of them ---- */

static void told(void *at_void, const char *why)
{
	const struct fs_at *at = at_void;

	run_fail(at->run, at->of->dc, at->prefix, NULL, why);
}

void fs_at(struct run *run, struct run_dc *of, size_t i, struct fs_at *at)
{
	*at = (struct fs_at){ .run = run, .of = of, .fs = &of->dc->filesystems[i] };
	(void)snprintf(at->prefix, sizeof(at->prefix), "fs/%s:", at->fs->name);
	(void)snprintf(at->text, sizeof(at->text), "%s/%s", of->dc->name, at->fs->name);
	at->caller = (struct filesystem_caller){ told, at };
}

int fs_at_with(struct fs_at *at, const char *what, bool is_new, int (*run)(struct filesystem *fs))
{
	return filesystem_with_caller(at->run->cli, at->text, what, is_new, run, &at->caller);
}

int fs_at_fail(const struct fs_at *at, const char *key, const char *why, ...)
{
	char sentence[COMPOSE_TEXT_MAX];
	int used = snprintf(sentence, sizeof(sentence), "%s: ", key);
	va_list args;

	va_start(args, why);
	(void)vsnprintf(sentence + used, sizeof(sentence) - (size_t)used, why, args);
	va_end(args);
	return run_fail(at->run, at->of->dc, at->prefix, NULL, sentence);
}

json_t *fs_at_value(const struct fs_at *at, const char *key)
{
	return json_object_get(at->fs->json, key);
}

static int no_memory(const struct fs_at *at)
{
	return cli_fail(at->run->cli, DVS_NOMEM, "look at file system %s", at->text);
}

static bool has_text(const json_t *list, const char *text)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		if (strcmp(json_string_value(json_array_get(list, i)), text) == 0)
			return true;
	}
	return false;
}

/* Nodes as the DVS calls them. */
static int name_nodes(const struct fs_at *at)
{
	const json_t *words = fs_at_value(at, "nodes");
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
			status = fs_at_fail(at, key, "node %s stands here twice", node->name);
		else if (json_array_append_new(names, json_string(node->name)) != 0)
			status = no_memory(at);
	}
	if (status != EXIT_DONE || !words) {
		json_decref(names);
		return status;
	}
	return json_object_set_new(at->fs->json, "nodes", names) == 0 ? EXIT_DONE : no_memory(at);
}

/* ---- what there is ---- */

/* RECORD as a file would say it; without an answer of its server (NULL) the quota is left as the file has it. NULL: no memory. */
static json_t *record_now(const struct fs_at *at, const struct fs_record *record,
			  const struct fs_status_rep *status)
{
	json_t *nodes = json_array();
	json_t *bytes = fs_at_value(at, "quota_bytes");
	json_t *files = fs_at_value(at, "quota_files");

	for (uint32_t i = 0; i < record->n_nodes; i++) {
		char name[DVS_NAME_MAX + 1];

		nodes_name(&at->run->reach.nodes, (dvs_nodeid){ record->nodes[i] }, name);
		/* What could not be added is missed when the whole is packed. */
		if (json_array_append_new(nodes, json_string(name)) != 0) {
			json_decref(nodes);
			nodes = NULL;
		}
	}
	bytes = status ? json_integer((json_int_t)status->quota_bytes) : json_incref(bytes);
	files = status ? json_integer((json_int_t)status->quota_files) : json_incref(files);
	return json_pack("{s:s, s:s, s:s, s:I, s:o, s:o*, s:o*, s:s}", "store",
			 fs_record_stores[record->store], "volume", record->volume, "place",
			 record->place, "bytes", (json_int_t)record->bytes, "nodes", nodes,
			 "quota_bytes", bytes, "quota_files", files, "access",
			 record->access_dc ? "dc" : "managers");
}

static int look(struct filesystem *fs)
{
	const struct fs_at *at = fs->caller->context;
	struct plan_now *now = &at->of->now;
	AUTO_FREE struct fs_status_rep *status = calloc(1, sizeof(*status));
	struct compose_program *list;
	bool asks = fs_at_value(at, "quota_bytes") || fs_at_value(at, "quota_files");
	dvs_err err = DVS_OK;

	if (!status)
		return no_memory(at);
	/* Nobody has to wait for one that cannot be asked. */
	if (asks && filesystem_reach(fs) == EXIT_DONE)
		err = fs_call_status(fs->self, filesystem_server(fs), NULL, status, LOOK_MS);
	if (err)
		cli_note(fs->cli,
			 "file system %s: no server of it answers, so its quota is not looked at",
			 fs->text);
	list = reallocarray(now->filesystems, now->n_filesystems + 1, sizeof(*list));
	if (!list)
		return no_memory(at);
	now->filesystems = list;
	list += now->n_filesystems;
	list->json = record_now(at, &fs->record, asks && !err ? status : NULL);
	if (!list->json)
		return no_memory(at);
	(void)snprintf(list->name, sizeof(list->name), "%s", fs->name);
	now->n_filesystems++;
	return EXIT_DONE;
}

/* ---- what cannot be done ---- */

static int refuse_change(const struct fs_at *at, const json_t *now, const char *key,
			 const char *word)
{
	const json_t *wanted = fs_at_value(at, key);
	AUTO_FREE char *was = NULL;

	if (!wanted || plan_disk_is_same(key, wanted, json_object_get(now, key)))
		return EXIT_DONE;
	was = json_dumps(json_object_get(now, key), JSON_ENCODE_ANY | JSON_COMPACT);
	return fs_at_fail(at, key,
			  "it is %s, and the %s of a file system cannot change; make another one, "
			  "and copy",
			  was ? was : "another one", word);
}

static int refuse_changes(const struct fs_at *at, const json_t *now)
{
	static const struct {
		const char *key, *word;
	} fixed[] = { { "store", "store" },
		      { "volume", "disk" },
		      { "place", "device" },
		      { "bytes", "size" },
		      { "access", "access" } };
	const char *store = json_string_value(json_object_get(now, "store"));
	int status = EXIT_DONE;

	for (size_t i = 0; status == EXIT_DONE && i < ARRAY_LEN(fixed); i++)
		status = refuse_change(at, now, fixed[i].key, fixed[i].word);
	if (status == EXIT_DONE && strcmp(store, "volume") != 0)
		status = refuse_change(at, now, "nodes", "node");
	return status;
}

/* A disk that neither the file nor the DVS has would never come. */
static int check_disk(const struct fs_at *at, struct dvk *admin)
{
	const char *name = json_string_value(fs_at_value(at, "volume"));
	const struct compose_dc *dc = at->of->dc;
	AUTO_FREE struct volume *volume = malloc(sizeof(*volume));

	if (!volume)
		return no_memory(at);
	for (size_t i = 0; name && i < dc->n_disks; i++) {
		if (strcmp(dc->disks[i].name, name) == 0)
			return EXIT_DONE;
	}
	if (!name || (admin && volume_get(admin, dc->name, name, volume, NULL) == DVS_OK))
		return EXIT_DONE;
	return fs_at_fail(at, "volume", "the DC has no such disk; say what it is below 'disks'");
}

static int look_at(struct fs_at *at, struct dvk *admin)
{
	struct fs_record record;
	const json_t *now;
	dvs_err err = DVS_NOTFOUND;
	int status = name_nodes(at);

	if (status == EXIT_DONE && admin)
		err = fs_record_get(admin, at->of->dc->name, at->fs->name, &record, NULL);
	if (status == EXIT_DONE && err != DVS_NOTFOUND)
		status = fs_at_with(at, "look at", false, look);
	now = plan_filesystem_now(&at->of->now, at->fs->name);
	if (status == EXIT_DONE && now)
		return refuse_changes(at, now);
	return status == EXIT_DONE ? check_disk(at, admin) : status;
}

/* ---- what containers are to see ---- */

static bool is_of_file(const struct compose_dc *dc, const char *name)
{
	for (size_t i = 0; i < dc->n_filesystems; i++) {
		if (strcmp(dc->filesystems[i].name, name) == 0)
			return true;
	}
	return false;
}

/* Programs would wait for ever for a file system that neither the file nor the DVS has. */
static int check_volumes(struct run *run, const struct run_dc *of, struct dvk *admin)
{
	const json_t *volumes = json_object_get(of->dc->description, "volumes");

	for (size_t i = 0; i < json_array_size(volumes); i++) {
		const char *source =
			json_string_value(json_object_get(json_array_get(volumes, i), "source"));
		struct fs_record record;
		char why[256];

		if (!source || source[0] == '/' || is_of_file(of->dc, source) ||
		    (admin && fs_record_get(admin, of->dc->name, source, &record, NULL) == DVS_OK))
			continue;
		(void)snprintf(
			why, sizeof(why),
			"volumes[%zu].source: the DC has no file system '%.64s'; say what it "
			"is below 'filesystems'",
			i, source);
		return run_fail(run, of->dc, "", NULL, why);
	}
	return EXIT_DONE;
}

static int look_at_all(struct run *run, struct run_dc *of, struct dvk *admin)
{
	int status = check_volumes(run, of, admin);

	for (size_t i = 0; status == EXIT_DONE && i < of->dc->n_filesystems; i++) {
		struct fs_at at;

		fs_at(run, of, i, &at);
		status = look_at(&at, admin);
	}
	return status;
}

int run_look_filesystems(struct run *run, struct run_dc *of)
{
	struct link link;
	int status;

	/* Of a DC that is not there nobody needs to be asked. */
	if (!of->now.exists)
		return look_at_all(run, of, NULL);
	if (of->dc->n_filesystems == 0)
		return check_volumes(run, of, run->admin);
	run_leave(run);
	status = link_open_admin(run->cli, &link);
	if (status == EXIT_DONE)
		status = look_at_all(run, of, link.dvk);
	link_close(&link);
	return status == EXIT_DONE ? run_enter(run) : status;
}
