/* SPDX-License-Identifier: Apache-2.0 */
#include "container/description_volumes.h"

#include <string.h>

#include "container/description.h"

/* As names of file systems are (client/fs_record.h). */
#define FS_NAME_MAX 48
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What dc-init and the container itself need in their places. */
static bool read_target(const struct place *place, const json_t *value,
			const struct reader_key *row, void *to)
{
	static const char *const taken[] = { "/proc", "/sys", "/dev", "/run/dvs" };
	const char *path = reader_path(place, value);

	if (!path)
		return false;
	if (strcmp(path, "/") == 0)
		return reader_fail(place, "'/' is the root file system; say another directory, or "
					  "use 'root'");
	for (size_t i = 0; i < COUNT(taken); i++) {
		size_t len = strlen(taken[i]);

		if (strncmp(path, taken[i], len) == 0 && (path[len] == '\0' || path[len] == '/'))
			return reader_fail(place, "%s belongs to the container; say another place",
					   taken[i]);
	}
	memcpy((char *)to + row->offset, &path, sizeof(path));
	return true;
}

/* A path of the node, or a file system of the DC. */
static bool read_source(const struct place *place, const json_t *value,
			const struct reader_key *row, void *to)
{
	const char *text = json_string_value(value);

	if (!text || text[0] == '/')
		return read_path(place, value, row, to);
	if (strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") !=
		    strlen(text) ||
	    strlen(text) > FS_NAME_MAX || text[0] == '\0' || strchr("-.", text[0]))
		return reader_fail(place,
				   "say an absolute path of the node, or the name of a file "
				   "system of the DC: up to %d letters, digits, '-', '_' and '.'",
				   FS_NAME_MAX);
	memcpy((char *)to + row->offset, &text, sizeof(text));
	return true;
}

static const struct reader_key volume_keys[] = {
	{ "source", read_source, offsetof(struct description_volume, source), 0, 0, NULL, true },
	{ "target", read_target, offsetof(struct description_volume, target), 0, 0, NULL, true },
	{ "readonly", read_bool, offsetof(struct description_volume, readonly), 0, 0, NULL, false },
};

static bool is_below(const char *path, const char *top)
{
	size_t len = strlen(top);

	return strncmp(path, top, len) == 0 && path[len] == '/';
}

/* Whether volume I goes together with those before it: a file system is mounted when the container is there, and covers what is below. */
static bool fits(const struct place *place, const struct description *description, size_t i)
{
	const struct description_volume *volume = &description->volumes[i];

	for (size_t k = 0; k < i; k++) {
		const struct description_volume *other = &description->volumes[k];

		if (strcmp(other->target, volume->target) == 0)
			return reader_fail(place, "the target %s is there twice", volume->target);
		if ((description_is_fs(other) && is_below(volume->target, other->target)) ||
		    (description_is_fs(volume) && is_below(other->target, volume->target)))
			return reader_fail(place,
					   "of %s and %s one is in the other, and the file system "
					   "would cover it; choose places beside each other",
					   volume->target, other->target);
	}
	return true;
}

bool description_read_volumes(const struct place *place, const json_t *value,
			      const struct reader_key *row, void *to)
{
	struct description *description = to;

	(void)row;
	if (!reader_is_list(place, value, 0, DESCRIPTION_LIST_MAX))
		return false;
	for (size_t i = 0; i < json_array_size(value); i++) {
		const struct place at = { place->reader, place, NULL, i };
		struct description_volume *volume = &description->volumes[i];

		if (!reader_object(&at, json_array_get(value, i), volume_keys, COUNT(volume_keys),
				   volume))
			return false;
		if (!fits(&at, description, i))
			return false;
		description->n_volumes = i + 1;
	}
	return true;
}
