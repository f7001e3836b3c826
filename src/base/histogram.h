/* SPDX-License-Identifier: Apache-2.0 */
/* How long things took, counted in buckets of which eight double the value: constant memory, and what is read from it is right within an eighth. Nanoseconds, to some nine minutes; what takes longer is in the last bucket. */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BUCKETS 256u

struct histogram {
	uint64_t count[HISTOGRAM_BUCKETS];
	uint64_t max_ns;
};

/* N things that took NS each. */
void histogram_add(struct histogram *histogram, uint64_t ns, uint64_t n);
uint64_t histogram_total(const struct histogram *histogram);
/* Of PER_MILLE of 1000 none took longer than that. 0: there were none. */
uint64_t histogram_quantile(const struct histogram *histogram, uint32_t per_mille);
/* What came into NOW since it was BEFORE. What took longest is known within its bucket, unless that is the longest of all. */
void histogram_since(const struct histogram *before, const struct histogram *now,
		     struct histogram *since);

#endif
