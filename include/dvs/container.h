/* SPDX-License-Identifier: Apache-2.0
 *
 * DCs with containers: which nodes they have one on, how far each node is, and the records that say what is wanted in them. All calls need the admin
 * socket (dvk_admin_open()). What is wanted is kept by all nodes together; the agents of the nodes make it so and report (docs/decisions/0018).
 *
 * Calls with a TIMEOUT_MS are answered when the DC has settled, or with TIMEOUT; then what was begun goes on, and container_next tells how far it
 * is. Every call may return DVS_BADARG and DVS_NODVSD, and those that change something DVS_NOQUORUM. The text of a node is at most DVK_TEXT_MAX bytes and is a
 * sentence for people: what, why, what to try.
 */
#ifndef DVS_CONTAINER_H
#define DVS_CONTAINER_H

#include <dvs/dvk.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DVK_TEXT_MAX 255
#define DVK_VALUE_MAX 7000u  /* bytes of a record's value */
#define DVK_RECORDS_MAX 512u /* of a DC */
/* The DC in which the agents are reached: that of node n has endpoint n + 1. */
#define DVK_AGENTS_DC ".dvs"
#define DVK_OWNER_CONTAINER UINT32_MAX
#define DVK_VERSION_ANY UINT64_MAX

enum dvk_phase {
	DVK_NO_CONTAINERS = 0, /* a DC for processes of the nodes */
	DVK_CREATING = 1,
	DVK_RUNS = 2,
	DVK_FAILED = 3, /* could not be created; being taken back */
	DVK_REMOVING = 4,
};

enum dvk_container_state {
	DVK_WANTED = 1, /* the node has not reported yet, or is down */
	DVK_READY = 2,
	DVK_BROKEN = 3, /* dvk_container_why() */
	DVK_GONE = 4,	/* of a DC that goes: nothing of it is left there */
	/* As dvk_container_next() tells it: the node was taken off the DC and has not said GONE. */
	DVK_LEAVING = 5,
};

struct dvk_container_node {
	dvs_nodeid node;
	enum dvk_container_state state;
	int frozen;
	uint64_t version; /* of the description that it has applied; 0: none */
};

struct dvk_container_info {
	dvs_dcid dc;
	char name[DVS_NAME_MAX + 1];
	uint32_t owner_uid;
	enum dvk_phase phase;
	int frozen;	  /* is wanted to be */
	uint64_t version; /* of its description, the record "dc" */
	uint64_t change;  /* grows with every change of the DC and its records */
	uint32_t n_records;
	uint32_t
		n_nodes; /* those that are to have a container of it, or are LEAVING, by rising number */
	struct dvk_container_node nodes[DVS_NODES_MAX];
};

/* What a node said that made an operation fail. */
struct dvk_refusal {
	dvs_err err; /* OK: nothing failed */
	dvs_nodeid node;
	char text[DVK_TEXT_MAX + 1];
};

/* Wait until the agent of NODE can be called; start it if need be. NOAGENT: that node can have none. NODEST. NODEDOWN. TIMEOUT. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_agent_start(struct dvk *admin, dvs_nodeid node,
						uint32_t timeout_ms, dvs_ep *ep);

/* Create the DC NAME with a container on each of NODES (bit n: node n), as DESCRIPTION (LEN bytes of JSON, see dvs-dc.json(5)) says; it becomes the
 * record "dc". OWNER_UID as in dvk_dc_create(); DVK_OWNER_CONTAINER: the host user that is root in its containers. If a node cannot, all is taken back and
 * REFUSAL says who and why; the call returns OK then, too. EXISTS. FULL. NODEST, NODEDOWN: one of NODES. TIMEOUT. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_container_create(struct dvk *admin, const char *name,
						     uint32_t owner_uid, uint64_t nodes,
						     const void *description, size_t len,
						     uint32_t timeout_ms, dvs_dcid *id,
						     struct dvk_refusal *refusal);
/* End its programs and containers everywhere, then forget it; of nodes that are down, when they are up again. A DC without containers is removed
 * as by dvk_dc_remove(). BADSTATE: programs of the nodes themselves, outside of its containers, are bound in it, and FORCE is zero. NODC. TIMEOUT. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_container_remove(struct dvk *admin, const char *name, int force,
						     uint32_t timeout_ms);
/* Add and remove nodes. Of one that cannot be added REFUSAL tells, and it is taken off again. When no node is left the DC stays, with its records and volumes. BADSTATE: the DC is not in phase RUNS, or a node that is to be added is still leaving. NODC. NODEST. NODEDOWN. TIMEOUT. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_container_nodes(struct dvk *admin, const char *name,
						    uint64_t add, uint64_t remove,
						    uint32_t timeout_ms,
						    struct dvk_refusal *refusal);
/* Stop (ON 1) or let go on all that runs in its containers. NODC. BADSTATE: not in phase RUNS. TIMEOUT. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_container_freeze(struct dvk *admin, const char *name, int on,
						     uint32_t timeout_ms);
/* The first DC whose id follows *CURSOR, with or without containers; start with 0. With HIDDEN those whose names begin with '.', too. NODC: that was all. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_container_next(struct dvk *admin, uint32_t *cursor, int hidden,
						   struct dvk_container_info *info);
/* What NODE said of its container that is BROKEN; "" if nothing. TEXT has room for DVK_TEXT_MAX + 1. NODC. NODEST. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_container_why(struct dvk *admin, const char *name,
						  dvs_nodeid node, char *text);
/* For agents: what became of the container of DC on the node of this dvsd. A text that is too long is cut. BADSTATE: it is not wanted there. NODC. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_container_report(struct dvk *admin, dvs_dcid dc,
						     enum dvk_container_state state, int frozen,
						     uint64_t version, const char *text);

/* ---- records ---- */

/* KEY: up to DVS_NAME_MAX of letters, digits and "-_./". EXPECTED: DVK_VERSION_ANY, 0 (there must be none), or the version that it must have. *VERSION
 * (may be NULL) is the new one. EXISTS, NOTFOUND: not as expected. TOOBIG: LEN is above DVK_VALUE_MAX. FULL. NODC. Record "dc" can be set, and not removed. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_record_set(struct dvk *admin, const char *dc, const char *key,
					       uint64_t expected, const void *value, size_t len,
					       uint64_t *version);
/* VALUE has room for DVK_VALUE_MAX. NODC. NOTFOUND. Over the link of a program in a DC only records fs/NAME of that one: DENIED for others. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_record_get(struct dvk *admin, const char *dc, const char *key,
					       void *value, size_t *len, uint64_t *version);
/* The first record whose key follows KEY (room for DVS_NAME_MAX + 1; start with ""), which is overwritten. NODC. NOTFOUND: that was all. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_record_next(struct dvk *admin, const char *dc, char *key,
						void *value, size_t *len, uint64_t *version);
DVS_PUBLIC DVS_MUST_USE dvs_err dvk_record_remove(struct dvk *admin, const char *dc,
						  const char *key);

#ifdef __cplusplus
}
#endif
#endif
