/* SPDX-License-Identifier: Apache-2.0 */
#include "servers/vdd/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <dvs/container.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "client/follow.h"
#include "client/volume.h"
#include "servers/vdd/unit.h"

/* Without any event the records are looked at so often. */
#define SURVEY_NS (60 * CLOCK_NS_PER_S)
#define RETRY_FIRST_NS (250 * CLOCK_NS_PER_MS)
#define RETRY_LAST_NS (10 * CLOCK_NS_PER_S)
#define LIVED_NS (30 * CLOCK_NS_PER_S)

/* ---- directories, and the one process that may use them ---- */

static dvs_err make_dir(const char *path)
{
	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		return DVS_OK;
	return dvs_from_errno(errno);
}

/* Waits until a former process has ended. The lock is held until this one ends. */
static dvs_err take_lock(const struct process_options *options, const struct log *log)
{
	char path[512];
	int fd;
	dvs_err err;

	(void)snprintf(path, sizeof(path), "%s/volumes", options->lib_dir);
	err = make_dir(path);
	(void)snprintf(path, sizeof(path), "%s/volumes/%s", options->lib_dir, options->dc);
	if (!err)
		err = make_dir(path);
	if (err)
		return err;
	(void)snprintf(path, sizeof(path), "%s/volumes/%s/lock", options->lib_dir, options->dc);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return dvs_from_errno(errno);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return DVS_OK;
	log_info(log, "waits for a former server of these volumes to end",
		 LOG_STR("dc", options->dc));
	while (flock(fd, LOCK_EX) != 0) {
		if (errno != EINTR)
			return dvs_from_errno(errno);
	}
	return DVS_OK;
}

/* ---- what happens in the DVS ---- */

void process_wake(struct process *process)
{
	uint64_t one = 1;

	/* It can only fail by being full, and then it is ringing already. */
	(void)!write(process->wake_fd, &one, sizeof(one));
}

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static void look_all(struct process *process)
{
	pthread_mutex_lock(&process->lock);
	LIST_FOREACH(link, &process->units)
		unit_look_locked(CONTAINER_OF(link, struct unit, of_process));
	pthread_mutex_unlock(&process->lock);
}

/* Of one volume: by its view's record or its endpoint. */
static void look_at(struct process *process, const char *view, uint32_t endpoint)
{
	size_t len = view ? strcspn(view, " ") : 0;

	pthread_mutex_lock(&process->lock);
	LIST_FOREACH(link, &process->units) {
		struct unit *unit = CONTAINER_OF(link, struct unit, of_process);
		const struct volume *volume = &unit->wanted;

		if (view ? strlen(volume->id) == len && strncmp(volume->id, view, len) == 0 :
			   volume->endpoint == endpoint)
			unit_look_locked(unit);
	}
	pthread_mutex_unlock(&process->lock);
}

static void happened(void *context, const struct dvk_event *event)
{
	static const char view[] = "record view/";
	struct process *process = context;

	if (begins(event->what, "node.") || begins(event->what, "quorum.")) {
		look_all(process);
	} else if (strcmp(event->dc, process->options.dc) != 0) {
		return;
	} else if (begins(event->text, view)) {
		look_at(process, event->text + strlen(view), 0);
	} else if (begins(event->what, "dc.")) {
		process_wake(process);
	} else {
		/* bound, unbound, promoted: of volumes only server numbers matter */
		uint32_t number = dvs_ep_number(event->ep);

		if (number >= VOLUME_EP_FIRST && number <= VOLUME_EP_LAST)
			look_at(process, NULL, number);
	}
}

static void missed(void *context)
{
	struct process *process = context;

	look_all(process);
	process_wake(process);
}

static void *listen(void *argument)
{
	struct process *process = argument;
	const struct follow follow = { .admin = process->admin,
				       .run_dir = process->options.run_dir,
				       .happened = happened,
				       .missed = missed,
				       .context = process };
	dvs_err err = follow_events(&follow);

	log_error(&process->log,
		  "dvsd is gone, or tells nothing any more; this server of volumes ends",
		  LOG_STR("dc", process->options.dc), LOG_STR("why", dvs_strerror(err)));
	_exit(EXIT_FAILURE);
}

/* ---- what could not be served ---- */

struct failure {
	struct list of_process;
	struct volume volume;
	char dir[320];
	dvs_err err;
	bool is_seen;
	uint64_t span_ns;
	uint64_t until_ns;
};

static struct failure *find_failure(const struct process *process, const struct volume *volume)
{
	LIST_FOREACH(link, &process->failures) {
		struct failure *failure = CONTAINER_OF(link, struct failure, of_process);

		if (strcmp(failure->volume.name, volume->name) == 0 &&
		    strcmp(failure->volume.id, volume->id) == 0)
			return failure;
	}
	return NULL;
}

/* It is tried again after a while, and a longer one each time that it fails soon. */
static void note_failure(struct process *process, const struct unit *unit)
{
	struct failure *failure = find_failure(process, &unit->wanted);

	if (!failure) {
		failure = calloc(1, sizeof(*failure));
		if (!failure)
			return;
		failure->volume = unit->wanted;
		memcpy(failure->dir, unit->dir, sizeof(failure->dir));
		list_add_tail(&process->failures, &failure->of_process);
	}
	failure->is_seen = true;
	failure->err = unit->err;
	if (failure->span_ns == 0 || clock_now_ns() - unit->started_ns > LIVED_NS)
		failure->span_ns = RETRY_FIRST_NS;
	else if (failure->span_ns < RETRY_LAST_NS)
		failure->span_ns *= 2;
	failure->until_ns = clock_deadline_ns(failure->span_ns);
}

static bool is_to_wait(const struct process *process, const struct volume *volume)
{
	struct failure *failure = find_failure(process, volume);

	if (failure)
		failure->is_seen = true;
	return failure && !clock_is_past(failure->until_ns);
}

/* When the first of those that failed is to be tried again. */
static uint64_t next_try(const struct process *process)
{
	uint64_t next_ns = CLOCK_NEVER_NS;

	LIST_FOREACH(link, &process->failures) {
		const struct failure *failure = CONTAINER_OF(link, struct failure, of_process);

		if (!clock_is_past(failure->until_ns) && failure->until_ns < next_ns)
			next_ns = failure->until_ns;
	}
	return next_ns;
}

/* ---- units as the records want them ---- */

static struct unit *find_unit(struct process *process, const char *name)
{
	LIST_FOREACH(link, &process->units) {
		struct unit *unit = CONTAINER_OF(link, struct unit, of_process);

		if (strcmp(unit->wanted.name, name) == 0)
			return unit;
	}
	return NULL;
}

static bool is_same(const struct volume *a, const struct volume *b)
{
	return strcmp(a->id, b->id) == 0;
}

/* What can only be changed by beginning anew. */
static bool needs_restart(const struct volume *a, const struct volume *b)
{
	return a->endpoint != b->endpoint;
}

static void follow(struct process *process, const struct volume *volume)
{
	const uint32_t node = process->options.node;
	struct volume own = *volume;
	bool is_of_node = volume_replica_on(&own, node) != NULL;
	struct unit *unit = find_unit(process, volume->name);
	dvs_err err;

	if (unit && !is_same(&unit->wanted, volume)) {
		unit->is_seen = false;
		return;
	}
	if (unit) {
		unit->is_seen = true;
		(void)is_to_wait(process, volume);
		if (is_of_node && needs_restart(&unit->wanted, volume))
			unit_stop(unit);
		else if (!volume_equal(&unit->wanted, volume) || !is_of_node)
			unit_changed(unit, volume, is_of_node);
		return;
	}
	if (is_to_wait(process, volume) || !is_of_node || process->is_stopping)
		return;
	err = unit_start(process, volume, &unit);
	if (err) {
		log_error(&process->log, "a volume's replica cannot be started",
			  LOG_STR("volume", volume->name), LOG_STR("why", dvs_strerror(err)));
		return;
	}
	unit->is_seen = true;
}

/* Of a unit whose record is gone: its files, too. */
static void end_unseen(struct process *process)
{
	LIST_FOREACH(link, &process->units) {
		struct unit *unit = CONTAINER_OF(link, struct unit, of_process);

		if (unit->is_seen || unit->is_to_go)
			continue;
		unit->is_to_go = true;
		unit_stop(unit);
	}
}

/* NODC: the DC is gone, and with it all. */
static dvs_err survey(struct process *process)
{
	AUTO_FREE struct volume *volume = malloc(sizeof(*volume));
	char name[VOLUME_NAME_MAX + 1] = "";
	dvs_err err = volume ? DVS_OK : DVS_NOMEM;

	LIST_FOREACH(link, &process->units)
		CONTAINER_OF(link, struct unit, of_process)->is_seen = false;
	LIST_FOREACH(link, &process->failures)
		CONTAINER_OF(link, struct failure, of_process)->is_seen = false;
	while (!err) {
		err = volume_next(process->admin, process->options.dc, name, volume, NULL);
		if (!err && !volume->of[0]) {
			follow(process, volume);
		} else if (err == DVS_BADARG) {
			struct unit *unit = find_unit(process, name);

			/* A record that cannot be read ends nothing. */
			log_warning(&process->log, "the record of a volume is damaged",
				    LOG_STR("volume", name));
			if (unit)
				unit->is_seen = true;
			err = DVS_OK;
		}
	}
	if (err != DVS_NOTFOUND)
		return err;
	end_unseen(process);
	return DVS_OK;
}

static void destroy(const struct process *process, const char *dir)
{
	dvs_err err = disks_destroy(dir);

	if (err)
		log_warning(&process->log, "what a volume had cannot be removed",
			    LOG_STR("dir", dir), LOG_STR("why", dvs_strerror(err)));
}

/* Waits for UNIT's thread. */
static void reap_one(struct process *process, struct unit *unit)
{
	char dir[sizeof(unit->dir)];
	bool is_to_go;

	unit_join(unit);
	/* What could not be opened may be another volume's. */
	is_to_go = (unit->is_to_go || unit->has_left) && !unit->err;
	memcpy(dir, unit->dir, sizeof(dir));
	if (unit->err) {
		log_warning(&process->log, "a volume's replica has ended",
			    LOG_STR("volume", unit->wanted.name),
			    LOG_STR("why", dvs_strerror(unit->err)));
		note_failure(process, unit);
	}
	unit_forget(unit);
	if (is_to_go)
		destroy(process, dir);
}

static void reap(struct process *process)
{
	LIST_FOREACH_SAFE(link, &process->units) {
		struct unit *unit = CONTAINER_OF(link, struct unit, of_process);
		bool is_over;

		pthread_mutex_lock(&process->lock);
		is_over = unit->is_over;
		pthread_mutex_unlock(&process->lock);
		if (is_over)
			reap_one(process, unit);
	}
}

/* Nothing is tried again of a volume whose record is gone, and what it had goes, too. */
static void end_failures(struct process *process)
{
	LIST_FOREACH_SAFE(link, &process->failures) {
		struct failure *failure = CONTAINER_OF(link, struct failure, of_process);

		if (failure->is_seen)
			continue;
		if (failure->err != DVS_EXISTS && failure->err != DVS_INUSE &&
		    !find_unit(process, failure->volume.name))
			destroy(process, failure->dir);
		list_remove(&failure->of_process);
		free(failure);
	}
}

/* ---- the main thread ---- */

static void wait_a_while(struct process *process, uint64_t deadline_ns)
{
	struct pollfd fds[] = { { .fd = process->wake_fd, .events = POLLIN },
				{ .fd = process->signal_fd, .events = POLLIN } };
	uint64_t count;

	(void)poll(fds, ARRAY_LEN(fds), clock_poll_ms(deadline_ns));
	/* However often it rang: one look is for all. */
	if (fds[0].revents)
		(void)!read(process->wake_fd, &count, sizeof(count));
	if (fds[1].revents)
		process->is_stopping = true;
}

static dvs_err serve(struct process *process)
{
	while (!process->is_stopping) {
		uint64_t next_ns;
		dvs_err err;

		reap(process);
		err = survey(process);
		if (err == DVS_NODC)
			break;
		if (!err)
			end_failures(process);
		if (!err && list_is_empty(&process->units) && list_is_empty(&process->failures)) {
			log_info(&process->log, "no volume has a replica here any more",
				 LOG_STR("dc", process->options.dc));
			break;
		}
		next_ns = clock_deadline_ns(err ? RETRY_FIRST_NS : SURVEY_NS);
		wait_a_while(process, next_ns < next_try(process) ? next_ns : next_try(process));
	}
	/* What was removed meanwhile has nobody else who takes its files away. */
	if (process->is_stopping && survey(process) == DVS_OK)
		end_failures(process);
	return DVS_OK;
}

static void stop_all(struct process *process)
{
	LIST_FOREACH(link, &process->units)
		unit_stop(CONTAINER_OF(link, struct unit, of_process));
	/* Each of them ends within a bounded time. */
	while (!list_is_empty(&process->units))
		reap_one(process, CONTAINER_OF(process->units.next, struct unit, of_process));
}

static dvs_err link_up(struct process *process)
{
	const struct process_options *options = &process->options;
	char path[sizeof(options->run_dir) + sizeof("/dc/") + DVS_NAME_MAX + sizeof("/control")];
	dvs_err err = dvk_admin_open(options->run_dir, &process->admin);

	(void)snprintf(path, sizeof(path), "%s/dc/%s/control", options->run_dir, options->dc);
	if (!err)
		err = dvk_admin_enter(process->admin, options->dc);
	if (!err)
		err = dvk_open(path, &process->dvk);
	if (!err)
		err = dvk_watch(process->admin);
	return err;
}

/* Signals are events of the main thread from here on. */
static dvs_err take_signals(struct process *process)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
		return DVS_NOMEM;
	process->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	process->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return process->signal_fd < 0 || process->wake_fd < 0 ? dvs_from_errno(errno) : DVS_OK;
}

dvs_err process_run(struct process *process)
{
	pthread_t thread;
	dvs_err err;

	list_init(&process->units);
	list_init(&process->failures);
	(void)pthread_mutex_init(&process->lock, NULL);
	err = take_lock(&process->options, &process->log);
	if (!err)
		err = take_signals(process);
	if (!err)
		err = link_up(process);
	if (err)
		return err;
	if (pthread_create(&thread, NULL, listen, process))
		return DVS_NOMEM;
	pthread_detach(thread);
	err = serve(process);
	stop_all(process);
	return err;
}
