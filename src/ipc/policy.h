/* SPDX-License-Identifier: Apache-2.0 */
/* How to wait (decision D3): spin for about as long as a sleep would cost, if that paid lately; sleep otherwise; and sleep on
 * one CPU with a partner that wakes and is woken all the time, because waking another CPU costs ten times as much.
 *
 * Spinning pays only while the partner runs on another CPU. A partner on the same CPU cannot answer before we let go of it, and
 * says so: each side publishes where it last ran.
 */
#ifndef IPC_POLICY_H
#define IPC_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

/* Where other processes can wipe the hints of the inbox, nobody sleeps without looking again: from this time on, doubling up to
 * the second one. */
#define POLICY_LOOK_AGAIN_MIN_NS (10 * CLOCK_NS_PER_MS)
#define POLICY_LOOK_AGAIN_MAX_NS (2000 * CLOCK_NS_PER_MS)
/* The longest spin, about what it costs to sleep and be woken on another CPU. */
#define POLICY_SPIN_MAX_NS 25000u
/* Polls before the clock is first looked at: enough for a partner that is there and waiting. */
#define POLICY_POLLS_MIN 40u
/* A server follows a client's wish (ipc/draw.h) when it was the only one for so many calls. */
#define POLICY_ONLY_CLIENT 6u

struct wait_policy {
	uint32_t credit; /* 0..POLICY_CREDIT_MAX: how often short waits were seen lately */
};

#define POLICY_CREDIT_MAX 64u

static inline void policy_init(struct wait_policy *policy)
{
	policy->credit = POLICY_CREDIT_MAX;
}

/* How long to spin now. With little credit not at all. */
static inline uint32_t policy_spin_ns(const struct wait_policy *policy)
{
	return policy->credit >= 8 ? POLICY_SPIN_MAX_NS : 0;
}

/* A wait took WAITED_NS in all (0: so short that nobody looked at the clock). */
static inline void policy_learn(struct wait_policy *policy, uint64_t waited_ns)
{
	if (waited_ns <= POLICY_SPIN_MAX_NS)
		policy->credit += policy->credit < POLICY_CREDIT_MAX;
	else
		policy->credit -= policy->credit / 4 + (policy->credit > 0 && policy->credit < 4);
}

/* The CPU this thread runs on, plus 1. */
uint32_t policy_cpu(void);

/* The affinity of the calling thread, changed for a sleep. policy_unbind() gives the old one back. */
struct policy_binding {
	unsigned char mask[128];
	bool bound;
};

/* Keep the calling thread off CPU (plus 1) for a sleep. Nothing changes if that leaves no CPU. */
void policy_avoid(struct policy_binding *binding, uint32_t cpu);

/* Bind it to CPU (plus 1). False: nothing has changed. */
bool policy_bind(struct policy_binding *binding, uint32_t cpu);

void policy_unbind(struct policy_binding *binding);

/* Sleeping on a certain CPU. The scheduler often wakes a thread there by itself; binding it for the sleep costs two system calls,
 * so that is done for a while after it was found elsewhere. */
struct policy_home {
	struct policy_binding binding;
	uint32_t bound_sleeps; /* so many more are bound */
	uint32_t bound_next;   /* after the next time it is found elsewhere, so many are */
};

/* To be called around a sleep on CPU (plus 1). */
void policy_home_begin(struct policy_home *home, uint32_t cpu);
void policy_home_end(struct policy_home *home, uint32_t cpu);

/* Leave CPU (plus 1) for another one that the thread's affinity allows, if there is one; the affinity is the same afterwards. */
bool policy_leave(uint32_t cpu);

/* One turn of a spin. */
static inline void policy_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield" ::: "memory");
#else
	__asm__ volatile("" ::: "memory");
#endif
}

#endif
