/* SPDX-License-Identifier: Apache-2.0 */
/* The forms of output. A command describes each thing as a flat JSON object; the table, the
 * wide table, CSV and names are views of that object, so that all forms always agree.
 *
 * The JSON form is a promise: fields are added, never renamed; OUTPUT_SCHEMA counts up if one
 * ever has to change its meaning. */
#ifndef MANAGE_OUTPUT_H
#define MANAGE_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/compiler.h"

#define OUTPUT_SCHEMA 1

enum output_format {
	OUTPUT_TABLE,
	OUTPUT_WIDE,
	OUTPUT_JSON,
	OUTPUT_CSV,
	OUTPUT_NAME,
};

#define OUTPUT_CAN(format) (1u << (format))
#define OUTPUT_CAN_ALL 0x1fu

struct output {
	FILE *file;
	enum output_format format;
	bool header;
	bool colour;
};

struct output_column {
	const char *title;
	const char *key;
	bool wide; /* only in the wide form (and in CSV) */
};

struct output_shape {
	const char *list; /* the member of the JSON document that holds the rows */
	const struct output_column *columns;
	size_t n_columns;
};

/* The word of -o, e.g. "json"; false when WORD is none. */
MUST_USE bool output_format_parse(const char *word, enum output_format *format);

/* Whether FILE should get colours: a terminal that can, and nobody who said NO_COLOR. */
MUST_USE bool output_wants_colour(FILE *file);

/* Print ROWS, an array of flat objects with a member "name", in the form chosen.
 * False: memory ran out. */
MUST_USE bool output_rows(const struct output *output, const struct output_shape *shape,
			  json_t *rows);

/* Print one JSON document: MEMBERS with the schema's number before them. With LINE in one
 * line, for a stream of documents. Frees MEMBERS. False: memory ran out (MEMBERS may be NULL). */
MUST_USE bool output_document(const struct output *output, json_t *members, bool line);

/* Print "title: value" lines of one object, in the order of the columns; those whose member is
 * missing are left out. False: memory ran out. */
MUST_USE bool output_fields(const struct output *output, const struct output_shape *shape,
			    const json_t *object);

/* One line of CSV of OBJECT by the columns; OBJECT NULL: the header. */
MUST_USE bool output_csv_line(const struct output *output, const struct output_shape *shape,
			      const json_t *object);

/* VALUE as the table shows it: "-" for null, lists separated by blanks; the caller frees it. */
MUST_USE char *output_text(const json_t *value);

#endif
