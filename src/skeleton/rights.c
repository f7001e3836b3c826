/* SPDX-License-Identifier: Apache-2.0 */
/* Who is a manager is asked of dvsd once for each binding: requests do not wait for it. */
#include "skeleton/internal.h"

dvs_err rights_manager(struct skeleton *skeleton, dvs_ep source)
{
	struct rights *kept = &skeleton->rights[dvs_ep_number(source) % RIGHTS_KEPT];
	struct dvk_privileges privileges;
	dvs_err err;

	/* Number 0 with generation 0 is nobody's: a slot that was never used. */
	if (kept->ep.n != source.n || source.n == 0) {
		err = dvk_privileges_get(skeleton->dvk, source, &privileges);
		if (err != DVS_OK)
			return err == DVS_NODEST ? DVS_DENIED : err;
		kept->ep = source;
		kept->is_manager = privileges.may & DVS_MAY_BIND;
	}
	return kept->is_manager ? DVS_OK : DVS_DENIED;
}
