/* SPDX-License-Identifier: Apache-2.0 */
/* dvs-attach: makes a volume a block device of this node. 'dvs vol attach' starts it. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateways/attach/disk.h"
#include "gateways/attach/file.h"
#include "gateways/attach/keeper.h"

/* As usual: 1 for a failure, 2 for a wrong command line. */
#define EXIT_USAGE 2
#define OPEN_MS 10000u
#define PATIENCE_S 120u
#define PATIENCE_S_MAX (24u * 3600)

static const char usage[] =
	"usage: dvs-attach --run-dir DIR [options] DC/VOLUME[@SNAPSHOT]\n"
	"\n"
	"Make a volume a block device of this node, and stay behind it. Prints the device when it is there.\n"
	"\n"
	"  --run-dir DIR      of dvsd\n"
	"  --read-only        nothing can be written; others may write to it meanwhile\n"
	"  --shared           others may attach it, too, if they say so; for file systems that know of each other\n"
	"  --threads N        how many requests are worked on at once; default 16\n"
	"  --patience SECONDS how long a request waits for a volume that nobody serves, before it fails; default 120\n"
	"  --log-level LEVEL  error, warning, info or debug; default info\n"
	"  --help, --version\n";

static const struct option known[] = {
	{ "run-dir", required_argument, NULL, 'r' },
	{ "read-only", no_argument, NULL, 'o' },
	{ "shared", no_argument, NULL, 's' },
	{ "threads", required_argument, NULL, 't' },
	{ "patience", required_argument, NULL, 'p' },
	{ "log-level", required_argument, NULL, 'l' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'v' },
	{ NULL, 0, NULL, 0 },
};

struct options {
	struct disk_config disk;
	unsigned int n_threads;
	enum log_level log_level;
};

static bool take_number(const char *option, const char *value, unsigned long max,
			unsigned int *number)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	*number = (unsigned int)n;
	if (end != value && !*end && value[0] != '-' && n >= 1 && n <= max)
		return true;
	(void)fprintf(stderr, "dvs-attach: %s '%s' is not a number from 1 to %lu\n", option, value,
		      max);
	return false;
}

static bool parse_one(int option, const char *value, struct options *options)
{
	unsigned int seconds;

	switch (option) {
	case 'r':
		options->disk.run_dir = value;
		return true;
	case 'o':
		options->disk.is_read_only = true;
		return true;
	case 's':
		options->disk.is_shared = true;
		return true;
	case 't':
		return take_number("--threads", value, ATTACH_THREADS_MAX, &options->n_threads);
	case 'p':
		if (!take_number("--patience", value, PATIENCE_S_MAX, &seconds))
			return false;
		options->disk.patience_ms = seconds * 1000;
		return true;
	case 'l':
		if (log_level_parse(value, &options->log_level))
			return true;
		(void)fprintf(stderr,
			      "dvs-attach: the log level '%s' is none of error, warning,"
			      " info, debug\n",
			      value);
		return false;
	default: /* getopt has complained */
		return false;
	}
}

static bool parse(int argc, char **argv, struct options *options)
{
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (option == 'h' || option == 'v') {
			(void)fputs(option == 'h' ? usage : "dvs-attach " DVS_VERSION "\n", stdout);
			exit(EXIT_SUCCESS);
		}
		if (!parse_one(option, optarg, options))
			return false;
	}
	if (!options->disk.run_dir || options->disk.run_dir[0] != '/' || optind + 1 != argc) {
		(void)fputs(
			"dvs-attach: it needs --run-dir with an absolute path, and the name of a"
			" volume\n",
			stderr);
		return false;
	}
	options->disk.volume = argv[optind];
	return true;
}

int main(int argc, char **argv)
{
	struct options options = {
		.disk = { .open_ms = OPEN_MS, .patience_ms = PATIENCE_S * 1000 },
		.n_threads = ATTACH_THREADS_DEFAULT,
		.log_level = LOG_LEVEL_INFO,
	};
	struct attach_source source;
	struct attach_config config = { .source = &source };
	char device[LOOP_DEVICE_MAX];
	char why[ATTACH_WHY_MAX] = "";
	dvs_err err;

	if (!parse(argc, argv, &options)) {
		(void)fputs("Try 'dvs-attach --help'.\n", stderr);
		return EXIT_USAGE;
	}
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
