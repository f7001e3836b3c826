/* SPDX-License-Identifier: Apache-2.0 */
#include "container/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "container/confine.h"
#include "container/why.h"

#define MEMORY_MAX (UINT64_C(3) << 30)

dvs_err inside_enter(pid_t init, const int *keep, size_t n_keep, char *why)
{
	struct confine confine = {
		.root = -1, .keep = keep, .n_keep = n_keep, .memory_max = MEMORY_MAX, .why = why
	};
	AUTO_CLOSE int fd = (int)syscall(SYS_pidfd_open, init, 0);

	if (fd < 0)
		return why_say(why, DVS_NOTFOUND, "the container has ended");
	if (setns(fd, CLONE_NEWUSER | CLONE_NEWNS) != 0)
		return errno == ESRCH ? why_say(why, DVS_NOTFOUND, "the container has ended") :
					why_errno(why, errno, "cannot enter the container");
	/* Its root, not the node's: who owns nothing outside can break nothing outside. */
	if (setgroups(0, NULL) != 0 || setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0 ||
	    chdir("/") != 0)
		return why_errno(why, errno, "cannot become the container's root");
	return confine_self(&confine);
}
