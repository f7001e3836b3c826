/* SPDX-License-Identifier: Apache-2.0 */
/* The first process of the containers of these tests: it has the socket of dc-init as descriptor 3, and runs what it is told there. A record is the
 * arguments, each ended by a zero byte, with a descriptor for the program's output; the answer is its status. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGS_MAX 64

static int receive(int from, char *text, size_t size, ssize_t *len)
{
	char room[CMSG_SPACE(sizeof(int))];
	struct iovec part = { .iov_base = text, .iov_len = size - 1 };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = room,
				  .msg_controllen = sizeof(room) };
	struct cmsghdr *rights;
	int fd = -1;

	*len = recvmsg(from, &message, 0);
	rights = *len > 0 ? CMSG_FIRSTHDR(&message) : NULL;
	if (rights)
		memcpy(&fd, CMSG_DATA(rights), sizeof(fd));
	return fd;
}

static _Noreturn void become(char *text, ssize_t len, int fd)
{
	char *argv[ARGS_MAX + 1];
	size_t n = 0;

	for (char *at = text; at < text + len && n < ARGS_MAX; at += strlen(at) + 1)
		argv[n++] = at;
	argv[n] = NULL;
	dup2(fd, 1);
	dup2(fd, 2);
	execvp(argv[0], argv);
	_exit(127);
}

static void serve(int with)
{
	static char text[65536];
	ssize_t len;
	int fd;

	while ((fd = receive(with, text, sizeof(text), &len)) >= 0 || len > 0) {
		int status = 0;
		pid_t pid, ended;

		text[len] = '\0';
		pid = fork();
		if (pid == 0)
			become(text, len, fd);
		close(fd);
		/* Whatever else has ended is reaped as well: this is process 1. */
		do {
			ended = pid > 0 ? wait(&status) : -1;
		} while (ended != pid && (ended > 0 || errno == EINTR));
		if (send(with, &status, sizeof(status), MSG_NOSIGNAL) < 0)
			return;
	}
}

int main(void)
{
	for (;;) {
		int fd = accept(3, NULL, NULL);

		if (fd < 0)
			return 1;
		serve(fd);
		close(fd);
	}
}
