/* SPDX-License-Identifier: Apache-2.0 */
/* dvs fs ls and inspect: what the records say, and what the servers tell. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dvs/container.h>

#include "base/cleanup.h"
#include "client/volume.h"
#include "manage/container/reach.h"
#include "manage/filesystem/filesystem.h"
#include "manage/output.h"
#include "manage/target.h"
#include "manage/volume/describe.h"

/* For a server in a list, which may be one of many that do not answer. */
#define LIST_MS 2000u

static const struct output_column columns[] = {
	{ "NAME", "name", false },
	{ "SIZE", "size", false },
	{ "FREE", "free", false },
	{ "FILES", "files", false },
	{ "STORE", "store", false },
	{ "NODES", "nodes", false },
	{ "STATE", "state", false },
	{ "PRIMARY", "primary", true },
	{ "SESSIONS", "sessions", true },
	{ "ENDPOINT", "endpoint", true },
	{ "ACCESS", "access", true },
	{ "VOLUME", "volume", true },
	{ "ID", "id", true },
};
static const struct output_shape shape = { "file systems", columns, ARRAY_LEN(columns) };

static const struct output_column field_columns[] = {
	{ "Name", "name", false },
	{ "State", "state", false },
	{ "Why", "why", false },
	{ "Size", "size", false },
	{ "Free", "free", false },
	{ "Bytes of metadata", "meta_bytes", false },
	{ "Files", "files", false },
	{ "Quota of bytes", "quota_bytes", false },
	{ "Quota of files", "quota_files", false },
	{ "Store", "store", false },
	{ "Volume", "volume", false },
	{ "Place", "place", false },
	{ "Nodes", "nodes", false },
	{ "Primary", "primary", false },
	{ "Access", "access", false },
	{ "Endpoint", "endpoint", false },
	{ "Id", "id", false },
	{ "Sessions", "sessions", false },
	{ "Open files", "open_files", false },
	{ "Locks", "locks", false },
	{ "Leases", "leases", false },
	{ "Requests", "requests", false },
	{ "Recalls", "recalls", false },
	{ "Bytes read", "read_bytes", false },
	{ "Bytes written", "written_bytes", false },
	{ "Changes", "commits", false },
	{ "Flushes", "flushes", false },
};
static const struct output_shape fields = { "file system", field_columns,
					    ARRAY_LEN(field_columns) };

/* Of a value that there is not: nothing. */
static bool put(json_t *document, const char *key, json_t *value)
{
	return json_object_set_new(document, key, value) == 0;
}

static json_t *node_names(const struct filesystem *fs)
{
	char text[1024] = "";
	size_t len = 0;

	for (uint32_t i = 0; i < fs->record.n_nodes && len < sizeof(text); i++) {
		dvs_nodeid id = { fs->record.nodes[i] };
		char name[DVS_NAME_MAX + 1];

		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", i ? "," : "",
					nodes_name(&fs->nodes, id, name));
	}
	return json_string(text);
}

/* The node of the server that has it, or would have it if it could; false: there is none. */
static bool find_primary(const struct filesystem *fs, dvs_nodeid *node)
{
	struct dvk_endpoint_info info;

	if (!fs->dvk || dvk_endpoint_info(fs->dvk, filesystem_server(fs), &info) != DVS_OK)
		return false;
	*node = info.node;
	return true;
}

static json_t *number(uint64_t value)
{
	return json_integer((json_int_t)value);
}

static bool put_told(json_t *document, const struct fs_status_rep *told)
{
	return put(document, "bytes", number(told->bytes)) &&
	       put(document, "size", describe_size(told->bytes)) &&
	       put(document, "free_bytes", number(told->free_bytes)) &&
	       put(document, "free", describe_size(told->free_bytes)) &&
	       put(document, "meta_bytes", number(told->meta_bytes)) &&
	       put(document, "files", number(told->files)) &&
	       put(document, "quota_bytes", number(told->quota_bytes)) &&
	       put(document, "quota_files", number(told->quota_files)) &&
	       put(document, "sessions", number(told->sessions)) &&
	       put(document, "open_files", number(told->open_files)) &&
	       put(document, "locks", number(told->locks)) &&
	       put(document, "leases", number(told->leases)) &&
	       put(document, "requests", number(told->requests)) &&
	       put(document, "recalls", number(told->recalls)) &&
	       put(document, "read_bytes", number(told->read_bytes)) &&
	       put(document, "written_bytes", number(told->written_bytes)) &&
	       put(document, "commits", number(told->commits)) &&
	       put(document, "flushes", number(told->flushes)) &&
	       (!told->read_only || put(document, "why", json_string(told->why)));
}

static json_t *describe(struct filesystem *fs, const struct fs_status_rep *told)
{
	const struct fs_record *record = &fs->record;
	json_t *document = json_pack("{s:o, s:s, s:s, s:I, s:s, s:o, s:s, s:s}", "name",
				     json_sprintf("%s/%s", fs->dc, record->name), "dc", fs->dc,
				     "store", fs_record_stores[record->store], "endpoint",
				     (json_int_t)record->endpoint, "access",
				     record->access_dc ? "dc" : "managers", "nodes", node_names(fs),
				     "id", record->id, "state",
				     !told	     ? "no answer" :
				     told->read_only ? "read only" :
						       "served");
	dvs_nodeid primary = { record->nodes[0] };
	char name[DVS_NAME_MAX + 1];
	char why[DVK_TEXT_MAX + 1];
	bool ok = document != NULL;

	if (ok && find_primary(fs, &primary))
		ok = put(document, "primary", json_string(nodes_name(&fs->nodes, primary, name)));
	if (ok && record->volume[0])
		ok = put(document, "volume", json_string(record->volume));
	if (ok && record->place[0])
		ok = put(document, "place", json_string(record->place));
	if (ok && told)
		ok = put_told(document, told);
	else if (ok && filesystem_why(fs, primary.n, why))
		ok = put(document, "why", json_string(why));
	if (ok)
		return document;
	json_decref(document);
	return NULL;
}

/* What its server tells, into TOLD; NULL: it does not answer. */
static const struct fs_status_rep *ask(struct filesystem *fs, struct fs_status_rep *told)
{
	if (!fs->self)
		return NULL;
	return fs_call_status(fs->self, filesystem_server(fs), NULL, told, LIST_MS) == DVS_OK ?
		       told :
		       NULL;
}

/* ---- ls ---- */

static void leave(struct filesystem *fs)
{
	dvk_unbind(fs->self);
	dvk_close(fs->dvk);
	fs->self = NULL;
	fs->dvk = NULL;
}

/* Without a way into the DC there are still the records. */
static void enter(struct filesystem *fs)
{
	if (volume_dc_open(link_run_dir(fs->cli), fs->dc, &fs->dvk) != DVS_OK)
		fs->dvk = NULL;
	else if (dvk_bind(fs->dvk, dvs_ep_any(), DVK_LOCAL, &fs->self) != DVS_OK)
		fs->self = NULL;
}

static int list_dc(struct filesystem *fs, const char *dc, json_t *rows)
{
	AUTO_FREE struct fs_status_rep *told = malloc(sizeof(*told));
	char name[FS_RECORD_NAME_MAX + 1] = "";
	dvs_err err = told ? DVS_OK : DVS_NOMEM;
	json_t *row;

	snprintf(fs->dc, sizeof(fs->dc), "%s", dc);
	while (!err || err == DVS_BADARG) {
		err = fs_record_next(fs->link.dvk, dc, name, &fs->record, NULL);
		row = NULL;
		if (!err && !fs->dvk)
			enter(fs);
		if (!err)
			row = describe(fs, ask(fs, told));
		else if (err == DVS_BADARG)
			row = json_pack("{s:o, s:s, s:s}", "name", json_sprintf("%s/%s", dc, name),
					"dc", dc, "state", "damaged record");
		if ((!err || err == DVS_BADARG) && json_array_append_new(rows, row) != 0)
			err = DVS_NOMEM;
	}
	leave(fs);
	if (err == DVS_NOTFOUND || err == DVS_NODC)
		return EXIT_DONE;
	return cli_fail(fs->cli, err, "list the file systems of dc %s", dc);
}

static int list_all(struct filesystem *fs, json_t *rows)
{
	struct cli *cli = fs->cli;
	struct dvk_container_info info;
	uint32_t cursor = 0;
	int status = EXIT_DONE;
	dvs_err err = DVS_OK;

	if (cli->n_words > 0) {
		status = reach_find_dc(cli, fs->link.dvk, cli->words[0], "find", &info);
		return status == EXIT_DONE ? list_dc(fs, cli->words[0], rows) : status;
	}
	while (status == EXIT_DONE &&
	       (err = dvk_container_next(fs->link.dvk, &cursor, 0, &info)) == DVS_OK)
		status = list_dc(fs, info.name, rows);
	if (status == EXIT_DONE && err != DVS_NODC)
		status = cli_fail(cli, err, "list the file systems");
	return status;
}

int cmd_fs_ls(struct cli *cli)
{
	AUTO_FREE struct filesystem *fs = calloc(1, sizeof(*fs));
	json_t *rows = json_array();
	int status;

	if (!fs || !rows)
		return cli_fail(cli, DVS_NOMEM, "list the file systems");
	fs->cli = cli;
	if (cli->n_words > 0 && !target_check_dc_name(cli, cli->words[0])) {
		json_decref(rows);
		return EXIT_USAGE;
	}
	status = link_open_admin(cli, &fs->link);
	if (status == EXIT_DONE)
		status = nodes_load(cli, fs->link.dvk, &fs->nodes);
	if (status == EXIT_DONE)
		status = list_all(fs, rows);
	if (status == EXIT_DONE && !output_rows(&cli->output, &shape, rows))
		status = cli_fail(cli, DVS_NOMEM, "print the file systems");
	json_decref(rows);
	link_close(&fs->link);
	return status;
}

/* ---- inspect ---- */

static int inspect(struct filesystem *fs)
{
	AUTO_FREE struct fs_status_rep *told = malloc(sizeof(*told));
	struct cli *cli = fs->cli;
	json_t *document;
	bool done;

	if (!told)
		return filesystem_fail(fs, DVS_NOMEM);
	enter(fs);
	document = describe(fs, ask(fs, told));
	if (cli->output.format == OUTPUT_JSON || !document) {
		done = output_document(&cli->output, document, false);
	} else {
		done = output_fields(&cli->output, &fields, document);
		json_decref(document);
	}
	return done ? EXIT_DONE : filesystem_fail(fs, DVS_NOMEM);
}

int cmd_fs_inspect(struct cli *cli)
{
	return filesystem_with(cli, cli->words[0], "inspect", false, inspect);
}
