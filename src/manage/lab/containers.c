/* SPDX-License-Identifier: Apache-2.0 */
/* The containers of a lab's nodes. They live in the nodes' namespaces and end with them; only one that is frozen does not, and cgroups
 * belong to the machine. Whose they are is written in the node's /var/lib/dvs/id. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "container/cgroup.h"
#include "manage/lab/lab.h"

#define KILL_SPAN_NS (10 * CLOCK_NS_PER_S)
#define ID_DIGITS 8u

/* The parent of the containers' cgroups of the node with this LIB_DIR; false: it had none. */
static bool read_group(const char *lib_dir, char group[32])
{
	char path[340];
	char id[ID_DIGITS + 1] = "";
	AUTO_CLOSE int fd = -1;

	(void)snprintf(path, sizeof(path), "%s/id", lib_dir);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || read(fd, id, ID_DIGITS) != ID_DIGITS ||
	    strspn(id, "0123456789abcdef") != ID_DIGITS)
		return false;
	(void)snprintf(group, 32, "/dvs-%s", id);
	return true;
}

static void kill_group(const char *lib_dir)
{
	struct cgroups all;
	char group[32];

	/* If it does not work, the end of the node's processes is waited for, and tells. */
	if (read_group(lib_dir, group) && cgroups_find(&all))
		(void)!cgroup_kill(&all, group, clock_deadline_ns(KILL_SPAN_NS));
}

void lab_containers_kill_here(void)
{
	kill_group(LAB_LIB_DIR);
}

void lab_containers_kill(const struct lab *lab)
{
	for (uint32_t node = 0; node < LAB_NODES_MAX; node++) {
		char lib_dir[320];

		lab_node_path(lab, node, "lib", lib_dir, sizeof(lib_dir));
		kill_group(lib_dir);
	}
}

bool lab_containers_remove(struct lab *lab)
{
	bool good = true;

	for (uint32_t node = 0; node < LAB_NODES_MAX; node++) {
		char why[DESCRIPTION_TEXT_MAX] = "";
		char lib_dir[320];
		char group[32];

		lab_node_path(lab, node, "lib", lib_dir, sizeof(lib_dir));
		if (!read_group(lib_dir, group))
			continue;
		if (container_host_remove(group, why) != DVS_OK)
			good = lab_fail(lab, "remove the containers of node n%u: %s", node, why);
	}
	return good;
}
