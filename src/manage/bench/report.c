/* SPDX-License-Identifier: Apache-2.0 */
/* Results as JSON for machines and as a table for people. */
#include <string.h>

#include "manage/bench/internal.h"

enum { CELL_BYTES = 32 };

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

	fprintf(out,
		"{\"bench\":\"ipc\",\"pattern\":\"%s\",\"clients\":%u,\"servers\":%u,\"bytes\":%zu,"
		"\"system\":\"%s\",\"rt_ns\":%.1f,\"rt_ns_min\":%.1f,\"rt_ns_max\":%.1f,"
		"\"msg_per_s\":%.0f,\"mb_per_s\":%.3f,\"cpu\":%.4f,\"repeats\":%u}\n",
		bench_pattern_name(cell->pattern), cell->clients, cell->servers, cell->bytes,
		result->system->name, result->rt_ns.median, result->rt_ns.min, result->rt_ns.max,
		result->msg_per_s, result->mb_per_s, result->cpu, result->repeats);
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

	if (other)
		snprintf(text, sizeof(text), "%.2f", other->rt_ns.median / result->rt_ns.median);
	print_right(out, text, 10);
}

static void print_row(FILE *out, const struct bench_result *result,
		      const struct bench_result *kernel, const struct bench_result *raw)
{
	char text[CELL_BYTES];

	fprintf(out, "  %-15s", result->system->name);
	print_right(out, bench_format_ns(result->rt_ns.median, text, sizeof(text)), 10);
	fputs("  [", out);
	print_right(out, bench_format_ns(result->rt_ns.min, text, sizeof(text)), 8);
	fputs(" .. ", out);
	print_right(out, bench_format_ns(result->rt_ns.max, text, sizeof(text)), 8);
	fputs("]", out);
	print_right(out, bench_format_rate(result->msg_per_s, text, sizeof(text)), 11);
	if (result->cell->pattern == BENCH_DATA)
		fprintf(out, "%9.0f", result->mb_per_s);
	fprintf(out, "%7.2f", result->cpu);
	print_ratio(out, result, kernel);
	print_ratio(out, result, raw);
	fputc('\n', out);
}

void bench_report_heading(FILE *out, enum bench_pattern pattern,
			  const struct bench_options *options)
{
	fprintf(out, "\n%s: %s\n(medians of %u repeats of %u ms)\n", bench_pattern_name(pattern),
		bench_pattern_title(pattern), options->repeats, options->sample_ms);
}

void bench_report_table(FILE *out, const struct bench_result *results, size_t count)
{
	const struct bench_result *kernel = NULL, *raw = NULL;
	char label[CELL_BYTES];

	for (size_t i = count; i-- > 0;) {
		if (results[i].system->class == BENCH_KERNEL)
			kernel = &results[i];
		if (results[i].system == &bench_system_raw)
			raw = &results[i];
	}
	fprintf(out, "\n  %-15s%10s  [%8s .. %8s]%11s",
		bench_cell_label(results[0].cell, label, sizeof(label)), "round trip", "min", "max",
		"msg/s");
	if (results[0].cell->pattern == BENCH_DATA)
		fprintf(out, "%9s", "MB/s");
	fprintf(out, "%7s%10s%10s\n", "CPUs", "x kernel", "x raw");
	for (size_t i = 0; i < count; i++)
		print_row(out, &results[i], kernel, raw);
}
