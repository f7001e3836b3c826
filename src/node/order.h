/* SPDX-License-Identifier: Apache-2.0 */
/* What all nodes do in the same order: commands of the core, messages of groups in a DC, and what two dvsd ask each other.
 *
 * A command is not run where it is wanted but submitted; it comes back in its turn, to every node, which runs it and works its
 * effects out; then whoever submitted it goes on, in `done`. Alone on its node (engine local) a dvsd has it back before
 * order_command() returns. In between anything can happen: the link that asked can close, the process can die, the endpoint can
 * move. So an order names what it needs by identity and looks it up again. */
#ifndef NODE_ORDER_H
#define NODE_ORDER_H

#include "group/ordered.h"
#include "node/host.h"

/* First byte of an ordered entry. */
enum order_kind {
	ORDER_COMMAND = 1, /* the bytes of a core_command */
	ORDER_GROUP = 2,   /* a message of a group of a DC */
	ORDER_ASK = 3,	   /* one dvsd asks another */
	ORDER_ANSWER = 4,
	ORDER_BARRIER = 5, /* nothing: its submitter waits until all before it is applied */
};

struct order;

/* It was applied (OK, or what the core said), or it never will be (NOQUORUM, FULL, NOMEM), or that is not known (IO). With OK
 * host->effects are those of the command; there are none if it was applied by the others alone, while this node was cut off: what
 * came of it is in the state by now. Called once. ORDER and what it has is freed afterwards; its link is NULL if that is closed by now. */
typedef void (*order_done)(struct host *host, struct order *order, dvs_err err);

struct order {
	struct map_node by_cookie;
	struct list of_link;
	uint64_t cookie;
	order_done done;
	struct link *link;
	uint32_t op;
	uint32_t id;
	struct core_process process; /* counted in its n_orders; pid 0: none */
	uint32_t slot;		     /* that was taken for it */
	uint32_t tid;
	uint32_t ep;
	uint64_t number; /* for done */
	uint32_t node;	 /* for done */
	dvs_dcid dc;
	struct binding *spare;	     /* for the binding that it makes */
	char name[DVS_NAME_MAX + 1]; /* of a group */
	void *more;		     /* for done; freed with it */
};

/* Submit COMMAND. FIRST (may be NULL) is copied; its spare and more are taken over. With KEEP it waits for the quorum. */
void order_command(struct host *host, const struct core_command *command, const struct order *first,
		   bool keep);
/* The same with any entry, its first byte an order_kind. */
void order_bytes(struct host *host, const struct writer *entry, const struct order *first,
		 bool keep);
/* The order of a request that goes on with done. */
struct order order_of(const struct request *request, order_done done);
/* A done that answers the request with ERR. */
void order_answer(struct host *host, struct order *order, dvs_err err);
/* Submit COMMAND for REQUEST, which is answered when it was applied. */
void order_request(struct host *host, const struct request *request,
		   const struct core_command *command);
/* What REQUEST asks for is not here, but another node may have ordered it already before the request came: dispatch it again when all that
 * was ordered until now is applied. False: that is the case already, or cannot be. */
bool request_settle(struct host *host, const struct request *request);
/* The process of ORDER if it is still known. */
struct process *order_process(const struct host *host, const struct order *order);
/* LINK is closed: its orders go on without it. */
void orders_forget_link(struct link *link);
/* Apply COMMAND here and now: it follows from what all nodes have seen at this place of the order. */
void order_apply_here(struct host *host, const struct core_command *command);
/* This dvsd cannot follow the others any more. */
_Noreturn void order_die(struct host *host);
/* For ordered_app. */
void order_apply(void *context, uint32_t node, uint64_t cookie, const void *bytes, size_t len);
void order_refused(void *context, uint64_t cookie, dvs_err err);
/* Whether what is submitted now will be applied soon: this node is in the quorum. */
bool order_is_ready(const struct host *host);
/* Those that wait for nothing any more. */
void orders_free(struct host *host);

#endif
