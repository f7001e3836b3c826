/* SPDX-License-Identifier: Apache-2.0 */
/* dvs-fuse: a file system of a DC at a directory of this node. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arguments.h"
#include "gateways/fuse/run.h"

#define OPEN_MS 30000u
#define PATIENCE_S 60u
#define PATIENCE_S_MAX 86400u

struct settings {
	struct gateway_options options;
	enum log_level log_level;
	uint32_t patience_s;
};

static int parse_all(const struct arguments *arguments, const struct gateway_options *options,
		     int argc, char **argv)
{
	int first;
	int status = arguments_parse(arguments, argc, argv, &first);

	if (status != ARGUMENTS_RUN)
		return status;
	if (strlen(options->dc) > DVS_NAME_MAX)
		return arguments_wrong(arguments, "--dc '%s' is no name of a DC", options->dc);
	if (options->ids.count > UINT32_MAX - options->ids.base)
		return arguments_wrong(arguments,
				       "--uid-base and --uid-count reach beyond the last number");
	return ARGUMENTS_RUN;
}

static int parse(int argc, char **argv, struct settings *settings)
{
	struct gateway_options *options = &settings->options;
	const struct argument rows[] = {
		{ "dc", "DC", "the DC", ARGUMENT_TEXT, .is_needed = true, .to = &options->dc },
		{ "fs", "NAME", "the file system", ARGUMENT_TEXT, .is_needed = true,
		  .to = &options->name },
		{ "mount", "DIR", "where", ARGUMENT_PATH, .is_needed = true,
		  .to = &options->mount },
		{ "run-dir", "DIR", "of dvsd; default /run/dvs", ARGUMENT_TEXT,
		  .to = &options->run_dir },
		{ "node", "N", "the number of this node, for its log", ARGUMENT_NUMBER,
		  .to = &options->node, .most = DVS_NODES_MAX - 1 },
		{ "uid-base", "N",
		  "the node's number of user and group 0 of the file system; default 0",
		  ARGUMENT_NUMBER, .to = &options->ids.base, .most = UINT32_MAX - 1 },
		{ "uid-count", "N", "how many users and groups it maps; default all",
		  ARGUMENT_NUMBER, .to = &options->ids.count, .most = UINT32_MAX },
		{ "read-only", NULL, "nothing can be written", ARGUMENT_FLAG,
		  .to = &options->is_read_only },
		{ "dev", NULL, "devices in it are devices", ARGUMENT_FLAG,
		  .to = &options->devices },
		{ "suid", NULL, "set-user-ID and set-group-ID programs in it are such",
		  ARGUMENT_FLAG, .to = &options->set_ids },
		{ "patience", "SECONDS", "wait so long for a server that is gone; default 60",
		  ARGUMENT_NUMBER, .to = &settings->patience_s, .most = PATIENCE_S_MAX },
		{ "container-fd", "N", "DIR is among the mounts of the process behind this pidfd",
		  ARGUMENT_FD, .to = &options->container_fd },
		{ "ready-fd", "N", "write a byte to this descriptor when it is mounted",
		  ARGUMENT_FD, .to = &options->ready_fd },
		{ "log-level", "LEVEL", ARGUMENT_LEVEL_HELP, ARGUMENT_LEVEL,
		  .to = &settings->log_level },
	};
	const struct arguments arguments = {
		.program = "dvs-fuse",
		.synopsis = "--dc DC --fs NAME --mount DIR [options]",
		.about = "Mount file system NAME of DC at DIR, until it is unmounted or gets"
			 " SIGTERM.",
		.rows = rows,
		.n_rows = ARRAY_LEN(rows),
	};

	return parse_all(&arguments, options, argc, argv);
}

int main(int argc, char **argv)
{
	struct settings settings = {
		.options = { .ids = IDS_SAME,
			     .open_ms = OPEN_MS,
			     .ready_fd = -1,
			     .container_fd = -1 },
		.log_level = LOG_LEVEL_INFO,
		.patience_s = PATIENCE_S,
	};
	char why[GATEWAY_WHY_MAX] = "";
	int status = parse(argc, argv, &settings);
	dvs_err err;

	if (status != ARGUMENTS_RUN)
		return status;
	settings.options.patience_ms = settings.patience_s * 1000;
	settings.options.log = log_to_stderr(settings.log_level);
	err = gateway_run(&settings.options, why);
	if (err)
		(void)fprintf(stderr, "dvs-fuse: %s\n", why[0] ? why : dvs_strerror(err));
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
