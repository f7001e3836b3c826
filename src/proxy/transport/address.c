/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/transport/address.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

dvs_err address_find(const char *name, uint32_t port, struct address *address, char *text,
		     size_t text_bytes)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	char service[12];
	int failure;

	snprintf(service, sizeof(service), "%u", port);
	if (port == 0 || port > UINT16_MAX) {
		snprintf(text, text_bytes, "%s is no port; set links.port", service);
		return DVS_IO;
	}
	failure = getaddrinfo(name, service, &hints, &found);
	if (failure != 0) {
		snprintf(text, text_bytes, "address %s: %s", name, gai_strerror(failure));
		return DVS_IO;
	}
	memset(address, 0, sizeof(*address));
	memcpy(&address->at, found->ai_addr, found->ai_addrlen);
	address->bytes = found->ai_addrlen;
	freeaddrinfo(found);
	return DVS_OK;
}

void address_any(struct address *address)
{
	if (address->at.ss_family == AF_INET6)
		((struct sockaddr_in6 *)(void *)&address->at)->sin6_addr = in6addr_any;
	else
		((struct sockaddr_in *)(void *)&address->at)->sin_addr.s_addr = htonl(INADDR_ANY);
}

bool address_same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	if (a->ss_family != b->ss_family)
		return false;
	if (a->ss_family == AF_INET6)
		return memcmp(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr,
			      &((const struct sockaddr_in6 *)(const void *)b)->sin6_addr,
			      sizeof(struct in6_addr)) == 0;
	return ((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr ==
	       ((const struct sockaddr_in *)(const void *)b)->sin_addr.s_addr;
}
