/* SPDX-License-Identifier: Apache-2.0 */
/* Looking for commands and options in the table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/nearest.h"
#include "manage/command.h"

/* The part of NAME that follows GROUP and a blank; all of it without a group; NULL when the
 * command is not in the group. */
static const char *name_in_group(const char *name, const char *group)
{
	size_t len = group ? strlen(group) : 0;

	if (!group)
		return name;
	return strncmp(name, group, len) == 0 && name[len] == ' ' ? name + len + 1 : NULL;
}

const struct command *command_find(const char *group, const char *name)
{
	size_t n_commands;
	const struct command *commands = command_table(&n_commands);

	for (size_t i = 0; i < n_commands; i++) {
		const char *rest = name_in_group(commands[i].name, group);

		if (rest && strcmp(rest, name) == 0)
			return &commands[i];
	}
	return NULL;
}

int command_is_group(const char *name)
{
	size_t n_commands;
	const struct command *commands = command_table(&n_commands);

	for (size_t i = 0; i < n_commands; i++) {
		if (name_in_group(commands[i].name, name))
			return 1;
	}
	return 0;
}

/* The words that can follow GROUP (NULL: that can come first), each once, as strings that the
 * caller frees one by one. Returns how many. */
static size_t words_after(const char *group, char *words[COMMANDS_MAX])
{
	size_t n_commands;
	const struct command *commands = command_table(&n_commands);
	size_t n = 0;

	for (size_t i = 0; i < n_commands; i++) {
		const char *rest = name_in_group(commands[i].name, group);
		size_t len = rest ? strcspn(rest, " ") : 0;

		if (!rest ||
		    (n > 0 && strlen(words[n - 1]) == len && strncmp(words[n - 1], rest, len) == 0))
			continue;
		words[n] = strndup(rest, len);
		if (!words[n])
			break;
		n++;
	}
	return n;
}

char *command_names(const char *group)
{
	char *words[COMMANDS_MAX];
	size_t n = words_after(group, words);
	char *names = NULL;
	size_t names_bytes;
	FILE *out = open_memstream(&names, &names_bytes);

	for (size_t i = 0; i < n; i++) {
		if (out)
			fprintf(out, "%s%s", i == 0 ? "" : i + 1 == n ? " or " : ", ", words[i]);
		free(words[i]);
	}
	if (out)
		fclose(out);
	return names;
}

const char *command_nearest(const char *group, const char *word)
{
	size_t n_commands;
	const struct command *commands = command_table(&n_commands);
	char *words[COMMANDS_MAX];
	const char *names[COMMANDS_MAX] = { NULL };
	size_t n = words_after(group, words);
	const char *nearest;
	const char *found = NULL;

	for (size_t i = 0; i < n; i++)
		names[i] = words[i];
	nearest = nearest_word(word, names, n);
	/* Answer with the text of the table, which stays. */
	for (size_t i = 0; nearest && i < n_commands && !found; i++) {
		const char *rest = name_in_group(commands[i].name, group);

		if (rest && strcmp(rest, nearest) == 0)
			found = rest;
		else if (rest && name_in_group(rest, nearest))
			found = rest;
	}
	for (size_t i = 0; i < n; i++)
		free(words[i]);
	return found;
}

const char *command_nearest_option(const struct command *command, const char *word)
{
	const struct cli_option *tables[] = { command ? command->options : NULL,
					      command_common_options() };
	const char *names[64];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		for (const struct cli_option *option = tables[i];
		     option && option->id != OPTION_END && n < ARRAY_LEN(names); option++)
			names[n++] = option->name;
	}
	return nearest_word(word, names, n);
}

const struct cli_option *command_option_by_letter(const struct command *command, char letter)
{
	const struct cli_option *tables[] = { command ? command->options : NULL,
					      command_common_options() };

	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		for (const struct cli_option *option = tables[i];
		     option && option->id != OPTION_END; option++) {
			if (option->letter == letter && letter != 0)
				return option;
		}
	}
	return NULL;
}

const struct cli_option *command_option_by_name(const struct command *command, const char *name,
						size_t len)
{
	const struct cli_option *tables[] = { command ? command->options : NULL,
					      command_common_options() };

	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		for (const struct cli_option *option = tables[i];
		     option && option->id != OPTION_END; option++) {
			if (strlen(option->name) == len && strncmp(option->name, name, len) == 0)
				return option;
		}
	}
	return NULL;
}
