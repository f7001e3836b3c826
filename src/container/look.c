/* SPDX-License-Identifier: Apache-2.0 */
/* Which containers there are, and how they are. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "container/host.h"

#define FREEZE_TIMEOUT_MS 10000u

/* The first process as container_create() kept it, if it lives. 0: it does not. */
static pid_t first_process(const struct container_host *host, const char *name, uint32_t *dc)
{
	char path[PATH_BYTES], text[64];
	uint64_t pid, started, of;
	const char *at = text;

	container_dir(host, name, "/state", path);
	if (!file_read(path, text, sizeof(text)) || !text_number(&at, &pid) ||
	    !text_number(&at, &started) || !text_number(&at, &of) || pid == 0 || pid > INT32_MAX)
		return 0;
	*dc = (uint32_t)of;
	return process_started((pid_t)pid) == started ? (pid_t)pid : 0;
}

static bool something_there(const struct container_host *host, const struct cgroups *all,
			    const char *name)
{
	char path[PATH_BYTES], group[128];

	container_cgroup(host, name, group);
	container_dir(host, name, "", path);
	if (access(path, F_OK) == 0 || cgroup_exists(all, group))
		return true;
	container_upper_dir(host, name, "", path);
	if (access(path, F_OK) == 0)
		return true;
	(void)snprintf(path, sizeof(path), "%s/crun/%s", host->run_dir, name);
	return access(path, F_OK) == 0;
}

dvs_err container_look(const struct container_host *host, const char *name,
		       struct container_state *state)
{
	struct cgroups all;
	char path[PATH_BYTES], text[64], group[128];

	memset(state, 0, sizeof(*state));
	if (!container_name_ok(name))
		return DVS_BADARG;
	if (!cgroups_find(&all))
		return DVS_NOTFOUND;
	state->pid = first_process(host, name, &state->dc);
	if (state->pid == 0) {
		state->is = something_there(host, &all, name) ? CONTAINER_LEFTOVER :
								CONTAINER_ABSENT;
		return DVS_OK;
	}
	container_cgroup(host, name, group);
	state->is = cgroup_is_frozen(&all, group) ? CONTAINER_FROZEN : CONTAINER_RUNS;
	container_dir(host, name, "/mark", path);
	if (file_read(path, text, sizeof(text)))
		state->version = strtoull(text, NULL, 10);
	container_dir(host, name, "/digest", path);
	(void)file_read(path, state->digest, sizeof(state->digest));
	return DVS_OK;
}

dvs_err container_mark(const struct container_host *host, const char *name, uint64_t version)
{
	char path[PATH_BYTES], text[32];

	(void)snprintf(text, sizeof(text), "%" PRIu64 "\n", version);
	container_dir(host, name, "/mark", path);
	return file_replace(path, text, strlen(text), 0600, false) ? DVS_OK : dvs_from_errno(errno);
}

/* ---- the list ---- */

struct names {
	char **all;
	size_t n, room;
};

static bool add_name(struct names *names, const char *name)
{
	if (!container_name_ok(name))
		return true;
	for (size_t i = 0; i < names->n; i++) {
		if (strcmp(names->all[i], name) == 0)
			return true;
	}
	if (names->n == names->room) {
		size_t room = names->room ? names->room * 2 : 16;
		char **more = realloc(names->all, room * sizeof(*more));

		if (!more)
			return false;
		names->all = more;
		names->room = room;
	}
	names->all[names->n] = strdup(name);
	return names->all[names->n] && ++names->n;
}

static bool add_dirs(struct names *names, const char *path)
{
	AUTO_CLOSEDIR DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)) != NULL) {
		char below[PATH_BYTES + 256];
		struct stat status;

		(void)snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
		if (lstat(below, &status) == 0 && S_ISDIR(status.st_mode) &&
		    !add_name(names, entry->d_name))
			return false;
	}
	return dir || errno == ENOENT;
}

dvs_err container_list(const struct container_host *host, char ***names, size_t *n)
{
	struct names found = { .n = 0 };
	struct cgroups all;
	char path[PATH_BYTES];
	bool good;

	*names = NULL;
	*n = 0;
	if (!cgroups_find(&all))
		return DVS_NOTFOUND;
	(void)snprintf(path, sizeof(path), "%s/containers", host->run_dir);
	good = add_dirs(&found, path);
	(void)snprintf(path, sizeof(path), "%s/dcs", host->lib_dir);
	good = good && add_dirs(&found, path);
	(void)snprintf(path, sizeof(path), "%s/crun", host->run_dir);
	good = good && add_dirs(&found, path);
	for (size_t i = 0; good && i < all.n; i++) {
		(void)snprintf(path, sizeof(path), "%s%s", all.trees[i].root, host->cgroup);
		good = add_dirs(&found, path);
	}
	if (!good) {
		for (size_t i = 0; i < found.n; i++)
			free(found.all[i]);
		free(found.all);
		return DVS_IO;
	}
	*names = found.all;
	*n = found.n;
	return DVS_OK;
}

/* ---- limits, figures, standing still ---- */

dvs_err container_usage(const struct container_host *host, const char *name,
			struct container_usage *usage)
{
	struct cgroups all;
	char group[128];

	memset(usage, 0, sizeof(*usage));
	container_cgroup(host, name, group);
	if (!container_name_ok(name) || !cgroups_find(&all) || !cgroup_exists(&all, group))
		return DVS_NOTFOUND;
	usage_read(&all, group, usage);
	return DVS_OK;
}

dvs_err container_freeze(const struct container_host *host, const char *name, bool on, char *why)
{
	struct cgroups all;
	char group[128];
	dvs_err err;

	container_cgroup(host, name, group);
	if (!container_name_ok(name) || !cgroups_find(&all) || !cgroup_exists(&all, group))
		return why_say(why, DVS_NOTFOUND, "there is no container %s on this node", name);
	err = cgroup_freeze(&all, group, on,
			    clock_deadline_ns(FREEZE_TIMEOUT_MS * CLOCK_NS_PER_MS));
	if (err == DVS_OK)
		return DVS_OK;
	if (err == DVS_NOTFOUND)
		return why_say(why, DVS_DENIED,
			       "this node cannot freeze containers: its kernel gives no cgroup "
			       "controller 'freezer'; see 'dvs doctor'");
	/* Half frozen is no state to stay in. */
	if (on)
		(void)cgroup_freeze(&all, group, false, 0);
	return why_say(why, err, "%s %s: %s", on ? "freeze" : "thaw", name, dvs_strerror(err));
}
