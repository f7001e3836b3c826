/* SPDX-License-Identifier: Apache-2.0 */
/* Run a command line and keep what it printed. */
#ifndef TESTS_MANAGE_RUN_H
#define TESTS_MANAGE_RUN_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manage/cli.h"
#include "unit.h"

struct result {
	int status;
	char *out;
	char *err;
};

static inline void result_free(struct result *result)
{
	free(result->out);
	free(result->err);
}

#define RESULT __attribute__((cleanup(result_free))) struct result

/* The words of the line, which the result does not keep. */
static inline struct result run_words(int n, char **words)
{
	struct result result;
	size_t out_bytes;
	size_t err_bytes;
	FILE *out = open_memstream(&result.out, &out_bytes);
	FILE *err = open_memstream(&result.err, &err_bytes);

	ck_assert_ptr_nonnull(out);
	ck_assert_ptr_nonnull(err);
	result.status = cli_run(n, words, out, err);
	fclose(out);
	fclose(err);
	return result;
}

/* Run LINE, words separated by single blanks, as "dvs LINE". */
static inline struct result run(const char *line)
{
	char copy[512];
	char name[] = "dvs";
	char *words[32] = { name };
	int n = 1;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *save, *word = strtok_r(copy, " ", &save); word;
	     word = strtok_r(NULL, " ", &save))
		words[n++] = word;
	return run_words(n, words);
}

#define ck_assert_contains(text, part) \
	ck_assert_msg(strstr((text), (part)), "no '%s' in: %s", (part), (text))
#define ck_assert_lacks(text, part) \
	ck_assert_msg(!strstr((text), (part)), "'%s' in: %s", (part), (text))

#endif
