/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/bench/remote/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/compiler.h"

static void run(const struct bench_lab *lab, enum bench_side side, const char *const *argv,
		int out_fd, pid_t parent)
{
	struct bench_fault fault;
	sigset_t none;

	sigemptyset(&none);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && bench_net_has_parent(lab->net, parent) &&
	    setpgid(0, 0) == 0 && sigprocmask(SIG_SETMASK, &none, NULL) == 0 &&
	    bench_net_enter(lab->net, side, &fault) == DVS_OK && dup2(out_fd, STDOUT_FILENO) >= 0 &&
	    dup2(out_fd, STDERR_FILENO) >= 0)
		execvp(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

dvs_err bench_program_start(const struct bench_lab *lab, enum bench_side side,
			    const char *const *argv, struct bench_program *program,
			    struct bench_fault *fault)
{
	pid_t parent = getpid();
	int out[2];

	if (pipe2(out, O_CLOEXEC) != 0)
		return bench_fail_errno(fault, "pipe");
	program->pid = bench_net_fork(lab->net, side);
	if (program->pid == 0)
		run(lab, side, argv, out[1], parent);
	close(out[1]);
	program->out_fd = out[0];
	if (program->pid > 0)
		return DVS_OK;
	program->pid = 0;
	close(out[0]);
	return bench_fail_errno(fault, "fork");
}

/* A signal that is not the end of one of our processes. */
static dvs_err take_signals(const struct bench_lab *lab, struct bench_fault *fault)
{
	struct signalfd_siginfo info;

	while (read(lab->signal_fd, &info, sizeof(info)) == sizeof(info))
		if (info.ssi_signo != SIGCHLD)
			return bench_fail(fault, DVS_WOKEN, "stopped by signal %u", info.ssi_signo);
	return DVS_OK;
}

dvs_err bench_program_read(const struct bench_lab *lab, struct bench_program *program,
			   const char *until, char *text, size_t text_bytes, int patience_ms,
			   struct bench_fault *fault)
{
	uint64_t deadline_ns = clock_now_ns() + (uint64_t)patience_ms * CLOCK_NS_PER_MS;
	size_t used = 0;

	text[0] = '\0';
	while (!until || !strstr(text, until)) {
		struct pollfd fds[] = { { .fd = program->out_fd, .events = POLLIN },
					{ .fd = lab->signal_fd, .events = POLLIN } };
		uint64_t now_ns = clock_now_ns();
		ssize_t n;

		if (now_ns >= deadline_ns)
			return bench_fail(fault, DVS_TIMEOUT, "it does not answer");
		if (used + 1 == text_bytes)
			return bench_fail(fault, DVS_TOOBIG, "it says too much");
		if (poll(fds, ARRAY_LEN(fds), (int)((deadline_ns - now_ns) / CLOCK_NS_PER_MS) + 1) <
			    0 &&
		    errno != EINTR)
			return bench_fail_errno(fault, "poll");
		if (fds[1].revents && take_signals(lab, fault) != DVS_OK)
			return DVS_WOKEN;
		if (!fds[0].revents)
			continue;
		n = read(program->out_fd, text + used, text_bytes - 1 - used);
		if (n <= 0)
			return until ? bench_fail(fault, DVS_IO, "it ended, saying: %.100s", text) :
				       DVS_OK;
		used += (size_t)n;
		text[used] = '\0';
	}
	return DVS_OK;
}

void bench_program_stop(struct bench_program *program)
{
	if (program->pid <= 0)
		return;
	kill(program->pid, SIGKILL);
	waitpid(program->pid, NULL, 0);
	close(program->out_fd);
	program->pid = 0;
}
