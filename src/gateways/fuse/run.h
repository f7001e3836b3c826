/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAYS_FUSE_RUN_H
#define GATEWAYS_FUSE_RUN_H

#include "gateways/fuse/gateway.h"

/* Until it is unmounted, or a signal says so. WHY gets a sentence. */
DVS_MUST_USE dvs_err gateway_run(const struct gateway_options *options, char why[GATEWAY_WHY_MAX]);

#endif
