/* SPDX-License-Identifier: Apache-2.0 */
#include "container/reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/nearest.h"
#include "container/names.h"

/* More than any table or list of choices has. */
#define NAMES_MAX 64u
#define PATH_BYTES 200u
#define SHOWN_BYTES 40u
#define TEXT_MAX 4095u
#define KEY_MAX 255u
/* Deeper is no description. */
#define DEPTH_MAX 8u

/* The text as it can be shown: short, and nothing that steers a terminal. */
static const char *shown(const char *text, char to[SHOWN_BYTES + 4])
{
	size_t n = 0;

	while (n < SHOWN_BYTES && text[n]) {
		unsigned char byte = (unsigned char)text[n];

		to[n++] = byte < 0x20 || byte >= 0x7f ? '?' : (char)byte;
	}
	memcpy(to + n, text[n] ? "..." : "", text[n] ? 4 : 1);
	return to;
}

/* "io[0].device"; what does not fit is left out. */
static void path_of(const struct place *place, char path[PATH_BYTES])
{
	const struct place *chain[DEPTH_MAX];
	size_t depth = 0;
	size_t used = 0;
	char text[SHOWN_BYTES + 4];

	path[0] = '\0';
	for (; place->up && depth < DEPTH_MAX; place = place->up)
		chain[depth++] = place;
	while (depth-- > 0 && used < PATH_BYTES - SHOWN_BYTES - 8) {
		int n = chain[depth]->key ?
				snprintf(path + used, PATH_BYTES - used, "%s%s",
					 used == 0 ? "" : ".", shown(chain[depth]->key, text)) :
				snprintf(path + used, PATH_BYTES - used, "[%zu]",
					 chain[depth]->index);

		used += (size_t)n;
	}
}

bool reader_fail(const struct place *place, const char *format, ...)
{
	char path[PATH_BYTES];
	int len;
	va_list args;

	path_of(place, path);
	len = snprintf(place->reader->why, DESCRIPTION_TEXT_MAX,
		       "%s: ", path[0] ? path : place->reader->what);
	va_start(args, format);
	(void)vsnprintf(place->reader->why + len, DESCRIPTION_TEXT_MAX - (size_t)len, format, args);
	va_end(args);
	return false;
}

static const char *kind_of(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "a list";
	case JSON_STRING:
		return "a text";
	case JSON_INTEGER:
	case JSON_REAL:
		return "a number";
	case JSON_TRUE:
		return "true";
	case JSON_FALSE:
		return "false";
	case JSON_NULL:
		break;
	}
	return "null";
}

bool reader_unknown(const struct place *place, const char *word, const char *const *names)
{
	const char *nearest;
	size_t n = 0;
	size_t used = 0;
	char list[512] = "";
	char text[SHOWN_BYTES + 4];

	for (; names[n]; n++) {
		if (used < sizeof(list))
			used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s",
						 n == 0 ? "" : ", ", names[n]);
	}
	nearest = nearest_word(word, names, n);
	if (nearest)
		return reader_fail(place, "there is no '%s'; did you mean '%s'?", shown(word, text),
				   nearest);
	return reader_fail(place, "there is no '%s'; there are %s", shown(word, text), list);
}

static bool unknown_key(const struct place *place, const char *key, const struct reader_key *keys,
			size_t n_keys)
{
	const struct place at = { place->reader, place, key, 0 };
	const char *names[NAMES_MAX];

	for (size_t i = 0; i < n_keys; i++)
		names[i] = keys[i].name;
	names[n_keys] = NULL;
	return reader_unknown(&at, key, names);
}

bool reader_is_object(const struct place *place, const json_t *value, size_t max)
{
	if (!json_is_object(value))
		return reader_fail(place, "must be an object {...}, but is %s", kind_of(value));
	if (json_object_size(value) > max)
		return reader_fail(place, "has more than %zu entries", max);
	return true;
}

bool reader_object(const struct place *place, const json_t *value, const struct reader_key *keys,
		   size_t n_keys, void *to)
{
	if (!json_is_object(value))
		return reader_fail(place, "must be an object {...}, but is %s", kind_of(value));
	for (void *i = json_object_iter((json_t *)(uintptr_t)value); i;
	     i = json_object_iter_next((json_t *)(uintptr_t)value, i)) {
		const char *key = json_object_iter_key(i);
		const struct place at = { place->reader, place, key, 0 };
		size_t k = 0;

		while (k < n_keys && strcmp(keys[k].name, key) != 0)
			k++;
		if (k == n_keys)
			return unknown_key(place, key, keys, n_keys);
		if (!keys[k].read(&at, json_object_iter_value(i), &keys[k], to))
			return false;
	}
	for (size_t k = 0; k < n_keys; k++) {
		if (keys[k].must_be && !json_object_get(value, keys[k].name))
			return reader_fail(place, "lacks the key '%s'", keys[k].name);
	}
	return true;
}

const char *reader_text(const struct place *place, const json_t *value, size_t min, size_t max)
{
	const char *text = json_string_value(value);

	if (!text)
		reader_fail(place, "must be a text, but is %s", kind_of(value));
	else if (json_string_length(value) != strlen(text))
		reader_fail(place, "has a zero byte in it");
	else if (strlen(text) < min)
		reader_fail(place, "is empty");
	else if (strlen(text) > max)
		reader_fail(place, "is longer than %zu bytes", max);
	else
		return text;
	return NULL;
}

static bool has_control(const char *text)
{
	while (*text && (unsigned char)*text >= 0x20 && *text != 0x7f)
		text++;
	return *text != '\0';
}

bool reader_number(const struct place *place, const json_t *value, uint64_t min, uint64_t max,
		   uint64_t *to)
{
	if (!json_is_integer(value))
		return reader_fail(place, "must be a whole number, but is %s",
				   json_is_real(value) ? "a broken number" : kind_of(value));
	if (json_integer_value(value) < 0 || (uint64_t)json_integer_value(value) < min ||
	    (uint64_t)json_integer_value(value) > max)
		return reader_fail(place, "%lld is not a whole number from %llu to %llu",
				   (long long)json_integer_value(value), (unsigned long long)min,
				   (unsigned long long)max);
	*to = (uint64_t)json_integer_value(value);
	return true;
}

bool reader_is_list(const struct place *place, const json_t *value, size_t min, size_t max)
{
	if (!json_is_array(value))
		return reader_fail(place, "must be a list [...], but is %s", kind_of(value));
	if (json_array_size(value) < min)
		return reader_fail(place, "is empty");
	if (json_array_size(value) > max)
		return reader_fail(place, "has more than %zu entries", max);
	return true;
}

const char *reader_path(const struct place *place, const json_t *value)
{
	const char *path = reader_text(place, value, 1, TEXT_MAX);
	size_t len;

	if (!path)
		return NULL;
	len = strlen(path);
	if (path[0] != '/')
		reader_fail(place, "must be an absolute path: it begins with '/'");
	else if (has_control(path))
		reader_fail(place, "has a control character in it");
	else if (strstr(path, "//") || strstr(path, "/./") || strstr(path, "/../") ||
		 (len > 1 && path[len - 1] == '/') ||
		 (len > 1 && strcmp(path + len - 2, "/.") == 0) ||
		 (len > 2 && strcmp(path + len - 3, "/..") == 0))
		reader_fail(place, "must be written without '.', '..', '//' and '/' at its end");
	else
		return path;
	return NULL;
}

static bool env_name(const struct place *place, const char *name)
{
	if (name[0] == '\0' || strlen(name) > KEY_MAX || strchr(name, '=') || has_control(name))
		return reader_fail(place,
				   "the name of a variable has 1 to %u bytes and neither '=' nor "
				   "control characters",
				   KEY_MAX);
	return true;
}

bool reader_env(const struct place *place, const json_t *value, struct description_pair *pairs,
		size_t max, size_t *n)
{
	if (!reader_is_object(place, value, max))
		return false;
	*n = 0;
	for (void *i = json_object_iter((json_t *)(uintptr_t)value); i;
	     i = json_object_iter_next((json_t *)(uintptr_t)value, i)) {
		const struct place at = { place->reader, place, json_object_iter_key(i), 0 };
		const char *text = reader_text(&at, json_object_iter_value(i), 0, TEXT_MAX);

		if (!text || !env_name(&at, at.key))
			return false;
		pairs[*n].name = at.key;
		pairs[(*n)++].value = text;
	}
	return true;
}

static bool rlimit_value(const struct place *place, const json_t *list, size_t index, uint64_t *to)
{
	const struct place at = { place->reader, place, NULL, index };
	const json_t *value = json_array_get(list, index);

	if (json_is_string(value) && strcmp(json_string_value(value), "unlimited") == 0) {
		*to = DESCRIPTION_NONE;
		return true;
	}
	if (!json_is_integer(value))
		return reader_fail(&at, "must be a whole number or \"unlimited\", but is %s",
				   kind_of(value));
	return reader_number(&at, value, 0, INT64_MAX, to);
}

static bool read_rlimit(const struct place *place, const json_t *value,
			struct description_rlimit *rlimit)
{
	if (!reader_is_list(place, value, 2, 2))
		return reader_fail(place, "must be two values, [soft, hard]");
	for (rlimit->which = 0; rlimit->which < RLIMITS; rlimit->which++) {
		if (strcmp(rlimit_names[rlimit->which], place->key) == 0)
			break;
	}
	if (rlimit->which == RLIMITS)
		return reader_unknown(place, place->key, rlimit_names);
	rlimit->name = place->key;
	if (!rlimit_value(place, value, 0, &rlimit->soft) ||
	    !rlimit_value(place, value, 1, &rlimit->hard))
		return false;
	if (rlimit->soft > rlimit->hard)
		return reader_fail(place, "the first value (soft) is above the second one (hard)");
	return true;
}

bool reader_rlimits(const struct place *place, const json_t *value,
		    struct description_rlimit *rlimits, size_t max, size_t *n)
{
	if (!reader_is_object(place, value, max))
		return false;
	*n = 0;
	for (void *i = json_object_iter((json_t *)(uintptr_t)value); i;
	     i = json_object_iter_next((json_t *)(uintptr_t)value, i)) {
		const struct place at = { place->reader, place, json_object_iter_key(i), 0 };

		if (!read_rlimit(&at, json_object_iter_value(i), &rlimits[(*n)++]))
			return false;
	}
	return true;
}

bool read_text(const struct place *place, const json_t *value, const struct reader_key *row,
	       void *to)
{
	const char *text = reader_text(place, value, row->min, row->max);

	if (!text)
		return false;
	if (has_control(text))
		return reader_fail(place, "has a control character in it");
	memcpy((char *)to + row->offset, &text, sizeof(text));
	return true;
}

bool read_path(const struct place *place, const json_t *value, const struct reader_key *row,
	       void *to)
{
	const char *path = reader_path(place, value);

	memcpy((char *)to + row->offset, &path, sizeof(path));
	return path != NULL;
}

bool read_u64(const struct place *place, const json_t *value, const struct reader_key *row,
	      void *to)
{
	uint64_t number = 0;

	if (!reader_number(place, value, row->min, row->max, &number))
		return false;
	memcpy((char *)to + row->offset, &number, sizeof(number));
	return true;
}

bool read_u32(const struct place *place, const json_t *value, const struct reader_key *row,
	      void *to)
{
	uint64_t number = 0;
	uint32_t narrow;

	if (!reader_number(place, value, row->min, row->max, &number))
		return false;
	narrow = (uint32_t)number;
	memcpy((char *)to + row->offset, &narrow, sizeof(narrow));
	return true;
}

bool read_bool(const struct place *place, const json_t *value, const struct reader_key *row,
	       void *to)
{
	bool is = json_is_true(value);

	if (!json_is_boolean(value))
		return reader_fail(place, "must be true or false, but is %s", kind_of(value));
	memcpy((char *)to + row->offset, &is, sizeof(is));
	return true;
}

bool read_choice(const struct place *place, const json_t *value, const struct reader_key *row,
		 void *to)
{
	const char *text = reader_text(place, value, 1, KEY_MAX);
	uint32_t number = (uint32_t)row->min;

	if (!text)
		return false;
	for (size_t i = 0; row->names[i]; i++, number++) {
		if (strcmp(row->names[i], text) == 0) {
			memcpy((char *)to + row->offset, &number, sizeof(number));
			return true;
		}
	}
	return reader_unknown(place, text, row->names);
}

json_t *reader_parse(const char *what, const void *bytes, size_t len, char *why, dvs_err *err)
{
	json_error_t error;
	json_t *document = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, &error);

	*err = DVS_OK;
	if (document)
		return document;
	*err = json_error_code(&error) == json_error_out_of_memory ? DVS_NOMEM : DVS_BADARG;
	(void)snprintf(why, DESCRIPTION_TEXT_MAX, "%s: this is not JSON: line %d, column %d: %s",
		       what, error.line, error.column, error.text);
	return NULL;
}
