/* SPDX-License-Identifier: Apache-2.0 */
#include "base/histogram.h"

#define UNIT_BITS 5u /* 32 ns */
#define STEP_BITS 3u /* eight buckets in which the value doubles */
#define STEPS (1u << STEP_BITS)

static uint32_t bucket_of(uint64_t ns)
{
	uint64_t units = ns >> UNIT_BITS;
	uint32_t top;
	uint64_t bucket;

	if (units < STEPS)
		return (uint32_t)units;
	top = 63 - (uint32_t)__builtin_clzll(units);
	bucket = (uint64_t)(top - STEP_BITS + 1) * STEPS +
		 (units >> (top - STEP_BITS) & (STEPS - 1));
	return bucket < HISTOGRAM_BUCKETS ? (uint32_t)bucket : HISTOGRAM_BUCKETS - 1;
}

/* The longest that is in BUCKET. */
static uint64_t end_of(uint32_t bucket)
{
	uint64_t step = bucket % STEPS;
	uint32_t octave = bucket / STEPS;
	uint64_t units = octave == 0 ? step + 1 : (STEPS + step + 1) << (octave - 1);

	return (units << UNIT_BITS) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t ns, uint64_t n)
{
	if (n == 0)
		return;
	histogram->count[bucket_of(ns)] += n;
	if (ns > histogram->max_ns)
		histogram->max_ns = ns;
}

uint64_t histogram_total(const struct histogram *histogram)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		total += histogram->count[i];
	return total;
}

uint64_t histogram_quantile(const struct histogram *histogram, uint32_t per_mille)
{
	uint64_t total = histogram_total(histogram);
	/* Rounded up, without going beyond 64 bits. */
	uint64_t wanted = total / 1000 * per_mille + (total % 1000 * per_mille + 999) / 1000;
	uint64_t seen = 0;

	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS && total > 0; i++) {
		seen += histogram->count[i];
		if (seen >= wanted && seen > 0 && i < HISTOGRAM_BUCKETS - 1)
			return end_of(i) < histogram->max_ns ? end_of(i) : histogram->max_ns;
	}
	return total > 0 ? histogram->max_ns : 0;
}

void histogram_since(const struct histogram *before, const struct histogram *now,
		     struct histogram *since)
{
	uint32_t last = 0;

	*since = (struct histogram){ .max_ns = 0 };
	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		if (now->count[i] <= before->count[i])
			continue;
		since->count[i] = now->count[i] - before->count[i];
		last = i;
	}
	if (since->count[last] == 0)
		return;
	since->max_ns = now->max_ns;
	if (now->max_ns == before->max_ns && last < HISTOGRAM_BUCKETS - 1 &&
	    end_of(last) < now->max_ns)
		since->max_ns = end_of(last);
}
