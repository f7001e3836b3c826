/* SPDX-License-Identifier: Apache-2.0 */
/* The one loop of dvsd. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "node/api.h"
#include "node/carrier.h"
#include "node/containers.h"

#define EVENTS_MAX 64

dvs_err source_add(struct host *host, struct source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	if (source->fd < 0)
		return DVS_OK; /* a link without a socket, in a test */
	return epoll_ctl(host->epoll_fd, EPOLL_CTL_ADD, source->fd, &event) == 0 ? DVS_OK : DVS_IO;
}

void source_change(struct host *host, struct source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	if (source->fd >= 0 && epoll_ctl(host->epoll_fd, EPOLL_CTL_MOD, source->fd, &event) != 0)
		log_error(&host->log, "cannot change what epoll watches",
			  LOG_STR("error", strerror(errno)));
}

void source_close(struct host *host, struct source *source)
{
	if (source->fd < 0)
		return;
	(void)epoll_ctl(host->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	close(source->fd);
	source->fd = -1;
}

dvs_err host_timer(struct host *host, struct timer *timer, uint64_t span_ns, timer_fire fire)
{
	return timer_set(&host->timers, timer, clock_deadline_ns(span_ns), fire);
}

bool host_may_complain(struct host *host)
{
	struct complaints *complaints = &host->complaints;
	uint64_t second = clock_now_ns() / CLOCK_NS_PER_S;

	if (second != complaints->second) {
		if (complaints->n > COMPLAINTS_MAX)
			log_warning(&host->log, "more of the like was not written",
				    LOG_U64("n", complaints->n - COMPLAINTS_MAX));
		*complaints = (struct complaints){ .second = second };
	}
	return ++complaints->n <= COMPLAINTS_MAX;
}

void host_settle(struct host *host)
{
	struct list *at;

	for (;;) {
		if ((at = list_take_head(&host->doomed)) != NULL) {
			link_destroy(host, CONTAINER_OF(at, struct link, of_doomed));
			continue;
		}
		/* before anybody new is let in */
		channels_renew_more(host);
		if ((at = list_take_head(&host->due)) == NULL)
			break;
		pending_try_again(host, CONTAINER_OF(at, struct pending, of_due));
	}
	if (host->agent.look)
		agent_look(host);
	stand_ins_sweep(host);
	seats_settle(host);
}

static void on_clock(struct host *host, struct source *source, uint32_t events)
{
	uint64_t now_ns = clock_now_ns();
	struct timer *timer;
	uint64_t n;

	(void)events;
	while (read(source->fd, &n, sizeof(n)) == (ssize_t)sizeof(n))
		;
	host->clock_set_ns = CLOCK_NEVER_NS;
	while ((timer = timers_take(&host->timers, now_ns)) != NULL) {
		timer->fire(host, timer);
		host_settle(host);
	}
}

/* The timerfd follows the earliest deadline; it is touched only when that changes. */
static void clock_follow(struct host *host)
{
	uint64_t next_ns = timers_next_ns(&host->timers);
	struct itimerspec when = { 0 };

	if (next_ns == host->clock_set_ns)
		return;
	host->clock_set_ns = next_ns;
	if (next_ns != CLOCK_NEVER_NS)
		when.it_value = clock_timespec(next_ns);
	if (timerfd_settime(host->clock.fd, TFD_TIMER_ABSTIME, &when, NULL) != 0)
		log_error(&host->log, "cannot set the timer", LOG_STR("error", strerror(errno)));
}

static void on_signal(struct host *host, struct source *source, uint32_t events)
{
	struct signalfd_siginfo info;

	(void)events;
	while (read(source->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGHUP) {
			config_reload(host);
			continue;
		}
		log_info(&host->log, "stopping", LOG_U64("signal", info.ssi_signo));
		host->stopping = true;
	}
}

dvs_err loop_open(struct host *host)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &signals, NULL) != 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return DVS_IO;
	host->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	host->signals = (struct source){ .fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK),
					 .ready = on_signal };
	host->clock = (struct source){
		.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
		.ready = on_clock,
	};
	if (host->epoll_fd < 0 || host->signals.fd < 0 || host->clock.fd < 0)
		return DVS_IO;
	host->clock_set_ns = CLOCK_NEVER_NS;
	if (source_add(host, &host->signals, EPOLLIN) != DVS_OK)
		return DVS_IO;
	return source_add(host, &host->clock, EPOLLIN);
}

void host_bury(struct host *host)
{
	LIST_FOREACH_SAFE(at, &host->dead)
		free(CONTAINER_OF(at, struct remains, of_dead)->memory);
	list_init(&host->dead);
}

void host_run(struct host *host)
{
	struct epoll_event events[EVENTS_MAX];

	while (!host->stopping) {
		int n;

		clock_follow(host);
		n = epoll_wait(host->epoll_fd, events, EVENTS_MAX, -1);
		for (int i = 0; i < n; i++) {
			struct source *source = events[i].data.ptr;

			/* what an earlier event of this round closed is still allocated */
			if (source->fd >= 0)
				source->ready(host, source, events[i].events);
			host_settle(host);
		}
		host_bury(host);
	}
}
