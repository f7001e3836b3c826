/* SPDX-License-Identifier: Apache-2.0 */
/* The control link of a proxy to the dvsd that started it: which channels it carries, and what it says about them. */
#ifndef PROXY_CONTROL_H
#define PROXY_CONTROL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/log.h"
#include "proto/control_proto.h"
#include "proxy/mirror.h"

#define CONTROL_FD 3
/* Questions to dvsd that are not answered yet; what comes for further channels is dropped until there is room. */
#define CONTROL_ASKS_MAX 1024u

struct control_ask {
	struct list node;
	uint32_t id;
	struct mirror_news news; /* of the kind MIRROR_CONNECT */
};

struct copies;

struct control {
	const struct log *log;
	int fd;
	int wake_fd; /* eventfd: there are news */
	struct mirror *mirror;
	struct peer_link *link;
	struct ipc_inbox *inbox; /* our page */
	_Atomic uint32_t last_id;
	struct list asks; /* of the kind MIRROR_CONNECT */
	uint32_t n_asks;
	struct copies *copies;
	pthread_mutex_t lock;
	struct list questions; /* of copies' threads; under lock */
	/* the last report */
	uint8_t told[CONTROL_LINK_REPORT_REQ_BYTES_MAX];
	size_t told_bytes;
	uint64_t told_ns;
	char why[128];
};

/* Say hello, and map our inbox page. NODVSD: the link has ended; PROTO; NOMEM. */
DVS_MUST_USE dvs_err control_open(struct control *control, int fd, const struct log *log);
/* What the mirror is to be set up with. */
struct mirror_setup control_mirror_setup(struct control *control);
/* The mirror, which was made with that: before the link is opened. NOMEM. */
DVS_MUST_USE dvs_err control_attach(struct control *control, struct mirror *mirror);
/* Serve until the control link ends. */
void control_run(struct control *control, struct peer_link *link);

#endif
