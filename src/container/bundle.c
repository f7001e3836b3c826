/* SPDX-License-Identifier: Apache-2.0 */
#include "container/bundle.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "container/names.h"

/* Bounding, effective and permitted; nothing is inherited, so that a program that is not root's has none. */
static json_t *capabilities(uint64_t mask)
{
	json_t *list = json_array();
	json_t *sets;

	for (unsigned int i = 0; i < CAPABILITIES; i++) {
		if (mask >> i & 1)
			(void)json_array_append_new(list, json_string(capability_name(i)));
	}
	sets = json_pack("{s:O, s:O, s:O, s:[], s:[]}", "bounding", list, "effective", list,
			 "permitted", list, "inheritable", "ambient");
	json_decref(list);
	return sets;
}

/* One that is above the agent's own, and that the agent may not raise, becomes the agent's: nothing else is possible here. */
static uint64_t clamp(const struct bundle_of *of, uint32_t which, uint64_t hard)
{
	struct rlimit own;

	if (of->may_raise)
		return which == RLIMIT_NOFILE && hard > of->most_files ? of->most_files : hard;
	if (getrlimit((__rlimit_resource_t)which, &own) != 0 || hard <= own.rlim_max)
		return hard;
	return own.rlim_max;
}

static json_t *rlimits(const struct bundle_of *of)
{
	const struct description *is = of->plan->description;
	json_t *list = json_array();

	for (size_t i = 0; i < is->n_rlimits; i++) {
		const struct description_rlimit *limit = &is->rlimits[i];
		uint64_t hard = clamp(of, limit->which, limit->hard);
		uint64_t soft = limit->soft < hard ? limit->soft : hard;
		char name[32] = "RLIMIT_";
		size_t at = strlen(name);

		for (const char *c = limit->name; *c && at < sizeof(name) - 1; c++)
			name[at++] = (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
		name[at] = '\0';
		/* crun reads -1 as the largest number, which is "unlimited", and which does not fit into an integer of jansson. */
		(void)json_array_append_new(list,
					    json_pack("{s:s, s:I, s:I}", "type", name, "soft",
						      (json_int_t)soft, "hard", (json_int_t)hard));
	}
	return list;
}

static json_t *process(const struct bundle_of *of)
{
	const struct description *is = of->plan->description;

	return json_pack("{s:b, s:{s:i, s:i}, s:[s], s:[s], s:s, s:o, s:b, s:o}", "terminal", false,
			 "user", "uid", 0, "gid", 0, "args", BUNDLE_INIT, "env",
			 "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "cwd",
			 "/", "capabilities", capabilities(is->capabilities), "noNewPrivileges",
			 (int)is->no_new_privs, "rlimits", rlimits(of));
}

/* ---- devices: by number, for the cgroup; the nodes themselves are mounted ---- */

static json_t *device(const char *type, json_int_t major_number, json_int_t minor_number,
		      const char *access)
{
	json_t *rule = json_pack("{s:b, s:s, s:I, s:s}", "allow", true, "type", type, "major",
				 major_number, "access", access);

	if (rule && minor_number >= 0)
		(void)json_object_set_new(rule, "minor", json_integer(minor_number));
	return rule;
}

static json_t *devices(const struct description *is)
{
	static const struct {
		json_int_t major_number, minor_number;
	} usual[] = {
		{ 1, 3 } /* null */,   { 1, 5 } /* zero */,	    { 1, 7 } /* full */,
		{ 1, 8 } /* random */, { 1, 9 } /* urandom */,	    { 5, 0 } /* tty */,
		{ 5, 2 } /* ptmx */,   { 136, -1 } /* terminals */,
	};
	json_t *list = json_pack("[{s:b, s:s}]", "allow", false, "access", "rwm");

	for (size_t i = 0; i < ARRAY_LEN(usual); i++)
		(void)json_array_append_new(list, device("c", usual[i].major_number,
							 usual[i].minor_number, "rw"));
	for (size_t i = 0; i < is->n_devices; i++) {
		struct stat status;

		/* container_check() has looked at it; one that went since is not allowed. */
		if (stat(is->devices[i].path, &status) == 0)
			(void)json_array_append_new(
				list,
				device(S_ISBLK(status.st_mode) ? "b" : "c", major(status.st_rdev),
				       minor(status.st_rdev), is->devices[i].access));
	}
	return list;
}

/* ---- namespaces and the rest ---- */

static json_t *namespaces(const struct bundle_of *of)
{
	static const char *const all[] = { "mount", "uts", "ipc", "pid", "user" };
	json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		(void)json_array_append_new(list, json_pack("{s:s}", "type", all[i]));
	if (of->has_cgroup)
		(void)json_array_append_new(list, json_pack("{s:s}", "type", "cgroup"));
	if (of->plan->description->network == DESCRIPTION_NO_NETWORK)
		(void)json_array_append_new(list, json_pack("{s:s}", "type", "network"));
	return list;
}

static json_t *linux_part(const struct bundle_of *of)
{
	const struct description *is = of->plan->description;
	json_int_t first = container_uid(of->plan->dc);
	json_t *part = json_pack(
		"{s:o, s:s, s:[{s:i, s:I, s:i}], s:[{s:i, s:I, s:i}], s:s, s:[sssssssss], s:[ssssss]}",
		"namespaces", namespaces(of), "cgroupsPath", of->cgroup, "uidMappings",
		"containerID", 0, "hostID", first, "size", CONTAINER_UIDS, "gidMappings",
		"containerID", 0, "hostID", first, "size", CONTAINER_UIDS, "rootfsPropagation",
		"private", "maskedPaths", "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys",
		"/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list",
		"/sys/firmware", "readonlyPaths", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
		"/proc/sysrq-trigger", "/proc/timer_stats");

	if (part && of->filters_devices)
		(void)json_object_set_new(part, "resources",
					  json_pack("{s:o}", "devices", devices(is)));
	if (part && is->seccomp_default)
		(void)json_object_set_new(part, "seccomp", bundle_seccomp(is));
	return part;
}

json_t *bundle_make(const struct bundle_of *of)
{
	const struct description *is = of->plan->description;
	char root[PATH_BYTES];

	(void)snprintf(root, sizeof(root), "%.480s/rootfs", of->dir);
	return json_pack("{s:s, s:o, s:{s:s, s:b}, s:s, s:o, s:o}", "ociVersion", "1.0.0",
			 "process", process(of), "root", "path", root, "readonly",
			 is->root == DESCRIPTION_HOST, "hostname",
			 is->hostname ? is->hostname : of->plan->name, "mounts", bundle_mounts(of),
			 "linux", linux_part(of));
}
