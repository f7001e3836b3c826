/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NODE_OPTIONS_H
#define NODE_OPTIONS_H

#include "node/host.h"

enum options_result { OPTIONS_RUN, OPTIONS_EXIT, OPTIONS_WRONG };

/* Read the command line and DVS_RUN_DIR; prints help, version and complaints itself. */
enum options_result options_parse(int argc, char **argv, struct options *options);

#endif
