/* SPDX-License-Identifier: Apache-2.0 */
/* Results as JSON for machines and as a table for people. */
#include <string.h>

#include "manage/bench/fs/files.h"
#include "manage/bench/internal.h"

enum { CELL_BYTES = 48, FIGURE_WIDTH = 13 };

const char *bench_format_ns(double ns, char *text, size_t text_bytes)
{
	static const struct {
		double ns;
		const char *name;
	} units[] = { { 1, "ns" }, { 1e3, "µs" }, { 1e6, "ms" }, { 1e9, "s" } };
	size_t i = 0;
	double value;

	while (i < 3 && ns >= 999.5 * units[i].ns)
		i++;
	value = ns / units[i].ns;
	snprintf(text, text_bytes, "%.*f %s",
		 value < 9.995 ? 2 :
		 value < 99.95 ? 1 :
				 0,
		 value, units[i].name);
	return text;
}

const char *bench_format_rate(double per_s, char *text, size_t text_bytes)
{
	if (per_s < 9999.5)
		snprintf(text, text_bytes, "%.0f", per_s);
	else if (per_s < 999.5e3)
		snprintf(text, text_bytes, "%.1f k", per_s / 1e3);
	else
		snprintf(text, text_bytes, "%.2f M", per_s / 1e6);
	return text;
}

void bench_report_json(FILE *out, const struct bench_result *result)
{
	const struct bench_cell *cell = result->cell;
	const struct bench_pattern_row *row = bench_pattern_row(cell->pattern);

	fprintf(out, "{\"bench\":\"%s\",\"pattern\":\"%s\",", result->suite->name,
		bench_pattern_name(cell->pattern));
	if (row->is_of_disks)
		fprintf(out, "\"depth\":%u,\"replicas\":%u,\"place\":\"%s\",", cell->clients,
			cell->servers, cell->remote ? "remote" : "local");
	else if (row->is_of_files)
		fprintf(out, "\"depth\":%u,\"files\":%zu,\"store\":\"%s\",\"place\":\"%s\",",
			cell->clients, row->counts_files ? cell->bytes : (size_t)0,
			bench_files_store_name((enum files_store)cell->servers),
			cell->remote ? "remote" : "local");
	else
		fprintf(out, "\"clients\":%u,\"servers\":%u,", cell->clients, cell->servers);
	fprintf(out,
		"\"bytes\":%zu,"
		"\"system\":\"%s\",\"rt_ns\":%.1f,\"rt_ns_min\":%.1f,\"rt_ns_max\":%.1f,"
		"\"msg_per_s\":%.0f,\"mb_per_s\":%.3f,\"cpu\":%.4f,\"repeats\":%u",
		row->counts_files ? (size_t)0 : cell->bytes, result->system->name,
		result->rt_ns.median, result->rt_ns.min, result->rt_ns.max, result->msg_per_s,
		result->mb_per_s, result->cpu, result->repeats);
	if (row->shows_memory)
		fprintf(out, ",\"memory_bytes\":%.0f", result->memory_bytes);
	for (size_t f = 0; f < BENCH_FIGURES && row->figures[f].name; f++)
		fprintf(out, ",\"%s\":%.0f", row->figures[f].name, result->figures[f]);
	fputs("}\n", out);
}

/* The width of a terminal column counts characters, printf counts bytes. */
static void print_right(FILE *out, const char *text, int width)
{
	int shown = 0;

	for (const char *c = text; *c; c++)
		shown += (*c & 0xc0) != 0x80;
	fprintf(out, "%*s%s", shown < width ? width - shown : 0, "", text);
}

/* How many times as fast as the one it is compared with. */
static void print_ratio(FILE *out, const struct bench_result *result,
			const struct bench_result *other)
{
	char text[CELL_BYTES] = "-";
	bool by_rate = bench_pattern_row(result->cell->pattern)->by_rate;

	if (other)
		snprintf(text, sizeof(text), "%.2f",
			 by_rate ? result->msg_per_s / other->msg_per_s :
				   other->rt_ns.median / result->rt_ns.median);
	print_right(out, text, 12);
}

static void print_figures(FILE *out, const struct bench_result *result)
{
	const struct bench_pattern_row *row = bench_pattern_row(result->cell->pattern);
	char text[CELL_BYTES];

	for (size_t f = 0; f < BENCH_FIGURES && row->figures[f].name; f++) {
		if (row->figures[f].is_ns)
			(void)bench_format_ns(result->figures[f], text, sizeof(text));
		else
			snprintf(text, sizeof(text), "%.0f KiB", result->figures[f] / 1024);
		print_right(out, text, FIGURE_WIDTH);
	}
}

static void print_row(FILE *out, const struct bench_result *result,
		      const struct bench_result *const *others)
{
	char text[CELL_BYTES];

	fprintf(out, "  %-17s", result->system->name);
	print_right(out, bench_format_ns(result->rt_ns.median, text, sizeof(text)), 10);
	fputs("  [", out);
	print_right(out, bench_format_ns(result->rt_ns.min, text, sizeof(text)), 8);
	fputs(" .. ", out);
	print_right(out, bench_format_ns(result->rt_ns.max, text, sizeof(text)), 8);
	fputs("]", out);
	print_right(out, bench_format_rate(result->msg_per_s, text, sizeof(text)), 11);
	if (bench_pattern_row(result->cell->pattern)->shows_mb)
		fprintf(out, "%9.0f", result->mb_per_s);
	if (bench_pattern_row(result->cell->pattern)->shows_memory)
		fprintf(out, "%9.0f", result->memory_bytes / 1024);
	print_figures(out, result);
	fprintf(out, "%7.2f", result->cpu);
	print_ratio(out, result, others[0]);
	print_ratio(out, result, others[1]);
	fputc('\n', out);
}

/* Of RESULTS the one that the column AGAINST compares with, or NULL. */
static const struct bench_result *find_other(const struct bench_result *results, size_t count,
					     const struct bench_against *against)
{
	const struct bench_result *best = NULL;
	bool by_rate = bench_pattern_row(results[0].cell->pattern)->by_rate;

	for (size_t i = 0; i < count; i++) {
		const struct bench_result *result = &results[i];

		if (against->system) {
			if (strcmp(result->system->name, against->system) == 0)
				return result;
			continue;
		}
		if (result->system->class != BENCH_KERNEL)
			continue;
		if (!best || (by_rate ? result->msg_per_s > best->msg_per_s :
					result->rt_ns.median < best->rt_ns.median))
			best = result;
	}
	return best;
}

void bench_report_heading(FILE *out, enum bench_pattern pattern,
			  const struct bench_options *options)
{
	fprintf(out, "\n%s: %s\n(medians of %u repeats of %u ms)\n", bench_pattern_name(pattern),
		bench_pattern_row(pattern)->title, options->repeats, options->sample_ms);
}

void bench_report_table(FILE *out, const struct bench_result *results, size_t count)
{
	const struct bench_pattern_row *row = bench_pattern_row(results[0].cell->pattern);
	const struct bench_result *others[2];
	char label[CELL_BYTES];

	for (int i = 0; i < 2; i++)
		others[i] = find_other(results, count, &row->against[i]);
	fprintf(out, "\n  %-17s%10s  [%8s .. %8s]%11s",
		bench_cell_label(results[0].cell, label, sizeof(label)), "round trip", "min", "max",
		"msg/s");
	if (row->shows_mb)
		fprintf(out, "%9s", "MB/s");
	if (row->shows_memory)
		fprintf(out, "%9s", "KiB each");
	for (size_t f = 0; f < BENCH_FIGURES && row->figures[f].name; f++)
		fprintf(out, "%*s", FIGURE_WIDTH, row->figures[f].title);
	fprintf(out, "%7s%12s%12s\n", "CPUs", row->against[0].title, row->against[1].title);
	for (size_t i = 0; i < count; i++)
		print_row(out, &results[i], others);
}

/* WHY may hold what a program said: quotes and control characters are replaced. */
void bench_report_skipped_json(FILE *out, const struct bench_suite *suite, const char *system,
			       const char *why)
{
	fprintf(out, "{\"bench\":\"%s\",\"system\":\"%s\",\"skipped\":\"", suite->name, system);
	for (; *why; why++)
		fputc(*why == '"' || *why == '\\' || (unsigned char)*why < ' ' ? '\'' : *why, out);
	fputs("\"}\n", out);
}
