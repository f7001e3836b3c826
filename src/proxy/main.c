/* SPDX-License-Identifier: Apache-2.0 */
/* dvs-proxy: carries the channels between the endpoints of this node and those of one other node. Started by dvsd, one for each
 * peer; it ends when its control link to dvsd does. */
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/arguments.h"
#include "base/rights.h"
#include "proxy/control.h"

#define NO_NODE UINT32_MAX

struct options {
	const char *config_path; /* NULL: the defaults */
	const char *address;
	uint32_t node; /* NO_NODE: that of the file */
	uint32_t peer;
	enum log_level log_level;
};

static int parse(int argc, char **argv, struct options *options)
{
	const struct argument rows[] = {
		{ "peer", "N", "the number of the other node", ARGUMENT_NUMBER, .is_needed = true,
		  .to = &options->peer, .most = CONFIG_NODES_MAX - 1 },
		{ "address", "A", "the address of the other node", ARGUMENT_TEXT, .is_needed = true,
		  .to = &options->address },
		{ "node", "N", "number of this node; default: that of the file", ARGUMENT_NUMBER,
		  .to = &options->node, .most = CONFIG_NODES_MAX - 1 },
		{ "config", "FILE", "what this node is", ARGUMENT_TEXT,
		  .to = &options->config_path },
		{ "log-level", "LEVEL", ARGUMENT_LEVEL_HELP, ARGUMENT_LEVEL,
		  .to = &options->log_level },
	};
	const struct arguments arguments = {
		.program = "dvs-proxy",
		.synopsis = "--peer N --address A [options]",
		.about = "Carry messages between this node and node N. dvsd starts it, with its"
			 " control link\nas descriptor 3; it is of no use by itself.",
		.rows = rows,
		.n_rows = ARRAY_LEN(rows),
	};
	int first;

	*options = (struct options){ .node = NO_NODE, .log_level = LOG_LEVEL_INFO };
	return arguments_parse(&arguments, argc, argv, &first);
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
	if (options->node != NO_NODE)
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
	int status = parse(argc, argv, &options);
	dvs_err err;

	if (status != ARGUMENTS_RUN)
		return status;
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
	/* It reads what comes over the network. Ports below 1024; the transport raw, and buffers for it. */
	err = rights_keep(RIGHT(CAP_NET_BIND_SERVICE) | RIGHT(CAP_NET_RAW) | RIGHT(CAP_NET_ADMIN));
	if (!err)
		err = serve(&options, &config, &log);
	if (err)
		log_error(&log, "cannot start", LOG_U64("peer", options.peer),
			  LOG_STR("why", dvs_strerror(err)));
	/* Without a word to the threads: one may wait for a peer that takes nothing, and what the memory holds is all that matters. */
	_exit(err ? EXIT_FAILURE : EXIT_SUCCESS);
}
