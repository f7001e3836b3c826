/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of the state: numbers of a DC, endpoints, bindings, and the processes that hold
 * them. Nothing here decides anything. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/internal.h"

dvs_err effects_reserve(struct core_effects *effects, size_t n)
{
	size_t room = effects->room ? effects->room : 8;
	struct core_effect *list;

	while (room < effects->n + n)
		room *= 2;
	if (room == effects->room)
		return DVS_OK;
	list = realloc(effects->list, room * sizeof(*list));
	if (!list)
		return DVS_NOMEM;
	effects->list = list;
	effects->room = room;
	return DVS_OK;
}

struct core_effect *effects_add(struct core_effects *effects, enum core_effect_kind kind,
				const struct core_endpoint *endpoint, struct core_binding *binding)
{
	struct core_effect *effect;

	assert(effects->n < effects->room);
	effect = &effects->list[effects->n++];
	memset(effect, 0, sizeof(*effect));
	effect->kind = kind;
	if (endpoint) {
		effect->dc = endpoint->dc->id;
		effect->ep = endpoint->ep;
		effect->parked = endpoint->parked;
	}
	if (binding) {
		effect->binding = binding;
		effect->host = binding->host;
		effect->slot = binding->slot;
		effect->role = binding->role;
		effect->node = binding->node;
		if (binding->holder)
			effect->process = binding->holder->id;
	}
	return effect;
}

void core_effects_free(struct core_effects *effects)
{
	free(effects->list);
	*effects = (struct core_effects){ 0 };
}

struct core_number *number_find(const struct core_dc *dc, uint32_t number)
{
	uint32_t page = number / CORE_PAGE_NUMBERS;

	if (page >= CORE_PAGES || !dc->pages[page])
		return NULL;
	return &dc->pages[page][number % CORE_PAGE_NUMBERS];
}

dvs_err number_page(struct core_dc *dc, uint32_t number, struct core_number **entry)
{
	struct core_number **page;

	assert(number <= DVS_EP_NUMBER_MAX);
	page = &dc->pages[number / CORE_PAGE_NUMBERS];
	if (!*page)
		*page = calloc(CORE_PAGE_NUMBERS, sizeof(**page));
	if (!*page)
		return DVS_NOMEM;
	*entry = number_find(dc, number);
	return DVS_OK;
}

struct core_endpoint *core_endpoint_find(const struct core_dc *dc, uint32_t ep)
{
	dvs_ep wanted = { ep };
	const struct core_number *entry = number_find(dc, dvs_ep_number(wanted));

	if (!entry || !entry->endpoint)
		return NULL;
	if (dvs_ep_generation(wanted) != 0 && wanted.n != entry->endpoint->ep.n)
		return NULL;
	return entry->endpoint;
}

struct core_endpoint *core_endpoint_from(const struct core_dc *dc, uint32_t number)
{
	while (number <= DVS_EP_NUMBER_MAX) {
		const struct core_number *entry = number_find(dc, number);

		if (!entry) {
			number = (number / CORE_PAGE_NUMBERS + 1) * CORE_PAGE_NUMBERS;
			continue;
		}
		if (entry->endpoint)
			return entry->endpoint;
		number++;
	}
	return NULL;
}

/* The page of the number exists. */
struct core_endpoint *endpoint_add(struct core *core, struct core_dc *dc, uint32_t number,
				   uint32_t generation)
{
	struct core_endpoint *endpoint = calloc(1, sizeof(*endpoint));
	struct core_number *entry = number_find(dc, number);

	assert(entry && !entry->endpoint);
	if (!endpoint)
		return NULL;
	endpoint->dc = dc;
	endpoint->ep.n = generation << DVS_EP_NUMBER_BITS | number;
	list_init(&endpoint->bindings);
	entry->generation = generation;
	entry->endpoint = endpoint;
	dc->n_endpoints++;
	core->n_endpoints++;
	return endpoint;
}

void endpoint_free(struct core *core, struct core_endpoint *endpoint)
{
	assert(list_is_empty(&endpoint->bindings));
	number_find(endpoint->dc, dvs_ep_number(endpoint->ep))->endpoint = NULL;
	endpoint->dc->n_endpoints--;
	core->n_endpoints--;
	free(endpoint->taken);
	free(endpoint);
}

bool core_process_equal(const struct core_process *a, const struct core_process *b)
{
	return a->node == b->node && a->pid == b->pid && a->starttime == b->starttime &&
	       a->serial == b->serial;
}

static uint64_t process_key(const struct core_process *process)
{
	return map_key(map_key(process->pid, process->node),
		       map_key(process->starttime, process->serial));
}

struct core_holder *core_holder_find(const struct core *core, const struct core_process *process)
{
	struct map_node *node = map_first(&core->holders, process_key(process));

	for (; node; node = map_next(node)) {
		struct core_holder *holder = CONTAINER_OF(node, struct core_holder, by_identity);

		if (core_process_equal(&holder->id, process))
			return holder;
	}
	return NULL;
}

/* The holder of PROCESS, made if there is none. holder_put() drops it again if it stays
 * without bindings. */
dvs_err holder_get(struct core *core, const struct core_process *process, uint64_t area,
		   struct core_holder **holder)
{
	*holder = core_holder_find(core, process);
	if (*holder)
		return DVS_OK;
	if (map_reserve(&core->holders) != DVS_OK)
		return DVS_NOMEM;
	*holder = calloc(1, sizeof(**holder));
	if (!*holder)
		return DVS_NOMEM;
	(*holder)->id = *process;
	(*holder)->area = area;
	list_init(&(*holder)->bindings);
	map_add(&core->holders, &(*holder)->by_identity, process_key(process));
	return DVS_OK;
}

void holder_put(struct core *core, struct core_holder *holder)
{
	if (holder->n_bindings > 0)
		return;
	map_remove(&core->holders, &holder->by_identity);
	free(holder);
}

/* A holder's bindings stand in the order of their ids, which a snapshot keeps, so that its end
 * has the same effects everywhere in the same order. */
void binding_hold(struct core_binding *binding, struct core_holder *holder)
{
	struct list *after = holder->bindings.prev;

	while (after != &holder->bindings &&
	       CONTAINER_OF(after, struct core_binding, of_holder)->id > binding->id)
		after = after->prev;
	list_insert_between(&binding->of_holder, after, after->next);
	binding->holder = holder;
	holder->n_bindings++;
}

/* HOLDER may be NULL: an orphan of a migration. */
void binding_attach(struct core_binding *binding, struct core_endpoint *endpoint,
		    struct core_holder *holder)
{
	binding->endpoint = endpoint;
	list_init(&binding->of_holder);
	list_init(&binding->members);
	list_add_tail(&endpoint->bindings, &binding->of_endpoint);
	endpoint->n_bindings++;
	endpoint->dc->n_bindings++;
	if (binding->role == CORE_BACKUP)
		endpoint->n_backups++;
	if (holder)
		binding_hold(binding, holder);
}

void binding_detach_holder(struct core *core, struct core_binding *binding)
{
	struct core_holder *holder = binding->holder;

	if (!holder)
		return;
	binding_leave_groups(core, binding);
	list_remove(&binding->of_holder);
	holder->n_bindings--;
	binding->holder = NULL;
	holder_put(core, holder);
}

void binding_free(struct core *core, struct core_binding *binding)
{
	struct core_endpoint *endpoint = binding->endpoint;

	list_remove(&binding->of_endpoint);
	endpoint->n_bindings--;
	endpoint->dc->n_bindings--;
	if (binding->role == CORE_BACKUP)
		endpoint->n_backups--;
	binding_detach_holder(core, binding);
	free(binding);
}

static struct core_binding *binding_at(struct list *link)
{
	return CONTAINER_OF(link, struct core_binding, of_endpoint);
}

struct core_binding *core_primary(const struct core_endpoint *endpoint, uint32_t node)
{
	LIST_FOREACH(link, &endpoint->bindings) {
		struct core_binding *binding = binding_at(link);

		if (binding->role != CORE_PRIMARY)
			continue;
		if (!endpoint->replica || binding->node == node)
			return binding;
	}
	return NULL;
}

struct core_binding *core_oldest_backup(const struct core_endpoint *endpoint)
{
	LIST_FOREACH(link, &endpoint->bindings) {
		if (binding_at(link)->role == CORE_BACKUP)
			return binding_at(link);
	}
	return NULL;
}

struct core_binding *core_binding_of(const struct core_endpoint *endpoint,
				     const struct core_process *process)
{
	LIST_FOREACH(link, &endpoint->bindings) {
		struct core_binding *binding = binding_at(link);

		if (binding->holder && core_process_equal(&binding->holder->id, process))
			return binding;
	}
	return NULL;
}
