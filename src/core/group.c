/* SPDX-License-Identifier: Apache-2.0 */
/* Groups of a DC: who is a member, in which view, and who owes whom the group's state.
 *
 * A member is a binding. It leaves when its binding ends or goes to other hands, when its node is down, and when the dvsd of its node is gone:
 * that one gives messages to the members of its node, and the next one does not know which were given.
 *
 * Each change makes a new view; their numbers come from one counter, so none is used twice. Who joins a group that has members awaits the state
 * as of the view in which it came, from the oldest member that awaits nothing. When that one leaves before, the next in age gives the state as of
 * the view that its leaving made. Is there none, the oldest of those who wait has whatever state there is. */
#include <stdlib.h>
#include <string.h>

#include "core/internal.h"

static struct core_member *member_at(struct list *link)
{
	return CONTAINER_OF(link, struct core_member, of_group);
}

struct core_group *core_group_next(const struct core_dc *dc, const struct core_group *group)
{
	struct list *at = group ? group->of_dc.next : dc->groups.next;

	return at == &dc->groups ? NULL : CONTAINER_OF(at, struct core_group, of_dc);
}

struct core_group *core_group_find(const struct core_dc *dc, const char *name)
{
	LIST_FOREACH(at, &dc->groups) {
		struct core_group *group = CONTAINER_OF(at, struct core_group, of_dc);

		if (strcmp(group->name, name) == 0)
			return group;
	}
	return NULL;
}

struct core_member *core_member_find(const struct core_group *group, uint64_t binding)
{
	LIST_FOREACH(at, &group->members) {
		if (member_at(at)->binding->id == binding)
			return member_at(at);
	}
	return NULL;
}

uint64_t core_last_view(const struct core *core)
{
	return core->last_view;
}

static struct core_group *group_add(struct core_dc *dc, const char *name)
{
	struct core_group *group;

	if (dc->n_groups == CORE_GROUPS_MAX)
		return NULL;
	group = calloc(1, sizeof(*group));
	if (!group)
		return NULL;
	memcpy(group->name, name, strlen(name) + 1);
	group->dc = dc;
	list_init(&group->members);
	list_add_tail(&dc->groups, &group->of_dc);
	dc->n_groups++;
	return group;
}

static void group_free(struct core_group *group)
{
	list_remove(&group->of_dc);
	group->dc->n_groups--;
	free(group);
}

/* The oldest that has the state; NULL: nobody. */
static struct core_member *donor_of(const struct core_group *group)
{
	LIST_FOREACH(at, &group->members) {
		if (member_at(at)->awaits == 0)
			return member_at(at);
	}
	return NULL;
}

/* Everybody who awaits the state has somebody who gives it. */
static void group_provide(struct core_group *group)
{
	struct core_member *donor = donor_of(group);

	if (!donor && group->n_members > 0) {
		donor = member_at(group->members.next);
		donor->awaits = 0;
		donor->donor = 0;
	}
	LIST_FOREACH(at, &group->members) {
		struct core_member *member = member_at(at);
		const struct core_member *former = core_member_find(group, member->donor);

		if (member->awaits == 0 || (former && former->awaits == 0))
			continue;
		member->awaits = group->view;
		member->donor = donor->binding->id;
	}
}

static void member_end(struct core *core, struct core_member *member)
{
	struct core_group *group = member->group;

	list_remove(&member->of_group);
	list_remove(&member->of_binding);
	free(member);
	group->n_members--;
	group->view = ++core->last_view;
	if (group->n_members == 0)
		group_free(group);
	else
		group_provide(group);
}

void binding_leave_groups(struct core *core, struct core_binding *binding)
{
	LIST_FOREACH_SAFE(at, &binding->members)
		member_end(core, CONTAINER_OF(at, struct core_member, of_binding));
}

static void dc_leave_node(struct core *core, struct core_dc *dc, uint32_t node)
{
	struct core_group *group = core_group_next(dc, NULL);

	while (group) {
		struct core_group *next = core_group_next(dc, group);

		/* The last one takes the group with it. */
		LIST_FOREACH_SAFE(at, &group->members) {
			bool last = group->n_members == 1;

			if (member_at(at)->binding->node != node)
				continue;
			member_end(core, member_at(at));
			if (last)
				break;
		}
		group = next;
	}
}

void groups_leave_node(struct core *core, uint32_t node)
{
	for (size_t i = 0; i < core->n_dcs; i++)
		dc_leave_node(core, core->dcs[i], node);
}

static struct core_member *member_add(struct core_group *group, struct core_binding *binding)
{
	struct core_member *member = calloc(1, sizeof(*member));

	if (!member)
		return NULL;
	member->group = group;
	member->binding = binding;
	list_add_tail(&group->members, &member->of_group);
	list_add_tail(&binding->members, &member->of_binding);
	group->n_members++;
	return member;
}

/* The binding that the command's process has of its endpoint. */
static struct core_binding *binding_of(const struct core *core, const struct core_command *command,
				       struct core_dc **dc)
{
	const struct core_endpoint *endpoint;

	*dc = core_dc_find(core, command->dc);
	endpoint = *dc ? core_endpoint_find(*dc, command->ep) : NULL;
	return endpoint ? core_binding_of(endpoint, &command->process) : NULL;
}

dvs_err step_group_join(struct core *core, const struct core_command *command,
			struct core_effects *effects)
{
	struct core_dc *dc;
	struct core_binding *binding = binding_of(core, command, &dc);
	struct core_group *group;
	struct core_member *member;

	(void)effects;
	if (!dc)
		return DVS_NODC;
	if (!core_name_ok(command->name))
		return DVS_BADARG;
	if (!binding)
		return DVS_NODEST;
	group = core_group_find(dc, command->name);
	if (group && core_member_find(group, binding->id))
		return DVS_EXISTS;
	if ((group && group->n_members == CORE_MEMBERS_MAX) ||
	    (!group && dc->n_groups == CORE_GROUPS_MAX))
		return DVS_FULL;
	if (!group)
		group = group_add(dc, command->name);
	if (!group)
		return DVS_NOMEM;
	member = member_add(group, binding);
	if (!member) {
		if (group->n_members == 0)
			group_free(group);
		return DVS_NOMEM;
	}
	group->view = ++core->last_view;
	if (group->n_members == 1)
		group->id = group->view;
	else
		member->awaits = group->view;
	group_provide(group);
	return DVS_OK;
}

dvs_err step_group_leave(struct core *core, const struct core_command *command,
			 struct core_effects *effects)
{
	struct core_dc *dc = core_dc_find(core, command->dc);
	struct core_group *group = dc ? core_group_find(dc, command->name) : NULL;
	struct core_member *member = group ? core_member_find(group, command->id) : NULL;

	(void)effects;
	if (!dc)
		return DVS_NODC;
	if (!member)
		return DVS_NODEST;
	member_end(core, member);
	return DVS_OK;
}

dvs_err step_group_given(struct core *core, const struct core_command *command,
			 struct core_effects *effects)
{
	struct core_dc *dc = core_dc_find(core, command->dc);
	struct core_group *group = dc ? core_group_find(dc, command->name) : NULL;
	struct core_member *member = group ? core_member_find(group, command->id) : NULL;

	(void)effects;
	if (!dc)
		return DVS_NODC;
	if (!member)
		return DVS_NODEST;
	if (member->awaits == 0 || member->awaits != command->count)
		return DVS_BADSTATE;
	member->awaits = 0;
	member->donor = 0;
	return DVS_OK;
}

/* ---- snapshots ---- */

dvs_err step_restore_views(struct core *core, const struct core_command *command,
			   struct core_effects *effects)
{
	(void)effects;
	core->last_view = command->count;
	return DVS_OK;
}

dvs_err step_restore_group(struct core *core, const struct core_command *command,
			   struct core_effects *effects)
{
	struct core_dc *dc = core_dc_find(core, command->dc);
	struct core_group *group;

	(void)effects;
	if (!dc)
		return DVS_NODC;
	if (!core_name_ok(command->name) || command->count > core->last_view)
		return DVS_BADARG;
	if (core_group_find(dc, command->name))
		return DVS_EXISTS;
	if (dc->n_groups == CORE_GROUPS_MAX)
		return DVS_FULL;
	group = group_add(dc, command->name);
	if (!group)
		return DVS_NOMEM;
	group->id = command->id;
	group->view = command->count;
	return DVS_OK;
}

static struct core_binding *binding_by_id(const struct core_endpoint *endpoint, uint64_t id)
{
	LIST_FOREACH(link, &endpoint->bindings) {
		struct core_binding *binding = CONTAINER_OF(link, struct core_binding, of_endpoint);

		if (binding->id == id)
			return binding;
	}
	return NULL;
}

dvs_err step_restore_member(struct core *core, const struct core_command *command,
			    struct core_effects *effects)
{
	struct core_dc *dc = core_dc_find(core, command->dc);
	struct core_group *group = dc ? core_group_find(dc, command->name) : NULL;
	const struct core_endpoint *endpoint = dc ? core_endpoint_find(dc, command->ep) : NULL;
	struct core_binding *binding = endpoint ? binding_by_id(endpoint, command->id) : NULL;
	struct core_member *member;

	(void)effects;
	if (!group || !binding || !binding->holder)
		return DVS_NODEST;
	if (core_member_find(group, binding->id))
		return DVS_EXISTS;
	if (group->n_members == CORE_MEMBERS_MAX)
		return DVS_FULL;
	member = member_add(group, binding);
	if (!member)
		return DVS_NOMEM;
	member->awaits = command->count;
	member->donor = command->area;
	return DVS_OK;
}

void groups_restore_end(struct core_dc *dc)
{
	struct core_group *group = core_group_next(dc, NULL);

	while (group) {
		struct core_group *next = core_group_next(dc, group);

		if (group->n_members == 0)
			group_free(group);
		else
			group_provide(group);
		group = next;
	}
}

static dvs_err emit_group(const struct core_group *group, core_emit emit, void *context)
{
	struct core_command command = {
		.op = CORE_RESTORE_GROUP, .dc = group->dc->id, .id = group->id, .count = group->view
	};
	dvs_err err;

	memcpy(command.name, group->name, sizeof(command.name));
	err = emit(context, &command);
	LIST_FOREACH(at, &group->members) {
		const struct core_member *member = member_at(at);

		if (err != DVS_OK)
			break;
		command.op = CORE_RESTORE_MEMBER;
		command.ep = member->binding->endpoint->ep.n;
		command.id = member->binding->id;
		command.count = member->awaits;
		command.area = member->donor;
		err = emit(context, &command);
	}
	return err;
}

dvs_err groups_emit(const struct core *core, core_emit emit, void *context)
{
	struct core_command command = { .op = CORE_RESTORE_VIEWS, .count = core->last_view };
	dvs_err err = core->last_view > 0 ? emit(context, &command) : DVS_OK;

	for (size_t i = 0; i < core->n_dcs; i++) {
		LIST_FOREACH(at, &core->dcs[i]->groups) {
			if (err == DVS_OK)
				err = emit_group(CONTAINER_OF(at, struct core_group, of_dc), emit,
						 context);
		}
	}
	return err;
}
