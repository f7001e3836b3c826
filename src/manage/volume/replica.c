/* SPDX-License-Identifier: Apache-2.0 */
/* A replica more or less: the record says where they are, and the servers follow it. */
#include "manage/volume/replica.h"

#include <string.h>

#include "base/clock.h"
#include "manage/volume/volumes.h"
#include "manage/volume/watch.h"

/* How long nothing may happen before it is given up. */
#define SETTLE_NS (60 * CLOCK_NS_PER_S)
/* How long another one may take until it can be the primary. */
#define HEIR_NS (20 * CLOCK_NS_PER_S)

struct change {
	const struct dvk_node_info *node;
	const char *place; /* "": the store's own */
};

/* ---- add ---- */

static int add(struct vol *vol, void *change_void)
{
	const struct change *change = change_void;
	struct volume *base = &vol->base;
	struct volume_replica *replica = volume_replica_on(base, change->node->node.n);

	if (replica)
		return vol_note(vol,
				"node %s has one already; 'dvs vol inspect %s' tells where "
				"they are",
				change->node->name, vol->text);
	replica = &base->replicas[base->n_replicas++];
	*replica = (struct volume_replica){ .node = change->node->node.n };
	snprintf(replica->place, sizeof(replica->place), "%s", change->place);
	return EXIT_DONE;
}

static int take_off(struct vol *vol, void *change_void)
{
	const struct change *change = change_void;
	struct volume *base = &vol->base;
	struct volume_replica *replica = volume_replica_on(base, change->node->node.n);
	size_t behind;

	if (!replica)
		return vol_note(vol, "node %s has none; 'dvs vol inspect %s' tells where they are",
				change->node->name, vol->text);
	if (base->n_replicas == 1)
		return vol_note(vol, "it is the only one, with all that is in it; make another one "
				     "first, or remove the volume with 'dvs vol rm'");
	behind = (size_t)(&base->replicas[base->n_replicas] - replica) - 1;
	memmove(replica, replica + 1, behind * sizeof(*replica));
	base->n_replicas--;
	if (base->first == change->node->node.n)
		base->first = base->replicas[0].node;
	return EXIT_DONE;
}

enum added { ADDED, REFUSED, LEFT, TOO_LATE };

static enum added follow(struct vol *vol, struct watch *watch, uint32_t node,
			 char why[DVK_TEXT_MAX + 1])
{
	uint64_t until_ns = clock_deadline_ns(SETTLE_NS);

	for (;;) {
		const struct vdd_member *member = NULL;
		dvs_err err = vol_status(vol, VOL_ANSWER_MS);

		if (err == DVS_OK)
			member = vol_member(vol, node);
		if (member && (member->state == VOL_MEMBER || member->state == VOL_PRIMARY))
			return ADDED;
		if (vol_why(vol, node, why))
			return REFUSED;
		if (member && member->state == VOL_SYNCING) {
			watch_bytes(watch, member->done_bytes, member->total_bytes,
				    member->bytes_per_s, member->eta_ms);
			until_ns = clock_deadline_ns(SETTLE_NS);
		} else {
			watch_text(watch, err == DVS_OK ? "waits for its server" :
							  "waits for the primary");
		}
		if (clock_is_past(until_ns))
			return TOO_LATE;
		if (!watch_pause(watch))
			return LEFT;
	}
}

static int wait_added(struct vol *vol, struct change *change)
{
	char title[2 * DVS_NAME_MAX + VOLUME_NAME_MAX + 32];
	char why[DVK_TEXT_MAX + 1] = "it did not answer within a minute (see its log)";
	struct watch watch;
	enum added added;

	snprintf(title, sizeof(title), "replica of %s on %s", vol->text, change->node->name);
	if (!watch_begin(&watch, vol->cli, title))
		return EXIT_FAILED;
	added = follow(vol, &watch, change->node->node.n, why);
	watch_end(&watch);
	if (added == ADDED)
		return EXIT_DONE;
	if (added == LEFT) {
		vol_note(
			vol,
			"goes on; 'dvs vol inspect %s' tells how far it is, 'dvs vol replica rm %s "
			"%s' ends it",
			vol->text, vol->text, change->node->name);
		return 130;
	}
	/* It may have been taken off by somebody else; that is told. */
	if (vol_change(vol, take_off, change) != EXIT_DONE)
		return EXIT_FAILED;
	return vol_note(vol, "node %s: %s; nothing of it stays", change->node->name, why);
}

int vol_add_replica(struct vol *vol, const struct dvk_node_info *node, const char *place,
		    bool waits)
{
	struct change change = { node, place };
	int status = vol_start_agent(vol, node);

	if (status == EXIT_DONE)
		status = vol_reach(vol);
	if (status == EXIT_DONE)
		status = vol_change(vol, add, &change);
	if (status == EXIT_DONE && waits)
		status = wait_added(vol, &change);
	return status;
}

/* ---- rm ---- */

/* Another one that has everything; NULL: there is none. */
static const struct dvk_node_info *another(struct vol *vol, uint32_t node)
{
	for (uint32_t i = 0; i < vol->status.n_members; i++) {
		const struct vdd_member *member = &vol->status.members[i];
		dvs_nodeid id = { member->node };

		if (member->node != node &&
		    (member->state == VOL_MEMBER || member->state == VOL_PRIMARY))
			return nodes_at(&vol->nodes, id);
	}
	return NULL;
}

/* Nothing may be lost: without --force another one must have everything, and be the primary. */
static int secure(struct vol *vol, const struct change *change)
{
	uint32_t node = change->node->node.n;
	const struct vdd_member *member;
	const struct dvk_node_info *other;
	dvs_err err;
	int status = vol_reach(vol);

	if (status != EXIT_DONE)
		return status;
	err = vol_status(vol, VOL_ANSWER_MS);
	if (err != DVS_OK)
		return vol_fail_reach(vol, err);
	other = another(vol, node);
	if (!other)
		return vol_note(vol,
				"no other replica has everything; wait until 'dvs vol inspect %s' "
				"says that one is in sync",
				vol->text);
	member = vol_member(vol, node);
	return member && member->state == VOL_PRIMARY ?
		       vol_hand_over(vol, other, clock_deadline_ns(HEIR_NS)) :
		       EXIT_DONE;
}

/* Until the servers have let it go. */
static void wait_removed(struct vol *vol, const struct change *change)
{
	uint64_t until_ns = clock_deadline_ns(SETTLE_NS);
	struct watch watch;

	if (!vol->is_reached || !watch_begin(&watch, vol->cli, "remove the replica"))
		return;
	while (!clock_is_past(until_ns)) {
		const struct vdd_member *member;
		dvs_err err = vol_status(vol, VOL_ANSWER_MS);

		if (err != DVS_OK && !vol_is_passing(err))
			break;
		member = err == DVS_OK ? vol_member(vol, change->node->node.n) : NULL;
		if (err == DVS_OK && (!member || member->state == VOL_AWAY))
			break;
		watch_text(&watch, "waits for the others");
		if (!watch_pause(&watch))
			break;
	}
	watch_end(&watch);
}

int vol_remove_replica(struct vol *vol, const struct dvk_node_info *node, bool by_force)
{
	struct change change = { node, "" };
	/* What cannot be removed in any case is said first. */
	int status = take_off(vol, &change);

	if (status == EXIT_DONE && vol_reload(vol) != DVS_OK)
		status = vol_note(vol, "it has just been removed");
	if (status == EXIT_DONE && !by_force)
		status = secure(vol, &change);
	if (status == EXIT_DONE)
		status = vol_change(vol, take_off, &change);
	if (status == EXIT_DONE)
		wait_removed(vol, &change);
	return status;
}
