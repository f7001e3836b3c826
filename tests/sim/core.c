/* SPDX-License-Identifier: Apache-2.0 */
/* Random commands on the core. After each one its invariants are checked; again and again it is
 * copied by a snapshot, and both copies get the same commands and must stay equal.
 *
 *	sim-core [SEED [STEPS]]		one seed, told again; without arguments many of them
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core_help.h"

#define SEEDS 60u
#define STEPS 600u

struct sim {
	uint64_t random;
	struct core *core;
	struct core *copy;
	struct core_effects effects;
	struct core_effects copy_effects;
	uint32_t generations[4][16]; /* per DC and number: the last that was seen */
	uint32_t dcs[4];
};

#define CHECK(condition)                                                                 \
	do {                                                                             \
		if (!(condition)) {                                                      \
			printf("# %s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			return 0;                                                        \
		}                                                                        \
	} while (0)

static uint32_t roll(struct sim *sim, uint32_t below)
{
	/* xorshift64* */
	sim->random ^= sim->random >> 12;
	sim->random ^= sim->random << 25;
	sim->random ^= sim->random >> 27;
	return (uint32_t)((sim->random * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % below;
}

/* What the command can have. */
static uint32_t random_flag(enum core_op op)
{
	if (op == CORE_DC_REMOVE)
		return CORE_F_FORCE;
	if (op == CORE_PARKED)
		return CORE_F_MORE;
	if (op == CORE_BIND)
		return CORE_F_GIVEN;
	if (op == CORE_CONTAINER_REMOVE)
		return CORE_F_FORCE;
	if (op == CORE_CONTAINER_FREEZE || op == CORE_CONTAINER_REPORT)
		return CORE_F_FROZEN;
	if (op == CORE_DC_CREATE)
		return CORE_F_HIDDEN;
	return op == CORE_NODE_DRAIN ? CORE_F_DRAINING : 0;
}

static void random_value(struct sim *sim, struct core_command *command)
{
	static const char *const keys[] = { "dc", "program/a", "b", "c", "" };
	static const uint8_t value[] = "what is wanted";

	command->value = value;
	command->n_value = roll(sim, sizeof(value));
	command->id = roll(sim, 8);
	if (command->op == CORE_RECORD_SET || command->op == CORE_RECORD_REMOVE) {
		snprintf(command->name, sizeof(command->name), "%s", keys[roll(sim, 5)]);
		command->count = roll(sim, 2) ? DVK_VERSION_ANY : roll(sim, 200);
	}
	if (command->op == CORE_CONTAINER_NODES)
		command->count = roll(sim, 4);
	/* mostly what makes it go on */
	if (command->op == CORE_CONTAINER_REPORT)
		command->kind = roll(sim, 10) == 0 ? DVK_BROKEN :
						     DVK_READY + 2 * (roll(sim, 3) == 0);
}

static enum core_op random_op(struct sim *sim)
{
	static const enum core_op ops[] = {
		CORE_BIND,
		CORE_BIND,
		CORE_BIND,
		CORE_BIND,
		CORE_BIND,
		CORE_UNBIND,
		CORE_UNBIND,
		CORE_ENDPOINT_END,
		CORE_PROCESS_DEAD,
		CORE_PROCESS_DEAD,
		CORE_PROCESS_AREA,
		CORE_PRIVILEGES_SET,
		CORE_MIGRATE_START,
		CORE_MIGRATE_START,
		CORE_MIGRATE_AGAIN,
		CORE_PARKED,
		CORE_PARKED,
		CORE_MIGRATE_COMMIT,
		CORE_MIGRATE_ROLLBACK,
		CORE_PROMOTE,
		CORE_PROMOTE,
		CORE_DC_CREATE,
		CORE_REBIND,
		CORE_REBIND,
		CORE_NODE_UP,
		CORE_NODE_UP,
		CORE_CONTAINER_CREATE,
		CORE_CONTAINER_NODES,
		CORE_CONTAINER_FREEZE,
		CORE_CONTAINER_REPORT,
		CORE_CONTAINER_REPORT,
		CORE_CONTAINER_REPORT,
		CORE_CONTAINER_REPORT,
		CORE_RECORD_SET,
		CORE_RECORD_SET,
		CORE_RECORD_REMOVE,
	};
	static const enum core_op rare[] = { CORE_CONTAINER_REMOVE, CORE_DC_REMOVE,
					     CORE_NODE_DOWN,	    CORE_NODE_AWAY,
					     CORE_NODE_REMOVE,	    CORE_NODE_DRAIN,
					     CORE_NODE_DRAIN };
	uint32_t chance = roll(sim, 100);

	if (chance < sizeof(rare) / sizeof(rare[0]))
		return rare[chance];
	return ops[roll(sim, sizeof(ops) / sizeof(ops[0]))];
}

static void random_command(struct sim *sim, struct core_command *command)
{
	memset(command, 0, sizeof(*command));
	command->op = random_op(sim);
	command->dc.n = sim->dcs[roll(sim, 4)];
	command->ep = roll(sim, 16);
	if (roll(sim, 8) == 0 || command->op == CORE_REBIND)
		command->ep |= roll(sim, 5) << DVS_EP_NUMBER_BITS;
	if (command->op == CORE_BIND && roll(sim, 4) == 0)
		command->ep = UINT32_MAX;
	command->kind = 1 + roll(sim, 3);
	command->node = roll(sim, 3);
	command->process = process_n(roll(sim, 3), 1 + roll(sim, 12));
	if (command->op == CORE_PROMOTE && roll(sim, 2) == 0)
		memset(&command->process, 0, sizeof(command->process));
	command->slot = roll(sim, 100);
	command->area = roll(sim, 100);
	command->flags = roll(sim, 2) ? 0 : random_flag(command->op);
	command->migration = command->op == CORE_MIGRATE_COMMIT && roll(sim, 2) ? 0 :
										  1 + roll(sim, 3);
	command->count = roll(sim, 3);
	snprintf(command->address, sizeof(command->address), "10.0.0.%u", roll(sim, 3));
	command->n_taken = roll(sim, CORE_COMMAND_TAKEN + 1);
	for (uint32_t i = 0; i < command->n_taken; i++)
		command->taken[i] =
			(struct core_taken){ i, roll(sim, 9), roll(sim, 256), roll(sim, 3) };
	command->privileges.n_call_to = roll(sim, DVS_RANGES_MAX + 1);
	snprintf(command->name, sizeof(command->name), "dc%u", roll(sim, 4));
	random_value(sim, command);
	bench_recode(command);
}

static int check_endpoint(const struct core_endpoint *endpoint)
{
	uint32_t n_primaries[3] = { 0 };
	uint32_t n_backups = 0;
	uint32_t n = 0;

	LIST_FOREACH(link, &endpoint->bindings) {
		const struct core_binding *binding =
			CONTAINER_OF(link, struct core_binding, of_endpoint);

		n++;
		CHECK(binding->endpoint == endpoint);
		CHECK(binding->holder || (endpoint->migrating && binding->role == CORE_PRIMARY));
		CHECK(!binding->holder || binding->holder->id.node == binding->node);
		CHECK(!binding->holder ||
		      core_binding_of(endpoint, &binding->holder->id) == binding);
		if (binding->role == CORE_PRIMARY)
			n_primaries[binding->node]++;
		else
			n_backups++;
	}
	CHECK(n == endpoint->n_bindings && n > 0);
	CHECK(n_backups == endpoint->n_backups);
	CHECK(!endpoint->parked || endpoint->migrating);
	if (endpoint->replica)
		CHECK(n_backups == 0 && n_primaries[0] <= 1 && n_primaries[1] <= 1 &&
		      n_primaries[2] <= 1);
	else
		CHECK(n_primaries[0] + n_primaries[1] + n_primaries[2] == 1);
	return 1;
}

static int check_records(const struct core_dc *dc)
{
	const struct core_record *record = core_record_after(dc, "");
	uint32_t n = 0;

	for (; record; record = core_record_after(dc, record->key)) {
		CHECK(core_record_find(dc, record->key) == record);
		CHECK(record->version > 0 && record->version <= dc->change);
		n++;
	}
	CHECK(n == dc->n_records && n <= DVK_RECORDS_MAX);
	CHECK(!dc->containers || core_record_find(dc, CORE_DESCRIPTION));
	return 1;
}

/* A DC that goes waits for somebody; one that runs has had everybody; nobody is wanted who is not known. */
static int check_containers(const struct core *core, const struct core_dc *dc)
{
	const struct core_containers *containers = dc->containers;
	uint32_t n_awaited = 0;

	if (!containers)
		return 1;
	CHECK((containers->nodes & containers->leaving) == 0);
	CHECK((containers->adding & ~containers->nodes) == 0);
	for (uint32_t node = 0; node < CORE_NODES_MAX; node++) {
		const struct core_node *known = core_node_find(core, node);
		const struct core_container *container = &containers->on[node];
		bool has = (containers->nodes >> node & 1) != 0;
		bool leaves = (containers->leaving >> node & 1) != 0;
		bool down = known && known->state == CORE_DOWN;

		CHECK(known || !(has || leaves));
		CHECK((has || leaves) == (container->state != 0));
		CHECK(!(leaves && down));
		if (container->state == DVK_GONE)
			CHECK(containers->phase == DVK_FAILED || containers->phase == DVK_REMOVING);
		if (containers->phase == DVK_CREATING && has)
			CHECK(!down && container->state <= DVK_READY);
		CHECK(core_container_concerns(dc, node) ==
		      (leaves || (has && container->state != DVK_GONE)));
		n_awaited += core_container_concerns(dc, node) && !down;
	}
	if (containers->phase == DVK_FAILED || containers->phase == DVK_REMOVING)
		CHECK(n_awaited > 0);
	if (containers->phase == DVK_CREATING)
		CHECK(containers->nodes != 0 && containers->adding == 0 && !containers->frozen);
	return 1;
}

static int check_dc(const struct core_dc *dc)
{
	uint32_t n_endpoints = 0;
	uint32_t n_bindings = 0;
	uint32_t number = 0;

	for (;;) {
		const struct core_endpoint *endpoint = core_endpoint_from(dc, number);

		if (!endpoint)
			break;
		number = dvs_ep_number(endpoint->ep) + 1;
		CHECK(endpoint->dc == dc);
		CHECK(dvs_ep_generation(endpoint->ep) >= 1);
		CHECK(core_endpoint_find(dc, endpoint->ep.n) == endpoint);
		CHECK(check_endpoint(endpoint));
		n_endpoints++;
		n_bindings += endpoint->n_bindings;
	}
	CHECK(n_endpoints == dc->n_endpoints && n_bindings == dc->n_bindings);
	return 1;
}

/* What is down has nothing. */
static int check_nodes(const struct core *core)
{
	for (const struct core_dc *dc = core_dc_next(core, 0); dc;
	     dc = core_dc_next(core, dc->id.n)) {
		const struct core_endpoint *endpoint = core_endpoint_from(dc, 0);

		for (; endpoint;
		     endpoint = core_endpoint_from(dc, dvs_ep_number(endpoint->ep) + 1)) {
			LIST_FOREACH(link, &endpoint->bindings) {
				const struct core_binding *binding =
					CONTAINER_OF(link, struct core_binding, of_endpoint);
				const struct core_node *node = core_node_find(core, binding->node);

				CHECK(!node || node->state != CORE_DOWN);
			}
		}
	}
	return 1;
}

static int check_core(const struct core *core)
{
	size_t n_endpoints = 0;
	size_t n_dcs = 0;

	for (const struct core_dc *dc = core_dc_next(core, 0); dc;
	     dc = core_dc_next(core, dc->id.n)) {
		CHECK(check_dc(dc));
		CHECK(check_records(dc));
		CHECK(check_containers(core, dc));
		CHECK(core_dc_by_name(core, dc->name) == dc);
		n_endpoints += dc->n_endpoints;
		n_dcs++;
	}
	CHECK(n_endpoints == core_n_endpoints(core) && n_dcs == core_n_dcs(core));
	return 1;
}

/* A fresh primary of a number has another generation than the one before. */
static int check_generations(struct sim *sim, const struct core_command *command)
{
	const struct core_effect *effect = sim->effects.list;
	uint32_t number;

	if (command->op != CORE_BIND || sim->effects.n == 0 || effect->role != CORE_PRIMARY)
		return 1;
	number = dvs_ep_number(effect->ep);
	if (number >= 16 || command->kind == DVK_REPLICA)
		return 1;
	for (size_t i = 0; i < 4; i++) {
		if (sim->dcs[i] != effect->dc.n)
			continue;
		CHECK(sim->generations[i][number] < dvs_ep_generation(effect->ep));
		sim->generations[i][number] = dvs_ep_generation(effect->ep);
	}
	return 1;
}

static void note_dcs(struct sim *sim)
{
	for (size_t i = 0; i < sim->effects.n; i++) {
		const struct core_effect *effect = &sim->effects.list[i];

		for (size_t at = 0; at < 4; at++) {
			if (effect->kind == CORE_DC_REMOVED && sim->dcs[at] == effect->dc.n) {
				sim->dcs[at] = 0;
				memset(sim->generations[at], 0, sizeof(sim->generations[at]));
			} else if (effect->kind == CORE_DC_CREATED && sim->dcs[at] == 0) {
				sim->dcs[at] = effect->dc.n;
				break;
			}
		}
	}
}

static int same_effects(const struct sim *sim)
{
	CHECK(sim->effects.n == sim->copy_effects.n);
	for (size_t i = 0; i < sim->effects.n; i++) {
		const struct core_effect *a = &sim->effects.list[i];
		const struct core_effect *b = &sim->copy_effects.list[i];

		CHECK(a->kind == b->kind && a->ep.n == b->ep.n && a->dc.n == b->dc.n);
		CHECK(a->node == b->node && !a->text == !b->text);
		CHECK(a->slot == b->slot && core_process_equal(&a->process, &b->process));
	}
	return 1;
}

static int sim_step(struct sim *sim)
{
	struct core_command command;
	/* digests cost more than all the rest */
	bool compare = roll(sim, 8) == 0;
	uint64_t before = compare ? core_digest(sim->core) : 0;
	dvs_err err;

	random_command(sim, &command);
	err = core_step(sim->core, &command, &sim->effects);
	CHECK(err == core_step(sim->copy, &command, &sim->copy_effects));
	if (err != DVS_OK) {
		CHECK(!compare || core_digest(sim->core) == before);
		return 1;
	}
	CHECK(same_effects(sim));
	CHECK(check_core(sim->core));
	CHECK(check_nodes(sim->core));
	CHECK(check_generations(sim, &command));
	note_dcs(sim);
	return 1;
}

static int sim_run(uint64_t seed, uint32_t steps)
{
	struct sim sim = { .random = seed * 2 + 1 };
	int good = 1;

	if (core_create(&sim.core) != DVS_OK || core_create(&sim.copy) != DVS_OK)
		abort();
	for (uint32_t i = 0; i < steps && good; i++) {
		good = sim_step(&sim);
		if (!good) {
			printf("# seed %" PRIu64 ", step %u\n", seed, i);
		} else if (roll(&sim, 50) == 0) {
			core_destroy(sim.copy);
			bench_copy(sim.core, &sim.copy);
			good = core_digest(sim.core) == core_digest(sim.copy);
			if (!good)
				printf("# seed %" PRIu64 ", step %u: the copy differs\n", seed, i);
		}
	}
	core_destroy(sim.core);
	core_destroy(sim.copy);
	core_effects_free(&sim.effects);
	core_effects_free(&sim.copy_effects);
	return good;
}

int main(int argc, char **argv)
{
	uint64_t first = (uint64_t)time(NULL) * 1000;
	uint32_t failed = 0;

	if (argc > 1) {
		uint32_t steps = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : STEPS;

		return sim_run(strtoull(argv[1], NULL, 10), steps) ? 0 : 1;
	}
	printf("1..1\n# seeds from %" PRIu64 "\n", first);
	for (uint32_t i = 0; i < SEEDS && failed == 0; i++)
		failed += !sim_run(first + i, STEPS);
	printf("%s 1 - random commands keep the core whole and its copies equal\n",
	       failed ? "not ok" : "ok");
	return failed ? 1 : 0;
}
