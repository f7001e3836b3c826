/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/bench/own_dvsd.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/compiler.h"

/* Long names are cut by the bound of a socket's path. */
enum { PATH_BYTES = 90, PATIENCE_MS = 10000, DEPTH_MAX = 8 };

#define DC_NAME "bench"

struct own_dvsd {
	char run_dir[PATH_BYTES];
	char control[PATH_BYTES + 32];
	pid_t pid;  /* 0: not started */
	int pid_fd; /* readable when it has ended */
	int notify_fd;
};

const char *own_dvsd_control(const struct own_dvsd *dvsd)
{
	return dvsd->control;
}

/* ---- the program ---- */

/* The dvsd that belongs to this program: beside it in a build directory, in sbin beside bin once installed. */
static bool find_beside(char *path, size_t path_bytes)
{
	static const char *const places[] = { "dvsd", "../sbin/dvsd" };
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n < 0)
		return false;
	self[n] = '\0';
	slash = strrchr(self, '/');
	if (!slash)
		return false;
	slash[1] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		int length = snprintf(path, path_bytes, "%s%s", self, places[i]);

		if (length > 0 && (size_t)length < path_bytes && access(path, X_OK) == 0)
			return true;
	}
	return false;
}

/* In the child. Without a dvsd beside this program, the one that PATH finds. */
static void run_dvsd(const struct own_dvsd *dvsd, pid_t parent)
{
	char program[PATH_MAX], log_path[PATH_BYTES + 32], notify[PATH_BYTES + 32];
	sigset_t none;
	int log_fd;

	snprintf(log_path, sizeof(log_path), "%s/log", dvsd->run_dir);
	snprintf(notify, sizeof(notify), "%s/notify", dvsd->run_dir);
	log_fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	sigemptyset(&none);
	/* A group of its own: a ctrl-C is for the benchmark, which then ends its dvsd in order. */
	if (log_fd < 0 || dup2(log_fd, STDOUT_FILENO) < 0 || dup2(log_fd, STDERR_FILENO) < 0 ||
	    setenv("NOTIFY_SOCKET", notify, 1) != 0 || setpgid(0, 0) != 0 ||
	    prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent ||
	    sigprocmask(SIG_SETMASK, &none, NULL) != 0)
		_exit(127);
	if (find_beside(program, sizeof(program)))
		execl(program, "dvsd", "--run-dir", dvsd->run_dir, "--dc", DC_NAME, "--log-level",
		      "warning", (char *)NULL);
	else
		execlp("dvsd", "dvsd", "--run-dir", dvsd->run_dir, "--dc", DC_NAME, "--log-level",
		       "warning", (char *)NULL);
	(void)!write(STDERR_FILENO, "no dvsd beside dvs or in PATH\n", 30);
	_exit(127);
}

/* ---- start ---- */

static dvs_err make_run_dir(struct own_dvsd *dvsd, struct bench_fault *fault)
{
	const char *tmp = getenv("TMPDIR");
	int length = snprintf(dvsd->run_dir, sizeof(dvsd->run_dir), "%s/dvs-bench-XXXXXX",
			      tmp && *tmp ? tmp : "/tmp");
	dvs_err err = DVS_OK;

	if (length < 0 || (size_t)length >= sizeof(dvsd->run_dir))
		err = bench_fail(fault, DVS_TOOBIG, "the path in TMPDIR is too long for a socket");
	else if (!mkdtemp(dvsd->run_dir))
		err = bench_fail_errno(fault, "make a directory for dvsd");
	if (err != DVS_OK)
		dvsd->run_dir[0] = '\0';
	else
		snprintf(dvsd->control, sizeof(dvsd->control), "%s/dc/%s/control", dvsd->run_dir,
			 DC_NAME);
	return err;
}

/* dvsd says on this socket that it is ready, as it does to systemd. */
static dvs_err listen_for_ready(struct own_dvsd *dvsd, struct bench_fault *fault)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", dvsd->run_dir);
	dvsd->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (dvsd->notify_fd < 0 ||
	    bind(dvsd->notify_fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
		return bench_fail_errno(fault, "listen for dvsd to be ready");
	return DVS_OK;
}

/* What it said last before it ended, or why it says nothing. */
static dvs_err fail_with_log(const struct own_dvsd *dvsd, const char *what,
			     struct bench_fault *fault)
{
	char path[PATH_BYTES + 32], line[160] = "";
	AUTO_FCLOSE FILE *log = NULL;

	snprintf(path, sizeof(path), "%s/log", dvsd->run_dir);
	log = fopen(path, "re");
	while (log && fgets(line, sizeof(line), log))
		; /* the last one is of interest */
	line[strcspn(line, "\n")] = '\0';
	return bench_fail(fault, DVS_NODVSD, "%s%s%s", what, *line ? ": " : "", line);
}

static dvs_err wait_until_ready(const struct own_dvsd *dvsd, struct bench_fault *fault)
{
	struct pollfd fds[] = {
		{ .fd = dvsd->notify_fd, .events = POLLIN },
		{ .fd = dvsd->pid_fd, .events = POLLIN },
	};
	int n;

	do {
		n = poll(fds, ARRAY_LEN(fds), PATIENCE_MS);
	} while (n < 0 && errno == EINTR);
	if (fds[1].revents)
		return fail_with_log(dvsd, "its dvsd ended", fault);
	if (!fds[0].revents)
		return fail_with_log(dvsd, "its dvsd does not get ready", fault);
	return DVS_OK;
}

static dvs_err fork_dvsd(struct own_dvsd *dvsd, struct bench_fault *fault)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid < 0)
		return bench_fail_errno(fault, "fork");
	if (pid == 0)
		run_dvsd(dvsd, parent);
	dvsd->pid = pid;
	dvsd->pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
	return dvsd->pid_fd < 0 ? bench_fail_errno(fault, "watch dvsd") : DVS_OK;
}

dvs_err own_dvsd_start(struct own_dvsd **result, struct bench_fault *fault)
{
	struct own_dvsd *dvsd = calloc(1, sizeof(*dvsd));
	dvs_err err;

	if (!dvsd)
		return bench_fail_errno(fault, "allocate");
	dvsd->pid_fd = dvsd->notify_fd = -1;
	err = make_run_dir(dvsd, fault);
	if (err == DVS_OK)
		err = listen_for_ready(dvsd, fault);
	if (err == DVS_OK)
		err = fork_dvsd(dvsd, fault);
	if (err == DVS_OK)
		err = wait_until_ready(dvsd, fault);
	if (err == DVS_OK)
		*result = dvsd;
	else
		own_dvsd_stop(dvsd);
	return err;
}

/* ---- stop ---- */

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

static void end_dvsd(struct own_dvsd *dvsd)
{
	struct pollfd fd = { .fd = dvsd->pid_fd, .events = POLLIN };
	int n;

	kill(dvsd->pid, SIGTERM);
	do {
		n = poll(&fd, 1, PATIENCE_MS);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		kill(dvsd->pid, SIGKILL);
	waitpid(dvsd->pid, NULL, 0);
}

void own_dvsd_stop(struct own_dvsd *dvsd)
{
	if (!dvsd)
		return;
	if (dvsd->pid > 0)
		end_dvsd(dvsd);
	cleanup_close(&dvsd->pid_fd);
	cleanup_close(&dvsd->notify_fd);
	if (dvsd->run_dir[0])
		nftw(dvsd->run_dir, remove_one, DEPTH_MAX, FTW_DEPTH | FTW_PHYS);
	free(dvsd);
}
