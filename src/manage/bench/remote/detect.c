/* SPDX-License-Identifier: Apache-2.0 */
/* On the node that is to die: a server that takes requests and does not answer, and a member of a process group. On
 * each of the others: a client that waits for its answer, and a member that waits to be told who has left. When all
 * wait, the node is killed; each of the waiting notes the time at which it knows. */
#include "manage/bench/remote/detect.h"

#include <corosync/cpg.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <dvs/dvk.h>

#include "base/clock.h"
#include "manage/bench/remote/net.h"

#define PATIENCE_NS (20 * CLOCK_NS_PER_S)
#define LOOK_NS (10 * CLOCK_NS_PER_MS)
#define SERVER 41
/* corosync counts nodes from 1 on. */
#define VICTIM_ID (BENCH_VICTIM_SIDE + 1)

enum { PATIENCE_MS = 15000, WATCHERS = 2 };

enum role { VICTIM_MEMBER, WATCHING_MEMBER, VICTIM_SERVER, WATCHING_CLIENT, ROLES };

/* Who does what where. Those of the DVS come last, so that they can be left out. */
static const struct part {
	enum role role;
	enum bench_side node;
} parts[] = {
	{ VICTIM_MEMBER, BENCH_VICTIM_SIDE },	{ WATCHING_MEMBER, BENCH_CLIENT_SIDE },
	{ WATCHING_MEMBER, BENCH_SERVER_SIDE }, { VICTIM_SERVER, BENCH_VICTIM_SIDE },
	{ WATCHING_CLIENT, BENCH_CLIENT_SIDE }, { WATCHING_CLIENT, BENCH_SERVER_SIDE },
};
enum { PARTS = sizeof(parts) / sizeof(parts[0]), PARTS_OF_ENGINE = 3 };

/* In memory that all map. */
struct board {
	uint64_t told_ns[PARTS]; /* 0: it does not know yet */
	struct bench_fault fault[PARTS];
};

struct detect {
	struct bench_lab *lab;
	struct board *board;
	struct bench_fault *fault;
	int ready[2]; /* a pipe: a byte for each that waits */
	unsigned n_parts;
	bool killed; /* the node: who was on it may have seen the others end */
	pid_t pids[PARTS];
};

/* ---- the parts ---- */

struct actor {
	const struct detect *detect;
	unsigned index;
	struct bench_fault *fault;
	bool saw_victim;
	bool victim_left;
};

static dvs_err actor_ready(const struct actor *actor)
{
	return write(actor->detect->ready[1], "r", 1) == 1 ?
		       DVS_OK :
		       bench_fail_errno(actor->fault, "tell that it is ready");
}

static void actor_told(const struct actor *actor)
{
	actor->detect->board->told_ns[actor->index] = clock_now_ns();
}

static void on_change(cpg_handle_t handle, const struct cpg_name *group,
		      const struct cpg_address *members, size_t n_members,
		      const struct cpg_address *left, size_t n_left,
		      const struct cpg_address *joined, size_t n_joined)
{
	void *context = NULL;
	struct actor *actor;

	(void)group;
	(void)joined;
	(void)n_joined;
	if (cpg_context_get(handle, &context) != CS_OK || !context)
		return;
	actor = context;
	for (size_t i = 0; i < n_members; i++)
		actor->saw_victim |= members[i].nodeid == VICTIM_ID;
	for (size_t i = 0; i < n_left; i++)
		actor->victim_left |= left[i].nodeid == VICTIM_ID;
}

static dvs_err be_member(struct actor *actor, bool watches)
{
	cpg_callbacks_t callbacks = { .cpg_confchg_fn = on_change };
	struct cpg_name group = { .length = 10, .value = "dvs-detect" };
	cpg_handle_t handle;
	cs_error_t code = cpg_initialize(&handle, &callbacks);

	if (code == CS_OK)
		code = cpg_context_set(handle, actor);
	if (code == CS_OK)
		code = cpg_join(handle, &group);
	while (code == CS_OK && !actor->saw_victim)
		code = cpg_dispatch(handle, CS_DISPATCH_ONE);
	if (code == CS_OK && actor_ready(actor) != DVS_OK)
		return DVS_IO;
	while (code == CS_OK && !actor->victim_left)
		code = cpg_dispatch(handle, CS_DISPATCH_ONE);
	if (code != CS_OK)
		return bench_fail(actor->fault, DVS_IO, "cpg: %s", cs_strerror(code));
	if (watches)
		actor_told(actor);
	cpg_finalize(handle);
	return DVS_OK;
}

/* A node that has begun again is in the view of the engine before it is in the DVS. */
static bool is_not_back(dvs_err err)
{
	return err == DVS_NOQUORUM || err == DVS_NODEDOWN || err == DVS_NODVSD || err == DVS_INUSE;
}

static dvs_err try_open(dvs_ep want, struct dvk **dvk, struct m3 **self)
{
	dvs_err err = dvk_open(BENCH_NET_CONTROL, dvk);

	if (err != DVS_OK)
		return err;
	err = dvk_bind(*dvk, want, DVK_LOCAL, self);
	if (err != DVS_OK)
		dvk_close(*dvk);
	return err;
}

static dvs_err dvs_open(struct actor *actor, dvs_ep want, struct dvk **dvk, struct m3 **self)
{
	uint64_t deadline_ns = clock_now_ns() + PATIENCE_NS;
	const struct timespec pause = clock_timespec(LOOK_NS);
	dvs_err err = try_open(want, dvk, self);

	while (is_not_back(err) && !clock_is_past(deadline_ns)) {
		nanosleep(&pause, NULL);
		err = try_open(want, dvk, self);
	}
	if (err != DVS_OK)
		return bench_fail(actor->fault, err, "bind: %s", dvs_strerror(err));
	return DVS_OK;
}

/* It waits when all clients do, and is killed then. */
static dvs_err be_server(struct actor *actor)
{
	struct dvk *dvk = NULL;
	struct m3 *self = NULL;
	struct dvs_msg msg;
	dvs_err err = dvs_open(actor, dvs_ep_of(SERVER), &dvk, &self);

	if (err != DVS_OK)
		return err;
	for (int i = 0; err == DVS_OK && i < WATCHERS; i++)
		err = m3_receive_request(self, &msg, PATIENCE_MS);
	if (err != DVS_OK)
		return bench_fail(actor->fault, err, "receive: %s", dvs_strerror(err));
	err = actor_ready(actor);
	if (err != DVS_OK)
		return err;
	for (;;)
		pause();
}

static dvs_err be_client(struct actor *actor)
{
	struct dvk *dvk = NULL;
	struct m3 *self = NULL;
	struct dvs_msg msg = { .type = 1 };
	dvs_err err = dvs_open(actor, dvs_ep_any(), &dvk, &self);

	if (err != DVS_OK)
		return err;
	err = dvk_wait_bind(dvk, dvs_ep_of(SERVER), PATIENCE_MS, NULL);
	if (err == DVS_OK)
		err = actor_ready(actor);
	if (err == DVS_OK)
		err = m3_sendrec(self, dvs_ep_of(SERVER), &msg, DVS_FOREVER);
	actor_told(actor);
	if (err != DVS_NODEDOWN)
		return bench_fail(actor->fault, DVS_IO, "the call ended with: %s",
				  dvs_strerror(err));
	dvk_unbind(self);
	dvk_close(dvk);
	return DVS_OK;
}

static int actor_run(const struct detect *detect, unsigned index, pid_t parent)
{
	struct actor actor = {
		.detect = detect,
		.index = index,
		.fault = &detect->board->fault[index],
	};
	dvs_err err;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 ||
	    !bench_net_has_parent(detect->lab->net, parent))
		return 1;
	err = bench_net_enter(detect->lab->net, parts[index].node, actor.fault);
	if (err != DVS_OK)
		return 1;
	switch (parts[index].role) {
	case VICTIM_MEMBER:
	case WATCHING_MEMBER:
		err = be_member(&actor, parts[index].role == WATCHING_MEMBER);
		break;
	case VICTIM_SERVER:
		err = be_server(&actor);
		break;
	case WATCHING_CLIENT:
		err = be_client(&actor);
		break;
	case ROLES:
		break;
	}
	return err == DVS_OK ? 0 : 1;
}

/* ---- the whole ---- */

static dvs_err start_parts(struct detect *detect)
{
	pid_t parent = getpid();

	for (unsigned i = 0; i < detect->n_parts; i++) {
		detect->pids[i] = bench_net_fork(detect->lab->net, parts[i].node);
		if (detect->pids[i] == 0)
			_exit(actor_run(detect, i, parent));
		if (detect->pids[i] < 0) {
			detect->pids[i] = 0;
			return bench_fail_errno(detect->fault, "fork");
		}
	}
	return DVS_OK;
}

/* Take the ends of parts; one that ends before its time has said why. */
static dvs_err reap(struct detect *detect)
{
	dvs_err err = DVS_OK;

	for (unsigned i = 0; i < detect->n_parts; i++) {
		int status;

		if (!detect->pids[i] ||
		    waitpid(detect->pids[i], &status, WNOHANG) != detect->pids[i])
			continue;
		detect->pids[i] = 0;
		if (WIFEXITED(status) && WEXITSTATUS(status) != 0 &&
		    !(detect->killed && parts[i].node == BENCH_VICTIM_SIDE))
			err = bench_fail(detect->fault, DVS_IO, "%s", detect->board->fault[i].text);
	}
	return err;
}

static dvs_err take_signals(struct detect *detect)
{
	struct signalfd_siginfo info;

	while (read(detect->lab->signal_fd, &info, sizeof(info)) == sizeof(info))
		if (info.ssi_signo != SIGCHLD)
			return bench_fail(detect->fault, DVS_WOKEN, "stopped by signal %u",
					  info.ssi_signo);
	return reap(detect);
}

/* Wait until the pipe has something to say, or somebody ended. */
static dvs_err detect_wait(struct detect *detect, uint64_t deadline_ns)
{
	struct pollfd fds[] = {
		{ .fd = detect->lab->signal_fd, .events = POLLIN },
		{ .fd = detect->ready[0], .events = POLLIN },
	};

	if (clock_is_past(deadline_ns))
		return bench_fail(detect->fault, DVS_TIMEOUT, "a process is stuck");
	if (poll(fds, 2, clock_poll_ms(deadline_ns)) < 0 && errno != EINTR)
		return bench_fail_errno(detect->fault, "poll");
	return fds[0].revents ? take_signals(detect) : DVS_OK;
}

static dvs_err wait_until_ready(struct detect *detect)
{
	uint64_t deadline_ns = clock_now_ns() + PATIENCE_NS;
	dvs_err err = DVS_OK;
	unsigned ready = 0;
	char bytes[PARTS];

	while (err == DVS_OK && ready < detect->n_parts) {
		ssize_t n;

		err = detect_wait(detect, deadline_ns);
		n = read(detect->ready[0], bytes, sizeof(bytes));
		ready += n > 0 ? (unsigned)n : 0;
	}
	return err;
}

/* The last of ROLE to know; 0: not all do. */
static uint64_t last_told_ns(const struct detect *detect, enum role role)
{
	uint64_t last_ns = 0;

	for (unsigned i = 0; i < detect->n_parts; i++) {
		uint64_t told_ns = __atomic_load_n(&detect->board->told_ns[i], __ATOMIC_ACQUIRE);

		if (parts[i].role != role)
			continue;
		if (told_ns == 0)
			return 0;
		last_ns = told_ns > last_ns ? told_ns : last_ns;
	}
	return last_ns;
}

static dvs_err wait_until_told(struct detect *detect)
{
	uint64_t deadline_ns = clock_now_ns() + PATIENCE_NS;
	bool with_dvs = detect->n_parts > PARTS_OF_ENGINE;
	dvs_err err = DVS_OK;

	while (err == DVS_OK && (last_told_ns(detect, WATCHING_MEMBER) == 0 ||
				 (with_dvs && last_told_ns(detect, WATCHING_CLIENT) == 0)))
		err = detect_wait(detect, deadline_ns);
	return err;
}

static dvs_err kill_and_watch(struct detect *detect, double *engine_ns, double *endpoint_ns)
{
	uint64_t begin_ns;
	dvs_err err = start_parts(detect);

	if (err == DVS_OK)
		err = wait_until_ready(detect);
	if (err != DVS_OK)
		return err;
	detect->killed = true;
	begin_ns = clock_now_ns();
	err = bench_net_kill_node(detect->lab->net, BENCH_VICTIM_SIDE, detect->fault);
	if (err != DVS_OK)
		return err;
	err = wait_until_told(detect);
	if (err == DVS_OK) {
		*engine_ns = (double)(last_told_ns(detect, WATCHING_MEMBER) - begin_ns);
		*endpoint_ns = detect->n_parts > PARTS_OF_ENGINE ?
				       (double)(last_told_ns(detect, WATCHING_CLIENT) - begin_ns) :
				       0;
	}
	return err;
}

/* What was killed begins again in any case: who comes next needs it. */
static dvs_err revive(struct detect *detect, dvs_err err)
{
	struct bench_fault fault;
	dvs_err again;

	if (!detect->killed)
		return err;
	again = bench_net_revive_node(detect->lab->net, BENCH_VICTIM_SIDE, &fault);
	if (err == DVS_OK && again != DVS_OK)
		*detect->fault = fault;
	return err == DVS_OK ? again : err;
}

static void end_parts(struct detect *detect)
{
	for (unsigned i = 0; i < detect->n_parts; i++) {
		if (detect->pids[i] > 0) {
			kill(detect->pids[i], SIGKILL);
			waitpid(detect->pids[i], NULL, 0);
		}
	}
}

static dvs_err detect_run(struct bench_lab *lab, double *engine_ns, double *endpoint_ns,
			  struct bench_fault *fault)
{
	struct detect detect = {
		.lab = lab,
		.fault = fault,
		.n_parts = bench_net_has_dc(lab->net) ? PARTS : PARTS_OF_ENGINE,
	};
	dvs_err err;

	if (pipe2(detect.ready, O_CLOEXEC | O_NONBLOCK) != 0)
		return bench_fail_errno(fault, "pipe");
	detect.board = mmap(NULL, sizeof(*detect.board), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (detect.board == MAP_FAILED) {
		err = bench_fail_errno(fault, "map the board");
	} else {
		err = kill_and_watch(&detect, engine_ns, endpoint_ns);
		end_parts(&detect);
		err = revive(&detect, err);
		munmap(detect.board, sizeof(*detect.board));
	}
	close(detect.ready[0]);
	close(detect.ready[1]);
	return err;
}

dvs_err bench_detect(struct bench_lab *lab, enum bench_detect what, struct bench_sample *sample,
		     struct bench_fault *fault)
{
	double *kept_ns = lab->detected_ns;
	enum bench_detect other = what == BENCH_DETECT_ENGINE ? BENCH_DETECT_ENDPOINT :
								BENCH_DETECT_ENGINE;
	dvs_err err = DVS_OK;

	if (kept_ns[what] == 0)
		err = detect_run(lab, &kept_ns[BENCH_DETECT_ENGINE],
				 &kept_ns[BENCH_DETECT_ENDPOINT], fault);
	else
		kept_ns[other] = 0;
	if (err != DVS_OK)
		return err;
	sample->rt_ns = kept_ns[what];
	sample->msg_per_s = 1e9 / sample->rt_ns;
	/* Nobody works meanwhile. */
	sample->cpu = 0;
	kept_ns[what] = 0;
	return DVS_OK;
}
