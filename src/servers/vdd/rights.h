/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVERS_VDD_RIGHTS_H
#define SERVERS_VDD_RIGHTS_H

#include <dvs/error.h>

#include "base/compiler.h"

/* Give up for ever what serving volumes does not take. DENIED. */
DVS_MUST_USE dvs_err rights_drop(void);

#endif
