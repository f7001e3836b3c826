/* SPDX-License-Identifier: Apache-2.0 */
/* Start and stop: the run directory, its lock, the sockets, and who is told. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "node/api.h"
#include "node/ask.h"
#include "node/carrier.h"
#include "node/cluster.h"
#include "node/containers.h"
#include "node/spawn.h"

dvs_err host_init(struct host *host, const struct options *options)
{
	struct timespec now;

	memset(host, 0, sizeof(*host));
	host->options = *options;
	host->config = options->config;
	host->log = log_to_stderr(options->log_level);
	host->uid = geteuid();
	host->pid_ns = proc_pid_ns((uint32_t)getpid());
	host->memory_device = memory_device();
	(void)clock_gettime(CLOCK_REALTIME, &now);
	host->started_ns = (uint64_t)now.tv_sec * CLOCK_NS_PER_S + (uint64_t)now.tv_nsec;
	host->epoll_fd = host->lock_fd = host->spare_fd = -1;
	host->signals.fd = host->clock.fd = host->admin.source.fd = -1;
	host->ordered_source.fd = -1;
	list_init(&host->servers);
	list_init(&host->links);
	list_init(&host->processes);
	list_init(&host->doomed);
	list_init(&host->due);
	list_init(&host->dead);
	list_init(&host->renewing);
	list_init(&host->formers);
	list_init(&host->idle);
	list_init(&host->children);
	spawn_find_program("DVS_PROXY", "dvs-proxy", host->proxy_path, sizeof(host->proxy_path));
	host->proxy = host->proxy_path;
	spawn_find_program("DVS_AGENT", "dvs-agent", host->agent.found, sizeof(host->agent.found));
	host->agent.path = host->agent.found;
	host->agent.source.fd = -1;
	host->agent.delay_ns = AGENT_DELAY_FIRST_NS;
	/* Numbers of a later dvsd are others. */
	host->last_instance = (uint32_t)(host->started_ns / CLOCK_NS_PER_MS);
	list_init(&host->copies);
	list_init(&host->seats);
	list_init(&host->copying);
	list_init(&host->foreign);
	return core_create(&host->core);
}

static dvs_err run_directory_error(const struct host *host, const char *what)
{
	log_error(&host->log, what, LOG_STR("run_dir", host->options.run_dir),
		  LOG_STR("error", strerror(errno)));
	return DVS_IO;
}

/* Directories above it must exist, as for every daemon; the last one is made. */
static dvs_err run_directory_open(struct host *host)
{
	const char *dir = host->options.run_dir;
	char path[512];
	char text[32];
	int len;

	if ((mkdir(dir, 0755) != 0 && errno != EEXIST) || chmod(dir, 0755) != 0)
		return run_directory_error(host, "cannot make the run directory");
	(void)snprintf(path, sizeof(path), "%s/dvsd.pid", dir);
	host->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (host->lock_fd < 0)
		return run_directory_error(host, "cannot open dvsd.pid in the run directory");
	if (flock(host->lock_fd, LOCK_EX | LOCK_NB) != 0) {
		log_error(&host->log,
			  "another dvsd serves this run directory: stop it, or choose another"
			  " directory with --run-dir",
			  LOG_STR("run_dir", dir));
		return DVS_INUSE;
	}
	len = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(host->lock_fd, 0) != 0 || write(host->lock_fd, text, (size_t)len) != len)
		return run_directory_error(host, "cannot write dvsd.pid");
	return DVS_OK;
}

static void raise_descriptor_limit(struct host *host)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	host->n_fds_max = limit.rlim_max > UINT32_MAX ? UINT32_MAX : (uint32_t)limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		log_warning(&host->log, "cannot raise the limit of descriptors",
			    LOG_STR("error", strerror(errno)));
}

/* The service manager's protocol: one datagram. */
static void notify(const struct host *host, const char *what)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	AUTO_CLOSE int fd = -1;
	size_t len;

	if (!path || (path[0] != '/' && path[0] != '@'))
		return;
	len = strlen(path);
	if (len >= sizeof(address.sun_path))
		return;
	memcpy(address.sun_path, path, len);
	if (path[0] == '@')
		address.sun_path[0] = '\0'; /* an abstract name */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
	    sendto(fd, what, strlen(what), MSG_NOSIGNAL, (const struct sockaddr *)&address,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		log_warning(&host->log, "cannot tell the service manager",
			    LOG_STR("error", strerror(errno)));
}

static void on_alive(struct host *host, struct timer *timer)
{
	notify(host, "WATCHDOG=1");
	if (host_timer(host, timer, host->alive_span_ns, on_alive) != DVS_OK)
		log_error(&host->log,
			  "out of memory: the service manager will take this dvsd for dead");
}

/* A dvsd that stands still holds up the changes of all nodes (they wait for what each of them has acknowledged): the service
 * manager, told twice in the time that it allows, ends one that says nothing. */
static void alive_begin(struct host *host)
{
	const char *span_us = getenv("WATCHDOG_USEC");
	const char *pid = getenv("WATCHDOG_PID");
	uint64_t span_ns = span_us ? strtoull(span_us, NULL, 10) * 1000 : 0;

	if (span_ns == 0 || (pid && strtol(pid, NULL, 10) != (long)getpid()))
		return;
	host->alive_span_ns = span_ns / 2;
	on_alive(host, &host->alive_timer);
}

static void on_first_dc(struct host *host, struct order *order, dvs_err err)
{
	(void)order;
	if (err == DVS_OK)
		err = host->dc_error;
	else if (err == DVS_EXISTS)
		err = DVS_OK; /* another node was faster */
	host->first_dc_error = err;
	if (err != DVS_OK)
		log_error(&host->log, "cannot make the DC of --dc",
			  LOG_STR("name", host->options.dc), LOG_STR("why", dvs_strerror(err)));
}

/* The DC of the command line. With other nodes it comes later, and an error is only told. */
static dvs_err first_dc(struct host *host)
{
	const struct order order = { .done = on_first_dc };

	if (host->options.dc[0] != '\0' && !core_dc_by_name(host->core, host->options.dc))
		dc_create(host, host->options.dc, host->uid, &order, true);
	return host->first_dc_error;
}

/* The sockets first, so that who is woken finds them. */
static dvs_err open_dcs(struct host *host)
{
	dvs_err err;

	for (const struct core_dc *dc = core_dc_next(host->core, 0); dc;
	     dc = core_dc_next(host->core, dc->id.n)) {
		err = server_open_dc(host, dc->id, dc->name, dc->owner_uid);
		if (err != DVS_OK)
			return err;
	}
	err = recover(host);
	if (err != DVS_OK)
		return err;
	host_settle(host);
	return state_compact(host);
}

dvs_err host_open(struct host *host, const struct options *options)
{
	dvs_err err = host_init(host, options);

	if (err != DVS_OK)
		return err;
	raise_descriptor_limit(host);
	umask(0077);
	err = run_directory_open(host);
	if (err == DVS_OK)
		err = loop_open(host);
	if (err == DVS_OK)
		err = state_open(host);
	if (err == DVS_OK)
		err = open_dcs(host);
	if (err == DVS_OK)
		err = server_open_admin(host);
	if (err == DVS_OK)
		err = cluster_open(host);
	if (err == DVS_OK)
		err = first_dc(host);
	if (err != DVS_OK)
		return err;
	host->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	agent_look(host);
	log_info(&host->log, "ready", LOG_STR("run_dir", options->run_dir),
		 LOG_U64("node", host->config.node), LOG_U64("dcs", core_n_dcs(host->core)));
	notify(host, "READY=1");
	alive_begin(host);
	return DVS_OK;
}

static void binding_free(struct host *host, struct binding *binding)
{
	while (!list_is_empty(&binding->channels))
		channel_destroy(host,
				CONTAINER_OF(binding->channels.next, struct channel_end, of_binding)
					->channel);
	binding_destroy(host, binding);
}

/* Those that only a former core has. */
static void limbo_free(struct host *host)
{
	LIST_FOREACH(at, &host->processes) {
		struct process *process = CONTAINER_OF(at, struct process, of_host);

		while (!list_is_empty(&process->bindings))
			binding_free(host, CONTAINER_OF(process->bindings.next, struct binding,
							of_process));
	}
	formers_free(host);
}

static void bindings_free(struct host *host, const struct core_dc *dc)
{
	const struct core_endpoint *endpoint = core_endpoint_from(dc, 0);

	for (; endpoint; endpoint = core_endpoint_from(dc, dvs_ep_number(endpoint->ep) + 1)) {
		LIST_FOREACH(link, &endpoint->bindings) {
			struct core_binding *core =
				CONTAINER_OF(link, struct core_binding, of_endpoint);
			struct binding *binding = core->host;

			core->host = NULL;
			if (binding)
				binding_free(host, binding);
		}
	}
}

/* Everything but what is in the file system. The core's state is left to the next start. */
void host_free(struct host *host)
{
	host->stopping = true;
	agent_stop(host);
	cluster_close(host);
	copies_close(host);
	while (!list_is_empty(&host->links))
		link_destroy(host, CONTAINER_OF(host->links.next, struct link, of_host));
	for (const struct core_dc *dc = core_dc_next(host->core, 0); dc;
	     dc = core_dc_next(host->core, dc->id.n))
		bindings_free(host, dc);
	limbo_free(host);
	carriers_free(host);
	while (!list_is_empty(&host->processes))
		process_forget(host, CONTAINER_OF(host->processes.next, struct process, of_host));
	server_close_all(host);
	host_bury(host);
	state_close(host);
	map_destroy(&host->by_pid);
	map_destroy(&host->channels);
	map_destroy(&host->watches);
	orders_free(host);
	asks_free(host);
	timer_cancel(&host->timers, &host->alive_timer);
	timers_free(&host->timers);
	core_effects_free(&host->effects);
	core_destroy(host->core);
	free(host->spare);
}

void host_close(struct host *host)
{
	char path[512];

	host_free(host);
	if (host->lock_fd >= 0) {
		(void)snprintf(path, sizeof(path), "%s/admin", host->options.run_dir);
		(void)unlink(path);
	}
	cleanup_close(&host->epoll_fd);
	cleanup_close(&host->signals.fd);
	cleanup_close(&host->clock.fd);
	cleanup_close(&host->spare_fd);
	cleanup_close(&host->lock_fd);
}
