/* SPDX-License-Identifier: Apache-2.0 */
/* dvs schema: what may stand in a dvs.yaml, for editors. */
#include "manage/cli.h"
#include "manage/compose/schema.h"

int cmd_schema(struct cli *cli)
{
	json_t *schema = schema_json();
	int failed;

	if (!schema)
		return cli_fail(cli, DVS_NOMEM, "print the schema");
	failed = json_dumpf(schema, cli->output.file, JSON_INDENT(2));
	fputc('\n', cli->output.file);
	json_decref(schema);
	return failed ? cli_fail(cli, DVS_IO, "print the schema") : EXIT_DONE;
}
