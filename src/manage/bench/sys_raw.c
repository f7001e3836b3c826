/* SPDX-License-Identifier: Apache-2.0 */
/* raw: the limit. One cache line each way, both sides spin on the line the other one writes.
 *
 * With more processes than CPUs a spinner would burn its whole time slice while the partner that it
 * waits for cannot run, so it offers its CPU after a while; with a CPU each that never happens. */
#include "manage/bench/shm.h"

#include <sched.h>

enum { SPINS_BEFORE_YIELD = 2000 };

static void spin(unsigned *spins)
{
	if (++*spins % SPINS_BEFORE_YIELD == 0)
		sched_yield();
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static dvs_err raw_call(struct bench_link *link, const void *request, struct bench_msg *reply)
{
	struct shm *shm = link->state;
	uint64_t seq = ((const struct bench_msg *)request)->seq;
	unsigned spins = 0;

	shm_put_request(shm, request);
	while (!shm_take_reply(shm, seq, reply))
		spin(&spins);
	return DVS_OK;
}

static dvs_err raw_receive(struct bench_link *link, struct bench_request *request)
{
	unsigned spins = 0;

	while (!shm_take_request(link->state, request))
		spin(&spins);
	return DVS_OK;
}

static dvs_err raw_reply(struct bench_link *link, unsigned client, const struct bench_msg *reply)
{
	shm_put_reply(link->state, client, reply);
	return DVS_OK;
}

const struct bench_system bench_system_raw = {
	.name = "raw",
	.summary = "shared memory, both sides spin: the limit",
	.class = BENCH_LIMIT,
	.patterns = 1u << BENCH_PAIR | 1u << BENCH_SLEEPY | 1u << BENCH_PAIRS | 1u << BENCH_FAN_IN |
		    1u << BENCH_DATA,
	.setup = shm_create,
	.teardown = shm_destroy,
	.receive = raw_receive,
	.reply = raw_reply,
	.client_open = shm_client_open,
	.call = raw_call,
};
