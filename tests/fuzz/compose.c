/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile dvs.yaml files: taken, or refused with file, line and column; what is taken the DVS takes, too. */
#include "manage/compose/compose.h"

#include <assert.h>
#include <string.h>

#include "container/program.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct description description;
	static struct program program;
	struct compose compose;
	char text[COMPOSE_TEXT_MAX];
	char why[DESCRIPTION_TEXT_MAX];

	if (compose_read("f", data, size, &compose, text) != DVS_OK) {
		assert(strncmp(text, "f:", 2) == 0 && strlen(text) < COMPOSE_TEXT_MAX);
		return 0;
	}
	for (size_t i = 0; i < compose.n_dcs; i++) {
		const struct compose_dc *dc = &compose.dcs[i];

		assert(dc->name[0] != '\0');
		assert(description_from_json(dc->description, &description, why) == DVS_OK);
		description_free(&description);
		for (size_t k = 0; k < dc->n_programs; k++) {
			assert(program_from_json(dc->programs[k].json, &program, why) == DVS_OK);
			program_free(&program);
		}
		compose_locate(&compose, dc, "", "io[3].x[1]: a", text);
		assert(strncmp(text, "f:", 2) == 0);
	}
	compose_free(&compose);
	return 0;
}
