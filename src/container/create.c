/* SPDX-License-Identifier: Apache-2.0 */
/* Making a container: its limits first, then its root, then crun. Each step can be the last one: container_remove() finds what there is by name. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "container/bundle.h"
#include "container/rootfs.h"

/* What a loaded machine may take; crun itself takes 20 ms. */
#define CRUN_TIMEOUT_MS 60000u

static dvs_err make_dirs(const struct container_host *host, const char *name, char *why)
{
	char path[PATH_BYTES];

	container_dir(host, name, "", path);
	if (!dir_make(path, 0711))
		return why_errno(why, errno, "make %s", path);
	return DVS_OK;
}

/* The socket that dc-init inherits: only who can pass the directory, which is root's, can connect. */
static int listen_for(const struct container_host *host, const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	char path[108];

	if (fd < 0)
		return -1;
	container_socket(host, name, path);
	memcpy(address.sun_path, path, sizeof(path));
	if (unlink(path) != 0 && errno != ENOENT)
		return -1;
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
	    listen(fd, 16) != 0)
		return -1;
	return take_fd(&fd);
}

static dvs_err write_bundle(const struct container_host *host, const struct container_plan *plan,
			    char *why)
{
	bool named = plan->description->network == DESCRIPTION_NODE_NETWORK &&
		     plan->description->root != DESCRIPTION_HOST;
	char dir[PATH_BYTES], group[128], path[PATH_BYTES];
	struct bundle_of of = {
		.plan = plan,
		.cgroup = group,
		.dir = dir,
		.init = host->init,
		.may_raise = host_may_raise(),
		.most_files = UINT64_MAX,
		.has_cgroup = access("/proc/self/ns/cgroup", F_OK) == 0,
		.has_resolver = named && access("/etc/resolv.conf", R_OK) == 0,
		.has_hosts = named && access("/etc/hosts", R_OK) == 0,
	};
	AUTO_FREE char *text = NULL;
	char files[64];
	struct cgroups all;
	json_t *config;

	if (!cgroups_find(&all))
		return why_say(why, DVS_NOTFOUND, "no cgroups are mounted");
	of.filters_devices = host_filters_devices(&all);
	if (file_read("/proc/sys/fs/nr_open", files, sizeof(files)))
		of.most_files = strtoull(files, NULL, 10);

	container_dir(host, plan->name, "", dir);
	container_dir(host, plan->name, "/config.json", path);
	container_cgroup(host, plan->name, group);
	config = bundle_make(&of);
	if (config)
		text = json_dumps(config, JSON_COMPACT);
	json_decref(config);
	if (!text)
		return why_say(why, DVS_NOMEM, "out of memory");
	if (!file_replace(path, text, strlen(text), 0600, false))
		return why_errno(why, errno, "write %s", path);
	return DVS_OK;
}

/* ---- crun ---- */

/* What crun said, on one line. */
static void read_log(const char *path, char text[400])
{
	char *end;

	if (!file_read(path, text, 400) || !text[0])
		(void)snprintf(text, 400, "it said nothing");
	for (end = text + strlen(text); end > text && end[-1] == '\n'; end--)
		end[-1] = '\0';
	for (char *at = text; *at; at++) {
		if ((unsigned char)*at < ' ')
			*at = ' ';
	}
}

static dvs_err run_crun(const struct container_host *host, const struct container_plan *plan,
			int socket_fd, char *why)
{
	const struct description *is = plan->description;
	const char *name = plan->name;
	struct process_limits limits = { .n = is->n_rlimits };
	char root[PATH_BYTES], dir[PATH_BYTES], pid_file[PATH_BYTES], log[PATH_BYTES];
	const char *const argv[] = {
		host->crun, "--root",	root,  "--cgroup-manager", "cgroupfs",
		"--log",    log,	"run", "--detach",	   "--preserve-fds",
		"1",	    "--bundle", dir,   "--pid-file",	   pid_file,
		name,	    NULL,
	};
	char text[400];
	int status;
	dvs_err err;

	(void)snprintf(root, sizeof(root), "%s/crun", host->run_dir);
	container_dir(host, name, "", dir);
	container_dir(host, name, "/pid", pid_file);
	container_dir(host, name, "/crun.log", log);
	for (size_t i = 0; i < limits.n; i++) {
		limits.which[i] = is->rlimits[i].which;
		limits.hard[i] = is->rlimits[i].hard;
	}
	err = process_run(argv, socket_fd, &limits, CRUN_TIMEOUT_MS, &status);
	if (err == DVS_TIMEOUT)
		return why_say(why, DVS_TIMEOUT, "crun did not end within %u s",
			       CRUN_TIMEOUT_MS / 1000);
	if (err != DVS_OK)
		return why_say(why, err, "start %s: %s", host->crun, dvs_strerror(err));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return DVS_OK;
	if (WIFSIGNALED(status))
		return why_say(why, DVS_IO, "crun was ended by signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status) == 127)
		return why_say(why, DVS_IO, "%s could not be started", host->crun);
	read_log(log, text);
	return why_say(why, DVS_IO, "crun could not make the container: %s", text);
}

/* "LIB_DIR/images/HEX/tree": what the description names may be another image by now. */
static dvs_err keep_digest(const struct container_host *host, const struct container_plan *plan,
			   char *why)
{
	const char *end = plan->tree ? strrchr(plan->tree, '/') : NULL;
	char path[PATH_BYTES], text[80];

	if (!end || end - plan->tree < 65 || end[-65] != '/')
		return DVS_OK;
	(void)snprintf(text, sizeof(text), "sha256:%.64s", end - 64);
	container_dir(host, plan->name, "/digest", path);
	return file_replace(path, text, strlen(text), 0600, false) ?
		       DVS_OK :
		       why_errno(why, errno, "write %s", path);
}

/* Keep which process its first one is, in a way that a later one with the same number is not taken for it. */
static dvs_err keep_state(const struct container_host *host, const struct container_plan *plan,
			  pid_t *pid, char *why)
{
	const char *name = plan->name;
	char path[PATH_BYTES], text[64];
	uint64_t started;

	container_dir(host, name, "/pid", path);
	if (!file_read(path, text, sizeof(text)))
		return why_errno(why, errno, "read %s", path);
	*pid = (pid_t)strtol(text, NULL, 10);
	started = *pid > 0 ? process_started(*pid) : 0;
	if (started == 0)
		return why_say(why, DVS_IO,
			       "the first process of the container (dc-init) ended at once");
	(void)snprintf(text, sizeof(text), "%d %" PRIu64 " %" PRIu32 "\n", *pid, started, plan->dc);
	container_dir(host, name, "/state", path);
	if (!file_replace(path, text, strlen(text), 0600, false))
		return why_errno(why, errno, "write %s", path);
	return DVS_OK;
}

static dvs_err make_limits(const struct container_host *host, const struct container_plan *plan,
			   char *why)
{
	struct cgroups all;
	char group[128];

	container_cgroup(host, plan->name, group);
	if (!cgroups_find(&all))
		return why_say(why, DVS_NOTFOUND, "no cgroups are mounted");
	if (plan->description->n_hugetlb > 0 && !all.v2 && !cgroups_with(&all, "hugetlb") &&
	    host_mount_controller("hugetlb") && !cgroups_find(&all))
		return why_say(why, DVS_NOTFOUND, "no cgroups are mounted");
	if (!cgroup_make(&all, group))
		return why_errno(why, errno, "make the cgroup %s", group);
	return limits_apply(&all, group, plan->description, why);
}

static dvs_err make_all(const struct container_host *host, const struct container_plan *plan,
			pid_t *pid, char *why)
{
	AUTO_CLOSE int fd = -1;
	dvs_err err = make_dirs(host, plan->name, why);

	if (err == DVS_OK)
		err = make_limits(host, plan, why);
	if (err == DVS_OK)
		err = rootfs_make(host, plan, why);
	if (err == DVS_OK)
		err = write_bundle(host, plan, why);
	if (err == DVS_OK)
		err = keep_digest(host, plan, why);
	if (err != DVS_OK)
		return err;
	fd = listen_for(host, plan->name);
	if (fd < 0)
		return why_errno(why, errno, "listen for dc-init");
	err = run_crun(host, plan, fd, why);
	/* On v1 crun has lifted the limits on memory of the cgroup that it found. Nothing but dc-init runs yet. */
	if (err == DVS_OK)
		err = make_limits(host, plan, why);
	if (err == DVS_OK)
		err = keep_state(host, plan, pid, why);
	if (err == DVS_OK && !rootfs_take_down(host, plan->name))
		err = why_errno(why, errno, "unmount what the container has taken");
	return err;
}

dvs_err container_create(const struct container_host *host, const struct container_plan *plan,
			 pid_t *pid, char *why)
{
	struct container_state state;
	char ignored[DESCRIPTION_TEXT_MAX];
	dvs_err err = container_check(host, plan, why);

	why[0] = err == DVS_OK ? '\0' : why[0];
	if (err == DVS_OK)
		err = container_look(host, plan->name, &state);
	if (err != DVS_OK)
		return err;
	if (state.is == CONTAINER_RUNS || state.is == CONTAINER_FROZEN)
		return why_say(why, DVS_EXISTS, "the container runs already");
	if (state.is == CONTAINER_LEFTOVER)
		err = container_remove(host, plan->name, why);
	if (err == DVS_OK)
		err = make_all(host, plan, pid, why);
	/* It failed half-way: nothing is to stay. If that fails, too, the next one tries again. */
	if (err != DVS_OK && container_remove(host, plan->name, ignored) != DVS_OK)
		return err;
	return err;
}
