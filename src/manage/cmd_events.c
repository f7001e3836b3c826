/* SPDX-License-Identifier: Apache-2.0 */
/* dvs events: what happens in the DVS, one line each. */
#include <errno.h>
#include <inttypes.h>

#include "manage/cli.h"
#include "manage/describe.h"
#include "manage/link.h"
#include "manage/terminal.h"

/* How long one wait takes at most: then signals are looked at. */
#define WAIT_MS 200

static const struct output_column columns[] = {
	{ "TIME", "time", false }, { "WHAT", "what", false },	      { "NODE", "node", false },
	{ "DC", "dc", false },	   { "ENDPOINT", "endpoint", false }, { "TEXT", "text", false },
};

static const struct output_shape shape = { .columns = columns, .n_columns = ARRAY_LEN(columns) };

static json_t *text_or_null(const char *text)
{
	return text[0] != '\0' ? json_string(text) : json_null();
}

static json_t *describe(const struct dvk_event *event)
{
	return json_pack("{s:o, s:o, s:s, s:I, s:o, s:o, s:o}", "time",
			 describe_time(event->time_ns), "time_ns", describe_count(event->time_ns),
			 "what", event->what, "node", (json_int_t)event->node.n, "dc",
			 text_or_null(event->dc), "endpoint",
			 event->ep.n != 0 ? describe_ep(event->ep) : json_null(), "text",
			 text_or_null(event->text));
}

static void print_line(struct cli *cli, const struct dvk_event *event, const json_t *object)
{
	const char *time = json_string_value(json_object_get(object, "time"));
	const char *ep = json_string_value(json_object_get(object, "endpoint"));

	fprintf(cli->output.file, "%-15.15s  %-14s  %4" PRIu32 "  %s%s%s%s%s\n",
		time ? time + 11 : "-", event->what, event->node.n, event->dc, ep ? "/" : "",
		ep ? ep : "", event->text[0] != '\0' ? "  " : "", event->text);
}

static int print(struct cli *cli, const struct dvk_event *event)
{
	json_t *object = describe(event);
	bool done = object != NULL;

	if (done && cli->output.format == OUTPUT_JSON)
		done = output_document(&cli->output, json_incref(object), true);
	else if (done && cli->output.format == OUTPUT_CSV)
		done = output_csv_line(&cli->output, &shape, object);
	else if (done)
		print_line(cli, event, object);
	json_decref(object);
	fflush(cli->output.file);
	return done ? EXIT_DONE : cli_fail(cli, DVS_NOMEM, "print an event");
}

static int follow(struct cli *cli, struct link *link, struct interrupts *interrupts, uint64_t count)
{
	uint64_t n_printed = 0;
	uint64_t n_lost = 0;
	int status = EXIT_DONE;

	while (status == EXIT_DONE && n_printed < count && !ferror(cli->output.file)) {
		struct dvk_event event;
		dvs_err err = dvk_event_next(link->dvk, WAIT_MS, &event, &n_lost);

		if (err == DVS_OK) {
			status = print(cli, &event);
			n_printed++;
		} else if (err != DVS_TIMEOUT) {
			status = cli_fail(cli, err, "follow the events");
		}
		if (interrupts_wait(interrupts, -1, 0) == EVENT_END)
			break;
	}
	if (n_lost > 0)
		cli_note(cli,
			 "events: %" PRIu64 " lost: they came faster than they could be printed",
			 n_lost);
	return status;
}

static int run(struct cli *cli, struct link *link, uint64_t count)
{
	struct interrupts interrupts;
	dvs_err err = dvk_watch(link->dvk);
	int status;

	if (err != DVS_OK)
		return cli_fail(cli, err, "follow the events");
	if (!interrupts_open(&interrupts, false))
		return cli_fail_errno(cli, errno, "", "take signals");
	if (cli->output.header && cli->output.format == OUTPUT_CSV)
		(void)!output_csv_line(&cli->output, &shape, NULL);
	if (cli->output.header && cli->output.format == OUTPUT_TABLE)
		fprintf(cli->output.file, "%-15s  %-14s  %4s  %s\n", "TIME", "WHAT", "NODE",
			"ABOUT");
	fflush(cli->output.file);
	status = follow(cli, link, &interrupts, count);
	interrupts_close(&interrupts);
	return status;
}

int cmd_events(struct cli *cli)
{
	struct link link;
	uint64_t count;
	int status;

	if (!cli_number(cli, OPTION_COUNT, 1, UINT64_MAX - 1, UINT64_MAX, &count))
		return EXIT_USAGE;
	status = link_open_admin(cli, &link);
	if (status != EXIT_DONE)
		return status;
	status = run(cli, &link, count);
	link_close(&link);
	return status;
}
