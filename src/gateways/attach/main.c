/* SPDX-License-Identifier: Apache-2.0 */
/* dvs-attach: makes a volume a block device of this node. 'dvs vol attach' starts it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arguments.h"
#include "gateways/attach/disk.h"
#include "gateways/attach/file.h"
#include "gateways/attach/keeper.h"

#define OPEN_MS 10000u
#define PATIENCE_S 120u
#define PATIENCE_S_MAX (24u * 3600)

struct options {
	struct disk_config disk;
	uint32_t n_threads;
	uint32_t patience_s;
	enum log_level log_level;
};

static int parse(int argc, char **argv, struct options *options)
{
	const struct argument rows[] = {
		{ "run-dir", "DIR", "of dvsd", ARGUMENT_PATH, .is_needed = true,
		  .to = &options->disk.run_dir },
		{ "read-only", NULL, "nothing can be written; others may write to it meanwhile",
		  ARGUMENT_FLAG, .to = &options->disk.is_read_only },
		{ "shared", NULL,
		  "others may attach it, too, if they say so; for file systems that know of each"
		  " other",
		  ARGUMENT_FLAG, .to = &options->disk.is_shared },
		{ "threads", "N", "how many requests are worked on at once; default 16",
		  ARGUMENT_NUMBER, .to = &options->n_threads, .least = 1,
		  .most = ATTACH_THREADS_MAX },
		{ "patience", "SECONDS",
		  "how long a request waits for a volume that nobody serves, before it fails;"
		  " default 120",
		  ARGUMENT_NUMBER, .to = &options->patience_s, .least = 1, .most = PATIENCE_S_MAX },
		{ "log-level", "LEVEL", ARGUMENT_LEVEL_HELP, ARGUMENT_LEVEL,
		  .to = &options->log_level },
	};
	const struct arguments arguments = {
		.program = "dvs-attach",
		.synopsis = "--run-dir DIR [options] DC/VOLUME[@SNAPSHOT]",
		.about = "Make a volume a block device of this node, and stay behind it. Prints"
			 " the device when it is there.",
		.rows = rows,
		.n_rows = ARRAY_LEN(rows),
		.words_max = 1,
	};
	int first;
	int status = arguments_parse(&arguments, argc, argv, &first);

	if (status == ARGUMENTS_RUN && first == argc)
		return arguments_wrong(&arguments, "it needs the name of a volume");
	if (status == ARGUMENTS_RUN)
		options->disk.volume = argv[first];
	options->disk.patience_ms = options->patience_s * 1000;
	return status;
}

int main(int argc, char **argv)
{
	struct options options = {
		.disk = { .open_ms = OPEN_MS },
		.patience_s = PATIENCE_S,
		.n_threads = ATTACH_THREADS_DEFAULT,
		.log_level = LOG_LEVEL_INFO,
	};
	struct attach_source source;
	struct attach_config config = { .source = &source };
	char device[LOOP_DEVICE_MAX];
	char why[ATTACH_WHY_MAX] = "";
	int status;
	dvs_err err;

	status = parse(argc, argv, &options);
	if (status != ARGUMENTS_RUN)
		return status;
	options.disk.log = log_to_stderr(options.log_level);
	config.run_dir = options.disk.run_dir;
	config.volume = options.disk.volume;
	config.is_shared = options.disk.is_shared;
	config.n_threads = options.n_threads;
	config.log = options.disk.log;
	err = disk_source(&options.disk, &source);
	if (!err)
		err = attach_start(&config, device, why);
	if (err)
		(void)fprintf(stderr, "dvs-attach: attach %s: %s\n", options.disk.volume,
			      why[0] ? why : dvs_strerror(err));
	else
		(void)printf("%s\n", device);
	free(source.context);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
