/* SPDX-License-Identifier: Apache-2.0 */
/* The comparison of what a file says with what the DVS has, field by field. Both are JSON; what is told to people has the names and the units of the file. */
#include "manage/compose/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "container/container.h"
#include "manage/compose/schema.h"
#include "manage/compose/units.h"

#define NODES_MAX 64u
#define KEYS_MAX 128u

struct planning {
	struct plan *plan;
	const struct plan_now *now;
	bool good; /* there was memory for all */
};

/* Where in both documents. */
struct field {
	enum schema_part part; /* 0: below nothing that the table knows */
	enum schema_kind kind;
	bool known; /* kind is known */
	char path[COMPOSE_PATH_MAX];
	char json[COMPOSE_PATH_MAX];
	bool anew;
};

/* ---- values for people ---- */

static char *root_text(const json_t *root)
{
	const char *kind = json_string_value(json_object_get(root, "kind"));
	const char *name = json_string_value(json_object_get(root, "name"));
	const char *digest = json_string_value(json_object_get(root, "digest"));
	const char *path = json_string_value(json_object_get(root, "path"));
	char text[COMPOSE_PATH_MAX + 128];

	if (name)
		(void)snprintf(text, sizeof(text), "image %s%s%s", name, digest ? "@" : "",
			       digest ? digest : "");
	else
		(void)snprintf(text, sizeof(text), "%s", path ? path : kind ? kind : "?");
	return strdup(text);
}

static char *value_text(const struct field *field, const json_t *value)
{
	char text[UNITS_TEXT_BYTES];

	if (field->known && field->kind == SCHEMA_ROOT)
		return root_text(value);
	if (field->known && field->kind == SCHEMA_BYTES && json_is_integer(value)) {
		units_bytes_text((uint64_t)json_integer_value(value), text);
		return strdup(text);
	}
	if (field->known && field->kind == SCHEMA_DURATION && json_is_integer(value)) {
		units_ms_text((uint64_t)json_integer_value(value), text);
		return strdup(text);
	}
	if (field->known && field->kind == SCHEMA_ENDPOINT)
		value = json_object_get(value, "endpoint");
	return json_dumps(value,
			  JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
}

static void add(struct planning *planning, enum plan_op op, const struct field *field, char *old,
		char *new)
{
	struct plan *plan = planning->plan;
	struct plan_change *changes =
		realloc(plan->changes, (plan->n_changes + 1) * sizeof(*changes));
	struct plan_change change = { op,  strdup(field->path), strdup(field->json), old,
				      new, field->anew };

	if (!changes || !change.path || !change.json || (op != PLAN_ADD && !old) ||
	    (op != PLAN_REMOVE && !new)) {
		planning->good = false;
		free(change.path);
		free(change.json);
		free(old);
		free(new);
		if (changes)
			plan->changes = changes;
		return;
	}
	plan->changes = changes;
	plan->changes[plan->n_changes++] = change;
}

static void compare_value(struct planning *planning, const struct field *field, const json_t *old,
			  const json_t *new)
{
	add(planning,
	    old && new ? PLAN_CHANGE :
	    old	       ? PLAN_REMOVE :
			 PLAN_ADD,
	    field, old ? value_text(field, old) : NULL, new ? value_text(field, new) : NULL);
}

/* ---- two documents ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void keys_of(const json_t *object, const char **keys, size_t *n)
{
	for (void *i = json_object_iter((json_t *)(uintptr_t)object); i;
	     i = json_object_iter_next((json_t *)(uintptr_t)object, i)) {
		bool known = false;

		for (size_t k = 0; k < *n && !known; k++)
			known = strcmp(keys[k], json_object_iter_key(i)) == 0;
		if (!known && *n < 2 * KEYS_MAX)
			keys[(*n)++] = json_object_iter_key(i);
	}
}

static void join(char *path, size_t room, const char *before, const char *key)
{
	size_t len = strlen(before);

	(void)snprintf(path, room, "%s%s%s", before, len == 0 || before[len - 1] == ':' ? "" : ".",
		       key);
}

/* The field KEY of the object at UP. */
static struct field below(const struct field *up, const char *key)
{
	const struct schema_row *row = up->part ? schema_find_json(up->part, key) : NULL;
	struct field field = { .anew = up->anew };

	join(field.json, sizeof(field.json), up->json, key);
	join(field.path, sizeof(field.path), up->path, row ? row->key : key);
	if (row) {
		field.known = true;
		field.kind = row->kind;
		field.part = row->kind == SCHEMA_MAPPING ? row->sub : 0;
	} else if (up->part == SCHEMA_DC && strcmp(key, "root") == 0) {
		field.known = true;
		field.kind = SCHEMA_ROOT;
	}
	return field;
}

/* Go down into what is a mapping in the file; everything else is compared as a whole. */
static bool goes_down(const struct field *field)
{
	return !field->known || field->kind == SCHEMA_MAPPING || field->kind == SCHEMA_PAIRS ||
	       field->kind == SCHEMA_RLIMITS || field->kind == SCHEMA_SIZES;
}

/* Whether the containers of the DC cannot stay when only KEY changes from the one to the other. */
static bool needs_new(struct planning *planning, const char *key, const json_t *old,
		      const json_t *new)
{
	struct description *before = calloc(1, sizeof(*before));
	struct description *after = calloc(1, sizeof(*after));
	json_t *mixed = json_copy((json_t *)(uintptr_t)old);
	json_t *value = json_object_get(new, key);
	char why[DESCRIPTION_TEXT_MAX] = "";
	bool needs = false;

	if (!before || !after || !mixed)
		planning->good = false;
	else if ((value ? json_object_set(mixed, key, value) : json_object_del(mixed, key)) != 0)
		planning->good = false;
	/* Two fields that only fit together are looked at with the whole. */
	else if (description_from_json((json_t *)(uintptr_t)old, before, why) == DVS_OK &&
		 (description_from_json(mixed, after, why) == DVS_OK ||
		  description_from_json((json_t *)(uintptr_t) new, after, why) == DVS_OK))
		needs = !container_can_update(before, after, why);
	if (needs && planning->plan->anew[0] == '\0')
		(void)snprintf(planning->plan->anew, PLAN_REASON_MAX, "%s", why);
	if (before)
		description_free(before);
	if (after)
		description_free(after);
	free(before);
	free(after);
	json_decref(mixed);
	return needs;
}

static bool is_number(const json_t *value)
{
	return json_is_number(value);
}

/* 1 and 1.0 are the same number of CPUs. */
static bool is_same(const json_t *a, const json_t *b)
{
	if (is_number(a) && is_number(b))
		return json_number_value(a) == json_number_value(b);
	return json_equal(a, b);
}

static void compare(struct planning *planning, const struct field *field, const json_t *old,
		    const json_t *new)
{
	const char *keys[2 * KEYS_MAX];
	size_t n = 0;

	if (!json_is_object(old) || !json_is_object(new) || !goes_down(field)) {
		compare_value(planning, field, old, new);
		return;
	}
	keys_of(old, keys, &n);
	keys_of(new, keys, &n);
	qsort(keys, n, sizeof(keys[0]), by_name);
	for (size_t i = 0; i < n; i++) {
		const json_t *before = json_object_get(old, keys[i]);
		const json_t *after = json_object_get(new, keys[i]);
		struct field one = below(field, keys[i]);

		if (before && after && is_same(before, after))
			continue;
		/* Without a container there is none that would have to be made anew. */
		if (field->json[0] == '\0' && planning->now->exists && planning->now->nodes)
			one.anew = needs_new(planning, keys[i], old, new);
		/* Two levels of what the table knows are the most; then come names of the user's. */
		if (json_is_object(before) && json_is_object(after) && goes_down(&one))
			compare(planning, &one, before, after);
		else
			compare_value(planning, &one, before, after);
	}
}

/* ---- nodes and programs ---- */

static void add_node_change(struct planning *planning, uint32_t node, enum plan_op op,
			    const char *(*name_of)(const void *, uint32_t, char *),
			    const void *context)
{
	struct field field = { .path = "nodes", .json = "nodes" };
	char name[DVS_NAME_MAX + 1];
	const char *text = name_of(context, node, name);

	add(planning, op, &field, op == PLAN_REMOVE ? strdup(text) : NULL,
	    op == PLAN_ADD ? strdup(text) : NULL);
}

bool plan_program_differs(const struct plan_now *now, const struct compose_program *program,
			  size_t *at)
{
	for (size_t i = 0; i < now->n_programs; i++) {
		if (strcmp(now->programs[i].name, program->name) == 0) {
			*at = i;
			return !json_equal(now->programs[i].json, program->json);
		}
	}
	*at = SIZE_MAX;
	return true;
}

static struct field program_field(const struct compose_program *program)
{
	bool server = json_object_get(program->json, "server") != NULL;
	struct field field = { .part = server ? SCHEMA_SERVER : SCHEMA_PROGRAM };

	(void)snprintf(field.path, sizeof(field.path), "%s.%s", server ? "servers" : "programs",
		       program->name);
	(void)snprintf(field.json, sizeof(field.json), "program/%s:", program->name);
	return field;
}

static void compare_programs(struct planning *planning)
{
	const struct compose_dc *dc = planning->plan->dc;
	const struct plan_now *now = planning->now;

	for (size_t i = 0; i < dc->n_programs; i++) {
		struct field field = program_field(&dc->programs[i]);
		size_t at;

		if (!plan_program_differs(now, &dc->programs[i], &at))
			continue;
		if (at == SIZE_MAX)
			compare_value(planning, &field, NULL, dc->programs[i].json);
		else
			compare(planning, &field, now->programs[at].json, dc->programs[i].json);
	}
	for (size_t i = 0; i < now->n_programs; i++) {
		struct field field = program_field(&now->programs[i]);
		bool wanted = false;

		for (size_t k = 0; k < dc->n_programs && !wanted; k++)
			wanted = strcmp(dc->programs[k].name, now->programs[i].name) == 0;
		if (!wanted)
			compare_value(planning, &field, now->programs[i].json, NULL);
	}
}

/* ---- volumes ---- */

static const json_t *find_now(const struct compose_program *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(list[i].name, name) == 0)
			return list[i].json;
	}
	return NULL;
}

const json_t *plan_disk_now(const struct plan_now *now, const char *name)
{
	return find_now(now->disks, now->n_disks, name);
}

const json_t *plan_filesystem_now(const struct plan_now *now, const char *name)
{
	return find_now(now->filesystems, now->n_filesystems, name);
}

/* Whether each text of A is in B. */
static bool is_among(const json_t *a, const json_t *b)
{
	for (size_t i = 0; i < json_array_size(a); i++) {
		bool found = false;

		for (size_t k = 0; k < json_array_size(b) && !found; k++)
			found = json_equal(json_array_get(a, i), json_array_get(b, k));
		if (!found)
			return false;
	}
	return true;
}

/* Where replicas are has no order, only where the first one is made; and a place that is not said is the store's own. */
bool plan_disk_is_same(const char *key, const json_t *wanted, const json_t *now)
{
	const char *node;
	json_t *place;

	if (strcmp(key, "nodes") == 0)
		return is_among(wanted, now) && is_among(now, wanted);
	if (strcmp(key, "places") != 0)
		return json_equal(wanted, now);
	json_object_foreach((json_t *)(uintptr_t)wanted, node, place)
	{
		if (json_object_get(now, node) && !json_equal(place, json_object_get(now, node)))
			return false;
	}
	return true;
}

/* What the file does not say of a volume that there is stays as it is. */
static void compare_disk(struct planning *planning, const struct field *field, const json_t *old,
			 const json_t *new)
{
	const char *keys[2 * KEYS_MAX];
	size_t n = 0;

	keys_of(new, keys, &n);
	qsort(keys, n, sizeof(keys[0]), by_name);
	for (size_t i = 0; i < n; i++) {
		const json_t *before = json_object_get(old, keys[i]);
		const json_t *after = json_object_get(new, keys[i]);
		struct field one = below(field, keys[i]);

		if (!plan_disk_is_same(keys[i], after, before))
			compare_value(planning, &one, before, after);
	}
}

/* A list of the file, whose key is WORD and whose fields begin with PREFIX, with what there is. */
static void compare_kept(struct planning *planning, enum schema_part part, const char *word,
			 const char *prefix, const struct compose_program *wanted, size_t n,
			 const json_t *(*now_of)(const struct plan_now *now, const char *name))
{
	for (size_t i = 0; i < n; i++) {
		const json_t *now = now_of(planning->now, wanted[i].name);
		struct field field = { .part = part };

		(void)snprintf(field.path, sizeof(field.path), "%s.%s", word, wanted[i].name);
		(void)snprintf(field.json, sizeof(field.json), "%s/%s:", prefix, wanted[i].name);
		if (now)
			compare_disk(planning, &field, now, wanted[i].json);
		else
			compare_value(planning, &field, NULL, wanted[i].json);
	}
}

bool plan_make(const struct compose_dc *dc, const struct plan_now *now, uint64_t nodes,
	       const char *(*name_of)(const void *context, uint32_t node, char *name),
	       const void *context, struct plan *plan)
{
	struct planning planning = { plan, now, true };
	const struct field top = { .part = SCHEMA_DC };
	json_t *nothing = json_object();
	size_t n_before;

	*plan = (struct plan){ .dc = dc, .create = !now->exists, .nodes = nodes };
	if (!nothing)
		return false;
	plan->add = nodes & ~now->nodes;
	plan->remove = now->nodes & ~nodes;
	for (uint32_t i = 0; i < NODES_MAX; i++) {
		if (plan->add >> i & 1)
			add_node_change(&planning, i, PLAN_ADD, name_of, context);
		if (plan->remove >> i & 1)
			add_node_change(&planning, i, PLAN_REMOVE, name_of, context);
	}
	n_before = plan->n_changes;
	compare(&planning, &top, now->exists ? now->description : nothing, dc->description);
	plan->description = plan->n_changes > n_before;
	compare_programs(&planning);
	compare_kept(&planning, SCHEMA_DISK, "disks", "disk", dc->disks, dc->n_disks,
		     plan_disk_now);
	compare_kept(&planning, SCHEMA_FILESYSTEM, "filesystems", "fs", dc->filesystems,
		     dc->n_filesystems, plan_filesystem_now);
	json_decref(nothing);
	return planning.good;
}

void plan_free(struct plan *plan)
{
	for (size_t i = 0; i < plan->n_changes; i++) {
		free(plan->changes[i].path);
		free(plan->changes[i].json);
		free(plan->changes[i].old);
		free(plan->changes[i].new);
	}
	free(plan->changes);
	*plan = (struct plan){ 0 };
}
