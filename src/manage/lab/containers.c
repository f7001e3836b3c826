/* SPDX-License-Identifier: Apache-2.0 */
/* The containers of a lab's nodes. They live in the nodes' namespaces and end with them; only one that is frozen does not, and cgroups
 * belong to the machine. Whose they are is written in the node's /var/lib/dvs/id. */
#include "base/clock.h"
#include "container/cgroup.h"
#include "container/container.h"
#include "manage/lab/lab.h"

#define KILL_SPAN_NS (10 * CLOCK_NS_PER_S)

static void kill_group(const char *lib_dir)
{
	struct cgroups all;
	char group[CONTAINER_GROUP_BYTES];

	/* If it does not work, the end of the node's processes is waited for, and tells. */
	if (container_host_group(lib_dir, group) && cgroups_find(&all))
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
		char group[CONTAINER_GROUP_BYTES];

		lab_node_path(lab, node, "lib", lib_dir, sizeof(lib_dir));
		if (!container_host_group(lib_dir, group))
			continue;
		if (container_host_remove(group, why) != DVS_OK)
			good = lab_fail(lab, "remove the containers of node n%u: %s", node, why);
	}
	return good;
}
