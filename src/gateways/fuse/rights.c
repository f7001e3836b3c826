/* SPDX-License-Identifier: Apache-2.0 */
/* What a gateway keeps of root's rights.
 *
 * It stays user 0: dvsd's admin socket is root's, and the server believes who it says that asks because a manager says so. Of the capabilities it keeps only
 * - CAP_SYS_ADMIN: to unmount.
 * - CAP_DAC_OVERRIDE: the socket of a DC whose owner is somebody else. */
#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "gateways/fuse/gateway.h"

#define KEPT_CAPABILITIES (UINT64_C(1) << CAP_SYS_ADMIN | UINT64_C(1) << CAP_DAC_OVERRIDE)

dvs_err gateway_rights_drop(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	/* Memory that is written out through this very file system must not wait for it. Not everybody may say so. */
	(void)prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return dvs_from_errno(errno);
	if (syscall(SYS_capget, &header, data) != 0)
		return dvs_from_errno(errno);
	for (int cap = 0; cap <= 63; cap++) {
		/* Who has not the right to drop any has none to lose. */
		if ((KEPT_CAPABILITIES >> cap & 1) == 0 &&
		    prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0 && errno != EINVAL && errno != EPERM)
			return dvs_from_errno(errno);
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL)
		return dvs_from_errno(errno);
	for (unsigned int i = 0; i < 2; i++) {
		data[i].permitted &= (uint32_t)(KEPT_CAPABILITIES >> 32 * i);
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	return syscall(SYS_capset, &header, data) == 0 ? DVS_OK : dvs_from_errno(errno);
}
