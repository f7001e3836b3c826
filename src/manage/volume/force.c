/* SPDX-License-Identifier: Apache-2.0 */
/* dvs vol promote --lost-data: the view of a volume (decision 0022) that has no primary and gets none any more is set to one of NODE alone. Whoever was in the view before
 * and comes back is no member: it is made what NODE is. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "manage/volume/volumes.h"
#include "manage/volume/watch.h"
#include "proto/replica_proto.h"

#define ASK_MS 2000u
#define FORCE_LOOKS (60000u / WATCH_MS)
/* See replica.toml: who takes over does not have to have everything. */
#define WRITER_FORCED UINT32_MAX

static bool has_primary(struct vol *vol)
{
	if (vol_try(vol, ASK_MS) != DVS_OK || vol_status(vol, ASK_MS) != DVS_OK)
		return false;
	for (uint32_t i = 0; i < vol->status.n_members; i++) {
		if (vol->status.members[i].state == VOL_PRIMARY)
			return true;
	}
	return false;
}

static dvs_err read_view(struct vol *vol, const char *key, struct replica_record *view,
			 uint64_t *version)
{
	uint8_t value[DVK_VALUE_MAX];
	size_t len = 0;
	dvs_err err = dvk_record_get(vol->link.dvk, vol->dc, key, value, &len, version);
	struct cursor in = cursor_over(value, err ? 0 : len);

	if (err)
		return err;
	replica_record_get(&in, view);
	return cursor_done(&in) ? DVS_OK : DVS_CORRUPT;
}

static dvs_err write_view(struct vol *vol, const char *key, uint64_t epoch, uint32_t node,
			  uint64_t version)
{
	struct replica_record view = { .epoch = epoch,
				       .primary = node,
				       .writer = WRITER_FORCED,
				       .n_members = 1,
				       .members = { { .node = node } } };
	uint8_t value[REPLICA_RECORD_BYTES_MAX];
	struct writer out = writer_over(value, sizeof(value));

	replica_record_put(&out, &view);
	return dvk_record_set(vol->link.dvk, vol->dc, key, version, value, writer_len(&out),
			      &version);
}

static int force(struct vol *vol, const struct dvk_node_info *node)
{
	AUTO_FREE struct replica_record *view = calloc(1, sizeof(*view));
	char key[DVS_NAME_MAX + 1];
	uint64_t version = 0;
	dvs_err err;

	snprintf(key, sizeof(key), "view/%s", vol->base.id);
	err = view ? read_view(vol, key, view, &version) : DVS_NOMEM;
	if (err == DVS_NOTFOUND)
		return vol_note(vol,
				"no replica of it has ever been complete; remove it with 'dvs "
				"vol rm --force %s'",
				vol->text);
	if (!err)
		err = write_view(vol, key, view->epoch + 1, node->node.n, version);
	if (err == DVS_NOTFOUND || err == DVS_EXISTS)
		return vol_note(vol, "its replicas have just changed; look at 'dvs vol inspect %s'",
				vol->text);
	return err ? vol_fail(vol, err) : EXIT_DONE;
}

static int wait_for_it(struct vol *vol, const struct dvk_node_info *node)
{
	struct watch watch;
	bool is_there = false;

	if (!watch_begin(&watch, vol->cli, "promote the replica"))
		return EXIT_FAILED;
	for (unsigned int i = 0; i < FORCE_LOOKS && !is_there; i++) {
		const struct vdd_member *member = has_primary(vol) ? vol_member(vol, node->node.n) :
								     NULL;

		is_there = member && member->state == VOL_PRIMARY;
		watch_text(&watch, "waits for the new primary");
		if (is_there || !watch_pause(&watch))
			break;
	}
	watch_end(&watch);
	if (is_there)
		return EXIT_DONE;
	return vol_note(vol, "node %s is not the primary yet; 'dvs vol inspect %s' tells more",
			node->name, vol->text);
}

int vol_force(struct vol *vol, const struct dvk_node_info *node)
{
	int status;

	if (node->state != DVK_NODE_UP)
		return vol_note(vol, "node %s is down; name one that is up", node->name);
	if (has_primary(vol))
		return vol_note(vol, "it has a primary, so nothing is lost; leave --lost-data out "
				     "to hand it over");
	status = force(vol, node);
	return status == EXIT_DONE ? wait_for_it(vol, node) : status;
}
