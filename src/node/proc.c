/* SPDX-License-Identifier: Apache-2.0 */
/* What /proc tells about processes, and pids as seen from other pid namespaces. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/nsfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "node/api.h"

/* Nested pid namespaces: the kernel's own bound. */
#define NS_DEPTH_MAX 33

int pidfd_of(uint32_t pid)
{
	return (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
}

static int proc_open(uint32_t pid, const char *file)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%" PRIu32 "/%s", pid, file);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static ssize_t proc_read(uint32_t pid, const char *file, char *text, size_t size)
{
	AUTO_CLOSE int fd = proc_open(pid, file);
	ssize_t len;

	if (fd < 0)
		return -1;
	len = read(fd, text, size - 1);
	if (len >= 0)
		text[len] = '\0';
	return len;
}

/* FIELD of TEXT, NULL if there is none. The name in field 2 may hold anything, so fields are
 * counted from the last ')'. */
static const char *stat_field(const char *text, int field)
{
	const char *at = strrchr(text, ')');

	for (int i = 2; at && i < field; i++)
		at = strchr(at + 1, ' ');
	return at;
}

uint64_t proc_starttime(uint32_t pid)
{
	const char *at;
	char text[1024];

	if (proc_read(pid, "stat", text, sizeof(text)) <= 0)
		return 0;
	at = stat_field(text, 22);
	return at ? strtoull(at + 1, NULL, 10) : 0;
}

bool image_of(uint32_t pid, struct image *image)
{
	/* the code's start and end, the stack's start, the data's start and end, the heap's start */
	static const int fields[IMAGE_MARKS] = { 26, 27, 28, 45, 46, 47 };
	char text[1024];

	memset(image, 0, sizeof(*image));
	if (proc_read(pid, "stat", text, sizeof(text)) <= 0)
		return false;
	for (int i = 0; i < IMAGE_MARKS; i++) {
		const char *at = stat_field(text, fields[i]);

		image->marks[i] = at ? strtoull(at + 1, NULL, 10) : 0;
		/* so it is shown to those who may not know it */
		if (image->marks[i] <= 1)
			return false;
	}
	return true;
}

bool image_equal(const struct image *a, const struct image *b)
{
	return memcmp(a->marks, b->marks, sizeof(a->marks)) == 0;
}

void proc_program(uint32_t pid, char *name, size_t size)
{
	char text[64];

	name[0] = '\0';
	if (proc_read(pid, "comm", text, sizeof(text)) <= 0)
		return;
	text[strcspn(text, "\n")] = '\0';
	(void)snprintf(name, size, "%.*s", (int)size - 1, text);
}

static uint64_t ns_number(int fd)
{
	struct stat file;

	return fd >= 0 && fstat(fd, &file) == 0 ? file.st_ino : 0;
}

uint64_t proc_pid_ns(uint32_t pid)
{
	AUTO_CLOSE int fd = proc_open(pid, "ns/pid");

	return ns_number(fd);
}

/* The pids of process PID, ours first, then one for each namespace further in. */
static int proc_nspids(uint32_t pid, uint32_t pids[NS_DEPTH_MAX])
{
	char text[4096];
	char *at;
	int n = 0;

	if (proc_read(pid, "status", text, sizeof(text)) <= 0)
		return 0;
	at = strstr(text, "\nNSpid:");
	if (!at)
		return 0;
	at += strlen("\nNSpid:");
	while (n < NS_DEPTH_MAX) {
		char *end;
		unsigned long value = strtoul(at, &end, 10);

		if (end == at || value > UINT32_MAX)
			break;
		pids[n++] = (uint32_t)value;
		at = end;
		if (*at == '\n')
			break;
	}
	return n;
}

/* The last of the pids belongs to the process's own namespace, each one before it to the
 * parent of that. */
uint32_t proc_pid_in(const struct host *host, uint64_t caller_ns, uint32_t pid)
{
	uint32_t pids[NS_DEPTH_MAX];
	AUTO_CLOSE int ns = -1;
	int n;

	if (caller_ns == host->pid_ns)
		return pid;
	n = proc_nspids(pid, pids);
	ns = proc_open(pid, "ns/pid");
	for (int i = n - 1; i >= 0 && ns >= 0; i--) {
		int parent;

		if (ns_number(ns) == caller_ns)
			return pids[i];
		parent = ioctl(ns, NS_GET_PARENT);
		close(ns);
		ns = parent;
	}
	return 0;
}

uint32_t proc_own_pid(uint32_t pid)
{
	uint32_t pids[NS_DEPTH_MAX];
	int n = proc_nspids(pid, pids);

	return n > 0 ? pids[n - 1] : 0;
}

/* Since Linux 6.11. */
#ifndef NS_GET_TGID_FROM_PIDNS
#define NS_GET_TGID_FROM_PIDNS _IOR(NSIO, 0x7, int)
#endif

/* The kernel's own answer; false: it gives none. */
static bool ask_kernel(uint32_t caller, uint64_t caller_ns, uint32_t pid, uint32_t *found)
{
	AUTO_CLOSE int ns = proc_open(caller, "ns/pid");
	int answer;

	if (ns_number(ns) != caller_ns)
		return false;
	answer = ioctl(ns, NS_GET_TGID_FROM_PIDNS, (unsigned long)pid);
	*found = answer > 0 ? (uint32_t)answer : 0;
	return answer > 0 || errno == ESRCH;
}

/* All processes are looked through: for those who may bind for others, nobody else, and where the kernel does not tell. */
static uint32_t find_everywhere(const struct host *host, uint64_t caller_ns, uint32_t pid)
{
	AUTO_CLOSEDIR DIR *all = opendir("/proc");
	const struct dirent *entry;

	while (all && (entry = readdir(all)) != NULL) {
		char *end;
		unsigned long candidate = strtoul(entry->d_name, &end, 10);

		if (end == entry->d_name || *end != '\0' || candidate > UINT32_MAX)
			continue;
		if (proc_pid_in(host, caller_ns, (uint32_t)candidate) == pid)
			return (uint32_t)candidate;
	}
	return 0;
}

uint32_t proc_pid_from(const struct host *host, uint32_t caller, uint64_t caller_ns, uint32_t pid,
		       bool everywhere)
{
	uint32_t found;

	if (caller_ns == host->pid_ns)
		return pid;
	if (pid == 0 || caller_ns == 0)
		return 0;
	LIST_FOREACH(at, &host->processes) {
		const struct process *process = CONTAINER_OF(at, struct process, of_host);

		if (process->pid_ns == caller_ns && process->own_pid == pid)
			return process->id.pid;
	}
	if (!everywhere)
		return 0;
	return ask_kernel(caller, caller_ns, pid, &found) ? found :
							    find_everywhere(host, caller_ns, pid);
}

/* Whether FILE of a directory of descriptors is the memfd INODE. No file system is asked: who
 * put the descriptor there may be the one who would have to answer. */
static bool is_memfd(const struct host *host, int directory, const char *file, uint64_t inode)
{
	struct statx found;

	return statx(directory, file, AT_STATX_DONT_SYNC, STATX_INO, &found) == 0 &&
	       found.stx_ino == inode &&
	       makedev(found.stx_dev_major, found.stx_dev_minor) == host->memory_device;
}

int proc_open_memfd(const struct host *host, uint32_t pid, uint64_t inode)
{
	char path[64];
	AUTO_CLOSEDIR DIR *all = NULL;
	const struct dirent *entry;

	(void)snprintf(path, sizeof(path), "/proc/%" PRIu32 "/fd", pid);
	all = opendir(path);
	while (all && (entry = readdir(all)) != NULL) {
		AUTO_CLOSE int fd = -1;
		uint64_t found;

		if (entry->d_name[0] == '.' || !is_memfd(host, dirfd(all), entry->d_name, inode))
			continue;
		fd = openat(dirfd(all), entry->d_name, O_RDWR | O_CLOEXEC | O_NONBLOCK);
		if (fd >= 0 && memory_check(fd, IPC_AREA_BYTES, &found) && found == inode)
			return take_fd(&fd);
	}
	return -1;
}

int proc_open_mapped(const struct host *host, uint32_t pid, uint64_t addr, size_t size)
{
	char path[96];
	struct statx found;
	AUTO_CLOSE int fd = -1;
	uint64_t inode;

	(void)snprintf(path, sizeof(path), "/proc/%" PRIu32 "/map_files/%" PRIx64 "-%" PRIx64, pid,
		       addr, addr + IPC_PAGE);
	if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_INO, &found) != 0 ||
	    makedev(found.stx_dev_major, found.stx_dev_minor) != host->memory_device)
		return -1;
	fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	return fd >= 0 && memory_check(fd, size, &inode) ? take_fd(&fd) : -1;
}
