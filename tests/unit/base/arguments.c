/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arguments.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "unit.h"

struct taken {
	const char *text, *path;
	char dir[8], name[8];
	uint32_t number;
	bool flag;
	enum log_level level;
	int fd, first;
};

static int parse_words(struct taken *taken, int argc, char **argv)
{
	const struct argument rows[] = {
		{ "text", "T", "a text", ARGUMENT_TEXT, .to = &taken->text },
		{ "path", "P", "a path", ARGUMENT_PATH, .to = &taken->path },
		{ "dir", "D", "a copied path", ARGUMENT_DIR, .is_needed = true, .to = taken->dir,
		  .size = sizeof(taken->dir) },
		{ "name", "N", "a name", ARGUMENT_NAME, .to = taken->name,
		  .size = sizeof(taken->name) },
		{ "number", "N", "3 to 40", ARGUMENT_NUMBER, .to = &taken->number, .least = 3,
		  .most = 40 },
		{ "flag", NULL, "two\nlines", ARGUMENT_FLAG, .to = &taken->flag },
		{ "log-level", "L", ARGUMENT_LEVEL_HELP, ARGUMENT_LEVEL, .to = &taken->level },
		{ "fd", "N", "a descriptor", ARGUMENT_FD, .to = &taken->fd },
	};
	const struct arguments arguments = { .program = "test",
					     .synopsis = "[options]",
					     .about = "A test.",
					     .rows = rows,
					     .n_rows = ARRAY_LEN(rows),
					     .words_max = 2 };

	*taken = (struct taken){ .fd = -1, .level = LOG_LEVEL_INFO };
	optind = 0; /* getopt begins anew */
	return arguments_parse(&arguments, argc, argv, &taken->first);
}

/* LINE is split at blanks. */
static int parse(struct taken *taken, const char *line)
{
	char words[256] = "test ";
	char *argv[32];
	char *rest = NULL;
	int argc = 0;

	(void)snprintf(words, sizeof(words), "test %s", line);
	for (char *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		argv[argc++] = word;
	argv[argc] = NULL;
	return parse_words(taken, argc, argv);
}

TEST(each_kind_is_taken_where_it_goes)
{
	struct taken taken;
	char line[256];
	int fd = open("/dev/null", O_RDONLY);

	(void)snprintf(line, sizeof(line),
		       "--text any --path=/p --dir /d --name n --number 40 --flag"
		       " --log-level debug --fd %d word other",
		       fd);
	ck_assert_int_eq(parse(&taken, line), ARGUMENTS_RUN);
	ck_assert_str_eq(taken.dir, "/d");
	ck_assert_str_eq(taken.name, "n");
	ck_assert_uint_eq(taken.number, 40);
	ck_assert(taken.flag);
	ck_assert_int_eq(taken.level, LOG_LEVEL_DEBUG);
	ck_assert_int_eq(taken.fd, fd);
	ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	ck_assert_int_eq(taken.first, 15);
	(void)close(fd);
}

TEST(texts_are_taken_as_they_stand)
{
	char option[] = "--text=any", path[] = "--path=/p", dir[] = "--dir=/d", name[] = "test";
	char *argv[] = { name, option, path, dir, NULL };
	struct taken taken;

	ck_assert_int_eq(parse_words(&taken, 4, argv), ARGUMENTS_RUN);
	ck_assert_ptr_eq(taken.text, option + strlen("--text="));
	ck_assert_ptr_eq(taken.path, path + strlen("--path="));
}

TEST(what_is_not_there_stays_as_it_was)
{
	struct taken taken;

	ck_assert_int_eq(parse(&taken, "--dir /d"), ARGUMENTS_RUN);
	ck_assert_ptr_null(taken.text);
	ck_assert(!taken.flag);
	ck_assert_int_eq(taken.level, LOG_LEVEL_INFO);
	ck_assert_int_eq(taken.fd, -1);
}

TEST(what_is_needed_must_be_there)
{
	struct taken taken;

	ck_assert_int_eq(parse(&taken, "--text any"), EXIT_USAGE);
}

TEST(help_and_version_end_well)
{
	struct taken taken;
	int shown = dup(STDOUT_FILENO);

	/* What they show is no result of a test. */
	(void)fflush(stdout);
	ck_assert(dup2(STDERR_FILENO, STDOUT_FILENO) >= 0);
	ck_assert_int_eq(parse(&taken, "--help"), 0);
	ck_assert_int_eq(parse(&taken, "--version"), 0);
	(void)fflush(stdout);
	ck_assert(dup2(shown, STDOUT_FILENO) >= 0);
	(void)close(shown);
}

TEST(mistakes_are_told)
{
	static const char *const wrong[] = {
		"--dir d",	    "--dir /too/long",	   "--dir=",
		"--name a/b",	    "--name .hidden",	   "--name=",
		"--name long-one",  "--number 2",	   "--number 41",
		"--number -5",	    "--number 5x",	   "--number=",
		"--number=+5",	    "--number 4294967301", "--path p",
		"--text=",	    "--fd 4095",	   "--fd x",
		"--unknown",	    "--flag=yes",	   "--number",
		"--log-level loud", "one two three",
	};
	char line[64];
	struct taken taken;

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		(void)snprintf(line, sizeof(line), "--dir /d %s", wrong[i]);
		ck_assert_msg(parse(&taken, line) == EXIT_USAGE, "%s", line);
	}
}

UNIT_MAIN("base-arguments", each_kind_is_taken_where_it_goes, texts_are_taken_as_they_stand,
	  what_is_not_there_stays_as_it_was, what_is_needed_must_be_there,
	  help_and_version_end_well, mistakes_are_told)
