/* SPDX-License-Identifier: Apache-2.0 */
/* dvs vol ls and inspect: what the records say, and what the servers tell. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "manage/container/reach.h"
#include "manage/target.h"
#include "manage/volume/describe.h"

/* For a server in a list, which may be one of many that do not answer. */
#define LIST_MS 2000u
/* Between two looks at a server that may be paused. */
#define PAUSE_MS 50

/* What one server told: room for it. */
struct told {
	struct vdd_status_rep status;
	struct vdd_disks_rep disks;
	struct vol_told of;
};

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

static void ask(struct told *told, struct m3 *self, dvs_ep server, uint32_t timeout_ms)
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

/* ---- ls ---- */

struct listing {
	struct vol vol; /* the one that is looked at */
	struct told told;
	struct dvk *dvk; /* in the DC */
	struct m3 *self;
	json_t *rows;
};

static int add_row(struct listing *listing, json_t *row)
{
	if (json_array_append_new(listing->rows, row) == 0)
		return EXIT_DONE;
	return cli_fail(listing->vol.cli, DVS_NOMEM, "list the volumes");
}

/* Of a record that is damaged only its name is known. */
static int add_damaged(struct listing *listing, const char *name)
{
	const char *dc = listing->vol.dc;

	return add_row(listing,
		       json_pack("{s:o, s:s, s:s, s:s}", "name", json_sprintf("%s/%s", dc, name),
				 "dc", dc, "volume", name, "state", "damaged record"));
}

static int add_volume(struct listing *listing)
{
	struct vol *vol = &listing->vol;
	dvs_err err = DVS_OK;

	vol->base = vol->volume;
	if (vol->volume.of[0])
		err = volume_get(vol->link.dvk, vol->dc, vol->volume.of, &vol->base, NULL);
	if (err != DVS_OK)
		return add_damaged(listing, vol->volume.name);
	listing->told.of = (struct vol_told){ .status = NULL };
	if (listing->self)
		ask(&listing->told, listing->self, dvs_ep_of(vol->volume.endpoint), LIST_MS);
	return add_row(listing, describe_volume(vol, &listing->told.of));
}

/* Without a way into the DC there are still the records. */
static void enter(struct listing *listing)
{
	if (volume_dc_open(link_run_dir(listing->vol.cli), listing->vol.dc, &listing->dvk) !=
	    DVS_OK) {
		listing->dvk = NULL;
		return;
	}
	if (dvk_bind(listing->dvk, dvs_ep_any(), DVK_LOCAL, &listing->self) != DVS_OK)
		listing->self = NULL;
}

static void leave(struct listing *listing)
{
	dvk_unbind(listing->self);
	dvk_close(listing->dvk);
	listing->self = NULL;
	listing->dvk = NULL;
}

static int list_dc(struct listing *listing, const char *dc)
{
	struct vol *vol = &listing->vol;
	char name[VOLUME_NAME_MAX + 1] = "";
	int status = EXIT_DONE;
	dvs_err err;

	snprintf(vol->dc, sizeof(vol->dc), "%s", dc);
	do {
		err = volume_next(vol->link.dvk, dc, name, &vol->volume, NULL);
		if (err == DVS_OK && !listing->dvk)
			enter(listing);
		if (err == DVS_OK)
			status = add_volume(listing);
		else if (err == DVS_BADARG)
			status = add_damaged(listing, name);
	} while (status == EXIT_DONE && (err == DVS_OK || err == DVS_BADARG));
	leave(listing);
	/* The DC may have gone. */
	if (status != EXIT_DONE || err == DVS_NOTFOUND || err == DVS_NODC)
		return status;
	return cli_fail(vol->cli, err, "list the volumes of dc %s", dc);
}

static int list_all(struct listing *listing)
{
	struct cli *cli = listing->vol.cli;
	AUTO_FREE struct dvk_container_info *info = malloc(sizeof(*info));
	struct dvk *admin = listing->vol.link.dvk;
	uint32_t cursor = 0;
	int status = EXIT_DONE;
	dvs_err err = DVS_OK;

	if (!info)
		return cli_fail(cli, DVS_NOMEM, "list the volumes");
	if (cli->n_words > 0) {
		status = reach_find_dc(cli, admin, cli->words[0], "find", info);
		return status == EXIT_DONE ? list_dc(listing, cli->words[0]) : status;
	}
	while (status == EXIT_DONE && (err = dvk_container_next(admin, &cursor, 0, info)) == DVS_OK)
		status = list_dc(listing, info->name);
	if (status == EXIT_DONE && err != DVS_NODC)
		status = cli_fail(cli, err, "list the volumes");
	return status;
}

int cmd_vol_ls(struct cli *cli)
{
	AUTO_FREE struct listing *listing = calloc(1, sizeof(*listing));
	int status;

	if (!listing)
		return cli_fail(cli, DVS_NOMEM, "list the volumes");
	listing->vol.cli = cli;
	if (cli->n_words > 0 && !target_check_dc_name(cli, cli->words[0]))
		return EXIT_USAGE;
	status = link_open_admin(cli, &listing->vol.link);
	if (status == EXIT_DONE)
		status = nodes_load(cli, listing->vol.link.dvk, &listing->vol.nodes);
	listing->rows = json_array();
	if (status == EXIT_DONE)
		status = list_all(listing);
	if (status == EXIT_DONE &&
	    !output_rows(&cli->output, &describe_volumes_shape, listing->rows))
		status = cli_fail(cli, DVS_NOMEM, "print the volumes");
	json_decref(listing->rows);
	link_close(&listing->vol.link);
	return status;
}

/* ---- inspect ---- */

static bool print_rows(struct cli *cli, const struct output_shape *shape, json_t *rows)
{
	if (json_array_size(rows) == 0)
		return true;
	fputc('\n', cli->output.file);
	return output_rows(&cli->output, shape, rows);
}

/* The volume and what its server told, without what there is nothing to say of. */
static bool print_fields(struct cli *cli, const json_t *document)
{
	json_t *fields = json_copy(json_object_get(document, "volume"));
	json_t *server = json_object_get(document, "server");
	const char *key;
	json_t *value;
	void *next;
	bool done = fields && (!json_is_object(server) || json_object_update(fields, server) == 0);

	json_object_foreach_safe(fields, next, key, value)
	{
		if (json_is_null(value))
			(void)json_object_del(fields, key);
	}
	done = done && output_fields(&cli->output, &describe_volume_fields, fields);
	json_decref(fields);
	return done;
}

static bool print_text(struct cli *cli, const json_t *document)
{
	return print_fields(cli, document) &&
	       print_rows(cli, &describe_replicas_shape, json_object_get(document, "replicas")) &&
	       print_rows(cli, &describe_disks_shape, json_object_get(document, "disks"));
}

static int inspect(struct vol *vol)
{
	AUTO_FREE struct told *told = calloc(1, sizeof(*told));
	struct cli *cli = vol->cli;
	json_t *document = NULL;
	bool done;

	if (!told)
		return vol_fail(vol, DVS_NOMEM);
	/* That it does not answer is told, too. */
	if (vol_try(vol, LIST_MS) == DVS_OK)
		ask(told, vol->disk.self, vol->disk.server, VOL_ANSWER_MS);
	document = json_pack("{s:o, s:o, s:o, s:o}", "volume", describe_volume(vol, &told->of),
			     "server", describe_server(told->of.status), "replicas",
			     describe_replicas(vol, &told->of), "disks",
			     describe_disks(vol, &told->of));
	if (cli->output.format == OUTPUT_JSON || !document) {
		done = output_document(&cli->output, document, false);
	} else {
		done = print_text(cli, document);
		json_decref(document);
	}
	return done ? EXIT_DONE : vol_fail(vol, DVS_NOMEM);
}

int cmd_vol_inspect(struct cli *cli)
{
	return vol_with(cli, cli->words[0], "inspect", VOL_VOLUME, inspect);
}
