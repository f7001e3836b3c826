/* SPDX-License-Identifier: Apache-2.0 */
/* The machine that is to become a node: whether it can, and its services. */
#ifndef MANAGE_CLUSTER_MACHINE_H
#define MANAGE_CLUSTER_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "config/config.h"
#include "manage/cli.h"
#include "manage/cluster/nodelist.h"

#define MACHINE_COROSYNC_DIR "/etc/corosync"
#define MACHINE_COROSYNC_CONF MACHINE_COROSYNC_DIR "/corosync.conf"
#define MACHINE_AUTHKEY MACHINE_COROSYNC_DIR "/authkey"
/* What was there before the cluster, for the day it is left. */
#define MACHINE_COROSYNC_BEFORE MACHINE_COROSYNC_DIR "/corosync.conf.before-dvs"
#define MACHINE_COROSYNC_MAX (256u * 1024u)
#define MACHINE_COROSYNC_PORT 5405u

/* "dvs: WHAT: WHY; HINT", for reasons that have no error of their own. Returns EXIT_FAILED. */
int machine_fail(struct cli *cli, const char *what, const char *why, const char *hint);

/* Each is one thing that must hold; EXIT_DONE, or the message is out. WHAT is what is to be done. */
MUST_USE int machine_is_root(struct cli *cli, const char *what);
MUST_USE int machine_has_corosync(struct cli *cli, const char *what);
MUST_USE int machine_has_address(struct cli *cli, const char *what, const char *address);
/* corosync's port, and those of the proxies of NODE from PORT on. */
MUST_USE int machine_has_ports(struct cli *cli, const char *what, const char *address,
			       uint32_t port, uint32_t node);
MUST_USE int machine_is_free(struct cli *cli, const char *what);

/* The text of corosync.conf, for the caller to free; NULL: there is none. */
MUST_USE char *machine_corosync_conf(void);

/* Whether systemd runs this machine. */
bool machine_has_systemd(void);
/* Run ARGV; its messages go to our standard error. Its exit status; -1: it could not be run. */
int machine_run(const char *const *argv);

#endif
