/* SPDX-License-Identifier: Apache-2.0 */
#include "server.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 4096u /* of a thread */
#define EVENTS_MAX 64
#define IDLE_S 30
#define SWEEP_MS 1000
/* As much as a socket usually takes at once: what it leaves is read again. */
#define PART_BYTES ((size_t)256 << 10)

struct connection {
	struct connection *next, *prev;
	int fd;
	bool is_sending;
	bool ends;    /* when all is sent */
	bool is_over; /* nothing is sent any more; what comes is not looked at */
	bool is_head_only;
	time_t active;
	int n_queued; /* not acknowledged by the client, when it was last looked at */
	size_t n_in;
	size_t n_head, n_head_sent;
	struct content content;
	char in[HTTP_HEAD_MAX];
	char head[HTTP_ANSWER_MAX + SITE_PLACE_BYTES];
};

struct worker {
	const struct server *server;
	struct dvs_fs_thread *me;
	pthread_t thread;
	int epoll_fd, listen_fd, stop_fd;
	bool is_deaf; /* it accepts nobody for a while */
	unsigned int n_connections;
	struct connection all; /* a ring */
};

static time_t now_s(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/* ---- connections ---- */

static void watch(const struct worker *worker, int operation, int fd, uint32_t events, void *what)
{
	struct epoll_event event = { .events = events, .data.ptr = what };

	if (epoll_ctl(worker->epoll_fd, operation, fd, &event) != 0)
		(void)fprintf(stderr, "nweb: epoll: %s\n", strerror(errno));
}

static void end_connection(struct worker *worker, struct connection *connection)
{
	content_end(worker->me, &connection->content);
	(void)close(connection->fd);
	connection->prev->next = connection->next;
	connection->next->prev = connection->prev;
	worker->n_connections--;
	free(connection);
}

static void add_connection(struct worker *worker, int fd)
{
	const int one = 1;
	struct connection *connection = calloc(1, sizeof(*connection));

	if (!connection) {
		(void)close(fd);
		return;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	connection->fd = fd;
	connection->active = now_s();
	connection->next = &worker->all;
	connection->prev = worker->all.prev;
	connection->prev->next = connection;
	worker->all.prev = connection;
	worker->n_connections++;
	watch(worker, EPOLL_CTL_ADD, fd, EPOLLIN, connection);
}

static void accept_all(struct worker *worker)
{
	while (worker->n_connections < CONNECTIONS_MAX) {
		int fd = accept4(worker->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			add_connection(worker, fd);
			continue;
		}
		if (errno == EAGAIN)
			return;
		if (errno != EINTR && errno != ECONNABORTED)
			break;
	}
	/* No descriptor, no memory, or as many as it takes: until the next sweep. */
	worker->is_deaf = true;
	watch(worker, EPOLL_CTL_MOD, worker->listen_fd, 0, &worker->listen_fd);
}

/* ---- sending ---- */

/* What comes next of the content, at most PART_BYTES; false: it is not there any more. */
static bool next_part(struct worker *worker, struct connection *connection, struct iovec *part)
{
	struct content *content = &connection->content;
	size_t bytes = content->left < PART_BYTES ? (size_t)content->left : PART_BYTES;
	const void *data = NULL;

	*part = (struct iovec){ NULL, 0 };
	if (content->left == 0 || connection->is_head_only)
		return true;
	if (content->text) {
		data = content->text + content->at;
	} else if (dvs_file_view(worker->me, content->file, content->at, bytes, &data, &bytes) !=
			   DVS_OK ||
		   bytes == 0) {
		return false;
	}
	*part = (struct iovec){ (void *)(uintptr_t)data, bytes };
	return true;
}

static void count_sent(struct connection *connection, size_t sent)
{
	size_t of_head = connection->n_head - connection->n_head_sent;

	of_head = sent < of_head ? sent : of_head;
	connection->n_head_sent += of_head;
	connection->content.at += sent - of_head;
	connection->content.left -= sent - of_head;
}

static bool is_sent(const struct connection *connection)
{
	return connection->n_head_sent == connection->n_head &&
	       (connection->is_head_only || connection->content.left == 0);
}

/* False: the connection has ended. */
static bool send_all(struct worker *worker, struct connection *connection)
{
	while (!is_sent(connection)) {
		struct iovec parts[2] = { { connection->head + connection->n_head_sent,
					    connection->n_head - connection->n_head_sent } };
		struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
		ssize_t sent;

		if (!next_part(worker, connection, &parts[1])) {
			end_connection(worker, connection);
			return false;
		}
		sent = sendmsg(connection->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent > 0) {
			connection->active = now_s();
			count_sent(connection, (size_t)sent);
		} else if (errno == EAGAIN) {
			if (!connection->is_sending)
				watch(worker, EPOLL_CTL_MOD, connection->fd, EPOLLOUT, connection);
			connection->is_sending = true;
			return true;
		} else if (errno != EINTR) {
			end_connection(worker, connection);
			return false;
		}
	}
	content_end(worker->me, &connection->content);
	connection->n_head = connection->n_head_sent = 0;
	if (connection->is_sending)
		watch(worker, EPOLL_CTL_MOD, connection->fd, EPOLLIN, connection);
	connection->is_sending = false;
	/* Closed at once, with something unread, it would take the answer away from the client. */
	if (connection->ends) {
		connection->is_over = true;
		(void)shutdown(connection->fd, SHUT_WR);
	}
	return true;
}

/* ---- requests ---- */

static bool answer(struct worker *worker, struct connection *connection, int status,
		   const struct http_request *request)
{
	struct http_answer what = { .keeps = false };

	if (status)
		site_refuse(status, &what, &connection->content);
	else
		site_answer(&worker->server->site, worker->me, request, &what,
			    &connection->content);
	connection->ends = !what.keeps;
	connection->is_head_only = !status && request->is_head;
	connection->n_head = http_write(&what, connection->head, sizeof(connection->head));
	if (connection->n_head == 0) {
		end_connection(worker, connection);
		return false;
	}
	return send_all(worker, connection);
}

/* Answers what is there, one after the other. */
static void work_off(struct worker *worker, struct connection *connection)
{
	while (!connection->is_sending && !connection->is_over) {
		size_t len = http_head_len(connection->in, connection->n_in);
		struct http_request request;
		int status;

		if (len == 0 && connection->n_in < sizeof(connection->in))
			return;
		status = len ? http_parse(connection->in, len, &request) : 431;
		connection->n_in -= len;
		memmove(connection->in, connection->in + len, connection->n_in);
		if (!answer(worker, connection, status, &request))
			return;
	}
}

static void receive(struct worker *worker, struct connection *connection)
{
	ssize_t got;

	if (connection->is_over)
		connection->n_in = 0;
	got = recv(connection->fd, connection->in + connection->n_in,
		   sizeof(connection->in) - connection->n_in, MSG_DONTWAIT);
	if (got > 0 && connection->is_over)
		return;
	if (got > 0) {
		connection->active = now_s();
		connection->n_in += (size_t)got;
		work_off(worker, connection);
	} else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
		end_connection(worker, connection);
	}
}

/* A slow client takes what the kernel still has. */
static void look_at_queue(struct connection *connection, time_t now)
{
	int n = 0;

	if (ioctl(connection->fd, SIOCOUTQ, &n) != 0 || n == connection->n_queued)
		return;
	connection->n_queued = n;
	connection->active = now;
}

/* Who says nothing, and who takes nothing, for too long. */
static void sweep(struct worker *worker)
{
	time_t now = now_s();

	for (struct connection *one = worker->all.next, *next; one != &worker->all; one = next) {
		next = one->next;
		look_at_queue(one, now);
		if (now - one->active > IDLE_S)
			end_connection(worker, one);
	}
	if (worker->is_deaf)
		watch(worker, EPOLL_CTL_MOD, worker->listen_fd, EPOLLIN, &worker->listen_fd);
	worker->is_deaf = false;
}

/* ---- threads ---- */

static void serve_event(struct worker *worker, const struct epoll_event *event)
{
	struct connection *connection = event->data.ptr;

	if (event->data.ptr == &worker->listen_fd)
		accept_all(worker);
	else if (!connection->is_sending)
		receive(worker, connection);
	else if (send_all(worker, connection))
		work_off(worker, connection);
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	time_t swept = now_s();

	if (dvs_fs_enter(worker->server->site.fs, &worker->me) != DVS_OK) {
		(void)fputs("nweb: a thread gets no endpoint\n", stderr);
		return NULL;
	}
	for (;;) {
		struct epoll_event events[EVENTS_MAX];
		int n = epoll_wait(worker->epoll_fd, events, EVENTS_MAX, SWEEP_MS);

		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == &worker->stop_fd)
				goto stop;
			serve_event(worker, &events[i]);
		}
		if (now_s() != swept) {
			swept = now_s();
			sweep(worker);
		}
	}
stop:
	while (worker->all.next != &worker->all)
		end_connection(worker, worker->all.next);
	dvs_fs_leave(worker->me);
	return NULL;
}

/* ---- beginning and end ---- */

static int listen_on(const struct addrinfo *where)
{
	const int one = 1;
	int fd = socket(where->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) != 0 ||
	    bind(fd, where->ai_addr, where->ai_addrlen) != 0 || listen(fd, SOMAXCONN) != 0) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

static struct addrinfo *resolve(const char *address)
{
	const struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV,
					.ai_socktype = SOCK_STREAM };
	const char *colon = strrchr(address, ':');
	struct addrinfo *found = NULL;
	char host[64];
	size_t len = colon ? (size_t)(colon - address) : 0;

	if (colon && len >= 2 && address[0] == '[' && address[len - 1] == ']') {
		address++;
		len -= 2;
	}
	if (!colon || len >= sizeof(host))
		return NULL;
	memcpy(host, address, len);
	host[len] = '\0';
	return getaddrinfo(len ? host : NULL, colon + 1, &hints, &found) == 0 ? found : NULL;
}

static bool start(struct worker *worker, const struct server *server, int stop_fd,
		  const struct addrinfo *where)
{
	*worker = (struct worker){ .server = server,
				   .stop_fd = stop_fd,
				   .listen_fd = listen_on(where),
				   .epoll_fd = epoll_create1(EPOLL_CLOEXEC) };
	worker->all.next = worker->all.prev = &worker->all;
	if (worker->listen_fd < 0 || worker->epoll_fd < 0) {
		(void)fprintf(stderr, "nweb: %s: %s\n", server->address, strerror(errno));
		return false;
	}
	watch(worker, EPOLL_CTL_ADD, worker->listen_fd, EPOLLIN, &worker->listen_fd);
	watch(worker, EPOLL_CTL_ADD, stop_fd, EPOLLIN, &worker->stop_fd);
	if (pthread_create(&worker->thread, NULL, work, worker) == 0)
		return true;
	(void)fputs("nweb: no thread can be made\n", stderr);
	return false;
}

static int serve(const struct server *server, const struct addrinfo *where, const sigset_t *signals)
{
	struct worker *workers = calloc(server->n_threads, sizeof(*workers));
	int stop_fd = eventfd(0, EFD_CLOEXEC);
	unsigned int n = 0;
	int signal_number;

	while (workers && stop_fd >= 0 && n < server->n_threads &&
	       start(&workers[n], server, stop_fd, where))
		n++;
	if (n == server->n_threads) {
		(void)fprintf(stderr, "nweb: serves on %s\n", server->address);
		(void)sigwait(signals, &signal_number);
	}
	/* It stays to be read: each of them sees it. */
	if (stop_fd >= 0)
		(void)!write(stop_fd, &(uint64_t){ 1 }, sizeof(uint64_t));
	for (unsigned int i = 0; i < n; i++) {
		(void)pthread_join(workers[i].thread, NULL);
		(void)close(workers[i].listen_fd);
		(void)close(workers[i].epoll_fd);
	}
	if (stop_fd >= 0)
		(void)close(stop_fd);
	free(workers);
	return n == server->n_threads ? 0 : 1;
}

int server_run(const struct server *server)
{
	struct addrinfo *where = resolve(server->address);
	sigset_t signals;
	int status;

	if (!where) {
		(void)fprintf(stderr, "nweb: '%s' is no ADDRESS:PORT\n", server->address);
		return 1;
	}
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	(void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
	status = serve(server, where, &signals);
	freeaddrinfo(where);
	return status;
}
