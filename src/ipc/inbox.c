/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/inbox.h"

#include <limits.h>

#include "ipc/futex.h"

/* A sleeper is woken by whoever takes the sleep bits off the bell, so that one sleep costs one wake-up. All waiters
 * are woken, not one: a partner that itself waits on the word must not swallow the wake-up. */
static int bell_wake(struct ipc_inbox *inbox, uint32_t asleep)
{
	uint32_t bell = atomic_load_explicit(&inbox->bell, memory_order_seq_cst);

	while (bell & asleep) {
		uint32_t rung = (bell & ~(IPC_BELL_SLEEPS | IPC_BELL_WAITS)) + IPC_BELL_RING;

		if (atomic_compare_exchange_weak(&inbox->bell, &bell, rung)) {
			futex_wake(&inbox->bell, INT_MAX);
			return 1;
		}
	}
	return 0;
}

int inbox_ring_request(struct ipc_inbox *inbox, uint32_t channel)
{
	uint32_t word = channel / 64;
	uint64_t bit = UINT64_C(1) << (channel % 64);

	if (channel >= IPC_CHANNELS_MAX)
		return 0;
	if (word == 0) {
		atomic_fetch_or(&inbox->first, bit);
	} else {
		word--;
		atomic_fetch_or(&inbox->more[word], bit);
		atomic_fetch_or(&inbox->summary[word / 64], UINT64_C(1) << (word % 64));
	}
	return bell_wake(inbox, IPC_BELL_SLEEPS);
}

int inbox_ring_answer(struct ipc_inbox *inbox)
{
	return bell_wake(inbox, IPC_BELL_SLEEPS | IPC_BELL_WAITS);
}

void inbox_ring_event(struct ipc_inbox *inbox)
{
	atomic_fetch_add(&inbox->events, 1);
	atomic_fetch_add(&inbox->bell, IPC_BELL_RING);
	futex_wake(&inbox->bell, INT_MAX);
}
