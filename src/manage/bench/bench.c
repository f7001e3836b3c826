/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/bench/bench.h"

#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "manage/bench/fs/files.h"
#include "manage/bench/internal.h"
#include "manage/bench/vdd/disks.h"
#include "manage/bench/web/web.h"

static const struct bench_suite *const suites[] = { &bench_suite_ipc,	    &bench_suite_remote,
						    &bench_suite_container, &bench_suite_neighbour,
						    &bench_suite_vdd,	    &bench_suite_fs,
						    &bench_suite_web };

struct work {
	const char *name;
	int (*main)(int argc, char **argv); /* argv[0] is "work" */
};

static const struct work works[] = {
	{ "disk", bench_disk_work_main },
	{ "files", bench_file_work_main },
	{ "passthrough", bench_passthrough_main },
	{ "site", bench_site_work_main },
	{ "web", bench_web_work_main },
};

int bench_main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < ARRAY_LEN(suites); i++)
		if (strcmp(argv[1], suites[i]->name) == 0)
			return bench_session_main(suites[i], argc - 1, argv + 1);
	for (size_t i = 0; argc > 2 && strcmp(argv[1], "work") == 0 && i < ARRAY_LEN(works); i++)
		if (strcmp(argv[2], works[i].name) == 0)
			return works[i].main(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "work") == 0)
		return bench_work_main(argc - 1, argv + 1);
	fprintf(stderr, "dvs bench: no such benchmark; 'dvs help bench' lists them\n");
	return 2;
}
