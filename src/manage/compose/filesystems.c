/* SPDX-License-Identifier: Apache-2.0 */
/* The file systems of a file made as it says. None is removed, and of one that is there only what loses nothing changes: its quota, and which nodes can serve it. */
#include "manage/compose/filesystems.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "client/volume.h"
#include "manage/filesystem/create.h"

static uint64_t number(const struct fs_at *at, const char *key, uint64_t otherwise)
{
	const json_t *value = fs_at_value(at, key);

	return value ? (uint64_t)json_integer_value(value) : otherwise;
}

static void take_text(const struct fs_at *at, const char *key, char *to, size_t room)
{
	const char *text = json_string_value(fs_at_value(at, key));

	(void)snprintf(to, room, "%s", text ? text : "");
}

static enum fs_store store_of(const struct fs_at *at)
{
	const char *text = json_string_value(fs_at_value(at, "store"));
	enum fs_store store = FS_STORE_FILE;

	for (int i = 0; text && fs_record_stores[i]; i++) {
		if (strcmp(fs_record_stores[i], text) == 0)
			store = (enum fs_store)i;
	}
	return store;
}

/* ---- its nodes ---- */

static void take_named(struct filesystem *fs, const json_t *names, struct fs_record *record)
{
	record->n_nodes = 0;
	for (size_t i = 0; i < json_array_size(names); i++) {
		const struct dvk_node_info *node =
			nodes_find(&fs->nodes, json_string_value(json_array_get(names, i)));

		/* One that has just been removed is left out. */
		if (node)
			record->nodes[record->n_nodes++] = node->node.n;
	}
}

/* Where its volume has replicas: reading and writing then need no network there. */
static int take_replicas(struct filesystem *fs, struct fs_record *record)
{
	AUTO_FREE struct volume *volume = malloc(sizeof(*volume));
	dvs_err err = volume ? volume_get(fs->link.dvk, fs->dc, record->volume, volume, NULL) :
			       DVS_NOMEM;

	if (err)
		return filesystem_fail(fs, err);
	for (uint32_t i = 0; i < volume->n_replicas; i++)
		record->nodes[record->n_nodes++] = volume->replicas[i].node;
	/* A clone's are those of what it is of. */
	if (record->n_nodes == 0)
		return filesystem_note(fs, "nodes: say which, for its disk is a clone");
	return EXIT_DONE;
}

static int take_nodes(struct filesystem *fs, const struct fs_at *at, struct fs_record *record)
{
	const json_t *names = fs_at_value(at, "nodes");
	uint64_t nodes = at->entry.of->plan.nodes & nodes_ready(&fs->nodes);

	if (names)
		take_named(fs, names, record);
	else if (record->store == FS_STORE_VOLUME)
		return take_replicas(fs, record);
	else if (nodes)
		record->nodes[record->n_nodes++] = (uint32_t)__builtin_ctzll(nodes);
	return record->n_nodes ? EXIT_DONE :
				 filesystem_note(fs, "nodes: none of them is there any more");
}

/* ---- making and changing ---- */

static int set_quota(struct filesystem *fs, const struct fs_at *at, const json_t *now)
{
	struct fs_quota_req req = {
		.bytes = (uint64_t)json_integer_value(json_object_get(now, "quota_bytes")),
		.files = (uint64_t)json_integer_value(json_object_get(now, "quota_files")),
	};
	const uint64_t bytes = number(at, "quota_bytes", req.bytes);
	const uint64_t files = number(at, "quota_files", req.files);
	int status;
	dvs_err err;

	if (bytes == req.bytes && files == req.files)
		return EXIT_DONE;
	req.bytes = bytes;
	req.files = files;
	status = fs->self ? EXIT_DONE : filesystem_reach(fs);
	if (status != EXIT_DONE)
		return status;
	err = fs_call_quota(fs->self, filesystem_server(fs), &req, NULL, NULL, 0, NULL, 0, NULL,
			    FILESYSTEM_ANSWER_MS);
	return err ? filesystem_fail_ask(fs, err) : EXIT_DONE;
}

static int create(struct filesystem *fs)
{
	const struct fs_at *at = fs->caller->context;
	struct fs_record *record = &fs->record;
	const char *access = json_string_value(fs_at_value(at, "access"));
	bool limits = number(at, "quota_bytes", 0) || number(at, "quota_files", 0);
	int status;

	*record = (struct fs_record){ .store = store_of(at), .bytes = number(at, "bytes", 0) };
	take_text(at, "volume", record->volume, sizeof(record->volume));
	take_text(at, "place", record->place, sizeof(record->place));
	record->access_dc = access && strcmp(access, "dc") == 0;
	status = take_nodes(fs, at, record);
	/* A server must be there to be told the quota. */
	if (status == EXIT_DONE)
		status = filesystem_create(fs, at->entry.waits || limits);
	return status == EXIT_DONE ? set_quota(fs, at, NULL) : status;
}

/* Its servers follow the record: new ones come as backups, and where it is not any more they end. */
static int move(struct filesystem *fs, const struct fs_at *at, const json_t *now)
{
	const json_t *names = fs_at_value(at, "nodes");
	AUTO_FREE char *text = NULL;
	char key[DVS_NAME_MAX + 1];
	uint64_t version;
	dvs_err err;
	int status;

	if (!names || plan_disk_is_same("nodes", names, json_object_get(now, "nodes")))
		return EXIT_DONE;
	err = fs_record_get(fs->link.dvk, fs->dc, fs->name, &fs->record, &version);
	if (err)
		return filesystem_fail(fs, err);
	take_named(fs, names, &fs->record);
	if (fs->record.n_nodes == 0)
		return filesystem_note(fs, "nodes: none of them is there any more");
	status = filesystem_start_agents(fs);
	if (status != EXIT_DONE)
		return status;
	fs_record_key(fs->name, key);
	err = fs_record_print(&fs->record, &text);
	if (!err)
		err = dvk_record_set(fs->link.dvk, fs->dc, key, version, text, strlen(text), NULL);
	return err ? filesystem_fail(fs, err) : EXIT_DONE;
}

static int change(struct filesystem *fs)
{
	const struct fs_at *at = fs->caller->context;
	const json_t *now = plan_filesystem_now(&at->entry.of->now, at->entry.file->name);
	int status = move(fs, at, now);

	return status == EXIT_DONE ? set_quota(fs, at, now) : status;
}

/* ---- all ---- */

int run_apply_filesystems(struct run *run, struct run_dc *of, bool waits)
{
	int status = EXIT_DONE;

	if (of->dc->n_filesystems == 0)
		return EXIT_DONE;
	run_leave(run);
	for (of->n_fs_made = 0; of->n_fs_made < of->dc->n_filesystems; of->n_fs_made++) {
		struct fs_at at;

		fs_at(run, of, of->n_fs_made, &at);
		at.entry.waits = waits;
		if (plan_filesystem_now(&of->now, at.entry.file->name))
			status = fs_at_with(&at, "change", false, change);
		else
			status = fs_at_with(&at, "create", true, create);
		if (status != EXIT_DONE)
			break;
	}
	/* What failed is taken back by who asks the agents again. */
	return run_enter(run) == EXIT_DONE ? status : EXIT_FAILED;
}

static int forget(struct filesystem *fs)
{
	dvs_err err = filesystem_forget(fs);

	return err ? filesystem_fail(fs, err) : EXIT_DONE;
}

void run_forget_filesystems(struct run *run, struct run_dc *of)
{
	if (of->n_fs_made == 0)
		return;
	run_leave(run);
	for (; of->n_fs_made > 0; of->n_fs_made--) {
		struct fs_at at;

		fs_at(run, of, of->n_fs_made - 1, &at);
		/* What stays of it keeps the DC, and that is told. */
		if (!plan_filesystem_now(&of->now, at.entry.file->name))
			(void)!fs_at_with(&at, "remove", false, forget);
	}
	(void)!run_enter(run);
}
