/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/volume/walk.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "manage/container/reach.h"

/* For a server in a list, which may be one of many that do not answer. */
#define LIST_MS 2000u
/* Between two looks at a server that may be paused. */
#define PAUSE_MS 50

/* ---- a server ---- */

/* The sum of its pauses grows as long as there is one. */
static bool is_paused(const struct vdd_status_rep *before, struct m3 *self, dvs_ep server,
		      uint32_t timeout_ms)
{
	AUTO_FREE struct vdd_status_rep *now = malloc(sizeof(*now));

	if (!now || before->waiting == 0 || before->paused_ms == 0)
		return false;
	(void)poll(NULL, 0, PAUSE_MS);
	return vdd_call_status(self, server, NULL, now, timeout_ms) == DVS_OK && now->waiting > 0 &&
	       now->paused_ms > before->paused_ms;
}

void told_ask(struct told *told, struct m3 *self, dvs_ep server, uint32_t timeout_ms)
{
	static const struct vdd_disks_req request = { .cursor = 0 };

	told->of = (struct vol_told){ .status = NULL };
	if (vdd_call_status(self, server, NULL, &told->status, timeout_ms) != DVS_OK)
		return;
	told->of.status = &told->status;
	if (vdd_call_disks(self, server, &request, &told->disks, timeout_ms) == DVS_OK)
		told->of.disks = &told->disks;
	told->of.is_paused = is_paused(&told->status, self, server, timeout_ms);
}

/* ---- a DC ---- */

static void leave(struct walk *walk)
{
	dvk_unbind(walk->self);
	dvk_close(walk->dvk);
	walk->self = NULL;
	walk->dvk = NULL;
	walk->inside[0] = '\0';
}

/* Without a way into the DC there are still the records. A process is in one DC at a time; who looks again and again at one stays in it. */
static void enter(struct walk *walk, const char *dc)
{
	if (strcmp(walk->inside, dc) == 0)
		return;
	leave(walk);
	if (volume_dc_open(link_run_dir(walk->vol.cli), dc, &walk->dvk) != DVS_OK) {
		walk->dvk = NULL;
		return;
	}
	if (dvk_bind(walk->dvk, dvs_ep_any(), DVK_LOCAL, &walk->self) == DVS_OK)
		memcpy(walk->inside, dc, strlen(dc) + 1);
	else
		walk->self = NULL;
}

static int walk_one(struct walk *walk)
{
	struct vol *vol = &walk->vol;
	dvs_err err = DVS_OK;

	vol->base = vol->volume;
	if (vol->volume.of[0])
		err = volume_get(vol->link.dvk, vol->dc, vol->volume.of, &vol->base, NULL);
	if (err != DVS_OK)
		return walk->damaged(walk, vol->volume.name);
	enter(walk, vol->dc);
	walk->told.of = (struct vol_told){ .status = NULL };
	if (walk->self)
		told_ask(&walk->told, walk->self, dvs_ep_of(vol->volume.endpoint), LIST_MS);
	return walk->volume(walk);
}

static int walk_dc(struct walk *walk, const char *dc, const char *only)
{
	struct vol *vol = &walk->vol;
	char name[VOLUME_NAME_MAX + 1] = "";
	int status = EXIT_DONE;
	dvs_err err;

	snprintf(vol->dc, sizeof(vol->dc), "%s", dc);
	do {
		err = volume_next(vol->link.dvk, dc, name, &vol->volume, NULL);
		if (only && (err == DVS_OK || err == DVS_BADARG) && strcmp(name, only) != 0)
			continue;
		if (err == DVS_OK)
			status = walk_one(walk);
		else if (err == DVS_BADARG)
			status = walk->damaged(walk, name);
	} while (status == EXIT_DONE && (err == DVS_OK || err == DVS_BADARG));
	/* The DC may have gone. */
	if (status != EXIT_DONE || err == DVS_NOTFOUND || err == DVS_NODC)
		return status;
	return cli_fail(vol->cli, err, "list the volumes of dc %s", dc);
}

/* ---- all ---- */

int walk_open(struct walk *walk, struct cli *cli)
{
	int status;

	walk->vol.cli = cli;
	status = link_open_admin(cli, &walk->vol.link);
	return status == EXIT_DONE ? nodes_load(cli, walk->vol.link.dvk, &walk->vol.nodes) : status;
}

void walk_close(struct walk *walk)
{
	leave(walk);
	link_close(&walk->vol.link);
}

int walk_all(struct walk *walk, const char *dc, const char *name)
{
	struct cli *cli = walk->vol.cli;
	AUTO_FREE struct dvk_container_info *info = malloc(sizeof(*info));
	struct dvk *admin = walk->vol.link.dvk;
	uint32_t cursor = 0;
	int status = EXIT_DONE;
	dvs_err err = DVS_OK;

	if (!info)
		return cli_fail(cli, DVS_NOMEM, "list the volumes");
	if (dc) {
		status = reach_find_dc(cli, admin, dc, "find", info);
		return status == EXIT_DONE ? walk_dc(walk, dc, name) : status;
	}
	while (status == EXIT_DONE && (err = dvk_container_next(admin, &cursor, 0, info)) == DVS_OK)
		status = walk_dc(walk, info->name, NULL);
	if (status == EXIT_DONE && err != DVS_NODC)
		status = cli_fail(cli, err, "list the volumes");
	return status;
}
