/* SPDX-License-Identifier: Apache-2.0 */
#include "gateways/nbd/server.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "gateways/nbd/connection.h"
#include "gateways/nbd/listen.h"
#include "gateways/nbd/watch.h"

/* What is being carried out at the end is answered within this time. */
#define END_MS 5000u
/* After the table of descriptors was full. */
#define FULL_MS 100
#define KEEP_IDLE_S 30
#define KEEP_COUNT 4

struct server {
	struct connection_setup setup;
	uint32_t connections_max;
	int listen_fd;
	int signal_fd;
	uint64_t n_accepted;
	pthread_mutex_t lock; /* before those of watch and connection */
	pthread_cond_t changed;
	/* under the lock: */
	uint32_t n_connections;
	struct list connections;
};

struct arrival {
	struct server *server;
	struct connection *connection;
};

static void leave(struct server *server, struct connection *connection)
{
	pthread_mutex_lock(&server->lock);
	list_remove(&connection->link);
	pthread_mutex_unlock(&server->lock);
	connection_close(connection);
	/* Last, because the end waits for it. */
	pthread_mutex_lock(&server->lock);
	server->n_connections--;
	pthread_cond_signal(&server->changed);
	pthread_mutex_unlock(&server->lock);
}

static void *serve_client(void *argument)
{
	struct arrival arrival = *(struct arrival *)argument;

	free(argument);
	connection_serve(arrival.connection);
	leave(arrival.server, arrival.connection);
	return NULL;
}

/* CONNECTION is the thread's, or closed. */
static dvs_err start(struct server *server, struct connection *connection)
{
	struct arrival *arrival = malloc(sizeof(*arrival));
	pthread_t thread;

	if (arrival)
		*arrival = (struct arrival){ server, connection };
	pthread_mutex_lock(&server->lock);
	server->n_connections++;
	list_add_tail(&server->connections, &connection->link);
	pthread_mutex_unlock(&server->lock);
	if (!arrival || pthread_create(&thread, NULL, serve_client, arrival)) {
		free(arrival);
		leave(server, connection);
		return DVS_NOMEM;
	}
	pthread_detach(thread);
	return DVS_OK;
}

/* A client whose machine is gone does not hold its connection for ever. On a Unix socket nothing of this is there to be set. */
static void set_options(int fd)
{
	const int one = 1;
	const int idle_s = KEEP_IDLE_S;
	const int count = KEEP_COUNT;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &idle_s, sizeof(idle_s));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

static bool is_full(struct server *server)
{
	bool full;

	pthread_mutex_lock(&server->lock);
	full = server->n_connections >= server->connections_max;
	pthread_mutex_unlock(&server->lock);
	return full;
}

/* False: there are no descriptors; try again later. */
static bool accept_one(struct server *server)
{
	AUTO_CLOSE int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	struct connection *connection;
	dvs_err err;

	if (fd < 0)
		return errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS;
	if (is_full(server)) {
		log_warning(server->setup.log, "client refused: all connections are taken",
			    LOG_U64("connections", server->connections_max));
		return true;
	}
	set_options(fd);
	err = connection_open(&server->setup, take_fd(&fd), ++server->n_accepted, &connection);
	if (!err)
		err = start(server, connection);
	if (err)
		log_warning(server->setup.log, "client refused", LOG_STR("why", dvs_strerror(err)));
	return true;
}

static void serve(struct server *server)
{
	bool can_accept = true;

	for (;;) {
		struct pollfd look[2] = {
			{ .fd = server->signal_fd, .events = POLLIN },
			{ .fd = can_accept ? server->listen_fd : -1, .events = POLLIN },
		};
		int n = poll(look, 2, can_accept ? -1 : FULL_MS);

		if (n < 0 && errno != EINTR)
			return;
		if (n > 0 && look[0].revents)
			return;
		can_accept = true;
		if (n > 0 && look[1].revents)
			can_accept = accept_one(server);
	}
}

static void stop_all_locked(struct server *server, bool is_now)
{
	LIST_FOREACH(link, &server->connections)
		connection_stop(CONTAINER_OF(link, struct connection, link), is_now);
}

/* Whether all connections are gone before WAIT_MS have passed. */
static bool wait_for_end_locked(struct server *server, uint32_t wait_ms)
{
	uint64_t deadline_ns = clock_deadline_ns(wait_ms * CLOCK_NS_PER_MS);
	struct timespec until = clock_timespec(deadline_ns);

	while (server->n_connections > 0 && !clock_is_past(deadline_ns))
		(void)pthread_cond_timedwait(&server->changed, &server->lock, &until);
	return server->n_connections == 0;
}

static bool end_all(struct server *server)
{
	bool are_gone;

	pthread_mutex_lock(&server->lock);
	stop_all_locked(server, false);
	are_gone = wait_for_end_locked(server, END_MS);
	if (!are_gone) {
		stop_all_locked(server, true);
		are_gone = wait_for_end_locked(server, END_MS);
	}
	pthread_mutex_unlock(&server->lock);
	return are_gone;
}

static dvs_err open_listener(const struct nbd_server_options *options, struct server *server,
			     char why[NBD_SERVER_WHY_MAX + 1])
{
	bool is_local = true;
	dvs_err err;

	if (options->socket)
		err = listen_unix(options->socket, &server->listen_fd, why);
	else
		err = listen_tcp(options->listen, &server->listen_fd, &is_local, why);
	if (!err && !is_local && !options->tls)
		log_warning(options->log,
			    "whoever reaches this address can read and write: use TLS",
			    LOG_STR("listen", options->listen));
	return err;
}

static dvs_err open_all(const struct nbd_server_options *options, struct server *server,
			struct watch **watch, struct wire_tls **tls,
			char why[NBD_SERVER_WHY_MAX + 1])
{
	sigset_t ending;
	dvs_err err = DVS_OK;

	(void)sigemptyset(&ending);
	(void)sigaddset(&ending, SIGTERM);
	(void)sigaddset(&ending, SIGINT);
	(void)pthread_sigmask(SIG_BLOCK, &ending, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	server->signal_fd = signalfd(-1, &ending, SFD_CLOEXEC);
	if (server->signal_fd < 0)
		err = dvs_from_errno(errno);
	if (!err && options->tls)
		err = wire_tls_open(options->tls, tls, why);
	if (!err)
		err = watch_open(watch);
	if (!err)
		err = open_listener(options, server, why);
	return err;
}

static void say_ready(const struct nbd_server_options *options)
{
	if (options->ready_fd < 0)
		return;
	if (write(options->ready_fd, "1", 1) != 1)
		log_debug(options->log, "nobody waits for this server");
	close(options->ready_fd);
}

dvs_err nbd_server_run(const struct nbd_server_options *options, struct nbd_backend *backend,
		       char why[NBD_SERVER_WHY_MAX + 1])
{
	struct server server = { .connections_max = options->connections_max,
				 .listen_fd = -1,
				 .signal_fd = -1 };
	pthread_condattr_t attributes;
	struct wire_tls *tls = NULL;
	struct watch *watch = NULL;
	dvs_err err;

	why[0] = '\0';
	list_init(&server.connections);
	pthread_mutex_init(&server.lock, NULL);
	pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&server.changed, &attributes);
	pthread_condattr_destroy(&attributes);
	err = open_all(options, &server, &watch, &tls, why);
	if (!err) {
		server.setup = (struct connection_setup){ .backend = backend,
							  .tls = tls,
							  .watch = watch,
							  .log = options->log,
							  .is_read_only = options->is_read_only };
		say_ready(options);
		serve(&server);
		close(server.listen_fd);
		if (options->socket)
			(void)unlink(options->socket);
		if (!end_all(&server)) {
			log_warning(options->log, "ends while clients wait for their disk");
			_exit(EXIT_SUCCESS);
		}
	} else if (why[0] == '\0') {
		(void)snprintf(why, NBD_SERVER_WHY_MAX + 1, "%s", dvs_strerror(err));
	}
	watch_close(watch);
	wire_tls_close(tls);
	if (server.signal_fd >= 0)
		close(server.signal_fd);
	pthread_cond_destroy(&server.changed);
	pthread_mutex_destroy(&server.lock);
	return err;
}
