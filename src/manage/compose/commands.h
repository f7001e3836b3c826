/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of the commands on dvs.yaml in the table of commands, which alone includes this. */
#ifndef MANAGE_COMPOSE_COMMANDS_H
#define MANAGE_COMPOSE_COMMANDS_H

#include "manage/cli.h"
#include "manage/command.h"
#include "manage/output.h"

#define COMPOSE_TEXT_OR_JSON (OUTPUT_CAN(OUTPUT_TABLE) | OUTPUT_CAN(OUTPUT_JSON))
#define COMPOSE_OPTIONS_END      \
	{                        \
		.id = OPTION_END \
	}

static const struct cli_option compose_up_options[] = {
	{ OPTION_DETACH, 'd', "detach", NULL, NULL, "do not wait until its programs run" },
	{ OPTION_TIMEOUT, 't', "timeout", "SECONDS", NULL,
	  "how long to wait for the programs (default: 120)" },
	{ OPTION_RECREATE, 0, "recreate", NULL, NULL,
	  "end all and make the containers anew where a change needs it" },
	COMPOSE_OPTIONS_END,
};

static const struct cli_option compose_plan_options[] = {
	{ OPTION_EXIT_CODE, 0, "exit-code", NULL, NULL,
	  "end with status 3 if something would change" },
	COMPOSE_OPTIONS_END,
};

static const struct cli_option compose_down_options[] = {
	{ OPTION_TIMEOUT, 't', "timeout", "SECONDS", NULL,
	  "how long the programs may take to end (default: 60)" },
	{ OPTION_VOLUMES, 0, "volumes", NULL, NULL,
	  "its volumes, too, with all that is in them; without it they stay" },
	COMPOSE_OPTIONS_END,
};

static const struct cli_example compose_up_examples[] = {
	{ "dvs up", "as dvs.yaml in this directory says" },
	{ "dvs up web.yaml --timeout 30", "another file; its programs must run in half a minute" },
	{ "dvs up web.yaml --recreate", "also when a change needs new containers" },
	{ NULL, NULL },
};

static const struct cli_example compose_plan_examples[] = {
	{ "dvs plan web.yaml", "what 'dvs up web.yaml' would change" },
	{ "dvs plan -o json --exit-code", "for scripts" },
	{ NULL, NULL },
};

static const struct cli_example compose_down_examples[] = {
	{ "dvs down web.yaml", "end and remove what the file names" },
	{ "dvs down web", "the same by the name of the DC" },
	{ "dvs down web --volumes", "and all that its volumes have" },
	{ NULL, NULL },
};

static const struct cli_example compose_schema_examples[] = {
	{ "dvs schema > dvs.schema.json", "for an editor that knows JSON schemas" },
	{ NULL, NULL },
};

#define COMPOSE_COMMANDS                                                               \
	{                                                                              \
		.name = "up",                                                          \
		.arguments = "[FILE]",                                                 \
		.help = "make DCs and programs as a file says",                        \
		.options = compose_up_options,                                         \
		.examples = compose_up_examples,                                       \
		.run = cmd_up,                                                         \
		.argument = ARGUMENT_FILE,                                             \
		.formats = COMPOSE_TEXT_OR_JSON,                                       \
		.max_words = 1,                                                        \
		.page = "dvs-up(1)",                                                   \
	},                                                                             \
		{                                                                      \
			.name = "plan",                                                \
			.arguments = "[FILE]",                                         \
			.help = "tell what 'dvs up' would change",                     \
			.options = compose_plan_options,                               \
			.examples = compose_plan_examples,                             \
			.run = cmd_plan,                                               \
			.argument = ARGUMENT_FILE,                                     \
			.formats = COMPOSE_TEXT_OR_JSON,                               \
			.max_words = 1,                                                \
			.page = "dvs-up(1)",                                           \
		},                                                                     \
		{                                                                      \
			.name = "down",                                                \
			.arguments = "[FILE|DC]",                                      \
			.help = "end and remove what 'dvs up' made",                   \
			.options = compose_down_options,                               \
			.examples = compose_down_examples,                             \
			.run = cmd_down,                                               \
			.argument = ARGUMENT_FILE_OR_DC,                               \
			.formats = OUTPUT_CAN(OUTPUT_TABLE),                           \
			.max_words = 1,                                                \
			.page = "dvs-up(1)",                                           \
		},                                                                     \
		{                                                                      \
			.name = "schema",                                              \
			.arguments = "",                                               \
			.help = "tell what may stand in a dvs.yaml, as a JSON schema", \
			.examples = compose_schema_examples,                           \
			.formats = OUTPUT_CAN(OUTPUT_TABLE),                           \
			.run = cmd_schema,                                             \
			.page = "dvs-up(1)",                                           \
		},

#endif
