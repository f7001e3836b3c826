/* SPDX-License-Identifier: Apache-2.0 */
/* A pass loads each file of the directory once. What is cold is measured pass by pass, and the clock stands while the kernel is made to forget; what is warm begins with a pass that does not count, in which every byte is looked at, and goes on until the time is over. */
#include "manage/bench/web/load.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "manage/bench/web/site.h"
#include "manage/bench/web/web.h"

enum { ROOM_BYTES = 256 << 10, HEAD_BYTES = 2048, PATIENCE_MS = 60000, PASSES_MAX = 10 };

struct connection {
	int fd;
	bool is_busy;
	uint64_t number; /* of the file */
	uint64_t begin_ns;
	uint64_t offset; /* of what comes next in the body */
	bool in_body;
	size_t n_head;
	char head[HEAD_BYTES + 1];
};

struct crowd {
	const struct load *load;
	struct bench_fault *fault;
	struct connection all[WEB_CONNECTIONS_MAX];
	int epoll_fd;
	bool looks_at_all;
	unsigned n_busy;
	uint64_t n_begun; /* of this pass */
	uint64_t n_wanted;
	uint64_t end_ns; /* none is begun after it */
	/* in all: */
	uint64_t n_done;
	uint64_t latency_ns;
	uint64_t busy_ns;
	char room[ROOM_BYTES];
};

static dvs_err wrong(const struct crowd *crowd, const struct connection *connection,
		     const char *what)
{
	return bench_fail(crowd->fault, DVS_CORRUPT, "%s/%llu/%llu: %s", crowd->load->path,
			  (unsigned long long)crowd->load->bytes,
			  (unsigned long long)connection->number, what);
}

/* ---- connections ---- */

static dvs_err connect_one(struct crowd *crowd, struct connection *connection)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(crowd->load->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = connection };
	const int one = 1;

	connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connection->fd < 0 ||
	    connect(connection->fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
	    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0 ||
	    epoll_ctl(crowd->epoll_fd, EPOLL_CTL_ADD, connection->fd, &event) != 0)
		return bench_fail_errno(crowd->fault, "connect");
	return DVS_OK;
}

static dvs_err ask(struct crowd *crowd, struct connection *connection)
{
	char text[512];
	int len;

	connection->number = crowd->n_begun % site_files(crowd->load->bytes);
	len = snprintf(text, sizeof(text),
		       "GET %s/%llu/%llu HTTP/1.1\r\nHost: 127.0.0.1\r\n"
		       "User-Agent: dvs-bench\r\nAccept: */*\r\n\r\n",
		       crowd->load->path, (unsigned long long)crowd->load->bytes,
		       (unsigned long long)connection->number);
	if (len < 0 || (size_t)len >= sizeof(text))
		return bench_fail(crowd->fault, DVS_BADARG, "the path is too long");
	connection->is_busy = true;
	connection->in_body = false;
	connection->n_head = 0;
	connection->offset = 0;
	connection->begin_ns = clock_now_ns();
	crowd->n_begun++;
	crowd->n_busy++;
	if (send(connection->fd, text, (size_t)len, MSG_NOSIGNAL) != len)
		return bench_fail_errno(crowd->fault, "send a request");
	return DVS_OK;
}

static bool goes_on(const struct crowd *crowd)
{
	return crowd->n_begun < crowd->n_wanted && !clock_is_past(crowd->end_ns);
}

/* ---- what comes ---- */

static dvs_err read_head(const struct crowd *crowd, const struct connection *connection)
{
	static const char length[] = "\r\nContent-Length:";
	const char *at = strcasestr(connection->head, length);

	if (strncmp(connection->head, "HTTP/1.1 200 ", 13) != 0)
		return wrong(crowd, connection, "the status is not 200");
	if (!at || strtoull(at + sizeof(length) - 1, NULL, 10) != crowd->load->bytes)
		return wrong(crowd, connection, "its length is not what it is");
	return DVS_OK;
}

/* *USED: how much of LEN belongs to the head. */
static dvs_err take_head(const struct crowd *crowd, struct connection *connection, const char *data,
			 size_t len, size_t *used)
{
	size_t before = connection->n_head;
	size_t part = HEAD_BYTES - before < len ? HEAD_BYTES - before : len;
	const char *end;

	memcpy(connection->head + before, data, part);
	connection->n_head += part;
	connection->head[connection->n_head] = '\0';
	end = strstr(connection->head, "\r\n\r\n");
	*used = part;
	if (!end)
		return connection->n_head == HEAD_BYTES ?
			       wrong(crowd, connection, "the head has no end") :
			       DVS_OK;
	*used = (size_t)(end + 4 - connection->head) - before;
	connection->in_body = true;
	return read_head(crowd, connection);
}

static dvs_err take_body(struct crowd *crowd, struct connection *connection, const char *data,
			 size_t len)
{
	if (len > crowd->load->bytes - connection->offset)
		return wrong(crowd, connection, "more comes than it has");
	if (!site_is(connection->number, connection->offset, data, len, crowd->looks_at_all))
		return wrong(crowd, connection, "it is not what it was");
	connection->offset += len;
	if (connection->offset < crowd->load->bytes)
		return DVS_OK;
	connection->is_busy = false;
	crowd->n_busy--;
	crowd->n_done++;
	crowd->latency_ns += clock_now_ns() - connection->begin_ns;
	return goes_on(crowd) ? ask(crowd, connection) : DVS_OK;
}

static dvs_err take(struct crowd *crowd, struct connection *connection)
{
	ssize_t n = recv(connection->fd, crowd->room, sizeof(crowd->room), 0);
	size_t used = 0;
	dvs_err err = DVS_OK;

	if (n < 0)
		return bench_fail_errno(crowd->fault, "receive");
	if (n == 0 || !connection->is_busy)
		return wrong(crowd, connection, n ? "nobody has asked" : "the server has gone");
	if (!connection->in_body)
		err = take_head(crowd, connection, crowd->room, (size_t)n, &used);
	if (!err && connection->in_body)
		err = take_body(crowd, connection, crowd->room + used, (size_t)n - used);
	return err;
}

/* ---- passes ---- */

static dvs_err run_pass(struct crowd *crowd, uint64_t n_wanted, uint64_t end_ns)
{
	uint64_t begin_ns = clock_now_ns();
	dvs_err err = DVS_OK;

	crowd->n_begun = 0;
	crowd->n_wanted = n_wanted;
	crowd->end_ns = end_ns;
	for (unsigned i = 0; i < crowd->load->connections && goes_on(crowd) && !err; i++)
		err = ask(crowd, &crowd->all[i]);
	while (!err && crowd->n_busy > 0) {
		struct epoll_event ready[WEB_CONNECTIONS_MAX];
		int n = epoll_wait(crowd->epoll_fd, ready, WEB_CONNECTIONS_MAX, PATIENCE_MS);

		if (n == 0)
			err = bench_fail(crowd->fault, DVS_TIMEOUT, "nothing comes");
		if (n < 0 && errno != EINTR)
			err = bench_fail_errno(crowd->fault, "epoll_wait");
		for (int i = 0; i < n && !err; i++)
			err = take(crowd, ready[i].data.ptr);
	}
	crowd->busy_ns += clock_now_ns() - begin_ns;
	return err;
}

static dvs_err forget(const struct crowd *crowd)
{
	const struct load *load = crowd->load;

	for (uint64_t i = 0; i < site_files(load->bytes); i++) {
		AUTO_CLOSE int fd = -1;
		char path[256];
		int error;

		snprintf(path, sizeof(path), "%.200s/%llu/%llu", load->drop,
			 (unsigned long long)load->bytes, (unsigned long long)i);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return bench_fail_errno(crowd->fault, path);
		error = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		if (error)
			return bench_fail(crowd->fault, dvs_from_errno(error), "forget %s", path);
	}
	return DVS_OK;
}

static dvs_err run_cold(struct crowd *crowd)
{
	const struct load *load = crowd->load;
	/* To forget takes longer than to load, sometimes. */
	uint64_t end_ns = clock_now_ns() + PASSES_MAX * load->duration_ns;
	dvs_err err;

	do {
		err = forget(crowd);
		if (!err)
			err = run_pass(crowd, site_files(load->bytes), CLOCK_NEVER_NS);
	} while (!err && crowd->busy_ns < load->duration_ns && !clock_is_past(end_ns));
	return err;
}

static dvs_err run_warm(struct crowd *crowd)
{
	dvs_err err;

	crowd->looks_at_all = true;
	err = run_pass(crowd, site_files(crowd->load->bytes), CLOCK_NEVER_NS);
	crowd->looks_at_all = false;
	crowd->n_done = crowd->latency_ns = crowd->busy_ns = 0;
	/* At least one. */
	if (!err)
		err = run_pass(crowd, 1, CLOCK_NEVER_NS);
	if (!err && crowd->busy_ns < crowd->load->duration_ns)
		err = run_pass(crowd, UINT64_MAX,
			       clock_now_ns() + crowd->load->duration_ns - crowd->busy_ns);
	return err;
}

dvs_err load_run(const struct load *load, struct load_done *done, struct bench_fault *fault)
{
	AUTO_FREE struct crowd *crowd = calloc(1, sizeof(*crowd));
	dvs_err err = DVS_OK;

	if (!crowd)
		return bench_fail(fault, DVS_NOMEM, "out of memory");
	crowd->load = load;
	crowd->fault = fault;
	crowd->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (crowd->epoll_fd < 0)
		return bench_fail_errno(fault, "epoll_create1");
	for (unsigned i = 0; i < load->connections; i++)
		crowd->all[i].fd = -1;
	for (unsigned i = 0; i < load->connections && !err; i++)
		err = connect_one(crowd, &crowd->all[i]);
	if (!err)
		err = load->drop ? run_cold(crowd) : run_warm(crowd);
	for (unsigned i = 0; i < load->connections; i++)
		if (crowd->all[i].fd >= 0)
			close(crowd->all[i].fd);
	close(crowd->epoll_fd);
	if (!err)
		*done = (struct load_done){
			.per_s = (double)crowd->n_done * 1e9 / (double)crowd->busy_ns,
			.latency_ns = (double)crowd->latency_ns / (double)crowd->n_done,
		};
	return err;
}
