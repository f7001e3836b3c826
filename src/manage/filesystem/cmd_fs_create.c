/* SPDX-License-Identifier: Apache-2.0 */
/* dvs fs create and rm. */
#include <string.h>

#include "manage/container/limits.h"
#include "manage/filesystem/create.h"

/* ---- options ---- */

static void take_store(struct cli *cli, struct fs_record *record)
{
	const char *text = cli->values[OPTION_STORE];

	record->store = cli_has(cli, OPTION_VOLUME) ? FS_STORE_VOLUME :
			cli_has(cli, OPTION_DEVICE) ? FS_STORE_RAW :
						      FS_STORE_FILE;
	for (int i = 0; text && fs_record_stores[i]; i++) {
		if (strcmp(fs_record_stores[i], text) == 0)
			record->store = (enum fs_store)i;
	}
}

static int take_size(struct cli *cli, struct fs_record *record)
{
	bool wants = record->store == FS_STORE_RAM || record->store == FS_STORE_FILE;
	const char *text = cli->values[OPTION_SIZE];

	if (!wants && text)
		return cli_usage(cli, "--size: it is as large as what it is on; leave it out");
	if (!wants)
		return EXIT_DONE;
	if (!text)
		return cli_usage(cli, "say how large it is: --size 10G");
	if (!limits_size(text, &record->bytes) || record->bytes < FS_BYTES_MIN ||
	    record->bytes > FS_BYTES_MAX || record->bytes % 4096 != 0)
		return cli_usage(cli, "--size does not take '%s'; give 16M to 16T, as 10G", text);
	return EXIT_DONE;
}

/* All that can be said wrong without asking anybody. */
static int take_options(struct cli *cli, struct fs_record *record)
{
	const char *volume = cli->values[OPTION_VOLUME];
	const char *device = cli->values[OPTION_DEVICE];
	const char *access = cli->values[OPTION_ACCESS];

	take_store(cli, record);
	if ((record->store == FS_STORE_VOLUME) != (volume != NULL))
		return cli_usage(cli, "--volume NAME goes with --store volume");
	if ((record->store == FS_STORE_RAW) != (device != NULL))
		return cli_usage(cli, "--device PATH goes with --store raw");
	if (volume && !fs_record_name_ok(volume))
		return cli_usage(cli, "'%s' is no name of a volume of that DC", volume);
	if (device && (device[0] != '/' || strlen(device) > FS_RECORD_PLACE_MAX))
		return cli_usage(cli, "--device does not take '%s'; give an absolute path", device);
	if (volume)
		memcpy(record->volume, volume, strlen(volume) + 1);
	if (device)
		memcpy(record->place, device, strlen(device) + 1);
	record->access_dc = access && strcmp(access, "dc") == 0;
	return take_size(cli, record);
}

/* ---- where ---- */

static int take_nodes(struct filesystem *fs, struct fs_record *record)
{
	const char *list = fs->cli->values[OPTION_NODES];
	const struct dvk_node_info *self = nodes_self(&fs->nodes);
	uint64_t chosen = 0;
	int status = list ? nodes_choose(fs->cli, &fs->nodes, list, &chosen) : EXIT_DONE;

	if (status != EXIT_DONE)
		return status;
	if (!list && self)
		chosen = nodes_bit(self->node);
	for (size_t i = 0; i < fs->nodes.n; i++) {
		const struct dvk_node_info *node = &fs->nodes.node[i];

		if (chosen & nodes_bit(node->node))
			record->nodes[record->n_nodes++] = node->node.n;
	}
	if (record->n_nodes == 0)
		return filesystem_note(fs, "no node is up and not drained; see 'dvs node ls'");
	if (record->n_nodes > 1 && record->store != FS_STORE_VOLUME)
		return cli_usage(fs->cli,
				 "--nodes names %u nodes: only a file system on a volume "
				 "(--volume) can have backups",
				 record->n_nodes);
	return EXIT_DONE;
}

static int print(struct filesystem *fs)
{
	return cli_result(fs->cli, fs->text,
			  json_pack("{s:s, s:s, s:I, s:s}", "name", fs->text, "store",
				    fs_record_stores[fs->record.store], "endpoint",
				    (json_int_t)fs->record.endpoint, "id", fs->record.id));
}

static int create(struct filesystem *fs)
{
	struct fs_record *record = &fs->record;
	int status;

	*record = (struct fs_record){ .n_nodes = 0 };
	status = take_options(fs->cli, record);
	if (status == EXIT_DONE)
		status = take_nodes(fs, record);
	if (status == EXIT_DONE)
		status = filesystem_create(fs, !cli_has(fs->cli, OPTION_DETACH));
	return status == EXIT_DONE ? print(fs) : status;
}

int cmd_fs_create(struct cli *cli)
{
	return filesystem_with(cli, cli->words[0], "create", true, create);
}

/* ---- rm ---- */

static int remove_it(struct filesystem *fs)
{
	dvs_err err;

	if (!cli_has(fs->cli, OPTION_FORCE))
		return filesystem_note(fs, "all files in it%s; say that you mean it with --force",
				       fs->record.store == FS_STORE_VOLUME ||
						       fs->record.store == FS_STORE_RAW ?
					       " would be out of reach" :
					       " would be lost");
	err = filesystem_forget(fs);
	if (err)
		return filesystem_fail(fs, err);
	return cli_result(fs->cli, fs->text, json_pack("{s:s}", "name", fs->text));
}

int cmd_fs_rm(struct cli *cli)
{
	return filesystem_with(cli, cli->words[0], "remove", false, remove_it);
}
