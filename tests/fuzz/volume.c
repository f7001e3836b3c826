/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile records of volumes: they are taken, or refused with a sentence; what is taken is printed and taken again as the same. And
 * hostile names of volumes and snapshots. */
#include "client/volume.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static void again(const struct volume *volume)
{
	static struct volume same;
	char why[VOLUME_WHY_MAX + 1];
	char *text;
	char *text_again;
	dvs_err err = volume_print(volume, &text);

	if (err == DVS_TOOBIG)
		return;
	assert(err == DVS_OK);
	assert(volume_parse(volume->name, text, strlen(text), &same, why) == DVS_OK);
	assert(same.bytes == volume->bytes && same.endpoint == volume->endpoint &&
	       same.n_replicas == volume->n_replicas && same.first == volume->first);
	assert(volume_print(&same, &text_again) == DVS_OK);
	assert(strcmp(text, text_again) == 0);
	free(text);
	free(text_again);
}

static void split(const uint8_t *data, size_t size)
{
	char dc[DVS_NAME_MAX + 1];
	char name[VOLUME_NAME_MAX + 1];
	char snapshot[DVS_NAME_MAX + 1];
	char *text = malloc(size + 1);

	assert(text);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	if (volume_name_split(text, dc, name, snapshot)) {
		assert(volume_name_ok(name));
		assert(strlen(dc) + 1 + strlen(name) + strlen(snapshot) + (snapshot[0] != 0) ==
		       strlen(text));
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct volume volume;
	char why[VOLUME_WHY_MAX + 1] = "";
	dvs_err err = volume_parse("data", data, size, &volume, why);

	assert(strnlen(why, VOLUME_WHY_MAX + 1) <= VOLUME_WHY_MAX);
	assert(err == DVS_OK || why[0] != '\0');
	if (err == DVS_OK)
		again(&volume);
	split(data, size);
	return 0;
}
