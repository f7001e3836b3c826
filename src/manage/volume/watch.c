/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/volume/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum form { FORM_AUTO, FORM_JSON, FORM_NONE };

static enum form form_of(const struct watch *watch)
{
	const char *form = watch->cli->values[OPTION_PROGRESS];

	if (form && strcmp(form, "json") == 0)
		return FORM_JSON;
	return form && strcmp(form, "none") == 0 ? FORM_NONE : FORM_AUTO;
}

bool watch_begin(struct watch *watch, struct cli *cli, const char *title)
{
	*watch = (struct watch){ .cli = cli, .title = title };
	if (!interrupts_open(&watch->interrupts, false)) {
		cli_fail_errno(cli, errno, "", "%s", title);
		return false;
	}
	progress_begin(&watch->progress, cli->err);
	return true;
}

void watch_end(struct watch *watch)
{
	progress_end(&watch->progress);
	interrupts_close(&watch->interrupts);
}

/* LINE, which is freed, on standard error. */
static void put_line(struct watch *watch, json_t *line)
{
	char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;

	if (text) {
		fprintf(watch->cli->err, "%s\n", text);
		fflush(watch->cli->err);
	}
	free(text);
	json_decref(line);
}

void watch_bytes(struct watch *watch, uint64_t done, uint64_t total, uint64_t bytes_per_s,
		 uint64_t eta_ms)
{
	switch (form_of(watch)) {
	case FORM_AUTO:
		progress_bytes(&watch->progress, watch->title, done, total);
		break;
	case FORM_JSON:
		put_line(watch, json_pack("{s:s, s:I, s:I, s:I, s:I}", "title", watch->title,
					  "done_bytes", (json_int_t)done, "total_bytes",
					  (json_int_t)total, "bytes_per_s", (json_int_t)bytes_per_s,
					  "eta_ms", (json_int_t)eta_ms));
		break;
	case FORM_NONE:
		break;
	}
}

void watch_text(struct watch *watch, const char *state)
{
	switch (form_of(watch)) {
	case FORM_AUTO:
		progress_text(&watch->progress, watch->title, state);
		break;
	case FORM_JSON:
		put_line(watch, json_pack("{s:s, s:s}", "title", watch->title, "state", state));
		break;
	case FORM_NONE:
		break;
	}
}

bool watch_pause(struct watch *watch)
{
	uint64_t until_ns = clock_deadline_ns(WATCH_MS * CLOCK_NS_PER_MS);

	for (;;) {
		switch (interrupts_wait(&watch->interrupts, -1, until_ns)) {
		case EVENT_END:
			watch->is_ended = true;
			return false;
		case EVENT_TIME:
			return true;
		case EVENT_STOP:
		case EVENT_SIZE:
		case EVENT_KEY:
			break;
		}
	}
}
