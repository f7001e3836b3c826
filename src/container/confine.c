/* SPDX-License-Identifier: Apache-2.0 */
#include "container/confine.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "container/why.h"

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#define FOREIGN_CALLS 0x40000000u /* those of x32, which are numbers of the same architecture */
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#define FOREIGN_CALLS 0xffffffffu
#endif

/* What it takes to make files of other people's. */
#define KEPT_CAPABILITIES                                                                         \
	(UINT64_C(1) << CAP_CHOWN | UINT64_C(1) << CAP_FOWNER | UINT64_C(1) << CAP_DAC_OVERRIDE | \
	 UINT64_C(1) << CAP_FSETID | UINT64_C(1) << CAP_SETFCAP)

static dvs_err drop_capabilities(char *why)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const uint64_t keep = KEPT_CAPABILITIES;
	struct __user_cap_data_struct data[2] = {
		{ .effective = (uint32_t)keep, .permitted = (uint32_t)keep },
		{ .effective = (uint32_t)(keep >> 32), .permitted = (uint32_t)(keep >> 32) },
	};

	for (int cap = 0; cap <= 63; cap++) {
		if ((keep >> cap & 1) == 0 && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0 &&
		    errno != EINVAL)
			return why_errno(why, errno, "cannot give up rights");
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 ||
	    syscall(SYS_capset, &header, data) != 0)
		return why_errno(why, errno, "cannot give up rights");
	return DVS_OK;
}

/* ---- system calls ---- */

#ifdef OUR_ARCH

/* Root without capabilities is still root: it may signal and trace root's processes, and start programs. */
static const unsigned forbidden[] = {
	/* other processes */
	SYS_kill,
	SYS_tkill,
	SYS_tgkill,
	SYS_rt_sigqueueinfo,
	SYS_rt_tgsigqueueinfo,
	SYS_ptrace,
	SYS_pidfd_open,
	SYS_pidfd_send_signal,
	SYS_pidfd_getfd,
	SYS_process_vm_readv,
	SYS_process_vm_writev,
	SYS_process_madvise,
	SYS_setpriority,
	SYS_sched_setscheduler,
	SYS_prlimit64,
	/* programs and more processes */
	SYS_execve,
	SYS_execveat,
	SYS_clone,
	SYS_clone3,
	SYS_unshare,
	SYS_setns,
	/* networks and other ways to talk */
	SYS_socket,
	SYS_socketpair,
	SYS_connect,
	SYS_bind,
	SYS_listen,
	SYS_shmget,
	SYS_shmat,
	SYS_msgget,
	SYS_semget,
	SYS_mq_open,
	/* mounts, and files that are not reached by a name */
	SYS_mount,
	SYS_umount2,
	SYS_open_tree,
	SYS_move_mount,
	SYS_fsopen,
	SYS_fsmount,
	SYS_mount_setattr,
	SYS_pivot_root,
	SYS_chroot,
	SYS_open_by_handle_at,
	/* the rest of the kernel */
	SYS_bpf,
	SYS_perf_event_open,
	SYS_io_uring_setup,
	SYS_userfaultfd,
	SYS_keyctl,
	SYS_add_key,
	SYS_request_key,
	SYS_init_module,
	SYS_finit_module,
	SYS_kexec_load,
	SYS_reboot,
	SYS_swapon,
};
#define N_FORBIDDEN ARRAY_LEN(forbidden)

static dvs_err filter_calls(char *why)
{
	struct sock_filter filter[N_FORBIDDEN + 6];
	struct sock_fprog program = { .len = ARRAY_LEN(filter), .filter = filter };
	size_t n = 0;

	/* Jumps count from the next line; the last line is the refusal, the one before the permission. */
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						   offsetof(struct seccomp_data, arch));
	filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 0,
						   N_FORBIDDEN + 3);
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						   offsetof(struct seccomp_data, nr));
	filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, FOREIGN_CALLS,
						   N_FORBIDDEN + 1, 0);
	for (size_t i = 0; i < N_FORBIDDEN; i++, n++)
		filter[n] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, forbidden[i],
							 (unsigned char)(N_FORBIDDEN - i), 0);
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	assert(n == ARRAY_LEN(filter));
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0)
		return DVS_OK;
	/* A kernel without filters: the other fences stand. */
	return errno == EINVAL ? DVS_OK : why_errno(why, errno, "cannot filter system calls");
}

#else

/* The numbers are not known for this architecture: at least no network. */
static dvs_err filter_calls(char *why)
{
	return unshare(CLONE_NEWNET) == 0 ? DVS_OK :
					    why_errno(why, errno, "cannot leave the network");
}

#endif

/* ---- descriptors, signals, limits ---- */

static int compare_ints(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* All but KEEP. */
static dvs_err close_others(const struct confine *confine, int null)
{
	int keep[CONFINE_KEEP_MAX];
	unsigned first = 3;

	assert(confine->n_keep <= CONFINE_KEEP_MAX);
	memcpy(keep, confine->keep, confine->n_keep * sizeof(*keep));
	qsort(keep, confine->n_keep, sizeof(*keep), compare_ints);
	for (int fd = 0; fd < 3; fd++) {
		if (null < 0 || dup2(null, fd) < 0)
			close(fd);
	}
	for (size_t i = 0; i < confine->n_keep; i++) {
		assert(keep[i] >= 3);
		if ((unsigned)keep[i] > first && close_range(first, (unsigned)keep[i] - 1, 0) != 0)
			return why_errno(confine->why, errno, "cannot close descriptors");
		first = (unsigned)keep[i] + 1;
	}
	if (close_range(first, ~0u, 0) != 0)
		return why_errno(confine->why, errno, "cannot close descriptors");
	return DVS_OK;
}

static void reset_signals(void)
{
	sigset_t none;

	for (int signo = 1; signo < NSIG; signo++)
		(void)signal(signo, signo == SIGPIPE ? SIG_IGN : SIG_DFL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void set_limit(__rlimit_resource_t which, uint64_t max)
{
	struct rlimit limit = { .rlim_cur = max, .rlim_max = max };

	/* One that is lower already stays; that is as good. */
	(void)setrlimit(which, &limit);
}

static void set_limits(const struct confine *confine)
{
	set_limit(RLIMIT_CORE, 0);
	/* A sanitizer reserves more than there is. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#if !defined(__has_feature)
	set_limit(RLIMIT_AS, confine->memory_max);
#elif !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)
	set_limit(RLIMIT_AS, confine->memory_max);
#endif
#endif
	(void)confine;
}

dvs_err confine_self(const struct confine *confine)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	dvs_err err;

	reset_signals();
	umask(0);
	if (confine->with_parent && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		return why_errno(confine->why, errno, "cannot prepare the process");
	if (confine->root >= 0 && (fchdir(confine->root) != 0 || chroot(".") != 0))
		return why_errno(confine->why, errno, "cannot enter the folder");
	err = close_others(confine, null);
	if (err != DVS_OK)
		return err;
	set_limits(confine);
	if (setgroups(0, NULL) != 0)
		return why_errno(confine->why, errno, "cannot give up groups");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return why_errno(confine->why, errno, "cannot prepare the process");
	err = filter_calls(confine->why);
	return err == DVS_OK ? drop_capabilities(confine->why) : err;
}
