/* SPDX-License-Identifier: Apache-2.0 */
/* JSON values compared with a table of what may stand in them.
 *
 * Every reader gets the place of the value (for complaints), the value, its row of the table and where the result goes. What it dislikes it hands to
 * reader_fail(), which writes "PATH: SENTENCE" and returns false; PATH is such as "io[0].device", so that whoever made the document
 * from something else can find the spot again. */
#ifndef CONTAINER_READER_H
#define CONTAINER_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/compiler.h"
#include "container/description.h"

struct reader {
	const char *what; /* "the description" */
	char *why;	  /* room for DESCRIPTION_TEXT_MAX */
};

/* A chain on the stack, from the value up to the document. */
struct place {
	struct reader *reader;
	const struct place *up; /* NULL: the document */
	const char *key;	/* NULL: a list's entry */
	size_t index;
};

struct reader_key;
typedef bool (*reader_call)(const struct place *place, const json_t *value,
			    const struct reader_key *row, void *to);

struct reader_key {
	const char *name;
	reader_call read;
	size_t offset; /* of the result in the struct that is read into */
	uint64_t min, max;
	const char *const *names; /* of a choice; ended by NULL */
	bool must_be;
};

bool reader_fail(const struct place *place, const char *format, ...) PRINTF_LIKE(2, 3);

/* Read the object VALUE by the rows KEYS into TO. */
bool reader_object(const struct place *place, const json_t *value, const struct reader_key *keys,
		   size_t n_keys, void *to);
/* A text without zero bytes and control characters, of MIN to MAX bytes; NULL after a complaint. */
const char *reader_text(const struct place *place, const json_t *value, size_t min, size_t max);
/* A whole number in [MIN, MAX]. */
bool reader_number(const struct place *place, const json_t *value, uint64_t min, uint64_t max,
		   uint64_t *to);
/* A list of MIN to MAX entries. */
bool reader_is_list(const struct place *place, const json_t *value, size_t min, size_t max);
/* An object with at most MAX keys. */
bool reader_is_object(const struct place *place, const json_t *value, size_t max);
/* An absolute path without "." and "..", "//" and "/" at its end; NULL after a complaint. */
const char *reader_path(const struct place *place, const json_t *value);
/* "there is no 'WORD'; did you mean ...", with NAMES ended by NULL. Returns false. */
bool reader_unknown(const struct place *place, const char *word, const char *const *names);
/* An object of texts into at most MAX pairs; names as of environment variables. */
bool reader_env(const struct place *place, const json_t *value, struct description_pair *pairs,
		size_t max, size_t *n);
/* An object NAME: [SOFT, HARD]. */
bool reader_rlimits(const struct place *place, const json_t *value,
		    struct description_rlimit *rlimits, size_t max, size_t *n);

/* Rows' readers: what they read goes to TO + row->offset. */
bool read_text(const struct place *place, const json_t *value, const struct reader_key *row,
	       void *to); /* const char *, of min to max bytes */
bool read_path(const struct place *place, const json_t *value, const struct reader_key *row,
	       void *to); /* const char * */
bool read_u64(const struct place *place, const json_t *value, const struct reader_key *row,
	      void *to);
bool read_u32(const struct place *place, const json_t *value, const struct reader_key *row,
	      void *to);
bool read_bool(const struct place *place, const json_t *value, const struct reader_key *row,
	       void *to);
/* uint32_t: min + the place in names. */
bool read_choice(const struct place *place, const json_t *value, const struct reader_key *row,
		 void *to);

/* Parse LEN BYTES; what is no JSON is a complaint. NULL: BADARG or NOMEM in *ERR. */
json_t *reader_parse(const char *what, const void *bytes, size_t len, char *why, dvs_err *err);

#endif
