/* SPDX-License-Identifier: Apache-2.0 */
#include "container/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"

/* The kernel tells nobody when a v1 freezer has frozen, or a cgroup's last process has left: that is looked for so often. */
#define LOOK_NS (500 * 1000)
#define MAKE_TRIES 100u

static void look_again(void)
{
	struct timespec span = { .tv_nsec = LOOK_NS };

	(void)nanosleep(&span, NULL);
}

/* ---- which trees there are ---- */

void cgroups_at_v2(struct cgroups *all, const char *root)
{
	struct cgroup_tree *tree = &all->trees[0];
	char path[PATH_BYTES];
	char names[200];

	memset(all, 0, sizeof(*all));
	all->v2 = true;
	all->n = 1;
	(void)snprintf(tree->root, sizeof(tree->root), "%s", root);
	/* Not those that the root has, but those that it hands on: where it is no real root and has processes, the kernel lets it hand on none. */
	(void)snprintf(path, sizeof(path), "%s/cgroup.subtree_control", root);
	(void)file_read(path, names, sizeof(names));
	for (char *at = names; *at; at++) {
		if (*at == ' ' || *at == '\n')
			*at = ',';
	}
	(void)snprintf(tree->controllers, sizeof(tree->controllers), ",%s,", names);
}

bool cgroups_find(struct cgroups *all)
{
	size_t n;
	AUTO_FREE struct mount_entry *entries = mounts_read(&n);

	memset(all, 0, sizeof(*all));
	for (size_t i = 0; i < n; i++) {
		struct cgroup_tree *tree = &all->trees[all->n];

		if (strncmp(entries[i].path, "/sys/fs/cgroup", 14) != 0)
			continue;
		if (strcmp(entries[i].type, "cgroup2") == 0 && !entries[i].path[14])
			cgroups_at_v2(all, entries[i].path);
		if (strcmp(entries[i].type, "cgroup") != 0 || all->n == CGROUP_TREES_MAX ||
		    access(entries[i].path, F_OK) != 0)
			continue;
		(void)snprintf(tree->root, sizeof(tree->root), "%.127s", entries[i].path);
		(void)snprintf(tree->controllers, sizeof(tree->controllers), "%s",
			       entries[i].options);
		all->n++;
	}
	return all->n > 0;
}

const struct cgroup_tree *cgroups_with(const struct cgroups *all, const char *controller)
{
	char word[64];

	(void)snprintf(word, sizeof(word), ",%s,", controller);
	for (size_t i = 0; i < all->n; i++) {
		if (strstr(all->trees[i].controllers, word))
			return &all->trees[i];
	}
	return NULL;
}

/* ---- files ---- */

/* Files of v2 that belong to no controller begin with "cgroup.". */
static bool path_of(const struct cgroups *all, const char *controller, const char *group,
		    const char *file, char path[PATH_BYTES])
{
	const struct cgroup_tree *tree = all->v2 && strncmp(file, "cgroup.", 7) == 0 ?
						 &all->trees[0] :
						 cgroups_with(all, controller);

	if (!tree) {
		errno = ENOENT;
		return false;
	}
	return snprintf(path, PATH_BYTES, "%s%s/%s", tree->root, group, file) < (int)PATH_BYTES;
}

bool cgroup_get(const struct cgroups *all, const char *controller, const char *group,
		const char *file, char *text, size_t size)
{
	char path[PATH_BYTES];

	text[0] = '\0';
	return path_of(all, controller, group, file, path) && file_read(path, text, size);
}

bool cgroup_set(const struct cgroups *all, const char *controller, const char *group,
		const char *file, const char *text)
{
	char path[PATH_BYTES];

	return path_of(all, controller, group, file, path) && file_put(path, text);
}

bool cgroup_has(const struct cgroups *all, const char *controller, const char *group,
		const char *file)
{
	char path[PATH_BYTES];

	return path_of(all, controller, group, file, path) && access(path, F_OK) == 0;
}

/* ---- making ---- */

/* A v1 cpuset takes no process before it has CPUs and memory nodes. */
static bool fill_cpuset(const char *parent, const char *dir)
{
	static const char *const files[] = { "cpuset.cpus", "cpuset.mems" };

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		char path[PATH_BYTES];
		char text[1024];

		(void)snprintf(path, sizeof(path), "%.400s/%s", dir, files[i]);
		if (!file_read(path, text, sizeof(text)))
			return false;
		if (text[0] != '\0' && text[0] != '\n')
			continue;
		(void)snprintf(path, sizeof(path), "%.400s/%s", parent, files[i]);
		if (!file_read(path, text, sizeof(text)))
			return false;
		(void)snprintf(path, sizeof(path), "%.400s/%s", dir, files[i]);
		if (!file_put(path, text))
			return false;
	}
	return true;
}

/* Hand on to DIR's children each controller that DIR has; one by one, for one may be refused. */
static void hand_on(const char *dir)
{
	char path[PATH_BYTES];
	char names[200];
	char *rest = names;
	char *name;

	(void)snprintf(path, sizeof(path), "%.400s/cgroup.controllers", dir);
	if (!file_read(path, names, sizeof(names)))
		return;
	(void)snprintf(path, sizeof(path), "%.400s/cgroup.subtree_control", dir);
	while ((name = strsep(&rest, " \n")) != NULL) {
		char word[64];

		(void)snprintf(word, sizeof(word), "+%.60s", name);
		if (name[0])
			(void)file_put(path, word);
	}
}

static bool make_in(const struct cgroups *all, const struct cgroup_tree *tree, const char *group)
{
	bool cpuset = !all->v2 && strstr(tree->controllers, ",cpuset,");
	char dir[PATH_BYTES];
	char parent[PATH_BYTES];
	size_t root_len = strlen(tree->root);

	if (snprintf(dir, sizeof(dir), "%s%s/", tree->root, group) >= 400) {
		errno = ENAMETOOLONG;
		return false;
	}
	(void)snprintf(parent, sizeof(parent), "%s", tree->root);
	for (size_t at = root_len + 1; dir[at]; at++) {
		if (dir[at] != '/')
			continue;
		dir[at] = '\0';
		if (all->v2)
			hand_on(parent);
		if (mkdir(dir, 0755) != 0 && errno != EEXIST)
			return false;
		if (cpuset && !fill_cpuset(parent, dir))
			return false;
		(void)snprintf(parent, sizeof(parent), "%s", dir);
		dir[at] = '/';
	}
	return true;
}

bool cgroup_make(const struct cgroups *all, const char *group)
{
	for (size_t i = 0; i < all->n; i++) {
		unsigned int tries = 0;

		/* Another thread may just have removed a parent that had become empty. */
		while (!make_in(all, &all->trees[i], group)) {
			if (errno != ENOENT || ++tries == MAKE_TRIES)
				return false;
		}
	}
	return true;
}

void cgroup_tidy(const struct cgroups *all, const char *group)
{
	for (size_t i = 0; i < all->n; i++) {
		char path[PATH_BYTES];

		(void)snprintf(path, sizeof(path), "%s%s", all->trees[i].root, group);
		(void)rmdir(path);
	}
}

bool cgroup_exists(const struct cgroups *all, const char *group)
{
	for (size_t i = 0; i < all->n; i++) {
		char path[PATH_BYTES];

		(void)snprintf(path, sizeof(path), "%s%s", all->trees[i].root, group);
		if (access(path, F_OK) == 0)
			return true;
	}
	return false;
}

/* ---- killing and removing ---- */

/* Call VISIT for DIR and all below it, the deepest first. A container cannot make any, but a depth is a bound all the same. */
static bool walk(const char *dir, unsigned int depth, bool (*visit)(const char *dir, void *arg),
		 void *arg)
{
	AUTO_CLOSEDIR DIR *list = opendir(dir);
	struct dirent *entry;
	bool good = true;

	if (!list)
		return errno == ENOENT;
	while ((entry = readdir(list)) != NULL) {
		char path[PATH_BYTES];

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		if (depth == 0 ||
		    snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name) >= (int)sizeof(path))
			return false;
		good = walk(path, depth - 1, visit, arg) && good;
	}
	return visit(dir, arg) && good;
}

#define DEPTH_MAX 32u

struct hunt {
	const char *group;
	uint64_t deadline_ns;
	size_t found;
};

static bool each_process(const char *dir, void *arg, void (*act)(pid_t pid, struct hunt *hunt))
{
	char path[PATH_BYTES];
	AUTO_FCLOSE FILE *file = NULL;
	char line[32];

	if (snprintf(path, sizeof(path), "%s/cgroup.procs", dir) >= (int)sizeof(path))
		return false;
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		const char *at = line;
		uint64_t pid;

		/* 0: it is outside of our PID namespace, so not one of ours. */
		if (text_number(&at, &pid) && pid > 0 && pid <= INT32_MAX)
			act((pid_t)pid, arg);
	}
	return true;
}

static void kill_one(pid_t pid, struct hunt *hunt)
{
	hunt->found++;
	(void)process_kill_in(pid, hunt->group);
}

static void await_one(pid_t pid, struct hunt *hunt)
{
	(void)process_gone(pid, hunt->deadline_ns);
}

static bool kill_in(const char *dir, void *arg)
{
	char path[PATH_BYTES];

	/* v2 can do it in one go, so that no fork gets away. */
	if (snprintf(path, sizeof(path), "%s/cgroup.kill", dir) < (int)sizeof(path))
		(void)file_put(path, "1");
	return each_process(dir, arg, kill_one);
}

static bool await_in(const char *dir, void *arg)
{
	return each_process(dir, arg, await_one);
}

/* What is frozen dies when it thaws. A part that was frozen by itself stays so when what is above it thaws. */
static bool thaw_in(const char *dir, void *arg)
{
	static const char *const files[][2] = { { "freezer.state", "THAWED" },
						{ "cgroup.freeze", "0" } };
	char path[PATH_BYTES];

	(void)arg;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		if (snprintf(path, sizeof(path), "%s/%s", dir, files[i][0]) < (int)sizeof(path))
			(void)file_put(path, files[i][1]);
	}
	return true;
}

dvs_err cgroup_kill(const struct cgroups *all, const char *group, uint64_t deadline_ns)
{
	struct hunt hunt = { .group = group, .deadline_ns = deadline_ns };

	do {
		char path[PATH_BYTES];

		hunt.found = 0;
		for (size_t i = 0; i < all->n; i++) {
			(void)snprintf(path, sizeof(path), "%s%s", all->trees[i].root, group);
			(void)walk(path, DEPTH_MAX, kill_in, &hunt);
		}
		if (hunt.found == 0)
			return DVS_OK;
		for (size_t i = 0; i < all->n; i++) {
			(void)snprintf(path, sizeof(path), "%s%s", all->trees[i].root, group);
			(void)walk(path, DEPTH_MAX, thaw_in, NULL);
		}
		for (size_t i = 0; i < all->n; i++) {
			(void)snprintf(path, sizeof(path), "%s%s", all->trees[i].root, group);
			(void)walk(path, DEPTH_MAX, await_in, &hunt);
		}
		/* Processes that have ended but that nobody waited for yet are listed for a moment longer. */
		look_again();
	} while (!clock_is_past(deadline_ns));
	return DVS_TIMEOUT;
}

static bool remove_one(const char *dir, void *arg)
{
	(void)arg;
	/* The last process may still be on its way out. */
	for (int i = 0; i < 2000; i++) {
		if (rmdir(dir) == 0 || errno == ENOENT)
			return true;
		if (errno != EBUSY)
			return false;
		look_again();
	}
	return false;
}

dvs_err cgroup_remove(const struct cgroups *all, const char *group)
{
	dvs_err err = DVS_OK;

	for (size_t i = 0; i < all->n; i++) {
		char path[PATH_BYTES];

		(void)snprintf(path, sizeof(path), "%s%s", all->trees[i].root, group);
		if (!walk(path, DEPTH_MAX, remove_one, NULL))
			err = errno == EBUSY ? DVS_INUSE : dvs_from_errno(errno);
	}
	return err;
}

/* ---- standing still ---- */

bool cgroup_is_frozen(const struct cgroups *all, const char *group)
{
	char text[256];

	if (all->v2)
		return cgroup_get(all, "", group, "cgroup.events", text, sizeof(text)) &&
		       strstr(text, "frozen 1");
	return cgroup_get(all, "freezer", group, "freezer.state", text, sizeof(text)) &&
	       strncmp(text, "FROZEN", 6) == 0;
}

dvs_err cgroup_freeze(const struct cgroups *all, const char *group, bool on, uint64_t deadline_ns)
{
	const char *file = all->v2 ? "cgroup.freeze" : "freezer.state";
	const char *word = all->v2 ? (on ? "1" : "0") : (on ? "FROZEN" : "THAWED");

	if (!cgroup_has(all, "freezer", group, file))
		return DVS_NOTFOUND;
	do {
		/* Written again while it freezes: v1 then tries those that it could not stop. */
		if (!cgroup_set(all, "freezer", group, file, word))
			return dvs_from_errno(errno);
		if (cgroup_is_frozen(all, group) == on)
			return DVS_OK;
		look_again();
	} while (!clock_is_past(deadline_ns));
	return DVS_TIMEOUT;
}
