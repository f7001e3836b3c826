/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/volume/describe.h"

#include <string.h>

#include "manage/describe.h"
#include "manage/text.h"

static const struct output_column volume_columns[] = {
	{ "NAME", "name", false },	{ "SIZE", "size", false },
	{ "USED", "used", false },	{ "STORE", "store", false },
	{ "REPLICAS", "where", false }, { "STATE", "state", false },
	{ "OF", "of", true },		{ "MODE", "mode", true },
	{ "ACCESS", "access", true },	{ "ENDPOINT", "endpoint", true },
	{ "EPOCH", "epoch", true },	{ "SNAPSHOTS", "n_snapshots", true },
	{ "ID", "id", true },
};

const struct output_shape describe_volumes_shape = { "volumes", volume_columns,
						     ARRAY_LEN(volume_columns) };

static const struct output_column field_columns[] = {
	{ "Name", "name", false },
	{ "State", "state", false },
	{ "Why", "why", false },
	{ "Attached", "attached", false },
	{ "Held by", "held", false },
	{ "Size", "size", false },
	{ "Bytes", "bytes", false },
	{ "Used", "used", false },
	{ "Store", "store", false },
	{ "Direct", "direct", false },
	{ "Mode", "mode", false },
	{ "Access", "access", false },
	{ "Resync rate", "resync", false },
	{ "Clone of", "of", false },
	{ "Endpoint", "endpoint", false },
	{ "Minor", "minor", false },
	{ "Id", "id", false },
	{ "Epoch", "epoch", false },
	{ "Reads", "reads", false },
	{ "Writes", "writes", false },
	{ "Bytes read", "read_bytes", false },
	{ "Bytes written", "written_bytes", false },
	{ "Refused changes", "refused", false },
	{ "Waiting", "waiting", false },
	{ "Paused in all", "paused", false },
	{ "Verify", "verify", false },
	{ "Verified", "verify_done", false },
	{ "Differing chunks", "verify_differs", false },
	{ "Repaired chunks", "verify_repaired", false },
};

const struct output_shape describe_volume_fields = { "volume", field_columns,
						     ARRAY_LEN(field_columns) };

static const struct output_column replica_columns[] = {
	{ "NODE", "name", false },     { "STATE", "state", false }, { "UP", "node_state", false },
	{ "DONE", "percent", false },  { "RATE", "rate", false },   { "LEFT", "left", false },
	{ "LAG", "lag_bytes", false }, { "PLACE", "place", false }, { "WHY", "why", false },
};

const struct output_shape describe_replicas_shape = { "replicas", replica_columns,
						      ARRAY_LEN(replica_columns) };

static const struct output_column disk_columns[] = {
	{ "MADE OF IT", "name", false }, { "KIND", "kind", false },
	{ "SIZE", "size", false },	 { "USED", "used", false },
	{ "OF", "parent_name", false },	 { "MINOR", "minor", false },
	{ "CREATED", "created", false },
};

const struct output_shape describe_disks_shape = { "disks", disk_columns, ARRAY_LEN(disk_columns) };

json_t *describe_size(uint64_t bytes)
{
	static const char units[] = " KMGTP";
	uint64_t whole = bytes;
	uint64_t rest = 0;
	size_t unit = 0;

	while (whole >= 1024 && units[unit + 1]) {
		rest = whole % 1024;
		whole /= 1024;
		unit++;
	}
	if (unit == 0)
		return json_integer((json_int_t)bytes);
	if (rest == 0)
		return json_sprintf("%llu%c", (unsigned long long)whole, units[unit]);
	return json_sprintf("%llu.%llu%c", (unsigned long long)whole,
			    (unsigned long long)(rest * 10 / 1024), units[unit]);
}

/* LIST with ITEM, both taken; NULL without memory. */
static json_t *append(json_t *list, json_t *item)
{
	if (json_array_append_new(list, item) == 0)
		return list;
	json_decref(list);
	return NULL;
}

/* ---- what a server has told ---- */

static const struct vdd_disk *disk_of(const struct vdd_disks_rep *disks, uint32_t minor)
{
	for (uint32_t i = 0; disks && i < disks->n_disks; i++) {
		if (disks->disks[i].minor == minor)
			return &disks->disks[i];
	}
	return NULL;
}

static const struct vdd_member *member_of(const struct vdd_status_rep *status, uint32_t node)
{
	for (uint32_t i = 0; status && i < status->n_members; i++) {
		if (status->members[i].node == node)
			return &status->members[i];
	}
	return NULL;
}

static const char *member_state(const struct vdd_member *member)
{
	static const char *const states[] = {
		[VOL_PRIMARY] = "primary",
		[VOL_MEMBER] = "in sync",
		[VOL_SYNCING] = "syncing",
		[VOL_AWAY] = "away",
	};

	return member ? states[member->state] : "away";
}

static unsigned int percent(uint64_t done, uint64_t total)
{
	if (total == 0)
		return 0;
	/* All is only said when nothing is left. */
	return done >= total ? 100 : (unsigned int)((double)done * 100.0 / (double)total);
}

/* How many of the replicas have everything, and of one that is behind how far it is. */
struct health {
	uint32_t n_good;
	bool is_syncing;
	unsigned int percent; /* of the one that is furthest behind */
};

static struct health health_of(const struct vol *vol, const struct vdd_status_rep *status)
{
	struct health health = { .percent = 100 };

	for (uint32_t i = 0; i < vol->base.n_replicas; i++) {
		const struct vdd_member *member = member_of(status, vol->base.replicas[i].node);
		unsigned int done;

		if (!member)
			continue;
		health.n_good += member->state == VOL_PRIMARY || member->state == VOL_MEMBER;
		if (member->state != VOL_SYNCING)
			continue;
		health.is_syncing = true;
		done = percent(member->done_bytes, member->total_bytes);
		health.percent = done < health.percent ? done : health.percent;
	}
	return health;
}

/* All replicas were in memory, and each says that it is gone. */
static bool is_lost(struct vol *vol)
{
	char why[DVK_TEXT_MAX + 1];

	for (uint32_t i = 0; i < vol->base.n_replicas; i++) {
		dvs_nodeid id = { vol->base.replicas[i].node };
		const struct dvk_node_info *node = nodes_at(&vol->nodes, id);

		if (!node || node->state != DVK_NODE_UP || !vol_why(vol, id.n, why))
			return false;
	}
	return vol->base.store == VOLUME_RAM;
}

/* In one word, or two. */
static json_t *state_of(struct vol *vol, const struct vol_told *told)
{
	const struct vdd_status_rep *status = told->status;
	struct health health = health_of(vol, status);

	if (!status)
		return json_string(is_lost(vol) ? "lost" : "unreachable");
	if (told->is_paused)
		return json_string("paused");
	if (health.n_good == vol->base.n_replicas)
		return json_string("healthy");
	if (health.is_syncing)
		return json_sprintf("syncing %u%%", health.percent);
	return json_string("degraded");
}

/* "n0* n1 n2!": the primary has a star, what is not up to date an exclamation mark. */
static json_t *where_of(const struct vol *vol, const struct vdd_status_rep *status)
{
	json_t *list = json_array();

	for (uint32_t i = 0; list && i < vol->base.n_replicas; i++) {
		dvs_nodeid node = { vol->base.replicas[i].node };
		const struct vdd_member *member = member_of(status, node.n);
		char name[DVS_NAME_MAX + 1];
		const char *mark = "!";

		if (member && member->state == VOL_PRIMARY)
			mark = "*";
		else if (!status || (member && member->state == VOL_MEMBER))
			mark = "";
		if (json_array_append_new(list,
					  json_sprintf("%s%s", nodes_name(&vol->nodes, node, name),
						       mark)) == 0)
			continue;
		json_decref(list);
		list = NULL;
	}
	return list;
}

static int count_snapshots(const struct vol *vol, const struct vdd_disks_rep *disks)
{
	int n = 0;

	for (uint32_t i = 0; disks && i < disks->n_disks; i++)
		n += disks->disks[i].kind == VOL_DISK_SNAPSHOT &&
		     disks->disks[i].parent == vol->volume.minor;
	return n;
}

static json_t *mode_of(const struct volume *base)
{
	if (!base->async)
		return json_string("sync");
	return json_string("async");
}

/* The nodes where it is a block device; null: nowhere. */
static json_t *attached_of(struct vol *vol, const struct claim *claim)
{
	json_t *list = json_array();

	for (uint32_t i = 0; list && i < claim->n; i++) {
		dvs_nodeid node = { claim->holders[i].node };
		char name[DVS_NAME_MAX + 1];

		if (claim->holders[i].kind == CLAIM_DEVICE)
			list = append(list, json_string(nodes_name(&vol->nodes, node, name)));
	}
	if (json_array_size(list) > 0)
		return list;
	json_decref(list);
	return json_null();
}

/* Who may write to it, as sentences for people. */
static json_t *held_of(struct vol *vol, const struct claim *claim)
{
	static const char *const words[] = { [CLAIM_DEVICE] = "a block device",
					     [CLAIM_NBD] = "clients of dvs-nbd",
					     [CLAIM_FS] = "file system" };
	json_t *list = claim->n ? json_array() : json_null();

	for (uint32_t i = 0; json_is_array(list) && i < claim->n; i++) {
		const struct claim_holder *holder = &claim->holders[i];
		char name[DVS_NAME_MAX + 1];

		list = append(list, json_sprintf("%s%s%s on %s%s", words[holder->kind],
						 holder->about[0] ? " " : "", holder->about,
						 nodes_name(&vol->nodes,
							    (dvs_nodeid){ holder->node }, name),
						 holder->is_shared ? ", shared" : ""));
	}
	return list;
}

json_t *describe_volume(struct vol *vol, const struct vol_told *told)
{
	const struct vdd_disk *disk = disk_of(told->disks, vol->volume.minor);
	const struct volume *base = &vol->base;
	uint64_t bytes = disk ? disk->bytes : vol->volume.bytes;
	char known[VOL_KNOWN_BYTES] = "";
	struct claim claim;

	if (!vol_holders(vol, vol->volume.id, &claim))
		claim.n = 0;
	if (!told->status)
		vol_known(vol, known);
	return json_pack(
		"{s:o, s:s, s:s, s:o, s:I, s:o, s:o, s:o, s:s, s:b, s:o, s:o, s:I, s:s, s:I, s:o, "
		"s:I, s:I, s:o, s:i, s:o, s:s, s:o, s:o, s:o}",
		"name", json_sprintf("%s/%s", vol->dc, vol->volume.name), "dc", vol->dc, "volume",
		vol->volume.name, "size", describe_size(bytes), "bytes", (json_int_t)bytes, "used",
		disk ? describe_size(disk->used_bytes) : json_null(), "used_bytes",
		disk ? describe_count(disk->used_bytes) : json_null(), "where",
		where_of(vol, told->status), "store", volume_stores[base->store], "direct",
		base->direct, "state", state_of(vol, told), "mode", mode_of(base), "lag_bytes",
		(json_int_t)base->lag_bytes, "access", vol->volume.access_dc ? "dc" : "managers",
		"resync_bytes_per_s", (json_int_t)base->resync_bytes_per_s, "resync",
		base->resync_bytes_per_s ? describe_size(base->resync_bytes_per_s) : json_null(),
		"endpoint", (json_int_t)vol->volume.endpoint, "minor",
		(json_int_t)vol->volume.minor, "of",
		vol->volume.of[0] ? json_sprintf("%s/%s", vol->dc, vol->volume.of) : json_null(),
		"n_snapshots", count_snapshots(vol, told->disks), "epoch",
		told->status ? describe_count(told->status->epoch) : json_null(), "id",
		vol->volume.id, "why", known[0] ? json_string(known) : json_null(), "attached",
		attached_of(vol, &claim), "held", held_of(vol, &claim));
}

/* ---- replicas ---- */

static json_t *left_of(const struct vdd_member *member)
{
	char left[TEXT_SHORT_BYTES];

	if (!member || member->state != VOL_SYNCING || member->eta_ms == 0)
		return json_null();
	text_span(member->eta_ms / 1000 + 1, left);
	return json_string(left);
}

static json_t *describe_replica(struct vol *vol, const struct volume_replica *replica,
				const struct vdd_status_rep *status)
{
	dvs_nodeid id = { replica->node };
	const struct dvk_node_info *node = nodes_at(&vol->nodes, id);
	const struct vdd_member *member = member_of(status, replica->node);
	bool is_syncing = member && member->state == VOL_SYNCING;
	static const struct vdd_member nothing = { .state = VOL_AWAY };
	const struct vdd_member *told = member ? member : &nothing;
	char name[DVS_NAME_MAX + 1];
	char why[DVK_TEXT_MAX + 1] = "";

	if (!vol_why(vol, replica->node, why))
		why[0] = '\0';
	return json_pack(
		"{s:s, s:I, s:s, s:s, s:s, s:I, s:I, s:I, s:o, s:I, s:o, s:I, s:o, s:I, s:s?}",
		"name", nodes_name(&vol->nodes, id, name), "node", (json_int_t)id.n, "state",
		status ? member_state(member) : "unknown", "node_state",
		node && node->state == DVK_NODE_UP ? "up" : "down", "place", replica->place,
		"done_bytes", (json_int_t)told->done_bytes, "total_bytes",
		(json_int_t)told->total_bytes, "sent_bytes", (json_int_t)told->sent_bytes,
		"percent",
		is_syncing ? json_sprintf("%u%%", percent(told->done_bytes, told->total_bytes)) :
			     json_null(),
		"bytes_per_s", (json_int_t)told->bytes_per_s, "rate",
		is_syncing ? describe_size(told->bytes_per_s) : json_null(), "eta_ms",
		(json_int_t)told->eta_ms, "left", left_of(member), "lag_bytes",
		(json_int_t)told->lag_bytes, "why", why[0] ? why : NULL);
}

json_t *describe_replicas(struct vol *vol, const struct vol_told *told)
{
	json_t *list = json_array();

	for (uint32_t i = 0; list && i < vol->base.n_replicas; i++)
		list = append(list, describe_replica(vol, &vol->base.replicas[i], told->status));
	return list;
}

/* ---- disks ---- */

/* The name of the volume or clone that MINOR is. */
static const char *owner_name(const struct vol *vol, const struct vdd_disks_rep *disks,
			      uint32_t minor)
{
	const struct vdd_disk *disk = disk_of(disks, minor);

	return disk && disk->kind == VOL_DISK_CLONE ? disk->name : vol->base.name;
}

/* "data", or of a snapshot "data@monday". */
static json_t *name_of(const struct vol *vol, const struct vdd_disks_rep *disks, uint32_t minor)
{
	const struct vdd_disk *disk = disk_of(disks, minor);

	if (disk && disk->kind == VOL_DISK_SNAPSHOT)
		return json_sprintf("%s@%s", owner_name(vol, disks, disk->parent), disk->name);
	return json_string(owner_name(vol, disks, minor));
}

static json_t *describe_disk(const struct vol *vol, const struct vdd_disks_rep *disks,
			     const struct vdd_disk *disk)
{
	bool is_snapshot = disk->kind == VOL_DISK_SNAPSHOT;
	json_t *name = name_of(vol, disks, disk->minor);
	json_t *object = json_pack(
		"{s:o, s:s, s:s, s:o, s:I, s:o, s:I, s:o, s:I, s:I, s:o}", "name",
		name ? json_sprintf("%s/%s", vol->dc, json_string_value(name)) : NULL, "disk",
		disk->name, "kind", is_snapshot ? "snapshot" : "clone", "size",
		describe_size(disk->bytes), "bytes", (json_int_t)disk->bytes, "used",
		describe_size(disk->used_bytes), "used_bytes", (json_int_t)disk->used_bytes,
		"parent_name", name_of(vol, disks, disk->parent), "minor", (json_int_t)disk->minor,
		"parent", (json_int_t)disk->parent, "created", describe_time(disk->created_ns));

	json_decref(name);
	return object;
}

/* Of a clone what was made of it, of the volume everything. */
static bool is_shown(const struct vol *vol, const struct vdd_disk *disk)
{
	if (disk->kind == VOL_DISK_VOLUME)
		return false;
	return vol->volume.minor == 0 || disk->parent == vol->volume.minor;
}

json_t *describe_disks(const struct vol *vol, const struct vol_told *told)
{
	json_t *list = json_array();

	for (uint32_t i = 0; list && told->disks && i < told->disks->n_disks; i++) {
		const struct vdd_disk *disk = &told->disks->disks[i];

		if (is_shown(vol, disk))
			list = append(list, describe_disk(vol, told->disks, disk));
	}
	return list;
}

/* ---- the server ---- */

json_t *describe_server(const struct vdd_status_rep *status)
{
	static const char *const states[] = { "never", "runs", "done", "stopped" };

	if (!status)
		return json_null();
	return json_pack(
		"{s:o, s:o, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:I, s:I, s:I, s:I}",
		"epoch", describe_count(status->epoch), "sequence",
		describe_count(status->sequence), "waiting", (json_int_t)status->waiting,
		"paused_ms", (json_int_t)status->paused_ms, "paused",
		json_sprintf("%.1fs", (double)status->paused_ms / 1000), "reads",
		describe_count(status->reads), "writes", describe_count(status->writes),
		"read_bytes", describe_count(status->read_bytes), "written_bytes",
		describe_count(status->written_bytes), "refused", describe_count(status->refused),
		"verify", states[status->verify_state], "verify_done",
		status->verify_state == 1 ?
			json_sprintf("%u%%", percent(status->verify_done_bytes,
						     status->verify_total_bytes)) :
			json_null(),
		"verify_done_bytes", (json_int_t)status->verify_done_bytes, "verify_total_bytes",
		(json_int_t)status->verify_total_bytes, "verify_differs",
		(json_int_t)status->verify_differs, "verify_repaired",
		(json_int_t)status->verify_repaired);
}
