/* SPDX-License-Identifier: Apache-2.0 */
/* dvs-attach: makes a volume a block device of this node. 'dvs vol attach' starts it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arguments.h"
#include "gateways/attach/attach.h"
#include "gateways/attach/disk.h"
#include "gateways/attach/file.h"
#include "gateways/attach/keeper.h"

#define OPEN_MS 10000u
#define PATIENCE_S 120u
#define PATIENCE_S_MAX (24u * 3600)
#define DETACH_S 10u
#define DETACH_S_MAX 3600u

/* What --by takes. */
#define AUTO "auto"
#define NBD "nbd"
#define LOOP "loop"

struct options {
	struct disk_config disk;
	uint32_t n_threads;
	uint32_t patience_s;
	uint32_t timeout_s;
	bool detaches;
	bool forces;
	bool lists;
	const char *by; /* AUTO, NBD or LOOP */
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
		{ "by", "DEVICE",
		  "nbd: a device of the kernel's NBD client; loop: a loop device over FUSE; auto:"
		  " nbd if the kernel has it; default auto",
		  ARGUMENT_TEXT, .to = &options->by },
		{ "detach", NULL, "take a device, or that of a volume, off this node instead",
		  ARGUMENT_FLAG, .to = &options->detaches },
		{ "force", NULL, "with --detach: even if it is in use", ARGUMENT_FLAG,
		  .to = &options->forces },
		{ "timeout", "SECONDS",
		  "with --detach: wait so long for those who have it open; default 10",
		  ARGUMENT_NUMBER, .to = &options->timeout_s, .most = DETACH_S_MAX },
		{ "list", NULL, "tell which there are on this node instead, as JSON", ARGUMENT_FLAG,
		  .to = &options->lists },
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

	if (status == ARGUMENTS_RUN && options->lists)
		return options->detaches || first < argc ?
			       arguments_wrong(&arguments, "--list stands alone") :
			       status;
	if (status == ARGUMENTS_RUN && first == argc)
		return arguments_wrong(&arguments, "it needs the name of a volume");
	if (status == ARGUMENTS_RUN)
		options->disk.volume = argv[first];
	if (status == ARGUMENTS_RUN && strcmp(options->by, AUTO) != 0 &&
	    strcmp(options->by, NBD) != 0 && strcmp(options->by, LOOP) != 0)
		return arguments_wrong(&arguments, "--by takes auto, nbd or loop");
	options->disk.patience_ms = options->patience_s * 1000;
	return status;
}

static int detach(const struct options *options)
{
	char why[ATTACH_WHY_MAX] = "";
	dvs_err err = attach_detach(options->disk.run_dir, options->disk.volume, options->forces,
				    options->timeout_s * 1000, why);

	if (err)
		(void)fprintf(stderr, "dvs-attach: %s%s\n", why[0] ? why : dvs_strerror(err),
			      attach_hint(err));
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int list(const struct options *options)
{
	char why[ATTACH_WHY_MAX] = "";
	json_t *rows = json_array();
	dvs_err err = rows ? attach_rows(options->disk.run_dir, rows, why) : DVS_NOMEM;

	if (!err && json_dumpf(rows, stdout, JSON_COMPACT))
		err = DVS_IO;
	json_decref(rows);
	if (err)
		(void)fprintf(stderr, "dvs-attach: %s\n", why[0] ? why : dvs_strerror(err));
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Which device it becomes, to *NBD; NULL: a loop device. */
static dvs_err choose(const char *by, const struct nbd_kernel **nbd, char why[ATTACH_WHY_MAX])
{
	dvs_err err = DVS_OK;

	*nbd = NULL;
	if (!strcmp(by, LOOP))
		return DVS_OK;
	err = nbd_kernel_check(why);
	if (!err)
		*nbd = &nbd_kernel_netlink;
	return strcmp(by, NBD) != 0 ? DVS_OK : err;
}

static int attach(const struct options *options)
{
	struct attach_source source;
	struct attach_config config = { .run_dir = options->disk.run_dir,
					.volume = options->disk.volume,
					.is_shared = options->disk.is_shared,
					.n_threads = options->n_threads,
					.source = &source,
					.log = options->disk.log };
	char device[LOOP_DEVICE_MAX];
	char why[ATTACH_WHY_MAX] = "";
	dvs_err err = choose(options->by, &config.nbd, why);

	source.context = NULL;
	if (!err)
		err = disk_source(&options->disk, &source);
	if (!err)
		err = attach_start(&config, device, why);
	if (err)
		(void)fprintf(stderr, "dvs-attach: attach %s: %s\n", options->disk.volume,
			      why[0] ? why : dvs_strerror(err));
	else
		(void)printf("%s\n", device);
	free(source.context);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct options options = {
		.disk = { .open_ms = OPEN_MS },
		.patience_s = PATIENCE_S,
		.timeout_s = DETACH_S,
		.by = AUTO,
		.n_threads = ATTACH_THREADS_DEFAULT,
		.log_level = LOG_LEVEL_INFO,
	};
	int status = parse(argc, argv, &options);

	if (status != ARGUMENTS_RUN)
		return status;
	options.disk.log = log_to_stderr(options.log_level);
	if (options.lists)
		return list(&options);
	return options.detaches ? detach(&options) : attach(&options);
}
