/* SPDX-License-Identifier: Apache-2.0 */
/* What a gateway keeps of root's rights.
 *
 * It stays user 0: dvsd's admin socket is root's, and the server believes who it says that asks because a manager says so. Of the capabilities it keeps only
 * - CAP_SYS_ADMIN: to unmount.
 * - CAP_DAC_OVERRIDE: the socket of a DC whose owner is somebody else.
 * - CAP_SYS_CHROOT: to enter the mounts of a container, if it has one. */
#include <linux/capability.h>
#include <sys/prctl.h>

#include "base/rights.h"
#include "gateways/fuse/gateway.h"

dvs_err gateway_rights_drop(bool in_container)
{
	uint64_t keep = RIGHT(CAP_SYS_ADMIN) | RIGHT(CAP_DAC_OVERRIDE);

	/* Memory that is written out through this very file system must not wait for it. Not everybody may say so. */
	(void)prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	if (in_container)
		keep |= RIGHT(CAP_SYS_CHROOT);
	return rights_keep(keep);
}
