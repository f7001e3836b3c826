/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the core share. */
#ifndef CORE_INTERNAL_H
#define CORE_INTERNAL_H

#include "core/core.h"

struct core {
	struct core_dc *dcs[CORE_DCS_MAX]; /* by rising id */
	size_t n_dcs;
	size_t n_endpoints;
	uint32_t next_dc;
	uint64_t next_binding;
	uint64_t last_view;    /* of all groups */
	uint64_t last_version; /* of all records and changes of DCs */
	size_t record_bytes;
	struct map holders;
	struct core_node nodes[CORE_NODES_MAX];
	bool restoring; /* a snapshot is being read */
	bool live;	/* anything else was done: too late for a snapshot */
};

/* Make room for N effects, so that the change that follows cannot fail. */
DVS_MUST_USE dvs_err effects_reserve(struct core_effects *effects, size_t n);
/* Add an effect about BINDING (may be NULL); the room was reserved. */
struct core_effect *effects_add(struct core_effects *effects, enum core_effect_kind kind,
				const struct core_endpoint *endpoint, struct core_binding *binding);

/* tables.c */
DVS_MUST_USE dvs_err number_page(struct core_dc *dc, uint32_t number, struct core_number **entry);
struct core_number *number_find(const struct core_dc *dc, uint32_t number);
struct core_endpoint *endpoint_add(struct core *core, struct core_dc *dc, uint32_t number,
				   uint32_t generation);
void endpoint_free(struct core *core, struct core_endpoint *endpoint);
DVS_MUST_USE dvs_err holder_get(struct core *core, const struct core_process *process,
				uint64_t area, struct core_holder **holder);
void holder_put(struct core *core, struct core_holder *holder);
void binding_attach(struct core_binding *binding, struct core_endpoint *endpoint,
		    struct core_holder *holder);
void binding_hold(struct core_binding *binding, struct core_holder *holder);
void binding_detach_holder(struct core *core, struct core_binding *binding);
void binding_free(struct core *core, struct core_binding *binding);

typedef dvs_err (*core_handler)(struct core *core, const struct core_command *command,
				struct core_effects *effects);

/* dc.c */
dvs_err step_dc_create(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_dc_remove(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_restore_dc(struct core *, const struct core_command *, struct core_effects *);
DVS_MUST_USE dvs_err dc_add(struct core *core, uint32_t id, const char *name, uint32_t owner_uid,
			    struct core_dc **added);
void dc_free(struct core *core, struct core_dc *dc);
/* DC is over, with its endpoints: so many effects. */
size_t dc_end_effects(const struct core_dc *dc);
void dc_end(struct core *core, struct core_dc *dc, struct core_effects *effects);

/* bind.c */
dvs_err step_bind(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_unbind(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_endpoint_end(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_process_dead(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_process_area(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_rebind(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_privileges_set(struct core *, const struct core_command *, struct core_effects *);
void endpoint_end(struct core *core, struct core_endpoint *endpoint, struct core_effects *effects);
/* A binding ends; if it was the primary, the oldest backup follows. Adds up to 3 effects. */
void binding_end(struct core *core, struct core_binding *binding, struct core_effects *effects);

/* Its primary was ended or is another by now: NEXT is it. */
void backup_promote(struct core_endpoint *endpoint, struct core_binding *next,
		    struct core_effects *effects);

/* node.c */
/* Whether bindings can be made there. */
bool node_can_hold(const struct core *core, uint32_t node);
bool node_is_draining(const struct core *core, uint32_t node);
dvs_err step_node_up(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_node_away(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_node_down(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_node_remove(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_node_drain(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_restore_node(struct core *, const struct core_command *, struct core_effects *);
DVS_MUST_USE dvs_err nodes_emit(const struct core *core, core_emit emit, void *context);

/* group.c */
void binding_leave_groups(struct core *core, struct core_binding *binding);
/* The members of NODE leave: it is down, or its dvsd is gone. */
void groups_leave_node(struct core *core, uint32_t node);
dvs_err step_group_join(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_group_leave(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_group_given(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_restore_views(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_restore_group(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_restore_member(struct core *, const struct core_command *, struct core_effects *);
void groups_restore_end(struct core_dc *dc);
DVS_MUST_USE dvs_err groups_emit(const struct core *core, core_emit emit, void *context);

/* container.c */
dvs_err step_container_create(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_container_remove(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_container_nodes(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_container_freeze(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_container_report(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_restore_containers(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_restore_container(struct core *, const struct core_command *, struct core_effects *);
/* NODE is down / is forgotten. How many effects that can have, beside those of its bindings. */
size_t containers_down_effects(const struct core *core);
void containers_node_down(struct core *core, uint32_t node, struct core_effects *effects);
void containers_node_forget(struct core *core, uint32_t node, struct core_effects *effects);
DVS_MUST_USE dvs_err containers_emit(const struct core_dc *dc, core_emit emit, void *context);

/* record.c */
/* A record of its own, in no DC yet. NULL: out of memory. */
struct core_record *record_new(const struct core_command *command, const char *key);
/* DC has none of that key. */
void record_add(struct core *core, struct core_dc *dc, struct core_record *record,
		uint64_t version);
bool records_are_full(const struct core *core, const struct core_dc *dc, size_t len);
void records_free(struct core *core, struct core_dc *dc);
/* Something of DC has changed. */
void dc_touch(struct core *core, struct core_dc *dc);
void effects_add_dc(struct core_effects *effects, enum core_effect_kind kind,
		    const struct core_dc *dc, uint32_t node, const char *text);
dvs_err step_record_set(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_record_remove(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_restore_record(struct core *, const struct core_command *, struct core_effects *);
DVS_MUST_USE dvs_err records_emit(const struct core_dc *dc, core_emit emit, void *context);

/* move.c */
/* The primary and NEXT change places: adds 2 effects. */
void primary_hand_over(struct core_endpoint *endpoint, struct core_binding *next,
		       struct core_effects *effects);
dvs_err step_migrate_start(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_migrate_again(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_parked(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_migrate_commit(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_migrate_rollback(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_promote(struct core *, const struct core_command *, struct core_effects *);

/* restore.c */
/* The snapshot is read: mend what a true one would not have. */
void restore_end(struct core *core);
dvs_err step_restore_counters(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_restore_clients(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_restore_number(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_restore_endpoint(struct core *, const struct core_command *, struct core_effects *);
dvs_err step_restore_binding(struct core *, const struct core_command *, struct core_effects *);

#endif
