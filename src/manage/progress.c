/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/progress.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "manage/terminal.h"
#include "manage/text.h"

/* What is done by then shows nothing. */
#define SILENT_BAR_NS (500 * CLOCK_NS_PER_MS)
#define SILENT_LINE_NS (3 * CLOCK_NS_PER_S)
#define BAR_EVERY_NS (100 * CLOCK_NS_PER_MS)
#define LINE_EVERY_NS (5 * CLOCK_NS_PER_S)
#define BAR_COLUMNS 20u
#define LINE_BEGIN "\r\033[K"

void progress_begin(struct progress *progress, FILE *file)
{
	*progress = (struct progress){ .file = file, .begun_ns = clock_now_ns() };
	progress->bar = terminal_is_capable(fileno(file));
}

static bool is_due(struct progress *progress)
{
	uint64_t now_ns = clock_now_ns();
	uint64_t every_ns = progress->bar ? BAR_EVERY_NS : LINE_EVERY_NS;
	uint64_t silent_ns = progress->bar ? SILENT_BAR_NS : SILENT_LINE_NS;

	if (progress->shown ? now_ns - progress->drawn_ns < every_ns :
			      now_ns - progress->begun_ns < silent_ns)
		return false;
	progress->drawn_ns = now_ns;
	progress->shown = true;
	return true;
}

/* A line that is drawn over must not be longer than the terminal is wide. */
static void draw(const struct progress *progress, const char *line)
{
	struct winsize size = { .ws_col = 80 };
	size_t len = strlen(line);

	if (progress->bar) {
		if (ioctl(fileno(progress->file), TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
			len = text_cut(line, size.ws_col - 1u);
		fprintf(progress->file, LINE_BEGIN "%.*s", (int)len, line);
	} else {
		fprintf(progress->file, "dvs: %s\n", line);
	}
	fflush(progress->file);
}

static void put_bar(FILE *out, uint64_t done, uint64_t total)
{
	uint64_t full = done >= total ? BAR_COLUMNS : done / (total / BAR_COLUMNS + 1);

	fputs("  [", out);
	for (uint64_t i = 0; i < BAR_COLUMNS; i++)
		fputc(i < full ? '#' : '.', out);
	fputc(']', out);
}

void progress_bytes(struct progress *progress, const char *what, uint64_t done, uint64_t total)
{
	char line[512];
	char done_text[TEXT_SHORT_BYTES];
	char total_text[TEXT_SHORT_BYTES];
	char rate_text[TEXT_SHORT_BYTES];
	uint64_t rate;
	FILE *out;

	if (!is_due(progress))
		return;
	out = fmemopen(line, sizeof(line), "w");
	if (!out)
		return;
	rate = (uint64_t)((double)done * 1e9 / (double)(progress->drawn_ns - progress->begun_ns));
	text_short(done, done_text);
	text_short(total, total_text);
	text_short(rate, rate_text);
	fputs(what, out);
	if (total > 0) {
		if (progress->bar)
			put_bar(out, done, total);
		fprintf(out, "  %3.0f%%  %s of %s bytes",
			done >= total ? 100.0 : 100.0 * (double)done / (double)total, done_text,
			total_text);
	} else {
		fprintf(out, "  %s bytes", done_text);
	}
	fprintf(out, "  %sB/s", rate_text);
	if (total > done && rate > 0) {
		char left[TEXT_SHORT_BYTES];

		text_span((total - done) / rate + 1, left);
		fprintf(out, "  %s left", left);
	}
	if (fclose(out) == 0)
		draw(progress, line);
}

void progress_text(struct progress *progress, const char *what, const char *state)
{
	char line[512];

	if (!is_due(progress))
		return;
	snprintf(line, sizeof(line), "%s  %s", what, state);
	draw(progress, line);
}

void progress_end(struct progress *progress)
{
	if (progress->bar && progress->shown) {
		fputs(LINE_BEGIN, progress->file);
		fflush(progress->file);
	}
	progress->shown = false;
}
