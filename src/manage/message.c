/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to people: what failed, why, what to try. */
#include <stdarg.h>
#include <string.h>

#include "manage/cli.h"

PRINTF_LIKE(2, 0) static void say_what(struct cli *cli, const char *what, va_list args)
{
	/* What has gone to stdout so far comes before the message. */
	fflush(cli->output.file);
	fputs("dvs: ", cli->err);
	vfprintf(cli->err, what, args);
}

static int say_why(struct cli *cli, const char *why, const char *hint)
{
	fprintf(cli->err, ": %s%s%s\n", why, hint[0] ? "; " : "", hint);
	return EXIT_FAILED;
}

int cli_fail(struct cli *cli, dvs_err err, const char *what, ...)
{
	va_list args;

	va_start(args, what);
	say_what(cli, what, args);
	va_end(args);
	return say_why(cli, dvs_strerror(err), dvs_err_hint(err));
}

int cli_fail_hint(struct cli *cli, dvs_err err, const char *hint, const char *what, ...)
{
	va_list args;

	va_start(args, what);
	say_what(cli, what, args);
	va_end(args);
	return say_why(cli, dvs_strerror(err), hint);
}

int cli_fail_errno(struct cli *cli, int errno_value, const char *hint, const char *what, ...)
{
	va_list args;

	va_start(args, what);
	say_what(cli, what, args);
	va_end(args);
	return say_why(cli, strerror(errno_value), hint);
}

int cli_usage(struct cli *cli, const char *message, ...)
{
	va_list args;

	fputs("dvs: ", cli->err);
	if (cli->command)
		fprintf(cli->err, "%s: ", cli->command->name);
	else if (cli->group)
		fprintf(cli->err, "%s: ", cli->group);
	va_start(args, message);
	vfprintf(cli->err, message, args);
	va_end(args);
	fputc('\n', cli->err);
	return EXIT_USAGE;
}

void cli_note(struct cli *cli, const char *message, ...)
{
	va_list args;

	va_start(args, message);
	say_what(cli, message, args);
	va_end(args);
	fputc('\n', cli->err);
}
