/* SPDX-License-Identifier: Apache-2.0
 *
 * M3-IPC, the communication calls: messages, notifications, attached data and copies between the endpoints of one
 * distributed container (DC). The management calls (bind, privileges, migration...) are in dvs/dvk.h.
 *
 * The semantics are those of Minix 3 as the M3-IPC paper (Pessolani et al., "An IPC Software Layer for Building a
 * Distributed Virtualization System") carries them to a DC: a rendezvous without buffers. Names never tell where a
 * partner runs.
 *
 * Rules for every call:
 * - SELF is a handle from dvk_bind() or dvk_wait_bound(). Only the thread that got it may use it: others get
 *   DVS_NOTBOUND. Threads with handles of their own run in parallel and share no lock.
 * - TIMEOUT_MS: 0 tries without waiting, DVS_FOREVER waits without end, else milliseconds (up to DVS_TIMEOUT_MAX_MS).
 * - Memory given by pointer stays the caller's and may be reused when the call returns.
 * - Signals do not end a call; m3_wakeup() does.
 * - While this endpoint is a backup, or migrates, every call waits (within its time-out) until it is promoted, or until
 *   the migration ends.
 * - All a partner sends is untrusted: only `source` is certain, it comes from the channel and not from the bytes.
 * Any call may return DVS_NOTBOUND (the handle was unbound), DVS_BADARG (NULL, or a value outside its range),
 * DVS_NODVSD (a new partner had to be looked up and dvsd did not answer in time); the others are named at each call.
 */
#ifndef DVS_M3IPC_H
#define DVS_M3IPC_H

#include <stddef.h>
#include <stdint.h>

#include <dvs/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DVS_FOREVER UINT32_MAX
#define DVS_TIMEOUT_MAX_MS UINT32_C(0x7fffffff)
/* Bytes of data that one call can carry in each direction. */
#define DVS_DATA_MAX ((size_t)1 << 20)
/* Bytes that one m3_copy() can move. */
#define DVS_COPY_MAX ((uint64_t)1 << 30)

/* An endpoint: number in the low 20 bits, generation in the high 12. A generation of 0 addresses whoever is bound to the
 * number now; the endpoints that calls report carry the generation, and once that binding is over they are refused. */
typedef struct dvs_ep {
	uint32_t n;
} dvs_ep;

#define DVS_EP_NUMBER_BITS 20
#define DVS_EP_NUMBER_MAX ((UINT32_C(1) << DVS_EP_NUMBER_BITS) - 2)
/* Numbers below this one are for servers: binding them needs DVS_MAY_BIND. */
#define DVS_EP_SERVERS UINT32_C(1024)

static inline dvs_ep dvs_ep_of(uint32_t number)
{
	dvs_ep ep = { number };
	return ep;
}

static inline uint32_t dvs_ep_number(dvs_ep ep)
{
	return ep.n & ((UINT32_C(1) << DVS_EP_NUMBER_BITS) - 1);
}

static inline uint32_t dvs_ep_generation(dvs_ep ep)
{
	return ep.n >> DVS_EP_NUMBER_BITS;
}

/* Any endpoint: as the source of m3_receive(), as the grantee of m3_grant(), as the number wanted of dvk_bind(). */
static inline dvs_ep dvs_ep_any(void)
{
	return dvs_ep_of(UINT32_MAX);
}

static inline int dvs_ep_is_any(dvs_ep ep)
{
	return ep.n == UINT32_MAX;
}

#define DVS_PAYLOAD_BYTES 56

/* A message: 64 bytes. `source` is set by the receiver's side; what a sender writes there is ignored. */
struct dvs_msg {
	dvs_ep source;
	uint32_t type; /* below DVS_TYPE_RESERVED for messages; the meaning is the partners' own */
	union {
		uint8_t bytes[DVS_PAYLOAD_BYTES];
		uint32_t u32[DVS_PAYLOAD_BYTES / 4];
		int32_t i32[DVS_PAYLOAD_BYTES / 4];
		uint64_t u64[DVS_PAYLOAD_BYTES / 8];
		int64_t i64[DVS_PAYLOAD_BYTES / 8];
	};
};

#define DVS_TYPE_RESERVED UINT32_C(0xfffffff0)
/* The type of a received notification; its merged value is in u64[0]. */
#define DVS_TYPE_NOTIFY UINT32_C(0xffffffff)
/* A notification's value has 63 bits. */
#define DVS_NOTIFY_VALUE_MAX (UINT64_MAX >> 1)

/* One bound endpoint, as its thread holds it. */
struct m3;

/* The endpoint of SELF, with its generation. Never fails. */
DVS_PUBLIC dvs_ep m3_self(const struct m3 *self);

/* Send MSG to DST and wait until DST has received it. If DST waits for the reply to a request that SELF has received, MSG is
 * that reply, as in Minix.
 * NODEST: nobody is bound to DST, or its generation is over.  DENIED: SELF may not call DST.
 * PEERDEAD: DST exited before it received.  DEADLOCK: DST waits, directly or through others, for SELF.
 * TIMEOUT: DST did not receive in time, and now never will.  WOKEN: m3_wakeup() ended the wait; as with TIMEOUT.
 * NODEDOWN: the node of DST is down, was cut off or does not answer: it may have received or not. Only the other node knows that, and is asked for up to
 * 12 s beyond the time-out. */
DVS_PUBLIC DVS_MUST_USE dvs_err m3_send(struct m3 *self, dvs_ep dst, const struct dvs_msg *msg,
					uint32_t timeout_ms);

/* Wait for a message, a request or a notification from SRC, or from anyone (dvs_ep_any()), into MSG.
 * Notifications come first, lowest channel first, then callers in turn, none passed over twice.
 * From one source: NODEST, DENIED and PEERDEAD as in m3_send().  TIMEOUT: nobody came.  WOKEN: m3_wakeup(). */
DVS_PUBLIC DVS_MUST_USE dvs_err m3_receive(struct m3 *self, dvs_ep src, struct dvs_msg *msg,
					   uint32_t timeout_ms);

/* As m3_receive() from anyone, but take only requests: what arrives by m3_sendrec() or m3_call() and must be answered.
 * Other messages and notifications stay for m3_receive(). */
DVS_PUBLIC DVS_MUST_USE dvs_err m3_receive_request(struct m3 *self, struct dvs_msg *msg,
						   uint32_t timeout_ms);

/* Send the request MSG to DST and wait for the reply, which replaces MSG. One operation: nothing comes between.
 * Errors as m3_send() (DENIED also: who was asked handed the request on and may not), except TIMEOUT and WOKEN: no reply came, DST may or may not have worked on the request, and
 * a reply that comes later is dropped. */
DVS_PUBLIC DVS_MUST_USE dvs_err m3_sendrec(struct m3 *self, dvs_ep dst, struct dvs_msg *msg,
					   uint32_t timeout_ms);

/* As m3_sendrec(), with data: OUT_LEN bytes at OUT go with the request; up to IN_CAP bytes that come with the reply are
 * stored at IN, and *IN_LEN (may be NULL) tells how many. OUT may be NULL when OUT_LEN is 0, IN when IN_CAP is 0.
 * TOOBIG: OUT_LEN or IN_CAP exceed DVS_DATA_MAX. */
DVS_PUBLIC DVS_MUST_USE dvs_err m3_call(struct m3 *self, dvs_ep dst, struct dvs_msg *msg,
					const void *out, size_t out_len, void *in, size_t in_cap,
					size_t *in_len, uint32_t timeout_ms);

/* Where SELF may write the data of its next call to DST in place: pass *WINDOW as OUT of m3_call(), then nothing is copied.
 * DVS_DATA_MAX bytes, valid until DST is gone or replaced; after each call it must be asked for again. Errors as m3_send(). */
DVS_PUBLIC DVS_MUST_USE dvs_err m3_call_window(struct m3 *self, dvs_ep dst, uint32_t timeout_ms,
					       void **window);

/* Answer the oldest request that CLIENT made and SELF has received and not answered. Never waits.
 * NOTWAITING: there is none, or SELF is a backup now.  PEERDEAD: CLIENT is gone.  A client that stopped waiting drops the reply: that is not
 * an error here. */
DVS_PUBLIC DVS_MUST_USE dvs_err m3_reply(struct m3 *self, dvs_ep client, const struct dvs_msg *msg);

/* As m3_reply(), with LEN bytes at DATA. DATA may be the address that m3_reply_window() gave: then nothing is copied.
 * TOOBIG: the client takes fewer bytes (see m3_delivery); the request stays unanswered. */
DVS_PUBLIC DVS_MUST_USE dvs_err m3_reply_data(struct m3 *self, dvs_ep client,
					      const struct dvs_msg *msg, const void *data,
					      size_t len);

/* Hand the oldest unanswered request of CLIENT on to DST, as MSG, with the data that the client attached. DST sees
 * CLIENT as the source, and that SELF has handed it on (m3_delivery.relayed_by), and answers it; SELF is out of it. Never
 * waits for DST. The client's own library carries the request over, so the client needs the privilege to call DST. Needs
 * DVS_MAY_RELAY.
 * NOTWAITING: as m3_reply().  DENIED: SELF may not relay; the request stays unanswered.  The client gets NODEST, DENIED or
 * PEERDEAD if DST cannot be called. */
DVS_PUBLIC DVS_MUST_USE dvs_err m3_relay(struct m3 *self, dvs_ep client, dvs_ep dst,
					 const struct dvs_msg *msg);

/* Tell DST something without waiting: VALUE (up to DVS_NOTIFY_VALUE_MAX) is or-ed into what DST has not yet received
 * from SELF. One that is sent while DST is parked for a migration is carried over when SELF next enters the library. NODEST, DENIED as m3_send(). (The first call to a new partner looks it up at dvsd.) */
DVS_PUBLIC DVS_MUST_USE dvs_err m3_notify(struct m3 *self, dvs_ep dst, uint64_t value);

/* End the wait of DST: its present call returns DVS_WOKEN, or if it does not wait now, its next wait does.
 * Several wake-ups before that are one. Needs DVS_MAY_WAKE, except for endpoints of the same process.
 * NODEST, DENIED. */
DVS_PUBLIC DVS_MUST_USE dvs_err m3_wakeup(struct m3 *self, dvs_ep dst);

/* ---- what came with the message last received ---- */

enum m3_kind {
	M3_MESSAGE = 1, /* by m3_send(): nobody waits any more */
	M3_REQUEST = 2, /* by m3_sendrec() or m3_call(): the source waits for m3_reply() */
	M3_NOTIFY = 3,
};

struct m3_delivery {
	dvs_ep source;
	enum m3_kind kind;
	/* Numbers the calls of this source; the same when it is sent again after a promotion. */
	uint32_t call;
	/* Nonzero: sent again after a promotion; the former primary may have worked on it. */
	int resent;
	/* Who has handed the request on with m3_relay(); dvs_ep_any(): nobody, the source called by itself. What it says then
	 * comes from that endpoint, as the source's library passed it on. */
	dvs_ep relayed_by;
	/* Attached data in place, NULL if none; valid until the reply. The partner can change it at
	 * any time: copy first, then check. */
	const void *data;
	size_t data_bytes;
	size_t reply_cap; /* how many bytes the source takes with the reply */
};

/* Describe the message that SELF received last. NOTBOUND also before the first one. Never waits. */
DVS_PUBLIC DVS_MUST_USE dvs_err m3_delivered(struct m3 *self, struct m3_delivery *delivery);

/* Where SELF may write the data of its reply to CLIENT in place, and how much fits. Valid until the reply.
 * NOTWAITING as m3_reply(). */
DVS_PUBLIC DVS_MUST_USE dvs_err m3_reply_window(struct m3 *self, dvs_ep client, void **window,
						size_t *cap);

/* As m3_reply_data(), for a server that answers out of order: CALL is m3_delivery.call. Calls of that client that it
 * has given up are skipped, so that a late answer is never taken for another's. NOTWAITING: CALL is not open. */
DVS_PUBLIC DVS_MUST_USE dvs_err m3_reply_call(struct m3 *self, dvs_ep client, uint32_t call,
					      const struct dvs_msg *msg, const void *data,
					      size_t len);

/* ---- grants and copies between address spaces (papers: vcopy) ---- */

#define M3_GRANT_READ 1u
#define M3_GRANT_WRITE 2u

/* Let GRANTEE (or anyone in the DC: dvs_ep_any()) read or write LEN bytes at ADDR of this process, by m3_copy().
 * *GRANT is above 0 and unique for this endpoint. FULL: too many grants. Grants end with m3_revoke() or the binding. */
DVS_PUBLIC DVS_MUST_USE dvs_err m3_grant(struct m3 *self, dvs_ep grantee, void *addr, uint64_t len,
					 unsigned rights, uint32_t *grant);

/* End a grant. When it returns no copy uses it any more. NOGRANT. */
DVS_PUBLIC DVS_MUST_USE dvs_err m3_revoke(struct m3 *self, uint32_t grant);

/* One side of a copy: OFFSET into GRANT of OWNER; or with GRANT 0 and OWNER equal to SELF, ADDR in this process. */
struct m3_span {
	dvs_ep owner;
	uint32_t grant;
	uint64_t offset;
	void *addr;
};

/* Copy BYTES from one span to the other, and wait for it. SELF may be either side, or, with DVS_MAY_COPY, neither: then
 * the grants must name SELF or anyone. NODEST, NOGRANT, DENIED; TOOBIG: BYTES exceeds a grant or DVS_COPY_MAX;
 * FAULT: the memory behind a grant is not mapped; PEERDEAD: an owner exited; what was copied until then stays. */
DVS_PUBLIC DVS_MUST_USE dvs_err m3_copy(struct m3 *self, const struct m3_span *from,
					const struct m3_span *to, uint64_t bytes);

#ifdef __cplusplus
}
#endif
#endif
