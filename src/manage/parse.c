/* SPDX-License-Identifier: Apache-2.0 */
/* The words of the command line, taken apart by the table of commands. Options may stand
 * anywhere, "--" ends them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "manage/cli.h"
#include "manage/text.h"

struct words {
	int n;
	char **word;
	int next;
	bool no_more_options;
};

static bool choice_is_allowed(const char *choices, const char *value)
{
	size_t len = strlen(value);

	for (const char *at = choices; len > 0 && *at; at += strspn(at, " ")) {
		size_t n = strcspn(at, " ");

		if (n == len && strncmp(at, value, len) == 0)
			return true;
		at += n;
	}
	return false;
}

static bool take_option(struct cli *cli, const struct cli_option *option, const char *value)
{
	if (option->choices && !choice_is_allowed(option->choices, value)) {
		cli_usage(cli, "--%s does not take '%s'; it takes one of: %s", option->name, value,
			  option->choices);
		return false;
	}
	if (cli->n_given == CLI_GIVEN_MAX) {
		cli_usage(cli, "these are more than %d options; give fewer", CLI_GIVEN_MAX);
		return false;
	}
	cli->values[option->id] = value;
	cli->given[cli->n_given++] = (struct cli_given){ .id = option->id, .value = value };
	return true;
}

/* The word after an option that needs a value; NULL, with a message, if there is none. */
static const char *next_value(struct cli *cli, struct words *in, const struct cli_option *option)
{
	if (in->next < in->n)
		return in->word[in->next++];
	cli_usage(cli, "--%s needs a value: --%s %s", option->name, option->name, option->value);
	return NULL;
}

static void fail_unknown_option(struct cli *cli, const char *name, size_t len)
{
	char wrong[64];
	const char *nearest;

	snprintf(wrong, sizeof(wrong), "%.*s", (int)len, name);
	nearest = command_nearest_option(cli->command, wrong);
	if (nearest)
		cli_usage(cli, "unknown option '--%s'; did you mean '--%s'?", wrong, nearest);
	else
		cli_usage(cli, "unknown option '--%s'; 'dvs help%s%s' lists them", wrong,
			  cli->command ? " " : "", cli->command ? cli->command->name : "");
}

static bool take_long_option(struct cli *cli, struct words *in, const char *word)
{
	const char *name = word + 2;
	size_t len = strcspn(name, "=");
	const struct cli_option *option = command_option_by_name(cli->command, name, len);
	const char *value = name[len] == '=' ? name + len + 1 : NULL;

	if (!option) {
		fail_unknown_option(cli, name, len);
		return false;
	}
	if (!option->value && value) {
		cli_usage(cli, "--%s takes no value; leave out '=%s'", option->name, value);
		return false;
	}
	if (option->value && !value) {
		value = next_value(cli, in, option);
		if (!value)
			return false;
	}
	return take_option(cli, option, value ? value : "");
}

static bool take_letters(struct cli *cli, struct words *in, const char *word)
{
	for (const char *letter = word + 1; *letter; letter++) {
		const struct cli_option *option = command_option_by_letter(cli->command, *letter);
		const char *value = "";

		if (!option) {
			cli_usage(cli, "unknown option '-%c'; 'dvs help%s%s' lists them", *letter,
				  cli->command ? " " : "", cli->command ? cli->command->name : "");
			return false;
		}
		if (option->value) {
			value = letter[1] ? letter + 1 : next_value(cli, in, option);
			return value && take_option(cli, option, value);
		}
		if (!take_option(cli, option, value))
			return false;
	}
	return true;
}

/* All words that are left are the command's own. */
static void take_rest(struct cli *cli, struct words *in)
{
	cli->rest = in->word + in->next;
	cli->n_rest = in->n - in->next;
	in->next = in->n;
}

/* WORD is the command, or one of its two words. */
static bool take_command(struct cli *cli, struct words *in, const char *word)
{
	const char *nearest;

	cli->command = command_find(cli->group, word);
	if (!cli->command && !cli->group && command_is_group(word)) {
		cli->group = word;
		return true;
	}
	if (cli->command) {
		if (cli->command->takes_rest)
			take_rest(cli, in);
		return true;
	}
	nearest = command_nearest(cli->group, word);
	if (nearest)
		cli_usage(cli, "unknown command '%s'; did you mean '%.*s'?", word,
			  (int)strcspn(nearest, " "), nearest);
	else
		cli_usage(cli, "unknown command '%s'; 'dvs help%s%s' lists them", word,
			  cli->group ? " " : "", cli->group ? cli->group : "");
	return false;
}

static bool take_word(struct cli *cli, struct words *in)
{
	const char *word = in->word[in->next++];

	if (!in->no_more_options && strcmp(word, "--") == 0) {
		in->no_more_options = true;
		return true;
	}
	if (!in->no_more_options && strncmp(word, "--", 2) == 0)
		return take_long_option(cli, in, word);
	if (!in->no_more_options && word[0] == '-' && word[1])
		return take_letters(cli, in, word);
	if (!cli->command)
		return take_command(cli, in, word);
	if (cli->n_words == CLI_WORDS_MAX || cli->n_words == cli->command->max_words) {
		cli_usage(cli, "'%s' is one word too many; usage: dvs %s %s", word,
			  cli->command->name, cli->command->arguments);
		return false;
	}
	cli->words[cli->n_words++] = word;
	if (cli->n_words == cli->command->rest_after)
		take_rest(cli, in);
	return true;
}

static bool choose_format(struct cli *cli)
{
	const char *word = cli->values[OPTION_OUTPUT];
	int n_said = cli_has(cli, OPTION_OUTPUT) + cli_has(cli, OPTION_QUIET) +
		     cli_has(cli, OPTION_WIDE);

	if (n_said > 1) {
		cli_usage(cli, "-o, -q and -w exclude each other; give one of them");
		return false;
	}
	if (cli_has(cli, OPTION_QUIET))
		word = "name";
	if (cli_has(cli, OPTION_WIDE))
		word = "wide";
	/* The word is one of the choices of the option, so it has a format. */
	if (word && !output_format_parse(word, &cli->output.format))
		return false;
	if (cli->command && !cli->command->takes_rest &&
	    !(cli->command->formats & OUTPUT_CAN(cli->output.format))) {
		cli_usage(cli, "it has no output of the form '%s'; see 'dvs help %s'", word,
			  cli->command->name);
		return false;
	}
	cli->output.header = !cli_has(cli, OPTION_NO_HEADER);
	return true;
}

bool cli_parse(struct cli *cli, int argc, char **argv)
{
	struct words in = { .n = argc, .word = argv, .next = 1 };

	while (in.next < in.n) {
		if (!take_word(cli, &in))
			return false;
	}
	/* Who asks for help need not know the rest. */
	if (cli_has(cli, OPTION_HELP) || cli_has(cli, OPTION_VERSION))
		return true;
	if (!cli->command && cli->group) {
		AUTO_FREE char *names = command_names(cli->group);

		cli_usage(cli, "say what to do: %s", names ? names : "see 'dvs help'");
		return false;
	}
	if (!cli->command) {
		cli_usage(cli, "say what to do; 'dvs help' lists the commands");
		return false;
	}
	if (cli->n_words < cli->command->min_words) {
		cli_usage(cli, "%s is missing; usage: dvs %s %s", cli->command->arguments,
			  cli->command->name, cli->command->arguments);
		return false;
	}
	return choose_format(cli);
}

const char *cli_each(const struct cli *cli, enum option_id id, size_t *cursor)
{
	while (*cursor < cli->n_given) {
		const struct cli_given *given = &cli->given[(*cursor)++];

		if (given->id == id)
			return given->value;
	}
	return NULL;
}

bool cli_number(struct cli *cli, enum option_id id, uint64_t min, uint64_t max, uint64_t fallback,
		uint64_t *number)
{
	const char *text = cli->values[id];
	char *end;

	*number = fallback;
	if (!text)
		return true;
	errno = 0;
	*number = strtoull(text, &end, 10);
	/* strtoull would take blanks and signs. */
	if (text[0] >= '0' && text[0] <= '9' && !*end && errno == 0 && *number >= min &&
	    *number <= max)
		return true;
	cli_usage(cli, "'%s' is no whole number from %llu to %llu; give one", text,
		  (unsigned long long)min, (unsigned long long)max);
	return false;
}

bool cli_seconds(struct cli *cli, enum option_id id, uint32_t min_ms, uint32_t max_ms,
		 uint32_t fallback_ms, uint32_t *ms)
{
	const char *text = cli->values[id];
	char *end;
	double seconds;

	*ms = fallback_ms;
	if (!text)
		return true;
	seconds = strtod(text, &end);
	if (text[0] >= '0' && text[0] <= '9' && !*end &&
	    strspn(text, "0123456789.") == strlen(text) && seconds * 1000 >= min_ms &&
	    seconds * 1000 <= max_ms) {
		*ms = (uint32_t)(seconds * 1000 + 0.5);
		return true;
	}
	cli_usage(cli, "'%s' is no number of seconds from %g to %g; give one", text,
		  min_ms / 1000.0, max_ms / 1000.0);
	return false;
}
