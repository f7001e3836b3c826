/* SPDX-License-Identifier: Apache-2.0 */
/* From a bundle to a node: the checks that come first, the files, and what is to be done with the services then. */
#ifndef MANAGE_CLUSTER_PLACE_H
#define MANAGE_CLUSTER_PLACE_H

#include "manage/cli.h"
#include "manage/cluster/bundle.h"

/* Whether this machine can become the node of NODE's number and address; changes nothing. EXIT_DONE, or the message is out. */
MUST_USE int place_check(struct cli *cli, const char *what, const struct config *node);

/* Put everything of BUNDLE in place, all or nothing; CA_KEY (may be NULL) too. EXIT_DONE, or the message is out. */
MUST_USE int place_node(struct cli *cli, const char *what, const struct bundle *bundle,
			const struct ca_pem *ca_key);

/* The commands that start the services, each as a line of text and as words; ends with NULL. */
#define PLACE_COMMANDS 2
extern const char *const place_commands[PLACE_COMMANDS][5];

#endif
