/* SPDX-License-Identifier: Apache-2.0 */
#include "node/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"usage: dvsd [options]\n"
	"\n"
	"Serve the distributed containers (DCs) of this node, in the foreground.\n"
	"\n"
	"  --run-dir DIR      where the sockets and the state are; default $DVS_RUN_DIR,\n"
	"                     else /run/dvs\n"
	"  --node N           number of this node, 0 to 61; default 0\n"
	"  --dc NAME          create this DC at start if it is not there\n"
	"  --log-level LEVEL  error, warning, info or debug; default info\n"
	"  --foreground       as always: it stays in the foreground\n"
	"  --help, --version\n"
	"\n"
	"Example: dvsd --run-dir /tmp/dvs --dc demo\n";

enum {
	OPTION_RUN_DIR = 256,
	OPTION_NODE,
	OPTION_DC,
	OPTION_LOG,
	OPTION_FOREGROUND,
	OPTION_HELP,
	OPTION_VERSION
};

static const struct option options[] = {
	{ "run-dir", required_argument, NULL, OPTION_RUN_DIR },
	{ "node", required_argument, NULL, OPTION_NODE },
	{ "dc", required_argument, NULL, OPTION_DC },
	{ "log-level", required_argument, NULL, OPTION_LOG },
	{ "foreground", no_argument, NULL, OPTION_FOREGROUND },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ NULL, 0, NULL, 0 },
};

static bool copy_text(char *to, size_t size, const char *from, const char *what)
{
	if (*from != '\0' && strlen(from) < size) {
		memcpy(to, from, strlen(from) + 1);
		return true;
	}
	(void)fprintf(stderr, "dvsd: %s is empty or longer than %zu characters\n", what, size - 1);
	return false;
}

static bool parse_node(const char *text, uint32_t *node)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno == 0 && end != text && *end == '\0' && text[0] != '-' && value < CORE_NODES_MAX) {
		*node = (uint32_t)value;
		return true;
	}
	(void)fprintf(stderr, "dvsd: the node '%s' is not a number from 0 to %u\n", text,
		      CORE_NODES_MAX - 1);
	return false;
}

static bool parse_one(int option, const char *value, struct config *config)
{
	switch (option) {
	case OPTION_RUN_DIR:
		return copy_text(config->run_dir, sizeof(config->run_dir), value, "--run-dir");
	case OPTION_NODE:
		return parse_node(value, &config->node);
	case OPTION_DC:
		if (copy_text(config->dc, sizeof(config->dc), value, "--dc") && core_name_ok(value))
			return true;
		(void)fprintf(stderr,
			      "dvsd: the DC name '%s' is not made of letters, digits, '-', '_'"
			      " and '.' (not first)\n",
			      value);
		return false;
	case OPTION_LOG:
		if (log_level_parse(value, &config->log_level))
			return true;
		(void)fprintf(stderr,
			      "dvsd: the log level '%s' is none of error, warning, info,"
			      " debug\n",
			      value);
		return false;
	case OPTION_FOREGROUND:
		return true;
	default: /* getopt has complained */
		(void)fputs("Try 'dvsd --help'.\n", stderr);
		return false;
	}
}

enum options_result options_parse(int argc, char **argv, struct config *config)
{
	const char *run_dir = getenv("DVS_RUN_DIR");
	int option;

	*config = (struct config){ .log_level = LOG_LEVEL_INFO };
	if (!copy_text(config->run_dir, sizeof(config->run_dir),
		       run_dir && *run_dir ? run_dir : "/run/dvs", "DVS_RUN_DIR"))
		return OPTIONS_WRONG;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == OPTION_HELP) {
			(void)fputs(usage, stdout);
			return OPTIONS_EXIT;
		}
		if (option == OPTION_VERSION) {
			(void)puts("dvsd " DVS_VERSION);
			return OPTIONS_EXIT;
		}
		if (!parse_one(option, optarg, config))
			return OPTIONS_WRONG;
	}
	if (optind == argc)
		return OPTIONS_RUN;
	(void)fprintf(stderr, "dvsd: unexpected argument '%s'\nTry 'dvsd --help'.\n", argv[optind]);
	return OPTIONS_WRONG;
}
