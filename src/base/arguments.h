/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of a daemon, by a table: one row says what an option is called, what it takes, where that goes and what the help tells of it.
 * All of them know --log-level (when a row has it), --help and --version; a mistake is told on stderr with the program's name before it. */
#ifndef BASE_ARGUMENTS_H
#define BASE_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

/* As usual: 1 for a failure, 2 for a wrong command line. */
#define EXIT_USAGE 2
#define ARGUMENTS_MAX 24u
/* What arguments_parse() answers when the program is to run. */
#define ARGUMENTS_RUN (-1)

#define ARGUMENT_LEVEL_HELP "error, warning, info or debug; default info"

enum argument_kind {
	ARGUMENT_FLAG,	 /* bool: true when it is there */
	ARGUMENT_TEXT,	 /* const char *: as it stands, not empty */
	ARGUMENT_PATH,	 /* const char *: an absolute path */
	ARGUMENT_DIR,	 /* char[size]: an absolute path */
	ARGUMENT_NAME,	 /* char[size]: a name that can be a part of a path */
	ARGUMENT_NUMBER, /* uint32_t, from least to most */
	ARGUMENT_LEVEL,	 /* enum log_level */
	ARGUMENT_FD,	 /* int: an open descriptor; programs that are started do not get it */
};

struct argument {
	const char *name;  /* without "--" */
	const char *value; /* as the help calls it; NULL: a flag */
	const char *help;  /* lines after the first are moved under it */
	enum argument_kind kind;
	bool is_needed;
	void *to;	      /* stays as it was when the option is not there */
	size_t size;	      /* of DIR, NAME */
	uint32_t least, most; /* of NUMBER */
};

struct arguments {
	const char *program;
	const char *synopsis; /* after "usage: PROGRAM " */
	const char *about;    /* a sentence or two */
	const struct argument *rows;
	size_t n_rows; /* to ARGUMENTS_MAX */
	int words_max; /* how many words may follow the options */
};

/* ARGUMENTS_RUN, with the first word behind the options in argv[*first]; or the status to exit with: after --help and --version, or EXIT_USAGE after a mistake. */
MUST_USE int arguments_parse(const struct arguments *arguments, int argc, char **argv, int *first);

/* For what a table cannot say: "PROGRAM: WHY" and where to look. EXIT_USAGE. */
int arguments_wrong(const struct arguments *arguments, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
