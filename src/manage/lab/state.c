/* SPDX-License-Identifier: Apache-2.0 */
/* A lab's name, and its directory:
 *
 *	lock           held while the lab is changed
 *	options        what 'dvs lab up' was told, a line each
 *	n0/corosync/   mounted as /etc/corosync in the node
 *	n0/dvs/        mounted as /etc/dvs
 *	n0/log/        mounted as /var/log
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/cleanup.h"
#include "manage/lab/lab.h"

bool lab_fail(struct lab *lab, const char *message, ...)
{
	va_list args;

	if (lab->error[0])
		return false;
	va_start(args, message);
	(void)vsnprintf(lab->error, sizeof(lab->error), message, args);
	va_end(args);
	return false;
}

/* In memory: a log on a busy disk holds corosync up for seconds. */
bool lab_base_dir(char *path, size_t path_bytes)
{
	const char *said = getenv("DVS_LAB_DIR");
	struct statfs fs;
	int n;

	if (said && said[0] == '/')
		n = snprintf(path, path_bytes, "%s", said);
	else if (geteuid() != 0)
		n = snprintf(path, path_bytes, "/dev/shm/dvs-lab-%u", geteuid());
	else if (statfs("/run", &fs) == 0 && fs.f_type == TMPFS_MAGIC)
		n = snprintf(path, path_bytes, "/run/dvs-lab");
	else
		n = snprintf(path, path_bytes, "/dev/shm/dvs-lab");
	return n > 0 && (size_t)n < path_bytes;
}

/* It becomes a part of paths, of host names and of the name of the cluster. */
static bool name_is_good(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= LAB_NAME_MAX && name[0] != '-' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

bool lab_init(struct lab *lab, const char *name)
{
	char base[128];

	memset(lab, 0, sizeof(*lab));
	lab->lock_fd = -1;
	if (!name)
		name = getenv("DVS_LAB");
	if (!name || !name[0])
		name = LAB_NAME_DEFAULT;
	if (!name_is_good(name))
		return lab_fail(lab,
				"'%s' is no name of a lab: it takes up to %u of a-z, 0-9 and '-'",
				name, LAB_NAME_MAX);
	(void)snprintf(lab->name, sizeof(lab->name), "%s", name);
	if (!lab_base_dir(base, sizeof(base)))
		return lab_fail(lab, "DVS_LAB_DIR is too long; choose a shorter one");
	(void)snprintf(lab->dir, sizeof(lab->dir), "%s/%s", base, name);
	return true;
}

/* ---- the lock ---- */

bool lab_lock(struct lab *lab)
{
	char path[300];

	(void)snprintf(path, sizeof(path), "%s/lock", lab->dir);
	lab->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (lab->lock_fd < 0)
		return lab_fail(lab, "open %s: %s", path, strerror(errno));
	while (flock(lab->lock_fd, LOCK_EX) != 0) {
		if (errno != EINTR)
			return lab_fail(lab, "lock %s: %s", path, strerror(errno));
	}
	return true;
}

void lab_close(struct lab *lab)
{
	cleanup_close(&lab->lock_fd);
}

/* ---- the directory ---- */

static bool make_dir(struct lab *lab, const char *path)
{
	if (mkdir(path, 0755) == 0 || errno == EEXIST)
		return true;
	return lab_fail(lab, "make the directory %s: %s", path, strerror(errno));
}

static bool write_options(struct lab *lab)
{
	const struct lab_options *options = &lab->options;
	char path[300];
	AUTO_FCLOSE FILE *file = NULL;

	(void)snprintf(path, sizeof(path), "%s/options", lab->dir);
	file = fopen(path, "we");
	if (!file)
		return lab_fail(lab, "write %s: %s", path, strerror(errno));
	fprintf(file, "nodes %u\ntoken %u\ntransport %u\nfilter0 %u\nfilter1 %u\n",
		options->n_nodes, options->token_ms, (unsigned int)options->transport,
		(unsigned int)options->filters[0], (unsigned int)options->filters[1]);
	fprintf(file, "engine %u\nsecure %u\nbare %u\n", (unsigned int)options->engine,
		options->secure, options->bare);
	if (fflush(file) != 0)
		return lab_fail(lab, "write %s: %s", path, strerror(errno));
	return true;
}

bool lab_create_dir(struct lab *lab)
{
	static const char *const parts[] = { "",     "/corosync", "/corosync/uidgid.d",
					     "/dvs", "/log",	  "/lib" };
	char path[320];

	for (uint32_t node = 0; node < lab->options.n_nodes; node++) {
		for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
			(void)snprintf(path, sizeof(path), "%s/n%u%s", lab->dir, node, parts[i]);
			if (!make_dir(lab, path))
				return false;
		}
	}
	return write_options(lab);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *at)
{
	(void)status;
	(void)kind;
	(void)at;
	(void)remove(path);
	return 0;
}

static int remove_but_lock(const char *path, const struct stat *status, int kind, struct FTW *at)
{
	if (at->level > 0 && !(at->level == 1 && strcmp(path + at->base, "lock") == 0))
		return remove_one(path, status, kind, at);
	return 0;
}

void lab_clear_dir(struct lab *lab)
{
	(void)nftw(lab->dir, remove_but_lock, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

void lab_remove_dir(struct lab *lab)
{
	char base[128];

	(void)nftw(lab->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	/* When it was the last lab. */
	if (lab_base_dir(base, sizeof(base)))
		(void)rmdir(base);
}

static bool take_option(struct lab_options *options, const char *key, uint32_t value)
{
	if (strcmp(key, "nodes") == 0 && value >= 1 && value <= LAB_NODES_MAX)
		options->n_nodes = value;
	else if (strcmp(key, "token") == 0)
		options->token_ms = value;
	else if (strcmp(key, "transport") == 0 && value <= CONFIG_TIPC)
		options->transport = (enum config_transport)value;
	else if (strcmp(key, "filter0") == 0 && value <= CONFIG_TLS)
		options->filters[0] = (enum config_filter)value;
	else if (strcmp(key, "filter1") == 0 && value <= CONFIG_TLS)
		options->filters[1] = (enum config_filter)value;
	else if (strcmp(key, "engine") == 0 && value <= CONFIG_COROSYNC)
		options->engine = (enum config_engine)value;
	else if (strcmp(key, "secure") == 0 && value <= 1)
		options->secure = value;
	else if (strcmp(key, "bare") == 0 && value <= 1)
		options->bare = value;
	else
		return false;
	return true;
}

static bool read_options(struct lab *lab)
{
	char path[300];
	char line[80];
	AUTO_FCLOSE FILE *file = NULL;

	(void)snprintf(path, sizeof(path), "%s/options", lab->dir);
	file = fopen(path, "re");
	if (!file)
		return false;
	while (fgets(line, sizeof(line), file)) {
		char *value = strchr(line, ' ');

		if (!value)
			return false;
		*value++ = '\0';
		if (!take_option(&lab->options, line, (uint32_t)strtoul(value, NULL, 10)))
			return false;
	}
	return feof(file) && lab->options.n_nodes > 0;
}

static void take_any_name(void *arg, pid_t pid, const char *name, const char *role)
{
	char *found = arg;

	(void)pid;
	(void)role;
	if (name[0] != '\0' && strlen(name) <= LAB_NAME_MAX)
		memcpy(found, name, strlen(name) + 1);
}

bool lab_is_missing(struct lab *lab)
{
	char other[LAB_NAME_MAX + 1] = "";

	lab_each_holder(take_any_name, other);
	if (other[0] == '\0')
		return lab_fail(lab,
				"there is no lab '%s'; 'dvs lab up 3' makes one of three nodes",
				lab->name);
	return lab_fail(lab,
			"there is no lab '%s', but '%s': say --name %s; 'dvs lab ls' lists all",
			lab->name, other, other);
}

bool lab_open(struct lab *lab, const char *name)
{
	if (!lab_init(lab, name))
		return false;
	if (lab_find_holders(lab) == 0)
		return lab_is_missing(lab);
	if (!read_options(lab))
		return lab_fail(lab,
				"the directory of lab '%s', %s, is damaged; 'dvs lab down --name "
				"%s' removes the lab",
				lab->name, lab->dir, lab->name);
	return true;
}

bool lab_parse_node(struct lab *lab, const char *word, uint32_t *node)
{
	const char *digits = word[0] == 'n' ? word + 1 : word;
	size_t len = strlen(digits);

	if (len > 0 && len <= 2 && strspn(digits, "0123456789") == len) {
		*node = (uint32_t)strtoul(digits, NULL, 10);
		if (*node < lab->options.n_nodes)
			return true;
	}
	return lab_fail(lab, "lab '%s' has no node '%s'; it has n0 to n%u", lab->name, word,
			lab->options.n_nodes - 1);
}

void lab_node_path(const struct lab *lab, uint32_t node, const char *rest, char *path,
		   size_t path_bytes)
{
	(void)snprintf(path, path_bytes, "%s/n%u/%s", lab->dir, node, rest);
}

void lab_node_address(uint32_t node, char address[LAB_ADDRESS_BYTES])
{
	(void)snprintf(address, LAB_ADDRESS_BYTES, "10.86.0.%u", node + 1);
}
