/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/policy.h"

#include <assert.h>
#include <sched.h>
#include <string.h>

static_assert(sizeof(cpu_set_t) <= sizeof(((struct policy_binding *)0)->mask),
	      "room for a CPU set");

/* How many sleeps are bound before it is tried once without: twice as many each time that fails. */
#define BOUND_SLEEPS_MIN 4u
#define BOUND_SLEEPS_MAX 256u

uint32_t policy_cpu(void)
{
	int cpu = sched_getcpu();

	return cpu < 0 ? 0 : (uint32_t)cpu + 1;
}

/* Change the affinity from `now` to WANTED for a sleep. */
static bool bind_to(struct policy_binding *binding, const cpu_set_t *now, const cpu_set_t *wanted)
{
	if (sched_setaffinity(0, sizeof(*wanted), wanted))
		return false;
	memcpy(binding->mask, now, sizeof(*now));
	binding->bound = true;
	return true;
}

bool policy_bind(struct policy_binding *binding, uint32_t cpu)
{
	cpu_set_t now;
	cpu_set_t one;

	if (cpu == 0 || cpu > CPU_SETSIZE || sched_getaffinity(0, sizeof(now), &now))
		return false;
	if (CPU_COUNT(&now) < 2 || !CPU_ISSET(cpu - 1, &now))
		return false;
	CPU_ZERO(&one);
	CPU_SET(cpu - 1, &one);
	return bind_to(binding, &now, &one);
}

void policy_avoid(struct policy_binding *binding, uint32_t cpu)
{
	cpu_set_t now;
	cpu_set_t others;

	if (cpu == 0 || cpu > CPU_SETSIZE || sched_getaffinity(0, sizeof(now), &now))
		return;
	if (CPU_COUNT(&now) < 2 || !CPU_ISSET(cpu - 1, &now))
		return;
	others = now;
	CPU_CLR(cpu - 1, &others);
	(void)bind_to(binding, &now, &others);
}

void policy_unbind(struct policy_binding *binding)
{
	cpu_set_t before;

	if (!binding->bound)
		return;
	memcpy(&before, binding->mask, sizeof(before));
	/* It can fail only if the CPUs of the old mask have gone off line since: then the kernel has widened it already. */
	(void)sched_setaffinity(0, sizeof(before), &before);
	binding->bound = false;
}

void policy_home_begin(struct policy_home *home, uint32_t cpu)
{
	home->binding.bound = false;
	if (home->bound_sleeps == 0)
		return;
	home->bound_sleeps--;
	(void)policy_bind(&home->binding, cpu);
}

void policy_home_end(struct policy_home *home, uint32_t cpu)
{
	if (home->binding.bound) {
		policy_unbind(&home->binding);
		return;
	}
	if (policy_cpu() == cpu) {
		home->bound_next = BOUND_SLEEPS_MIN;
		return;
	}
	home->bound_sleeps = home->bound_next ? home->bound_next : BOUND_SLEEPS_MIN;
	home->bound_next = home->bound_sleeps * 2 < BOUND_SLEEPS_MAX ? home->bound_sleeps * 2 :
								       BOUND_SLEEPS_MAX;
}

bool policy_leave(uint32_t cpu)
{
	struct policy_binding binding = { .bound = false };

	policy_avoid(&binding, cpu);
	if (!binding.bound)
		return false;
	policy_unbind(&binding);
	return true;
}
