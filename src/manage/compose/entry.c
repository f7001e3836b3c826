/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/compose/entry.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "manage/link.h"

void entry_init(struct entry *entry, const struct entry_kind *kind, struct run *run,
		struct run_dc *of, struct compose_program *file)
{
	*entry = (struct entry){ .kind = kind, .run = run, .of = of, .file = file };
	(void)snprintf(entry->prefix, sizeof(entry->prefix), "%s/%s:", kind->spot, file->name);
	(void)snprintf(entry->text, sizeof(entry->text), "%s/%s", of->dc->name, file->name);
}

json_t *entry_value(const struct entry *entry, const char *key)
{
	return json_object_get(entry->file->json, key);
}

/* ---- what is said ---- */

void entry_told(void *entry_void, const char *why)
{
	const struct entry *entry = entry_void;

	run_fail(entry->run, entry->of->dc, entry->prefix, NULL, why);
}

int entry_fail(const struct entry *entry, const char *key, const char *why, ...)
{
	char sentence[COMPOSE_TEXT_MAX];
	int used = snprintf(sentence, sizeof(sentence), "%s: ", key);
	va_list args;

	va_start(args, why);
	(void)vsnprintf(sentence + used, sizeof(sentence) - (size_t)used, why, args);
	va_end(args);
	return run_fail(entry->run, entry->of->dc, entry->prefix, NULL, sentence);
}

int entry_no_memory(const struct entry *entry)
{
	return cli_fail(entry->run->cli, DVS_NOMEM, "look at %s %s", entry->kind->title,
			entry->text);
}

/* ---- nodes as the DVS calls them ---- */

bool entry_has_text(const json_t *list, const char *text)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		if (strcmp(json_string_value(json_array_get(list, i)), text) == 0)
			return true;
	}
	return false;
}

/* Number I of its nodes, which the file calls WORD, behind NAMES. */
static int name_node(const struct entry *entry, size_t i, const char *word, json_t *names)
{
	const struct dvk_node_info *node = nodes_find(&entry->run->reach.nodes, word);
	char key[32];

	(void)snprintf(key, sizeof(key), "nodes[%zu]", i);
	if (!node)
		return run_fail_no_node(entry->run, entry->of->dc, entry->prefix, i, word);
	if (entry_has_text(names, node->name))
		return entry_fail(entry, key, "node %s stands here twice", node->name);
	return json_array_append_new(names, json_string(node->name)) == 0 ? EXIT_DONE :
									    entry_no_memory(entry);
}

int entry_name_nodes(const struct entry *entry)
{
	const json_t *words = entry_value(entry, "nodes");
	json_t *names = json_array();
	int status = EXIT_DONE;

	for (size_t i = 0; status == EXIT_DONE && i < json_array_size(words); i++)
		status = name_node(entry, i, json_string_value(json_array_get(words, i)), names);
	if (status != EXIT_DONE || !words) {
		json_decref(names);
		return status;
	}
	return json_object_set_new(entry->file->json, "nodes", names) == 0 ? EXIT_DONE :
									     entry_no_memory(entry);
}

/* ---- what there is ---- */

int entry_keep(const struct entry *entry, json_t *json, struct compose_program **list, size_t *n)
{
	struct compose_program *more = json ? reallocarray(*list, *n + 1, sizeof(*more)) : NULL;

	if (!more) {
		json_decref(json);
		return entry_no_memory(entry);
	}
	*list = more;
	more[*n].json = json;
	(void)snprintf(more[*n].name, sizeof(more[*n].name), "%s", entry->file->name);
	++*n;
	return EXIT_DONE;
}

int entry_refuse_change(const struct entry *entry, const json_t *now, const char *key,
			const char *word)
{
	const json_t *wanted = entry_value(entry, key);
	AUTO_FREE char *was = NULL;

	if (!wanted || plan_disk_is_same(key, wanted, json_object_get(now, key)))
		return EXIT_DONE;
	was = json_dumps(json_object_get(now, key), JSON_ENCODE_ANY | JSON_COMPACT);
	return entry_fail(entry, key,
			  "it is %s, and the %s of a %s cannot change; make another one, and copy",
			  was ? was : "another one", word, entry->kind->title);
}

int entry_look_at_all(struct run *run, struct run_dc *of, bool needs_link,
		      int (*look)(struct run *run, struct run_dc *of, struct dvk *admin))
{
	struct link link;
	int status;

	/* Of a DC that is not there nobody needs to be asked. */
	if (!of->now.exists)
		return look(run, of, NULL);
	if (!needs_link)
		return look(run, of, run->admin);
	run_leave(run);
	status = link_open_admin(run->cli, &link);
	if (status == EXIT_DONE)
		status = look(run, of, link.dvk);
	link_close(&link);
	return status == EXIT_DONE ? run_enter(run) : status;
}
