/* SPDX-License-Identifier: Apache-2.0 */
/* dvs bench: the door to src/manage/bench, which reads its own words. */
#include <stdlib.h>

#include "manage/bench/bench.h"
#include "manage/cli.h"

#define WORDS_OF_OURS 4 /* "bench", the name of the benchmark, and -o with its value */

int cmd_bench(struct cli *cli)
{
	char bench[] = "bench";
	char output[] = "--output";
	char name[32];
	char format[32];
	char **words = calloc((size_t)cli->n_rest + WORDS_OF_OURS + 1, sizeof(char *));
	int n = 0;
	int status;

	if (!words)
		return cli_fail(cli, DVS_NOMEM, "start the benchmark");
	snprintf(name, sizeof(name), "%s", cli->command->name + sizeof(bench));
	words[n++] = bench;
	words[n++] = name;
	/* -o may also have stood before the name of the command. */
	if (cli_has(cli, OPTION_OUTPUT)) {
		snprintf(format, sizeof(format), "%s", cli->values[OPTION_OUTPUT]);
		words[n++] = output;
		words[n++] = format;
	}
	for (int i = 0; i < cli->n_rest; i++)
		words[n++] = cli->rest[i];
	status = bench_main(n, words);
	free(words);
	return status;
}
