/* SPDX-License-Identifier: Apache-2.0 */
/* dvs trace: follow the messages of an endpoint, one line each. Records that came faster than
 * they could be read are counted, never passed over in silence. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "manage/cli.h"
#include "manage/describe.h"
#include "manage/link.h"
#include "manage/target.h"
#include "manage/terminal.h"

/* How long one wait for a record takes at most: then signals are looked at. */
#define WAIT_MS 200
/* And after so many records that came without a wait. */
#define LOOK_EVERY 256

struct trace {
	struct cli *cli;
	const char *name; /* of the endpoint, as the user wrote it */
	struct link link;
	struct interrupts interrupts;
	struct dvk_trace *records;
	uint64_t count; /* to print; UINT64_MAX: no end */
	uint64_t n_printed;
	uint64_t n_lost;
	uint64_t n_lost_shown;
	uint64_t realtime_offset_ns; /* from CLOCK_MONOTONIC to CLOCK_REALTIME */
};

static const struct output_column columns[] = {
	{ "TIME", "time", false },     { "ENDPOINT", "endpoint", false },
	{ "WHAT", "what", false },     { "PARTNER", "partner", false },
	{ "TYPE", "type", false },     { "BYTES", "data_bytes", false },
	{ "RESULT", "result", false }, { "LOST", "lost", false },
};

static const struct output_shape shape = { .columns = columns, .n_columns = ARRAY_LEN(columns) };

static json_t *describe_record(const struct trace *trace, const struct dvk_trace_record *record,
			       uint64_t lost)
{
	char what[sizeof(record->what) + 1] = { 0 };

	memcpy(what, record->what, sizeof(record->what));
	return json_pack("{s:o, s:o, s:o, s:s, s:o, s:I, s:I, s:s, s:o}", "time",
			 describe_time(record->time_ns + trace->realtime_offset_ns), "time_ns",
			 describe_count(record->time_ns), "endpoint", describe_ep(record->self),
			 "what", what, "partner", describe_ep(record->partner), "type",
			 (json_int_t)record->type, "data_bytes", (json_int_t)record->data_bytes,
			 "result", dvs_err_name(record->result), "lost", describe_count(lost));
}

static void print_title(const struct trace *trace)
{
	const struct output *output = &trace->cli->output;

	if (!output->header)
		return;
	if (output->format == OUTPUT_CSV)
		(void)!output_csv_line(output, &shape, NULL);
	if (output->format == OUTPUT_TABLE)
		fprintf(output->file, "%-15s  %-9s  %-9s  %10s  %8s  %s\n", "TIME", "WHAT",
			"PARTNER", "TYPE", "BYTES", "RESULT");
}

static void print_line(const struct trace *trace, const json_t *object, uint64_t lost)
{
	FILE *file = trace->cli->output.file;
	const char *time = json_string_value(json_object_get(object, "time"));
	json_int_t type = json_integer_value(json_object_get(object, "type"));

	if (lost > 0)
		fprintf(file, "... %" PRIu64 " lost: they came faster than they could be read\n",
			lost);
	/* The time without the day and the letter of the zone. */
	fprintf(file, "%-15.15s  %-9s  %-9s  ", time ? time + 11 : "-",
		json_string_value(json_object_get(object, "what")),
		json_string_value(json_object_get(object, "partner")));
	if (type == DVS_TYPE_NOTIFY)
		fprintf(file, "%10s", "notify");
	else
		fprintf(file, "%10" JSON_INTEGER_FORMAT, type);
	fprintf(file, "  %8" JSON_INTEGER_FORMAT "  %s\n",
		json_integer_value(json_object_get(object, "data_bytes")),
		json_string_value(json_object_get(object, "result")));
}

static int print_record(struct trace *trace, const struct dvk_trace_record *record)
{
	const struct output *output = &trace->cli->output;
	uint64_t lost = trace->n_lost - trace->n_lost_shown;
	json_t *object = describe_record(trace, record, lost);
	bool done = object != NULL;

	if (output->format == OUTPUT_JSON) {
		done = output_document(output, json_incref(object), true);
	} else if (done && output->format == OUTPUT_CSV) {
		done = output_csv_line(output, &shape, object);
	} else if (done) {
		print_line(trace, object, lost);
	}
	json_decref(object);
	trace->n_lost_shown = trace->n_lost;
	trace->n_printed++;
	return done ? EXIT_DONE : cli_fail(trace->cli, DVS_NOMEM, "print a message");
}

/* The next record, waiting WAIT_MS at most. */
static dvs_err next_record(struct trace *trace, struct dvk_trace_record *record)
{
	uint64_t lost = 0;
	dvs_err err = dvk_trace_next(trace->records, 0, record, &lost);

	if (err == DVS_TIMEOUT) {
		/* Only who has to wait shows what there is. */
		fflush(trace->cli->output.file);
		err = dvk_trace_next(trace->records, WAIT_MS, record, &lost);
	}
	trace->n_lost += lost;
	return err;
}

/* Records until the count is reached, somebody ends us or the endpoint ends. */
static int follow(struct trace *trace)
{
	FILE *file = trace->cli->output.file;
	int status = EXIT_DONE;

	while (status == EXIT_DONE && trace->n_printed < trace->count && !ferror(file)) {
		struct dvk_trace_record record;
		dvs_err err = next_record(trace, &record);

		if (err == DVS_PEERDEAD) {
			cli_note(trace->cli, "trace: %s ended", trace->name);
			return trace->count == UINT64_MAX ? EXIT_DONE : EXIT_FAILED;
		}
		if (err != DVS_OK && err != DVS_TIMEOUT)
			return cli_fail(trace->cli, err, "follow %s", trace->name);
		if (err == DVS_OK)
			status = print_record(trace, &record);
		/* A system call per record would make us slower than those we follow. */
		if ((err == DVS_TIMEOUT || trace->n_printed % LOOK_EVERY == 0) &&
		    interrupts_wait(&trace->interrupts, -1, 0) == EVENT_END)
			break;
	}
	return status;
}

static void find_realtime(struct trace *trace)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	trace->realtime_offset_ns =
		(uint64_t)now.tv_sec * CLOCK_NS_PER_S + (uint64_t)now.tv_nsec - clock_now_ns();
}

static int run(struct trace *trace, const struct target *target)
{
	int status = link_enter(trace->cli, &trace->link, target->dc);
	dvs_err err;

	if (status != EXIT_DONE)
		return status;
	err = dvk_trace_open(trace->link.dvk, target->ep, &trace->records);
	if (err == DVS_INUSE)
		return cli_fail_hint(trace->cli, err, "end the other trace of it first", "trace %s",
				     trace->name);
	if (err != DVS_OK)
		return cli_fail(trace->cli, err, "trace %s", trace->name);
	if (interrupts_open(&trace->interrupts, false)) {
		find_realtime(trace);
		print_title(trace);
		status = follow(trace);
		interrupts_close(&trace->interrupts);
	} else {
		status = cli_fail_errno(trace->cli, errno, "", "take signals");
	}
	dvk_trace_close(trace->records);
	if (status == EXIT_DONE && (trace->n_lost > 0 || trace->count == UINT64_MAX))
		cli_note(trace->cli, "trace: %" PRIu64 " messages, %" PRIu64 " lost",
			 trace->n_printed, trace->n_lost);
	return status;
}

int cmd_trace(struct cli *cli)
{
	struct trace trace = { .cli = cli, .name = cli->words[0] };
	struct target target;
	int status;

	if (!target_parse(cli, cli->words[0], &target))
		return EXIT_USAGE;
	if (!target.has_ep)
		return cli_usage(cli, "'%s' names a DC; name one of its endpoints, as %s/17",
				 cli->words[0], cli->words[0]);
	if (!cli_number(cli, OPTION_COUNT, 1, UINT64_MAX - 1, UINT64_MAX, &trace.count))
		return EXIT_USAGE;
	status = link_open(cli, &trace.link);
	if (status != EXIT_DONE)
		return status;
	status = run(&trace, &target);
	link_close(&trace.link);
	return status;
}
