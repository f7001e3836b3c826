/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/replica.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dvs/container.h>

#include "replica/remember.h"
#include "skeleton/replica_serve.h"

_Static_assert(REPLICA_REMEMBERED == REMEMBER_MAX, "as the header says");

struct replica {
	struct replica_config config;
	char key[DVS_NAME_MAX + 1];
	struct remember *remember;
	struct poster poster;
	struct post turn;
	bool is_posted;
	enum replica_role role;
	bool tell_role;
	struct replica_record record;
	uint64_t version;
	uint64_t last; /* entry that was submitted */
	struct m3 *service;
	struct list submitted; /* to be applied */
	struct list applied;   /* to be told */
	uint32_t n_open;
};

/* ---- what is called back is called from a turn of the loop ---- */

static void tell_applied(struct replica *replica)
{
	struct list *link;

	while ((link = list_take_head(&replica->applied))) {
		struct replica_entry *entry = CONTAINER_OF(link, struct replica_entry, queued);

		entry->done(entry, entry->result);
	}
}

static void turn(struct post *post)
{
	struct replica *replica = CONTAINER_OF(post, struct replica, turn);
	const struct replica_owner *owner = replica->config.owner;

	replica->is_posted = false;
	if (replica->tell_role) {
		replica->tell_role = false;
		owner->role(owner->context, replica->role, replica->record.epoch,
			    replica_members(replica));
	}
	replica_settle(replica);
	tell_applied(replica);
}

static void post_turn(struct replica *replica)
{
	if (replica->is_posted)
		return;
	replica->is_posted = true;
	poster_put(&replica->poster, &replica->turn);
}

/* ---- the view ---- */

static dvs_err record_read(struct replica *replica)
{
	uint8_t value[DVK_VALUE_MAX];
	size_t len = 0;
	struct cursor in;
	dvs_err err = dvk_record_get(replica->config.admin, replica->config.dc, replica->key, value,
				     &len, &replica->version);

	if (err == DVS_NOTFOUND) {
		replica->version = 0;
		return DVS_OK;
	}
	if (err != DVS_OK)
		return err;
	in = cursor_over(value, len);
	replica_record_get(&in, &replica->record);
	return cursor_done(&in) ? DVS_OK : DVS_CORRUPT;
}

static dvs_err record_write(struct replica *replica)
{
	uint8_t value[REPLICA_RECORD_BYTES_MAX];
	struct writer out = writer_over(value, sizeof(value));

	replica->record.epoch++;
	replica->record.primary = replica->config.node.n;
	replica->record.n_members = 1;
	replica->record.members[0] =
		(struct replica_member){ .node = replica->config.node.n,
					 .ep = m3_self(skeleton_self(replica->config.skeleton)).n };
	replica_record_put(&out, &replica->record);
	return dvk_record_set(replica->config.admin, replica->config.dc, replica->key,
			      replica->version, value, writer_len(&out), &replica->version);
}

static bool may_be_primary(const struct replica *replica)
{
	const struct replica_config *config = &replica->config;

	if (replica->version == 0)
		return config->first.n == config->node.n;
	return !config->is_empty && replica_members(replica) >> config->node.n & 1;
}

static dvs_err begin(struct replica *replica)
{
	const struct replica_config *config = &replica->config;
	dvs_err err = record_read(replica);

	if (err != DVS_OK || !may_be_primary(replica))
		return err;
	err = dvk_bind(config->dvk, config->service, DVK_LOCAL, &replica->service);
	if (err == DVS_INUSE)
		return DVS_OK;
	if (err == DVS_OK)
		err = record_write(replica);
	if (err != DVS_OK)
		return err;
	replica->role = REPLICA_PRIMARY;
	replica->tell_role = true;
	skeleton_listen(config->skeleton, replica->service);
	post_turn(replica);
	return DVS_OK;
}

/* ---- the calls ---- */

dvs_err replica_open(const struct replica_config *config, struct replica **replica)
{
	struct replica *made = calloc(1, sizeof(*made));
	dvs_err err = DVS_NOMEM;

	if (!made)
		return DVS_NOMEM;
	made->config = *config;
	(void)snprintf(made->key, sizeof(made->key), "view/%s", config->name);
	list_init(&made->submitted);
	list_init(&made->applied);
	made->poster = skeleton_poster(config->skeleton);
	made->turn.run = turn;
	made->remember = remember_open();
	if (made->remember)
		err = begin(made);
	if (err != DVS_OK) {
		replica_close(made);
		return err;
	}
	*replica = made;
	return DVS_OK;
}

void replica_close(struct replica *replica)
{
	if (!replica)
		return;
	if (replica->service) {
		skeleton_listen(replica->config.skeleton, NULL);
		dvk_unbind(replica->service);
	}
	remember_close(replica->remember);
	free(replica);
}

struct skeleton_service replica_peers(struct replica **place)
{
	static const struct replica_handlers handlers = { .join = NULL };

	return replica_service(&handlers, place);
}

enum replica_role replica_role(const struct replica *replica)
{
	return replica->role;
}

uint64_t replica_epoch(const struct replica *replica)
{
	return replica->record.epoch;
}

uint64_t replica_members(const struct replica *replica)
{
	uint64_t members = 0;

	for (uint32_t i = 0; i < replica->record.n_members; i++)
		members |= UINT64_C(1) << (replica->record.members[i].node & 63);
	return members;
}

uint64_t replica_sequence(const struct replica *replica)
{
	return replica->last;
}

uint64_t replica_paused_ns(const struct replica *replica)
{
	(void)replica;
	return 0;
}

uint32_t replica_look(const struct replica *replica, struct replica_member_state *states)
{
	uint32_t n = 0;

	for (uint32_t node = 0; node < DVS_NODES_MAX; node++) {
		if (!(replica->config.nodes >> node & 1))
			continue;
		states[n++] = (struct replica_member_state){
			.node = { node },
			.role = node == replica->config.node.n ? replica->role : REPLICA_ABSENT,
		};
	}
	return n;
}

void replica_submit(struct replica *replica, struct replica_entry *entry)
{
	entry->sequence = ++replica->last;
	entry->is_applied = false;
	entry->library = replica;
	list_init(&entry->queued);
	list_add_tail(&replica->submitted, &entry->queued);
	post_turn(replica);
}

void replica_settle(struct replica *replica)
{
	const struct replica_owner *owner = replica->config.owner;
	struct list *link;

	while ((link = list_take_head(&replica->submitted)))
		owner->apply(owner->context, CONTAINER_OF(link, struct replica_entry, queued));
}

void replica_applied(struct replica *replica, struct replica_entry *entry, dvs_err result)
{
	struct remembered what = { .client = entry->client, .call = entry->call, .result = result };

	entry->is_applied = true;
	entry->result = result;
	remember_add(replica->remember, &what);
	list_add_tail(&replica->applied, &entry->queued);
	post_turn(replica);
}

bool replica_was_done(const struct replica *replica, dvs_ep client, uint32_t call, dvs_err *result)
{
	return remember_find(replica->remember, client, call, result);
}

bool replica_may_read(struct replica *replica, struct replica_reader *reader)
{
	(void)reader;
	return replica->role == REPLICA_PRIMARY;
}

void replica_tell(struct replica *replica, dvs_nodeid node, struct replica_word *word)
{
	(void)replica;
	(void)node;
	(void)word;
}

void replica_answer(struct replica *replica, struct replica_heard *heard, dvs_err err,
		    const void *answer, size_t n)
{
	(void)replica;
	(void)heard;
	(void)err;
	(void)answer;
	(void)n;
}

void replica_is_current(struct replica *replica, dvs_nodeid node)
{
	(void)replica;
	(void)node;
}

void replica_set_nodes(struct replica *replica, uint64_t nodes)
{
	replica->config.nodes = nodes;
}

void replica_hand_over(struct replica *replica, dvs_nodeid node,
		       void (*done)(void *context, dvs_err err), void *context)
{
	(void)replica;
	(void)node;
	done(context, DVS_NOTFOUND);
}

void replica_look_again(struct replica *replica)
{
	(void)replica;
}
