/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's end of the file system: threads that take requests, in turn (turns.h).
 *
 * Each thread reads from a descriptor of its own, so that they do not meet in the kernel. When the last one has got a request and none stands by, another is started.
 *
 * libfuse decodes and encodes; what goes in and out passes here, for what the kernel offers and libfuse does not know. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "gateways/fuse/gateway.h"

/* Newer than the headers of Debian 12 */
#define INIT_DIRECT_IO_ALLOW_MMAP (1u << 4) /* of flags2 */
#define BACKGROUND_MAX 64u
#define WORKERS_AT_FIRST 2u
#define LAST_ANSWERS_MS 5000u
/* So long after it was unmounted the kernel has ended it, if nobody else has it. */
#define GONE_MS 1000

static void *worker_run(void *context);

/* ---- what passes between libfuse and the kernel ---- */

static void look_at_init(struct gateway *gateway, const uint8_t *request, size_t len)
{
	struct fuse_in_header head;
	struct fuse_init_in init = { .flags = 0 };
	size_t body = len - sizeof(head);

	memcpy(&head, request, sizeof(head));
	if (head.opcode != FUSE_INIT)
		return;
	memcpy(&init, request + sizeof(head), body < sizeof(init) ? body : sizeof(init));
	gateway->init_unique = head.unique;
	gateway->has_direct_map = (init.flags & FUSE_INIT_EXT) &&
				  (init.flags2 & INIT_DIRECT_IO_ALLOW_MMAP);
	gateway->has_killpriv = (init.flags & FUSE_HANDLE_KILLPRIV) != 0;
}

static void add_to_init(struct gateway *gateway, const struct iovec *iov, int count)
{
	struct fuse_out_header head;
	struct fuse_init_out init;

	if (iov[0].iov_len != sizeof(head) || count < 2 || iov[1].iov_len < sizeof(init))
		return;
	memcpy(&head, iov[0].iov_base, sizeof(head));
	if (head.unique != gateway->init_unique || head.error)
		return;
	memcpy(&init, iov[1].iov_base, sizeof(init));
	if (gateway->has_direct_map) {
		init.flags |= FUSE_INIT_EXT;
		init.flags2 |= INIT_DIRECT_IO_ALLOW_MMAP;
	}
	/* libfuse 3.14 asks whether we want it, and does not tell the kernel. */
	if (gateway->has_killpriv)
		init.flags |= FUSE_HANDLE_KILLPRIV;
	memcpy(iov[1].iov_base, &init, sizeof(init));
	gateway->init_unique = 0;
}

static ssize_t io_writev(int fd, struct iovec *iov, int count, void *context)
{
	struct gateway *gateway = context;
	const struct worker *worker = pthread_getspecific(gateway->worker);

	if (gateway->init_unique)
		add_to_init(gateway, iov, count);
	return writev(worker ? worker->fd : fd, iov, count);
}

static void start_worker(struct gateway *gateway)
{
	pthread_attr_t detached;
	pthread_t thread;

	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &detached, worker_run, gateway)) {
		log_warning(&gateway->options->log, "a thread cannot be started");
		pthread_mutex_lock(&gateway->lock);
		gateway->n_workers--;
		pthread_mutex_unlock(&gateway->lock);
	}
	pthread_attr_destroy(&detached);
}

static void start_another(struct gateway *gateway)
{
	bool is_room;

	pthread_mutex_lock(&gateway->lock);
	is_room = gateway->n_workers < GATEWAY_WORKERS_MAX;
	if (is_room)
		gateway->n_workers++;
	pthread_mutex_unlock(&gateway->lock);
	if (is_room)
		start_worker(gateway);
}

static ssize_t io_read(int fd, void *buffer, size_t bytes, void *context)
{
	struct gateway *gateway = context;
	struct worker *worker = pthread_getspecific(gateway->worker);
	int error;
	ssize_t n;

	(void)fd;
	if (!turns_wait(&gateway->turns, &worker->turn)) {
		errno = ENODEV;
		return -1;
	}
	n = read(worker->fd, buffer, bytes);
	error = errno;
	if (turns_take(&gateway->turns, &worker->turn))
		start_another(gateway);
	if (n >= (ssize_t)sizeof(struct fuse_in_header))
		look_at_init(gateway, buffer, (size_t)n);
	errno = error;
	return n;
}

static const struct fuse_custom_io io = { .read = io_read, .writev = io_writev };

/* libfuse does not know TMPFILE yet, which is laid out as CREATE is; its name, a slash, tells them apart. */
static void adapt(const struct fuse_buf *buffer)
{
	struct fuse_in_header head;

	memcpy(&head, buffer->mem, sizeof(head));
	if (head.opcode != FUSE_TMPFILE)
		return;
	head.opcode = FUSE_CREATE;
	memcpy(buffer->mem, &head, sizeof(head));
}

/* ---- threads ---- */

static bool is_for_the_gate(const struct fuse_buf *buffer)
{
	struct fuse_in_header head;

	memcpy(&head, buffer->mem, sizeof(head));
	switch (head.opcode) {
	case FUSE_READ:
	case FUSE_WRITE:
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
	case FUSE_INIT:
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
		return false;
	default:
		return true;
	}
}

static void serve(struct gateway *gateway)
{
	struct fuse_buf buffer = { .mem = NULL };

	while (!fuse_session_exited(gateway->session)) {
		int n = fuse_session_receive_buf(gateway->session, &buffer);

		if (n == -EINTR || n == -EAGAIN)
			continue;
		if (n <= 0)
			break;
		adapt(&buffer);
		if (is_for_the_gate(&buffer))
			coherence_gate(gateway);
		fuse_session_process_buf(gateway->session, &buffer);
	}
	free(buffer.mem);
	gateway->is_over = true;
	turns_end(&gateway->turns);
	(void)eventfd_write(gateway->ended_fd, 1);
}

static int clone_fd(const struct gateway *gateway)
{
	uint32_t of = (uint32_t)gateway->fuse_fd;
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd >= 0 && ioctl(fd, FUSE_DEV_IOC_CLONE, &of) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return gateway->fuse_fd;
}

void serve_adopt(struct gateway *gateway, struct worker *worker)
{
	(void)pthread_setspecific(gateway->worker, worker);
}

static void *worker_run(void *context)
{
	struct gateway *gateway = context;
	struct worker worker = { .gateway = gateway, .fd = clone_fd(gateway) };
	dvs_err err = fsc_enter(gateway->fsc, &worker.me);

	worker.room = malloc(GATEWAY_ROOM_BYTES);
	if (!err && worker.room) {
		serve_adopt(gateway, &worker);
		serve(gateway);
	} else {
		log_warning(&gateway->options->log, "a thread cannot work",
			    LOG_STR("why", dvs_strerror(err ? err : DVS_NOMEM)));
	}
	if (worker.fd != gateway->fuse_fd)
		close(worker.fd);
	fsc_leave(worker.me);
	free(worker.room);
	pthread_mutex_lock(&gateway->lock);
	gateway->n_workers--;
	pthread_cond_broadcast(&gateway->changed);
	pthread_mutex_unlock(&gateway->lock);
	return NULL;
}

/* ---- beginning and end ---- */

static void op_init(void *context, struct fuse_conn_info *connection)
{
	const unsigned int wanted =
		FUSE_CAP_ASYNC_READ | FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS |
		FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_EXPORT_SUPPORT | FUSE_CAP_DONT_MASK |
		FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_ASYNC_DIO |
		FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_POSIX_ACL | FUSE_CAP_EXPLICIT_INVAL_DATA |
		FUSE_CAP_CACHE_SYMLINKS;
	struct gateway *gateway = context;

	gateway->has_expiry = (connection->capable & FUSE_CAP_EXPIRE_ONLY) != 0;
	connection->want = connection->capable & wanted;
	connection->max_background = BACKGROUND_MAX;
	connection->congestion_threshold = BACKGROUND_MAX;
	connection->time_gran = 1;
}

static dvs_err make_session(struct gateway *gateway)
{
	char program[] = "dvs-fuse";
	char *words[] = { program, NULL };
	struct fuse_args arguments = FUSE_ARGS_INIT(1, words);
	struct fuse_lowlevel_ops ops = { .init = op_init };

	ops_names_add(&ops);
	ops_attr_add(&ops);
	ops_files_add(&ops);
	ops_dirs_add(&ops);
	ops_locks_add(&ops);
	gateway->session = fuse_session_new(&arguments, &ops, sizeof(ops), gateway);
	fuse_opt_free_args(&arguments);
	if (!gateway->session)
		return DVS_NOMEM;
	return fuse_session_custom_io(gateway->session, &io, gateway->fuse_fd) ? DVS_IO : DVS_OK;
}

dvs_err serve_start(struct gateway *gateway, char why[GATEWAY_WHY_MAX])
{
	sigset_t all;
	sigset_t before;
	dvs_err err;

	gateway->fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (gateway->fuse_fd < 0) {
		(void)snprintf(why, GATEWAY_WHY_MAX,
			       "/dev/fuse: %s (is the module fuse loaded, and does the container "
			       "have the device?)",
			       strerror(errno));
		return DVS_IO;
	}
	err = make_session(gateway);
	if (!err)
		err = mount_make(gateway->options, gateway->fuse_fd, why);
	if (err)
		return err;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_mutex_lock(&gateway->lock);
	gateway->n_workers += WORKERS_AT_FIRST;
	pthread_mutex_unlock(&gateway->lock);
	for (unsigned int i = 0; i < WORKERS_AT_FIRST; i++)
		start_worker(gateway);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return DVS_OK;
}

void serve_wait(struct gateway *gateway, int signal_fd)
{
	int is_gone_ms = -1;
	bool is_ending = false;

	while (!gateway->is_over) {
		struct signalfd_siginfo info;
		struct pollfd wait[] = {
			{ .fd = signal_fd, .events = POLLIN },
			{ .fd = gateway->ended_fd, .events = POLLIN },
		};
		int n = poll(wait, 2, is_gone_ms);

		if (n < 0 && errno != EINTR)
			break;
		if (n == 0) {
			is_gone_ms = -1;
			log_info(&gateway->options->log,
				 "another mount namespace has it, too: it goes when that does, or "
				 "with the next signal",
				 LOG_STR("mount", gateway->options->mount));
		}
		if (n <= 0 || !(wait[0].revents & POLLIN) ||
		    read(signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
			continue;
		if (is_ending)
			break;
		is_ending = true;
		if (mount_end(gateway->options))
			is_gone_ms = GONE_MS;
		else
			log_info(&gateway->options->log,
				 "still in use: it goes when nobody uses it any more, or with the "
				 "next signal",
				 LOG_STR("mount", gateway->options->mount));
	}
}

static bool have_all_left(const struct gateway *gateway)
{
	return gateway->n_workers + gateway->n_waiters + gateway->n_expirers == 0 &&
	       !gateway->has_releaser;
}

void serve_free(struct gateway *gateway)
{
	struct timespec until =
		clock_timespec(clock_deadline_ns(LAST_ANSWERS_MS * CLOCK_NS_PER_MS));
	bool all_left;

	releases_stop(&gateway->releases);
	pthread_mutex_lock(&gateway->lock);
	gateway->is_closing = true;
	pthread_cond_broadcast(&gateway->changed);
	while (!have_all_left(gateway) &&
	       pthread_cond_timedwait(&gateway->changed, &gateway->lock, &until) != ETIMEDOUT)
		;
	all_left = have_all_left(gateway);
	pthread_mutex_unlock(&gateway->lock);
	/* What still waits for its server goes with the process. */
	if (!all_left)
		_exit(EXIT_SUCCESS);
	if (gateway->session)
		fuse_session_destroy(gateway->session);
	else if (gateway->fuse_fd >= 0)
		close(gateway->fuse_fd);
}
