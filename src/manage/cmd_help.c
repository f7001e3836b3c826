/* SPDX-License-Identifier: Apache-2.0 */
/* dvs help, and the --help of every command: printed from the table of commands. */
#include <string.h>

#include "manage/cli.h"

/* Of the column of arguments in lists of commands. */
#define ARGUMENTS_WIDTH 20

static void print_option(FILE *file, const struct cli_option *option)
{
	char text[48];
	const char *blank = option->value ? " " : "";
	const char *value = option->value ? option->value : "";

	if (option->letter)
		snprintf(text, sizeof(text), "-%c, --%s%s%s", option->letter, option->name, blank,
			 value);
	else
		snprintf(text, sizeof(text), "    --%s%s%s", option->name, blank, value);
	fprintf(file, "  %-26s %s", text, option->help);
	if (option->choices)
		fprintf(file, "; one of: %s", option->choices);
	fputc('\n', file);
}

static void print_options(FILE *file, const char *title, const struct cli_option *options)
{
	fprintf(file, "\n%s:\n", title);
	for (; options->id != OPTION_END; options++)
		print_option(file, options);
}

void help_command(FILE *file, const struct command *command)
{
	/* What follows the words of such a command is not for us. */
	bool options_first = command->rest_after > 0;

	fprintf(file, "dvs %s: %s\n\nUsage: dvs %s%s%s%s%s\n", command->name, command->help,
		command->name, options_first ? " [OPTIONS]" : "", command->arguments[0] ? " " : "",
		command->arguments, options_first ? "" : " [OPTIONS]");
	if (command->options)
		print_options(file, "Options", command->options);
	if (command->takes_rest)
		fprintf(file, "\n'dvs %s --help' tells more, as it is here.\n", command->name);
	else
		print_options(file, "Options of every command", command_common_options());
	fputs("\nExamples:\n", file);
	for (const struct cli_example *example = command->examples; example->command; example++)
		fprintf(file, "  %-34s %s\n", example->command, example->what);
	fprintf(file, "\nMore: %s\n", command->page);
}

static bool is_in(const struct command *command, const char *group)
{
	size_t len = group ? strlen(group) : 0;

	return !group || (strncmp(command->name, group, len) == 0 && command->name[len] == ' ');
}

/* What a command does stands in one column; behind longer arguments it stands below them. */
static void print_commands(FILE *file, const char *group)
{
	size_t n_commands;
	const struct command *commands = command_table(&n_commands);
	int width = 0;

	for (size_t i = 0; i < n_commands; i++) {
		int len = (int)strlen(commands[i].name);

		if (is_in(&commands[i], group) && len > width)
			width = len;
	}
	for (size_t i = 0; i < n_commands; i++) {
		if (!is_in(&commands[i], group))
			continue;
		fprintf(file, "  %-*s %-*s", width, commands[i].name, ARGUMENTS_WIDTH,
			commands[i].arguments);
		if (strlen(commands[i].arguments) > ARGUMENTS_WIDTH)
			fprintf(file, "\n  %*s %*s", width, "", ARGUMENTS_WIDTH, "");
		fprintf(file, " %s\n", commands[i].help);
	}
}

void help_group(FILE *file, const char *group)
{
	fprintf(file, "Usage: dvs %s COMMAND [ARGUMENTS] [OPTIONS]\n\nCommands:\n", group);
	print_commands(file, group);
	fprintf(file, "\n'dvs help %s COMMAND' tells more about one of them.\n", group);
}

void help_all(FILE *file)
{
	fputs("dvs: the command line of the Distributed Virtualization System\n\n"
	      "Usage: dvs COMMAND [ARGUMENTS] [OPTIONS]\n\nCommands:\n",
	      file);
	print_commands(file, NULL);
	print_options(file, "Options of every command", command_common_options());
	fputs("\n'dvs help COMMAND' tells more about a command, dvs(1) about all.\n", file);
}

static json_t *describe_options(const struct cli_option *option)
{
	json_t *list = json_array();

	for (; option && option->id != OPTION_END; option++) {
		char letter[2] = { option->letter, '\0' };

		/* On failure NULL is appended, which fails too and is seen at the end. */
		if (json_array_append_new(list, json_pack("{s:s, s:s?, s:s?, s:s?, s:s}", "name",
							  option->name, "letter",
							  option->letter ? letter : NULL, "value",
							  option->value, "choices", option->choices,
							  "help", option->help)) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *describe_commands(void)
{
	size_t n_commands;
	const struct command *commands = command_table(&n_commands);
	json_t *list = json_array();

	for (size_t i = 0; i < n_commands; i++) {
		if (json_array_append_new(
			    list, json_pack("{s:s, s:s, s:s, s:s, s:o}", "name", commands[i].name,
					    "arguments", commands[i].arguments, "help",
					    commands[i].help, "page", commands[i].page, "options",
					    describe_options(commands[i].options))) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

int cmd_help(struct cli *cli)
{
	const char *first = cli->words[0];
	const struct command *command;

	if (cli->output.format == OUTPUT_JSON) {
		json_t *members = json_pack("{s:o, s:o}", "commands", describe_commands(),
					    "common_options",
					    describe_options(command_common_options()));

		if (!output_document(&cli->output, members, false))
			return cli_fail(cli, DVS_NOMEM, "describe the commands");
		return EXIT_DONE;
	}
	if (cli->n_words == 0) {
		help_all(cli->output.file);
		return EXIT_DONE;
	}
	command = cli->n_words == 2 ? command_find(first, cli->words[1]) :
				      command_find(NULL, first);
	if (command) {
		help_command(cli->output.file, command);
		return EXIT_DONE;
	}
	if (cli->n_words == 1 && command_is_group(first)) {
		help_group(cli->output.file, first);
		return EXIT_DONE;
	}
	return cli_usage(cli, "there is no command '%s%s%s'; 'dvs help' lists them", first,
			 cli->n_words == 2 ? " " : "", cli->n_words == 2 ? cli->words[1] : "");
}
