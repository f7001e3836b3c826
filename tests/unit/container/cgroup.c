/* SPDX-License-Identifier: Apache-2.0 */
/* Limits and figures as files, in trees that are plain directories: of v2, which the machine of the tests need not have, and of v1. */
#include "container/cgroup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "unit.h"

#define GROUP "/dvs-0/web"

static struct cgroups all;
static struct description is;
static char top[] = "/tmp/dvs-cgroup-XXXXXX";
static char why[DESCRIPTION_TEXT_MAX];
static char text[4096];

static void put(const char *dir, const char *file, const char *value)
{
	char path[PATH_BYTES];

	(void)snprintf(path, sizeof(path), "%s%s/%s", top, dir, file);
	ck_assert_msg(file_replace(path, value, strlen(value), 0644, false), "%s", path);
}

static const char *get(const char *file)
{
	char path[PATH_BYTES];

	(void)snprintf(path, sizeof(path), "%s" GROUP "/%s", top, file);
	return file_read(path, text, sizeof(text)) ? text : "(none)";
}

static void no_limits(void)
{
	memset(&is, 0, sizeof(is));
	is.cpu_millis = DESCRIPTION_NONE;
	is.memory_bytes = DESCRIPTION_NONE;
	is.swap_bytes = DESCRIPTION_NONE;
	is.pids = DESCRIPTION_PIDS_DEFAULT;
	is.cpu_weight = 100;
	is.io_weight = 100;
}

static void make_v2(const char *controllers)
{
	static const char *const files[] = { "cpu.weight",	  "cpu.max",	 "cpuset.cpus",
					     "memory.max",	  "io.max",	 "memory.swap.max",
					     "pids.max",	  "io.weight",	 "hugetlb.2MB.max",
					     "cgroup.freeze",	  "cgroup.kill", "cgroup.events",
					     "cgroup.controllers" };

	no_limits();
	ck_assert_ptr_nonnull(mkdtemp(top));
	put("", "cgroup.controllers", controllers);
	put("", "cgroup.subtree_control", controllers);
	cgroups_at_v2(&all, top);
	ck_assert(cgroup_make(&all, GROUP));
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		put(GROUP, files[i], "");
}

static void end(void)
{
	ck_assert(dir_remove(top));
}

TEST(v2_gets_its_own_words)
{
	make_v2("cpuset cpu io memory hugetlb pids\n");
	is.cpu_millis = 1500;
	is.cpu_weight = 300;
	is.cpuset = "0-1,3";
	is.memory_bytes = 1 << 20;
	is.swap_bytes = 0;
	is.pids = 12;
	is.io_weight = 50;
	is.n_hugetlb = 1;
	is.hugetlb[0] = (struct description_hugetlb){ "2MB", 4096 };
	ck_assert_msg(limits_apply(&all, GROUP, &is, why) == DVS_OK, "%s", why);
	ck_assert_str_eq(get("cpu.max"), "150000 100000");
	ck_assert_str_eq(get("cpu.weight"), "300");
	ck_assert_str_eq(get("cpuset.cpus"), "0-1,3");
	ck_assert_str_eq(get("memory.max"), "1048576");
	ck_assert_str_eq(get("memory.swap.max"), "0");
	ck_assert_str_eq(get("pids.max"), "12");
	ck_assert_str_eq(get("io.weight"), "default 50");
	ck_assert_str_eq(get("hugetlb.2MB.max"), "4096");
	end();
}

TEST(v2_is_told_of_no_limit_too)
{
	make_v2("cpuset cpu io memory hugetlb pids\n");
	is.pids = DESCRIPTION_NONE;
	ck_assert_msg(limits_apply(&all, GROUP, &is, why) == DVS_OK, "%s", why);
	ck_assert_str_eq(get("cpu.max"), "max 100000");
	ck_assert_str_eq(get("cpu.weight"), "100");
	ck_assert_str_eq(get("cpuset.cpus"), "\n");
	ck_assert_str_eq(get("memory.max"), "max");
	ck_assert_str_eq(get("memory.swap.max"), "max");
	ck_assert_str_eq(get("pids.max"), "max");
	end();
}

TEST(a_controller_that_is_missing_costs_only_its_limit)
{
	make_v2("cpu pids\n");
	ck_assert_msg(limits_apply(&all, GROUP, &is, why) == DVS_OK, "%s", why);
	is.memory_bytes = 1 << 20;
	ck_assert_int_eq(limits_apply(&all, GROUP, &is, why), DVS_DENIED);
	ck_assert_msg(strncmp(why, "memory: ", 8) == 0, "%s", why);
	is.memory_bytes = DESCRIPTION_NONE;
	is.n_io = 1;
	ck_assert_int_eq(limits_check(&all, &is, why), DVS_DENIED);
	ck_assert_msg(strncmp(why, "io: ", 4) == 0, "%s", why);
	end();
}

TEST(v2_figures_are_read)
{
	struct container_usage usage;

	make_v2("cpuset cpu io memory hugetlb pids\n");
	put(GROUP, "cpu.stat", "usage_usec 5000\nuser_usec 1\nthrottled_usec 70\n");
	put(GROUP, "cpu.max", "50000 100000\n");
	put(GROUP, "memory.current", "9000\n");
	put(GROUP, "memory.stat", "anon 1\ninactive_file 4000\n");
	put(GROUP, "memory.max", "max\n");
	put(GROUP, "memory.peak", "9500\n");
	put(GROUP, "memory.events", "low 0\noom 3\noom_kill 2\n");
	put(GROUP, "pids.current", "7\n");
	put(GROUP, "pids.max", "max\n");
	put(GROUP, "io.stat", "8:0 rbytes=100 wbytes=20 rios=1\n254:0 rbytes=1 wbytes=2 rios=3\n");
	put(GROUP, "cgroup.events", "populated 1\nfrozen 1\n");
	usage_read(&all, GROUP, &usage);
	ck_assert_uint_eq(usage.cpu_ns, 5000000);
	ck_assert_uint_eq(usage.throttled_ns, 70000);
	ck_assert_uint_eq(usage.cpu_limit_millis, 500);
	ck_assert_uint_eq(usage.memory_bytes, 5000);
	ck_assert_uint_eq(usage.memory_limit, UINT64_MAX);
	ck_assert_uint_eq(usage.memory_peak, 9500);
	ck_assert_uint_eq(usage.oom_kills, 2);
	ck_assert_uint_eq(usage.pids, 7);
	ck_assert_uint_eq(usage.pids_limit, UINT64_MAX);
	ck_assert_uint_eq(usage.io_read_bytes, 101);
	ck_assert_uint_eq(usage.io_write_bytes, 22);
	ck_assert(usage.frozen);
	put(GROUP, "cpu.max", "max 100000\n");
	usage_read(&all, GROUP, &usage);
	ck_assert_uint_eq(usage.cpu_limit_millis, UINT64_MAX);
	end();
}

TEST(v2_is_frozen_and_killed_by_its_own_files)
{
	make_v2("pids\n");
	put(GROUP, "cgroup.events", "populated 1\nfrozen 0\n");
	put(GROUP, "cgroup.procs", "");
	ck_assert_int_eq(cgroup_freeze(&all, GROUP, true, 0), DVS_TIMEOUT);
	ck_assert_str_eq(get("cgroup.freeze"), "1");
	put(GROUP, "cgroup.events", "populated 1\nfrozen 1\n");
	ck_assert_int_eq(cgroup_freeze(&all, GROUP, true, 0), DVS_OK);
	ck_assert_int_eq(cgroup_kill(&all, GROUP, 0), DVS_OK);
	ck_assert_str_eq(get("cgroup.kill"), "1");
	end();
}

/* One tree for all controllers, which v1 allows. */
static void make_v1(void)
{
	static const char *const files[] = { "cpu.shares",
					     "cpu.cfs_quota_us",
					     "cpu.cfs_period_us",
					     "cpuset.mems",
					     "memory.limit_in_bytes",
					     "memory.memsw.limit_in_bytes",
					     "blkio.bfq.weight",
					     "pids.max",
					     "freezer.state" };

	no_limits();
	ck_assert_ptr_nonnull(mkdtemp(top));
	memset(&all, 0, sizeof(all));
	all.n = 1;
	(void)snprintf(all.trees[0].root, sizeof(all.trees[0].root), "%s", top);
	(void)snprintf(all.trees[0].controllers, sizeof(all.trees[0].controllers),
		       ",rw,cpu,cpuacct,memory,blkio,pids,freezer,");
	ck_assert(cgroup_make(&all, GROUP));
	(void)strcat(all.trees[0].controllers, "cpuset,");
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		put(GROUP, files[i], "");
	put("/dvs-0", "cpuset.cpus", "0-5\n");
	put(GROUP, "cpuset.cpus", "1");
}

TEST(v1_gets_its_own_words)
{
	make_v1();
	is.cpu_millis = 500;
	is.cpu_weight = 50;
	is.memory_bytes = 8192;
	is.swap_bytes = 4096;
	is.io_weight = 700;
	ck_assert_msg(limits_apply(&all, GROUP, &is, why) == DVS_OK, "%s", why);
	ck_assert_str_eq(get("cpu.shares"), "512");
	ck_assert_str_eq(get("cpu.cfs_quota_us"), "50000");
	/* A plain file keeps what it had behind what is written; the memory limit of both was "-1" first. */
	ck_assert_str_eq(get("memory.memsw.limit_in_bytes"), "12288");
	ck_assert_str_eq(get("memory.limit_in_bytes"), "8192");
	ck_assert_str_eq(get("cpuset.cpus"), "0-5\n");
	ck_assert_str_eq(get("blkio.bfq.weight"), "700");
	ck_assert_str_eq(get("pids.max"), "4096");
	end();
}

TEST(v1_figures_are_read)
{
	struct container_usage usage;

	make_v1();
	put(GROUP, "cpuacct.usage", "123\n");
	put(GROUP, "cpu.cfs_quota_us", "-1\n");
	put(GROUP, "cpu.cfs_period_us", "100000\n");
	put(GROUP, "memory.usage_in_bytes", "100\n");
	put(GROUP, "memory.stat", "inactive_file 1\ntotal_inactive_file 200\n");
	put(GROUP, "memory.limit_in_bytes", "9223372036854771712\n");
	put(GROUP, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n");
	put(GROUP, "blkio.throttle.io_service_bytes_recursive",
	    "254:0 Read 10\n254:0 Write 5\n254:0 Total 15\n8:0 Read 1\nTotal 16\n");
	put(GROUP, "freezer.state", "FREEZING\n");
	usage_read(&all, GROUP, &usage);
	ck_assert_uint_eq(usage.cpu_ns, 123);
	ck_assert_uint_eq(usage.cpu_limit_millis, UINT64_MAX);
	ck_assert_uint_eq(usage.memory_bytes, 0);
	ck_assert_uint_eq(usage.memory_limit, UINT64_MAX);
	ck_assert_uint_eq(usage.oom_kills, 4);
	ck_assert_uint_eq(usage.io_read_bytes, 11);
	ck_assert_uint_eq(usage.io_write_bytes, 5);
	ck_assert(!usage.frozen);
	end();
}

TEST(groups_are_made_and_removed_with_what_is_below)
{
	char path[PATH_BYTES];

	ck_assert_ptr_nonnull(mkdtemp(top));
	memset(&all, 0, sizeof(all));
	all.n = 1;
	(void)snprintf(all.trees[0].root, sizeof(all.trees[0].root), "%s", top);
	ck_assert(!cgroup_exists(&all, GROUP));
	ck_assert(cgroup_make(&all, GROUP));
	ck_assert(cgroup_make(&all, GROUP));
	ck_assert(cgroup_exists(&all, GROUP));
	(void)snprintf(path, sizeof(path), "%s" GROUP "/a/b", top);
	ck_assert(dir_make(path, 0755));
	ck_assert_int_eq(cgroup_remove(&all, GROUP), DVS_OK);
	ck_assert(!cgroup_exists(&all, GROUP));
	ck_assert_int_eq(cgroup_remove(&all, GROUP), DVS_OK);
	ck_assert(cgroup_exists(&all, "/dvs-0"));
	cgroup_tidy(&all, "/dvs-0");
	ck_assert(!cgroup_exists(&all, "/dvs-0"));
	end();
}

UNIT_MAIN("container-cgroup", v2_gets_its_own_words, v2_is_told_of_no_limit_too,
	  a_controller_that_is_missing_costs_only_its_limit, v2_figures_are_read,
	  v2_is_frozen_and_killed_by_its_own_files, v1_gets_its_own_words, v1_figures_are_read,
	  groups_are_made_and_removed_with_what_is_below)
