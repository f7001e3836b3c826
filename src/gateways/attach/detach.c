/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"
#include "gateways/attach/attach.h"
#include "gateways/attach/keeper.h"

/* A line of mountinfo, see proc(5): "36 35 98:0 /mnt1 /mnt2 ...": where it is mounted, if it is the device NUMBER. */
static const char *mount_of(const char *line, dev_t number)
{
	char *at;
	unsigned long in_major;
	unsigned long in_minor;

	(void)strtoul(line, &at, 10);
	(void)strtoul(at, &at, 10);
	in_major = strtoul(at, &at, 10);
	in_minor = *at == ':' ? strtoul(at + 1, &at, 10) : 0;
	if (*at != ' ' || makedev(in_major, in_minor) != number)
		return NULL;
	at = strchr(at + 1, ' ');
	return at ? at + 1 : NULL;
}

/* Where the block device NUMBER is mounted for process PID ("self" or a number): the first such place. The form: proc(5), mountinfo. */
static bool mounted_for(const char *pid, dev_t number, char *place, size_t size)
{
	char path[64];
	AUTO_FCLOSE FILE *file = NULL;
	AUTO_FREE char *line = NULL;
	size_t room = 0;

	(void)snprintf(path, sizeof(path), "/proc/%.20s/mountinfo", pid);
	file = fopen(path, "re");
	while (file && getline(&line, &room, file) > 0) {
		const char *at = mount_of(line, number);

		if (at) {
			(void)snprintf(place, size, "%.*s", (int)strcspn(at, " \n"), at);
			return true;
		}
	}
	return false;
}

/* Here, or in the mount namespace of some process. */
static void tell_where(dev_t number, const char *device, char why[ATTACH_WHY_MAX])
{
	char place[256];
	AUTO_CLOSEDIR DIR *dir = NULL;
	const struct dirent *entry;

	if (mounted_for("self", number, place, sizeof(place))) {
		(void)snprintf(why, ATTACH_WHY_MAX, "%s is mounted on %s", device, place);
		return;
	}
	dir = opendir("/proc");
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9' ||
		    !mounted_for(entry->d_name, number, place, sizeof(place)))
			continue;
		(void)snprintf(why, ATTACH_WHY_MAX,
			       "%s is mounted on %s, in the mount namespace of process %.20s",
			       device, place, entry->d_name);
		return;
	}
	(void)snprintf(why, ATTACH_WHY_MAX,
		       "something has %s for itself: a volume group, a swap area or the like",
		       device);
}

/* Written out, and nobody has it for himself. */
static dvs_err quiesce(const struct attachment *attachment, char why[ATTACH_WHY_MAX])
{
	AUTO_CLOSE int fd = open(attachment->device, O_RDONLY | O_EXCL | O_CLOEXEC);
	struct stat stat;

	if (fd < 0 && errno == EBUSY && !lstat(attachment->device, &stat)) {
		tell_where(stat.st_rdev, attachment->device, why);
		return DVS_INUSE;
	}
	/* A device that somebody has removed from /dev is not in the way. */
	if (fd < 0 || attachment->is_read_only)
		return DVS_OK;
	if (fsync(fd)) {
		(void)snprintf(why, ATTACH_WHY_MAX, "%s cannot be written out: %s",
			       attachment->device, strerror(errno));
		return DVS_IO;
	}
	return DVS_OK;
}

/* A descriptor of PID, which is still a process of this attachment; -1: it is gone. */
static int hold_process(const char *run_dir, const struct attachment *attachment, pid_t pid)
{
	AUTO_CLOSE int fd = pid > 0 ? pidfd_open(pid, 0) : -1;
	AUTO_FREE struct attachment *list = NULL;
	char why[ATTACH_WHY_MAX];
	size_t n = 0;

	/* It holds its slot's lock: so it had that number before we asked, and has it now. */
	if (fd < 0 || attach_list(run_dir, &list, &n, why))
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(list[i].token, attachment->token) && !list[i].is_dead)
			return take_fd(&fd);
	}
	return -1;
}

static dvs_err await(int fd, const struct attachment *attachment, uint32_t timeout_ms,
		     char why[ATTACH_WHY_MAX])
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	int n = poll(&wait, 1, timeout_ms > INT32_MAX ? -1 : (int)timeout_ms);

	if (n > 0)
		return DVS_OK;
	(void)snprintf(why, ATTACH_WHY_MAX,
		       "somebody still has %s open (fuser -v %s says who); it goes when they"
		       " close it",
		       attachment->device, attachment->device);
	return DVS_TIMEOUT;
}

/* Both hear it; the keeper alone would do, if it lives. */
static dvs_err stop(const char *run_dir, const struct attachment *attachment, bool force,
		    uint32_t timeout_ms, char why[ATTACH_WHY_MAX])
{
	AUTO_CLOSE int keeper = hold_process(run_dir, attachment, attachment->keeper);
	AUTO_CLOSE int server = hold_process(run_dir, attachment, attachment->server);
	dvs_err err = DVS_OK;

	if (keeper >= 0)
		(void)pidfd_send_signal(keeper, force ? KEEPER_NOW : KEEPER_GENTLY, NULL, 0);
	if (server >= 0 && force)
		(void)pidfd_send_signal(server, SIGKILL, NULL, 0);
	if (server >= 0)
		err = await(server, attachment, timeout_ms, why);
	if (!err && keeper >= 0)
		err = await(keeper, attachment, timeout_ms, why);
	return err;
}

static bool is_meant(const struct attachment *attachment, const char *what)
{
	return !strcmp(attachment->device, what) || !strcmp(attachment->volume, what);
}

static dvs_err choose(const struct attachment *list, size_t n, const char *what,
		      const struct attachment **chosen, char why[ATTACH_WHY_MAX])
{
	*chosen = NULL;
	for (size_t i = 0; i < n; i++) {
		if (!is_meant(&list[i], what))
			continue;
		if (*chosen) {
			(void)snprintf(why, ATTACH_WHY_MAX,
				       "%s is attached several times here, as %s and %s: name the"
				       " device",
				       what, (*chosen)->device, list[i].device);
			return DVS_BADSTATE;
		}
		*chosen = &list[i];
	}
	if (*chosen)
		return DVS_OK;
	(void)snprintf(why, ATTACH_WHY_MAX, "%.200s is not attached on this node", what);
	return DVS_NOTFOUND;
}

dvs_err attach_detach(const char *run_dir, const char *what, bool force, uint32_t timeout_ms,
		      char why[ATTACH_WHY_MAX])
{
	AUTO_FREE struct attachment *list = NULL;
	const struct attachment *chosen;
	size_t n = 0;
	dvs_err err;

	why[0] = '\0';
	err = attach_list(run_dir, &list, &n, why);
	if (!err)
		err = choose(list, n, what, &chosen, why);
	if (err)
		return err;
	if (chosen->is_dead) {
		(void)snprintf(why, ATTACH_WHY_MAX,
			       "its server has ended; %s goes when nobody has it open any more:"
			       " unmount what is on it",
			       chosen->device);
		return DVS_INUSE;
	}
	if (!force)
		err = quiesce(chosen, why);
	return err ? err : stop(run_dir, chosen, force, timeout_ms, why);
}
