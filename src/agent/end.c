/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/end.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "agent/volumes.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "container/ending.h"

/* More than a dc-init gives its programs. */
#define CONTAINERS_GRACE_MS 12000u
/* More than a server waits for a dvsd that it would tell. */
#define SERVERS_GRACE_MS 8000u
#define KILL_MS 10000u
#define RUN_DIR_DEFAULT "/run/dvs"
#define NAMES_MAX 3u
/* Of a command line or an environment. */
#define TEXT_BYTES 16384u

/* What to end at once. */
struct stage {
	const struct agent *agent;
	const char *names[NAMES_MAX];
	char folder[PATH_MAX]; /* of our programs, with its slash */
	struct stat network;   /* nodes of a lab have others */
};

/* ---- whose they are ---- */

/* Strings, each with its end. Their bytes; 0: there are none to be read. */
static size_t read_strings(pid_t pid, const char *file, char text[TEXT_BYTES])
{
	char path[64];
	AUTO_CLOSE int fd = -1;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd >= 0 ? read(fd, text, TEXT_BYTES - 1) : 0;
	text[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

/* What follows PREFIX in one of the strings; what is the whole of it, in the next one. */
static const char *value_of(const char *text, size_t bytes, const char *prefix, bool is_next)
{
	size_t len = strlen(prefix);

	for (const char *at = text; at < text + bytes; at += strlen(at) + 1) {
		const char *next = at + strlen(at) + 1;

		if (strncmp(at, prefix, len) != 0)
			continue;
		if (at[len] == '=')
			return at + len + 1;
		if (is_next && at[len] == '\0' && next < text + bytes)
			return next;
	}
	return NULL;
}

/* As it is looked for by the programs themselves. */
static bool is_of_run_dir(pid_t pid, const char *run_dir)
{
	char text[TEXT_BYTES];
	size_t bytes = read_strings(pid, "cmdline", text);
	const char *found = value_of(text, bytes, "--run-dir", true);

	if (!found) {
		bytes = read_strings(pid, "environ", text);
		found = value_of(text, bytes, "DVS_RUN_DIR", false);
	}
	return strcmp(found && *found ? found : RUN_DIR_DEFAULT, run_dir) == 0;
}

/* Ours, perhaps of before an upgrade: "/usr/sbin/dvs-vdd (deleted)". */
static bool is_program(const struct stage *stage, pid_t pid)
{
	size_t folder = strlen(stage->folder);
	char path[64];
	char exe[PATH_MAX];
	ssize_t len;

	(void)snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	len = readlink(path, exe, sizeof(exe) - 1);
	if (len <= 0)
		return false;
	exe[len] = '\0';
	if (strncmp(exe, stage->folder, folder) != 0)
		return false;
	for (size_t i = 0; i < NAMES_MAX && stage->names[i]; i++) {
		size_t name = strlen(stage->names[i]);

		if (strncmp(exe + folder, stage->names[i], name) == 0 &&
		    (exe[folder + name] == '\0' || exe[folder + name] == ' '))
			return true;
	}
	return false;
}

static bool is_in_stage(const void *arg, pid_t pid)
{
	const struct stage *stage = arg;
	struct stat network;
	char path[64];

	if (!is_program(stage, pid))
		return false;
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	return stat(path, &network) == 0 && network.st_ino == stage->network.st_ino &&
	       is_of_run_dir(pid, stage->agent->options.run_dir);
}

/* ---- the end ---- */

static dvs_err end_servers(const struct agent *agent)
{
	static const char *const stages[][NAMES_MAX] = { { "dvs-fuse", "dvs-attach", "dvs-nbd" },
							 { "dvs-fs" },
							 { "dvs-vdd" } };
	struct stage stage = { .agent = agent };

	if (!volumes_folder(stage.folder, sizeof(stage.folder)) ||
	    stat("/proc/self/ns/net", &stage.network) != 0)
		return DVS_IO;
	for (size_t i = 0; i < ARRAY_LEN(stages); i++) {
		memcpy(stage.names, stages[i], sizeof(stage.names));
		if (processes_end(is_in_stage, &stage, SIGTERM,
				  clock_deadline_ns(SERVERS_GRACE_MS * CLOCK_NS_PER_MS)) == 0)
			continue;
		if (processes_end(is_in_stage, &stage, SIGKILL,
				  clock_deadline_ns(KILL_MS * CLOCK_NS_PER_MS)) > 0) {
			log_error(&agent->log, "a server does not end though it was killed",
				  LOG_STR("first_program", stages[i][0]));
			return DVS_TIMEOUT;
		}
	}
	return DVS_OK;
}

/* dvsd's own lock, kept until we end. */
static bool is_alone(const struct agent *agent)
{
	char path[sizeof(agent->options.run_dir) + sizeof("/dvsd.pid")];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/dvsd.pid", agent->options.run_dir);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	/* Not closed: the lock would be gone. */
	return fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0;
}

dvs_err end_all(const struct agent *agent)
{
	char why[DESCRIPTION_TEXT_MAX] = "";
	dvs_err err, servers_err;

	if (!is_alone(agent)) {
		log_error(&agent->log,
			  "a dvsd runs, and would start all of it again: stop it first",
			  LOG_STR("run_dir", agent->options.run_dir));
		return DVS_INUSE;
	}
	err = container_host_stop(agent->options.lib_dir, CONTAINERS_GRACE_MS, why);
	if (err)
		log_error(&agent->log, "containers do not end", LOG_STR("why", why));
	servers_err = end_servers(agent);
	return err ? err : servers_err;
}
