/* SPDX-License-Identifier: Apache-2.0 */
/* The control link of a proxy to the dvsd that started it: which channels it carries, and what it says about them. */
#ifndef PROXY_CONTROL_H
#define PROXY_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/log.h"
#include "proto/control_proto.h"
#include "proxy/mirror.h"

#define CONTROL_FD 3
#define CONTROL_FRAME_MAX 8192u
#define CONTROL_FDS_MAX 2u
/* Questions to dvsd that are not answered yet; what comes for further channels is dropped until there is room. */
#define CONTROL_ASKS_MAX 1024u

struct control_ask {
	struct list node;
	uint32_t id;
	struct mirror_news news; /* of the kind MIRROR_CONNECT */
};

struct control {
	const struct log *log;
	int fd;
	int wake_fd; /* eventfd: there are news */
	struct mirror *mirror;
	struct peer_link *link;
	struct ipc_inbox *inbox; /* our page */
	uint32_t next_id;
	struct list asks;
	uint32_t n_asks;
	/* the last report */
	struct control_link_report_req told;
	uint64_t told_ns;
	char why[128];
};

/* Say hello, and map our inbox page. NODVSD: the link has ended; PROTO; NOMEM. */
DVS_MUST_USE dvs_err control_open(struct control *control, int fd, const struct log *log);
/* What the mirror is to be set up with. */
struct mirror_setup control_mirror_setup(struct control *control);
/* Serve until the control link ends. */
void control_run(struct control *control, struct mirror *mirror, struct peer_link *link);

#endif
