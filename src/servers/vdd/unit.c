/* SPDX-License-Identifier: Apache-2.0 */
#include "servers/vdd/unit.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <dvs/container.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "servers/vdd/job.h"

#define TICK_NS CLOCK_NS_PER_S
/* What is under way when it is to stop has so long. */
#define DRAIN_NS (2 * CLOCK_NS_PER_S)
#define AGAIN_MS 200
#define DRAIN_LOOK_NS (5 * CLOCK_NS_PER_MS)

static const struct vdd_handlers handlers = {
	.read = ops_read,
	.write = ops_write,
	.claim = admin_claim,
	.flush = ops_flush,
	.trim = ops_trim,
	.zero = ops_zero,
	.geometry = admin_geometry,
	.batch = ops_batch,
	.extents = admin_extents,
	.resize = admin_resize,
	.snapshot = admin_snapshot,
	.clone = admin_clone,
	.remove = admin_remove,
	.disks = admin_disks,
	.status = admin_status,
	.verify = admin_verify,
	.hand_over = admin_hand_over,
	.tune = admin_tune,
};

static uint64_t bit(uint32_t node)
{
	return UINT64_C(1) << node;
}

static uint64_t nodes_of(const struct volume *volume)
{
	uint64_t nodes = 0;

	for (uint32_t i = 0; i < volume->n_replicas; i++)
		nodes |= bit(volume->replicas[i].node);
	return nodes;
}

static const struct log *log_of(const struct unit *unit)
{
	return &unit->process->log;
}

/* ---- what people are told ---- */

static const char *role_name(enum replica_role role)
{
	switch (role) {
	case REPLICA_ABSENT:
		return "absent";
	case REPLICA_JOINING:
		return "joining";
	case REPLICA_MEMBER:
		return "member";
	case REPLICA_PRIMARY:
		return "primary";
	}
	return "?";
}

/* ---- the replica's owner ---- */

static void follow_members(struct unit *unit)
{
	uint64_t others = replica_members(unit->replica) | unit->joiners;

	unit->is_alone = replica_role(unit->replica) == REPLICA_PRIMARY &&
			 (others & ~bit(unit->process->options.node)) == 0;
}

static void has_role(void *context, enum replica_role role, uint64_t epoch, uint64_t view_members)
{
	struct unit *unit = context;
	struct disk_info info;

	log_info(log_of(unit), "a replica's role", LOG_STR("volume", unit->volume.name),
		 LOG_STR("role", role_name(role)), LOG_U64("epoch", epoch),
		 LOG_U64("members", view_members));
	/* Of what was answered before the backups had it something may be lost. */
	if (role == REPLICA_PRIMARY && unit->volume.async)
		disks_new_life(unit->disks);
	if (role != REPLICA_PRIMARY) {
		jobs_drop(unit);
		sync_stop(unit->sync);
		unit->joiners = 0;
	}
	unit->has_copies = disks_look(unit->disks, 1, &info) == DVS_OK;
	follow_members(unit);
	if (role == REPLICA_PRIMARY || role == REPLICA_MEMBER)
		unit->is_empty = false;
	if ((role == REPLICA_PRIMARY || role == REPLICA_MEMBER) &&
	    disks_set_current(unit->disks, true) != DVS_OK)
		log_warning(log_of(unit), "cannot note that a replica has everything",
			    LOG_STR("volume", unit->volume.name));
}

static size_t says_hello(void *context, void *room)
{
	struct unit *unit = context;

	return sync_hello(unit->sync, unit->is_empty, room);
}

static void has_joined(void *context, dvs_nodeid node, const void *hello, size_t n)
{
	struct unit *unit = context;

	log_info(log_of(unit), "a replica joins", LOG_STR("volume", unit->volume.name),
		 LOG_U64("node", node.n));
	unit->joiners |= bit(node.n);
	follow_members(unit);
	sync_joined(unit->sync, node, hello, n);
}

static void has_left(void *context, dvs_nodeid node)
{
	struct unit *unit = context;

	log_info(log_of(unit), "a replica is gone", LOG_STR("volume", unit->volume.name),
		 LOG_U64("node", node.n));
	unit->joiners &= ~bit(node.n);
	follow_members(unit);
	sync_left(unit->sync, node);
}

static void has_heard(void *context, struct replica_heard *heard)
{
	struct unit *unit = context;

	if (!sync_heard(unit->sync, heard))
		replica_answer(unit->replica, heard, DVS_PROTO, NULL, 0);
}

/* ---- its record changes ---- */

static bool is_busy(const struct unit *unit)
{
	return unit->n_jobs || unit->n_behind || !sync_is_idle(unit->sync);
}

static void drain_fired(struct skeleton_timer *timer)
{
	struct unit *unit = CONTAINER_OF(timer, struct unit, tick);

	if (is_busy(unit) && !clock_is_past(unit->drain_ns))
		skeleton_timer_set(unit->skeleton, &unit->tick, clock_deadline_ns(DRAIN_LOOK_NS),
				   drain_fired);
	else
		skeleton_stop(unit->skeleton);
}

/* What is under way is finished first; what comes now is for the next one. */
static void begin_stop(struct unit *unit)
{
	if (unit->is_stopping)
		return;
	unit->is_stopping = true;
	unit->drain_ns = clock_deadline_ns(DRAIN_NS);
	sync_stop(unit->sync);
	skeleton_timer_cancel(unit->skeleton, &unit->tick);
	drain_fired(&unit->tick);
}

static dvs_err serve(const void *service, void *state, struct skeleton_request *request)
{
	struct unit *unit = state;

	if (unit->is_stopping)
		skeleton_drop(request);
	else if (!request->resent || !job_takes_over(unit, request))
		return vdd_serve(service, state, request);
	return DVS_OK;
}

static void left_over(void *context, dvs_err err)
{
	struct unit *unit = context;

	unit->is_handing_over = false;
	if (err)
		log_warning(log_of(unit), "nobody takes over from a replica that is to go",
			    LOG_STR("volume", unit->volume.name),
			    LOG_STR("why", dvs_strerror(err)));
}

/* The record names this node no more. What this replica has may not go before others have it. */
static void try_to_leave(struct unit *unit)
{
	uint32_t node = unit->process->options.node;
	uint64_t members = replica_members(unit->replica);
	uint64_t heirs = members & nodes_of(&unit->volume) & ~bit(node);

	if (replica_role(unit->replica) == REPLICA_PRIMARY) {
		if (heirs && !unit->is_handing_over) {
			unit->is_handing_over = true;
			replica_hand_over(unit->replica,
					  (dvs_nodeid){ (uint32_t)__builtin_ctzll(heirs) },
					  left_over, unit);
		}
	} else if (members && !(members & bit(node))) {
		unit->is_done = true;
		begin_stop(unit);
	}
}

static void follow_record(struct unit *unit, const struct volume *volume)
{
	if (nodes_of(volume) != nodes_of(&unit->volume))
		replica_set_nodes(unit->replica, nodes_of(volume));
	if (volume->resync_bytes_per_s != unit->volume.resync_bytes_per_s)
		sync_tune(unit->sync, volume->resync_bytes_per_s);
	if (volume->async != unit->volume.async || volume->lag_bytes != unit->volume.lag_bytes)
		replica_set_mode(unit->replica, volume->async ? REPLICA_ASYNC : REPLICA_SYNC,
				 volume->lag_bytes);
	skeleton_set_users(unit->skeleton, volume->access_dc);
	unit->volume = *volume;
}

static void change_run(struct post *post)
{
	struct unit *unit = CONTAINER_OF(post, struct unit, change);
	struct process *process = unit->process;
	struct volume volume;
	bool is_to_stop;
	bool is_changed;

	pthread_mutex_lock(&process->lock);
	volume = unit->wanted;
	is_to_stop = unit->is_to_stop;
	is_changed = unit->is_changed;
	unit->is_changed = unit->is_change_put = false;
	unit->is_leaving = unit->is_to_leave;
	pthread_mutex_unlock(&process->lock);
	if (is_to_stop) {
		begin_stop(unit);
		return;
	}
	if (is_changed)
		follow_record(unit, &volume);
	if (unit->is_leaving)
		try_to_leave(unit);
}

static void look_run(struct post *post)
{
	struct unit *unit = CONTAINER_OF(post, struct unit, look);

	atomic_store(&unit->is_look_put, false);
	if (!unit->is_stopping)
		replica_look_again(unit->replica);
}

static void tick_fired(struct skeleton_timer *timer)
{
	struct unit *unit = CONTAINER_OF(timer, struct unit, tick);

	follow_members(unit);
	unit_disks_look_lost(unit);
	if (!unit_disks_are_fit(unit)) {
		begin_stop(unit);
		return;
	}
	admin_cool(unit);
	if (unit->is_leaving)
		try_to_leave(unit);
	skeleton_timer_set(unit->skeleton, &unit->tick, clock_deadline_ns(TICK_NS), tick_fired);
}

/* ---- its life ---- */

static dvs_err open_skeleton(struct unit *unit)
{
	struct skeleton_config config = { .dvk = unit->process->dvk,
					  .log = &unit->process->log,
					  .users_are_all = unit->volume.access_dc,
					  .services = unit->services,
					  .n_services = ARRAY_LEN(unit->services) };

	unit->services[0] = vdd_service(&handlers, unit);
	unit->services[0].serve = serve;
	unit->services[1] = replica_peers(&unit->replica);
	return skeleton_open(&config, &unit->skeleton);
}

static dvs_err open_replica(struct unit *unit)
{
	struct process *process = unit->process;
	const struct volume *volume = &unit->volume;
	const struct replica_config config = {
		.admin = process->admin,
		.dvk = process->dvk,
		.run_dir = process->options.run_dir,
		.dc = process->options.dc,
		.name = volume->id,
		.service = dvs_ep_of(volume->endpoint),
		.node = { process->options.node },
		.nodes = nodes_of(volume),
		/* What is in memory only, and nowhere else, is gone with its server; the volume begins anew rather than never again. */
		.is_empty = unit->is_empty &&
			    !(volume->store == VOLUME_RAM && volume->n_replicas == 1),
		.first = { volume->first },
		.mode = volume->async ? REPLICA_ASYNC : REPLICA_SYNC,
		.lag_bytes = volume->lag_bytes,
		.log = &process->log,
		.skeleton = unit->skeleton,
		.owner = &unit->owner,
	};

	return replica_open(&config, &unit->replica);
}

static dvs_err open_loop(struct unit *unit)
{
	dvs_err err = open_skeleton(unit);

	if (err)
		return err;
	posts_connect(&unit->posts, skeleton_poster(unit->skeleton));
	unit->n_lives++;
	err = open_replica(unit);
	if (!err)
		err = sync_open(unit->disks, unit->replica, unit->skeleton, &unit->process->log,
				unit->volume.resync_bytes_per_s, &unit->sync);
	return err;
}

/* What is under way on disks goes on; nobody is answered. */
static void close_loop(struct unit *unit)
{
	/* It finishes what was begun, with the skeleton still there. */
	replica_close(TAKE_PTR(unit->replica));
	jobs_drop(unit);
	unit->n_lives++;
	sync_close(TAKE_PTR(unit->sync));
	posts_disconnect(&unit->posts);
	skeleton_close(TAKE_PTR(unit->skeleton));
	unit->tick = (struct skeleton_timer){ .is_set = false };
	unit->joiners = 0;
	unit->is_alone = false;
}

/* From now on other threads may post to it. False: it is to stop already. */
static bool be_reachable(struct unit *unit)
{
	struct process *process = unit->process;
	bool goes_on;

	pthread_mutex_lock(&process->lock);
	unit->poster = skeleton_poster(unit->skeleton);
	unit->is_reachable = true;
	goes_on = !unit->is_to_stop;
	if (unit->is_changed || unit->is_to_leave) {
		unit->is_change_put = true;
		poster_put(&unit->poster, &unit->change);
	}
	unit_look_locked(unit);
	pthread_mutex_unlock(&process->lock);
	return goes_on;
}

static void be_gone(struct unit *unit)
{
	pthread_mutex_lock(&unit->process->lock);
	unit->is_reachable = unit->is_change_put = false;
	atomic_store(&unit->is_look_put, false);
	pthread_mutex_unlock(&unit->process->lock);
}

static dvs_err run_loop(struct unit *unit)
{
	dvs_err err = open_loop(unit);

	if (!err && be_reachable(unit)) {
		skeleton_timer_set(unit->skeleton, &unit->tick, clock_deadline_ns(TICK_NS),
				   tick_fired);
		err = skeleton_run(unit->skeleton);
	}
	be_gone(unit);
	close_loop(unit);
	return err;
}

static bool is_to_end(struct unit *unit)
{
	bool is_to_stop;

	pthread_mutex_lock(&unit->process->lock);
	is_to_stop = unit->is_to_stop;
	pthread_mutex_unlock(&unit->process->lock);
	return is_to_stop || unit->is_stopping;
}

/* A node that was cut off loses its bindings, and gets new ones when it is back; what is on its disks, in memory too, is kept over that time. */
static dvs_err run_loops(struct unit *unit)
{
	dvs_err err = run_loop(unit);

	while (err && !is_to_end(unit)) {
		log_info(log_of(unit), "a replica begins anew",
			 LOG_STR("volume", unit->volume.name), LOG_STR("why", dvs_strerror(err)));
		/* Nothing tells when it is worth while to try again. */
		(void)poll(NULL, 0, AGAIN_MS);
		err = run_loop(unit);
	}
	return is_to_end(unit) ? DVS_OK : err;
}

static void *unit_run(void *argument)
{
	struct unit *unit = argument;
	struct process *process = unit->process;
	dvs_err err = unit_disks_open(unit);

	if (!err) {
		err = run_loops(unit);
		unit_disks_close(unit);
	}
	pthread_mutex_lock(&process->lock);
	unit->err = err;
	unit->is_over = true;
	unit->has_left = unit->is_done;
	pthread_mutex_unlock(&process->lock);
	process_wake(process);
	return NULL;
}

dvs_err unit_start(struct process *process, const struct volume *volume, struct unit **out)
{
	struct unit *unit = calloc(1, sizeof(*unit));

	if (!unit)
		return DVS_NOMEM;
	unit->process = process;
	unit->started_ns = clock_now_ns();
	unit->volume = unit->wanted = *volume;
	unit->change.run = change_run;
	unit->look.run = look_run;
	posts_init(&unit->posts);
	unit->owner = (struct replica_owner){ .context = unit,
					      .apply = job_apply,
					      .heard = has_heard,
					      .role = has_role,
					      .hello = says_hello,
					      .joined = has_joined,
					      .left = has_left };
	list_init(&unit->jobs);
	list_init(&unit->free_jobs);
	(void)snprintf(unit->dir, sizeof(unit->dir), "%s/volumes/%s/%s", process->options.lib_dir,
		       process->options.dc, volume->name);
	pthread_mutex_lock(&process->lock);
	list_add_tail(&process->units, &unit->of_process);
	pthread_mutex_unlock(&process->lock);
	if (pthread_create(&unit->thread, NULL, unit_run, unit)) {
		pthread_mutex_lock(&process->lock);
		list_remove(&unit->of_process);
		pthread_mutex_unlock(&process->lock);
		free(unit);
		return DVS_FULL;
	}
	*out = unit;
	return DVS_OK;
}

/* ---- for the main thread ---- */

static void put_change_locked(struct unit *unit)
{
	if (!unit->is_reachable || unit->is_change_put)
		return;
	unit->is_change_put = true;
	poster_put(&unit->poster, &unit->change);
}

void unit_changed(struct unit *unit, const struct volume *volume, bool is_of_node)
{
	pthread_mutex_lock(&unit->process->lock);
	unit->wanted = *volume;
	unit->is_changed = true;
	unit->is_to_leave = !is_of_node;
	put_change_locked(unit);
	pthread_mutex_unlock(&unit->process->lock);
}

void unit_stop(struct unit *unit)
{
	pthread_mutex_lock(&unit->process->lock);
	unit->is_to_stop = true;
	put_change_locked(unit);
	pthread_mutex_unlock(&unit->process->lock);
}

void unit_look_locked(struct unit *unit)
{
	if (unit->is_reachable && !atomic_exchange(&unit->is_look_put, true))
		poster_put(&unit->poster, &unit->look);
}

void unit_join(struct unit *unit)
{
	(void)pthread_join(unit->thread, NULL);
}

void unit_forget(struct unit *unit)
{
	pthread_mutex_lock(&unit->process->lock);
	list_remove(&unit->of_process);
	pthread_mutex_unlock(&unit->process->lock);
	free(unit);
}
