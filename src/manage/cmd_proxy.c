/* SPDX-License-Identifier: Apache-2.0 */
/* dvs proxy ls: the links of this node to the others. */
#include <stdio.h>

#include "manage/cli.h"
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

/* "-" in the table. */
static json_t *text_or_null(const char *text)
{
	return text[0] ? json_string(text) : json_null();
}

static json_t *number_or_null(uint64_t number)
{
	return number ? json_integer((json_int_t)number) : json_null();
}

static json_t *describe_link(const struct dvk_link_info *info)
{
	char name[16];

	(void)snprintf(name, sizeof(name), "%u", info->node.n);
	return json_pack(
		"{s:s, s:I, s:s, s:o, s:o, s:o, s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}",
		"name", name, "node", (json_int_t)info->node.n, "state", info->up ? "up" : "down",
		"transport", text_or_null(info->transport), "filters", text_or_null(info->filters),
		"proxy_pid", number_or_null((uint64_t)info->proxy_pid), "channels",
		(json_int_t)info->n_channels, "rtt_us", number_or_null((info->rtt_ns + 999) / 1000),
		"frames_in", (json_int_t)info->frames_in, "frames_out",
		(json_int_t)info->frames_out, "bytes_in", (json_int_t)info->bytes_in, "bytes_out",
		(json_int_t)info->bytes_out, "writes", (json_int_t)info->writes, "reconnects",
		(json_int_t)info->reconnects, "bad_frames", (json_int_t)info->bad_frames, "why",
		text_or_null(info->why));
}

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
