/* SPDX-License-Identifier: Apache-2.0 */
/* The record makes a node begin; when it cannot, the record is taken back. */
#include "manage/filesystem/create.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <dvs/container.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "manage/volume/volumes.h"

#define AGENT_MS 20000u
/* How long a server may take until it serves what is new. */
#define SETTLE_NS (60 * CLOCK_NS_PER_S)
#define LOOK_MS 500u
#define PAUSE_MS 50

int filesystem_start_agents(struct filesystem *fs)
{
	const struct fs_record *record = &fs->record;

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

static dvs_err store(struct filesystem *fs)
{
	AUTO_FREE char *text = NULL;
	char key[DVS_NAME_MAX + 1];
	dvs_err err = draw_endpoint(fs, &fs->record.endpoint);

	if (!err)
		err = fs_record_print(&fs->record, &text);
	fs_record_key(fs->name, key);
	if (!err)
		err = dvk_record_set(fs->link.dvk, fs->dc, key, 0, text, strlen(text), NULL);
	return err;
}

int filesystem_create(struct filesystem *fs, bool waits)
{
	struct fs_record *record = &fs->record;
	dvs_err err;
	int status;

	memcpy(record->name, fs->name, sizeof(record->name));
	status = check_volume(fs, record);
	if (status == EXIT_DONE)
		status = filesystem_start_agents(fs);
	if (status == EXIT_DONE)
		status = filesystem_reach(fs);
	if (status != EXIT_DONE)
		return status;
	if (!volumes_new_id(record->id))
		return filesystem_note(fs, "draw an id: %s", strerror(errno));
	err = store(fs);
	if (err)
		return filesystem_fail(fs, err);
	return waits ? wait_served(fs) : EXIT_DONE;
}
