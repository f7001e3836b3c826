/* SPDX-License-Identifier: Apache-2.0 */
/* Files of a container, by children inside of it (inside.h). */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "container/container.h"
#include "container/inside.h"
#include "container/pack.h"
#include "container/unpack.h"
#include "container/why.h"

/* How long a container can keep us with its files, which may be on a file system that a program of it serves. */
#define USER_MS 10000u
#define MEASURE_MS 30000u
#define MEASURE_TELL_MS 300u
#define ACCOUNTS_BYTES_MAX (1u << 20)

/* What a child is to do, and how it answers. */
struct job {
	pid_t init;
	const char *path;
	int fd;	    /* archive, or answers */
	int why_fd; /* -1: none */
	bool into;
	uint32_t uid, gid;
	const char *user;
	dvs_err (*run)(const struct job *job, char *why);
};

/* Above the standard descriptors, which the child gives up. */
static int move_up(int fd)
{
	return fd > 2 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static _Noreturn void be_child(struct job *job)
{
	char why[DESCRIPTION_TEXT_MAX] = "";
	int keep[2];
	dvs_err err;

	job->fd = move_up(job->fd);
	keep[0] = job->fd;
	if (job->why_fd >= 0)
		job->why_fd = move_up(job->why_fd);
	keep[1] = job->why_fd;
	err = inside_enter(job->init, keep, job->why_fd >= 0 ? 2 : 1, why);
	if (err == DVS_OK)
		err = job->run(job, why);
	if (err != DVS_OK && why[0] == '\0')
		why_say(why, err, "%s: %s", job->path ? job->path : "/", dvs_strerror(err));
	if (err != DVS_OK && job->why_fd >= 0 && write(job->why_fd, why, strlen(why)) < 0)
		_exit((int)err);
	_exit((int)err);
}

static dvs_err start(struct job *job, pid_t *child)
{
	*child = fork();
	if (*child < 0)
		return dvs_from_errno(errno);
	if (*child == 0)
		be_child(job);
	return DVS_OK;
}

/* ---- paths ---- */

/* PATH as the folder that it is in and its last part. "/", and what ends in "." or "..", are folders themselves and have no such part. */
struct split {
	char folder[PATH_MAX];
	char base[NAME_MAX + 1];
	bool slash; /* there was a '/' at the end */
};

static dvs_err split(const char *path, struct split *split, char *why)
{
	size_t len = strlen(path), base;

	*split = (struct split){ .slash = false };
	if (path[0] != '/' || len >= PATH_MAX)
		return why_say(why, DVS_BADARG,
			       "%.200s is no path in the container: it must begin with \"/\"",
			       path);
	split->slash = len > 1 && path[len - 1] == '/';
	while (len > 0 && path[len - 1] == '/')
		len--;
	for (base = len; base > 0 && path[base - 1] != '/';)
		base--;
	if (len - base > NAME_MAX)
		return why_say(why, DVS_BADARG, "the last part of %.200s... is too long", path);
	(void)snprintf(split->base, sizeof(split->base), "%.*s", (int)(len - base), path + base);
	if (strcmp(split->base, ".") == 0 || strcmp(split->base, "..") == 0) {
		split->base[0] = '\0';
		base = len;
	}
	while (base > 1 && path[base - 1] == '/')
		base--;
	(void)snprintf(split->folder, sizeof(split->folder), "%.*s", base > 0 ? (int)base : 1,
		       path);
	return DVS_OK;
}

/* Links on the way are followed: it is the container in which they lead. */
static dvs_err open_folder(const char *path, int *fd, char *why)
{
	*fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd >= 0)
		return DVS_OK;
	if (errno == ENOENT)
		return why_say(why, DVS_NOTFOUND, "there is no folder %s in the container", path);
	if (errno == ENOTDIR)
		return why_say(why, DVS_NOTFOUND, "%s in the container is no folder", path);
	return why_errno(why, errno, "cannot open the folder %s of the container", path);
}

/* ---- packing ---- */

/* Prepare PACK for PATH; AT is its place below pack->root, and NAME what it is called in the archive. */
static dvs_err open_top(const char *path, struct pack *pack, struct split *top, const char **at,
			char *why)
{
	struct stat st;
	dvs_err err = split(path, top, why);

	if (err != DVS_OK)
		return err;
	*at = top->base;
	if (top->slash && top->base[0]) {
		*at = "";
		return open_folder(path, &pack->root, why);
	}
	err = open_folder(top->folder, &pack->root, why);
	if (err == DVS_OK &&
	    fstatat(pack->root, top->base, &st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0)
		return why_say(why, DVS_NOTFOUND, "there is no %s in the container", path);
	return err;
}

static dvs_err run_pack(const struct job *job, char *why)
{
	int fd = job->fd;
	struct pax_sink sink = { pax_write_fd, &fd };
	struct pack pack = { .root = -1, .kind = PACK_COPY, .sink = &sink, .why = why };
	struct split top;
	const char *at;
	dvs_err err = open_top(job->path, &pack, &top, &at, why);

	return err == DVS_OK ? pack_end(&pack, pack_tree(&pack, at, top.base)) : err;
}

dvs_err container_pack(pid_t init, const char *path, int fd, int why_fd, pid_t *child)
{
	struct job job = {
		.init = init, .path = path, .fd = fd, .why_fd = why_fd, .run = run_pack
	};

	return start(&job, child);
}

/* ---- unpacking ---- */

static dvs_err run_unpack(const struct job *job, char *why)
{
	struct unpack unpack = { .source = job->fd,
				 .root = -1,
				 .bytes_left = INT64_MAX,
				 .files_left = UINT64_MAX,
				 .copy = true,
				 .uid = job->uid,
				 .gid = job->gid,
				 .why = why };
	struct split top;
	dvs_err err = split(job->path, &top, why);

	if (err != DVS_OK)
		return err;
	if (job->into) {
		err = open_folder(job->path, &unpack.root, why);
	} else if (top.base[0] == '\0') {
		err = why_say(why, DVS_BADARG, "%s is a folder: nothing can be put in its place",
			      job->path);
	} else {
		err = open_folder(top.folder, &unpack.root, why);
		unpack.rename = top.base;
	}
	return err == DVS_OK ? unpack_archive(&unpack) : err;
}

dvs_err container_unpack(pid_t init, const char *path, bool into, uint32_t uid, uint32_t gid,
			 int fd, int why_fd, pid_t *child)
{
	struct job job = { .init = init,
			   .path = path,
			   .fd = fd,
			   .why_fd = why_fd,
			   .into = into,
			   .uid = uid,
			   .gid = gid,
			   .run = run_unpack };

	return start(&job, child);
}

/* ---- short questions: the child answers through a pipe ---- */

/* Read answers of SIZE bytes into TO until the child ends; the last one stays. It is killed when the time is over. */
static dvs_err ask(struct job *job, uint32_t timeout_ms, void *to, size_t size, bool *answered,
		   char *why)
{
	uint64_t deadline_ns = clock_deadline_ns(timeout_ms * CLOCK_NS_PER_MS);
	AUTO_CLOSE int out = -1, in = -1, why_out = -1, why_in = -1;
	AUTO_FREE void *answer = malloc(size);
	int ends[2], whys[2], status = 0;
	struct pollfd poll_fd;
	pid_t child;
	ssize_t got;
	dvs_err err;

	*answered = false;
	if (!answer)
		return why_say(why, DVS_NOMEM, "out of memory");
	if (pipe2(ends, O_CLOEXEC) != 0)
		return why_errno(why, errno, "cannot make a pipe");
	out = ends[0];
	job->fd = in = ends[1];
	if (pipe2(whys, O_CLOEXEC) != 0)
		return why_errno(why, errno, "cannot make a pipe");
	why_out = whys[0];
	job->why_fd = why_in = whys[1];
	err = start(job, &child);
	if (err != DVS_OK)
		return why_say(why, err, "cannot start a process");
	close(take_fd(&in));
	close(take_fd(&why_in));
	poll_fd = (struct pollfd){ .fd = out, .events = POLLIN };
	/* An answer is less than PIPE_BUF and comes in one piece. */
	while ((got = poll(&poll_fd, 1, clock_poll_ms(deadline_ns))) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		got = read(out, answer, size);
		if (got != (ssize_t)size)
			break;
		memcpy(to, answer, size);
		*answered = true;
	}
	if (clock_is_past(deadline_ns))
		(void)kill(child, SIGKILL);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		return why_say(why, clock_is_past(deadline_ns) ? DVS_TIMEOUT : DVS_IO,
			       "the files of the container cannot be read in time");
	err = dvs_err_from_number((unsigned)WEXITSTATUS(status));
	if (err != DVS_OK) {
		char text[DESCRIPTION_TEXT_MAX];

		got = read(why_out, text, sizeof(text) - 1);
		why_printable(text, got > 0 ? (size_t)got : 0, why, DESCRIPTION_TEXT_MAX);
	}
	return err;
}

struct measured {
	uint64_t bytes, entries;
	uint64_t directory;
};

struct measuring {
	const struct job *job;
	bool directory;
	uint64_t next_ns;
};

static bool tell_measured(void *context, const struct pack_count *count)
{
	struct measuring *measuring = context;
	struct measured measured = { .bytes = count->bytes,
				     .entries = count->entries,
				     .directory = measuring->directory };

	if (!clock_is_past(measuring->next_ns))
		return true;
	measuring->next_ns = clock_deadline_ns(MEASURE_TELL_MS * CLOCK_NS_PER_MS);
	return write(measuring->job->fd, &measured, sizeof(measured)) == (ssize_t)sizeof(measured);
}

static dvs_err run_measure(const struct job *job, char *why)
{
	struct measuring measuring = {
		.job = job, .next_ns = clock_deadline_ns(MEASURE_TELL_MS * CLOCK_NS_PER_MS)
	};
	struct pack pack = { .root = -1,
			     .kind = PACK_COPY,
			     .go_on = tell_measured,
			     .context = &measuring,
			     .why = why };
	struct split top;
	struct stat st;
	const char *at;
	dvs_err err = open_top(job->path, &pack, &top, &at, why);

	if (err != DVS_OK)
		return err;
	if (fstatat(pack.root, at, &st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0)
		return why_errno(why, errno, "cannot look at %s", job->path);
	measuring.directory = S_ISDIR(st.st_mode);
	err = pack_end(&pack, pack_tree(&pack, at, top.base));
	measuring.next_ns = 0;
	return err == DVS_OK && !tell_measured(&measuring, &pack.count) ? DVS_IO : err;
}

dvs_err container_measure(pid_t init, const char *path, uint64_t *bytes, uint64_t *entries,
			  bool *directory, char *why)
{
	struct job job = { .init = init, .path = path, .run = run_measure };
	struct measured measured = { 0 };
	bool answered;
	dvs_err err = ask(&job, MEASURE_MS, &measured, sizeof(measured), &answered, why);

	/* A tree that takes so long is a big one; the bar is wrong then, no more. */
	if (err == DVS_TIMEOUT && answered)
		err = DVS_OK;
	if (err == DVS_OK && !answered)
		err = why_say(why, DVS_IO, "the files of the container cannot be counted");
	if (err != DVS_OK)
		return err;
	*bytes = measured.bytes;
	*entries = measured.entries;
	*directory = measured.directory != 0;
	return DVS_OK;
}

/* ---- users ---- */

/* A file of accounts as a text; "" if there is none. */
static char *read_accounts(const char *path)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	AUTO_FREE char *text = calloc(1, ACCOUNTS_BYTES_MAX + 1);
	struct stat st;
	size_t len = 0;
	ssize_t got;

	if (!text)
		return NULL;
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		while (len < ACCOUNTS_BYTES_MAX &&
		       (got = read(fd, text + len, ACCOUNTS_BYTES_MAX - len)) > 0)
			len += (size_t)got;
	}
	return TAKE_PTR(text);
}

static dvs_err run_user(const struct job *job, char *why)
{
	AUTO_FREE char *passwd = read_accounts("/etc/passwd");
	AUTO_FREE char *group = read_accounts("/etc/group");
	struct inside_user found;
	dvs_err err;

	if (!passwd || !group)
		return why_say(why, DVS_NOMEM, "out of memory");
	err = inside_find_user(job->user, passwd, group, &found, why);
	if (err != DVS_OK)
		return err;
	return write(job->fd, &found, sizeof(found)) == (ssize_t)sizeof(found) ? DVS_OK : DVS_IO;
}

dvs_err container_user(pid_t init, const char *user, uint32_t *uid, uint32_t *gid,
		       uint32_t groups[32], uint32_t *n_groups, char *home, size_t home_size,
		       char *why)
{
	struct job job = { .init = init, .user = user, .run = run_user };
	struct inside_user found = { 0 };
	bool answered;
	dvs_err err = ask(&job, USER_MS, &found, sizeof(found), &answered, why);

	if (err == DVS_OK && (!answered || found.n_groups > ARRAY_LEN(found.groups)))
		err = why_say(why, DVS_IO, "the users of the container cannot be read");
	if (err != DVS_OK)
		return err;
	found.home[sizeof(found.home) - 1] = '\0';
	*uid = found.uid;
	*gid = found.gid;
	memcpy(groups, found.groups, sizeof(found.groups));
	*n_groups = found.n_groups;
	(void)snprintf(home, home_size, "%s", found.home);
	return DVS_OK;
}
