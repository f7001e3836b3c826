/* SPDX-License-Identifier: Apache-2.0 */
/* Unpacking in a child that can reach nothing but the new tree. This process reads the source, so that it can sum and count what the child gets and need not believe it. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "container/confine.h"
#include "container/image_internal.h"
#include "container/unpack.h"
#include "container/why.h"

#define PIECE_BYTES (256u * 1024)
/* How often progress is told. */
#define LOOK_MS 200
/* Packed data can ask for memory; this much every honest archive gets by with. */
#define MEMORY_MAX (UINT64_C(3) << 30)

/* Above the standard descriptors, which the child gives up. */
static int move_up(int fd)
{
	int moved;

	if (fd < 0 || fd > 2)
		return fd;
	moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	close(fd);
	return moved;
}

static _Noreturn void be_child(const struct image_feed *feed, int data, int report_fd)
{
	struct unpack_report report = { .bytes_left = *feed->bytes_left,
					.files_left = *feed->files_left };
	const int keep[] = { data, report_fd };
	struct confine confine = { .root = feed->root,
				   .keep = keep,
				   .n_keep = 2,
				   .with_parent = true,
				   .memory_max = MEMORY_MAX,
				   .why = report.why };
	struct unpack unpack = { .source = data,
				 .bytes_left = report.bytes_left,
				 .files_left = report.files_left,
				 .layer = feed->layer,
				 .uid = UINT32_MAX,
				 .gid = UINT32_MAX,
				 .tops = feed->tops,
				 .why = report.why };
	dvs_err err = confine_self(&confine);

	if (err == DVS_OK) {
		unpack.root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		err = unpack_archive(&unpack);
	}
	report.err = (uint32_t)err;
	report.bytes_left = unpack.bytes_left;
	report.files_left = unpack.files_left;
	_exit(write(report_fd, &report, sizeof(report)) == (ssize_t)sizeof(report) ? 0 : 1);
}

static bool send_all(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return false;
		bytes += sent;
		len -= (size_t)sent;
	}
	return true;
}

/* Wait until there is something to read; tell meanwhile how far it is. */
static dvs_err wait_for_source(const struct image_feed *feed)
{
	for (;;) {
		struct pollfd poll_fd = { .fd = feed->source, .events = POLLIN };
		int n = poll(&poll_fd, 1, LOOK_MS);

		if (feed->progress &&
		    !feed->progress(feed->context, feed->phase, *feed->done, feed->total))
			return why_say(feed->why, DVS_WOKEN, "it was stopped");
		if (n > 0)
			return DVS_OK;
		if (n < 0 && errno != EINTR)
			return why_errno(feed->why, errno, "cannot wait for the archive");
	}
}

/* All of the source goes to the child. That it does not take it is no error here: it will say why. */
static dvs_err pump(const struct image_feed *feed, int data)
{
	AUTO_FREE char *bytes = malloc(PIECE_BYTES);
	bool taken = true;

	if (!bytes)
		return why_say(feed->why, DVS_NOMEM, "out of memory");
	while (taken) {
		dvs_err err = wait_for_source(feed);
		ssize_t got;

		if (err != DVS_OK)
			return err;
		got = read(feed->source, bytes, PIECE_BYTES);
		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (got < 0)
			return why_errno(feed->why, errno, "cannot read the archive");
		if (got == 0)
			break;
		if (feed->sum && EVP_DigestUpdate(feed->sum, bytes, (size_t)got) != 1)
			return why_say(feed->why, DVS_NOMEM, "out of memory");
		*feed->done += (uint64_t)got;
		taken = send_all(data, bytes, (size_t)got);
	}
	return DVS_OK;
}

/* What the child said. It has read what strangers wrote, so it is a stranger, too. */
static dvs_err read_report(const struct image_feed *feed, int report_fd, int status)
{
	struct unpack_report report;
	ssize_t got = read(report_fd, &report, sizeof(report));
	dvs_err err;

	if (got != (ssize_t)sizeof(report) || !WIFEXITED(status))
		return why_say(
			feed->why, DVS_IO,
			"the process that unpacks has ended before its time (%s %d): the archive"
			" may want more memory than it gets",
			WIFSIGNALED(status) ? "signal" : "status",
			WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	report.why[sizeof(report.why) - 1] = '\0';
	err = dvs_err_from_number(report.err);
	if (err != DVS_OK) {
		why_printable(report.why, strlen(report.why), feed->why, DESCRIPTION_TEXT_MAX);
		return err;
	}
	if (report.bytes_left > *feed->bytes_left || report.files_left > *feed->files_left)
		return why_say(feed->why, DVS_PROTO, "the process that unpacks miscounts");
	*feed->bytes_left = report.bytes_left;
	*feed->files_left = report.files_left;
	return DVS_OK;
}

static dvs_err feed_child(const struct image_feed *feed, pid_t child, int *data, int report_fd)
{
	dvs_err err = pump(feed, *data);
	int status = 0;

	if (err != DVS_OK)
		(void)kill(child, SIGKILL);
	close(take_fd(data));
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return err == DVS_OK ? read_report(feed, report_fd, status) : err;
}

dvs_err image_feed(const struct image_feed *feed)
{
	AUTO_CLOSE int ours = -1, theirs = -1, report_in = -1, report_out = -1;
	int pair[2], ends[2];
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		return why_errno(feed->why, errno, "cannot make a socket");
	ours = pair[0];
	theirs = move_up(pair[1]);
	if (pipe2(ends, O_CLOEXEC) != 0)
		return why_errno(feed->why, errno, "cannot make a pipe");
	report_out = ends[0];
	report_in = move_up(ends[1]);
	child = fork();
	if (child < 0)
		return why_errno(feed->why, errno, "cannot start a process");
	if (child == 0)
		be_child(feed, theirs, report_in);
	close(take_fd(&theirs));
	close(take_fd(&report_in));
	return feed_child(feed, child, &ours, report_out);
}
