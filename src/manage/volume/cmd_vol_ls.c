/* SPDX-License-Identifier: Apache-2.0 */
/* dvs vol ls and inspect: what the records say, and what the servers tell. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "manage/target.h"
#include "manage/volume/walk.h"

/* How long the server of the one that is inspected may take to be there. */
#define REACH_SERVER_MS 2000u

/* ---- ls ---- */

static int add_row(struct walk *walk, json_t *row)
{
	if (json_array_append_new(walk->context, row) == 0)
		return EXIT_DONE;
	return cli_fail(walk->vol.cli, DVS_NOMEM, "list the volumes");
}

static int add_damaged(struct walk *walk, const char *name)
{
	const char *dc = walk->vol.dc;

	return add_row(walk,
		       json_pack("{s:o, s:s, s:s, s:s}", "name", json_sprintf("%s/%s", dc, name),
				 "dc", dc, "volume", name, "state", "damaged record"));
}

static int add_volume(struct walk *walk)
{
	return add_row(walk, describe_volume(&walk->vol, &walk->told.of));
}

int cmd_vol_ls(struct cli *cli)
{
	AUTO_FREE struct walk *walk = calloc(1, sizeof(*walk));
	const char *dc = cli->n_words > 0 ? cli->words[0] : NULL;
	json_t *rows;
	int status;

	if (!walk)
		return cli_fail(cli, DVS_NOMEM, "list the volumes");
	if (dc && !target_check_dc_name(cli, dc))
		return EXIT_USAGE;
	walk->volume = add_volume;
	walk->damaged = add_damaged;
	walk->context = rows = json_array();
	status = walk_open(walk, cli);
	if (status == EXIT_DONE)
		status = walk_all(walk, dc, NULL);
	if (status == EXIT_DONE && !output_rows(&cli->output, &describe_volumes_shape, rows))
		status = cli_fail(cli, DVS_NOMEM, "print the volumes");
	json_decref(rows);
	walk_close(walk);
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
	if (vol_try(vol, REACH_SERVER_MS) == DVS_OK)
		told_ask(told, vol->disk.self, vol->disk.server, VOL_ANSWER_MS);
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
