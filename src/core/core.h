/* SPDX-License-Identifier: Apache-2.0 */
/* The DVS state machine: nodes, DCs, bindings, privileges, migrations and promotions.
 *
 * It is pure: no I/O, no clock, no system call, no randomness. Its state changes only by
 * core_step(), and the same commands in the same order give the same state everywhere, so
 * that every dvsd of a cluster can hold a copy of it. What a command changed comes back as
 * effects; the host (dvsd) turns those into events for the processes of its own node.
 * Whether somebody may give a command is decided by the host before it is a command.
 *
 * A snapshot is a stream of commands too: feeding it to an empty core makes an equal one. */
#ifndef CORE_CORE_H
#define CORE_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/container.h>
#include <dvs/dvk.h>

#include "base/cursor.h"
#include "base/list.h"
#include "core/map.h"

#define CORE_NODES_MAX 62u
#define CORE_ADDRESS_MAX 63u
#define CORE_DCS_MAX 1024u
#define CORE_BINDINGS_MAX 64u /* of one endpoint: its primaries and its backups */
#define CORE_GENERATION_MAX 4095u
/* Node n gives out the client numbers from (n + 1) * CORE_CLIENTS on, so many of them. */
#define CORE_CLIENTS 16384u

enum core_role { CORE_PRIMARY = 1, CORE_BACKUP = 2 };

/* Away: its dvsd is gone, its machine and its programs are not. Down: its bindings have ended. A node of which nothing was said
 * (not known) is treated as one that is up. */
enum core_node_state { CORE_NODE_UNKNOWN = 0, CORE_UP, CORE_AWAY, CORE_DOWN };

struct core_node {
	enum core_node_state state;
	bool draining;	      /* nothing is promoted or migrated to it */
	uint64_t incarnation; /* of its dvsd, told apart by a number that it chose */
	char name[DVS_NAME_MAX + 1];
	char address[CORE_ADDRESS_MAX + 1];
};

/* A process, never confused with a later one of the same pid. SERIAL tells the links of one
 * process apart, each of which counts as a process of its own. */
struct core_process {
	uint32_t node;
	uint32_t pid;
	uint64_t starttime;
	uint64_t serial;
};

/* A process that has bindings. */
struct core_holder {
	struct map_node by_identity;
	struct core_process id;
	uint64_t area;	/* where the host finds the process's inboxes again */
	bool host_gone; /* the host's: the core keeps it and never looks at it */
	struct list bindings;
	size_t n_bindings;
};

struct core_dc;
struct core_endpoint;

/* Of groups in a DC, and of members in a group. */
#define CORE_GROUPS_MAX 1024u
#define CORE_MEMBERS_MAX 64u

struct core_member {
	struct list of_group; /* oldest first */
	struct list of_binding;
	struct core_group *group;
	struct core_binding *binding;
	uint64_t awaits; /* the view as of which it is to be given the state; 0: it has it */
	uint64_t donor;	 /* the binding that gives it; 0: none is needed */
};

struct core_group {
	struct list of_dc;
	struct core_dc *dc;
	char name[DVS_NAME_MAX + 1];
	uint64_t id;   /* its first view */
	uint64_t view; /* the present one */
	struct list members;
	uint32_t n_members;
};

struct core_binding {
	struct list of_endpoint; /* oldest first */
	struct list of_holder;
	struct core_endpoint *endpoint;
	struct core_holder *holder; /* NULL: its process died while it migrated */
	uint64_t id;
	enum dvk_kind kind;
	enum core_role role;
	uint32_t node;
	uint32_t slot;
	bool given;	     /* bound by another process: its own may not know of it yet */
	bool inside;	     /* of a process in a container of its node */
	struct list members; /* of groups */
	void *host;	     /* the host's; the core keeps it and never looks at it */
};

/* What the endpoint owed to PEER when it parked. */
struct core_taken {
	uint32_t peer;
	uint32_t number; /* of the request received last; 0: PEER waits for none */
	uint32_t stale;	 /* so many received before it, which PEER has given up; at most 255 */
	uint64_t note;	 /* PEER's notification that was not received */
};

struct core_endpoint {
	struct core_dc *dc;
	dvs_ep ep;
	struct list bindings; /* oldest first */
	uint32_t n_bindings;
	uint32_t n_backups;
	bool migrating;
	uint32_t migration; /* number of the present or the last migration; 0: there was none */
	bool parked;	    /* while it migrates: its process has stopped and told what it owes */
	bool replica;
	struct dvk_privileges privileges;
	struct core_taken *taken; /* what it owes; kept after the commit, for its effect */
	uint32_t n_taken;
};

struct core_number {
	uint32_t generation; /* of the latest primary binding; 0: never bound */
	struct core_endpoint *endpoint;
};

#define CORE_PAGE_NUMBERS 1024u
#define CORE_PAGES 1024u

/* Of all DCs together: values, and what keeping them takes. */
#define CORE_RECORD_BYTES_MAX ((size_t)64 << 20)

/* A named text of a DC, which the core keeps and never reads. */
struct core_record {
	struct list of_dc; /* by rising key */
	char key[DVS_NAME_MAX + 1];
	uint64_t version;
	uint32_t len;
	uint8_t value[];
};

/* The record that describes the containers. */
#define CORE_DESCRIPTION "dc"

/* The container of a DC on one node, as its agent told. */
struct core_container {
	enum dvk_container_state state;
	bool frozen;
	uint64_t version; /* of the description that it has applied; 0: none */
	char text[DVK_TEXT_MAX + 1];
};

/* The containers of a DC. Sets of nodes: bit n is node n. Phases FAILED and REMOVING end with the DC: when each node that is not down has nothing
 * of it left. */
struct core_containers {
	enum dvk_phase phase;
	bool frozen;	  /* wanted to be */
	uint64_t nodes;	  /* that are to have one */
	uint64_t adding;  /* those of them that came later and were never READY */
	uint64_t leaving; /* that are to have none any more and have not said GONE */
	uint32_t refuser; /* who said last that it cannot; CORE_NODES_MAX: nobody */
	char refusal[DVK_TEXT_MAX + 1];
	struct core_container on[CORE_NODES_MAX]; /* of nodes and leaving; the others zero */
};

struct core_dc {
	dvs_dcid id;
	char name[DVS_NAME_MAX + 1];
	uint32_t owner_uid;
	uint32_t n_endpoints;
	uint32_t n_bindings;
	uint32_t next_client[CORE_NODES_MAX];
	struct core_number *pages[CORE_PAGES];
	struct list groups; /* by age */
	uint32_t n_groups;
	struct core_containers *containers; /* NULL: it has none */
	struct list records;
	uint32_t n_records;
	uint64_t change; /* grows with each change of its containers and records; 0: none yet */
};

struct core;

enum core_op {
	CORE_DC_CREATE = 1,
	CORE_DC_REMOVE,
	CORE_BIND,
	CORE_UNBIND,	   /* one binding, by its process */
	CORE_ENDPOINT_END, /* an endpoint with all its bindings */
	CORE_PROCESS_DEAD,
	CORE_PROCESS_AREA,
	CORE_PRIVILEGES_SET,
	CORE_MIGRATE_START,
	CORE_MIGRATE_AGAIN, /* one that has not parked: what it told until now does not count */
	CORE_PARKED,
	CORE_MIGRATE_COMMIT,
	CORE_MIGRATE_ROLLBACK,
	CORE_PROMOTE,
	CORE_NODE_DOWN, /* all its bindings end; with a count: if it is away in that incarnation */
	/* what a snapshot is made of */
	CORE_RESTORE_COUNTERS,
	CORE_RESTORE_DC,
	CORE_RESTORE_CLIENTS,
	CORE_RESTORE_NUMBER,
	CORE_RESTORE_ENDPOINT,
	CORE_RESTORE_BINDING,
	/* what came later; numbers of ops are in files and on the wire */
	CORE_RESTORE_NODE,
	CORE_NODE_UP,
	CORE_NODE_AWAY,
	CORE_NODE_REMOVE, /* one that is down is forgotten */
	CORE_NODE_DRAIN,
	CORE_REBIND, /* a binding that ended with its node, whose process has it still */
	CORE_GROUP_JOIN,
	CORE_GROUP_LEAVE, /* id: the member's binding */
	CORE_GROUP_GIVEN, /* it has the state as of the view count */
	CORE_RESTORE_VIEWS,
	CORE_RESTORE_GROUP,
	CORE_RESTORE_MEMBER,
	CORE_CONTAINER_CREATE, /* a DC with containers on the nodes id, its description in value */
	CORE_CONTAINER_REMOVE, /* or a DC without any */
	CORE_CONTAINER_NODES,  /* add those of id, take those of count off */
	CORE_CONTAINER_FREEZE,
	CORE_CONTAINER_REPORT, /* what became of it on node: kind, flags, the version count, the text in value */
	CORE_RECORD_SET, /* name is its key, count the version that it must have, 0: none; DVK_VERSION_ANY */
	CORE_RECORD_REMOVE,
	CORE_RESTORE_CONTAINERS,
	CORE_RESTORE_CONTAINER,
	CORE_RESTORE_RECORD,
	CORE_OPS_END,
};

/* What one command can tell of what an endpoint owes. */
#define CORE_COMMAND_TAKEN 24u
/* What an endpoint can owe: one request to each partner. */
#define CORE_TAKEN_MAX 16320u

/* One struct for all commands; each uses the fields that core/codec.c names for it. */
struct core_command {
	enum core_op op;
	dvs_dcid dc;
	uint32_t ep; /* with or without generation; bind: a number or UINT32_MAX */
	uint32_t kind;
	uint32_t role;
	uint32_t slot;
	uint32_t node;
	uint32_t owner_uid;
	uint32_t flags; /* CORE_F_* */
	uint32_t migration;
	uint64_t id;
	uint64_t area;
	uint64_t count;
	struct core_process process; /* promote: all zero for the oldest backup */
	struct dvk_privileges privileges;
	char name[DVS_NAME_MAX + 1];
	char address[CORE_ADDRESS_MAX + 1];
	uint32_t n_taken;
	struct core_taken taken[CORE_COMMAND_TAKEN];
	const uint8_t *
		value; /* borrowed: of a command that was decoded, in the bytes it was decoded from */
	uint32_t n_value;
};

#define CORE_F_FORCE 1u
#define CORE_F_GIVEN 2u
#define CORE_F_MIGRATING 4u
#define CORE_F_ORPHAN 8u
#define CORE_F_REPLICA 16u
#define CORE_F_MORE 32u /* parked: another command follows */
#define CORE_F_DRAINING 64u
#define CORE_F_INSIDE 128u /* bind: of a process in a container of its node */
#define CORE_F_FROZEN 256u
#define CORE_F_HIDDEN 512u /* the name may begin with '.' */
#define CORE_F_ALL 1023u

enum core_effect_kind {
	CORE_BOUND,
	CORE_UNBOUND,  /* binding is NULL: it is freed */
	CORE_OVER,     /* the endpoint's last binding went; after its UNBOUND */
	CORE_ORPHANED, /* died while migrating: the endpoint waits for commit or rollback */
	CORE_PROMOTED,
	CORE_DEMOTED,
	CORE_MOVED,	/* process and slot are the former ones */
	CORE_MIGRATING, /* the number is in the endpoint */
	CORE_ROLLED_BACK,
	CORE_PRIVILEGES_CHANGED,
	CORE_DC_CREATED,
	CORE_DC_REMOVED,
	CORE_DC_CHANGED, /* its containers or records; node: whose, CORE_NODES_MAX: of all */
	CORE_DC_UP,	 /* all its containers run */
	CORE_DC_FAILED,	 /* node could not, text says why; all is taken back */
	CORE_DC_REFUSED, /* node, which was added, could not, and is taken off again */
	/* about a node; state_before is what it was */
	CORE_NODE_IS_UP,
	CORE_NODE_IS_AWAY,
	CORE_NODE_IS_DOWN, /* before the ends of its bindings */
	CORE_NODE_REMOVED,
	CORE_NODE_DRAINS, /* or no longer does */
};

struct core_effect {
	enum core_effect_kind kind;
	dvs_dcid dc;
	dvs_ep ep;
	struct core_binding *binding;
	void *host;		     /* of the binding */
	struct core_process process; /* of the binding, before the command */
	uint32_t slot;
	enum core_role role; /* before the command */
	bool parked;	     /* before the command */
	uint32_t node;	     /* of the binding, before the command; or what it is about */
	enum core_node_state state_before;
	const char *text; /* of a refusal, until the next step; else NULL */
};

struct core_effects {
	struct core_effect *list;
	size_t n;
	size_t room;
};

DVS_MUST_USE dvs_err core_create(struct core **core);
/* NULL is fine. */
void core_destroy(struct core *core);

/* Apply COMMAND. EFFECTS (zeroed before its first use) is overwritten with what changed. On an
 * error nothing changed. BADARG, NODC, EXISTS, FULL, INUSE, NODEST, NODEDOWN, BADSTATE, NOPROC, NOMEM. */
DVS_MUST_USE dvs_err core_step(struct core *core, const struct core_command *command,
			       struct core_effects *effects);
void core_effects_free(struct core_effects *effects);

/* ---- looking; what they return is the core's and changes with the next step ---- */

size_t core_n_dcs(const struct core *core);
size_t core_n_endpoints(const struct core *core);
struct core_dc *core_dc_find(const struct core *core, dvs_dcid dc);
struct core_dc *core_dc_by_name(const struct core *core, const char *name);
/* The first DC whose id is above AFTER, or NULL. */
struct core_dc *core_dc_next(const struct core *core, uint32_t after);
/* The endpoint of EP (any generation when EP has none), or NULL. */
struct core_endpoint *core_endpoint_find(const struct core_dc *dc, uint32_t ep);
/* The first endpoint with a number of at least NUMBER, or NULL. */
struct core_endpoint *core_endpoint_from(const struct core_dc *dc, uint32_t number);
/* The primary that serves NODE, or NULL. */
struct core_binding *core_primary(const struct core_endpoint *endpoint, uint32_t node);
/* What is known of NODE; NULL: nothing. */
const struct core_node *core_node_find(const struct core *core, uint32_t node);
/* How many endpoints of DCs that are not hidden have their primary on NODE. */
uint32_t core_node_endpoints(const struct core *core, uint32_t node);
/* How many bindings are on NODE, but those in hidden DCs. */
uint32_t core_node_bindings(const struct core *core, uint32_t node);
/* The backup that follows the primary: the oldest on a node that is up and not draining, else the oldest on one that is up, else
 * the oldest. NULL: there is none. */
struct core_binding *core_heir(const struct core *core, const struct core_endpoint *endpoint);
struct core_binding *core_oldest_backup(const struct core_endpoint *endpoint);
struct core_binding *core_binding_of(const struct core_endpoint *endpoint,
				     const struct core_process *process);
struct core_holder *core_holder_find(const struct core *core, const struct core_process *process);
bool core_process_equal(const struct core_process *a, const struct core_process *b);
/* The group after GROUP, NULL: the first one. NULL: there is none. */
struct core_group *core_group_next(const struct core_dc *dc, const struct core_group *group);
struct core_group *core_group_find(const struct core_dc *dc, const char *name);
/* The member with that binding, or NULL. */
struct core_member *core_member_find(const struct core_group *group, uint64_t binding);
/* Grows with each change of any group. */
uint64_t core_last_view(const struct core *core);
struct core_record *core_record_find(const struct core_dc *dc, const char *key);
/* The first record whose key follows KEY, or NULL. */
struct core_record *core_record_after(const struct core_dc *dc, const char *key);
/* Whether NODE is to have a container of DC, or has one that must go. */
bool core_container_concerns(const struct core_dc *dc, uint32_t node);
/* Whether that is so for any DC. */
bool core_node_has_containers(const struct core *core, uint32_t node);
/* Whether a DC has a record whose key begins with PREFIX and goes on behind it. */
bool core_has_records(const struct core *core, const char *prefix);
/* Whether OP is for snapshots only. */
bool core_op_is_restore(enum core_op op);
bool core_name_ok(const char *name);
/* Of a DC that is not shown. */
bool core_name_is_hidden(const char *name);
bool core_key_ok(const char *key);
/* Whether EP's privileges let it call NUMBER. */
bool core_may_call(const struct core_endpoint *endpoint, uint32_t number);
bool core_is_client_number(uint32_t node, uint32_t number);
bool core_is_any_client_number(uint32_t number);

/* ---- commands as bytes, snapshots, comparison ---- */

#define CORE_COMMAND_BYTES_MAX (512u + DVK_VALUE_MAX)

void core_command_encode(struct writer *out, const struct core_command *command);
/* PROTO. */
DVS_MUST_USE dvs_err core_command_decode(struct cursor *in, struct core_command *command);

/* Give EMIT the commands that rebuild this state in an empty core. Stops at its first error. */
typedef dvs_err (*core_emit)(void *context, const struct core_command *command);
DVS_MUST_USE dvs_err core_snapshot(const struct core *core, core_emit emit, void *context);

/* Equal states have equal digests. */
uint64_t core_digest(const struct core *core);

#endif
