/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a node could have a container, said by the field of its description that it could not have. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "container/bundle.h"
#include "container/rootfs.h"
#include "container/values.h"

/* What v1 and v2 have at least as a limit on memory: a container with less cannot even start. */
#define MEMORY_MIN (UINT64_C(4) << 20)

static dvs_err check_cpus(const struct description *is, char *why)
{
	char online[1024];
	uint32_t n, missing;

	if (!file_read("/sys/devices/system/cpu/online", online, sizeof(online)))
		return DVS_OK;
	online[strcspn(online, "\n")] = '\0';
	n = values_cpus_count(online);
	if (is->cpu_millis != DESCRIPTION_NONE && is->cpu_millis > UINT64_C(1000) * n)
		return why_say(why, DVS_BADARG,
			       "cpus: %g are asked for, the node has %u; ask for %u at most",
			       (double)is->cpu_millis / 1000, n, n);
	if (!is->cpuset || values_cpus_within(is->cpuset, online, &missing))
		return DVS_OK;
	if (missing == UINT32_MAX)
		return why_say(why, DVS_BADARG,
			       "cpuset: '%s' is no list of CPUs; write it as '0-1,3'", is->cpuset);
	return why_say(why, DVS_BADARG, "cpuset: CPU %u is not there; the node has %s", missing,
		       online);
}

static dvs_err check_memory(const struct description *is, char *why)
{
	uint64_t has = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);

	if (is->memory_bytes == DESCRIPTION_NONE)
		return DVS_OK;
	if (is->memory_bytes > has)
		return why_say(why, DVS_BADARG,
			       "memory: %" PRIu64 " MiB are asked for, the node has %" PRIu64
			       " MiB",
			       is->memory_bytes >> 20, has >> 20);
	if (is->memory_bytes < MEMORY_MIN)
		return why_say(why, DVS_BADARG,
			       "memory: %" PRIu64
			       " bytes are too few for any program; give it %" PRIu64
			       " MiB at least",
			       is->memory_bytes, MEMORY_MIN >> 20);
	return DVS_OK;
}

static dvs_err check_io(const struct description *is, char *why)
{
	for (size_t i = 0; i < is->n_io; i++) {
		unsigned int major_number, minor_number;

		if (limits_disk(is->io[i].device, &major_number, &minor_number))
			continue;
		return why_say(why, errno == ENOENT ? DVS_NOTFOUND : DVS_BADARG,
			       "io[%zu].device: %s: %s; name a disk of the node, see 'lsblk'", i,
			       is->io[i].device, strerror(errno));
	}
	return DVS_OK;
}

/* "2MB" to "/sys/kernel/mm/hugepages/hugepages-2048kB". */
static bool has_huge_size(const char *size)
{
	char *end;
	unsigned long long n = strtoull(size, &end, 10);
	char path[128];

	if (n == 0 || n > UINT32_MAX)
		return false;
	if (strcmp(end, "GB") == 0)
		n <<= 20;
	else if (strcmp(end, "MB") == 0)
		n <<= 10;
	else if (strcmp(end, "KB") != 0)
		return false;
	(void)snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%llukB", n);
	return access(path, F_OK) == 0;
}

static dvs_err check_hugetlb(const struct description *is, char *why)
{
	for (size_t i = 0; i < is->n_hugetlb; i++) {
		if (!has_huge_size(is->hugetlb[i].size))
			return why_say(
				why, DVS_BADARG,
				"hugetlb.%s: the node has no huge pages of that size; see "
				"/sys/kernel/mm/hugepages for its sizes, and write them as 2MB or 1GB",
				is->hugetlb[i].size);
	}
	return DVS_OK;
}

static dvs_err check_devices(const struct description *is, char *why)
{
	for (size_t i = 0; i < is->n_devices; i++) {
		struct stat status;

		if (stat(is->devices[i].path, &status) != 0)
			return why_say(why, DVS_NOTFOUND,
				       "devices[%zu].path: %s does not exist on the node", i,
				       is->devices[i].path);
		if (!S_ISBLK(status.st_mode) && !S_ISCHR(status.st_mode))
			return why_say(why, DVS_BADARG, "devices[%zu].path: %s is no device", i,
				       is->devices[i].path);
	}
	return DVS_OK;
}

static dvs_err check_root(const struct container_plan *plan, char *why)
{
	const char *source = rootfs_source(plan);
	struct stat status;

	if (!source)
		return why_say(why, DVS_NOTFOUND, "root: image %s is not on the node",
			       plan->description->image);
	if (stat(source, &status) != 0)
		return why_say(why, DVS_NOTFOUND, "root: %s does not exist on the node", source);
	if (!S_ISDIR(status.st_mode))
		return why_say(why, DVS_BADARG, "root: %s is no directory", source);
	return DVS_OK;
}

/* What is arranged for every container must not be covered. */
static bool is_ours(const char *target)
{
	static const char *const ours[] = { "/proc", "/sys", "/dev", BUNDLE_INIT, BUNDLE_CONTROL };

	for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
		size_t len = strlen(ours[i]);

		if (strncmp(target, ours[i], len) == 0 &&
		    (target[len] == '\0' || target[len] == '/'))
			return true;
	}
	return strcmp(target, "/run") == 0 || strcmp(target, "/") == 0;
}

static dvs_err check_volumes(const struct container_plan *plan, char *why)
{
	const struct description *is = plan->description;

	for (size_t i = 0; i < is->n_volumes; i++) {
		const struct description_volume *volume = &is->volumes[i];
		struct stat status;
		bool there;

		/* One that is not there yet is waited for by the programs. */
		if (description_is_fs(volume))
			status.st_mode = S_IFDIR;
		else if (stat(volume->source, &status) != 0)
			return why_say(why, DVS_NOTFOUND,
				       "volumes[%zu].source: %s does not exist on the node", i,
				       volume->source);
		if (!S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode))
			return why_say(why, DVS_BADARG,
				       "volumes[%zu].source: %s is neither a directory nor a file",
				       i, volume->source);
		if (is_ours(volume->target))
			return why_say(
				why, DVS_BADARG,
				"volumes[%zu].target: %s is arranged for every container; choose "
				"another place, such as /data",
				i, volume->target);
		if (!rootfs_target(rootfs_source(plan), volume->target, &there))
			return why_say(why, DVS_BADARG, "volumes[%zu].target: %s: %s", i,
				       volume->target, strerror(errno));
	}
	return DVS_OK;
}

static dvs_err check_access(const struct cgroups *all, const struct description *is, char *why)
{
	if (host_filters_devices(all))
		return DVS_OK;
	for (size_t i = 0; i < is->n_devices; i++) {
		if (!strchr(is->devices[i].access, 'r') || !strchr(is->devices[i].access, 'w'))
			return why_say(
				why, DVS_DENIED,
				"devices[%zu].access: this node cannot keep a container from reading "
				"or writing a device that it has; give rw, or see 'dvs doctor'",
				i);
	}
	return DVS_OK;
}

dvs_err container_check(const struct container_host *host, const struct container_plan *plan,
			char *why)
{
	dvs_err (*const parts[])(const struct description *, char *) = { check_cpus, check_memory,
									 check_io, check_hugetlb,
									 check_devices };
	const struct description *is = plan->description;
	struct cgroups all;
	dvs_err err = DVS_OK;

	(void)host;
	if (!container_name_ok(plan->name))
		return why_say(why, DVS_BADARG,
			       "'%s' cannot be the name of a container: it takes 1 to %u letters, "
			       "digits and '-_.', not first a '.'",
			       plan->name, CONTAINER_ID_MAX);
	for (size_t i = 0; err == DVS_OK && i < ARRAY_LEN(parts); i++)
		err = parts[i](is, why);
	if (err == DVS_OK)
		err = check_root(plan, why);
	if (err == DVS_OK)
		err = check_volumes(plan, why);
	if (err != DVS_OK)
		return err;
	if (!cgroups_find(&all))
		return why_say(why, DVS_NOTFOUND,
			       "no cgroups are mounted on the node; see 'dvs doctor'");
	/* The tree of v1 for huge pages is mounted when it is needed. */
	if (is->n_hugetlb > 0 && !all.v2 && !cgroups_with(&all, "hugetlb") &&
	    host_mount_controller("hugetlb") && !cgroups_find(&all))
		return why_say(why, DVS_NOTFOUND, "no cgroups are mounted on the node");
	err = check_access(&all, is, why);
	return err == DVS_OK ? limits_check(&all, is, why) : err;
}
