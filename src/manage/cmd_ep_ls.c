/* SPDX-License-Identifier: Apache-2.0 */
/* dvs ep ls: the endpoints of one or all DCs. */
#include "manage/cli.h"
#include "manage/describe.h"
#include "manage/snapshot.h"
#include "manage/target.h"

static int print_snapshot(struct cli *cli, const struct snapshot *snapshot)
{
	json_t *rows = json_array();
	int failed = !rows;

	for (size_t i = 0; i < snapshot->n_rows && !failed; i++)
		failed = json_array_append_new(rows, describe_endpoint(snapshot->rows[i].dc,
								       &snapshot->rows[i].info));
	if (!failed)
		failed = !output_rows(&cli->output, &describe_endpoints_shape, rows);
	json_decref(rows);
	return failed ? cli_fail(cli, DVS_NOMEM, "print the endpoints") : EXIT_DONE;
}

int cmd_ep_ls(struct cli *cli)
{
	const char *dc = cli->n_words > 0 ? cli->words[0] : NULL;
	struct snapshot snapshot;
	struct link link;
	int status;

	if (dc && !target_check_dc_name(cli, dc))
		return EXIT_USAGE;
	status = link_open(cli, &link);
	if (status != EXIT_DONE)
		return status;
	status = snapshot_take(cli, &link, dc, &snapshot);
	if (status == EXIT_DONE)
		status = print_snapshot(cli, &snapshot);
	snapshot_free(&snapshot);
	link_close(&link);
	return status;
}
