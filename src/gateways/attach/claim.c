/* SPDX-License-Identifier: Apache-2.0 */
#include "gateways/attach/claim.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool take_number(const json_t *row, const char *key, uint32_t *number)
{
	const json_t *value = json_object_get(row, key);
	json_int_t n = json_integer_value(value);

	*number = (uint32_t)n;
	return json_is_integer(value) && n >= 0 && n <= UINT32_MAX;
}

static bool parse_holder(const json_t *row, struct claim_holder *holder)
{
	const char *token = json_string_value(json_object_get(row, "token"));

	holder->is_shared = json_is_true(json_object_get(row, "shared"));
	return token &&
	       (size_t)snprintf(holder->token, sizeof(holder->token), "%s", token) <
		       sizeof(holder->token) &&
	       take_number(row, "node", &holder->node) &&
	       take_number(row, "endpoint", &holder->ep.n);
}

dvs_err claim_parse(const void *text, size_t len, struct claim *claim)
{
	json_t *record;
	const json_t *holders;
	dvs_err err = DVS_OK;

	*claim = (struct claim){ .n = 0 };
	if (!len)
		return DVS_OK;
	record = json_loadb(text, len, 0, NULL);
	holders = json_object_get(record, "holders");
	if (!json_is_array(holders) || json_array_size(holders) > CLAIM_HOLDERS_MAX)
		err = DVS_CORRUPT;
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

		if (json_array_append_new(holders,
					  json_pack("{s:s, s:I, s:I, s:b}", "token", holder->token,
						    "node", (json_int_t)holder->node, "endpoint",
						    (json_int_t)holder->ep.n, "shared",
						    holder->is_shared))) {
			json_decref(holders);
			return DVS_NOMEM;
		}
	}
	record = json_pack("{s:o}", "holders", holders);
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

dvs_err claim_add(struct claim *claim, const struct claim_holder *mine,
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
