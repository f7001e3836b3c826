/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/cli.h"

#include <errno.h>
#include <string.h>

/* Data that could not be written must not look like success. */
static int finish(struct cli *cli, int status)
{
	errno = 0;
	if (fflush(cli->output.file) == 0 && !ferror(cli->output.file))
		return status;
	return cli_fail_errno(cli, errno ? errno : EIO, "see where the output goes",
			      "write the output");
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

int cli_run(int argc, char **argv, FILE *out, FILE *err)
{
	struct cli cli = { .output = { .file = out }, .err = err };

	cli.output.colour = output_wants_colour(out);
	if (!cli_parse(&cli, argc, argv))
		return EXIT_USAGE;
	if (cli_has(&cli, OPTION_HELP))
		return finish(&cli, show_help(&cli));
	if (cli_has(&cli, OPTION_VERSION)) {
		fprintf(out, "dvs %s\n", DVS_VERSION);
		return finish(&cli, EXIT_DONE);
	}
	return finish(&cli, cli.command->run(&cli));
}
