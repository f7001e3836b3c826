/* SPDX-License-Identifier: Apache-2.0 */
/* dvs-proxy: carries the channels between the endpoints of this node and those of one other node. Started by dvsd, one for each
 * peer; it ends when its control link to dvsd does. */
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "proxy/control.h"

/* As usual: 1 for a failure, 2 for a wrong command line. */
#define EXIT_USAGE 2

struct options {
	const char *config_path; /* NULL: the defaults */
	const char *address;
	uint32_t node;
	uint32_t peer;
	bool has_node;
	bool has_peer;
	enum log_level log_level;
};

static const char usage[] =
	"usage: dvs-proxy --peer N --address A [options]\n"
	"\n"
	"Carry messages between this node and node N. dvsd starts it, with its control link\n"
	"as descriptor 3; it is of no use by itself.\n"
	"\n"
	"  --peer N           the number of the other node\n"
	"  --address A        the address of the other node\n"
	"  --node N           number of this node; default: that of the file\n"
	"  --config FILE      what this node is\n"
	"  --log-level LEVEL  error, warning, info or debug; default info\n"
	"  --help, --version\n";

static const struct option known[] = {
	{ "peer", required_argument, NULL, 'p' },      { "address", required_argument, NULL, 'a' },
	{ "node", required_argument, NULL, 'n' },      { "config", required_argument, NULL, 'c' },
	{ "log-level", required_argument, NULL, 'l' }, { "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'v' },	       { NULL, 0, NULL, 0 },
};

static bool parse_node(const char *text, uint32_t *node)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	*node = (uint32_t)value;
	if (end != text && *end == '\0' && text[0] != '-' && value < CONFIG_NODES_MAX)
		return true;
	(void)fprintf(stderr, "dvs-proxy: the node '%s' is not a number from 0 to %u\n", text,
		      CONFIG_NODES_MAX - 1);
	return false;
}

static bool parse_one(int option, const char *value, struct options *options)
{
	switch (option) {
	case 'p':
		options->has_peer = true;
		return parse_node(value, &options->peer);
	case 'n':
		options->has_node = true;
		return parse_node(value, &options->node);
	case 'a':
		options->address = value;
		return true;
	case 'c':
		options->config_path = value;
		return true;
	case 'l':
		if (log_level_parse(value, &options->log_level))
			return true;
		(void)fprintf(stderr,
			      "dvs-proxy: the log level '%s' is none of error, warning, info,"
			      " debug\n",
			      value);
		return false;
	default: /* getopt has complained */
		return false;
	}
}

static bool parse(int argc, char **argv, struct options *options)
{
	int option;

	*options = (struct options){ .log_level = LOG_LEVEL_INFO };
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (option == 'h' || option == 'v') {
			(void)fputs(option == 'h' ? usage : "dvs-proxy " DVS_VERSION "\n", stdout);
			exit(EXIT_SUCCESS);
		}
		if (!parse_one(option, optarg, options))
			return false;
	}
	if (options->has_peer && options->address && optind == argc)
		return true;
	(void)fputs("dvs-proxy: it needs --peer and --address, and takes no other arguments\n",
		    stderr);
	return false;
}

static bool read_config(const struct options *options, struct config *config)
{
	char text[CONFIG_TEXT_MAX];

	config_defaults(config);
	if (options->config_path &&
	    config_read(options->config_path, config, text, sizeof(text)) != DVS_OK) {
		(void)fprintf(stderr, "dvs-proxy: %s\n", text);
		return false;
	}
	if (options->has_node)
		config_set_node(config, options->node);
	return true;
}

static dvs_err serve(const struct options *options, const struct config *config,
		     const struct log *log)
{
	static struct control control;
	struct mirror_setup setup;
	struct link_setup link_setup = { .config = config,
					 .log = log,
					 .node = config->node,
					 .peer = options->peer,
					 .address = options->address };
	struct mirror *mirror;
	struct peer_link *link;
	dvs_err err = control_open(&control, CONTROL_FD, log);

	if (err)
		return err;
	setup = control_mirror_setup(&control);
	err = mirror_create(&setup, &mirror);
	if (!err)
		err = control_attach(&control, mirror);
	if (err)
		return err;
	if (getrandom(&link_setup.incarnation, sizeof(link_setup.incarnation), 0) < 0)
		return DVS_IO;
	link_setup.events = mirror_link_events(mirror);
	err = peer_link_open(&link_setup, &link);
	if (!err)
		err = mirror_start(mirror, link);
	if (!err)
		control_run(&control, link);
	return err;
}

int main(int argc, char **argv)
{
	static struct config config;
	struct options options;
	struct log log;
	dvs_err err;

	if (!parse(argc, argv, &options)) {
		(void)fputs("Try 'dvs-proxy --help'.\n", stderr);
		return EXIT_USAGE;
	}
	if (!read_config(&options, &config))
		return EXIT_FAILURE;
	if (fcntl(CONTROL_FD, F_SETFD, FD_CLOEXEC)) {
		(void)fputs(
			"dvs-proxy: descriptor 3 is no control link: dvsd starts this program\n",
			stderr);
		return EXIT_FAILURE;
	}
	log = log_to_stderr(options.log_level);
	(void)signal(SIGPIPE, SIG_IGN);
	err = serve(&options, &config, &log);
	if (err)
		log_error(&log, "cannot start", LOG_U64("peer", options.peer),
			  LOG_STR("why", dvs_strerror(err)));
	/* Without a word to the threads: one may wait for a peer that takes nothing, and what the memory holds is all that matters. */
	_exit(err ? EXIT_FAILURE : EXIT_SUCCESS);
}
