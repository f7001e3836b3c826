/* SPDX-License-Identifier: Apache-2.0 */
/* dvs logs: what a program has written, from the log that its agent keeps. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "client/calls.h"
#include "manage/container/programs.h"
#include "manage/container/reach.h"

#define ALL_LINES UINT32_MAX
#define FOLLOW_MS 60000u /* then it is asked again */

/* A log is followed over the death of its agent. */
#define AGAIN_NS (30 * CLOCK_NS_PER_S)
#define AGAIN_EVERY_NS (200 * CLOCK_NS_PER_MS)

struct logs {
	struct cli *cli;
	struct reach reach;
	struct program_on on;
	struct agent_logs_req req;
	struct agent_logs_rep rep;
	bool timestamps;
};

/* "90", "90s", "5m", "2h", "3d" to nanoseconds. */
static bool take_span(const char *text, uint64_t *ns)
{
	static const struct {
		char unit;
		uint64_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	char *end;
	unsigned long long n = strtoull(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || n > 1000000000)
		return false;
	*ns = n * CLOCK_NS_PER_S;
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (*end == units[i].unit && !end[1]) {
			*ns = n * units[i].seconds * CLOCK_NS_PER_S;
			return true;
		}
	}
	return !*end;
}

/* "2031-02-03T04:05:06Z", "2031-02-03 04:05:06" or "2031-02-03", in UTC. */
static bool take_time(const char *text, uint64_t *ns)
{
	static const char *const forms[] = { "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S",
					     "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d" };

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct tm utc = { .tm_isdst = 0 };
		const char *end = strptime(text, forms[i], &utc);
		time_t seconds;

		if (!end)
			continue;
		if (*end == '.')
			end += 1 + strspn(end + 1, "0123456789");
		if (*end && strcmp(end, "Z") != 0)
			continue;
		seconds = timegm(&utc);
		*ns = (uint64_t)seconds * CLOCK_NS_PER_S;
		return seconds >= 0;
	}
	return false;
}

static bool take_since(struct logs *logs)
{
	const char *text = logs->cli->values[OPTION_SINCE];
	struct timespec now;
	uint64_t now_ns;
	uint64_t ns;

	if (!text)
		return true;
	if (take_span(text, &ns) && clock_gettime(CLOCK_REALTIME, &now) == 0) {
		now_ns = (uint64_t)now.tv_sec * CLOCK_NS_PER_S + (uint64_t)now.tv_nsec;
		logs->req.since_ns = ns < now_ns ? now_ns - ns : 0;
		return true;
	}
	if (take_time(text, &logs->req.since_ns))
		return true;
	cli_usage(logs->cli,
		  "--since does not take '%s'; give a span, as 90s, 5m, 2h or 3d, or a time, as "
		  "2031-02-03T04:05:06Z",
		  text);
	return false;
}

/* The next word of the line and what is behind the blank after it; NULL: there is none. */
static const char *after_word(const char *at, const char *end)
{
	const char *blank = memchr(at, ' ', (size_t)(end - at));

	return blank ? blank + 1 : NULL;
}

/* One line "TIME STREAM FLAG TEXT" from AT up to its END. What is not of that form is shown as it is. */
static bool print_line(const struct logs *logs, const char *at, const char *end)
{
	const char *stream = after_word(at, end);
	const char *flag = stream ? after_word(stream, end) : NULL;
	const char *text = flag ? after_word(flag, end) : NULL;
	FILE *file = stream && strncmp(stream, "stderr ", 7) == 0 ? logs->cli->err :
								    logs->cli->output.file;

	if (!text) {
		text = at;
		flag = "F";
		stream = NULL;
	}
	if (logs->timestamps && stream)
		fprintf(file, "%.*s ", (int)(stream - at - 1), at);
	fwrite(text, 1, (size_t)(end - text), file);
	if (*flag == 'F')
		fputc('\n', file);
	return !ferror(file);
}

static bool print_lines(struct logs *logs)
{
	const char *at = (const char *)logs->rep.data;
	const char *end = at + logs->rep.n_data;

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		const char *line_end = newline ? newline : end;

		if (!print_line(logs, at, line_end))
			return false;
		at = line_end + 1;
	}
	return fflush(logs->cli->output.file) == 0 && fflush(logs->cli->err) == 0;
}

/* Whether a following look may be tried again: the agent comes back. */
static bool is_worth_trying(const struct logs *logs, dvs_err err, uint64_t failed_ns)
{
	bool lost = err == DVS_PEERDEAD || err == DVS_NODEST || err == DVS_NODEDOWN ||
		    err == DVS_NOQUORUM || err == DVS_TIMEOUT;

	return logs->req.follow && lost && clock_now_ns() - failed_ns < AGAIN_NS;
}

static int print_logs(struct logs *logs)
{
	struct timespec pause = clock_timespec(AGAIN_EVERY_NS);
	uint64_t failed_ns = 0;

	for (;;) {
		dvs_err err = agent_call_logs(logs->reach.agents, logs->on.node, &logs->req,
					      &logs->rep, logs->req.follow ? FOLLOW_MS : REACH_MS);

		if (err == DVS_TIMEOUT && logs->req.follow)
			continue;
		if (err != DVS_OK) {
			failed_ns = failed_ns ? failed_ns : clock_now_ns();
			if (!is_worth_trying(logs, err, failed_ns))
				return reach_fail(logs->cli, logs->reach.agents, err,
						  "read the log of %s", logs->cli->words[0]);
			nanosleep(&pause, NULL);
			continue;
		}
		failed_ns = 0;
		if (!print_lines(logs))
			return errno == EPIPE ?
				       EXIT_DONE :
				       cli_fail_errno(logs->cli, errno, "", "print the log");
		/* Nothing came and nothing was said of more. */
		if (logs->rep.over || (!logs->req.follow && logs->rep.n_data == 0))
			return EXIT_DONE;
		logs->req.cursor = logs->rep.cursor;
		logs->req.tail = ALL_LINES;
	}
}

int cmd_logs(struct cli *cli)
{
	AUTO_FREE struct logs *logs = calloc(1, sizeof(*logs));
	uint64_t tail;
	int status;

	if (!logs)
		return cli_fail(cli, DVS_NOMEM, "read a log");
	logs->cli = cli;
	logs->timestamps = cli_has(cli, OPTION_TIMESTAMPS);
	logs->req.follow = cli_has(cli, OPTION_FOLLOW);
	if (!cli_number(cli, OPTION_TAIL, 0, ALL_LINES - 1, ALL_LINES, &tail) || !take_since(logs))
		return EXIT_USAGE;
	logs->req.tail = (uint32_t)tail;
	status = reach_open(cli, &logs->reach);
	if (status == EXIT_DONE)
		status = programs_look(cli, &logs->reach, cli->words[0], "read the log of",
				       &logs->on);
	if (status == EXIT_DONE) {
		logs->req.program = logs->on.program.id;
		status = print_logs(logs);
	}
	reach_close(&logs->reach);
	return status;
}
