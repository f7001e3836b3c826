/* SPDX-License-Identifier: Apache-2.0 */
/* dvs top: the endpoints at work. On a terminal a screen that stays up to date, elsewhere one
 * table, CSV block or JSON document per look. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "manage/cli.h"
#include "manage/describe.h"
#include "manage/target.h"
#include "manage/terminal.h"
#include "manage/top.h"

struct top {
	struct cli *cli;
	struct link link;
	struct interrupts interrupts;
	struct terminal terminal;
	struct top_screen screen;
	const char *dc;
	bool on_screen;
	uint64_t count; /* looks to show; UINT64_MAX: no end */
	uint64_t n_shown;
	struct snapshot before;
	struct snapshot now;
	struct top_links links_before;
	struct top_links links;
	struct top_view view;
};

/* The keys of the screen. Returns true when the user wants to leave. */
static bool take_key(struct top *top, int key)
{
	size_t page = top_rows_that_fit(&top->screen);
	size_t last = top->view.n_rows > page ? top->view.n_rows - page : 0;
	size_t *first = &top->screen.first;

	switch (key) {
	case 'q':
	case 'Q':
	case -1:
		return true;
	case 'r':
		top->screen.sort = TOP_BY_RATE;
		break;
	case 'd':
		top->screen.sort = TOP_BY_DATA;
		break;
	case 's':
		top->screen.sort = TOP_BY_SLEEPS;
		break;
	case 'e':
		top->screen.sort = TOP_BY_ENDPOINT;
		break;
	case 'p':
		top->screen.sort = TOP_BY_PROGRAM;
		break;
	case KEY_UP:
		*first -= *first > 0;
		break;
	case KEY_DOWN:
		*first += 1;
		break;
	case KEY_PAGE_UP:
		*first -= *first < page ? *first : page;
		break;
	case KEY_PAGE_DOWN:
		*first += page;
		break;
	case KEY_HOME:
		*first = 0;
		break;
	default:
		break;
	}
	if (*first > last)
		*first = last;
	return false;
}

static void draw(struct top *top)
{
	AUTO_FREE char *bytes = NULL;
	size_t len;
	FILE *file = open_memstream(&bytes, &len);
	size_t page;

	if (!file)
		return;
	terminal_size(&top->terminal, &top->screen.columns, &top->screen.lines);
	page = top_rows_that_fit(&top->screen);
	if (top->view.n_rows <= page)
		top->screen.first = 0;
	else if (top->screen.first > top->view.n_rows - page)
		top->screen.first = top->view.n_rows - page;
	top_view_sort(&top->view, top->screen.sort);
	top_draw(file, &top->view, &top->screen);
	if (fclose(file) == 0)
		terminal_write(&top->terminal, bytes, len);
}

/* Ctrl-Z: the shell gets its terminal back, we get ours when it lets us go on. */
static bool stop_and_go_on(struct top *top)
{
	terminal_stop(&top->terminal);
	raise(SIGSTOP);
	return terminal_start(&top->terminal, STDIN_FILENO, STDOUT_FILENO);
}

/* Wait for the next look, and serve the keys meanwhile. False: it is over. */
static bool wait_for_next(struct top *top, uint64_t deadline_ns)
{
	int keys_fd = top->on_screen ? STDIN_FILENO : -1;

	for (;;) {
		int key;

		switch (interrupts_wait(&top->interrupts, keys_fd, deadline_ns)) {
		case EVENT_TIME:
			return true;
		case EVENT_END:
			return false;
		case EVENT_STOP:
			if (!stop_and_go_on(top))
				return false;
			break;
		case EVENT_SIZE:
			break;
		case EVENT_KEY:
			while ((key = terminal_read_key(&top->terminal)) != KEY_NONE) {
				if (take_key(top, key))
					return false;
			}
			break;
		}
		draw(top);
	}
}

static int print_csv(struct top *top)
{
	struct output output = top->cli->output;
	json_t *rows = top_view_rows(&top->view);
	bool done;

	/* One header for the whole stream. */
	output.header = output.header && top->n_shown == 0;
	done = rows && output_rows(&output, &top_shape, rows);
	json_decref(rows);
	return done ? EXIT_DONE : cli_fail(top->cli, DVS_NOMEM, "print the endpoints");
}

static int print_look(struct top *top)
{
	const struct output *output = &top->cli->output;
	json_t *rows;
	bool done;

	top_view_sort(&top->view, top->screen.sort);
	if (output->format == OUTPUT_CSV)
		return print_csv(top);
	if (output->format == OUTPUT_JSON) {
		done = output_document(output, top_view_document(&top->view), true);
	} else {
		if (top->n_shown > 0)
			fputc('\n', output->file);
		rows = top_view_rows(&top->view);
		done = rows && output_rows(output, &top_shape, rows);
		json_decref(rows);
	}
	return done ? EXIT_DONE : cli_fail(top->cli, DVS_NOMEM, "print the endpoints");
}

/* Who may not ask for them, or asks a dvsd that is alone, sees none. */
static void look_at_links(struct top *top)
{
	uint32_t cursor = 0;

	top->links_before = top->links;
	top->links.n = 0;
	while (top->links.n < TOP_LINKS_MAX &&
	       dvk_link_next(top->link.dvk, &cursor, &top->links.info[top->links.n]) == DVS_OK)
		top->links.n++;
	top_view_add_links(&top->view, &top->links_before, &top->links);
}

/* Look again; the view is made of the look before and this one. */
static int look(struct top *top)
{
	int status;
	dvs_err err;

	top_view_free(&top->view);
	snapshot_free(&top->before);
	top->before = top->now;
	top->now = (struct snapshot){ .rows = NULL };
	status = snapshot_take(top->cli, &top->link, top->dc, &top->now);
	if (status != EXIT_DONE)
		return status;
	if (!top_view_make(&top->view, &top->before, &top->now))
		return cli_fail(top->cli, DVS_NOMEM, "look at the endpoints");
	look_at_links(top);
	err = dvk_dvs_info(top->link.dvk, &top->view.dvs);
	return err == DVS_OK ? EXIT_DONE : cli_fail(top->cli, err, "ask dvsd about itself");
}

/* A message of a failed look must not go to the screen that is about to vanish. */
static int look_on_screen(struct top *top)
{
	AUTO_FREE char *message = NULL;
	size_t len;
	FILE *real_err = top->cli->err;
	FILE *held = open_memstream(&message, &len);
	int status;

	if (held)
		top->cli->err = held;
	status = look(top);
	top->cli->err = real_err;
	if (held)
		fclose(held);
	if (status != EXIT_DONE) {
		terminal_stop(&top->terminal);
		if (message)
			fputs(message, real_err);
	}
	return status;
}

static int run_on_screen(struct top *top)
{
	int status = look(top);

	if (status != EXIT_DONE)
		return status;
	if (!terminal_start(&top->terminal, STDIN_FILENO, STDOUT_FILENO))
		return cli_fail_errno(top->cli, errno, "use -o json or a pipe",
				      "set up the terminal");
	while (status == EXIT_DONE) {
		draw(top);
		/* The first look has no rates and is not counted. */
		if (top->view.span_ns > 0 && ++top->n_shown == top->count)
			break;
		if (!wait_for_next(top,
				   clock_deadline_ns(top->screen.interval_ms * CLOCK_NS_PER_MS)))
			break;
		status = look_on_screen(top);
	}
	terminal_stop(&top->terminal);
	return status;
}

static int run_in_lines(struct top *top)
{
	int status = look(top);

	while (status == EXIT_DONE && top->n_shown < top->count && !ferror(top->cli->output.file)) {
		if (!wait_for_next(top,
				   clock_deadline_ns(top->screen.interval_ms * CLOCK_NS_PER_MS)))
			break;
		status = look(top);
		if (status == EXIT_DONE)
			status = print_look(top);
		top->n_shown++;
		fflush(top->cli->output.file);
	}
	return status;
}

static int run(struct top *top)
{
	int status = link_open(top->cli, &top->link);

	if (status != EXIT_DONE)
		return status;
	if (interrupts_open(&top->interrupts, top->on_screen)) {
		status = top->on_screen ? run_on_screen(top) : run_in_lines(top);
		interrupts_close(&top->interrupts);
	} else {
		status = cli_fail_errno(top->cli, errno, "", "take signals");
	}
	top_view_free(&top->view);
	snapshot_free(&top->before);
	snapshot_free(&top->now);
	link_close(&top->link);
	return status;
}

int cmd_top(struct cli *cli)
{
	struct top top = { .cli = cli, .dc = cli->n_words > 0 ? cli->words[0] : NULL };

	if (top.dc && !target_check_dc_name(cli, top.dc))
		return EXIT_USAGE;
	if (!cli_number(cli, OPTION_COUNT, 1, UINT64_MAX - 1, UINT64_MAX, &top.count) ||
	    !cli_seconds(cli, OPTION_INTERVAL, 100, 3600 * 1000, 1000, &top.screen.interval_ms))
		return EXIT_USAGE;
	/* The word is one of the choices of the option. */
	if (cli_has(cli, OPTION_SORT) &&
	    !top_sort_parse(cli->values[OPTION_SORT], &top.screen.sort))
		return EXIT_USAGE;
	top.screen.colour = cli->output.colour;
	top.on_screen = !cli_has(cli, OPTION_OUTPUT) && cli->output.file == stdout &&
			terminal_is_capable(STDIN_FILENO) && terminal_is_capable(STDOUT_FILENO);
	return run(&top);
}
