/* SPDX-License-Identifier: Apache-2.0 */
/* The file systems of a file before anything is begun: what there is of them, and what cannot be done. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "client/volume.h"
#include "manage/compose/filesystems.h"

/* For the server of one whose quota is to be compared. */
#define LOOK_MS 5000u

static const struct entry_kind kind = { "fs", "file system" };

void fs_at(struct run *run, struct run_dc *of, size_t i, struct fs_at *at)
{
	entry_init(&at->entry, &kind, run, of, &of->dc->filesystems[i]);
	at->caller = (struct listener){ entry_told, at };
}

int fs_at_with(struct fs_at *at, const char *what, bool is_new, int (*run)(struct filesystem *fs))
{
	return filesystem_with_caller(at->entry.run->cli, at->entry.text, what, is_new, run,
				      &at->caller);
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

		nodes_name(&at->entry.run->reach.nodes, (dvs_nodeid){ record->nodes[i] }, name);
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
	struct plan_now *now = &at->entry.of->now;
	AUTO_FREE struct fs_status_rep *status = calloc(1, sizeof(*status));
	bool asks = fs_at_value(at, "quota_bytes") || fs_at_value(at, "quota_files");
	dvs_err err = DVS_OK;

	if (!status)
		return entry_no_memory(&at->entry);
	/* Nobody has to wait for one that cannot be asked. */
	if (asks && filesystem_reach(fs) == EXIT_DONE)
		err = fs_call_status(fs->self, filesystem_server(fs), NULL, status, LOOK_MS);
	if (err)
		cli_note(fs->cli,
			 "file system %s: no server of it answers, so its quota is not looked at",
			 fs->text);
	return entry_keep(&at->entry, record_now(at, &fs->record, asks && !err ? status : NULL),
			  &now->filesystems, &now->n_filesystems);
}

/* ---- what cannot be done ---- */

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
		status = entry_refuse_change(&at->entry, now, fixed[i].key, fixed[i].word);
	if (status == EXIT_DONE && strcmp(store, "volume") != 0)
		status = entry_refuse_change(&at->entry, now, "nodes", "node");
	return status;
}

/* A disk that neither the file nor the DVS has would never come. */
static int check_disk(const struct fs_at *at, struct dvk *admin)
{
	const char *name = json_string_value(fs_at_value(at, "volume"));
	const struct compose_dc *dc = at->entry.of->dc;
	AUTO_FREE struct volume *volume = malloc(sizeof(*volume));

	if (!volume)
		return entry_no_memory(&at->entry);
	for (size_t i = 0; name && i < dc->n_disks; i++) {
		if (strcmp(dc->disks[i].name, name) == 0)
			return EXIT_DONE;
	}
	if (!name || (admin && volume_get(admin, dc->name, name, volume, NULL) == DVS_OK))
		return EXIT_DONE;
	return entry_fail(&at->entry, "volume",
			  "the DC has no such disk; say what it is below 'disks'");
}

static int look_at(struct fs_at *at, struct dvk *admin)
{
	struct fs_record record;
	const json_t *now;
	dvs_err err = DVS_NOTFOUND;
	int status = entry_name_nodes(&at->entry);

	if (status == EXIT_DONE && admin)
		err = fs_record_get(admin, at->entry.of->dc->name, at->entry.file->name, &record,
				    NULL);
	if (status == EXIT_DONE && err != DVS_NOTFOUND)
		status = fs_at_with(at, "look at", false, look);
	now = plan_filesystem_now(&at->entry.of->now, at->entry.file->name);
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
	return entry_look_at_all(run, of, of->dc->n_filesystems > 0, look_at_all);
}
