/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine wants done. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "replica/internal.h"

/* ---- blocks ---- */

struct block *block_new(void)
{
	struct block *block = calloc(1, sizeof(*block));

	if (!block)
		return NULL;
	block->refs = 1;
	block->entry = &block->own;
	list_init(&block->e.logged);
	list_init(&block->apply.queued);
	list_init(&block->done.queued);
	return block;
}

void block_put(struct block *block)
{
	if (--block->refs > 0)
		return;
	free(block->owned);
	free(block);
}

/* The owner gets its entry back; whoever has not sent it yet needs a copy. */
static void block_keep(struct block *block)
{
	struct replica_entry *entry = block->entry;

	if (entry == &block->own)
		return;
	block->own = *entry;
	block->entry = &block->own;
	if (block->refs > (block->is_logged ? 1u : 0u) && entry->bytes > 0) {
		block->owned = malloc(entry->bytes);
		assert(block->owned);
		memcpy(block->owned, entry->data, entry->bytes);
	}
	block->own.data = block->owned;
}

/* ---- entries ---- */

static void run_apply(struct replica *replica, struct notice *notice)
{
	struct block *block = CONTAINER_OF(notice, struct block, apply);
	const struct replica_owner *owner = replica->config.owner;

	/* The owner could not tell any more when it has carried it out; nobody was told that it would be. */
	if (replica->is_closing)
		engine_applied(replica_enter(replica), &block->e, DVS_BADSTATE);
	else
		owner->apply(owner->context, block->entry);
}

static void op_apply(void *context, struct engine_entry *entry)
{
	struct block *block = CONTAINER_OF(entry, struct block, e);

	block->is_logged = true;
	block->apply.is_apply = true;
	replica_notice(context, &block->apply, run_apply);
}

static void run_done(struct replica *replica, struct notice *notice)
{
	struct block *block = CONTAINER_OF(notice, struct block, done);
	struct replica_entry *entry = block->entry;

	(void)replica;
	block->refs--;
	block_keep(block);
	block->refs++;
	block_put(block);
	entry->library = NULL;
	entry->done(entry, entry->result);
}

static void op_done(void *context, struct engine_entry *entry, dvs_err err)
{
	struct block *block = CONTAINER_OF(entry, struct block, e);

	block->refs++;
	block->entry->result = err;
	replica_notice(context, &block->done, run_done);
}

static void op_forget(void *context, struct engine_entry *entry)
{
	struct block *block = CONTAINER_OF(entry, struct block, e);

	(void)context;
	block->is_logged = false;
	block_put(block);
}

/* ---- roles ---- */

struct role_notice {
	struct notice notice;
	enum replica_role role;
	uint64_t epoch;
	uint64_t members;
	uint32_t node;
	dvs_err err;
};

static void tell(struct replica *replica, const struct role_notice *what,
		 void (*run)(struct replica *replica, struct notice *notice))
{
	struct role_notice *notice = malloc(sizeof(*notice));

	assert(notice);
	*notice = *what;
	list_init(&notice->notice.queued);
	replica_notice(replica, &notice->notice, run);
}

static void run_role(struct replica *replica, struct notice *notice)
{
	struct role_notice *role = CONTAINER_OF(notice, struct role_notice, notice);
	const struct replica_owner *owner = replica->config.owner;

	/* Its owner tells people, in words of its own. */
	log_debug(replica->config.log, "role", LOG_STR("view", replica->config.name),
		  LOG_U64("role", role->role), LOG_U64("epoch", role->epoch),
		  LOG_U64("members", role->members));
	if (role->role == REPLICA_PRIMARY && replica->service && replica->is_primary &&
	    !replica->is_closing)
		skeleton_listen(replica->config.skeleton, replica->service);
	if (!replica->is_closing)
		owner->role(owner->context, role->role, role->epoch, role->members);
	free(role);
}

static void op_role(void *context, enum engine_role role)
{
	struct replica *replica = context;
	static const enum replica_role roles[] = {
		[ENGINE_ABSENT] = REPLICA_ABSENT,   [ENGINE_JOINING] = REPLICA_JOINING,
		[ENGINE_MEMBER] = REPLICA_MEMBER,   [ENGINE_CANDIDATE] = REPLICA_MEMBER,
		[ENGINE_PRIMARY] = REPLICA_PRIMARY,
	};

	if (role != ENGINE_PRIMARY && replica->is_primary)
		skeleton_listen(replica->config.skeleton, NULL);
	replica->is_primary = role == ENGINE_PRIMARY;
	if (role == ENGINE_ABSENT || role == ENGINE_CANDIDATE)
		inbox_clear(replica);
	if (role == ENGINE_CANDIDATE)
		return;
	tell(replica,
	     &(struct role_notice){ .role = roles[role],
				    .epoch = engine_epoch(replica->engine),
				    .members = engine_view(replica->engine)->members },
	     run_role);
}

static void op_joined(void *context, uint32_t node)
{
	(void)node;
	serve_joined(context);
}

static void run_left(struct replica *replica, struct notice *notice)
{
	struct role_notice *left = CONTAINER_OF(notice, struct role_notice, notice);
	const struct replica_owner *owner = replica->config.owner;

	if (owner->left && !replica->is_closing)
		owner->left(owner->context, (dvs_nodeid){ left->node });
	free(left);
}

static void op_left(void *context, uint32_t node)
{
	tell(context, &(struct role_notice){ .node = node }, run_left);
}

static void run_readers(struct replica *replica, struct notice *notice)
{
	struct role_notice *what = CONTAINER_OF(notice, struct role_notice, notice);
	struct list readers;
	struct list *link;

	list_init(&readers);
	while ((link = list_take_head(&replica->readers)))
		list_add_tail(&readers, link);
	while ((link = list_take_head(&readers))) {
		struct replica_reader *reader = CONTAINER_OF(link, struct replica_reader, queued);

		reader->ready(reader, what->err);
	}
	free(what);
}

static void op_readers(void *context, dvs_err err)
{
	tell(context, &(struct role_notice){ .err = err }, run_readers);
}

static void run_handed(struct replica *replica, struct notice *notice)
{
	struct role_notice *what = CONTAINER_OF(notice, struct role_notice, notice);
	void (*done)(void *owner, dvs_err err) = replica->handed;

	replica->handed = NULL;
	if (done)
		done(replica->handed_context, what->err);
	free(what);
}

static void op_handed_over(void *context, dvs_err err)
{
	tell(context, &(struct role_notice){ .err = err }, run_handed);
}

/* ---- the service's endpoint: its handle belongs to this thread ---- */

static void unbind(struct replica *replica)
{
	if (!replica->service)
		return;
	skeleton_forget(replica->config.skeleton, replica->service);
	dvk_unbind(replica->service);
	replica->service = NULL;
}

/* The result is told in a turn of its own, as of all that takes time. */
static void run_bound(struct replica *replica, struct notice *notice)
{
	struct role_notice *what = CONTAINER_OF(notice, struct role_notice, notice);

	if (what->role == REPLICA_PRIMARY)
		engine_took(replica_enter(replica), what->err);
	else
		engine_backed(replica_enter(replica), what->err);
	free(what);
}

static void bind_service(struct replica *replica, enum dvk_kind kind)
{
	struct role_notice what = { .role = kind == DVK_LOCAL ? REPLICA_PRIMARY : REPLICA_MEMBER };

	unbind(replica);
	what.err = dvk_bind(replica->config.dvk, replica->config.service, kind, &replica->service);
	if (what.err != DVS_OK)
		replica->service = NULL;
	log_debug(replica->config.log, "bind", LOG_STR("name", replica->config.name),
		  LOG_U64("kind", kind), LOG_STR("answer", dvs_strerror(what.err)));
	tell(replica, &what, run_bound);
}

static void op_take(void *context)
{
	bind_service(context, DVK_LOCAL);
}

static void op_backup(void *context)
{
	bind_service(context, DVK_BACKUP);
}

static void op_give_up(void *context)
{
	unbind(context);
}

/* ---- others' work ---- */

static void op_read(void *context)
{
	worker_read(context);
}

static void op_set(void *context, uint64_t version, const struct engine_view *view)
{
	worker_set(context, version, view);
}

static void op_look(void *context)
{
	worker_look(context);
}

static void op_is_dead(void *context, uint32_t node, dvs_ep ep)
{
	worker_is_dead(context, node, ep);
}

static void op_promote(void *context, uint32_t node, dvs_ep ep)
{
	calls_take(context, node, ep, false);
}

static void op_ask_heir(void *context, uint32_t node, dvs_ep ep)
{
	calls_take(context, node, ep, true);
}

static void op_overtake(void *context)
{
	worker_overtake(context);
}

static void run_join(struct replica *replica, struct notice *notice)
{
	struct role_notice *what = CONTAINER_OF(notice, struct role_notice, notice);

	if (!replica->is_closing)
		calls_join(replica, what->epoch);
	free(what);
}

static void op_join(void *context, uint64_t stream)
{
	tell(context, &(struct role_notice){ .epoch = stream }, run_join);
}

static void op_view(void *context, uint32_t node, dvs_ep ep, uint64_t epoch, uint64_t stream)
{
	calls_view(context, node, ep, epoch, stream);
}

static void op_tail(void *context, uint32_t node, dvs_ep ep, uint64_t epoch, uint64_t after)
{
	calls_tail(context, node, ep, epoch, after);
}

static void op_open(void *context, uint32_t node, dvs_ep ep, uint64_t stream, bool begin,
		    uint64_t after)
{
	outbox_open(context, node, ep, stream, begin, after);
}

static void op_send(void *context, uint32_t node, struct engine_entry *entry)
{
	outbox_send(context, node, CONTAINER_OF(entry, struct block, e));
}

static void op_send_table(void *context, uint32_t node)
{
	outbox_send_table(context, node);
}

static void op_close(void *context, uint32_t node)
{
	outbox_close(context, node);
}

const struct engine_ops replica_ops = {
	.read_record = op_read,
	.set_record = op_set,
	.take = op_take,
	.backup = op_backup,
	.give_up = op_give_up,
	.look = op_look,
	.is_dead = op_is_dead,
	.promote = op_promote,
	.ask_heir = op_ask_heir,
	.overtake = op_overtake,
	.join = op_join,
	.view = op_view,
	.tail = op_tail,
	.open = op_open,
	.send = op_send,
	.send_table = op_send_table,
	.close = op_close,
	.apply = op_apply,
	.done = op_done,
	.forget = op_forget,
	.role = op_role,
	.joined = op_joined,
	.left = op_left,
	.readers = op_readers,
	.handed_over = op_handed_over,
};
