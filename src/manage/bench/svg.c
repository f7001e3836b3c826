/* SPDX-License-Identifier: Apache-2.0 */
/* Results as a picture: a panel per cell, a bar per system, the round trip on a logarithmic scale that all
 * panels share, so that bars can be compared across the page; a whisker shows the spread of the repeats. */
#include <math.h>

#include "base/compiler.h"
#include "manage/bench/internal.h"

enum {
	COLUMNS = 3,
	PANEL_WIDTH = 430,
	NAME_WIDTH = 120,
	VALUE_WIDTH = 62, /* right of the longest bar */
	ROW_HEIGHT = 18,
	BAR_HEIGHT = 11,
	PANEL_HEAD = 46, /* title and scale */
	PANEL_GAP = 18,
	PAGE_HEAD = 64,
	MARGIN = 20,
	TEXT_BYTES = 64,
	DECADES_WITH_LABELS = 5,
};

struct scale {
	double low_ns; /* both powers of ten */
	double high_ns;
};

static struct scale scale_of(const struct bench_result *results, size_t count)
{
	double min_ns = results[0].rt_ns.min, max_ns = results[0].rt_ns.max;
	struct scale scale;

	for (size_t i = 1; i < count; i++) {
		min_ns = fmin(min_ns, results[i].rt_ns.min);
		max_ns = fmax(max_ns, results[i].rt_ns.max);
	}
	scale.low_ns = pow(10, floor(log10(fmax(min_ns, 1))));
	scale.high_ns = pow(10, ceil(log10(fmax(max_ns, 1))));
	if (scale.high_ns <= scale.low_ns)
		scale.high_ns = scale.low_ns * 10;
	/* The shortest bar still has a length. */
	if (min_ns < scale.low_ns * 1.3)
		scale.low_ns /= 10;
	return scale;
}

static double scale_x(const struct scale *scale, double ns)
{
	const double width = PANEL_WIDTH - NAME_WIDTH - VALUE_WIDTH;
	double part = log10(fmax(ns, 1e-3) / scale->low_ns) / log10(scale->high_ns / scale->low_ns);

	return NAME_WIDTH + width * fmin(fmax(part, 0), 1);
}

static void draw_scale(FILE *out, const struct scale *scale, double height)
{
	int decades = (int)lround(log10(scale->high_ns / scale->low_ns));

	for (int i = 0; i <= decades; i++) {
		double ns = scale->low_ns * pow(10, i);
		double x = scale_x(scale, ns);
		double unit_ns = ns < 999 ? 1 : ns < 999e3 ? 1e3 : ns < 999e6 ? 1e6 : 1e9;
		const char *unit = ns < 999 ? "ns" : ns < 999e3 ? "µs" : ns < 999e6 ? "ms" : "s";

		fprintf(out,
			"<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%.1f\"/>\n", x,
			x, PANEL_HEAD - 6, height);
		/* Labels need more room than lines. */
		if (i % (decades > DECADES_WITH_LABELS ? 2 : 1) == 0)
			fprintf(out, "<text class=\"tick\" x=\"%.1f\" y=\"%d\">%.4g %s</text>\n", x,
				PANEL_HEAD - 10, ns / unit_ns, unit);
	}
}

static const char *bar_class(const struct bench_system *system)
{
	switch (system->class) {
	case BENCH_DVS:
		return "dvs";
	case BENCH_LIMIT:
		return "limit";
	case BENCH_KERNEL:
		return "kernel";
	}
	return "kernel";
}

static void draw_bar(FILE *out, const struct scale *scale, const struct bench_result *result, int y)
{
	double end = scale_x(scale, result->rt_ns.median);
	double low = scale_x(scale, result->rt_ns.min);
	double high = scale_x(scale, result->rt_ns.max);
	int middle = y + BAR_HEIGHT / 2;
	char text[TEXT_BYTES];

	fprintf(out, "<text class=\"name\" x=\"%d\" y=\"%d\">%s</text>\n", NAME_WIDTH - 6,
		y + BAR_HEIGHT - 1, result->system->name);
	fprintf(out, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\"/>\n",
		bar_class(result->system), NAME_WIDTH, y, end - NAME_WIDTH, BAR_HEIGHT);
	fprintf(out, "<path class=\"whisker\" d=\"M%.1f %dH%.1fM%.1f %dv6M%.1f %dv6\"/>\n", low,
		middle, high, low, middle - 3, high, middle - 3);
	fprintf(out, "<text class=\"value\" x=\"%.1f\" y=\"%d\">%s</text>\n", fmax(end, high) + 5,
		y + BAR_HEIGHT - 1, bench_format_ns(result->rt_ns.median, text, sizeof(text)));
}

static void draw_panel(FILE *out, const struct scale *scale, const struct bench_result *results,
		       size_t count, int x, int y)
{
	const struct bench_cell *cell = results[0].cell;
	char label[TEXT_BYTES];

	fprintf(out, "<g transform=\"translate(%d %d)\">\n", x, y);
	fprintf(out, "<text class=\"title\" x=\"0\" y=\"16\">%s, %s</text>\n",
		bench_pattern_name(cell->pattern), bench_cell_label(cell, label, sizeof(label)));
	draw_scale(out, scale, PANEL_HEAD + (double)count * ROW_HEIGHT);
	for (size_t i = 0; i < count; i++)
		draw_bar(out, scale, &results[i], PANEL_HEAD + (int)i * ROW_HEIGHT);
	fputs("</g>\n", out);
}

/* How many results from the first on belong to its cell. */
static size_t cell_length(const struct bench_result *results, size_t count)
{
	size_t n = 1;

	while (n < count && results[n].cell == results[0].cell)
		n++;
	return n;
}

static void draw_head(FILE *out, const struct bench_suite *suite, int width, int height)
{
	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n"
		"<style>\n"
		"text{font:11px sans-serif;fill:#333}\n"
		".head{font-size:18px;font-weight:bold}.title{font-size:13px;font-weight:bold}\n"
		".name{text-anchor:end}.tick{text-anchor:middle;fill:#777;font-size:10px}\n"
		".grid{stroke:#e2e2e2}.whisker{stroke:#333;fill:none}\n"
		".dvs{fill:#d9480f}.kernel{fill:#74a9cf}.limit{fill:#bdbdbd}\n"
		"</style>\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
		width, height, width, height);
	fprintf(out,
		"<text class=\"head\" x=\"%d\" y=\"30\">dvs bench %s: round trip, shorter is better</text>\n",
		MARGIN, suite->name);
	fprintf(out,
		"<g transform=\"translate(%d 42)\"><rect class=\"dvs\" width=\"11\" height=\"11\"/>"
		"<text x=\"16\" y=\"10\">dvs</text><rect class=\"kernel\" x=\"60\" width=\"11\" height=\"11\"/>"
		"<text x=\"76\" y=\"10\">%s</text>"
		"<rect class=\"limit\" x=\"200\" width=\"11\" height=\"11\"/>"
		"<text x=\"216\" y=\"10\">%s</text>"
		"<text x=\"500\" y=\"10\">bar: median, whisker: all repeats</text></g>\n",
		MARGIN, suite->svg_kernel, suite->svg_limit);
}

/* Panels in rows of COLUMNS; a row is as high as its highest panel. Returns the height of the page;
 * draws only when OUT is not NULL. */
static int layout(FILE *out, const struct bench_result *results, size_t count)
{
	struct scale scale = scale_of(results, count);
	int y = PAGE_HEAD, row_height = 0, column = 0;

	for (size_t i = 0; i < count;) {
		size_t n = cell_length(results + i, count - i);
		int height = PANEL_HEAD + (int)n * ROW_HEIGHT + PANEL_GAP;

		if (column == COLUMNS) {
			y += row_height;
			column = row_height = 0;
		}
		if (out)
			draw_panel(out, &scale, results + i, n, MARGIN + column * PANEL_WIDTH, y);
		row_height = height > row_height ? height : row_height;
		column++;
		i += n;
	}
	return y + row_height;
}

void bench_report_svg(FILE *out, const struct bench_result *results, size_t count)
{
	if (count == 0)
		return;
	draw_head(out, results[0].suite, 2 * MARGIN + COLUMNS * PANEL_WIDTH,
		  layout(NULL, results, count));
	layout(out, results, count);
	fputs("</svg>\n", out);
}
