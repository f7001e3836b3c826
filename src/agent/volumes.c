/* SPDX-License-Identifier: Apache-2.0 */
/* The processes that serve the volumes of this node: one for each DC that has any. Which volumes it serves each finds by itself, from the records of its DC.
 *
 * What a DC had in its volumes goes with it, but only when this agent was told that the DC was removed. Of a DC that merely is not there (the state may be that of a DVS
 * that was set up anew, and this the last copy) all files stay. */
#include "agent/volumes.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/workers.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "client/volume.h"
#include "container/tree.h"

#define PROGRAM "dvs-vdd"
#define BACKOFF_FIRST_NS (100 * CLOCK_NS_PER_MS)
#define BACKOFF_LAST_NS (10 * CLOCK_NS_PER_S)
/* Who lived that long begins with the shortest back-off again. */
#define LIVED_NS (30 * CLOCK_NS_PER_S)
/* So long it has to end by itself, and again when it was told to. */
#define STOP_NS (10 * CLOCK_NS_PER_S)
#define RETRY_NS CLOCK_NS_PER_S
#define EXIT_CANNOT_EXECUTE 127

/* A DC with volumes, as far as this node has to do with it. */
struct home {
	struct list of_volumes;
	struct volumes *volumes;
	char dc[DVS_NAME_MAX + 1];
	bool is_there;	 /* the DC was there at the last look */
	bool is_wanted;	 /* and had a volume of this node */
	bool is_removed; /* so it was told */
	bool is_to_go;	 /* its files, too */
	bool is_going;	 /* a worker removes them */
	bool was_told;	 /* to end */
	pid_t pid;	 /* 0: it does not run */
	int pidfd;
	uint64_t started_ns;
	uint64_t backoff_ns;
	struct loop_watch watch;
	struct loop_timer timer; /* to start it again, or to kill it */
	struct work work;
	dvs_err err;
	char why[256];
};

/* All DCs, in a worker. */
struct look {
	struct work work;
	struct volumes *volumes;
	dvs_err err;
	struct seen_dc {
		char name[DVS_NAME_MAX + 1];
		bool is_wanted;
	} * dcs;
	size_t n_dcs;
};

struct volumes {
	struct agent *agent;
	int node_mounts;
	char program[512];
	struct list homes;
	bool is_looking;
	bool is_dirty;
	struct look look;
	struct loop_timer again;
};

static void home_settle(struct home *home);

/* ---- the process ---- */

/* Between fork and exec: only system calls. */
static _Noreturn void become_server(int mounts, char *const *args)
{
	sigset_t none;

	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)setsid();
	/* In the agent's own mounts it would keep them busy after the agent's end. */
	if (mounts >= 0)
		(void)setns(mounts, CLONE_NEWNS);
	(void)syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0U);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	(void)execv(args[0], args);
	_exit(EXIT_CANNOT_EXECUTE);
}

static dvs_err spawn_server(const struct home *home, pid_t *pid)
{
	const struct agent *agent = home->volumes->agent;
	char node[16];
	const char *wanted[] = { home->volumes->program,
				 "--run-dir",
				 agent->options.run_dir,
				 "--lib-dir",
				 agent->options.lib_dir,
				 "--dc",
				 home->dc,
				 "--node",
				 node,
				 "--log-level",
				 log_level_name(agent->options.log_level),
				 NULL };
	char *args[ARRAY_LEN(wanted)];

	(void)snprintf(node, sizeof(node), "%u", agent->node);
	/* execv() only reads them */
	memcpy(args, wanted, sizeof(args));
	*pid = fork();
	if (*pid == 0)
		become_server(home->volumes->node_mounts, args);
	return *pid < 0 ? dvs_from_errno(errno) : DVS_OK;
}

static void start_fired(struct loop_timer *timer)
{
	home_settle(CONTAINER_OF(timer, struct home, timer));
}

static void start_later(struct home *home)
{
	if (home->backoff_ns == 0)
		home->backoff_ns = BACKOFF_FIRST_NS;
	loop_timer_set(home->volumes->agent->loop, &home->timer,
		       clock_deadline_ns(home->backoff_ns), start_fired);
	home->backoff_ns = home->backoff_ns * 2 < BACKOFF_LAST_NS ? home->backoff_ns * 2 :
								    BACKOFF_LAST_NS;
}

static void server_ended(struct loop_watch *watch, uint32_t events)
{
	struct home *home = CONTAINER_OF(watch, struct home, watch);
	struct agent *agent = home->volumes->agent;
	int status = 0;

	(void)events;
	if (waitpid(home->pid, &status, WNOHANG) == 0)
		return;
	loop_unwatch(agent->loop, watch);
	cleanup_close(&home->pidfd);
	loop_timer_cancel(agent->loop, &home->timer);
	if (clock_now_ns() - home->started_ns > LIVED_NS)
		home->backoff_ns = 0;
	if (home->is_wanted)
		log_warning(&agent->log, "the server of volumes has ended and is started again",
			    LOG_STR("dc", home->dc), LOG_I64("pid", home->pid),
			    LOG_U64("signal", WIFSIGNALED(status) ? (unsigned)WTERMSIG(status) : 0),
			    LOG_U64("status",
				    WIFEXITED(status) ? (unsigned)WEXITSTATUS(status) : 0));
	home->pid = 0;
	if (home->is_wanted)
		start_later(home);
	else
		home_settle(home);
}

static dvs_err home_watch(struct home *home)
{
	dvs_err err;

	home->pidfd = (int)syscall(SYS_pidfd_open, home->pid, 0);
	if (home->pidfd < 0)
		return dvs_from_errno(errno);
	err = loop_watch(home->volumes->agent->loop, &home->watch, home->pidfd, EPOLLIN,
			 server_ended);
	if (err)
		cleanup_close(&home->pidfd);
	return err;
}

static void home_start(struct home *home)
{
	struct agent *agent = home->volumes->agent;
	dvs_err err = spawn_server(home, &home->pid);

	if (!err) {
		home->started_ns = clock_now_ns();
		err = home_watch(home);
		if (err) {
			(void)kill(home->pid, SIGKILL);
			(void)waitpid(home->pid, NULL, 0);
		}
	}
	if (!err) {
		log_info(&agent->log, "the server of volumes is started", LOG_STR("dc", home->dc),
			 LOG_I64("pid", home->pid));
		return;
	}
	home->pid = 0;
	log_error(&agent->log, "cannot start the server of volumes", LOG_STR("dc", home->dc),
		  LOG_STR("why", dvs_strerror(err)));
	start_later(home);
}

static void kill_fired(struct loop_timer *timer)
{
	struct home *home = CONTAINER_OF(timer, struct home, timer);

	if (!home->pid || home->is_wanted)
		return;
	(void)kill(home->pid, home->was_told ? SIGKILL : SIGTERM);
	home->was_told = true;
	loop_timer_set(home->volumes->agent->loop, timer, clock_deadline_ns(STOP_NS), kill_fired);
}

/* It sees by itself that there is nothing for it any more, and removes what it had. Only if it does not it is told, and then killed. */
static void home_stop(struct home *home)
{
	if (home->timer.is_set)
		return;
	home->was_told = false;
	loop_timer_set(home->volumes->agent->loop, &home->timer, clock_deadline_ns(STOP_NS),
		       kill_fired);
}

/* ---- what is left of a DC ---- */

static void remove_run(struct work *work)
{
	struct home *home = CONTAINER_OF(work, struct home, work);
	char path[256];
	AUTO_CLOSE int dir = -1;

	(void)snprintf(path, sizeof(path), "%s/volumes", home->volumes->agent->options.lib_dir);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	home->err = DVS_OK;
	if (dir >= 0)
		home->err = tree_remove(dir, home->dc, home->why);
}

static void remove_done(struct work *work)
{
	struct home *home = CONTAINER_OF(work, struct home, work);

	if (home->err)
		log_error(&home->volumes->agent->log, "the files of volumes stay",
			  LOG_STR("dc", home->dc), LOG_STR("why", home->why));
	home->is_going = home->is_to_go = false;
	home_settle(home);
}

static void home_forget(struct home *home)
{
	loop_timer_cancel(home->volumes->agent->loop, &home->timer);
	list_remove(&home->of_volumes);
	free(home);
}

/* Do what is next. HOME may be freed. */
static void home_settle(struct home *home)
{
	if (home->is_going)
		return;
	if (home->pid) {
		if (!home->is_wanted)
			home_stop(home);
		return;
	}
	if (home->is_to_go) {
		home->is_going = true;
		workers_add(home->volumes->agent->workers, &home->work, remove_run, remove_done);
	} else if (!home->is_wanted) {
		/* What it once had of volumes is remembered until the DC ends. */
		if (!home->is_there)
			home_forget(home);
	} else if (!home->timer.is_set) {
		home_start(home);
	}
}

/* ---- looking ---- */

/* Whether DC has a volume with a replica here. What cannot be read is no volume; its record is complained of by the server and by 'dvs vol ls'. */
static dvs_err look_at(struct agent *agent, const char *dc, bool *is_wanted)
{
	AUTO_FREE struct volume *volume = malloc(sizeof(*volume));
	char name[VOLUME_NAME_MAX + 1] = "";
	dvs_err err = volume ? DVS_OK : DVS_NOMEM;

	*is_wanted = false;
	while (!err && !*is_wanted) {
		err = volume_next(agent->admin, dc, name, volume, NULL);
		if (err == DVS_BADARG)
			err = DVS_OK;
		else if (!err)
			*is_wanted = volume_replica_on(volume, agent->node) != NULL;
	}
	return err == DVS_NOTFOUND || err == DVS_NODC ? DVS_OK : err;
}

static void look_run(struct work *work)
{
	struct look *look = CONTAINER_OF(work, struct look, work);
	struct agent *agent = look->volumes->agent;
	struct dvk_container_info info;
	uint32_t cursor = 0;
	dvs_err err;

	while (!(err = dvk_container_next(agent->admin, &cursor, 0, &info))) {
		struct seen_dc *more = realloc(look->dcs, (look->n_dcs + 1) * sizeof(*more));

		if (!more) {
			err = DVS_NOMEM;
			break;
		}
		look->dcs = more;
		memset(&more[look->n_dcs], 0, sizeof(*more));
		memcpy(more[look->n_dcs].name, info.name, sizeof(info.name));
		/* Of a DC that goes nothing is wanted any more. */
		if (info.n_records > 0 && info.phase != DVK_FAILED && info.phase != DVK_REMOVING)
			err = look_at(agent, info.name, &more[look->n_dcs].is_wanted);
		look->n_dcs++;
		if (err)
			break;
	}
	look->err = err == DVS_NODC ? DVS_OK : err;
}

static struct home *home_get(struct volumes *volumes, const char *dc, bool is_wanted)
{
	struct home *home;

	LIST_FOREACH(link, &volumes->homes) {
		home = CONTAINER_OF(link, struct home, of_volumes);
		if (strcmp(home->dc, dc) == 0)
			return home;
	}
	if (!is_wanted)
		return NULL;
	home = calloc(1, sizeof(*home));
	if (!home)
		return NULL;
	home->volumes = volumes;
	home->pidfd = -1;
	(void)snprintf(home->dc, sizeof(home->dc), "%s", dc);
	list_add_tail(&volumes->homes, &home->of_volumes);
	return home;
}

static void again_fired(struct loop_timer *timer)
{
	volumes_look(CONTAINER_OF(timer, struct volumes, again));
}

static void home_lost(struct home *home)
{
	home->is_wanted = false;
	home->is_to_go = home->is_removed;
	if (!home->is_removed)
		log_warning(&home->volumes->agent->log,
			    "a DC is not there any more; the files of its volumes stay",
			    LOG_STR("dc", home->dc));
}

static void follow(struct volumes *volumes, const struct look *look)
{
	LIST_FOREACH(link, &volumes->homes)
		CONTAINER_OF(link, struct home, of_volumes)->is_there = false;
	for (size_t i = 0; i < look->n_dcs; i++) {
		const struct seen_dc *seen = &look->dcs[i];
		struct home *home = home_get(volumes, seen->name, seen->is_wanted);

		if (home) {
			home->is_there = true;
			home->is_removed = false;
			home->is_wanted = seen->is_wanted;
		}
	}
	LIST_FOREACH_SAFE(link, &volumes->homes) {
		struct home *home = CONTAINER_OF(link, struct home, of_volumes);

		if (!home->is_there)
			home_lost(home);
		if (!home->is_wanted && !home->pid)
			loop_timer_cancel(volumes->agent->loop, &home->timer);
		home_settle(home);
	}
}

static void looked(struct work *work)
{
	struct look *look = CONTAINER_OF(work, struct look, work);
	struct volumes *volumes = look->volumes;

	volumes->is_looking = false;
	if (!look->err)
		follow(volumes, look);
	else
		loop_timer_set(volumes->agent->loop, &volumes->again, clock_deadline_ns(RETRY_NS),
			       again_fired);
	free(look->dcs);
	look->dcs = NULL;
	if (volumes->is_dirty)
		volumes_look(volumes);
}

void volumes_look(struct volumes *volumes)
{
	volumes->is_dirty = volumes->is_looking;
	if (volumes->is_looking)
		return;
	volumes->is_looking = true;
	volumes->look = (struct look){ .volumes = volumes };
	workers_add(volumes->agent->workers, &volumes->look.work, look_run, looked);
}

void volumes_dc_removed(struct volumes *volumes, const char *dc)
{
	struct home *home = home_get(volumes, dc, false);

	if (home)
		home->is_removed = true;
	volumes_look(volumes);
}

/* Beside this program. */
static bool find_program(char *path, size_t size)
{
	ssize_t len = readlink("/proc/self/exe", path, size - 1);
	char *slash;

	path[len > 0 ? len : 0] = '\0';
	slash = strrchr(path, '/');
	if (!slash || (size_t)(slash + 1 - path) + sizeof(PROGRAM) > size)
		return false;
	memcpy(slash + 1, PROGRAM, sizeof(PROGRAM));
	return true;
}

dvs_err volumes_open(struct agent *agent, int node_mounts, struct volumes **out)
{
	struct volumes *volumes = calloc(1, sizeof(*volumes));

	if (!volumes || !find_program(volumes->program, sizeof(volumes->program))) {
		free(volumes);
		return DVS_NOMEM;
	}
	volumes->agent = agent;
	volumes->node_mounts = node_mounts;
	list_init(&volumes->homes);
	*out = volumes;
	return DVS_OK;
}
