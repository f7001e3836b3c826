/* SPDX-License-Identifier: Apache-2.0 */
/* Inside libdvk: the link of a process with dvsd, and the handles of its endpoints.
 *
 * Who owns what: a struct m3 and the endpoint and channels in it belong to the thread that bound it. What dvsd tells an endpoint
 * is put into its mail by whichever thread reads the socket, under dvk.lock, and is handled by the owner. */
#ifndef LIB_INTERNAL_H
#define LIB_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

#include <dvs/dvk.h>

#include "base/list.h"
#include "ipc/endpoint.h"
#include "lib/pages.h"
#include "proto/control_proto.h"

#define LINK_FRAME_MAX 8192u
#define LINK_HEADER_BYTES 12u
#define LINK_BODY_MAX (LINK_FRAME_MAX - LINK_HEADER_BYTES)
#define LINK_FDS_MAX 2u

#define DVK_BUCKETS 1024u

/* One event of dvsd for one endpoint. */
struct mail {
	struct list node;
	uint32_t op;
	union {
		struct control_channel_req channel;
		struct control_gone_req gone;
		struct control_role_req role;
		struct control_migrate_req migrate;
		struct control_probe_req probe;
		struct control_deadlock_req deadlock;
		struct control_may_req may;
	};
	int fd[LINK_FDS_MAX];
};

/* A channel, as a restarted dvsd must hear of it. Under dvk.lock. */
struct known_link {
	struct list node;
	struct control_link row;
};

struct dvk {
	pthread_mutex_t lock;  /* order: the only one */
	pthread_cond_t turned; /* a reply came, or nobody reads any more */
	/* under lock: */
	int fd;	      /* -1: broken */
	bool reading; /* some thread reads the socket, without the lock */
	bool closing;
	uint32_t next_id;
	struct list exchanges;		 /* waiting for their replies */
	struct list handles;		 /* struct m3, by node, ... */
	struct list bucket[DVK_BUCKETS]; /* ... and by in_bucket, hashed by endpoint number */
	struct list unclaimed; /* bound for this process and not yet taken, by unclaimed */
	struct list events;    /* of the DVS, not yet read */
	uint32_t n_events;
	uint64_t n_events_lost;
	bool watches;	    /* asked to be told of them */
	struct list groups; /* struct dvs_group */
	struct page_pool pages;
	uint64_t peer_area; /* inode of the first partner's inbox area; 0: none */
	uint64_t broken_ns; /* since when there is no link; 0: there is one */
	uint64_t open_ns;   /* when the socket was last tried */
	/* fixed after dvk_open(): */
	_Atomic bool exposed; /* more than one process maps our inboxes */
	bool admin;
	bool manager;
	char entered[DVS_NAME_MAX + 1]; /* an admin link's DC, under lock */
	struct sockaddr_un address;
	int area_fd;
	int stats_fd;
	struct ipc_inbox *area; /* page n is the inbox in slot n */
	struct ipc_stats *stats;
	uint32_t *alive; /* 1; 0 in a child after fork() */
	pthread_key_t thread_key;
};

/* A handle. */
struct m3 {
	struct endpoint ep;
	pthread_t owner;
	const uint32_t *alive;
	struct dvk *dvk;
	/* Partners that are over: freed when no call is open and no wait looks at them. */
	struct partner *graves;
	uint32_t n_partner_events; /* counts those that brought or ended a channel */
	dvs_err add_err;	   /* of the last channel that came */
	bool has_former;	   /* some channel may have former memory to free */
	uint32_t parking;	   /* number of the migration for which it parks or has parked */
	struct m3 *next_of_thread;
	struct ipc_trace *trace;
	uint64_t trace_number;
	/* under dvk->lock: */
	struct list node;
	struct list in_bucket;
	struct list unclaimed; /* in dvk->unclaimed while nobody has taken it */
	struct list mail;
	struct list links;
	uint32_t slot;
	uint32_t tid;
	_Atomic uint32_t may; /* also read by the owner, without the lock */
	uint8_t binding;
	bool primary;
	uint32_t migration; /* of the one that dvsd announced last and did not roll back; 0: none */
	bool unbound;
};

/* The channel's struct with the links of its owner. */
struct partner {
	struct channel ch;
	struct partner *next_grave;
	struct known_link *known;
};

static inline bool m3_is_mine(const struct m3 *self)
{
	return self && pthread_equal(self->owner, pthread_self()) && *self->alive;
}

static inline struct ipc_inbox *dvk_inbox(const struct dvk *dvk, uint32_t slot)
{
	return (struct ipc_inbox *)(void *)((char *)dvk->area + (size_t)slot * IPC_PAGE);
}

#endif
