/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "gateways/attach/keeper.h"

#define FIRST_FREE_FD 3

/* What happens after the device is there is read there. */
static void leave_terminal(const char *run_dir, int *report_fd)
{
	char path[ATTACH_PATH_MAX + 16];
	AUTO_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	AUTO_CLOSE int log = -1;

	(void)snprintf(path, sizeof(path), "%.700s/attach", run_dir);
	(void)mkdir(path, 0700);
	(void)snprintf(path, sizeof(path), "%.700s/attach/log", run_dir);
	log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	(void)setsid();
	(void)!chdir("/");
	(void)umask(077);
	if (null >= 0) {
		(void)dup2(null, STDIN_FILENO);
		(void)dup2(null, STDOUT_FILENO);
		(void)dup2(log >= 0 ? log : null, STDERR_FILENO);
	}
	/* It lives long: whatever else the caller has open is none of its business. */
	if (*report_fd != FIRST_FREE_FD)
		*report_fd = dup2(*report_fd, FIRST_FREE_FD);
	(void)close_range(FIRST_FREE_FD + 1, ~0U, 0);
	(void)!take_fd(&null);
	(void)!take_fd(&log);
}

static dvs_err hear(int fd, char device[LOOP_DEVICE_MAX], char why[ATTACH_WHY_MAX])
{
	char text[ATTACH_WHY_MAX + 32];
	static const char failed[] = "error ";
	unsigned int number;
	size_t len = 0;
	ssize_t n;
	char *at;

	while (len < sizeof(text) - 1 && (n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	text[strcspn(text, "\n")] = '\0';
	if (!strncmp(text, "ok ", 3)) {
		(void)snprintf(device, LOOP_DEVICE_MAX, "%.31s", text + 3);
		return DVS_OK;
	}
	if (strncmp(text, failed, sizeof(failed) - 1) != 0) {
		(void)snprintf(why, ATTACH_WHY_MAX, "dvs-attach has died before it was ready");
		return DVS_PEERDEAD;
	}
	number = (unsigned int)strtoul(text + sizeof(failed) - 1, &at, 10);
	(void)snprintf(why, ATTACH_WHY_MAX, "%.*s", ATTACH_WHY_MAX - 1, *at == ' ' ? at + 1 : at);
	return dvs_err_from_number(number);
}

dvs_err attach_start(const struct attach_config *config, char device[LOOP_DEVICE_MAX],
		     char why[ATTACH_WHY_MAX])
{
	AUTO_CLOSE int in = -1;
	int pair[2];
	pid_t first;

	if (pipe2(pair, O_CLOEXEC))
		return dvs_from_errno(errno);
	in = pair[0];
	first = fork();
	if (first == 0) {
		close(pair[0]);
		leave_terminal(config->run_dir, &pair[1]);
		/* Once more: who leads no session gets no terminal, and the caller need not wait for it. */
		if (fork() == 0)
			keeper_run(config, pair[1]);
		_exit(EXIT_SUCCESS);
	}
	close(pair[1]);
	if (first < 0)
		return dvs_from_errno(errno);
	(void)waitpid(first, NULL, 0);
	return hear(in, device, why);
}
