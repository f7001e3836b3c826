/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets: RUN/admin for the owner of dvsd, RUN/dc/NAME/control for a DC. The path
 * is the DC: a program reaches the DC whose socket it can open, and no other. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "node/api.h"

/* Out of descriptors: take the connection with the one kept for this, and close it, or epoll
 * would report it for ever. */
static void refuse_one(struct host *host, int listener)
{
	int fd;

	cleanup_close(&host->spare_fd);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		close(fd);
	host->spare_fd = dup(listener);
	log_warning(&host->log, "refused a connection: out of descriptors");
}

static void on_server(struct host *host, struct source *source, uint32_t events)
{
	struct server *server = CONTAINER_OF(source, struct server, source);

	(void)events;
	for (unsigned int i = 0; i < LINK_READS_MAX; i++) {
		int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			link_create(host, server, fd);
		} else if (errno == EMFILE || errno == ENFILE) {
			refuse_one(host, source->fd);
			return;
		} else if (errno != EINTR && errno != ECONNABORTED) {
			return;
		}
	}
}

static dvs_err server_listen(struct host *host, struct server *server, const char *path,
			     mode_t mode)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	AUTO_CLOSE int fd = -1;
	char fresh[512];
	int on = 1;

	/* Whoever sees the socket's name finds somebody listening. */
	(void)snprintf(fresh, sizeof(fresh), "%s.new", path);
	if (strlen(fresh) >= sizeof(address.sun_path)) {
		log_error(&host->log,
			  "the path of a socket is too long: choose a shorter run"
			  " directory",
			  LOG_STR("path", path));
		return DVS_BADARG;
	}
	memcpy(address.sun_path, fresh, strlen(fresh) + 1);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	(void)unlink(fresh);
	/* Senders' credentials are asked for here, so that no frame can come without. */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) != 0 ||
	    bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
	    chmod(fresh, mode) != 0 || listen(fd, 4096) != 0 || rename(fresh, path) != 0) {
		log_error(&host->log, "cannot listen", LOG_STR("path", path),
			  LOG_STR("error", strerror(errno)));
		return DVS_IO;
	}
	server->source = (struct source){ .fd = take_fd(&fd), .ready = on_server };
	return source_add(host, &server->source, EPOLLIN);
}

static dvs_err make_directory(struct host *host, const char *path, mode_t mode)
{
	if ((mkdir(path, mode) == 0 || errno == EEXIST) && chmod(path, mode) == 0)
		return DVS_OK;
	log_error(&host->log, "cannot make a directory", LOG_STR("path", path),
		  LOG_STR("error", strerror(errno)));
	return DVS_IO;
}

dvs_err server_open_admin(struct host *host)
{
	char path[512];

	list_init(&host->admin.of_host);
	(void)snprintf(path, sizeof(path), "%s/admin", host->options.run_dir);
	return server_listen(host, &host->admin, path, 0600);
}

struct server *server_find(const struct host *host, dvs_dcid dc)
{
	LIST_FOREACH(link, &host->servers) {
		struct server *server = CONTAINER_OF(link, struct server, of_host);

		if (server->dc.n == dc.n)
			return server;
	}
	return NULL;
}

struct server *server_new(struct host *host, dvs_dcid dc, const char *name)
{
	struct server *server = calloc(1, sizeof(*server));

	if (!server)
		return NULL;
	server->dc = dc;
	memcpy(server->name, name, strlen(name) + 1);
	server->source.fd = -1;
	list_add_tail(&host->servers, &server->of_host);
	return server;
}

/* A DC's directory is its owner's alone: who is to get in besides has its socket mounted into its container. */
static dvs_err make_dc_directory(struct host *host, const char *path, uint32_t owner_uid)
{
	dvs_err err = make_directory(host, path, 0700);

	if (err != DVS_OK || owner_uid == host->uid)
		return err;
	if (chown(path, owner_uid, (gid_t)-1) == 0)
		return DVS_OK;
	log_error(&host->log, "cannot give a DC to its owner", LOG_STR("path", path),
		  LOG_STR("error", strerror(errno)));
	return dvs_from_errno(errno);
}

/* What is mounted into the containers of the DC: a directory, since the next dvsd makes another socket. Nobody but root
 * gets to it from outside, and everybody in the container may open what is in it. */
static dvs_err open_inside(struct host *host, const char *name)
{
	char control[512];
	char path[512];
	char fresh[512];
	dvs_err err;

	(void)snprintf(path, sizeof(path), "%s/inside", host->options.run_dir);
	err = make_directory(host, path, 0700);
	if (err != DVS_OK)
		return err;
	(void)snprintf(path, sizeof(path), "%s/inside/%s", host->options.run_dir, name);
	err = make_directory(host, path, 0755);
	if (err != DVS_OK)
		return err;
	(void)snprintf(control, sizeof(control), "%s/dc/%s/control", host->options.run_dir, name);
	(void)snprintf(path, sizeof(path), "%s/inside/%s/control", host->options.run_dir, name);
	(void)snprintf(fresh, sizeof(fresh), "%s/inside/%s/new", host->options.run_dir, name);
	(void)unlink(fresh);
	if (link(control, fresh) == 0 && rename(fresh, path) == 0)
		return DVS_OK;
	log_error(&host->log, "cannot make the socket for the containers of a DC",
		  LOG_STR("path", path), LOG_STR("error", strerror(errno)));
	return dvs_from_errno(errno);
}

dvs_err server_open_dc(struct host *host, dvs_dcid dc, const char *name, uint32_t owner_uid)
{
	struct server *server = server_new(host, dc, name);
	char path[512];
	dvs_err err;

	if (!server)
		return DVS_NOMEM;
	(void)snprintf(path, sizeof(path), "%s/dc", host->options.run_dir);
	err = make_directory(host, path, 0755);
	if (err != DVS_OK)
		return err;
	(void)snprintf(path, sizeof(path), "%s/dc/%s", host->options.run_dir, name);
	err = make_dc_directory(host, path, owner_uid);
	if (err != DVS_OK)
		return err;
	(void)snprintf(path, sizeof(path), "%s/dc/%s/control", host->options.run_dir, name);
	err = server_listen(host, server, path, 0666);
	return err == DVS_OK && dc.n != 0 ? open_inside(host, name) : err;
}

/* Remove what the socket left in the file system; what is not there need not be removed. */
static void server_unlink(const struct host *host, const char *name)
{
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/dc/%s/control", host->options.run_dir, name);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/dc/%s", host->options.run_dir, name);
	(void)rmdir(path);
	(void)snprintf(path, sizeof(path), "%s/inside/%s/control", host->options.run_dir, name);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/inside/%s", host->options.run_dir, name);
	(void)rmdir(path);
}

void server_close_dc(struct host *host, dvs_dcid dc)
{
	struct server *server = server_find(host, dc);

	if (!server)
		return;
	server_unlink(host, server->name);
	source_close(host, &server->source);
	list_remove(&server->of_host);
	LIST_FOREACH(at, &host->links) {
		struct link *link = CONTAINER_OF(at, struct link, of_host);

		/* an admin link only loses what it had entered */
		if (link->server == server)
			link_doom(host, link, NULL);
		else if (link->dc.n == dc.n)
			link->dc.n = 0;
	}
	LIST_FOREACH(at, &host->processes) {
		struct process *process = CONTAINER_OF(at, struct process, of_host);

		if (process->server == server)
			process->server = NULL;
	}
	server->remains.memory = server;
	list_add_tail(&host->dead, &server->remains.of_dead);
}

void server_close_all(struct host *host)
{
	source_close(host, &host->admin.source);
	while (!list_is_empty(&host->servers)) {
		struct server *server = CONTAINER_OF(host->servers.next, struct server, of_host);

		source_close(host, &server->source);
		list_remove(&server->of_host);
		free(server);
	}
}
