/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel can do, and what it lets us do. */
#include <errno.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "container/cgroup.h"
#include "container/container.h"
#include "container/doctor_internal.h"
#include "container/internal.h"

#define KERNEL_MAJOR 5u /* 5.12: id-mapped mounts */
#define KERNEL_MINOR 12u
#define FILES_MIN 65536u
#define MEMLOCK_MIN (8u << 20)
#define USER_NAMESPACES_MIN 256u

void doctor_kernel(const struct doctor *doctor)
{
	static const char disables[] = "all containers: it lacks id-mapped mounts";
	static const char cure[] = "run Linux 5.12 or later";
	unsigned long major = 0, minor = 0;
	struct utsname name;
	bool good;

	(void)uname(&name);
	good = doctor_version(name.release, &major, &minor) &&
	       (major > KERNEL_MAJOR || (major == KERNEL_MAJOR && minor >= KERNEL_MINOR));
	doctor_say(doctor, "kernel", good ? DOCTOR_GOOD : DOCTOR_MISSING, disables, cure,
		   "Linux %s", name.release);
}

/* ---- rights ---- */

struct right {
	unsigned number;
	const char *name;
};

static void list_missing(uint64_t have, const struct right *rights, size_t n, char *text,
			 size_t size)
{
	size_t at = 0;

	text[0] = '\0';
	for (size_t i = 0; i < n && at < size; i++) {
		if ((have >> rights[i].number & 1) == 0)
			at += (size_t)snprintf(text + at, size - at, "%s%s", at ? ", " : "",
					       rights[i].name);
	}
}

static uint64_t effective(void)
{
	char status[4096];
	const char *line;

	if (!file_read("/proc/self/status", status, sizeof(status)))
		return 0;
	line = strstr(status, "CapEff:\t");
	return line ? strtoull(line + 8, NULL, 16) : 0;
}

void doctor_rights(const struct doctor *doctor)
{
	static const struct right needed[] = {
		{ CAP_SYS_ADMIN, "SYS_ADMIN" },
		{ CAP_CHOWN, "CHOWN" },
		{ CAP_DAC_OVERRIDE, "DAC_OVERRIDE" },
		{ CAP_FOWNER, "FOWNER" },
		{ CAP_FSETID, "FSETID" },
		{ CAP_KILL, "KILL" },
		{ CAP_SETUID, "SETUID" },
		{ CAP_SETGID, "SETGID" },
		{ CAP_SETPCAP, "SETPCAP" },
		{ CAP_SETFCAP, "SETFCAP" },
		{ CAP_SYS_CHROOT, "SYS_CHROOT" },
		{ CAP_MKNOD, "MKNOD" },
		{ CAP_SYS_PTRACE, "SYS_PTRACE" },
	};
	static const struct right useful[] = {
		{ CAP_NET_ADMIN, "NET_ADMIN" },
		{ CAP_SYS_RESOURCE, "SYS_RESOURCE" },
		{ CAP_SYS_NICE, "SYS_NICE" },
		{ CAP_NET_RAW, "NET_RAW" },
	};
	char text[200];
	uint64_t have = effective();

	list_missing(have, needed, ARRAY_LEN(needed), text, sizeof(text));
	if (text[0]) {
		doctor_say(
			doctor, "rights", DOCTOR_MISSING, "all containers",
			"run dvsd (and this command) as root; in a container, one with all rights",
			"without %s", text);
		return;
	}
	list_missing(have, useful, ARRAY_LEN(useful), text, sizeof(text));
	if (text[0])
		doctor_say(
			doctor, "rights", DOCTOR_LESS,
			"NET_ADMIN, NET_RAW: networks of labs and the transport raw; SYS_RESOURCE:"
			" rlimits above the node's own; SYS_NICE: real-time priorities",
			"give this machine, if it is a container itself, those rights",
			"root without %s", text);
	else
		doctor_say(doctor, "rights", DOCTOR_GOOD, "", "", "root with all rights");
}

/* ---- namespaces ---- */

static int try_unshare(void *argument, char *text)
{
	const int *flags = argument;

	(void)text;
	return unshare(*flags) == 0 ? 0 : errno;
}

static unsigned long long user_namespaces(void)
{
	char text[64];

	return file_read("/proc/sys/user/max_user_namespaces", text, sizeof(text)) ?
		       strtoull(text, NULL, 10) :
		       0;
}

void doctor_namespaces(const struct doctor *doctor)
{
	static const struct {
		const char *what;
		int flag;
		enum doctor_state without;
	} kinds[] = {
		{ "namespace mount", CLONE_NEWNS, DOCTOR_MISSING },
		{ "namespace uts", CLONE_NEWUTS, DOCTOR_MISSING },
		{ "namespace ipc", CLONE_NEWIPC, DOCTOR_MISSING },
		{ "namespace pid", CLONE_NEWPID, DOCTOR_MISSING },
		{ "namespace network", CLONE_NEWNET, DOCTOR_MISSING },
		{ "namespace user", CLONE_NEWUSER, DOCTOR_MISSING },
		{ "namespace cgroup", CLONE_NEWCGROUP, DOCTOR_MISSING },
		{ "namespace time", 0x80 /* CLONE_NEWTIME */, DOCTOR_LESS },
	};
	unsigned long long users = user_namespaces();
	char text[DOCTOR_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		int flag = kinds[i].flag;
		int failed = doctor_try(try_unshare, &flag, text);

		doctor_say(doctor, kinds[i].what, failed ? kinds[i].without : DOCTOR_GOOD,
			   kinds[i].without == DOCTOR_LESS ?
				   "clocks that go on where they were after a program has moved" :
				   "all containers",
			   "a kernel with it, and the right to use it (see kernel and rights)",
			   "%s", failed ? strerror(failed) : "works");
	}
	doctor_say(doctor, "user namespaces",
		   users >= USER_NAMESPACES_MIN ? DOCTOR_GOOD : DOCTOR_LESS,
		   "more containers on this node than that",
		   "sysctl -w user.max_user_namespaces=65536", "at most %llu", users);
}

/* ---- cgroups ---- */

/* Controllers of v1 that the kernel has, and nobody has mounted. */
static bool kernel_has(const char *controller)
{
	char text[8192], line[64];

	(void)snprintf(line, sizeof(line), "\n%s\t", controller);
	return file_read("/proc/cgroups", text, sizeof(text)) && strstr(text, line) != NULL;
}

static bool v2_has(const char *controller)
{
	char text[1024], word[64];

	text[0] = ' ';
	if (!file_read("/sys/fs/cgroup/cgroup.controllers", text + 1, sizeof(text) - 1))
		return false;
	for (char *at = text; *at; at++)
		*at = *at == '\n' ? ' ' : *at;
	(void)snprintf(word, sizeof(word), " %s ", controller);
	return strstr(text, word) != NULL;
}

static void say_controller(const struct doctor *doctor, const struct cgroups *all, const char *what,
			   const char *v1, const char *v2, const char *disables)
{
	bool own = all->v2 && !*v2; /* v2 has it without a controller */
	bool there = all->v2 ? own || v2_has(v2) : cgroups_with(all, v1) != NULL;
	bool mountable = !all->v2 && !there && kernel_has(v1);

	doctor_say(
		doctor, what, there || mountable ? DOCTOR_GOOD : DOCTOR_LESS, disables,
		all->v2 ?
			"a kernel with that controller; in a container, its host must hand it on" :
			"a kernel with that controller, mounted below /sys/fs/cgroup",
		"%s",
		own	  ? "part of cgroup v2" :
		there	  ? "there" :
		mountable ? "in the kernel, is mounted when it is needed" :
			    "not there");
}

void doctor_cgroups(const struct doctor *doctor)
{
	static const char hybrid[] = "hybrid (v1, and v2 beside it, which is hidden from crun)";
	const char *layouts[] = { "none", "v1", "v2", hybrid };
	enum container_layout layout = container_layout();
	struct cgroups all;
	bool found = cgroups_find(&all);

	doctor_say(doctor, "cgroups", found ? DOCTOR_GOOD : DOCTOR_MISSING,
		   "all containers: they could not be limited or removed as a whole",
		   "mount cgroup2 at /sys/fs/cgroup", "%s", found ? layouts[layout] : layouts[0]);
	if (!found)
		return;
	say_controller(doctor, &all, "cgroup cpu", "cpu", "cpu", "--cpus and --cpu-weight");
	say_controller(doctor, &all, "cgroup cpuset", "cpuset", "cpuset", "--cpuset");
	say_controller(doctor, &all, "cgroup memory", "memory", "memory", "--memory and --swap");
	say_controller(doctor, &all, "cgroup pids", "pids", "pids",
		       "--pids: a fork bomb of a container is one of the node");
	say_controller(doctor, &all, "cgroup io", "blkio", "io", "--io and --io-weight");
	say_controller(doctor, &all, "cgroup devices", "devices", "",
		       "containers that are kept from devices by more than rights");
	say_controller(doctor, &all, "cgroup freezer", "freezer", "", "dvs dc freeze");
	say_controller(doctor, &all, "cgroup hugetlb", "hugetlb", "hugetlb", "--hugetlb");
}

/* ---- seccomp, limits ---- */

void doctor_seccomp(const struct doctor *doctor)
{
	uint32_t action = SECCOMP_RET_ERRNO;
	bool good = syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;

	doctor_say(doctor, "seccomp", good ? DOCTOR_GOOD : DOCTOR_LESS,
		   "the filter of system calls: containers need --seccomp unconfined",
		   "a kernel with CONFIG_SECCOMP_FILTER", "%s",
		   good ? "filters work" : "no filters");
}

void doctor_limits(const struct doctor *doctor)
{
	struct rlimit files = { 0 }, memory = { 0 };
	char text[32] = "unlimited";

	(void)getrlimit(RLIMIT_NOFILE, &files);
	(void)getrlimit(RLIMIT_MEMLOCK, &memory);
	doctor_say(doctor, "open files", files.rlim_max >= FILES_MIN ? DOCTOR_GOOD : DOCTOR_LESS,
		   "many programs at once: each takes descriptors of the agent",
		   "LimitNOFILE=1048576 in the unit of dvsd, or 'ulimit -Hn' before it",
		   "at most %llu", (unsigned long long)files.rlim_max);
	if (memory.rlim_max != RLIM_INFINITY)
		(void)snprintf(text, sizeof(text), "at most %llu KiB",
			       (unsigned long long)memory.rlim_max / 1024);
	doctor_say(doctor, "locked memory",
		   memory.rlim_max >= MEMLOCK_MIN ? DOCTOR_GOOD : DOCTOR_LESS,
		   "programs that lock their memory", "LimitMEMLOCK=infinity in the unit of dvsd",
		   "%s", text);
}
