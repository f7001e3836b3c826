/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/says.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "container/image.h"

static bool has_variable(const struct description *description, const char *entry)
{
	for (size_t i = 0; i < description->n_env; i++) {
		size_t len = strlen(description->env[i].name);

		if (strncmp(entry, description->env[i].name, len) == 0 && entry[len] == '=')
			return true;
	}
	return false;
}

/* NULL: there is no image, or it says nothing. */
static json_t *image_says(const char *lib_dir, const struct description *description)
{
	const char *wanted = description->digest ? description->digest : description->image;
	json_t *config = NULL;
	struct image image;

	if (description->root != DESCRIPTION_IMAGE ||
	    image_find(lib_dir, wanted, &image) != DVS_OK ||
	    image_config(lib_dir, image.digest, &config) != DVS_OK)
		return NULL;
	return config;
}

static void put(FILE *out, const char *text)
{
	(void)fputs(text, out);
	(void)fputc('\0', out);
}

static void put_image_env(FILE *out, const json_t *config, const struct description *description)
{
	const json_t *list = json_object_get(config, "env");

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *entry = json_string_value(json_array_get(list, i));

		if (entry && entry[0] != '=' && strchr(entry, '=') &&
		    !has_variable(description, entry))
			put(out, entry);
	}
}

static bool env_make(struct says *says, const json_t *config, const struct description *description)
{
	FILE *out = open_memstream(&says->env, &says->env_len);

	if (!out)
		return false;
	put_image_env(out, config, description);
	for (size_t i = 0; i < description->n_env; i++) {
		(void)fprintf(out, "%s=", description->env[i].name);
		put(out, description->env[i].value);
	}
	return fclose(out) == 0;
}

static bool args_make(struct says *says, const json_t *config)
{
	static const char *const parts[] = { "entrypoint", "cmd" };
	FILE *out = open_memstream(&says->args, &says->args_len);

	if (!out)
		return false;
	for (size_t part = 0; part < 2; part++) {
		const json_t *list = json_object_get(config, parts[part]);

		for (size_t i = 0; i < json_array_size(list); i++) {
			const char *word = json_string_value(json_array_get(list, i));

			if (word)
				put(out, word);
		}
	}
	return fclose(out) == 0;
}

static bool text_make(char **text, const json_t *config, const char *key)
{
	const char *value = json_string_value(json_object_get(config, key));

	if (!value || !*value)
		return true;
	*text = strdup(value);
	return *text != NULL;
}

bool says_load(struct says *says, const char *lib_dir, const struct description *description)
{
	json_t *config = image_says(lib_dir, description);
	struct says made = { 0 };
	bool done = env_make(&made, config, description) && args_make(&made, config) &&
		    text_make(&made.cwd, config, "workdir") &&
		    text_make(&made.user, config, "user");

	json_decref(config);
	if (!done) {
		says_free(&made);
		return false;
	}
	says_free(says);
	*says = made;
	return true;
}

void says_free(struct says *says)
{
	free(says->env);
	free(says->args);
	free(says->cwd);
	free(says->user);
	*says = (struct says){ 0 };
}
