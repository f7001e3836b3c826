/* SPDX-License-Identifier: Apache-2.0 */
/* The first frame of a link: who is there gets its areas, or, after a restart of dvsd, brings
 * them along. */
#include <fcntl.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "node/api.h"
#include "node/carrier.h"

/* A process is in one DC at a time. The areas of its former link are of no use to it then. */
static bool is_in_other_dc(const struct host *host, const struct link *link)
{
	const struct process *process = process_first(host, link->pid);

	for (; process; process = process_next(process)) {
		/* an administrator looks at one DC while it talks in another */
		if (process->link && process->link->admin)
			continue;
		/* what others wish to bind for it binds it to nothing */
		if (process->state != PROCESS_AWAITED && process->state != PROCESS_DEAD &&
		    process->id.starttime == link->starttime && process->server &&
		    process->server->dc.n != link->dc.n && link->dc.n != 0)
			return true;
	}
	return false;
}

/* A record of this very process that waits for a link. */
static struct process *find_waiting(const struct host *host, const struct link *link,
				    enum process_state state, uint64_t area)
{
	struct process *process = process_first(host, link->pid);

	for (; process; process = process_next(process)) {
		if (process->state == state && process->id.starttime == link->starttime &&
		    process->server && process->server->dc.n == link->dc.n &&
		    (area == 0 || process->area == area))
			return process;
	}
	return NULL;
}

static void hello_answer(struct host *host, const struct request *request, struct shared_fd *stats)
{
	const struct link *link = request->link;
	const struct core_dc *dc = core_dc_find(host->core, link->dc);
	struct control_hello_rep rep = {
		.node = host->config.node,
		.dc = link->dc.n,
		.manager = link->manager,
	};
	struct frame frame;

	if (dc)
		memcpy(rep.dc_name, dc->name, sizeof(rep.dc_name));
	frame_begin(&frame, request->op, request->id, DVS_OK);
	control_hello_rep_encode(&frame.out, &rep);
	if (stats) {
		frame_attach(&frame, link->process->area_fd);
		frame_attach(&frame, stats);
	}
	link_send(host, request->link, &frame);
}

/* A client that asks one thing at a time sends nothing before the answer: then its next frame,
 * which a fast one sends before this dvsd looks again, counts as sent after the hello. */
static bool has_sent_no_more(const struct link *link)
{
	int waiting = 0;

	return link->source.fd >= 0 && ioctl(link->source.fd, SIOCINQ, &waiting) == 0 &&
	       waiting == 0;
}

static void process_link(struct host *host, struct process *process, struct link *link)
{
	process->has_image = image_of(process->id.pid, &process->image);
	process->image_confirmed = false;
	link->drained = has_sent_no_more(link);
	process->link = link;
	link->process = process;
	link->greeted = true;
	timer_cancel(&host->timers, &link->hello_timer);
}

/* Fresh areas, for a process that is new or was awaited. */
static dvs_err hello_fresh(struct host *host, struct link *link, struct shared_fd **stats)
{
	struct process *process = find_waiting(host, link, PROCESS_AWAITED, 0);
	struct areas areas = { -1, -1 };
	dvs_err err = areas_create(&areas);
	int stats_fd;

	if (err != DVS_OK)
		return err;
	stats_fd = fcntl(areas.stats_fd, F_DUPFD_CLOEXEC, 0);
	*stats = stats_fd >= 0 ? shared_fd_create(stats_fd) : NULL;
	if (!*stats)
		err = DVS_FULL;
	else if (!process)
		err = process_create(host, server_find(host, link->dc), link->pid, NULL, &process);
	if (err == DVS_OK && process->id.starttime != link->starttime)
		err = DVS_DENIED; /* the pid is another process's by now */
	if (err == DVS_OK)
		err = process_set_areas(process, &areas);
	areas_close(&areas);
	if (err != DVS_OK) {
		if (process && process->n_bindings == 0)
			process_forget(host, process);
		return err == DVS_NOPROC ? DVS_DENIED : err;
	}
	process->state = PROCESS_LINKED;
	process_link(host, process, link);
	return DVS_OK;
}

static void on_rejoin_late(struct host *host, struct timer *timer)
{
	process_rejoined(host, CONTAINER_OF(timer, struct process, rejoin_timer));
}

/* Nobody else's inboxes may be passed off as one's own. */
static bool is_area_of_other(const struct host *host, const struct link *link, uint64_t area)
{
	LIST_FOREACH(at, &host->processes) {
		const struct process *process = CONTAINER_OF(at, struct process, of_host);

		if (process->area == area && process->id.pid != link->pid)
			return true;
	}
	return false;
}

/* With the areas that the process brings along. One that the state file does not know is
 * welcome too, only that it has no endpoints. */
static dvs_err hello_again(struct host *host, struct link *link, struct areas *areas)
{
	struct process *process;
	uint64_t area;
	uint64_t stats;
	dvs_err err = DVS_OK;

	if (!memory_check(areas->area_fd, IPC_AREA_BYTES, &area) ||
	    !memory_check(areas->stats_fd, IPC_STATS_BYTES, &stats))
		return DVS_PROTO;
	process = find_waiting(host, link, PROCESS_LOST, area);
	if (!process && is_area_of_other(host, link, area))
		return DVS_DENIED;
	if (!process)
		err = process_create(host, server_find(host, link->dc), link->pid, NULL, &process);
	if (err != DVS_OK)
		return err == DVS_NOPROC ? DVS_DENIED : err;
	err = process->id.starttime == link->starttime ? process_set_areas(process, areas) :
							 DVS_DENIED;
	if (err == DVS_OK)
		err = host_timer(host, &process->rejoin_timer, REJOIN_GRACE_NS, on_rejoin_late);
	if (err != DVS_OK) {
		process_end(host, process);
		return err;
	}
	process->state = PROCESS_REJOINING;
	process_link(host, process, link);
	return DVS_OK;
}

void op_hello(struct host *host, struct request *request)
{
	struct link *link = request->link;
	struct areas brought = { request->fds[0], request->fds[1] };
	struct control_hello_req req;
	struct shared_fd *stats = NULL;
	dvs_err err;

	if (link->carrier) {
		carrier_hello(host, request);
		return;
	}
	err = control_hello_req_decode(&request->body, &req);
	if (err != DVS_OK || req.version != CONTROL_VERSION || link->greeted || req.rejoin > 1) {
		request_answer(host, request, DVS_PROTO);
		return;
	}
	lost_forget(host, link->pid);
	if (is_in_other_dc(host, link)) {
		err = DVS_DENIED;
	} else if (req.rejoin) {
		request->fds[0] = request->fds[1] = -1;
		err = hello_again(host, link, &brought);
		areas_discard(host, &brought);
	} else {
		err = hello_fresh(host, link, &stats);
	}
	if (err != DVS_OK) {
		request_answer(host, request, err);
	} else {
		hello_answer(host, request, stats);
		if (!req.rejoin)
			process_arrived(host, link->process);
	}
	shared_fd_drop(stats);
}
