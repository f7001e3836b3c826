/* SPDX-License-Identifier: Apache-2.0 */
/* Carriers: for each peer node that is up a dvs-proxy is started, and again when it ends. What
 * it needs to go on where its predecessor stopped is kept here: its areas, and all carriages. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "node/api.h"
#include "node/carrier.h"
#include "node/spawn.h"

/* ---- the record ---- */

static dvs_err carrier_make_areas(struct carrier *carrier)
{
	struct areas areas = { -1, -1 };
	dvs_err err = areas_create(&areas);

	if (err == DVS_OK) {
		carrier->stats_fd = shared_fd_create(take_fd(&areas.stats_fd));
		err = carrier->stats_fd ? process_set_areas(&carrier->process, &areas) : DVS_NOMEM;
	}
	areas_close(&areas);
	return err;
}

struct carrier *carrier_get(struct host *host, uint32_t node)
{
	struct carrier *carrier;

	if (node >= CORE_NODES_MAX)
		return NULL;
	if (host->carriers[node])
		return host->carriers[node];
	carrier = calloc(1, sizeof(*carrier));
	if (!carrier)
		return NULL;
	carrier->node = node;
	list_init(&carrier->carriages);
	list_init(&carrier->leaving);
	carrier->process.carrier = carrier;
	carrier->process.state = PROCESS_AWAITED;
	carrier->process.source.fd = -1;
	carrier->process.id.node = host->config.node;
	carrier->process.id.serial = process_serial(host);
	list_init(&carrier->process.of_host);
	list_init(&carrier->process.bindings);
	if (carrier_make_areas(carrier) != DVS_OK) {
		process_drop_areas(&carrier->process);
		shared_fd_drop(carrier->stats_fd);
		free(carrier);
		return NULL;
	}
	host->carriers[node] = carrier;
	return carrier;
}

bool carrier_can_take(const struct host *host, const struct carrier *carrier)
{
	return carrier->up &&
	       !(carrier->process.link && link_is_congested(host, carrier->process.link));
}

/* What is not sent because no proxy is there, the next one is told. */
void carrier_send(struct host *host, struct carrier *carrier, struct frame *frame)
{
	struct link *link = carrier->process.link;

	if (!link)
		return;
	frame->ring = 0;
	link_send(host, link, frame);
}

/* ---- the process ---- */

static void carrier_start(struct host *host, struct carrier *carrier);

static void on_start(struct host *host, struct timer *timer)
{
	carrier_start(host, CONTAINER_OF(timer, struct carrier, start_timer));
}

static void carrier_start_later(struct host *host, struct carrier *carrier)
{
	if (!carrier->up)
		return;
	if (host_timer(host, &carrier->start_timer, carrier->delay_ns, on_start) != DVS_OK)
		log_error(&host->log, "out of memory: a proxy is not started",
			  LOG_U64("node", carrier->node));
	carrier->delay_ns *= 2;
	if (carrier->delay_ns > PROXY_DELAY_LAST_NS)
		carrier->delay_ns = PROXY_DELAY_LAST_NS;
}

static void on_child(struct host *host, struct source *source, uint32_t events)
{
	struct child *child = CONTAINER_OF(source, struct child, source);
	struct carrier *carrier = child->carrier;
	int status = 0;

	(void)events;
	if (waitpid((pid_t)child->pid, &status, WNOHANG) == 0)
		return;
	source_close(host, &child->source);
	list_remove(&child->of_host);
	child->remains.memory = child;
	list_add_tail(&host->dead, &child->remains.of_dead);
	if (!carrier)
		return;
	carrier->child = NULL;
	if (carrier->process.link)
		link_doom(host, carrier->process.link, NULL);
	if (clock_now_ns() - child->started_ns > PROXY_LIVED_NS)
		carrier->delay_ns = PROXY_DELAY_FIRST_NS;
	if (host_may_complain(host))
		log_warning(&host->log, "a proxy has ended and is started again",
			    LOG_U64("peer", carrier->node), LOG_U64("pid", child->pid),
			    LOG_U64("signal", WIFSIGNALED(status) ? (unsigned)WTERMSIG(status) : 0),
			    LOG_U64("status",
				    WIFEXITED(status) ? (unsigned)WEXITSTATUS(status) : 0));
	carrier_start_later(host, carrier);
}

/* Its child, if it lives, is ended, and waited for as nobody's. */
static void carrier_drop_child(struct carrier *carrier)
{
	struct child *child = carrier->child;

	carrier->child = NULL;
	if (!child)
		return;
	child->carrier = NULL;
	(void)syscall(SYS_pidfd_send_signal, child->source.fd, SIGKILL, NULL, 0);
}

static dvs_err child_watch(struct host *host, struct carrier *carrier, uint32_t pid)
{
	struct child *child = calloc(1, sizeof(*child));

	if (child) {
		child->source = (struct source){ .fd = pidfd_of(pid), .ready = on_child };
		child->carrier = carrier;
		child->pid = pid;
		child->started_ns = clock_now_ns();
	}
	if (child && child->source.fd >= 0 && source_add(host, &child->source, EPOLLIN) == DVS_OK) {
		list_add_tail(&host->children, &child->of_host);
		carrier->child = child;
		return DVS_OK;
	}
	if (child)
		cleanup_close(&child->source.fd);
	free(child);
	(void)kill((pid_t)pid, SIGKILL);
	(void)waitpid((pid_t)pid, NULL, 0);
	return DVS_NOMEM;
}

dvs_err carrier_link(struct host *host, struct carrier *carrier, int fd, uint32_t pid)
{
	struct link *link = link_new(host, &host->admin, fd, pid, host->uid);

	if (!link) {
		close(fd);
		return DVS_NOMEM;
	}
	/* It is a proxy's and nothing else. */
	link->admin = link->manager = false;
	link->carrier = carrier;
	link->starttime = proc_starttime(pid);
	link->pid_ns = host->pid_ns;
	if (source_add(host, &link->source, EPOLLIN) == DVS_OK)
		return DVS_OK;
	link_doom(host, link, NULL);
	return DVS_IO;
}

static dvs_err carrier_try_start(struct host *host, struct carrier *carrier)
{
	struct spawn_proxy what = { .program = host->proxy,
				    .config = host->options.config_path,
				    .address = carrier->address,
				    .log_level = log_level_name(host->log.level),
				    .peer = carrier->node,
				    .node = host->config.node };
	uint32_t pid;
	int fd;
	dvs_err err = spawn_proxy(&what, &fd, &pid);

	if (err != DVS_OK)
		return err;
	err = child_watch(host, carrier, pid);
	if (err != DVS_OK) {
		close(fd);
		return err;
	}
	carrier->n_starts++;
	return carrier_link(host, carrier, fd, pid);
}

static void carrier_start(struct host *host, struct carrier *carrier)
{
	dvs_err err;

	if (!carrier->up || carrier->child || !host->proxy)
		return;
	err = carrier_try_start(host, carrier);
	if (err == DVS_OK)
		return;
	if (host_may_complain(host))
		log_warning(&host->log, "cannot start a proxy", LOG_U64("peer", carrier->node),
			    LOG_STR("why", dvs_strerror(err)));
	carrier_drop_child(carrier);
	carrier_start_later(host, carrier);
}

/* ---- up and down ---- */

dvs_err carrier_open(struct host *host, uint32_t node, const char *address)
{
	struct carrier *carrier = node == host->config.node ? NULL : carrier_get(host, node);
	bool same;

	if (strlen(address) > CARRIER_ADDRESS_MAX || node == host->config.node)
		return DVS_BADARG;
	if (!carrier)
		return DVS_NOMEM;
	same = carrier->up && strcmp(carrier->address, address) == 0;
	if (same)
		return DVS_OK;
	memcpy(carrier->address, address, strlen(address) + 1);
	carrier->up = true;
	carrier->delay_ns = PROXY_DELAY_FIRST_NS;
	/* one that connects to the former address is of no use */
	carrier_drop_child(carrier);
	carrier_start(host, carrier);
	process_became_ready(host, &carrier->process);
	return DVS_OK;
}

void carrier_close(struct host *host, uint32_t node)
{
	struct carrier *carrier = node < CORE_NODES_MAX ? host->carriers[node] : NULL;

	if (!carrier || !carrier->up)
		return;
	carrier->up = false;
	timer_cancel(&host->timers, &carrier->start_timer);
	carrier_drop_child(carrier);
	if (carrier->process.link)
		link_doom(host, carrier->process.link, NULL);
	carriages_leave_now(host, carrier);
	copies_node_down(host, carrier);
	timer_cancel(&host->timers, &carrier->over_timer);
	carrier->report = (struct control_link_report_req){ 0 };
	process_became_ready(host, &carrier->process);
}

static void carrier_free(struct host *host, struct carrier *carrier)
{
	while (!list_is_empty(&carrier->process.bindings)) {
		struct binding *binding =
			CONTAINER_OF(carrier->process.bindings.next, struct binding, of_process);

		while (!list_is_empty(&binding->channels))
			channel_destroy(host, CONTAINER_OF(binding->channels.next,
							   struct channel_end, of_binding)
						      ->channel);
		if (binding->core)
			binding->core->host = NULL;
		binding_destroy(host, binding);
	}
	timer_cancel(&host->timers, &carrier->start_timer);
	timer_cancel(&host->timers, &carrier->over_timer);
	timer_cancel(&host->timers, &carrier->process.ring_timer);
	carrier_drop_child(carrier);
	process_drop_areas(&carrier->process);
	shared_fd_drop(carrier->stats_fd);
	bitmap_free(&carrier->indexes);
	bitmap_free(&carrier->process.slots);
	host->carriers[carrier->node] = NULL;
	free(carrier);
}

void carriers_restart(struct host *host)
{
	for (uint32_t node = 0; node < CORE_NODES_MAX; node++) {
		struct carrier *carrier = host->carriers[node];

		if (!carrier || !carrier->up)
			continue;
		carrier->delay_ns = PROXY_DELAY_FIRST_NS;
		if (carrier->child) {
			(void)syscall(SYS_pidfd_send_signal, carrier->child->source.fd, SIGKILL,
				      NULL, 0);
		} else {
			timer_cancel(&host->timers, &carrier->start_timer);
			carrier_start(host, carrier);
		}
	}
}

void carriers_free(struct host *host)
{
	for (uint32_t node = 0; node < CORE_NODES_MAX; node++) {
		if (host->carriers[node])
			carrier_free(host, host->carriers[node]);
	}
	while (!list_is_empty(&host->children)) {
		struct child *child =
			CONTAINER_OF(list_take_head(&host->children), struct child, of_host);

		(void)waitpid((pid_t)child->pid, NULL, 0);
		source_close(host, &child->source);
		free(child);
	}
}

/* ---- the link ---- */

void carrier_unlinked(struct host *host, struct carrier *carrier)
{
	carrier->process.link = NULL;
	carrier->process.state = PROCESS_AWAITED;
	carrier->report.up = 0;
	copies_unlinked(host, carrier);
	/* without its link it is of no use; its end starts the next one */
	if (carrier->child)
		(void)syscall(SYS_pidfd_send_signal, carrier->child->source.fd, SIGKILL, NULL, 0);
}

void carrier_hello(struct host *host, struct request *request)
{
	struct link *link = request->link;
	struct carrier *carrier = link->carrier;
	struct control_hello_rep rep = { .node = host->config.node };
	struct control_hello_req req;
	struct frame frame;

	if (control_hello_req_decode(&request->body, &req) != DVS_OK ||
	    req.version != CONTROL_VERSION || req.rejoin != 0 || link->greeted ||
	    carrier->process.link) {
		request_answer(host, request, DVS_PROTO);
		return;
	}
	link->greeted = true;
	carrier->process.link = link;
	carrier->process.state = PROCESS_LINKED;
	frame_begin(&frame, request->op, request->id, DVS_OK);
	control_hello_rep_encode(&frame.out, &rep);
	frame_attach(&frame, carrier->process.area_fd);
	frame_attach(&frame, carrier->stats_fd);
	link_send(host, link, &frame);
	carriages_tell(host, carrier);
	copies_tell(host, carrier);
	limits_tell(host, carrier);
	process_became_ready(host, &carrier->process);
}

void op_link_report(struct host *host, struct request *request)
{
	struct carrier *carrier = request->link->carrier;
	struct control_link_report_req req;
	dvs_err err = control_link_report_req_decode(&request->body, &req);

	if (err == DVS_OK && carrier->report.up != req.up)
		log_info(&host->log, req.up ? "link up" : "link down",
			 LOG_U64("peer", carrier->node), LOG_STR("transport", req.transport),
			 LOG_STR("why", req.text));
	if (err == DVS_OK && carrier->report.up != req.up)
		happened(host, &(struct news){ .what = req.up ? "link.up" : "link.down",
					       .node = carrier->node,
					       .text = req.text });
	if (err == DVS_OK)
		carrier->report = req;
	request_answer(host, request, err);
}

static const struct carrier *carrier_from(const struct host *host, uint32_t cursor)
{
	for (uint32_t node = cursor; node < CORE_NODES_MAX; node++) {
		if (host->carriers[node] && host->carriers[node]->up)
			return host->carriers[node];
	}
	return NULL;
}

void op_link_next(struct host *host, struct request *request)
{
	const struct carrier *carrier = NULL;
	const struct control_link_report_req *report;
	struct control_link_next_req req;
	struct control_link_next_rep rep;
	struct frame frame;
	dvs_err err = control_link_next_req_decode(&request->body, &req);

	if (err == DVS_OK) {
		carrier = carrier_from(host, req.cursor);
		err = carrier ? DVS_OK : DVS_NODEST;
	}
	if (err != DVS_OK) {
		request_answer(host, request, err);
		return;
	}
	report = &carrier->report;
	rep = (struct control_link_next_rep){
		.node = carrier->node,
		.proxy_pid = carrier->child ? carrier->child->pid : 0,
		.channels = carrier->n_carriages,
		.up = report->up,
		.rtt_ns = report->rtt_ns,
		.frames_in = report->frames_in,
		.frames_out = report->frames_out,
		.bytes_in = report->bytes_in,
		.bytes_out = report->bytes_out,
		.writes = report->writes,
		.reconnects = report->reconnects,
		.bad_frames = report->bad_frames,
	};
	memcpy(rep.transport, report->transport, sizeof(rep.transport));
	memcpy(rep.filters, report->filters, sizeof(rep.filters));
	memcpy(rep.text, report->text, sizeof(rep.text));
	frame_begin(&frame, request->op, request->id, DVS_OK);
	control_link_next_rep_encode(&frame.out, &rep);
	link_send(host, request->link, &frame);
}
