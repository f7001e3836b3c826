/* SPDX-License-Identifier: Apache-2.0 */
/* Channels with endpoints of other nodes (docs/decisions/0011).
 *
 *	carrier   a peer node: its dvs-proxy process, the control link to it, and the areas that every proxy for this peer gets
 *	stand-in  a binding whose process is a carrier's: it has the other side of the channels with a remote endpoint, and is
 *	          there only while there are such channels
 *	carriage  what a proxy was told of one channel: its memory, its instance
 *
 * A channel whose remote end is over or in other hands is not dropped at once: what that end said before may still be on its
 * way. Its carriage *leaves*: the proxy is told, and when it has said carry_over, or the time is over, the local partner is told, or gets
 * the channel made anew. */
#ifndef NODE_CARRIER_H
#define NODE_CARRIER_H

#include "node/host.h"

/* How long the last words of a remote end are waited for. */
#define CARRY_OVER_NS CLOCK_NS_PER_S
/* A proxy that ends is started again after 10 ms, 20 ms ... 5 s; one that lived so long counts as well. */
#define PROXY_DELAY_FIRST_NS (10 * CLOCK_NS_PER_MS)
#define PROXY_DELAY_LAST_NS (5 * CLOCK_NS_PER_S)
#define PROXY_LIVED_NS (10 * CLOCK_NS_PER_S)
/* Channels that a proxy may have asked for. */
#define CARRIER_PENDINGS_MAX 16384u

/* A proxy that was started. It is waited for also when its carrier is done with it. */
struct child {
	struct source source; /* pidfd */
	struct list of_host;
	struct remains remains;
	struct carrier *carrier; /* NULL: nobody's any more */
	uint32_t pid;
	uint64_t started_ns;
};

struct carrier {
	struct process process; /* of all stand-ins; not in the tables of processes */
	uint32_t node;
	bool up;
	char address[CARRIER_ADDRESS_MAX + 1];
	struct shared_fd *stats_fd;
	struct bitmap indexes; /* numbers of channels in page 0 of its area */

	struct list carriages;
	uint32_t n_carriages;
	struct list leaving; /* carriages, the oldest first */
	struct timer over_timer;

	struct child *child;
	struct timer start_timer;
	uint64_t delay_ns;
	uint32_t n_starts;
	struct control_link_report_req report; /* the last one */
};

enum carriage_state {
	CARRIAGE_OPEN = 1,
	CARRIAGE_LEAVING, /* its remote end is over; carry_over is waited for */
	CARRIAGE_OVER,	  /* carry_over has come; the order of the state has not told why yet */
};

struct carriage {
	struct list of_carrier;
	struct list of_leaving;
	struct carrier *carrier;
	struct channel *channel;
	struct shared_fd *memory; /* for the next proxy */
	struct control_carry_req told;
	enum carriage_state state;
	uint64_t since_ns; /* it leaves */
	bool ready;	   /* the far end is there */
	bool clean;	   /* OVER: all that the far end said is here */
	bool owns_index;   /* the channel's remote end has another number by now */
	dvs_err reason;	   /* for which the partner is told when it has left */
};

/* ---- carrier.c: the proxies ---- */

/* The carrier for NODE, made if there is none. NULL: out of memory. */
struct carrier *carrier_get(struct host *host, uint32_t node);
/* NODE is up at ADDRESS: start its proxy. NOMEM, FULL. */
DVS_MUST_USE dvs_err carrier_open(struct host *host, uint32_t node, const char *address);
/* NODE is down, after the core knows it: end its proxy. */
void carrier_close(struct host *host, uint32_t node);
/* The configuration of links has changed: all proxies begin anew with it, at once. */
void carriers_restart(struct host *host);
void carriers_free(struct host *host);
/* FD is the link of a proxy with PID; taken over. Used when one is started, and by tests. */
DVS_MUST_USE dvs_err carrier_link(struct host *host, struct carrier *carrier, int fd, uint32_t pid);
/* Its link is closed. */
void carrier_unlinked(struct host *host, struct carrier *carrier);
void carrier_hello(struct host *host, struct request *request);
/* Whether channels can be made with its stand-ins now. */
bool carrier_can_take(const struct host *host, const struct carrier *carrier);
void carrier_send(struct host *host, struct carrier *carrier, struct frame *frame);

/* ---- carriage.c: channels as proxies know them ---- */

/* Tell CHANNEL, which has a stand-in on one side, to its proxy, with MEMORY. NOMEM. Nothing for a channel without. */
DVS_MUST_USE dvs_err channel_carry(struct host *host, struct channel *channel,
				   struct shared_fd *memory);
/* Whether the far end of CHANNEL has it too. */
bool channel_is_ready(const struct channel *channel);
/* As it was before dvsd was started again: the memory tells the instance. NOMEM; PROTO: it does not. */
DVS_MUST_USE dvs_err channel_carry_again(struct host *host, struct channel *channel,
					 struct shared_fd *memory);
/* The one of CARRIER that is so named, or NULL. */
struct carriage *carriage_find(const struct host *host, const struct carrier *carrier,
			       const struct control_carry_ready_req *what);
/* Its local end is over, or it is over as a whole (reason DENIED). Harmless for one without a carriage. */
void carriage_end(struct host *host, struct channel *channel, dvs_err reason);
/* Its remote end is over or in other hands. */
void carriage_leave(struct host *host, struct channel *channel, dvs_err reason);
/* All that wait have left: the node is down. */
void carriages_leave_now(struct host *host, struct carrier *carrier);
/* A new proxy is there. */
void carriages_tell(struct host *host, struct carrier *carrier);

/* ---- stand_in.c ---- */

static inline bool binding_is_stand_in(const struct binding *binding)
{
	return binding->process && binding->process->carrier;
}
/* The stand-in for CORE, a binding of another node, made if there is none. NULL: out of memory. */
struct binding *stand_in_get(struct host *host, struct core_binding *core);
/* The remote endpoint is over, for REASON. */
void stand_in_end(struct host *host, struct binding *binding, dvs_err reason);
/* Forget those without channels. */
void stand_ins_sweep(struct host *host);
/* Something was taken from BINDING: if it is a stand-in without channels, it is swept. */
void stand_in_idle(struct host *host, struct binding *binding);

#endif
