/* SPDX-License-Identifier: Apache-2.0 */
/* A YAML document as a tree that is compared with a table of what may stand in it.
 *
 * Each value has a reader of its own, which gets the value's node and the place where the result goes. Whatever a reader dislikes it
 * hands to document_fail(), which names the file, the line and the column of that node; the first complaint is the one
 * that is told. */
#ifndef CONFIG_DOCUMENT_H
#define CONFIG_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/error.h>
#include <yaml.h>

#include "base/compiler.h"

struct document {
	yaml_document_t yaml;
	const char *path;
	const char *manual; /* where an example stands */
	char *text;	    /* the complaint */
	size_t text_bytes;
};

/* False: document_fail() has been called. */
typedef bool (*document_reader)(struct document *document, const yaml_node_t *value, void *to);

struct document_key {
	const char *name;
	document_reader read;
	bool must_be;
};

/* Parse LEN BYTES called PATH; what it complains about goes to TEXT of TEXT_BYTES. The document is to be closed only after DVS_OK.
 * BADARG: it is no YAML, or more than one document; NOMEM. */
DVS_MUST_USE dvs_err document_open(struct document *document, const char *path, const void *bytes,
				   size_t len, char *text, size_t text_bytes);
void document_close(struct document *document);

/* Each of the documents of a file, one after the other; MANUAL is where an example of one stands. False: enough, document_fail() has been called. An empty file
 * has none. BADARG: TEXT says why; NOMEM. */
typedef bool (*document_taker)(struct document *document, void *context);
DVS_MUST_USE dvs_err document_each(const char *path, const char *manual, const void *bytes,
				   size_t len, char *text, size_t text_bytes, document_taker take,
				   void *context);

/* NULL: the document is empty. */
const yaml_node_t *document_root(struct document *document);

/* Complain about NODE: what is wrong, and what to do. Returns false. */
bool document_fail(const struct document *document, const yaml_node_t *node, const char *format,
		   ...) PRINTF_LIKE(3, 4);

/* The same at a line and column, from 1. */
bool document_fail_at(const struct document *document, size_t line, size_t column,
		      const char *format, ...) PRINTF_LIKE(4, 5);
/* The beginning of the scalar NODE, safe for a terminal. */
#define DOCUMENT_SHOWN_BYTES 44
const char *document_shown(const yaml_node_t *node, char to[DOCUMENT_SHOWN_BYTES]);
/* "a mapping", "a list", ... */
const char *document_kind(const yaml_node_t *node);

/* Read the mapping NODE by the table KEYS into TO; WHAT names it in complaints. */
bool document_map(struct document *document, const yaml_node_t *node, const char *what,
		  const struct document_key *keys, size_t n_keys, void *to);
/* Read each item of the sequence NODE with READ; at most MAX of them. */
bool document_list(struct document *document, const yaml_node_t *node, const char *what, size_t max,
		   document_reader read, void *to);

/* A text of 1 to SIZE - 1 bytes without control characters. */
bool document_text(struct document *document, const yaml_node_t *node, const char *what, char *to,
		   size_t size);
/* A name: letters, digits, '-', '_' and '.', which is not the first. */
bool document_name(struct document *document, const yaml_node_t *node, const char *what, char *to,
		   size_t size);
bool document_is_name(const char *text);
/* A whole number in [MIN, MAX], in digits. */
bool document_number(struct document *document, const yaml_node_t *node, const char *what,
		     uint64_t min, uint64_t max, uint64_t *to);
/* The place of the text in NAMES. */
bool document_choice(struct document *document, const yaml_node_t *node, const char *what,
		     const char *const *names, size_t n_names, size_t *to);

#endif
