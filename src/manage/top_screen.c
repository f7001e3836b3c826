/* SPDX-License-Identifier: Apache-2.0 */
/* The screen of dvs top. Each line is made whole and then cut to the width of the terminal, so
 * that nothing wraps; a line clears its own rest, so that nothing flickers. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "manage/describe.h"
#include "manage/text.h"
#include "manage/top.h"

#define HOME "\033[H"
#define CLEAR_LINE "\033[K"
#define CLEAR_BELOW "\033[J"
#define REVERSE "\033[7m"
#define BOLD "\033[1m"
#define PLAIN "\033[0m"

#define LINES_AROUND 5 /* two of figures, the links, the titles, the keys */
#define NAME_COLUMNS_MIN 8
#define NAME_COLUMNS_MAX 24

size_t top_rows_that_fit(const struct top_screen *screen)
{
	return screen->lines > LINES_AROUND ? screen->lines - LINES_AROUND : 1;
}

/* One line of the screen; LAST ones have no end, or the terminal would scroll. */
static void put_line(FILE *file, const struct top_screen *screen, const char *style,
		     const char *text, bool last)
{
	if (screen->colour || strcmp(style, REVERSE) == 0)
		fputs(style, file);
	fwrite(text, 1, text_cut(text, screen->columns), file);
	fputs(PLAIN CLEAR_LINE, file);
	if (!last)
		fputc('\n', file);
}

/* All links in one line: what does not fit is in dvs proxy ls. Nothing on a node that is alone. */
static void draw_links(FILE *file, const struct top_view *view, const struct top_screen *screen)
{
	AUTO_FREE char *text = NULL;
	size_t text_bytes;
	FILE *line = open_memstream(&text, &text_bytes);

	if (!line)
		return;
	for (size_t i = 0; i < view->n_links; i++) {
		const struct top_link *link = &view->links[i];
		char in[TEXT_SHORT_BYTES];
		char out[TEXT_SHORT_BYTES];
		char bytes[TEXT_SHORT_BYTES];

		fprintf(line, "%s%u ", i ? "  | " : "links  ", link->now->node.n);
		if (!link->now->up) {
			fputs("down", line);
			continue;
		}
		text_short(link->rates.in, in);
		text_short(link->rates.out, out);
		text_short(link->rates.bytes, bytes);
		fprintf(line, "%s frames/s in %s out %s bytes/s %s", link->now->transport, in, out,
			bytes);
	}
	if (fclose(line) == 0)
		put_line(file, screen, "", text, false);
}

static void draw_figures(FILE *file, const struct top_view *view, const struct top_screen *screen)
{
	char in[TEXT_SHORT_BYTES];
	char out[TEXT_SHORT_BYTES];
	char bytes[TEXT_SHORT_BYTES];
	char sleeps[TEXT_SHORT_BYTES];
	char up[TEXT_SHORT_BYTES];
	char clock[16] = "";
	char line[256];
	time_t now = (time_t)(view->realtime_ns / CLOCK_NS_PER_S);
	struct tm local;

	if (localtime_r(&now, &local))
		strftime(clock, sizeof(clock), "%H:%M:%S", &local);
	text_span(view->realtime_ns > view->dvs.started_ns ?
			  (view->realtime_ns - view->dvs.started_ns) / CLOCK_NS_PER_S :
			  0,
		  up);
	snprintf(line, sizeof(line),
		 "dvs top %s  up %s  node %u of %u  DCs %u  endpoints %zu  channels %u", clock, up,
		 view->dvs.node.n, view->dvs.n_nodes, view->dvs.n_dcs, view->n_rows,
		 view->dvs.n_channels);
	put_line(file, screen, BOLD, line, false);
	text_short(view->total.in, in);
	text_short(view->total.out, out);
	text_short(view->total.bytes, bytes);
	text_short(view->total.sleeps, sleeps);
	snprintf(line, sizeof(line),
		 "messages/s in %s out %s  bytes/s %s  sleeps/s %s  by %s  every %.1f s", in, out,
		 bytes, sleeps, top_sort_word(screen->sort), screen->interval_ms / 1000.0);
	put_line(file, screen, "", line, false);
	draw_links(file, view, screen);
}

static size_t name_columns(const struct top_view *view)
{
	size_t widest = NAME_COLUMNS_MIN;

	for (size_t i = 0; i < view->n_rows; i++) {
		const struct snapshot_row *row = view->rows[i].now;
		size_t columns =
			(size_t)snprintf(NULL, 0, "%s/%u", row->dc, dvs_ep_number(row->info.ep));

		if (columns > widest)
			widest = columns;
	}
	return widest < NAME_COLUMNS_MAX ? widest : NAME_COLUMNS_MAX;
}

/* The text of a member of OBJECT in WIDTH columns, to the right if that is negative. */
static void put_cell(FILE *line, const json_t *object, const char *key, int width)
{
	AUTO_FREE char *text = output_text(json_object_get(object, key));
	size_t room = (size_t)abs(width);
	size_t len;
	int padding;

	if (!text)
		return;
	len = text_cut(text, room);
	text[len] = '\0';
	padding = (int)(room - text_columns(text));
	if (width < 0)
		fprintf(line, "%*s%s ", padding, "", text);
	else
		fprintf(line, "%s%*s ", text, padding, "");
}

static void put_rate(FILE *line, uint64_t rate)
{
	char text[TEXT_SHORT_BYTES];

	text_short(rate, text);
	fprintf(line, "%6s ", text);
}

static void draw_row(FILE *file, const struct top_row *row, const struct top_screen *screen,
		     int name_width)
{
	AUTO_FREE char *text = NULL;
	size_t text_bytes;
	json_t *object = describe_endpoint(row->now->dc, &row->now->info);
	FILE *line = object ? open_memstream(&text, &text_bytes) : NULL;

	if (line) {
		put_cell(line, object, "name", name_width);
		put_cell(line, object, "pid", -7);
		put_cell(line, object, "program", 12);
		put_cell(line, object, "state", 9);
		put_cell(line, object, "partner", 8);
		put_rate(line, row->rates.in);
		put_rate(line, row->rates.out);
		put_rate(line, row->rates.bytes);
		put_rate(line, row->rates.sleeps);
		if (fclose(line) == 0)
			put_line(file, screen, "", text, false);
	}
	json_decref(object);
}

void top_draw(FILE *file, const struct top_view *view, const struct top_screen *screen)
{
	int name_width = (int)name_columns(view);
	size_t fits = top_rows_that_fit(screen);
	size_t end = view->n_rows - screen->first < fits ? view->n_rows : screen->first + fits;
	char line[128];

	fputs(HOME, file);
	draw_figures(file, view, screen);
	snprintf(line, sizeof(line), "%-*s %7s %-12s %-9s %-8s %6s %6s %6s %6s ", name_width,
		 "ENDPOINT", "PID", "PROGRAM", "STATE", "PARTNER", "IN/S", "OUT/S", "BYTES",
		 "SLEEPS");
	put_line(file, screen, REVERSE, line, false);
	for (size_t i = screen->first; i < end; i++)
		draw_row(file, &view->rows[i], screen, name_width);
	for (size_t i = end - screen->first; i < fits; i++)
		put_line(file, screen, "", "", false);
	put_line(file, screen, BOLD,
		 "q quit  sort by: r rate  d data  s sleeps  e endpoint  p program  arrows scroll",
		 true);
	fputs(CLEAR_BELOW, file);
}
