/* SPDX-License-Identifier: Apache-2.0 */
/* dvs bench work files WAY TARGET PATTERN BYTES FILES DEPTH MS [WAY TARGET]: what a client of `dvs bench fs` does, on its node. The second way is that by which names come to be that this node has not seen. Prints how
 * often per second, and how long one took on average, in ns. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "manage/bench/fs/files.h"
#include "manage/bench/fs/job.h"

enum { EXIT_FAULT = 1, EXIT_USAGE = 2, WORDS = 9, WORDS_WITH_MAKER = 11 };

static const struct file_way *const ways[] = { &file_way_dir, &file_way_ipc };

static bool take_number(const char *text, uint64_t least, uint64_t most, uint64_t *number)
{
	char *end;

	*number = strtoull(text, &end, 10);
	return text[0] >= '0' && text[0] <= '9' && !*end && *number >= least && *number <= most;
}

static const struct file_way *find_way(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(ways); i++)
		if (strcmp(name, ways[i]->name) == 0)
			return ways[i];
	return NULL;
}

static bool parse(int argc, char **argv, struct file_job *job)
{
	bool has_maker = argc == WORDS_WITH_MAKER;
	uint64_t bytes, depth, ms;

	if (argc != WORDS && !has_maker)
		return false;
	job->way = find_way(argv[2]);
	job->target = argv[3];
	job->pattern = file_pattern_find(argv[4]);
	job->maker = find_way(argv[has_maker ? 9 : 2]);
	job->maker_target = argv[has_maker ? 10 : 3];
	if (!job->way || !job->maker || !job->pattern ||
	    !take_number(argv[5], FILE_STAMP_BYTES, BENCH_PAYLOAD_MAX_BYTES, &bytes) ||
	    !take_number(argv[6], 1, FILE_FILES_MAX, &job->files) ||
	    !take_number(argv[7], 1, FILE_DEPTH_MAX, &depth) ||
	    !take_number(argv[8], 0, 3600000, &ms) || (bytes & (bytes - 1)))
		return false;
	job->bytes = bytes;
	job->depth = (unsigned)depth;
	job->duration_ns = ms * CLOCK_NS_PER_MS;
	return true;
}

int bench_file_work_main(int argc, char **argv)
{
	struct file_job job = { .target = NULL };
	struct file_done done = { .per_s = 0 };
	struct bench_fault fault = { .text = "" };

	if (!parse(argc, argv, &job)) {
		fprintf(stderr, "usage: dvs bench work files dir|ipc TARGET PATTERN BYTES FILES"
				" DEPTH MILLISECONDS [dir|ipc TARGET]\n");
		return EXIT_USAGE;
	}
	if (file_job_run(&job, &done, &fault)) {
		fprintf(stderr, "%s\n", fault.text);
		return EXIT_FAULT;
	}
	printf("%.3f %.1f\n", done.per_s, done.latency_ns);
	return 0;
}
