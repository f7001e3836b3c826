/* SPDX-License-Identifier: Apache-2.0 */
#include "group_cluster.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "group/internal.h"

/* What was seen under NAME; content 0 if nothing was. */
static struct sight *sight_find(struct cluster *cluster, uint64_t name)
{
	size_t at = (size_t)(name * UINT64_C(0x9e3779b97f4a7c15) >> 40) % SIGHTS;

	for (size_t i = 0; i < SIGHTS; i++, at = (at + 1) % SIGHTS) {
		struct sight *sight = &cluster->sights[at];

		if (sight->name == 0)
			sight->name = name;
		if (sight->name == name)
			return sight;
	}
	abort();
}

/* Whoever sees NAME sees the same CONTENT. */
static void sight(struct cluster *cluster, uint64_t name, uint64_t content)
{
	struct sight *sight = sight_find(cluster, name);

	EXPECT(cluster, cluster->rough || sight->content == 0 || sight->content == content);
	sight->content = content;
}

/* How often NODE had been started when it took over the log of EPOCH. */
static struct sight *sight_of_agreed(struct cluster *cluster, uint64_t epoch, uint32_t node)
{
	return sight_find(cluster, (epoch * 64 + node) * UINT64_C(0xa0761d6478bd642f));
}

/* Whether those of VIEW, some of whom had it and have not been started again since, must have what was committed. */
static bool must_have(struct cluster *cluster, const struct submitted *submitted, uint64_t view)
{
	if (!submitted->committed || cluster->rough)
		return false;
	for (uint32_t node = 0; node < cluster->world.n_nodes; node++) {
		if ((submitted->members & view & bit(node)) &&
		    sight_of_agreed(cluster, submitted->epoch, node)->content ==
			    cluster->members[node].starts)
			return true;
	}
	return false;
}

static void note_agreed(struct member *member)
{
	const struct ordered *ordered = member->ordered;
	struct cluster *cluster = member->cluster;

	/* Not what it has from its file. */
	if (!ordered || ordered->phase < PHASE_TRANSFER || ordered->log_epoch == member->agreed ||
	    ordered->log_epoch != ordered->decision.epoch)
		return;
	member->agreed = ordered->log_epoch;
	for (uint32_t id = 0; id < cluster->n_submitted; id++) {
		struct submitted *submitted = &cluster->submitted[id];

		/* All of them who had it have forgotten it. */
		if (submitted->committed && submitted->epoch < member->agreed &&
		    !must_have(cluster, submitted, ordered->members))
			submitted->committed = false;
	}
	sight_of_agreed(cluster, member->agreed, member->node)->content = member->starts;
}

static void note_commit(struct member *member, uint32_t id)
{
	struct cluster *cluster = member->cluster;
	struct submitted *submitted = &cluster->submitted[id];
	uint64_t epoch = member->ordered->decision.epoch;

	EXPECT(cluster, submitted->outcome != TOLD_NOQUORUM);
	if (!submitted->committed) {
		if (cluster->world.verbose)
			printf("# node %u: entry %u is the first at %" PRIu64 " in view %" PRIu64
			       "\n",
			       member->node, id, member->ordered->applied.index, epoch);
		submitted->committed = true;
		submitted->epoch = epoch;
		submitted->members = member->ordered->members;
	}
	/* Those who are ahead of us had it before. */
	for (uint32_t node = 0; node < cluster->world.n_nodes; node++) {
		const struct member *other = &cluster->members[node];

		if (other->ordered && other->view_epoch > epoch &&
		    must_have(cluster, submitted, other->view_members))
			EXPECT(cluster, other->state->times[id] > 0);
	}
}

static void app_apply(void *context, uint32_t node, uint64_t cookie, const void *bytes, size_t len)
{
	struct member *member = context;
	struct cluster *cluster = member->cluster;
	struct cursor in = cursor_over(bytes, len);
	uint32_t id = cursor_u32(&in);
	struct submitted *submitted = &cluster->submitted[id];

	if (id >= cluster->n_submitted)
		abort();
	EXPECT(cluster, submitted->node == node);
	/* Again only if nobody could know. */
	EXPECT(cluster, cluster->rough || member->state->times[id] == 0 ||
				(submitted->keep && cluster->n_forgotten > 0));
	note_commit(member, id);
	if (cookie != 0) {
		EXPECT(cluster, cookie == id + UINT64_C(1) && node == member->node);
		EXPECT(cluster, submitted->outcome == WAITING);
		submitted->outcome = APPLIED;
	} else {
		EXPECT(cluster, node != member->node || submitted->outcome != WAITING ||
					(submitted->keep && cluster->n_forgotten > 0));
	}
	state_apply(member->state, id, (const uint8_t *)bytes + 4, len - 4);
	if (member->ordered->applied.index % 4 == 0)
		sight(cluster, member->ordered->applied.chain, state_digest(member->state));
}

static uint64_t view_hash(const struct ordered_view *view)
{
	uint64_t hash = view->epoch;

	for (uint32_t i = 0; i < view->n_members; i++)
		hash = hash * 1000003 + view->members[i];
	for (uint32_t i = 0; i < view->n_left; i++)
		hash = hash * 1000003 + 100 + view->left[i] * 5 + view->why[i];
	for (uint32_t i = 0; i < view->n_joined; i++)
		hash = hash * 1000003 + 200 + view->joined[i];
	return hash;
}

static void trace_view(const struct member *member, const struct ordered_view *view)
{
	const struct ordered *ordered = member->ordered;

	if (!member->cluster->world.verbose)
		return;
	printf("# node %u: view %" PRIu64 " of %" PRIx64 ", donor %u, index %" PRIu64 ", ids %u:",
	       member->node, view->epoch, ordered->members, ordered->decision.donor,
	       ordered->applied.index, member->state->n_ids);
	for (uint32_t i = 0; i < view->n_members; i++) {
		const struct word *word = &ordered->words[view->members[i]];

		printf(" %u(life %" PRIu64 " log %" PRIu64 "/%" PRIu64 " promised %" PRIu64 ")",
		       view->members[i], word->life, word->log_epoch, word->last.index,
		       word->attempt);
	}
	printf("\n");
}

static void app_view(void *context, const struct ordered_view *view)
{
	struct member *member = context;
	struct cluster *cluster = member->cluster;

	cluster->n_views++;
	note_agreed(member);
	trace_view(member, view);
	EXPECT(cluster, view->n_members * 2 > cluster->world.n_nodes);
	EXPECT(cluster, view->epoch > member->view_epoch);
	member->view_epoch = view->epoch;
	member->view_members = 0;
	for (uint32_t i = 0; i < view->n_members; i++)
		member->view_members |= bit(view->members[i]);
	EXPECT(cluster, (member->view_members & bit(member->node)) != 0);
	sight(cluster, view->epoch * UINT64_C(0xd6e8feb86659fd93), view_hash(view));
	for (uint32_t id = 0; id < cluster->n_submitted; id++) {
		const struct submitted *submitted = &cluster->submitted[id];

		if (member->state->times[id] == 0 && submitted->epoch < view->epoch)
			EXPECT(cluster, !must_have(cluster, submitted, member->view_members));
	}
	for (uint32_t i = 0; i < view->n_left; i++) {
		EXPECT(cluster, !(member->view_members & bit(view->left[i])));
		if (view->why[i] == GROUP_LOST)
			state_node_gone(member->state, view->left[i]);
	}
	sight(cluster, member->ordered->applied.chain, state_digest(member->state));
	/* Callbacks may submit. */
	if (world_roll(&cluster->world, 4) == 0)
		member_submit(cluster, member->node, false);
}

static void app_node_lost(void *context, uint32_t node)
{
	struct member *member = context;

	member->cluster->n_node_lost++;
	EXPECT(member->cluster, !(member->view_members & bit(node)));
	state_node_gone(member->state, node);
}

static dvs_err app_save(void *context, dvs_err (*emit)(void *to, const void *bytes, size_t len),
			void *to)
{
	return state_save(((struct member *)context)->state, emit, to);
}

static void app_load_begin(void *context)
{
	struct member *member = context;

	EXPECT(member->cluster, !member->loading);
	member->loading = state_new();
}

static dvs_err app_load(void *context, const void *bytes, size_t len)
{
	return state_load(((struct member *)context)->loading, bytes, len);
}

static void app_load_end(void *context, bool ok)
{
	struct member *member = context;
	struct state *drop = ok ? member->state : member->loading;

	EXPECT(member->cluster, member->loading != NULL);
	if (ok)
		member->state = member->loading;
	member->loading = NULL;
	state_free(drop);
	member->cluster->n_snapshots += ok;
	if (!ok)
		return;
	member->view_members = 0; /* the state has seen other views */
	/* From one who does not know what it had of us. */
	LIST_FOREACH(link, &member->ordered->flight) {
		const struct own *own = CONTAINER_OF(link, struct own, link);

		if (own->epoch < member->ordered->known_from)
			member->cluster->n_forgotten++;
	}
}

static uint64_t app_digest(void *context)
{
	return state_digest(((struct member *)context)->state);
}

static void app_ready(void *context, bool ready)
{
	struct member *member = context;

	EXPECT(member->cluster, member->ready != ready);
	member->ready = ready;
}

static void app_refused(void *context, uint64_t cookie, dvs_err err)
{
	struct member *member = context;
	struct cluster *cluster = member->cluster;
	struct submitted *submitted = &cluster->submitted[cookie - 1];

	EXPECT(cluster, submitted->outcome == WAITING && submitted->node == member->node);
	if (err == DVS_NOQUORUM) {
		cluster->n_noquorum++;
		submitted->outcome = TOLD_NOQUORUM;
		EXPECT(cluster, !submitted->keep && !submitted->committed);
	} else if (err == DVS_OK) {
		cluster->n_while_away++;
		submitted->outcome = TOLD_APPLIED;
		EXPECT(cluster, member->state->times[cookie - 1] > 0);
	} else {
		cluster->n_unknown++;
		EXPECT(cluster, err == DVS_IO && !submitted->keep);
		submitted->outcome = TOLD_UNKNOWN;
	}
	/* Callbacks may submit. */
	if (world_roll(&cluster->world, 8) == 0)
		member_submit(cluster, member->node, true);
}

static void app_failed(void *context, dvs_err err, const char *why)
{
	struct member *member = context;

	printf("# node %u has failed: %s: %s\n", member->node, why, dvs_err_name(err));
	member->cluster->failed = true;
}

/* ---- members ---- */

void member_start(struct cluster *cluster, uint32_t node, enum memory memory)
{
	struct member *member = &cluster->members[node];
	struct ordered_app app = { .context = member,
				   .apply = app_apply,
				   .view = app_view,
				   .node_lost = app_node_lost,
				   .save = app_save,
				   .load_begin = app_load_begin,
				   .load = app_load,
				   .load_end = app_load_end,
				   .digest = app_digest,
				   .ready = app_ready,
				   .refused = app_refused,
				   .failed = app_failed };
	static const struct state_file none;
	struct ordered_position position;
	const struct state_file *file = memory == MEMORY_LAST ? &member->last :
					memory == MEMORY_OLD  ? &member->file :
								&none;

	member->state = state_new();
	member->starts++;
	member->agreed = 0;
	member->view_epoch = member->view_members = 0;
	state_file_read(file, member->state);
	if (cluster->world.verbose)
		printf("# node %u: started with %" PRIu64 "/%" PRIu64 "\n", node,
		       file->position.epoch, file->position.index);
	position = file->position;
	/* As the time does. */
	position.promised = ++cluster->n_starts << 16;
	if (ordered_open(&app, &position, node, world_engine_open, &member->place,
			 &member->ordered) != DVS_OK)
		abort();
}

void member_stop(struct cluster *cluster, uint32_t node, bool orderly)
{
	struct member *member = &cluster->members[node];

	state_file_write(&member->last, member->state, ordered_position(member->ordered));
	if (cluster->world.verbose)
		printf("# node %u: stopped at %" PRIu64 "/%" PRIu64 "\n", node,
		       member->last.position.epoch, member->last.position.index);
	if (!orderly)
		world_kill_client(&cluster->world, node);
	ordered_close(member->ordered);
	member->ordered = NULL;
	member->ready = false;
	member->view_epoch = member->view_members = 0;
	state_free(member->state);
	state_free(member->loading);
	member->state = member->loading = NULL;
	for (uint32_t id = 0; id < cluster->n_submitted; id++) {
		struct submitted *submitted = &cluster->submitted[id];

		if (submitted->node == node && submitted->outcome == WAITING)
			submitted->outcome = ORPHANED;
	}
}

static uint32_t roll(void *context, uint32_t below)
{
	return world_roll(context, below);
}

void member_submit(struct cluster *cluster, uint32_t node, bool keep)
{
	uint8_t bytes[ORDERED_ENTRY_MAX];
	struct writer out = writer_over(bytes, sizeof(bytes));
	uint32_t id = cluster->n_submitted;
	struct member *member = &cluster->members[node];
	size_t len = 4;
	dvs_err err;

	if (id >= APP_IDS_MAX / 8)
		return;
	writer_u32(&out, id);
	if (world_roll(&cluster->world, 40) == 0) {
		len += world_roll(&cluster->world, ORDERED_ENTRY_MAX - 4);
		memset(bytes + 4, 0, len - 4);
	} else {
		len += command_draw(roll, &cluster->world, bytes + 4, sizeof(bytes) - 4);
	}
	cluster->n_submitted++;
	cluster->submitted[id] =
		(struct submitted){ .node = node, .keep = keep, .outcome = WAITING };
	err = ordered_submit(member->ordered, id + UINT64_C(1), bytes, len, keep);
	if (err == DVS_NOQUORUM) {
		EXPECT(cluster, !keep && !member->ready);
		cluster->submitted[id].outcome = TOLD_NOQUORUM;
	} else {
		EXPECT(cluster, err == DVS_OK);
	}
}

void member_dispatch(struct cluster *cluster, uint32_t node)
{
	struct member *member = &cluster->members[node];

	if (member->ordered && !member->paused)
		ordered_dispatch(member->ordered);
	note_agreed(member);
}

/* ---- all of them ---- */

void cluster_open(struct cluster *cluster, uint64_t seed, uint32_t n_nodes)
{
	memset(cluster, 0, sizeof(*cluster));
	world_open(&cluster->world, seed, n_nodes);
	for (uint32_t node = 0; node < n_nodes; node++) {
		struct member *member = &cluster->members[node];

		member->cluster = cluster;
		member->node = node;
		member->place = (struct world_place){ &cluster->world, node };
	}
}

void cluster_close(struct cluster *cluster)
{
	for (uint32_t node = 0; node < cluster->world.n_nodes; node++) {
		if (cluster->members[node].ordered)
			member_stop(cluster, node, true);
		state_file_free(&cluster->members[node].file);
		state_file_free(&cluster->members[node].last);
	}
	world_close(&cluster->world);
}

static bool is_quiet(const struct cluster *cluster)
{
	for (uint32_t node = 0; node < cluster->world.n_nodes; node++) {
		const struct ordered *ordered = cluster->members[node].ordered;

		if (!world_is_quiet(&cluster->world, node))
			return false;
		if (ordered && cluster->world.daemons[node].up &&
		    (!list_is_empty(&ordered->outbox) || ordered->want_ack ||
		     (ordered->ready && !list_is_empty(&ordered->queue))))
			return false;
	}
	return true;
}

void cluster_settle(struct cluster *cluster)
{
	uint32_t rounds;

	for (rounds = 0; rounds < 20000 && !cluster->failed && !is_quiet(cluster); rounds++) {
		uint32_t node = world_roll(&cluster->world, cluster->world.n_nodes);

		for (int i = 0; i < 10 && world_send(&cluster->world, node); i++) {
		}
		for (int i = 0; i < 10 && world_receive(&cluster->world, node); i++) {
		}
		member_dispatch(cluster, node);
		if (world_roll(&cluster->world, 4) == 0)
			(void)world_know_quorum(&cluster->world, node);
	}
	EXPECT(cluster, cluster->failed || rounds < 20000);
}

void cluster_check(struct cluster *cluster)
{
	const struct member *first = NULL;

	for (uint32_t node = 0; node < cluster->world.n_nodes; node++) {
		struct member *member = &cluster->members[node];
		const struct world_daemon *daemon = &cluster->world.daemons[node];
		uint32_t n = 0;

		if (!member->ordered)
			continue;
		for (uint32_t other = 0; other < cluster->world.n_nodes; other++)
			n += daemon->up && cluster->world.daemons[other].up &&
			     cluster->world.daemons[other].component == daemon->component;
		EXPECT(cluster, member->ready == (n * 2 > cluster->world.n_nodes));
		EXPECT(cluster, ordered_is_ready(member->ordered) == member->ready);
		if (!member->ready)
			continue;
		EXPECT(cluster, list_is_empty(&member->ordered->queue) &&
					list_is_empty(&member->ordered->flight) &&
					list_is_empty(&member->ordered->log));
		if (!first)
			first = member;
		EXPECT(cluster, member->view_epoch == first->view_epoch);
		EXPECT(cluster, member->view_members == first->view_members);
		EXPECT(cluster, ordered_position(member->ordered).index ==
					ordered_position(first->ordered).index);
		EXPECT(cluster, state_digest(member->state) == state_digest(first->state));
		EXPECT(cluster, member->state->n_ids == first->state->n_ids);
		for (uint32_t id = 0; id < cluster->n_submitted; id++)
			EXPECT(cluster, cluster->submitted[id].node != node ||
						cluster->submitted[id].outcome != WAITING);
	}
}
