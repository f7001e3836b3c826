/* SPDX-License-Identifier: Apache-2.0 */
/* dvs version: of this program, and of dvsd if one answers. */
#include "manage/cli.h"
#include "manage/describe.h"
#include "manage/link.h"

/* The dvsd that answers, or JSON's null; NULL without memory. Silent: that none runs is no
 * failure here. */
static json_t *describe_dvsd(struct cli *cli)
{
	struct dvk_dvs_info info;
	struct dvk *dvk;
	json_t *dvsd;

	if (dvk_admin_open(link_run_dir(cli), &dvk) != DVS_OK && dvk_open(NULL, &dvk) != DVS_OK)
		return json_null();
	dvsd = dvk_dvs_info(dvk, &info) == DVS_OK ? describe_dvs(&info) : json_null();
	dvk_close(dvk);
	return dvsd;
}

int cmd_version(struct cli *cli)
{
	json_t *dvsd = describe_dvsd(cli);
	const char *version = json_string_value(json_object_get(dvsd, "dvsd_version"));

	if (cli->output.format == OUTPUT_JSON) {
		if (!output_document(&cli->output,
				     json_pack("{s:s, s:o}", "dvs", DVS_VERSION, "dvsd", dvsd),
				     false))
			return cli_fail(cli, DVS_NOMEM, "print the versions");
		return EXIT_DONE;
	}
	fprintf(cli->output.file, "dvs   %s\n", DVS_VERSION);
	if (version)
		fprintf(cli->output.file, "dvsd  %s (node %lld, process %lld)\n", version,
			json_integer_value(json_object_get(dvsd, "node")),
			json_integer_value(json_object_get(dvsd, "dvsd_pid")));
	else
		fputs("dvsd  none answers\n", cli->output.file);
	json_decref(dvsd);
	return EXIT_DONE;
}
