/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of the lab's commands in the table of commands, which alone includes this. */
#ifndef MANAGE_LAB_COMMANDS_H
#define MANAGE_LAB_COMMANDS_H

#include "manage/command.h"
#include "manage/output.h"

#define LAB_OPTION_NAME                                                \
	{                                                              \
		OPTION_NAME, 0, "name", "LAB", NULL,                   \
			"name of the lab (default: DVS_LAB, else lab)" \
	}
#define LAB_OPTIONS_END          \
	{                        \
		.id = OPTION_END \
	}

static const struct cli_option lab_options[] = { LAB_OPTION_NAME, LAB_OPTIONS_END };

static const struct cli_option lab_up_options[] = {
	LAB_OPTION_NAME,
	{ OPTION_TOKEN, 0, "token", "MS", NULL,
	  "corosync's token, 130 to 60000 (default: 400): a dead node is seen after about twice "
	  "that" },
	{ OPTION_TRANSPORT, 0, "transport", "NAME", "tcp udp raw tipc",
	  "what carries messages between nodes (default: tcp)" },
	{ OPTION_FILTERS, 0, "filters", "LIST", NULL,
	  "zstd or lz4, and tls, with commas between (default: none)" },
	{ OPTION_ENGINE, 0, "engine", "NAME", "corosync local",
	  "local: each node is alone (default: corosync)" },
	{ OPTION_SECURE, 0, "secure", NULL, NULL, "let corosync encrypt" },
	{ OPTION_BARE, 0, "bare", NULL, NULL, "network and corosync only, no dvsd" },
	LAB_OPTIONS_END,
};

static const struct cli_example lab_up_examples[] = {
	{ "dvs lab up 3", "a DVS of three nodes: n0, n1 and n2" },
	{ "dvs lab up 5 --name big --filters lz4,tls", "another one beside it" },
	{ NULL, NULL },
};

static const struct cli_example lab_down_examples[] = {
	{ "dvs lab down", "also when 'dvs lab up' was killed" },
	{ NULL, NULL },
};

static const struct cli_example lab_exec_examples[] = {
	{ "dvs lab exec n1 dvs ps", "the endpoints as node n1 sees them" },
	{ "dvs lab exec n0 -- bash", "a shell in node n0" },
	{ NULL, NULL },
};

#define LAB_COMMANDS                                                   \
	{                                                              \
		.name = "lab up",                                      \
		.arguments = "NODES",                                  \
		.help = "make a DVS of several nodes on this machine", \
		.options = lab_up_options,                             \
		.examples = lab_up_examples,                           \
		.run = cmd_lab_up,                                     \
		.formats = OUTPUT_CAN(OUTPUT_TABLE),                   \
		.min_words = 1,                                        \
		.max_words = 1,                                        \
		.page = "dvs-lab(1)",                                  \
	},                                                             \
		{                                                      \
			.name = "lab down",                            \
			.arguments = "",                               \
			.help = "end a lab and all that runs in it",   \
			.options = lab_options,                        \
			.examples = lab_down_examples,                 \
			.run = cmd_lab_down,                           \
			.formats = OUTPUT_CAN(OUTPUT_TABLE),           \
			.page = "dvs-lab(1)",                          \
		},                                                     \
		{                                                      \
			.name = "lab exec",                            \
			.arguments = "NODE COMMAND...",                \
			.help = "run a program in a node of a lab",    \
			.options = lab_options,                        \
			.examples = lab_exec_examples,                 \
			.run = cmd_lab_exec,                           \
			.page = "dvs-lab(1)",                          \
			.takes_rest = 1,                               \
		},

#endif
