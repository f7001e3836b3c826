/* SPDX-License-Identifier: Apache-2.0 */
/* What a file server keeps of root's rights.
 *
 * It stays user 0: dvsd's admin socket is root's, and so are devices and the files of file systems. Of the capabilities it keeps only
 * - CAP_DAC_OVERRIDE: a device that belongs to group "disk" and another user, the socket of a DC whose owner is somebody else.
 * All others go, out of the bounding set too; io_uring, files, sockets and shared memory need none. Programs that it might be made to start gain nothing (no_new_privs). */
#include "servers/fs/fsd.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"

#define KEPT_CAPABILITIES (UINT64_C(1) << CAP_DAC_OVERRIDE)

dvs_err fsd_rights_drop(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	uint64_t keep = KEPT_CAPABILITIES;

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
