/* SPDX-License-Identifier: Apache-2.0 */
/* Primary and backups of a server (decision 0022): an order of entries that all members of the view carry out, failover, and coming back. The server's part is in
 * struct replica_owner. Everything here is for the thread of the server's skeleton, and callbacks come there; none is called from inside a call of the
 * owner that could end in it, unless that is said. Nodes number the replicas: one on each.
 *
 * Roles. A replica starts ABSENT and asks to join, or takes over when the view has it and there is no primary. JOINING: it gets all new entries, and the server brings it
 * up to date. MEMBER: it has everything and is bound as a backup. PRIMARY: it serves. */
#ifndef REPLICA_REPLICA_H
#define REPLICA_REPLICA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/dvk.h>
#include <dvs/m3ipc.h>

#include "base/compiler.h"
#include "base/list.h"
#include "base/log.h"
#include "skeleton/skeleton.h"

#define REPLICA_HEAD_MAX 64u	     /* bytes of an entry's or a word's head */
#define REPLICA_ANSWER_MAX 4096u     /* bytes of a word's answer */
#define REPLICA_HELLO_MAX (1u << 20) /* bytes of what a joiner says */
#define REPLICA_REMEMBERED 4096u     /* clients whose last answer is remembered */

struct replica;

enum replica_role { REPLICA_ABSENT, REPLICA_JOINING, REPLICA_MEMBER, REPLICA_PRIMARY };
enum replica_mode { REPLICA_SYNC, REPLICA_ASYNC };

/* What all members carry out, in this order. The owner embeds it in what it keeps of a request; it belongs to the library from replica_submit() until `done`. On the others it is the
 * library's, until replica_applied(). */
struct replica_entry {
	uint64_t sequence; /* the library's */
	dvs_ep client;	   /* whose request it is; n is 0: nobody's */
	uint32_t call;
	uint32_t head_bytes;
	uint8_t head[REPLICA_HEAD_MAX];
	const void *data; /* must not change until `done`: no memory that a client can write */
	size_t bytes;	  /* at most DVS_DATA_MAX */
	/* Once, on the primary: when all members have carried it out (or in mode async, when this one has and the others are not too far behind). ERR: what
	 * carrying it out gave here; NOQUORUM, BADSTATE: this replica is not the primary any more, it may have been carried out or not, and the client
	 * will ask the next one (do not answer). */
	void (*done)(struct replica_entry *entry, dvs_err err);
	dvs_err result; /* of replica_applied() */
	bool is_applied;
	struct list queued; /* the library's */
	void *library;
};

/* Something that only one other replica is told: the server's own business (bringing up to date, verifying). It comes in one order with the entries: what was submitted before is
 * applied before. The sender's, until `done`. */
struct replica_word {
	uint32_t head_bytes;
	uint8_t head[REPLICA_HEAD_MAX];
	const void *data;
	size_t bytes;
	/* ANSWER (n bytes) is valid during the call. ERR: what the other one answered; NODEDOWN: it is not there any more. */
	void (*done)(struct replica_word *word, dvs_err err, const void *answer, size_t n);
	struct list queued;
	void *library;
};

/* A word that came; to be answered once by replica_answer(). Data is valid until then. */
struct replica_heard {
	dvs_nodeid from;
	const uint8_t *head;
	uint32_t head_bytes;
	const uint8_t *data;
	size_t bytes;
	void *library;
};

struct replica_owner {
	void *context;
	/* Carry ENTRY out, and call replica_applied() (perhaps at once). Entries come in their order; those that concern the same thing must take effect in it. On all members. */
	void (*apply)(void *context, struct replica_entry *entry);
	/* Something was told: by the primary to a joiner or member. */
	void (*heard)(void *context, struct replica_heard *heard);
	/* The role has changed. PRIMARY: serve from now on; the requests wait in the skeleton. Anything else after PRIMARY: what is kept of clients must not be
	 * answered any more; drop it. VIEW_MEMBERS: bit n is node n. */
	void (*role)(void *context, enum replica_role role, uint64_t epoch, uint64_t view_members);
	/* What this replica says when it joins (for a disk: what it may have that others have not): up to REPLICA_HELLO_MAX bytes into ROOM; the length. */
	size_t (*hello)(void *context, void *room);
	/* On the primary: NODE joins and gets all entries from now on. Bring it up to date with words, then call replica_is_current(). HELLO is valid during the call. */
	void (*joined)(void *context, dvs_nodeid node, const void *hello, size_t n);
	/* On the primary: NODE, joiner or member, is gone. Words for it have ended by `done`. */
	void (*left)(void *context, dvs_nodeid node);
};

struct replica_config {
	struct dvk *admin;   /* for the view */
	struct dvk *dvk;     /* in the DC */
	const char *run_dir; /* of dvsd */
	const char *dc;
	const char *name; /* the record is view/NAME */
	dvs_ep service;	  /* number of the server's endpoint */
	dvs_nodeid node;  /* this one */
	uint64_t nodes;	  /* all that are to have a replica, bit n: node n */
	bool is_empty; /* it has never been current: it must not take over, unless it is `first` and nobody ever was */
	dvs_nodeid first; /* who begins when there is no view yet */
	enum replica_mode mode;
	uint64_t lag_bytes; /* async: how much may be unacknowledged */
	uint32_t lease_ms;  /* 0: the default, 400 */
	uint32_t evict_ms;  /* 0: the default, 10000 */
	struct log *log;
	struct skeleton *skeleton;
	const struct replica_owner *owner;
};

struct replica_member_state {
	dvs_nodeid node;
	enum replica_role role; /* ABSENT: away */
	uint64_t lag_bytes;
};

/* For the skeleton's thread, once its table has replica_peers(). NOMEM, and of the first calls to dvsd. */
DVS_MUST_USE dvs_err replica_open(const struct replica_config *config, struct replica **replica);
/* Leave in good order when it is the primary: what was submitted is finished first, for at most 2 s. */
void replica_close(struct replica *replica);
/* Of the replicas among themselves (src/proto/replica.toml), a row for the skeleton's table, which is made first: *PLACE is where replica_open() will put its handle, NULL until then
 * and after replica_close(). */
struct skeleton_service replica_peers(struct replica **place);

enum replica_role replica_role(const struct replica *replica);
uint64_t replica_epoch(const struct replica *replica);
uint64_t replica_members(const struct replica *replica);
uint64_t replica_sequence(const struct replica *replica);
/* For how long entries and reads have waited for others, in all. */
uint64_t replica_paused_ns(const struct replica *replica);
/* All of `nodes`, by rising number; room for DVS_NODES_MAX. On the primary; else only what the view says. */
uint32_t replica_look(const struct replica *replica, struct replica_member_state *states);

/* On the primary, from `role` PRIMARY on. Order ENTRY and carry it out. */
void replica_submit(struct replica *replica, struct replica_entry *entry);
/* The owner has carried ENTRY out, with that result, on stable storage if the entry wants that. */
void replica_applied(struct replica *replica, struct replica_entry *entry, dvs_err result);
/* What was submitted for that call of CLIENT and is not done yet, or NULL: for requests that are `resent`, before anything else is done with them. What is asked for again is answered when that is. */
struct replica_entry *replica_under_way(const struct replica *replica, dvs_ep client,
					uint32_t call);
/* Whether the call of CLIENT was carried out already, and with what result: for requests that are `resent`. */
bool replica_was_done(const struct replica *replica, dvs_ep client, uint32_t call, dvs_err *result);

struct replica_reader {
	struct list queued;
	/* ERR: BADSTATE: not the primary any more, do not answer. */
	void (*ready)(struct replica_reader *reader, dvs_err err);
};
/* Whether it may be answered now what this replica has: it is the primary and within its lease. False: READER is called when it may; a member that is silent is put out meanwhile. */
bool replica_may_read(struct replica *replica, struct replica_reader *reader);

/* On the primary: all entries that were submitted have been given to `apply` when it returns. Who then reads something and tells it, before anything else is submitted, tells what is true at that place of the order. */
void replica_settle(struct replica *replica);
/* On the primary. WORD takes its place in the order at once, and nothing of the owner is called. The other one hears it when all entries before it were carried out there, and before it gets those behind it. */
void replica_tell(struct replica *replica, dvs_nodeid node, struct replica_word *word);
void replica_answer(struct replica *replica, struct replica_heard *heard, dvs_err err,
		    const void *answer, size_t n);
/* NODE has everything: make it a member of the view. `role` tells when it is. */
void replica_is_current(struct replica *replica, dvs_nodeid node);
/* The set of nodes has changed (replica add, rm). */
void replica_set_nodes(struct replica *replica, uint64_t nodes);
/* How it replicates has changed: what is not done yet is done in that way. */
void replica_set_mode(struct replica *replica, enum replica_mode mode, uint64_t lag_bytes);
/* Let member NODE take over. DONE once: OK; NOTFOUND: it is no member; NOPROC: it has not bound the endpoint as backup yet; BADSTATE, NOQUORUM. Nothing was changed when it is NOTFOUND or NOPROC. */
void replica_hand_over(struct replica *replica, dvs_nodeid node,
		       void (*done)(void *context, dvs_err err), void *context);

/* On the primary: its store does not give what it should. When another member has everything that one takes over, and this replica joins anew. False: there is none;
 * it is the primary still. */
DVS_MUST_USE bool replica_step_down(struct replica *replica);

/* Things of the process that its watcher tells (any of them may be told too often): the record of the view has changed, the service's endpoint was promoted or unbound, a node came or went. */
void replica_look_again(struct replica *replica);

#endif
