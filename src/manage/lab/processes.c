/* SPDX-License-Identifier: Apache-2.0 */
/* Which processes are whose, read from /proc. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "manage/lab/lab.h"

#define KILL_SPAN_NS (20 * CLOCK_NS_PER_S)
#define ENDING_SPAN_NS (5 * CLOCK_NS_PER_S)

/* ---- holders ---- */

/* The words of a process's command line, up to N of them. Returns how many there are. */
static size_t read_words(pid_t pid, char *text, size_t text_bytes, const char *words[], size_t n)
{
	char path[64];
	AUTO_CLOSE int fd = -1;
	size_t n_words = 0;
	ssize_t len;

	(void)snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	len = fd < 0 ? -1 : read(fd, text, text_bytes - 1);
	if (len <= 0)
		return 0;
	text[len] = '\0';
	for (char *at = text; at < text + len; at += strlen(at) + 1) {
		if (n_words < n)
			words[n_words] = at;
		n_words++;
	}
	return n_words;
}

/* The name and the state letter of a process. */
static bool read_stat(pid_t pid, char name[20], char *state)
{
	char path[64];
	char text[256];
	const char *first;
	const char *last;
	AUTO_CLOSE int fd = -1;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	first = strchr(text, '(');
	last = strrchr(text, ')');
	if (!first || !last || last[1] != ' ')
		return false;
	(void)snprintf(name, 20, "%.*s", (int)(last - first - 1), first + 1);
	*state = last[2];
	return true;
}

char lab_process_state(pid_t pid)
{
	char name[20];
	char state;

	return read_stat(pid, name, &state) ? state : 'X';
}

static bool is_ours(pid_t pid)
{
	struct stat status;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d", pid);
	return stat(path, &status) == 0 && status.st_uid == geteuid();
}

/* A holder that is ending has no command line any more, but still waits for what is in it. */
static bool is_ending(pid_t pid)
{
	char text[8];
	const char *word;
	char name[20];
	char state;

	return read_stat(pid, name, &state) && strcmp(name, LAB_HOLDER_NAME) == 0 && state != 'Z' &&
	       state != 'X' && read_words(pid, text, sizeof(text), &word, 1) == 0;
}

void lab_each_holder(lab_holder_found *found, void *arg)
{
	AUTO_CLOSEDIR DIR *proc = opendir("/proc");
	struct dirent *entry;

	while (proc && (entry = readdir(proc)) != NULL) {
		char text[512];
		const char *words[4];
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid <= 1 || !is_ours(pid))
			continue;
		if (read_words(pid, text, sizeof(text), words, 4) == 4 &&
		    strcmp(words[0], LAB_HOLDER_NAME) == 0)
			found(arg, pid, words[1], words[2]);
		else if (is_ending(pid))
			found(arg, pid, "", "");
	}
}

struct find {
	struct lab *lab;
	uint32_t n;
};

static void take_holder(void *arg, pid_t pid, const char *name, const char *role)
{
	struct find *find = arg;
	unsigned long node = LAB_HUB;

	if (strcmp(name, find->lab->name) != 0)
		return;
	find->n++;
	if (strcmp(role, "hub") != 0)
		node = role[0] == 'n' ? strtoul(role + 1, NULL, 10) : LAB_NODES_MAX + 1;
	if (node <= LAB_NODES_MAX)
		find->lab->holders[node] = pid;
}

uint32_t lab_find_holders(struct lab *lab)
{
	struct find find = { .lab = lab };

	memset(lab->holders, 0, sizeof(lab->holders));
	lab_each_holder(take_holder, &find);
	return find.n;
}

/* ---- the end ---- */

struct doomed {
	struct lab *lab;
	int fds[2 * LAB_NODES_MAX];
	size_t n;
	int ending_fds[2 * LAB_NODES_MAX]; /* whose they are cannot be told any more */
	size_t n_ending;
};

static void kill_holder(void *arg, pid_t pid, const char *name, const char *role)
{
	struct doomed *doomed = arg;
	char text[512];
	const char *words[4];
	int fd;

	(void)role;
	if (name[0] && strcmp(name, doomed->lab->name) != 0)
		return;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return;
	if (!name[0] && doomed->n_ending < ARRAY_LEN(doomed->ending_fds)) {
		doomed->ending_fds[doomed->n_ending++] = fd;
		return;
	}
	/* Now that the number cannot change hands any more: is it still the one we saw? */
	if (doomed->n < ARRAY_LEN(doomed->fds) &&
	    read_words(pid, text, sizeof(text), words, 4) == 4 &&
	    strcmp(words[0], LAB_HOLDER_NAME) == 0) {
		(void)syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
		doomed->fds[doomed->n++] = fd;
		return;
	}
	close(fd);
}

/* PID 1 of a namespace ends when all others of it have ended. */
static bool wait_for_end(int fd, uint64_t deadline_ns)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	int n;

	while ((n = poll(&poll_fd, 1, clock_poll_ms(deadline_ns))) < 0 && errno == EINTR)
		;
	return n == 1;
}

static bool wait_for_all(const int fds[], size_t n, uint64_t deadline_ns)
{
	bool ended = true;

	for (size_t i = 0; i < n; i++) {
		ended = wait_for_end(fds[i], deadline_ns) && ended;
		close(fds[i]);
	}
	return ended;
}

bool lab_kill_holders(struct lab *lab)
{
	uint64_t deadline_ns = clock_deadline_ns(KILL_SPAN_NS);
	uint64_t patience_ns = clock_deadline_ns(ENDING_SPAN_NS);

	/* A holder that was just being made may only be seen the second time. */
	for (;;) {
		struct doomed doomed = { .lab = lab };
		bool ended;

		lab_each_holder(kill_holder, &doomed);
		lab_containers_kill(lab);
		ended = wait_for_all(doomed.fds, doomed.n, deadline_ns);
		/* Another lab's may have a reason to take long. */
		(void)wait_for_all(doomed.ending_fds, doomed.n_ending, patience_ns);
		if (ended && (doomed.n == 0 || clock_is_past(deadline_ns)))
			return true;
		if (!ended)
			return lab_fail(lab,
					"end lab '%s': its processes do not end; see 'ps axf' "
					"for processes in state D",
					lab->name);
	}
}

/* ---- what runs in the nodes ---- */

/* The PID namespace of a process as text; false when it cannot be told. */
static bool read_namespace(pid_t pid, char text[32])
{
	char path[64];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/pid", pid);
	n = readlink(path, text, 31);
	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

static void count_process(struct lab_lives *lives, pid_t pid)
{
	char name[20];
	char state;

	if (!read_stat(pid, name, &state) || state == 'Z' || state == 'X')
		return;
	lives->n++;
	lives->n_stopped += state == 'T';
	if (strcmp(name, "corosync") == 0)
		lives->corosync = pid;
	else if (strcmp(name, "dvsd") == 0)
		lives->dvsd = pid;
	else if (strcmp(name, "dvs-proxy") == 0 && lives->n_proxies < LAB_PROXIES_MAX)
		lives->proxies[lives->n_proxies++] = pid;
}

void lab_find_processes(const struct lab *lab, struct lab_processes *processes)
{
	AUTO_CLOSEDIR DIR *proc = opendir("/proc");
	char spaces[LAB_NODES_MAX][32];
	struct dirent *entry;

	memset(processes, 0, sizeof(*processes));
	memset(spaces, 0, sizeof(spaces));
	for (uint32_t i = 0; i < lab->options.n_nodes; i++) {
		if (lab->holders[i] && !read_namespace(lab->holders[i], spaces[i]))
			spaces[i][0] = '\0';
	}
	while (proc && (entry = readdir(proc)) != NULL) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
		char space[32];

		if (pid <= 1 || !read_namespace(pid, space))
			continue;
		for (uint32_t i = 0; i < lab->options.n_nodes; i++) {
			if (strcmp(space, spaces[i]) == 0 && pid != lab->holders[i])
				count_process(&processes->of_node[i], pid);
		}
	}
}
