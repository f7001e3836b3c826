/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes with one replica each, a simulated clock, and what they have around them:
 *
 * - the DVS: a record with versions and the binding of the service's endpoint. Who is cut off from the majority knows what was, and may be refused or not be told what became of its
 *   change, which can even happen later. What a node reads may be a little old. A node that cannot be reached is declared down after some time, a dead process at once;
 * - calls with delays, which fail when the other process is dead, and some time after the nodes have lost each other;
 * - processes that are killed, paused (what comes for them waits; their clocks go on), and started again with or without what they had on their disk. */
#ifndef TESTS_SIM_REPLICA_WORLD_H
#define TESTS_SIM_REPLICA_WORLD_H

#include "base/list.h"
#include "replica/engine.h"

#define NODES_MAX 5u
#define KEYS 4u
#define CLIENTS 6u
#define MS UINT64_C(1000000)
#define EVENTS_MAX 65536u
#define LEASE_NS (400 * MS)
#define EVICT_NS (3000 * MS)

struct world;

/* What the server keeps. */
struct state {
	uint64_t value[KEYS];
	uint32_t last_call[CLIENTS + 1]; /* that was carried out, of each client */
	uint64_t chain;			 /* a hash of all entries in their order */
};

struct event {
	uint64_t at_ns;
	uint64_t order;
	uint32_t node; /* whose; NODES_MAX: of the world */
	uint32_t life; /* of that process; it ends with it */
	void (*run)(struct world *world, const struct event *event);
	uint64_t a, b, c;
	void *pointer;
};

/* An entry in the memory of one process. */
struct block {
	struct engine_entry entry;
	struct list all;
	struct world *world;
	uint32_t node;
	uint32_t key;
	uint64_t value;
	struct state before; /* for a disk that loses what was not finished */
	uint64_t order;	     /* on that disk */
	struct list on_disk;
	dvs_err will_be;
};

struct item {
	enum { ITEM_BEGIN, ITEM_ENTRY, ITEM_STATE, ITEM_TABLE } kind;
	uint64_t number;
	uint32_t client, call, key;
	uint64_t value;
	struct state state;
	size_t n_table;
	struct remembered table[CLIENTS + 1];
	struct item *next;
};

struct call_out;

struct stream {
	bool is_open;
	uint64_t number;
	dvs_ep ep;
	struct item *first, **end;
	struct call_out *call; /* a batch is under way */
	uint64_t sent_ns;
	bool is_behind;
};

/* A call between replicas. */
struct call_out {
	enum { CALL_BATCH, CALL_VIEW, CALL_TAIL, CALL_JOIN } kind;
	uint32_t from, from_life, to, to_life;
	uint64_t stream, epoch, stable, members, number;
	struct item *items;
	bool is_coming;
	bool is_answered; /* by the other side */
	bool is_over;
	bool is_closed; /* nobody wants the answer */
	uint64_t began_ns;
	uint64_t cut_ns; /* since then they do not reach each other */
	dvs_err err;
	uint64_t result;
	uint64_t odd[64];
	uint32_t n_odd;
	struct list all;
};

struct node {
	uint32_t number;
	bool is_up; /* the process */
	bool is_paused;
	uint32_t component;
	bool is_down; /* the DVS says so */
	uint32_t life;
	struct engine *engine;
	struct remember *remember;
	struct list blocks;
	struct state state;
	struct list on_disk; /* blocks that are being carried out */
	uint64_t n_orders, finished;
	bool has_disk;
	struct stream streams[NODES_MAX];
	bool bad_disk;
	uint64_t term;	      /* as the primary */
	uint32_t holds[KEYS]; /* entries that are not done */
	uint64_t paused_until_ns;
	uint32_t n_settings; /* changes of the record that may still come */
	bool wants_unbind;   /* and nobody has heard that */
	/* a batch that waits for its answer */
	struct call_out *held;
	uint64_t held_last, held_until_ns;
	uint64_t odd[64];
	uint32_t n_odd;
	/* what it knows of the DVS */
	uint64_t known_version;
	bool known_exists;
	struct engine_view known_view;
	uint32_t known_primary; /* node, NODES_MAX: none */
	uint32_t known_generation;
};

struct call {
	bool is_open;
	bool is_read;
	bool resent;
	uint32_t number;
	uint32_t key;
	uint64_t value;
	uint64_t began_ns;
	uint32_t at; /* the node that has it; NODES_MAX: none yet */
	uint32_t life;
	uint32_t generation;
	bool is_taken; /* by the server */
	bool is_answered;
};

struct operation {
	bool is_read;
	bool is_known; /* it was answered */
	uint32_t key;
	uint64_t value;
	uint64_t from_ns, to_ns;
};

struct client {
	uint32_t node;
	struct call call;
	uint32_t next_call;
};

struct world {
	uint64_t random;
	uint64_t now_ns;
	uint64_t order;
	bool is_verbose;
	bool is_calm; /* no more faults */
	const char *failed;
	uint32_t n_nodes;
	struct node nodes[NODES_MAX];
	struct client clients[CLIENTS];
	struct list calls;
	struct event *events;
	uint32_t n_events;
	/* the DVS */
	uint64_t version;
	struct engine_view view, view_before;
	uint32_t primary; /* of the service; NODES_MAX: none */
	uint32_t primary_life;
	uint32_t
		generation; /* of the endpoint: another one when it was not a backup that followed */
	uint32_t backups[NODES_MAX];
	uint32_t backup_life[NODES_MAX];
	uint32_t n_backups;
	/* what must hold */
	uint64_t next_value;
	uint64_t last_term;
	uint64_t best_term;
	uint32_t acknowledged[CLIENTS + 1];
	struct operation *history;
	uint32_t n_history;
	/* figures */
	uint64_t n_acknowledged, n_reads, n_primaries, n_resent, n_remembered, n_unknown, n_odd,
		n_refused, n_overtaken, n_handed;
	uint64_t longest_ns, last_ok_ns;
};

uint32_t roll(struct world *world, uint32_t below);
/* Up to MAX_NS, mostly little. */
uint64_t delay(struct world *world, uint64_t max_ns);
void say(const struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
void fail(struct world *world, const char *what);
void later(struct world *world, uint64_t in_ns, uint32_t node,
	   void (*run)(struct world *world, const struct event *event), uint64_t a, uint64_t b,
	   uint64_t c, void *pointer);
/* The next event; false: there is none. */
bool world_step(struct world *world);

/* ---- the DVS (replica_dvs.c) ---- */

bool dvs_is_quorate(const struct world *world, uint32_t node);
bool dvs_reaches(const struct world *world, uint32_t from, uint32_t to);
void dvs_learn(struct world *world);
void dvs_look(struct world *world);
/* Somebody else was made the primary: NODE sees that its handle is a backup's. */
void dvs_tell_demoted(struct world *world, struct node *node);
void dvs_process_dead(struct world *world, uint32_t node);
void dvs_components_changed(struct world *world);
extern const struct engine_ops node_ops;
void ops_read_record(void *context);
void ops_set_record(void *context, uint64_t version, const struct engine_view *view);
void ops_take(void *context);
void ops_backup(void *context);
void ops_give_up(void *context);
void ops_look(void *context);
void ops_is_dead(void *context, uint32_t node, dvs_ep ep);
void ops_ask_heir(void *context, uint32_t node, dvs_ep ep);
void ops_overtake(void *context);
void ops_promote(void *context, uint32_t node, dvs_ep ep);

/* ---- a replica (replica_node.c) ---- */

dvs_ep ep_of(const struct node *node);
struct world *world_of(struct node *node);
void node_start(struct world *world, uint32_t number);
void node_kill(struct world *world, uint32_t number, bool loses_disk);
void node_enter(struct world *world, struct node *node);
void node_forget(struct engine_entry *entry);
void stream_flush(struct world *world, struct node *node, uint32_t to);
uint32_t life_of(dvs_ep ep);

/* ---- calls between them (replica_calls.c) ---- */

/* KIND as in struct call_out. */
struct call_out *call_to(struct node *node, uint32_t to, uint32_t to_life, int kind);
void call_send(struct world *world, struct call_out *call);
void calls_look(struct world *world);
void items_free(struct item *items);
/* Answer the batch that waits, if its entries were carried out. */
void held_look(struct world *world, struct node *node);

/* ---- the server and its clients (replica_clients.c) ---- */

void server_took(struct world *world, struct node *node);
void server_done(struct world *world, struct node *node, struct block *block, dvs_err err);
void server_readers(struct world *world, struct node *node);
void server_dropped(struct world *world, struct node *node);
/* The service's primary is another one, or none. */
void clients_moved(struct world *world);
void clients_begin(struct world *world, uint32_t client);
bool history_check(struct world *world);

#endif
