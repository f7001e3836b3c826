/* SPDX-License-Identifier: Apache-2.0 */
/* dvs top, without its loop: rates from two looks, their order, and the screen they make. */
#ifndef MANAGE_TOP_H
#define MANAGE_TOP_H

#include <jansson.h>

#include "manage/snapshot.h"

enum top_sort { TOP_BY_RATE, TOP_BY_DATA, TOP_BY_SLEEPS, TOP_BY_ENDPOINT, TOP_BY_PROGRAM };

struct top_rates {
	uint64_t in; /* all per second */
	uint64_t out;
	uint64_t bytes;
	uint64_t sleeps;
};

struct top_row {
	const struct snapshot_row *now; /* in the snapshot that the view was made of */
	struct top_rates rates;
};

#define TOP_LINKS_MAX 62

/* One look at the links to other nodes. */
struct top_links {
	struct dvk_link_info info[TOP_LINKS_MAX];
	size_t n;
};

struct top_link {
	const struct dvk_link_info *now;
	struct top_rates rates; /* frames and bytes; no sleeps */
};

struct top_view {
	struct top_row *rows;
	size_t n_rows;
	struct top_rates total;
	uint64_t span_ns; /* between the two looks; 0: there was only one, the rates are 0 */
	uint64_t realtime_ns;
	struct dvk_dvs_info dvs;
	struct top_link links[TOP_LINKS_MAX];
	size_t n_links;
};

/* The word of --sort; false when it is none. */
MUST_USE bool top_sort_parse(const char *word, enum top_sort *sort);
const char *top_sort_word(enum top_sort sort);

/* Make VIEW of two looks (BEFORE may be an empty one), which must outlive it. An endpoint that
 * was bound in between has no rates yet. False: memory ran out. */
MUST_USE bool top_view_make(struct top_view *view, const struct snapshot *before,
			    const struct snapshot *now);
/* Put the links into VIEW; they must outlive it. */
void top_view_add_links(struct top_view *view, const struct top_links *before,
			const struct top_links *now);
void top_view_free(struct top_view *view);

void top_view_sort(struct top_view *view, enum top_sort sort);

/* The view as rows for output_rows(), each with the time of the look, or as one document for a
 * stream of them; the caller owns the result. NULL without memory. */
json_t *top_view_rows(const struct top_view *view);
json_t *top_view_document(const struct top_view *view);
extern const struct output_shape top_shape;

struct top_screen {
	unsigned columns;
	unsigned lines;
	size_t first; /* the row at the top */
	enum top_sort sort;
	uint32_t interval_ms;
	bool colour;
};

/* Draw VIEW into FILE as the bytes for a terminal. */
void top_draw(FILE *file, const struct top_view *view, const struct top_screen *screen);

/* How many rows of endpoints fit the screen. */
size_t top_rows_that_fit(const struct top_screen *screen);

#endif
