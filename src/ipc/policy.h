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

/* Bind the calling thread to CPU (plus 1) for a sleep. Returns false, and changes nothing, if the thread's affinity has only
 * one CPU or leaves CPU out. policy_unbind() gives the old affinity back. */
struct policy_binding {
	unsigned char mask[128];
	bool bound;
};

void policy_bind(struct policy_binding *binding, uint32_t cpu);
/* Keep the calling thread off CPU (plus 1) for a sleep, in the same way. */
void policy_avoid(struct policy_binding *binding, uint32_t cpu);

void policy_unbind(struct policy_binding *binding);

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
