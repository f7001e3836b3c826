/* SPDX-License-Identifier: Apache-2.0 */
#include "gateways/attach/genl.h"

#include <assert.h>
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"

#define ANSWER_BYTES 8192u
/* Messages that are read over, at most, before the one that is awaited. */
#define STRAY_MAX 64

static void append(struct genl_message *message, const void *data, size_t bytes)
{
	if (message->len + bytes + NLA_ALIGNTO <= GENL_MESSAGE_MAX) {
		memcpy(message->bytes + message->len, data, bytes);
		message->len += NLMSG_ALIGN(bytes);
	} else {
		message->len = GENL_MESSAGE_MAX + 1;
	}
}

void genl_begin(struct genl_message *message, uint16_t family, uint8_t command, uint8_t version)
{
	const struct nlmsghdr head = { .nlmsg_type = family,
				       .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK };
	const struct genlmsghdr about = { .cmd = command, .version = version };

	*message = (struct genl_message){ .len = 0 };
	append(message, &head, sizeof(head));
	append(message, &about, sizeof(about));
}

void genl_put(struct genl_message *message, uint16_t type, const void *data, size_t bytes)
{
	const struct nlattr head = { .nla_len = (uint16_t)(NLA_HDRLEN + bytes), .nla_type = type };

	assert(bytes < GENL_MESSAGE_MAX);
	append(message, &head, sizeof(head));
	append(message, data, bytes);
}

void genl_put_u32(struct genl_message *message, uint16_t type, uint32_t number)
{
	genl_put(message, type, &number, sizeof(number));
}

void genl_put_u64(struct genl_message *message, uint16_t type, uint64_t number)
{
	genl_put(message, type, &number, sizeof(number));
}

size_t genl_nest(struct genl_message *message, uint16_t type)
{
	size_t nest = message->len;

	genl_put(message, type | NLA_F_NESTED, "", 0);
	return nest;
}

void genl_unnest(struct genl_message *message, size_t nest)
{
	uint16_t bytes = (uint16_t)(message->len - nest);

	if (message->len <= GENL_MESSAGE_MAX)
		memcpy(message->bytes + nest, &bytes, sizeof(bytes));
}

/* ---- the answer ---- */

struct answer {
	uint32_t number;
	bool has_number;
	bool is_over;
	int error;
};

/* Attributes of an answer: that of type WANTED. */
static void take_attributes(const uint8_t *at, size_t len, uint16_t wanted, struct answer *answer)
{
	struct nlattr head;

	while (len >= sizeof(head)) {
		size_t step;

		memcpy(&head, at, sizeof(head));
		if (head.nla_len < sizeof(head) || head.nla_len > len)
			return;
		if ((head.nla_type & NLA_TYPE_MASK) == wanted) {
			uint16_t small = 0;

			if (head.nla_len == NLA_HDRLEN + sizeof(small)) {
				memcpy(&small, at + NLA_HDRLEN, sizeof(small));
				answer->number = small;
				answer->has_number = true;
			} else if (head.nla_len == NLA_HDRLEN + sizeof(answer->number)) {
				memcpy(&answer->number, at + NLA_HDRLEN, sizeof(answer->number));
				answer->has_number = true;
			}
		}
		step = NLA_ALIGN(head.nla_len);
		if (step > len)
			return;
		at += step;
		len -= step;
	}
}

/* The messages of one datagram. */
static void take_messages(const uint8_t *at, size_t len, uint32_t sequence, uint16_t wanted,
			  struct answer *answer)
{
	const size_t about = NLMSG_HDRLEN + GENL_HDRLEN;
	struct nlmsghdr head;

	while (len >= sizeof(head) && !answer->is_over) {
		size_t step;

		memcpy(&head, at, sizeof(head));
		if (head.nlmsg_len < sizeof(head) || head.nlmsg_len > len)
			return;
		if (head.nlmsg_seq != sequence) {
			/* of an earlier request */
		} else if (head.nlmsg_type == NLMSG_ERROR &&
			   head.nlmsg_len >= NLMSG_HDRLEN + sizeof(answer->error)) {
			memcpy(&answer->error, at + NLMSG_HDRLEN, sizeof(answer->error));
			answer->is_over = true;
		} else if (head.nlmsg_type >= NLMSG_MIN_TYPE && head.nlmsg_len >= about) {
			take_attributes(at + about, head.nlmsg_len - about, wanted, answer);
		}
		step = NLMSG_ALIGN(head.nlmsg_len);
		if (step > len)
			return;
		at += step;
		len -= step;
	}
}

dvs_err genl_ask(struct genl *genl, struct genl_message *message, uint16_t wanted, uint32_t *number,
		 int *errno_of_kernel)
{
	struct answer answer = { .is_over = false };
	uint32_t len = (uint32_t)message->len;
	uint8_t room[ANSWER_BYTES];

	*errno_of_kernel = 0;
	if (message->len > GENL_MESSAGE_MAX)
		return DVS_TOOBIG;
	genl->sequence++;
	memcpy(message->bytes + offsetof(struct nlmsghdr, nlmsg_len), &len, sizeof(len));
	memcpy(message->bytes + offsetof(struct nlmsghdr, nlmsg_seq), &genl->sequence,
	       sizeof(genl->sequence));
	if (send(genl->fd, message->bytes, message->len, MSG_NOSIGNAL) != (ssize_t)message->len)
		return dvs_from_errno(errno);
	for (int i = 0; i < STRAY_MAX && !answer.is_over; i++) {
		ssize_t n = recv(genl->fd, room, sizeof(room), 0);

		if (n < 0 && errno != EINTR)
			return dvs_from_errno(errno);
		if (n == 0)
			return DVS_PROTO;
		if (n > 0)
			take_messages(room, (size_t)n, genl->sequence, wanted, &answer);
	}
	if (!answer.is_over)
		return DVS_PROTO;
	*errno_of_kernel = answer.error < 0 ? -answer.error : 0;
	if (answer.error)
		return answer.error < 0 ? dvs_from_errno(-answer.error) : DVS_PROTO;
	if (number)
		*number = answer.number;
	return !number || answer.has_number ? DVS_OK : DVS_PROTO;
}
