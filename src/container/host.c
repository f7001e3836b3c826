/* SPDX-License-Identifier: Apache-2.0 */
/* What containers need of a node, made once: a mount namespace in which the mounts of container_create() are seen by nobody else, with a cgroup layout that crun can
 * work with. crun refuses a v1 machine whose v2 tree has controllers (hybrid). So /sys/fs/cgroup is, for us, a directory of our own, in which the v1 trees are and the v2 tree is not. */
#include "container/host.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/capability.h>
#include <linux/magic.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"

#define CGROUP_DIR "/sys/fs/cgroup"
#define END_SPAN_NS (10 * CLOCK_NS_PER_S)
/* In our own directory: that the machine has a v2 tree beside. */
#define HYBRID_MARK CGROUP_DIR "/.dvs-hybrid"

static bool is_cgroup2(const char *path)
{
	struct statfs status;

	return statfs(path, &status) == 0 && status.f_type == CGROUP2_SUPER_MAGIC;
}

enum container_layout container_layout(void)
{
	if (is_cgroup2(CGROUP_DIR))
		return CONTAINER_V2;
	if (is_cgroup2(CGROUP_DIR "/unified") || access(HYBRID_MARK, F_OK) == 0)
		return CONTAINER_HYBRID;
	return CONTAINER_V1;
}

/* ---- v1 trees in a directory of our own ---- */

#define PIECES_MAX 64u

struct piece {
	char name[128];
	char target[128]; /* of a symbolic link ("cpu" to "cpu,cpuacct"), else empty */
	int tree;
};

static bool take_piece(struct piece *piece, const char *name)
{
	char path[PATH_BYTES];
	ssize_t len;

	(void)snprintf(path, sizeof(path), "%s/%s", CGROUP_DIR, name);
	*piece = (struct piece){ .tree = -1 };
	(void)snprintf(piece->name, sizeof(piece->name), "%.127s", name);
	len = readlink(path, piece->target, sizeof(piece->target) - 1);
	if (len > 0) {
		piece->target[len] = '\0';
		return true;
	}
	if (is_cgroup2(path))
		return false;
	piece->tree = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return piece->tree >= 0;
}

static size_t take_pieces(struct piece pieces[PIECES_MAX])
{
	AUTO_CLOSEDIR DIR *dir = opendir(CGROUP_DIR);
	struct dirent *entry;
	size_t n = 0;

	while (dir && n < PIECES_MAX && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] != '.' && take_piece(&pieces[n], entry->d_name))
			n++;
	}
	return n;
}

static void put_piece(struct piece *piece)
{
	char path[PATH_BYTES];

	(void)snprintf(path, sizeof(path), "%s/%s", CGROUP_DIR, piece->name);
	if (piece->tree < 0) {
		/* It is only another name. */
		if (symlink(piece->target, path) != 0)
			errno = 0;
		return;
	}
	if (mkdir(path, 0755) == 0)
		(void)move_mount(piece->tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH);
	close(piece->tree);
}

bool host_may_raise(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct has[_LINUX_CAPABILITY_U32S_3] = { { .effective = 0 } };

	return syscall(SYS_capget, &header, has) == 0 &&
	       (has[0].effective >> CAP_SYS_RESOURCE & 1) != 0;
}

bool host_filters_devices(const struct cgroups *all)
{
	struct rlimit locked;

	if (!all->v2)
		return cgroups_with(all, "devices") != NULL;
	return host_may_raise() ||
	       (getrlimit(RLIMIT_MEMLOCK, &locked) == 0 && locked.rlim_max == RLIM_INFINITY);
}

bool host_mount_controller(const char *controller)
{
	char path[PATH_BYTES];

	(void)snprintf(path, sizeof(path), "%s/%s", CGROUP_DIR, controller);
	if (mkdir(path, 0755) != 0 && errno != EEXIST)
		return false;
	if (mount("cgroup", path, "cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC, controller) == 0)
		return true;
	(void)rmdir(path);
	return false;
}

/* A v1 tree that nobody has mounted here can still hold containers of a former agent, below GROUP: hugetlb. */
static void mount_forgotten(const char *group)
{
	struct cgroups all;
	char path[PATH_BYTES];
	char text[4096];
	char *rest = text;
	char *line;

	if (!file_read("/proc/self/cgroup", text, sizeof(text)) || !cgroups_find(&all))
		return;
	while ((line = strsep(&rest, "\n")) != NULL) {
		char name[64];

		if (sscanf(line, "%*d:%63[a-z_]:", name) != 1 || cgroups_with(&all, name) ||
		    !host_mount_controller(name))
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s%s", CGROUP_DIR, name, group);
		if (access(path, F_OK) == 0)
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", CGROUP_DIR, name);
		(void)umount2(path, MNT_DETACH);
		(void)rmdir(path);
	}
}

static dvs_err own_cgroup_dir(char *why)
{
	AUTO_FREE struct piece *pieces = calloc(PIECES_MAX, sizeof(*pieces));
	bool hybrid = container_layout() == CONTAINER_HYBRID;
	size_t n;

	if (!pieces)
		return DVS_NOMEM;
	n = take_pieces(pieces);
	if (mount("tmpfs", CGROUP_DIR, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=755") != 0)
		return why_errno(why, errno, "mount a directory of our own at %s", CGROUP_DIR);
	for (size_t i = 0; i < n; i++)
		put_piece(&pieces[i]);
	if (hybrid) {
		int fd = open(HYBRID_MARK, O_WRONLY | O_CREAT | O_CLOEXEC, 0400);

		cleanup_close(&fd);
	}
	return DVS_OK;
}

static dvs_err own_mounts(char *why)
{
	if (unshare(CLONE_NEWNS) != 0)
		return why_errno(why, errno,
				 "make a mount namespace; containers need an agent that is root");
	/* What the node mounts later is seen here, for volumes; what is mounted here stays here. */
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) != 0)
		return why_errno(why, errno, "keep our mounts to ourselves");
	return container_layout() == CONTAINER_V2 ? DVS_OK : own_cgroup_dir(why);
}

/* ---- programs ---- */

static bool find_in_path(const char *name, char path[256])
{
	const char *dirs = getenv("PATH");
	AUTO_FREE char *copy = NULL;
	char *rest, *dir;

	if (asprintf(&copy, "%s:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		     dirs ? dirs : "") < 0) {
		copy = NULL;
		return false;
	}
	rest = copy;
	while ((dir = strsep(&rest, ":")) != NULL) {
		if (dir[0] == '/' && snprintf(path, 256, "%s/%s", dir, name) < 256 &&
		    access(path, X_OK) == 0)
			return true;
	}
	return false;
}

/* dc-init is beside us in a build directory, and in its own directory when installed. */
static bool find_init(char path[256])
{
	static const char *const places[] = { "dc-init", "../libexec/dvs/dc-init",
					      "../lib/dvs/dc-init" };
	char self[200];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (len <= 0)
		return false;
	self[len] = '\0';
	*strrchr(self, '/') = '\0';
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		if (snprintf(path, 256, "%s/%s", self, places[i]) < 256 && access(path, X_OK) == 0)
			return true;
	}
	return false;
}

static dvs_err find_programs(struct container_host *host, char *why)
{
	const char *crun = getenv("DVS_CRUN");
	const char *init = getenv("DVS_INIT");

	if (crun)
		(void)snprintf(host->crun, sizeof(host->crun), "%s", crun);
	if (crun ? access(crun, X_OK) != 0 : !find_in_path("crun", host->crun))
		return why_say(why, DVS_NOTFOUND,
			       "there is no crun%s%s; install it: apt install crun",
			       crun ? " at " : "", crun ? crun : "");
	if (init)
		(void)snprintf(host->init, sizeof(host->init), "%s", init);
	if (init ? access(init, X_OK) != 0 : !find_init(host->init))
		return why_say(why, DVS_NOTFOUND,
			       "there is no dc-init%s%s; install DVS anew, or set DVS_INIT",
			       init ? " at " : " beside the agent", init ? init : "");
	return DVS_OK;
}

/* ---- the id ---- */

static bool good_id(const char *id)
{
	return strspn(id, "0123456789abcdef") == 8 && (id[8] == '\n' || id[8] == '\0');
}

bool container_host_group(const char *lib_dir, char group[CONTAINER_GROUP_BYTES])
{
	char path[PATH_BYTES];
	char id[16];

	(void)snprintf(path, sizeof(path), "%s/id", lib_dir);
	if (!file_read(path, id, sizeof(id)) || !good_id(id))
		return false;
	(void)snprintf(group, CONTAINER_GROUP_BYTES, "/dvs-%.8s", id);
	return true;
}

static dvs_err read_id(const char *lib_dir, char id[16], char *why)
{
	char path[PATH_BYTES];
	uint32_t random;

	(void)snprintf(path, sizeof(path), "%s/id", lib_dir);
	if (file_read(path, id, 16) && good_id(id)) {
		id[8] = '\0';
		return DVS_OK;
	}
	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return why_errno(why, errno, "draw an id");
	(void)snprintf(id, 16, "%08" PRIx32 "\n", random);
	if (!file_replace(path, id, 9, 0644, true))
		return why_errno(why, errno, "keep the id of this node in %s", path);
	id[8] = '\0';
	return DVS_OK;
}

/* ---- all of it ---- */

static dvs_err make_dirs(const struct container_host *host, char *why)
{
	const struct {
		const char *dir, *rest;
		mode_t mode;
	} dirs[] = {
		/* A container's root passes through it to its files. */
		{ host->run_dir, "/containers", 0711 }, { host->run_dir, "/crun", 0700 },
		{ host->run_dir, "/init", 0700 },	{ host->lib_dir, "", 0755 },
		{ host->lib_dir, "/dcs", 0700 },
	};

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		char path[PATH_BYTES];

		(void)snprintf(path, sizeof(path), "%s%s", dirs[i].dir, dirs[i].rest);
		if (!dir_make(path, dirs[i].mode))
			return why_errno(why, errno, "make %s", path);
	}
	return DVS_OK;
}

dvs_err container_host_open(const char *run_dir, const char *lib_dir, struct container_host *host,
			    char *why)
{
	struct cgroups all;
	char id[16];
	dvs_err err;

	memset(host, 0, sizeof(*host));
	/* The path of a socket is short: "RUN_DIR/init/NAME". */
	if (strlen(run_dir) + sizeof("/init/") + CONTAINER_ID_MAX > sizeof(host->run_dir) ||
	    strlen(lib_dir) >= sizeof(host->lib_dir) || strpbrk(lib_dir, ",:\\") ||
	    run_dir[0] != '/' || lib_dir[0] != '/')
		return why_say(why, DVS_BADARG,
			       "%s and %s must be absolute paths of at most %zu and %zu "
			       "characters, the latter without ',', ':' and '\\'",
			       run_dir, lib_dir,
			       sizeof(host->run_dir) - sizeof("/init/") - CONTAINER_ID_MAX,
			       sizeof(host->lib_dir) - 1);
	(void)snprintf(host->run_dir, sizeof(host->run_dir), "%s", run_dir);
	(void)snprintf(host->lib_dir, sizeof(host->lib_dir), "%s", lib_dir);
	err = find_programs(host, why);
	if (err == DVS_OK)
		err = own_mounts(why);
	if (err == DVS_OK)
		err = make_dirs(host, why);
	if (err == DVS_OK)
		err = read_id(lib_dir, id, why);
	if (err != DVS_OK)
		return err;
	(void)snprintf(host->cgroup, sizeof(host->cgroup), "/dvs-%.8s", id);
	if (container_layout() != CONTAINER_V2)
		mount_forgotten(host->cgroup);
	if (!cgroups_find(&all))
		return why_say(why, DVS_NOTFOUND, "no cgroups are mounted at %s; see 'dvs doctor'",
			       CGROUP_DIR);
	if (!cgroup_make(&all, host->cgroup))
		return why_errno(why, errno, "make the cgroup %s", host->cgroup);
	/* It was to see whether we may. It is there while there are containers. */
	cgroup_tidy(&all, host->cgroup);
	return DVS_OK;
}

/* ---- the end of a node ---- */

static dvs_err remove_in_child(const char *cgroup, char *why)
{
	uint64_t deadline_ns = clock_deadline_ns(END_SPAN_NS);
	struct cgroups all;
	dvs_err err = own_mounts(why);

	if (err != DVS_OK || !cgroups_find(&all) || !cgroup_exists(&all, cgroup))
		return err;
	/* Who was killed by others is listed until it has ended. */
	do {
		err = cgroup_kill(&all, cgroup, deadline_ns);
		if (err == DVS_OK)
			err = cgroup_remove(&all, cgroup);
	} while (err == DVS_INUSE && !clock_is_past(deadline_ns));
	if (err == DVS_INUSE || err == DVS_TIMEOUT)
		return why_say(
			why, DVS_TIMEOUT,
			"processes in the cgroup %s do not end; see 'ps axf' for those in state D",
			cgroup);
	return err == DVS_OK ? DVS_OK :
			       why_say(why, err, "the cgroup %s cannot be removed", cgroup);
}

static _Noreturn void host_remove_child(const char *cgroup, int fd)
{
	char why[DESCRIPTION_TEXT_MAX] = "";
	dvs_err err = remove_in_child(cgroup, why);

	(void)!write(fd, why, strlen(why));
	_exit((int)(uint32_t)err);
}

dvs_err container_host_remove(const char *cgroup, char *why)
{
	AUTO_CLOSE int reading = -1;
	AUTO_CLOSE int writing = -1;
	size_t len = 0;
	int status = 0;
	int pipes[2];
	pid_t child;
	ssize_t n;

	if (pipe2(pipes, O_CLOEXEC) != 0)
		return why_errno(why, errno, "make a pipe");
	reading = pipes[0];
	writing = pipes[1];
	child = fork();
	if (child == 0)
		host_remove_child(cgroup, writing);
	cleanup_close(&writing);
	if (child < 0)
		return why_errno(why, errno, "start a process");
	while (len < DESCRIPTION_TEXT_MAX - 1 &&
	       (n = read(reading, why + len, DESCRIPTION_TEXT_MAX - 1 - len)) > 0)
		len += (size_t)n;
	why[len] = '\0';
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? dvs_err_from_number((uint32_t)WEXITSTATUS(status)) : DVS_IO;
}

/* ---- paths ---- */

void container_dir(const struct container_host *host, const char *name, const char *rest,
		   char path[PATH_BYTES])
{
	(void)snprintf(path, PATH_BYTES, "%s/containers/%s%s", host->run_dir, name, rest);
}

void container_upper_dir(const struct container_host *host, const char *name, const char *rest,
			 char path[PATH_BYTES])
{
	(void)snprintf(path, PATH_BYTES, "%s/dcs/%s%s", host->lib_dir, name, rest);
}

void container_socket(const struct container_host *host, const char *name, char *path)
{
	/* container_host_open() has seen to it that it fits. */
	if (snprintf(path, 108, "%s/init/%s", host->run_dir, name) >= 108)
		path[0] = '\0';
}

void container_cgroup(const struct container_host *host, const char *name, char path[128])
{
	(void)snprintf(path, 128, "%s/%s", host->cgroup, name);
}

bool container_name_ok(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789-_.";
	size_t len = strlen(name);

	return len > 0 && len <= CONTAINER_ID_MAX && name[0] != '.' && strspn(name, letters) == len;
}
