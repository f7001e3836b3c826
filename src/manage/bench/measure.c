/* SPDX-License-Identifier: Apache-2.0 */
/* One sample, seen from the parent: start the servers, then the clients, let all begin at once, wait,
 * and end them. Whatever happens, every process is reaped and every resource given back: the signals
 * that could get in the way are read from a descriptor, so they arrive only where this code waits. */
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "manage/bench/remote/net.h"
#include "manage/bench/worker.h"

#define THINK_NS UINT64_C(100000)
/* A worker that takes longer than this to get ready, or to stop, is stuck. */
#define PATIENCE_NS (10 * CLOCK_NS_PER_S)

struct trial {
	struct bench_lab *lab;
	const struct bench_system *system;
	const struct bench_cell *cell;
	const struct bench_options *options;
	struct bench_fault *fault;
	struct bench_link links[BENCH_SERVERS_MAX];
	struct bench_board *board;
	int ready_fd;
	uint64_t ready;		       /* processes that have said so */
	pid_t pids[BENCH_WORKERS_MAX]; /* 0: reaped */
	unsigned forked;
	unsigned running;
};

/* ---- waiting ---- */

/* Take the exit of one worker. Only one that was not told to end, or that failed, is a fault. */
static dvs_err worker_reaped(struct trial *trial, unsigned i, int status)
{
	const char *why = trial->board->reports[i].fault.text;

	trial->pids[i] = 0;
	trial->running--;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return DVS_OK;
	if (WIFSIGNALED(status))
		return bench_fail(trial->fault, DVS_IO, "a process of %s was killed by signal %d",
				  trial->system->name, WTERMSIG(status));
	return bench_fail(trial->fault, DVS_IO, "%s", why);
}

static dvs_err reap(struct trial *trial)
{
	dvs_err err = DVS_OK;

	for (unsigned i = 0; err == DVS_OK && i < trial->forked; i++) {
		int status;

		if (trial->pids[i] && waitpid(trial->pids[i], &status, WNOHANG) == trial->pids[i])
			err = worker_reaped(trial, i, status);
	}
	return err;
}

static dvs_err take_signals(struct trial *trial)
{
	struct signalfd_siginfo info;

	while (read(trial->lab->signal_fd, &info, sizeof(info)) == sizeof(info))
		if (info.ssi_signo != SIGCHLD)
			return bench_fail(trial->fault, DVS_WOKEN, "stopped by signal %u",
					  info.ssi_signo);
	return reap(trial);
}

static dvs_err take_ready(struct trial *trial)
{
	uint64_t more;

	if (read(trial->ready_fd, &more, sizeof(more)) != sizeof(more))
		return bench_fail_errno(trial->fault, "read how many processes are ready");
	trial->ready += more;
	return DVS_OK;
}

/* Wait for the next event, or for DEADLINE_NS. */
static dvs_err trial_wait(struct trial *trial, uint64_t deadline_ns)
{
	struct pollfd fds[] = {
		{ .fd = trial->lab->signal_fd, .events = POLLIN },
		{ .fd = trial->ready_fd, .events = POLLIN },
	};
	uint64_t now_ns = clock_now_ns();
	struct timespec left = clock_timespec(deadline_ns > now_ns ? deadline_ns - now_ns : 0);
	dvs_err err = DVS_OK;

	if (ppoll(fds, 2, &left, NULL) < 0 && errno != EINTR)
		return bench_fail_errno(trial->fault, "wait for the processes");
	if (fds[0].revents)
		err = take_signals(trial);
	if (err == DVS_OK && fds[1].revents)
		err = take_ready(trial);
	return err;
}

static dvs_err wait_until_ready(struct trial *trial)
{
	uint64_t deadline_ns = clock_now_ns() + PATIENCE_NS;
	unsigned all = trial->running;

	while (trial->ready < trial->forked) {
		dvs_err err = trial_wait(trial, deadline_ns);

		if (err != DVS_OK)
			return err;
		if (trial->running < all)
			return bench_fail(trial->fault, DVS_IO,
					  "a process of %s ended before its time",
					  trial->system->name);
		if (clock_is_past(deadline_ns))
			return bench_fail(trial->fault, DVS_TIMEOUT, "%s: stuck before the start",
					  trial->system->name);
	}
	return DVS_OK;
}

static dvs_err wait_until_ended(struct trial *trial)
{
	uint64_t deadline_ns = clock_now_ns() + PATIENCE_NS;

	while (trial->running > 0) {
		dvs_err err = trial_wait(trial, deadline_ns);

		if (err != DVS_OK)
			return err;
		if (trial->running > 0 && clock_is_past(deadline_ns))
			return bench_fail(trial->fault, DVS_TIMEOUT, "%s: stuck at the end",
					  trial->system->name);
	}
	return DVS_OK;
}

static void kill_all(struct trial *trial)
{
	for (unsigned i = 0; i < trial->forked; i++)
		if (trial->pids[i])
			kill(trial->pids[i], SIGKILL);
	for (unsigned i = 0; i < trial->forked; i++)
		if (trial->pids[i])
			waitpid(trial->pids[i], NULL, 0);
	trial->running = 0;
}

/* ---- starting ---- */

static int worker_cpu(const struct trial *trial, bool is_server)
{
	switch (bench_pattern_row(trial->cell->pattern)->placement) {
	case BENCH_BY_SCHEDULER:
		return -1;
	case BENCH_TWO_CPUS:
		return trial->lab->cpus[is_server ? 1 : 0];
	case BENCH_SAME_CPU:
		return trial->lab->cpus[0];
	}
	return -1;
}

static dvs_err fork_worker(struct trial *trial, struct bench_link *link, bool is_server,
			   unsigned client)
{
	unsigned i = trial->forked;
	struct bench_worker worker = {
		.link = link,
		.board = trial->board,
		.report = &trial->board->reports[i],
		.is_server = is_server,
		.client = client,
		.cpu = worker_cpu(trial, is_server),
		.ready_fd = trial->ready_fd,
		.seed = trial->options->seed,
		.think_ns = trial->cell->pattern == BENCH_SLEEPY ? THINK_NS : 0,
		.warm_up_ns = trial->options->sample_ms * CLOCK_NS_PER_MS / 10,
		.parent = getpid(),
	};
	pid_t pid = bench_net_fork(trial->lab->net, bench_worker_side(&worker));

	if (pid < 0)
		return bench_fail_errno(trial->fault, "fork");
	if (pid == 0)
		_exit(bench_worker_run(&worker));
	trial->pids[i] = pid;
	trial->forked++;
	trial->running++;
	return DVS_OK;
}

static dvs_err fork_servers(struct trial *trial)
{
	dvs_err err = DVS_OK;

	if (trial->system->solo)
		return DVS_OK;
	for (unsigned s = 0; err == DVS_OK && s < trial->cell->servers; s++)
		err = fork_worker(trial, &trial->links[s], true, 0);
	return err == DVS_OK ? wait_until_ready(trial) : err;
}

/* How many processes the clients of server S are. */
static unsigned processes_of(const struct trial *trial, unsigned s)
{
	return trial->system->crowd ? 1 : trial->links[s].clients;
}

static dvs_err fork_clients(struct trial *trial)
{
	dvs_err err = DVS_OK;

	for (unsigned s = 0; err == DVS_OK && s < trial->cell->servers; s++)
		for (unsigned c = 0; err == DVS_OK && c < processes_of(trial, s); c++)
			err = fork_worker(trial, &trial->links[s], false, c);
	return err == DVS_OK ? wait_until_ready(trial) : err;
}

static dvs_err links_setup(struct trial *trial)
{
	dvs_err err = DVS_OK;

	for (unsigned s = 0; err == DVS_OK && s < trial->cell->servers; s++) {
		struct bench_link *link = &trial->links[s];

		link->system = trial->system;
		link->lab = trial->lab;
		link->index = s;
		link->clients = trial->cell->clients / trial->cell->servers;
		link->bytes = trial->cell->bytes;
		err = trial->system->setup(link);
		if (err != DVS_OK)
			*trial->fault = link->fault;
	}
	return err;
}

static void links_teardown(struct trial *trial)
{
	for (unsigned s = 0; s < trial->cell->servers; s++)
		trial->system->teardown(&trial->links[s]);
}

/* ---- measuring ---- */

/* The CPU time that all workers have used so far. */
static uint64_t cpu_time_ns(const struct trial *trial)
{
	uint64_t sum_ns = 0;

	for (unsigned i = 0; i < trial->forked; i++) {
		struct timespec used;
		clockid_t clock;

		if (trial->pids[i] && clock_getcpuclockid(trial->pids[i], &clock) == 0 &&
		    clock_gettime(clock, &used) == 0)
			sum_ns += (uint64_t)used.tv_sec * CLOCK_NS_PER_S + (uint64_t)used.tv_nsec;
	}
	if (trial->system->helpers_cpu_ns)
		sum_ns += trial->system->helpers_cpu_ns(trial->lab);
	return sum_ns;
}

static dvs_err sample_from_reports(const struct trial *trial, struct bench_sample *sample)
{
	uint64_t calls = 0, busy_ns = 0, begin_ns = UINT64_MAX, end_ns = 0;

	for (unsigned i = 0; i < trial->forked; i++) {
		const struct bench_report *report = &trial->board->reports[i];

		if (report->end_ns == 0)
			continue; /* a server */
		calls += report->calls;
		busy_ns += report->busy_ns;
		begin_ns = report->begin_ns < begin_ns ? report->begin_ns : begin_ns;
		end_ns = report->end_ns > end_ns ? report->end_ns : end_ns;
	}
	if (calls == 0 || end_ns <= begin_ns)
		return bench_fail(trial->fault, DVS_TIMEOUT, "%s: no round trip in the whole time",
				  trial->system->name);
	sample->rt_ns = (double)busy_ns / (double)calls;
	sample->msg_per_s = (double)calls * CLOCK_NS_PER_S / (double)(end_ns - begin_ns);
	return DVS_OK;
}

static dvs_err let_them_talk(struct trial *trial, struct bench_sample *sample)
{
	uint64_t used_ns = cpu_time_ns(trial);
	uint64_t begin_ns = clock_now_ns();
	uint64_t deadline_ns = begin_ns + trial->options->sample_ms * CLOCK_NS_PER_MS;
	unsigned all = trial->running;
	dvs_err err = DVS_OK;

	__atomic_store_n(&trial->board->go, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &trial->board->go, FUTEX_WAKE, BENCH_WORKERS_MAX, NULL, NULL, 0);
	while (err == DVS_OK && !clock_is_past(deadline_ns))
		err = trial_wait(trial, deadline_ns);
	if (err != DVS_OK)
		return err;
	if (trial->running < all)
		return bench_fail(trial->fault, DVS_IO, "a process of %s ended before its time",
				  trial->system->name);
	sample->cpu = (double)(cpu_time_ns(trial) - used_ns) / (double)(clock_now_ns() - begin_ns);
	__atomic_store_n(&trial->board->stop, 1, __ATOMIC_RELEASE);
	err = wait_until_ended(trial);
	return err == DVS_OK ? sample_from_reports(trial, sample) : err;
}

static dvs_err trial_run(struct trial *trial, struct bench_sample *sample)
{
	dvs_err err = links_setup(trial);

	if (err == DVS_OK)
		err = fork_servers(trial);
	if (err == DVS_OK)
		err = fork_clients(trial);
	if (err == DVS_OK)
		err = let_them_talk(trial, sample);
	kill_all(trial);
	links_teardown(trial);
	return err;
}

dvs_err bench_measure(struct bench_lab *lab, const struct bench_system *system,
		      const struct bench_cell *cell, const struct bench_options *options,
		      struct bench_sample *sample, struct bench_fault *fault)
{
	struct trial trial = {
		.lab = lab,
		.system = system,
		.cell = cell,
		.options = options,
		.fault = fault,
	};
	dvs_err err;

	trial.ready_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (trial.ready_fd < 0)
		return bench_fail_errno(fault, "eventfd");
	trial.board = mmap(NULL, sizeof(*trial.board), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (trial.board == MAP_FAILED) {
		err = bench_fail_errno(fault, "map the board");
	} else {
		err = trial_run(&trial, sample);
		munmap(trial.board, sizeof(*trial.board));
	}
	close(trial.ready_fd);
	return err;
}
