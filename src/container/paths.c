/* SPDX-License-Identifier: Apache-2.0 */
#include "container/paths.h"

#include <stdlib.h>
#include <string.h>

#define ROOM_FIRST 64u

void paths_free(struct paths *paths)
{
	for (size_t i = 0; i < paths->room; i++) {
		free(paths->slot[i].path);
		free(paths->slot[i].text);
	}
	free(paths->slot);
	*paths = (struct paths){ 0 };
}

/* FNV-1a. The names come from strangers, who could choose them to collide: that makes their import slow, and nobody else's. */
static size_t hash(const char *path)
{
	uint64_t value = UINT64_C(0xcbf29ce484222325);

	for (; *path; path++)
		value = (value ^ (unsigned char)*path) * UINT64_C(0x100000001b3);
	return (size_t)(value ^ (value >> 32));
}

/* Where PATH is or would be; there is a free slot. */
static struct path_note *place(const struct paths *paths, const char *path)
{
	size_t at = hash(path) & (paths->room - 1);

	while (paths->slot[at].path && strcmp(paths->slot[at].path, path) != 0)
		at = (at + 1) & (paths->room - 1);
	return &paths->slot[at];
}

struct path_note *paths_find(const struct paths *paths, const char *path)
{
	struct path_note *note = paths->room ? place(paths, path) : NULL;

	return note && note->path ? note : NULL;
}

static bool grow(struct paths *paths)
{
	struct paths bigger = { .room = paths->room ? paths->room * 2 : ROOM_FIRST, .n = paths->n };

	bigger.slot = calloc(bigger.room, sizeof(*bigger.slot));
	if (!bigger.slot)
		return false;
	for (size_t i = 0; i < paths->room; i++) {
		if (paths->slot[i].path)
			*place(&bigger, paths->slot[i].path) = paths->slot[i];
	}
	free(paths->slot);
	*paths = bigger;
	return true;
}

struct path_note *paths_add(struct paths *paths, const char *path)
{
	struct path_note *note = paths_find(paths, path);

	if (note)
		return note;
	if (paths->n >= paths->room / 4 * 3 && !grow(paths))
		return NULL;
	note = place(paths, path);
	note->path = strdup(path);
	if (!note->path)
		return NULL;
	paths->n++;
	return note;
}

const char *paths_text(const struct paths *paths, const char *path)
{
	const struct path_note *note = paths_find(paths, path);

	return note ? note->text : NULL;
}

dvs_err paths_set_text(struct paths *paths, const char *path, const char *text)
{
	struct path_note *note = paths_add(paths, path);
	char *copy = note ? strdup(text) : NULL;

	if (!copy)
		return DVS_NOMEM;
	free(note->text);
	note->text = copy;
	return DVS_OK;
}
