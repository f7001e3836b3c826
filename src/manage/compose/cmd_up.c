/* SPDX-License-Identifier: Apache-2.0 */
/* dvs plan and dvs up: what a dvs.yaml would change, and the change. */
#include <stdlib.h>

#include "base/clock.h"
#include "manage/compose/run.h"

#define TIMEOUT_MS_DEFAULT 120000u
#define TIMEOUT_MS_MAX 86400000u

/* With --exit-code; 1 and 2 have their meaning already. */
#define EXIT_CHANGES 3

static const char *file_of(const struct cli *cli)
{
	return cli->n_words > 0 ? cli->words[0] : RUN_FILE_DEFAULT;
}

int cmd_plan(struct cli *cli)
{
	struct run run;
	int status = run_open(cli, file_of(cli), &run);

	if (status == EXIT_DONE)
		status = run_print(&run);
	if (status == EXIT_DONE && cli_has(cli, OPTION_EXIT_CODE) && run_count(&run) > 0)
		status = EXIT_CHANGES;
	run_close(&run);
	return status;
}

static int up_one(struct run *run, struct run_dc *of, uint32_t timeout_ms)
{
	struct cli *cli = run->cli;
	struct run_instances before;
	int status = run_note_instances(run, of, &before);

	if (status == EXIT_DONE)
		status = run_apply(run, of, cli_has(cli, OPTION_RECREATE));
	if (status == EXIT_DONE && !cli_has(cli, OPTION_DETACH))
		status =
			run_wait(run, of, &before, clock_deadline_ns(timeout_ms * CLOCK_NS_PER_MS));
	free(before.one);
	return status;
}

static int print_done(const struct run *run)
{
	const struct cli *cli = run->cli;

	if (cli->output.format == OUTPUT_JSON)
		return EXIT_DONE;
	for (size_t i = 0; i < run->compose.n_dcs; i++) {
		const struct plan *plan = &run->dcs[i].plan;

		if (plan->n_changes > 0)
			fprintf(cli->output.file, "dc %s: %s%s\n", plan->dc->name,
				plan->create  ? "created" :
				plan->anew[0] ? "made anew" :
						"changed",
				cli_has(cli, OPTION_DETACH) ? "; its programs start" :
				plan->dc->n_programs == 0   ? "" :
							      "; its programs run");
	}
	return EXIT_DONE;
}

int cmd_up(struct cli *cli)
{
	struct run run;
	uint32_t timeout_ms;
	int status;

	if (!cli_seconds(cli, OPTION_TIMEOUT, 100, TIMEOUT_MS_MAX, TIMEOUT_MS_DEFAULT, &timeout_ms))
		return EXIT_USAGE;
	status = run_open(cli, file_of(cli), &run);
	if (status == EXIT_DONE)
		status = run_check(&run, cli_has(cli, OPTION_RECREATE));
	if (status == EXIT_DONE)
		status = run_print(&run);
	/* People see the plan while it is carried out. */
	fflush(cli->output.file);
	for (size_t i = 0; status == EXIT_DONE && i < run.compose.n_dcs; i++)
		status = up_one(&run, &run.dcs[i], timeout_ms);
	if (status == EXIT_DONE)
		status = print_done(&run);
	run_close(&run);
	return status;
}
