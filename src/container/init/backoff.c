/* SPDX-License-Identifier: Apache-2.0 */
#include "container/init/backoff.h"

#include "base/clock.h"

static uint32_t delay_ms(const struct backoff *backoff)
{
	uint64_t delay = backoff->first_ms > 0 ? backoff->first_ms : 1;

	for (uint32_t i = 0; i < backoff->count && delay < BACKOFF_MAX_MS; i++)
		delay *= 2;
	return delay < BACKOFF_MAX_MS ? (uint32_t)delay : BACKOFF_MAX_MS;
}

uint32_t backoff_after(struct backoff *backoff, uint32_t status, uint64_t ran_ns)
{
	if (backoff->restart == 0 || (backoff->restart == 1 && status == 0))
		return BACKOFF_NEVER_MS;
	if (ran_ns / CLOCK_NS_PER_MS >= (uint64_t)BACKOFF_WELL_MS + backoff->last_ms)
		backoff->count = 0;
	if (backoff->retries > 0 && backoff->count >= backoff->retries)
		return BACKOFF_NEVER_MS;
	backoff->last_ms = delay_ms(backoff);
	backoff->count++;
	return backoff->last_ms;
}
