/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "manage/bench/internal.h"

static int compare_doubles(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

struct bench_spread bench_spread_of(double *values, size_t count)
{
	struct bench_spread spread;

	qsort(values, count, sizeof(*values), compare_doubles);
	spread.min = values[0];
	spread.max = values[count - 1];
	spread.median = (values[(count - 1) / 2] + values[count / 2]) / 2;
	return spread;
}

void bench_result_from_samples(struct bench_result *result, const struct bench_sample *samples,
			       unsigned count)
{
	double rt_ns[BENCH_REPEATS_MAX], msg_per_s[BENCH_REPEATS_MAX], cpu[BENCH_REPEATS_MAX];
	double memory_bytes[BENCH_REPEATS_MAX], figures[BENCH_FIGURES][BENCH_REPEATS_MAX];

	for (unsigned i = 0; i < count; i++) {
		rt_ns[i] = samples[i].rt_ns;
		msg_per_s[i] = samples[i].msg_per_s;
		cpu[i] = samples[i].cpu;
		memory_bytes[i] = samples[i].memory_bytes;
		for (size_t f = 0; f < BENCH_FIGURES; f++)
			figures[f][i] = samples[i].figures[f];
	}
	result->rt_ns = bench_spread_of(rt_ns, count);
	result->msg_per_s = bench_spread_of(msg_per_s, count).median;
	for (size_t f = 0; f < BENCH_FIGURES; f++)
		result->figures[f] = bench_spread_of(figures[f], count).median;
	result->mb_per_s = result->msg_per_s *
			   (bench_pattern_row(result->cell->pattern)->compares ?
				    result->figures[0] :
				    (double)result->cell->bytes) /
			   1e6;
	result->cpu = bench_spread_of(cpu, count).median;
	result->memory_bytes = bench_spread_of(memory_bytes, count).median;
	result->repeats = count;
}

static int compare_results(const void *a, const void *b)
{
	const struct bench_result *x = a, *y = b;

	return (x->rt_ns.median > y->rt_ns.median) - (x->rt_ns.median < y->rt_ns.median);
}

void bench_results_sort(struct bench_result *results, size_t count)
{
	qsort(results, count, sizeof(*results), compare_results);
}

dvs_err bench_fail(struct bench_fault *fault, dvs_err err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(fault->text, sizeof(fault->text), format, args);
	va_end(args);
	return err;
}

dvs_err bench_fail_errno(struct bench_fault *fault, const char *what)
{
	return bench_fail(fault, DVS_IO, "%s: %s", what, strerror(errno));
}
