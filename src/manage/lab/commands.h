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
	{ "dvs lab exec n1 dvs ps", "what runs, as node n1 sees it" },
	{ "dvs lab exec n0 -- bash", "a shell in node n0" },
	{ NULL, NULL },
};

static const struct cli_option lab_cut_options[] = {
	LAB_OPTION_NAME,
	{ OPTION_ONE_WAY, 0, "one-way", NULL, NULL, "only what the first sends to the second" },
	LAB_OPTIONS_END,
};

static const struct cli_option lab_slow_options[] = {
	LAB_OPTION_NAME,
	{ OPTION_RATE, 0, "rate", "MBIT", NULL, "megabits per second in each direction" },
	{ OPTION_DELAY, 0, "delay", "MS", NULL,
	  "milliseconds in each direction; needs netem in the kernel" },
	LAB_OPTIONS_END,
};

static const struct cli_option lab_kill_options[] = {
	LAB_OPTION_NAME,
	{ OPTION_KEEP, 0, "keep", NULL, NULL, "keep what the node has in /run and /dev/shm" },
	LAB_OPTIONS_END,
};

static const struct cli_example lab_ls_examples[] = {
	{ "dvs lab ls", "the nodes of all labs" },
	{ "dvs lab ls --name big -o json", "of one, for programs" },
	{ NULL, NULL },
};

static const struct cli_example lab_cut_examples[] = {
	{ "dvs lab cut n0 n2", "neither hears the other" },
	{ "dvs lab cut n0 n2 --one-way", "n2 does not hear n0" },
	{ NULL, NULL },
};

static const struct cli_example lab_heal_examples[] = {
	{ "dvs lab heal", "all that was cut or slowed" },
	{ "dvs lab heal n0 n2", "between these two" },
	{ NULL, NULL },
};

static const struct cli_example lab_slow_examples[] = {
	{ "dvs lab slow n0 n1 --rate 10", "10 Mbit/s between n0 and n1" },
	{ NULL, NULL },
};

static const struct cli_example lab_pause_examples[] = {
	{ "dvs lab pause n1", "the whole node" },
	{ "dvs lab pause n1 corosync", "one process of it" },
	{ NULL, NULL },
};

static const struct cli_example lab_resume_examples[] = {
	{ "dvs lab resume n1", "all of it" },
	{ NULL, NULL },
};

static const struct cli_example lab_kill_examples[] = {
	{ "dvs lab kill n2", "as if its power failed" },
	{ "dvs lab kill n2 dvsd", "as if dvsd crashed" },
	{ NULL, NULL },
};

static const struct cli_example lab_start_examples[] = {
	{ "dvs lab start n2", "after 'dvs lab kill n2'" },
	{ NULL, NULL },
};

#define LAB_COMMANDS                                                        \
	{                                                                   \
		.name = "lab up",                                           \
		.arguments = "NODES",                                       \
		.help = "make a DVS of several nodes on this machine",      \
		.options = lab_up_options,                                  \
		.examples = lab_up_examples,                                \
		.run = cmd_lab_up,                                          \
		.formats = OUTPUT_CAN(OUTPUT_TABLE),                        \
		.min_words = 1,                                             \
		.max_words = 1,                                             \
		.page = "dvs-lab(1)",                                       \
	},                                                                  \
		{                                                           \
			.name = "lab down",                                 \
			.arguments = "",                                    \
			.help = "end a lab and all that runs in it",        \
			.options = lab_options,                             \
			.examples = lab_down_examples,                      \
			.run = cmd_lab_down,                                \
			.formats = OUTPUT_CAN(OUTPUT_TABLE),                \
			.page = "dvs-lab(1)",                               \
		},                                                          \
		{                                                           \
			.name = "lab ls",                                   \
			.arguments = "",                                    \
			.help = "list the nodes of labs, and their faults", \
			.options = lab_options,                             \
			.examples = lab_ls_examples,                        \
			.run = cmd_lab_ls,                                  \
			.formats = OUTPUT_CAN_ALL,                          \
			.page = "dvs-lab(1)",                               \
		},                                                          \
		{                                                           \
			.name = "lab exec",                                 \
			.arguments = "NODE COMMAND...",                     \
			.help = "run a program in a node of a lab",         \
			.options = lab_options,                             \
			.examples = lab_exec_examples,                      \
			.run = cmd_lab_exec,                                \
			.page = "dvs-lab(1)",                               \
			.takes_rest = 1,                                    \
		},                                                          \
		{                                                           \
			.name = "lab cut",                                  \
			.arguments = "NODE NODE",                           \
			.help = "let two nodes not hear each other",        \
			.options = lab_cut_options,                         \
			.examples = lab_cut_examples,                       \
			.run = cmd_lab_cut,                                 \
			.formats = OUTPUT_CAN(OUTPUT_TABLE),                \
			.min_words = 2,                                     \
			.max_words = 2,                                     \
			.page = "dvs-lab(1)",                               \
		},                                                          \
		{                                                           \
			.name = "lab heal",                                 \
			.arguments = "[NODE NODE]",                         \
			.help = "end what cut and slow did",                \
			.options = lab_options,                             \
			.examples = lab_heal_examples,                      \
			.run = cmd_lab_heal,                                \
			.formats = OUTPUT_CAN(OUTPUT_TABLE),                \
			.max_words = 2,                                     \
			.page = "dvs-lab(1)",                               \
		},                                                          \
		{                                                           \
			.name = "lab slow",                                 \
			.arguments = "NODE NODE",                           \
			.help = "limit what passes between two nodes",      \
			.options = lab_slow_options,                        \
			.examples = lab_slow_examples,                      \
			.run = cmd_lab_slow,                                \
			.formats = OUTPUT_CAN(OUTPUT_TABLE),                \
			.min_words = 2,                                     \
			.max_words = 2,                                     \
			.page = "dvs-lab(1)",                               \
		},                                                          \
		{                                                           \
			.name = "lab pause",                                \
			.arguments = "NODE [dvsd|corosync|proxy]",          \
			.help = "stop a node, or a process of it",          \
			.options = lab_options,                             \
			.examples = lab_pause_examples,                     \
			.run = cmd_lab_pause,                               \
			.formats = OUTPUT_CAN(OUTPUT_TABLE),                \
			.min_words = 1,                                     \
			.max_words = 2,                                     \
			.page = "dvs-lab(1)",                               \
		},                                                          \
		{                                                           \
			.name = "lab resume",                               \
			.arguments = "NODE [dvsd|corosync|proxy]",          \
			.help = "let it go on",                             \
			.options = lab_options,                             \
			.examples = lab_resume_examples,                    \
			.run = cmd_lab_resume,                              \
			.formats = OUTPUT_CAN(OUTPUT_TABLE),                \
			.min_words = 1,                                     \
			.max_words = 2,                                     \
			.page = "dvs-lab(1)",                               \
		},                                                          \
		{                                                           \
			.name = "lab kill",                                 \
			.arguments = "NODE [dvsd|corosync|proxy|all]",      \
			.help = "kill a node, or a process of it",          \
			.options = lab_kill_options,                        \
			.examples = lab_kill_examples,                      \
			.run = cmd_lab_kill,                                \
			.formats = OUTPUT_CAN(OUTPUT_TABLE),                \
			.min_words = 1,                                     \
			.max_words = 2,                                     \
			.page = "dvs-lab(1)",                               \
		},                                                          \
		{                                                           \
			.name = "lab start",                                \
			.arguments = "NODE",                                \
			.help = "start what was killed",                    \
			.options = lab_options,                             \
			.examples = lab_start_examples,                     \
			.run = cmd_lab_start,                               \
			.formats = OUTPUT_CAN(OUTPUT_TABLE),                \
			.min_words = 1,                                     \
			.max_words = 1,                                     \
			.page = "dvs-lab(1)",                               \
		},

#endif
