/* SPDX-License-Identifier: Apache-2.0 */
/* dvs vol snapshot, clone and rm. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "client/fs_record.h"
#include "manage/volume/volumes.h"

/* ---- snapshot ---- */

int vol_snapshot(struct vol *vol)
{
	const char *name = vol->cli->words[1];
	char full[2 * DVS_NAME_MAX + VOLUME_NAME_MAX + 3];
	struct vdd_snapshot_req request;
	struct vdd_snapshot_rep reply;
	dvs_err err;
	int status = vol_reach(vol);

	if (status != EXIT_DONE)
		return status;
	request.minor = vol->disk.minor;
	snprintf(request.name, sizeof(request.name), "%s", name);
	err = vdd_call_snapshot(vol->disk.self, vol->disk.server, &request, &reply, DVS_FOREVER);
	if (err == DVS_EXISTS)
		return vol_note(vol,
				"it has a snapshot '%s' already; 'dvs vol rm %s@%s' removes it",
				name, vol->text, name);
	if (err == DVS_FULL)
		return vol_note(vol,
				"it has as many snapshots and clones as it can have (%u); "
				"remove one",
				VOLUME_MINOR_MAX);
	if (err != DVS_OK)
		return vol_fail(vol, err);
	snprintf(full, sizeof(full), "%s/%s@%s", vol->dc, vol->name, name);
	return cli_result(vol->cli, full,
			  json_pack("{s:s, s:I}", "name", full, "minor", (json_int_t)reply.minor));
}

bool vol_snapshot_name_ok(struct cli *cli)
{
	const char *name = cli->words[1];

	/* "monday", and "web/data@monday" would be clear as well, but it has one form. */
	if (volume_name_ok(name))
		return true;
	cli_usage(cli,
		  "'%s' is no name of a snapshot; use 1 to %d letters, digits, '-', "
		  "'_' and '.', not first a '.' or '-'",
		  name, VOLUME_NAME_MAX);
	return false;
}

int cmd_vol_snapshot(struct cli *cli)
{
	if (!vol_snapshot_name_ok(cli))
		return EXIT_USAGE;
	return vol_with(cli, cli->words[0], "snapshot", VOL_VOLUME, vol_snapshot);
}

/* ---- clone ---- */

/* NEW, which may have the DC before it. NULL: the message is out. */
static const char *new_name(struct vol *vol)
{
	const char *word = vol->cli->words[1];
	size_t len = strlen(vol->dc);

	if (strncmp(word, vol->dc, len) == 0 && word[len] == '/')
		word += len + 1;
	if (volume_name_ok(word))
		return word;
	if (strchr(word, '/'))
		cli_usage(vol->cli, "'%s': a clone is in the dc of its snapshot, which is %s",
			  vol->cli->words[1], vol->dc);
	else
		cli_usage(vol->cli,
			  "'%s' is no name of a volume; use 1 to %d letters, digits, '-', '_' and "
			  "'.', not first a '.' or '-'",
			  word, VOLUME_NAME_MAX);
	return NULL;
}

/* A clone of that name without a record is one that was begun and not finished: it is taken. */
static dvs_err find_unfinished(struct vol *vol, const char *name, uint32_t *minor)
{
	AUTO_FREE struct vdd_disks_rep *disks = malloc(sizeof(*disks));
	struct vdd_disks_req request = { .cursor = 0 };
	dvs_err err = DVS_NOMEM;

	if (disks)
		err = vdd_call_disks(vol->disk.self, vol->disk.server, &request, disks,
				     VOL_ANSWER_MS);
	for (uint32_t i = 0; err == DVS_OK && i < disks->n_disks; i++) {
		const struct vdd_disk *disk = &disks->disks[i];

		if (disk->kind == VOL_DISK_CLONE && disk->parent == vol->disk.minor &&
		    strcmp(disk->name, name) == 0) {
			*minor = disk->minor;
			return DVS_OK;
		}
	}
	return err == DVS_OK ? DVS_EXISTS : err;
}

static int fail_clone(struct vol *vol, dvs_err err, const char *name)
{
	if (err == DVS_EXISTS)
		return vol_note(vol, "there is a '%s/%s' already; choose another name", vol->dc,
				name);
	if (err == DVS_FULL)
		return vol_note(vol,
				"its volume has as many snapshots and clones as it can have "
				"(%u); remove one",
				VOLUME_MINOR_MAX);
	return vol_fail(vol, err);
}

/* The disk is there: now its record. */
static dvs_err write_clone(struct vol *vol, struct volume *clone)
{
	AUTO_FREE char *text = NULL;
	char key[DVS_NAME_MAX + 1];
	uint64_t version;
	dvs_err err = volume_print(clone, &text);

	if (err != DVS_OK) {
		text = NULL;
		return err;
	}
	volume_key(clone->name, key);
	return dvk_record_set(vol->link.dvk, vol->dc, key, 0, text, strlen(text), &version);
}

static int make_clone(struct vol *vol, struct volume *clone)
{
	struct vdd_clone_req request = { .minor = vol->disk.minor };
	struct vdd_clone_rep reply;
	char full[DVS_NAME_MAX + VOLUME_NAME_MAX + 2];
	dvs_err err;

	snprintf(request.name, sizeof(request.name), "%s", clone->name);
	err = vdd_call_clone(vol->disk.self, vol->disk.server, &request, &reply, DVS_FOREVER);
	if (err == DVS_EXISTS)
		err = find_unfinished(vol, clone->name, &reply.minor);
	if (err != DVS_OK)
		return fail_clone(vol, err, clone->name);
	clone->minor = reply.minor;
	err = write_clone(vol, clone);
	if (err != DVS_OK) {
		struct vdd_remove_req undo = { .minor = reply.minor };

		/* What stays is found by the next one of that name. */
		if (vdd_call_remove(vol->disk.self, vol->disk.server, &undo, NULL, NULL, 0, NULL, 0,
				    NULL, VOL_ANSWER_MS) != DVS_OK)
			cli_note(vol->cli,
				 "clone volume %s: its disk '%s' could not be removed "
				 "again",
				 vol->text, clone->name);
		return fail_clone(vol, err, clone->name);
	}
	snprintf(full, sizeof(full), "%s/%s", vol->dc, clone->name);
	return cli_result(vol->cli, full,
			  json_pack("{s:s, s:s, s:I, s:I}", "name", full, "of", vol->text, "bytes",
				    (json_int_t)clone->bytes, "minor", (json_int_t)clone->minor));
}

static int clone_snapshot(struct vol *vol)
{
	AUTO_FREE struct volume *clone = calloc(1, sizeof(*clone));
	const char *name = new_name(vol);
	int status;
	dvs_err err;

	if (!name)
		return EXIT_USAGE;
	if (!clone)
		return vol_fail(vol, DVS_NOMEM);
	err = volume_get(vol->link.dvk, vol->dc, name, clone, NULL);
	if (err != DVS_NOTFOUND)
		return fail_clone(vol, err == DVS_OK || err == DVS_BADARG ? DVS_EXISTS : err, name);
	status = vol_reach(vol);
	if (status != EXIT_DONE)
		return status;
	*clone = (struct volume){ .endpoint = vol->base.endpoint,
				  .bytes = vol->disk.bytes,
				  .access_dc = vol->volume.access_dc };
	snprintf(clone->name, sizeof(clone->name), "%s", name);
	snprintf(clone->of, sizeof(clone->of), "%s", vol->base.name);
	if (!volumes_new_id(clone->id))
		return cli_fail_errno(vol->cli, errno, "", "clone volume %s", vol->text);
	return make_clone(vol, clone);
}

int cmd_vol_clone(struct cli *cli)
{
	return vol_with(cli, cli->words[0], "clone", VOL_SNAPSHOT, clone_snapshot);
}

/* ---- rm ---- */

static int print_removed(struct vol *vol)
{
	return cli_result(vol->cli, vol->text, json_pack("{s:s}", "removed", vol->text));
}

/* A snapshot or a clone, at its server. */
static int remove_disk(struct vol *vol)
{
	struct vdd_remove_req request;
	dvs_err err;
	int status = vol_reach(vol);

	if (status != EXIT_DONE)
		return status;
	request.minor = vol->disk.minor;
	err = vdd_call_remove(vol->disk.self, vol->disk.server, &request, NULL, NULL, 0, NULL, 0,
			      NULL, DVS_FOREVER);
	if (err == DVS_BADSTATE)
		return vol_note(vol,
				"%s were made of it; remove them first, 'dvs vol inspect %s/%s' "
				"lists them",
				vol->snapshot[0] ? "clones" : "snapshots", vol->dc, vol->name);
	return err == DVS_OK ? EXIT_DONE : vol_fail(vol, err);
}

/* The first volume that is a clone of this one; false: there is none. */
static bool find_clone(struct vol *vol, char name[VOLUME_NAME_MAX + 1])
{
	AUTO_FREE struct volume *volume = malloc(sizeof(*volume));
	dvs_err err = DVS_OK;

	name[0] = '\0';
	while (volume && (err == DVS_OK || err == DVS_BADARG)) {
		err = volume_next(vol->link.dvk, vol->dc, name, volume, NULL);
		if (err == DVS_OK && strcmp(volume->of, vol->name) == 0)
			return true;
	}
	return false;
}

/* A file system that is on it, whether a server has it just now or not; false: there is none. */
static bool find_filesystem(struct vol *vol, char name[FS_RECORD_NAME_MAX + 1])
{
	struct fs_record record;
	dvs_err err = DVS_OK;

	name[0] = '\0';
	while (err == DVS_OK || err == DVS_BADARG) {
		err = fs_record_next(vol->link.dvk, vol->dc, name, &record, NULL);
		if (err == DVS_OK && record.store == FS_STORE_VOLUME &&
		    strcmp(record.volume, vol->name) == 0)
			return true;
	}
	return false;
}

static int remove_volume(struct vol *vol)
{
	char clone[VOLUME_NAME_MAX + 1];
	char filesystem[FS_RECORD_NAME_MAX + 1];
	int status;

	/* Between two servers nobody has a claim. */
	if (find_filesystem(vol, filesystem))
		return vol_note(vol,
				"file system %s is on it, and would be lost with it; remove that "
				"first ('dvs fs rm %s/%s')",
				filesystem, vol->dc, filesystem);
	status = vol_check_holders(vol);
	if (status != EXIT_DONE)
		return status;
	if (!vol->volume.of[0] && find_clone(vol, clone))
		return vol_note(vol, "'%s/%s' is a clone of it; remove that first", vol->dc, clone);
	if (!cli_has(vol->cli, OPTION_FORCE))
		return vol_note(vol,
				"all that is in it%s would be lost; say that you mean it with "
				"--force",
				vol->volume.of[0] ? "" : " and in its snapshots");
	if (vol->volume.of[0])
		status = remove_disk(vol);
	if (status != EXIT_DONE)
		return status;
	return vol_forget(vol, &vol->volume);
}

/* Of a record that cannot be read, or of a clone whose volume is gone. */
static int remove_damaged(struct vol *vol)
{
	char key[DVS_NAME_MAX + 1];
	dvs_err err;

	volume_key(vol->name, key);
	err = dvk_record_remove(vol->link.dvk, vol->dc, key);
	return err == DVS_OK || err == DVS_NOTFOUND ? EXIT_DONE : vol_fail(vol, err);
}

static int remove_it(struct vol *vol)
{
	int status;

	if (vol->is_damaged)
		status = remove_damaged(vol);
	else
		status = vol->snapshot[0] ? remove_disk(vol) : remove_volume(vol);
	return status == EXIT_DONE ? print_removed(vol) : status;
}

int cmd_vol_rm(struct cli *cli)
{
	return vol_with(cli, cli->words[0], "remove", VOL_DAMAGED, remove_it);
}
