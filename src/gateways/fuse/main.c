/* SPDX-License-Identifier: Apache-2.0 */
/* dvs-fuse: a file system of a DC at a directory of this node. */
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateways/fuse/run.h"

/* As usual: 1 for a failure, 2 for a wrong command line. */
#define EXIT_USAGE 2
#define OPEN_MS 30000u
#define PATIENCE_S 60u
#define PATIENCE_S_MAX 86400u

static const char usage[] =
	"usage: dvs-fuse --dc DC --fs NAME --mount DIR [options]\n"
	"\n"
	"Mount file system NAME of DC at DIR, until it is unmounted or gets SIGTERM.\n"
	"\n"
	"  --run-dir DIR      of dvsd; default /run/dvs\n"
	"  --node N           the number of this node, for its log\n"
	"  --uid-base N       the node's number of user and group 0 of the file system; default 0\n"
	"  --uid-count N      how many users and groups it maps; default all\n"
	"  --read-only        nothing can be written\n"
	"  --dev              devices in it are devices\n"
	"  --suid             set-user-ID and set-group-ID programs in it are such\n"
	"  --patience SECONDS wait so long for a server that is gone; default 60\n"
	"  --ready-fd N       write a byte to this descriptor when it is mounted\n"
	"  --log-level LEVEL  error, warning, info or debug; default info\n"
	"  --help, --version\n";

enum { OPTION_DEV = 256, OPTION_SUID, OPTION_BASE, OPTION_COUNT };

static const struct option known[] = {
	{ "run-dir", required_argument, NULL, 'r' },
	{ "dc", required_argument, NULL, 'd' },
	{ "fs", required_argument, NULL, 'n' },
	{ "mount", required_argument, NULL, 'm' },
	{ "node", required_argument, NULL, 'N' },
	{ "uid-base", required_argument, NULL, OPTION_BASE },
	{ "uid-count", required_argument, NULL, OPTION_COUNT },
	{ "read-only", no_argument, NULL, 'o' },
	{ "dev", no_argument, NULL, OPTION_DEV },
	{ "suid", no_argument, NULL, OPTION_SUID },
	{ "patience", required_argument, NULL, 'p' },
	{ "ready-fd", required_argument, NULL, 'f' },
	{ "log-level", required_argument, NULL, 'l' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'v' },
	{ NULL, 0, NULL, 0 },
};

struct arguments {
	struct gateway_options options;
	enum log_level log_level;
	uint32_t patience_s;
};

static bool take_number(const char *option, const char *value, uint32_t most, uint32_t *number)
{
	char *end;
	unsigned long said = strtoul(value, &end, 10);

	*number = (uint32_t)said;
	if (end != value && *end == '\0' && value[0] != '-' && said <= most)
		return true;
	(void)fprintf(stderr, "dvs-fuse: %s '%s' is not a number from 0 to %u\n", option, value,
		      most);
	return false;
}

static bool take_ready_fd(const char *value, int *fd)
{
	uint32_t number;

	if (!take_number("--ready-fd", value, 65535, &number))
		return false;
	*fd = (int)number;
	if (fcntl(*fd, F_SETFD, FD_CLOEXEC) == 0)
		return true;
	(void)fprintf(stderr, "dvs-fuse: --ready-fd %u: no such descriptor is open\n", number);
	return false;
}

static bool take_log_level(const char *value, enum log_level *level)
{
	if (log_level_parse(value, level))
		return true;
	(void)fprintf(stderr,
		      "dvs-fuse: the log level '%s' is none of error, warning, info, debug\n",
		      value);
	return false;
}

static bool parse_number(int option, const char *value, struct arguments *arguments)
{
	struct gateway_options *options = &arguments->options;

	switch (option) {
	case 'N':
		return take_number("--node", value, DVS_NODES_MAX - 1, &options->node);
	case OPTION_BASE:
		return take_number("--uid-base", value, UINT32_MAX - 1, &options->ids.base);
	case OPTION_COUNT:
		return take_number("--uid-count", value, UINT32_MAX, &options->ids.count);
	case 'p':
		return take_number("--patience", value, PATIENCE_S_MAX, &arguments->patience_s);
	case 'f':
		return take_ready_fd(value, &options->ready_fd);
	case 'l':
		return take_log_level(value, &arguments->log_level);
	default: /* getopt has complained */
		return false;
	}
}

static bool parse_one(int option, const char *value, struct arguments *arguments)
{
	struct gateway_options *options = &arguments->options;

	switch (option) {
	case 'r':
		options->run_dir = value;
		return true;
	case 'd':
		options->dc = value;
		return true;
	case 'n':
		options->name = value;
		return true;
	case 'm':
		options->mount = value;
		return true;
	case 'o':
		options->is_read_only = true;
		return true;
	case OPTION_DEV:
		options->devices = true;
		return true;
	case OPTION_SUID:
		options->set_ids = true;
		return true;
	default:
		return parse_number(option, value, arguments);
	}
}

static bool parse(int argc, char **argv, struct arguments *arguments)
{
	const struct gateway_options *options = &arguments->options;
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (option == 'h' || option == 'v') {
			(void)fputs(option == 'h' ? usage : "dvs-fuse " DVS_VERSION "\n", stdout);
			exit(EXIT_SUCCESS);
		}
		if (!parse_one(option, optarg, arguments))
			return false;
	}
	if (!options->dc || !options->name || !options->mount || optind != argc) {
		(void)fputs("dvs-fuse: it needs --dc, --fs and --mount, and nothing else\n",
			    stderr);
		return false;
	}
	if (strlen(options->dc) > DVS_NAME_MAX || options->mount[0] != '/') {
		(void)fputs("dvs-fuse: --mount is an absolute path, --dc the name of a DC\n",
			    stderr);
		return false;
	}
	if (options->ids.count > UINT32_MAX - options->ids.base) {
		(void)fputs("dvs-fuse: --uid-base and --uid-count reach beyond the last number\n",
			    stderr);
		return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	struct arguments arguments = {
		.options = { .ids = IDS_SAME, .open_ms = OPEN_MS, .ready_fd = -1 },
		.log_level = LOG_LEVEL_INFO,
		.patience_s = PATIENCE_S,
	};
	char why[GATEWAY_WHY_MAX] = "";
	dvs_err err;

	if (!parse(argc, argv, &arguments)) {
		(void)fputs("Try 'dvs-fuse --help'.\n", stderr);
		return EXIT_USAGE;
	}
	arguments.options.patience_ms = arguments.patience_s * 1000;
	arguments.options.log = log_to_stderr(arguments.log_level);
	err = gateway_run(&arguments.options, why);
	if (err)
		(void)fprintf(stderr, "dvs-fuse: %s\n", why[0] ? why : dvs_strerror(err));
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
