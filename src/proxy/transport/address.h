/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of the Internet protocols. */
#ifndef PROXY_TRANSPORT_ADDRESS_H
#define PROXY_TRANSPORT_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include <dvs/error.h>

struct address {
	struct sockaddr_storage at;
	socklen_t bytes;
};

/* NAME, a number or a name, with PORT. IO, and TEXT says why. */
DVS_MUST_USE dvs_err address_find(const char *name, uint32_t port, struct address *address,
				  char *text, size_t text_bytes);
/* Any address of the same family, with the same port. */
void address_any(struct address *address);
bool address_same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b);

#endif
