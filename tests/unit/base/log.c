/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "unit.h"

struct captured {
	char text[2 * LOG_LINE_BYTES_MAX];
};

/* Logs into a pipe and reads back what came out. */
struct tapped_log {
	struct log log;
	int read_fd;
};

static struct tapped_log tap_open(enum log_level level, bool for_journal)
{
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	return (struct tapped_log){
		.log = { .fd = fds[1], .level = level, .for_journal = for_journal },
		.read_fd = fds[0],
	};
}

static struct captured tap_close(struct tapped_log *tap)
{
	struct captured got = { { 0 } };
	ssize_t n;

	close(tap->log.fd);
	n = read(tap->read_fd, got.text, sizeof(got.text) - 1);
	ck_assert_int_ge(n, 0);
	close(tap->read_fd);
	return got;
}

TEST(a_line_for_the_journal_has_its_priority_in_front)
{
	struct tapped_log tap = tap_open(LOG_LEVEL_INFO, true);

	log_info(&tap.log, "endpoint bound", LOG_U64("ep", 17), LOG_STR("dc", "web"),
		 LOG_I64("delta", -1));
	ck_assert_str_eq(tap_close(&tap).text, "<6>endpoint bound ep=17 dc=web delta=-1\n");
}

TEST(a_line_for_people_has_time_and_level)
{
	struct tapped_log tap = tap_open(LOG_LEVEL_INFO, false);
	struct captured got;

	log_warning(&tap.log, "slow");
	got = tap_close(&tap);
	ck_assert_ptr_nonnull(strstr(got.text, "Z warning slow\n"));
	ck_assert_int_eq(got.text[4], '-');
	ck_assert_int_eq(got.text[10], 'T');
}

TEST(a_value_cannot_forge_a_field_or_a_line)
{
	struct tapped_log tap = tap_open(LOG_LEVEL_INFO, true);

	log_error(&tap.log, "x", LOG_STR("a", "1 b=2\n<0>\"\\"), LOG_STR("c", ""),
		  LOG_STR("d", NULL));
	ck_assert_str_eq(tap_close(&tap).text, "<3>x a=\"1 b=2\\x0a<0>\\\"\\\\\" c=\"\" d=\"\"\n");
}

TEST(lines_above_the_level_are_dropped)
{
	struct tapped_log tap = tap_open(LOG_LEVEL_WARNING, true);

	log_info(&tap.log, "no");
	log_debug(&tap.log, "no");
	log_warning(&tap.log, "yes");
	ck_assert_str_eq(tap_close(&tap).text, "<4>yes\n");
}

TEST(a_line_too_long_is_cut_and_says_so)
{
	struct tapped_log tap = tap_open(LOG_LEVEL_INFO, true);
	char value[3 * LOG_LINE_BYTES_MAX];
	struct captured got;

	memset(value, 'v', sizeof(value));
	value[sizeof(value) - 1] = '\0';
	log_info(&tap.log, "long", LOG_STR("value", value), LOG_STR("next", "n"));
	got = tap_close(&tap);
	ck_assert_uint_le(strlen(got.text), LOG_LINE_BYTES_MAX);
	ck_assert_ptr_nonnull(strstr(got.text, "vvv [cut]\n"));
}

TEST(errno_survives_a_line)
{
	struct log log = { .fd = -1, .level = LOG_LEVEL_DEBUG };

	errno = ENOENT;
	log_debug(&log, "lost");
	ck_assert_int_eq(errno, ENOENT);
}

TEST(level_names_are_read)
{
	enum log_level level = LOG_LEVEL_ERROR;

	ck_assert(log_level_parse("debug", &level));
	ck_assert_int_eq(level, LOG_LEVEL_DEBUG);
	ck_assert(!log_level_parse("loud", &level));
	ck_assert_int_eq(level, LOG_LEVEL_DEBUG);
}

TEST(the_journal_is_recognised_by_its_variable)
{
	ck_assert_int_eq(setenv("JOURNAL_STREAM", "8:1", 1), 0);
	ck_assert(log_to_stderr(LOG_LEVEL_INFO).for_journal);
	ck_assert_int_eq(unsetenv("JOURNAL_STREAM"), 0);
	ck_assert(!log_to_stderr(LOG_LEVEL_INFO).for_journal);
}

UNIT_MAIN("base-log", a_line_for_the_journal_has_its_priority_in_front,
	  a_line_for_people_has_time_and_level, a_value_cannot_forge_a_field_or_a_line,
	  lines_above_the_level_are_dropped, a_line_too_long_is_cut_and_says_so,
	  errno_survives_a_line, level_names_are_read, the_journal_is_recognised_by_its_variable)
