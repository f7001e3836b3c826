/* SPDX-License-Identifier: Apache-2.0 */
/* Stopping, continuing and killing what runs in a node. To all processes of a node at once a
 * signal goes by one system call from inside its PID namespace, which no fork can escape. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "manage/lab/faults.h"

#define END_SPAN_NS (20 * CLOCK_NS_PER_S)
#define PROCESSES_MAX 4096
/* Between two looks at what tells of itself in no other way. */
#define LOOK_MS 2

/* ---- marks ---- */

static const char *const mark_names[] = { [LAB_OFF] = "off", [LAB_PAUSED] = "paused" };

bool lab_node_is(const struct lab *lab, uint32_t node, enum lab_mark mark)
{
	char path[320];

	lab_node_path(lab, node, mark_names[mark], path, sizeof(path));
	return access(path, F_OK) == 0;
}

bool lab_node_mark(struct lab *lab, uint32_t node, enum lab_mark mark, bool on)
{
	char path[320];
	int fd;

	lab_node_path(lab, node, mark_names[mark], path, sizeof(path));
	if (!on && (unlink(path) == 0 || errno == ENOENT))
		return true;
	fd = on ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;
	if (fd < 0)
		return lab_fail(lab, "write %s: %s", path, strerror(errno));
	close(fd);
	return true;
}

bool lab_node_serves(struct lab *lab, uint32_t node)
{
	if (lab_node_is(lab, node, LAB_OFF))
		return lab_fail(lab, "node n%u is off; 'dvs lab start n%u' starts it", node, node);
	if (lab_node_is(lab, node, LAB_PAUSED))
		return lab_fail(lab, "node n%u is paused; 'dvs lab resume n%u' continues it", node,
				node);
	return true;
}

/* ---- which processes: inside the node ---- */

static bool comm_is(const char *pid, const char *name)
{
	char path[64];
	char comm[20] = "";
	AUTO_CLOSE int fd = -1;

	(void)snprintf(path, sizeof(path), "/proc/%.16s/comm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, comm, sizeof(comm) - 1) <= 0)
		return false;
	comm[strcspn(comm, "\n")] = '\0';
	return strcmp(comm, name) == 0;
}

/* The processes called NAME (NULL: all but the holder and us) as descriptors. */
static size_t open_processes(const char *name, int fds[PROCESSES_MAX])
{
	AUTO_CLOSEDIR DIR *proc = opendir("/proc");
	struct dirent *entry;
	size_t n = 0;

	while (proc && n < PROCESSES_MAX && (entry = readdir(proc)) != NULL) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
		int fd;

		if (pid <= 1 || pid == getpid() || (name && !comm_is(entry->d_name, name)))
			continue;
		fd = (int)syscall(SYS_pidfd_open, pid, 0);
		if (fd >= 0)
			fds[n++] = fd;
	}
	return n;
}

/* A signal to stop works when the process next has the processor. In state D it waits for a
 * child on its way to exec, which is stopped, or for a disk. */
static bool is_moving(const char *pid)
{
	char state = lab_process_state((pid_t)strtol(pid, NULL, 10));

	return state == 'R' || state == 'S';
}

static bool wait_for_stops(const char *name)
{
	uint64_t deadline_ns = clock_deadline_ns(END_SPAN_NS);
	bool moving = true;

	while (moving && !clock_is_past(deadline_ns)) {
		AUTO_CLOSEDIR DIR *proc = opendir("/proc");
		struct dirent *entry;

		moving = false;
		while (proc && (entry = readdir(proc)) != NULL) {
			pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

			if (pid > 1 && pid != getpid() && (!name || comm_is(entry->d_name, name)))
				moving = moving || is_moving(entry->d_name);
		}
		if (moving)
			(void)poll(NULL, 0, LOOK_MS);
	}
	return !moving;
}

static bool wait_for_ends(const int fds[], size_t n)
{
	uint64_t deadline_ns = clock_deadline_ns(END_SPAN_NS);

	for (size_t i = 0; i < n; i++) {
		struct pollfd poll_fd = { .fd = fds[i], .events = POLLIN };

		if (poll(&poll_fd, 1, clock_poll_ms(deadline_ns)) != 1)
			return false;
	}
	return true;
}

/* ---- jobs ---- */

static const char *process_name(const char *word)
{
	if (!word || strcmp(word, "all") == 0)
		return NULL;
	return strcmp(word, "proxy") == 0 ? "dvs-proxy" : word;
}

bool lab_job_signal(struct lab *lab, uint32_t node, void *arg, FILE *why)
{
	const struct lab_fault *fault = arg;
	const char *name = process_name(fault->process);
	int fds[PROCESSES_MAX];
	size_t n = open_processes(name, fds);

	(void)lab;
	(void)node;
	if (name && n == 0) {
		fprintf(why, "no %s runs in it; 'dvs lab ls' tells what does", name);
		return false;
	}
	if (!name)
		(void)kill(-1, fault->signal);
	for (size_t i = 0; name && i < n; i++)
		(void)syscall(SYS_pidfd_send_signal, fds[i], fault->signal, NULL, 0);
	if (fault->signal == SIGKILL && !name)
		lab_containers_kill_here(); /* one that is frozen does not end by a signal */
	if (fault->signal == SIGKILL && !wait_for_ends(fds, n)) {
		fprintf(why, "its processes do not end");
		return false;
	}
	if (fault->signal == SIGSTOP && !wait_for_stops(name)) {
		fprintf(why, "its processes do not stop");
		return false;
	}
	return true;
}

bool lab_job_forget(struct lab *lab, uint32_t node, void *arg, FILE *why)
{
	const char *what;

	(void)lab;
	(void)node;
	(void)arg;
	if (lab_mount_memory(&what))
		return true;
	fprintf(why, "%s: %s", what, strerror(errno));
	return false;
}
