/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/bench/vdd/onlooker.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/vdd_calls.h"
#include "manage/bench/remote/net.h"
#include "manage/bench/vdd/disks.h"

enum { OPEN_MS = 60000, CALL_MS = 20000, LOOK_MS = 1, PRIMARY = 1, MEMBER = 2, AWAY = 4 };

/* ---- on the client's node ---- */

void onlooker_set(struct onlooker_view *view, enum onlooker_stage stage)
{
	__atomic_store_n(&view->board->stage, stage, __ATOMIC_RELEASE);
}

bool onlooker_is_at(const struct onlooker_board *board, enum onlooker_stage stage)
{
	return __atomic_load_n(&board->stage, __ATOMIC_ACQUIRE) >= stage;
}

void onlooker_pause(void)
{
	(void)poll(NULL, 0, LOOK_MS);
}

dvs_err onlooker_await(struct onlooker_view *view, enum onlooker_stage stage)
{
	uint64_t deadline_ns = clock_deadline_ns(ONLOOKER_PATIENCE_NS);

	while (!onlooker_is_at(view->board, stage)) {
		if (clock_is_past(deadline_ns))
			return bench_fail(&view->board->fault, DVS_TIMEOUT, "nobody was killed");
		onlooker_pause();
	}
	return DVS_OK;
}

dvs_err onlooker_look(struct onlooker_view *view)
{
	dvs_err err =
		vdd_call_status(view->disk.self, view->disk.server, NULL, view->status, CALL_MS);

	return err ? bench_fail(&view->board->fault, err, "status: %s", dvs_strerror(err)) : DVS_OK;
}

unsigned onlooker_state_of(const struct onlooker_view *view, uint32_t node)
{
	for (uint32_t i = 0; i < view->status->n_members; i++)
		if (view->status->members[i].node == node)
			return view->status->members[i].state;
	return AWAY;
}

static bool is_in_sync(const struct onlooker_view *view)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < view->status->n_members; i++)
		n += view->status->members[i].state == PRIMARY ||
		     view->status->members[i].state == MEMBER;
	return n == view->cell->servers;
}

dvs_err onlooker_await_in_sync(struct onlooker_view *view)
{
	uint64_t deadline_ns = clock_deadline_ns(ONLOOKER_PATIENCE_NS);
	dvs_err err = onlooker_look(view);

	while (!err && !is_in_sync(view)) {
		if (clock_is_past(deadline_ns))
			return bench_fail(&view->board->fault, DVS_TIMEOUT,
					  "the replicas do not come in sync");
		onlooker_pause();
		err = onlooker_look(view);
	}
	return err;
}

dvs_err onlooker_name_victim(struct onlooker_view *view, bool is_primary)
{
	struct dvk_endpoint_info primary, info;
	uint64_t cursor = 0;
	dvs_err err = dvk_endpoint_info(view->dvk, view->disk.server, &primary);

	info = primary;
	while (!err && !is_primary && (info.ep.n != primary.ep.n || info.node.n == primary.node.n))
		err = dvk_endpoint_next(view->dvk, &cursor, &info);
	if (err)
		return bench_fail(&view->board->fault, err, "the server's endpoint: %s",
				  dvs_strerror(err));
	view->board->node = info.node.n;
	view->board->pid = info.pid;
	return DVS_OK;
}

static dvs_err look_on(struct onlooker_view *view, const char *target, onlooker_work *work)
{
	struct bench_fault *fault = &view->board->fault;
	char why[VOLUME_WHY_MAX + 1];
	dvs_err err = volume_open(NULL, target, OPEN_MS, &view->disk, why);

	if (err)
		return bench_fail(fault, err, "%s: %.180s", target, why);
	view->status = malloc(sizeof(*view->status));
	err = view->status ? volume_dc_open(NULL, DISKS_TROUBLE_DC, &view->dvk) : DVS_NOMEM;
	if (err)
		err = bench_fail(fault, err, "%s", dvs_strerror(err));
	else
		err = work(view);
	dvk_close(view->dvk);
	free(view->status);
	volume_close(&view->disk);
	return err;
}

static _Noreturn void run_there(const struct onlooker *onlooker, const char *target,
				const struct bench_cell *cell, onlooker_work *work, pid_t parent)
{
	struct onlooker_view view = { .board = onlooker->board, .cell = cell };
	const struct bench_net *net = onlooker->lab->net;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || !bench_net_has_parent(net, parent) ||
	    bench_net_enter(net, DISKS_CLIENT_NODE, &view.board->fault) ||
	    look_on(&view, target, work))
		_exit(1);
	view.board->has_succeeded = true;
	_exit(0);
}

/* ---- here ---- */

/* WOKEN: a signal has come. *HAS_ENDED: and is not there any more. */
static dvs_err wait_a_little(struct onlooker *onlooker, bool *has_ended, struct bench_fault *fault)
{
	struct pollfd fd = { .fd = onlooker->lab->signal_fd, .events = POLLIN };
	struct signalfd_siginfo info;

	(void)poll(&fd, 1, LOOK_MS);
	while (read(fd.fd, &info, sizeof(info)) == sizeof(info))
		if (info.ssi_signo != SIGCHLD)
			return bench_fail(fault, DVS_WOKEN, "stopped by signal %u", info.ssi_signo);
	*has_ended = waitpid(onlooker->pid, NULL, WNOHANG) == onlooker->pid;
	if (*has_ended)
		onlooker->pid = 0;
	return DVS_OK;
}

static dvs_err what_failed(const struct onlooker *onlooker, struct bench_fault *fault)
{
	*fault = onlooker->board->fault;
	return fault->text[0] ? DVS_IO : bench_fail(fault, DVS_IO, "the client ended early");
}

dvs_err onlooker_wait(struct onlooker *onlooker, enum onlooker_stage stage,
		      struct bench_fault *fault)
{
	bool has_ended = false;
	dvs_err err = DVS_OK;

	while (!err && !has_ended && !onlooker_is_at(onlooker->board, stage))
		err = wait_a_little(onlooker, &has_ended, fault);
	if (err)
		return err;
	return onlooker_is_at(onlooker->board, stage) ? DVS_OK : what_failed(onlooker, fault);
}

dvs_err onlooker_result(struct onlooker *onlooker, struct bench_sample *sample,
			struct bench_fault *fault)
{
	const struct onlooker_board *board = onlooker->board;
	bool has_ended = onlooker->pid == 0;
	dvs_err err = DVS_OK;

	while (!err && !has_ended)
		err = wait_a_little(onlooker, &has_ended, fault);
	if (err)
		return err;
	if (!board->has_succeeded)
		return what_failed(onlooker, fault);
	*sample = (struct bench_sample){ .rt_ns = board->span_ns,
					 .msg_per_s = 1e9 / board->span_ns,
					 .figures = { board->figures[0], board->figures[1] } };
	return DVS_OK;
}

void onlooker_tell_killed(struct onlooker *onlooker, uint64_t killed_ns)
{
	onlooker->board->killed_ns = killed_ns;
	__atomic_store_n(&onlooker->board->stage, ONLOOKER_KILLED, __ATOMIC_RELEASE);
}

void onlooker_end(struct onlooker *onlooker)
{
	if (onlooker->pid > 0) {
		kill(onlooker->pid, SIGKILL);
		(void)waitpid(onlooker->pid, NULL, 0);
	}
	(void)munmap(onlooker->board, sizeof(*onlooker->board));
}

dvs_err onlooker_start(struct bench_lab *lab, const char *target, const struct bench_cell *cell,
		       onlooker_work *work, struct onlooker *onlooker, struct bench_fault *fault)
{
	pid_t parent = getpid();
	dvs_err err;

	*onlooker = (struct onlooker){ .lab = lab };
	onlooker->board = mmap(NULL, sizeof(*onlooker->board), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (onlooker->board == MAP_FAILED)
		return bench_fail_errno(fault, "map the board");
	onlooker->pid = bench_net_fork(lab->net, DISKS_CLIENT_NODE);
	if (onlooker->pid == 0)
		run_there(onlooker, target, cell, work, parent);
	err = onlooker->pid < 0 ? bench_fail_errno(fault, "fork") :
				  onlooker_wait(onlooker, ONLOOKER_READY, fault);
	if (err)
		onlooker_end(onlooker);
	return err;
}
