/* SPDX-License-Identifier: Apache-2.0 */
/* Root file systems.
 *
 * A directory or image is shown with the container's ids (an id-mapped mount: what belongs to root there belongs to the container's root), and over it lies, by an
 * overlay, what the container writes. The node's own root is shown as it is, read-only and without other ids: a file that only the node's root may read belongs to nobody in the container. Volumes are shown with the
 * container's ids if their file system can; so what container root makes in a volume belongs to the node's root, and a volume for containers that
 * are not trusted belongs below a directory that only root may enter: there might be a program with the set-user-id bit in it. */
#include "container/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/openat2.h>

#include "base/cleanup.h"
#include "base/err.h"

struct making {
	const struct container_host *host;
	const struct container_plan *plan;
	uint32_t uid;
	int users;
	char dir[PATH_BYTES]; /* of the container */
	char *why;
};

static void below(const struct making *of, const char *rest, char path[PATH_BYTES])
{
	(void)snprintf(path, PATH_BYTES, "%.300s%s", of->dir, rest);
}

static dvs_err make_below(const struct making *of, const char *rest, mode_t mode,
			  char path[PATH_BYTES])
{
	below(of, rest, path);
	return dir_make(path, mode) ? DVS_OK : why_errno(of->why, errno, "make %s", path);
}

const char *rootfs_source(const struct container_plan *plan)
{
	if (plan->description->root == DESCRIPTION_IMAGE)
		return plan->tree;
	return plan->description->root == DESCRIPTION_DIRECTORY ? plan->description->directory :
								  "/";
}

bool rootfs_target(const char *root, const char *target, bool *there)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC,
				.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	AUTO_CLOSE int top = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_CLOSE int fd = -1;

	*there = false;
	if (top < 0)
		return false;
	fd = (int)syscall(SYS_openat2, top, target, &how, sizeof(how));
	*there = fd >= 0;
	return fd >= 0 || errno == ENOENT;
}

/* ---- the node's own root ---- */

/* Where parts of an operating system are that can be file systems of their own. What else is mounted on the node is not the container's business. */
static bool is_part_of_system(const char *path)
{
	static const char *const parts[] = { "/usr",   "/bin",	  "/sbin", "/lib", "/lib32",
					     "/lib64", "/libx32", "/etc",  "/opt" };

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		size_t len = strlen(parts[i]);

		if (strncmp(path, parts[i], len) == 0 && (path[len] == '\0' || path[len] == '/'))
			return true;
	}
	return false;
}

#define SYSTEM_FLAGS (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

static dvs_err show_parts(const struct making *of)
{
	size_t n;
	AUTO_FREE struct mount_entry *entries = mounts_read(&n);

	for (size_t i = 0; i < n; i++) {
		char path[PATH_BYTES];

		if (!is_part_of_system(entries[i].path) || strlen(entries[i].path) > 150)
			continue;
		(void)snprintf(path, sizeof(path), "%.300s/rootfs%.150s", of->dir, entries[i].path);
		if (!mount_copy(entries[i].path, path, -1, SYSTEM_FLAGS) && errno != ENOENT)
			return why_errno(of->why, errno, "show %s of the node", entries[i].path);
	}
	return DVS_OK;
}

/* Empty in the container: what is there is nobody's there anyhow, but its names are not for containers either. */
static dvs_err hide(const struct making *of)
{
	const char *const hidden[] = { "/etc/dvs", of->host->lib_dir, of->host->run_dir };

	for (size_t i = 0; i < ARRAY_LEN(hidden); i++) {
		char path[PATH_BYTES];
		struct stat status;

		(void)snprintf(path, sizeof(path), "%.300s/rootfs%.150s", of->dir, hidden[i]);
		if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode))
			continue;
		if (mount("tmpfs", path, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
			  "mode=555,size=4k") != 0)
			return why_errno(of->why, errno, "hide %s", hidden[i]);
	}
	return DVS_OK;
}

/* A directory or file at TARGET below SCAFFOLD. The directories above it look as on the node, for theirs are what is seen. */
static bool build_target(const char *scaffold, const char *target, bool directory)
{
	char path[PATH_BYTES];

	for (const char *at = strchr(target + 1, '/');; at = strchr(at + 1, '/')) {
		size_t len = at ? (size_t)(at - target) : strlen(target);
		struct stat status;
		int fd;

		(void)snprintf(path, sizeof(path), "%.300s%.*s", scaffold, (int)len, target);
		if (!at && !directory) {
			fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
			if (fd >= 0)
				close(fd);
			return fd >= 0;
		}
		if (mkdir(path, 0755) != 0 && errno != EEXIST)
			return false;
		(void)snprintf(path, sizeof(path), "%.*s", (int)len, target);
		if (lstat(path, &status) == 0) {
			if (!S_ISDIR(status.st_mode)) {
				errno = ENOTDIR;
				return false;
			}
			(void)snprintf(path, sizeof(path), "%.300s%.*s", scaffold, (int)len,
				       target);
			if (chown(path, status.st_uid, status.st_gid) != 0 ||
			    chmod(path, status.st_mode & 07777) != 0)
				return false;
		}
		if (!at)
			return true;
	}
}

/* A file system of its own: an overlay refuses a layer that lies in another one. */
static dvs_err mount_scaffold(const struct making *of, char scaffold[PATH_BYTES])
{
	dvs_err err = make_below(of, "/scaffold", 0755, scaffold);

	if (err == DVS_OK &&
	    mount("tmpfs", scaffold, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m") != 0)
		return why_errno(of->why, errno, "mount a place for targets of volumes");
	return err;
}

/* Nothing can be made in a root that is read-only: targets that are missing come from a directory that is laid over it. */
static dvs_err build_scaffold(const struct making *of, bool *needed)
{
	const struct description *is = of->plan->description;
	char scaffold[PATH_BYTES];
	dvs_err err = DVS_OK;

	*needed = false;
	for (size_t i = 0; err == DVS_OK && i < is->n_volumes; i++) {
		struct stat status;
		bool there;

		if (rootfs_target("/", is->volumes[i].target, &there) && there)
			continue;
		if (description_is_fs(&is->volumes[i]))
			status.st_mode = S_IFDIR;
		else if (stat(is->volumes[i].source, &status) != 0)
			return why_errno(of->why, errno, "volumes[%zu].source: %s", i,
					 is->volumes[i].source);
		err = *needed ? DVS_OK : mount_scaffold(of, scaffold);
		if (err == DVS_OK &&
		    !build_target(scaffold, is->volumes[i].target, S_ISDIR(status.st_mode)))
			return why_errno(of->why, errno, "volumes[%zu].target: make %s", i,
					 is->volumes[i].target);
		*needed = true;
	}
	return err;
}

static dvs_err show_node(const struct making *of, const char *rootfs)
{
	char options[PATH_BYTES * 2];
	char lower[PATH_BYTES];
	bool scaffold;
	dvs_err err = build_scaffold(of, &scaffold);

	if (err == DVS_OK && scaffold) {
		err = make_below(of, "/lower", 0700, lower);
		if (err != DVS_OK)
			return err;
		(void)snprintf(options, sizeof(options), "lowerdir=%.300s/scaffold:%.300s/lower",
			       of->dir, of->dir);
		if (!mount_copy("/", lower, -1, SYSTEM_FLAGS) ||
		    mount("overlay", rootfs, "overlay", MS_RDONLY | MS_NOSUID | MS_NODEV,
			  options) != 0)
			return why_errno(of->why, errno, "lay targets of volumes over /");
	} else if (err == DVS_OK && !mount_copy("/", rootfs, -1, SYSTEM_FLAGS)) {
		return why_errno(of->why, errno, "show the node's root file system");
	}
	if (err == DVS_OK)
		err = show_parts(of);
	return err == DVS_OK ? hide(of) : err;
}

/* ---- a tree with an upper part ---- */

/* As the tree's own top, for this is what is seen as "/". */
static dvs_err make_upper(const struct making *of, const char *source, char upper[PATH_BYTES],
			  char work[PATH_BYTES])
{
	struct stat status;

	if (stat(source, &status) != 0)
		return why_errno(of->why, errno, "root: %s", source);
	container_upper_dir(of->host, of->plan->name, "/upper", upper);
	container_upper_dir(of->host, of->plan->name, "/work", work);
	if (!dir_make(upper, 0755) || !dir_make(work, 0700))
		return why_errno(of->why, errno, "make %s", upper);
	if (chmod(upper, status.st_mode & 07777) != 0 ||
	    chown(upper, of->uid + status.st_uid % CONTAINER_UIDS,
		  of->uid + status.st_gid % CONTAINER_UIDS) != 0)
		return why_errno(of->why, errno, "give %s to the container", upper);
	return DVS_OK;
}

static dvs_err show_tree(const struct making *of, const char *rootfs)
{
	const char *source = rootfs_source(of->plan);
	char lower[PATH_BYTES], upper[PATH_BYTES], work[PATH_BYTES];
	char options[PATH_BYTES * 3];
	dvs_err err = make_below(of, "/lower", 0700, lower);

	if (err == DVS_OK)
		err = make_upper(of, source, upper, work);
	if (err != DVS_OK)
		return err;
	if (!mount_copy(source, lower, of->users, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV)) {
		if (errno == EINVAL)
			return why_say(
				of->why, DVS_DENIED,
				"root: the file system of %s cannot show files with other owners "
				"(id-mapped mounts); put it on ext4, xfs, btrfs or tmpfs",
				source);
		return why_errno(of->why, errno, "root: show %s with the container's ids", source);
	}
	(void)snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%.300s,workdir=%.300s",
		       lower, upper, work);
	if (mount("overlay", rootfs, "overlay", MS_NODEV, options) != 0)
		return why_errno(of->why, errno,
				 "root: lay %s over %s (overlay; it needs Linux 5.19, and a file "
				 "system with extended attributes at %s)",
				 upper, source, of->host->lib_dir);
	return DVS_OK;
}

/* ---- beside the root ---- */

static bool make_empty(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

/* The place of a file system, which a gateway mounts there when the container is made. Until then, and whenever it is not there, nobody may enter it. */
static dvs_err show_place(const struct making *of, const char *path, size_t i)
{
	if (!dir_make(path, 0700) ||
	    mount("tmpfs", path, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  "mode=0,size=4k") != 0)
		return why_errno(of->why, errno, "volumes[%zu].target: mount a place for it", i);
	return DVS_OK;
}

static dvs_err show_volume(const struct making *of, size_t i)
{
	const struct description_volume *volume = &of->plan->description->volumes[i];
	uint64_t flags = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
			 (volume->readonly ? MOUNT_ATTR_RDONLY : 0);
	char rest[64];
	char path[PATH_BYTES];
	struct stat status;

	(void)snprintf(rest, sizeof(rest), "/volumes/%zu", i);
	below(of, rest, path);
	if (description_is_fs(volume))
		return show_place(of, path, i);
	if (stat(volume->source, &status) != 0)
		return why_errno(of->why, errno, "volumes[%zu].source: %s", i, volume->source);
	if (S_ISDIR(status.st_mode) ? !dir_make(path, 0700) : !make_empty(path))
		return why_errno(of->why, errno, "make %s", path);
	if (mount_copy(volume->source, path, of->users, flags))
		return DVS_OK;
	/* Its file system cannot show other owners: it is shown with its own. */
	if (errno == EINVAL && mount_copy(volume->source, path, -1, flags))
		return DVS_OK;
	return why_errno(of->why, errno, "volumes[%zu].source: mount %s", i, volume->source);
}

/* Nodes of the container's root: in a user namespace none can be made, and the node's own are often for the node's root alone. */
static dvs_err make_nodes(const struct making *of)
{
	const struct description *is = of->plan->description;
	char path[PATH_BYTES];
	dvs_err err = make_below(of, "/nodes", 0700, path);

	if (err != DVS_OK)
		return err;
	if (mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=711,size=64k") != 0)
		return why_errno(of->why, errno, "mount a place for devices");
	for (size_t i = 0; i < is->n_devices; i++) {
		char rest[64];
		struct stat status;

		(void)snprintf(rest, sizeof(rest), "/nodes/%zu", i);
		below(of, rest, path);
		if (stat(is->devices[i].path, &status) != 0 ||
		    mknod(path, (status.st_mode & S_IFMT) | 0600, status.st_rdev) != 0 ||
		    chown(path, of->uid, of->uid) != 0 ||
		    chmod(path, 0600 | (status.st_mode & 0066)) != 0)
			return why_errno(of->why, errno, "devices[%zu].path: %s", i,
					 is->devices[i].path);
	}
	return DVS_OK;
}

static dvs_err make_beside(const struct making *of)
{
	const struct description *is = of->plan->description;
	char path[PATH_BYTES];
	dvs_err err = make_below(of, "/volumes", 0711, path);

	for (size_t i = 0; err == DVS_OK && i < is->n_volumes; i++)
		err = show_volume(of, i);
	if (err == DVS_OK && is->n_devices > 0)
		err = make_nodes(of);
	if (err != DVS_OK || is->network == DESCRIPTION_NO_NETWORK)
		return err;
	err = make_below(of, "/sys", 0700, path);
	if (err == DVS_OK &&
	    mount("sysfs", path, "sysfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0)
		return why_errno(of->why, errno, "mount /sys for the container");
	return err;
}

dvs_err rootfs_make(const struct container_host *host, const struct container_plan *plan, char *why)
{
	struct making of = {
		.host = host, .plan = plan, .uid = container_uid(plan->dc), .why = why
	};
	AUTO_CLOSE int users = mount_users(of.uid);
	char rootfs[PATH_BYTES];
	dvs_err err;

	if (users < 0)
		return why_errno(why, errno, "make a user namespace");
	of.users = users;
	container_dir(host, plan->name, "", of.dir);
	err = make_below(&of, "/rootfs", 0755, rootfs);
	if (err == DVS_OK)
		err = plan->description->root == DESCRIPTION_HOST ? show_node(&of, rootfs) :
								    show_tree(&of, rootfs);
	return err == DVS_OK ? make_beside(&of) : err;
}

bool rootfs_take_down(const struct container_host *host, const char *name)
{
	char path[PATH_BYTES];

	container_dir(host, name, "", path);
	return mounts_detach(path);
}
