/* SPDX-License-Identifier: Apache-2.0 */
/* The process: one for each file system of a DC and node that has a server of it. The primary has the file system open; a backup waits, bound to the same endpoint, until it is promoted. */
#include "servers/fs/fsd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "client/follow.h"
#include "client/record.h"

/* What was changed and not flushed is so old at most. */
#define SYNC_NS (5 * CLOCK_NS_PER_S)
#define TICK_NS CLOCK_NS_PER_S
#define RETRY_NS (250 * CLOCK_NS_PER_MS)

/* ---- the directory, and the one process that may use it ---- */

static dvs_err make_dir(const char *path)
{
	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		return DVS_OK;
	return dvs_from_errno(errno);
}

/* Waits until a former process has ended. The lock is held until this one ends. */
static dvs_err take_lock(struct fsd *fsd)
{
	const struct fsd_options *options = &fsd->options;
	char path[512];
	int fd;
	dvs_err err;

	(void)snprintf(path, sizeof(path), "%s/fs", options->lib_dir);
	err = make_dir(path);
	(void)snprintf(path, sizeof(path), "%s/fs/%s", options->lib_dir, options->dc);
	if (!err)
		err = make_dir(path);
	/* By the id, so that nothing of one that had the name before is taken for this one's. */
	(void)snprintf(fsd->dir, sizeof(fsd->dir), "%s/fs/%s/%s", options->lib_dir, options->dc,
		       fsd->record.id);
	if (!err)
		err = make_dir(fsd->dir);
	if (err)
		return err;
	(void)snprintf(path, sizeof(path), "%s/lock", fsd->dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return dvs_from_errno(errno);
	while (flock(fd, LOCK_EX) != 0) {
		if (errno != EINTR)
			return dvs_from_errno(errno);
	}
	return DVS_OK;
}

/* ---- taking over, and giving up ---- */

static void give_up(struct fsd *fsd, bool in_order)
{
	if (!fsd->fs)
		return;
	fsd_sessions_free(fsd);
	fs_close(fsd->fs, in_order);
	fsd->fs = NULL;
}

/* A record says why this node cannot serve it, for 'dvs fs ls'. Nothing is lost when it cannot be written. */
static void tell_why(struct fsd *fsd, const char *why)
{
	char key[DVS_NAME_MAX + 1];
	dvs_err err;

	(void)snprintf(key, sizeof(key), "fs-why/%s/%u", fsd->record.id, fsd->options.node);
	err = record_tell(fsd->admin, fsd->options.dc, key, why);
	if (err && err != DVS_NOTFOUND)
		log_debug(&fsd->log, "cannot tell how the file system is",
			  LOG_STR("why", dvs_strerror(err)));
}

/* What passes by itself. */
static bool is_passing(dvs_err err)
{
	return err == DVS_NODEST || err == DVS_NODEDOWN || err == DVS_NOQUORUM ||
	       err == DVS_TIMEOUT || err == DVS_PEERDEAD || err == DVS_BADSTATE ||
	       err == DVS_NOTBOUND || err == DVS_NODVSD || err == DVS_STALE;
}

void fsd_take_over(struct fsd *fsd)
{
	uint64_t random = 0;
	dvs_err err;

	if (fsd->fs || !clock_is_past(fsd->retry_ns))
		return;
	err = fsd_open_fs(fsd);
	if (!err) {
		if (getrandom(&random, sizeof(random), 0) != sizeof(random))
			random = clock_now_ns();
		fsd->server = random | 1;
		fsd->last_session = random >> 24;
		fsd->n_expected = 0;
		fsd->is_settled = false;
		err = fsd_sessions_load(fsd);
		if (err)
			give_up(fsd, false);
	}
	if (!err) {
		log_info(&fsd->log, "serves the file system", LOG_STR("name", fsd->options.name));
		fsd_prefer_taken(fsd);
		tell_why(fsd, NULL);
		fsd_deferred_serve(fsd);
		return;
	}
	fsd->is_away = is_passing(err);
	if (!fsd->is_away)
		tell_why(fsd, fsd->why[0] ? fsd->why : dvs_strerror(err));
	fsd->retry_ns = clock_deadline_ns(RETRY_NS);
	log_warning(&fsd->log, "the file system cannot be opened",
		    LOG_STR("name", fsd->options.name),
		    LOG_STR("why", fsd->why[0] ? fsd->why : dvs_strerror(err)));
}

/* Another server has it, or may have it. */
static void lose(struct fsd *fsd)
{
	give_up(fsd, false);
	fsd_deferred_drop(fsd);
	fsd->has_turn = false;
}

/* Whether this process is the primary now. */
static bool is_primary(struct fsd *fsd)
{
	struct dvk_endpoint_info info;

	return fsd->service &&
	       dvk_endpoint_info(fsd->dvk, dvs_ep_of(fsd->record.endpoint), &info) == DVS_OK &&
	       info.node.n == fsd->options.node && info.kind != DVK_BACKUP;
}

/* Whoever begins, the others are backups; whose turn it is then: fsd_prefer(). */
static dvs_err bind_service(struct fsd *fsd)
{
	const dvs_ep want = dvs_ep_of(fsd->record.endpoint);
	dvs_err err = DVS_INUSE;

	if (!fsd_prefers_other(fsd))
		err = dvk_bind(fsd->dvk, want, DVK_LOCAL, &fsd->service);
	if (err == DVS_INUSE && fsd->record.store == FS_STORE_VOLUME)
		err = dvk_bind(fsd->dvk, want, DVK_BACKUP, &fsd->service);
	if (err) {
		fsd->service = NULL;
		return err;
	}
	skeleton_listen(fsd->skeleton, fsd->service);
	return DVS_OK;
}

static void look_now(struct fsd *fsd)
{
	uint64_t version;
	struct fs_record record;
	dvs_err err =
		fs_record_get(fsd->admin, fsd->options.dc, fsd->options.name, &record, &version);

	if (err == DVS_NOTFOUND || err == DVS_NODC ||
	    (!err && (strcmp(record.id, fsd->record.id) != 0 ||
		      !fs_record_is_on(&record, fsd->options.node)))) {
		fsd->is_over = err == DVS_NOTFOUND ||
			       (!err && strcmp(record.id, fsd->record.id) != 0);
		fsd->is_stopping = true;
		skeleton_stop(fsd->skeleton);
		return;
	}
	if (!err) {
		fsd->record.n_nodes = record.n_nodes;
		memcpy(fsd->record.nodes, record.nodes, sizeof(record.nodes));
	}
	if (!fsd->service) {
		err = bind_service(fsd);
		if (err && err != DVS_INUSE && err != DVS_NODEST)
			log_warning(&fsd->log, "the endpoint cannot be bound",
				    LOG_STR("why", dvs_strerror(err)));
	}
	if (is_primary(fsd)) {
		fsd_take_over(fsd);
	} else {
		if (fsd->fs)
			log_info(&fsd->log, "another server is the primary now");
		lose(fsd);
	}
	fsd_sessions_look(fsd);
}

static void run_look(struct post *post)
{
	struct fsd *fsd = CONTAINER_OF(post, struct fsd, look);

	atomic_store(&fsd->is_look_put, false);
	look_now(fsd);
}

/* The endpoint is lost: this node was cut off, and perhaps somebody else has taken over. */
static void lost_service(void *context, struct m3 *self, dvs_err err)
{
	struct fsd *fsd = context;

	(void)err;
	dvk_unbind(self);
	fsd->service = NULL;
	lose(fsd);
}

/* ---- time ---- */

/* What it is on is out of reach: whoever opens it anew finds what was answered. Not at once: when another server has taken it, this one is about to hear that it is the primary no more, and must not take it back. */
static void open_anew(struct fsd *fsd)
{
	bool is_away = fsd->record.store == FS_STORE_VOLUME &&
		       (!fsd->fs || fsimage_why(fs_image(fsd->fs)) || fsd_is_away(fsd));
	bool is_due = is_away && fsd->was_away;

	fsd->was_away = is_away;
	if (!is_due)
		return;
	give_up(fsd, false);
	if (is_primary(fsd))
		fsd_take_over(fsd);
}

static void tick(struct skeleton_timer *timer)
{
	struct fsd *fsd = CONTAINER_OF(timer, struct fsd, sync);

	skeleton_timer_set(fsd->skeleton, timer, clock_deadline_ns(TICK_NS), tick);
	if (!fsd->service)
		look_now(fsd);
	fsd_prefer(fsd);
	open_anew(fsd);
	fsd_deferred_tick(fsd);
	if (!fsd->fs)
		return;
	fsd_recalls_tick(fsd);
	if (clock_now_ns() - fsd->synced_ns < SYNC_NS)
		return;
	fsd->synced_ns = clock_now_ns();
	if (fs_has_times(fsd->fs) && fs_begin(fsd->fs) == DVS_OK && fs_commit(fsd->fs) != DVS_OK)
		log_warning(&fsd->log, "access times are lost");
	if (!fsimage_why(fs_image(fsd->fs)) && fsimage_is_dirty(fs_image(fsd->fs)) &&
	    fsimage_sync(fs_image(fsd->fs)) != DVS_OK)
		log_error(&fsd->log, "what was changed cannot be made durable");
}

/* ---- what happens in the DVS, in a thread of its own ---- */

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static void put_look(void *context)
{
	struct fsd *fsd = context;
	struct poster poster = skeleton_poster(fsd->skeleton);

	if (!atomic_exchange(&fsd->is_look_put, true))
		poster_put(&poster, &fsd->look);
}

static void happened(void *context, const struct dvk_event *event)
{
	static const char *const of_dc[] = { "unbound", "promoted", "dc.", "orphaned", "record" };
	struct fsd *fsd = context;

	if (begins(event->what, "node.") || begins(event->what, "quorum.")) {
		put_look(fsd);
		return;
	}
	if (strcmp(event->dc, fsd->options.dc) != 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(of_dc); i++) {
		if (begins(event->what, of_dc[i]))
			put_look(fsd);
	}
}

static void *listen_to_dvs(void *argument)
{
	struct fsd *fsd = argument;
	const struct follow follow = { .admin = fsd->admin,
				       .run_dir = fsd->options.run_dir,
				       .happened = happened,
				       .missed = put_look,
				       .context = fsd };
	dvs_err err = follow_events(&follow);

	log_error(&fsd->log, "dvsd is gone, or tells nothing any more; this file server ends",
		  LOG_STR("why", dvs_strerror(err)));
	_exit(EXIT_FAILURE);
}

/* Signals come to this thread only. */
static void *wait_for_signal(void *argument)
{
	struct fsd *fsd = argument;
	sigset_t set;
	int signal_number;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	(void)sigwait(&set, &signal_number);
	skeleton_stop(fsd->skeleton);
	return NULL;
}

/* ---- beginning and end ---- */

static dvs_err link_up(struct fsd *fsd)
{
	const struct fsd_options *options = &fsd->options;
	char path[sizeof(options->run_dir) + sizeof("/dc/") + DVS_NAME_MAX + sizeof("/control")];
	dvs_err err = dvk_admin_open(options->run_dir, &fsd->admin);

	(void)snprintf(path, sizeof(path), "%s/dc/%s/control", options->run_dir, options->dc);
	if (!err)
		err = dvk_admin_enter(fsd->admin, options->dc);
	if (!err)
		err = dvk_open(path, &fsd->dvk);
	if (!err)
		err = dvk_watch(fsd->admin);
	if (!err)
		err = fs_record_get(fsd->admin, options->dc, options->name, &fsd->record, NULL);
	if (!err && !fs_record_is_on(&fsd->record, options->node))
		err = DVS_NOTFOUND;
	return err;
}

static dvs_err open_skeleton(struct fsd *fsd)
{
	struct skeleton_config config = { .dvk = fsd->dvk,
					  .log = &fsd->log,
					  .users_are_all = fsd->record.access_dc,
					  .services = fsd->services,
					  .n_services = ARRAY_LEN(fsd->services) };
	dvs_err err;

	fsd->services[0] = fs_service(&fsd_handlers, fsd);
	err = skeleton_open(&config, &fsd->skeleton);
	if (!err)
		skeleton_on_lost(fsd->skeleton, lost_service, fsd);
	return err;
}

static dvs_err start_threads(struct fsd *fsd)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, listen_to_dvs, fsd))
		return DVS_NOMEM;
	pthread_detach(thread);
	if (pthread_create(&thread, NULL, wait_for_signal, fsd))
		return DVS_NOMEM;
	pthread_detach(thread);
	return DVS_OK;
}

/* The file system was removed: what this node kept of it goes. A place that was named stays, as a device does. */
static void remove_files(struct fsd *fsd)
{
	static const char *const names[] = { "image", "made", "lock" };
	char path[512];

	log_info(&fsd->log, "the file system is not wanted any more",
		 LOG_STR("name", fsd->options.name));
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", fsd->dir, names[i]);
		(void)unlink(path);
	}
	if (rmdir(fsd->dir) != 0)
		log_warning(&fsd->log, "its directory stays", LOG_STR("dir", fsd->dir));
}

dvs_err fsd_run(struct fsd *fsd)
{
	sigset_t set;
	dvs_err err;

	fsd->look.run = run_look;
	fsd_sessions_init(fsd);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
		return DVS_NOMEM;
	err = link_up(fsd);
	if (!err)
		err = take_lock(fsd);
	if (!err)
		err = open_skeleton(fsd);
	if (!err)
		err = start_threads(fsd);
	if (err)
		return err;
	look_now(fsd);
	skeleton_timer_set(fsd->skeleton, &fsd->sync, clock_deadline_ns(TICK_NS), tick);
	if (!fsd->is_stopping)
		err = skeleton_run(fsd->skeleton);
	fsd->is_stopping = true;
	give_up(fsd, err == DVS_OK);
	if (fsd->is_over)
		remove_files(fsd);
	/* The other threads end with the process. */
	return err;
}
