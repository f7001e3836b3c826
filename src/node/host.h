/* SPDX-License-Identifier: Apache-2.0 */
/* dvsd's own data: what its files share.
 *
 *	host     everything; one per dvsd, owned by its one loop
 *	server   a listening socket: the admin socket, and one per DC
 *	link     a connection to one of them
 *	process  what stands behind a link that said hello: its inboxes, its endpoints. It can
 *	         be without a link for a while: bound by another before it came, or not back
 *	         yet after a restart of dvsd.
 *	binding  an endpoint of a process of this node; the host's side of a core_binding
 *	channel  a pair of bindings
 *	pending  a request that waits for something
 *
 * One rule keeps this simple: handling a request or an event never frees a link, a process or
 * a pending request, and never runs another command in the core while effects of one are being
 * worked on. Both are put on lists (doomed, due) that host_settle() empties afterwards. Commands
 * are submitted (node/order.h), and may be run later. */
#ifndef NODE_HOST_H
#define NODE_HOST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "config/config.h"
#include "core/core.h"
#include "core/map.h"
#include "group/ordered.h"
#include "ipc/layout.h"
#include "node/bitmap.h"
#include "node/bounds.h"
#include "node/image.h"
#include "node/timer.h"
#include "proto/control_proto.h"

struct host;
struct link;
struct process;
struct copier;
struct state;
struct carrier;
struct order;
struct carriage;

/* ---- the loop ---- */

/* What epoll watches; the struct that waits has it inside. */
struct source {
	int fd; /* -1: closed */
	void (*ready)(struct host *host, struct source *source, uint32_t events);
};

/* Memory that an event of this round may still name: freed after the round. */
struct remains {
	struct list of_dead;
	void *memory;
};

/* What dvsd was started with. */
struct options {
	char run_dir[256];
	char dc[DVS_NAME_MAX + 1];	       /* to create at start; "" for none */
	char lib_dir[256];		       /* what outlives the machine */
	char config_path[CONFIG_PATH_MAX + 1]; /* "": there is no file */
	enum log_level log_level;
	uint32_t file_node;   /* the number in the file */
	struct config config; /* of the file, and over it what the command line says */
};

/* The agent of this node: see agent.c. */
struct agent {
	const char *path;     /* what is started; NULL: none is (tests) */
	struct source source; /* its pidfd; -1: it does not run */
	uint32_t pid;
	uint64_t started_ns;
	uint64_t delay_ns;
	struct timer start_timer;
	bool wanted;
	bool making_dc;
	bool told; /* that it cannot be started */
	bool look; /* something changed that may want it */
	char found[512];
};

struct server {
	struct source source;
	struct list of_host;
	struct remains remains;
	dvs_dcid dc; /* 0: the admin socket */
	char name[DVS_NAME_MAX + 1];
	uint32_t n_channels;
	uint32_t n_processes;
	uint32_t n_links;
	uint32_t n_grants;
	uint32_t n_queued_fds; /* held by frames that wait */
};

struct host {
	struct options options;
	struct config config;
	struct log log;
	uid_t uid;
	uint64_t pid_ns;
	dev_t memory_device; /* of memfds */
	uint64_t started_ns; /* CLOCK_REALTIME */
	bool stopping;
	bool applying;	  /* effects are being worked on */
	dvs_err dc_error; /* of the last DC's socket that was to be opened */
	dvs_err first_dc_error;

	struct core *core;
	struct core_effects effects;
	struct ordered *ordered; /* NULL: this dvsd is alone, and runs each command at once */
	struct ordered_position position; /* of the core's state */
	struct map orders;		  /* submitted and not applied, by cookie */
	uint64_t last_cookie;
	struct source ordered_source; /* its descriptor is the engine's */
	struct core *loading;	      /* a state that arrives from another node */
	struct list formers;	      /* former cores */
	size_t n_limbo;
	bool saying_up;
	bool outside; /* the quorum, and it is sure */
	struct timer outside_timer;
	struct map asks; /* by number */
	uint64_t last_ask;
	size_t n_watchers;
	struct timer away_timers[CORE_NODES_MAX];
	struct binding *spare; /* for the next effect that needs one, so that it cannot fail */
	struct state *state;

	atomic_uint n_closers;

	int epoll_fd;
	int lock_fd;
	int spare_fd; /* given up to refuse a connection when descriptors run out */
	struct source signals;
	struct source clock;
	uint64_t clock_set_ns;
	struct timers timers;
	struct timer alive_timer; /* of what the service manager is told */
	uint64_t alive_span_ns;

	struct server admin;
	struct list servers; /* of DCs */
	struct list links;
	size_t n_queued;
	uint32_t n_fds_max; /* descriptors that dvsd can have */
	struct complaints {
		uint64_t second;
		uint32_t n;
	} complaints;
	struct list processes;
	struct map by_pid;
	struct map channels; /* by pair */
	struct map watches;  /* pending requests by what they wait for */
	struct list doomed;  /* links to close */
	struct list due;     /* pending requests to try again */
	struct list dead;    /* remains */
	uint64_t last_serial;
	uint32_t last_probe;
	uint64_t last_blocked;
	struct list renewing; /* bindings whose channels must be made anew */
	struct list idle;     /* stand-ins that lost a channel, maybe their last */
	struct carrier *carriers[CORE_NODES_MAX]; /* by peer; NULL: none yet */
	struct list children;			  /* proxies that were started */
	uint32_t last_instance;			  /* of a carried channel's memory */
	char proxy_path[512];
	const char *proxy; /* what is started; NULL: none are (tests have their own) */
	struct agent agent;
	const struct core_command *command; /* whose effects are being worked on */
	struct timer renew_timer;
	bool renew_more;     /* something changed that may let them go on */
	struct list copies;  /* asked for */
	struct list copying; /* being worked on */
	size_t n_copies;
	uint64_t last_copy;
	struct list foreign;	       /* pieces that other nodes copy from or to grants here */
	struct list seats;	       /* of members of groups, the processes of which are here */
	uint64_t seats_view;	       /* the last view that they know of, */
	const struct core *seats_core; /* and of which state */
	bool seats_over;	       /* some are over, and end when the present event is done */
	bool refusing; /* an order ends that was applied while this node was cut off, if at all */
	struct copier *copier;
	struct source copies_source; /* its descriptor is the copier's */
};

/* ---- links ---- */

/* A descriptor that several queued frames hold. */
struct shared_fd {
	int fd;
	unsigned int holders;
};

/* A frame being put together. */
struct frame {
	struct writer out;
	struct shared_fd *fds[2];
	unsigned int n_fds;
	uint32_t ring; /* page to ring when it was sent; SLOT_NONE */
	uint8_t bytes[FRAME_BYTES_MAX];
};

#define SLOT_NONE UINT32_MAX

struct link {
	struct source source;
	struct list of_host;
	struct list of_doomed;
	struct remains remains;
	struct timer hello_timer;
	struct timer retry_timer;
	struct server *server;
	uint32_t pid;
	uint64_t starttime;
	uint64_t pid_ns;
	uid_t uid;
	dvs_dcid dc; /* 0: an admin link that entered none */
	bool admin;
	bool manager;
	bool greeted;
	bool doomed;
	bool drained;	/* nothing that was sent before the hello was answered is left */
	bool wants_out; /* epoll tells when the socket takes more */
	unsigned int n_bad_frames;
	struct process *process;
	struct carrier *carrier; /* of a proxy's link */
	struct list queue;	 /* frames not sent yet */
	size_t n_queued;
	size_t n_queued_channels;
	struct list pendings;
	size_t n_pendings;
	struct list orders;
	size_t n_orders;
	struct list asks;
	bool watches;
	struct list traces;
	unsigned int n_traces;
	unsigned int n_copies;
	struct list seats;
	uint32_t last_seat;
	unsigned int n_casts; /* of groups, under way */
};

/* A request as it arrives. */
struct request {
	struct link *link;
	uint32_t op;
	uint32_t id;
	struct cursor body;
	const uint8_t *bytes; /* of the body */
	size_t len;
	bool settled; /* all that was ordered before it came is applied */
	int fds[2];   /* -1: none; the handler takes what it wants */
};

/* ---- processes ---- */

enum process_state {
	PROCESS_AWAITED = 1, /* bound by another, never said hello */
	PROCESS_LINKED,
	PROCESS_LOST,	   /* known from before a restart, not back yet */
	PROCESS_REJOINING, /* back, still telling what it has */
	PROCESS_DEAD,	   /* the others do not know it yet */
};

#define RINGS_MAX 8u

struct process {
	struct source source; /* pidfd */
	struct map_node by_pid;
	struct list of_host;
	struct remains remains;
	struct core_process id;
	uint64_t pid_ns;
	uint32_t own_pid; /* in its own pid namespace */
	/* What it had when it said hello, and whether it has sent something since. */
	struct image image;
	bool has_image;
	bool image_confirmed;
	enum process_state state;
	struct link *link;
	struct carrier *carrier; /* it stands for the endpoints of another node; NULL: as usual */
	struct server *server;	 /* its DC; NULL for an admin's that entered none */
	struct timer rejoin_timer;

	struct shared_fd *area_fd;
	uint64_t area; /* inode */
	uint8_t *inboxes;
	struct ipc_stats *stats;

	struct bitmap slots;
	struct list bindings;
	uint32_t n_bindings;
	uint32_t n_orders; /* in which it is named */

	/* events that may lie unread in the socket: their inboxes are rung again */
	struct timer ring_timer;
	uint64_t ring_delay_ns;
	uint32_t ring_slots[RINGS_MAX];
	unsigned int n_ring_slots; /* RINGS_MAX + 1: all */
};

struct grants;
struct trace;

struct binding {
	struct list of_process;
	struct list of_renewing;   /* or of those idle */
	struct process *process;   /* NULL: died while it migrated */
	struct core_binding *core; /* NULL: a stand-in of an endpoint that is over */
	struct server *server;
	dvs_ep ep;
	uint32_t slot;
	uint32_t tid;
	bool rejoined;	    /* told again after a restart */
	uint32_t migration; /* as told then: for which it parks; 0: none */
	bool heir;	    /* became the primary: partners that are lost may have channels with it
			     * of which it knows nothing */
	bool woken;	    /* to be told when its process is there */
	bool fenced;	    /* a primary that is silent: see quorum.c */
	bool limbo;	    /* in a former core only: see adopt.c */
	bool asked;	    /* whether the core may have it again */
	bool quiet;	    /* ended by its own process: that needs no event */
	uint32_t n_parking; /* what it told of parking and is not applied yet */

	struct list channels; /* channel_end */
	uint32_t n_channels;
	struct bitmap
		indexes; /* numbers of its channels; all stand-ins of a carrier share the carrier's */

	struct grants *grants;
	struct trace *trace;

	/* a declared wait */
	uint32_t blocked_on; /* number; BLOCKED_NOT */
	uint32_t blocked_wait;
	uint64_t blocked_order;
	uint32_t probe; /* awaiting its confirmation */
	bool confirmed;
};

#define BLOCKED_NOT UINT32_MAX

struct channel;

struct channel_end {
	struct list of_binding;
	struct channel *channel;
	struct binding *binding;
	uint32_t index;
	bool reported; /* its process knows it; false only after a restart */
	/* Until the channel is made anew: */
	bool moved;	/* the endpoint is in other hands, which do not know the channel yet */
	uint32_t open;	/* number of the peer's request that they are to answer; 0: none */
	uint32_t stale; /* so many before that, which the peer has given up */
	uint64_t note;	/* the peer's notification that they are to receive */
};

struct channel {
	struct map_node by_pair;
	struct channel_end end[2]; /* end n is side n */
	struct permissions {
		uint8_t call[2]; /* side n may call the other */
		uint8_t relay[2];
	} may;
	uint8_t renew; /* the mode of the event that must be sent, 0: none */
	struct carriage *
		carriage; /* what a proxy knows of it; NULL: both ends are here, or none does yet */
};

/* ---- requests that wait ---- */

struct pending;

/* Try to answer; true when it did. Otherwise pending->watch names what it waits for. */
typedef bool (*pending_try)(struct host *host, struct pending *pending);

struct pending {
	struct map_node by_watch;
	struct list of_link;
	struct list of_due;
	struct timer timer;
	struct link *link;
	pending_try try;
	uint64_t watch;
	bool watching; /* in the map */
	dvs_dcid dc;   /* when it is not the link's */
	uint32_t
		instance; /* of the channel that was made and whose far end is waited for; 0: none */
	uint32_t op;
	uint32_t id;
	uint32_t ep;
	uint32_t to;
	uint32_t what;
	struct core_process process;
	void *more;    /* for the try; freed with it */
	bool last_try; /* the time is over: answer now */
};

#endif
