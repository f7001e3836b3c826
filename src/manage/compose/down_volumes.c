/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/compose/down_volumes.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "client/volume.h"
#include "manage/filesystem/filesystem.h"
#include "manage/volume/volumes.h"

struct found {
	char name[VOLUME_NAME_MAX + 1];
	bool is_clone;
	bool is_damaged; /* nothing is known of it but its name */
};

struct all {
	struct found one[VOLUMES_OF_DC_MAX];
	size_t n;
};

static int find_all(struct cli *cli, struct dvk *admin, const char *dc, struct all *all)
{
	AUTO_FREE struct volume *volume = malloc(sizeof(*volume));
	char name[VOLUME_NAME_MAX + 1] = "";
	dvs_err err = volume ? DVS_OK : DVS_NOMEM;

	all->n = 0;
	while ((err == DVS_OK || err == DVS_BADARG) && all->n < VOLUMES_OF_DC_MAX) {
		struct found *found = &all->one[all->n];

		err = volume_next(admin, dc, name, volume, NULL);
		if (err != DVS_OK && err != DVS_BADARG)
			break;
		memcpy(found->name, name, sizeof(name));
		found->is_damaged = err == DVS_BADARG;
		found->is_clone = err == DVS_OK && volume->of[0];
		all->n++;
	}
	return err == DVS_OK || err == DVS_BADARG || err == DVS_NOTFOUND || err == DVS_NODC ?
		       EXIT_DONE :
		       cli_fail(cli, err, "look for the volumes of dc %s", dc);
}

static int each(struct cli *cli, const char *dc, const struct found *found,
		int (*run)(struct vol *vol))
{
	char text[DVS_NAME_MAX + VOLUME_NAME_MAX + 2];

	(void)snprintf(text, sizeof(text), "%s/%s", dc, found->name);
	return vol_with(cli, text, "remove", VOL_VOLUME, run);
}

/* File systems that are on it go before it. */
static int check_holders(struct vol *vol)
{
	struct claim claim;
	bool others = false;

	if (!vol_holders(vol, vol->volume.id, &claim))
		return EXIT_DONE;
	for (uint32_t i = 0; i < claim.n; i++)
		others = others || claim.holders[i].kind != CLAIM_FS;
	return others ? vol_check_holders(vol) : EXIT_DONE;
}

static int check_all(struct cli *cli, struct dvk *admin, const char *dc, const struct all *all)
{
	int status = EXIT_DONE;

	(void)admin;
	for (size_t i = 0; status == EXIT_DONE && i < all->n; i++) {
		if (!all->one[i].is_damaged)
			status = each(cli, dc, &all->one[i], check_holders);
	}
	return status;
}

static int forget(struct vol *vol)
{
	int status = vol_forget(vol, &vol->volume);

	if (status == EXIT_DONE)
		fprintf(vol->cli->output.file, "volume %s: removed\n", vol->text);
	return status;
}

static int forget_damaged(struct cli *cli, struct dvk *admin, const char *dc, const char *name)
{
	char key[DVS_NAME_MAX + 1];
	dvs_err err;

	volume_key(name, key);
	err = dvk_record_remove(admin, dc, key);
	return err == DVS_OK || err == DVS_NOTFOUND ?
		       EXIT_DONE :
		       cli_fail(cli, err, "remove volume %s/%s", dc, name);
}

/* Clones first: they have no replicas of their own, and end with the volume that they are of. */
static int remove_all(struct cli *cli, struct dvk *admin, const char *dc, const struct all *all)
{
	int status = EXIT_DONE;

	for (size_t i = 0; status == EXIT_DONE && i < all->n; i++) {
		if (all->one[i].is_damaged)
			status = forget_damaged(cli, admin, dc, all->one[i].name);
		else if (all->one[i].is_clone)
			status = each(cli, dc, &all->one[i], forget);
	}
	for (size_t i = 0; status == EXIT_DONE && i < all->n; i++) {
		if (!all->one[i].is_clone && !all->one[i].is_damaged)
			status = each(cli, dc, &all->one[i], forget);
	}
	return status;
}

static int with_all(struct cli *cli, const char *dc,
		    int (*run)(struct cli *cli, struct dvk *admin, const char *dc,
			       const struct all *all))
{
	AUTO_FREE struct all *all = malloc(sizeof(*all));
	struct link link;
	int status;

	if (!all)
		return cli_fail(cli, DVS_NOMEM, "look for the volumes of dc %s", dc);
	status = link_open_admin(cli, &link);
	if (status == EXIT_DONE)
		status = find_all(cli, link.dvk, dc, all);
	if (status == EXIT_DONE)
		status = run(cli, link.dvk, dc, all);
	link_close(&link);
	return status;
}

static int forget_fs(struct filesystem *fs)
{
	dvs_err err = filesystem_forget(fs);

	if (err != DVS_OK)
		return filesystem_fail(fs, err);
	fprintf(fs->cli->output.file, "file system %s: removed\n", fs->text);
	return EXIT_DONE;
}

/* Its record is DAMAGED: nothing is known of it but its name. */
static int remove_fs(struct cli *cli, struct dvk *admin, const char *dc, const char *name,
		     bool damaged)
{
	char text[DVS_NAME_MAX + FS_RECORD_NAME_MAX + 2];
	char key[DVS_NAME_MAX + 1];
	dvs_err err;

	(void)snprintf(text, sizeof(text), "%s/%s", dc, name);
	if (!damaged)
		return filesystem_with(cli, text, "remove", false, forget_fs);
	fs_record_key(name, key);
	err = dvk_record_remove(admin, dc, key);
	return err == DVS_OK || err == DVS_NOTFOUND ?
		       EXIT_DONE :
		       cli_fail(cli, err, "remove file system %s", text);
}

/* File systems first: they may be on the volumes. */
static int remove_filesystems(struct cli *cli, const char *dc)
{
	char name[FS_RECORD_NAME_MAX + 1] = "";
	struct fs_record record;
	struct link link;
	dvs_err err = DVS_OK;
	int status = link_open_admin(cli, &link);

	while (status == EXIT_DONE) {
		err = fs_record_next(link.dvk, dc, name, &record, NULL);
		if (err != DVS_OK && err != DVS_BADARG)
			break;
		status = remove_fs(cli, link.dvk, dc, name, err == DVS_BADARG);
	}
	if (status == EXIT_DONE && err != DVS_NOTFOUND && err != DVS_NODC)
		status = cli_fail(cli, err, "look for the file systems of dc %s", dc);
	link_close(&link);
	return status;
}

int down_check_volumes(struct cli *cli, const char *dc)
{
	return with_all(cli, dc, check_all);
}

int down_volumes(struct cli *cli, const char *dc)
{
	int status = remove_filesystems(cli, dc);

	return status == EXIT_DONE ? with_all(cli, dc, remove_all) : status;
}
