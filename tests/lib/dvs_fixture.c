/* SPDX-License-Identifier: Apache-2.0 */
/* The program and its world: directories, dvsd, what was seen. The actors are in dvs_actor.c. */
#include "dvs_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dvs_lab.h"
#include "dvs_rows.h"

/* Each test may take so long before Check ends it. */
#define TEST_TIMEOUT_S 60

#define SEEN_BYTES_MAX ((size_t)8 << 20)

#define ENV_DIR "DVS_CALLS_DIR"
#define ENV_PROGRAM "DVS_CALLS_PROGRAM"

/* ---- what was seen ---- */

static void seen_path(char *path, size_t size)
{
	const char *dir = getenv(ENV_DIR);

	(void)snprintf(path, size, "%s/seen", dir ? dir : ".");
}

/* Helpers of other users write into it too. */
static void seen_create(void)
{
	char path[PATH_MAX];
	int fd;

	seen_path(path, sizeof(path));
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0 || fchmod(fd, 0666) != 0)
		perror(path);
	if (fd >= 0)
		close(fd);
}

void saw(const char *call, dvs_err err)
{
	char path[PATH_MAX];
	char line[256];
	int len = snprintf(line, sizeof(line), "%s %s %s\n", tcase_name(), call, dvs_err_name(err));
	int fd;

	seen_path(path, sizeof(path));
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, line, (size_t)len), len);
	close(fd);
}

void gives(const char *call, dvs_err got, dvs_err wanted, const char *file, int line)
{
	saw(call, got);
	if (got != wanted)
		ck_abort_msg("%s:%d: %s gave %s, not %s", file, line, call, dvs_err_name(got),
			     dvs_err_name(wanted));
}

static bool was_seen(const char *all, const struct row *row)
{
	char line[256];

	(void)snprintf(line, sizeof(line), "%s %s %s\n", row->test, row->call, row->error);
	return strstr(all, line) != NULL;
}

START_TEST(every_row_of_the_table_was_seen)
{
	const char *program = getenv(ENV_PROGRAM);
	char *all = calloc(1, SEEN_BYTES_MAX + 1);
	char path[PATH_MAX];
	unsigned n_missing = 0;
	FILE *file;

	seen_path(path, sizeof(path));
	file = fopen(path, "re");
	if (file) {
		ck_assert_uint_lt(fread(all, 1, SEEN_BYTES_MAX, file), SEEN_BYTES_MAX);
		(void)fclose(file);
	}
	/* Over two nodes some tests are left out. */
	for (size_t i = 0; i < n_rows && lab_nodes() == 1; i++) {
		if (strcmp(rows[i].program, program) != 0 || was_seen(all, &rows[i]))
			continue;
		n_missing++;
		(void)fprintf(stderr, "table.def: %s %s: not seen in %s\n", rows[i].call,
			      rows[i].error, rows[i].test);
	}
	free(all);
	ck_assert_uint_eq(n_missing, 0);
}

/* ---- the program ---- */

static int remove_one(const char *path, const struct stat *file, int what, struct FTW *place)
{
	(void)file;
	(void)what;
	(void)place;
	(void)remove(path);
	return 0;
}

static void remove_all(const char *dir)
{
	(void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int calls_run(const char *program, const TTest *const *tests, size_t n_tests)
{
	const TTest **all = calloc(n_tests + 1, sizeof(*all));
	char dir[] = "/tmp/dvs-calls.XXXXXX";
	int status;

	/* Helpers of other users must come in. */
	if (!all || !mkdtemp(dir) || chmod(dir, 0755) != 0) {
		perror("calls_run");
		free(all);
		return EXIT_FAILURE;
	}
	(void)setenv(ENV_DIR, dir, 1);
	(void)setenv(ENV_PROGRAM, program, 1);
	seen_create();
	if (!lab_start(dir)) {
		remove_all(dir);
		free(all);
		return EXIT_FAILURE;
	}
	for (size_t i = 0; i < n_tests; i++)
		all[i] = tests[i];
	all[n_tests] = every_row_of_the_table_was_seen;
	status = unit_run(program, all, n_tests + 1, TEST_TIMEOUT_S);
	lab_stop();
	remove_all(dir);
	free(all);
	return status;
}

/* ---- time ---- */

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t now_ms(void)
{
	return now_ns() / 1000000;
}

struct wait wait_begin(void)
{
	struct wait wait = { now_ns() + (uint64_t)PATIENCE_MS * 1000000 };

	return wait;
}

void wait_step(const struct wait *wait, const char *what)
{
	static const struct timespec step = { .tv_nsec = 500000 };

	if (now_ns() > wait->until_ns)
		ck_abort_msg("waited in vain: %s", what);
	(void)nanosleep(&step, NULL);
}

/* ---- dvsd ---- */

/* Beside the tests' programs: build/tests/calls/<program>, build/dvsd. */
static void dvsd_path(char *path, size_t size)
{
	const char *build = getenv("DVS_BUILD");
	char self[PATH_MAX] = { 0 };

	if (build) {
		(void)snprintf(path, size, "%s/dvsd", build);
		return;
	}
	ck_assert_int_gt(readlink("/proc/self/exe", self, sizeof(self) - 1), 0);
	(void)snprintf(path, size, "%s/../../dvsd", dirname(self));
}

/* On NODE, with its configuration if there are several. */
static void dvsd_exec(unsigned int node, const char *run_dir, const char *notify)
{
	char path[PATH_MAX * 2];
	char config[PATH_MAX];
	sigset_t none;

	dvsd_path(path, sizeof(path));
	(void)setenv("NOTIFY_SOCKET", notify, 1);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	/* The test's TAP goes to stdout. */
	(void)dup2(STDERR_FILENO, STDOUT_FILENO);
	if (lab_enter(node, config, sizeof(config)))
		(void)execl(path, path, "--run-dir", run_dir, "--dc", "a", "--log-level", "warning",
			    "--config", config, (char *)NULL);
	else
		(void)execl(path, path, "--run-dir", run_dir, "--dc", "a", "--log-level", "warning",
			    (char *)NULL);
	perror(path);
	_exit(127);
}

/* dvsd sends one datagram when it is ready. */
static void dvsd_await(pid_t dvsd, int notify_fd)
{
	int pidfd = (int)syscall(SYS_pidfd_open, dvsd, 0);
	struct pollfd fds[] = { { notify_fd, POLLIN, 0 }, { pidfd, POLLIN, 0 } };
	char text[64];

	ck_assert_int_gt(poll(fds, 2, PATIENCE_MS), 0);
	ck_assert_msg(fds[0].revents & POLLIN, "dvsd ended at its start");
	ck_assert_int_gt(recv(notify_fd, text, sizeof(text), 0), 0);
	close(pidfd);
}

static pid_t dvsd_start_on(unsigned int node, const char *run_dir)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	pid_t pid;

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s.notify", run_dir);
	(void)unlink(address.sun_path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		dvsd_exec(node, run_dir, address.sun_path);
	dvsd_await(pid, fd);
	close(fd);
	return pid;
}

void dvsd_start(struct world *w)
{
	w->dvsd = dvsd_start_on(0, w->run_dir);
}

static int dvsd_end(pid_t *dvsd, int with_signal)
{
	int status;

	ck_assert_int_eq(kill(*dvsd, with_signal), 0);
	ck_assert_int_eq(waitpid(*dvsd, &status, 0), *dvsd);
	*dvsd = 0;
	return status;
}

void dvsd_kill(struct world *w)
{
	(void)dvsd_end(&w->dvsd, SIGKILL);
}

static void stop(pid_t *dvsd)
{
	int status = dvsd_end(dvsd, SIGTERM);

	ck_assert_msg(status == 0, "dvsd ended with status %d", status);
}

void dvsd_stop(struct world *w)
{
	stop(&w->dvsd);
}

/* ---- the world ---- */

unsigned int nodes(void)
{
	return lab_nodes();
}

/* The second node is there when it has the DC that the first one made. */
static void far_start(struct world *w, const char *dir)
{
	struct wait wait;

	(void)snprintf(w->far_dir, sizeof(w->far_dir), "%s/XXXXXX", dir);
	ck_assert_ptr_nonnull(mkdtemp(w->far_dir));
	(void)snprintf(w->far_control, sizeof(w->far_control), "%s/dc/a/control", w->far_dir);
	w->far_dvsd = dvsd_start_on(1, w->far_dir);
	wait = wait_begin();
	while (access(w->control, F_OK) != 0 || access(w->far_control, F_OK) != 0)
		wait_step(&wait, "the DC on the other node");
}

struct world *world_start(void)
{
	struct world *w = calloc(1, sizeof(*w));
	const char *dir = getenv(ENV_DIR);

	ck_assert_ptr_nonnull(w);
	ck_assert_ptr_nonnull(dir);
	(void)snprintf(w->run_dir, sizeof(w->run_dir), "%s/XXXXXX", dir);
	ck_assert_ptr_nonnull(mkdtemp(w->run_dir));
	(void)snprintf(w->control, sizeof(w->control), "%s/dc/a/control", w->run_dir);
	dvsd_start(w);
	if (lab_nodes() > 1)
		far_start(w, dir);
	return w;
}

static void run_dir_remove(const char *run_dir)
{
	char notify[96];

	(void)snprintf(notify, sizeof(notify), "%s.notify", run_dir);
	(void)unlink(notify);
	remove_all(run_dir);
}

void world_end(struct world *w)
{
	while (w->actors)
		actor_end(w, w->actors);
	dvk_close(w->dvk);
	if (w->far_dvsd) {
		dvk_close(w->far_dvk);
		stop(&w->far_dvsd);
		run_dir_remove(w->far_dir);
	}
	if (w->dvsd)
		dvsd_stop(w);
	run_dir_remove(w->run_dir);
	free(w);
}

struct dvk *world_link(struct world *w)
{
	if (!w->dvk)
		GIVES(OK, dvk_open, w->control, &w->dvk);
	return w->dvk;
}

struct m3 *world_bind(struct world *w)
{
	struct m3 *self;

	GIVES(OK, dvk_bind, world_link(w), dvs_ep_any(), DVK_LOCAL, &self);
	return self;
}

struct dvk *world_admin(const struct world *w)
{
	struct dvk *admin;

	GIVES(OK, dvk_admin_open, w->run_dir, &admin);
	return admin;
}

void world_add_dc(const struct world *w, const char *name, char *control, size_t size)
{
	struct dvk *admin = world_admin(w);
	dvs_dcid id;

	GIVES(OK, dvk_dc_create, admin, name, getuid(), &id);
	dvk_close(admin);
	(void)snprintf(control, size, "%s/dc/%s/control", w->run_dir, name);
}

static struct dvk *far_link(struct world *w)
{
	if (!w->far_dvk)
		GIVES(OK, dvk_open, w->far_control, &w->far_dvk);
	return w->far_dvk;
}

static bool has_privileges(struct dvk *dvk, dvs_ep ep, const struct dvk_privileges *wanted)
{
	struct dvk_privileges got;

	return dvk_privileges_get(dvk, ep, &got) == DVS_OK && got.may == wanted->may &&
	       got.n_call_to == wanted->n_call_to &&
	       memcmp(got.call_to, wanted->call_to, got.n_call_to * sizeof(got.call_to[0])) == 0;
}

void world_set_privileges(struct world *w, dvs_ep ep, const struct dvk_privileges *privileges)
{
	struct wait wait = wait_begin();

	GIVES(OK, dvk_privileges_set, world_link(w), ep, privileges);
	while (w->far_dvsd && !has_privileges(far_link(w), ep, privileges))
		wait_step(&wait, "privileges on the other node");
}

/* What a process does its own node knows best. */
static struct dvk *observer(struct world *w, dvs_ep ep)
{
	struct dvk_endpoint_info info;

	if (w->far_dvsd && dvk_endpoint_info(far_link(w), ep, &info) == DVS_OK && info.node.n == 1)
		return w->far_dvk;
	return world_link(w);
}

static bool is_in(struct world *w, dvs_ep ep, enum dvk_activity activity, dvs_ep partner)
{
	struct dvk_endpoint_info info;

	if (dvk_endpoint_info(observer(w, ep), ep, &info) || info.activity != activity)
		return false;
	return dvs_ep_is_any(partner) || dvs_ep_number(info.partner) == dvs_ep_number(partner);
}

void await_activity_with(struct world *w, dvs_ep ep, enum dvk_activity activity, dvs_ep partner)
{
	struct wait wait = wait_begin();

	while (!is_in(w, ep, activity, partner))
		wait_step(&wait, "an activity");
}

void await_activity(struct world *w, dvs_ep ep, enum dvk_activity activity)
{
	await_activity_with(w, ep, activity, dvs_ep_any());
}
