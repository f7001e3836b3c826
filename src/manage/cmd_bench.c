/* SPDX-License-Identifier: Apache-2.0 */
/* dvs bench: the door to src/manage/bench, which reads its own words. */
#include <stdlib.h>

#include "base/cleanup.h"
#include "manage/bench/bench.h"
#include "manage/cli.h"

int cmd_bench(struct cli *cli)
{
	char bench[] = "bench";
	char output[] = "--output";
	AUTO_FREE char *name = strdup(cli->command->name + sizeof(bench));
	AUTO_FREE char *format =
		strdup(cli_has(cli, OPTION_OUTPUT) ? cli->values[OPTION_OUTPUT] : "");
	AUTO_FREE char **words = calloc((size_t)cli->n_rest + 5, sizeof(char *));
	int n = 0;

	if (!name || !format || !words)
		return cli_fail(cli, DVS_NOMEM, "start the benchmark");
	words[n++] = bench;
	words[n++] = name;
	/* -o may also have stood before the name of the command. */
	if (format[0]) {
		words[n++] = output;
		words[n++] = format;
	}
	for (int i = 0; i < cli->n_rest; i++)
		words[n++] = cli->rest[i];
	return bench_main(n, words);
}
