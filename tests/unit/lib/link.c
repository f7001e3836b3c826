/* SPDX-License-Identifier: Apache-2.0 */
/* Frames on their way between a library and dvsd. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/link.h"
#include "unit.h"

static void say(int fd, uint32_t op)
{
	struct exchange x = { .op = op, .fd = { -1, -1 } };

	ck_assert(frame_send(fd, &x));
}

/* It dies with something unread: the kernel tells of that before what it has sent. */
TEST(what_dvsd_said_before_it_died_is_read)
{
	struct frame frame;
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	say(ends[0], 7);
	say(ends[0], 8);
	say(ends[1], 9);
	close(ends[0]);
	ck_assert_int_eq(frame_receive(ends[1], &frame), FRAME_GOT);
	ck_assert_uint_eq(frame.op, 7);
	ck_assert_int_eq(frame_receive(ends[1], &frame), FRAME_GOT);
	ck_assert_uint_eq(frame.op, 8);
	ck_assert_int_eq(frame_receive(ends[1], &frame), FRAME_END);
	close(ends[1]);
}

UNIT_MAIN("lib-link", what_dvsd_said_before_it_died_is_read)
