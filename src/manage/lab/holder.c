/* SPDX-License-Identifier: Apache-2.0 */
/* A holder: the process that a node's namespaces live in. It is made by clone() and then
 * becomes a program of its own, so that its command line says whose it is. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "manage/lab/lab.h"

#define CONTROL_FD 3
#define HOLDER_FLAGS \
	(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | SIGCHLD)

/* The words between us and a holder, one byte each. */
enum { WORD_READY = 'r', WORD_GO = 'g', WORD_GOING = 'k' };

/* ---- in the holder ---- */

static void holder_fail(const char *what)
{
	char text[256];
	int n = snprintf(text, sizeof(text), "%s: %s", what, strerror(errno));

	(void)send(CONTROL_FD, text, n > 0 ? (size_t)n : 0, MSG_NOSIGNAL);
}

static bool holder_set_up(const char *role, const char *dir)
{
	const char *what = "the name of the host";

	if (chdir("/") == 0 && sethostname(role, strlen(role)) == 0) {
		if (strcmp(role, "hub") == 0) {
			what = "private mounts";
			if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
				return true;
		} else if (lab_mount_node(dir, &what)) {
			return true;
		}
	}
	holder_fail(what);
	return false;
}

/* Nothing of who started the lab is kept open. */
static void let_go(void)
{
	int null = open("/dev/null", O_RDWR);

	for (int fd = 0; null >= 0 && fd <= 2; fd++)
		(void)dup2(null, fd);
	(void)close_range(3, ~0u, 0);
}

/* PID 1 inherits whatever lost its parent. */
static _Noreturn void reap_for_ever(void)
{
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	for (;;) {
		int signal;

		(void)sigwait(&child, &signal);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}

int lab_holder_main(int argc, char **argv)
{
	char word = WORD_READY;
	sigset_t child;

	/* argv: LAB_HOLDER_NAME, the lab, the role, the node's directory */
	if (argc != 4 || getpid() != 1)
		return 2;
	(void)prctl(PR_SET_NAME, LAB_HOLDER_NAME);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &child, NULL);
	(void)setsid();
	if (!holder_set_up(argv[2], argv[3]) || send(CONTROL_FD, &word, 1, MSG_NOSIGNAL) != 1 ||
	    recv(CONTROL_FD, &word, 1, 0) != 1 || word != WORD_GO)
		return 1;
	word = WORD_GOING;
	/* From here on the lab lives without who made it. */
	if (prctl(PR_SET_PDEATHSIG, 0) != 0 || send(CONTROL_FD, &word, 1, MSG_NOSIGNAL) != 1)
		return 1;
	let_go();
	reap_for_ever();
}

/* ---- in 'dvs lab up' ---- */

static _Noreturn void become_holder(const struct lab *lab, uint32_t node, int fd)
{
	char name[] = LAB_HOLDER_NAME;
	char lab_name[LAB_NAME_MAX + 1];
	char role[8] = "hub";
	char dir[320];
	char *argv[] = { name, lab_name, role, dir, NULL };
	sigset_t none;

	/* If we were too late for the signal, nobody holds the other end any more. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || dup2(fd, CONTROL_FD) < 0 ||
	    fcntl(CONTROL_FD, F_SETFD, 0) != 0)
		_exit(1);
	memcpy(lab_name, lab->name, sizeof(lab_name));
	if (node != LAB_HUB)
		(void)snprintf(role, sizeof(role), "n%u", node);
	lab_node_path(lab, node, "", dir, sizeof(dir));
	(void)close_range(CONTROL_FD + 1, ~0u, 0);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	execv("/proc/self/exe", argv);
	holder_fail("start " LAB_HOLDER_NAME);
	_exit(1);
}

bool lab_holder_start(struct lab *lab, uint32_t node, int *control_fd)
{
	int fds[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
		return lab_fail(lab, "make a socket: %s", strerror(errno));
	pid = (pid_t)syscall(SYS_clone, HOLDER_FLAGS, NULL, NULL, NULL, NULL);
	if (pid == 0)
		become_holder(lab, node, fds[1]);
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		if (errno == EPERM)
			return lab_fail(lab,
					"make a namespace: %s; run it as root (sudo dvs lab "
					"...)",
					strerror(errno));
		return lab_fail(lab, "make a namespace: %s; see the limits in /proc/sys/user",
				strerror(errno));
	}
	lab->holders[node] = pid;
	*control_fd = fds[0];
	return true;
}

bool lab_holder_wait(struct lab *lab, uint32_t node, int control_fd)
{
	char text[257];
	ssize_t n = recv(control_fd, text, sizeof(text) - 1, 0);

	if (n == 1 && text[0] == WORD_READY)
		return true;
	text[n > 0 ? n : 0] = '\0';
	return lab_fail(lab, "set up node n%u: %s", node, n > 0 ? text : "it ended at once");
}

bool lab_holder_release(struct lab *lab, uint32_t node, int control_fd)
{
	char word = WORD_GO;

	if (send(control_fd, &word, 1, MSG_NOSIGNAL) == 1 && recv(control_fd, &word, 1, 0) == 1)
		return true;
	return lab_fail(lab,
			"let go of node n%u: it ended; see the kernel's log (dmesg) for "
			"lack of memory",
			node);
}
