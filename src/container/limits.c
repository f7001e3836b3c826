/* SPDX-License-Identifier: Apache-2.0 */
/* The limits of a description as values of cgroup files, for v1 and v2. They are written before the container starts, and the same way when they change. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "container/cgroup.h"
#include "container/values.h"

/* What is being written, for the sentence when it fails. */
struct writing {
	const struct cgroups *all;
	const char *group;
	const struct description *is;
	char *why;
};

static dvs_err put(const struct writing *to, const char *what, const char *controller,
		   const char *file, const char *text)
{
	if (cgroup_set(to->all, controller, to->group, file, text))
		return DVS_OK;
	/* v1 will not go below what is in use and cannot be freed. */
	if (errno == EBUSY)
		return why_say(
			to->why, DVS_BADSTATE,
			"more %s is in use than the new limit of %s; stop programs, or allow more",
			what, text);
	return why_errno(to->why, errno, "limit the %s: write '%s' to %s", what, text, file);
}

/* UINT64_MAX is "none", in the words of the file. */
static dvs_err put_number(const struct writing *to, const char *what, const char *controller,
			  const char *file, uint64_t value)
{
	char text[32];
	bool v1_bytes = !to->all->v2 && strcmp(controller, "pids") != 0;

	if (value == DESCRIPTION_NONE)
		(void)snprintf(text, sizeof(text), "%s", v1_bytes ? "-1" : "max");
	else
		(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	return put(to, what, controller, file, text);
}

static dvs_err apply_cpu(const struct writing *to)
{
	char text[64];
	bool none = to->is->cpu_millis == DESCRIPTION_NONE;
	dvs_err err;

	if (!cgroups_with(to->all, "cpu"))
		return DVS_OK;
	if (to->all->v2) {
		(void)snprintf(text, sizeof(text), "%" PRIu64, to->is->cpu_weight);
		err = put(to, "CPU weight", "cpu", "cpu.weight", text);
		if (none)
			(void)snprintf(text, sizeof(text), "max %" PRIu64, VALUES_PERIOD_US);
		else
			(void)snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64,
				       values_quota_us(to->is->cpu_millis), VALUES_PERIOD_US);
		return err == DVS_OK ? put(to, "CPU time", "cpu", "cpu.max", text) : err;
	}
	(void)snprintf(text, sizeof(text), "%" PRIu64, values_cpu_shares(to->is->cpu_weight));
	err = put(to, "CPU weight", "cpu", "cpu.shares", text);
	/* A kernel without bandwidth control has no such file; limits_check() has looked. */
	if (err != DVS_OK || !cgroup_has(to->all, "cpu", to->group, "cpu.cfs_quota_us"))
		return err;
	(void)snprintf(text, sizeof(text), "%" PRIu64, VALUES_PERIOD_US);
	err = put(to, "CPU time", "cpu", "cpu.cfs_period_us", text);
	if (err != DVS_OK)
		return err;
	return put_number(to, "CPU time", "cpu", "cpu.cfs_quota_us",
			  none ? DESCRIPTION_NONE : values_quota_us(to->is->cpu_millis));
}

static dvs_err apply_cpuset(const struct writing *to)
{
	char text[1024];
	const char *slash = strrchr(to->group, '/');
	char parent[128];

	if (!cgroups_with(to->all, "cpuset"))
		return DVS_OK;
	if (to->is->cpuset)
		return put(to, "CPUs", "cpuset", "cpuset.cpus", to->is->cpuset);
	/* v2: none of its own is all of its parent's. */
	if (to->all->v2)
		return put(to, "CPUs", "cpuset", "cpuset.cpus", "\n");
	(void)snprintf(parent, sizeof(parent), "%.*s", (int)(slash - to->group), to->group);
	if (!cgroup_get(to->all, "cpuset", parent, "cpuset.cpus", text, sizeof(text)))
		return why_errno(to->why, errno, "read cpuset.cpus of %s", parent);
	return put(to, "CPUs", "cpuset", "cpuset.cpus", text);
}

static dvs_err apply_memory(const struct writing *to)
{
	uint64_t memory = to->is->memory_bytes;
	uint64_t swap = to->is->swap_bytes;
	dvs_err err;

	if (!cgroups_with(to->all, "memory"))
		return DVS_OK;
	if (to->all->v2) {
		err = put_number(to, "memory", "memory", "memory.max", memory);
		if (err == DVS_OK && cgroup_has(to->all, "memory", to->group, "memory.swap.max"))
			err = put_number(to, "swap", "memory", "memory.swap.max", swap);
		return err;
	}
	if (!cgroup_has(to->all, "memory", to->group, "memory.memsw.limit_in_bytes"))
		return put_number(to, "memory", "memory", "memory.limit_in_bytes", memory);
	/* The limit on both can never be below that on memory: out of the way, and back. */
	err = put(to, "swap", "memory", "memory.memsw.limit_in_bytes", "-1");
	if (err == DVS_OK)
		err = put_number(to, "memory", "memory", "memory.limit_in_bytes", memory);
	if (err == DVS_OK)
		err = put_number(to, "memory and swap", "memory", "memory.memsw.limit_in_bytes",
				 values_memory_and_swap(memory, swap));
	return err;
}

static dvs_err apply_hugetlb(const struct writing *to)
{
	for (size_t i = 0; i < to->is->n_hugetlb; i++) {
		const struct description_hugetlb *limit = &to->is->hugetlb[i];
		char file[64];
		dvs_err err;

		(void)snprintf(file, sizeof(file),
			       to->all->v2 ? "hugetlb.%.20s.max" : "hugetlb.%.20s.limit_in_bytes",
			       limit->size);
		err = put_number(to, "huge pages", "hugetlb", file, limit->bytes);
		if (err != DVS_OK)
			return err;
	}
	return DVS_OK;
}

/* ---- input and output ---- */

bool limits_disk(const char *path, unsigned int *major_number, unsigned int *minor_number)
{
	struct stat status;
	char name[128];
	char text[64];
	const char *at = text;

	if (stat(path, &status) != 0)
		return false;
	if (!S_ISBLK(status.st_mode)) {
		errno = ENOTBLK;
		return false;
	}
	*major_number = major(status.st_rdev);
	*minor_number = minor(status.st_rdev);
	(void)snprintf(name, sizeof(name), "/sys/dev/block/%u:%u/partition", *major_number,
		       *minor_number);
	if (access(name, F_OK) != 0)
		return true;
	/* The kernel limits whole disks only. */
	(void)snprintf(name, sizeof(name), "/sys/dev/block/%u:%u/../dev", *major_number,
		       *minor_number);
	return file_read(name, text, sizeof(text)) && text_device(&at, major_number, minor_number);
}

/* Lift what FILE limits now: each of its lines begins with the number of a device. */
static void lift_io(const struct writing *to, const char *controller, const char *file,
		    const char *rest)
{
	char lines[4096];
	char *next = lines;
	char *line;

	if (!cgroup_get(to->all, controller, to->group, file, lines, sizeof(lines)))
		return;
	while ((line = strsep(&next, "\n")) != NULL) {
		unsigned int major_number, minor_number;
		const char *at = line;
		char text[128];

		if (!text_device(&at, &major_number, &minor_number))
			continue;
		(void)snprintf(text, sizeof(text), "%u:%u %s", major_number, minor_number, rest);
		(void)cgroup_set(to->all, controller, to->group, file, text);
	}
}

static dvs_err apply_throttle(const struct writing *to, const char *device,
			      const struct description_io *limit)
{
	const struct {
		const char *file;
		uint64_t value;
	} parts[] = {
		{ "blkio.throttle.read_bps_device", limit->read_bps },
		{ "blkio.throttle.write_bps_device", limit->write_bps },
		{ "blkio.throttle.read_iops_device", limit->read_iops },
		{ "blkio.throttle.write_iops_device", limit->write_iops },
	};

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		char text[96];
		dvs_err err;

		if (parts[i].value == DESCRIPTION_NONE)
			continue;
		(void)snprintf(text, sizeof(text), "%s %" PRIu64, device, parts[i].value);
		err = put(to, "input and output", "blkio", parts[i].file, text);
		if (err != DVS_OK)
			return err;
	}
	return DVS_OK;
}

static void word(char *text, size_t size, const char *key, uint64_t value)
{
	size_t len = strlen(text);

	if (value == DESCRIPTION_NONE)
		(void)snprintf(text + len, size - len, " %s=max", key);
	else
		(void)snprintf(text + len, size - len, " %s=%" PRIu64, key, value);
}

static dvs_err apply_io_max(const struct writing *to, const char *device,
			    const struct description_io *limit)
{
	char text[256];

	(void)snprintf(text, sizeof(text), "%s", device);
	word(text, sizeof(text), "rbps", limit->read_bps);
	word(text, sizeof(text), "wbps", limit->write_bps);
	word(text, sizeof(text), "riops", limit->read_iops);
	word(text, sizeof(text), "wiops", limit->write_iops);
	return put(to, "input and output", "io", "io.max", text);
}

/* A weight is a wish: it has an effect only with a scheduler of the disk that knows weights, and its file is there only then. */
static void apply_io_weight(const struct writing *to)
{
	static const char *const v1_files[] = { "blkio.bfq.weight", "blkio.weight" };
	char text[64];

	if (to->all->v2) {
		(void)snprintf(text, sizeof(text), "default %" PRIu64, to->is->io_weight);
		(void)cgroup_set(to->all, "io", to->group, "io.weight", text);
		(void)snprintf(text, sizeof(text), "%" PRIu64,
			       values_blkio_weight(to->is->io_weight));
		(void)cgroup_set(to->all, "io", to->group, "io.bfq.weight", text);
		return;
	}
	(void)snprintf(text, sizeof(text), "%" PRIu64, values_blkio_weight(to->is->io_weight));
	for (size_t i = 0; i < ARRAY_LEN(v1_files); i++)
		(void)cgroup_set(to->all, "blkio", to->group, v1_files[i], text);
}

static dvs_err apply_io(const struct writing *to)
{
	static const char *const v1_files[] = {
		"blkio.throttle.read_bps_device",
		"blkio.throttle.write_bps_device",
		"blkio.throttle.read_iops_device",
		"blkio.throttle.write_iops_device",
	};

	apply_io_weight(to);
	if (to->all->v2)
		lift_io(to, "io", "io.max", "rbps=max wbps=max riops=max wiops=max");
	for (size_t i = 0; !to->all->v2 && i < ARRAY_LEN(v1_files); i++)
		lift_io(to, "blkio", v1_files[i], "0");
	for (size_t i = 0; i < to->is->n_io; i++) {
		const struct description_io *limit = &to->is->io[i];
		unsigned int major_number, minor_number;
		char device[32];
		dvs_err err;

		if (!limits_disk(limit->device, &major_number, &minor_number))
			return why_errno(to->why, errno, "limit input and output of %s",
					 limit->device);
		(void)snprintf(device, sizeof(device), "%u:%u", major_number, minor_number);
		err = to->all->v2 ? apply_io_max(to, device, limit) :
				    apply_throttle(to, device, limit);
		if (err != DVS_OK)
			return err;
	}
	return DVS_OK;
}

/* ---- all ---- */

dvs_err limits_check(const struct cgroups *all, const struct description *is, char *why)
{
	const struct {
		bool wanted;
		const char *controller;
		const char *what;
	} needs[] = {
		{ is->cpu_millis != DESCRIPTION_NONE, "cpu", "cpus" },
		{ is->cpuset != NULL, "cpuset", "cpuset" },
		{ is->memory_bytes != DESCRIPTION_NONE, "memory", "memory" },
		{ is->swap_bytes != DESCRIPTION_NONE, "memory", "swap" },
		/* It is what everybody gets who asks for nothing. */
		{ is->pids != DESCRIPTION_PIDS_DEFAULT && is->pids != DESCRIPTION_NONE, "pids",
		  "pids" },
		{ is->n_io > 0, all->v2 ? "io" : "blkio", "io" },
		{ is->n_hugetlb > 0, "hugetlb", "hugetlb" },
	};

	for (size_t i = 0; i < ARRAY_LEN(needs); i++) {
		if (needs[i].wanted && !cgroups_with(all, needs[i].controller))
			return why_say(
				why, DVS_DENIED,
				"%s: this node cannot limit it, for its kernel gives no cgroup controller '%s'; "
				"leave it out, or see 'dvs doctor'",
				needs[i].what, needs[i].controller);
	}
	return DVS_OK;
}

dvs_err limits_apply(const struct cgroups *all, const char *group,
		     const struct description *description, char *why)
{
	const struct writing to = { .all = all, .group = group, .is = description, .why = why };
	dvs_err (*const parts[])(const struct writing *) = { apply_cpu, apply_cpuset, apply_memory,
							     apply_hugetlb, apply_io };
	dvs_err err = limits_check(all, description, why);

	for (size_t i = 0; err == DVS_OK && i < ARRAY_LEN(parts); i++)
		err = parts[i](&to);
	if (err == DVS_OK && cgroups_with(all, "pids"))
		err = put_number(&to, "processes", "pids", "pids.max", description->pids);
	return err;
}
