/* SPDX-License-Identifier: Apache-2.0 */
/* Users by the container's own files. Whoever is root in there can have made anything of them: they are found without leaving the container, must be regular files, and are read up to a bound. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/openat2.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "container/container.h"
#include "container/internal.h"

#define FILE_BYTES_MAX ((size_t)1 << 20)
#define GROUPS_MAX 32u
/* "nobody" of most systems; above it a container has no ids. */
#define ID_MAX (CONTAINER_UIDS - 1u)

/* The text of a file of the container, terminated; NULL: there is none that can be read. */
static char *read_inside(pid_t init, const char *path)
{
	struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
				.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	AUTO_FREE char *text = malloc(FILE_BYTES_MAX + 1);
	AUTO_CLOSE int root = -1;
	AUTO_CLOSE int fd = -1;
	char of_root[32];
	struct stat status;
	size_t len = 0;
	ssize_t n;

	(void)snprintf(of_root, sizeof(of_root), "/proc/%d/root", init);
	root = open(of_root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || !text)
		return NULL;
	fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
	if (fd < 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
		return NULL;
	while (len < FILE_BYTES_MAX && (n = read(fd, text + len, FILE_BYTES_MAX - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	return TAKE_PTR(text);
}

static bool read_id(const char *text, uint32_t *id)
{
	unsigned long long value;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno != 0 || *end != '\0' || value > ID_MAX)
		return false;
	*id = (uint32_t)value;
	return true;
}

/* The next line of *REST in up to N fields; false: there is none with so many. */
static bool next_row(char **rest, char **fields, size_t n)
{
	char *line;

	while ((line = strsep(rest, "\n")) != NULL) {
		size_t found = 0;

		while (found < n && (fields[found] = strsep(&line, ":")) != NULL)
			found++;
		if (found == n)
			return true;
	}
	return false;
}

struct known {
	char name[128]; /* "": not in passwd */
	uint32_t uid, gid;
	char home[256];
};

/* NAME:PASSWORD:UID:GID:TEXT:HOME:SHELL, by name or, with NAME NULL, by UID. */
static bool find_user(pid_t init, const char *name, uint32_t uid, struct known *known)
{
	AUTO_FREE char *text = read_inside(init, "/etc/passwd");
	char *fields[6];
	char *rest = text;

	while (text && next_row(&rest, fields, ARRAY_LEN(fields))) {
		uint32_t row_uid, row_gid;

		if (!read_id(fields[2], &row_uid) || !read_id(fields[3], &row_gid) ||
		    (name ? strcmp(name, fields[0]) != 0 : uid != row_uid))
			continue;
		known->uid = row_uid;
		known->gid = row_gid;
		(void)snprintf(known->name, sizeof(known->name), "%s", fields[0]);
		(void)snprintf(known->home, sizeof(known->home), "%s",
			       fields[5][0] == '/' ? fields[5] : "/");
		return true;
	}
	return false;
}

static bool lists(char *members, const char *name)
{
	char *one;

	while ((one = strsep(&members, ",")) != NULL) {
		if (strcmp(one, name) == 0)
			return true;
	}
	return false;
}

/* NAME:PASSWORD:GID:MEMBER,MEMBER */
static uint32_t find_groups(pid_t init, const struct known *known, uint32_t groups[GROUPS_MAX])
{
	AUTO_FREE char *text = read_inside(init, "/etc/group");
	char *fields[4];
	char *rest = text;
	uint32_t n = 0;

	while (text && known->name[0] && n < GROUPS_MAX &&
	       next_row(&rest, fields, ARRAY_LEN(fields))) {
		uint32_t gid;

		if (read_id(fields[2], &gid) && gid != known->gid && lists(fields[3], known->name))
			groups[n++] = gid;
	}
	return n;
}

static bool find_group(pid_t init, const char *name, uint32_t *gid)
{
	AUTO_FREE char *text = read_inside(init, "/etc/group");
	char *fields[3];
	char *rest = text;

	if (read_id(name, gid))
		return true;
	while (text && next_row(&rest, fields, ARRAY_LEN(fields))) {
		if (strcmp(fields[0], name) == 0 && read_id(fields[2], gid))
			return true;
	}
	return false;
}

dvs_err container_user(pid_t init, const char *user, uint32_t *uid, uint32_t *gid,
		       uint32_t groups[32], uint32_t *n_groups, char *home, size_t home_size,
		       char *why)
{
	struct known known = { .name = "root", .home = "/root" };
	char name[128];
	char *group;

	if ((size_t)snprintf(name, sizeof(name), "%s", user) >= sizeof(name))
		return why_say(why, DVS_BADARG, "the user's name is too long");
	group = strchr(name, ':');
	if (group)
		*group++ = '\0';
	if (name[0] != '\0' && read_id(name, &known.uid)) {
		if (!find_user(init, NULL, known.uid, &known))
			known = (struct known){ .uid = known.uid, .gid = 0, .home = "/" };
	} else if (!find_user(init, name[0] ? name : "root", 0, &known) && name[0] != '\0') {
		return why_say(why, DVS_NOTFOUND,
			       "the container has no user '%s' in /etc/passwd: give the user as a"
			       " number up to %u",
			       name, ID_MAX);
	}
	*n_groups = group ? 0 : find_groups(init, &known, groups);
	if (group && !find_group(init, group, &known.gid))
		return why_say(why, DVS_NOTFOUND,
			       "the container has no group '%s' in /etc/group: give the group as a"
			       " number up to %u",
			       group, ID_MAX);
	*uid = known.uid;
	*gid = known.gid;
	(void)snprintf(home, home_size, "%s", known.home);
	return DVS_OK;
}
