/* SPDX-License-Identifier: Apache-2.0 */
/* The mounts that root file systems are made of, on the file system where they will be, and a whole container. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "container/doctor_internal.h"
#include "container/host.h"
#include "container/tree.h"
#include "container/why.h"

#define SPACE_MIN (UINT64_C(1) << 30)
#define TEMPORARY "/doctor-XXXXXX"

static int own_mounts(void)
{
	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return errno;
	return 0;
}

static bool make_folders(const char *top)
{
	static const char *const names[] = { "lower", "upper", "work", "merged" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char path[PATH_BYTES];

		(void)snprintf(path, sizeof(path), "%.480s/%s", top, names[i]);
		if (mkdir(path, 0755) != 0)
			return false;
	}
	return true;
}

static int try_overlay(void *argument, char *text)
{
	const char *top = argument;
	char options[4 * PATH_BYTES], merged[PATH_BYTES], file[PATH_BYTES + 8];
	int failed = own_mounts();

	(void)text;
	if (failed)
		return failed;
	(void)snprintf(options, sizeof(options),
		       "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work", top, top, top);
	(void)snprintf(merged, sizeof(merged), "%.480s/merged", top);
	if (mount("overlay", merged, "overlay", 0, options) != 0)
		return errno;
	(void)snprintf(file, sizeof(file), "%s/file", merged);
	return mkdir(file, 0700) == 0 ? 0 : errno;
}

static int try_users(void *argument, char *text)
{
	const char *top = argument;
	char lower[PATH_BYTES], merged[PATH_BYTES];
	int failed = own_mounts();
	struct stat st;
	int users;

	(void)text;
	if (failed)
		return failed;
	(void)snprintf(lower, sizeof(lower), "%.480s/lower", top);
	(void)snprintf(merged, sizeof(merged), "%.480s/merged", top);
	users = mount_users(CONTAINER_UID_FIRST);
	if (users < 0 || !mount_copy(lower, merged, users, 0) || stat(merged, &st) != 0)
		return errno;
	/* What is root's there is the container's root's here. */
	return st.st_uid == CONTAINER_UID_FIRST ? 0 : EINVAL;
}

static void say_mounts(const struct doctor *doctor, char *top)
{
	static const char cure[] = "a kernel with it, and /var/lib/dvs on ext4, xfs or btrfs";
	char text[DOCTOR_TEXT_MAX];
	int failed = make_folders(top) ? doctor_try(try_overlay, top, text) : errno;

	doctor_say(doctor, "overlay", failed ? DOCTOR_MISSING : DOCTOR_GOOD,
		   "images and directories as root file systems", cure, "%s",
		   failed ? strerror(failed) : "works");
	failed = doctor_try(try_users, top, text);
	doctor_say(doctor, "id-mapped mounts", failed ? DOCTOR_MISSING : DOCTOR_GOOD,
		   "images and directories as root file systems, and volumes", cure, "%s",
		   failed ? strerror(failed) : "work");
}

void doctor_files(const struct doctor *doctor)
{
	const char *lib_dir = doctor->where->lib_dir;
	struct statvfs fs = { 0 };
	char top[PATH_BYTES];
	bool there = mkdir(lib_dir, 0755) == 0 || errno == EEXIST;
	uint64_t space;

	(void)snprintf(top, sizeof(top), "%.400s" TEMPORARY, lib_dir);
	if (!there || !mkdtemp(top)) {
		doctor_say(doctor, "files", DOCTOR_MISSING, "images and all containers",
			   "make it a directory in which root can write", "%s: %s", lib_dir,
			   strerror(errno));
		return;
	}
	(void)statvfs(lib_dir, &fs);
	space = (uint64_t)fs.f_bavail * fs.f_frsize;
	doctor_say(doctor, "files", space >= SPACE_MIN ? DOCTOR_GOOD : DOCTOR_LESS,
		   "images and files of containers, soon",
		   "make room there, or mount a larger disk", "%s has %llu MiB free", lib_dir,
		   (unsigned long long)(space >> 20));
	say_mounts(doctor, top);
	if (tree_remove(AT_FDCWD, top, NULL) != DVS_OK)
		doctor_say(doctor, "files", DOCTOR_LESS, "nothing", "remove it by hand",
			   "%s cannot be removed", top);
}

/* ---- a container ---- */

static dvs_err make_container(const struct container_host *host, char *why)
{
	static const char json[] = "{\"root\": {\"kind\": \"host\"}, \"network\": \"none\"}";
	AUTO_FREE struct description *description = calloc(1, sizeof(*description));
	struct container_plan plan = { .name = "doctor",
				       .dc = CONTAINER_DCS - 1,
				       .description = description };
	char ignored[DESCRIPTION_TEXT_MAX] = "";
	dvs_err err, removed;
	pid_t pid;

	if (!description)
		return DVS_NOMEM;
	err = description_parse(json, strlen(json), description, why);
	if (err != DVS_OK)
		return err;
	err = container_create(host, &plan, &pid, why);
	removed = container_remove(host, plan.name, err == DVS_OK ? why : ignored);
	description_free(description);
	return err == DVS_OK ? removed : err;
}

static int try_container(void *argument, char *text)
{
	const char *top = argument;
	char run_dir[PATH_BYTES], lib_dir[PATH_BYTES];
	char ignored[DESCRIPTION_TEXT_MAX] = "";
	struct container_host host;
	dvs_err err;

	(void)snprintf(run_dir, sizeof(run_dir), "%.480s/r", top);
	(void)snprintf(lib_dir, sizeof(lib_dir), "%.480s/l", top);
	if (mkdir(run_dir, 0755) != 0 || mkdir(lib_dir, 0755) != 0)
		return errno;
	err = container_host_open(run_dir, lib_dir, &host, text);
	if (err != DVS_OK)
		return EIO;
	err = make_container(&host, text);
	if (container_host_remove(host.cgroup, err == DVS_OK ? text : ignored) != DVS_OK)
		return EIO;
	return err == DVS_OK ? 0 : EIO;
}

void doctor_container(const struct doctor *doctor)
{
	static const char *const version[] = { "crun", "--version", NULL };
	char top[] = "/tmp/dvs-doctor-XXXXXX";
	char text[DOCTOR_TEXT_MAX] = "", line[64], number[32] = "";
	int failed;

	if (doctor_capture(version, 5000, line, sizeof(line)) != 0) {
		doctor_say(doctor, "crun", DOCTOR_MISSING, "all containers",
			   "install crun (Debian: apt install crun)", "not installed");
		return;
	}
	(void)sscanf(line, "crun version %31s", number);
	/* The container's root, who is nobody here, must get through. */
	failed = mkdtemp(top) && chmod(top, 0711) == 0 ? doctor_try(try_container, top, text) :
							 errno;
	doctor_say(doctor, "crun", failed ? DOCTOR_MISSING : DOCTOR_GOOD, "all containers",
		   "see what it complains of, and the findings above", "%s: %s", number,
		   !failed ? "a container was made and removed" :
		   text[0] ? text :
			     strerror(failed));
	if (tree_remove(AT_FDCWD, top, NULL) != DVS_OK)
		doctor_say(doctor, "crun", DOCTOR_LESS, "nothing", "remove it by hand",
			   "%s cannot be removed", top);
}
