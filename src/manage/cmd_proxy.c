/* SPDX-License-Identifier: Apache-2.0 */
/* dvs proxy ls: the links of this node to the others. */
#include <stdio.h>

#include "manage/cli.h"
#include "manage/describe.h"
#include "manage/link.h"

static const struct output_column columns[] = {
	{ "NODE", "node", false },
	{ "STATE", "state", false },
	{ "TRANSPORT", "transport", false },
	{ "FILTERS", "filters", false },
	{ "PID", "proxy_pid", false },
	{ "CHANNELS", "channels", false },
	{ "RTT US", "rtt_us", false },
	{ "FRAMES IN", "frames_in", false },
	{ "FRAMES OUT", "frames_out", false },
	{ "BYTES IN", "bytes_in", true },
	{ "BYTES OUT", "bytes_out", true },
	{ "WRITES", "writes", true },
	{ "RECONNECTS", "reconnects", false },
	{ "BAD FRAMES", "bad_frames", true },
	{ "WHY", "why", false },
};

static const struct output_shape shape = {
	.list = "links",
	.columns = columns,
	.n_columns = ARRAY_LEN(columns),
};

static int list_links(struct cli *cli, struct link *link, json_t *rows)
{
	struct dvk_link_info info;
	uint32_t cursor = 0;
	dvs_err err;

	while ((err = dvk_link_next(link->dvk, &cursor, &info)) == DVS_OK) {
		if (json_array_append_new(rows, describe_link(&info)) != 0)
			return cli_fail(cli, DVS_NOMEM, "list the links");
	}
	if (err != DVS_NODEST)
		return cli_fail(cli, err, "list the links");
	if (!output_rows(&cli->output, &shape, rows))
		return cli_fail(cli, DVS_NOMEM, "list the links");
	return EXIT_DONE;
}

int cmd_proxy_ls(struct cli *cli)
{
	struct link link;
	json_t *rows;
	int status = link_open_admin(cli, &link);

	if (status != EXIT_DONE)
		return status;
	rows = json_array();
	status = rows ? list_links(cli, &link, rows) : cli_fail(cli, DVS_NOMEM, "list the links");
	json_decref(rows);
	link_close(&link);
	return status;
}
