/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/bench/bench.h"

#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "manage/bench/ipc.h"

static const struct {
	const char *name;
	const char *summary;
	int (*run)(int argc, char **argv);
} benchmarks[] = {
	{ "ipc", "messages and data between processes of this machine", bench_ipc_main },
};

static void usage(FILE *out)
{
	fputs("Usage: dvs bench BENCHMARK [OPTIONS]\n\nBenchmarks:\n", out);
	for (size_t i = 0; i < ARRAY_LEN(benchmarks); i++)
		fprintf(out, "  %-8s  %s\n", benchmarks[i].name, benchmarks[i].summary);
	fputs("\n'dvs bench BENCHMARK --help' lists its options.\n", out);
}

int bench_main(int argc, char **argv)
{
	if (argc < 2) {
		usage(stderr);
		return 2;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		usage(stdout);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(benchmarks); i++)
		if (strcmp(argv[1], benchmarks[i].name) == 0)
			return benchmarks[i].run(argc - 1, argv + 1);
	fprintf(stderr, "dvs bench: unknown benchmark '%s'; 'dvs bench --help' lists them\n",
		argv[1]);
	return 2;
}
