/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define EXIT_NOT_STARTED 1

_Noreturn void daemon_become(const char *program, char *const *argv)
{
	static const char *const places[] = { "", "../sbin/" };
	char self[PATH_MAX];
	char path[PATH_MAX + 64];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	self[len > 0 ? len : 0] = '\0';
	slash = strrchr(self, '/');
	for (size_t i = 0; slash && i < ARRAY_LEN(places); i++) {
		slash[1] = '\0';
		(void)snprintf(path, sizeof(path), "%s%s%s", self, places[i], program);
		(void)execv(path, argv);
	}
	(void)execvp(program, argv);
	(void)fprintf(stderr, "%s: it is not installed: %s\n", program, strerror(errno));
	_exit(EXIT_NOT_STARTED);
}

/* Away from the terminal, with a log, and READY_FD inherited. */
static _Noreturn void become_daemon(const char *program, char *const *argv, const char *log_file,
				    int ready_fd)
{
	int log_fd = open(log_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (setsid() < 0 || log_fd < 0 || null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 ||
	    dup2(null_fd, STDOUT_FILENO) < 0 || dup2(log_fd, STDERR_FILENO) < 0 ||
	    fcntl(ready_fd, F_SETFD, 0) != 0)
		_exit(EXIT_NOT_STARTED);
	daemon_become(program, argv);
}

/* The last line of its log says why it did not come up. */
static void last_line(const char *program, const char *path, char said[DAEMON_SAID_BYTES])
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	off_t from = end > (off_t)DAEMON_SAID_BYTES - 1 ? end - (off_t)DAEMON_SAID_BYTES + 1 : 0;
	ssize_t len = fd < 0 ? 0 : pread(fd, said, DAEMON_SAID_BYTES - 1, from);
	size_t name = strlen(program);
	char *line;

	said[len > 0 ? len : 0] = '\0';
	if (len > 0 && said[len - 1] == '\n')
		said[len - 1] = '\0';
	line = strrchr(said, '\n');
	if (line)
		memmove(said, line + 1, strlen(line + 1) + 1);
	if (strncmp(said, program, name) == 0 && strncmp(said + name, ": ", 2) == 0)
		memmove(said, said + name + 2, strlen(said + name + 2) + 1);
	if (!said[0])
		(void)snprintf(said, DAEMON_SAID_BYTES, "%s has died", program);
}

pid_t daemon_start(const char *program, char **argv, const char *log_file,
		   char said[DAEMON_SAID_BYTES])
{
	char option[] = "--ready-fd";
	char number[16];
	size_t n = 0;
	ssize_t got;
	int ready[2];
	pid_t pid;
	char byte;

	if (pipe2(ready, O_CLOEXEC) != 0)
		return -1;
	while (argv[n])
		n++;
	(void)snprintf(number, sizeof(number), "%d", ready[1]);
	argv[n] = option;
	argv[n + 1] = number;
	argv[n + 2] = NULL;
	pid = fork();
	if (pid == 0)
		become_daemon(program, argv, log_file, ready[1]);
	argv[n] = NULL;
	close(ready[1]);
	do
		got = read(ready[0], &byte, 1);
	while (got < 0 && errno == EINTR);
	close(ready[0]);
	if (pid > 0 && got == 1)
		return pid;
	if (pid < 0)
		return -1;
	last_line(program, log_file, said);
	return 0;
}
