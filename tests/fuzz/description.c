/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile descriptions of DCs and programs: they are taken, or refused with a sentence; what is taken is taken again from its
 * canonical bytes, which are the same. */
#include "container/description.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "container/program.h"
#include "fuzz.h"

static void check_sentence(dvs_err err, const char *why)
{
	size_t len = strnlen(why, DESCRIPTION_TEXT_MAX);

	assert(len < DESCRIPTION_TEXT_MAX);
	assert(err == DVS_OK || len > 0);
}

static void again(const json_t *document, bool is_program)
{
	static struct description description;
	static struct program program;
	char why[DESCRIPTION_TEXT_MAX] = "";
	size_t len;
	size_t len_again;
	char *text = description_text(document, &len);
	char *text_again;

	assert(text);
	if (is_program) {
		assert(program_parse(text, len, &program, why) == DVS_OK);
		text_again = description_text(program.document, &len_again);
		program_free(&program);
	} else {
		assert(description_parse(text, len, &description, why) == DVS_OK);
		text_again = description_text(description.document, &len_again);
		description_free(&description);
	}
	assert(text_again && len == len_again && memcmp(text, text_again, len) == 0);
	free(text);
	free(text_again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct description description;
	static struct program program;
	char why[DESCRIPTION_TEXT_MAX] = "";
	dvs_err err = description_parse(data, size, &description, why);

	check_sentence(err, why);
	if (err == DVS_OK) {
		again(description.document, false);
		description_free(&description);
	}
	why[0] = '\0';
	err = program_parse(data, size, &program, why);
	check_sentence(err, why);
	if (err == DVS_OK) {
		again(program.document, true);
		program_free(&program);
	}
	return 0;
}
