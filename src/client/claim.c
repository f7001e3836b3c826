/* SPDX-License-Identifier: Apache-2.0 */
#include "client/claim.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"

/* In the order of enum claim_kind. */
static const char *const kinds[] = { "device", "nbd", "fs" };

static bool take_number(const json_t *row, const char *key, uint32_t *number)
{
	const json_t *value = json_object_get(row, key);
	json_int_t n = json_integer_value(value);

	*number = (uint32_t)n;
	return json_is_integer(value) && n >= 0 && n <= UINT32_MAX;
}

/* TEXT, or "" when there is none; false: too long. */
static bool take_text(const char *text, char *to, size_t size)
{
	return (size_t)snprintf(to, size, "%s", text ? text : "") < size;
}

/* Former versions knew only devices, and wrote none. */
static bool take_kind(const json_t *row, enum claim_kind *kind)
{
	const json_t *value = json_object_get(row, "kind");
	const char *text = json_string_value(value);

	*kind = CLAIM_DEVICE;
	for (size_t i = 0; text && i < ARRAY_LEN(kinds); i++) {
		if (!strcmp(text, kinds[i])) {
			*kind = (enum claim_kind)i;
			return true;
		}
	}
	return !value;
}

static bool parse_holder(const json_t *row, struct claim_holder *holder)
{
	const char *token = json_string_value(json_object_get(row, "token"));
	const char *about = json_string_value(json_object_get(row, "about"));

	holder->is_shared = json_is_true(json_object_get(row, "shared"));
	return token && take_text(token, holder->token, sizeof(holder->token)) &&
	       take_text(about, holder->about, sizeof(holder->about)) &&
	       take_kind(row, &holder->kind) && take_number(row, "node", &holder->node) &&
	       take_number(row, "endpoint", &holder->ep.n);
}

dvs_err claim_parse(const void *text, size_t len, struct claim *claim)
{
	json_t *record;
	const json_t *holders;
	json_int_t number;
	dvs_err err = DVS_OK;

	*claim = (struct claim){ .n = 0 };
	if (!len)
		return DVS_OK;
	record = json_loadb(text, len, 0, NULL);
	holders = json_object_get(record, "holders");
	number = json_integer_value(json_object_get(record, "number"));
	if (!json_is_array(holders) || json_array_size(holders) > CLAIM_HOLDERS_MAX || number < 0)
		err = DVS_CORRUPT;
	claim->number = (uint64_t)number;
	for (size_t i = 0; !err && i < json_array_size(holders); i++) {
		if (parse_holder(json_array_get(holders, i), &claim->holders[i]))
			claim->n++;
		else
			err = DVS_CORRUPT;
	}
	json_decref(record);
	return err;
}

dvs_err claim_print(const struct claim *claim, char **text)
{
	json_t *holders = json_array();
	json_t *record;

	for (uint32_t i = 0; i < claim->n; i++) {
		const struct claim_holder *holder = &claim->holders[i];

		if (json_array_append_new(
			    holders,
			    json_pack("{s:s, s:s, s:s, s:I, s:I, s:b}", "token", holder->token,
				      "kind", kinds[holder->kind], "about", holder->about, "node",
				      (json_int_t)holder->node, "endpoint",
				      (json_int_t)holder->ep.n, "shared", holder->is_shared))) {
			json_decref(holders);
			return DVS_NOMEM;
		}
	}
	record = json_pack("{s:I, s:o}", "number", (json_int_t)claim->number, "holders", holders);
	*text = record ? json_dumps(record, JSON_COMPACT) : NULL;
	json_decref(record);
	return *text ? DVS_OK : DVS_NOMEM;
}

void claim_forget_dead(struct claim *claim, bool (*is_alive)(void *context, dvs_ep ep),
		       void *context)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < claim->n; i++) {
		if (is_alive(context, claim->holders[i].ep))
			claim->holders[kept++] = claim->holders[i];
	}
	claim->n = kept;
}

dvs_err claim_add(struct claim *claim, const struct claim_holder *mine, bool is_again,
		  const struct claim_holder **other)
{
	claim_drop(claim, mine->token);
	for (uint32_t i = 0; i < claim->n; i++) {
		if (claim->holders[i].is_shared && mine->is_shared)
			continue;
		*other = &claim->holders[i];
		return DVS_INUSE;
	}
	if (claim->n >= CLAIM_HOLDERS_MAX)
		return DVS_FULL;
	/* Those that share it are not kept from each other. */
	if (claim->n == 0 && !is_again)
		claim->number++;
	claim->holders[claim->n++] = *mine;
	return DVS_OK;
}

bool claim_has(const struct claim *claim, const char *token)
{
	for (uint32_t i = 0; i < claim->n; i++) {
		if (!strcmp(claim->holders[i].token, token))
			return true;
	}
	return false;
}

void claim_drop(struct claim *claim, const char *token)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < claim->n; i++) {
		if (strcmp(claim->holders[i].token, token) != 0)
			claim->holders[kept++] = claim->holders[i];
	}
	claim->n = kept;
}

void claim_key(const char *id, char key[DVS_NAME_MAX + 1])
{
	(void)snprintf(key, DVS_NAME_MAX + 1, "volume-attach/%s", id);
}

void claim_tell(const struct claim_holder *holder, const char *volume, char why[CLAIM_WHY_MAX])
{
	const char *where = holder->about[0] ? " at " : "";

	switch (holder->kind) {
	case CLAIM_DEVICE:
		(void)snprintf(why, CLAIM_WHY_MAX,
			       "it is attached on node %u%s; two file systems that do not know of"
			       " each other would destroy it ('dvs vol detach %s' there takes it"
			       " off; --read-only, or --shared for both)",
			       holder->node, holder->is_shared ? ", shared" : "", volume);
		break;
	case CLAIM_NBD:
		(void)snprintf(why, CLAIM_WHY_MAX,
			       "clients of dvs-nbd%s%s on node %u can write to it%s; it is free"
			       " when they have gone (dvs-nbd --read-only, or --shared for both)",
			       where, holder->about, holder->node,
			       holder->is_shared ? ", shared" : "");
		break;
	case CLAIM_FS:
		(void)snprintf(why, CLAIM_WHY_MAX,
			       "file system %s is on it, which node %u serves; it is free when that"
			       " is removed ('dvs fs rm'); a snapshot of it can be used",
			       holder->about, holder->node);
		break;
	}
}
