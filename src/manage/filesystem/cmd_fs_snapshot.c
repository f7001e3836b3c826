/* SPDX-License-Identifier: Apache-2.0 */
/* dvs fs snapshot: all that the server was asked so far is on its volume, then that gets a snapshot. What it has meanwhile of the next changes is ended or undone when the copy is opened, as after the loss of its server. */
#include <string.h>

#include "manage/filesystem/fstree.h"
#include "manage/volume/volumes.h"

static int sync_all(struct filesystem *fs)
{
	struct fstree tree;
	int status = fstree_open(fs, "snapshot", &tree);
	dvs_err err;

	if (status == EXIT_DONE) {
		err = fsc_fsync(tree.me, 0, false);
		if (err)
			status = filesystem_fail(fs, err);
	}
	fstree_close(&tree);
	return status;
}

static int snapshot(struct filesystem *fs)
{
	char volume[2 * DVS_NAME_MAX + 2];
	int status;

	if (fs->record.store != FS_STORE_VOLUME)
		return filesystem_note(
			fs,
			"it is on no volume, and only those have snapshots; 'dvs fs export %s FILE.tar.zst' makes a copy",
			fs->text);
	status = sync_all(fs);
	if (status != EXIT_DONE)
		return status;
	(void)snprintf(volume, sizeof(volume), "%s/%s", fs->dc, fs->record.volume);
	return vol_with(fs->cli, volume, "snapshot", VOL_VOLUME, vol_snapshot);
}

int cmd_fs_snapshot(struct cli *cli)
{
	if (!vol_snapshot_name_ok(cli))
		return EXIT_USAGE;
	return filesystem_with(cli, cli->words[0], "snapshot", false, snapshot);
}
