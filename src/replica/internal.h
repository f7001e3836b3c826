/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the room: what is around the engine. All of it belongs to the server's thread but what stands under `other threads`. */
#ifndef REPLICA_INTERNAL_H
#define REPLICA_INTERNAL_H

#include <pthread.h>

#include "replica/caller.h"
#include "replica/engine.h"
#include "replica/replica.h"
#include "skeleton/replica_serve.h"

#define CALLERS 3u			     /* for one other replica, beside the loop's own call */
#define SLOTS (1u + CALLERS)		     /* calls to one other replica under way */
#define IDLE_MAX 8u			     /* callers that are kept for others */
#define JOINER_BYTES_MAX ((size_t)256 << 20) /* that wait for a joiner */
#define SAID_MAX 256u			     /* answers that wait for a batch to answer */

/* Something that the owner is called back for, in the order of what happened. */
struct notice {
	struct list queued;
	bool is_apply;
	void (*run)(struct replica *replica, struct notice *notice);
};

/* An entry, as long as anybody here needs it. */
struct block {
	struct engine_entry e;
	struct replica_entry *entry; /* the owner's, or `own` */
	struct replica_entry own;
	struct notice apply;
	struct notice done;
	uint32_t refs;
	bool is_logged;
	void *owned; /* the data, when it is the library's */
};

enum item_kind { ITEM_BEGIN = 1, ITEM_ENTRY, ITEM_WORD, ITEM_TABLE };

/* What is to be sent, and words that were sent until they are answered. */
struct item {
	struct list queued;
	enum item_kind kind;
	uint64_t number;
	struct block *block;
	struct replica_word *word;
	void *table;
	size_t table_bytes;
	/* for the owner of WORD */
	struct notice ended;
	dvs_err err;
	void *answer;
	size_t n_answer;
};

/* To one other replica. */
struct stream {
	struct replica *replica;
	bool is_open;
	uint32_t node;
	dvs_ep ep;
	uint64_t number;
	struct list items;
	size_t at;	   /* bytes of the first item that were packed */
	struct list asked; /* words that are not answered */
	size_t bytes;	   /* that wait */
	uint64_t batch;
	uint64_t words;
	uint64_t sent; /* the last entry */
	uint64_t acked;
	uint64_t sent_ns;
	/* The loop's own call: what goes at once */
	struct skeleton_call call;
	uint64_t call_ns;
	uint64_t look_up_ns; /* it is not tried to make it before */
	/* and those of callers, while that one is under way. */
	struct caller *callers[CALLERS];
	void *windows[CALLERS]; /* of callers that wait for work */
};

/* What has come of a stream and is not with the owner yet. */
struct incoming {
	struct list queued;
	enum item_kind kind;
	struct replica_item item;
	struct block *block; /* ENTRY */
	uint8_t *data;	     /* WORD, TABLE */
	struct replica_heard heard;
	struct notice notice;
	uint64_t round; /* of the inbox, when it came */
	uint32_t from;
};

struct said {
	uint8_t kind;
	uint64_t number;
	dvs_err err;
	uint32_t bytes;
	void *data;
};

/* A batch that is not answered. */
struct held {
	struct skeleton_request *request;
	uint64_t stream;
	uint64_t batch;
	uint64_t last; /* entry in it */
	bool has_entries;
	bool is_taken;
	uint64_t until_ns;
};

struct inbox {
	uint64_t stream;
	uint64_t
		round; /* how often it was cleared: a stream that ended can begin anew with its number */
	uint32_t from;
	bool is_telling; /* a word is on its way to the owner */
	uint64_t batch;	 /* the next one */
	struct held held[SLOTS];
	uint8_t head[REPLICA_ITEM_BYTES_MAX];
	size_t n_head;
	struct incoming *partial;
	size_t n_partial; /* bytes of its data */
	struct list queue;
	uint64_t parsed; /* the last entry that has come */
	uint32_t n_open; /* words that the owner has not answered */
	struct said said[SAID_MAX];
	uint32_t n_said;
};

/* Work of the thread that asks dvsd. */
struct job {
	struct list queued;
	void (*work)(struct replica *replica, struct job *job);
	void (*end)(struct replica *replica, struct job *job);
	bool is_busy;
	dvs_err err;
	uint64_t version;
	struct engine_view view;
	bool flag;
	uint32_t node;
	dvs_ep ep;
	struct skeleton_request *request;
};

enum job_kind { JOB_READ, JOB_SET, JOB_LOOK, JOB_DEAD, JOB_TAKE, JOB_OVERTAKE, JOB_KINDS };

/* A post to the loop that may outlive the replica. */
struct turn {
	struct post post;
	struct replica *replica; /* NULL: it is gone; under lock */
	bool is_posted;
	pthread_mutex_t lock;
};

struct replica {
	struct replica_config config;
	char key[DVS_NAME_MAX + 1];
	struct engine *engine;
	struct remember *remember;
	struct skeleton_timer tick;
	struct skeleton_timer soon;
	struct list notices;
	struct m3 *service;
	bool is_primary; /* the owner knows */
	bool is_closing;
	uint64_t close_ns;
	uint64_t nonce;
	struct list readers;
	void (*handed)(void *context, dvs_err err);
	void *handed_context;
	uint64_t streams_open; /* bit n: that to node n */
	struct stream streams[DVS_NODES_MAX];
	struct inbox inbox;
	struct joined *hello; /* of the one that asks to join */
	/* callers */
	struct list idle;
	uint32_t n_idle;
	struct list callers; /* all */
	/* the worker */
	pthread_t worker;
	bool has_worker;
	struct job jobs[JOB_KINDS];
	struct poster poster;
	struct turn *turn;

	/* ---- other threads ---- */
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct list work;  /* jobs, under lock */
	struct list ended; /* jobs, under lock */
	struct list ready; /* callers, by use.idle, under lock */
	bool is_ending;	   /* under lock */
};

void replica_notice(struct replica *replica, struct notice *notice,
		    void (*run)(struct replica *replica, struct notice *notice));
/* A turn of the loop soon. */
void replica_soon(struct replica *replica);
/* The engine knows the time from here on. */
struct engine *replica_enter(struct replica *replica);
extern const struct engine_ops replica_ops;

struct block *block_new(void);
void block_put(struct block *block);

/* ---- streams (outbox.c) ---- */

void outbox_open(struct replica *replica, uint32_t node, dvs_ep ep, uint64_t number, bool begin,
		 uint64_t after);
void outbox_close(struct replica *replica, uint32_t node);
void outbox_send(struct replica *replica, uint32_t node, struct block *block);
void outbox_tell(struct replica *replica, uint32_t node, struct replica_word *word);
void outbox_send_table(struct replica *replica, uint32_t node);
/* The fields of an entry's item, and N bytes of FROM behind the first *SKIP, which becomes what is left to be skipped. */
size_t outbox_head(const struct block *block, uint8_t head[REPLICA_ITEM_BYTES_MAX]);
size_t outbox_slice(uint8_t *to, size_t room, const void *from, size_t n, uint64_t *skip);
/* Send what waits; signs of life. */
void outbox_flush(struct replica *replica, uint32_t node);

/* ---- callers (calls.c) ---- */

struct caller *caller_get(struct replica *replica, void *user,
			  void (*end)(void *user, struct caller *caller));
void caller_put(struct replica *replica, struct caller *caller);
/* Its result is not wanted: it is put when it is there. */
void caller_leave(struct replica *replica, struct caller *caller);
void callers_ready(struct replica *replica);
void callers_close(struct replica *replica);
void calls_view(struct replica *replica, uint32_t node, dvs_ep ep, uint64_t epoch, uint64_t stream);
void calls_tail(struct replica *replica, uint32_t node, dvs_ep ep, uint64_t epoch, uint64_t after);
void calls_join(struct replica *replica, uint64_t stream);
void calls_take(struct replica *replica, uint32_t node, dvs_ep ep, bool only_look);

/* ---- what comes (inbox.c, serve.c) ---- */

void inbox_init(struct replica *replica);
void inbox_clear(struct replica *replica);
/* A batch of the stream that is expected. */
dvs_err inbox_take(struct replica *replica, struct skeleton_request *request,
		   const struct replica_deliver_req *req);
/* What waits for what was carried out. */
void inbox_go(struct replica *replica);
void inbox_say_odd(struct replica *replica, uint64_t sequence, dvs_err err);
void inbox_answer_word(struct replica *replica, struct replica_heard *heard, dvs_err err,
		       const void *answer, size_t n);
/* Bytes of a tail. False: they are not of one. */
bool inbox_take_tail(struct replica *replica, const uint8_t *bytes, size_t n);

void serve_joined(struct replica *replica);

/* ---- dvsd (worker.c) ---- */

dvs_err worker_open(struct replica *replica);
void worker_close(struct replica *replica);
void worker_ended(struct replica *replica);
void worker_read(struct replica *replica);
void worker_set(struct replica *replica, uint64_t version, const struct engine_view *view);
void worker_look(struct replica *replica);
void worker_is_dead(struct replica *replica, uint32_t node, dvs_ep ep);
void worker_take(struct replica *replica, struct skeleton_request *request);
void worker_overtake(struct replica *replica);
void turn_post(struct replica *replica);

#endif
