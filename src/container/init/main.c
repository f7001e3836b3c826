/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "container/init/init.h"

/* The listening socket, from whoever made the container. */
#define INHERITED 3
/* Descriptors of a row: its own, those for a later agent, the pipe of exec; and of what else there is. */
#define ROW_DESCRIPTORS 7
#define OWN_DESCRIPTORS 32

bool init_watch(struct init *init, int ctl, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.fd = fd };

	return epoll_ctl(init->epoll, ctl, fd, &event) == 0;
}

void init_shutdown(struct init *init, uint32_t grace_ms)
{
	uint64_t kill_ns = clock_deadline_ns(grace_ms * CLOCK_NS_PER_MS);
	uint64_t cursor = 0;
	struct row *row;

	if (init->ending && kill_ns >= init->kill_ns)
		return;
	init->kill_ns = kill_ns;
	init->ending = true;
	while ((row = row_after(init, cursor))) {
		cursor = row->id;
		if (row->state == ROW_WAITS)
			program_stop(init, row, SIGTERM, 0);
	}
	(void)kill(-1, SIGTERM);
	/* Perhaps there is nobody. */
	init->more_dead = true;
}

static bool signals_open(struct init *init)
{
	sigset_t heard;

	(void)sigemptyset(&heard);
	(void)sigaddset(&heard, SIGCHLD);
	(void)sigaddset(&heard, SIGTERM);
	/* The others keep their default, which for PID 1 is nothing. */
	if (sigprocmask(SIG_SETMASK, &heard, NULL) != 0)
		return false;
	init->signals = signalfd(-1, &heard, SFD_CLOEXEC | SFD_NONBLOCK);
	return init->signals >= 0;
}

static void signals_read(struct init *init)
{
	struct signalfd_siginfo info;

	while (read(init->signals, &info, sizeof(info)) == sizeof(info)) {
		/* From inside nobody ends the container: such a signal has a sender. */
		if (info.ssi_signo == SIGTERM && info.ssi_pid == 0)
			init_shutdown(init, SHUTDOWN_GRACE_MS);
		if (info.ssi_signo == SIGCHLD)
			init->more_dead = true;
	}
}

/* Descriptors 0, 1, 2 are taken, so that no other gets their numbers. */
static bool standard_open(void)
{
	for (int fd = 0; fd < 3; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && dup2(INHERITED, fd) < 0)
			return false;
		if (fcntl(fd, F_GETFD) < 0)
			return false;
	}
	return true;
}

static bool oom_is_low(void)
{
	char text[16] = "";
	AUTO_CLOSE int fd = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	return fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 && text[0] == '-';
}

static void limits_raise(struct init *init)
{
	struct rlimit all;
	size_t rows;

	if (getrlimit(RLIMIT_NOFILE, &init->nofile) != 0)
		init->nofile = (struct rlimit){ .rlim_cur = 1024, .rlim_max = 1024 };
	all = (struct rlimit){ .rlim_cur = init->nofile.rlim_max,
			       .rlim_max = init->nofile.rlim_max };
	if (setrlimit(RLIMIT_NOFILE, &all) != 0)
		all = init->nofile;
	rows = all.rlim_cur > OWN_DESCRIPTORS ? (all.rlim_cur - OWN_DESCRIPTORS) / ROW_DESCRIPTORS :
						0;
	init->n_rows_max = rows < INIT_PROGRAMS_MAX ? rows : INIT_PROGRAMS_MAX;
}

static bool init_open(struct init *init)
{
	int listens = 0;
	socklen_t len = sizeof(listens);

	init->listener = INHERITED;
	init->link = init->epoll = init->signals = -1;
	list_init(&init->out);
	init->boot_ns = clock_real_ns();
	if (getsockopt(INHERITED, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) != 0 || !listens)
		return false;
	init->raise_oom = oom_is_low();
	/* Nobody inside may look into us or take our descriptors. */
	if (prctl(PR_SET_DUMPABLE, 0) != 0 || !standard_open())
		return false;
	limits_raise(init);
	if (fcntl(INHERITED, F_SETFD, FD_CLOEXEC) != 0 ||
	    fcntl(INHERITED, F_SETFL, O_NONBLOCK) != 0 || close_range(INHERITED + 1, ~0u, 0) != 0)
		return false;
	init->epoll = epoll_create1(EPOLL_CLOEXEC);
	return init->epoll >= 0 && signals_open(init) &&
	       init_watch(init, EPOLL_CTL_ADD, init->listener, EPOLLIN) &&
	       init_watch(init, EPOLL_CTL_ADD, init->signals, EPOLLIN);
}

static void launched(struct init *init, int fd)
{
	for (size_t i = 0; i < init->n_rows; i++) {
		if (init->rows[i]->exec_pipe == fd) {
			program_launched(init, init->rows[i]);
			return;
		}
	}
}

static void turn(struct init *init)
{
	uint64_t next_ns = programs_tick(init, clock_now_ns());
	struct epoll_event event;

	if (init->over)
		return;
	/* One at a time: what is handled may close what else was ready. */
	if (epoll_wait(init->epoll, &event, 1, init->more_dead ? 0 : clock_poll_ms(next_ns)) == 1) {
		if (event.data.fd == init->listener)
			link_accept(init);
		else if (event.data.fd == init->signals)
			signals_read(init);
		else if (event.data.fd == init->link)
			link_ready(init, event.events);
		else
			launched(init, event.data.fd);
	}
	if (init->more_dead)
		programs_reap(init);
}

int main(void)
{
	struct init *init = calloc(1, sizeof(*init));

	if (!init || !init_open(init))
		return 126;
	while (!init->over)
		turn(init);
	return 0;
}
