/* SPDX-License-Identifier: Apache-2.0 */
/* What a client and a server do: the same for every system, so that only the mechanism differs. */
#include "manage/bench/worker.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "manage/bench/remote/net.h"

enum {
	PAGE_BYTES = 4096,
	WARM_UP_CALLS = 3, /* at least: the first touch the memory */
};

static void *request_alloc(struct bench_link *link)
{
	size_t bytes = (link->bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
	void *request = aligned_alloc(PAGE_BYTES, bytes);

	if (request)
		memset(request, 0, bytes);
	return request;
}

static dvs_err worker_ready(const struct bench_worker *worker)
{
	uint64_t one = 1;

	if (write(worker->ready_fd, &one, sizeof(one)) != sizeof(one))
		return bench_fail_errno(&worker->link->fault, "tell that the process is ready");
	return DVS_OK;
}

static void wait_for_go(struct bench_board *board)
{
	while (!__atomic_load_n(&board->go, __ATOMIC_ACQUIRE))
		syscall(SYS_futex, &board->go, FUTEX_WAIT, 0, NULL, NULL, 0);
}

/* ---- the server ---- */

struct server {
	const struct bench_worker *worker;
	struct bench_request request;
	uint64_t seq[BENCH_CLIENTS_MAX]; /* the last one of each client */
	unsigned stopped;
};

/* A request that is not the next one of its client, whole, ends the benchmark of its system. */
static dvs_err request_check(struct server *server, const struct bench_msg *msg)
{
	struct bench_link *link = server->worker->link;
	const void *data = server->request.data;
	unsigned client = server->request.client;
	uint64_t seq;

	if (client >= link->clients)
		return bench_fail(&link->fault, DVS_IO, "a request came from nobody");
	seq = ++server->seq[client];
	if (!bench_msg_check(msg, seq) || !bench_payload_check(data, link->bytes, seq))
		return bench_fail(&link->fault, DVS_IO, "request %llu of client %u is damaged",
				  (unsigned long long)seq, client);
	if (seq == 1 && !bench_payload_check_all(data, link->bytes, server->worker->seed))
		return bench_fail(&link->fault, DVS_IO, "the data of client %u is damaged", client);
	return DVS_OK;
}

static dvs_err serve_one(struct server *server)
{
	struct bench_link *link = server->worker->link;
	const struct bench_system *system = link->system;
	struct bench_msg msg;
	dvs_err err = system->receive(link, &server->request);

	if (err != DVS_OK)
		return err;
	memcpy(&msg, server->request.data, sizeof(msg));
	err = request_check(server, &msg);
	if (err != DVS_OK)
		return err;
	if (system->sums) {
		uint64_t sum = bench_payload_sum(server->request.data, link->bytes);

		/* The sum is of no use to anyone, but it must be made. */
		__asm__ volatile("" : : "r"(sum));
	}
	if (msg.kind == BENCH_STOP)
		server->stopped++;
	bench_msg_fill(&msg, server->request.client, BENCH_CALL, msg.seq);
	return system->reply(link, server->request.client, &msg);
}

static dvs_err server_run(const struct bench_worker *worker)
{
	struct bench_link *link = worker->link;
	struct server server = { .worker = worker, .request.buffer = request_alloc(link) };
	dvs_err err = DVS_OK;

	if (!server.request.buffer)
		return bench_fail_errno(&link->fault, "allocate the request");
	if (link->system->server_open)
		err = link->system->server_open(link);
	if (err == DVS_OK)
		err = worker_ready(worker);
	while (err == DVS_OK && server.stopped < link->clients)
		err = serve_one(&server);
	if (link->system->leave)
		link->system->leave(link);
	free(server.request.buffer);
	return err;
}

/* ---- the client ---- */

struct client {
	const struct bench_worker *worker;
	void *request;
	uint64_t seq;
	uint64_t busy_ns;
};

static dvs_err call_once(struct client *client, enum bench_kind kind)
{
	struct bench_link *link = client->worker->link;
	struct bench_msg reply;
	dvs_err err;

	bench_msg_fill(client->request, client->worker->client, kind, ++client->seq);
	bench_payload_mark(client->request, link->bytes, client->seq);
	err = link->system->call(link, client->request, &reply);
	if (err == DVS_OK && !bench_msg_check(&reply, client->seq))
		err = bench_fail(&link->fault, DVS_IO, "the reply to request %llu is damaged",
				 (unsigned long long)client->seq);
	return err;
}

/* Sleep first, then call and count only the call. */
static dvs_err think_and_call(struct client *client)
{
	struct timespec think = clock_timespec(client->worker->think_ns);
	uint64_t begin_ns;
	dvs_err err;

	clock_nanosleep(CLOCK_MONOTONIC, 0, &think, NULL);
	begin_ns = clock_now_ns();
	err = call_once(client, BENCH_CALL);
	client->busy_ns += clock_now_ns() - begin_ns;
	return err;
}

static dvs_err prepare_and_call(struct client *client)
{
	struct bench_link *link = client->worker->link;
	dvs_err err = link->system->prepare(link);
	uint64_t begin_ns = clock_now_ns();

	if (err == DVS_OK)
		err = call_once(client, BENCH_CALL);
	client->busy_ns += clock_now_ns() - begin_ns;
	return err;
}

static bool counts_calls_only(const struct client *client)
{
	return client->worker->think_ns || client->worker->link->system->prepare;
}

static dvs_err call_as_cell_says(struct client *client)
{
	if (client->worker->think_ns)
		return think_and_call(client);
	return client->worker->link->system->prepare ? prepare_and_call(client) :
						       call_once(client, BENCH_CALL);
}

static dvs_err client_warm_up(struct client *client)
{
	uint64_t until_ns = clock_now_ns() + client->worker->warm_up_ns;
	dvs_err err = DVS_OK;

	for (int i = 0; err == DVS_OK && (i < WARM_UP_CALLS || clock_now_ns() < until_ns); i++)
		err = call_as_cell_says(client);
	return err;
}

static dvs_err client_measure(struct client *client)
{
	const struct bench_worker *worker = client->worker;
	struct bench_report *report = worker->report;
	uint64_t first_seq = client->seq;
	dvs_err err = DVS_OK;

	client->busy_ns = 0;
	report->begin_ns = clock_now_ns();
	/* At least once: on a machine so busy that this process runs too late, that is the figure. */
	do {
		err = call_as_cell_says(client);
	} while (err == DVS_OK && !__atomic_load_n(&worker->board->stop, __ATOMIC_RELAXED));
	report->end_ns = clock_now_ns();
	report->calls = client->seq - first_seq;
	report->busy_ns = counts_calls_only(client) ? client->busy_ns :
						      report->end_ns - report->begin_ns;
	if (worker->link->system->crowd) {
		report->calls *= worker->link->clients;
		report->busy_ns *= worker->link->clients;
	}
	return err;
}

static dvs_err client_run(const struct bench_worker *worker)
{
	struct bench_link *link = worker->link;
	struct client client = { .worker = worker, .request = request_alloc(link) };
	dvs_err err = DVS_OK;

	if (!client.request)
		return bench_fail_errno(&link->fault, "allocate the request");
	bench_payload_fill(client.request, link->bytes, worker->seed);
	if (link->system->client_open)
		err = link->system->client_open(link, worker->client);
	if (err == DVS_OK)
		err = client_warm_up(&client);
	if (err == DVS_OK)
		err = worker_ready(worker);
	if (err == DVS_OK) {
		wait_for_go(worker->board);
		err = client_measure(&client);
	}
	if (err == DVS_OK)
		err = call_once(&client, BENCH_STOP);
	if (link->system->leave)
		link->system->leave(link);
	free(client.request);
	return err;
}

/* ---- both ---- */

/* A worker dies with its parent, sits where its cell says, and sleeps as exactly as it can. */
static dvs_err worker_settle(const struct bench_worker *worker)
{
	struct bench_fault *fault = &worker->link->fault;
	cpu_set_t cpus;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		return bench_fail_errno(fault, "tie the process to its parent");
	if (!bench_net_has_parent(worker->link->lab->net, worker->parent))
		return bench_fail(fault, DVS_WOKEN, "the parent is gone");
	if (prctl(PR_SET_TIMERSLACK, 1) != 0)
		return bench_fail_errno(fault, "set the timer slack");
	if (worker->link->lab->net) {
		dvs_err err =
			bench_net_enter(worker->link->lab->net, bench_worker_side(worker), fault);

		if (err != DVS_OK)
			return err;
	}
	if (worker->cpu < 0)
		return DVS_OK;
	CPU_ZERO(&cpus);
	CPU_SET((size_t)worker->cpu, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus) != 0)
		return bench_fail_errno(fault, "hold the process on its CPU");
	return DVS_OK;
}

int bench_worker_run(const struct bench_worker *worker)
{
	dvs_err err = worker_settle(worker);

	if (err == DVS_OK)
		err = worker->is_server ? server_run(worker) : client_run(worker);
	if (err == DVS_OK)
		return 0;
	worker->report->fault = worker->link->fault;
	return 1;
}
