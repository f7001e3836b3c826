/* SPDX-License-Identifier: Apache-2.0
 *
 * The memory that processes share to talk: the only description of its bytes.
 *
 * Three kinds of sealed memfd (sealed against growing, shrinking and further seals; all made by dvsd):
 *
 *   channel     two lanes, one per side, then two windows for attached data. Mapped by the two partners only. A lane and a
 *               window are written by the side they belong to, and everything in them is hostile input to the other side.
 *               Two words are exceptions: the reader takes a plain message by changing `request.head` from M3 SEND to
 *               TAKEN, and empties `note`. When the partner lives on another node, the other side of the memory is a proxy's,
 *               which mirrors the partner's lane (docs/decisions/0011); it makes CARRIED of SEND, too.
 *   inbox area  one page (an inbox) per endpoint of a process. Mapped by the process, by its partners and by dvsd. Anyone
 *               of these can write anything into it, so it holds hints only: who may have something to say, and whether
 *               the owner sleeps. Lost hints cost a bounded delay (see ipc/wait.h), never correctness.
 *   stats area  one record per endpoint. Written by the process, read by dvsd and, through it, by dvs.
 *
 * No lock lives in shared memory: a process killed at any instruction leaves nothing that another must repair.
 */
#ifndef IPC_LAYOUT_H
#define IPC_LAYOUT_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/m3ipc.h>

#define IPC_PAGE 4096u
#define IPC_LINE 64u

/* ---- the channel ---- */

/* `head` of a cell: a number in the high 24 bits, which never is 0 for a posted cell, and the kind in the low 8. */
enum ipc_kind {
	IPC_NONE = 0,  /* nothing; also: withdrawn */
	IPC_SEND = 1,  /* plain message: the receiver takes it by changing the kind to IPC_TAKEN */
	IPC_TAKEN = 2, /* plain message that was received */
	IPC_REQUEST = 3, /* the reply with the same number answers it */
	IPC_REPLY = 4,
	/* In a reply cell: call the endpoint in ext.relay_to instead, with this message. */
	IPC_RELAYED = 5,
	/* Plain message that a proxy has taken charge of: it changes it to IPC_TAKEN, or ... */
	IPC_CARRIED = 6,
	/* ... to IPC_NONE, but only after its sender has changed it to this: it wants it back. */
	IPC_RECALLED = 7,
};
#define IPC_HAS_DATA UINT32_C(0x80) /* or-ed to the kind: lengths stand in ext */
#define IPC_RESENT UINT32_C(0x40) /* or-ed to the kind of a request: sent again after a promotion */
#define IPC_RELAYED_CALL \
	UINT32_C(0x20) /* or-ed to the kind of a request: ext.relayed_by has handed it on */
#define IPC_KIND(head) ((head)&UINT32_C(0x1f))
#define IPC_NUMBER(head) ((head) >> 8)
#define IPC_HEAD(number, kind) (((uint32_t)(number) << 8) | (uint32_t)(kind))
#define IPC_NUMBER_MAX UINT32_C(0xffffff)

#define IPC_CELL_WORDS (DVS_PAYLOAD_BYTES / 8)

/* A message in flight: one cache line, so that a message costs one line transfer. */
struct ipc_cell {
	_Alignas(IPC_LINE) _Atomic uint32_t head; /* written last */
	_Atomic uint32_t type;
	_Atomic uint64_t payload[IPC_CELL_WORDS];
};

/* What the owner of the lane does about the other side's lane. */
enum ipc_watch {
	IPC_AWAY = 0, /* set the bit in my inbox, and wake me if I sleep */
	IPC_HOT = 1,  /* I look at your request cell by myself before I sleep */
};
enum ipc_answer {
	IPC_SPINNING = 0, /* I look for the answer by myself */
	IPC_ASLEEP = 1, /* ring my bell when you answer; if you are busy, within IPC_DEFER_MAX_NS */
	IPC_ASLEEP_LONG = 2, /* ring it at once: nothing else ends my sleep */
	/* A proxy, which has one bell for many channels: set my bit and ring at once, as for a request, when you answer or have received. */
	IPC_ASLEEP_BIT = 3,
};

/* A caller's first sleep ends by itself after this time. */
#define IPC_DEFER_MAX_NS UINT64_C(20000000)

#define IPC_NOTE_PENDING (UINT64_C(1) << 63)

struct ipc_control {
	_Alignas(IPC_LINE) _Atomic uint32_t watch; /* enum ipc_watch: for requests to me */
	_Atomic uint32_t answer;		   /* enum ipc_answer: for answers to me */
	_Atomic uint32_t cpu;  /* where I ran when I last waited, plus 1; 0: unknown */
	_Atomic uint32_t draw; /* I call rarely from this CPU, plus 1: sleep there; 0: no wish */
	/* Notifications: IPC_NOTE_PENDING and the or-ed values. The reader empties it. Here, because the reader looks here anyway. */
	_Atomic uint64_t note;
};

struct ipc_ext {
	_Alignas(IPC_LINE) _Atomic uint32_t out_bytes; /* of the request, in my window */
	_Atomic uint32_t in_cap;		       /* how much data of the reply I take */
	_Atomic uint32_t reply_bytes;		       /* of my reply, in my window */
	_Atomic uint32_t relay_to;		       /* endpoint of an IPC_RELAYED reply */
	_Atomic uint32_t relayed_by; /* endpoint because of whose reply this request is made */
};

/* In a lane that a proxy writes: what it must know after it was killed and started again. */
struct ipc_carry {
	/* Of the channel on the other node; 0: not known yet. */
	_Alignas(IPC_LINE) _Atomic uint32_t far_instance;
	/* Count of the partner's notification that was put into this lane last. */
	_Atomic uint32_t notes_in;
	/* Count of the one that was taken out of the other lane last, ... */
	_Atomic uint32_t notes_out;
	/* ... and itself (IPC_NOTE_PENDING and the value) until the other node has it; 0: it has. */
	_Atomic uint64_t note_held;
	/* Of this channel here: dvsd writes it when it makes the channel, and reads it when it was started again. */
	_Atomic uint32_t instance;
};

struct ipc_lane {
	struct ipc_cell request;
	/* The pair of lines that a prefetcher fetches together belongs to one writer and reader. */
	struct ipc_cell pad0;
	struct ipc_cell reply;
	struct ipc_cell pad1;
	struct ipc_control control;
	struct ipc_ext ext;
	struct ipc_carry carry;
};

struct ipc_channel {
	struct ipc_lane lane[2];
};

#define IPC_WINDOW_BYTES DVS_DATA_MAX
#define IPC_WINDOW_OFFSET(side) (IPC_PAGE + (size_t)(side)*IPC_WINDOW_BYTES)
#define IPC_CHANNEL_BYTES (IPC_PAGE + 2 * IPC_WINDOW_BYTES)

static_assert(sizeof(struct ipc_cell) == IPC_LINE, "a message is one cache line");
static_assert(sizeof(struct ipc_channel) <= IPC_PAGE, "the lanes fit the first page");

/* ---- the inbox ---- */

/* Bits of `bell`: who may ring, the rest counts the rings. The owner sleeps on this word. */
#define IPC_BELL_SLEEPS UINT32_C(1) /* asleep, wants to hear of requests and notifications */
#define IPC_BELL_WAITS UINT32_C(2)  /* asleep, wants to hear of one answer only */
#define IPC_BELL_RING UINT32_C(4)

/* Channels of an endpoint are numbered from 0; number c has bit c % 64 of word c / 64. Word 0 is `first` and stands beside
 * the bell; the others are in `more`, where bit w of `summary` says that word w + 1 may have bits. */
#define IPC_MORE_WORDS 255u
#define IPC_CHANNELS_MAX (64u * (1u + IPC_MORE_WORDS))

struct ipc_inbox {
	_Alignas(IPC_LINE) _Atomic uint32_t bell;
	_Atomic uint32_t events; /* dvsd counts here what it has sent over the control socket */
	_Atomic uint64_t first;
	_Atomic uint64_t summary[4];
	_Alignas(IPC_LINE) _Atomic uint64_t more[IPC_MORE_WORDS];
};

static_assert(sizeof(struct ipc_inbox) <= IPC_PAGE, "an inbox is one page");

/* Endpoints of one process. */
#define IPC_SLOTS_MAX 16384u
#define IPC_AREA_BYTES ((size_t)IPC_SLOTS_MAX * IPC_PAGE)

/* ---- the statistics ---- */

struct ipc_stats {
	_Alignas(IPC_LINE) _Atomic uint32_t ep; /* 0: this record is free */
	_Atomic uint32_t activity;		/* enum dvk_activity */
	_Atomic uint32_t partner;		/* endpoint of the present call */
	_Atomic uint32_t tracing;		/* nonzero: records go to the trace ring */
	_Atomic uint64_t messages_in;
	_Atomic uint64_t messages_out;
	_Atomic uint64_t bytes_in;
	_Atomic uint64_t bytes_out;
	_Atomic uint64_t notifies_in;
	_Atomic uint64_t sleeps;
};

#define IPC_STATS_BYTES ((size_t)IPC_SLOTS_MAX * sizeof(struct ipc_stats))
static_assert(sizeof(struct ipc_stats) == IPC_LINE, "one line per endpoint");

/* ---- the trace ring: written by the traced process, read by dvs ---- */

struct ipc_trace_record {
	/* 1, 2, ...; written last; 0 while it is being written. */
	_Alignas(IPC_LINE) _Atomic uint64_t number;
	_Atomic uint64_t time_ns;
	_Atomic uint32_t self;
	_Atomic uint32_t partner;
	_Atomic uint32_t what; /* enum ipc_trace_what */
	_Atomic uint32_t type;
	_Atomic uint32_t data_bytes;
	_Atomic uint32_t result; /* dvs_err */
};

enum ipc_trace_what {
	IPC_TRACE_SEND = 1,
	IPC_TRACE_CALL = 2,    /* request goes out */
	IPC_TRACE_RETURN = 3,  /* the reply is in, or the call failed */
	IPC_TRACE_RECEIVE = 4, /* a message was received */
	IPC_TRACE_REQUEST = 5, /* a request was received */
	IPC_TRACE_REPLY = 6,
	IPC_TRACE_NOTIFY = 7,	/* a notification goes out */
	IPC_TRACE_NOTIFIED = 8, /* a notification was received */
	IPC_TRACE_RELAY = 9,
};

#define IPC_TRACE_RECORDS 4096u

struct ipc_trace {
	_Alignas(IPC_LINE) _Atomic uint64_t written; /* number of the last record */
	_Atomic uint32_t bell; /* counts up with each record; the reader waits on it */
	_Atomic uint32_t reader_sleeps;
	_Atomic uint32_t ended; /* the endpoint is unbound */
	_Alignas(IPC_LINE) struct ipc_trace_record record[IPC_TRACE_RECORDS];
};

#endif
