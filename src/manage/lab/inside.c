/* SPDX-License-Identifier: Apache-2.0 */
/* Working inside a node. To be in its PID namespace a process must be born there: so a job
 * runs in a grandchild, and the child between only waits for it. */
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
#include "manage/lab/lab.h"

static bool enter(pid_t holder, const char *const *names)
{
	for (; *names; names++) {
		char path[64];
		AUTO_CLOSE int fd = -1;

		(void)snprintf(path, sizeof(path), "/proc/%d/ns/%s", holder, *names);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || setns(fd, 0) != 0)
			return false;
	}
	return true;
}

bool lab_enter(pid_t holder)
{
	/* The mounts come last: they hide the host's /proc. */
	static const char *const names[] = { "net", "ipc", "uts", "pid", "mnt", NULL };

	AUTO_FREE char *here = getcwd(NULL, 0);

	if (holder <= 0 || !enter(holder, names))
		return false;
	/* Entering the mounts has led to their root. What the node does not have, it has not. */
	return !here || chdir(here) == 0 || chdir("/") == 0;
}

bool lab_enter_network(pid_t holder)
{
	static const char *const names[] = { "net", NULL };

	return holder > 0 && enter(holder, names);
}

void lab_set_environment(const struct lab *lab, uint32_t node)
{
	const char *path = getenv("PATH");
	char self[512];
	char text[2048];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	(void)snprintf(text, sizeof(text), "n%u", node);
	(void)setenv("DVS_LAB_NODE", text, 1);
	(void)setenv("DVS_LAB", lab->name, 1);
	(void)setenv("DVS_RUN_DIR", LAB_RUN_DIR, 1);
	(void)unsetenv("DVS_CONTROL");
	self[n > 0 ? n : 0] = '\0';
	slash = strrchr(self, '/');
	if (!slash)
		return;
	*slash = '\0';
	/* The programs beside this one, and those of its sbin once it is installed, are the ones that fit it. */
	(void)snprintf(text, sizeof(text), "%s:%s/../sbin:%s:/usr/sbin:/sbin", self, self,
		       path ? path : "/usr/bin:/bin");
	(void)setenv("PATH", text, 1);
}

static _Noreturn void run_job(struct lab *lab, uint32_t node, lab_job *job, void *arg, int fd)
{
	FILE *why;
	bool done;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	lab_set_environment(lab, node);
	why = fdopen(fd, "w");
	if (!why)
		_exit(1);
	done = job(lab, node, arg, why);
	_exit(fclose(why) == 0 && done ? 0 : 1);
}

static _Noreturn void run_between(struct lab *lab, uint32_t node, lab_job *job, void *arg, int fd)
{
	pid_t pid;
	int status;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!lab_enter(lab->holders[node])) {
		dprintf(fd, "enter it: %s", strerror(errno));
		_exit(1);
	}
	pid = fork();
	if (pid == 0)
		run_job(lab, node, job, arg, fd);
	if (pid < 0)
		dprintf(fd, "fork: %s", strerror(errno));
	close(fd);
	_exit(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ?
		      WEXITSTATUS(status) :
		      1);
}

bool lab_inside_start(struct lab *lab, uint32_t node, lab_job *job, void *arg,
		      struct lab_running *running)
{
	int fds[2] = { -1, -1 };

	*running = (struct lab_running){ .pid = -1, .fd = -1 };
	if (pipe2(fds, O_CLOEXEC) != 0)
		return lab_fail(lab, "make a pipe: %s", strerror(errno));
	running->fd = fds[0];
	running->pid = fork();
	if (running->pid == 0)
		run_between(lab, node, job, arg, fds[1]);
	close(fds[1]);
	if (running->pid > 0)
		return true;
	close(fds[0]);
	return lab_fail(lab, "fork: %s", strerror(errno));
}

bool lab_inside_wait(struct lab *lab, uint32_t node, struct lab_running *running)
{
	char why[700];
	size_t len = 0;
	ssize_t n;
	int status = 1;

	while (len < sizeof(why) - 1) {
		n = read(running->fd, why + len, sizeof(why) - 1 - len);
		if (n == 0 || (n < 0 && errno != EINTR))
			break;
		len += n > 0 ? (size_t)n : 0;
	}
	why[len] = '\0';
	close(running->fd);
	while (waitpid(running->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	return lab_fail(lab, "node n%u: %s", node, len > 0 ? why : "its helper was killed");
}

bool lab_inside(struct lab *lab, uint32_t node, lab_job *job, void *arg)
{
	struct lab_running running;

	return lab_inside_start(lab, node, job, arg, &running) &&
	       lab_inside_wait(lab, node, &running);
}
