/* SPDX-License-Identifier: Apache-2.0 */
#include "node/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RUN_DIR_DEFAULT "/run/dvs"
#define LIB_DIR_DEFAULT "/var/lib/dvs"

static const char usage[] =
	"usage: dvsd [options]\n"
	"\n"
	"Serve the distributed containers (DCs) of this node, in the foreground.\n"
	"\n"
	"  --config FILE      what this node is; default " CONFIG_FILE_DEFAULT " if it is there\n"
	"                     and the run directory is " RUN_DIR_DEFAULT "\n"
	"  --run-dir DIR      where the sockets are; default $DVS_RUN_DIR,\n"
	"                     else " RUN_DIR_DEFAULT "\n"
	"  --lib-dir DIR      where the state, images, volumes and what containers write are kept;\n"
	"                     default $DVS_LIB_DIR, else " LIB_DIR_DEFAULT " with the run\n"
	"                     directory " RUN_DIR_DEFAULT ", and lib in any other one\n"
	"  --node N           number of this node, 0 to 61; default: that of the file, else 0\n"
	"  --dc NAME          create this DC at start if it is not there\n"
	"  --log-level LEVEL  error, warning, info or debug; default info\n"
	"  --foreground       as always: it stays in the foreground\n"
	"  --help, --version\n"
	"\n"
	"Example: dvsd --run-dir /tmp/dvs --dc demo\n";

enum {
	OPTION_CONFIG = 256,
	OPTION_RUN_DIR,
	OPTION_LIB_DIR,
	OPTION_NODE,
	OPTION_DC,
	OPTION_LOG,
	OPTION_FOREGROUND,
	OPTION_HELP,
	OPTION_VERSION
};

static const struct option known[] = {
	{ "config", required_argument, NULL, OPTION_CONFIG },
	{ "run-dir", required_argument, NULL, OPTION_RUN_DIR },
	{ "lib-dir", required_argument, NULL, OPTION_LIB_DIR },
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

static bool parse_one(int option, const char *value, struct options *options)
{
	uint32_t node;

	switch (option) {
	case OPTION_CONFIG: /* has been read */
	case OPTION_FOREGROUND:
		return true;
	case OPTION_RUN_DIR:
		return copy_text(options->run_dir, sizeof(options->run_dir), value, "--run-dir");
	case OPTION_LIB_DIR:
		return copy_text(options->lib_dir, sizeof(options->lib_dir), value, "--lib-dir");
	case OPTION_NODE:
		if (!parse_node(value, &node))
			return false;
		config_set_node(&options->config, node);
		return true;
	case OPTION_DC:
		if (copy_text(options->dc, sizeof(options->dc), value, "--dc") &&
		    core_name_ok(value))
			return true;
		(void)fprintf(stderr,
			      "dvsd: the DC name '%s' is not made of letters, digits, '-', '_'"
			      " and '.' (not first)\n",
			      value);
		return false;
	case OPTION_LOG:
		if (log_level_parse(value, &options->log_level))
			return true;
		(void)fprintf(stderr,
			      "dvsd: the log level '%s' is none of error, warning, info,"
			      " debug\n",
			      value);
		return false;
	default: /* getopt has complained */
		(void)fputs("Try 'dvsd --help'.\n", stderr);
		return false;
	}
}

/* The two that say which configuration file is read, before all others: these override what stands in it. Mistakes are
 * left to the second reading. */
static enum options_result look_for_file(int argc, char **argv, struct options *options)
{
	const char *run_dir = getenv("DVS_RUN_DIR");
	const char *path = NULL;
	int option;

	if (!run_dir || !*run_dir)
		run_dir = RUN_DIR_DEFAULT;
	if (!copy_text(options->run_dir, sizeof(options->run_dir), run_dir, "DVS_RUN_DIR"))
		return OPTIONS_WRONG;
	opterr = 0;
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (option == OPTION_CONFIG)
			path = optarg;
		else if (option == OPTION_RUN_DIR)
			run_dir = optarg;
		else if (option == OPTION_HELP)
			(void)fputs(usage, stdout);
		else if (option == OPTION_VERSION)
			(void)puts("dvsd " DVS_VERSION);
		if (option == OPTION_HELP || option == OPTION_VERSION)
			return OPTIONS_EXIT;
	}
	optind = opterr = 1;
	if (!path && run_dir && strcmp(run_dir, RUN_DIR_DEFAULT) == 0 &&
	    access(CONFIG_FILE_DEFAULT, F_OK) == 0)
		path = CONFIG_FILE_DEFAULT;
	return !path || copy_text(options->config_path, sizeof(options->config_path), path,
				  "--config") ?
		       OPTIONS_RUN :
		       OPTIONS_WRONG;
}

/* Of the environment, or by the run directory. */
static bool default_lib_dir(struct options *options)
{
	const char *wanted = getenv("DVS_LIB_DIR");
	int len;

	if (options->lib_dir[0] != '\0')
		return true;
	if (wanted && *wanted)
		return copy_text(options->lib_dir, sizeof(options->lib_dir), wanted, "DVS_LIB_DIR");
	if (strcmp(options->run_dir, RUN_DIR_DEFAULT) == 0)
		return copy_text(options->lib_dir, sizeof(options->lib_dir), LIB_DIR_DEFAULT, "");
	len = snprintf(options->lib_dir, sizeof(options->lib_dir), "%s/lib", options->run_dir);
	if (len > 0 && (size_t)len < sizeof(options->lib_dir))
		return true;
	(void)fprintf(stderr,
		      "dvsd: the run directory '%s' is too long: name a shorter one with"
		      " --run-dir, or another place with --lib-dir\n",
		      options->run_dir);
	return false;
}

static bool read_config(struct options *options)
{
	char text[CONFIG_TEXT_MAX];

	config_defaults(&options->config);
	if (options->config_path[0] == '\0' ||
	    config_read(options->config_path, &options->config, text, sizeof(text)) == DVS_OK)
		return true;
	(void)fprintf(stderr, "dvsd: %s\n", text);
	return false;
}

enum options_result options_parse(int argc, char **argv, struct options *options)
{
	enum options_result result;
	int option;

	*options = (struct options){ .log_level = LOG_LEVEL_INFO };
	result = look_for_file(argc, argv, options);
	if (result != OPTIONS_RUN)
		return result;
	if (!read_config(options))
		return OPTIONS_WRONG;
	options->file_node = options->config.node;
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (!parse_one(option, optarg, options))
			return OPTIONS_WRONG;
	}
	if (optind == argc)
		return default_lib_dir(options) ? OPTIONS_RUN : OPTIONS_WRONG;
	(void)fprintf(stderr, "dvsd: unexpected argument '%s'\nTry 'dvsd --help'.\n", argv[optind]);
	return OPTIONS_WRONG;
}
