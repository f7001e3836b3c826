/* SPDX-License-Identifier: Apache-2.0 */
/* dvs fs create and rm. The record makes a node begin; when it cannot, the record is taken back. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dvs/container.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "manage/container/limits.h"
#include "manage/filesystem/filesystem.h"
#include "manage/volume/volumes.h"

#define AGENT_MS 20000u
/* How long a server may take until it serves what is new. */
#define SETTLE_NS (60 * CLOCK_NS_PER_S)
#define LOOK_MS 500u
#define PAUSE_MS 50

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

static int start_agents(struct filesystem *fs, const struct fs_record *record)
{
	for (uint32_t i = 0; i < record->n_nodes; i++) {
		dvs_nodeid id = { record->nodes[i] };
		const struct dvk_node_info *node = nodes_at(&fs->nodes, id);
		char name[DVS_NAME_MAX + 1];
		dvs_ep ep;
		dvs_err err;

		if (!node || node->state != DVK_NODE_UP)
			return filesystem_note(fs,
					       "node %s is down; 'dvs node ls' tells which are up",
					       nodes_name(&fs->nodes, id, name));
		err = dvk_agent_start(fs->link.dvk, id, AGENT_MS, &ep);
		if (err != DVS_OK)
			return filesystem_note(fs, "node %s: %s; %s", node->name, dvs_strerror(err),
					       dvs_err_hint(err));
	}
	return EXIT_DONE;
}

/* The volume must be there, and no other file system's. */
static int check_volume(struct filesystem *fs, const struct fs_record *record)
{
	AUTO_FREE struct volume *volume = malloc(sizeof(*volume));
	char name[FS_RECORD_NAME_MAX + 1] = "";
	struct fs_record other;
	dvs_err err = DVS_OK;

	if (record->store != FS_STORE_VOLUME)
		return EXIT_DONE;
	if (!volume)
		return filesystem_fail(fs, DVS_NOMEM);
	if (volume_get(fs->link.dvk, fs->dc, record->volume, volume, NULL) != DVS_OK)
		return filesystem_note(fs,
				       "the dc %s has no volume '%s'; 'dvs vol create %s/%s' "
				       "makes it",
				       fs->dc, record->volume, fs->dc, record->volume);
	while (!err || err == DVS_BADARG) {
		err = fs_record_next(fs->link.dvk, fs->dc, name, &other, NULL);
		if (!err && strcmp(other.volume, record->volume) == 0)
			return filesystem_note(fs, "the file system %s/%s is on that volume",
					       fs->dc, name);
	}
	return EXIT_DONE;
}

/* A number that no file system of the DC has; the version of the DC's records keeps two from drawing the same. */
static dvs_err draw_endpoint(struct filesystem *fs, uint32_t *endpoint)
{
	bool used[FS_EP_LAST + 1] = { false };
	char name[FS_RECORD_NAME_MAX + 1] = "";
	struct fs_record other;
	uint32_t begin;
	dvs_err err = DVS_OK;

	while (!err || err == DVS_BADARG) {
		err = fs_record_next(fs->link.dvk, fs->dc, name, &other, NULL);
		if (!err)
			used[other.endpoint] = true;
	}
	if (err != DVS_NOTFOUND)
		return err;
	/* Where it begins depends on the id, so that a number does not come again at once. */
	begin = (uint32_t)strtoul(fs->record.id, NULL, 16) % (FS_EP_LAST - FS_EP_FIRST + 1);
	for (uint32_t i = 0; i <= FS_EP_LAST - FS_EP_FIRST; i++) {
		*endpoint = FS_EP_FIRST + (begin + i) % (FS_EP_LAST - FS_EP_FIRST + 1);
		if (!used[*endpoint])
			return DVS_OK;
	}
	return DVS_FULL;
}

/* ---- until it is served ---- */

static int wait_served(struct filesystem *fs)
{
	AUTO_FREE struct fs_status_rep *status = malloc(sizeof(*status));
	uint64_t until_ns = clock_deadline_ns(SETTLE_NS);
	char why[DVK_TEXT_MAX + 1];
	dvs_err err;

	if (!status)
		return filesystem_fail(fs, DVS_NOMEM);
	for (;;) {
		err = fs_call_status(fs->self, filesystem_server(fs), NULL, status, LOOK_MS);
		if (err == DVS_OK)
			return EXIT_DONE;
		if (filesystem_why(fs, fs->record.nodes[0], why) || clock_is_past(until_ns))
			break;
		(void)poll(NULL, 0, PAUSE_MS);
	}
	(void)filesystem_fail_ask(fs, err);
	err = filesystem_forget(fs);
	return err == DVS_OK ? EXIT_FAILED : filesystem_fail(fs, err);
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
	AUTO_FREE char *text = NULL;
	char key[DVS_NAME_MAX + 1];
	dvs_err err;
	int status;

	*record = (struct fs_record){ .n_nodes = 0 };
	memcpy(record->name, fs->name, sizeof(record->name));
	status = take_options(fs->cli, record);
	if (status == EXIT_DONE)
		status = take_nodes(fs, record);
	if (status == EXIT_DONE)
		status = check_volume(fs, record);
	if (status == EXIT_DONE)
		status = start_agents(fs, record);
	if (status == EXIT_DONE)
		status = filesystem_reach(fs);
	if (status != EXIT_DONE)
		return status;
	if (!volumes_new_id(record->id))
		return cli_fail_errno(fs->cli, errno, "", "create file system %s", fs->text);
	err = draw_endpoint(fs, &record->endpoint);
	if (!err)
		err = fs_record_print(record, &text);
	fs_record_key(fs->name, key);
	if (!err)
		err = dvk_record_set(fs->link.dvk, fs->dc, key, 0, text, strlen(text), NULL);
	if (err)
		return filesystem_fail(fs, err);
	if (!cli_has(fs->cli, OPTION_DETACH))
		status = wait_served(fs);
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
