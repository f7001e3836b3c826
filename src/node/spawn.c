/* SPDX-License-Identifier: Apache-2.0 */
#include "node/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"

#define LINK_FD 3
#define EXIT_CANNOT_EXECUTE 127

void spawn_find_program(const char *variable, const char *name, char *path, size_t size)
{
	const char *wanted = getenv(variable);
	ssize_t len;
	char *slash;

	if (wanted && *wanted && strlen(wanted) < size) {
		memcpy(path, wanted, strlen(wanted) + 1);
		return;
	}
	len = readlink("/proc/self/exe", path, size - 1);
	path[len > 0 ? len : 0] = '\0';
	slash = strrchr(path, '/');
	if (!slash || (size_t)(slash + 1 - path) + strlen(name) + 1 > size)
		path[0] = '\0';
	else
		memcpy(slash + 1, name, strlen(name) + 1);
}

/* Between fork and exec: only system calls. */
static void become_child(pid_t parent)
{
	sigset_t none;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_CANNOT_EXECUTE);
	(void)signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void become_proxy(int link, pid_t parent, char *const *args)
{
	become_child(parent);
	/* dup2() onto itself would leave it to be closed */
	if (link == LINK_FD ? fcntl(link, F_SETFD, 0) != 0 : dup2(link, LINK_FD) != LINK_FD)
		_exit(EXIT_CANNOT_EXECUTE);
	(void)syscall(SYS_close_range, LINK_FD + 1, ~0U, 0U);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	(void)execv(args[0], args);
	_exit(EXIT_CANNOT_EXECUTE);
}

dvs_err spawn_proxy(const struct spawn_proxy *what, int *fd, uint32_t *pid)
{
	char peer[16];
	char node[16];
	const char *wanted[] = { what->program,	  "--peer",   peer,	    "--address",
				 what->address,	  "--node",   node,	    "--log-level",
				 what->log_level, "--config", what->config, NULL };
	char *args[ARRAY_LEN(wanted)];
	AUTO_CLOSE int ours = -1;
	AUTO_CLOSE int theirs = -1;
	pid_t parent = getpid();
	pid_t child;
	int pair[2];
	int on = 1;

	(void)snprintf(peer, sizeof(peer), "%u", what->peer);
	(void)snprintf(node, sizeof(node), "%u", what->node);
	if (what->config[0] == '\0')
		wanted[9] = NULL;
	/* execv() only reads them */
	memcpy(args, wanted, sizeof(args));
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return dvs_from_errno(errno);
	ours = pair[0];
	theirs = pair[1];
	/* Senders' credentials come with every frame, as on other links. */
	if (fcntl(ours, F_SETFL, O_NONBLOCK) != 0 ||
	    setsockopt(ours, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) != 0)
		return dvs_from_errno(errno);
	child = fork();
	if (child == 0)
		become_proxy(theirs, parent, args);
	if (child < 0)
		return dvs_from_errno(errno);
	*fd = take_fd(&ours);
	*pid = (uint32_t)child;
	return DVS_OK;
}

static _Noreturn void become_agent(pid_t parent, char *const *args)
{
	become_child(parent);
	(void)syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0U);
	/* It may gain rights: what it starts are programs of containers, which have their own rules for that. */
	(void)execv(args[0], args);
	_exit(EXIT_CANNOT_EXECUTE);
}

dvs_err spawn_agent(const struct spawn_agent *what, uint32_t *pid)
{
	char node[16];
	const char *wanted[] = { what->program,	  "--run-dir", what->run_dir, "--lib-dir",
				 what->lib_dir,	  "--node",    node,	      "--log-level",
				 what->log_level, NULL };
	char *args[ARRAY_LEN(wanted)];
	pid_t parent = getpid();
	pid_t child;

	(void)snprintf(node, sizeof(node), "%u", what->node);
	/* execv() only reads them */
	memcpy(args, wanted, sizeof(args));
	child = fork();
	if (child == 0)
		become_agent(parent, args);
	if (child < 0)
		return dvs_from_errno(errno);
	*pid = (uint32_t)child;
	return DVS_OK;
}
