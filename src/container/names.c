/* SPDX-License-Identifier: Apache-2.0 */
#include "container/names.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>

#define PREFIX_BYTES 4u

/* One list, once with and once without the prefix. */
#define CAPABILITY_LIST(X)  \
	X(CHOWN)            \
	X(DAC_OVERRIDE)     \
	X(DAC_READ_SEARCH)  \
	X(FOWNER)           \
	X(FSETID)           \
	X(KILL)             \
	X(SETGID)           \
	X(SETUID)           \
	X(SETPCAP)          \
	X(LINUX_IMMUTABLE)  \
	X(NET_BIND_SERVICE) \
	X(NET_BROADCAST)    \
	X(NET_ADMIN)        \
	X(NET_RAW)          \
	X(IPC_LOCK)         \
	X(IPC_OWNER)        \
	X(SYS_MODULE)       \
	X(SYS_RAWIO)        \
	X(SYS_CHROOT)       \
	X(SYS_PTRACE)       \
	X(SYS_PACCT)        \
	X(SYS_ADMIN)        \
	X(SYS_BOOT)         \
	X(SYS_NICE)         \
	X(SYS_RESOURCE)     \
	X(SYS_TIME)         \
	X(SYS_TTY_CONFIG)   \
	X(MKNOD)            \
	X(LEASE)            \
	X(AUDIT_WRITE)      \
	X(AUDIT_CONTROL)    \
	X(SETFCAP)          \
	X(MAC_OVERRIDE)     \
	X(MAC_ADMIN)        \
	X(SYSLOG)           \
	X(WAKE_ALARM)       \
	X(BLOCK_SUSPEND)    \
	X(AUDIT_READ)       \
	X(PERFMON)          \
	X(BPF)              \
	X(CHECKPOINT_RESTORE)

#define FULL(name) "CAP_" #name,
#define SHORT(name) #name,

static const char *const full_names[CAPABILITIES] = { CAPABILITY_LIST(FULL) };

const char *const capability_names[CAPABILITIES + 1] = { CAPABILITY_LIST(SHORT) NULL };

const char *const rlimit_names[RLIMITS + 1] = {
	[RLIMIT_CPU] = "cpu",		[RLIMIT_FSIZE] = "fsize",
	[RLIMIT_DATA] = "data",		[RLIMIT_STACK] = "stack",
	[RLIMIT_CORE] = "core",		[RLIMIT_RSS] = "rss",
	[RLIMIT_NPROC] = "nproc",	[RLIMIT_NOFILE] = "nofile",
	[RLIMIT_MEMLOCK] = "memlock",	[RLIMIT_AS] = "as",
	[RLIMIT_LOCKS] = "locks",	[RLIMIT_SIGPENDING] = "sigpending",
	[RLIMIT_MSGQUEUE] = "msgqueue", [RLIMIT_NICE] = "nice",
	[RLIMIT_RTPRIO] = "rtprio",	[RLIMIT_RTTIME] = "rttime",
};

const char *capability_name(unsigned int n)
{
	return n < CAPABILITIES ? full_names[n] : NULL;
}

bool capability_number(const char *name, uint32_t *number)
{
	if (strncasecmp(name, "CAP_", PREFIX_BYTES) == 0)
		name += PREFIX_BYTES;
	for (uint32_t n = 0; n < CAPABILITIES; n++) {
		if (strcasecmp(capability_names[n], name) == 0) {
			*number = n;
			return true;
		}
	}
	return false;
}

const char *rlimit_name(unsigned int which)
{
	return which < RLIMITS ? rlimit_names[which] : NULL;
}

/* "RTMIN", "RTMIN+3": what init systems are stopped with. */
static bool real_time(const char *name, uint32_t *number)
{
	unsigned int n = 0;

	if (strncmp(name, "RTMIN", 5) != 0)
		return false;
	name += 5;
	if (*name == '+' && name[1] >= '0' && name[1] <= '9') {
		name++;
		while (*name >= '0' && *name <= '9' && n < SIGNALS_MAX)
			n = n * 10 + (unsigned int)(*name++ - '0');
	}
	*number = (uint32_t)SIGRTMIN + n;
	return *name == '\0' && *number <= (uint32_t)SIGRTMAX;
}

bool signal_number(const char *name, uint32_t *number)
{
	if (strncmp(name, "SIG", 3) == 0)
		name += 3;
	for (int n = 1; n < SIGRTMIN; n++) {
		const char *known = sigabbrev_np(n);

		if (known && strcmp(known, name) == 0) {
			*number = (uint32_t)n;
			return true;
		}
	}
	return real_time(name, number);
}
