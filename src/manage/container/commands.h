/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of the commands on containers in the table of commands, which alone includes this. */
#ifndef MANAGE_CONTAINER_COMMANDS_H
#define MANAGE_CONTAINER_COMMANDS_H

#include "manage/cli.h"
#include "manage/command.h"
#include "manage/output.h"

#define CONTAINER_TEXT_OR_JSON (OUTPUT_CAN(OUTPUT_TABLE) | OUTPUT_CAN(OUTPUT_JSON))
#define CONTAINER_CHANGED (CONTAINER_TEXT_OR_JSON | OUTPUT_CAN(OUTPUT_NAME))
#define CONTAINER_OPTIONS_END    \
	{                        \
		.id = OPTION_END \
	}
/* What dvs says in place of the program's exit status. */
#define CONTAINER_WRONG_USE 125

/* What can be changed while the containers run. */
#define CONTAINER_LIMITS                                                                                \
	{ OPTION_CPUS, 0, "cpus", "N", NULL, "so many CPUs' time on each node, as 1.5" },               \
		{ OPTION_CPU_WEIGHT,                                                                    \
		  0,                                                                                    \
		  "cpu-weight",                                                                         \
		  "N",                                                                                  \
		  NULL,                                                                                 \
		  "share of the CPUs when they are short, 1 to 10000 (default: 100)" },                 \
		{ OPTION_CPUSET, 0, "cpuset", "LIST", NULL, "only these CPUs, as 0-1,3" },              \
		{ OPTION_MEMORY, 'm',  "memory",                                                        \
		  "BYTES",	 NULL, "so much memory on each node, as 256M" },                        \
		{ OPTION_SWAP, 0, "swap", "BYTES", NULL, "so much swap space beside it" },              \
		{ OPTION_PIDS, 0, "pids", "N", NULL, "so many processes and threads (default: 4096)" }, \
		{ OPTION_IO_WEIGHT,                                                                     \
		  0,                                                                                    \
		  "io-weight",                                                                          \
		  "N",                                                                                  \
		  NULL,                                                                                 \
		  "share of the disks when they are short, 1 to 10000 (default: 100)" },                \
		{ OPTION_IO,                                                                            \
		  0,                                                                                    \
		  "io",                                                                                 \
		  "DEVICE:LIMITS",                                                                      \
		  NULL,                                                                                 \
		  "limits of a disk, as /dev/vda:read_bps=1M,write_iops=100; several times" },          \
		{ OPTION_HUGETLB, 0,                                                                    \
		  "hugetlb",	  "SIZE=BYTES",                                                         \
		  NULL,		  "so much in huge pages of that size, as 2MB=0; several times" },      \
		{ OPTION_RLIMIT, 0,                                                                     \
		  "rlimit",	 "NAME=SOFT:HARD",                                                      \
		  NULL,		 "a limit of each process, as nofile=1024:4096; several times" },       \
		{ OPTION_ENV,	'e',  "env",                                                            \
		  "NAME=VALUE", NULL, "a variable of all programs; several times" },                    \
	{                                                                                               \
		OPTION_LABEL, 'l', "label", "NAME=VALUE", NULL, "for people; several times"             \
	}

static const struct cli_option dc_create_options[] = {
	{ OPTION_NODES, 0, "nodes", "LIST", NULL,
	  "where it has containers: names or numbers with commas between, or all (default: all that "
	  "are up and not drained)" },
	{ OPTION_IMAGE, 0, "image", "IMAGE", NULL,
	  "root file system: an image, see 'dvs image ls'" },
	{ OPTION_DIRECTORY, 0, "directory", "DIR", NULL,
	  "root file system: a directory of each node" },
	{ OPTION_ROOT, 0, "root", "KIND", "host",
	  "root file system: the node's own, read-only (the default)" },
	CONTAINER_LIMITS,
	{ OPTION_DEVICE, 0, "device", "PATH[:ACCESS]", NULL,
	  "a device, with access r, w and m (default: rwm); several times" },
	{ OPTION_CAP_ADD, 0, "cap-add", "CAPABILITY", NULL, "as NET_ADMIN; several times" },
	{ OPTION_CAP_DROP, 0, "cap-drop", "CAPABILITY", NULL, "or ALL; several times" },
	{ OPTION_SECCOMP, 0, "seccomp", "PROFILE", "default unconfined",
	  "which system calls are allowed" },
	{ OPTION_VOLUME, 'v', "volume", "SOURCE:TARGET[:ro]", NULL,
	  "a directory of each node at TARGET; several times" },
	{ OPTION_NETWORK, 0, "network", "KIND", "node none",
	  "that of the node (the default) or none" },
	{ OPTION_HOSTNAME, 0, "hostname", "NAME", NULL, "its host name (default: its name)" },
	{ OPTION_OWNER, 0, "owner", "UID", NULL,
	  "user (number or name) whose programs manage the DC from inside (default: the containers' "
	  "root; you without containers)" },
	{ OPTION_NO_CONTAINER, 0, "no-container", NULL, NULL,
	  "for programs of the nodes themselves, without containers" },
	{ OPTION_DETACH, 'd', "detach", NULL, NULL, "do not wait until the containers run" },
	CONTAINER_OPTIONS_END,
};

static const struct cli_example dc_create_examples[] = {
	{ "dvs dc create web", "containers on all nodes, with the nodes' own files" },
	{ "dvs dc create web --nodes n0,n1 --image debian --memory 512M --cpus 1.5",
	  "on two nodes, with limits" },
	{ "dvs dc create web --no-container --owner 1000",
	  "only messages, for programs of user 1000" },
	{ NULL, NULL },
};

static const struct cli_example dc_ls_examples[] = {
	{ "dvs dc ls", "all DCs" },
	{ "dvs dc ls -q", "their names, one per line" },
	{ NULL, NULL },
};

static const struct cli_example dc_inspect_examples[] = {
	{ "dvs dc inspect web", "its nodes, limits and endpoints" },
	{ "dvs dc inspect web -o json", "for programs" },
	{ NULL, NULL },
};

static const struct cli_option dc_set_options[] = { CONTAINER_LIMITS, CONTAINER_OPTIONS_END };

static const struct cli_example dc_set_examples[] = {
	{ "dvs dc set web --memory 1G", "at once, while its programs run" },
	{ "dvs dc set web --cpus none", "without that limit" },
	{ NULL, NULL },
};

static const struct cli_example dc_add_node_examples[] = {
	{ "dvs dc add-node web n2", "a container on n2, too" },
	{ NULL, NULL },
};

static const struct cli_example dc_rm_node_examples[] = {
	{ "dvs dc rm-node web n2", "end what runs there, and the container" },
	{ NULL, NULL },
};

static const struct cli_example dc_freeze_examples[] = {
	{ "dvs dc freeze web", "its programs stand still on all nodes" },
	{ NULL, NULL },
};

static const struct cli_example dc_thaw_examples[] = {
	{ "dvs dc thaw web", "they go on" },
	{ NULL, NULL },
};

static const struct cli_option dc_rm_options[] = {
	{ OPTION_FORCE, 'f', "force", NULL, NULL, "also when endpoints are bound: end them" },
	CONTAINER_OPTIONS_END,
};

static const struct cli_example dc_rm_examples[] = {
	{ "dvs dc rm web", "with its programs and containers" },
	{ "dvs dc rm web --force", "also when programs of the nodes are bound in it" },
	{ NULL, NULL },
};

#define CONTAINER_START_OPTIONS                                                                        \
	{                                                                                              \
		OPTION_NODE, 0,                                                                        \
		"node",	     "NODE",                                                                   \
		NULL,	     "where (default: this node, else the first one that has a container)"     \
	},                                                                                             \
		{ OPTION_STDIN, 'i', "interactive", NULL, NULL, "our standard input is its own" },     \
		{ OPTION_TTY, 't', "tty", NULL, NULL, "it gets a terminal, which is ours" },           \
		{ OPTION_DETACH, 'd', "detach", NULL, NULL, "do not wait for its end" },               \
		{ OPTION_ENV,	  'e',	"env",                                                         \
		  "NAME[=VALUE]", NULL, "a variable (without =VALUE: as it is here); several times" }, \
		{ OPTION_WORKDIR, 'w', "workdir", "DIR", NULL, "directory that it starts in" },        \
	{                                                                                              \
		OPTION_USER, 'u', "user", "USER[:GROUP]", NULL,                                        \
			"as whom, as the container knows users (default: its root)"                    \
	}

static const struct cli_option run_options[] = {
	CONTAINER_START_OPTIONS,
	{ OPTION_NAME, 0, "name", "NAME", NULL, "what it is called (default: a name is made)" },
	{ OPTION_RESTART, 0, "restart", "WHEN", NULL,
	  "start it again: no, on-failure or always, the last two with :N for at most N times" },
	{ OPTION_REMOVE, 0, "rm", NULL, NULL, "forget it and its log when it has ended" },
	CONTAINER_OPTIONS_END,
};

static const struct cli_example run_examples[] = {
	{ "dvs run web hostname", "in the container of this node" },
	{ "dvs run -it --node n1 web sh", "a shell on node n1" },
	{ "dvs run -d shop", "what the image of the DC says" },
	{ "dvs run -d --restart always --name httpd web busybox httpd -f", "a service" },
	{ NULL, NULL },
};

static const struct cli_option program_ps_options[] = {
	{ OPTION_ALL, 'a', "all", NULL, NULL, "also those that have ended" },
	{ OPTION_WIDE, 'w', "wide", NULL, NULL, "more columns, as -o wide" },
	CONTAINER_OPTIONS_END,
};

static const struct cli_example program_ps_examples[] = {
	{ "dvs ps", "what runs on all nodes" },
	{ "dvs ps web -a", "of the DC web, also what has ended" },
	{ "dvs ps -o json", "for programs; with the endpoints" },
	{ NULL, NULL },
};

static const struct cli_option logs_options[] = {
	{ OPTION_FOLLOW, 'f', "follow", NULL, NULL, "go on until it has ended" },
	{ OPTION_TAIL, 'n', "tail", "LINES", NULL, "only so many last lines" },
	{ OPTION_SINCE, 0, "since", "WHEN", NULL,
	  "nothing older: a span, as 5m, or a time, as 2031-02-03T04:05:06Z" },
	{ OPTION_TIMESTAMPS, 't', "timestamps", NULL, NULL, "when each line was written" },
	CONTAINER_OPTIONS_END,
};

static const struct cli_example logs_examples[] = {
	{ "dvs logs web/httpd", "all that is kept" },
	{ "dvs logs -f --since 5m web/httpd", "of the last five minutes, and what comes" },
	{ NULL, NULL },
};

static const struct cli_option kill_options[] = {
	{ OPTION_SIGNAL, 's', "signal", "SIGNAL", NULL,
	  "name or number (default: KILL; TERM with --stop)" },
	{ OPTION_STOP, 0, "stop", NULL, NULL,
	  "it is not started again; SIGKILL when it does not end in time" },
	{ OPTION_GRACE, 0, "grace", "SECONDS", NULL, "that time (default: 10)" },
	CONTAINER_OPTIONS_END,
};

static const struct cli_example kill_examples[] = {
	{ "dvs kill -s HUP web/httpd", "a signal" },
	{ "dvs kill --stop web/httpd", "end it for good" },
	{ NULL, NULL },
};

static const struct cli_example wait_examples[] = {
	{ "dvs wait web/job", "until it has ended; prints its exit status" },
	{ NULL, NULL },
};

static const struct cli_option stats_options[] = {
	{ OPTION_COUNT, 'n', "count", "COUNT", NULL,
	  "end after COUNT looks (default: 1, on a terminal without end)" },
	{ OPTION_INTERVAL, 'i', "interval", "SECONDS", NULL,
	  "time between two looks, 0.1 to 3600 (default: 1)" },
	{ OPTION_WIDE, 'w', "wide", NULL, NULL, "more columns, as -o wide" },
	CONTAINER_OPTIONS_END,
};

static const struct cli_example stats_examples[] = {
	{ "dvs stats", "live, on the whole screen; q ends it" },
	{ "dvs stats web -n 5", "five looks at the DC web" },
	{ "dvs stats -o json", "one look, for programs" },
	{ NULL, NULL },
};

static const struct cli_example cp_examples[] = {
	{ "dvs cp site web:/srv", "a directory into the container of this node" },
	{ "dvs cp web@n1:/var/log/x.log .", "a file out of that of n1" },
	{ "dvs cp web:/etc - | tar t", "as an archive" },
	{ NULL, NULL },
};

static const struct cli_option exec_options[] = { CONTAINER_START_OPTIONS, CONTAINER_OPTIONS_END };

static const struct cli_example exec_examples[] = {
	{ "dvs exec web ps", "without a log, and it ends with us" },
	{ "dvs exec -it web/httpd sh", "where the program httpd runs" },
	{ NULL, NULL },
};

static const struct cli_option attach_options[] = {
	{ OPTION_STDIN, 'i', "interactive", NULL, NULL, "our standard input is its own" },
	CONTAINER_OPTIONS_END,
};

static const struct cli_example attach_examples[] = {
	{ "dvs attach web/httpd", "its output from now on" },
	{ NULL, NULL },
};

#define CONTAINER_DC_COMMANDS                                       \
	{                                                           \
		.name = "dc create",                                \
		.arguments = "NAME",                                \
		.help = "create a DC",                              \
		.options = dc_create_options,                       \
		.examples = dc_create_examples,                     \
		.run = cmd_dc_create,                               \
		.formats = CONTAINER_CHANGED,                       \
		.min_words = 1,                                     \
		.max_words = 1,                                     \
		.page = "dvs-dc(1)",                                \
	},                                                          \
		{                                                   \
			.name = "dc ls",                            \
			.arguments = "",                            \
			.help = "list the DCs",                     \
			.options = wide_options,                    \
			.examples = dc_ls_examples,                 \
			.run = cmd_dc_ls,                           \
			.formats = OUTPUT_CAN_ALL,                  \
			.page = "dvs-dc(1)",                        \
		},                                                  \
		{                                                   \
			.name = "dc inspect",                       \
			.arguments = "NAME",                        \
			.help = "tell everything about a DC",       \
			.examples = dc_inspect_examples,            \
			.run = cmd_dc_inspect,                      \
			.argument = ARGUMENT_DC,                    \
			.formats = CONTAINER_TEXT_OR_JSON,          \
			.min_words = 1,                             \
			.max_words = 1,                             \
			.page = "dvs-dc(1)",                        \
		},                                                  \
		{                                                   \
			.name = "dc set",                           \
			.arguments = "NAME",                        \
			.help = "change limits of a DC that runs",  \
			.options = dc_set_options,                  \
			.examples = dc_set_examples,                \
			.run = cmd_dc_set,                          \
			.argument = ARGUMENT_DC,                    \
			.formats = CONTAINER_CHANGED,               \
			.min_words = 1,                             \
			.max_words = 1,                             \
			.page = "dvs-dc(1)",                        \
		},                                                  \
		{                                                   \
			.name = "dc add-node",                      \
			.arguments = "NAME NODE",                   \
			.help = "make a container on another node", \
			.examples = dc_add_node_examples,           \
			.run = cmd_dc_add_node,                     \
			.argument = ARGUMENT_DC,                    \
			.formats = CONTAINER_CHANGED,               \
			.min_words = 2,                             \
			.max_words = 2,                             \
			.page = "dvs-dc(1)",                        \
		},                                                  \
		{                                                   \
			.name = "dc rm-node",                       \
			.arguments = "NAME NODE",                   \
			.help = "remove the container of a node",   \
			.examples = dc_rm_node_examples,            \
			.run = cmd_dc_rm_node,                      \
			.argument = ARGUMENT_DC,                    \
			.formats = CONTAINER_CHANGED,               \
			.min_words = 2,                             \
			.max_words = 2,                             \
			.page = "dvs-dc(1)",                        \
		},                                                  \
		{                                                   \
			.name = "dc freeze",                        \
			.arguments = "NAME",                        \
			.help = "stop all that runs in a DC",       \
			.examples = dc_freeze_examples,             \
			.run = cmd_dc_freeze,                       \
			.argument = ARGUMENT_DC,                    \
			.formats = CONTAINER_CHANGED,               \
			.min_words = 1,                             \
			.max_words = 1,                             \
			.page = "dvs-dc(1)",                        \
		},                                                  \
		{                                                   \
			.name = "dc thaw",                          \
			.arguments = "NAME",                        \
			.help = "let a frozen DC go on",            \
			.examples = dc_thaw_examples,               \
			.run = cmd_dc_thaw,                         \
			.argument = ARGUMENT_DC,                    \
			.formats = CONTAINER_CHANGED,               \
			.min_words = 1,                             \
			.max_words = 1,                             \
			.page = "dvs-dc(1)",                        \
		},                                                  \
		{                                                   \
			.name = "dc rm",                            \
			.arguments = "NAME",                        \
			.help = "remove a DC",                      \
			.options = dc_rm_options,                   \
			.examples = dc_rm_examples,                 \
			.run = cmd_dc_rm,                           \
			.argument = ARGUMENT_DC,                    \
			.formats = CONTAINER_CHANGED,               \
			.min_words = 1,                             \
			.max_words = 1,                             \
			.page = "dvs-dc(1)",                        \
		},

#define CONTAINER_PROGRAM_COMMANDS                                                     \
	{                                                                              \
		.name = "run",                                                         \
		.arguments = "DC [COMMAND [ARGUMENT...]]",                             \
		.help = "run a program in a container",                                \
		.options = run_options,                                                \
		.examples = run_examples,                                              \
		.run = cmd_run,                                                        \
		.argument = ARGUMENT_DC,                                               \
		.formats = CONTAINER_CHANGED,                                          \
		.min_words = 1,                                                        \
		.max_words = 1,                                                        \
		.rest_after = 1,                                                       \
		.wrong_use = CONTAINER_WRONG_USE,                                      \
		.page = "dvs-run(1)",                                                  \
	},                                                                             \
		{                                                                      \
			.name = "exec",                                                \
			.arguments = "DC[/PROGRAM] COMMAND [ARGUMENT...]",             \
			.help = "run something beside a program",                      \
			.options = exec_options,                                       \
			.examples = exec_examples,                                     \
			.run = cmd_exec,                                               \
			.argument = ARGUMENT_DC,                                       \
			.formats = CONTAINER_CHANGED,                                  \
			.min_words = 1,                                                \
			.max_words = 1,                                                \
			.rest_after = 1,                                               \
			.wrong_use = CONTAINER_WRONG_USE,                              \
			.page = "dvs-exec(1)",                                         \
		},                                                                     \
		{                                                                      \
			.name = "attach",                                              \
			.arguments = "PROGRAM",                                        \
			.help = "take part in a program that runs",                    \
			.options = attach_options,                                     \
			.examples = attach_examples,                                   \
			.run = cmd_attach,                                             \
			.argument = ARGUMENT_PROGRAM,                                  \
			.formats = OUTPUT_CAN(OUTPUT_TABLE),                           \
			.min_words = 1,                                                \
			.max_words = 1,                                                \
			.wrong_use = CONTAINER_WRONG_USE,                              \
			.page = "dvs-exec(1)",                                         \
		},                                                                     \
		{                                                                      \
			.name = "ps",                                                  \
			.arguments = "[DC]",                                           \
			.help = "list the programs of all nodes",                      \
			.options = program_ps_options,                                 \
			.examples = program_ps_examples,                               \
			.run = cmd_ps,                                                 \
			.argument = ARGUMENT_DC,                                       \
			.formats = OUTPUT_CAN_ALL,                                     \
			.max_words = 1,                                                \
			.page = "dvs-ps(1)",                                           \
		},                                                                     \
		{                                                                      \
			.name = "logs",                                                \
			.arguments = "PROGRAM",                                        \
			.help = "tell what a program has written",                     \
			.options = logs_options,                                       \
			.examples = logs_examples,                                     \
			.run = cmd_logs,                                               \
			.argument = ARGUMENT_PROGRAM,                                  \
			.formats = OUTPUT_CAN(OUTPUT_TABLE),                           \
			.min_words = 1,                                                \
			.max_words = 1,                                                \
			.page = "dvs-logs(1)",                                         \
		},                                                                     \
		{                                                                      \
			.name = "kill",                                                \
			.arguments = "PROGRAM...",                                     \
			.help = "send a signal to programs",                           \
			.options = kill_options,                                       \
			.examples = kill_examples,                                     \
			.run = cmd_kill,                                               \
			.argument = ARGUMENT_PROGRAM,                                  \
			.formats = OUTPUT_CAN(OUTPUT_TABLE) | OUTPUT_CAN(OUTPUT_NAME), \
			.min_words = 1,                                                \
			.max_words = CLI_WORDS_MAX,                                    \
			.page = "dvs-kill(1)",                                         \
		},                                                                     \
		{                                                                      \
			.name = "wait",                                                \
			.arguments = "PROGRAM",                                        \
			.help = "wait until a program has ended",                      \
			.examples = wait_examples,                                     \
			.run = cmd_wait,                                               \
			.argument = ARGUMENT_PROGRAM,                                  \
			.formats = CONTAINER_TEXT_OR_JSON,                             \
			.min_words = 1,                                                \
			.max_words = 1,                                                \
			.page = "dvs-kill(1)",                                         \
		},                                                                     \
		{                                                                      \
			.name = "stats",                                               \
			.arguments = "[DC]",                                           \
			.help = "watch what containers use",                           \
			.options = stats_options,                                      \
			.examples = stats_examples,                                    \
			.run = cmd_stats,                                              \
			.argument = ARGUMENT_DC,                                       \
			.formats = OUTPUT_CAN_ALL,                                     \
			.max_words = 1,                                                \
			.page = "dvs-stats(1)",                                        \
		},                                                                     \
		{                                                                      \
			.name = "cp",                                                  \
			.arguments = "SOURCE DESTINATION",                             \
			.help = "copy files into and out of containers",               \
			.examples = cp_examples,                                       \
			.run = cmd_cp,                                                 \
			.formats = OUTPUT_CAN(OUTPUT_TABLE),                           \
			.min_words = 2,                                                \
			.max_words = 2,                                                \
			.page = "dvs-cp(1)",                                           \
		},

#endif
