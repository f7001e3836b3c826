/* SPDX-License-Identifier: Apache-2.0 */
/* The first frame of a link: who is there gets its areas, or, after a restart of dvsd, brings
 * them along. */
#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "node/api.h"

/* A process is in one DC at a time. The areas of its former link are of no use to it then. */
static bool is_in_other_dc(const struct host *host, const struct link *link)
{
	const struct process *process = process_first(host, link->pid);

	for (; process; process = process_next(process)) {
		if (process->id.starttime == link->starttime && process->server &&
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

static void process_link(struct host *host, struct process *process, struct link *link)
{
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
		err = process_create(host, server_find(host, link->dc), link->pid, &process);
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

void op_hello(struct host *host, struct request *request)
{
	struct link *link = request->link;
	struct control_hello_req req;
	struct shared_fd *stats = NULL;
	dvs_err err = control_hello_req_decode(&request->body, &req);

	if (err != DVS_OK || req.version != CONTROL_VERSION || link->greeted || req.rejoin > 1) {
		request_answer(host, request, DVS_PROTO);
		return;
	}
	if (is_in_other_dc(host, link))
		err = DVS_DENIED;
	else
		err = hello_fresh(host, link, &stats);
	if (err == DVS_OK) {
		hello_answer(host, request, stats);
		process_arrived(host, link->process);
	} else {
		request_answer(host, request, err);
	}
	shared_fd_drop(stats);
}
