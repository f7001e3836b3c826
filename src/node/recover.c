/* SPDX-License-Identifier: Apache-2.0 */
/* After a restart: who of the state file is still there.
 *
 * A process that lives and still has its inboxes (found among its descriptors by their inode)
 * is lost, not dead: its inboxes are rung, its threads find the link broken and come back. They
 * are rung again, for a thread may have tried just before this dvsd listened, and looked at now
 * and then, for a process may let go without a word while it is lost. */
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/cleanup.h"
#include "node/api.h"

/* Take the inboxes of PROCESS out of its descriptors. */
static bool take_area(const struct host *host, struct process *process, uint64_t area)
{
	struct areas areas = { .area_fd = proc_open_memfd(host, process->id.pid, area),
			       .stats_fd = -1 };
	bool taken = areas.area_fd >= 0 && process_set_areas(process, &areas) == DVS_OK;

	areas_close(&areas);
	return taken;
}

static bool still_has_area(const struct host *host, const struct process *process)
{
	AUTO_CLOSE int fd = proc_open_memfd(host, process->id.pid, process->area);

	return fd >= 0;
}

static void watch_lost(struct host *host, struct process *process);

static void on_look(struct host *host, struct timer *timer)
{
	struct process *process = CONTAINER_OF(timer, struct process, rejoin_timer);

	if (process->ring_delay_ns < REJOIN_GRACE_NS) {
		process->ring_delay_ns *= 2;
	} else if (!still_has_area(host, process)) {
		process_end(host, process);
		return;
	}
	process_ring_all(process);
	watch_lost(host, process);
}

static void watch_lost(struct host *host, struct process *process)
{
	if (host_timer(host, &process->rejoin_timer, process->ring_delay_ns, on_look) != DVS_OK)
		log_error(&host->log, "out of memory: a lost process is not watched",
			  LOG_U64("pid", process->id.pid));
}

void lost_forget(struct host *host, uint32_t pid)
{
	struct process *process = process_first(host, pid);

	while (process) {
		struct process *next = process_next(process);

		if (process->state == PROCESS_LOST && !still_has_area(host, process))
			process_end(host, process);
		process = next;
	}
}

/* The process of HOLDER, or NULL when it is dead or has let go. */
static struct process *recover_process(struct host *host, const struct core_holder *holder,
				       struct server *server)
{
	struct process *process = process_find(host, &holder->id);

	if (process)
		return process;
	if (holder->id.node != host->config.node ||
	    process_create(host, server, holder->id.pid, &holder->id, &process) != DVS_OK)
		return NULL;
	process->state = holder->area == 0 ? PROCESS_AWAITED : PROCESS_LOST;
	if (holder->area != 0 && !take_area(host, process, holder->area)) {
		process_forget(host, process);
		return NULL;
	}
	process->ring_delay_ns = RING_FIRST_NS;
	if (process->state == PROCESS_LOST)
		watch_lost(host, process);
	return process;
}

/* One that is taken and has no binding was taken for an order, which this is what came of. */
static bool take_slot(struct process *process, uint32_t slot)
{
	if (bitmap_has(&process->slots, slot))
		return !process_in_slot(process, slot);
	return bitmap_set(&process->slots, slot) == DVS_OK;
}

/* False when its process is gone. */
static bool recover_binding(struct host *host, struct core_binding *core, struct server *server)
{
	struct process *process = NULL;
	struct binding *binding;

	if (core->holder) {
		process = recover_process(host, core->holder, server);
		if (!process || !take_slot(process, core->slot))
			return false;
	}
	binding = binding_create(host);
	if (!binding)
		return false;
	binding->core = core;
	binding->ep = core->endpoint->ep;
	binding->server = server;
	core->host = binding;
	if (process)
		binding_attach_process(binding, process, core->slot);
	return true;
}

struct gone {
	struct core_process *list;
	size_t n;
	size_t room;
};

static dvs_err gone_add(struct gone *gone, struct core_holder *holder)
{
	if (holder->host_gone)
		return DVS_OK;
	if (gone->n == gone->room) {
		size_t room = gone->room ? gone->room * 2 : 64;
		struct core_process *list = realloc(gone->list, room * sizeof(*list));

		if (!list)
			return DVS_NOMEM;
		gone->list = list;
		gone->room = room;
	}
	holder->host_gone = true;
	gone->list[gone->n++] = holder->id;
	return DVS_OK;
}

/* The bindings of a DC; whose process is gone comes into GONE. */
static dvs_err recover_dc(struct host *host, const struct core_dc *dc, struct gone *gone)
{
	struct server *server = server_find(host, dc->id);
	struct core_endpoint *endpoint = core_endpoint_from(dc, 0);
	dvs_err err = DVS_OK;

	for (; endpoint && err == DVS_OK;
	     endpoint = core_endpoint_from(dc, dvs_ep_number(endpoint->ep) + 1)) {
		LIST_FOREACH(link, &endpoint->bindings) {
			struct core_binding *core =
				CONTAINER_OF(link, struct core_binding, of_endpoint);

			if (core->node != host->config.node || core->host ||
			    recover_binding(host, core, server) || !core->holder)
				continue;
			err = gone_add(gone, core->holder);
			if (err != DVS_OK)
				break;
		}
	}
	return err;
}

/* What is left of them ends when all others are known: one that ends has heirs. */
static void gone_end(struct host *host, const struct gone *gone)
{
	for (size_t i = 0; i < gone->n; i++) {
		struct core_command command = { .op = CORE_PROCESS_DEAD, .process = gone->list[i] };

		order_command(host, &command, NULL, true);
	}
}

dvs_err recover(struct host *host)
{
	struct gone gone = { 0 };
	dvs_err err = DVS_OK;
	uint64_t n_dead;

	for (const struct core_dc *dc = core_dc_next(host->core, 0); dc && err == DVS_OK;
	     dc = core_dc_next(host->core, dc->id.n))
		err = recover_dc(host, dc, &gone);
	if (err == DVS_OK)
		gone_end(host, &gone);
	n_dead = gone.n;
	free(gone.list);
	if (err != DVS_OK)
		return err;
	LIST_FOREACH(at, &host->processes) {
		const struct process *process = CONTAINER_OF(at, struct process, of_host);

		if (process->state == PROCESS_LOST)
			process_ring_all(process);
	}
	if (core_n_endpoints(host->core) > 0 || n_dead > 0)
		log_info(&host->log, "took up the bindings of the former dvsd",
			 LOG_U64("endpoints", core_n_endpoints(host->core)),
			 LOG_U64("dead_processes", n_dead));
	return DVS_OK;
}
