/* SPDX-License-Identifier: Apache-2.0
 *
 * The management calls of the Distributed Virtualization Kernel: the link of a process with the DVK of its DC, bindings,
 * privileges, migration, promotion, DCs, and what is known about them. Communication is in dvs/m3ipc.h.
 *
 * Rules for every call: a struct dvk may be used by many threads at once. Calls ask dvsd, so they wait for its answer
 * (DVK_ANSWER_MS at most, then DVS_NODVSD; a dvsd that restarts within that time goes unnoticed); those with a TIMEOUT_MS
 * wait that long in addition (0 tries only, DVS_FOREVER waits without end).
 * In a cluster a call that changes something returns when that holds on this node and cannot be lost any more; on the other nodes it
 * holds an instant later. That something is not there (NODEST, NODC) is answered only when all that was changed before, wherever, is
 * known here.
 * Any call may return DVS_BADARG and DVS_NODVSD.
 */
#ifndef DVS_DVK_H
#define DVS_DVK_H

#include <stdint.h>
#include <sys/types.h>

#include <dvs/m3ipc.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DVK_ANSWER_MS 10000u
#define DVS_NAME_MAX 63
#define DVS_NODES_MAX 62 /* nodes have the numbers 0 to 61 */

typedef struct dvs_dcid {
	uint32_t n;
} dvs_dcid;

typedef struct dvs_nodeid {
	uint32_t n;
} dvs_nodeid;

struct dvk;

/* ---- the link ---- */

/* Open the link with the dvsd behind the control socket PATH; NULL: the environment's DVS_CONTROL, else
 * /run/dvs/control. The socket decides the DC. A process belongs to one DC at a time: DENIED for a second one.
 * After fork() the child must open a link of its own; exec() ends the link and the bindings. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_open(const char *path, struct dvk **dvk);

/* Unbind all endpoints of the link and close it. The handles of its endpoints must not be used any more. NULL is fine. */
DVS_PUBLIC void dvk_close(struct dvk *dvk);

/* ---- bindings ---- */

enum dvk_kind {
	DVK_LOCAL = 1,	/* the process here, alone */
	DVK_BACKUP = 2, /* silent, with the endpoint of its primary, until promoted */
	/* The same endpoint may be bound on other nodes too; each node uses its own. */
	DVK_REPLICA = 3,
	DVK_REMOTE = 4, /* the process is on another node (only reported) */
};

/* Bind the calling thread to WANT (a number, or dvs_ep_any(): the next free client number of this node).
 * The binding ends with dvk_unbind(), with the thread, with the process, or with exec().
 * INUSE: bound already (or, for a replica, already on this node).  DENIED: a number below DVS_EP_SERVERS without
 * DVS_MAY_BIND, or a backup without it, or a client number of another node.  NODEST: a backup for an endpoint nobody has.  FULL. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_bind(struct dvk *dvk, dvs_ep want, enum dvk_kind kind,
					 struct m3 **self);

/* Bind WANT for process PID (as this process sees pids), which takes it with dvk_wait_bound(). Needs DVS_MAY_BIND.
 * Callers of the endpoint wait until it is taken. *EP gets the endpoint. INUSE, DENIED, NODEST as dvk_bind(); NOPROC. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_bind_for(struct dvk *dvk, pid_t pid, dvs_ep want,
					     enum dvk_kind kind, dvs_ep *ep);

/* Wait until somebody has bound an endpoint for this process (or moved one here, dvk_migrate_commit()), and take it
 * for the calling thread. TIMEOUT. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_wait_bound(struct dvk *dvk, uint32_t timeout_ms,
					       struct m3 **self);

/* Give up the binding; SELF is freed. Partners in a call with it get PEERDEAD. NULL is fine. */
DVS_PUBLIC void dvk_unbind(struct m3 *self);

/* End another endpoint's binding, and wait until it is over. Its calls return NOTBOUND. Needs DVS_MAY_BIND unless it is an
 * endpoint of this process. NODEST, DENIED, TIMEOUT. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_unbind_endpoint(struct dvk *dvk, dvs_ep ep,
						    uint32_t timeout_ms);

/* Wait until somebody is bound to EP; *BOUND (may be NULL) gets it with its generation. TIMEOUT. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_wait_bind(struct dvk *dvk, dvs_ep ep, uint32_t timeout_ms,
					      dvs_ep *bound);

/* Wait until nobody is bound to EP (with its generation, if it has one). TIMEOUT. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_wait_unbind(struct dvk *dvk, dvs_ep ep, uint32_t timeout_ms);

/* The first endpoint that process PID bound. NOPROC: no such process in this DC. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_endpoint_of(struct dvk *dvk, pid_t pid, dvs_ep *ep);

/* ---- privileges ---- */

#define DVS_MAY_BIND (1u << 0)	  /* bind server numbers and backups, bind and unbind for others */
#define DVS_MAY_COPY (1u << 1)	  /* m3_copy() between two others */
#define DVS_MAY_MIGRATE (1u << 2) /* migration and promotion */
#define DVS_MAY_WAKE (1u << 3)	  /* m3_wakeup() */
#define DVS_MAY_GRANT (1u << 4)	  /* change privileges, to rights that the caller has itself */
/* hand requests on with m3_relay(): the caller's library then calls the other endpoint in the caller's name */
#define DVS_MAY_RELAY (1u << 5)
#define DVS_MAY_ALL ((1u << 6) - 1)

#define DVS_RANGES_MAX 8

struct dvk_range {
	uint32_t first; /* endpoint numbers, both ends included */
	uint32_t last;
};

/* Whom an endpoint may call (send, sendrec, notify; replies are always allowed) and what it may manage. A fresh binding
 * may call everyone and manage nothing; an endpoint of a manager (root or the owner of dvsd) may manage all. */
struct dvk_privileges {
	uint32_t may;
	uint32_t n_call_to; /* 0: nobody */
	struct dvk_range call_to[DVS_RANGES_MAX];
};

/* NODEST. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_privileges_get(struct dvk *dvk, dvs_ep ep,
						   struct dvk_privileges *privileges);

/* Channels on which something else is allowed now are closed: calls under way fail with DENIED. Needs DVS_MAY_GRANT. NODEST, DENIED. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_privileges_set(struct dvk *dvk, dvs_ep ep,
						   const struct dvk_privileges *privileges);

/* ---- migration and promotion; all need DVS_MAY_MIGRATE: DENIED; NODEST ---- */

/* Hold all messages for EP. Its process parks at its next receive (a call it waits for is finished first).
 * BADSTATE: it migrates already, or is a backup. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_migrate_start(struct dvk *dvk, dvs_ep ep);

/* EP goes on in process PID, which has opened a link and takes it with dvk_wait_bound(). Callers notice only
 * that it took longer; requests that the old process received and did not answer are answered by the new one.
 * Waits until the old process has parked or is dead. TIMEOUT: it did not park; the migration is still on.
 * BADSTATE: EP does not migrate.  NOPROC: PID has no link in this DC. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_migrate_commit(struct dvk *dvk, dvs_ep ep, pid_t pid,
						   uint32_t timeout_ms);

/* The same to a process of node NODE, whose PID is that which the dvsd there sees (as dvk_endpoint_info() tells pids of other
 * nodes). NODEDOWN: the node is not up. NOQUORUM. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_migrate_commit_on(struct dvk *dvk, dvs_ep ep, dvs_nodeid node,
						      pid_t pid, uint32_t timeout_ms);

/* The migration is off; the old process goes on with the held messages. BADSTATE. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_migrate_rollback(struct dvk *dvk, dvs_ep ep);

/* Make the backup of EP in process PID (0: the oldest backup) the primary; a living primary becomes a backup. A primary
 * that dies is followed by its oldest backup without this call. NOPROC: no such backup. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_promote(struct dvk *dvk, dvs_ep ep, pid_t pid);

/* ---- information ---- */

struct dvk_dvs_info {
	dvs_nodeid node; /* this node */
	uint32_t n_nodes;
	uint32_t n_dcs;
	uint32_t n_endpoints;
	uint32_t n_channels; /* on this node */
	pid_t dvsd_pid;
	uint64_t started_ns; /* CLOCK_REALTIME */
	char version[32];
};

struct dvk_dc_info {
	dvs_dcid id;
	char name[DVS_NAME_MAX + 1];
	uint32_t n_endpoints;
	uint32_t n_channels;
	uint32_t n_processes;
	uint32_t owner_uid;
};

enum dvk_activity {
	DVK_RUNNING = 0, /* in its own code */
	DVK_RECEIVING = 1,
	DVK_SENDING = 2, /* in m3_send() */
	DVK_CALLING = 3, /* in m3_sendrec() or m3_call() */
	DVK_PARKED = 4,	 /* held by a migration, or a backup that waits */
};

struct dvk_endpoint_info {
	dvs_ep ep;
	enum dvk_kind kind;
	dvs_nodeid node;
	pid_t pid; /* as the asking process sees pids, of another node as its dvsd does; 0: not to be seen */
	pid_t tid;
	int migrating;
	uint32_t n_backups;
	uint32_t n_channels;
	char program[16];
	enum dvk_activity activity; /* from here on: what the process itself reports */
	dvs_ep partner; /* of the present call; n is 0 when there is none, or anyone will do */
	uint64_t messages_in;
	uint64_t messages_out;
	uint64_t bytes_in; /* attached data */
	uint64_t bytes_out;
	uint64_t notifies_in;
	uint64_t sleeps; /* waits that ended in a sleep */
	struct dvk_privileges privileges;
};

DVS_PUBLIC DVS_MUST_USE dvs_err dvk_dvs_info(struct dvk *dvk, struct dvk_dvs_info *info);
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_dc_info(struct dvk *dvk, struct dvk_dc_info *info);
/* NODEST. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_endpoint_info(struct dvk *dvk, dvs_ep ep,
						  struct dvk_endpoint_info *info);
/* The first endpoint (backups included) that follows *CURSOR in the order of numbers; start with *CURSOR 0.
 * NODEST: that was all. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_endpoint_next(struct dvk *dvk, uint64_t *cursor,
						  struct dvk_endpoint_info *info);

/* ---- DCs: only over the admin socket (root or the owner of dvsd) ---- */

/* Open the admin socket of the dvsd whose run directory is RUN_DIR (NULL: the environment's DVS_RUN_DIR, else
 * /run/dvs). It serves the calls below, and with dvk_admin_enter() those above. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_admin_open(const char *run_dir, struct dvk **admin);

/* NAME: letters, digits, '-', '_' and '.', not first a '.', up to DVS_NAME_MAX. OWNER_UID: whose programs may enter and manage
 * it; others cannot open its socket unless they are let in (a mount into their container). EXISTS. FULL. DENIED: dvsd does not
 * run as root and OWNER_UID is not its own user. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_dc_create(struct dvk *admin, const char *name,
					      uint32_t owner_uid, dvs_dcid *id);
/* End all its bindings, then forget it. BADSTATE: endpoints are bound and FORCE is zero. NODC. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_dc_remove(struct dvk *admin, const char *name, int force);
/* The first DC whose id follows *CURSOR; start with 0. NODC: that was all. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_dc_next(struct dvk *admin, uint32_t *cursor,
					    struct dvk_dc_info *info);

/* The link to another node, as the proxy that has it last reported it. */
struct dvk_link_info {
	dvs_nodeid node;
	pid_t proxy_pid; /* as the dvsd of this node sees pids; 0: it is being started */
	int up;
	uint32_t n_channels;
	char transport[16];
	char filters[32];
	uint64_t rtt_ns; /* 0: not measured yet */
	uint64_t frames_in;
	uint64_t frames_out;
	uint64_t bytes_in;
	uint64_t bytes_out;
	uint64_t writes; /* system calls that sent something */
	uint32_t reconnects;
	uint64_t bad_frames;
	char why[128]; /* it is down */
};
/* The link to the first node whose number is at least *CURSOR; start with 0. NODEST: that was all. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_link_next(struct dvk *admin, uint32_t *cursor,
					      struct dvk_link_info *info);

/* From now on the calls that speak of endpoints mean those of DC NAME, with all privileges. NODC. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_admin_enter(struct dvk *admin, const char *name);

/* ---- nodes ---- */

enum dvk_node_state {
	DVK_NODE_UP = 1,
	DVK_NODE_AWAY = 2, /* its dvsd is gone, its machine is not: its bindings wait for it */
	DVK_NODE_DOWN = 3, /* its bindings have ended */
};

struct dvk_node_info {
	dvs_nodeid node;
	char name[DVS_NAME_MAX + 1];
	char address[64];
	enum dvk_node_state state;
	int draining;	      /* nothing is promoted or migrated to it */
	int is_self;	      /* it is the one that answers */
	int is_quorate;	      /* the one that answers is in the quorum */
	uint32_t n_endpoints; /* primaries that it has */
	uint64_t epoch;	      /* the place in the order of all changes of the one that answers */
	uint64_t n_applied;
};

/* The first node whose number is at least *CURSOR; start with 0. NODEST: that was all. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_node_next(struct dvk *dvk, uint32_t *cursor,
					      struct dvk_node_info *info);

/* The next three need an admin link: DENIED; and the quorum: NOQUORUM. */

/* Empty NODE (ON not 0): its primaries change places with their backups of other nodes, and nothing is promoted or migrated to it any
 * more; ON 0 ends that. *N_LEFT (may be NULL): how many endpoints it still has, which programs must move or end. Asked again it looks for
 * backups again. NODEST: there is no such node. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_node_drain(struct dvk *admin, dvs_nodeid node, int on,
					       uint32_t *n_left);
/* Forget NODE, which is down. BADSTATE: it is not. NODEST. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_node_remove(struct dvk *admin, dvs_nodeid node);

struct dvk_node_digest {
	dvs_nodeid node;
	uint64_t epoch;
	uint64_t n_applied;
	uint64_t digest;
};

/* What all nodes that are up have for a state at one place of the order: DIGESTS (room for DVS_NODES_MAX) gets one each, in the order of
 * numbers. All are equal, or the DVS is broken. TIMEOUT: not all have answered. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_verify(struct dvk *admin, uint32_t timeout_ms,
					   struct dvk_node_digest *digests, uint32_t *n_digests);

/* ---- what happens (dvs events); over the admin socket ---- */

struct dvk_event {
	uint64_t time_ns; /* CLOCK_REALTIME */
	char what[32];	  /* "node.up", "node.down", "bound", "promoted"... */
	dvs_nodeid node;
	char dc[DVS_NAME_MAX + 1]; /* "": of none */
	dvs_ep ep;		   /* n is 0: of none */
	char text[128];
};

/* From now on this link is told of what happens in the DVS. DENIED. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_watch(struct dvk *admin);
/* The next event; *N_LOST (may be NULL) counts those that nobody read in time. TIMEOUT. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_event_next(struct dvk *admin, uint32_t timeout_ms,
					       struct dvk_event *event, uint64_t *n_lost);

/* ---- following messages (dvs trace) ---- */

struct dvk_trace;

struct dvk_trace_record {
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	dvs_ep self;
	dvs_ep partner;
	char what[12]; /* "send", "call", "reply", "receive", "notify", "relay"... */
	uint32_t type;
	uint32_t data_bytes;
	dvs_err result;
};

/* Follow the messages of EP from now on. Needs a manager. NODEST, DENIED. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_trace_open(struct dvk *dvk, dvs_ep ep,
					       struct dvk_trace **trace);
/* The next record; *LOST (may be NULL) counts those that were overwritten unread. TIMEOUT. PEERDEAD: EP is unbound. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_trace_next(struct dvk_trace *trace, uint32_t timeout_ms,
					       struct dvk_trace_record *record, uint64_t *lost);
DVS_PUBLIC void dvk_trace_close(struct dvk_trace *trace);

#ifdef __cplusplus
}
#endif
#endif
