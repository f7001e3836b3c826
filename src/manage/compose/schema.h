/* SPDX-License-Identifier: Apache-2.0 */
/* What may stand in a dvs.yaml: one table, from which the file is read, and its manual page's list of keys and the JSON schema are
 * made. A new key is one row. */
#ifndef MANAGE_COMPOSE_SCHEMA_H
#define MANAGE_COMPOSE_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

enum schema_part {
	SCHEMA_DC = 1,
	SCHEMA_PROGRAM = 2,
	SCHEMA_SERVER = 4,
	SCHEMA_HEALTH = 8,
	SCHEMA_VOLUME = 16,
	SCHEMA_DEVICE = 32,
	SCHEMA_IO = 64,
	SCHEMA_CAPABILITIES = 128,
	SCHEMA_DISK = 256,
	SCHEMA_FILESYSTEM = 512,
};

enum schema_kind {
	SCHEMA_NAME, /* of a DC */
	SCHEMA_TEXT,
	SCHEMA_NUMBER,	 /* min to max */
	SCHEMA_CPUS,	 /* 1.5 */
	SCHEMA_BYTES,	 /* 256M */
	SCHEMA_DURATION, /* 10s */
	SCHEMA_BOOL,
	SCHEMA_CHOICE,	    /* one of names */
	SCHEMA_TEXTS,	    /* a list, or one text */
	SCHEMA_COMMAND,	    /* a list, or a text that is split into words */
	SCHEMA_PAIRS,	    /* a mapping of texts, or a list of NAME=VALUE */
	SCHEMA_RLIMITS,	    /* NOFILE: 1024, or [1024, 4096] */
	SCHEMA_SIZES,	    /* a mapping to sizes */
	SCHEMA_REPLICAS,    /* a number or "each" */
	SCHEMA_ROOT,	    /* host or a directory */
	SCHEMA_IMAGE,	    /* NAME or NAME@sha256:HEX */
	SCHEMA_NODES,	    /* a list, or "all" */
	SCHEMA_ENDPOINT,    /* of a server */
	SCHEMA_MAPPING,	    /* of part sub */
	SCHEMA_VOLUMES,	    /* a list of part sub, or of SOURCE:TARGET[:ro] */
	SCHEMA_DEVICES,	    /* a list of part sub, or of PATH[:rwm] */
	SCHEMA_LIST,	    /* of part sub */
	SCHEMA_PROGRAMS,    /* a mapping of names to part sub */
	SCHEMA_DISKS,	    /* the same */
	SCHEMA_FILESYSTEMS, /* the same */
};

struct schema_row {
	unsigned int parts; /* or-ed: where the key may stand */
	const char *key;
	const char *json; /* what it is called in the description or program */
	enum schema_kind kind;
	uint64_t min, max;
	const char *const *names; /* of a choice, ended by NULL */
	enum schema_part sub;
	bool must_be;
	const char *fallback; /* what is taken when it is missing, for people; NULL: nothing */
	const char *doc;
};

extern const struct schema_row schema_rows[];
extern const size_t schema_n_rows;

/* The row of KEY in PART; NULL: there is none. */
const struct schema_row *schema_find(enum schema_part part, const char *key);
/* The same by its name in JSON. */
const struct schema_row *schema_find_json(enum schema_part part, const char *json);
/* The names of PART's keys, ended by NULL; NAMES has room for SCHEMA_KEYS_MAX. */
#define SCHEMA_KEYS_MAX 48u
size_t schema_keys(enum schema_part part, const char **names);

/* The table as a JSON schema; NULL: no memory. */
json_t *schema_json(void);

#endif
