/* SPDX-License-Identifier: Apache-2.0 */
/* The agent of this node (docs/decisions/0018): a process that dvsd starts when a DC has a container here, when there are volumes, or when somebody asks for
 * it, and again when it ends. It is reached in the hidden DC ".dvs", which is made for it. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/ask.h"
#include "node/containers.h"
#include "node/spawn.h"

static const struct core_dc *agents_dc(const struct host *host)
{
	return core_dc_by_name(host->core, DVK_AGENTS_DC);
}

/* Whether this node can have one. */
static bool agent_can(const struct host *host)
{
	return host->uid == 0 && host->agent.path && access(host->agent.path, X_OK) == 0;
}

/* Which nodes have a replica of a volume stands in its record, which nobody reads here: the agent does. */
static bool agent_is_needed(const struct host *host)
{
	return core_node_has_containers(host->core, host->config.node) ||
	       core_has_records(host->core, "volume/");
}

/* ---- the process ---- */

static void on_start(struct host *host, struct timer *timer)
{
	(void)timer;
	agent_look(host);
}

static void agent_start_later(struct host *host)
{
	struct agent *agent = &host->agent;

	if (host_timer(host, &agent->start_timer, agent->delay_ns, on_start) != DVS_OK)
		log_error(&host->log, "out of memory: the agent is not started");
	agent->delay_ns *= 2;
	if (agent->delay_ns > AGENT_DELAY_LAST_NS)
		agent->delay_ns = AGENT_DELAY_LAST_NS;
}

static void on_child(struct host *host, struct source *source, uint32_t events)
{
	struct agent *agent = &host->agent;
	int status = 0;

	(void)events;
	if (waitpid((pid_t)agent->pid, &status, WNOHANG) == 0)
		return;
	source_close(host, source);
	if (clock_now_ns() - agent->started_ns > AGENT_LIVED_NS)
		agent->delay_ns = AGENT_DELAY_FIRST_NS;
	if (host_may_complain(host))
		log_warning(&host->log, "the agent has ended and is started again",
			    LOG_U64("pid", agent->pid),
			    LOG_U64("signal", WIFSIGNALED(status) ? (unsigned)WTERMSIG(status) : 0),
			    LOG_U64("status",
				    WIFEXITED(status) ? (unsigned)WEXITSTATUS(status) : 0));
	agent_start_later(host);
}

static dvs_err agent_watch(struct host *host, uint32_t pid)
{
	struct agent *agent = &host->agent;

	agent->pid = pid;
	agent->started_ns = clock_now_ns();
	agent->source = (struct source){ .fd = pidfd_of(pid), .ready = on_child };
	if (agent->source.fd >= 0 && source_add(host, &agent->source, EPOLLIN) == DVS_OK)
		return DVS_OK;
	source_close(host, &agent->source);
	(void)kill((pid_t)pid, SIGKILL);
	(void)waitpid((pid_t)pid, NULL, 0);
	return DVS_FULL;
}

static void agent_start(struct host *host)
{
	struct agent *agent = &host->agent;
	struct spawn_agent what = { .program = agent->path,
				    .run_dir = host->options.run_dir,
				    .lib_dir = host->options.lib_dir,
				    .log_level = log_level_name(host->log.level),
				    .node = host->config.node };
	uint32_t pid;
	dvs_err err;

	err = spawn_agent(&what, &pid);
	if (err == DVS_OK)
		err = agent_watch(host, pid);
	if (err == DVS_OK) {
		log_info(&host->log, "agent started", LOG_U64("pid", pid));
		return;
	}
	if (host_may_complain(host))
		log_warning(&host->log, "cannot start the agent",
			    LOG_STR("why", dvs_strerror(err)));
	agent_start_later(host);
}

/* ---- when ---- */

static void on_agents_dc(struct host *host, struct order *order, dvs_err err)
{
	(void)order;
	host->agent.making_dc = false;
	if (err == DVS_OK || err == DVS_EXISTS)
		return;
	log_error(&host->log, "cannot make the DC of the agents",
		  LOG_STR("why", dvs_strerror(err)));
	agent_start_later(host);
}

static void make_agents_dc(struct host *host)
{
	struct core_command command = { .op = CORE_DC_CREATE, .flags = CORE_F_HIDDEN };
	const struct order order = { .done = on_agents_dc };

	if (host->agent.making_dc)
		return;
	memcpy(command.name, DVK_AGENTS_DC, sizeof(DVK_AGENTS_DC));
	host->agent.making_dc = true;
	order_command(host, &command, &order, true);
}

static void agent_cannot(struct host *host)
{
	struct agent *agent = &host->agent;

	if (!agent->told)
		log_warning(
			&host->log,
			"containers or volumes are wanted, but this node can have no agent: it takes a dvsd "
			"that is root, and the program dvs-agent",
			LOG_STR("program", agent->path));
	agent->told = true;
	agent_start_later(host);
}

void agent_look(struct host *host)
{
	struct agent *agent = &host->agent;

	agent->look = false;
	if (host->stopping || !agent->path)
		return;
	if (!agent->wanted && !agent_is_needed(host))
		return;
	agent->wanted = true;
	if (agent->source.fd >= 0 || agent->start_timer.place != 0)
		return;
	if (!agent_can(host)) {
		agent_cannot(host);
	} else if (agents_dc(host)) {
		agent->told = false;
		agent_start(host);
	} else {
		make_agents_dc(host);
	}
}

void agent_stop(struct host *host)
{
	struct agent *agent = &host->agent;
	struct pollfd poll_fd = { .fd = agent->source.fd, .events = POLLIN };

	timer_cancel(&host->timers, &agent->start_timer);
	if (agent->source.fd < 0)
		return;
	(void)syscall(SYS_pidfd_send_signal, agent->source.fd, SIGTERM, NULL, 0);
	if (poll(&poll_fd, 1, AGENT_STOP_MS) <= 0)
		(void)syscall(SYS_pidfd_send_signal, agent->source.fd, SIGKILL, NULL, 0);
	(void)waitpid((pid_t)agent->pid, NULL, 0);
	source_close(host, &agent->source);
}

/* ---- asked for ---- */

/* Until its endpoint is bound. */
static bool agent_try(struct host *host, struct pending *pending)
{
	const struct core_dc *dc = agents_dc(host);
	const struct core_endpoint *endpoint = dc ? core_endpoint_find(dc, pending->ep) : NULL;
	const struct core_node *node = core_node_find(host->core, pending->to);
	struct control_agent_start_rep rep;
	struct frame frame;

	if (!node || node->state == CORE_DOWN) {
		link_reply(host, pending->link, pending->op, pending->id,
			   node ? DVS_NODEDOWN : DVS_NODEST);
		return true;
	}
	if (!endpoint) {
		pending->watch = dc ? watch_number(dc->id, pending->ep) : watch_dc((dvs_dcid){ 0 });
		return false;
	}
	rep.ep = endpoint->ep.n;
	frame_begin(&frame, pending->op, pending->id, DVS_OK);
	control_agent_start_rep_encode(&frame.out, &rep);
	link_send(host, pending->link, &frame);
	return true;
}

static void agent_await(struct host *host, struct link *link, uint32_t id, uint32_t node,
			uint32_t timeout_ms)
{
	const struct pending pending = { .link = link,
					 .op = CONTROL_AGENT_START,
					 .id = id,
					 .try = agent_try,
					 .ep = node + 1,
					 .to = node };

	pending_start(host, &pending, timeout_ms);
}

/* What another node still has to do, and until when. */
struct awaited {
	uint32_t node;
	uint64_t deadline_ns;
};

static uint32_t left_ms(uint64_t deadline_ns)
{
	uint64_t now_ns = clock_now_ns();

	if (deadline_ns == CLOCK_NEVER_NS)
		return DVS_FOREVER;
	return deadline_ns > now_ns ? (uint32_t)((deadline_ns - now_ns) / CLOCK_NS_PER_MS) : 0;
}

static bool on_asked(struct host *host, struct ask *ask, uint32_t node, dvs_err err,
		     struct cursor *answer)
{
	const struct awaited *awaited = ask->more;

	(void)answer;
	if (!ask->link)
		return true;
	if (err != DVS_OK)
		link_reply(host, ask->link, ask->op, ask->id, err);
	else
		agent_await(host, ask->link, ask->id, node, left_ms(awaited->deadline_ns));
	return true;
}

static void agent_ask(struct host *host, const struct request *request, uint32_t node,
		      uint32_t timeout_ms)
{
	struct ask first = { .done = on_asked,
			     .node = node,
			     .link = request->link,
			     .op = request->op,
			     .id = request->id };
	struct awaited *awaited = malloc(sizeof(*awaited));

	if (!awaited) {
		request_answer(host, request, DVS_NOMEM);
		return;
	}
	awaited->node = node;
	awaited->deadline_ns = timeout_ms == DVS_FOREVER ?
				       CLOCK_NEVER_NS :
				       clock_deadline_ns(timeout_ms * CLOCK_NS_PER_MS);
	first.more = awaited;
	ask(host, &first, ASK_AGENT, NULL, 0, timeout_ms);
}

static dvs_err agent_want(struct host *host)
{
	if (!agent_can(host))
		return DVS_NOAGENT;
	host->agent.wanted = true;
	agent_look(host);
	return DVS_OK;
}

void asked_agent(struct host *host, struct asker asker, struct cursor *in)
{
	(void)in;
	ask_answer(host, asker, agent_want(host), NULL, 0);
}

static bool agent_is_bound(const struct host *host, uint32_t node)
{
	const struct core_dc *dc = agents_dc(host);

	return dc && core_endpoint_find(dc, node + 1);
}

void op_agent_start(struct host *host, struct request *request)
{
	struct control_agent_start_req req;
	const struct core_node *node;
	dvs_err err = control_agent_start_req_decode(&request->body, &req);

	if (err == DVS_OK && req.timeout_ms != DVS_FOREVER && req.timeout_ms > DVS_TIMEOUT_MAX_MS)
		err = DVS_BADARG;
	if (err == DVS_OK) {
		node = core_node_find(host->core, req.node);
		err = node ? DVS_OK : DVS_NODEST;
		if (node && node->state == CORE_DOWN)
			err = DVS_NODEDOWN;
	}
	if (err == DVS_OK && req.node != host->config.node && !agent_is_bound(host, req.node)) {
		agent_ask(host, request, req.node, req.timeout_ms);
		return;
	}
	if (err == DVS_OK && req.node == host->config.node)
		err = agent_want(host);
	if (err == DVS_OK)
		agent_await(host, request->link, request->id, req.node, req.timeout_ms);
	else
		request_answer(host, request, err);
}
