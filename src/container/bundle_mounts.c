/* SPDX-License-Identifier: Apache-2.0 */
/* What is mounted in a container, in this order. Volumes, devices and /sys of the node were arranged by the agent below of->dir, so that nothing here depends on
 * what crun may do in the container's user namespace. */
#include <inttypes.h>
#include <stdio.h>

#include "container/bundle.h"

static void add(json_t *list, const char *target, const char *type, const char *source,
		const char *options)
{
	char copy[256];
	char *rest = copy;
	char *word;
	json_t *words = json_array();

	(void)snprintf(copy, sizeof(copy), "%s", options);
	while ((word = strsep(&rest, ",")) != NULL)
		(void)json_array_append_new(words, json_string(word));
	(void)json_array_append_new(list,
				    json_pack("{s:s, s:s, s:s, s:o}", "destination", target, "type",
					      type, "source", source, "options", words));
}

/* Its pages count as memory of the container; the size only keeps a mistake from taking all of it. */
static uint64_t tmp_bytes(const struct description *is)
{
	uint64_t most = UINT64_C(1) << 30;

	if (is->memory_bytes == DESCRIPTION_NONE || is->memory_bytes / 2 > most)
		return most;
	return is->memory_bytes / 2;
}

static void add_dev(json_t *list)
{
	add(list, "/dev", "tmpfs", "tmpfs", "nosuid,noexec,strictatime,mode=755,size=64k");
	add(list, "/dev/pts", "devpts", "devpts",
	    "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5");
	add(list, "/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=64m");
	add(list, "/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev");
}

/* A sysfs belongs to a network namespace. Of the node's own one, which crun could show only with all that is mounted in it, the agent has made another. */
static void add_sys(const struct bundle_of *of, json_t *list)
{
	char source[PATH_BYTES];

	if (of->plan->description->network == DESCRIPTION_NO_NETWORK) {
		add(list, "/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro");
	} else {
		(void)snprintf(source, sizeof(source), "%.480s/sys", of->dir);
		add(list, "/sys", "bind", source, "rbind,rprivate,nosuid,noexec,nodev,ro");
	}
	if (of->has_cgroup)
		add(list, "/sys/fs/cgroup", "cgroup", "cgroup", "nosuid,noexec,nodev,relatime,ro");
}

static void add_volumes(const struct bundle_of *of, json_t *list)
{
	const struct description *is = of->plan->description;

	for (size_t i = 0; i < is->n_volumes; i++) {
		char source[PATH_BYTES];

		(void)snprintf(source, sizeof(source), "%.480s/volumes/%zu", of->dir, i);
		add(list, is->volumes[i].target, "bind", source,
		    is->volumes[i].readonly || description_is_fs(&is->volumes[i]) ?
			    "bind,rprivate,nosuid,nodev,ro" :
			    "bind,rprivate,nosuid,nodev,rw");
	}
}

static void add_devices(const struct bundle_of *of, json_t *list)
{
	const struct description *is = of->plan->description;

	for (size_t i = 0; i < is->n_devices; i++) {
		char source[PATH_BYTES];

		(void)snprintf(source, sizeof(source), "%.480s/nodes/%zu", of->dir, i);
		add(list, is->devices[i].path, "bind", source, "bind,rprivate,nosuid,noexec");
	}
}

/* The directory, not the socket: dvsd makes the socket anew when it starts. */
static void add_control(const struct bundle_of *of, json_t *list)
{
	char dir[PATH_BYTES];
	char *slash;

	if (!of->plan->control_socket)
		return;
	(void)snprintf(dir, sizeof(dir), "%s", of->plan->control_socket);
	slash = strrchr(dir, '/');
	if (slash)
		*slash = '\0';
	add(list, BUNDLE_CONTROL, "bind", dir, "bind,rprivate,nosuid,noexec,nodev,ro");
}

json_t *bundle_mounts(const struct bundle_of *of)
{
	json_t *list = json_array();
	char options[128];

	add(list, "/proc", "proc", "proc", "nosuid,noexec,nodev");
	add_dev(list);
	add_sys(of, list);
	(void)snprintf(options, sizeof(options), "nosuid,nodev,mode=1777,size=%" PRIu64,
		       tmp_bytes(of->plan->description));
	add(list, "/tmp", "tmpfs", "tmpfs", options);
	add(list, "/run", "tmpfs", "tmpfs", "nosuid,nodev,mode=755,size=64m");
	add(list, BUNDLE_INIT, "bind", of->init, "bind,rprivate,nosuid,nodev,ro");
	add_control(of, list);
	if (of->has_resolver)
		add(list, "/etc/resolv.conf", "bind", "/etc/resolv.conf",
		    "bind,rprivate,nosuid,noexec,nodev,ro");
	if (of->has_hosts)
		add(list, "/etc/hosts", "bind", "/etc/hosts",
		    "bind,rprivate,nosuid,noexec,nodev,ro");
	add_devices(of, list);
	add_volumes(of, list);
	return list;
}
