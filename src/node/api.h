/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of dvsd offer each other, file by file. The data is in node/host.h. */
#ifndef NODE_API_H
#define NODE_API_H

#include "node/host.h"
#include "node/order.h"

/* ---- host.c: the loop ---- */

DVS_MUST_USE dvs_err host_open(struct host *host, const struct options *options);
/* Until a signal ends it. */
void host_run(struct host *host);
void host_close(struct host *host);
/* Close what is doomed and try again what is due, until nothing is left of either. */
void host_settle(struct host *host);
DVS_MUST_USE dvs_err source_add(struct host *host, struct source *source, uint32_t events);
void source_change(struct host *host, struct source *source, uint32_t events);
/* Free what was closed since; when no event can name it any more. */
void host_bury(struct host *host);
void source_close(struct host *host, struct source *source);
/* Whether another warning about clients may be written this second. */
bool host_may_complain(struct host *host);
DVS_MUST_USE dvs_err host_timer(struct host *host, struct timer *timer, uint64_t span_ns,
				timer_fire fire);

/* The parts of host_open() that are not about the loop. */
DVS_MUST_USE dvs_err host_init(struct host *host, const struct options *options);
DVS_MUST_USE dvs_err loop_open(struct host *host);
void host_free(struct host *host);

/* ---- effects.c ---- */

void effects_apply(struct host *host);
/* What an endpoint without its own wish is told: used by the effects and after a rejoin. */
void binding_announce(struct host *host, struct binding *binding);
void send_migrate(struct host *host, const struct binding *binding, uint8_t what, uint32_t number);
/* What its process is told to be: primary (1) or silent (2). */
uint8_t binding_role(const struct binding *binding);
void binding_send_role(struct host *host, const struct binding *binding);
void binding_send_may(struct host *host, const struct binding *binding);
void process_send_unbound(struct host *host, struct process *process, dvs_ep ep, uint32_t slot);
struct binding *binding_create(struct host *host);
void binding_destroy(struct host *host, struct binding *binding);
void binding_attach_process(struct binding *binding, struct process *process, uint32_t slot);
struct binding *binding_from_core(const struct core_binding *binding);

/* ---- nodes.c: who is up ---- */

/* A CORE_NODE_* effect. */
void node_changed(struct host *host, const struct core_effect *effect);

/* ---- watch.c ---- */

struct news {
	const char *what;
	uint32_t node;
	dvs_dcid dc;
	const char *dc_name; /* of one that is not there (any more) */
	uint32_t ep;
	const char *text;
};
void happened(struct host *host, const struct news *what);

/* ---- server.c: listening sockets ---- */

DVS_MUST_USE dvs_err server_open_admin(struct host *host);
/* A server without a socket; for tests. NULL: out of memory. */
struct server *server_new(struct host *host, dvs_dcid dc, const char *name);
/* The socket of a DC that the core knows. */
DVS_MUST_USE dvs_err server_open_dc(struct host *host, dvs_dcid dc, const char *name,
				    uint32_t owner_uid);
void server_close_dc(struct host *host, dvs_dcid dc);
void server_close_all(struct host *host);
struct server *server_find(const struct host *host, dvs_dcid dc);

/* ---- link.c ---- */

/* Takes FD over. */
/* A link for FD, which stays the caller's if there is none; for tests without a socket: -1. */
struct link *link_new(struct host *host, struct server *server, int fd, uint32_t pid, uid_t uid);
void link_create(struct host *host, struct server *server, int fd);
/* Close LINK when the present event is done. WHY goes to the log when it is not NULL. */
void link_doom(struct host *host, struct link *link, const char *why);
void link_destroy(struct host *host, struct link *link);
void link_receive(struct host *host, struct link *link);
/* Whether it must take what it was sent before it gets more channels. */
bool link_is_congested(const struct host *host, const struct link *link);
/* One frame of BYTES has come; FDS may be taken out of it. Entry for tests too. */
void link_frame(struct host *host, struct link *link, const void *bytes, size_t len, int fds[2]);

/* ---- send.c: frames out ---- */

void frame_begin(struct frame *frame, uint32_t op, uint32_t id, dvs_err err);
/* FD is held until the frame is sent. */
void frame_attach(struct frame *frame, struct shared_fd *fd);
/* Send it or queue it. Never blocks, never fails: a link that takes no more is doomed. */
void link_send(struct host *host, struct link *link, struct frame *frame);
void link_flush(struct host *host, struct link *link);
void link_drop_queue(struct host *host, struct link *link);
void link_reply(struct host *host, struct link *link, uint32_t op, uint32_t id, dvs_err err);
/* An event to the process, which is told through page SLOT (SLOT_NONE: through nothing). */
void process_send(struct host *host, struct process *process, struct frame *frame, uint32_t slot);
struct shared_fd *shared_fd_create(int fd);
struct shared_fd *shared_fd_hold(struct shared_fd *shared);
void shared_fd_drop(struct shared_fd *shared);

/* ---- closer.c ---- */

/* Close FD, which came from somebody else, without waiting for it. */
void fd_discard(struct host *host, int fd);
/* Whether more of them may be let in. */
bool fd_discard_can(const struct host *host);

/* ---- memory.c: memfds ---- */

/* A sealed memfd of SIZE bytes, or -1. */
int memory_create(const char *name, size_t size);
/* The device on which they are. */
dev_t memory_device(void);
/* Whether FD is one. */
bool memory_check(int fd, size_t size, uint64_t *inode);

/* ---- process.c ---- */

/* A process of PID for SERVER, with fresh areas or with those given (taken over). */
struct areas {
	int area_fd;
	int stats_fd;
};
DVS_MUST_USE dvs_err areas_create(struct areas *areas);
void areas_close(struct areas *areas);
/* As areas_close(), for what a process brought along. */
void areas_discard(struct host *host, struct areas *areas);
/* A number that no other link of a process has or had. */
uint64_t process_serial(struct host *host);
/* ID: of one that is known; NULL: a new one. NOPROC: it is dead. */
DVS_MUST_USE dvs_err process_create(struct host *host, struct server *server, uint32_t pid,
				    const struct core_process *id, struct process **process);
/* AREAS are taken over; the stats descriptor is closed. */
DVS_MUST_USE dvs_err process_set_areas(struct process *process, struct areas *areas);
void process_drop_areas(struct process *process);
/* It is dead, or lets go: its bindings end and it is forgotten. */
void process_end(struct host *host, struct process *process);
/* BINDING is over, and the other nodes cannot be told at present: its partners here are told at once. */
void binding_cut(struct host *host, struct binding *binding);
/* The same for all processes that are dead. */
void processes_cut(struct host *host);
/* Forget it without a word to the core. */
void process_forget(struct host *host, struct process *process);
void process_ring_all(const struct process *process);
void process_ring(struct host *host, struct process *process, uint32_t slot);
struct process *process_first(const struct host *host, uint32_t pid);
struct process *process_next(const struct process *process);
struct process *process_find(const struct host *host, const struct core_process *id);
/* It has a link now: tell it what was bound for it. */
void process_arrived(struct host *host, struct process *process);
/* For a command that binds it: whether it is in a container of this node. */
uint32_t process_flags(const struct host *host, const struct process *process);
void process_move_to(struct process *process, struct server *server);
/* Those who wait until it can take events try again. */
void process_became_ready(struct host *host, struct process *process);
bool process_is_ready(const struct process *process);
/* What PROCESS has in page SLOT, or NULL. */
struct binding *process_in_slot(const struct process *process, uint32_t slot);
/* What was taken for an order that was refused is free again. */
void process_release_slot(struct process *process, uint32_t slot);
struct binding *process_binding(const struct process *process, uint32_t ep);

/* ---- proc.c: /proc ---- */

/* 0 when there is no such process. */
uint64_t proc_starttime(uint32_t pid);
/* Number of the pid namespace of PID, 0 when unknown. */
uint64_t proc_pid_ns(uint32_t pid);
/* Our pid of the process that is PID in the pid namespace CALLER_NS, which is that of CALLER; 0: none. Only processes with
 * a link are looked at, unless EVERYWHERE. */
uint32_t proc_pid_from(const struct host *host, uint32_t caller, uint64_t caller_ns, uint32_t pid,
		       bool everywhere);
/* The pid of process PID in the pid namespace of CALLER; 0: not visible there. */
uint32_t proc_pid_in(const struct host *host, uint64_t caller_ns, uint32_t pid);
void proc_program(uint32_t pid, char *name, size_t size);
/* The pid of PID in its own pid namespace, 0 when unknown. */
uint32_t proc_own_pid(uint32_t pid);
/* Open the memfd with INODE among the descriptors of PID; -1. */
int proc_open_memfd(const struct host *host, uint32_t pid, uint64_t inode);
/* Open the memfd of SIZE of which PID has mapped one page, at ADDR; -1. Needs the right to look at mappings (CAP_CHECKPOINT_RESTORE). */
int proc_open_mapped(const struct host *host, uint32_t pid, uint64_t addr, size_t size);
int pidfd_of(uint32_t pid);

/* ---- state.c: the state file ---- */

/* Read it into the core; it is written again by the first state_compact(). IO, NOMEM. */
DVS_MUST_USE dvs_err state_open(struct host *host);
void state_close(struct host *host);
void state_append(struct host *host, const struct core_command *command);
DVS_MUST_USE dvs_err state_compact(struct host *host);
void state_replay(struct host *host, const void *bytes, size_t len);

/* ---- recover.c, rejoin.c: after a restart ---- */

/* Find the processes of the core's bindings, end those that are gone, ring the others. */
DVS_MUST_USE dvs_err recover(struct host *host);
/* End what is left of those links of process PID that it gave up while they were lost. */
void lost_forget(struct host *host, uint32_t pid);
/* It has told all that it has. */
void process_rejoined(struct host *host, struct process *process);

/* ---- dispatch.c ---- */

void dispatch(struct host *host, struct request *request);
bool link_may(const struct link *link, uint32_t may);
uint32_t link_all_may(const struct link *link);
void request_answer(struct host *host, const struct request *request, dvs_err err);

/* ---- pending.c ---- */

/* Takes over what FIRST has as `more`. Try FIRST once; if it must wait, keep it until it is answered or TIMEOUT_MS has passed. */
void pending_start(struct host *host, const struct pending *first, uint32_t timeout_ms);
/* Whether one more request of LINK can wait. */
bool link_may_wait(const struct link *link);
/* Something about what WATCH names has changed. */
void watch_touch(struct host *host, uint64_t watch);
void watch_touch_all(struct host *host);
uint64_t watch_number(dvs_dcid dc, uint32_t ep);
uint64_t watch_process(const struct process *process);
uint64_t watch_revoked(const struct binding *binding);
/* Changes of DC; of DC 0: a hidden one is made. */
uint64_t watch_dc(dvs_dcid dc);
void pending_free(struct host *host, struct pending *pending);
void pending_try_again(struct host *host, struct pending *pending);

/* ---- channel.c, renew.c ---- */

struct channel *channel_find(const struct host *host, const struct binding *a,
			     const struct binding *b);
/* Under which it is in host->channels. */
uint64_t channel_key(dvs_dcid dc, dvs_ep a, dvs_ep b);
/* A channel in the tables, not yet anywhere else. FULL, NOMEM. */
DVS_MUST_USE dvs_err channel_create(struct host *host, struct binding *from, struct binding *to,
				    struct channel **made);
void channel_destroy(struct host *host, struct channel *channel);
/* The numbers that are taken in BINDING's inbox. */
struct bitmap *binding_indexes(struct binding *binding);
/* Close it and tell the sides other than QUIET (may be NULL). */
void channel_close(struct host *host, struct channel *channel, const struct binding *quiet,
		   dvs_err reason);
/* Close all of BINDING; it is itself told nothing. */
void channels_close(struct host *host, struct binding *binding, dvs_err reason);
/* Close those whose permissions are others now. */
void channels_recheck(struct host *host, struct binding *binding);
/* As channel_create(), without numbers. NULL: out of memory. */
struct channel *channel_add(struct host *host, struct binding *from, struct binding *to);
void channel_send(struct host *host, const struct channel *channel, unsigned int side,
		  struct shared_fd *memory, uint8_t mode);
void channel_fill(const struct channel *channel, unsigned int side,
		  struct control_channel_req *event);
/* END's endpoint went to other hands, which do not know the channel. */
void channel_end_moved(struct channel_end *end);
/* All channels of FROM (may be TO itself) are TO's now and made anew, told in MODE. */
void channels_renew(struct host *host, struct binding *from, struct binding *to, uint8_t mode);
/* BINDING has moved to this node: channels for those of other nodes to which it owes something. */
void channels_owed(struct host *host, struct binding *binding);
/* Go on making channels anew as far as the queues take them. */
void channels_renew_more(struct host *host);

/* ---- seat.c: groups of DCs ---- */

/* An ordered entry of a group, at its place. */
DVS_MUST_USE dvs_err seats_apply(struct host *host, struct cursor *in);
/* Members may have come or gone: tell those that are here. */
void seats_follow(struct host *host);
/* End those that are over. */
void seats_settle(struct host *host);
void seats_forget_link(struct link *link);

/* ---- limits.c ---- */

/* Tell a new proxy what each DC may send. */
void limits_tell(struct host *host, struct carrier *carrier);
void limits_dc_created(struct host *host, const struct core_dc *dc);
/* Read the configuration file again and take over what can be changed while we run. */
void config_reload(struct host *host);

/* ---- the ops; each answers ---- */

typedef void (*op_handler)(struct host *host, struct request *request);

/* hello.c */
void op_hello(struct host *host, struct request *request);
/* bind.c */
struct process *process_by_caller(const struct host *host, const struct link *link, uint32_t pid,
				  uint32_t *our_pid);
void op_bind(struct host *host, struct request *request);
void op_bind_for(struct host *host, struct request *request);
void op_unbind(struct host *host, struct request *request);
void op_endpoint_of(struct host *host, struct request *request);
/* rejoin.c */
void op_rejoin_endpoint(struct host *host, struct request *request);
void op_rejoin_links(struct host *host, struct request *request);
/* info.c */
uint32_t ranges_put(const struct dvk_privileges *from, struct control_range to[DVS_RANGES_MAX]);
void op_dvs_info(struct host *host, struct request *request);
void op_dc_info(struct host *host, struct request *request);
void op_endpoint_info(struct host *host, struct request *request);
/* privileges.c */
void op_privileges_get(struct host *host, struct request *request);
void op_privileges_set(struct host *host, struct request *request);
/* wakeup.c */
void binding_send_woken(struct host *host, struct binding *binding);
void op_wakeup(struct host *host, struct request *request);
/* migrate.c */
void op_migrate_start(struct host *host, struct request *request);
void op_migrate_commit(struct host *host, struct request *request);
void op_migrate_rollback(struct host *host, struct request *request);
void op_parked(struct host *host, struct request *request);
void op_promote(struct host *host, struct request *request);
/* trace.c */
void trace_end(struct binding *binding);
void traces_end(struct link *link);
void op_trace(struct host *host, struct request *request);
/* deadlock.c */
void op_blocked(struct host *host, struct request *request);
/* grant.c */
void grants_free(struct binding *binding);
void op_grant(struct host *host, struct request *request);
void op_revoke(struct host *host, struct request *request);
/* copy.c */
void copies_forget(struct host *host, const struct binding *binding);
void copies_forget_link(struct host *host, struct link *link);
void copies_close(struct host *host);
void op_copy(struct host *host, struct request *request);

/* ---- copy_far.c: copies with grants on other nodes ---- */

/* A new proxy of CARRIER is there / its proxy is gone / its node is down. */
void copies_tell(struct host *host, const struct carrier *carrier);
void copies_unlinked(struct host *host, const struct carrier *carrier);
void copies_node_down(struct host *host, const struct carrier *carrier);
void op_copy_open(struct host *host, struct request *request);
void op_copy_close(struct host *host, struct request *request);
void op_copy_done(struct host *host, struct request *request);
/* seat.c */
void op_group_join(struct host *host, struct request *request);
void op_group_leave(struct host *host, struct request *request);
void op_group_cast(struct host *host, struct request *request);
void op_group_give(struct host *host, struct request *request);
void op_group_read(struct host *host, struct request *request);
/* wait.c */
void op_wait(struct host *host, struct request *request);
/* connect.c */
void op_connect(struct host *host, struct request *request);
void op_carry_connect(struct host *host, struct request *request);
/* carriage.c */
void op_carry_ready(struct host *host, struct request *request);
void op_carry_over(struct host *host, struct request *request);
/* carrier.c */
void op_link_report(struct host *host, struct request *request);
void op_link_next(struct host *host, struct request *request);
/* node_ops.c */
void op_node_next(struct host *host, struct request *request);
void op_node_drain(struct host *host, struct request *request);
void op_node_remove(struct host *host, struct request *request);
/* verify.c */
void op_verify(struct host *host, struct request *request);
/* watch.c */
void op_watch(struct host *host, struct request *request);
/* admin.c */
/* Order a DC. FIRST is as for order_command(). */
/* With KEEP it waits for the quorum. */
void dc_create(struct host *host, const char *name, uint32_t owner_uid, const struct order *first,
	       bool keep);
void op_dc_create(struct host *host, struct request *request);
void op_dc_remove(struct host *host, struct request *request);
void op_dc_next(struct host *host, struct request *request);
void op_enter(struct host *host, struct request *request);

#endif
