/* SPDX-License-Identifier: Apache-2.0 */
/* Processes: their identity, their areas, their end, and ringing them. */
#include <assert.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "ipc/inbox.h"
#include "node/api.h"

static struct process *process_at(struct map_node *node)
{
	return node ? CONTAINER_OF(node, struct process, by_pid) : NULL;
}

struct process *process_first(const struct host *host, uint32_t pid)
{
	return process_at(map_first(&host->by_pid, pid));
}

struct process *process_next(const struct process *process)
{
	return process_at(map_next(&process->by_pid));
}

struct process *process_find(const struct host *host, const struct core_process *id)
{
	struct process *process = process_first(host, id->pid);

	while (process && !core_process_equal(&process->id, id))
		process = process_next(process);
	return process;
}

bool process_is_ready(const struct process *process)
{
	return process && process->state == PROCESS_LINKED && process->link &&
	       !process->link->doomed;
}

void process_became_ready(struct host *host, struct process *process)
{
	watch_touch(host, watch_process(process));
	host->renew_more = true;
}

void process_arrived(struct host *host, struct process *process)
{
	struct core_command command = { .op = CORE_PROCESS_AREA,
					.process = process->id,
					.area = process->area };

	if (process->n_bindings + process->n_orders > 0)
		order_command(host, &command, NULL, true);
	LIST_FOREACH(link, &process->bindings) {
		struct binding *binding = CONTAINER_OF(link, struct binding, of_process);

		binding_announce(host, binding);
		if (binding->woken)
			binding_send_woken(host, binding);
		watch_touch(host, watch_number(process->server->dc, binding->ep.n));
	}
	process_became_ready(host, process);
}

/* Containers have pid namespaces of their own. */
uint32_t process_flags(const struct host *host, const struct process *process)
{
	return process->pid_ns != 0 && process->pid_ns != host->pid_ns ? CORE_F_INSIDE : 0;
}

void process_move_to(struct process *process, struct server *server)
{
	if (process->server)
		process->server->n_processes--;
	process->server = server;
	if (server)
		server->n_processes++;
}

struct binding *process_binding(const struct process *process, uint32_t ep)
{
	const struct binding *any = NULL;
	const struct core_endpoint *endpoint;

	if (!process)
		return NULL;
	LIST_FOREACH(at, &process->bindings) {
		any = CONTAINER_OF(at, struct binding, of_process);
		if (!any->limbo)
			break;
	}
	if (!any || any->limbo)
		return NULL;
	endpoint = core_endpoint_find(any->core->endpoint->dc, ep);
	return endpoint ? binding_from_core(core_binding_of(endpoint, &process->id)) : NULL;
}

struct binding *process_in_slot(const struct process *process, uint32_t slot)
{
	/* the youngest is asked for most */
	for (struct list *at = process->bindings.prev; at != &process->bindings; at = at->prev) {
		struct binding *binding = CONTAINER_OF(at, struct binding, of_process);

		if (binding->slot == slot)
			return binding;
	}
	return NULL;
}

void process_release_slot(struct process *process, uint32_t slot)
{
	if (!process_in_slot(process, slot))
		bitmap_clear(&process->slots, slot);
}

dvs_err areas_create(struct areas *areas)
{
	areas->area_fd = memory_create("dvs-inboxes", IPC_AREA_BYTES);
	areas->stats_fd = memory_create("dvs-stats", IPC_STATS_BYTES);
	if (areas->area_fd >= 0 && areas->stats_fd >= 0)
		return DVS_OK;
	areas_close(areas);
	return DVS_FULL;
}

void areas_close(struct areas *areas)
{
	cleanup_close(&areas->area_fd);
	cleanup_close(&areas->stats_fd);
}

void areas_discard(struct host *host, struct areas *areas)
{
	fd_discard(host, areas->area_fd);
	fd_discard(host, areas->stats_fd);
	*areas = (struct areas){ -1, -1 };
}

void process_drop_areas(struct process *process)
{
	if (process->inboxes)
		munmap(process->inboxes, IPC_AREA_BYTES);
	if (process->stats)
		munmap(process->stats, IPC_STATS_BYTES);
	shared_fd_drop(process->area_fd);
	process->inboxes = NULL;
	process->stats = NULL;
	process->area_fd = NULL;
	process->area = 0;
}

static void *map_shared(int fd, size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (memory == MAP_FAILED)
		return NULL;
	return memory;
}

dvs_err process_set_areas(struct process *process, struct areas *areas)
{
	uint64_t ignored;

	process_drop_areas(process);
	if (!memory_check(areas->area_fd, IPC_AREA_BYTES, &process->area))
		return DVS_PROTO;
	process->inboxes = map_shared(areas->area_fd, IPC_AREA_BYTES);
	if (areas->stats_fd >= 0) {
		if (!memory_check(areas->stats_fd, IPC_STATS_BYTES, &ignored))
			return DVS_PROTO;
		process->stats = map_shared(areas->stats_fd, IPC_STATS_BYTES);
	}
	process->area_fd = shared_fd_create(take_fd(&areas->area_fd));
	cleanup_close(&areas->stats_fd);
	return process->inboxes && process->area_fd ? DVS_OK : DVS_NOMEM;
}

static void on_pidfd(struct host *host, struct source *source, uint32_t events)
{
	struct process *process = CONTAINER_OF(source, struct process, source);

	(void)events;
	if (process->link)
		link_doom(host, process->link, NULL);
	else
		process_end(host, process);
}

uint64_t process_serial(struct host *host)
{
	struct timespec now;
	uint64_t serial;

	/* It only has to differ from those of earlier links, also across a restart. */
	(void)clock_gettime(CLOCK_REALTIME, &now);
	serial = (uint64_t)now.tv_sec * CLOCK_NS_PER_S + (uint64_t)now.tv_nsec;
	if (serial <= host->last_serial)
		serial = host->last_serial + 1;
	host->last_serial = serial;
	return serial;
}

dvs_err process_create(struct host *host, struct server *server, uint32_t pid,
		       const struct core_process *id, struct process **made)
{
	struct process *process = calloc(1, sizeof(*process));

	if (!process || map_reserve(&host->by_pid) != DVS_OK) {
		free(process);
		return DVS_NOMEM;
	}
	process->source = (struct source){ .fd = pidfd_of(pid), .ready = on_pidfd };
	process->id = (struct core_process){ .node = host->config.node,
					     .pid = pid,
					     .starttime = proc_starttime(pid),
					     .serial = process_serial(host) };
	process->pid_ns = proc_pid_ns(pid);
	process->own_pid = process->pid_ns == host->pid_ns ? pid : proc_own_pid(pid);
	if (id) {
		bool same = process->id.starttime == id->starttime;

		process->id = *id;
		process->id.starttime = same ? id->starttime : 0;
	}
	if (process->source.fd < 0 || process->id.starttime == 0 ||
	    source_add(host, &process->source, EPOLLIN) != DVS_OK) {
		cleanup_close(&process->source.fd);
		free(process);
		return DVS_NOPROC;
	}
	list_init(&process->bindings);
	process->server = server;
	if (server)
		server->n_processes++;
	map_add(&host->by_pid, &process->by_pid, pid);
	list_add_tail(&host->processes, &process->of_host);
	*made = process;
	return DVS_OK;
}

void process_forget(struct host *host, struct process *process)
{
	assert(!process->link && list_is_empty(&process->bindings));
	timer_cancel(&host->timers, &process->ring_timer);
	timer_cancel(&host->timers, &process->rejoin_timer);
	watch_touch(host, watch_process(process));
	source_close(host, &process->source);
	process_drop_areas(process);
	bitmap_free(&process->slots);
	map_remove(&host->by_pid, &process->by_pid);
	list_remove(&process->of_host);
	if (process->server)
		process->server->n_processes--;
	process->remains.memory = process;
	list_add_tail(&host->dead, &process->remains.of_dead);
}

void binding_cut(struct host *host, struct binding *binding)
{
	const struct core_endpoint *endpoint = binding->core->endpoint;

	/* What migrates waits, as it does when its process dies in the quorum. */
	if (binding->core->role == CORE_PRIMARY && !endpoint->migrating)
		channels_close(host, binding,
			       endpoint->n_backups > 0 ? DVS_NOQUORUM : DVS_PEERDEAD);
}

static void process_cut(struct host *host, struct process *process)
{
	LIST_FOREACH(link, &process->bindings)
		binding_cut(host, CONTAINER_OF(link, struct binding, of_process));
}

void processes_cut(struct host *host)
{
	LIST_FOREACH(link, &host->processes) {
		struct process *process = CONTAINER_OF(link, struct process, of_host);

		if (process->state == PROCESS_DEAD)
			process_cut(host, process);
	}
}

static void on_end_again(struct host *host, struct timer *timer)
{
	process_end(host, CONTAINER_OF(timer, struct process, rejoin_timer));
}

static void on_dead(struct host *host, struct order *order, dvs_err err)
{
	struct process *process = order_process(host, order);

	if (!process)
		return;
	/* Without memory its end must wait; its partners do. */
	if (err == DVS_OK || err == DVS_NOPROC)
		process_forget(host, process);
	else if (host_timer(host, &process->rejoin_timer, CLOCK_NS_PER_S, on_end_again) != DVS_OK)
		log_error(&host->log, "out of memory: the end of a process is not told",
			  LOG_U64("pid", process->id.pid));
}

/* Nobody touches its memory any more, whenever the other nodes hear of its end. */
static void process_leave(struct host *host, struct process *process)
{
	process->state = PROCESS_DEAD;
	timer_cancel(&host->timers, &process->ring_timer);
	timer_cancel(&host->timers, &process->rejoin_timer);
	source_close(host, &process->source);
	LIST_FOREACH(link, &process->bindings) {
		struct binding *binding = CONTAINER_OF(link, struct binding, of_process);

		trace_end(binding);
		copies_forget(host, binding);
		grants_free(binding);
		binding->blocked_on = BLOCKED_NOT;
	}
	process_drop_areas(process);
	watch_touch(host, watch_process(process));
}

void process_end(struct host *host, struct process *process)
{
	const struct core_command command = { .op = CORE_PROCESS_DEAD, .process = process->id };
	const struct order order = { .done = on_dead, .process = process->id };

	process_leave(host, process);
	if (process->n_bindings + process->n_orders == 0) {
		process_forget(host, process);
		return;
	}
	if (host->outside)
		process_cut(host, process);
	order_command(host, &command, &order, true);
}

/* ---- ringing ---- */

static void ring(const struct process *process, uint32_t slot)
{
	void *page = process->inboxes + (size_t)slot * IPC_PAGE;

	inbox_ring_event(page);
}

void process_ring_all(const struct process *process)
{
	if (!process->inboxes)
		return;
	LIST_FOREACH(link, &process->bindings)
		ring(process, CONTAINER_OF(link, struct binding, of_process)->slot);
}

static void on_ring_again(struct host *host, struct timer *timer)
{
	struct process *process = CONTAINER_OF(timer, struct process, ring_timer);
	int unread = 0;

	if (!process->link || process->link->source.fd < 0 ||
	    ioctl(process->link->source.fd, SIOCOUTQ, &unread) != 0 || unread == 0) {
		process->n_ring_slots = 0;
		return;
	}
	if (process->n_ring_slots > RINGS_MAX) {
		process_ring_all(process);
	} else {
		for (unsigned int i = 0; i < process->n_ring_slots; i++)
			ring(process, process->ring_slots[i]);
	}
	process->ring_delay_ns *= 2;
	if (process->ring_delay_ns > RING_LAST_NS)
		process->ring_delay_ns = RING_LAST_NS;
	if (host_timer(host, timer, process->ring_delay_ns, on_ring_again) != DVS_OK)
		process->n_ring_slots = 0;
}

/* An event for page SLOT has been sent. A hostile partner may wipe the hint at once, so the
 * inbox is rung again as long as something lies unread. */
void process_ring(struct host *host, struct process *process, uint32_t slot)
{
	if (!process->inboxes || slot >= IPC_SLOTS_MAX)
		return;
	ring(process, slot);
	for (unsigned int i = 0; i < process->n_ring_slots && i < RINGS_MAX; i++) {
		if (process->ring_slots[i] == slot)
			return;
	}
	if (process->n_ring_slots < RINGS_MAX)
		process->ring_slots[process->n_ring_slots++] = slot;
	else
		process->n_ring_slots = RINGS_MAX + 1;
	if (process->ring_timer.place != 0)
		return;
	process->ring_delay_ns = RING_FIRST_NS;
	if (host_timer(host, &process->ring_timer, RING_FIRST_NS, on_ring_again) != DVS_OK)
		process->n_ring_slots = 0;
}
