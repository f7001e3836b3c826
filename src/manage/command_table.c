/* SPDX-License-Identifier: Apache-2.0 */
/* What commands there are: a row for each, with its options and examples. */
#include "manage/bench/commands.h"
#include "manage/cluster/commands.h"
#include "manage/command.h"
#include "manage/compose/commands.h"
#include "manage/container/commands.h"
#include "manage/filesystem/commands.h"
#include "manage/image/commands.h"
#include "manage/lab/commands.h"
#include "manage/output.h"
#include "manage/volume/commands.h"

#define FORMATS_LINES (OUTPUT_CAN(OUTPUT_TABLE) | OUTPUT_CAN(OUTPUT_JSON) | OUTPUT_CAN(OUTPUT_CSV))
#define FORMATS_TEXT_OR_JSON (OUTPUT_CAN(OUTPUT_TABLE) | OUTPUT_CAN(OUTPUT_JSON))
#define FORMATS_CREATED (FORMATS_TEXT_OR_JSON | OUTPUT_CAN(OUTPUT_NAME))

#define LAST_OPTION              \
	{                        \
		.id = OPTION_END \
	}

static const struct cli_option common_options[] = {
	{ OPTION_RUN_DIR, 0, "run-dir", "DIR", NULL,
	  "run directory of the dvsd to talk to (default: DVS_RUN_DIR, else /run/dvs)" },
	{ OPTION_OUTPUT, 'o', "output", "FORMAT", "table wide json csv name",
	  "form of the output" },
	{ OPTION_QUIET, 'q', "quiet", NULL, NULL, "only names, as -o name" },
	{ OPTION_NO_HEADER, 0, "no-header", NULL, NULL, "leave out the line of titles" },
	{ OPTION_HELP, 'h', "help", NULL, NULL, "tell how to use the command" },
	{ OPTION_VERSION, 0, "version", NULL, NULL, "tell the version of this program" },
	LAST_OPTION,
};

static const struct cli_option wide_options[] = {
	{ OPTION_WIDE, 'w', "wide", NULL, NULL, "more columns, as -o wide" },
	LAST_OPTION,
};

static const struct cli_option top_options[] = {
	{ OPTION_COUNT, 'n', "count", "COUNT", NULL, "end after COUNT looks (default: go on)" },
	{ OPTION_INTERVAL, 'i', "interval", "SECONDS", NULL,
	  "time between two looks, 0.1 to 3600 (default: 1)" },
	{ OPTION_SORT, 's', "sort", "KEY", "rate data sleeps endpoint program",
	  "what comes first (default: rate)" },
	LAST_OPTION,
};

static const struct cli_option trace_options[] = {
	{ OPTION_COUNT, 'n', "count", "COUNT", NULL, "end after COUNT messages (default: go on)" },
	LAST_OPTION,
};

static const struct cli_option node_drain_options[] = {
	{ OPTION_OFF, 0, "off", NULL, NULL, "let it take part again" },
	{ OPTION_DETACH, 'd', "detach", NULL, NULL, "do not wait until it is empty" },
	LAST_OPTION,
};

static const struct cli_option events_options[] = {
	{ OPTION_COUNT, 'n', "count", "COUNT", NULL, "end after COUNT events (default: go on)" },
	{ OPTION_FOLLOW, 'f', "follow", NULL, NULL, "go on for ever, as without it" },
	LAST_OPTION,
};

static const struct cli_example node_ls_examples[] = {
	{ "dvs node ls", "all nodes that the DVS knows" },
	{ "dvs node ls -o wide", "also how far each change has come" },
	{ NULL, NULL },
};

static const struct cli_example node_drain_examples[] = {
	{ "dvs node drain barn", "empty the node barn, and wait until it is" },
	{ "dvs node drain barn --off", "let it take part again" },
	{ NULL, NULL },
};

static const struct cli_example node_rm_examples[] = {
	{ "dvs node rm barn", "forget a node that will not come back" },
	{ NULL, NULL },
};

static const struct cli_example verify_examples[] = {
	{ "dvs verify", "whether all nodes have the same state" },
	{ NULL, NULL },
};

static const struct cli_example events_examples[] = {
	{ "dvs events -f", "until Ctrl-C" },
	{ "dvs events -n 1 -o json", "the next one, as JSON" },
	{ NULL, NULL },
};

static const struct cli_example ep_ls_examples[] = {
	{ "dvs ep ls", "all endpoints" },
	{ "dvs ep ls web -w", "those of the DC web, with all columns" },
	{ "dvs ep ls web -o json", "for programs" },
	{ NULL, NULL },
};

static const struct cli_example top_examples[] = {
	{ "dvs top", "live, on the whole screen; q ends it" },
	{ "dvs top web -n 5 --interval 2", "five looks at the DC web, two seconds apart" },
	{ "dvs top -o json | head -1", "one look, for programs" },
	{ NULL, NULL },
};

static const struct cli_example proxy_ls_examples[] = {
	{ "dvs proxy ls", "the links to all nodes that are up" },
	{ "dvs proxy ls -o json", "for programs" },
	{ NULL, NULL },
};

static const struct cli_example inspect_examples[] = {
	{ "dvs inspect web", "the DC web" },
	{ "dvs inspect web/17", "its endpoint 17" },
	{ "dvs inspect web/17.3 -o json", "only if 17 has generation 3" },
	{ NULL, NULL },
};

static const struct cli_example trace_examples[] = {
	{ "dvs trace web/17", "until Ctrl-C" },
	{ "dvs trace web/17 -n 100 -o json", "100 messages, one JSON object per line" },
	{ NULL, NULL },
};

static const struct cli_example version_examples[] = {
	{ "dvs version", "of this program and of dvsd, if it runs" },
	{ NULL, NULL },
};

static const struct cli_example help_examples[] = {
	{ "dvs help", "all commands" },
	{ "dvs help dc create", "one command" },
	{ "dvs help -o json", "the table of commands, for programs" },
	{ NULL, NULL },
};

static const struct cli_example completion_examples[] = {
	{ ". <(dvs completion bash)", "for this shell" },
	{ NULL, NULL },
};

static const struct command commands[] = {
	CONTAINER_DC_COMMANDS{
		.name = "node ls",
		.arguments = "",
		.help = "list the nodes",
		.examples = node_ls_examples,
		.run = cmd_node_ls,
		.formats = OUTPUT_CAN_ALL,
		.page = "dvs-node(1)",
	},
	{
		.name = "node drain",
		.arguments = "NODE",
		.help = "empty a node before work on it",
		.options = node_drain_options,
		.examples = node_drain_examples,
		.run = cmd_node_drain,
		.formats = FORMATS_TEXT_OR_JSON,
		.min_words = 1,
		.max_words = 1,
		.page = "dvs-node(1)",
	},
	{
		.name = "node rm",
		.arguments = "NODE",
		.help = "forget a node that is down",
		.examples = node_rm_examples,
		.run = cmd_node_rm,
		.formats = FORMATS_CREATED,
		.min_words = 1,
		.max_words = 1,
		.page = "dvs-node(1)",
	},
	{
		.name = "verify",
		.arguments = "",
		.help = "compare the state of all nodes",
		.examples = verify_examples,
		.run = cmd_verify,
		.formats = OUTPUT_CAN_ALL,
		.page = "dvs-verify(1)",
	},
	{
		.name = "events",
		.arguments = "",
		.help = "follow what happens in the DVS",
		.options = events_options,
		.examples = events_examples,
		.run = cmd_events,
		.formats = FORMATS_LINES,
		.page = "dvs-events(1)",
	},
	COMPOSE_COMMANDS CONTAINER_PROGRAM_COMMANDS VOLUME_COMMANDS FILESYSTEM_COMMANDS{
		.name = "ep ls",
		.arguments = "[DC]",
		.help = "list the endpoints of one or all DCs",
		.options = wide_options,
		.examples = ep_ls_examples,
		.run = cmd_ep_ls,
		.argument = ARGUMENT_DC,
		.formats = OUTPUT_CAN_ALL,
		.max_words = 1,
		.page = "dvs-ep(1)",
	},
	{
		.name = "top",
		.arguments = "[DC]",
		.help = "watch the endpoints at work",
		.options = top_options,
		.examples = top_examples,
		.run = cmd_top,
		.argument = ARGUMENT_DC,
		.formats = FORMATS_LINES,
		.max_words = 1,
		.page = "dvs-top(1)",
	},
	{
		.name = "proxy ls",
		.arguments = "",
		.help = "list the links to other nodes",
		.options = wide_options,
		.examples = proxy_ls_examples,
		.run = cmd_proxy_ls,
		.formats = OUTPUT_CAN_ALL,
		.page = "dvs-proxy(1)",
	},
	{
		.name = "inspect",
		.arguments = "DC | DC/ENDPOINT",
		.help = "tell everything about a DC or an endpoint",
		.examples = inspect_examples,
		.run = cmd_inspect,
		.argument = ARGUMENT_DC_OR_ENDPOINT,
		.formats = FORMATS_TEXT_OR_JSON,
		.min_words = 1,
		.max_words = 1,
		.page = "dvs-inspect(1)",
	},
	{
		.name = "trace",
		.arguments = "DC/ENDPOINT",
		.help = "follow the messages of an endpoint",
		.options = trace_options,
		.examples = trace_examples,
		.run = cmd_trace,
		.argument = ARGUMENT_ENDPOINT,
		.formats = FORMATS_LINES,
		.min_words = 1,
		.max_words = 1,
		.page = "dvs-trace(1)",
	},
	IMAGE_COMMANDS CLUSTER_COMMANDS LAB_COMMANDS BENCH_COMMANDS{
		.name = "version",
		.arguments = "",
		.help = "tell the versions of dvs and dvsd",
		.examples = version_examples,
		.run = cmd_version,
		.formats = FORMATS_TEXT_OR_JSON,
		.page = "dvs(1)",
	},
	{
		.name = "help",
		.arguments = "[COMMAND]",
		.help = "tell how to use a command",
		.examples = help_examples,
		.run = cmd_help,
		.argument = ARGUMENT_COMMAND,
		.formats = FORMATS_TEXT_OR_JSON,
		.max_words = 2,
		.page = "dvs(1)",
	},
	{
		.name = "completion",
		.arguments = "bash",
		.help = "print the completion script of a shell",
		.examples = completion_examples,
		.run = cmd_completion,
		.argument = ARGUMENT_SHELL,
		.formats = OUTPUT_CAN(OUTPUT_TABLE),
		.min_words = 1,
		.max_words = 1,
		.page = "dvs-completion(1)",
	},
};

_Static_assert(ARRAY_LEN(commands) <= COMMANDS_MAX, "the searches in commands.c have room for all");

const struct command *command_table(size_t *n_commands)
{
	*n_commands = ARRAY_LEN(commands);
	return commands;
}

const struct cli_option *command_common_options(void)
{
	return common_options;
}
