/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/output.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "manage/text.h"

#define BOLD "\033[1m"
#define PLAIN "\033[0m"

bool output_format_parse(const char *word, enum output_format *format)
{
	static const char *const words[] = {
		[OUTPUT_TABLE] = "table", [OUTPUT_WIDE] = "wide", [OUTPUT_JSON] = "json",
		[OUTPUT_CSV] = "csv",	  [OUTPUT_NAME] = "name",
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (strcmp(word, words[i]) == 0) {
			*format = (enum output_format)i;
			return true;
		}
	}
	return false;
}

bool output_wants_colour(FILE *file)
{
	const char *no_colour = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	return isatty(fileno(file)) && !(no_colour && no_colour[0]) && term &&
	       strcmp(term, "dumb") != 0;
}

/* One member of a list: a word, or "FIRST-LAST" for a list of two. */
static bool put_member(FILE *out, const json_t *member)
{
	const json_t *last = json_array_get(member, 1);
	char *word = output_text(last ? json_array_get(member, 0) : member);
	char *to = last ? output_text(last) : NULL;
	bool done = word && (to || !last);

	if (done)
		fprintf(out, "%s%s%s", word, to ? "-" : "", to ? to : "");
	free(word);
	free(to);
	return done;
}

static char *list_text(const json_t *list)
{
	char *text = NULL;
	size_t text_bytes;
	FILE *out = open_memstream(&text, &text_bytes);
	bool done = out != NULL;

	if (done && json_array_size(list) == 0)
		fputs("none", out);
	for (size_t i = 0; done && i < json_array_size(list); i++) {
		if (i > 0)
			fputc(' ', out);
		done = put_member(out, json_array_get(list, i));
	}
	if (out && fclose(out) != 0)
		done = false;
	if (done)
		return text;
	free(text);
	return NULL;
}

char *output_text(const json_t *value)
{
	char *text;

	if (json_is_string(value))
		return text_printable(json_string_value(value));
	if (json_is_integer(value)) {
		if (asprintf(&text, "%" JSON_INTEGER_FORMAT, json_integer_value(value)) < 0)
			return NULL;
		return text;
	}
	if (json_is_boolean(value))
		return strdup(json_is_true(value) ? "yes" : "no");
	if (json_is_array(value))
		return list_text(value);
	return strdup("-");
}

struct grid {
	size_t n_rows;
	size_t n_columns;
	char **cell; /* row by row; row 0 is the header */
	bool *right; /* per column: all its values are numbers */
	size_t *width;
	const struct output_column **column;
};

static void grid_free(struct grid *grid)
{
	for (size_t i = 0; grid->cell && i < grid->n_rows * grid->n_columns; i++)
		free(grid->cell[i]);
	free(grid->cell);
	free(grid->right);
	free(grid->width);
	free(grid->column);
}

static bool grid_alloc(struct grid *grid, const struct output_shape *shape, size_t n_rows,
		       bool wide)
{
	*grid = (struct grid){ .n_rows = n_rows + 1 };
	grid->column = calloc(shape->n_columns, sizeof(const struct output_column *));
	if (!grid->column)
		return false;
	for (size_t i = 0; i < shape->n_columns; i++) {
		if (wide || !shape->columns[i].wide)
			grid->column[grid->n_columns++] = &shape->columns[i];
	}
	/* One more than needed: calloc() of nothing may give NULL. */
	grid->cell = calloc(grid->n_rows * grid->n_columns + 1, sizeof(char *));
	grid->right = calloc(grid->n_columns + 1, sizeof(bool));
	grid->width = calloc(grid->n_columns + 1, sizeof(size_t));
	return grid->cell && grid->right && grid->width;
}

static bool grid_fill(struct grid *grid, const json_t *rows, bool header)
{
	for (size_t c = 0; c < grid->n_columns; c++) {
		grid->right[c] = grid->n_rows > 1;
		for (size_t r = 0; r < grid->n_rows; r++) {
			const json_t *row = r == 0 ? NULL : json_array_get(rows, r - 1);
			const json_t *value = json_object_get(row, grid->column[c]->key);
			char **cell = &grid->cell[r * grid->n_columns + c];
			size_t columns;

			*cell = row ? output_text(value) : strdup(grid->column[c]->title);
			if (!*cell)
				return false;
			columns = text_columns(*cell);
			if (columns > grid->width[c] && (row || header))
				grid->width[c] = columns;
			if (row && !json_is_integer(value) && !json_is_null(value))
				grid->right[c] = false;
		}
	}
	return true;
}

static void print_padding(FILE *file, size_t n)
{
	for (; n > 0; n--)
		fputc(' ', file);
}

static void grid_print(const struct grid *grid, const struct output *output)
{
	for (size_t r = output->header ? 0 : 1; r < grid->n_rows; r++) {
		bool bold = r == 0 && output->colour;

		if (bold)
			fputs(BOLD, output->file);
		for (size_t c = 0; c < grid->n_columns; c++) {
			const char *cell = grid->cell[r * grid->n_columns + c];
			size_t padding = grid->width[c] - text_columns(cell);

			if (grid->right[c])
				print_padding(output->file, padding);
			fputs(cell, output->file);
			/* No blanks at the end of a line. */
			if (c + 1 < grid->n_columns)
				print_padding(output->file, 2 + (grid->right[c] ? 0 : padding));
		}
		if (bold)
			fputs(PLAIN, output->file);
		fputc('\n', output->file);
	}
}

static bool print_table(const struct output *output, const struct output_shape *shape,
			const json_t *rows)
{
	struct grid grid;
	bool done =
		grid_alloc(&grid, shape, json_array_size(rows), output->format == OUTPUT_WIDE) &&
		grid_fill(&grid, rows, output->header);

	if (done)
		grid_print(&grid, output);
	grid_free(&grid);
	return done;
}

/* RFC 4180: in quotes if it has to be, quotes doubled. */
static void print_csv_string(FILE *file, const char *text)
{
	if (!strpbrk(text, ",\"\r\n") && text[0] != ' ') {
		fputs(text, file);
		return;
	}
	fputc('"', file);
	for (; *text; text++) {
		if (*text == '"')
			fputc('"', file);
		fputc(*text, file);
	}
	fputc('"', file);
}

/* Strings as they are, null as nothing, booleans as JSON writes them. */
static bool print_csv_value(FILE *file, const json_t *value)
{
	if (json_is_string(value)) {
		print_csv_string(file, json_string_value(value));
	} else if (json_is_boolean(value)) {
		fputs(json_is_true(value) ? "true" : "false", file);
	} else if (value && !json_is_null(value)) {
		AUTO_FREE char *text = output_text(value);

		if (!text)
			return false;
		print_csv_string(file, text);
	}
	return true;
}

bool output_csv_line(const struct output *output, const struct output_shape *shape,
		     const json_t *object)
{
	bool done = true;

	for (size_t i = 0; i < shape->n_columns; i++) {
		if (i > 0)
			fputc(',', output->file);
		if (object)
			done &= print_csv_value(output->file,
						json_object_get(object, shape->columns[i].key));
		else
			print_csv_string(output->file, shape->columns[i].key);
	}
	fputc('\n', output->file);
	return done;
}

static bool print_csv(const struct output *output, const struct output_shape *shape,
		      const json_t *rows)
{
	bool done = true;

	if (output->header)
		done = output_csv_line(output, shape, NULL);
	for (size_t i = 0; i < json_array_size(rows); i++)
		done &= output_csv_line(output, shape, json_array_get(rows, i));
	return done;
}

/* A name that several rows in a row share (an endpoint and its backups) comes once. */
static void print_names(const struct output *output, const json_t *rows)
{
	const char *last = "";

	for (size_t i = 0; i < json_array_size(rows); i++) {
		const json_t *name = json_object_get(json_array_get(rows, i), "name");

		if (strcmp(json_string_value(name), last) != 0)
			fprintf(output->file, "%s\n", json_string_value(name));
		last = json_string_value(name);
	}
}

bool output_document(const struct output *output, json_t *members, bool line)
{
	json_t *document = json_pack("{s:i}", "schema", OUTPUT_SCHEMA);
	bool done = document && members && json_object_update(document, members) == 0;

	if (done) {
		done = json_dumpf(document, output->file, line ? JSON_COMPACT : JSON_INDENT(2)) ==
		       0;
		fputc('\n', output->file);
	}
	json_decref(document);
	json_decref(members);
	/* A file that does not take more is seen by who flushes it. */
	return done || ferror(output->file);
}

static bool print_json(const struct output *output, const struct output_shape *shape, json_t *rows)
{
	json_t *members = json_object();
	json_t *list = json_array();

	/* A list of its own, with the same rows: ROWS stays the caller's. */
	if (json_array_extend(list, rows) != 0 ||
	    json_object_set(members, shape->list, list) != 0) {
		json_decref(members);
		members = NULL;
	}
	json_decref(list);
	return output_document(output, members, false);
}

bool output_rows(const struct output *output, const struct output_shape *shape, json_t *rows)
{
	switch (output->format) {
	case OUTPUT_TABLE:
	case OUTPUT_WIDE:
		return print_table(output, shape, rows);
	case OUTPUT_JSON:
		return print_json(output, shape, rows);
	case OUTPUT_CSV:
		return print_csv(output, shape, rows);
	case OUTPUT_NAME:
		print_names(output, rows);
		return true;
	}
	return true;
}

bool output_fields(const struct output *output, const struct output_shape *shape,
		   const json_t *object)
{
	size_t width = 0;

	for (size_t i = 0; i < shape->n_columns; i++) {
		size_t columns = text_columns(shape->columns[i].title);

		if (columns > width && json_object_get(object, shape->columns[i].key))
			width = columns;
	}
	for (size_t i = 0; i < shape->n_columns; i++) {
		const json_t *value = json_object_get(object, shape->columns[i].key);
		const char *title = shape->columns[i].title;
		char *text;

		if (!value)
			continue;
		text = output_text(value);
		if (!text)
			return false;
		fprintf(output->file, "%s:", title);
		print_padding(output->file, width - text_columns(title) + 1);
		fprintf(output->file, "%s\n", text);
		free(text);
	}
	return true;
}
