/* SPDX-License-Identifier: Apache-2.0 */
/* Two network namespaces with a pair of veth between them. Each lives as long as the process that holds it, and
 * those end with this one: nothing has to be removed. */
#include "manage/bench/remote/net.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

static const char *const addresses[BENCH_SIDES] = { "10.87.0.1", "10.87.0.2" };

struct bench_net {
	pid_t holder[BENCH_SIDES]; /* 0: none */
	int fd[BENCH_SIDES];
};

/* In the child: make the namespace, tell by the byte that it is there, and hold it. */
static void hold(int ready_fd, pid_t parent)
{
	char byte = 0;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
		_exit(1);
	byte = unshare(CLONE_NEWNET) == 0 ? 0 : (char)errno;
	if (write(ready_fd, &byte, 1) != 1 || byte)
		_exit(1);
	for (;;)
		pause();
}

static dvs_err start_holder(struct bench_net *net, enum bench_side side, struct bench_fault *fault)
{
	pid_t parent = getpid();
	char path[64], byte = EIO;
	int ready[2];

	if (pipe2(ready, O_CLOEXEC) != 0)
		return bench_fail_errno(fault, "pipe");
	net->holder[side] = fork();
	if (net->holder[side] == 0)
		hold(ready[1], parent);
	close(ready[1]);
	if (net->holder[side] < 0) {
		net->holder[side] = 0;
		close(ready[0]);
		return bench_fail_errno(fault, "fork");
	}
	if (read(ready[0], &byte, 1) != 1)
		byte = EIO;
	close(ready[0]);
	if (byte)
		return bench_fail(fault, DVS_BADSTATE, "make a network namespace: %s",
				  strerror(byte));
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)net->holder[side]);
	net->fd[side] = open(path, O_RDONLY | O_CLOEXEC);
	return net->fd[side] < 0 ? bench_fail_errno(fault, path) : DVS_OK;
}

/* In the child: the lines of TEXT, done by ip(8) inside of SIDE. */
static void run_ip(const struct bench_net *net, enum bench_side side, int text_fd)
{
	struct bench_fault fault;
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (bench_net_enter(net, side, &fault) == DVS_OK && dup2(text_fd, STDIN_FILENO) >= 0)
		execlp("ip", "ip", "-batch", "-", (char *)NULL);
	_exit(127);
}

static dvs_err configure(const struct bench_net *net, enum bench_side side,
			 struct bench_fault *fault)
{
	char text[256];
	int pipe_fd[2], status = -1, length;
	pid_t pid;

	length = side == BENCH_CLIENT_SIDE ?
			 snprintf(text, sizeof(text),
				  "link add dvs0 type veth peer name dvs0 netns %d\n",
				  (int)net->holder[BENCH_SERVER_SIDE]) :
			 0;
	length += snprintf(text + length, sizeof(text) - (size_t)length,
			   "address add %s/24 dev dvs0\nlink set dvs0 up\nlink set lo up\n",
			   addresses[side]);
	if (pipe2(pipe_fd, O_CLOEXEC) != 0)
		return bench_fail_errno(fault, "pipe");
	if (write(pipe_fd[1], text, (size_t)length) != length)
		length = -1;
	close(pipe_fd[1]);
	pid = fork();
	if (pid == 0)
		run_ip(net, side, pipe_fd[0]);
	close(pipe_fd[0]);
	if (pid < 0 || length < 0 || waitpid(pid, &status, 0) != pid)
		return bench_fail_errno(fault, "run ip");
	if (status != 0)
		return bench_fail(fault, DVS_BADSTATE, "ip(8) could not set up the network");
	return DVS_OK;
}

dvs_err bench_net_start(struct bench_net **result, struct bench_fault *fault)
{
	struct bench_net *net = calloc(1, sizeof(*net));
	dvs_err err = DVS_OK;

	if (!net)
		return bench_fail_errno(fault, "allocate");
	for (int side = 0; side < BENCH_SIDES; side++)
		net->fd[side] = -1;
	for (int side = 0; err == DVS_OK && side < BENCH_SIDES; side++)
		err = start_holder(net, (enum bench_side)side, fault);
	for (int side = 0; err == DVS_OK && side < BENCH_SIDES; side++)
		err = configure(net, (enum bench_side)side, fault);
	if (err == DVS_OK)
		*result = net;
	else
		bench_net_stop(net);
	return err;
}

void bench_net_stop(struct bench_net *net)
{
	if (!net)
		return;
	for (int side = 0; side < BENCH_SIDES; side++) {
		if (net->holder[side] > 0) {
			kill(net->holder[side], SIGKILL);
			waitpid(net->holder[side], NULL, 0);
		}
		cleanup_close(&net->fd[side]);
	}
	free(net);
}

dvs_err bench_net_enter(const struct bench_net *net, enum bench_side side,
			struct bench_fault *fault)
{
	if (setns(net->fd[side], CLONE_NEWNET) != 0)
		return bench_fail_errno(fault, "enter a network namespace");
	return DVS_OK;
}

const char *bench_net_address(const struct bench_net *net, enum bench_side side)
{
	(void)net;
	return addresses[side];
}
