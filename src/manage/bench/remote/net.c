/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/bench/remote/net.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "manage/bench/remote/processes.h"
#include "manage/lab/lab.h"

#define SAID_BYTES 400u
#define PROXY "dvs-proxy"
/* Until proxies that were ended have begun again. */
#define PROXIES_SPAN_NS (10 * CLOCK_NS_PER_S)
#define QUORUM_SPAN_NS (10 * CLOCK_NS_PER_S)
#define LOOK_NS (2 * CLOCK_NS_PER_MS)

struct bench_net {
	struct lab lab;
	bool is_ours;
	bool has_dc;
	struct bench_way way;
	struct bench_way before; /* how the lab was when we came */
	int own_pids;		 /* our PID namespace */
	char addresses[LAB_NODES_MAX][LAB_ADDRESS_BYTES];
	pid_t proxies[BENCH_PROCESSES_MAX];
	size_t n_proxies;
};

/* ---- this program itself, as 'dvs lab ...' ---- */

static void run_self(const char *const *argv, int out_fd)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* A ctrl-C is for the benchmark, which then ends its lab in order. */
	if (setpgid(0, 0) == 0 && dup2(out_fd, STDOUT_FILENO) >= 0 &&
	    dup2(out_fd, STDERR_FILENO) >= 0)
		execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
	_exit(127);
}

/* Run it to its end; what it says is the fault, if it fails. */
static dvs_err run_dvs(const char *const *argv, struct bench_fault *fault)
{
	char said[SAID_BYTES];
	size_t used = 0;
	int status = -1, out[2];
	ssize_t n;
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) != 0)
		return bench_fail_errno(fault, "pipe");
	pid = fork();
	if (pid == 0)
		run_self(argv, out[1]);
	close(out[1]);
	while ((n = read(out[0], said + used, sizeof(said) - 1 - used)) > 0 ||
	       (n < 0 && errno == EINTR))
		used += n > 0 ? (size_t)n : 0;
	said[used] = '\0';
	close(out[0]);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (status == 0)
		return DVS_OK;
	said[strcspn(said, "\n")] = '\0';
	return bench_fail(fault, DVS_IO, "%s %s: %s", argv[1], argv[2], said);
}

/* ---- the lab ---- */

static dvs_err make_lab(struct bench_net *net, const char *name,
			const struct bench_net_setup *setup, struct bench_fault *fault)
{
	char count[8], token[16];
	const char *up[12] = { "dvs", "lab", "up", count, "--name", name };
	size_t n = 6;

	snprintf(count, sizeof(count), "%u", setup->n_nodes);
	snprintf(token, sizeof(token), "%u", setup->token_ms);
	if (setup->has_keys) {
		up[n++] = "--filters";
		up[n++] = "tls";
	}
	if (setup->token_ms != 0) {
		up[n++] = "--token";
		up[n++] = token;
	}
	net->is_ours = true;
	return run_dvs(up, fault);
}

static dvs_err open_lab(struct bench_net *net, const char *name, unsigned n_nodes,
			struct bench_fault *fault)
{
	if (!lab_open(&net->lab, name))
		return bench_fail(fault, DVS_BADARG, "%s", net->lab.error);
	if (net->lab.options.n_nodes < n_nodes)
		return bench_fail(fault, DVS_BADARG,
				  "lab '%s' has %u nodes; %u are needed, choose fewer patterns",
				  name, net->lab.options.n_nodes, n_nodes);
	net->before.transport = net->lab.options.transport;
	memcpy(net->before.filters, net->lab.options.filters, sizeof(net->before.filters));
	net->way = net->before;
	for (uint32_t i = 0; i < net->lab.options.n_nodes; i++)
		lab_node_address(i, net->addresses[i]);
	return DVS_OK;
}

dvs_err bench_net_start(const struct bench_net_setup *setup, struct bench_net **result,
			struct bench_fault *fault)
{
	const char *name = setup->name;
	struct bench_net *net = calloc(1, sizeof(*net));
	char own_name[32];
	dvs_err err = DVS_OK;

	if (!net)
		return bench_fail_errno(fault, "allocate");
	snprintf(own_name, sizeof(own_name), "bench-%d", (int)getpid());
	net->lab.lock_fd = -1;
	net->own_pids = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	if (net->own_pids < 0)
		err = bench_fail_errno(fault, "/proc/self/ns/pid");
	if (err == DVS_OK && !name)
		err = make_lab(net, own_name, setup, fault);
	if (err == DVS_OK)
		err = open_lab(net, name ? name : own_name, setup->n_nodes, fault);
	if (err == DVS_OK)
		*result = net;
	else
		bench_net_stop(net);
	return err;
}

/* It is somebody else's, who gets it back as it was. */
static void leave_lab(struct bench_net *net)
{
	const char *rm[] = { "dvs", "lab", "exec", "--name",  net->lab.name, "n0",
			     "dvs", "dc",  "rm",   "--force", BENCH_NET_DC,  NULL };
	struct bench_fault fault;

	if (net->has_dc && run_dvs(rm, &fault) != DVS_OK)
		fprintf(stderr, "dvs bench: %s\n", fault.text);
	if (bench_net_choose(net, &net->before, &fault) != DVS_OK)
		fprintf(stderr, "dvs bench: %s\n", fault.text);
}

void bench_net_stop(struct bench_net *net)
{
	struct bench_fault fault;

	if (!net)
		return;
	if (net->is_ours && net->lab.name[0]) {
		const char *down[] = { "dvs", "lab", "down", "--name", net->lab.name, NULL };

		if (run_dvs(down, &fault) != DVS_OK)
			fprintf(stderr, "dvs bench: %s\n", fault.text);
	} else {
		leave_lab(net);
	}
	lab_close(&net->lab);
	cleanup_close(&net->own_pids);
	free(net);
}

unsigned bench_net_nodes(const struct bench_net *net)
{
	return net->lab.options.n_nodes;
}

const char *bench_net_address(const struct bench_net *net, unsigned node)
{
	return net->addresses[node];
}

/* ---- processes of a node ---- */

static int holder_pids(const struct bench_net *net, unsigned node)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)net->lab.holders[node]);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* To be in a PID namespace a process must be born there. */
pid_t bench_net_fork(const struct bench_net *net, unsigned node)
{
	AUTO_CLOSE int pids = -1;
	pid_t pid;
	int error;

	if (!net)
		return fork();
	pids = holder_pids(net, node);
	if (pids < 0 || setns(pids, CLONE_NEWPID) != 0)
		return -1;
	pid = fork();
	if (pid == 0)
		return 0;
	error = errno;
	if (setns(net->own_pids, CLONE_NEWPID) != 0)
		abort(); /* whoever is born from here on would be of that node */
	errno = error;
	return pid;
}

dvs_err bench_net_enter(const struct bench_net *net, unsigned node, struct bench_fault *fault)
{
	/* The mounts come last: they hide the host's /proc. */
	static const char *const names[] = { "net", "ipc", "uts", "mnt" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char path[64];
		AUTO_CLOSE int fd = -1;

		snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)net->lab.holders[node],
			 names[i]);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || setns(fd, 0) != 0)
			return bench_fail_errno(fault, "enter a node of the lab");
	}
	return DVS_OK;
}

/* In another PID namespace a parent outside has no number; who has lost it belongs to the holder, PID 1. */
bool bench_net_has_parent(const struct bench_net *net, pid_t parent)
{
	return getppid() == (net ? 0 : parent);
}

/* ---- how the nodes talk ---- */

static bool same_way(const struct bench_way *a, const struct bench_way *b)
{
	return a->transport == b->transport &&
	       memcmp(a->filters, b->filters, sizeof(a->filters)) == 0;
}

/* The proxies of all nodes: as many as there are pairs of nodes, twice. */
static void find_proxies(struct bench_net *net)
{
	net->n_proxies = 0;
	for (uint32_t i = 0; i < net->lab.options.n_nodes; i++)
		net->n_proxies += bench_find_processes(net->lab.holders[i], PROXY,
						       net->proxies + net->n_proxies,
						       ARRAY_LEN(net->proxies) - net->n_proxies);
}

static bool has_pid(const struct bench_net *net, pid_t pid)
{
	for (size_t i = 0; i < net->n_proxies; i++)
		if (net->proxies[i] == pid)
			return true;
	return false;
}

/* Whether all proxies there are have begun since BEFORE, of N, was looked at. */
static bool all_are_new(const struct bench_net *net, const pid_t *before, size_t n)
{
	uint32_t n_nodes = net->lab.options.n_nodes;

	for (size_t i = 0; i < n; i++)
		if (has_pid(net, before[i]))
			return false;
	return net->n_proxies >= (size_t)n_nodes * (n_nodes - 1);
}

/* Let every dvsd read its file; it ends its proxies and starts them again. */
static dvs_err restart_proxies(struct bench_net *net, struct bench_fault *fault)
{
	uint64_t deadline_ns = clock_now_ns() + PROXIES_SPAN_NS;
	const struct timespec pause = clock_timespec(LOOK_NS);
	pid_t before[BENCH_PROCESSES_MAX], dvsd;
	size_t n;

	find_proxies(net);
	n = net->n_proxies;
	memcpy(before, net->proxies, n * sizeof(before[0]));
	for (uint32_t i = 0; i < net->lab.options.n_nodes; i++)
		if (bench_find_processes(net->lab.holders[i], "dvsd", &dvsd, 1) == 1)
			kill(dvsd, SIGHUP);
	/* Nothing tells us when that is done. */
	do {
		if (clock_is_past(deadline_ns))
			return bench_fail(fault, DVS_TIMEOUT, "%zu proxies run, not all anew",
					  net->n_proxies);
		nanosleep(&pause, NULL);
		find_proxies(net);
	} while (!all_are_new(net, before, n));
	return DVS_OK;
}

dvs_err bench_net_choose(struct bench_net *net, const struct bench_way *way,
			 struct bench_fault *fault)
{
	struct lab_options *options = &net->lab.options;

	if (same_way(&net->way, way)) {
		if (net->n_proxies == 0)
			find_proxies(net);
		return DVS_OK;
	}
	options->transport = way->transport;
	memcpy(options->filters, way->filters, sizeof(options->filters));
	for (uint32_t i = 0; i < options->n_nodes; i++)
		if (!lab_write_node_files(&net->lab, i))
			return bench_fail(fault, DVS_IO, "%s", net->lab.error);
	net->way = *way;
	return restart_proxies(net, fault);
}

static uint64_t memory_of(pid_t pid)
{
	char path[64], line[128];
	uint64_t kib = 0;
	AUTO_FCLOSE FILE *rollup = NULL;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	rollup = fopen(path, "re");
	while (rollup && fgets(line, sizeof(line), rollup))
		if (strncmp(line, "Pss:", 4) == 0)
			kib = strtoull(line + 4, NULL, 10);
	return kib * 1024;
}

uint64_t bench_net_memory_bytes(const struct bench_net *net, const char *name)
{
	pid_t pids[BENCH_PROCESSES_MAX];
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < net->lab.options.n_nodes; i++) {
		size_t n = bench_find_processes(net->lab.holders[i], name, pids, ARRAY_LEN(pids));

		for (size_t p = 0; p < n; p++)
			bytes += memory_of(pids[p]);
	}
	return bytes;
}

uint64_t bench_net_proxies_cpu_ns(const struct bench_net *net)
{
	uint64_t sum_ns = 0;

	for (size_t i = 0; i < net->n_proxies; i++) {
		struct timespec used;
		clockid_t clock;

		if (clock_getcpuclockid(net->proxies[i], &clock) == 0 &&
		    clock_gettime(clock, &used) == 0)
			sum_ns += (uint64_t)used.tv_sec * CLOCK_NS_PER_S + (uint64_t)used.tv_nsec;
	}
	return sum_ns;
}

/* ---- what else a run needs of the lab ---- */

dvs_err bench_net_make_dc(struct bench_net *net, struct bench_fault *fault)
{
	const char *create[] = { "dvs", "lab", "exec",	 "--name",     net->lab.name,	 "n0",
				 "dvs", "dc",  "create", BENCH_NET_DC, "--no-container", NULL };
	uint64_t deadline_ns = clock_now_ns() + QUORUM_SPAN_NS;
	const struct timespec pause = clock_timespec(LOOK_NS);
	dvs_err err;

	if (net->has_dc)
		return DVS_OK;
	/* Just after the lab has come up its nodes may still be about to meet. */
	while ((err = run_dvs(create, fault)) != DVS_OK && strstr(fault->text, "quorum") &&
	       !clock_is_past(deadline_ns))
		nanosleep(&pause, NULL);
	net->has_dc = err == DVS_OK;
	return err;
}

bool bench_net_has_dc(const struct bench_net *net)
{
	return net->has_dc;
}

dvs_err bench_net_kill_node(struct bench_net *net, unsigned node, struct bench_fault *fault)
{
	pid_t pids[BENCH_PROCESSES_MAX];
	size_t n = bench_find_processes(net->lab.holders[node], "corosync", pids, ARRAY_LEN(pids));

	/* It must have no time to say good-bye for those of its clients that end before it. */
	for (size_t i = 0; i < n; i++)
		kill(pids[i], SIGSTOP);
	if (n == 0)
		return bench_fail(fault, DVS_IO, "no corosync runs on node %u", node);
	n = bench_find_processes(net->lab.holders[node], NULL, pids, ARRAY_LEN(pids));
	bench_kill_processes(pids, n);
	return DVS_OK;
}

dvs_err bench_net_signal(struct bench_net *net, unsigned node, const char *name, pid_t pid,
			 int signal, struct bench_fault *fault)
{
	pid_t pids[BENCH_PROCESSES_MAX];
	size_t n = bench_find_processes(net->lab.holders[node], name, pids, ARRAY_LEN(pids));
	bool is_found = false;

	for (size_t i = 0; i < n; i++)
		if (pid == 0 || bench_inner_pid(pids[i]) == pid)
			is_found |= kill(pids[i], signal) == 0;
	if (!is_found)
		return bench_fail(fault, DVS_BADSTATE, "no %s to signal on node %u", name, node);
	return DVS_OK;
}

dvs_err bench_net_revive_node(struct bench_net *net, unsigned node, struct bench_fault *fault)
{
	char role[8];
	const char *start[] = { "dvs", "lab", "start", "--name", net->lab.name, role, NULL };

	snprintf(role, sizeof(role), "n%u", node);
	return run_dvs(start, fault);
}
