/* SPDX-License-Identifier: Apache-2.0 */
/* dvs bench work disk WAY TARGET PATTERN BYTES DEPTH SPAN MS: what a client of `dvs bench vdd` does, on its node. Prints how many requests per second, and how long one
 * took on average, in ns. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "manage/bench/vdd/disks.h"
#include "manage/bench/vdd/job.h"

enum { EXIT_FAULT = 1, EXIT_USAGE = 2, WORDS = 9 };

static const struct job_way *const ways[] = {
	&job_way_volume,
	&job_way_file,
#ifdef BENCH_HAS_NBD
	&job_way_nbd,
#endif
};

static bool take_number(const char *text, uint64_t least, uint64_t most, uint64_t *number)
{
	char *end;

	*number = strtoull(text, &end, 10);
	return text[0] >= '0' && text[0] <= '9' && !*end && *number >= least && *number <= most;
}

static bool take_pattern(const char *text, struct job *job)
{
	job->is_once = !strcmp(text, "fill");
	job->is_random = !strncmp(text, "rand-", 5);
	job->writes = job->is_once || !strcmp(text, "seq-write") || !strcmp(text, "rand-write");
	return job->writes || !strcmp(text, "seq-read") || !strcmp(text, "rand-read");
}

static const struct job_way *parse(int argc, char **argv, struct job *job)
{
	const struct job_way *way = NULL;
	uint64_t bytes, depth, ms;

	for (size_t i = 0; argc == WORDS && i < ARRAY_LEN(ways); i++)
		if (strcmp(argv[2], ways[i]->name) == 0)
			way = ways[i];
	if (!way || !take_pattern(argv[4], job) ||
	    !take_number(argv[5], JOB_STAMP_BYTES, BENCH_PAYLOAD_MAX_BYTES, &bytes) ||
	    !take_number(argv[6], 1, JOB_DEPTH_MAX, &depth) ||
	    !take_number(argv[7], bytes, UINT64_C(1) << 40, &job->span_bytes) ||
	    !take_number(argv[8], 0, 3600000, &ms) || bytes % JOB_STAMP_BYTES)
		return NULL;
	job->target = argv[3];
	job->bytes = bytes;
	job->depth = (unsigned)depth;
	job->duration_ns = ms * CLOCK_NS_PER_MS;
	return way;
}

int bench_disk_work_main(int argc, char **argv)
{
	struct job job = { .target = NULL };
	struct job_done done = { .n = 0 };
	struct bench_fault fault = { .text = "" };
	const struct job_way *way = parse(argc, argv, &job);

	if (!way) {
		fprintf(stderr, "usage: dvs bench work disk volume|file|nbd TARGET"
				" fill|seq-read|seq-write|rand-read|rand-write BYTES DEPTH"
				" SPAN MILLISECONDS\n");
		return EXIT_USAGE;
	}
	if (way->run(&job, &done, &fault)) {
		fprintf(stderr, "%s\n", fault.text);
		return EXIT_FAULT;
	}
	printf("%.3f %.1f\n", (double)done.n * 1e9 / (double)done.elapsed_ns,
	       done.n ? done.latency_ns / (double)done.n : 0);
	return 0;
}
