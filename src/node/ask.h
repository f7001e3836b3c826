/* SPDX-License-Identifier: Apache-2.0 */
/* What one dvsd asks of others. Questions and answers are ordered entries: so an answer is about the state at one place of the order, and
 * who is told of what an answer did has been told of what was before. */
#ifndef NODE_ASK_H
#define NODE_ASK_H

#include "base/cursor.h"
#include "node/host.h"

enum ask_what {
	ASK_DIGEST = 1, /* of all: the digest of the state */
	ASK_WAKEUP,	/* dc, ep */
	ASK_INFO,	/* dc, ep, its process: what only its node knows of a binding */
	ASK_COMMIT,	/* dc, ep, pid, migration: the endpoint is to go to that process */
	ASK_COPY, /* dc, ep, the body of copy: for that endpoint, between that node and another one */
	ASK_AGENT, /* see to it that the agent of that node runs */
	ASK_WHATS_END,
};

#define ASK_ALL UINT32_MAX
#define ASK_BYTES_MAX 1024u

struct ask;

/* An answer of NODE, ERR or OK and what it said; or none will come: NODEDOWN, TIMEOUT, NOQUORUM, NOMEM, FULL. The link is NULL if it was
 * closed. Asked of all, it is called for each node. True: all is said, forget the question. */
typedef bool (*ask_done)(struct host *host, struct ask *ask, uint32_t node, dvs_err err,
			 struct cursor *answer);

struct ask {
	struct map_node by_number;
	struct list of_link;
	struct timer timer;
	uint64_t number;
	ask_done done;
	uint32_t node; /* asked; ASK_ALL */
	struct link *link;
	uint32_t op;
	uint32_t id;
	void *more; /* the asker's, freed with it */
};

/* Ask. FIRST is copied, its `more` taken over. */
void ask(struct host *host, const struct ask *first, enum ask_what what, const void *bytes,
	 size_t len, uint32_t timeout_ms);
/* A done: the answer, which has no body, answers the request. */
bool ask_pass_on(struct host *host, struct ask *ask, uint32_t node, dvs_err err,
		 struct cursor *answer);
/* To whom the answer goes. */
struct asker {
	uint32_t node;
	uint64_t number;
};
void ask_answer(struct host *host, struct asker asker, dvs_err err, const void *bytes, size_t len);
/* For the order. */
void ask_asked(struct host *host, uint32_t from, struct cursor *in);
void ask_answered(struct host *host, uint32_t from, struct cursor *in);
void asks_forget_link(struct host *host, struct link *link);
/* NODE is down: it does not answer any more. */
void asks_node_down(struct host *host, uint32_t node);
void asks_free(struct host *host);

/* What is asked, each where it belongs; they answer, at once or later. */
typedef void (*ask_handler)(struct host *host, struct asker asker, struct cursor *in);
void asked_digest(struct host *host, struct asker asker, struct cursor *in);
void asked_wakeup(struct host *host, struct asker asker, struct cursor *in);
void asked_info(struct host *host, struct asker asker, struct cursor *in);
void asked_commit(struct host *host, struct asker asker, struct cursor *in);
void asked_agent(struct host *host, struct asker asker, struct cursor *in);
void asked_copy(struct host *host, struct asker asker, struct cursor *in);

#endif
