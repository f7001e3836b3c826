/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rights.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"

dvs_err rights_keep(uint64_t keep)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return dvs_from_errno(errno);
	if (syscall(SYS_capget, &header, data) != 0)
		return dvs_from_errno(errno);
	for (int cap = 0; cap <= 63; cap++) {
		/* Who has not the right to drop any has none to lose. */
		if ((keep >> cap & 1) == 0 && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0 &&
		    errno != EINVAL && errno != EPERM)
			return dvs_from_errno(errno);
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL)
		return dvs_from_errno(errno);
	for (unsigned int half = 0; half < 2; half++) {
		data[half].permitted &= (uint32_t)(keep >> (32 * half));
		data[half].effective = data[half].permitted;
		data[half].inheritable = 0;
	}
	return syscall(SYS_capset, &header, data) == 0 ? DVS_OK : dvs_from_errno(errno);
}
