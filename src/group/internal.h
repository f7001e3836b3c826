/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of `ordered` share. docs/architecture/groups.md tells the protocol. */
#ifndef GROUP_INTERNAL_H
#define GROUP_INTERNAL_H

#include "base/cursor.h"
#include "base/list.h"
#include "group/ordered.h"

enum message_kind {
	MESSAGE_WORD = 1, /* round 1: what I have */
	MESSAGE_PROMISE,  /* round 2: I take part in nothing older any more */
	MESSAGE_HEAD,	  /* the donor: my state, and how many entries follow */
	MESSAGE_TAIL,	  /* the donor: entries that are not applied yet */
	MESSAGE_NEED,	  /* my state is not one that those entries lead on from */
	MESSAGE_SNAP_BEGIN,
	MESSAGE_SNAP_PIECE,
	MESSAGE_SNAP_END,
	MESSAGE_AGREE, /* round 3: I have the donor's log */
	MESSAGE_ENTRIES,
	MESSAGE_ACK, /* I have the log as far as that */
};

enum phase {
	PHASE_ALONE, /* no view */
	PHASE_WORDS,
	PHASE_PROMISES,
	PHASE_TRANSFER,
	PHASE_OPEN, /* established */
};

enum entry_kind { ENTRY_APP = 0, ENTRY_NODE_LOST = 1 };

/* Message kind and epoch. */
#define PIECE_HEAD_BYTES 9u
#define ENTRY_HEAD_BYTES 25u

/* Numbers what a member submits. LIFE is the epoch of the first view that it was established in since it was started, so that
 * numbers of one who was started again are higher than all before. */
struct serial {
	uint64_t life;
	uint64_t n;
};

/* An entry that is delivered and not applied yet. */
struct entry {
	struct list link;
	uint32_t node;
	enum entry_kind kind;
	struct serial serial;
	uint64_t index;
	uint64_t chain; /* hash of this entry and all before it */
	uint32_t len;
	uint8_t bytes[];
};

/* An entry of our own. */
struct own {
	struct list link;
	uint64_t n;	/* of its serial */
	uint64_t epoch; /* in which it was cast */
	uint64_t cookie;
	enum entry_kind kind;
	bool keep;
	uint32_t len;
	uint8_t bytes[];
};

/* A message that waits to be cast. */
struct out {
	struct list link;
	uint32_t len;
	uint8_t bytes[];
};

/* A place in the order: so many entries, and the hash over them. */
struct place {
	uint64_t index;
	uint64_t chain;
};

struct word {
	uint64_t life;	     /* 0: in no established view yet */
	uint64_t view_epoch; /* of its last established view */
	uint64_t log_epoch;  /* of the view that extended its log last */
	struct place last;   /* end of its log */
	uint64_t attempt;    /* highest epoch it has promised */
	uint64_t members;    /* of its last established view */
	uint64_t died;	     /* those of them that are gone, but whose node may be there */
	uint64_t said_bye;   /* the same, and they said so */
	uint64_t lingering;  /* gone earlier so */
};

/* What all members compute alike from the words. */
struct decision {
	uint64_t epoch;
	uint32_t donor;
};

/* What a member takes over from the donor. */
struct transfer {
	bool head_seen;
	struct place applied; /* the donor's */
	struct place last;
	uint64_t digest;
	uint32_t n_tail; /* announced */
	uint32_t n_have;
	struct list tail;
	bool need;    /* we asked for a snapshot */
	bool loading; /* load_begin was called */
	uint64_t known_from;
	struct serial seen[GROUP_MEMBERS_MAX];
	/* donor: */
	bool sent_snapshot;
};

struct ordered {
	struct ordered_app app;
	struct engine *engine;
	uint32_t node;
	bool dispatching;
	bool flushing;
	bool applying;
	dvs_err failed;
	const char *failed_why;

	/* the engine's view */
	enum phase phase;
	uint64_t members;
	enum { QUORUM_OPEN, QUORUM_YES, QUORUM_NO } quorum;
	uint64_t reach;
	bool hope; /* entries may wait for the view to be established */
	bool ready;
	bool word_cast;

	/* establishing */
	uint64_t words_from;
	struct word words[GROUP_MEMBERS_MAX];
	uint64_t promises_from;
	uint64_t agreed_from;
	struct decision decision;
	struct transfer transfer;

	/* the log */
	uint64_t log_epoch;
	uint64_t attempt;
	uint64_t life; /* 0: fresh, in no established view since it was opened */
	struct place applied;
	struct place last;
	struct list log;		   /* struct entry, (applied, last] */
	uint64_t stable;		   /* index up to which all members have it */
	uint64_t acked[GROUP_MEMBERS_MAX]; /* by the others */
	bool want_ack;
	struct serial seen_applied[GROUP_MEMBERS_MAX]; /* the last of each node among the applied */
	struct serial seen[GROUP_MEMBERS_MAX];	       /* and with the log */

	/* From this epoch on `seen` is complete: one who was started again does not know what there was before, and when
	 * such a one is the donor nobody knows any more. */
	uint64_t known_from;

	/* the last established view */
	uint64_t view_epoch;
	uint64_t established;
	uint64_t died;
	uint64_t said_bye;
	uint64_t lingering;
	bool snapshot_taken; /* since then */

	/* ours */
	uint64_t last_n;
	struct list queue;  /* struct own, not cast */
	struct list flight; /* struct own, cast and not applied, in this epoch or an earlier one */
	size_t queue_bytes;
	size_t window;	    /* cast, not delivered */
	struct list outbox; /* struct out */

	uint8_t buffer[GROUP_CAST_MAX];	 /* what is being cast */
	uint8_t scratch[GROUP_CAST_MAX]; /* what goes to the outbox */
};

static inline uint64_t bit(uint32_t node)
{
	return UINT64_C(1) << node;
}

/* ---- ordered.c ---- */

/* Cast what waits as far as the engine and the window let. */
void ordered_flush(struct ordered *ordered);
/* Give up for good, when the present call is done. */
void ordered_fail(struct ordered *ordered, dvs_err err, const char *why);
/* Queue a message of LEN bytes at BYTES. */
void outbox_add(struct ordered *ordered, const void *bytes, size_t len);
void list_free(struct list *list);
/* Tell the app when it has changed. */
void ready_update(struct ordered *ordered);
/* No quorum for who waits: refuse what is not to be kept. */
void hope_end(struct ordered *ordered);
dvs_err own_add(struct ordered *ordered, enum entry_kind kind, uint64_t cookie, const void *bytes,
		size_t len, bool keep);
/* Ask for the entry that says so, if a lingering node is not reachable, and it is on us to ask. */
void lingering_look(struct ordered *ordered);

/* ---- entries.c ---- */

uint64_t chain_start(uint64_t epoch, uint64_t index, uint64_t digest);
/* The chain goes on with a view: who has seen another one has another state. */
uint64_t chain_view(uint64_t chain, uint64_t epoch, uint64_t members);
/* Read an entry as entry_write() wrote it, to follow AFTER. NULL: malformed (IN has failed), or out of memory (it has not). */
struct entry *entry_read(struct cursor *in, const struct place *after);
void entry_write(struct writer *out, uint32_t node, struct serial serial, enum entry_kind kind,
		 const void *bytes, uint32_t len);
/* Some of our entries were delivered to all, cast by NODE. */
void on_entries(struct ordered *ordered, uint32_t node, struct cursor *in);
void on_ack(struct ordered *ordered, uint32_t node, struct cursor *in);
void ack_write(struct ordered *ordered, struct writer *out);
/* Apply what is stable. */
void log_apply(struct ordered *ordered);
/* The end of the log, and what it has of whom, from the entries in it. */
void log_recount(struct ordered *ordered);
void log_clear(struct ordered *ordered);
/* Tell what became of our entries that were cast before a snapshot was taken. */
void flight_resolve(struct ordered *ordered);
/* What is still in flight was not taken into the log: it is to be cast again. */
void flight_requeue(struct ordered *ordered);

/* ---- establish.c ---- */

void establish_restart(struct ordered *ordered);
void establish_stop(struct ordered *ordered);
void word_cast(struct ordered *ordered);
void on_word(struct ordered *ordered, uint32_t node, struct cursor *in);
void on_promise(struct ordered *ordered, uint32_t node, struct cursor *in);
void agree_cast(struct ordered *ordered);
void on_agree(struct ordered *ordered, uint32_t node, struct cursor *in);

/* ---- transfer.c ---- */

/* All have promised: the donor gives what it has. */
void transfer_begin(struct ordered *ordered);
void transfer_drop(struct ordered *ordered);
void on_head(struct ordered *ordered, uint32_t node, struct cursor *in);
void on_tail(struct ordered *ordered, uint32_t node, struct cursor *in);
void on_need(struct ordered *ordered, uint32_t node, struct cursor *in);
void on_snap_begin(struct ordered *ordered, uint32_t node, struct cursor *in);
void on_snap_piece(struct ordered *ordered, uint32_t node, struct cursor *in);
void on_snap_end(struct ordered *ordered, uint32_t node, struct cursor *in);

#endif
