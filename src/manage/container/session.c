/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/container/session.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "client/calls.h"
#include "manage/container/programs.h"
#include "manage/container/reach.h"
#include "manage/link.h"

#define AGAIN_NS (30 * CLOCK_NS_PER_S) /* how long an agent that died may stay away */
#define AGAIN_EVERY_NS (100 * CLOCK_NS_PER_MS)
#define WAIT_MS 5000u	 /* for the status of a program that has ended */
#define SIGNAL_MS 10000u /* for an agent to take a signal */
#define SIGNAL_TRIES 3	 /* over the death of an agent, which this endpoint may only hear of now */

struct session {
	struct session_of of;
	struct cli *cli;
	struct agents *agents; /* the calling thread's */
	int over_fd;	       /* readable when the program has ended */
	int signal_fd;
	struct termios before;
	bool raw;
	bool out_broken[2]; /* nobody reads our stdout, our stderr */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* under the lock: */
	uint64_t attach; /* another one after the agent has come back */
	bool over;
};

void session_size(uint16_t *rows, uint16_t *cols)
{
	struct winsize size;

	*rows = 0;
	*cols = 0;
	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0 ||
	    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
		*rows = size.ws_row;
		*cols = size.ws_col;
	}
}

/* ---- our terminal ---- */

static void make_raw(struct session *session)
{
	struct termios raw;

	if (!session->of.tty || tcgetattr(STDIN_FILENO, &session->before) != 0)
		return;
	raw = session->before;
	cfmakeraw(&raw);
	session->raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}

static void give_back(struct session *session)
{
	if (session->raw)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &session->before);
	session->raw = false;
}

/* ---- what both helpers need ---- */

static uint64_t present_attach(struct session *session)
{
	uint64_t attach;

	pthread_mutex_lock(&session->lock);
	attach = session->attach;
	pthread_mutex_unlock(&session->lock);
	return attach;
}

/* Wait until the thread that reads has attached again. False: it is over. */
static bool wait_another(struct session *session, uint64_t former)
{
	bool over;

	pthread_mutex_lock(&session->lock);
	while (session->attach == former && !session->over)
		pthread_cond_wait(&session->changed, &session->lock);
	over = session->over;
	pthread_mutex_unlock(&session->lock);
	return !over;
}

static bool is_agent_lost(dvs_err err)
{
	return err == DVS_PEERDEAD || err == DVS_NODEST || err == DVS_NODEDOWN ||
	       err == DVS_NOQUORUM || err == DVS_TIMEOUT || err == DVS_NODVSD;
}

/* ---- stdin ---- */

/* Hand a piece on; false: there is no use in more.
 *
 * PEERDEAD tells that an agent has died, but not whether it was the one whose attachment this is: it may be the former one, whose end this
 * endpoint had not heard of. So the same is tried once more, which the next agent only takes if the attachment is its own. */
static bool feed(struct session *session, struct agents *agents, struct agent_write_req *req)
{
	uint64_t tried = 0;
	bool maybe_written = false;

	for (;;) {
		dvs_err err;

		req->attach = present_attach(session);
		err = agent_call_write(agents, session->of.node, req, NULL, DVS_FOREVER);
		if (err == DVS_OK)
			return true;
		/* The program has closed its stdin, or ended. */
		if (err == DVS_PEERDEAD && agents_text(agents)[0])
			return false;
		if (!is_agent_lost(err) && err != DVS_NOTFOUND)
			return false;
		if (is_agent_lost(err) && tried != req->attach) {
			tried = req->attach;
			maybe_written = err == DVS_PEERDEAD;
			continue;
		}
		if (!wait_another(session, req->attach))
			return false;
		/* Twice would be worse than not at all. */
		if (maybe_written)
			return true;
	}
}

static bool wait_input(struct session *session)
{
	struct pollfd fds[] = { { .fd = STDIN_FILENO, .events = POLLIN },
				{ .fd = session->over_fd, .events = POLLIN } };

	while (poll(fds, 2, -1) < 0) {
		if (errno != EINTR)
			return false;
	}
	return fds[1].revents == 0;
}

static void feed_all(struct session *session, struct agents *agents, struct agent_write_req *req)
{
	while (wait_input(session)) {
		ssize_t n = read(STDIN_FILENO, req->data, sizeof(req->data));

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		req->n_data = n > 0 ? (uint32_t)n : 0;
		req->eof = n <= 0;
		if (!feed(session, agents, req) || req->eof)
			return;
	}
}

static void *input_thread(void *session_void)
{
	struct session *session = session_void;
	AUTO_FREE struct agent_write_req *req = calloc(1, sizeof(*req));
	struct agents *agents;
	dvs_err err = agents_open(link_run_dir(session->cli), &agents);

	if (err != DVS_OK || !req) {
		cli_fail(session->cli, err ? err : DVS_NOMEM, "pass on the input");
		return NULL;
	}
	feed_all(session, agents, req);
	agents_close(agents);
	return NULL;
}

/* ---- signals ---- */

static dvs_err pass_signal(struct session *session, struct agents *agents, uint32_t signo)
{
	if (signo == SIGWINCH) {
		struct agent_resize_req req = { .attach = present_attach(session) };

		session_size(&req.rows, &req.cols);
		return agent_call_resize(agents, session->of.node, &req, NULL, SIGNAL_MS);
	}
	return agent_call_signal(agents, session->of.node,
				 &(struct agent_signal_req){ .program = session->of.program,
							     .signo = signo },
				 NULL, SIGNAL_MS);
}

/* With a terminal a signal from outside is for us: its keys go to the program. */
static bool is_for_us(const struct session *session, uint32_t signo)
{
	return session->of.tty && signo != SIGWINCH;
}

/* Without a way to the program the signal means us. */
static void leave_by(struct session *session, uint32_t signo)
{
	give_back(session);
	_exit(128 + (int)signo);
}

static bool next_signal(struct session *session, uint32_t *signo)
{
	struct pollfd fds[] = { { .fd = session->signal_fd, .events = POLLIN },
				{ .fd = session->over_fd, .events = POLLIN } };
	struct signalfd_siginfo info;

	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return false;
		if (fds[1].revents)
			return false;
		if (fds[0].revents &&
		    read(session->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
			*signo = info.ssi_signo;
			return true;
		}
	}
}

static void *signal_thread(void *session_void)
{
	struct session *session = session_void;
	struct agents *agents = NULL;
	uint32_t signo;

	while (next_signal(session, &signo)) {
		dvs_err err = DVS_OK;

		if (is_for_us(session, signo))
			leave_by(session, signo);
		if (!agents)
			err = agents_open(link_run_dir(session->cli), &agents);
		for (int i = 0; i < SIGNAL_TRIES && (i == 0 ? err == DVS_OK : is_agent_lost(err));
		     i++)
			err = pass_signal(session, agents, signo);
		/* It has ended meanwhile. */
		if (err == DVS_OK || err == DVS_NOTFOUND || err == DVS_BADSTATE ||
		    signo == SIGWINCH)
			continue;
		cli_fail(session->cli, err, "pass SIG%s on", sigabbrev_np((int)signo));
		leave_by(session, signo);
	}
	agents_close(agents);
	return NULL;
}

/* ---- output ---- */

static bool write_all(int fd, const uint8_t *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n > 0) {
			data += n;
			len -= (size_t)n;
		} else if (n < 0 && errno == EAGAIN) {
			struct pollfd wait = { .fd = fd, .events = POLLOUT };

			(void)poll(&wait, 1, -1);
		} else if (n < 0 && errno != EINTR) {
			return false;
		}
	}
	return true;
}

/* As in a pipeline of the shell: who writes where nobody reads any more gets SIGPIPE. */
static void put(struct session *session, int fd, const uint8_t *data, size_t len)
{
	bool *broken = &session->out_broken[fd == STDERR_FILENO];

	if (*broken || write_all(fd, data, len))
		return;
	*broken = true;
	if (session->of.ours && pass_signal(session, session->agents, SIGPIPE) != DVS_OK)
		return;
}

static int fail(struct session *session, dvs_err err, const char *what)
{
	give_back(session);
	reach_fail(session->cli, session->agents, err, "%s", what);
	return SESSION_FAILED;
}

/* The program has ended while no agent was there to tell. */
static int late_status(struct session *session)
{
	struct agent_wait_rep rep;
	dvs_err err = agent_call_wait(session->agents, session->of.node,
				      &(struct agent_wait_req){ .program = session->of.program },
				      &rep, WAIT_MS);

	if (err != DVS_OK)
		return fail(session, err, "learn how the program ended");
	return programs_exit_status(rep.status);
}

static void publish(struct session *session, uint64_t attach, bool over)
{
	pthread_mutex_lock(&session->lock);
	if (over)
		session->over = true;
	else
		session->attach = attach;
	pthread_cond_broadcast(&session->changed);
	pthread_mutex_unlock(&session->lock);
}

/* The agent has died: the program lives on, and the next agent finds it. -1: we are attached again; else the exit
 * status. */
static int attach_again(struct session *session)
{
	uint64_t deadline_ns = clock_deadline_ns(AGAIN_NS);
	struct agent_attach_req req = { .program = session->of.program };
	struct timespec pause = clock_timespec(AGAIN_EVERY_NS);
	struct agent_attach_rep rep;
	dvs_err err;

	if (session->of.tty)
		session_size(&req.rows, &req.cols);
	for (;;) {
		err = agent_call_attach(session->agents, session->of.node, &req, &rep, REACH_MS);
		if (err == DVS_OK) {
			publish(session, rep.attach, false);
			return -1;
		}
		if (err == DVS_BADSTATE)
			return late_status(session);
		if (!is_agent_lost(err) || clock_is_past(deadline_ns))
			return fail(session, err, "reach the program again");
		nanosleep(&pause, NULL);
	}
}

static int take_output(struct session *session, const struct agent_read_rep *rep)
{
	switch (rep->stream) {
	case 1:
		put(session, STDOUT_FILENO, rep->data, rep->n_data);
		return -1;
	case 2:
		put(session, STDERR_FILENO, rep->data, rep->n_data);
		return -1;
	case 4:
		cli_note(session->cli,
			 "%llu bytes of output are lost: they were not read for too long",
			 (unsigned long long)rep->count);
		return -1;
	default:
		return programs_exit_status(rep->status);
	}
}

static int read_all(struct session *session)
{
	AUTO_FREE struct agent_read_rep *rep = malloc(sizeof(*rep));
	int status = -1;

	if (!rep)
		return fail(session, DVS_NOMEM, "read the output");
	while (status < 0) {
		dvs_err err = agent_call_read(
			session->agents, session->of.node,
			&(struct agent_read_req){ .attach = present_attach(session) }, rep,
			DVS_FOREVER);

		if (err == DVS_OK)
			status = take_output(session, rep);
		else if (is_agent_lost(err) || err == DVS_NOTFOUND)
			status = attach_again(session);
		else
			status = fail(session, err, "read the output");
		/* Somebody else's program goes on without us. */
		if (status < 0 && session->out_broken[0] && !session->of.ours)
			status = 128 + SIGPIPE;
	}
	return status;
}

/* ---- its life ---- */

static bool open_signals(struct session *session)
{
	static const int passed[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2 };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(passed); i++)
		sigaddset(&set, passed[i]);
	if (session->of.tty)
		sigaddset(&set, SIGWINCH);
	session->signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
	session->over_fd = eventfd(0, EFD_CLOEXEC);
	sigaddset(&set, SIGPIPE);
	return session->signal_fd >= 0 && session->over_fd >= 0 &&
	       pthread_sigmask(SIG_BLOCK, &set, NULL) == 0;
}

/* A thread that hangs on an agent which does not answer is left behind: the process ends anyway. */
static bool join(pthread_t thread)
{
	struct timespec until;

	if (clock_gettime(CLOCK_REALTIME, &until) != 0)
		return false;
	until.tv_sec++;
	return pthread_timedjoin_np(thread, NULL, &until) == 0;
}

/* *ALONE: no thread is left behind. */
static int with_threads(struct session *session, bool *alone)
{
	pthread_t input;
	pthread_t signals;
	bool has_signals = pthread_create(&signals, NULL, signal_thread, session) == 0;
	bool has_input = session->of.input &&
			 pthread_create(&input, NULL, input_thread, session) == 0;
	int status;

	if (!has_signals || (session->of.input && !has_input))
		status = fail(session, DVS_NOMEM, "start a thread");
	else
		status = read_all(session);
	publish(session, 0, true);
	*alone = eventfd_write(session->over_fd, 1) == 0;
	if (has_input && *alone)
		*alone = join(input);
	if (has_signals && *alone)
		*alone = join(signals);
	return status;
}

static void session_free(struct session *session)
{
	if (session->signal_fd >= 0)
		close(session->signal_fd);
	if (session->over_fd >= 0)
		close(session->over_fd);
	pthread_cond_destroy(&session->changed);
	pthread_mutex_destroy(&session->lock);
	free(session);
}

int session_run(struct cli *cli, struct agents *agents, const struct session_of *of)
{
	struct session *session = calloc(1, sizeof(*session));
	bool alone = true;
	int status = SESSION_FAILED;

	if (!session) {
		cli_fail(cli, DVS_NOMEM, "attach to the program");
		return SESSION_FAILED;
	}
	*session =
		(struct session){ .of = *of, .cli = cli, .agents = agents, .attach = of->attach };
	pthread_mutex_init(&session->lock, NULL);
	pthread_cond_init(&session->changed, NULL);
	if (open_signals(session)) {
		make_raw(session);
		status = with_threads(session, &alone);
		give_back(session);
	} else {
		cli_fail_errno(cli, errno, "", "take signals");
	}
	if (alone)
		session_free(session);
	return status;
}
