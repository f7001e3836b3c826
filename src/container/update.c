/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "container/host.h"

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_volumes(const struct description *a, const struct description *b)
{
	if (a->n_volumes != b->n_volumes)
		return false;
	for (size_t i = 0; i < a->n_volumes; i++) {
		if (!same_text(a->volumes[i].source, b->volumes[i].source) ||
		    !same_text(a->volumes[i].target, b->volumes[i].target) ||
		    a->volumes[i].readonly != b->volumes[i].readonly)
			return false;
	}
	return true;
}

static bool same_devices(const struct description *a, const struct description *b)
{
	if (a->n_devices != b->n_devices)
		return false;
	for (size_t i = 0; i < a->n_devices; i++) {
		if (!same_text(a->devices[i].path, b->devices[i].path) ||
		    !same_text(a->devices[i].access, b->devices[i].access))
			return false;
	}
	return true;
}

/* A limit on huge pages that goes is lifted by nobody, and a controller that was not mounted when the container was made has no place for it. */
static bool same_huge_sizes(const struct description *a, const struct description *b)
{
	if (a->n_hugetlb != b->n_hugetlb)
		return false;
	for (size_t i = 0; i < a->n_hugetlb; i++) {
		if (!same_text(a->hugetlb[i].size, b->hugetlb[i].size))
			return false;
	}
	return true;
}

bool container_can_update(const struct description *old, const struct description *new, char *why)
{
	const struct {
		const char *field;
		bool same;
	} fields[] = {
		{ "root", old->root == new->root &&same_text(old->image, new->image) &&
				  same_text(old->digest, new->digest) &&
				  same_text(old->directory, new->directory) },
		{ "hostname", same_text(old->hostname, new->hostname) },
		{ "network", old->network == new->network },
		{ "capabilities", old->capabilities == new->capabilities },
		{ "seccomp", old->seccomp_default == new->seccomp_default },
		{ "no_new_privs", old->no_new_privs == new->no_new_privs },
		{ "volumes", same_volumes(old, new) },
		{ "devices", same_devices(old, new) },
		{ "hugetlb", same_huge_sizes(old, new) },
	};

	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		if (!fields[i].same) {
			(void)why_say(
				why, DVS_BADSTATE,
				"%s: it cannot change while the container runs; make the DC anew",
				fields[i].field);
			return false;
		}
	}
	return true;
}

dvs_err container_update(const struct container_host *host, const struct container_plan *plan,
			 char *why)
{
	struct cgroups all;
	char group[128];
	dvs_err err = container_check(host, plan, why);

	if (err != DVS_OK)
		return err;
	container_cgroup(host, plan->name, group);
	if (!cgroups_find(&all) || !cgroup_exists(&all, group))
		return why_say(why, DVS_NOTFOUND, "there is no container %s on this node",
			       plan->name);
	return limits_apply(&all, group, plan->description, why);
}
