/* SPDX-License-Identifier: Apache-2.0 */
#include "gateways/nbd/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

#define BACKLOG 128
#define ADDRESS_BYTES 64u
#define PORT_BYTES 8u

static dvs_err failed(int error, const char *what, char why[LISTEN_WHY_MAX + 1])
{
	(void)snprintf(why, LISTEN_WHY_MAX + 1, "%.180s: %.60s", what, strerror(error));
	return dvs_from_errno(error);
}

/* Whether somebody answers at ADDRESS. */
static bool is_alive(const struct sockaddr_un *address)
{
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	/* A full queue is a sign of life, too. */
	return fd < 0 || !connect(fd, (const struct sockaddr *)address, sizeof(*address)) ||
	       errno != ECONNREFUSED;
}

/* Make way for a new socket at PATH. */
static dvs_err remove_former(const struct sockaddr_un *address, const char *path,
			     char why[LISTEN_WHY_MAX + 1])
{
	struct stat former;

	if (lstat(path, &former))
		return errno == ENOENT ? DVS_OK : failed(errno, path, why);
	if (!S_ISSOCK(former.st_mode)) {
		(void)snprintf(why, LISTEN_WHY_MAX + 1,
			       "%.180s is there and is no socket: choose another path", path);
		return DVS_EXISTS;
	}
	if (is_alive(address)) {
		(void)snprintf(why, LISTEN_WHY_MAX + 1, "%.180s: another process listens there",
			       path);
		return DVS_INUSE;
	}
	return unlink(path) && errno != ENOENT ? failed(errno, path, why) : DVS_OK;
}

dvs_err listen_unix(const char *path, int *out, char why[LISTEN_WHY_MAX + 1])
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	AUTO_CLOSE int fd = -1;
	mode_t before;
	int bound;
	dvs_err err;

	if ((size_t)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path) >=
		    sizeof(address.sun_path) ||
	    path[0] == '\0') {
		(void)snprintf(why, LISTEN_WHY_MAX + 1, "the path of a socket has 1 to %zu bytes",
			       sizeof(address.sun_path) - 1);
		return DVS_BADARG;
	}
	err = remove_former(&address, path, why);
	if (err)
		return err;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return failed(errno, path, why);
	before = umask(0177);
	bound = bind(fd, (const struct sockaddr *)&address, sizeof(address));
	(void)umask(before);
	if (bound || listen(fd, BACKLOG))
		return failed(errno, path, why);
	*out = take_fd(&fd);
	return DVS_OK;
}

/* Split TEXT at its last colon. */
static bool split(const char *text, char address[ADDRESS_BYTES], char port[PORT_BYTES])
{
	const char *colon = strrchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : 0;

	if (!colon || len >= ADDRESS_BYTES || len == 0 || strlen(colon + 1) >= PORT_BYTES ||
	    colon[1] == '\0')
		return false;
	if (text[0] == '[') {
		if (len < 3 || colon[-1] != ']')
			return false;
		text++;
		len -= 2;
	}
	memcpy(address, text, len);
	address[len] = '\0';
	(void)snprintf(port, PORT_BYTES, "%s", colon + 1);
	return true;
}

static bool is_loopback(const struct addrinfo *found)
{
	if (found->ai_family == AF_INET) {
		struct sockaddr_in address;

		memcpy(&address, found->ai_addr, sizeof(address));
		return ntohl(address.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	}
	if (found->ai_family == AF_INET6) {
		struct sockaddr_in6 address;

		memcpy(&address, found->ai_addr, sizeof(address));
		return IN6_IS_ADDR_LOOPBACK(&address.sin6_addr);
	}
	return false;
}

dvs_err listen_tcp(const char *text, int *out, bool *is_local, char why[LISTEN_WHY_MAX + 1])
{
	const struct addrinfo wanted = { .ai_socktype = SOCK_STREAM,
					 .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE };
	struct addrinfo *found = NULL;
	char address[ADDRESS_BYTES];
	char port[PORT_BYTES];
	const int one = 1;
	AUTO_CLOSE int fd = -1;
	dvs_err err = DVS_OK;

	if (!split(text, address, port) || getaddrinfo(address, port, &wanted, &found)) {
		(void)snprintf(why, LISTEN_WHY_MAX + 1,
			       "'%.100s' is no ADDRESS:PORT or [ADDRESS]:PORT in numbers", text);
		return DVS_BADARG;
	}
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, found->ai_addr, found->ai_addrlen) || listen(fd, BACKLOG))
		err = failed(errno, text, why);
	*is_local = is_loopback(found);
	freeaddrinfo(found);
	if (!err)
		*out = take_fd(&fd);
	return err;
}
