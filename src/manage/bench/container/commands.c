/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/bench/container/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "manage/bench/remote/net.h"

/* What the process on the node tells when it is done. */
struct outcome {
	dvs_err err;
	struct bench_heard heard;
	struct bench_fault fault;
};

/* ---- on the node ---- */

static dvs_err leave_v2(struct bench_fault *fault)
{
	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return bench_fail_errno(fault, "make private mounts");
	/* On most machines it is not there at all. */
	(void)umount2("/sys/fs/cgroup/unified", MNT_DETACH);
	return DVS_OK;
}

static void read_all(int fd, char *text, size_t room)
{
	ssize_t n = pread(fd, text, room - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
}

static dvs_err spawn(const struct bench_command *command, int out, int complaints, pid_t *pid,
		     struct bench_fault *fault)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none;
	int code;

	sigemptyset(&none);
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawnattr_init(&attributes);
	(void)posix_spawnattr_setsigmask(&attributes, &none);
	(void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	(void)posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	(void)posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	(void)posix_spawn_file_actions_adddup2(&actions, complaints, STDERR_FILENO);
	code = posix_spawnp(pid, command->path, &actions, &attributes,
			    (char *const *)(uintptr_t)command->argv, environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)posix_spawnattr_destroy(&attributes);
	return code == 0 ? DVS_OK :
			   bench_fail(fault, code == ENOENT ? DVS_BADSTATE : DVS_IO,
				      "cannot run %s: %s", command->path, strerror(code));
}

static dvs_err run_once(const struct bench_command *command, struct outcome *outcome)
{
	AUTO_CLOSE int out = memfd_create("out", MFD_CLOEXEC);
	AUTO_CLOSE int complaints = memfd_create("complaints", MFD_CLOEXEC);
	uint64_t begin_ns;
	char said[160];
	pid_t pid = 0;
	int status = -1;
	dvs_err err;

	if (out < 0 || complaints < 0)
		return bench_fail_errno(&outcome->fault, "memfd_create");
	begin_ns = clock_now_ns();
	err = spawn(command, out, complaints, &pid, &outcome->fault);
	if (err != DVS_OK)
		return err;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (command->timed)
		outcome->heard.ns += (double)(clock_now_ns() - begin_ns);
	if (command->heard)
		read_all(out, outcome->heard.text, sizeof(outcome->heard.text));
	if (status == 0 || command->may_fail)
		return DVS_OK;
	read_all(complaints, said, sizeof(said));
	return bench_fail(&outcome->fault, DVS_IO, "%s %s: %s", command->argv[0],
			  command->argv[1] ? command->argv[1] : "",
			  *said ? said : "it failed without a word");
}

static _Noreturn void run_there(const struct bench_lab *lab, const struct bench_commands *commands,
				int out, pid_t parent)
{
	struct outcome outcome = { .err = DVS_OK };

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || !bench_net_has_parent(lab->net, parent) ||
	    setpgid(0, 0) != 0)
		_exit(1);
	outcome.err = bench_net_enter(lab->net, commands->node, &outcome.fault);
	if (outcome.err == DVS_OK && commands->without_v2)
		outcome.err = leave_v2(&outcome.fault);
	for (size_t i = 0; i < commands->n && outcome.err == DVS_OK; i++) {
		unsigned times = commands->list[i].times > 0 ? commands->list[i].times : 1;

		for (unsigned t = 0; t < times && outcome.err == DVS_OK; t++)
			outcome.err = run_once(&commands->list[i], &outcome);
	}
	_exit(write(out, &outcome, sizeof(outcome)) == sizeof(outcome) ? 0 : 1);
}

/* ---- here ---- */

static dvs_err wait_for_outcome(const struct bench_lab *lab, int in, struct outcome *outcome,
				struct bench_fault *fault)
{
	for (;;) {
		struct pollfd fds[] = { { .fd = in, .events = POLLIN },
					{ .fd = lab->signal_fd, .events = POLLIN } };
		struct signalfd_siginfo info;

		if (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno != EINTR)
			return bench_fail_errno(fault, "poll");
		while (fds[1].revents && read(lab->signal_fd, &info, sizeof(info)) == sizeof(info))
			if (info.ssi_signo != SIGCHLD)
				return bench_fail(fault, DVS_WOKEN, "stopped by signal %u",
						  info.ssi_signo);
		if (fds[0].revents)
			return read(in, outcome, sizeof(*outcome)) == sizeof(*outcome) ?
				       DVS_OK :
				       bench_fail(fault, DVS_IO,
						  "the process on the node ended early");
	}
}

dvs_err bench_commands_run(const struct bench_lab *lab, const struct bench_commands *commands,
			   struct bench_heard *heard, struct bench_fault *fault)
{
	struct outcome outcome = { .err = DVS_OK };
	pid_t parent = getpid();
	dvs_err err;
	int out[2];
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) != 0)
		return bench_fail_errno(fault, "pipe");
	pid = bench_net_fork(lab->net, commands->node);
	if (pid == 0)
		run_there(lab, commands, out[1], parent);
	close(out[1]);
	if (pid < 0) {
		close(out[0]);
		return bench_fail_errno(fault, "fork");
	}
	err = wait_for_outcome(lab, out[0], &outcome, fault);
	if (err != DVS_OK) {
		kill(-pid, SIGKILL);
		kill(pid, SIGKILL);
	}
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	close(out[0]);
	if (err != DVS_OK)
		return err;
	*heard = outcome.heard;
	*fault = outcome.fault;
	return outcome.err;
}

dvs_err bench_heard_sample(const struct bench_heard *heard, struct bench_sample *sample,
			   struct bench_fault *fault)
{
	char *at;

	*sample = (struct bench_sample){ .msg_per_s = strtod(heard->text, &at) };
	sample->rt_ns = strtod(at, NULL);
	if (!(sample->msg_per_s > 0) || !(sample->rt_ns > 0))
		return bench_fail(fault, DVS_PROTO, "the client said '%.60s'", heard->text);
	return DVS_OK;
}

dvs_err bench_command_sample(const struct bench_lab *lab, unsigned node,
			     const struct bench_command *command, struct bench_sample *sample,
			     struct bench_fault *fault)
{
	const struct bench_commands commands = { .node = node, .list = command, .n = 1 };
	struct bench_heard heard = { .ns = 0 };
	dvs_err err = bench_commands_run(lab, &commands, &heard, fault);

	return err ? err : bench_heard_sample(&heard, sample, fault);
}
