/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"

#include <fcntl.h>

#include "base/clock.h"
#include "unit.h"

static bool fd_is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

TEST(a_descriptor_closes_with_its_scope)
{
	int number;

	{
		AUTO_CLOSE int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

		number = fd;
		ck_assert(fd_is_open(number));
	}
	ck_assert(!fd_is_open(number));
}

TEST(a_descriptor_moved_out_stays_open)
{
	int number;

	{
		AUTO_CLOSE int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

		number = take_fd(&fd);
		ck_assert_int_eq(fd, -1);
	}
	ck_assert(fd_is_open(number));
	close(number);
}

/* Without the free, or with a second one, the leak and address sanitizers speak up. */
TEST(memory_frees_with_its_scope_unless_moved_out)
{
	char *kept;
	AUTO_FREE char *dropped = malloc(10);
	AUTO_FREE char *moved = malloc(10);

	ck_assert_ptr_nonnull(dropped);
	kept = TAKE_PTR(moved);
	ck_assert_ptr_null(moved);
	ck_assert_ptr_nonnull(kept);
	free(kept);
}

TEST(cleaning_up_keeps_errno)
{
	{
		AUTO_CLOSE int fd = 9999;

		errno = ENOENT;
		ck_assert_int_eq(fd, 9999);
	}
	ck_assert_int_eq(errno, ENOENT);
}

TEST(a_deadline_that_never_comes_stays_away)
{
	uint64_t past_ns = clock_now_ns();

	ck_assert_uint_eq(clock_deadline_ns(UINT64_MAX), CLOCK_NEVER_NS);
	ck_assert(!clock_is_past(CLOCK_NEVER_NS));
	ck_assert_int_eq(clock_poll_ms(CLOCK_NEVER_NS), -1);
	ck_assert(clock_is_past(past_ns));
	ck_assert_int_eq(clock_poll_ms(past_ns), 0);
	ck_assert_int_eq(clock_poll_ms(clock_now_ns() + 3600 * CLOCK_NS_PER_S) > 3599000, 1);
}

UNIT_MAIN("base-cleanup", a_descriptor_closes_with_its_scope, a_descriptor_moved_out_stays_open,
	  memory_frees_with_its_scope_unless_moved_out, cleaning_up_keeps_errno,
	  a_deadline_that_never_comes_stays_away)
