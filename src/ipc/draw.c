/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/draw.h"

#include "base/clock.h"
#include "ipc/layout.h"
#include "ipc/policy.h"

/* A caller that lets this much time pass between two calls calls rarely, ... */
#define RARE_NS 30000u
/* ... and asks its server to come after so many of them in a row. */
#define RARE_CALLS 6u
/* With the server on our CPU, one call in so many (and the next) is looked at. */
#define UNWATCHED_CALLS 30u

/* Less data than this is not worth a thought. */
#define BULK_BYTES 8192u
/* A trial of one way: the first calls settle it, the others are measured. */
#define TRIAL_SETTLE 12u
#define TRIAL_CALLS 36u
/* How long the better way is taken before the other one is tried again. */
#define CHOSEN_CALLS 4096u

bool draw_wished(const struct ipc_lane *mine)
{
	return atomic_load_explicit(&mine->control.draw, memory_order_relaxed) != 0;
}

static void wish(struct ipc_lane *mine, bool together)
{
	uint32_t cpu = together ? policy_cpu() : 0;

	if (atomic_load_explicit(&mine->control.draw, memory_order_relaxed) != cpu)
		atomic_store_explicit(&mine->control.draw, cpu, memory_order_relaxed);
}

/* The end of a trial: try the other way if it is not known, else take the better one for long. */
static void bulk_turn(struct draw *draw)
{
	bool other = !draw->bulk_together;

	draw->bulk_calls = 0;
	if (draw->bulk_chosen || draw->cost[other] == 0) {
		draw->bulk_chosen = false;
		draw->bulk_together = other;
		return;
	}
	draw->bulk_together = draw->cost[1] < draw->cost[0];
	draw->bulk_chosen = true;
}

void draw_before(struct draw *draw, struct ipc_lane *mine, size_t bytes)
{
	draw->start_ns = 0;
	if (bytes < BULK_BYTES)
		return;
	if (draw->bulk_calls >= (draw->bulk_chosen ? CHOSEN_CALLS : TRIAL_CALLS))
		bulk_turn(draw);
	draw->bulk_calls++;
	wish(mine, draw->bulk_together);
	draw->start_ns = clock_now_ns();
}

/* The server sleeps on our CPU already: there is nothing to decide, but now and then whether it still should. */
static bool is_settled(struct draw *draw, const struct ipc_lane *theirs)
{
	if (atomic_load_explicit(&theirs->control.cpu, memory_order_relaxed) != policy_cpu())
		return false;
	if (draw->unwatched) {
		draw->unwatched--;
		return true;
	}
	draw->unwatched = UNWATCHED_CALLS;
	return false;
}

void draw_posted(struct draw *draw, struct ipc_lane *mine, const struct ipc_lane *theirs, bool woke)
{
	if (woke && draw->start_ns == 0 && draw->returned_ns == 0 && is_settled(draw, theirs)) {
		draw->settled = true;
		return;
	}
	draw->settled = false;
	if (!woke) {
		draw->rare_calls = 0;
	} else if (draw->returned_ns) {
		bool rare = clock_now_ns() - draw->returned_ns > RARE_NS;

		draw->rare_calls = !rare ? 0 : draw->rare_calls + (draw->rare_calls < RARE_CALLS);
	}
	if (draw->start_ns == 0 && (woke || draw_wished(mine)))
		wish(mine, draw->rare_calls >= RARE_CALLS);
}

void draw_after(struct draw *draw, bool woke, size_t bytes)
{
	uint64_t now_ns;
	uint32_t *cost;
	uint64_t spent;

	if (draw->settled || (!woke && draw->start_ns == 0)) {
		draw->returned_ns = 0;
		return;
	}
	now_ns = clock_now_ns();
	draw->returned_ns = woke ? now_ns : 0;
	if (draw->start_ns == 0 || draw->bulk_calls <= TRIAL_SETTLE)
		return;
	cost = &draw->cost[draw->bulk_together];
	spent = (now_ns - draw->start_ns) * 1000 / bytes;
	if (spent == 0)
		spent = 1;
	if (spent > UINT32_MAX / 16)
		spent = UINT32_MAX / 16;
	*cost = *cost ? (uint32_t)(((uint64_t)*cost * 7 + spent) / 8) : (uint32_t)spent;
}
