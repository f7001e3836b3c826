/* SPDX-License-Identifier: Apache-2.0 */
/* What is said to the kernel for an NBD device, byte for byte, and how its answers are read. The test is the kernel, at the other end of a pair of sockets. */
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/nbd-netlink.h>
#include <linux/nbd.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "gateways/attach/nbd_message.h"
#include "unit.h"

#define FAMILY 0x1c
#define HEAD_BYTES (NLMSG_HDRLEN + GENL_HDRLEN)

static const struct nbd_wish wish = { .socket_fd = 9,
				      .bytes = UINT64_C(3) << 30,
				      .name = "a:b:01" };

/* The contents of attribute TYPE among LEN bytes; NULL: there is none. */
static const uint8_t *attribute(const uint8_t *at, size_t len, uint16_t type, size_t *bytes)
{
	while (len >= NLA_HDRLEN) {
		struct nlattr head;

		memcpy(&head, at, sizeof(head));
		ck_assert(head.nla_len >= NLA_HDRLEN && head.nla_len <= len);
		*bytes = head.nla_len - NLA_HDRLEN;
		if ((head.nla_type & NLA_TYPE_MASK) == type)
			return at + NLA_HDRLEN;
		at += NLA_ALIGN(head.nla_len);
		len -= NLA_ALIGN(head.nla_len);
	}
	return NULL;
}

static const uint8_t *of_message(const struct genl_message *message, uint16_t type, size_t *bytes)
{
	return attribute(message->bytes + HEAD_BYTES, message->len - HEAD_BYTES, type, bytes);
}

static uint64_t number_of(const struct genl_message *message, uint16_t type, size_t wanted)
{
	size_t bytes = 0;
	const uint8_t *at = of_message(message, type, &bytes);
	uint64_t number = 0;

	ck_assert_ptr_nonnull(at);
	ck_assert_uint_eq(bytes, wanted);
	memcpy(&number, at, bytes); /* little-endian machines only, as all of ours */
	return number;
}

static uint8_t command_of(const struct genl_message *message)
{
	struct genlmsghdr about;

	memcpy(&about, message->bytes + NLMSG_HDRLEN, sizeof(about));
	ck_assert_uint_eq(about.version, NBD_GENL_VERSION);
	return about.cmd;
}

static void is_named(const struct genl_message *message, const char *name)
{
	size_t bytes = 0;
	const uint8_t *at = of_message(message, NBD_ATTR_BACKEND_IDENTIFIER, &bytes);

	ck_assert_ptr_nonnull(at);
	ck_assert_uint_eq(bytes, strlen(name) + 1);
	ck_assert_mem_eq(at, name, bytes);
}

TEST(a_device_is_asked_for_by_its_socket)
{
	struct genl_message message;
	size_t bytes = 0;
	const uint8_t *at;
	uint32_t fd;

	nbd_message_connect(&message, FAMILY, &wish);
	ck_assert_uint_eq(command_of(&message), NBD_CMD_CONNECT);
	ck_assert(number_of(&message, NBD_ATTR_SIZE_BYTES, 8) == wish.bytes);
	ck_assert_uint_eq(number_of(&message, NBD_ATTR_BLOCK_SIZE_BYTES, 8), 512);
	/* flags, flush, trim, zeroes */
	ck_assert_uint_eq(number_of(&message, NBD_ATTR_SERVER_FLAGS, 8), 1 + 4 + 32 + 64);
	is_named(&message, wish.name);
	/* The kernel takes a free one, and goes on when it is closed until it is told otherwise. */
	ck_assert_ptr_null(of_message(&message, NBD_ATTR_INDEX, &bytes));
	ck_assert_ptr_null(of_message(&message, NBD_ATTR_CLIENT_FLAGS, &bytes));
	at = of_message(&message, NBD_ATTR_SOCKETS, &bytes);
	ck_assert_ptr_nonnull(at);
	at = attribute(at, bytes, NBD_SOCK_ITEM, &bytes);
	ck_assert_ptr_nonnull(at);
	at = attribute(at, bytes, NBD_SOCK_FD, &bytes);
	ck_assert_ptr_nonnull(at);
	ck_assert_uint_eq(bytes, sizeof(fd));
	memcpy(&fd, at, sizeof(fd));
	ck_assert_uint_eq(fd, 9);
}
END_TEST

TEST(a_read_only_device_is_told_to_be_one)
{
	struct genl_message message;
	struct nbd_wish quiet = wish;

	quiet.is_read_only = true;
	nbd_message_connect(&message, FAMILY, &quiet);
	/* flags, read only, flush */
	ck_assert_uint_eq(number_of(&message, NBD_ATTR_SERVER_FLAGS, 8), 1 + 2 + 4);
}
END_TEST

TEST(a_device_is_changed_by_number_and_name)
{
	struct genl_message message;

	nbd_message_end_with_last_close(&message, FAMILY, 5, "x");
	ck_assert_uint_eq(command_of(&message), NBD_CMD_RECONFIGURE);
	ck_assert_uint_eq(number_of(&message, NBD_ATTR_INDEX, 4), 5);
	ck_assert_uint_eq(number_of(&message, NBD_ATTR_CLIENT_FLAGS, 8),
			  NBD_CFLAG_DISCONNECT_ON_CLOSE);
	is_named(&message, "x");
	nbd_message_resize(&message, FAMILY, 6, "yy", 1 << 20);
	ck_assert_uint_eq(command_of(&message), NBD_CMD_RECONFIGURE);
	ck_assert_uint_eq(number_of(&message, NBD_ATTR_INDEX, 4), 6);
	ck_assert_uint_eq(number_of(&message, NBD_ATTR_SIZE_BYTES, 8), 1 << 20);
	is_named(&message, "yy");
	nbd_message_disconnect(&message, FAMILY, 7);
	ck_assert_uint_eq(command_of(&message), NBD_CMD_DISCONNECT);
	ck_assert_uint_eq(number_of(&message, NBD_ATTR_INDEX, 4), 7);
}
END_TEST

/* ---- answers ---- */

struct scene {
	struct genl genl;
	int kernel_fd;
};

static void begin(struct scene *scene)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	*scene = (struct scene){ .genl = { .fd = pair[0] }, .kernel_fd = pair[1] };
}

static void end(struct scene *scene)
{
	close(scene->genl.fd);
	if (scene->kernel_fd >= 0)
		close(scene->kernel_fd);
}

/* A word about how it went; with LEN bytes of it only. */
static void answer_error(const struct scene *scene, uint32_t sequence, int error, size_t len)
{
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
	} word = {
		.head = { .nlmsg_len = sizeof(word),
			  .nlmsg_type = NLMSG_ERROR,
			  .nlmsg_seq = sequence },
		.error = { .error = error },
	};

	ck_assert_int_eq(send(scene->kernel_fd, &word, len, 0), (ssize_t)len);
}

static void answer_index(const struct scene *scene, uint32_t sequence, uint32_t index)
{
	struct {
		struct nlmsghdr head;
		struct genlmsghdr about;
		struct nlattr attribute;
		uint32_t index;
	} word = {
		.head = { .nlmsg_len = sizeof(word), .nlmsg_type = FAMILY, .nlmsg_seq = sequence },
		.about = { .cmd = NBD_CMD_CONNECT },
		.attribute = { .nla_len = NLA_HDRLEN + 4, .nla_type = NBD_ATTR_INDEX },
		.index = index,
	};

	ck_assert_int_eq(send(scene->kernel_fd, &word, sizeof(word), 0), sizeof(word));
}

static dvs_err ask(struct scene *scene, uint32_t *index, int *refused)
{
	struct genl_message message;

	nbd_message_connect(&message, FAMILY, &wish);
	return genl_ask(&scene->genl, &message, NBD_ATTR_INDEX, index, refused);
}

TEST(the_answer_has_the_devices_number)
{
	struct scene scene;
	struct nlmsghdr head;
	uint8_t room[GENL_MESSAGE_MAX];
	uint32_t index = 0;
	int refused = 7;
	ssize_t n;

	begin(&scene);
	/* What is left of an earlier question is read over. */
	answer_index(&scene, 77, 4);
	answer_error(&scene, 77, -EBUSY, NLMSG_HDRLEN + sizeof(struct nlmsgerr));
	answer_index(&scene, 1, 11);
	answer_error(&scene, 1, 0, NLMSG_HDRLEN + sizeof(struct nlmsgerr));
	ck_assert(ask(&scene, &index, &refused) == DVS_OK);
	ck_assert_uint_eq(index, 11);
	ck_assert_int_eq(refused, 0);
	n = recv(scene.kernel_fd, room, sizeof(room), 0);
	ck_assert_int_gt(n, HEAD_BYTES);
	memcpy(&head, room, sizeof(head));
	ck_assert_uint_eq(head.nlmsg_len, n);
	ck_assert_uint_eq(head.nlmsg_type, FAMILY);
	ck_assert_uint_eq(head.nlmsg_flags, NLM_F_REQUEST | NLM_F_ACK);
	ck_assert_uint_eq(head.nlmsg_seq, 1);
	end(&scene);
}
END_TEST

TEST(what_the_kernel_refuses_is_told_with_its_reason)
{
	struct scene scene;
	uint32_t index = 0;
	int refused = 0;

	begin(&scene);
	answer_error(&scene, 1, -EPERM, NLMSG_HDRLEN + sizeof(struct nlmsgerr));
	ck_assert(ask(&scene, &index, &refused) == dvs_from_errno(EPERM));
	ck_assert_int_eq(refused, EPERM);
	end(&scene);
}
END_TEST

TEST(an_answer_that_is_none_is_an_error)
{
	struct scene scene;
	uint32_t index = 0;
	int refused;

	begin(&scene);
	/* Success, but which device? */
	answer_error(&scene, 1, 0, NLMSG_HDRLEN + sizeof(struct nlmsgerr));
	ck_assert(ask(&scene, &index, &refused) == DVS_PROTO);
	/* Cut off, and then the end. */
	for (size_t len = 1; len < NLMSG_HDRLEN + sizeof(struct nlmsgerr); len += 7)
		answer_error(&scene, 2, 0, len);
	(void)shutdown(scene.kernel_fd, SHUT_WR);
	ck_assert(ask(&scene, &index, &refused) == DVS_PROTO);
	end(&scene);
}
END_TEST

TEST(a_message_that_is_too_long_is_not_sent)
{
	struct scene scene;
	struct genl_message message;
	static const uint8_t much[GENL_MESSAGE_MAX / 2];
	int refused;
	size_t nest;

	begin(&scene);
	genl_begin(&message, FAMILY, 1, 1);
	nest = genl_nest(&message, 1);
	genl_put(&message, 2, much, sizeof(much));
	genl_put(&message, 3, much, sizeof(much));
	genl_put_u32(&message, 4, 5);
	genl_unnest(&message, nest);
	ck_assert(genl_ask(&scene.genl, &message, 0, NULL, &refused) == DVS_TOOBIG);
	end(&scene);
}
END_TEST

TEST(only_nbd_devices_are_looked_at)
{
	ck_assert(!nbd_kernel_is_over("/dev/loop0", "x"));
	ck_assert(!nbd_kernel_is_over("/dev/nbd99999", "x"));
	ck_assert(!nbd_kernel_is_over("nbd0", "x"));
}
END_TEST

UNIT_MAIN("gateways-attach-nbd", a_device_is_asked_for_by_its_socket,
	  a_read_only_device_is_told_to_be_one, a_device_is_changed_by_number_and_name,
	  the_answer_has_the_devices_number, what_the_kernel_refuses_is_told_with_its_reason,
	  an_answer_that_is_none_is_an_error, a_message_that_is_too_long_is_not_sent,
	  only_nbd_devices_are_looked_at)
