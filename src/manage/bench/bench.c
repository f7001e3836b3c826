/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/bench/bench.h"

#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "manage/bench/ipc.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} benchmarks[] = {
	{ "ipc", bench_ipc_main },
};

int bench_main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < ARRAY_LEN(benchmarks); i++)
		if (strcmp(argv[1], benchmarks[i].name) == 0)
			return benchmarks[i].run(argc - 1, argv + 1);
	fprintf(stderr, "dvs bench: no such benchmark; 'dvs help bench' lists them\n");
	return 2;
}
