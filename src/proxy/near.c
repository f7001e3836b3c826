/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/near.h"

#include "proxy/carried.h"

/* So many sleeps until it is asked again. */
#define LOOK_IDLES 64u

static void draw(struct carried *ch, uint32_t cpu)
{
	_Atomic uint32_t *wish = &ch->mine->control.draw;

	if (atomic_load_explicit(wish, memory_order_relaxed) != cpu)
		atomic_store_explicit(wish, cpu, memory_order_relaxed);
}

static void let_go(struct near *near)
{
	if (near->cpu == 0)
		return;
	draw(near->served, 0);
	policy_unbind(&near->binding);
	near->cpu = 0;
}

void near_heard(struct near *near, struct carried *ch)
{
	if (near->served == ch) {
		near->streak += near->streak < POLICY_ONLY_CLIENT;
		return;
	}
	near_end(near);
	carried_get(ch);
	near->served = ch;
}

void near_idle(struct near *near, int (*cpu_of)(void *context), void *context)
{
	uint32_t cpu;

	if (near->streak < POLICY_ONLY_CLIENT || near->idles++ % LOOK_IDLES != 0)
		return;
	cpu = (uint32_t)(cpu_of(context) + 1);
	if (cpu == near->cpu)
		return;
	let_go(near);
	if (cpu == 0 || !policy_bind(&near->binding, cpu))
		return;
	near->cpu = cpu;
	draw(near->served, cpu);
}

void near_end(struct near *near)
{
	let_go(near);
	if (near->served)
		carried_put(near->served);
	near->served = NULL;
	near->streak = 0;
	near->idles = 0;
}
