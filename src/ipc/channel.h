/* SPDX-License-Identifier: Apache-2.0 */
/* One side's view of a channel: how a cell is posted, taken, answered and withdrawn.
 *
 * Nothing here waits. The functions move messages through the cells of layout.h, and treat all that the partner can write as
 * hostile: a cell is copied out once and only the copy is looked at, lengths are cut to the window, numbers are compared
 * with what this side knows by itself. */
#ifndef IPC_CHANNEL_H
#define IPC_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipc/draw.h"
#include "ipc/layout.h"

/* Requests of one partner that were taken and not answered. More than one only when it gave up and called again. */
#define CHANNEL_OPEN_MAX 8u

/* A request of the partner that it waits for, or waited for. */
struct open_call {
	uint32_t number; /* 0: void, of a partner that was replaced since: the answer is dropped */
	uint32_t data_bytes;
	uint32_t reply_cap;
	dvs_ep relayed_by; /* any: nobody */
	bool resent;
};

/* The memory of a channel as it is mapped here. */
struct channel_memory {
	struct ipc_channel *lanes;
	uint8_t *window[2]; /* indexed by side */
	struct ipc_inbox *peer_inbox;
};

/* What replaces a channel when the partner has moved or was promoted; afterwards, what it replaced. */
struct channel_change {
	struct channel_change *next;
	bool lost; /* promoted: nobody knows what the former partner had taken */
	bool remote;
	unsigned side;
	uint32_t peer_index;
	struct channel_memory memory;
};

struct channel {
	/* on every call */
	struct ipc_lane *mine;
	struct ipc_lane *theirs;
	uint32_t number; /* of my last call to the partner */
	uint32_t taken;	 /* number of the partner's call that I took last; 0: none */
	bool may_call;
	bool may_serve;
	bool may_relay; /* the partner: I call whom it hands me on to */
	bool remote;	/* the partner lives on another node: a proxy writes its lane */
	bool hot;	/* my lane says IPC_HOT */
	dvs_err gone;	/* DVS_OK while it lives */
	/* A call of mine is under way for which nobody waits: endpoint_begin(). */
	bool begun;
	bool begun_lost;  /* the partner it was made to was replaced */
	size_t begun_cap; /* how much data of its reply is taken */
	struct channel *next_begun;
	uint32_t n_open;
	dvs_ep peer;
	uint32_t index;	     /* in my inbox */
	uint32_t peer_index; /* in the partner's inbox */
	struct ipc_inbox *peer_inbox;
	uint8_t *my_window;
	uint8_t *their_window;
	struct channel_change
		*changes; /* to go over to, in this order; all at once unless a call is in flight */
	uint64_t saved_note;			 /* the partner's note from a former memory */
	struct open_call open[CHANNEL_OPEN_MAX]; /* oldest first */
	struct draw draw;
	/* now and then */
	unsigned side;
	struct channel_memory memory;
	struct channel_change
		*former; /* gone over from: kept mapped, data of open calls may lie there */
};

/* What a call sends along, and where its reply goes. */
struct call_data {
	const void *out;
	size_t out_bytes;
	void *in; /* NULL, and IN_CAP not 0: the data is left in place */
	size_t in_cap;
	size_t in_bytes;   /* result */
	const void *in_at; /* result: where it was left */
};

void channel_init(struct channel *ch, const struct channel_memory *memory, unsigned side,
		  dvs_ep peer);

/* ---- my calls ---- */

/* Post MSG as the next call (KIND is IPC_SEND or IPC_REQUEST). DATA may be NULL. RELAYED_BY: who has handed it on, or any. The
 * partner is not rung. */
void channel_post(struct channel *ch, enum ipc_kind kind, const struct dvs_msg *msg,
		  const struct call_data *data, dvs_ep relayed_by);

/* Post the call in flight once more, after the channel was replaced; RESENT marks it for the partner. */
void channel_post_again(struct channel *ch, enum ipc_kind kind, const struct dvs_msg *msg,
			const struct call_data *data, dvs_ep relayed_by, bool resent);

/* Has the partner taken my plain message, or answered my request? */
static inline bool channel_is_answered(const struct channel *ch, enum ipc_kind kind)
{
	uint32_t head;

	if (kind == IPC_SEND) {
		head = atomic_load_explicit(&ch->mine->request.head, memory_order_acquire);
		return IPC_KIND(head) == IPC_TAKEN;
	}
	head = atomic_load_explicit(&ch->theirs->reply.head, memory_order_acquire);
	return IPC_NUMBER(head) == ch->number && IPC_KIND(head) >= IPC_REPLY;
}

/* Copy the answer to my request into MSG and its data into DATA; returns IPC_REPLY, or IPC_RELAYED with *RELAY_TO. */
enum ipc_kind channel_take_reply(struct channel *ch, struct dvs_msg *msg, struct call_data *data,
				 dvs_ep *relay_to);

/* Take back the call in flight. False: too late, the partner has the plain message, or a proxy has it. */
bool channel_withdraw(struct channel *ch, enum ipc_kind kind);

/* A proxy has the plain message in flight: tell it in the lane that it is wanted back. It is to be rung then. */
void channel_recall(struct channel *ch);

/* What has come of that. */
enum recall { RECALL_OPEN, RECALL_TAKEN, RECALL_BACK };
enum recall channel_recalled(const struct channel *ch);

/* Does the partner wait in a call to me that I have not answered? */
bool channel_peer_waits(const struct channel *ch);

/* ---- the partner's calls ---- */

static inline bool channel_has_call(const struct channel *ch)
{
	uint32_t head = atomic_load_explicit(&ch->theirs->request.head, memory_order_acquire);
	uint32_t kind = IPC_KIND(head);

	return (kind == IPC_SEND || kind == IPC_REQUEST) && IPC_NUMBER(head) != ch->taken;
}

static inline bool channel_has_note(const struct channel *ch)
{
	return (ch->saved_note |
		atomic_load_explicit(&ch->theirs->control.note, memory_order_acquire)) &
	       IPC_NOTE_PENDING;
}

/* Take the partner's call if there is one (with ONLY_REQUESTS: and it is a request). MSG gets the message, *CALL the data
 * that came with it. Returns IPC_NONE, IPC_SEND or IPC_REQUEST; a request is then open. */
enum ipc_kind channel_take_call(struct channel *ch, bool only_requests, struct dvs_msg *msg,
				struct open_call *call);

/* Empty the partner's note; false if it was empty. */
bool channel_take_note(struct channel *ch, uint64_t *value);

/* Take the partner's note out of its lane and keep it: this endpoint parks, and tells dvsd of it for the one it moves to. */
void channel_collect_note(struct channel *ch);

/* The open call with NUMBER (0: the oldest), or NULL. */
struct open_call *channel_open_call(struct channel *ch, uint32_t number);

/* Remember a request as open, the oldest one makes room. */
void channel_open(struct channel *ch, const struct open_call *call);

/* Forget CALL, which is one of ch->open. */
void channel_close_call(struct channel *ch, struct open_call *call);

/* Answer CALL, and forget it and those before it, which the client has given up (nothing is sent if it has given up CALL): KIND is IPC_REPLY, or IPC_RELAYED to RELAY_TO. DATA of BYTES goes into my window, unless it
 * is there already. */
void channel_reply(struct channel *ch, struct open_call *call, enum ipc_kind kind,
		   const struct dvs_msg *msg, const void *data, size_t bytes, dvs_ep relay_to);

/* Or VALUE into my note. */
void channel_note(struct channel *ch, uint64_t value);

/* Is the partner asleep until I answer, and how (enum ipc_answer)? To be read after the answer was posted. */
static inline uint32_t channel_peer_asleep(const struct channel *ch)
{
	return atomic_load_explicit(&ch->theirs->control.answer, memory_order_seq_cst);
}

/* Tell the partner where I run; written only when it changes. */
static inline void channel_publish_cpu(struct channel *ch, uint32_t cpu)
{
	if (atomic_load_explicit(&ch->mine->control.cpu, memory_order_relaxed) != cpu)
		atomic_store_explicit(&ch->mine->control.cpu, cpu, memory_order_relaxed);
}

/* Does the partner look at my request cell by itself? To be read after the call was posted. */
static inline bool channel_peer_hot(const struct channel *ch)
{
	return atomic_load_explicit(&ch->theirs->control.watch, memory_order_seq_cst) == IPC_HOT;
}

/* ---- replacement ---- */

/* Go over to the first of CH->changes, which then becomes the first of CH->former: notes are carried over, calls of the partner that
 * are open are void (see struct open_call). The numbers of my calls go on, those of the partner begin anew. */
void channel_replace(struct channel *ch);

#endif
