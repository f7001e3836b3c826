/* SPDX-License-Identifier: Apache-2.0 */
/* Records of a DC that describe things of one kind, by name; and what a node has to say of one. All over an admin link. */
#ifndef CLIENT_RECORD_H
#define CLIENT_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/container.h>
#include <dvs/dvk.h>

#include <jansson.h>

struct record_kind {
	const char *prefix; /* of their keys; the name follows */
	bool (*name_ok)(const char *name);
};

struct record_value {
	char at[DVK_VALUE_MAX];
	size_t len;
	uint64_t version;
};

/* What dvk_record_get() returns; NOTFOUND also when NAME cannot be one. */
DVS_MUST_USE dvs_err record_get(struct dvk *admin, const char *dc, const struct record_kind *kind,
				const char *name, struct record_value *value);
/* The first one after NAME (start with ""; room for the longest that NAME_OK takes), which is overwritten. NOTFOUND: that was all. */
DVS_MUST_USE dvs_err record_next(struct dvk *admin, const char *dc, const struct record_kind *kind,
				 char *name, struct record_value *value);
/* DOCUMENT (taken over; NULL: no memory) as the text of a record, which the caller frees. NOMEM; TOOBIG: more than a record holds. */
DVS_MUST_USE dvs_err record_print(json_t *document, char **text);
/* The record KEY is to say WHY; NULL: there is to be none. It is changed only when it is not so. */
DVS_MUST_USE dvs_err record_tell(struct dvk *admin, const char *dc, const char *key,
				 const char *why);

#endif
