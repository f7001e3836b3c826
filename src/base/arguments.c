/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arguments.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* What getopt_long() gives for row N. */
#define ROW_FIRST 256
#define HELP (ROW_FIRST + (int)ARGUMENTS_MAX)
#define VERSION (HELP + 1)
#define FD_MAX 65535u

/* ---- the help ---- */

static int width_of(const struct argument *row)
{
	return (int)(strlen(row->name) + (row->value ? 1 + strlen(row->value) : 0));
}

static void show_help(const struct arguments *arguments)
{
	int widest = 0;

	for (size_t i = 0; i < arguments->n_rows; i++) {
		int width = width_of(&arguments->rows[i]);

		widest = width > widest ? width : widest;
	}
	(void)printf("usage: %s %s\n\n%s\n\n", arguments->program, arguments->synopsis,
		     arguments->about);
	for (size_t i = 0; i < arguments->n_rows; i++) {
		const struct argument *row = &arguments->rows[i];
		const char *line = row->help;

		(void)printf("  --%s%s%s%*s  ", row->name, row->value ? " " : "",
			     row->value ? row->value : "", widest - width_of(row), "");
		for (; strchr(line, '\n'); line = strchr(line, '\n') + 1)
			(void)printf("%.*s\n%*s", (int)strcspn(line, "\n"), line, widest + 6, "");
		(void)printf("%s\n", line);
	}
	(void)puts("  --help, --version");
}

/* ---- mistakes ---- */

int arguments_wrong(const struct arguments *arguments, const char *format, ...)
{
	va_list values;

	(void)fprintf(stderr, "%s: ", arguments->program);
	va_start(values, format);
	(void)vfprintf(stderr, format, values);
	va_end(values);
	(void)fprintf(stderr, "\nTry '%s --help'.\n", arguments->program);
	return EXIT_USAGE;
}

/* ---- one option ---- */

static bool read_number(const char *value, uint32_t least, uint32_t most, uint32_t *number)
{
	char *end;
	unsigned long said = strtoul(value, &end, 10);

	*number = (uint32_t)said;
	return value[0] >= '0' && value[0] <= '9' && *end == '\0' && said >= least && said <= most;
}

static int take_number(const struct arguments *arguments, const struct argument *row,
		       const char *value)
{
	uint32_t number;

	if (!read_number(value, row->least, row->most, &number))
		return arguments_wrong(arguments, "--%s '%s' is not a number from %u to %u",
				       row->name, value, row->least, row->most);
	*(uint32_t *)row->to = number;
	return ARGUMENTS_RUN;
}

static int take_text(const struct arguments *arguments, const struct argument *row,
		     const char *value)
{
	if (value[0] == '\0')
		return arguments_wrong(arguments, "--%s is empty", row->name);
	if (row->kind == ARGUMENT_PATH && value[0] != '/')
		return arguments_wrong(arguments, "--%s '%s' is no absolute path", row->name,
				       value);
	*(const char **)row->to = value;
	return ARGUMENTS_RUN;
}

static int copy_text(const struct arguments *arguments, const struct argument *row,
		     const char *value)
{
	const bool is_dir = row->kind == ARGUMENT_DIR;
	const bool is_ok = is_dir ? value[0] == '/' :
				    value[0] && value[0] != '.' && !strchr(value, '/');

	if (!is_ok || strlen(value) >= row->size)
		return arguments_wrong(arguments, "--%s '%s' is no %s of less than %zu bytes",
				       row->name, value, is_dir ? "absolute path" : "name",
				       row->size);
	memcpy(row->to, value, strlen(value) + 1);
	return ARGUMENTS_RUN;
}

static int take_level(const struct arguments *arguments, const struct argument *row,
		      const char *value)
{
	if (log_level_parse(value, row->to))
		return ARGUMENTS_RUN;
	return arguments_wrong(arguments,
			       "the log level '%s' is none of error, warning, info, debug", value);
}

static int take_fd(const struct arguments *arguments, const struct argument *row, const char *value)
{
	uint32_t number;

	if (!read_number(value, 0, FD_MAX, &number) || fcntl((int)number, F_SETFD, FD_CLOEXEC) != 0)
		return arguments_wrong(arguments, "--%s %s: no such descriptor is open", row->name,
				       value);
	*(int *)row->to = (int)number;
	return ARGUMENTS_RUN;
}

static int take(const struct arguments *arguments, const struct argument *row, const char *value)
{
	switch (row->kind) {
	case ARGUMENT_FLAG:
		*(bool *)row->to = true;
		return ARGUMENTS_RUN;
	case ARGUMENT_TEXT:
	case ARGUMENT_PATH:
		return take_text(arguments, row, value);
	case ARGUMENT_DIR:
	case ARGUMENT_NAME:
		return copy_text(arguments, row, value);
	case ARGUMENT_NUMBER:
		return take_number(arguments, row, value);
	case ARGUMENT_LEVEL:
		return take_level(arguments, row, value);
	case ARGUMENT_FD:
		return take_fd(arguments, row, value);
	}
	return EXIT_USAGE;
}

/* ---- all of them ---- */

static void list_options(const struct arguments *arguments, struct option *known)
{
	size_t n = arguments->n_rows;

	for (size_t i = 0; i < n; i++)
		known[i] =
			(struct option){ arguments->rows[i].name,
					 arguments->rows[i].value ? required_argument : no_argument,
					 NULL, ROW_FIRST + (int)i };
	known[n] = (struct option){ "help", no_argument, NULL, HELP };
	known[n + 1] = (struct option){ "version", no_argument, NULL, VERSION };
	known[n + 2] = (struct option){ NULL, 0, NULL, 0 };
}

static int check_all(const struct arguments *arguments, uint32_t seen, int n_words)
{
	for (size_t i = 0; i < arguments->n_rows; i++) {
		if (arguments->rows[i].is_needed && !(seen & UINT32_C(1) << i))
			return arguments_wrong(arguments, "it needs --%s", arguments->rows[i].name);
	}
	if (n_words > 0 && arguments->words_max == 0)
		return arguments_wrong(arguments, "it takes no other arguments");
	if (n_words > arguments->words_max)
		return arguments_wrong(arguments, "it takes no more than %d words",
				       arguments->words_max);
	return ARGUMENTS_RUN;
}

int arguments_parse(const struct arguments *arguments, int argc, char **argv, int *first)
{
	struct option known[ARGUMENTS_MAX + 3];
	uint32_t seen = 0;
	int option, status;

	list_options(arguments, known);
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (option == HELP) {
			show_help(arguments);
			return EXIT_SUCCESS;
		}
		if (option == VERSION) {
			(void)printf("%s " DVS_VERSION "\n", arguments->program);
			return EXIT_SUCCESS;
		}
		if (option < ROW_FIRST) { /* getopt has complained */
			(void)fprintf(stderr, "Try '%s --help'.\n", arguments->program);
			return EXIT_USAGE;
		}
		status = take(arguments, &arguments->rows[option - ROW_FIRST], optarg);
		if (status != ARGUMENTS_RUN)
			return status;
		seen |= UINT32_C(1) << (option - ROW_FIRST);
	}
	*first = optind;
	return check_all(arguments, seen, argc - optind);
}
