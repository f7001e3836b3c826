/* SPDX-License-Identifier: Apache-2.0 */
/* The processes that serve the volumes and file systems of this node: one for each DC that has volumes here, which finds by itself which, and one for each file system. The records of the DCs say what is wanted.
 *
 * What a DC had in them goes with it, but only when this agent was told that the DC was removed. Of a DC that merely is not there (the state may be that of a DVS
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
#include "client/fs_record.h"
#include "client/volume.h"
#include "container/tree.h"

#define BACKOFF_FIRST_NS (100 * CLOCK_NS_PER_MS)
#define BACKOFF_LAST_NS (10 * CLOCK_NS_PER_S)
/* Who lived that long begins with the shortest back-off again. */
#define LIVED_NS (30 * CLOCK_NS_PER_S)
/* So long it has to end by itself, and again when it was told to. */
#define STOP_NS (10 * CLOCK_NS_PER_S)
#define RETRY_NS CLOCK_NS_PER_S
#define EXIT_CANNOT_EXECUTE 127

struct server_kind {
	const char *program; /* beside this one */
	const char *option;  /* that names which of a DC's it is to serve; NULL: all */
	const char *folder;  /* in LIB_DIR, with a directory for each DC */
	const char *what;    /* for the log */
};

enum { KIND_VOLUMES, KIND_FS, N_KINDS };

static const struct server_kind kinds[N_KINDS] = {
	[KIND_VOLUMES] = { "dvs-vdd", NULL, "volumes", "the server of volumes" },
	[KIND_FS] = { "dvs-fs", "--fs", "fs", "the file server" },
};

/* A server that a DC has or had on this node. */
struct home {
	struct list of_volumes;
	struct volumes *volumes;
	const struct server_kind *kind;
	char dc[DVS_NAME_MAX + 1];
	char name[DVS_NAME_MAX + 1]; /* "": of all that the DC has */
	bool is_there;		     /* the DC was there at the last look */
	bool is_wanted;		     /* and had something of this node to serve */
	bool is_removed;	     /* so it was told */
	bool is_to_go;		     /* its files, too */
	bool is_going;		     /* a worker removes them */
	bool was_told;		     /* to end */
	pid_t pid;		     /* 0: it does not run */
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
	struct seen {
		char dc[DVS_NAME_MAX + 1];
		char name[DVS_NAME_MAX + 1];
		const struct server_kind *kind; /* NULL: the DC is there, no more */
	} * seen;
	size_t n_seen;
};

struct volumes {
	struct agent *agent;
	int node_mounts;
	char folder[512]; /* of the programs, ending in a slash */
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
	char program[sizeof(home->volumes->folder) + 32];
	const char *wanted[] = { program,
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
				 home->kind->option,
				 home->name,
				 NULL };
	char *args[ARRAY_LEN(wanted)];

	(void)snprintf(node, sizeof(node), "%u", agent->node);
	(void)snprintf(program, sizeof(program), "%s%s", home->volumes->folder,
		       home->kind->program);
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
		log_warning(&agent->log, "a server has ended and is started again",
			    LOG_STR("server", home->kind->what), LOG_STR("dc", home->dc),
			    LOG_STR("name", home->name), LOG_I64("pid", home->pid),
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
		log_info(&agent->log, "a server is started", LOG_STR("server", home->kind->what),
			 LOG_STR("dc", home->dc), LOG_STR("name", home->name),
			 LOG_I64("pid", home->pid));
		return;
	}
	home->pid = 0;
	log_error(&agent->log, "a server cannot be started", LOG_STR("server", home->kind->what),
		  LOG_STR("dc", home->dc), LOG_STR("name", home->name),
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

	(void)snprintf(path, sizeof(path), "%s/%s", home->volumes->agent->options.lib_dir,
		       home->kind->folder);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	home->err = DVS_OK;
	if (dir >= 0)
		home->err = tree_remove(dir, home->dc, home->why);
}

static void remove_done(struct work *work)
{
	struct home *home = CONTAINER_OF(work, struct home, work);

	if (home->err)
		log_error(&home->volumes->agent->log, "the files of a server stay",
			  LOG_STR("server", home->kind->what), LOG_STR("dc", home->dc),
			  LOG_STR("why", home->why));
	home->is_going = home->is_to_go = false;
	home_settle(home);
}

static void home_forget(struct home *home)
{
	loop_timer_cancel(home->volumes->agent->loop, &home->timer);
	list_remove(&home->of_volumes);
	free(home);
}

/* Whether another server of the DC has not ended yet: the last one's end takes the files of all. */
static bool has_others(const struct home *home)
{
	LIST_FOREACH(link, &home->volumes->homes) {
		const struct home *other = CONTAINER_OF(link, struct home, of_volumes);

		if (other != home && other->kind == home->kind && other->pid &&
		    strcmp(other->dc, home->dc) == 0)
			return true;
	}
	return false;
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
	if (home->is_to_go && has_others(home))
		home->is_to_go = false;
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

static dvs_err see(struct look *look, const struct server_kind *kind, const char *dc,
		   const char *name)
{
	struct seen *more = realloc(look->seen, (look->n_seen + 1) * sizeof(*more));
	struct seen *seen;

	if (!more)
		return DVS_NOMEM;
	look->seen = more;
	seen = &more[look->n_seen++];
	memset(seen, 0, sizeof(*seen));
	seen->kind = kind;
	(void)snprintf(seen->dc, sizeof(seen->dc), "%s", dc);
	(void)snprintf(seen->name, sizeof(seen->name), "%s", name);
	return DVS_OK;
}

/* The file systems of DC that have a server here. */
static dvs_err look_at_fs(struct look *look, const char *dc)
{
	struct agent *agent = look->volumes->agent;
	char name[FS_RECORD_NAME_MAX + 1] = "";
	struct fs_record record;
	dvs_err err = DVS_OK;

	while (!err) {
		err = fs_record_next(agent->admin, dc, name, &record, NULL);
		if (err == DVS_BADARG)
			err = DVS_OK;
		else if (!err && fs_record_is_on(&record, agent->node))
			err = see(look, &kinds[KIND_FS], dc, name);
	}
	return err == DVS_NOTFOUND || err == DVS_NODC ? DVS_OK : err;
}

static dvs_err look_at_dc(struct look *look, const struct dvk_container_info *info)
{
	bool is_wanted = false;
	dvs_err err = see(look, NULL, info->name, "");

	/* Of a DC that goes nothing is wanted any more. */
	if (err || info->n_records == 0 || info->phase == DVK_FAILED || info->phase == DVK_REMOVING)
		return err;
	err = look_at(look->volumes->agent, info->name, &is_wanted);
	if (!err && is_wanted)
		err = see(look, &kinds[KIND_VOLUMES], info->name, "");
	return err ? err : look_at_fs(look, info->name);
}

static void look_run(struct work *work)
{
	struct look *look = CONTAINER_OF(work, struct look, work);
	struct dvk_container_info info;
	uint32_t cursor = 0;
	dvs_err err;

	while (!(err = dvk_container_next(look->volumes->agent->admin, &cursor, 0, &info))) {
		err = look_at_dc(look, &info);
		if (err)
			break;
	}
	look->err = err == DVS_NODC ? DVS_OK : err;
}

static struct home *home_get(struct volumes *volumes, const struct seen *seen)
{
	struct home *home;

	LIST_FOREACH(link, &volumes->homes) {
		home = CONTAINER_OF(link, struct home, of_volumes);
		if (home->kind == seen->kind && strcmp(home->dc, seen->dc) == 0 &&
		    strcmp(home->name, seen->name) == 0)
			return home;
	}
	home = calloc(1, sizeof(*home));
	if (!home)
		return NULL;
	home->volumes = volumes;
	home->pidfd = -1;
	home->kind = seen->kind;
	memcpy(home->dc, seen->dc, sizeof(home->dc));
	memcpy(home->name, seen->name, sizeof(home->name));
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
			    "a DC is not there any more; the files of its server stay",
			    LOG_STR("server", home->kind->what), LOG_STR("dc", home->dc));
}

/* All that DC had here, as far as is known. */
static void dc_seen(struct volumes *volumes, const char *dc)
{
	LIST_FOREACH(link, &volumes->homes) {
		struct home *home = CONTAINER_OF(link, struct home, of_volumes);

		if (strcmp(home->dc, dc) != 0)
			continue;
		home->is_there = true;
		home->is_removed = false;
		home->is_wanted = false;
	}
}

static void follow(struct volumes *volumes, const struct look *look)
{
	LIST_FOREACH(link, &volumes->homes)
		CONTAINER_OF(link, struct home, of_volumes)->is_there = false;
	for (size_t i = 0; i < look->n_seen; i++) {
		const struct seen *seen = &look->seen[i];
		struct home *home = seen->kind ? home_get(volumes, seen) : NULL;

		if (!seen->kind)
			dc_seen(volumes, seen->dc);
		if (home)
			home->is_there = home->is_wanted = true;
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
	free(look->seen);
	look->seen = NULL;
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
	LIST_FOREACH(link, &volumes->homes) {
		struct home *home = CONTAINER_OF(link, struct home, of_volumes);

		if (strcmp(home->dc, dc) == 0)
			home->is_removed = true;
	}
	volumes_look(volumes);
}

bool volumes_folder(char *path, size_t size)
{
	ssize_t len = readlink("/proc/self/exe", path, size - 1);
	char *slash;

	path[len > 0 ? len : 0] = '\0';
	slash = strrchr(path, '/');
	if (!slash)
		return false;
	slash[1] = '\0';
	return true;
}

dvs_err volumes_open(struct agent *agent, int node_mounts, struct volumes **out)
{
	struct volumes *volumes = calloc(1, sizeof(*volumes));

	if (!volumes || !volumes_folder(volumes->folder, sizeof(volumes->folder))) {
		free(volumes);
		return DVS_NOMEM;
	}
	volumes->agent = agent;
	volumes->node_mounts = node_mounts;
	list_init(&volumes->homes);
	*out = volumes;
	return DVS_OK;
}
