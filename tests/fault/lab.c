/* SPDX-License-Identifier: Apache-2.0 */
#include "lab.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <dvs/dvk.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define START_NS (20 * CLOCK_NS_PER_S)
#define STOP_NS (20 * CLOCK_NS_PER_S)
#define SETTLE_NS (10 * CLOCK_NS_PER_S)
#define SETTLE_SAMPLE_MS 20
#define SETTLED_SAMPLES 10u

void lab_say(const char *format, ...)
{
	va_list args;

	(void)printf("# ");
	va_start(args, format);
	(void)vprintf(format, args);
	va_end(args);
	(void)printf("\n");
	(void)fflush(stdout);
}

uint64_t lab_option(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

uint64_t lab_seed(void)
{
	uint64_t seed = lab_option("FAULT_SEED", 0);

	if (seed == 0 && getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		seed = clock_now_ns();
	lab_say("FAULT_SEED=%llu", (unsigned long long)seed);
	return seed;
}

void rng_pause(uint64_t *state, uint32_t span_us)
{
	struct timespec span = clock_timespec((uint64_t)rng_below(state, span_us + 1) * 1000);

	(void)nanosleep(&span, NULL);
}

/* ---- dvsd ---- */

static bool accepts_connections(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	return fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
}

static _Noreturn void become_dvsd(const struct lab *lab)
{
	const char *build = getenv("DVS_BUILD");
	const char *asan = getenv("ASAN_OPTIONS");
	char program[512];
	char options[512];
	char log[128];
	int fd;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)snprintf(log, sizeof(log), "%s/log", lab->run_dir);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd >= 0)
		(void)dup2(fd, STDERR_FILENO);
	/* What the sanitizer keeps of freed memory would look like a leak. */
	(void)snprintf(options, sizeof(options), "%s:quarantine_size_mb=1", asan ? asan : "");
	(void)setenv("ASAN_OPTIONS", options, 1);
	(void)snprintf(program, sizeof(program), "%s/dvsd", build ? build : "build");
	(void)execl(program, "dvsd", "--run-dir", lab->run_dir, "--dc", "a", (char *)NULL);
	_exit(127);
}

void lab_spawn_dvsd(struct lab *lab)
{
	(void)fflush(NULL);
	lab->dvsd = fork();
	ck_assert_int_ge(lab->dvsd, 0);
	if (lab->dvsd == 0)
		become_dvsd(lab);
}

/* Programs without privileges come in by a socket that is mounted into their container; here they find its directory open. */
static void let_in(const char *control)
{
	char directory[104];

	(void)snprintf(directory, sizeof(directory), "%s", control);
	*strrchr(directory, '/') = '\0';
	ck_assert_int_eq(chmod(directory, 0755), 0);
}

void lab_wait_dvsd(struct lab *lab)
{
	uint64_t deadline_ns = clock_deadline_ns(START_NS);

	/* It tells nobody that it is ready, so its socket is asked. */
	while (!accepts_connections(lab->control)) {
		ck_assert_msg(waitpid(lab->dvsd, NULL, WNOHANG) == 0, "dvsd ended at its start");
		ck_assert_msg(!clock_is_past(deadline_ns), "dvsd does not accept connections");
		(void)poll(NULL, 0, 2);
	}
	let_in(lab->control);
}

void lab_start_dvsd(struct lab *lab)
{
	lab_spawn_dvsd(lab);
	lab_wait_dvsd(lab);
}

void lab_open(struct lab *lab)
{
	(void)signal(SIGPIPE, SIG_IGN);
	memset(lab, 0, sizeof(*lab));
	(void)snprintf(lab->run_dir, sizeof(lab->run_dir), "/tmp/dvs-fault.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(lab->run_dir));
	/* Processes that have given up their privileges come in, too. */
	ck_assert_int_eq(chmod(lab->run_dir, 0755), 0);
	(void)snprintf(lab->control, sizeof(lab->control), "%s/dc/a/control", lab->run_dir);
	lab_start_dvsd(lab);
}

void lab_kill_dvsd(struct lab *lab)
{
	(void)kill(lab->dvsd, SIGKILL);
	ck_assert_int_eq(waitpid(lab->dvsd, NULL, 0), lab->dvsd);
	lab->dvsd = 0;
}

void lab_create_dc(const struct lab *lab, const char *name, char control[104])
{
	struct dvk *admin;
	dvs_dcid id;

	ck_assert(dvk_admin_open(lab->run_dir, &admin) == DVS_OK);
	ck_assert(dvk_dc_create(admin, name, getuid(), &id) == DVS_OK);
	dvk_close(admin);
	(void)snprintf(control, 104, "%s/dc/%s/control", lab->run_dir, name);
}

static int remove_one(const char *path, const struct stat *stat, int flag, struct FTW *ftw)
{
	(void)stat;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void show_log(const struct lab *lab)
{
	char line[512];
	AUTO_FCLOSE FILE *file = NULL;

	(void)snprintf(line, sizeof(line), "%s/log", lab->run_dir);
	file = fopen(line, "re");
	while (file && fgets(line, sizeof(line), file))
		(void)printf("# dvsd: %s", line);
}

void lab_close(struct lab *lab)
{
	uint64_t deadline_ns = clock_deadline_ns(STOP_NS);
	int status = 0;
	pid_t ended = 0;

	if (lab->dvsd) {
		(void)kill(lab->dvsd, SIGTERM);
		while (ended == 0 && !clock_is_past(deadline_ns)) {
			ended = waitpid(lab->dvsd, &status, WNOHANG);
			if (ended == 0)
				(void)poll(NULL, 0, 5);
		}
		if (ended != lab->dvsd || status != 0)
			show_log(lab);
		ck_assert_msg(ended == lab->dvsd, "dvsd does not end when asked to");
		ck_assert_msg(status == 0, "dvsd ended with status %#x", (unsigned)status);
		lab->dvsd = 0;
	}
	(void)nftw(lab->run_dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- /proc ---- */

static FILE *proc_open(pid_t pid, const char *name)
{
	char path[64];
	FILE *file;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	file = fopen(path, "re");
	ck_assert_msg(file, "cannot open %s: %s", path, strerror(errno));
	return file;
}

static uint64_t count_fds(pid_t pid)
{
	char path[64];
	AUTO_CLOSEDIR DIR *dir = NULL;
	uint64_t n = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		n++;
	return n - 2;
}

static uint64_t field_kib(pid_t pid, const char *name, const char *field)
{
	AUTO_FCLOSE FILE *file = proc_open(pid, name);
	size_t len = strlen(field);
	uint64_t kib = 0;
	char line[256];

	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, field, len) == 0)
			kib = strtoull(line + len, NULL, 10);
	}
	return kib;
}

uint64_t pss_kib_of(pid_t pid)
{
	return field_kib(pid, "smaps_rollup", "Pss:");
}

uint64_t page_table_kib_of(pid_t pid)
{
	return field_kib(pid, "status", "VmPTE:");
}

static void count_maps(pid_t pid, struct usage *usage)
{
	AUTO_FCLOSE FILE *file = proc_open(pid, "maps");
	char line[512];

	while (fgets(line, sizeof(line), file)) {
		usage->n_maps++;
		usage->n_memfd_maps += strstr(line, "/memfd:") != NULL;
	}
}

static uint64_t cpu_ticks_of(pid_t pid)
{
	AUTO_FCLOSE FILE *file = proc_open(pid, "stat");
	unsigned long user = 0;
	unsigned long system = 0;
	char line[1024];
	const char *at;

	ck_assert_ptr_nonnull(fgets(line, sizeof(line), file));
	/* The name before it may hold anything, also brackets. */
	at = strrchr(line, ')');
	ck_assert_ptr_nonnull(at);
	ck_assert_int_eq(sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
				&user, &system),
			 2);
	return user + system;
}

struct usage usage_of(pid_t pid)
{
	struct usage usage = { .rss_kib = field_kib(pid, "status", "VmRSS:"),
			       .n_fds = count_fds(pid),
			       .cpu_ticks = cpu_ticks_of(pid) };

	count_maps(pid, &usage);
	return usage;
}

struct usage usage_settled(pid_t pid)
{
	uint64_t deadline_ns = clock_deadline_ns(SETTLE_NS);
	struct usage usage = usage_of(pid);

	/* Nobody tells when the last connection is closed: it is when the count stays the same. */
	for (unsigned quiet = 0; quiet < SETTLED_SAMPLES && !clock_is_past(deadline_ns); quiet++) {
		struct usage now;

		(void)poll(NULL, 0, SETTLE_SAMPLE_MS);
		now = usage_of(pid);
		if (now.n_fds != usage.n_fds || now.n_memfd_maps != usage.n_memfd_maps)
			quiet = 0;
		usage = now;
	}
	return usage;
}
