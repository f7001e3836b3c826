/* SPDX-License-Identifier: Apache-2.0 */
/* From a row to a process. The child tells by a pipe that closes at exec whether it got there, so the agent learns the exact reason when not. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "container/init/init.h"

#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define CHILD_PIPE 3
/* Where the child puts descriptors aside before they get their numbers. */
#define CHILD_ASIDE 10

dvs_err terminal_open(uint16_t rows, uint16_t cols, int *master)
{
	struct winsize size = { .ws_row = rows, .ws_col = cols };
	int unlock = 0;
	/* It need not be a terminal: who is root in the container can have put a pipe there. */
	AUTO_CLOSE int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? DVS_NOTFOUND : dvs_from_errno(errno);
	if (ioctl(fd, TIOCSPTLCK, &unlock) != 0 || ioctl(fd, TIOCSWINSZ, &size) != 0)
		return DVS_IO;
	*master = take_fd(&fd);
	return DVS_OK;
}

dvs_err terminal_near(int master, uid_t uid, int *near)
{
	/* By way of the master, not by its name in /dev/pts: that can be anything. */
	int fd = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return DVS_IO;
	/* Where it cannot be (an id that is not mapped) the program has it open anyway. */
	if (fchown(fd, uid, (gid_t)-1) != 0)
		(void)fchmod(fd, 0620);
	*near = fd;
	return DVS_OK;
}

/* ---- in the child ---- */

static _Noreturn void child_fails(dvs_err err)
{
	uint32_t number = (uint32_t)err;
	ssize_t sent = write(CHILD_PIPE, &number, sizeof(number));

	_exit(sent == sizeof(number) ? 127 : 126);
}

static dvs_err exec_err(int errno_value)
{
	switch (errno_value) {
	case ENOENT:
	case ENOTDIR:
	case ELOOP:
	case ENAMETOOLONG:
		return DVS_NOTFOUND;
	case EACCES:
	case EPERM:
	case EISDIR:
		return DVS_DENIED;
	case ENOMEM:
		return DVS_NOMEM;
	case ENOEXEC:
	case EINVAL:
	case E2BIG:
		return DVS_BADARG;
	case EAGAIN:
		return DVS_FULL;
	default:
		return DVS_IO;
	}
}

static void child_signals(void)
{
	/* A kernel's sigaction, all zeros: the C library does not let go of its own two signals, which whoever started the node may have ignored. */
	const uint64_t as_usual[4] = { 0 };
	sigset_t none;

	for (int signo = 1; signo < NSIG; signo++)
		(void)syscall(SYS_rt_sigaction, signo, as_usual, NULL, sizeof(uint64_t));
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* 0, 1, 2 and the pipe to dc-init; nothing else stays open. */
static void child_descriptors(const int near[3], int pipe_fd, bool tty)
{
	int aside[4];

	for (size_t i = 0; i < 4; i++) {
		aside[i] = fcntl(i < 3 ? near[i] : pipe_fd, F_DUPFD_CLOEXEC, CHILD_ASIDE);
		if (aside[i] < 0)
			_exit(126);
	}
	if (dup3(aside[3], CHILD_PIPE, O_CLOEXEC) < 0)
		_exit(126);
	for (int i = 0; i < 3; i++) {
		if (dup2(aside[i], i) < 0)
			child_fails(DVS_IO);
	}
	if (close_range(CHILD_PIPE + 1, ~0u, 0) != 0)
		child_fails(DVS_IO);
	if (tty && ioctl(0, TIOCSCTTY, 0) != 0)
		child_fails(DVS_IO);
}

/* Of dc-init itself the kernel is to kill nothing for want of memory, of programs it may. */
static void child_oom(void)
{
	AUTO_CLOSE int fd = -1;

	/* Else /proc/self belongs to nobody here. It holds nothing of dc-init's any more. */
	(void)prctl(PR_SET_DUMPABLE, 1);
	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0 && write(fd, "0", 1) < 0)
		return;
}

/* A limit above what this process may have becomes what it may have: not every host gives the right to raise them. */
static void child_limit(uint32_t which, uint64_t soft, uint64_t hard)
{
	struct rlimit wanted = { .rlim_cur = soft, .rlim_max = hard };
	struct rlimit now;

	if (setrlimit((__rlimit_resource_t)which, &wanted) == 0 ||
	    getrlimit((__rlimit_resource_t)which, &now) != 0)
		return;
	if (wanted.rlim_max > now.rlim_max)
		wanted.rlim_max = now.rlim_max;
	if (wanted.rlim_cur > wanted.rlim_max)
		wanted.rlim_cur = wanted.rlim_max;
	(void)setrlimit((__rlimit_resource_t)which, &wanted);
}

static void child_user(const struct row *row)
{
	/* Who has no right to change ids may still stay who he is. */
	if (setgroups(row->n_groups, row->groups) != 0 &&
	    (row->n_groups > 0 || getgroups(0, NULL) > 0))
		child_fails(errno == EINVAL ? DVS_BADARG : DVS_DENIED);
	if (setresgid(row->gid, row->gid, row->gid) != 0 ||
	    setresuid(row->uid, row->uid, row->uid) != 0)
		child_fails(errno == EINVAL ? DVS_BADARG : DVS_DENIED);
}

static const char *path_of(char *const *envp)
{
	for (; *envp; envp++) {
		if (strncmp(*envp, "PATH=", 5) == 0)
			return *envp + 5;
	}
	return PATH_DEFAULT;
}

/* Try PROGRAM in each folder of PATH; returns why it could not be executed. DENIED is told only if none of the others could be tried. */
static dvs_err exec_in_path(const struct row *row)
{
	const char *program = row->argv[0];
	const char *folder = path_of(row->envp);
	dvs_err found = DVS_NOTFOUND;

	for (;;) {
		size_t len = strcspn(folder, ":");
		AUTO_FREE char *path = NULL;
		dvs_err err;

		if (asprintf(&path, "%.*s%s%s", (int)len, folder, len > 0 ? "/" : "", program) < 0)
			return DVS_NOMEM;
		(void)execve(path, row->argv, row->envp);
		err = exec_err(errno);
		if (err == DVS_DENIED)
			found = err;
		else if (err != DVS_NOTFOUND)
			return err;
		if (folder[len] == '\0')
			return found;
		folder += len + 1;
	}
}

static _Noreturn void child_run(const struct init *init, const struct row *row, const int near[3],
				int pipe_fd)
{
	child_signals();
	if (setsid() < 0)
		_exit(126);
	child_descriptors(near, pipe_fd, row->tty);
	if (init->raise_oom)
		child_oom();
	(void)umask(022);
	(void)setrlimit(RLIMIT_NOFILE, &init->nofile);
	for (size_t i = 0; i < row->n_rlimits; i++)
		child_limit(row->rlimits[i].which, row->rlimits[i].soft, row->rlimits[i].hard);
	child_user(row);
	if (chdir(row->cwd) != 0)
		child_fails(exec_err(errno));
	if (!strchr(row->argv[0], '/'))
		child_fails(exec_in_path(row));
	(void)execve(row->argv[0], row->argv, row->envp);
	child_fails(exec_err(errno));
}

dvs_err spawn(const struct init *init, const struct row *row, int tty, pid_t *pid, int *exec_pipe)
{
	int near[3];
	int ends[2];

	for (size_t i = 0; i < 3; i++)
		near[i] = row->tty ? tty : row->near[i];
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
		return dvs_from_errno(errno);
	*pid = fork();
	if (*pid == 0)
		child_run(init, row, near, ends[1]);
	(void)close(ends[1]);
	if (*pid < 0) {
		(void)close(ends[0]);
		*pid = 0;
		return errno == ENOMEM ? DVS_NOMEM : DVS_FULL;
	}
	*exec_pipe = ends[0];
	return DVS_OK;
}
