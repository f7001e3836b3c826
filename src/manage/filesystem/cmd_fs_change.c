/* SPDX-License-Identifier: Apache-2.0 */
/* dvs fs check, grow and quota. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "manage/container/limits.h"
#include "manage/filesystem/filesystem.h"

/* Looking at every file takes a while. */
#define CHECK_MS (3600u * 1000u)

/* ---- check ---- */

static int print_found(struct filesystem *fs, const struct fs_check_rep *rep)
{
	json_t *found = json_array();

	for (uint32_t i = 0; found && i < rep->n_found; i++) {
		if (json_array_append_new(found, json_string(rep->found[i])) != 0) {
			json_decref(found);
			found = NULL;
		}
		if (fs->cli->output.format != OUTPUT_JSON)
			cli_note(fs->cli, "%s: %s", fs->text, rep->found[i]);
	}
	if (rep->more_found && fs->cli->output.format != OUTPUT_JSON)
		cli_note(fs->cli, "%s: and %u more", fs->text, rep->more_found);
	return cli_result(fs->cli, fs->text,
			  json_pack("{s:s, s:I, s:I, s:o}", "name", fs->text, "wrong",
				    (json_int_t)rep->n_found + rep->more_found, "repaired",
				    (json_int_t)rep->repaired, "found", found));
}

static int check(struct filesystem *fs)
{
	AUTO_FREE struct fs_check_rep *rep = malloc(sizeof(*rep));
	const struct fs_check_req req = { .repair = cli_has(fs->cli, OPTION_REPAIR) };
	int status = filesystem_reach(fs);
	dvs_err err;

	if (status != EXIT_DONE)
		return status;
	if (!rep)
		return filesystem_fail(fs, DVS_NOMEM);
	err = fs_call_check(fs->self, filesystem_server(fs), &req, rep, CHECK_MS);
	if (err)
		return filesystem_fail_ask(fs, err);
	status = print_found(fs, rep);
	if (status != EXIT_DONE || rep->n_found == 0 || req.repair)
		return status;
	return filesystem_note(fs,
			       "something is wrong with it; 'dvs fs check --repair %s' mends "
			       "what can be mended",
			       fs->text);
}

int cmd_fs_check(struct cli *cli)
{
	return filesystem_with(cli, cli->words[0], "check", false, check);
}

/* ---- grow ---- */

static int grow(struct filesystem *fs)
{
	struct fs_grow_rep rep;
	int status = filesystem_reach(fs);
	dvs_err err;

	if (status != EXIT_DONE)
		return status;
	err = fs_call_grow(fs->self, filesystem_server(fs), NULL, &rep, NULL, 0, NULL, 0, NULL,
			   FILESYSTEM_ANSWER_MS);
	if (err)
		return filesystem_fail_ask(fs, err);
	return cli_result(fs->cli, fs->text,
			  json_pack("{s:s, s:I}", "name", fs->text, "bytes",
				    (json_int_t)rep.bytes));
}

int cmd_fs_grow(struct cli *cli)
{
	return filesystem_with(cli, cli->words[0], "grow", false, grow);
}

/* ---- quota ---- */

static int quota(struct filesystem *fs)
{
	const char *size = fs->cli->values[OPTION_SIZE];
	AUTO_FREE struct fs_status_rep *now = malloc(sizeof(*now));
	struct fs_quota_req req;
	uint64_t files;
	int status;
	dvs_err err;

	if (!now)
		return filesystem_fail(fs, DVS_NOMEM);
	if (!size && !cli_has(fs->cli, OPTION_COUNT))
		return cli_usage(fs->cli, "say what it may have: --size 10G, --count 100000, or "
					  "none");
	status = filesystem_reach(fs);
	if (status != EXIT_DONE)
		return status;
	err = fs_call_status(fs->self, filesystem_server(fs), NULL, now, FILESYSTEM_ANSWER_MS);
	if (err)
		return filesystem_fail_ask(fs, err);
	req = (struct fs_quota_req){ .bytes = now->quota_bytes, .files = now->quota_files };
	if (size && strcmp(size, "none") == 0)
		req.bytes = 0;
	else if (size && (!limits_size(size, &req.bytes) || req.bytes == 0))
		return cli_usage(fs->cli, "--size does not take '%s'; give bytes, as 10G, or none",
				 size);
	if (!cli_number(fs->cli, OPTION_COUNT, 0, INT64_MAX, req.files, &files))
		return EXIT_USAGE;
	req.files = files;
	err = fs_call_quota(fs->self, filesystem_server(fs), &req, NULL, NULL, 0, NULL, 0, NULL,
			    FILESYSTEM_ANSWER_MS);
	if (err)
		return filesystem_fail_ask(fs, err);
	return cli_result(fs->cli, fs->text,
			  json_pack("{s:s, s:I, s:I}", "name", fs->text, "quota_bytes",
				    (json_int_t)req.bytes, "quota_files", (json_int_t)req.files));
}

int cmd_fs_quota(struct cli *cli)
{
	return filesystem_with(cli, cli->words[0], "limit", false, quota);
}
