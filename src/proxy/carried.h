/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the mirror: the channels, their DCs, and the queues of the two senders. */
#ifndef PROXY_CARRIED_H
#define PROXY_CARRIED_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/list.h"
#include "ipc/inbox.h"
#include "proxy/mirror.h"
#include "proxy/near.h"

/* What readers (and the owner) want the sender to do with a channel. */
enum {
	DUE_AGAIN = 1,	   /* say all that stands in the lane once more */
	DUE_PULL = 2,	   /* ask the far end for that */
	DUE_OUTCOME = 4,   /* what has come of its plain message */
	DUE_REPLY = 8,	   /* the reply once more */
	DUE_NOTE_ACK = 16, /* its notification is delivered */
};

/* What the sender has handed to the sender of bulk. */
enum {
	BULK_CALL = 1,
	BULK_REPLY = 2,
	BULK_END = 4,
};

/* Bit in the flags of the frame end: one comes on either connection, and the channel is over after both. */
#define END_ON_BOTH 1u

#define NEWS_CONNECTS_MAX 256u
#define REFUSALS_MAX 64u
#define TABLE_MIN 64u
/* So long the last words of an endpoint wait for a far end that was not heard yet, or for the link. */
#define LINGER_NS (5 * CLOCK_NS_PER_S)

/* What the channels of a DC share: its turn and its limit. Under queue_lock. */
struct share {
	struct list node; /* in mirror.shares */
	uint32_t dc;
	uint64_t bytes_per_s; /* 0: no limit */
	int64_t tokens;	      /* bytes that may be sent now */
	uint64_t filled_ns;
	struct {
		struct list turn;    /* in mirror.turn[class] while something waits */
		struct list waiting; /* channels, by in_queue[class] */
		uint32_t round;
		uint32_t sent_bytes; /* in it */
	} of[LINK_CLASSES];
};

struct carried {
	/* fixed */
	struct mirror *mirror;
	struct mirror_name name;
	uint32_t instance;
	uint32_t index;
	uint32_t peer_index;
	struct channel_memory memory;
	struct ipc_lane *mine;	 /* of the stand-in */
	struct ipc_lane *theirs; /* of the local endpoint */
	uint8_t *my_window;
	uint8_t *their_window;
	struct share *share;
	/* by anybody */
	_Atomic uint32_t refs;
	_Atomic uint32_t due;
	_Atomic uint32_t bulk;
	_Atomic uint32_t far_instance; /* 0: not known; written under lock */
	_Atomic bool heard;	       /* the far end, since the link is there */
	_Atomic bool ending;	       /* because of its local end: drain, say end, forget */
	_Atomic dvs_err end_reason;
	uint64_t linger_until_ns; /* fixed when it is ending */
	/* under mirror.table_lock */
	struct list in_lingering;
	/* under mirror.queue_lock */
	struct list in_queue[LINK_CLASSES];
	/* under mirror.news_lock */
	struct list in_news;
	struct list in_ready;
	dvs_err over_reason;
	bool over_clean;
	/* under lock, which is not held while something is put or waited for */
	pthread_mutex_t lock;
	bool over;	    /* the lanes are not touched any more */
	unsigned placing;   /* data comes into my_window by this class + 1; 0: none */
	bool missed;	    /* other data came meanwhile and was thrown away */
	unsigned ends;	    /* bits: frame end came by class */
	bool ends_on_both;  /* and has to */
	dvs_err far_reason; /* of the frame end by messages */
	uint64_t returned;  /* the note of that frame */
	/* by the sender of messages only */
	uint32_t sent_call;   /* head; 0: none */
	uint32_t sent_reply;  /* head */
	uint32_t sent_recall; /* number */
	uint32_t told_taken;  /* number */
	bool note_sent;
	bool bulk_used;
	uint64_t unread;    /* notes that go back to the far end */
	struct list flying; /* in sender.flying while its window is referred to */
	/* by the sender of bulk only */
	struct list flying_bulk;
};

/* The senders' side of a class. */
struct sender {
	struct mirror *mirror;
	enum link_class class;
	pthread_t thread;
	bool runs;
	pthread_mutex_t lock; /* held from the first put to the flush; outermost */
	struct list
		flying; /* channels whose windows gathered frames refer to; each has a reference */
	bool gathered;
	/* of the sender of messages: */
	const struct carried *
		only; /* at which it looked in the last rounds, not to be looked into; NULL: at several */
	unsigned streak;
	uint32_t cpu; /* where its endpoint ran */
	struct policy_home home;
};

struct mirror {
	struct mirror_setup setup;
	_Atomic(struct peer_link *) link; /* NULL: not started yet; readers may run already */
	struct copies *copies;		  /* NULL: none are made */
	struct sender sender[LINK_CLASSES];
	struct mirror_figures figures;
	_Atomic bool stops;
	_Atomic uint32_t bulk_bell; /* counts; the sender of bulk sleeps on it */
	/* Changed by the owner and by readers, under the lock for writing. */
	pthread_rwlock_t table_lock;
	struct carried **by_name; /* open hash, power of two */
	uint32_t by_name_size;
	struct carried **by_index; /* IPC_CHANNELS_MAX */
	uint32_t n_channels;
	struct list lingering;	    /* channels that are ending, and out of the table */
	pthread_mutex_t queue_lock; /* inmost */
	struct list shares;
	struct list turn[LINK_CLASSES];
	uint32_t round[LINK_CLASSES]; /* by the sender of the class */
	pthread_mutex_t news_lock;
	struct list overs;
	struct list ready; /* channels whose far end was heard first */
	struct mirror_news connects[NEWS_CONNECTS_MAX];
	uint32_t n_connects;
	struct mirror_news refusals[REFUSALS_MAX]; /* for the sender of messages */
	uint32_t n_refusals;
	bool link_news;
	char link_why[128];
	struct near near; /* of the reader of messages */
	/* By the reader of the class: where the data of the present frame goes. */
	struct carried *placing[LINK_CLASSES];
};

/* ---- table.c ---- */

bool table_open(struct mirror *mirror);
void table_close(struct mirror *mirror);
/* Takes the caller's reference over. EXISTS; NOMEM; FULL. */
DVS_MUST_USE dvs_err table_add(struct mirror *mirror, struct carried *ch);
/* False: it was out already. The table's reference is dropped. */
bool table_remove(struct mirror *mirror, struct carried *ch);
/* Out of the table, but still found: until it has said its last. False: it was out already. */
bool table_linger(struct mirror *mirror, struct carried *ch);
void table_linger_over(struct mirror *mirror, struct carried *ch);
/* The one with this instance, or (0) the present one. With a reference, or NULL. */
struct carried *table_find(struct mirror *mirror, const struct mirror_name *name,
			   uint32_t instance);
struct carried *table_at(struct mirror *mirror, uint32_t index);
/* Mark and ring all of them. */
void table_mark_all(struct mirror *mirror, uint32_t due);
/* The sender of messages is to look at all of them. */
void table_push_all(struct mirror *mirror);

struct carried *carried_new(struct mirror *mirror, const struct mirror_channel *channel);
static inline void carried_get(struct carried *ch)
{
	atomic_fetch_add_explicit(&ch->refs, 1, memory_order_relaxed);
}
void carried_put(struct carried *ch);
/* DUE (0: nothing but a look) for the sender of messages. */
void carried_mark(struct carried *ch, uint32_t due);

/* ---- queue.c ---- */

void queue_push(struct mirror *mirror, enum link_class class, struct carried *ch);
/* The next one whose DC may send, with the queue's reference; NULL: none, *WAIT_NS says how long until one may (UINT64_MAX: nobody waits; 0: the
 * round is full). */
struct carried *queue_pop(struct mirror *mirror, enum link_class class, uint64_t *wait_ns);
void queue_spent(struct mirror *mirror, enum link_class class, struct carried *ch, size_t bytes);
void queue_next_round(struct mirror *mirror, enum link_class class);
void queue_clear(struct mirror *mirror);
/* Made when it is not there; NULL: no memory. */
struct share *queue_share(struct mirror *mirror, uint32_t dc);

/* ---- say.c: frames go out ---- */

/* Look at the channel and put what is new. */
void say_messages(struct sender *sender, struct carried *ch);
void say_bulk(struct sender *sender, struct carried *ch);
/* Tell the far ends whose channels cannot be had. */
void say_refusals(struct sender *sender);
/* Send what is gathered. */
void say_flush(struct sender *sender);

/* ---- hear.c: frames come in ---- */

void *hear_place(void *context, enum link_class class, const struct frame_header *header,
		 struct cursor body);
void hear_frame(void *context, enum link_class class, const struct frame_header *header,
		struct cursor body, void *data);
/* The frame whose data was being placed will not come. */
void hear_broken(struct mirror *mirror, enum link_class class);

/* ---- sender.c ---- */

DVS_MUST_USE dvs_err sender_start(struct mirror *mirror, enum link_class class);
void sender_stop(struct mirror *mirror, enum link_class class);
/* Something was pushed. */
void sender_wake(struct mirror *mirror, enum link_class class);
void sender_init(struct mirror *mirror, enum link_class class);

/* ---- mirror.c ---- */

/* The channel is over, and out of the table: news for the owner. */
void news_over(struct carried *ch, dvs_err reason, bool clean);
/* A frame of the far end has come for the first time. */
void news_ready(struct carried *ch);
void news_connect(struct mirror *mirror, const struct mirror_name *name, uint32_t far_instance,
		  uint32_t wanted);

/* ---- numbers of calls: 24 bits ---- */

/* Is A newer than B, where 0 is older than all? */
static inline bool number_is_newer(uint32_t a, uint32_t b)
{
	uint32_t ahead = (a - b) & IPC_NUMBER_MAX;

	return a != 0 && (b == 0 || (ahead != 0 && ahead <= IPC_NUMBER_MAX / 2));
}

#endif
