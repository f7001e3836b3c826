/* SPDX-License-Identifier: Apache-2.0 */
/* dvs-vdd: serves the volumes of a DC that have a replica on this node. Started by dvs-agent; it outlives it. */
#include <getopt.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/rights.h"
#include "servers/vdd/process.h"

/* As usual: 1 for a failure, 2 for a wrong command line. */
#define EXIT_USAGE 2

static const char usage[] =
	"usage: dvs-vdd --run-dir DIR --lib-dir DIR --dc NAME --node N [options]\n"
	"\n"
	"Serve the volumes of a DC that have a replica on this node. dvs-agent starts it when there are some.\n"
	"\n"
	"  --run-dir DIR      of dvsd\n"
	"  --lib-dir DIR      for what volumes keep\n"
	"  --dc NAME          the DC\n"
	"  --node N           number of this node\n"
	"  --log-level LEVEL  error, warning, info or debug; default info\n"
	"  --help, --version\n";

static const struct option known[] = {
	{ "run-dir", required_argument, NULL, 'r' },   { "lib-dir", required_argument, NULL, 'd' },
	{ "dc", required_argument, NULL, 'c' },	       { "node", required_argument, NULL, 'n' },
	{ "log-level", required_argument, NULL, 'l' }, { "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'v' },	       { NULL, 0, NULL, 0 },
};

static bool take_text(const char *option, const char *value, char *text, size_t size, bool is_path)
{
	if ((!is_path || value[0] == '/') && value[0] &&
	    (size_t)snprintf(text, size, "%s", value) < size)
		return true;
	(void)fprintf(stderr, "dvs-vdd: %s '%s' is no %s of less than %zu bytes\n", option, value,
		      is_path ? "absolute path" : "name", size);
	return false;
}

static bool take_node(const char *value, uint32_t *node)
{
	char *end;
	unsigned long number = strtoul(value, &end, 10);

	*node = (uint32_t)number;
	if (end != value && *end == '\0' && value[0] != '-' && number < DVS_NODES_MAX)
		return true;
	(void)fprintf(stderr, "dvs-vdd: the node '%s' is not a number from 0 to %d\n", value,
		      DVS_NODES_MAX - 1);
	return false;
}

static bool parse_one(int option, const char *value, struct process_options *options)
{
	switch (option) {
	case 'r':
		return take_text("--run-dir", value, options->run_dir, sizeof(options->run_dir),
				 true);
	case 'd':
		return take_text("--lib-dir", value, options->lib_dir, sizeof(options->lib_dir),
				 true);
	case 'c':
		/* It becomes a part of paths. */
		if (strchr(value, '/') || value[0] == '.')
			value = "";
		return take_text("--dc", value, options->dc, sizeof(options->dc), false);
	case 'n':
		return take_node(value, &options->node);
	case 'l':
		if (log_level_parse(value, &options->log_level))
			return true;
		(void)fprintf(
			stderr,
			"dvs-vdd: the log level '%s' is none of error, warning, info, debug\n",
			value);
		return false;
	default: /* getopt has complained */
		return false;
	}
}

static bool parse(int argc, char **argv, struct process_options *options)
{
	int option;

	*options = (struct process_options){ .node = UINT32_MAX, .log_level = LOG_LEVEL_INFO };
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (option == 'h' || option == 'v') {
			(void)fputs(option == 'h' ? usage : "dvs-vdd " DVS_VERSION "\n", stdout);
			exit(EXIT_SUCCESS);
		}
		if (!parse_one(option, optarg, options))
			return false;
	}
	if (options->run_dir[0] && options->lib_dir[0] && options->dc[0] &&
	    options->node != UINT32_MAX && optind == argc)
		return true;
	(void)fputs("dvs-vdd: it needs --run-dir, --lib-dir, --dc and --node, and takes no other"
		    " arguments\n",
		    stderr);
	return false;
}

int main(int argc, char **argv)
{
	static struct process process;
	dvs_err err;

	if (!parse(argc, argv, &process.options)) {
		(void)fputs("Try 'dvs-vdd --help'.\n", stderr);
		return EXIT_USAGE;
	}
	process.log = log_to_stderr(process.options.log_level);
	(void)signal(SIGPIPE, SIG_IGN);
	/* A file that may not grow is an error of the write. */
	(void)signal(SIGXFSZ, SIG_IGN);
	(void)umask(077);
	/* It stays user 0: dvsd's admin socket is root's, and so are devices and files. CAP_DAC_OVERRIDE: a device that belongs to group "disk" and another user, the socket of a DC whose owner is somebody else. io_uring, files, sockets and
	 * shared memory need no other. */
	err = rights_keep(RIGHT(CAP_DAC_OVERRIDE));
	if (!err)
		err = process_run(&process);
	if (err)
		log_error(&process.log, "the server of volumes ends",
			  LOG_STR("dc", process.options.dc), LOG_STR("why", dvs_strerror(err)));
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
