/* SPDX-License-Identifier: Apache-2.0 */
/* futex: the message in shared memory, the waiter asleep on a word beside it. */
#include "manage/bench/shm.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

static void bell_ring(struct shm_bell *bell)
{
	__atomic_fetch_add(&bell->count, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&bell->waiters, __ATOMIC_SEQ_CST))
		syscall(SYS_futex, &bell->count, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* Sleep until the bell was rung after SEEN. May also return for nothing. */
static dvs_err bell_wait(struct bench_link *link, struct shm_bell *bell, uint32_t seen)
{
	long rv;

	__atomic_fetch_add(&bell->waiters, 1, __ATOMIC_SEQ_CST);
	rv = syscall(SYS_futex, &bell->count, FUTEX_WAIT, seen, NULL, NULL, 0);
	__atomic_fetch_sub(&bell->waiters, 1, __ATOMIC_SEQ_CST);
	if (rv != 0 && errno != EAGAIN && errno != EINTR)
		return bench_fail_errno(&link->fault, "wait on a futex");
	return DVS_OK;
}

static dvs_err futex_call(struct bench_link *link, const void *request, struct bench_msg *reply)
{
	struct shm *shm = link->state;
	struct shm_bell *bell = &shm->slots[shm->self].bell;
	uint64_t seq = ((const struct bench_msg *)request)->seq;
	uint32_t seen = __atomic_load_n(&bell->count, __ATOMIC_SEQ_CST);

	shm_put_request(shm, request);
	bell_ring(shm->bell);
	while (!shm_take_reply(shm, seq, reply)) {
		dvs_err err = bell_wait(link, bell, seen);

		if (err != DVS_OK)
			return err;
		seen = __atomic_load_n(&bell->count, __ATOMIC_SEQ_CST);
	}
	return DVS_OK;
}

static dvs_err futex_receive(struct bench_link *link, struct bench_request *request)
{
	struct shm *shm = link->state;
	uint32_t seen = __atomic_load_n(&shm->bell->count, __ATOMIC_SEQ_CST);

	while (!shm_take_request(shm, request)) {
		dvs_err err = bell_wait(link, shm->bell, seen);

		if (err != DVS_OK)
			return err;
		seen = __atomic_load_n(&shm->bell->count, __ATOMIC_SEQ_CST);
	}
	return DVS_OK;
}

static dvs_err futex_reply(struct bench_link *link, unsigned client, const struct bench_msg *reply)
{
	struct shm *shm = link->state;

	shm_put_reply(shm, client, reply);
	bell_ring(&shm->slots[client].bell);
	return DVS_OK;
}

const struct bench_system bench_system_futex = {
	.name = "futex",
	.summary = "shared memory, the waiter sleeps on a futex",
	.class = BENCH_KERNEL,
	.patterns = BENCH_IPC_PATTERNS,
	.setup = shm_create,
	.teardown = shm_destroy,
	.receive = futex_receive,
	.reply = futex_reply,
	.client_open = shm_client_open,
	.call = futex_call,
};
