/* SPDX-License-Identifier: Apache-2.0 */
/* Generic netlink, as much as a request with an answer needs: see netlink(7), genetlink(7) and linux/nbd-netlink.h. Numbers are in the machine's order. */
#ifndef GATEWAYS_ATTACH_GENL_H
#define GATEWAYS_ATTACH_GENL_H

#include <stddef.h>
#include <stdint.h>

#include <dvs/error.h>

#define GENL_MESSAGE_MAX 1024u

struct genl {
	int fd; /* a netlink socket, connected to the kernel */
	uint32_t sequence;
};

/* A message that is being written. What does not fit makes it too long, which sending finds. */
struct genl_message {
	_Alignas(4) uint8_t bytes[GENL_MESSAGE_MAX];
	size_t len;
};

void genl_begin(struct genl_message *message, uint16_t family, uint8_t command, uint8_t version);
void genl_put(struct genl_message *message, uint16_t type, const void *data, size_t bytes);
void genl_put_u32(struct genl_message *message, uint16_t type, uint32_t number);
void genl_put_u64(struct genl_message *message, uint16_t type, uint64_t number);
/* What is put until genl_unnest(), which gets what genl_nest() gave, is in the attribute. */
size_t genl_nest(struct genl_message *message, uint16_t type);
void genl_unnest(struct genl_message *message, size_t nest);

/* Send it and wait for the kernel's word. The number in attribute WANTED of its answer, of 2 or 4 bytes, to *NUMBER; NULL: none is awaited. *ERRNO_OF_KERNEL: why the kernel refused it, else 0. TOOBIG.
 * PROTO: the answer is none, or lacks the number. */
DVS_MUST_USE dvs_err genl_ask(struct genl *genl, struct genl_message *message, uint16_t wanted,
			      uint32_t *number, int *errno_of_kernel);

#endif
