/* SPDX-License-Identifier: Apache-2.0 */
/* A replica alone, without threads, loop and dvsd: what it asks of them is answered here, and the test says what the other replicas send. Its owner keeps what it is given until the
 * test has it carried out or answered. For what a hostile or broken replica can send (src/replica: inbox.c, serve.c) and answer (outbox.c). */
#ifndef TESTS_LONE_H
#define TESTS_LONE_H

#include "replica/internal.h"

#define LONE_NODE 2u	/* the replica */
#define LONE_PRIMARY 1u /* who the test is, mostly */
#define LONE_PRIMARY_EP 77u
#define LONE_EPOCH 5u	  /* of the record that there is */
#define LONE_KEPT_MAX 64u /* entries, words and requests that are kept at a time */

/* A request to it, until lone_forget(). */
struct lone_request {
	struct skeleton_request request;
	uint32_t n_answered;
	dvs_err err;
	uint8_t payload[DVS_PAYLOAD_BYTES];
	uint8_t *data; /* of the request: as long as that is, no byte more */
	uint8_t *window;
	size_t answer_bytes; /* in `window` */
};

struct lone {
	struct replica *replica;
	struct skeleton_service peers;
	struct replica_owner owner;
	struct log log;
	dvs_ep own;
	dvs_ep service;
	bool is_bound; /* the service */
	bool is_reading;
	struct list timers;
	struct list posts;
	struct list callers;
	struct lone_request *requests[LONE_KEPT_MAX];
	uint32_t n_requests;
	struct replica_entry *entries[LONE_KEPT_MAX]; /* to be carried out */
	uint32_t n_entries;
	struct replica_heard *heard[LONE_KEPT_MAX]; /* to be answered */
	uint32_t n_heard;
	enum replica_role role;
	uint64_t n_applied;
	uint64_t stream; /* the number that it has asked for */
	/* of one that is the primary: */
	bool is_first;
	bool is_setting;
	uint64_t version; /* of the record; 0: there is none */
	struct engine_view view;
	uint32_t n_read; /* looks at the record */
	uint32_t n_joined;
	uint32_t n_left;
	struct skeleton_call *call; /* of its loop, that is not answered */
	uint8_t *call_window;
	struct replica_deliver_req sent; /* with it */
	size_t sent_bytes;		 /* in call_window */
};

/* Absent; the record says that LONE_PRIMARY is the primary, which it has asked to join. */
struct lone *lone_open(void);
/* The first replica of all: the primary, alone. The test is a backup: it joins by lone_ask(), and answers what is sent to it. */
struct lone *lone_open_primary(void);
/* The call that is under way ends: with ERR, or an answer of these bytes, and what comes of that. */
void lone_reply(struct lone *lone, dvs_err err, const struct dvs_msg *reply, const void *data,
		size_t bytes);
void lone_close(struct lone *lone);
/* What the loop would do now, and the results of what the replica has asked dvsd and others. */
void lone_turn(struct lone *lone);
/* Ask it OP. The request has LONE->requests[N_REQUESTS - 1]. */
struct lone_request *lone_ask(struct lone *lone, uint32_t op, const void *payload, size_t len,
			      const void *data, size_t bytes);
/* Bytes of a stream. */
struct lone_request *lone_deliver(struct lone *lone, const struct replica_deliver_req *req,
				  const void *data, size_t bytes);
/* As the present primary sends its batch number BATCH. */
struct replica_deliver_req lone_batch(const struct lone *lone, uint64_t batch);
/* The oldest that it was given is carried out, or answered. Without one: nothing. */
void lone_apply(struct lone *lone, dvs_err result);
void lone_answer(struct lone *lone, dvs_err err, const void *answer, size_t n);
/* Requests that are answered. */
void lone_forget(struct lone *lone);
/* The call that has its place in LONE->callers there is answered. */
void lone_call_ends(struct list *asked);

#endif
