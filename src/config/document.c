/* SPDX-License-Identifier: Apache-2.0 */
#include "config/document.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"

/* More keys than any table has. */
#define KEYS_MAX 16u
/* How much of a wrong value is shown. */
#define SHOWN_BYTES (DOCUMENT_SHOWN_BYTES - 4)

static void complain(const struct document *document, size_t line, size_t column,
		     const char *format, va_list args) PRINTF_LIKE(4, 0);

static void complain(const struct document *document, size_t line, size_t column,
		     const char *format, va_list args)
{
	int len = snprintf(document->text, document->text_bytes, "%s:%zu:%zu: ", document->path,
			   line, column);

	if (len > 0 && (size_t)len < document->text_bytes)
		(void)vsnprintf(document->text + len, document->text_bytes - (size_t)len, format,
				args);
}

bool document_fail(const struct document *document, const yaml_node_t *node, const char *format,
		   ...)
{
	va_list args;

	va_start(args, format);
	complain(document, node->start_mark.line + 1, node->start_mark.column + 1, format, args);
	va_end(args);
	return false;
}

bool document_fail_at(const struct document *document, size_t line, size_t column,
		      const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain(document, line, column, format, args);
	va_end(args);
	return false;
}

/* What libyaml says. Wrong characters it counts in bytes only. */
static void fail_parser(const struct document *document, const yaml_parser_t *parser,
			const char *bytes, size_t len)
{
	const char *problem = parser->problem ? parser->problem : "it cannot be read";
	size_t line = parser->problem_mark.line;
	size_t column = parser->problem_mark.column;

	if (parser->error == YAML_READER_ERROR) {
		line = column = 0;
		for (size_t i = 0; i < parser->problem_offset && i < len; i++) {
			column = bytes[i] == '\n' ? 0 : column + 1;
			line += bytes[i] == '\n';
		}
	}
	document_fail_at(document, line + 1, column + 1,
			 "this is not YAML: %s%s%s; see %s for an example",
			 parser->context ? parser->context : "", parser->context ? ", " : "",
			 problem, document->manual);
}

/* Nothing may follow the first document. */
static bool ends_here(const struct document *document, yaml_parser_t *parser, const char *bytes,
		      size_t len)
{
	yaml_document_t more;
	bool ends;

	if (!yaml_parser_load(parser, &more)) {
		fail_parser(document, parser, bytes, len);
		return false;
	}
	ends = yaml_document_get_root_node(&more) == NULL;
	if (!ends)
		document_fail_at(document, more.start_mark.line + 1, more.start_mark.column + 1,
				 "a second document begins here; leave only one in the file");
	yaml_document_delete(&more);
	return ends;
}

dvs_err document_open(struct document *document, const char *path, const void *bytes, size_t len,
		      char *text, size_t text_bytes)
{
	yaml_parser_t parser;
	dvs_err err = DVS_BADARG;

	memset(document, 0, sizeof(*document));
	document->path = path;
	document->manual = "dvs-node.yaml(5)";
	document->text = text;
	document->text_bytes = text_bytes;
	if (!yaml_parser_initialize(&parser))
		return DVS_NOMEM;
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, bytes, len);
	if (!yaml_parser_load(&parser, &document->yaml)) {
		fail_parser(document, &parser, bytes, len);
		err = parser.error == YAML_MEMORY_ERROR ? DVS_NOMEM : DVS_BADARG;
	} else if (!yaml_document_get_root_node(&document->yaml) ||
		   ends_here(document, &parser, bytes, len)) {
		err = DVS_OK;
	} else {
		yaml_document_delete(&document->yaml);
	}
	yaml_parser_delete(&parser);
	return err;
}

/* The next one into DOCUMENT; NOTFOUND: that was all. */
static dvs_err load(struct document *document, yaml_parser_t *parser, const char *bytes, size_t len)
{
	if (!yaml_parser_load(parser, &document->yaml)) {
		fail_parser(document, parser, bytes, len);
		return parser->error == YAML_MEMORY_ERROR ? DVS_NOMEM : DVS_BADARG;
	}
	if (yaml_document_get_root_node(&document->yaml))
		return DVS_OK;
	yaml_document_delete(&document->yaml);
	return DVS_NOTFOUND;
}

dvs_err document_each(const char *path, const char *manual, const void *bytes, size_t len,
		      char *text, size_t text_bytes, document_taker take, void *context)
{
	struct document document = {
		.path = path, .manual = manual, .text = text, .text_bytes = text_bytes
	};
	yaml_parser_t parser;
	dvs_err err = DVS_OK;

	if (!yaml_parser_initialize(&parser))
		return DVS_NOMEM;
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, bytes, len);
	while (err == DVS_OK) {
		err = load(&document, &parser, bytes, len);
		if (err != DVS_OK)
			break;
		if (!take(&document, context))
			err = DVS_BADARG;
		yaml_document_delete(&document.yaml);
	}
	yaml_parser_delete(&parser);
	return err == DVS_NOTFOUND ? DVS_OK : err;
}

void document_close(struct document *document)
{
	yaml_document_delete(&document->yaml);
}

const yaml_node_t *document_root(struct document *document)
{
	return yaml_document_get_root_node(&document->yaml);
}

/* The text of NODE as it can be shown: short, and nothing that steers a terminal. */
const char *document_shown(const yaml_node_t *node, char to[DOCUMENT_SHOWN_BYTES])
{
	size_t len = node->data.scalar.length;
	size_t n = len < SHOWN_BYTES ? len : SHOWN_BYTES;

	for (size_t i = 0; i < n; i++) {
		unsigned char byte = node->data.scalar.value[i];

		to[i] = byte < 0x20 || byte >= 0x7f ? '?' : (char)byte;
	}
	memcpy(to + n, len > n ? "..." : "", len > n ? 4 : 1);
	return to;
}

const char *document_kind(const yaml_node_t *node)
{
	switch (node->type) {
	case YAML_MAPPING_NODE:
		return "a mapping";
	case YAML_SEQUENCE_NODE:
		return "a list";
	case YAML_SCALAR_NODE:
		return node->data.scalar.length == 0 ? "nothing" : "one value";
	case YAML_NO_NODE:
		break;
	}
	return "nothing";
}

/* NODE as a text without zero bytes, NULL after a complaint. */
static const char *scalar(const struct document *document, const yaml_node_t *node,
			  const char *what)
{
	const char *value;

	if (node->type != YAML_SCALAR_NODE) {
		document_fail(document, node, "%s is one value, but here stands %s", what,
			      document_kind(node));
		return NULL;
	}
	value = (const char *)node->data.scalar.value;
	if (node->data.scalar.length == 0) {
		document_fail(document, node, "%s is empty; give it a value or leave the line out",
			      what);
		return NULL;
	}
	if (strlen(value) != node->data.scalar.length) {
		document_fail(document, node, "%s has a zero byte in it; leave it out", what);
		return NULL;
	}
	return value;
}

static bool unknown_key(const struct document *document, const yaml_node_t *node, const char *what,
			const struct document_key *keys, size_t n_keys)
{
	const char *names[KEYS_MAX];
	const char *nearest;
	char list[256] = "";
	size_t used = 0;
	char text[SHOWN_BYTES + 4];

	for (size_t i = 0; i < n_keys && i < KEYS_MAX; i++) {
		names[i] = keys[i].name;
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s",
					 i == 0 ? "" : ", ", keys[i].name);
	}
	nearest = nearest_word((const char *)node->data.scalar.value, names, n_keys);
	if (nearest)
		return document_fail(document, node, "%s has no key '%s'; did you mean '%s'?", what,
				     document_shown(node, text), nearest);
	return document_fail(document, node, "%s has no key '%s'; there are %s", what,
			     document_shown(node, text), list);
}

/* Which of KEYS the NODE names; N_KEYS after a complaint. */
static size_t find_key(const struct document *document, const yaml_node_t *node, const char *what,
		       const struct document_key *keys, size_t n_keys)
{
	const char *name = scalar(document, node, "a key");

	if (!name)
		return n_keys;
	for (size_t i = 0; i < n_keys; i++) {
		if (strcmp(keys[i].name, name) == 0)
			return i;
	}
	unknown_key(document, node, what, keys, n_keys);
	return n_keys;
}

bool document_map(struct document *document, const yaml_node_t *node, const char *what,
		  const struct document_key *keys, size_t n_keys, void *to)
{
	unsigned int seen = 0;

	if (node->type != YAML_MAPPING_NODE)
		return document_fail(document, node,
				     "%s is a mapping of keys to values, but here stands %s", what,
				     document_kind(node));
	for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
	     pair < node->data.mapping.pairs.top; pair++) {
		const yaml_node_t *key = yaml_document_get_node(&document->yaml, pair->key);
		const yaml_node_t *value = yaml_document_get_node(&document->yaml, pair->value);
		size_t i = find_key(document, key, what, keys, n_keys);

		if (i == n_keys)
			return false;
		if (seen & 1u << i)
			return document_fail(document, key, "'%s' stands here twice; leave out one",
					     keys[i].name);
		seen |= 1u << i;
		if (!keys[i].read(document, value, to))
			return false;
	}
	for (size_t i = 0; i < n_keys; i++) {
		if (keys[i].must_be && !(seen & 1u << i))
			return document_fail(document, node, "%s lacks the key '%s'", what,
					     keys[i].name);
	}
	return true;
}

bool document_list(struct document *document, const yaml_node_t *node, const char *what, size_t max,
		   document_reader read, void *to)
{
	size_t n = 0;

	if (node->type != YAML_SEQUENCE_NODE)
		return document_fail(document, node,
				     "%s is a list ([a, b] or lines that begin with"
				     " '-'), but here stands %s",
				     what, document_kind(node));
	for (const yaml_node_item_t *item = node->data.sequence.items.start;
	     item < node->data.sequence.items.top; item++) {
		const yaml_node_t *value = yaml_document_get_node(&document->yaml, *item);

		if (n++ == max)
			return document_fail(document, value, "%s has more than %zu entries", what,
					     max);
		if (!read(document, value, to))
			return false;
	}
	return true;
}

bool document_text(struct document *document, const yaml_node_t *node, const char *what, char *to,
		   size_t size)
{
	const char *value = scalar(document, node, what);

	if (!value)
		return false;
	if (strlen(value) >= size)
		return document_fail(document, node, "%s is longer than %zu bytes", what, size - 1);
	for (const char *at = value; *at; at++) {
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			return document_fail(document, node, "%s has a control character in it",
					     what);
	}
	memcpy(to, value, strlen(value) + 1);
	return true;
}

static bool is_of_a_name(char byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
	       (byte >= '0' && byte <= '9') || byte == '-' || byte == '_' || byte == '.';
}

bool document_is_name(const char *text)
{
	if (text[0] == '\0' || text[0] == '.')
		return false;
	while (is_of_a_name(*text))
		text++;
	return *text == '\0';
}

bool document_name(struct document *document, const yaml_node_t *node, const char *what, char *to,
		   size_t size)
{
	char text[SHOWN_BYTES + 4];

	if (!document_text(document, node, what, to, size))
		return false;
	if (!document_is_name(to))
		return document_fail(document, node,
				     "%s '%s' is not made of letters, digits, '-', '_' and '.' (not"
				     " first)",
				     what, document_shown(node, text));
	return true;
}

bool document_number(struct document *document, const yaml_node_t *node, const char *what,
		     uint64_t min, uint64_t max, uint64_t *to)
{
	const char *value = scalar(document, node, what);
	char text[SHOWN_BYTES + 4];
	unsigned long long number;

	if (!value)
		return false;
	errno = 0;
	number = strtoull(value, NULL, 10);
	if (strspn(value, "0123456789") != strlen(value) || errno != 0 || number < min ||
	    number > max)
		return document_fail(document, node,
				     "%s '%s' is not a whole number from %llu to %llu", what,
				     document_shown(node, text), (unsigned long long)min,
				     (unsigned long long)max);
	*to = number;
	return true;
}

bool document_choice(struct document *document, const yaml_node_t *node, const char *what,
		     const char *const *names, size_t n_names, size_t *to)
{
	const char *value = scalar(document, node, what);
	const char *nearest;
	char list[256] = "";
	char text[SHOWN_BYTES + 4];
	size_t used = 0;

	if (!value)
		return false;
	for (size_t i = 0; i < n_names; i++) {
		if (strcmp(names[i], value) == 0) {
			*to = i;
			return true;
		}
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s",
					 i == 0		  ? "" :
					 i + 1 == n_names ? " or " :
							    ", ",
					 names[i]);
	}
	nearest = nearest_word(value, names, n_names);
	if (nearest)
		return document_fail(document, node, "%s '%s' is not known; did you mean '%s'?",
				     what, document_shown(node, text), nearest);
	return document_fail(document, node, "%s '%s' is none of %s", what,
			     document_shown(node, text), list);
}
