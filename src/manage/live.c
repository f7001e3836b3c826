/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/live.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "manage/text.h"

#define INTERVAL_MS_MIN 100u
#define INTERVAL_MS_MAX (3600u * 1000)
#define INTERVAL_MS 1000u

/* A whole screen: the table, and nothing behind its lines. */
static int draw(struct live *live)
{
	struct output output = live->cli->output;
	AUTO_FREE char *frame = NULL;
	size_t len = 0;
	unsigned n_columns;
	unsigned n_lines;
	int status;

	output.file = open_memstream(&frame, &len);
	if (!output.file)
		return cli_fail(live->cli, DVS_NOMEM, "print the figures");
	status = live->print(live->context, &output);
	if (fclose(output.file) != 0 || status != EXIT_DONE)
		return EXIT_FAILED;
	terminal_size(&live->terminal, &n_columns, &n_lines);
	terminal_write(&live->terminal, "\033[H", 3);
	for (char *line = frame; *line && n_lines > 1; n_lines--) {
		char *end = strchrnul(line, '\n');
		char *next = *end ? end + 1 : end;

		*end = '\0';
		terminal_write(&live->terminal, line,
			       output.colour ? strlen(line) : text_cut(line, n_columns));
		terminal_write(&live->terminal, "\033[K\r\n", 5);
		line = next;
	}
	terminal_write(&live->terminal, "q quit\033[K\033[J", 12);
	return EXIT_DONE;
}

/* Until the next look; false: somebody wants us to end. */
static bool pause_between(struct live *live)
{
	uint64_t deadline_ns = clock_deadline_ns(live->interval_ms * CLOCK_NS_PER_MS);
	int keys = live->terminal.active ? live->terminal.in_fd : -1;

	for (;;) {
		enum event event = interrupts_wait(&live->interrupts, keys, deadline_ns);
		int key;

		if (event == EVENT_TIME)
			return true;
		if (event == EVENT_END)
			return false;
		if (event == EVENT_SIZE)
			return true;
		if (event == EVENT_STOP) {
			/* It comes back where it was. */
			terminal_stop(&live->terminal);
			raise(SIGSTOP);
			if (!terminal_start(&live->terminal, STDIN_FILENO, STDOUT_FILENO))
				return false;
			continue;
		}
		key = terminal_read_key(&live->terminal);
		if (key == 'q' || key == -1)
			return false;
	}
}

static int watch(struct live *live)
{
	int status = live->load(live->context);
	bool draws = live->terminal.active;

	for (uint64_t n = 0; status == EXIT_DONE && (live->count == 0 || n < live->count); n++) {
		/* Rates need two looks. */
		if (!pause_between(live))
			break;
		status = live->load(live->context);
		if (status != EXIT_DONE)
			break;
		status = draws ? draw(live) : live->print(live->context, &live->cli->output);
		if (!draws && fflush(live->cli->output.file) != 0)
			break;
	}
	return status;
}

bool live_options(struct live *live)
{
	return cli_number(live->cli, OPTION_COUNT, 1, UINT32_MAX, 0, &live->count) &&
	       cli_seconds(live->cli, OPTION_INTERVAL, INTERVAL_MS_MIN, INTERVAL_MS_MAX,
			   INTERVAL_MS, &live->interval_ms);
}

int live_run(struct live *live)
{
	struct cli *cli = live->cli;
	bool draws = cli->output.format == OUTPUT_TABLE && !cli_has(cli, OPTION_COUNT) &&
		     !cli_has(cli, OPTION_ONCE) && terminal_is_capable(STDOUT_FILENO) &&
		     isatty(STDIN_FILENO);
	int status;

	/* Who does not watch wants one look. */
	if (!draws && live->count == 0)
		live->count = 1;
	if (!interrupts_open(&live->interrupts, draws))
		return cli_fail_errno(cli, errno, "", "take signals");
	/* A terminal that cannot be taken is written to like a file. */
	if (draws)
		(void)!terminal_start(&live->terminal, STDIN_FILENO, STDOUT_FILENO);
	status = watch(live);
	terminal_stop(&live->terminal);
	interrupts_close(&live->interrupts);
	return status;
}
