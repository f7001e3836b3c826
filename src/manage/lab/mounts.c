/* SPDX-License-Identifier: Apache-2.0 */
/* What a node sees of the file system: the host's, but for what a machine has of its own. */
#include <errno.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "manage/lab/lab.h"

static bool mount_tmpfs(const char *path, const char *options, const char **what)
{
	*what = path;
	return mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, options) == 0;
}

static bool bind_dir(const char *dir, const char *part, const char *path, const char **what)
{
	char from[320];

	(void)snprintf(from, sizeof(from), "%s/%s", dir, part);
	*what = path;
	return mount(from, path, NULL, MS_BIND, NULL) == 0;
}

/* PART of PLACE need not be there on the host, and is not made there: an overlay, with what it needs in DIR under NAME, gives the node a PLACE in
 * which both are. */
struct place {
	const char *path;
	const char *name;
	const char *parts[2];
};

static bool make_place(const char *dir, const struct place *place, const char **what)
{
	char options[1024];
	char upper[320];
	char work[320];
	char path[340];
	bool is_there = true;

	for (size_t i = 0; i < ARRAY_LEN(place->parts); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", place->path, place->parts[i]);
		is_there = is_there && access(path, F_OK) == 0;
	}
	if (is_there)
		return true;
	*what = place->path;
	(void)snprintf(upper, sizeof(upper), "%s/%s", dir, place->name);
	(void)snprintf(work, sizeof(work), "%s/%s.work", dir, place->name);
	if ((mkdir(upper, 0755) != 0 && errno != EEXIST) ||
	    (mkdir(work, 0755) != 0 && errno != EEXIST))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(place->parts); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", upper, place->parts[i]);
		if (mkdir(path, 0755) != 0 && errno != EEXIST)
			return false;
	}
	(void)snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s", place->path,
		       upper, work);
	return mount("overlay", place->path, "overlay", 0, options) == 0;
}

bool lab_mount_memory(const char **what)
{
	(void)umount2("/run", MNT_DETACH);
	(void)umount2("/dev/shm", MNT_DETACH);
	if (!mount_tmpfs("/dev/shm", "mode=1777", what) || !mount_tmpfs("/run", "mode=755", what))
		return false;
	*what = LAB_RUN_DIR;
	if (mkdir("/run/lock", 0777) != 0 || mkdir(LAB_RUN_DIR, 0755) != 0)
		return false;
	return chmod("/run/lock", 01777) == 0;
}

bool lab_mount_node(const char *dir, const char **what)
{
	static const struct place etc = { "/etc", "etc", { "dvs", "corosync" } };
	static const struct place var_lib = { "/var/lib", "varlib", { "dvs", "corosync" } };

	*what = "private mounts";
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return false;
	*what = "/proc";
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0)
		return false;
	if (!make_place(dir, &etc, what) || !make_place(dir, &var_lib, what) ||
	    !bind_dir(dir, "dvs", "/etc/dvs", what) ||
	    !bind_dir(dir, "corosync", "/etc/corosync", what) ||
	    !bind_dir(dir, "log", "/var/log", what) || !bind_dir(dir, "lib", LAB_LIB_DIR, what) ||
	    !mount_tmpfs("/var/lib/corosync", "mode=700", what))
		return false;
	/* Last, for the directory that the others came from lies there. What the host has there
	 * is hidden, not taken down: it is the host's. */
	if (!mount_tmpfs("/dev/shm", "mode=1777", what) || !mount_tmpfs("/run", "mode=755", what))
		return false;
	return lab_mount_memory(what);
}
