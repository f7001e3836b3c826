/* SPDX-License-Identifier: Apache-2.0 */
/* dvs dc ls: all DCs, and what their containers are like. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "manage/cli.h"
#include "manage/container/describe.h"
#include "manage/describe.h"
#include "manage/link.h"

/* The JSON of the DC's record; NULL: it has none, or it cannot be read, which is for others to say. */
static json_t *description_of(struct link *link, const char *dc)
{
	char value[DVK_VALUE_MAX];
	uint64_t version;
	size_t len = 0;

	if (dvk_record_get(link->dvk, dc, "dc", value, &len, &version) != DVS_OK)
		return NULL;
	return json_loadb(value, len, 0, NULL);
}

/* The containers of the DC with that id, which follow each other by rising id like the DCs. NULL: it has just gone. */
static const struct dvk_container_info *
containers_of(struct link *link, dvs_dcid id, uint32_t *cursor, struct dvk_container_info *info)
{
	while (info->dc.n < id.n) {
		if (dvk_container_next(link->dvk, cursor, 0, info) != DVS_OK)
			return NULL;
	}
	return info->dc.n == id.n ? info : NULL;
}

static int list_dcs(struct cli *cli, struct link *link, json_t *rows)
{
	AUTO_FREE struct dvk_container_info *containers = calloc(1, sizeof(*containers));
	struct dvk_dc_info info;
	uint32_t containers_cursor = 0;
	uint32_t cursor = 0;
	dvs_err err;

	if (!containers)
		return cli_fail(cli, DVS_NOMEM, "list the dcs");
	while ((err = link_next_dc(link, &cursor, &info)) == DVS_OK) {
		const struct dvk_container_info *of =
			link->admin ? containers_of(link, info.id, &containers_cursor, containers) :
				      NULL;
		json_t *row = describe_dc(&info);
		json_t *description = of && of->phase != DVK_NO_CONTAINERS ?
					      description_of(link, info.name) :
					      NULL;
		bool added = describe_add_containers(row, of, description);

		json_decref(description);
		if (!added) {
			json_decref(row);
			row = NULL;
		}
		if (json_array_append_new(rows, row) != 0)
			return cli_fail(cli, DVS_NOMEM, "list the dcs");
	}
	if (err != DVS_NODC)
		return cli_fail(cli, err, "list the dcs");
	if (!output_rows(&cli->output, &describe_dc_rows_shape, rows))
		return cli_fail(cli, DVS_NOMEM, "list the dcs");
	return EXIT_DONE;
}

int cmd_dc_ls(struct cli *cli)
{
	struct link link;
	json_t *rows;
	int status = link_open(cli, &link);

	if (status != EXIT_DONE)
		return status;
	rows = json_array();
	status = rows ? list_dcs(cli, &link, rows) : cli_fail(cli, DVS_NOMEM, "list the dcs");
	json_decref(rows);
	link_close(&link);
	return status;
}
