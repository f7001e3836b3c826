/* SPDX-License-Identifier: Apache-2.0 */
/* One run of the command line: its words, taken apart by the table of commands, and where its
 * output goes. */
#ifndef MANAGE_CLI_H
#define MANAGE_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <dvs/error.h>

#include "manage/command.h"
#include "manage/output.h"

/* The most words that a command takes. */
#define CLI_WORDS_MAX 64
/* Options on one command line, those that can be given several times included. */
#define CLI_GIVEN_MAX 256

struct cli_given {
	enum option_id id;
	const char *value;
};

struct cli {
	struct output output; /* data */
	FILE *err;	      /* messages */
	const char *group;    /* the first word of a two-word command, until the second is known */
	const struct command *command; /* NULL: none was named */
	const char
		*values[OPTION_IDS]; /* NULL: the option was not given; "" for one without value */
	struct cli_given given[CLI_GIVEN_MAX]; /* all of them, in their order */
	size_t n_given;
	const char *words[CLI_WORDS_MAX];
	size_t n_words;
	char **rest; /* of a command that takes the rest */
	int n_rest;
};

/* Run the command line ARGV; data goes to OUT, messages to ERR. Returns the exit status. */
int cli_run(int argc, char **argv, FILE *out, FILE *err);

/* Take ARGV apart into CLI, whose output.file and err are set. False: it was wrong and the
 * message is out. */
MUST_USE bool cli_parse(struct cli *cli, int argc, char **argv);

static inline bool cli_has(const struct cli *cli, enum option_id id)
{
	return cli->values[id] != NULL;
}

/* The next value of an option that can be given several times; start with *CURSOR 0. NULL: that was
 * all. */
const char *cli_each(const struct cli *cli, enum option_id id, size_t *cursor);

/* A whole number in [MIN, MAX] of option ID, FALLBACK if it was not given. False: it is not
 * that, and the message is out. */
MUST_USE bool cli_number(struct cli *cli, enum option_id id, uint64_t min, uint64_t max,
			 uint64_t fallback, uint64_t *number);

/* Seconds, also with a fraction, as milliseconds; otherwise as cli_number(). */
MUST_USE bool cli_seconds(struct cli *cli, enum option_id id, uint32_t min_ms, uint32_t max_ms,
			  uint32_t fallback_ms, uint32_t *ms);

/* ---- messages: what failed, why, what to try ---- */

/* "dvs: WHAT: why; what to try". Returns EXIT_FAILED, for the caller to return. */
int cli_fail(struct cli *cli, dvs_err err, const char *what, ...) PRINTF_LIKE(3, 4);

/* The same with an advice that fits better than the error's own ("" for none). */
int cli_fail_hint(struct cli *cli, dvs_err err, const char *hint, const char *what, ...)
	PRINTF_LIKE(4, 5);

/* The same for an errno. */
int cli_fail_errno(struct cli *cli, int errno_value, const char *hint, const char *what, ...)
	PRINTF_LIKE(4, 5);

/* "dvs: COMMAND: message". Returns EXIT_USAGE. */
int cli_usage(struct cli *cli, const char *message, ...) PRINTF_LIKE(2, 3);

/* What a command has made or changed: its name, or a document of MEMBERS, which it frees. Returns
 * an exit status. */
int cli_result(struct cli *cli, const char *name, json_t *members);

/* A remark that is not an error, for people. */
void cli_note(struct cli *cli, const char *message, ...) PRINTF_LIKE(2, 3);

/* Print the usage, options and examples of one command, or of all. */
void help_command(FILE *file, const struct command *command);
void help_group(FILE *file, const char *group);
void help_all(FILE *file);

#endif
