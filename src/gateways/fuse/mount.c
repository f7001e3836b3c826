/* SPDX-License-Identifier: Apache-2.0 */
/* The mount, made and taken away: among the mounts of this process, or among those of a container. For the latter a child goes there: a process with threads cannot. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "gateways/fuse/gateway.h"

#define READAHEAD_KB "1024"

/* One thing that is done where the mount is; an errno, or 0. */
struct step {
	const struct gateway_options *options;
	int fuse_fd;
	int to_fd; /* gets what was found */
};

static _Noreturn void step_there(const struct step *step, int (*run)(const struct step *step))
{
	struct step mine = *step;

	if (setns(step->options->container_fd, CLONE_NEWNS) != 0)
		_exit(errno);
	/* What is asked of the mount here is answered by the parent. If that is killed, the kernel must see it: nobody else may have its end of the mount. */
	if (step->fuse_fd < 0) {
		if (step->to_fd >= 0)
			mine.to_fd = dup2(step->to_fd, STDIN_FILENO);
		(void)syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0U);
	}
	_exit(run(&mine));
}

static int step_run(const struct step *step, int (*run)(const struct step *step))
{
	int status = 0;
	pid_t child;

	if (step->options->container_fd < 0)
		return run(step);
	child = fork();
	if (child == 0)
		step_there(step, run);
	if (child < 0)
		return errno;
	while (waitpid(child, &status, 0) < 0) {
		if (errno != EINTR)
			return errno;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
}

/* A gateway that was killed leaves a mount behind that answers nobody. */
static void remove_dead(const struct gateway_options *options)
{
	struct stat stat_of;

	while (stat(options->mount, &stat_of) != 0 &&
	       (errno == ENOTCONN || errno == ECONNABORTED)) {
		log_info(&options->log, "a dead mount is removed",
			 LOG_STR("mount", options->mount));
		if (umount2(options->mount, MNT_DETACH) != 0)
			return;
	}
}

static int make(const struct step *step)
{
	const struct gateway_options *options = step->options;
	char source[DVS_NAME_MAX + 128];
	char words[160];
	unsigned long flags = 0;

	remove_dead(options);
	if (!options->devices)
		flags |= MS_NODEV;
	if (!options->set_ids)
		flags |= MS_NOSUID;
	if (options->is_read_only)
		flags |= MS_RDONLY;
	(void)snprintf(source, sizeof(source), "%s/%s", options->dc, options->name);
	(void)snprintf(words, sizeof(words),
		       "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions,"
		       "max_read=%zu",
		       step->fuse_fd, FSC_IO_MAX);
	return mount(source, options->mount, "fuse.dvs", flags, words) == 0 ? 0 : errno;
}

dvs_err mount_make(const struct gateway_options *options, int fuse_fd, char why[GATEWAY_WHY_MAX])
{
	const struct step step = { options, fuse_fd, -1 };
	int failed = step_run(&step, make);

	if (failed == 0)
		return DVS_OK;
	(void)snprintf(why, GATEWAY_WHY_MAX, "mount it at %.200s: %s", options->mount,
		       failed == ESRCH ? "the container has ended" : strerror(failed));
	return dvs_from_errno(failed);
}

static int end(const struct step *step)
{
	if (umount2(step->options->mount, UMOUNT_NOFOLLOW) == 0)
		return 0;
	(void)umount2(step->options->mount, MNT_DETACH | UMOUNT_NOFOLLOW);
	return EBUSY;
}

bool mount_end(const struct gateway_options *options)
{
	const struct step step = { options, -1, -1 };

	return step_run(&step, end) == 0;
}

static int find_device(const struct step *step)
{
	struct stat stat_of;

	if (stat(step->options->mount, &stat_of) != 0)
		return errno;
	return write(step->to_fd, &stat_of.st_dev, sizeof(stat_of.st_dev)) ==
			       (ssize_t)sizeof(stat_of.st_dev) ?
		       0 :
		       EIO;
}

void mount_set_readahead(const struct gateway_options *options)
{
	char path[80];
	dev_t device = 0;
	int pipes[2];
	AUTO_CLOSE int from = -1;
	AUTO_CLOSE int to = -1;
	AUTO_CLOSE int fd = -1;
	struct step step = { .options = options, .fuse_fd = -1 };

	if (pipe2(pipes, O_CLOEXEC) != 0)
		return;
	from = pipes[0];
	to = pipes[1];
	step.to_fd = to;
	if (step_run(&step, find_device) != 0 ||
	    read(from, &device, sizeof(device)) != (ssize_t)sizeof(device))
		return;
	(void)snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", major(device),
		       minor(device));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	/* Without it reading is slower, and right. */
	if (fd < 0 || write(fd, READAHEAD_KB, strlen(READAHEAD_KB)) < 0)
		log_debug(&options->log, "the kernel reads ahead as it likes",
			  LOG_STR("why", strerror(errno)));
}
