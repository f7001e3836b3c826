/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/cli.h"

#include <errno.h>
#include <string.h>

/* Data that could not be written must not look like success. */
static int finish(struct cli *cli, int status)
{
	bool failed_before = ferror(cli->output.file);

	if (fflush(cli->output.file) == 0 && !failed_before)
		return status;
	return cli_fail_errno(cli, failed_before ? EIO : errno,
			      "see whether there is room where it goes", "write the output");
}

static int show_help(struct cli *cli)
{
	if (cli->command)
		help_command(cli->output.file, cli->command);
	else if (cli->group)
		help_group(cli->output.file, cli->group);
	else
		help_all(cli->output.file);
	return EXIT_DONE;
}

int cli_result(struct cli *cli, const char *name, json_t *members)
{
	if (cli->output.format == OUTPUT_JSON) {
		if (!output_document(&cli->output, members, false))
			return cli_fail(cli, DVS_NOMEM, "print the result");
		return EXIT_DONE;
	}
	if (cli->output.format == OUTPUT_NAME)
		fprintf(cli->output.file, "%s\n", name);
	json_decref(members);
	return EXIT_DONE;
}

int cli_run(int argc, char **argv, FILE *out, FILE *err)
{
	struct cli cli = { .output = { .file = out }, .err = err };

	cli.output.colour = output_wants_colour(out);
	if (!cli_parse(&cli, argc, argv))
		return cli.command && cli.command->wrong_use ? cli.command->wrong_use : EXIT_USAGE;
	if (cli_has(&cli, OPTION_HELP))
		return finish(&cli, show_help(&cli));
	if (cli_has(&cli, OPTION_VERSION)) {
		fprintf(out, "dvs %s\n", DVS_VERSION);
		return finish(&cli, EXIT_DONE);
	}
	return finish(&cli, cli.command->run(&cli));
}
