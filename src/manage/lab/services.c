/* SPDX-License-Identifier: Apache-2.0 */
/* The services of a node: corosync and dvsd, started inside it. Both tell that they serve, or
 * end and have said why in their log; nothing here waits for a time to pass. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <corosync/corotypes.h>
#include <corosync/quorum.h>

#include <dvs/dvk.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "manage/lab/lab.h"

#define START_SPAN_NS (60 * CLOCK_NS_PER_S)
/* Between two looks for what tells of itself in no other way. */
#define LOOK_MS 5
#define LOG_DIR "/var/log/"

/* ---- programs ---- */

/* In the path that lab_set_environment() made. */
static bool find_program(const char *name)
{
	const char *path = getenv("PATH");
	char file[600];

	while (path && *path) {
		size_t len = strcspn(path, ":");

		(void)snprintf(file, sizeof(file), "%.*s/%s", (int)len, path, name);
		if (access(file, X_OK) == 0)
			return true;
		path += len + (path[len] == ':');
	}
	return false;
}

bool lab_find_programs(struct lab *lab)
{
	lab_set_environment(lab, 0);
	if (!find_program("ip") || !find_program("tc"))
		return lab_fail(lab, "ip or tc is not there; install the package iproute2");
	if (lab->options.engine == CONFIG_COROSYNC && !find_program("corosync"))
		return lab_fail(lab, "corosync is not there; install the package corosync, or use "
				     "--engine local");
	if (!lab->options.bare && !find_program("dvsd"))
		return lab_fail(lab, "dvsd is not there, neither beside dvs nor in the PATH; "
				     "install the package dvs");
	return true;
}

/* The process of this PID namespace that runs NAME; 0 if there is none. */
static pid_t find_running(const char *name)
{
	AUTO_CLOSEDIR DIR *proc = opendir("/proc");
	struct dirent *entry;

	while (proc && (entry = readdir(proc)) != NULL) {
		char path[64];
		char comm[20] = "";
		AUTO_CLOSE int fd = -1;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%.16s/comm", entry->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && read(fd, comm, sizeof(comm) - 1) > 0) {
			comm[strcspn(comm, "\n")] = '\0';
			if (strcmp(comm, name) == 0)
				return (pid_t)strtol(entry->d_name, NULL, 10);
		}
	}
	return 0;
}

/* As of the kernel's flags of a process: it is on its way out. */
#define IS_EXITING 4u

static bool is_exiting(pid_t pid)
{
	char path[64];
	char line[512];
	const char *rest = NULL;
	AUTO_FCLOSE FILE *file = NULL;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (file && fgets(line, sizeof(line), file))
		rest = strrchr(line, ')');
	/* Behind the name: state, parent, group, session, terminal, its group, flags. */
	for (int i = 0; rest && i < 7; i++)
		rest = strchr(rest + 1, ' ');
	return !rest || (strtoul(rest, NULL, 10) & IS_EXITING);
}

/* Whether process PID has been killed, and may only not know it yet. */
static bool is_dying(pid_t pid)
{
	char path[64];
	char line[160];
	bool dying = is_exiting(pid);
	AUTO_FCLOSE FILE *file = NULL;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		if (strncmp(line, "SigPnd:", 7) == 0 || strncmp(line, "ShdPnd:", 7) == 0)
			dying = dying || (strtoull(line + 7, NULL, 16) >> (SIGKILL - 1) & 1);
	}
	return dying;
}

/* Whether NAME runs and goes on running; one that was killed a moment ago is waited for, because the next one finds its lock. */
static bool runs(const char *name)
{
	uint64_t deadline_ns = clock_deadline_ns(START_SPAN_NS);
	pid_t pid;

	while ((pid = find_running(name)) != 0 && is_dying(pid) && !clock_is_past(deadline_ns)) {
		AUTO_CLOSE int fd = (int)syscall(SYS_pidfd_open, pid, 0);
		struct pollfd over = { .fd = fd, .events = POLLIN };

		/* A zombie of this namespace is its init's, which is quick. */
		if (fd >= 0)
			(void)poll(&over, 1, LOOK_MS);
	}
	return pid != 0;
}

/* ---- starting one ---- */

struct service {
	const char *name;
	pid_t pid;
	int pid_fd;
	uint64_t deadline_ns;
};

static void service_forget(struct service *service)
{
	cleanup_close(&service->pid_fd);
}

#define AUTO_SERVICE __attribute__((cleanup(service_forget)))

static _Noreturn void become_service(char *const argv[])
{
	char path[64];
	int null = open("/dev/null", O_RDONLY);
	int log;

	(void)snprintf(path, sizeof(path), LOG_DIR "%s.log", argv[0]);
	log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
	if (log < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
		_exit(126);
	(void)close_range(3, ~0u, 0);
	(void)setsid();
	(void)signal(SIGCHLD, SIG_DFL);
	execvp(argv[0], argv);
	dprintf(2, "start %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static bool service_start(struct service *service, char *const argv[], FILE *why)
{
	service->name = argv[0];
	service->deadline_ns = clock_deadline_ns(START_SPAN_NS);
	service->pid = fork();
	if (service->pid == 0)
		become_service(argv);
	service->pid_fd = service->pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, service->pid, 0);
	if (service->pid_fd >= 0)
		return true;
	fprintf(why, "start %s: %s", service->name, strerror(errno));
	return false;
}

/* The end of its log, where it has said why. */
static void tell_log(const char *name, FILE *why)
{
	char path[64];
	char text[400];
	ssize_t n;
	AUTO_CLOSE int fd = -1;

	(void)snprintf(path, sizeof(path), LOG_DIR "%s.log", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (lseek(fd, -(off_t)(sizeof(text) - 1), SEEK_END) < 0)
		(void)lseek(fd, 0, SEEK_SET);
	n = read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	fprintf(why, "; its log ends with:\n%s", text);
}

/* Wait until FD is readable or SPAN_MS are over; false when the service has ended or its time
 * is over. FD may be -1. */
static bool service_wait(struct service *service, int fd, int span_ms, FILE *why)
{
	struct pollfd fds[] = { { .fd = service->pid_fd, .events = POLLIN },
				{ .fd = fd, .events = POLLIN } };
	int left_ms = clock_poll_ms(service->deadline_ns);

	(void)poll(fds, 2, span_ms >= 0 && span_ms < left_ms ? span_ms : left_ms);
	if (fds[0].revents)
		fprintf(why, "%s ended at once", service->name);
	else if (clock_is_past(service->deadline_ns))
		fprintf(why, "%s is not ready after %u s", service->name,
			(unsigned int)(START_SPAN_NS / CLOCK_NS_PER_S));
	else
		return true;
	tell_log(service->name, why);
	return false;
}

/* ---- corosync ---- */

/* The socket that systemd would have for a service to tell that it is ready. Its name is one
 * of this node's network namespace. */
static int notify_socket(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char name[sizeof(address.sun_path)];
	int len = snprintf(name, sizeof(name), "@dvs-lab-%d", getpid());

	memcpy(address.sun_path + 1, name + 1, (size_t)len - 1);
	if (fd < 0 || setenv("NOTIFY_SOCKET", name, 1) != 0 ||
	    bind(fd, (const struct sockaddr *)&address,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)len)) != 0)
		return -1;
	return take_fd(&fd);
}

static bool corosync_start(FILE *why)
{
	char name[] = "corosync";
	char foreground[] = "-f";
	char *argv[] = { name, foreground, NULL };
	AUTO_CLOSE int notify = notify_socket();
	AUTO_SERVICE struct service service = { .pid_fd = -1 };
	char word[256];

	if (notify < 0) {
		fprintf(why, "make a socket: %s", strerror(errno));
		return false;
	}
	if (!service_start(&service, argv, why))
		return false;
	(void)unsetenv("NOTIFY_SOCKET");
	do {
		ssize_t n;

		if (!service_wait(&service, notify, -1, why))
			return false;
		n = recv(notify, word, sizeof(word) - 1, MSG_DONTWAIT);
		word[n > 0 ? n : 0] = '\0';
	} while (!strstr(word, "READY=1"));
	return true;
}

struct view {
	uint32_t quorate;
	uint32_t n;
};

static void on_quorum(quorum_handle_t handle, uint32_t quorate, uint64_t ring, uint32_t n,
		      uint32_t *list)
{
	const void *context = NULL;
	uintptr_t address;
	struct view *view;

	(void)ring;
	(void)list;
	if (quorum_context_get(handle, &context) != CS_OK)
		return;
	/* What was given is not const, only the way back is. */
	address = (uintptr_t)context;
	view = (struct view *)address;
	*view = (struct view){ .quorate = quorate, .n = n };
}

static bool wait_for_view(uint32_t n_wanted, FILE *why)
{
	quorum_callbacks_t callbacks = { .quorum_notify_fn = on_quorum };
	uint64_t deadline_ns = clock_deadline_ns(START_SPAN_NS);
	struct view view = { .n = 0 };
	quorum_handle_t handle;
	uint32_t type;
	int fd = -1;
	bool good = quorum_initialize(&handle, &callbacks, &type) == CS_OK;

	if (!good) {
		fprintf(why, "ask corosync for its quorum");
		tell_log("corosync", why);
		return false;
	}
	good = quorum_context_set(handle, &view) == CS_OK && quorum_fd_get(handle, &fd) == CS_OK &&
	       quorum_trackstart(handle, CS_TRACK_CURRENT | CS_TRACK_CHANGES) == CS_OK;
	while (good && !(view.quorate && view.n >= n_wanted) && !clock_is_past(deadline_ns)) {
		struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

		if (poll(&poll_fd, 1, clock_poll_ms(deadline_ns)) > 0)
			good = quorum_dispatch(handle, CS_DISPATCH_ALL) == CS_OK;
	}
	(void)quorum_finalize(handle);
	if (good && view.quorate && view.n >= n_wanted)
		return true;
	fprintf(why, "corosync sees %u of %u nodes after %u s", view.n, n_wanted,
		(unsigned int)(START_SPAN_NS / CLOCK_NS_PER_S));
	tell_log("corosync", why);
	return false;
}

/* ---- dvsd ---- */

static bool dvsd_answers(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = LAB_RUN_DIR "/admin" };
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	return fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
}

static bool dvsd_start(FILE *why)
{
	char name[] = "dvsd";
	char config[] = "--config";
	char file[] = "/etc/dvs/node.yaml";
	char run_dir[] = "--run-dir";
	char run[] = LAB_RUN_DIR;
	char *argv[] = { name, config, file, run_dir, run, NULL };
	AUTO_SERVICE struct service service = { .pid_fd = -1 };

	if (!service_start(&service, argv, why))
		return false;
	while (!dvsd_answers()) {
		if (!service_wait(&service, -1, LOOK_MS, why))
			return false;
	}
	return true;
}

/* How many nodes this one sees up, and whether it is in the quorum. */
static bool count_nodes(struct dvk *dvk, uint32_t *n_up)
{
	struct dvk_node_info info;
	uint32_t cursor = 0;
	bool is_quorate = false;

	*n_up = 0;
	while (dvk_node_next(dvk, &cursor, &info) == DVS_OK) {
		is_quorate = is_quorate || (info.is_self && info.is_quorate);
		*n_up += info.state == DVK_NODE_UP;
	}
	return is_quorate;
}

static bool wait_for_nodes(uint32_t n_wanted, FILE *why)
{
	uint64_t deadline_ns = clock_deadline_ns(START_SPAN_NS);
	struct dvk *dvk = NULL;
	uint32_t n_up = 0;
	dvs_err err = dvk_admin_open(LAB_RUN_DIR, &dvk);

	if (err != DVS_OK) {
		fprintf(why, "ask dvsd for the nodes: %s", dvs_strerror(err));
		return false;
	}
	while (!(count_nodes(dvk, &n_up) && n_up >= n_wanted) && !clock_is_past(deadline_ns))
		(void)poll(NULL, 0, LOOK_MS);
	dvk_close(dvk);
	if (n_up >= n_wanted)
		return true;
	fprintf(why, "dvsd sees %u of %u nodes after %u s", n_up, n_wanted,
		(unsigned int)(START_SPAN_NS / CLOCK_NS_PER_S));
	tell_log("dvsd", why);
	return false;
}

bool lab_services_start(struct lab *lab, uint32_t node, void *arg, FILE *why)
{
	const struct lab_expected *expected = arg;
	bool in_cluster = lab->options.engine == CONFIG_COROSYNC;

	(void)node;
	if (in_cluster && !runs("corosync") && !corosync_start(why))
		return false;
	if (in_cluster && expected->n_corosync > 0 && !wait_for_view(expected->n_corosync, why))
		return false;
	if (lab->options.bare)
		return true;
	if (!runs("dvsd") && !dvsd_start(why))
		return false;
	return !in_cluster || expected->n_dvsd == 0 || wait_for_nodes(expected->n_dvsd, why);
}
