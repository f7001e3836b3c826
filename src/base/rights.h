/* SPDX-License-Identifier: Apache-2.0 */
/* What a daemon keeps of root's rights. */
#ifndef BASE_RIGHTS_H
#define BASE_RIGHTS_H

#include <stdint.h>

#include <dvs/error.h>

#include "base/compiler.h"

#define RIGHT(capability) (UINT64_C(1) << (capability))

/* Give up for ever, for this process and what it starts, all capabilities but those in KEEP (of RIGHT()s); of those it keeps what it has. Programs that it starts gain nothing
 * (no_new_privs). Before there are threads: they would keep theirs. DENIED. */
DVS_MUST_USE dvs_err rights_keep(uint64_t keep);

#endif
