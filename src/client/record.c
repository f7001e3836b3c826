/* SPDX-License-Identifier: Apache-2.0 */
#include "client/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void key_of(const struct record_kind *kind, const char *name, char key[DVS_NAME_MAX + 1])
{
	(void)snprintf(key, DVS_NAME_MAX + 1, "%s%s", kind->prefix, name);
}

dvs_err record_get(struct dvk *admin, const char *dc, const struct record_kind *kind,
		   const char *name, struct record_value *value)
{
	char key[DVS_NAME_MAX + 1];

	if (!kind->name_ok(name))
		return DVS_NOTFOUND;
	key_of(kind, name, key);
	value->len = 0;
	return dvk_record_get(admin, dc, key, value->at, &value->len, &value->version);
}

dvs_err record_next(struct dvk *admin, const char *dc, const struct record_kind *kind, char *name,
		    struct record_value *value)
{
	size_t n_prefix = strlen(kind->prefix);
	char key[DVS_NAME_MAX + 1];
	dvs_err err;

	key_of(kind, name, key);
	do {
		value->len = 0;
		err = dvk_record_next(admin, dc, key, value->at, &value->len, &value->version);
		if (err != DVS_OK)
			return err;
		if (strncmp(key, kind->prefix, n_prefix) != 0)
			return DVS_NOTFOUND;
		/* Somebody's own record below this prefix is none of that kind. */
	} while (!kind->name_ok(key + n_prefix));
	memcpy(name, key + n_prefix, strlen(key) - n_prefix + 1);
	return DVS_OK;
}

dvs_err record_print(json_t *document, char **text)
{
	char *made = document ? json_dumps(document, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

	json_decref(document);
	if (!made)
		return DVS_NOMEM;
	if (strlen(made) > DVK_VALUE_MAX) {
		free(made);
		return DVS_TOOBIG;
	}
	*text = made;
	return DVS_OK;
}
